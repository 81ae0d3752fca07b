//! A `binnacle serve` or `binnacle relay` of a world: a process that is started, killed, frozen and started again, and its address at the moment.

use std::{
    fs::{self, OpenOptions},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::http::Address;

const POLL: Duration = Duration::from_millis(10);
/// How long a server may take to end in good order.
pub const STOP_WAIT: Duration = Duration::from_secs(60);

/// What a server is started with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub arguments: Vec<String>,
    pub variables: Vec<(&'static str, String)>,
}

pub struct Server {
    command: &'static str,
    folder: PathBuf,
    log: PathBuf,
    pub settings: Settings,
    address: watch::Sender<Option<SocketAddr>>,
    child: Option<Child>,
    telling: Option<JoinHandle<()>>,
}

impl Server {
    pub fn new(folder: PathBuf, number: usize, settings: Settings) -> Server {
        let log = folder.join(format!("server-{number}.log"));
        let address = watch::Sender::new(None);
        Server { command: "serve", folder, log, settings, address, child: None, telling: None }
    }

    pub fn relay(folder: PathBuf, arguments: Vec<String>) -> Server {
        let log = folder.join("relay.log");
        let (settings, address) = (Settings { arguments, variables: Vec::new() }, watch::Sender::new(None));
        Server { command: "relay", folder, log, settings, address, child: None, telling: None }
    }

    pub fn address(&self) -> Address {
        self.address.subscribe()
    }

    /// Starts the process. Its address is told once it listens.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().append(true).create(true).open(&self.log)?;
        let begin = log.metadata()?.len();
        let mut command = command(&self.folder);
        command.arg(self.command).args(&self.settings.arguments);
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
        command.envs(self.settings.variables.iter().map(|(name, value)| (name, value)));
        self.child = Some(command.stdout(Stdio::null()).stderr(log).process_group(0).spawn()?);
        self.forget();
        self.telling = Some(tokio::spawn(tell(self.log.clone(), begin, self.address.clone())));
        Ok(())
    }

    /// Waits until it listens, or has ended.
    pub async fn listening(&mut self, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        while self.address.borrow().is_none() {
            ensure!(self.alive()?, "a server has ended before it listened; its log is `{}`", self.log.display());
            ensure!(Instant::now() < deadline, "a server does not listen; its log is `{}`", self.log.display());
            sleep(POLL).await;
        }
        Ok(())
    }

    pub fn alive(&mut self) -> anyhow::Result<bool> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?.is_none(),
            None => false,
        })
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            child.kill()?;
            child.wait()?;
        }
        self.forget();
        Ok(())
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("the server is not running")?;
        Ok(kill(Pid::from_raw(child.id() as i32), signal)?)
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + STOP_WAIT;
        let child = self.child.as_mut().context("the server is not running")?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "a server does not end on SIGTERM; its log is `{}`", self.log.display());
            sleep(POLL).await;
        };
        self.forget();
        Ok(status)
    }

    /// It is nowhere from now on.
    fn forget(&mut self) {
        if let Some(telling) = self.telling.take() {
            telling.abort();
        }
        self.address.send_replace(None);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill(); // the guard of the world does so too
    }
}

/// A command of the real binary, away from any file of settings and any model that lies about.
pub fn command(folder: &PathBuf) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_binnacle"));
    command.current_dir(folder).stdin(Stdio::null()).env("BINNACLE_EMBEDDER", "none");
    // Nobody withdraws endpoints here.
    command.env("BINNACLE_WITHDRAWAL_WAIT", "0s");
    command.env_remove("FAILPOINTS");
    command
}

/// Waits for the line of the log that names the address.
async fn tell(log: PathBuf, begin: u64, address: watch::Sender<Option<SocketAddr>>) {
    loop {
        let text = fs::read(&log).unwrap_or_default();
        let new = text.get(begin as usize..).unwrap_or_default();
        for line in new.split(|byte| *byte == b'\n') {
            let told: Value = serde_json::from_slice(line).unwrap_or_default();
            let told = told["fields"]["http.address"].as_str().or(told["http.address"].as_str());
            if let Some(found) = told.and_then(|told| told.trim_start_matches("http://").parse().ok()) {
                address.send_replace(Some(found));
                return;
            }
        }
        sleep(POLL).await;
    }
}
