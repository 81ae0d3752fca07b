//! What is measured: a throw-away store on its own Postgres, and a server of this very binary beside us, as users run it.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};

use super::usage::{self, Processor};
use crate::{
    audit::Position,
    journal::read,
    postgres::{self, DataDir, Embedded, EmbeddedOptions, Programs},
    projection,
};

const READY_WAIT: Duration = Duration::from_secs(60);
/// How long projections that have to catch up may stand still.
const STALL_WAIT: Duration = Duration::from_secs(120);
const SETTLE_POLL: Duration = Duration::from_millis(20);
const STOP_WAIT: Duration = Duration::from_secs(60);

/// A store, and the server on it.
pub struct Stand {
    embedded: Embedded,
    pub programs: Programs,
    /// The tables' owner, for references and for what a scenario makes up.
    pub owner: PgPool,
    postmaster: u32,
    program: PathBuf,
    arguments: Vec<String>,
    served: Mutex<Option<Served>>,
    /// Processor time of the servers that were stopped.
    gone_seconds: Mutex<f64>,
}

impl Stand {
    /// Starts a store below `folder` and a server on it, `program`, with more `arguments`.
    pub async fn start(
        folder: &Path,
        pg_bin_dir: Option<PathBuf>,
        program: PathBuf,
        arguments: &[&str],
    ) -> anyhow::Result<Stand> {
        let programs = Programs::find(pg_bin_dir.as_deref())?;
        let data_dir = DataDir::ThrowawayIn(folder.to_path_buf());
        let embedded = Embedded::start(EmbeddedOptions { data_dir, pg_bin_dir }).await?;
        let (owner, postmaster) = Stand::prepare(&embedded).await?;
        let arguments = arguments.iter().map(|argument| argument.to_string()).collect();
        let (served, gone_seconds) = (Mutex::new(None), Mutex::new(0.0));
        let stand = Stand { embedded, programs, owner, postmaster, program, arguments, served, gone_seconds };
        stand.serve().await?;
        Ok(stand)
    }

    async fn prepare(embedded: &Embedded) -> anyhow::Result<(PgPool, u32)> {
        let (owner, service) = (embedded.owner_url().parse()?, embedded.service_url().parse()?);
        postgres::prepare(&owner, &service).await?;
        let pool = PgPoolOptions::new().max_connections(4).connect_with(owner).await?;
        let file = embedded.data_dir().join("postgres").join("postmaster.pid");
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let postmaster = text.lines().next().and_then(|line| line.trim().parse().ok());
        let postmaster = postmaster.with_context(|| format!("`{}` names no process", file.display()))?;
        durable(&embedded.service_url()).await?;
        Ok((pool, postmaster))
    }

    /// Starts the server, at an address of its own.
    pub async fn serve(&self) -> anyhow::Result<()> {
        let mut command = self.command("serve");
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json", "--withdrawal-wait", "0s"]);
        let served = Served::start(command.args(&self.arguments)).await?;
        *self.served() = Some(served);
        Ok(())
    }

    /// Stops the server; the store stays.
    pub async fn stop_serving(&self) -> anyhow::Result<()> {
        let served = self.served().take();
        let Some(mut served) = served else { return Ok(()) };
        *lock(&self.gone_seconds) += usage::alone(served.child.id()).unwrap_or_default();
        served.stop().await
    }

