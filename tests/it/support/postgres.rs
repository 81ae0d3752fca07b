//! One throw-away Postgres for all tests of this process, and a database of its own for each.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use binnacle::postgres::{self, DataDir, Embedded, EmbeddedOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::app::DEADLINE;

/// The log alone may grow to half of this.
const MEMORY_BYTES_MIN: u64 = 4 << 30;

/// A migrated database that goes when this value goes.
#[allow(dead_code)] // each story needs its own part of it
pub struct TestDatabase {
    pub name: String,
    pub owner_url: String,
    pub service_url: String,
    pub admin_url: String,
}

/// Copies the migrated template into a new database.
pub async fn database() -> TestDatabase {
    copy_of("binnacle").await
}

/// A new database that nobody has migrated, with the extension that only an administrator can add.
pub async fn empty_database() -> TestDatabase {
    let database = copy_of("template1").await;
    let mut admin = connect(&database.admin_url).await;
    sqlx::raw_sql("CREATE EXTENSION vector").execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    database
}

async fn copy_of(template: &str) -> TestDatabase {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let server = &*SERVER;
    let mut admin = connect(&server.admin_url).await;
    // Copying files is quicker here than writing each page to the log.
    let copy = format!("CREATE DATABASE {name} TEMPLATE {template} OWNER binnacle_owner STRATEGY file_copy");
    sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    TestDatabase {
        owner_url: of_database(&server.owner_url, &name),
        service_url: of_database(&server.service_url, &name),
        admin_url: of_database(&server.admin_url, &name),
        name,
    }
}

pub fn options(url: &str) -> PgConnectOptions {
    PgConnectOptions::from_str(url).unwrap()
}

pub async fn connect(url: &str) -> PgConnection {
    options(url).connect().await.unwrap()
}

/// Waits until connections of this name wait for a lock in the database, or until none does.
pub async fn locked(db: &TestDatabase, name: &str, waiting: bool) {
    let mut admin = connect(&db.admin_url).await;
    let asked = "SELECT EXISTS (SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = $1 AND wait_event_type = 'Lock')";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, bool>(asked).bind(name).fetch_one(&mut admin).await.unwrap() != waiting {
        assert!(begun.elapsed() < DEADLINE, "`{name}` waits for a lock: {}", !waiting);
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let _ = SERVER.drops.send(self.name.clone());
    }
}

struct Server {
    admin_url: String,
    owner_url: String,
    service_url: String,
    drops: UnboundedSender<String>,
}

/// Lives on a thread and a runtime of its own, since each test's runtime ends with its test.
///
/// Nobody stops it: however this process ends, the guard of the embedded Postgres stops it and deletes its data.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(send));
    });
    receive.recv().expect("the test server starts")
});

async fn serve(send: mpsc::Sender<Server>) {
    let data_dir = memory().map_or(DataDir::Throwaway, DataDir::ThrowawayIn);
    let embedded = Embedded::start(EmbeddedOptions { data_dir, pg_bin_dir: None }).await.unwrap();
    postgres::prepare(&self::options(&embedded.owner_url()), &self::options(&embedded.service_url())).await.unwrap();
    let (drops, dropped) = unbounded_channel();
    let server = Server {
        admin_url: embedded.admin_url("postgres"),
        owner_url: embedded.owner_url(),
        service_url: embedded.service_url(),
        drops,
    };
    let mut admin = connect(&server.admin_url).await;
    send.send(server).unwrap_or_else(|_| unreachable!("the receiver waits"));
    drop_databases(&mut admin, dropped).await;
}

/// A folder in memory, where there is plenty: a new database takes a tenth of the time there, with the same settings.
pub fn memory() -> Option<PathBuf> {
    let memory = Path::new("/dev/shm");
    let found = nix::sys::statvfs::statvfs(memory).ok()?;
    (found.blocks_available() * found.fragment_size() >= MEMORY_BYTES_MIN).then(|| memory.to_owned())
}

/// A hundred databases left lying would fill the disk of a small machine.
async fn drop_databases(admin: &mut PgConnection, mut dropped: UnboundedReceiver<String>) {
    while let Some(name) = dropped.recv().await {
        let _ = sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut *admin).await;
    }
}

fn of_database(url: &str, name: &str) -> String {
    let (before, after) = url.split_once("/binnacle?").or_else(|| url.split_once("/postgres?")).unwrap();
    format!("{before}/{name}?{after}")
}

/// Executes a statement that must lack the right, and tells why it does.
pub async fn refused(connection: &mut PgConnection, statement: &str) -> String {
    let error = sqlx::raw_sql(AssertSqlSafe(statement.to_string())).execute(connection).await.expect_err(statement);
    let refusal = error.as_database_error().unwrap_or_else(|| panic!("{statement}: {error}"));
    assert_eq!(refusal.code().as_deref(), Some("42501"), "{statement}: {error}");
    refusal.message().to_string()
}
