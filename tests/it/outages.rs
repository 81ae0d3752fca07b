//! A database that is in trouble: every append is answered within a bound, the answer says whether anything may be recorded,
//! who comes later hears it at once, and when the trouble is over appends go on by themselves.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _};
use uuid::Uuid;

use crate::support::{
    app::{App, RECORD_AUDITS, audit_input, request, until},
    audits::notification,
    postgres::{TestDatabase, connect, database, locked},
    process::postmaster,
    proxy::{Proxy, Way},
    store::{Folder, start},
};

/// So soon whoever finds out has an answer. The writer gives up after five seconds; a busy machine may add to that.
const FIRST_WITHIN: Duration = Duration::from_secs(8);
/// So soon whoever comes after them has one.
const NEXT_WITHIN: Duration = Duration::from_millis(50);

const SURE: &str = "nothing of this is recorded";
const UNSURE: &str = "may or may not be recorded";

/// The error that a request to record this audit gets.
async fn refused(app: &App, number: u128) -> Value {
    let mut answer = app.ask(RECORD_AUDITS, json!({"inputs": [input(number)]})).await;
    let error = answer["errors"][0].take();
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{answer:#} {error:#}");
    assert_eq!(error["extensions"]["retryable"], true, "{error:#}");
    error
}

fn input(number: u128) -> Value {
    audit_input(&notification("rr", Uuid::from_u128(number), "nt"))
}

/// Waits until this audit is recorded, and says whether it had been before.
async fn recorded(app: &App, number: u128) -> bool {
    until("the audit to be recorded", async || {
        let answer = app.ask(RECORD_AUDITS, json!({"inputs": [input(number)]})).await;
        let result = &answer["data"]["recordAudits"][0];
        (result["__typename"] == "Recorded").then(|| result["duplicate"].as_bool().unwrap())
    })
    .await
}

async fn get(app: &App, path: &str) -> crate::support::app::Answer {
    let request = axum::http::Request::builder().method(Method::GET).uri(path).body(Default::default()).unwrap();
    self::request(&app.router, request).await
}

/// The trouble is there: the first to find out is told within the bound, in these words; the next one at once.
async fn is_borne(app: &App, trouble: &str, surely: bool) {
    let begun = Instant::now();
    let first = refused(app, 1).await;
    let took = begun.elapsed();
    assert!(took < FIRST_WITHIN, "the first waited for {took:?}");
    let message = first["message"].as_str().unwrap();
    assert!(message.contains(trouble), "{message}");
    assert!(message.contains(if surely { SURE } else { UNSURE }), "{message}");

    let mut quickest = Duration::MAX;
    for number in 2..12 {
        let begun = Instant::now();
        let next = refused(app, number).await;
        quickest = quickest.min(begun.elapsed());
        assert!(next["message"].as_str().unwrap().contains(SURE), "{next:#}");
        assert!(next["extensions"]["retryAfterMs"].as_u64().is_some_and(|wait| wait <= 2_250), "{next:#}");
    }
    assert!(quickest < NEXT_WITHIN, "those who came later waited for at least {quickest:?}");

    let body = json!({"status": "lost"}).to_string(); // refused before it is read, or it would be no audit
    let rest = axum::http::Request::post("/api/v1/audit/notifications").header("content-type", "application/json");
    let rest = request(&app.router, rest.body(body.into()).unwrap()).await;
    assert_eq!(rest.status, StatusCode::SERVICE_UNAVAILABLE, "{}", rest.text);
    let wait: u64 = rest.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");

    let ready = get(app, "/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let check = &ready.json()["checks"][0];
    assert_eq!((check["name"].as_str(), check["state"].as_str()), (Some("journal"), Some("failed")), "{check:#}");
    assert!(check["detail"].as_str().unwrap().starts_with("the "), "{check:#}");
    assert_eq!(get(app, "/livez").await.status, StatusCode::OK);
    let metrics = get(app, "/metrics").await.text;
    assert!(metrics.contains("binnacle_append_breaker_open 1"), "{metrics}");
    assert!(metrics.contains(r#"binnacle_append_refused_total{reason="away"}"#), "{metrics}");
}

/// The trouble is over: appends go on, and each audit is there once.
async fn goes_on(app: &App, surely: bool) {
    let duplicate = recorded(app, 1).await;
    assert!(!(surely && duplicate), "it was told that nothing is recorded");
    assert_eq!(app.data("{ system { events } }", json!({})).await["system"]["events"], "1");
    assert!(get(app, "/metrics").await.text.contains("binnacle_append_breaker_open 0"));
    until("the server to be ready", async || (get(app, "/readyz").await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn connections_that_are_refused() {
    let mut db = database().await;
    let proxy = Proxy::before(&mut db.service_url);
    let app = App::on(db).await;
    proxy.goes(Way::Refused);
    is_borne(&app, "the database refuses connections", true).await;
    proxy.goes(Way::Open);
    goes_on(&app, true).await;
}

#[tokio::test]
async fn a_network_that_swallows_everything() {
    let mut db = database().await;
    let proxy = Proxy::before(&mut db.service_url);
    let app = App::on(db).await;
    // With a connection that is open, what was sent may have arrived.
    assert!(!recorded(&app, 1).await);
    proxy.goes(Way::Swallowed);
    let begun = Instant::now();
    let lost = refused(&app, 2).await;
    assert!(begun.elapsed() < FIRST_WITHIN, "it waited for {:?}", begun.elapsed());
    assert!(lost["message"].as_str().unwrap().contains(UNSURE), "{lost:#}");
    // Those who come later surely have nothing recorded: nothing of theirs was sent.
    let next = refused(&app, 3).await;
    assert!(next["message"].as_str().unwrap().contains("the database does not answer; nothing of this"), "{next:#}");
    proxy.goes(Way::Open);
    recorded(&app, 2).await;
    assert!(!recorded(&app, 3).await);
    assert_eq!(app.data("{ system { events } }", json!({})).await["system"]["events"], "3");
}

#[tokio::test]
async fn a_network_that_swallows_connections() {
    let mut db = database().await;
    let proxy = Proxy::before(&mut db.service_url);
    let app = App::on(db).await;
    proxy.goes(Way::Swallowed);
    is_borne(&app, "the database does not answer", true).await;
    proxy.goes(Way::Open);
    goes_on(&app, true).await;
}

#[tokio::test]
async fn a_network_that_swallows_what_workers_have_asked() {
    let mut db = database().await;
    let proxy = Proxy::before(&mut db.service_url);
    let app = App::on(db).await;
    let mut owner = app.owner().await;
    // Whatever looks at the cursors waits, so that its statement is under way when the network fails.
    let mut foreign = owner.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE projection_cursors IN ACCESS EXCLUSIVE MODE").execute(&mut *foreign).await.unwrap();
    for name in ["binnacle work", "binnacle project"] {
        locked(&app.db, name, true).await;
    }
    proxy.goes(Way::Swallowed);
    foreign.rollback().await.unwrap();
    for name in ["binnacle work", "binnacle project"] {
        locked(&app.db, name, false).await; // no answer is under way any more
    }
    proxy.goes(Way::Open);
    assert!(!recorded(&app, 1).await);
    until("the server to be ready", async || (get(&app, "/readyz").await.status == 200).then_some(())).await;
    // The gauges were asked for again: one of the projections, whose steps may take longer, is behind by what was recorded.
    let behind = |text: &str| {
        text.lines().any(|line| line.starts_with("binnacle_projection_lag_events{") && line.ends_with(" 1"))
    };
    until("the gauges to be set", async || behind(&get(&app, "/metrics").await.text).then_some(())).await;
}

#[tokio::test]
async fn a_head_that_somebody_else_holds_and_readers_go_on() {
    let app = App::start().await;
    let mut owner = app.owner().await;
    let mut foreign = owner.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM journal_head FOR UPDATE").execute(&mut *foreign).await.unwrap();
    is_borne(&app, "the journal's head is held by someone else", true).await;
    assert_eq!(app.data("{ system { events } }", json!({})).await["system"]["events"], "0");
    foreign.rollback().await.unwrap();
    goes_on(&app, true).await;
}

#[tokio::test]
async fn a_head_whose_table_is_locked_away() {
    let app = App::start().await;
    let mut owner = app.owner().await;
    let mut foreign = owner.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE journal_head IN ACCESS EXCLUSIVE MODE").execute(&mut *foreign).await.unwrap();
    is_borne(&app, "the journal's head is held by someone else", true).await;
    foreign.rollback().await.unwrap();
    goes_on(&app, true).await;
}

#[tokio::test]
async fn a_database_that_is_read_only() {
    let app = App::start().await;
    set(&app.db, "SET default_transaction_read_only = on").await;
    is_borne(&app, "the database is read-only", true).await;
    set(&app.db, "RESET default_transaction_read_only").await;
    goes_on(&app, true).await;
}

#[tokio::test]
async fn a_database_without_a_connection_left() {
    let app = App::start().await;
    set(&app.db, "CONNECTION LIMIT 0").await;
    is_borne(&app, "the database has no connection left", true).await;
    set(&app.db, "CONNECTION LIMIT -1").await;
    goes_on(&app, true).await;
}

/// Changes the database for the sessions to come, and ends those that are there.
async fn set(db: &TestDatabase, change: &str) {
    let mut admin = connect(&db.admin_url.replace(&db.name, "postgres")).await;
    let change = format!("ALTER DATABASE {} {change}", db.name);
    sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut admin).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(end).bind(&db.name).execute(&mut admin).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_is_full() {
    let app = App::start().await;
    let mut owner = app.owner().await;
    sqlx::raw_sql(
        "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
         CREATE TRIGGER no_space BEFORE INSERT ON streams FOR EACH ROW EXECUTE FUNCTION no_space()",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    for _ in 0..3 {
        // A probe stores nothing, so the breaker may close meanwhile: then the next one finds out.
        let told = refused(&app, 1).await;
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("the database's disk is full") && message.contains(SURE), "{message}");
    }
    sqlx::raw_sql("DROP TRIGGER no_space ON streams").execute(&mut owner).await.unwrap();
    goes_on(&app, true).await;
}

#[tokio::test]
async fn a_postgres_that_is_frozen() {
    let folder = Folder::new();
    let embedded = start(&folder).await;
    let (owner, service) = (embedded.owner_url(), embedded.service_url());
    binnacle::postgres::prepare(&owner.parse().unwrap(), &service.parse().unwrap()).await.unwrap();
    let db = TestDatabase {
        name: "of its own".to_string(),
        owner_url: owner,
        service_url: service,
        admin_url: embedded.admin_url("postgres"),
    };
    let app = App::on(db).await;
    let frozen = all_of(postmaster(&folder.0).unwrap());
    frozen.iter().for_each(|pid| kill(*pid, Signal::SIGSTOP).unwrap());

    let begun = Instant::now();
    let first = refused(&app, 1).await;
    assert!(begun.elapsed() < FIRST_WITHIN, "it waited for {:?}", begun.elapsed());
    assert!(first["message"].as_str().unwrap().contains("the database does not answer"), "{first:#}");
    let begun = Instant::now();
    refused(&app, 2).await;
    assert!(begun.elapsed() < FIRST_WITHIN / 8, "it waited for {:?}", begun.elapsed());

    frozen.iter().for_each(|pid| kill(*pid, Signal::SIGCONT).unwrap());
    goes_on(&app, true).await;
    app.server.stop().await;
    embedded.stop().await;
}

/// A Postgres's first process and all its children.
fn all_of(postmaster: Pid) -> Vec<Pid> {
    let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent: i32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        (parent == postmaster.as_raw()).then(|| Pid::from_raw(pid))
    });
    std::iter::once(postmaster).chain(children).collect()
}

#[tokio::test]
async fn readers_that_have_taken_every_connection_do_not_keep_appends_waiting() {
    let app = App::start().await;
    let reader = app.server.app.journal.reader();
    let mut taken = Vec::new();
    while taken.len() < reader.options().get_max_connections() as usize {
        taken.push(reader.acquire().await.unwrap());
    }
    let queries: Vec<_> = (0..50)
        .map(|_| {
            let router = app.router.clone();
            tokio::spawn(async move {
                let body = json!({"query": "{ system { events } }"}).to_string();
                crate::support::app::ask(&router, None, body).await
            })
        })
        .collect();
    for number in 1..=20 {
        let begun = Instant::now();
        assert!(!recorded(&app, number).await);
        assert!(recorded(&app, number).await, "and what repeats is looked up");
        assert!(begun.elapsed() < Duration::from_secs(2), "it waited for {:?}", begun.elapsed());
    }
    assert!(queries.iter().all(|query| !query.is_finished()), "the readers wait");
    drop(taken);
    for query in queries {
        assert!(query.await.unwrap().1.get("errors").is_none());
    }
}
