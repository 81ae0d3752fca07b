//! One Postgres cluster on disk and the process that serves it: initialise, launch, wait until it answers, stop.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::str::FromStr;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::embedded::EmbeddedError;
use super::find::Programs;
use super::folder::{self, DataDir, Folder, at};
use super::guard::Guard;

pub const DATABASE: &str = "binnacle";
/// Owns the tables: migrates and rebuilds.
pub const OWNER: &str = "binnacle_owner";
/// Serves: reads, and writes by functions and into projections.
pub const SERVICE: &str = "binnacle_service";
/// The superuser, for start-up, backups and tests only.
pub const ADMIN: &str = "binnacle_admin";

const FRESH: &str = "postgres.new-";
/// A socket's name carries a port, though none is opened.
const PORT: u16 = 5432;
const POLL: Duration = Duration::from_millis(20);
const READY_WAIT: Duration = Duration::from_secs(60);
/// After a crash Postgres first replays its log, which takes as long as the log is.
const RECOVERY_WAIT: Duration = Duration::from_secs(30 * 60);
/// How long the children of a killed Postgres may still hold the cluster.
const LEFTOVERS_WAIT: Duration = Duration::from_secs(60);
/// A stop writes what memory holds to disk; cut short, the next start replays the log instead, and nothing is lost.
const STOP_WAIT: Duration = Duration::from_secs(60);
const QUIT_WAIT: Duration = Duration::from_secs(10);

/// Written into `postgresql.conf` of a new cluster, where an operator may change them.
///
/// Nothing here touches `fsync`, `full_page_writes` or `synchronous_commit`: an acknowledged event is on disk.
const SETTINGS: &[&str] = &[
    "shared_buffers=256MB",
    "max_connections=100",
    "max_wal_size=2GB",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
    "log_line_prefix=%m [%p] %q%u@%d ",
    "cluster_name=binnacle",
];

/// In force whatever the cluster's files say, since Binnacle relies on them: no port, and a log that we can read.
const FIXED: &[&str] =
    &["listen_addresses=", "logging_collector=off", "log_destination=stderr", "unix_socket_permissions=0700"];

/// Who may come into the socket folder may be anyone in the database: the folder's mode is the guard.
const HBA: &str = "local all all trust\nlocal replication binnacle_admin trust\n";

#[derive(Debug)]
pub struct Cluster {
    pub programs: Programs,
    pub folder: Folder,
}

impl Cluster {
    /// Takes the folder, and refuses one that another major version wrote.
    pub fn open(programs: Programs, data_dir: &DataDir) -> Result<Cluster, EmbeddedError> {
        let folder = Folder::open(data_dir)?;
        match folder::major_of(&folder.cluster)? {
            Some(found) if found != programs.major => Err(EmbeddedError::OtherMajor {
                folder: folder.path.clone(),
                found,
                programs: programs.bin,
                major: programs.major,
            }),
            _ => Ok(Cluster { programs, folder }),
        }
    }

    /// The address of a database of this cluster, as `psql` and sqlx both read it.
    pub fn url(&self, role: &str, database: &str) -> String {
        url(&self.folder.sockets, role, database)
    }

