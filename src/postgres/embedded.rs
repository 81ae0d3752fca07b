//! The embedded Postgres: started with Binnacle, watched while it runs, stopped with Binnacle.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::cluster::{self, ADMIN, Cluster, DATABASE, OWNER, Postmaster, SERVICE};
use super::find::{FindError, Programs};
use super::folder::{DataDir, at};
use super::guard::Guard;

/// How often in a row Postgres is started again before we give up.
const RESTARTS_MAX: u32 = 5;
/// After this long a new end of Postgres is a new story.
const STEADY_AFTER: Duration = Duration::from_secs(60);
const RESTART_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(
        "another binnacle uses the data folder `{}`: stop it, or name another folder with `--data-dir`", .folder.display()
    )]
    Owned { folder: PathBuf },
    #[error(
        "there is no store in `{}`: name the folder of one with `--data-dir`; `binnacle serve` makes a new store",
        .folder.display()
    )]
    NoStore { folder: PathBuf },
    #[error(
        "the data folder `{}` was written by postgres {found}, and the programs in `{}` are postgres {major}: name a \
         folder of postgres {found} programs with `--pg-bin-dir`, or move the data over with `pg_upgrade`, or name \
         another folder with `--data-dir`", .folder.display(), .programs.display()
    )]
    OtherMajor { folder: PathBuf, found: u32, programs: PathBuf, major: u32 },
    #[error(
        "postgres cannot run as root, and the user that it runs as may not enter `{}`: open it with `chmod o+x`, or \
         name another folder with `--data-dir`", .folder.display()
    )]
    Closed { folder: PathBuf },
    #[error("cannot use `{}`", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("`{program}` failed: {said}")]
    Program { program: &'static str, said: String },
    #[error("postgres did not start: {why}; the end of `{}` says:\n{tail}", .log.display())]
    Start { why: String, log: PathBuf, tail: String },
    #[error("a postgres (process {pid}) that an earlier binnacle left running does not stop")]
    Leftover { pid: i32 },
    #[error("the embedded postgres refused a statement of the start-up")]
    Database(#[from] sqlx::Error),
    #[error("the embedded postgres ended {restarts} times in a row and is not started again")]
    Died { restarts: u32 },
}

#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    pub data_dir: DataDir,
    /// The folder of Postgres's programs; without one it is searched for.
    pub pg_bin_dir: Option<PathBuf>,
}

/// A Postgres that this process runs. Dropped without `stop`, it is stopped by its guard.
#[derive(Debug)]
pub struct Embedded {
    cluster: Arc<Cluster>,
    state: watch::Receiver<State>,
    running: Option<Running>,
}

/// The addresses of a store that another Binnacle serves at the moment.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    pub owner_url: String,
    pub service_url: String,
}

impl Elsewhere {
    /// Finds the running Postgres of a data folder; `None` when none has written there that it runs.
    pub fn find(data_dir: &std::path::Path) -> Option<Elsewhere> {
        let sockets = super::folder::sockets_of_running(data_dir)?;
        Some(Elsewhere {
            owner_url: cluster::url(&sockets, OWNER, DATABASE),
            service_url: cluster::url(&sockets, SERVICE, DATABASE),
        })
    }
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<Guard>,
}

/// What the supervisor last saw.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    restarts_total: u64,
    died: bool,
}

impl Embedded {
    /// Finds Postgres, makes the cluster if need be, starts it, and sees to the database and its roles.
    pub async fn start(options: EmbeddedOptions) -> Result<Embedded, EmbeddedError> {
        let programs = Programs::find(options.pg_bin_dir.as_deref())?;
        let cluster = Arc::new(Cluster::open(programs, &options.data_dir)?);
        Embedded::start_cluster(cluster).await
    }

    pub(super) async fn start_cluster(cluster: Arc<Cluster>) -> Result<Embedded, EmbeddedError> {
        // Before anything is written, so that an interrupted start of a throw-away leaves nothing either.
        let mut guard = Guard::start(&cluster.folder).map_err(at("/bin/sh".as_ref()))?;
        cluster.init().await?;
        let mut postmaster = cluster.launch(&mut guard).await?;
        if let Err(error) = prepare(&cluster).await {
            postmaster.stop(false).await;
            return Err(error);
        }
        info!(
            postgres.major = cluster.programs.major,
            data.folder = %cluster.folder.path.display(),
            "started the embedded postgres {} in `{}`", cluster.programs.major, cluster.folder.path.display()
        );

        let (stop, stopped) = oneshot::channel();
        let (tell, state) = watch::channel(State::default());
        let supervisor = tokio::spawn(supervise(Arc::clone(&cluster), postmaster, guard, stopped, tell));
        Ok(Embedded { cluster, state, running: Some(Running { stop, supervisor }) })
    }

