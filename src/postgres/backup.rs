//! Backs up the embedded store into a folder and restores it from there. Each backup is read back before it counts.
//!
//! A backup is a plain Postgres base backup, so a Postgres of the same major version opens it without Binnacle too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use indicatif::ProgressBar;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::cluster::{self, ADMIN, Cluster};
use super::embedded::{Embedded, EmbeddedError, EmbeddedOptions};
use super::find::Programs;
use super::folder::{self, DataDir, at, sockets_of_running};
use super::manifest::{self, ManifestError};

/// How much of what `pg_basebackup` said an error shows.
const SAID_BYTES_MAX: usize = 4 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("`{}` is not empty: name a new folder for the backup", .folder.display())]
    TargetNotEmpty { folder: PathBuf },
    #[error("`{}` already holds a store: name another folder with `--data-dir`, or move this one away", .folder.display())]
    StoreNotEmpty { folder: PathBuf },
    #[error(
        "the store in `{}` is in use, but its postgres does not run at the moment: try again, or stop that binnacle",
        .folder.display()
    )]
    NotRunning { folder: PathBuf },
    #[error("a throw-away store has nothing to back up or to restore to")]
    Throwaway,
    #[error(
        "the backup `{}` is of postgres {found}, and the programs in `{}` are postgres {major}: name a folder of \
         postgres {found} programs with `--pg-bin-dir`", .folder.display(), .programs.display()
    )]
    OtherMajor { folder: PathBuf, found: u32, programs: PathBuf, major: u32 },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
}

/// Copies the store of `options` into the folder `to`, whether a Binnacle serves it at the moment or not.
pub async fn backup(options: EmbeddedOptions, to: &Path, bar: &ProgressBar) -> Result<(), BackupError> {
    let DataDir::Path(_) = options.data_dir else { return Err(BackupError::Throwaway) };
    options.data_dir.require_store()?;
    refuse_full(to)?;
    let programs = Programs::find(options.pg_bin_dir.as_deref()).map_err(EmbeddedError::from)?;
    match Cluster::open(programs.clone(), &options.data_dir) {
        Err(EmbeddedError::Owned { folder }) => {
            let sockets = sockets_of_running(&folder).ok_or(BackupError::NotRunning { folder })?;
            copy_running(&programs, &sockets, to, bar).await?;
        }
        Err(error) => return Err(error.into()),
        Ok(cluster) => {
            // It may have gone before the folder was ours.
            if folder::major_of(&cluster.folder.cluster)?.is_none() {
                return Err(EmbeddedError::NoStore { folder: cluster.folder.path.clone() }.into());
            }
            let embedded = Embedded::start_cluster(Arc::new(cluster)).await?;
            let done = copy_running(&programs, &embedded.cluster().folder.sockets, to, bar).await;
            embedded.stop().await;
            done?;
        }
    }
    verify(programs, to, bar).await
}

/// Fills an empty store from the backup in `from`, and starts it: the caller looks whether the journal is whole.
pub async fn restore(options: EmbeddedOptions, from: &Path, bar: &ProgressBar) -> Result<Embedded, BackupError> {
    let DataDir::Path(_) = options.data_dir else { return Err(BackupError::Throwaway) };
    let programs = Programs::find(options.pg_bin_dir.as_deref()).map_err(EmbeddedError::from)?;
    let from = from.canonicalize().map_err(at(from))?;
    match folder::major_of(&from)? {
        None => return Err(ManifestError::Missing { folder: from }.into()),
        Some(found) if found != programs.major => {
            let major = programs.major;
            return Err(BackupError::OtherMajor { folder: from, found, programs: programs.bin, major });
        }
        Some(_) => {}
    }
    let cluster = Arc::new(Cluster::open(programs.clone(), &options.data_dir)?);
    if cluster.folder.cluster.exists() {
        return Err(BackupError::StoreNotEmpty { folder: cluster.folder.path.clone() });
    }
    verify(programs, &from, bar).await?;

    let fresh = cluster.fresh_folder()?;
    let (cluster_too, fresh_too, bar_too) = (Arc::clone(&cluster), fresh.clone(), bar.clone());
    blocking(move || copy_files(&cluster_too, &from, &fresh_too, &bar_too)).await?;
    // One pass by Postgres's own tool puts all files to disk before the folder gets its name. What fails up to there
    // leaves a folder that the next start clears away.
    cluster::run("initdb", cluster.command("initdb").arg("--sync-only").arg("--pgdata").arg(&fresh)).await?;
    cluster.put_in_place(&fresh)?;

    let place = cluster.folder.cluster.clone();
    let started = Embedded::start_cluster(cluster).await;
    if started.is_err() {
        // The backup is untouched; a half-good copy would only stand in the way of the next try.
        let _ = fs::remove_dir_all(&place);
    }
    Ok(started?)
}

