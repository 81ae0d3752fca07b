//! The orderly end of a server: who sends requests hears of it, what runs is answered, and nothing delays it for ever.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::Connection as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    app::RECORD_AUDITS,
    postgres::{TestDatabase, connect, database},
    process::{Served, on_database, run},
    store::{DEADLINE, until},
    storm::{Notes, Retry, Storm, notifications, wait_for_projections},
};

/// So soon a server has ended that has nothing to wait for.
const SOON: Duration = Duration::from_secs(10);

async fn serve(db: &TestDatabase, more: &[&str]) -> Served {
    let mut command = on_database(db, &["serve"]);
    command.args(more);
    Served::start(command).await
}

/// Waits until it has ended, well, and within the bound.
async fn ends_well(server: &mut Served, within: Duration) {
    let begun = Instant::now();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    assert!(begun.elapsed() < within, "it took {:?}\n{}", begun.elapsed(), server.log());
}

async fn is_ready(server: &Served) -> u16 {
    server.client().get("/readyz").await.unwrap().status
}

async fn retires(server: &Served) {
    let begun = Instant::now();
    while is_ready(server).await == 200 {
        assert!(begun.elapsed() < DEADLINE, "the server is still ready");
    }
}

#[tokio::test]
async fn after_sigterm_a_server_is_not_ready_but_serves_until_everybody_has_heard_of_it() {
    let db = database().await;
    let mut server = serve(&db, &["--withdrawal-wait", "10m"]).await;
    server.signal(Signal::SIGTERM);
    retires(&server).await;

    assert_eq!(server.client().get("/livez").await.unwrap().status, 200);
    let body = json!({"query": RECORD_AUDITS, "variables": {"inputs": [notifications(1)]}}).to_string();
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length:";
    socket.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap(); // which ends, for the connection does
    assert!(answer.contains("connection: close\r\n") && answer.contains(r#""position":"1""#), "{answer}");

    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended().await.code(), Some(130), "a second signal ends it at once: {}", server.log());
}

#[tokio::test]
async fn who_stops_it_by_hand_does_not_wait() {
    let db = database().await;
    let mut server = serve(&db, &["--withdrawal-wait", "10m"]).await;
    server.signal(Signal::SIGINT);
    ends_well(&mut server, SOON).await;
    let log = server.log();
    for step in ["withdrawal", "drain", "followers", "flush", "workers", "pools", "postgres"] {
        assert!(log.contains(&format!("shutdown: `{step}` took ")), "no step `{step}` in\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_it_ends_within_its_bound_and_everything_acknowledged_is_there() {
    let db = database().await;
    let notes = Notes::on(notifications);
    let mut server = serve(&db, &["--withdrawal-wait", "200ms"]).await;
    let storm = Storm::start(&notes, 8, |_| server.client(), Retry::Never);
    until("the storm is under way", || notes.acknowledged() >= 300).await;
    server.signal(Signal::SIGTERM);
    ends_well(&mut server, SOON).await;
    storm.stop().await;

    let server = serve(&db, &[]).await;
    notes.compare(&mut server.client()).await;
    notes.send_all_again(&mut server.client()).await;
    wait_for_projections(&mut server.client(), notes.sent()).await;
    server.stop().await;
    run(on_database(&db, &["verify"])).await.done();
}

#[tokio::test]
async fn half_a_head_and_a_reader_that_does_not_read_do_not_delay_the_end() {
    let db = database().await;
    let mut server = serve(&db, &["--shutdown-grace", "2s"]).await;
    let mut half = TcpStream::connect(&server.address).await.unwrap();
    half.write_all(b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-le").await.unwrap();
    let mut slow = TcpStream::connect(&server.address).await.unwrap();
    // More answers than a socket holds, of which none is read.
    let ask = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    slow.write_all(ask.as_bytes()).await.unwrap();
    assert_eq!(is_ready(&server).await, 200);
    server.signal(Signal::SIGTERM);
    ends_well(&mut server, SOON).await;
}

#[tokio::test]
async fn an_append_that_hangs_is_answered_and_the_end_follows() {
    let db = database().await;
    let mut server = serve(&db, &[]).await;
    let mut owner = connect(&db.owner_url).await;
    let mut foreign = owner.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM journal_head FOR UPDATE").execute(&mut *foreign).await.unwrap();
    let mut client = server.client();
    let hanging = tokio::spawn(async move { client.record(&[notifications(1)]).await });
    waits_for_a_lock(&db).await;
    server.signal(Signal::SIGTERM);
    assert!(hanging.await.unwrap().is_none(), "it is told to come again");
    ends_well(&mut server, SOON).await;
}

async fn waits_for_a_lock(db: &TestDatabase) {
    let mut admin = connect(&db.admin_url).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, i64>(waiting).bind(&db.name).fetch_one(&mut admin).await.unwrap() == 0 {
        assert!(begun.elapsed() < DEADLINE, "nobody waits for a lock");
    }
}
