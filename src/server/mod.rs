//! A running Binnacle, put together: pools, journal, signals, workers, what `/readyz` looks at, and the orderly end.

mod ending;
mod giving_way;
mod readiness;
mod workers;

use std::sync::Arc;

use futures_util::FutureExt as _;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;

use crate::{
    app::{App, Faces, Parts},
    audit::Watermark,
    caller::Callers,
    clock,
    error::ClientError,
    feed::{self, Feed},
    graphql::{self, GraphQl},
    http,
    journal::{self, Journal, partitions},
    postgres::{PoolSettings, Pools, ServerError, check_server},
    projection::signals::Signals,
    report::{html, markdown, of_remediation},
    rest::{self, Rest},
    search::{Search, choice::Choice, embedder::Embedders},
    telemetry::Metrics,
    worker::{Shutdown, Stop},
};

pub use ending::step;

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
    live: http::Live,
    words: Words,
    workers: Vec<JoinHandle<()>>,
}

/// The words that end a server, in the order in which they are given.
struct Words {
    /// It is ready no more, and still serves.
    retire: Stop,
    retiring: Shutdown,
    /// It takes no connection more, and those that follow are told to go elsewhere.
    drain: Stop,
    draining: Shutdown,
    /// The workers rest.
    rest: Stop,
}

impl Server {
    /// Checks the database, opens the journal and starts the workers.
    pub async fn start(settings: Settings) -> Result<Server, StartError> {
        let pools = Pools::open(&settings.service, &settings.pools);
        check_server(&pools.append).await?;
        partitions::ensure_ahead(&pools.work, clock::now()).await.map_err(StartError::Partitions)?;
        let metrics = settings.metrics;
        let journal = Journal::open(pools.append.clone(), pools.read.clone(), settings.writer, metrics.clone()).await?;
        let ((retire, retiring), (drain, draining), (rest, resting)) = (Stop::new(), Stop::new(), Stop::new());
        let signals = Signals::listen(pools.work.clone(), &journal, resting.clone());
        let search = Search::new(pools.search.clone(), pools.read.clone(), settings.embedders, metrics.clone());
        let (feed, feeding) =
            Feed::start(pools.work.clone(), pools.read.clone(), &signals, resting.clone(), settings.feed);
        let live = http::Live::new(settings.faces.allowed_origins.clone(), settings.faces.live_connections_max);
        let work = pools.work.clone();
        let app = App::new(Parts { journal, work, signals, search, feed, metrics, faces: settings.faces });
        let mut workers = workers::start(&app, &pools, &resting, settings.choice);
        workers.extend(feeding);
        let words = Words { retire, retiring, drain, draining, rest };
        Ok(Server { graphql: GraphQl::new(app.clone(), settings.graphql), app, pools, live, words, workers })
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
            live: self.live.clone(),
            retiring: self.words.retiring.clone(),
            shutdown: self.words.draining.clone(),
        })
    }

    fn checks(&self) -> http::Checks {
        let (app, work) = (self.app.clone(), self.pools.work.clone());
        Arc::new(move || {
            let (app, work) = (app.clone(), work.clone());
            async move { readiness::checks(&app, &work).await }.boxed()
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
