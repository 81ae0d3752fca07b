//! The pools of connections: one that appends never share, two for readers with a time limit, of which one searches, one for
//! the projections, and one for the other workers.

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex, PoisonError},
    thread::available_parallelism,
    time::{Duration, Instant},
};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::timeout;

use crate::deadline::Deadline;

/// One is the writer's own; the others look up what repeats have recorded before.
pub const APPEND_CONNECTIONS_MAX: u32 = 4;
pub const READ_CONNECTIONS_MAX: u32 = 16;
/// Each projection writes with one, while what comes next is read with another.
pub const PROJECT_CONNECTIONS_MAX: u32 = 4;
pub const WORK_CONNECTIONS_MAX: u32 = 3;
/// A search asks for words and for meaning side by side.
const SEARCH_CONNECTIONS_MIN: u32 = 2;
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How much later than a request Postgres gives up the request's statement: the request says first that it is late.
const DEADLINE_MARGIN: Duration = Duration::from_millis(50);
/// How long after its request's deadline a connection may come back with a time limit that was meant for that request.
const COMING_BACK: Duration = Duration::from_secs(60);

/// How long a caller waits for a connection before it hears that the database is not available.
const ACQUIRE_WAIT: Duration = Duration::from_secs(5);
/// For how long a connection that has answered is taken to be there still. One that has rested longer is asked first: of those
/// that are busy, asking would cost each read another trip to the database.
const ANSWERED_LATELY: Duration = Duration::from_millis(100);
/// How long a connection that has rested may take to answer, before a new one is opened.
const PING_WAIT: Duration = Duration::from_secs(1);
/// How long an append waits for the journal's head. Replicas hold it for one batch each, mostly some milliseconds and hardly
/// ever a second: whoever holds it for longer is stuck. The caller of an append has to be answered before it loses patience.
const APPEND_LOCK_WAIT: Duration = Duration::from_secs(3);
/// A second more than the writer waits for an append: what runs on after that is stuck, and would keep the head from others.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);
/// A replica that froze in the middle of a transaction must not hold the journal's head for ever. An append is one statement,
/// so between two of them there is nothing to think about.
const IDLE_IN_TRANSACTION_WAIT: Duration = Duration::from_secs(5);
/// How often Postgres looks whether the client of a long statement is still there. A statement that was given up gives up its
/// place before the head, too.
const CLIENT_CHECK: Duration = Duration::from_secs(1);
/// How long the other end of a connection may take no byte, and how soon a silent one is asked whether it is there. A
/// replica's machine that has vanished keeps its connections for half a minute, and not for the two hours of the kernel.
const NETWORK_WAIT: Duration = Duration::from_secs(10);
/// The same for readers, who may think between two statements.
const READ_IDLE_WAIT: Duration = Duration::from_secs(15);
/// A worker's step is bounded by its range; one that takes longer than this is stuck, and is tried again.
const WORK_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a worker waits for the answer to a statement: a little longer than Postgres lets it run.
pub const ANSWER_WAIT: Duration = Duration::from_secs(150);

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
    /// Readers too, with few connections for what goes through much memory: see `search_connections_max`.
    pub search: PgPool,
    /// The steps of the projections.
    pub project: PgPool,
    /// Embedding, partitions, gauges.
    pub work: PgPool,
}

impl Pools {
    /// Opens the pools without connecting yet: a database that is away for a while makes none of them unusable.
    pub fn open(service: &PgConnectOptions, settings: &PoolSettings) -> Pools {
        let service = &watched(service.clone());
        let append = service.clone().application_name("binnacle append").options([
            ("lock_timeout", millis(APPEND_LOCK_WAIT)),
            ("statement_timeout", millis(APPEND_TIMEOUT)),
            ("idle_in_transaction_session_timeout", millis(IDLE_IN_TRANSACTION_WAIT)),
            ("client_connection_check_interval", millis(CLIENT_CHECK)),
        ]);
        let read = with_search(service.clone()).options([
            ("statement_timeout", millis(settings.read_timeout)),
            // Filters are optional conditions in one text: only a plan made for the values at hand drops those not given.
            ("plan_cache_mode", "force_custom_plan".to_string()),
            // What readers wait for takes milliseconds, and to compile a plan takes longer than that. The planner thinks otherwise
            // where it counts the rows of all partitions, though it will look into one.
            ("jit", "off".to_string()),
            ("idle_in_transaction_session_timeout", millis(settings.read_timeout.max(READ_IDLE_WAIT))),
        ]);
        let work = service.clone().options([
            ("statement_timeout", millis(WORK_TIMEOUT)),
            // A step folds between its statements, which takes a while for long streams.
            ("idle_in_transaction_session_timeout", millis(WORK_TIMEOUT)),
            ("client_connection_check_interval", millis(CLIENT_CHECK)),
        ]);
        let project = with_kept_plans(work.clone());
        Pools {
            // One is the writer's own, and one alone would make those who repeat wait for each other.
            append: pool(settings.append_connections_max.saturating_sub(1).max(2)).connect_lazy_with(append),
            read: bounded(pool(settings.read_connections_max), settings.read_timeout)
                .connect_lazy_with(read.clone().application_name("binnacle read")),
            search: bounded(pool(search_connections_max(settings)), settings.read_timeout)
                // Mostly by key, so that their plans need not be made anew each time; a search takes several statements one after the other.
                // A search keeps its connection, which has the limit of when it was taken: a later statement that is given up is
                // ended because its client is gone.
                .connect_lazy_with(read.application_name("binnacle search").options([
                    ("plan_cache_mode", "auto".to_string()),
                    ("client_connection_check_interval", millis(CLIENT_CHECK)),
                ])),
            project: pool(PROJECT_CONNECTIONS_MAX).connect_lazy_with(project.application_name("binnacle project")),
            work: pool(WORK_CONNECTIONS_MAX).connect_lazy_with(work.application_name("binnacle work")),
        }
    }

