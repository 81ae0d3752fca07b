//! What cannot be read any more is copied aside, byte for byte, with a note of where it lay and what it may have held.

use std::{io, ops::Range, path::Path};

use serde::Serialize;

use super::{
    disk::{self, Disk},
    folder::Folder,
};

/// What a note says.
#[derive(Serialize, Debug)]
pub struct Note {
    pub segment: String,
    pub from_byte: usize,
    pub to_byte: usize,
    /// The first and the last of the records that may have been there.
    pub first: u64,
    pub last: u64,
    /// Whether these bytes had certainly been on disk. If not, they are most likely what a crash left of a write that nobody
    /// was told about.
    pub acknowledged: bool,
}

impl Note {
    pub fn new(segment: &Path, bytes: Range<usize>, first: u64, last: u64, acknowledged: bool) -> Note {
        let segment = segment.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Note { segment, from_byte: bytes.start, to_byte: bytes.end, first, last, acknowledged }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Debug)]
pub struct Quarantined {
    pub files: u64,
    pub bytes: u64,
}

/// Copies `bytes` aside. A stretch has one name, so what is found again at the next opening is not counted twice.
pub fn put(disk: &dyn Disk, folder: &Folder, segment: &Path, bytes: &[u8], note: &Note) -> io::Result<()> {
    let (start, end) = (note.from_byte, note.to_byte);
    let stem = segment.file_stem().unwrap_or_default().to_string_lossy();
    let path = |ending| folder.quarantine().join(format!("{stem}-{start}-{end}.{ending}"));
    let text = serde_json::to_vec_pretty(note).expect("numbers and texts make a note");
    disk::write_beside(disk, &path("bytes"), bytes)?;
    disk::write_beside(disk, &path("json"), &text)?;
    disk.sync_folder(&folder.quarantine())
}

/// How much lies there.
pub fn count(disk: &dyn Disk, folder: &Folder) -> io::Result<Quarantined> {
    let mut found = Quarantined::default();
    for name in disk.list(&folder.quarantine())? {
        if name.ends_with(".bytes") {
            found.files += 1;
            found.bytes += disk.open(&folder.quarantine().join(name))?.bytes()?;
        }
    }
    Ok(found)
}
