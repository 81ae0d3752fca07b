//! Checks a base backup against the manifest that Postgres wrote into it.
//!
//! `pg_verifybackup` does the same, but not every build of Postgres brings one that runs; the manifest is a small and
//! stable format. `pg_waldump`, as there, checks the part of the log that the backup needs to become consistent.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use indicatif::ProgressBar;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::find::Programs;

const NAME: &str = "backup_manifest";
const CHUNK_BYTES: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("`{}` is not a complete backup: it has no `{NAME}`, which is written last", .folder.display())]
    Missing { folder: PathBuf },
    #[error("the manifest `{}` is damaged: {reason}", .path.display())]
    Manifest { path: PathBuf, reason: String },
    #[error("the backup is damaged: `{}` {what}", .path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("the backup is damaged: its part of the log cannot be read: {said}")]
    Log { said: String },
    #[error("cannot read `{}`", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(rename = "Files")]
    files: Vec<Listed>,
    #[serde(rename = "WAL-Ranges")]
    ranges: Vec<Range>,
    #[serde(rename = "Manifest-Checksum")]
    checksum: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    path: PathBuf,
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    checksum_algorithm: Option<String>,
    checksum: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Range {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

/// Reads the whole backup in `folder` and refuses it at the first byte that is not as Postgres wrote it.
pub fn verify(programs: &Programs, folder: &Path, bar: &ProgressBar) -> Result<(), ManifestError> {
    let manifest = read(folder)?;
    let mut listed = HashSet::new();
    bar.set_position(0);
    bar.set_length(manifest.files.iter().map(|file| file.size).sum());
    for file in &manifest.files {
        verify_file(folder, file, bar)?;
        listed.insert(file.path.as_path());
    }
    for (found, is_folder) in walk(folder)? {
        if !is_folder && !listed.contains(found.as_path()) && !unlisted(&found) {
            return Err(ManifestError::Damaged { path: found, what: "is not in the manifest".to_owned() });
        }
    }
    manifest.ranges.iter().try_for_each(|range| verify_log(programs, folder, range))
}

/// What lies in `folder`, relative to it: folders before what is in them, and whether each is a folder.
pub fn walk(folder: &Path) -> Result<Vec<(PathBuf, bool)>, ManifestError> {
    let mut found = Vec::new();
    let mut left = vec![PathBuf::new()];
    while let Some(next) = left.pop() {
        let here = folder.join(&next);
        let failed = |source| ManifestError::Io { path: here.clone(), source };
        for entry in fs::read_dir(&here).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = next.join(entry.file_name());
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            if is_folder {
                left.push(path.clone());
            }
            found.push((path, is_folder));
        }
    }
    Ok(found)
}

/// The manifest guards itself: its last line is the digest of all lines before.
fn read(folder: &Path) -> Result<Manifest, ManifestError> {
    let path = folder.join(NAME);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ManifestError::Missing { folder: folder.to_owned() });
        }
        text => text.map_err(|source| ManifestError::Io { path: path.clone(), source })?,
    };
    let damaged = |reason: String| ManifestError::Manifest { path: path.clone(), reason };
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let last_line = text.rfind("\"Manifest-Checksum\"").ok_or_else(|| damaged("it lacks its digest".to_owned()))?;
    if hex(&Sha256::digest(&text.as_bytes()[..last_line])) != manifest.checksum {
        return Err(damaged("its digest does not fit".to_owned()));
    }
    Ok(manifest)
}

fn verify_file(folder: &Path, listed: &Listed, bar: &ProgressBar) -> Result<(), ManifestError> {
    let damaged = |what: String| ManifestError::Damaged { path: listed.path.clone(), what };
    let mut file = match File::open(folder.join(&listed.path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("is missing".to_owned())),
        file => file.map_err(|source| ManifestError::Io { path: listed.path.clone(), source })?,
    };
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut size = 0;
    loop {
        let count = file.read(&mut chunk).map_err(|source| ManifestError::Io { path: listed.path.clone(), source })?;
        if count == 0 {
            break;
        }
        digest.update(&chunk[..count]);
        size += count as u64;
        bar.inc(count as u64);
    }
    if size != listed.size {
        return Err(damaged(format!("has {size} bytes, expected {}", listed.size)));
    }
    match (listed.checksum_algorithm.as_deref(), &listed.checksum) {
        (Some("SHA256"), Some(checksum)) if *checksum == hex(&digest.finalize()) => Ok(()),
        (Some("SHA256"), Some(_)) => Err(damaged("has other content than was backed up".to_owned())),
        _ => Err(damaged(
            "has no SHA-256 in the manifest: make the backup with `binnacle backup`, or with `pg_basebackup \
             --manifest-checksums=SHA256`"
                .to_owned(),
        )),
    }
}

/// What Postgres itself leaves out of the manifest, or what a person adds to recover.
fn unlisted(path: &Path) -> bool {
    path.starts_with("pg_wal")
        || [NAME, "postgresql.auto.conf", "recovery.signal", "standby.signal"]
            .iter()
            .any(|name| path == Path::new(name))
}

fn verify_log(programs: &Programs, folder: &Path, range: &Range) -> Result<(), ManifestError> {
    let program = programs.path("pg_waldump");
    let output = std::process::Command::new(&program)
        .arg("--quiet")
        .arg("--path")
        .arg(folder.join("pg_wal"))
        .args(["--timeline", &range.timeline.to_string(), "--start", &range.start, "--end", &range.end])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ManifestError::Io { path: program, source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(ManifestError::Log { said: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
