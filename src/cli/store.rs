//! The store that a command works on: the Postgres of `--database-url`, the embedded one, or the embedded one that another
//! Binnacle serves at the moment.

use std::str::FromStr as _;

use anyhow::Context as _;
use sqlx::{PgPool, postgres::PgConnectOptions};

use super::{
    embedding::Embedding,
    exit::{Unavailable, Usage},
};
use crate::{
    app::Faces,
    config::Settings,
    feed, graphql, journal,
    postgres::{
        self, DataDir, Elsewhere, Embedded, EmbeddedError, EmbeddedOptions, Guarding, PoolSettings, default_data_dir,
    },
    server,
    telemetry::Metrics,
};

/// A migrated store.
pub struct Store {
    pub owner: PgConnectOptions,
    pub service: PgConnectOptions,
    /// What keeps the journal append-only here.
    pub guarding: Guarding,
    embedded: Option<Embedded>,
}

/// Where the embedded store lies.
pub fn embedded_options(settings: &Settings, throwaway: bool) -> anyhow::Result<EmbeddedOptions> {
    let data_dir = match (&settings.data_dir, throwaway) {
        (Some(folder), _) => DataDir::Path(folder.clone()),
        (None, true) => DataDir::Throwaway,
        (None, false) => {
            DataDir::Path(default_data_dir().context("this platform has no data folder; name one with `--data-dir`")?)
        }
    };
    Ok(EmbeddedOptions { data_dir, pg_bin_dir: settings.pg_bin_dir.clone() })
}

impl Store {
    /// Opens the store and brings it up to date. Without a database's address it starts the embedded Postgres, or uses the one
    /// that runs on the same folder; an embedded store has to be there.
    pub async fn open(settings: &Settings) -> anyhow::Result<Store> {
        if settings.database_url.is_none() {
            embedded_options(settings, false)?.data_dir.require_store()?;
        }
        Store::open_or_make(settings).await
    }

    /// Like `open`, and makes the embedded store where there is none.
    pub async fn open_or_make(settings: &Settings) -> anyhow::Result<Store> {
        match &settings.database_url {
            Some(url) => {
                let service = options(url.reveal(), "database-url")?;
                let owner = match &settings.owner_url {
                    Some(url) => options(url.reveal(), "owner-url")?,
                    None => service.clone(),
                };
                Store::prepared(owner, service, None).await
            }
            None => Store::open_embedded(embedded_options(settings, false)?, true).await,
        }
    }

    /// Like `open_or_make`, for a process that serves: it has to own the embedded store.
    pub async fn open_to_serve(settings: &Settings, throwaway: bool) -> anyhow::Result<Store> {
        match &settings.database_url {
            Some(_) => Store::open_or_make(settings).await,
            None => Store::open_embedded(embedded_options(settings, throwaway)?, false).await,
        }
    }

    pub async fn of_embedded(embedded: Embedded) -> anyhow::Result<Store> {
        let (owner, service) = (embedded.owner_url(), embedded.service_url());
        Store::prepared(options(&owner, "owner-url")?, options(&service, "database-url")?, Some(embedded)).await
    }

    async fn open_embedded(wanted: EmbeddedOptions, share: bool) -> anyhow::Result<Store> {
        match Embedded::start(wanted).await {
            Ok(embedded) => Store::of_embedded(embedded).await,
            Err(EmbeddedError::Owned { folder }) if share => {
                let found = Elsewhere::find(&folder)
                    .context(Unavailable("the store's postgres is starting or stopping; try again"))?;
                let (owner, service) =
                    (options(&found.owner_url, "owner-url")?, options(&found.service_url, "database-url")?);
                // Whoever serves it has migrated it.
                Ok(Store { owner, service, guarding: Guarding::RolesAndTriggers, embedded: None })
            }
            Err(error) => Err(error).context("cannot start the embedded postgres"),
        }
    }

    async fn prepared(
        owner: PgConnectOptions,
        service: PgConnectOptions,
        embedded: Option<Embedded>,
    ) -> anyhow::Result<Store> {
        let prepared = postgres::prepare(&owner, &service).await.context("cannot bring the database up to date");
        match (prepared, embedded) {
            (Ok(guarding), embedded) => Ok(Store { owner, service, guarding, embedded }),
            (Err(error), Some(embedded)) => {
                embedded.stop().await;
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Waits until the embedded Postgres has died for good.
    pub async fn died(&self) -> anyhow::Error {
        match &self.embedded {
            Some(embedded) => embedded.died().await.into(),
            None => std::future::pending().await,
        }
    }

    /// The folder of the embedded store, when this process runs it.
    pub fn data_dir(&self) -> Option<&std::path::Path> {
        self.embedded.as_ref().map(Embedded::data_dir)
    }

    /// A small pool with the service's role, for commands that only read: as many as a search takes at once.
    pub fn reader(&self) -> PgPool {
        sqlx::postgres::PgPoolOptions::new()
            .max_connections(4)
            .connect_lazy_with(postgres::with_search(self.service.clone()))
    }

    /// Stops what `open` has started.
    pub async fn close(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// What a server on this store is started with.
pub fn server_settings(
    store: &Store,
    settings: &Settings,
    embedding: &Embedding,
    metrics: Metrics,
) -> server::Settings {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    server::Settings {
        service: store.service.clone(),
        pools: PoolSettings {
            append_connections_max: settings.append_connections_max,
            read_connections_max: settings.read_connections_max,
            read_timeout: settings.read_statement_timeout,
        },
        writer: journal::Settings { queue_max: count(settings.queue_max), ..journal::Settings::default() },
        faces: Faces {
            cluster_id: settings.cluster_id.as_str().to_string(),
            public_url: settings.public_address().trim_end_matches('/').to_string(),
            allowed_origins: origins(settings),
            live_connections_max: count(settings.subscriptions_max),
            request_timeout: settings.request_timeout,
        },
        graphql: graphql_settings(settings),
        embedders: embedding.start(),
        choice: embedding.choice.clone(),
        feed: feed::Settings {
            followers_max: count(settings.subscriptions_max),
            kept_max: count(settings.subscription_lag_max).max(feed::KEPT_MIN),
        },
        metrics,
    }
}

/// Whose web pages may connect: those that are named, and those under the address that people are given.
fn origins(settings: &Settings) -> Vec<String> {
    let address = settings.public_address();
    let own = address.split('/').take(3).collect::<Vec<_>>().join("/");
    settings.allowed_origins.iter().map(str::to_string).chain([own]).collect()
}

/// What the GraphQL surface is started with, without an allow-list: the commands that only use a store send no documents.
pub fn graphql_settings(settings: &Settings) -> graphql::Settings {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    graphql::Settings {
        depth_max: count(settings.query_depth_max).min(graphql::DEPTH_MAX),
        complexity_max: count(settings.query_complexity_max),
        request_timeout: settings.request_timeout,
        slow_after: settings.slow_operation,
        introspection: settings.introspection,
        suggestions: settings.suggestions,
        allow_list: None,
    }
}

fn options(url: &str, setting: &str) -> anyhow::Result<PgConnectOptions> {
    // The address may hold a password, so it is not shown.
    PgConnectOptions::from_str(url).context(Usage(format!("`--{setting}` is no address of a Postgres")))
}
