//! Dead letters: records that the server refused for good. A file each, with the reason, for people and for a replay; what was
//! replayed is moved aside, and nothing is ever deleted.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    DeadError, Sequence,
    disk::{self, Disk, Machine},
    folder::Folder,
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    pub sequence: Sequence,
    /// The record as it was appended.
    pub bytes: Vec<u8>,
    /// One word, such as `CONFLICT`.
    pub reason: String,
    pub message: String,
    pub refused_at: DateTime<Utc>,
}

/// What lies in the folder of dead letters.
#[derive(Debug, Default)]
pub struct Listing {
    /// By sequence, each with the name of its file.
    pub letters: Vec<(String, DeadLetter)>,
    /// Files that are no dead letters, and why.
    pub others: Vec<(String, String)>,
}

/// The letter as it is written: a record that is a text stays one, to the byte.
#[derive(Serialize, Deserialize)]
struct Written {
    sequence: u64,
    reason: String,
    message: String,
    refused_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_base64: Option<String>,
}

/// The dead letters of the spool in `folder`, which another process may be using.
pub fn list(folder: &Path) -> Result<Listing, DeadError> {
    list_on(&Machine, &Folder::new(folder))
}

/// One of them, by the name of its file.
pub fn get(folder: &Path, name: &str) -> Result<DeadLetter, DeadError> {
    let folder = Folder::new(folder);
    read(&Machine, &known(&folder, name)?).map_err(|failure| failure.told(&folder, name))
}

/// Moves a letter to those that were replayed, once the server has what it tells. Who has the spool open does it there.
pub fn replayed(folder: &Path, name: &str) -> Result<(), DeadError> {
    replayed_on(&Machine, &Folder::new(folder), name)
}

pub(super) fn replayed_on(disk: &dyn Disk, folder: &Folder, name: &str) -> Result<(), DeadError> {
    let path = known(folder, name)?;
    move_aside(disk, folder, &path, name).map_err(|source| Failure::Disk(source).told(folder, name))
}

pub(super) fn list_on(disk: &dyn Disk, folder: &Folder) -> Result<Listing, DeadError> {
    let mut found = Listing::default();
    let failed = |source| DeadError::Disk { folder: folder.dead(), source };
    for name in disk.list(&folder.dead()).map_err(failed)? {
        match read(disk, &folder.dead().join(&name)) {
            Ok(letter) => found.letters.push((name, letter)),
            Err(Failure::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {} // replayed just now
            Err(Failure::Disk(error)) => found.others.push((name, error.to_string())),
            Err(Failure::Unreadable(detail)) => found.others.push((name, detail)),
        }
    }
    found.letters.sort_by_key(|(_, letter)| letter.sequence);
    Ok(found)
}

/// The names of those not replayed, by sequence.
pub(super) fn names(disk: &dyn Disk, folder: &Folder) -> io::Result<Vec<(u64, String)>> {
    let names = disk.list(&folder.dead())?;
    Ok(names.into_iter().filter_map(|name| Some((sequence_of(&name)?, name))).collect())
}

/// The highest sequence that a letter has, replayed or not; 0 if there is none.
pub(super) fn last(disk: &dyn Disk, folder: &Folder) -> io::Result<u64> {
    let names = [disk.list(&folder.dead())?, disk.list(&folder.replayed())?].concat();
    Ok(names.iter().filter_map(|name| sequence_of(name)).max().unwrap_or(0))
}

pub(super) fn name(letter: &DeadLetter) -> String {
    format!("{:020}-{}.json", letter.sequence.0, word(&letter.reason))
}

/// Writes a letter, in the place of one of that name. Its folder has yet to be synced.
pub(super) fn write(disk: &dyn Disk, folder: &Folder, name: &str, letter: &DeadLetter) -> io::Result<()> {
    let (record, record_base64) = match str::from_utf8(&letter.bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(BASE64_STANDARD.encode(&letter.bytes))),
    };
    let written = Written {
        sequence: letter.sequence.0,
        reason: letter.reason.clone(),
        message: letter.message.clone(),
        refused_at: letter.refused_at,
        record,
        record_base64,
    };
    let text = serde_json::to_vec_pretty(&written).map_err(io::Error::other)?;
    disk::write_beside(disk, &folder.dead().join(name), &text)
}

/// A reason as a part of a file's name.
fn word(reason: &str) -> String {
    let letters = reason.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
    letters.take(40).collect::<String>().to_ascii_lowercase()
}

fn sequence_of(name: &str) -> Option<u64> {
    let (digits, _) = name.strip_suffix(".json")?.split_once('-')?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

enum Failure {
    Disk(io::Error),
    Unreadable(String),
}

impl Failure {
    fn told(self, folder: &Folder, name: &str) -> DeadError {
        match self {
            Failure::Disk(error) if error.kind() == io::ErrorKind::NotFound => {
                DeadError::Unknown { folder: folder.dead(), name: name.to_owned() }
            }
            Failure::Disk(source) => DeadError::Disk { folder: folder.dead(), source },
            Failure::Unreadable(detail) => DeadError::Unreadable { path: folder.dead().join(name), detail },
        }
    }
}

/// The path of a letter; a name that leads elsewhere is none of a letter.
fn known(folder: &Folder, name: &str) -> Result<PathBuf, DeadError> {
    match sequence_of(name) {
        Some(_) if !name.contains(['/', '\\']) => Ok(folder.dead().join(name)),
        _ => Err(DeadError::Unknown { folder: folder.dead(), name: name.to_owned() }),
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<DeadLetter, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::Unreadable(error.to_string());
    let bytes = disk::read(disk, path).map_err(Failure::Disk)?;
    let written: Written = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
    let bytes = match (written.record, written.record_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(encoded)) => BASE64_STANDARD.decode(encoded).map_err(|error| unreadable(&error))?,
        _ => return Err(Failure::Unreadable("it has to have either `record` or `record_base64`".to_owned())),
    };
    let Written { sequence, reason, message, refused_at, .. } = written;
    Ok(DeadLetter { sequence: Sequence(sequence), bytes, reason, message, refused_at })
}

fn move_aside(disk: &dyn Disk, folder: &Folder, path: &Path, name: &str) -> io::Result<()> {
    disk::make_folders(disk, &folder.replayed())?;
    disk.rename(path, &folder.replayed().join(name))?;
    disk.sync_folder(&folder.replayed())?;
    disk.sync_folder(&folder.dead())
}
