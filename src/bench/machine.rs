//! What the figures were measured on.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
    time::Instant,
};

use anyhow::{Context as _, bail};
use nix::sys::statfs::statfs;
use serde::Serialize;

use super::sample::Calls;

/// The size of a page of Postgres.
const PAGE: usize = 8192;
const SYNCS: usize = 500;

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: Option<String>,
    pub memory_mib: Option<u64>,
    /// How many processes wanted a core in the last minute, before anything was measured.
    pub load: Option<f64>,
    pub sync: Sync,
}

/// How long it takes to write a page and have it on disk, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sync {
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

impl Machine {
    /// Looks at the machine, and at the disk below `folder`.
    pub fn look(folder: &Path) -> anyhow::Result<Machine> {
        let line = |file: &str, key: &str| {
            let text = fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        Ok(Machine {
            cores: std::thread::available_parallelism()?.get(),
            processor: line("/proc/cpuinfo", "model name"),
            memory_mib: line("/proc/meminfo", "MemTotal")
                .and_then(|text| Some(text.strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)),
            load: fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split(' ').next()?.parse().ok()),
            sync: Sync::measure(folder)?,
        })
    }
}

impl Sync {
    fn measure(folder: &Path) -> anyhow::Result<Sync> {
        on_disk(folder)?;
        let file = folder.join(format!("sync-{}", uuid::Uuid::new_v4().simple()));
        let measured = syncs(&file).with_context(|| format!("cannot write to `{}`", file.display()));
        let _ = fs::remove_file(&file);
        let calls = measured?;
        Ok(Sync { p50_ms: calls.percentile(50.0), p95_ms: calls.percentile(95.0), p99_ms: calls.percentile(99.0) })
    }
}

/// Refuses a file system in memory, where nothing is ever on disk and every figure of an append would be a lie.
fn on_disk(folder: &Path) -> anyhow::Result<()> {
    let found = statfs(folder).with_context(|| format!("cannot look at `{}`", folder.display()))?;
    #[cfg(target_os = "linux")]
    if matches!(found.filesystem_type(), nix::sys::statfs::TMPFS_MAGIC) {
        bail!("`{}` lies in memory, where nothing is kept: name a folder on a disk with `--folder`", folder.display());
    }
    let _ = found;
    Ok(())
}

fn syncs(path: &Path) -> std::io::Result<Calls> {
    let mut file = File::create_new(path)?;
    file.write_all(&[0; PAGE])?;
    file.sync_all()?;
    let mut calls = Calls::new();
    for turn in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&[turn as u8; PAGE], 0)?;
        file.sync_data()?;
        calls.took(begun.elapsed());
    }
    Ok(calls)
}
