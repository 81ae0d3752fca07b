//! `binnacle serve`: the store, the server on it, its listener, and their orderly end.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, time::sleep};
use tracing::info;

use super::{
    Exit,
    embedding::Embedding,
    signals,
    store::{Store, graphql_settings, server_settings},
};
use crate::{
    caller::Callers,
    config::Settings,
    graphql::AllowList,
    http,
    server::{self, Server},
    telemetry::Metrics,
    worker::Shutdown,
};

pub async fn serve(settings: &Settings) -> anyhow::Result<Exit> {
    settings.check_exposure()?;
    let embedding = Embedding::of(settings)?;
    let callers = callers(settings)?;
    let allow_list = allow_list(settings)?;
    let (listener, settings) = listen(settings).await?;
    let settings = &settings;
    let shutdown = signals::listen()?;
    let Some(store) = unless(&shutdown, Store::open_to_serve(settings, false)).await.transpose()? else {
        return Ok(Exit::Done);
    };
    let start = serving(&store, settings, &embedding, allow_list);
    let served = serve_store(settings, start, &store, callers, listener, shutdown).await;
    server::step("postgres", POSTGRES_WAIT, store.close()).await;
    served
}

/// Serves a store until told to stop, or until its Postgres has died for good.
async fn serve_store(
    settings: &Settings,
    start: server::Settings,
    store: &Store,
    callers: Callers,
    listener: TcpListener,
    shutdown: Shutdown,
) -> anyhow::Result<Exit> {
    let server = Server::start(start).await.context("cannot serve this store")?;
    info!(
        http.address = %settings.public_address(),
        "ready: {0}/graphql takes audits and answers queries, {0}/graphiql is for people", settings.public_address()
    );
    run(server, settings, store, callers, listener, shutdown).await
}

/// How much longer than its grace the listener may take to end. It breaks off by itself what is late.
const LISTENER_MARGIN: Duration = Duration::from_secs(1);
/// How long the embedded Postgres may take to stop; its guard ends one that takes longer.
const POSTGRES_WAIT: Duration = Duration::from_secs(30);

/// Runs the listener of a started server until the word to stop, then ends both in order.
pub async fn run(
    server: Server,
    settings: &Settings,
    store: &Store,
    callers: Callers,
    listener: TcpListener,
    mut shutdown: Shutdown,
) -> anyhow::Result<Exit> {
    tokio::spawn(callers.clone().reread_on_hangup(server.retiring()));
    let router = server.router(callers, settings.graphiql);
    let serving = http::serve(http::Listener::Tcp(listener), router, server.draining(), settings.shutdown_grace);
    tokio::pin!(serving);
    let ended = tokio::select! {
        served = &mut serving => served.context("the listener has ended"),
        error = store.died() => Err(error),
        () = shutdown.wait() => {
            server.retire();
            let wait = if signals::by_hand() { Duration::ZERO } else { settings.withdrawal_wait.0 };
            let withdrawn = async {
                tokio::select! {
                    () = sleep(wait) => None,
                    served = &mut serving => Some(served.context("the listener has ended")),
                    error = store.died() => Some(Err(error)),
                }
            };
            match server::step("withdrawal", wait + LISTENER_MARGIN, withdrawn).await.flatten() {
                Some(ended) => ended,
                None => {
                    server.drain();
                    let drained = server::step("drain", settings.shutdown_grace + LISTENER_MARGIN, serving).await;
                    drained.unwrap_or(Ok(())).context("the listener ended badly")
                }
            }
        }
    };
    server.stop().await;
    ended.map(|()| Exit::Done)
}

/// What a server is started with that serves to others.
pub fn serving(
    store: &Store,
    settings: &Settings,
    embedding: &Embedding,
    allow_list: Option<Arc<AllowList>>,
) -> server::Settings {
    let mut start = server_settings(store, settings, embedding, Metrics::new());
    start.graphql.allow_list = allow_list;
    start
}

/// The only documents that may run, where a file of them is named.
pub fn allow_list(settings: &Settings) -> anyhow::Result<Option<Arc<AllowList>>> {
    let Some(file) = &settings.allow_list else { return Ok(None) };
    Ok(Some(Arc::new(AllowList::read(file, graphql_settings(settings).bounds())?)))
}

/// Who may call.
pub fn callers(settings: &Settings) -> anyhow::Result<Callers> {
    Ok(match &settings.tokens_file {
        Some(file) => Callers::read(file)?,
        None => Callers::anyone(),
    })
}

/// Takes the address before anything slow is started, so that a taken one is told at once. The settings that come back
/// name the port that port 0 has become.
pub async fn listen(settings: &Settings) -> anyhow::Result<(TcpListener, Settings)> {
    let context = || format!("cannot listen on {}; name another address with `--listen`", settings.listen);
    let listener = TcpListener::bind(settings.listen).await.with_context(context)?;
    let listen = listener.local_addr().with_context(context)?;
    Ok((listener, Settings { listen, ..settings.clone() }))
}

/// The work, unless the word to stop comes first.
pub async fn unless<T>(shutdown: &Shutdown, work: impl Future<Output = T>) -> Option<T> {
    let mut shutdown = shutdown.clone();
    tokio::select! {
        done = work => Some(done),
        () = shutdown.wait() => None,
    }
}
