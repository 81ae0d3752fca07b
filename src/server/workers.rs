//! The workers of a server: projections, vectors, partitions, gauges.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::giving_way::{GivingWay, Liveliness};
use crate::{
    app::App,
    clock,
    journal::{self, partitions},
    postgres::Pools,
    projection::{self, Batches, Projection},
    search::{choice::Choice, index, worker::Worker},
    telemetry::Metrics,
    threads,
    worker::{self, Ear, Pace, Progress, Shutdown},
};

/// How often partitions are looked after, and how often the gauges of the projections are set.
const PARTITIONS_REST: Duration = Duration::from_secs(3_600);
const GAUGES_REST: Duration = Duration::from_secs(2);

/// How long the embedder rests at least once it has caught up. Nobody waits for a vector, and looking after each step of a
/// projection would take from what the appends need.
const EMBEDDING_REST_MIN: Duration = Duration::from_millis(200);

/// How long texts that are being embedded are waited for when the server stops.
const EMBEDDING_GRACE: Duration = Duration::from_secs(5);

/// How long a projection rests at least once it has caught up, unless somebody waits for it. A step has its costs however
/// little it takes, so under load one step takes what many appends have brought.
const PROJECTION_REST_MIN: Duration = Duration::from_millis(200);

/// Others may hold the lock that a new partition needs.
const PARTITIONS_STEP_MAX: Duration = Duration::from_secs(60);

/// A projection that is so far behind gives way no longer. On two processors it takes so much in three seconds, and readers wait for
/// five.
const BEHIND_MAX: i64 = 60_000;

/// Starts them; they run until the word to stop.
pub fn start(app: &App, pools: &Pools, shutdown: &Shutdown, choice: Choice) -> Vec<JoinHandle<()>> {
    let (background, mut workers) = (threads::background(), Vec::new());
    let batches = Arc::new(Batches::new(pools.project.clone()));
    for projection in Projection::ALL {
        let ear = Ear::hurried_by(app.signals.appended().ear(), app.signals.awaited().ear());
        let (db, shutdown) = (pools.project.clone(), shutdown.clone());
        let (batches, journal) = (batches.clone(), app.journal.clone());
        let behind = batches.clone();
        let liveliness = Liveliness::of(journal.clone());
        let patience = move || match behind.behind(projection, journal.last()) < BEHIND_MAX {
            true => liveliness.patience(),
            false => Duration::ZERO,
        };
        let giving_way = GivingWay::new(patience, app.signals.awaited().ear());
        workers.push(background.spawn(async move {
            let step = || async {
                giving_way.rest(shutdown.clone()).await;
                let begun = Instant::now();
                let progress = projection::step(&db, projection, &batches).await?;
                giving_way.moved(progress, begun.elapsed());
                Ok(progress)
            };
            let pace = Pace { rest_min: PROJECTION_REST_MIN, step_max: Duration::MAX, ..Pace::default() };
            worker::run(projection.name(), pace, ear, shutdown.clone(), step).await;
        }));
    }
    workers.push(embedding_worker(app, pools, shutdown, choice));
    let (db, shutdown_partitions) = (pools.work.clone(), shutdown.clone());
    let never = worker::Wake::new();
    workers.push(background.spawn(async move {
        let pace = Pace { rest: PARTITIONS_REST, step_max: PARTITIONS_STEP_MAX, ..Pace::default() };
        let step = || async {
            partitions::ensure_ahead(&db, clock::now()).await?;
            Ok(Progress::CaughtUp)
        };
        worker::run("partitions", pace, never.ear(), shutdown_partitions, step).await;
    }));
    let (db, metrics, feed, shutdown) = (pools.work.clone(), app.metrics.clone(), app.feed.clone(), shutdown.clone());
    let never = worker::Wake::new();
    workers.push(background.spawn(async move {
        let pace = Pace { rest: GAUGES_REST, ..Pace::default() };
        let step = || {
            metrics.followers(feed.followers());
            set_gauges(&db, &metrics)
        };
        worker::run("gauges", pace, never.ear(), shutdown, step).await;
    }));
    workers
}

/// Gives texts their vectors, when documents have come and when an embedder is ready.
fn embedding_worker(app: &App, pools: &Pools, shutdown: &Shutdown, choice: Choice) -> JoinHandle<()> {
    let worker = Worker { db: pools.work.clone(), choice, metrics: app.metrics.clone(), enlisted: Default::default() };
    let embedders = app.search.embedders.clone();
    let (ear, shutdown) = (app.signals.projected().ear(), shutdown.clone());
    threads::background().spawn(async move {
        let step = || async {
            tokio::select! {
                progress = worker.step(embedders.current()) => progress,
                // Others claim what this step has claimed, once its lease is over.
                () = overdue(shutdown.clone()) => Ok(Progress::CaughtUp),
            }
        };
        let pace = Pace { rest_min: EMBEDDING_REST_MIN, step_max: Duration::MAX, ..Pace::default() };
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
