//! Subscriptions when connections, servers and the database's listener come and go.

use binnacle::caller::Callers;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{RECORD_AUDITS, ask, audit_input, serve, until},
    audits::notification,
    postgres::{TestDatabase, connect, database},
    process::{Served, on_database},
    storm::{Notes, Retry, Storm, notifications},
    subscriber::{Heard, Subscriber, listen},
};

const EVENTS: &str = "subscription($after: Watermark) { events(after: $after) { position watermark } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_is_cut_off_a_hundred_times_across_restarts_sees_every_position_once_and_in_order() {
    const CUTS: usize = 100;
    let db = database().await;
    let serve = || Served::start(on_database(&db, &["serve"]));
    let mut server = serve().await;
    let notes = Notes::on(notifications);
    let mut storm = Storm::start(&notes, 4, |_| server.client(), Retry::Never);
    let mut resume = server.client().data("{ system { origin } }", json!({})).await["system"]["origin"].take();
    let mut seen: Vec<i64> = Vec::new();
    let mut keep = |data: Value| {
        let event = &data["events"];
        seen.push(event["position"].as_str().unwrap().parse().unwrap());
        (seen.len(), event["watermark"].clone())
    };

    for cut in 1..=CUTS {
        let mut subscriber = Subscriber::start(&server.address, EVENTS, json!({"after": resume})).await;
        for _ in 0..1 + cut % 23 {
            (_, resume) = keep(subscriber.data().await);
        }
        if cut % 40 == 0 {
            // As a power cut does; what was under way is read to its end.
            server.kill();
            while let Heard::Data(data) = subscriber.hear().await {
                (_, resume) = keep(data);
            }
            storm.stop().await;
            server = serve().await;
            storm = Storm::start(&notes, 4, |_| server.client(), Retry::Never);
        }
    }
    storm.stop().await;

    let data = server.client().data("{ system { events } }", json!({})).await;
    let last: usize = data["system"]["events"].as_str().unwrap().parse().unwrap();
    let mut subscriber = Subscriber::start(&server.address, EVENTS, json!({"after": resume})).await;
    let mut count = 0;
    while count < last {
        (count, _) = keep(subscriber.data().await);
    }
    subscriber.silent().await;
    assert_eq!(seen, (1..=last as i64).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn a_subscriber_of_one_replica_is_told_what_another_records() {
    let db = database().await;
    let (one, other) = (serve(&db, Default::default()).await, serve(&db, Default::default()).await);
    let address = listen(one.router(Callers::anyone(), false)).await;
    let mut subscriber = Subscriber::start(&address, EVENTS, json!({})).await;
    until("the follower", async || (one.app.feed.followers() == 1).then_some(())).await;
    let router = other.router(Callers::anyone(), false);
    for number in 1..=5_u128 {
        let audit = audit_input(&notification("rr", Uuid::from_u128(number), "n"));
        let body = json!({"query": RECORD_AUDITS, "variables": {"inputs": [audit]}}).to_string();
        ask(&router, None, body).await;
        assert_eq!(subscriber.data().await["events"]["position"], number.to_string());
    }
}

#[tokio::test]
async fn a_lost_listener_costs_a_moment_and_no_event() {
    let db = database().await;
    let server = serve(&db, Default::default()).await;
    let router = server.router(Callers::anyone(), false);
    let address = listen(router.clone()).await;
    let mut subscriber = Subscriber::start(&address, EVENTS, json!({})).await;
    until("the follower", async || (server.app.feed.followers() == 1).then_some(())).await;
    for number in 1..=3_u128 {
        match number {
            1 => until("the listener, to lose it", || end_listeners(&db)).await,
            _ => _ = end_listeners(&db).await, // it may be away still
        }
        let audit = audit_input(&notification("rr", Uuid::from_u128(number), "n"));
        let body = json!({"query": RECORD_AUDITS, "variables": {"inputs": [audit]}}).to_string();
        ask(&router, None, body).await;
        assert_eq!(subscriber.data().await["events"]["position"], number.to_string());
    }
}

/// Ends the connections that listen, if there are any.
async fn end_listeners(db: &TestDatabase) -> Option<()> {
    let mut admin = connect(&db.admin_url).await;
    let ended: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query ILIKE '%LISTEN%' AND pid <> pg_backend_pid()",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    (!ended.is_empty()).then_some(())
}
