//! `binnacle demo`: a store with a believable history, served.

use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use super::{
    Exit,
    args::DemoArgs,
    look, serve, signals,
    store::{Store, server_settings},
};
use crate::{
    audit::{Context, Event},
    config::Settings,
    demo::{self, Recording},
    http,
    journal::{self, Journal, Receipt, read},
    projection::Projection,
    server::Server,
    telemetry::Metrics,
    worker::Shutdown,
};

/// How many audits of the history are recorded at once.
const BATCH: usize = 500;

pub async fn run(settings: &Settings, arguments: &DemoArgs) -> anyhow::Result<Exit> {
    settings.check_exposure()?;
    let callers = serve::callers(settings)?;
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
    let ended = on_store(settings, arguments, &store, callers, listener, shutdown).await;
    store.close().await;
    ended
}

async fn on_store(
    settings: &Settings,
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
    let server =
        Server::start(server_settings(store, settings, Metrics::new())).await.context("cannot serve the store")?;
    wait_for_projections(&server, &shutdown).await?;
    let Some(listener) = listener else {
        server.stop().await;
        look::print(&format!("{seeded}\n"))?;
        return Ok(Exit::Done);
    };
    look::print(&welcome(&seeded, settings, store))?;
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
    for batch in history.chunks(BATCH) {
        if shutdown.given() {
            break;
        }
        let events = events(batch, settings.cluster_id.as_str(), now)?;
        let recorded_ats = batch.iter().map(|recording| recording.recorded_at).collect();
        let receipts = journal.record_history(events, recorded_ats).await?;
        recorded += receipts.iter().filter(|receipt| matches!(receipt, Receipt::Recorded(_))).count();
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    journal.close().await;
    owner.close().await;
    Ok(format!("The store holds {recorded} audits of {remediations} remediations over 90 days."))
}

fn events(batch: &[Recording], cluster_id: &str, now: chrono::DateTime<Utc>) -> anyhow::Result<Vec<Event>> {
    let event = |recording: &Recording| {
        let mut submission = recording.submission.clone();
        submission.fields.insert("eventId".to_string(), recording.event_id.to_string().into());
        submission
            .check(Context { cluster_id, now, fresh_id: Uuid::nil() })
            .map_err(|problems| anyhow::anyhow!("the demo's own audit was rejected: {}", problems[0].message))
    };
    batch.iter().map(event).collect()
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

fn welcome(seeded: &str, settings: &Settings, store: &Store) -> String {
    let address = settings.public_address();
    let folder = match (&settings.data_dir, store.data_dir()) {
        (Some(_), Some(folder)) => format!("It stays in `{}`.", folder.display()),
        _ => "It is gone when you stop.".to_string(),
    };
    let mut text = format!("\n{seeded} {folder}\n\n  GraphiQL  {address}/graphiql\n  GraphQL   {address}/graphql\n\n");
    text.push_str("Three queries to paste:\n");
    for example in http::EXAMPLES.iter().take(3) {
        let query: String = example.query.lines().map(|line| format!("    {line}\n")).collect();
        text.push_str(&format!("\n  {}\n\n{query}", example.title));
    }
    text.push_str("\nCtrl-C stops the server and its Postgres.\n\n");
    text
}