/// Runs `pg_basebackup` as ourselves, so that the backup belongs to whoever asked for it.
async fn copy_running(programs: &Programs, sockets: &Path, to: &Path, bar: &ProgressBar) -> Result<(), BackupError> {
    let program = programs.path("pg_basebackup");
    let mut child = Command::new(&program)
        .args(["--checkpoint", "fast", "--wal-method", "stream", "--manifest-checksums", "SHA256", "--progress"])
        .arg("--dbname")
        .arg(cluster::url(sockets, ADMIN, "postgres"))
        .arg("--pgdata")
        .arg(to)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(at(&program))?;
    let stderr = child.stderr.take().expect("it was asked for");
    let said = follow(stderr, bar).await;
    if child.wait().await.map_err(at(&program))?.success() {
        return Ok(());
    }
    Err(EmbeddedError::Program { program: "pg_basebackup", said }.into())
}

/// Moves the bar by what `pg_basebackup` reports, and keeps whatever else it says.
async fn follow(mut stderr: impl AsyncRead + Unpin, bar: &ProgressBar) -> String {
    let mut said = String::new();
    let mut line = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let count = stderr.read(&mut chunk).await.unwrap_or(0);
        // At the end, an end of line completes what came without one.
        let bytes = if count == 0 { &b"\n"[..] } else { &chunk[..count] };
        for byte in bytes {
            if !matches!(byte, b'\r' | b'\n') {
                line.push(*byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            line.clear();
            if let Some((done, total)) = progress(&text) {
                bar.set_length(total * 1024);
                bar.set_position(done * 1024);
            } else if !text.is_empty() && said.len() < SAID_BYTES_MAX {
                said.push_str(&text);
                said.push('\n');
            }
        }
        if count == 0 {
            return said.trim_end().to_owned();
        }
    }
}

/// Reads `12345/67890 kB (18%), 0/1 tablespace`.
fn progress(line: &str) -> Option<(u64, u64)> {
    let (numbers, _) = line.split_once(" kB (")?;
    let (done, total) = numbers.split_once('/')?;
    Some((done.trim().parse().ok()?, total.trim().parse().ok()?))
}

async fn verify(programs: Programs, folder: &Path, bar: &ProgressBar) -> Result<(), BackupError> {
    let (folder, bar) = (folder.to_owned(), bar.clone());
    blocking(move || Ok(manifest::verify(&programs, &folder, &bar)?)).await
}

fn copy_files(cluster: &Cluster, from: &Path, to: &Path, bar: &ProgressBar) -> Result<(), BackupError> {
    let account = cluster.folder.account;
    bar.set_position(0);
    for (path, is_folder) in manifest::walk(from)? {
        let target = to.join(&path);
        if is_folder {
            account.private_folder(&target).map_err(at(&target))?;
        } else {
            let bytes = fs::copy(from.join(&path), &target).map_err(at(&target))?;
            account.own(&target).map_err(at(&target))?;
            bar.inc(bytes);
        }
    }
    Ok(())
}

fn refuse_full(folder: &Path) -> Result<(), BackupError> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BackupError::TargetNotEmpty { folder: folder.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at(folder)(error).into()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_bar_follows_pg_basebackup_and_its_other_words_are_kept() {
        let bar = ProgressBar::hidden();
        let said =
            follow(&b"  12/100 kB (12%), 0/1 tablespace\r 50/100 kB (50%), 0/1 tablespace\rerror: no\nspace"[..], &bar);

        assert_eq!(said.await, "error: no\nspace");
        assert_eq!((bar.position(), bar.length()), (50 * 1024, Some(100 * 1024)));
    }
}
