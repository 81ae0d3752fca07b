//! The cursor: up to where everything is settled, in a file that is written in place.
//!
//! Two lines take turns, so that one is whole whenever a crash comes. Written in place it needs no room, so a spool on a full
//! disk can still be drained, and no change of a folder, which would make the appends beside it wait.

use std::{io, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::disk::{self, Disk, File};

/// A line begins a block of its own: a torn write of one cannot touch the other.
const BLOCK: usize = 4096;
/// No line is longer, so it lies within one sector.
const LINE: usize = 256;

pub struct Cursor {
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    turn: u64,
    settled: u64,
    kept: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    settled: u64,
    /// The last record that was on disk then: an opening has to find it.
    kept: u64,
    turn: u64,
    crc: u32,
}

impl Cursor {
    /// The cursor at `path`; `None` if there is none, or none that can be read.
    pub fn load(disk: &dyn Disk, path: PathBuf) -> io::Result<Option<Cursor>> {
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = disk::salvage(&*file)?.bytes; // the other line may be whole
        let lines = [0, BLOCK].map(|at| bytes.get(at..at + LINE).and_then(parse));
        let newest = lines.into_iter().flatten().max_by_key(|line| line.turn);
        Ok(newest.map(|line| Cursor {
            path,
            file: Some(file),
            turn: line.turn,
            settled: line.settled,
            kept: line.kept,
        }))
    }

    pub fn create(disk: &dyn Disk, path: PathBuf, settled: u64) -> io::Result<Cursor> {
        let mut cursor = Cursor { path, file: None, turn: 0, settled, kept: settled };
        cursor.write(disk, settled, settled)?;
        Ok(cursor)
    }

    pub fn settled(&self) -> u64 {
        self.settled
    }

    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Moves the cursor. When that fails it stands where it stood, or at `settled`.
    pub fn write(&mut self, disk: &dyn Disk, settled: u64, kept: u64) -> io::Result<()> {
        let turn = self.turn + 1;
        let line = line(settled, kept, turn);
        match &self.file {
            Some(file) => {
                let at = (turn % 2) * BLOCK as u64;
                if let Err(error) = file.write_at(&line, at).and_then(|()| file.sync()) {
                    // What the disk holds of it is not known, and a second sync would say "all is well": so another file.
                    self.file = None;
                    return Err(error);
                }
            }
            None => {
                let mut bytes = vec![b'\n'; 2 * BLOCK];
                bytes[..LINE].copy_from_slice(&line);
                disk::replace(disk, &self.path, &bytes)?;
                self.file = Some(disk.open(&self.path)?);
                // The first block holds it whatever the turn, so the next has to go to the second.
                self.turn = turn + turn % 2;
                (self.settled, self.kept) = (settled, kept);
                return Ok(());
            }
        }
        (self.turn, self.settled, self.kept) = (turn, settled, kept);
        Ok(())
    }
}

fn line(settled: u64, kept: u64, turn: u64) -> [u8; LINE] {
    let line = Line { settled, kept, turn, crc: checksum([settled, kept, turn]) };
    let text = serde_json::to_vec(&line).expect("numbers make a line");
    let mut line = [b' '; LINE];
    line[..text.len()].copy_from_slice(&text);
    line[LINE - 1] = b'\n';
    line
}

fn parse(bytes: &[u8]) -> Option<Line> {
    let line: Line = serde_json::from_slice(bytes).ok()?;
    (line.crc == checksum([line.settled, line.kept, line.turn])).then_some(line)
}

fn checksum(numbers: [u64; 3]) -> u32 {
    numbers.iter().fold(0, |crc, number| crc32c::crc32c_append(crc, &number.to_le_bytes()))
}
