//! pgbench, which comes with Postgres: what the database alone does with a statement.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use super::{
    sample::{Calls, Sample},
    stand::Stand,
};

/// Threads that serve the clients.
const THREADS_MAX: usize = 2;

/// Runs a script over prepared statements with so many clients for about so long, in whole seconds.
pub async fn run(stand: &Stand, script: &str, clients: usize, time: Duration) -> anyhow::Result<Sample> {
    let folder = tempfile_folder()?;
    let measured = in_folder(stand, script, clients, time, &folder).await;
    let _ = fs::remove_dir_all(&folder); // it lies among the temporary files
    measured
}

fn tempfile_folder() -> anyhow::Result<std::path::PathBuf> {
    let folder = std::env::temp_dir().join(format!("binnacle-pgbench-{}", uuid::Uuid::new_v4().simple()));
    fs::create_dir(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder)
}

async fn in_folder(
    stand: &Stand,
    script: &str,
    clients: usize,
    time: Duration,
    folder: &Path,
) -> anyhow::Result<Sample> {
    let file = folder.join("script.sql");
    fs::write(&file, script)?;
    let program = stand.programs.path("pgbench");
    let seconds = time.as_secs().max(1);
    let mut command = Command::new(&program);
    command.current_dir(folder);
    command.args(["--no-vacuum", "--protocol", "prepared", "--log", "--log-prefix", "calls"]);
    command.args(["--client", &clients.to_string(), "--jobs", &clients.min(THREADS_MAX).to_string()]);
    command.args(["--time", &seconds.to_string()]).arg("--file").arg(&file);
    command.args(["--host", &stand.sockets()?, "--username", "binnacle_owner", "binnacle"]);
    let ended = command.output().await.with_context(|| format!("cannot run `{}`", program.display()))?;
    let said = String::from_utf8_lossy(&ended.stdout);
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse::<f64>().ok());
    let (true, Some(rate)) = (ended.status.success(), rate) else {
        bail!("pgbench failed: {said}{}", String::from_utf8_lossy(&ended.stderr));
    };
    let calls = calls(folder)?;
    Ok(Sample::new(calls.len(), Duration::from_secs_f64(calls.len() as f64 / rate), calls))
}

/// The times that pgbench wrote down, one file for each of its threads.
fn calls(folder: &Path) -> anyhow::Result<Calls> {
    let mut calls = Calls::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with("calls.") {
            continue;
        }
        for line in fs::read_to_string(entry.path())?.lines() {
            // Client, number, and microseconds.
            let micros = line.split(' ').nth(2).and_then(|field| field.parse().ok());
            calls.took(Duration::from_micros(micros.with_context(|| format!("pgbench wrote `{line}`"))?));
        }
    }
    Ok(calls)
}