    /// Runs `initdb` if no cluster is there. It is made beside and moved into place, so that none is ever half made.
    pub async fn init(&self) -> Result<(), EmbeddedError> {
        if folder::major_of(&self.folder.cluster)?.is_some() {
            return Ok(());
        }
        let account = self.folder.account;
        let fresh = self.fresh_folder()?;
        let mut command = self.command("initdb");
        command.arg("--pgdata").arg(&fresh).args(["--username", ADMIN, "--auth", "trust", "--encoding", "UTF8"]);
        command.args(["--lc-messages", "C", "--data-checksums"]);
        let locale: &[_] = if cfg!(target_os = "macos") {
            &["--locale", "C", "--lc-ctype", "UTF-8"]
        } else {
            &["--locale", "C.UTF-8"]
        };
        command.args(locale);
        if self.programs.major >= 17 {
            // Postgres's own C.UTF-8 stays the same when the operating system changes; an index never goes stale.
            command.args(["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]);
        }
        if self.folder.throwaway {
            command.arg("--no-sync");
        }
        for setting in SETTINGS {
            command.args(["--set", setting]);
        }
        run("initdb", &mut command).await?;

        let hba = fresh.join("pg_hba.conf");
        fs::write(&hba, HBA).map_err(at(&hba))?;
        account.own(&hba).map_err(at(&hba))?;
        self.put_in_place(&fresh)
    }

    /// An empty folder beside the cluster's place, to fill and to move there.
    ///
    /// Its name is new each time: an `initdb` that outlived a killed Binnacle may still be writing into the last one.
    pub fn fresh_folder(&self) -> Result<PathBuf, EmbeddedError> {
        let folder = &self.folder.path;
        for entry in fs::read_dir(folder).map_err(at(folder))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(FRESH) {
                let _ = fs::remove_dir_all(entry.path()); // what an interrupted start left; if it stays, no harm is done
            }
        }
        let fresh = folder.join(format!("{FRESH}{}", uuid::Uuid::new_v4().simple()));
        self.folder.account.private_folder(&fresh).map_err(at(&fresh))?;
        Ok(fresh)
    }

    pub fn put_in_place(&self, fresh: &Path) -> Result<(), EmbeddedError> {
        fs::rename(fresh, &self.folder.cluster).map_err(at(&self.folder.cluster))?;
        // The rename itself must survive a power cut, or the next start would make a second, empty cluster.
        fs::File::open(&self.folder.path).and_then(|folder| folder.sync_all()).map_err(at(&self.folder.path))
    }

    /// Starts Postgres and waits until it answers. What an earlier Binnacle left running is stopped first.
    pub async fn launch(&self, guard: &mut Guard) -> Result<Postmaster, EmbeddedError> {
        let deadline = Instant::now() + LEFTOVERS_WAIT;
        loop {
            self.stop_leftover().await?;
            let (mut postmaster, log_begin) = self.spawn()?;
            guard.watch(postmaster.pid);
            match self.wait_ready(&mut postmaster, log_begin).await {
                // The children of a killed Postgres go by themselves, a little later than it.
                Err(EmbeddedError::Start { tail, .. }) if lingers(&tail) && Instant::now() < deadline => {
                    sleep(POLL * 5).await;
                }
                Err(error) => {
                    postmaster.stop(true).await;
                    return Err(error);
                }
                Ok(()) => return Ok(postmaster),
            }
        }
    }

    /// Stops a Postgres that still serves this cluster, though we, its owner, did not start it.
    pub async fn stop_leftover(&self) -> Result<(), EmbeddedError> {
        let Some(pid) = pid_in_file(&self.folder.cluster).filter(|pid| alive(*pid)) else {
            return Ok(());
        };
        if !serves(pid, &self.folder.cluster) {
            // The number now belongs to another process, and Postgres would take that for itself.
            let path = self.folder.cluster.join("postmaster.pid");
            tracing::info!("removing a stale `{}`", path.display());
            return match fs::remove_file(&path) {
                // It was its own after all, and took the file along when it went.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.map_err(at(&path)),
            };
        }
        tracing::warn!("stopping the postgres (process {pid}) that an earlier binnacle left running");
        for (signal, wait) in [(Signal::SIGINT, STOP_WAIT), (Signal::SIGQUIT, QUIT_WAIT), (Signal::SIGKILL, QUIT_WAIT)]
        {
            let _ = kill(pid, signal);
            let deadline = Instant::now() + wait;
            while Instant::now() < deadline {
                if pid_in_file(&self.folder.cluster) != Some(pid) || !alive(pid) || !serves(pid, &self.folder.cluster) {
                    return Ok(());
                }
                sleep(POLL).await;
            }
        }
        Err(EmbeddedError::Leftover { pid: pid.as_raw() })
    }

    fn spawn(&self) -> Result<(Postmaster, u64), EmbeddedError> {
        self.folder.make_sockets()?;
        let (log, log_begin) = self.folder.open_log()?;
        let log_too = log.try_clone().map_err(at(&self.folder.log()))?;
        let mut command = self.folder.account.command(&self.programs.path("postgres"));
        command.arg("-D").arg(&self.folder.cluster).arg("-k").arg(&self.folder.sockets);
        command.args(["-p", &PORT.to_string()]);
        for setting in FIXED {
            command.args(["-c", setting]);
        }
        // A process group of its own: Ctrl-C at the terminal must not stop Postgres before Binnacle has drained.
        command.stdin(Stdio::null()).stdout(log).stderr(log_too).process_group(0);
        let child = Command::from(command).spawn().map_err(at(&self.programs.path("postgres")))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).expect("a child not yet waited for has a number");
        Ok((Postmaster { child, pid: Pid::from_raw(pid) }, log_begin))
    }

