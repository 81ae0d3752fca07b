//! A running Binnacle, put together: pools, journal, signals, workers, and what `/readyz` looks at.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;
use tracing::info;

use crate::{
    app::{App, Faces},
    audit::Watermark,
    caller::Callers,
    clock,
    error::ClientError,
    feed::{self, Feed},
    graphql::{self, GraphQl},
    http,
    journal::{self, Journal, partitions},
    postgres::{self, PoolSettings, Pools, ServerError, check_server},
    projection::{self, Projection, signals::Signals},
    report::{html, markdown, of_remediation},
    rest::{self, Rest},
    search::{
        Search,
        choice::Choice,
        embedder::{self, Embedders},
        index,
        worker::Worker,
    },
    telemetry::Metrics,
    worker::{self, Pace, Progress, Shutdown, Stop},
};

/// What a server is started with.
#[derive(Clone)]
pub struct Settings {
    /// The service's role; the database is prepared already.
    pub service: PgConnectOptions,
    pub pools: PoolSettings,
    pub writer: journal::Settings,
    pub faces: Faces,
    pub graphql: graphql::Settings,
    /// What makes vectors of texts.
    pub embedders: Embedders,
    /// Which documents are embedded.
    pub choice: Choice,
    pub feed: feed::Settings,
    pub metrics: Metrics,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("this postgres cannot be served")]
    Server(#[from] ServerError),
    #[error("cannot make the journal's partitions")]
    Partitions(#[source] sqlx::Error),
    #[error("cannot open the journal")]
    Journal(#[from] journal::OpenError),
}

/// A running Binnacle without its HTTP listener.
pub struct Server {
    pub app: App,
    pub graphql: GraphQl,
    pools: Pools,
    stop: Stop,
    shutdown: Shutdown,
    workers: Vec<JoinHandle<()>>,
}

/// How often partitions are looked after, and how often the gauges of the projections are set.
const PARTITIONS_REST: Duration = Duration::from_secs(3_600);
const GAUGES_REST: Duration = Duration::from_secs(2);

/// How long the embedder rests at least once it has caught up. Nobody waits for a vector, and looking after each append would
/// take from what the appends need.
const EMBEDDING_REST_MIN: Duration = Duration::from_millis(200);

/// How long texts that are being embedded are waited for when the server stops.
const EMBEDDING_GRACE: Duration = Duration::from_secs(5);

/// More texts that wait for their vector than this are worth a warning: some minutes of work for the local model.
const BACKLOG_WARNING: i64 = 20_000;

/// A projection that is further behind than this is worth a warning.
const LAG_WARNING: i64 = 10_000;

impl Server {
    /// Checks the database, opens the journal and starts the workers.
    pub async fn start(settings: Settings) -> Result<Server, StartError> {
        let pools = Pools::open(&settings.service, &settings.pools);
        check_server(&pools.append).await?;
        partitions::ensure_ahead(&pools.work, clock::now()).await.map_err(StartError::Partitions)?;
        let metrics = settings.metrics;
        let journal = Journal::open(pools.append.clone(), pools.read.clone(), settings.writer, metrics.clone()).await?;
        let (stop, shutdown) = Stop::new();
        let signals = Signals::listen(pools.work.clone(), shutdown.clone());
        let search = Search::new(pools.read.clone(), settings.embedders, metrics.clone());
        let (feed, feeding) =
            Feed::start(pools.work.clone(), pools.read.clone(), &signals, shutdown.clone(), settings.feed);
        let work = pools.work.clone();
        let app = App { journal, work, signals, search, feed, metrics, faces: Arc::new(settings.faces) };
        let mut workers = start_workers(&app, &pools, &shutdown, settings.choice);
        workers.extend(feeding);
        Ok(Server { graphql: GraphQl::new(app.clone(), settings.graphql), app, pools, stop, shutdown, workers })
    }

    /// The routes of this server.
    pub fn router(&self, callers: Callers, graphiql: bool) -> axum::Router {
        http::router(http::App {
            schema: self.graphql.clone(),
            api: rest::router(Rest::new(self.app.clone(), callers.clone())),
            callers,
            metrics: self.app.metrics.clone(),
            checks: self.checks(),
            reports: reports(&self.app),
            graphiql,
            request_timeout: self.app.faces.request_timeout,
            live: http::Live::new(self.app.faces.allowed_origins.clone(), self.app.faces.live_connections_max),
            shutdown: self.shutdown.clone(),
        })
    }

    /// The word to stop, for those who run beside the workers.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Says that the server is about to stop: it is ready no more, and its listener closes.
    pub fn announce_stop(&self) {
        self.stop.now();
    }

    /// Appends what waits, stops the workers at a step's end, and closes the connections.
    pub async fn stop(self) {
        self.stop.now();
        self.app.journal.close().await;
        for worker in self.workers {
            let _ = worker.await; // a worker that panicked has said so
        }
        self.pools.close().await;
        info!("everything acknowledged is recorded; stopped");
    }

    fn checks(&self) -> http::Checks {
        let (read, work) = (self.pools.read.clone(), self.pools.work.clone());
        let embedders = self.app.search.embedders.clone();
        Arc::new(move || {
            let (read, work, embedders) = (read.clone(), work.clone(), embedders.clone());
            async move { readiness(&read, &work, &embedders).await }.boxed()
        })
    }
}

/// Makes the reports that are asked for over HTTP.
fn reports(app: &App) -> http::Reports {
    let app = app.clone();
    Arc::new(move |asked| {
        let app = app.clone();
        async move { report(&app, asked).await }.boxed()
    })
}

/// The report that is asked for, written in its format; `None` where nothing of the remediation is recorded.
pub async fn report(app: &App, asked: http::Asked) -> Result<Option<String>, ClientError> {
    let at = match asked.at.as_deref().map(Watermark::decode) {
        Some(None) => {
            return Err(ClientError::bad_input("`at` is no watermark; hand back one that this server has given you"));
        }
        Some(at) => at,
        None => None,
    };
    let Some(stream) = app.stream(asked.remediation_id, asked.cluster_id).await? else { return Ok(None) };
    let Some(report) = of_remediation(app, &stream, at).await? else { return Ok(None) };
    let url = format!("{}{}", app.faces.public_url, http::remediation_path(&stream));
    Ok(Some(match asked.format {
        http::Format::Html => html::report(&report, Some(&url)),
        http::Format::Markdown => markdown::report(&report),
        http::Format::Json => serde_json::to_string_pretty(&report).map_err(anyhow::Error::from)?,
    }))
}

fn start_workers(app: &App, pools: &Pools, shutdown: &Shutdown, choice: Choice) -> Vec<JoinHandle<()>> {
    let mut workers = Vec::new();
    for projection in Projection::ALL {
        let (db, ear, shutdown) = (pools.work.clone(), app.signals.appended().ear(), shutdown.clone());
        workers.push(tokio::spawn(async move {
            let step = || projection::step(&db, projection);
            worker::run(projection.name(), Pace::default(), ear, shutdown, step).await;
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

/// Whether this server can do its work, and what an operator should look at.
async fn readiness(read: &sqlx::PgPool, work: &sqlx::PgPool, embedders: &Embedders) -> Vec<http::Check> {
    let head = match journal::read::head(read).await {
        Ok(head) => head,
        Err(error) => return vec![failed("database", error)],
    };
    let mut checks = vec![check("database", http::State::Ok, None)];
    checks.push(match postgres::pending(work).await {
        Ok(pending) if pending.is_empty() => check("migrations", http::State::Ok, None),
        Ok(pending) => check("migrations", http::State::Failed, Some(format!("{} are not done", pending.len()))),
        Err(error) => failed("migrations", error),
    });
    checks.push(match partitions::months_ahead(work, clock::now()).await {
        Ok(0) => check("partitions", http::State::Failed, Some("next month has no partition yet".to_string())),
        Ok(ahead) => check("partitions", http::State::Ok, Some(format!("{ahead} months ahead"))),
        Err(error) => failed("partitions", error),
    });
    match projection::states(work).await {
        Err(error) => checks.push(failed("projections", error)),
        Ok(states) => checks.extend(states.into_iter().map(|state| {
            let lag = (head.last.0 - state.position.0).max(0);
            let fine = lag <= LAG_WARNING && state.dead_letters == 0 && !state.outdated;
            let due = if state.outdated { "; made by other rules, `binnacle rebuild` is due" } else { "" };
            let detail = format!("{lag} events behind, {} dead letters{due}", state.dead_letters);
            let word = if fine { http::State::Ok } else { http::State::Warning };
            check(state.projection.name(), word, Some(detail))
        })),
    }
    checks.push(match index::states(work).await {
        Err(error) => failed("embedding", error),
        Ok(models) => embedding(&models, embedders),
    });
    checks
}

/// Whether search by meaning is all there. Nothing that is recorded depends on it, so it is never worse than a warning.
fn embedding(models: &[index::State], embedders: &Embedders) -> http::Check {
    let failed: i64 = models.iter().map(|it| it.failed).sum();
    let pending: i64 = models.iter().map(|it| it.pending).sum();
    let fine = embedders.ready_or_off() && failed == 0 && pending <= BACKLOG_WARNING;
    // Anybody may read it, so it names neither folder nor host.
    let state = match embedders.state() {
        embedder::State::Off => "off",
        embedder::State::Loading => "the model is being loaded",
        embedder::State::Missing { .. } => "there is no model, so search is by words only",
        embedder::State::Ready { .. } => "ready",
    };
    let detail = format!("{state}; {pending} texts wait for their vector, {failed} are refused");
    check("embedding", if fine { http::State::Ok } else { http::State::Warning }, Some(detail))
}

fn check(name: &str, state: http::State, detail: Option<String>) -> http::Check {
    http::Check { name: name.to_string(), state, detail }
}

/// A check that could not be made; the cause is logged, and what anybody may read names no address.
fn failed(name: &str, error: sqlx::Error) -> http::Check {
    check(name, http::State::Failed, Some(ClientError::from(error).message))
}