    pub async fn close(&self) {
        self.append.close().await;
        self.read.close().await;
        self.search.close().await;
        self.project.close().await;
        self.work.close().await;
    }
}

/// What a search reads would fill a processor's caches many times over, and a pool lends its connections in turns: with more than
/// one for each processor each statement finds everything cold, and they only keep each other waiting.
fn search_connections_max(settings: &PoolSettings) -> u32 {
    let processors = available_parallelism().map_or(SEARCH_CONNECTIONS_MIN, |count| count.get() as u32);
    processors.max(SEARCH_CONNECTIONS_MIN).min(settings.read_connections_max)
}

/// A connection that searches by meaning: the index of vectors goes on until as many are found as are asked for; with how many it
/// begins, `search` tells it for each question. What is looked up one by one is another each time, so to remember what was
/// found costs more than it spares.
pub fn with_search(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("hnsw.iterative_scan", "relaxed_order"), ("enable_memoize", "off")])
}

/// A connection of a projection. What its steps ask is always the same and by key, so a statement is planned once; but for
/// look-ups in indexes alone, since the tables may have been small when it was.
pub fn with_kept_plans(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("jit", "off"),
    ])
}

/// A connection whose end Postgres notices: these are settings of its side. Over a Unix socket they mean nothing.
fn watched(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("tcp_user_timeout", millis(NETWORK_WAIT)),
        ("tcp_keepalives_idle", NETWORK_WAIT.as_secs().to_string()),
        ("tcp_keepalives_interval", "5".to_string()),
        ("tcp_keepalives_count", "3".to_string()),
    ])
}

fn pool(connections_max: u32) -> PgPoolOptions {
    let pool = PgPoolOptions::new().max_connections(connections_max).acquire_timeout(ACQUIRE_WAIT);
    pool.test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move { answers_still(connection, known.idle_for).await.map(|()| true) })
        })
        .after_release(|connection, _| Box::pin(async move { answers(connection).await.map(|()| true) }))
}

/// Whether a connection answers. The pool's own tests have no bound: a network that swallows everything would keep whoever
/// wants the connection for all the time that they may wait for one, and its place in the pool for ever.
async fn answers(connection: &mut PgConnection) -> sqlx::Result<()> {
    in_time(PING_WAIT, connection.ping()).await
}

/// The same of a connection that came back, and answered then, so long ago.
async fn answers_still(connection: &mut PgConnection, rested: Duration) -> sqlx::Result<()> {
    if rested < ANSWERED_LATELY { Ok(()) } else { answers(connection).await }
}

/// What comes of something that is asked of Postgres, or an error of the network where that takes longer than `wait`. Postgres bounds
/// its statements, but cannot tell whoever its answers do not reach.
pub async fn in_time<T, E: From<sqlx::Error>>(
    wait: Duration,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(wait, asked).await.unwrap_or_else(|_| Err(sqlx::Error::Io(ErrorKind::TimedOut.into()).into()))
}

/// A pool whose statements end with the request that they work for. To drop a request's work does not end its statement:
/// Postgres has to be told, and the one way that cannot get lost is to tell it beforehand. Whoever takes a connection with
/// less time left than `own`, the pool's own limit, gives the connection that limit; every other request pays nothing.
fn bounded(pool: PgPoolOptions, own: Duration) -> PgPoolOptions {
    let shortened = Shortened::default();
    let (connecting, acquiring, releasing) = (shortened.clone(), shortened.clone(), shortened);
    pool.after_connect(move |connection, _| {
        let shortened = connecting.clone();
        Box::pin(async move { shortened.limit(connection, own).await })
    })
    .before_acquire(move |connection, known| {
        let shortened = acquiring.clone();
        Box::pin(async move {
            answers_still(connection, known.idle_for).await?;
            shortened.limit(connection, own).await.map(|()| true)
        })
    })
    .after_release(move |connection, _| {
        let shortened = releasing.clone();
        Box::pin(async move {
            answers(connection).await?;
            in_time(PING_WAIT, shortened.reset(connection)).await.map(|()| true)
        })
    })
}

/// Until when some connection may come back with a limit that is not the pool's.
#[derive(Clone, Default)]
struct Shortened(Arc<Mutex<Option<Instant>>>);

impl Shortened {
    /// Gives a connection the limit of the request that takes it, where that is the shorter one.
    async fn limit(&self, connection: &mut PgConnection, own: Duration) -> sqlx::Result<()> {
        let Some(deadline) = Deadline::current() else { return Ok(()) };
        deadline.count_read();
        let limit = deadline.left() + DEADLINE_MARGIN;
        if limit >= own {
            return Ok(());
        }
        let until = Instant::now() + limit + COMING_BACK;
        self.with(|last| *last = Some(last.map_or(until, |last| last.max(until))));
        sqlx::query("SELECT set_config('statement_timeout', $1, false)")
            .bind(millis(limit))
            .execute(connection)
            .await
            .map(drop)
    }

    /// Gives a connection the pool's own limit again. Nobody waits for it, and mostly there is nothing to do.
    async fn reset(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        if self.with(|last| last.is_none_or(|last| last < Instant::now())) {
            return Ok(());
        }
        sqlx::raw_sql("RESET statement_timeout").execute(connection).await.map(drop)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Option<Instant>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A number without a unit is milliseconds to all of these settings.
fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
