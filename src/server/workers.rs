//! The workers of a server: projections, vectors, partitions, gauges.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::{
    app::App,
    clock,
    journal::{self, Journal, partitions},
    postgres::Pools,
    projection::{self, Projection},
    search::{choice::Choice, index, worker::Worker},
    telemetry::Metrics,
    worker::{self, Ear, Pace, Progress, Shutdown},
};

/// How often partitions are looked after, and how often the gauges of the projections are set.
const PARTITIONS_REST: Duration = Duration::from_secs(3_600);
const GAUGES_REST: Duration = Duration::from_secs(2);

/// How long the embedder rests at least once it has caught up. Nobody waits for a vector, and looking after each append would
/// take from what the appends need.
const EMBEDDING_REST_MIN: Duration = Duration::from_millis(200);

/// How long texts that are being embedded are waited for when the server stops.
const EMBEDDING_GRACE: Duration = Duration::from_secs(5);

/// How long a projection rests at least once it has caught up, unless somebody waits for it. A step has its costs however
/// little it takes, so under load one step takes what many appends have brought.
const PROJECTION_REST_MIN: Duration = Duration::from_millis(50);

/// A projection gives way to a burst of appends: while writers wait for each other it rests for so long before each step. Lists
/// are late then, and nobody's acknowledgement is.
const GIVING_WAY: Duration = Duration::from_millis(250);
/// It gives way no longer once it has not caught up for this long: a burst without end must not make lists old without end.
const GIVING_WAY_MAX: Duration = Duration::from_secs(10);

/// Starts them; they run until the word to stop.
pub fn start(app: &App, pools: &Pools, shutdown: &Shutdown, choice: Choice) -> Vec<JoinHandle<()>> {
    let mut workers = Vec::new();
    for projection in Projection::ALL {
        let ear = Ear::hurried_by(app.signals.appended().ear(), app.signals.awaited().ear());
        let (db, shutdown) = (pools.work.clone(), shutdown.clone());
        let giving_way = GivingWay::new(app.journal.clone(), shutdown.clone());
        workers.push(tokio::spawn(async move {
            let step = || async {
                giving_way.rest().await;
                let progress = projection::step(&db, projection).await?;
                giving_way.moved(progress);
                Ok(progress)
            };
            let pace = Pace { rest_min: PROJECTION_REST_MIN, ..Pace::default() };
            worker::run(projection.name(), pace, ear, shutdown, step).await;
        }));
    }
    workers.push(embedding_worker(app, pools, shutdown, choice));
    let (db, shutdown_partitions) = (pools.work.clone(), shutdown.clone());
    let never = worker::Wake::new();
    workers.push(tokio::spawn(async move {
        let pace = Pace { rest: PARTITIONS_REST, ..Pace::default() };
        let step = || async {
            partitions::ensure_ahead(&db, clock::now()).await?;
            Ok(Progress::CaughtUp)
        };
        worker::run("partitions", pace, never.ear(), shutdown_partitions, step).await;
    }));
    let (db, metrics, feed, shutdown) = (pools.work.clone(), app.metrics.clone(), app.feed.clone(), shutdown.clone());
    let never = worker::Wake::new();
    workers.push(tokio::spawn(async move {
        let pace = Pace { rest: GAUGES_REST, ..Pace::default() };
        let step = || {
            metrics.followers(feed.followers());
            set_gauges(&db, &metrics)
        };
        worker::run("gauges", pace, never.ear(), shutdown, step).await;
    }));
    workers
}

/// When a projection lets appends go first.
struct GivingWay {
    journal: Journal,
    shutdown: Shutdown,
    /// When it last knew of nothing that it had not taken.
    caught_up: Mutex<Instant>,
}

impl GivingWay {
    fn new(journal: Journal, shutdown: Shutdown) -> GivingWay {
        GivingWay { journal, shutdown, caught_up: Mutex::new(Instant::now()) }
    }

    async fn rest(&self) {
        let late = self.caught_up().elapsed() >= GIVING_WAY_MAX;
        if late || !self.journal.busy() {
            return;
        }
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            () = tokio::time::sleep(GIVING_WAY) => {}
            () = shutdown.wait() => {}
        }
    }

    fn moved(&self, progress: Progress) {
        if progress == Progress::CaughtUp {
            *self.caught_up() = Instant::now();
        }
    }

    fn caught_up(&self) -> MutexGuard<'_, Instant> {
        self.caught_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives texts their vectors, when documents have come and when an embedder is ready.
fn embedding_worker(app: &App, pools: &Pools, shutdown: &Shutdown, choice: Choice) -> JoinHandle<()> {
    let worker = Worker { db: pools.work.clone(), choice, metrics: app.metrics.clone(), enlisted: Default::default() };
    let embedders = app.search.embedders.clone();
    let (ear, shutdown) = (app.signals.appended().ear(), shutdown.clone());
    tokio::spawn(async move {
        let step = || async {
            tokio::select! {
                progress = worker.step(embedders.current()) => progress,
                // Others claim what this step has claimed, once its lease is over.
                () = overdue(shutdown.clone()) => Ok(Progress::CaughtUp),
            }
        };
        let pace = Pace { rest_min: EMBEDDING_REST_MIN, ..Pace::default() };
        worker::run("embedding", pace, ear, shutdown.clone(), step).await;
    })
}

/// Waits until the server is about to stop, and then as long as a step may still take: an endpoint may not answer at all.
async fn overdue(mut shutdown: Shutdown) {
    shutdown.wait().await;
    tokio::time::sleep(EMBEDDING_GRACE).await;
}

async fn set_gauges(db: &sqlx::PgPool, metrics: &Metrics) -> anyhow::Result<Progress> {
    let head = journal::read::head(db).await?;
    for state in projection::states(db).await? {
        metrics.projection_lag(state.projection.name(), (head.last.0 - state.position.0).max(0));
        metrics.projection_dead_letters(state.projection.name(), state.dead_letters);
    }
    let models = index::states(db).await?;
    metrics.search_backlog(models.iter().map(|it| it.pending).sum(), models.iter().map(|it| it.failed).sum());
    Ok(Progress::CaughtUp)
}