    async fn wait_ready(&self, postmaster: &mut Postmaster, log_begin: u64) -> Result<(), EmbeddedError> {
        let begin = Instant::now();
        let mut wait = READY_WAIT;
        loop {
            if let Some(status) = postmaster.child.try_wait().map_err(at(&self.folder.cluster))? {
                return Err(self.start_error(format!("it ended with {status}"), log_begin));
            }
            match timeout(READY_WAIT, connect(&self.url(ADMIN, "postgres"))).await {
                Ok(Ok(connection)) => {
                    let _ = connection.close().await;
                    return Ok(());
                }
                Ok(Err(error)) if starting_up(&error) => wait = RECOVERY_WAIT,
                // No socket yet.
                Ok(Err(sqlx::Error::Io(_))) | Err(_) => {}
                Ok(Err(error)) => return Err(EmbeddedError::Database(error)),
            }
            if begin.elapsed() > wait {
                return Err(self.start_error(format!("it did not answer within {} s", wait.as_secs()), log_begin));
            }
            sleep(POLL).await;
        }
    }

    fn start_error(&self, why: String, log_begin: u64) -> EmbeddedError {
        EmbeddedError::Start { why, log: self.folder.log(), tail: self.folder.log_tail(log_begin) }
    }

    /// A helper program of this Postgres, run as its account.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::from(self.folder.account.command(&self.programs.path(program)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// A running Postgres: the first of its processes, which all others follow.
#[derive(Debug)]
pub struct Postmaster {
    child: Child,
    pub pid: Pid,
}

impl Postmaster {
    pub async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it in good order; `now` leaves the tidying to the next start. In the end it is gone in any case.
    pub async fn stop(&mut self, now: bool) {
        let fast = (Signal::SIGINT, STOP_WAIT);
        let quit = (Signal::SIGQUIT, QUIT_WAIT);
        for (signal, wait) in if now { vec![quit] } else { vec![fast, quit] } {
            if self.child.id().is_none() {
                return;
            }
            let _ = kill(self.pid, signal);
            if timeout(wait, self.child.wait()).await.is_ok() {
                return;
            }
            tracing::warn!("the embedded postgres did not stop within {} s of {signal}", wait.as_secs());
        }
        let _ = self.child.kill().await;
    }
}

/// The address of a database behind the socket folder `sockets`.
pub fn url(sockets: &Path, role: &str, database: &str) -> String {
    format!("postgres:///{database}?host={}&port={PORT}&user={role}&sslmode=disable", sockets.display())
}

pub async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::from_str(url)?.application_name("binnacle start-up").connect().await
}

/// Runs a helper program to its end; what it said comes with the error.
pub async fn run(program: &'static str, command: &mut Command) -> Result<String, EmbeddedError> {
    let output = command.output().await.map_err(at(Path::new(program)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(EmbeddedError::Program { program, said })
}

/// The number that the cluster's pid file names.
pub fn pid_in_file(cluster: &Path) -> Option<Pid> {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    (pid > 1).then(|| Pid::from_raw(pid))
}

fn alive(pid: Pid) -> bool {
    matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

/// Whether the process `pid` is a Postgres on `cluster`, judged by its command line, which every user may read.
pub fn serves(pid: Pid, cluster: &Path) -> bool {
    let line = if cfg!(target_os = "linux") {
        fs::read(format!("/proc/{pid}/cmdline")).map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
    } else {
        let listed = std::process::Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output();
        listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let cluster = cluster.to_string_lossy();
    line.is_ok_and(|line| line.contains("postgres") && line.contains(&*cluster))
}

/// Whether Postgres refused to start since processes of its predecessor still hold the cluster.
fn lingers(log: &str) -> bool {
    log.contains("pre-existing shared memory block") || log.contains("lock file \"postmaster.pid\" already exists")
}

fn starting_up(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("57P03"))
}