    /// A command of the program that is measured, on this store.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        // None of the settings of whoever measures, but for where fetched files lie.
        for (name, _) in env::vars_os().filter(|(name, _)| {
            name.to_str().is_some_and(|name| name.starts_with("BINNACLE_") && name != "BINNACLE_CACHE_DIR")
        }) {
            command.env_remove(name);
        }
        command.current_dir("/").arg(name);
        command.args(["--database-url", &self.service_url(), "--owner-url", &self.owner_url()]);
        command
    }

    fn served(&self) -> MutexGuard<'_, Option<Served>> {
        lock(&self.served)
    }

    fn pid(&self) -> Option<u32> {
        self.served().as_ref().map(|served| served.child.id())
    }

    /// `127.0.0.1:` and the port.
    pub fn address(&self) -> String {
        self.served().as_ref().map(|served| served.address.clone()).unwrap_or_default()
    }

    pub fn service_url(&self) -> String {
        self.embedded.service_url()
    }

    pub fn owner_url(&self) -> String {
        self.embedded.owner_url()
    }

    /// The folder of Postgres's socket, for its own programs.
    pub fn sockets(&self) -> anyhow::Result<String> {
        let owner: sqlx::postgres::PgConnectOptions = self.owner_url().parse()?;
        let socket = owner.get_socket().context("the embedded postgres has a socket")?;
        Ok(socket.display().to_string())
    }

    /// Waits until nothing is left to do for what was appended, and has it all on disk: nobody's turn begins with the work
    /// of another's.
    pub async fn settle(&self) -> anyhow::Result<()> {
        self.caught_up().await?;
        let mut admin = PgConnection::connect(&self.embedded.admin_url("binnacle")).await?;
        sqlx::raw_sql("CHECKPOINT").execute(&mut admin).await?;
        Ok(admin.close().await?)
    }

    /// Waits until every projection has caught up.
    pub async fn caught_up(&self) -> anyhow::Result<()> {
        let head = read::head(&self.owner).await?.last;
        let (mut reached, mut moved) = (Vec::new(), Instant::now());
        loop {
            let states = projection::states(&self.owner).await?;
            let positions: Vec<Position> = states.iter().map(|state| state.position).collect();
            if positions.iter().all(|position| *position >= head) {
                return Ok(());
            }
            if positions != reached {
                (reached, moved) = (positions, Instant::now());
            }
            if moved.elapsed() > STALL_WAIT {
                bail!("the projections stand still, since {} s", STALL_WAIT.as_secs());
            }
            tokio::time::sleep(SETTLE_POLL).await;
        }
    }

    /// What the server and Postgres have used until now; nothing where it cannot be known.
    pub fn processor(&self) -> Option<Processor> {
        let server = *lock(&self.gone_seconds) + usage::alone(self.pid()?)?;
        Some(Processor { server, postgres: usage::with_children(self.postmaster)? })
    }

    pub fn forget_peak(&self) {
        if let Some(server) = self.pid() {
            usage::forget_peak(server);
        }
    }

    /// Most memory that the server has had since `forget_peak`.
    pub fn peak_bytes(&self) -> Option<u64> {
        usage::peak_bytes(self.pid()?)
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        let stopped = self.stop_serving().await;
        self.owner.close().await;
        self.embedded.stop().await;
        stopped
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses to measure a Postgres that acknowledges what it may lose.
async fn durable(url: &str) -> anyhow::Result<()> {
    let mut db = PgConnection::connect(url).await?;
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&mut db).await?;
        if value != "on" {
            bail!("`{setting}` is {value}: figures of a store that may lose what it acknowledges are worth nothing");
        }
    }
    Ok(db.close().await?)
}

/// `binnacle serve` in a process of its own. Dropped, it is killed.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    async fn start(command: &mut Command) -> anyhow::Result<Served> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let errors = child.stderr.take().context("the server's messages are piped")?;
        let mut served = Served { child, address: String::new() };
        let address = tokio::task::spawn_blocking(move || listening(errors)).await??;
        served.address = address.strip_prefix("http://").unwrap_or(&address).to_string();
        Ok(served)
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let begun = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the server ended badly: {status}"),
                None if begun.elapsed() > STOP_WAIT => {
                    bail!("the server has not stopped within {} s", STOP_WAIT.as_secs())
                }
                None => tokio::time::sleep(SETTLE_POLL).await,
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

/// The address that the server says it listens on. What it says afterwards is read and dropped.
fn listening(errors: ChildStderr) -> anyhow::Result<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            let _ = tell.send(line); // nobody listens once the address is known
        }
    });
    let (begun, mut said) = (Instant::now(), Vec::new());
    while let Ok(line) = told.recv_timeout(READY_WAIT.saturating_sub(begun.elapsed())) {
        let address =
            serde_json::from_str(&line).ok().and_then(|line: Value| Some(line["http.address"].as_str()?.to_string()));
        match address {
            Some(address) => return Ok(address),
            None => said.push(line),
        }
    }
    Err(anyhow!("the server did not start; it said:\n{}", said.join("\n")))
}