    /// The address for migrations and rebuilds.
    pub fn owner_url(&self) -> String {
        self.cluster.url(OWNER, DATABASE)
    }

    /// The address for serving.
    pub fn service_url(&self) -> String {
        self.cluster.url(SERVICE, DATABASE)
    }

    /// The superuser's address of any database of this cluster.
    pub fn admin_url(&self, database: &str) -> String {
        self.cluster.url(ADMIN, database)
    }

    pub fn data_dir(&self) -> &std::path::Path {
        &self.cluster.folder.path
    }

    /// The file that Postgres writes its own log to.
    pub fn log(&self) -> PathBuf {
        self.cluster.folder.log()
    }

    /// How often Postgres ended by itself and was started again.
    pub fn restarts_total(&self) -> u64 {
        self.state.borrow().restarts_total
    }

    /// Waits until Postgres has died for good, which is when restarting it helped no more.
    pub async fn died(&self) -> EmbeddedError {
        let mut state = self.state.clone();
        match state.wait_for(|state| state.died).await {
            Ok(_) => EmbeddedError::Died { restarts: RESTARTS_MAX },
            // The supervisor is gone since Postgres was stopped on purpose.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops Postgres, which writes what memory holds to disk, and deletes a throw-away folder.
    pub async fn stop(mut self) {
        let Some(Running { stop, supervisor }) = self.running.take() else { return };
        let _ = stop.send(());
        match supervisor.await {
            Ok(guard) => {
                self.cluster.folder.tidy();
                guard.dismiss();
                info!("stopped the embedded postgres");
            }
            Err(error) => warn!("the supervisor of the embedded postgres ended badly, its guard tidies up: {error}"),
        }
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // The guard goes down with the task, that is its pipe closes, and it stops Postgres.
            running.supervisor.abort();
        }
    }
}

/// Starts Postgres again whenever it ends by itself, until told to stop.
async fn supervise(
    cluster: Arc<Cluster>,
    mut postmaster: Postmaster,
    mut guard: Guard,
    mut stop: oneshot::Receiver<()>,
    state: watch::Sender<State>,
) -> Guard {
    let mut restarts = 0;
    let mut steady_at = Instant::now() + STEADY_AFTER;
    loop {
        let status = tokio::select! {
            _ = &mut stop => {
                // Nobody will read a throw-away again, so it need not be put in order.
                postmaster.stop(cluster.folder.throwaway).await;
                return guard;
            }
            status = postmaster.exited() => status,
        };
        if Instant::now() >= steady_at {
            restarts = 0;
        }
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        warn!("the embedded postgres ended by itself ({how}); its log is `{}`", cluster.folder.log().display());
        postmaster = loop {
            if restarts == RESTARTS_MAX {
                error!("the embedded postgres ended {restarts} times in a row and is not started again");
                state.send_modify(|state| state.died = true);
                let _ = stop.await;
                return guard;
            }
            let pause = RESTART_PAUSE * restarts;
            restarts += 1;
            let started = tokio::select! {
                _ = &mut stop => {
                    // The start was cut off in the middle, but Postgres itself knows whether it runs.
                    let _ = cluster.stop_leftover().await;
                    return guard;
                }
                started = async { sleep(pause).await; cluster.launch(&mut guard).await } => started,
            };
            match started {
                Ok(postmaster) => break postmaster,
                Err(error) => warn!("the embedded postgres could not be started again: {error}"),
            }
        };
        steady_at = Instant::now() + STEADY_AFTER;
        state.send_modify(|state| state.restarts_total += 1);
        info!("started the embedded postgres again");
    }
}

/// Makes the database and its roles. Each step may have been done by an earlier start.
async fn prepare(cluster: &Cluster) -> Result<(), EmbeddedError> {
    let mut admin = cluster::connect(&cluster.url(ADMIN, "postgres")).await?;
    sqlx::raw_sql(
        "DO $$ BEGIN
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'binnacle_owner') THEN
                 CREATE ROLE binnacle_owner LOGIN;
             END IF;
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'binnacle_service') THEN
                 CREATE ROLE binnacle_service LOGIN;
             END IF;
         END $$",
    )
    .execute(&mut admin)
    .await?;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(DATABASE)
        .fetch_one(&mut admin)
        .await?;
    if !there {
        sqlx::raw_sql("CREATE DATABASE binnacle OWNER binnacle_owner").execute(&mut admin).await?;
    }
    admin.close().await?;

    // Only a superuser may add `vector`, and the version may be newer than at the last start.
    let mut admin = cluster::connect(&cluster.url(ADMIN, DATABASE)).await?;
    sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS vector; ALTER EXTENSION vector UPDATE").execute(&mut admin).await?;
    admin.close().await?;
    Ok(())
}
