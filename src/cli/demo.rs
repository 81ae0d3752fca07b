//! `binnacle demo`: a store with a believable history, served.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sqlx::postgres::PgPoolOptions;

use super::{Exit, args::DemoArgs, embedding::Embedding, exit::Usage, look, serve, signals, store::Store};
use crate::{
    audit::{Context, Event},
    config::Settings,
    demo::{self, Recording},
    http,
    journal::{self, Journal, Receipt, read},
    projection::{
        Projection,
        remediations::{self, Filter, Order},
    },
    server::{self, Server},
    telemetry::Metrics,
    worker::Shutdown,
};

/// How many audits of the history are recorded at once.
const BATCH: usize = 500;

/// The variables of the example that shows one remediation: where they are declared, and where they are used.
const VARIABLES: (&str, &str) = ("($id: String!, $cluster: String)", "remediationId: $id, clusterId: $cluster");

/// How many batches may be checked before they are recorded.
const CHECKED_AHEAD: usize = 4;

pub async fn run(settings: &Settings, arguments: &DemoArgs) -> anyhow::Result<Exit> {
    settings.check_exposure()?;
    if settings.database_url.is_some() {
        let why = "the demo makes up a history, and a journal keeps what it is told for ever: it runs on an embedded store \
            only, not on the one of `--database-url`";
        return Err(Usage(why.to_string()).into());
    }
    let embedding = Embedding::of(settings)?;
    let callers = serve::callers(settings)?;
    let allow_list = serve::allow_list(settings)?;
    let (listener, settings) = match arguments.exit_after_seed {
        true => (None, settings.clone()),
        false => {
            let (listener, settings) = serve::listen(settings).await?;
            (Some(listener), settings)
        }
    };
    let settings = &settings;
    let shutdown = signals::listen()?;
    let Some(store) = serve::unless(&shutdown, Store::open_to_serve(settings, true)).await.transpose()? else {
        return Ok(Exit::Done);
    };
    let start = serve::serving(&store, settings, &embedding, allow_list);
    let ended = on_store(settings, start, arguments, &store, callers, listener, shutdown).await;
    store.close().await;
    ended
}

async fn on_store(
    settings: &Settings,
    start: server::Settings,
    arguments: &DemoArgs,
    store: &Store,
    callers: crate::caller::Callers,
    listener: Option<tokio::net::TcpListener>,
    shutdown: Shutdown,
) -> anyhow::Result<Exit> {
    let seeded = seed(store, settings, arguments.remediations, &shutdown).await.context("cannot fill the store")?;
    if shutdown.given() {
        return Ok(Exit::Done);
    }
    let server = Server::start(start).await.context("cannot serve the store")?;
    wait_for_projections(&server, &shutdown).await?;
    let Some(listener) = listener else {
        server.stop().await;
        look::print(&format!("{seeded}\n"))?;
        return Ok(Exit::Done);
    };
    let example = example(&server).await?;
    look::print(&welcome(&seeded, settings, store, example.as_deref()))?;
    serve::run(server, settings, store, callers, listener, shutdown).await
}

/// Fills an empty store with history, as the owner, because only the owner can record in the past. A store that holds
/// something already is left as it is.
async fn seed(store: &Store, settings: &Settings, remediations: u32, shutdown: &Shutdown) -> anyhow::Result<String> {
    let owner = PgPoolOptions::new().max_connections(2).connect_with(store.owner.clone()).await?;
    let metrics = Metrics::new();
    let journal = Journal::open(owner.clone(), owner.clone(), journal::Settings::default(), metrics).await?;
    let head = read::head(&owner).await?;
    if head.last.0 > 0 {
        journal.close().await;
        owner.close().await;
        return Ok(format!("The store holds {} audits already; nothing was added.", head.last));
    }

    // The history ends now, so that what still runs in it looks alive.
    let now = Utc::now();
    let history = demo::history(remediations as usize, now);
    let bar = progress("filling the store", history.len() as u64);
    let mut recorded = 0;
    // While one batch is being recorded, the next ones are checked.
    let cluster_id = settings.cluster_id.as_str().to_string();
    let mut checked = stream::iter(history.chunks(BATCH))
        .map(|batch| {
            let (batch, cluster_id) = (batch.to_vec(), cluster_id.clone());
            tokio::task::spawn_blocking(move || events(batch, &cluster_id, now))
        })
        .buffered(CHECKED_AHEAD);
    while let Some(batch) = checked.next().await {
        if shutdown.given() {
            break;
        }
        let (events, recorded_ats) = batch??;
        let receipts = journal.record_history(events, recorded_ats).await?;
        recorded += receipts.iter().filter(|receipt| matches!(receipt, Receipt::Recorded(_))).count();
        bar.inc(receipts.len() as u64);
    }
    bar.finish_and_clear();
    journal.close().await;
    owner.close().await;
    Ok(format!("The store holds {recorded} audits of {remediations} remediations over 90 days."))
}

