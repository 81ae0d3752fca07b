//! The Postgres of a world: made from a template, started, and ended in all the ways that it must survive.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use binnacle::postgres::{Programs, prepare};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::sleep;

use super::run;

pub const ADMIN: &str = "chaos_admin";
pub const OWNER: &str = "binnacle_owner";
pub const SERVICE: &str = "binnacle_service";
pub const DATABASE: &str = "binnacle";

/// After a crash Postgres replays its log first.
const START_WAIT: Duration = Duration::from_secs(60);
const STOP_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Nothing here touches `fsync`, `full_page_writes` or `synchronous_commit`: what is acknowledged is on disk.
const SETTINGS: &[&str] = &[
    "shared_buffers=64MB",
    "max_connections=80",
    "max_wal_size=1GB",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
    "log_line_prefix=%m [%p] %q%u@%d ",
];

/// Whom Postgres runs as, which must not be root.
#[derive(Clone, Copy, Debug)]
pub struct Account(Option<(u32, u32)>);

impl Account {
    fn find() -> anyhow::Result<Account> {
        if !Uid::effective().is_root() {
            return Ok(Account(None));
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Account(Some((user.uid.as_raw(), user.gid.as_raw()))));
            }
        }
        anyhow::bail!("postgres refuses to run as root, and there is no user `postgres` or `nobody`");
    }

    /// A command that runs as this account in a folder of its world.
    fn command(self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir(folder).stdin(Stdio::null());
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
        command
    }

    pub fn own(self, path: &Path) -> io::Result<()> {
        self.0.map_or(Ok(()), |(uid, gid)| chown(path, Some(uid), Some(gid)))
    }
}

/// One Postgres in the folder of a world.
pub struct Postgres {
    programs: Programs,
    pub account: Account,
    folder: PathBuf,
    settings: Vec<&'static str>,
    child: Option<Child>,
}

impl Postgres {
    /// A migrated, empty store that is not running, for worlds to copy.
    pub async fn template(folder: &Path) -> anyhow::Result<Postgres> {
        let mut postgres = Postgres::in_folder(folder, Vec::new())?;
        postgres.init()?;
        postgres.start().await?;
        postgres.fill().await.context("cannot prepare the store")?;
        postgres.stop().await?;
        Ok(postgres)
    }

    /// A copy of `template` in the folder of a world; its data or its log may lie on file systems of their own by then.
    pub fn copy(template: &Postgres, folder: &Path, settings: Vec<&'static str>) -> anyhow::Result<Postgres> {
        let postgres = Postgres::in_folder(folder, settings)?;
        let copy = |from: &Path, to: &Path| -> anyhow::Result<()> {
            run(Command::new("cp").args(["--archive", "--no-target-directory"]).arg(from).arg(to))
        };
        copy(&template.data(), &postgres.data())?;
        let wal = postgres.data().join("pg_wal");
        copy(&wal, &postgres.wal())?;
        fs::remove_dir_all(&wal)?;
        std::os::unix::fs::symlink(postgres.wal(), &wal)?;
        Ok(postgres)
    }

    fn in_folder(folder: &Path, settings: Vec<&'static str>) -> anyhow::Result<Postgres> {
        let account = Account::find()?;
        let sockets = folder.join("sockets");
        fs::create_dir(&sockets)?;
        account.own(&sockets)?;
        let programs = Programs::find(None)?;
        Ok(Postgres { programs, account, folder: folder.to_owned(), settings, child: None })
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn wal(&self) -> PathBuf {
        self.folder.join("wal")
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("sockets/.s.PGSQL.5432")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    pub fn program(&self, name: &str) -> Command {
        self.account.command(&self.programs.path(name), &self.folder)
    }

    pub fn url(&self, role: &str, database: &str) -> String {
        url_of_sockets(&self.folder.join("sockets"), role, database)
    }

    pub async fn admin(&self) -> anyhow::Result<PgConnection> {
        self.connect(ADMIN).await
    }

    pub async fn connect(&self, role: &str) -> anyhow::Result<PgConnection> {
        Ok(PgConnectOptions::from_str(&self.url(role, DATABASE))?.application_name("chaos").connect().await?)
    }

    /// Starts Postgres unless it runs, and waits until it answers.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_WAIT;
        loop {
            // The children of a killed Postgres go a little later than it, and until then another does not start.
            if !self.running()? {
                self.spawn()?;
            }
            if let Ok(connection) = PgConnectOptions::from_str(&self.url(ADMIN, "postgres"))?.connect().await {
                connection.close().await?;
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "postgres does not answer; its log is `{}`", self.log().display());
            sleep(POLL).await;
        }
    }

    pub fn running(&mut self) -> io::Result<bool> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?.is_none(),
            None => false,
        })
    }

    /// Ends it in good order.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::SIGINT).await
    }

    /// Ends it at once; the next start replays the log.
    pub async fn stop_immediately(&mut self) -> anyhow::Result<()> {
        self.end(Signal::SIGQUIT).await
    }

    /// Kills the first of its processes, as the kernel does when memory is short.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }

    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(|child| Pid::from_raw(child.id() as i32))
    }

    async fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        if !self.running()? {
            return Ok(());
        }
        let Some(pid) = self.pid() else { return Ok(()) };
        kill(pid, signal)?;
        let deadline = Instant::now() + STOP_WAIT;
        while self.running()? {
            ensure!(Instant::now() < deadline, "postgres does not stop on {signal}");
            sleep(POLL).await;
        }
        Ok(())
    }

    fn init(&self) -> anyhow::Result<()> {
        let data = self.data();
        fs::create_dir(&data)?;
        self.account.own(&data)?;
        let mut initdb = self.program("initdb");
        initdb.arg("--pgdata").arg(&data).args(["--username", ADMIN, "--auth", "trust", "--encoding", "UTF8"]);
        initdb.args(["--locale", "C.UTF-8", "--data-checksums", "--no-sync"]);
        for setting in SETTINGS {
            initdb.args(["--set", setting]);
        }
        run(&mut initdb)
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().append(true).create(true).open(self.log())?;
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.join("sockets"));
        command.args(["-p", "5432", "-c", "listen_addresses=", "-c", "logging_collector=off"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let errors: File = log.try_clone()?;
        self.child = Some(command.stdout(log).stderr(errors).process_group(0).spawn()?);
        Ok(())
    }

    async fn fill(&self) -> anyhow::Result<()> {
        let mut admin = PgConnectOptions::from_str(&self.url(ADMIN, "postgres"))?.connect().await?;
        for statement in [
            "CREATE ROLE binnacle_owner LOGIN",
            "CREATE ROLE binnacle_service LOGIN",
            "CREATE DATABASE binnacle OWNER binnacle_owner",
        ] {
            sqlx::raw_sql(statement).execute(&mut admin).await?;
        }
        admin.close().await?;
        let mut admin = self.admin().await?;
        sqlx::raw_sql("CREATE EXTENSION vector").execute(&mut admin).await?;
        admin.close().await?;
        let options = |role| PgConnectOptions::from_str(&self.url(role, DATABASE));
        prepare(&options(OWNER)?, &options(SERVICE)?).await?;
        Ok(())
    }
}

/// The address of a database behind a folder of sockets.
pub fn url_of_sockets(sockets: &Path, role: &str, database: &str) -> String {
    format!("postgres:///{database}?host={}&port=5432&user={role}&sslmode=disable", sockets.display())
}
