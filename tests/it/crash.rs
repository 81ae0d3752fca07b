//! Crashes and stops of whole processes: what was acknowledged stays, once, and what was not can be sent again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use binnacle::{audit::Position, journal::read};
use chrono::DateTime;
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    app::RECORD_AUDITS,
    postgres::empty_database,
    process::{Served, on_database, on_folder, postgres_stopped, postmaster, run},
    store::{DEADLINE, Folder, until},
    storm::{Notes, Retry, Storm, notifications, wait_for_projections},
};

const WRITERS: u128 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_kill_is_there_once_and_sending_all_again_harms_nothing() {
    let folder = Folder::new();
    let notes = Notes::on(notifications);
    for round in 1..=3 {
        let server = Served::start(on_folder(&folder, &["serve"])).await;
        let storm = Storm::start(&notes, WRITERS, |_| server.client(), Retry::Never);
        until("the storm is under way", || notes.acknowledged() >= round * 300).await;
        server.kill();
        storm.stop().await;

        let server = Served::start(on_folder(&folder, &["serve"])).await;
        notes.compare(&mut server.client()).await;
        notes.send_all_again(&mut server.client()).await;
        // Beside a server that runs, and again on a store that nobody serves.
        run(on_folder(&folder, &["verify"])).await.done();
        server.stop().await;
    }
    let told = run(on_folder(&folder, &["verify"])).await.done();
    assert!(told.contains(&format!("{} entries", notes.sent())), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_postgres_is_killed_recovers_by_itself_and_loses_nothing() {
    let folder = Folder::new();
    let server = Served::start(on_folder(&folder, &["serve"])).await;
    let notes = Notes::on(notifications);
    let storm = Storm::start(&notes, WRITERS, |_| server.client(), Retry::Always);
    for round in 1..=2 {
        until("the storm is under way", || notes.acknowledged() >= round * 400).await;
        let killed = postmaster(&folder.0).unwrap();
        kill(killed, Signal::SIGKILL).unwrap();
        until("postgres runs again", || postmaster(&folder.0).is_some_and(|pid| pid != killed)).await;
    }
    let before = notes.acknowledged();
    until("audits are recorded again", || notes.acknowledged() >= before + 400).await;
    storm.stop().await;

    let mut client = server.client();
    assert_eq!(notes.acknowledged(), notes.sent(), "each audit was sent until it was acknowledged");
    notes.compare(&mut client).await;
    notes.send_all_again(&mut client).await;
    wait_for_projections(&mut client, notes.sent()).await;
    assert_eq!(client.get("/readyz").await.unwrap().status, 200);
    run(on_folder(&folder, &["verify"])).await.done();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_that_start_together_on_an_empty_database_make_one_order() {
    const AUDITS: usize = 2_000;
    let db = empty_database().await;
    let serve = || {
        let mut command = on_database(&db, &["serve"]);
        command.args(["--append-connections-max", "2", "--read-connections-max", "4"]);
        command
    };
    let starting: Vec<_> = (0..3).map(|_| Served::starting(serve())).collect();
    let mut servers = Vec::new();
    for server in starting {
        servers.push(server.ready().await);
    }

    let notes = Notes::on(notifications);
    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(follow(db.service_url.clone(), stop.clone()));
    let storm = Storm::start(&notes, 16, |writer| servers[writer % 3].client(), Retry::AlsoWithoutNeed);
    until("the storm has done its work", || notes.acknowledged() >= AUDITS).await;
    storm.stop().await;
    stop.store(true, Ordering::Relaxed);

    let seen = reader.await.unwrap();
    assert!(seen > 0);
    for server in &servers {
        notes.compare(&mut server.client()).await;
    }
    notes.send_all_again(&mut servers[0].client()).await;
    wait_for_projections(&mut servers[1].client(), notes.sent()).await;
    for server in servers {
        server.stop().await;
    }
    run(on_database(&db, &["verify"])).await.done();
    let rebuilt = run(on_database(&db, &["rebuild", "--all", "--json"])).await;
    assert_eq!(rebuilt.code, Some(0), "the rivals' projections differ from a rebuild: {rebuilt:#?}");
}

#[tokio::test]
async fn on_sigterm_a_server_takes_no_more_ends_what_runs_and_stops_postgres() {
    let folder = Folder::new();
    let mut server = Served::start(on_folder(&folder, &["serve"])).await;
    let body = body(&[notifications(1)]);
    let mut running = server.client();
    running.begin_post(&body).await.unwrap();

    server.signal(Signal::SIGTERM);
    refuses_connections(&server).await;
    let answer = running.finish(&body).await.unwrap();

    assert_eq!(answer.json()["data"]["recordAudits"][0]["position"], "1", "{answer:?}");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    assert!(postmaster(&folder.0).is_none(), "postgres has to be stopped by then");
    let verified = run(on_folder(&folder, &["verify", "--json"])).await;
    assert_eq!(verified.json(), json!({"entries": 1, "streams": 1, "flaw": null}));
}

#[tokio::test]
async fn a_second_signal_ends_a_server_at_once_and_postgres_with_it() {
    let folder = Folder::new();
    let mut server = Served::start(on_folder(&folder, &["serve", "--shutdown-grace", "10m"])).await;
    let body = body(&[notifications(1)]);
    let mut running = server.client();
    running.begin_post(&body).await.unwrap();

    server.signal(Signal::SIGTERM);
    refuses_connections(&server).await;
    server.signal(Signal::SIGTERM);

    assert_eq!(server.ended().await.code(), Some(130), "{}", server.log());
    postgres_stopped(&folder).await;
}

/// Reads the journal as it grows, and answers how far it came.
async fn follow(service_url: String, stop: Arc<AtomicBool>) -> i64 {
    let db = PgPool::connect(&service_url).await.unwrap();
    let (mut last, mut since) = (Position(0), DateTime::UNIX_EPOCH);
    while !stop.load(Ordering::Relaxed) {
        for entry in read::after(&db, last, since, 500).await.unwrap() {
            assert_eq!(entry.position.0, last.0 + 1, "a reader saw a gap");
            (last, since) = (entry.position, entry.recorded_at);
        }
    }
    db.close().await;
    last.0
}

async fn refuses_connections(server: &Served) {
    let deadline = Instant::now() + DEADLINE;
    while server.client().get("/readyz").await.is_ok_and(|answer| answer.status == 200) {
        assert!(Instant::now() < deadline, "the server is still ready");
    }
}

fn body(inputs: &[Value]) -> String {
    json!({"query": RECORD_AUDITS, "variables": {"inputs": inputs}}).to_string()
}
