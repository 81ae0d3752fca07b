//! The pools of connections: one that appends never share, one for readers with a time limit, one for the workers.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// The writer of a process holds one connection at a time; the others look up what repeats have recorded before.
pub const APPEND_CONNECTIONS_MAX: u32 = 4;
pub const READ_CONNECTIONS_MAX: u32 = 16;
pub const WORK_CONNECTIONS_MAX: u32 = 6;
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a caller waits for a connection before it hears that the database is not available.
const ACQUIRE_WAIT: Duration = Duration::from_secs(5);
/// How long an append waits for the journal's head, which another replica may hold.
const APPEND_LOCK_WAIT: Duration = Duration::from_secs(10);
/// An append that takes longer than this is stuck, and its outcome is found out by id.
const APPEND_TIMEOUT: Duration = Duration::from_secs(30);
/// A replica that froze in the middle of a transaction must not hold the journal's head for ever.
const IDLE_IN_TRANSACTION_WAIT: Duration = Duration::from_secs(15);
/// A worker's step is bounded by its range; one that takes longer than this is stuck, and is tried again.
const WORK_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
pub struct PoolSettings {
    pub append_connections_max: u32,
    pub read_connections_max: u32,
    pub read_timeout: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        PoolSettings {
            append_connections_max: APPEND_CONNECTIONS_MAX,
            read_connections_max: READ_CONNECTIONS_MAX,
            read_timeout: READ_TIMEOUT,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Pools {
    pub append: PgPool,
    pub read: PgPool,
    /// Projections, the listener, partitions.
    pub work: PgPool,
}

impl Pools {
    /// Opens the pools without connecting yet: a database that is away for a while makes none of them unusable.
    pub fn open(service: &PgConnectOptions, settings: &PoolSettings) -> Pools {
        let append = service.clone().application_name("binnacle append").options([
            ("lock_timeout", millis(APPEND_LOCK_WAIT)),
            ("statement_timeout", millis(APPEND_TIMEOUT)),
            ("idle_in_transaction_session_timeout", millis(IDLE_IN_TRANSACTION_WAIT)),
        ]);
        let read = with_search(service.clone()).application_name("binnacle read").options([
            ("statement_timeout", millis(settings.read_timeout)),
            // Filters are optional conditions in one text: only a plan made for the values at hand drops those not given.
            ("plan_cache_mode", "force_custom_plan".to_string()),
            ("idle_in_transaction_session_timeout", millis(settings.read_timeout.max(IDLE_IN_TRANSACTION_WAIT))),
        ]);
        let work = service.clone().application_name("binnacle work").options([
            ("statement_timeout", millis(WORK_TIMEOUT)),
            // A step folds between its statements, which takes a while for long streams.
            ("idle_in_transaction_session_timeout", millis(WORK_TIMEOUT)),
        ]);
        Pools {
            append: pool(settings.append_connections_max, append),
            read: pool(settings.read_connections_max, read),
            work: pool(WORK_CONNECTIONS_MAX, work),
        }
    }

    pub async fn close(&self) {
        self.append.close().await;
        self.read.close().await;
        self.work.close().await;
    }
}

/// A connection that searches by meaning: the index of vectors looks at 400 of them for one question, ten times as many as by
/// default, and then goes on until enough are found.
pub fn with_search(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("hnsw.ef_search", "400"), ("hnsw.iterative_scan", "relaxed_order")])
}

fn pool(connections_max: u32, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(connections_max).acquire_timeout(ACQUIRE_WAIT).connect_lazy_with(options)
}

/// A number without a unit is milliseconds to all of these settings.
fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