/// The events of a batch, each with the time at which it was recorded.
fn events(
    batch: Vec<Recording>,
    cluster_id: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<(Vec<Event>, Vec<DateTime<Utc>>)> {
    let event = |recording: Recording| {
        let checked = recording.submission.check(Context { cluster_id, now, fresh_id: recording.event_id });
        let event = checked
            .map_err(|problems| anyhow::anyhow!("the demo's own audit was rejected: {}", problems[0].message))?;
        Ok((event, recording.recorded_at))
    };
    batch.into_iter().map(event).collect()
}

/// Waits until lists show what was recorded.
async fn wait_for_projections(server: &Server, shutdown: &Shutdown) -> anyhow::Result<()> {
    let db = server.app.journal.reader();
    let head = read::head(db).await?.last;
    let bar = progress("building the projections", u64::try_from(head.0)?);
    for projection in Projection::ALL {
        loop {
            let reached = crate::projection::cursor::position(db, projection).await?;
            bar.set_position(u64::try_from(reached.0)?);
            if reached >= head || shutdown.given() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// A bar on standard error, hidden where that is no terminal.
pub fn progress(what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} · {eta} left");
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    bar.with_style(style.expect("the template is well formed")).with_message(what)
}

/// A remediation that is worth a look: it has ended, and people took the longest.
async fn example(server: &Server) -> anyhow::Result<Option<String>> {
    let filter = Filter {
        bottleneck: Some(vec!["APPROVAL_WAIT".to_string()]),
        outcome: Some(vec!["REMEDIATED".to_string()]),
        ..Filter::default()
    };
    let order = (Order::StartedAt, true);
    let found = remediations::page(server.app.journal.reader(), &filter, order, false, None, 1).await?;
    Ok(found.into_iter().next().map(|row| row.summary.stream.remediation_id))
}

fn welcome(seeded: &str, settings: &Settings, store: &Store, id: Option<&str>) -> String {
    let address = settings.public_address();
    let folder = match (&settings.data_dir, store.data_dir()) {
        (Some(_), Some(folder)) => format!("It stays in `{}`.", folder.display()),
        _ => "It is gone when you stop.".to_string(),
    };
    let mut text = format!(
        "\n{seeded} {folder}\n\n  GraphiQL  {address}/graphiql\n  GraphQL   {address}/graphql\n  REST      {address}/api-docs/\n\n"
    );
    if let Some(id) = id {
        text.push_str(&format!("A report to look at:  {address}/remediations/{id}\n\n"));
    }
    text.push_str("Three queries to paste:\n");
    for query in http::EXAMPLES.iter().take(3) {
        let title = query.title;
        // With the id in its place, it can be pasted as it is.
        let query = match id {
            Some(id) => query.query.replace(VARIABLES.0, "").replace(VARIABLES.1, &format!("remediationId: \"{id}\"")),
            None => query.query.to_string(),
        };
        let query: String = query.lines().map(|line| format!("    {line}\n")).collect();
        text.push_str(&format!("\n  {}\n\n{query}", title));
    }
    text.push_str("\nCtrl-C stops the server and its Postgres.\n\n");
    text
}
