//! More audits than the database takes: what is too much is refused at once, and what is taken goes on as before.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use binnacle::{
    audit::{Context, Event, Kind, Submission, limits::BATCH_MAX},
    journal::{self, Journal, Unavailable},
};
use chrono::Utc;
use serde_json::json;
use sqlx::Connection as _;
use tokio::{task::JoinSet, time::timeout};
use uuid::Uuid;

use crate::support::{
    app::{App, serve, until},
    postgres::{connect, database},
    proxy::{Proxy, Way},
};

/// Events of one request; four fill a batch.
const REQUEST_EVENTS: usize = 250;
const CLIENTS: usize = 8;
/// How long each commit takes.
const COMMIT: Duration = Duration::from_millis(400);
/// So long a round goes on.
const ROUND: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_load_is_refused_and_not_queued() {
    let app = App::start().await;
    let mut owner = app.owner().await;
    let slow = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({}); RETURN NULL; END $$;
         CREATE TRIGGER slow AFTER INSERT ON streams FOR EACH STATEMENT EXECUTE FUNCTION slow()",
        COMMIT.as_secs_f64()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(slow)).execute(&mut owner).await.unwrap();

    // Others use this machine too: what they take from one of the two rounds says nothing of ours.
    let mut attempts = Vec::new();
    while !attempts.iter().any(|(calm, stormy)| holds(calm, stormy)) {
        assert!(attempts.len() < 3, "{attempts:#?}");
        let journal = &app.server.app.journal;
        attempts.push((round(journal, CLIENTS).await, round(journal, 10 * CLIENTS).await));
    }
    until("the queue to be empty again", async || {
        app.server.app.metrics.text().unwrap().contains("binnacle_append_queue_events 0").then_some(())
    })
    .await;
}

fn holds(calm: &Round, stormy: &Round) -> bool {
    stormy.refused > 0
        && stormy.refusal_p50 < Duration::from_millis(5)
        && stormy.per_second >= calm.per_second * 0.8
        // The second that it may wait, and its own batch; where nobody is in excess, one waits for two batches at most.
        && stormy.p99 < Duration::from_secs(1) + calm.p99
}

/// An outage that was ridden over says nothing of how quick the database is: the queue is as long afterwards as before.
#[tokio::test]
async fn an_outage_that_was_ridden_over_does_not_shorten_the_queue() {
    const OUTAGE: Duration = Duration::from_secs(1); // the writer rides over two
    let mut db = database().await;
    let proxy = Proxy::before(&mut db.service_url);
    // So long that whatever else this machine does cannot shorten the queue to what the outage would have made of it.
    let settings = journal::Settings { wait_max: Duration::from_secs(12), ..journal::Settings::default() };
    let server = serve(&db, settings).await;
    let journal = &server.app.journal;
    proxy.goes(Way::Refused);
    let full: Vec<Event> = (0..BATCH_MAX / REQUEST_EVENTS).flat_map(|_| events()).collect();
    let recording = tokio::spawn({
        let journal = journal.clone();
        async move { journal.record(full, None).await }
    });
    tokio::time::sleep(OUTAGE).await; // its length
    assert!(!recording.is_finished(), "it does not wait for the database");
    proxy.goes(Way::Open);
    assert_eq!(recording.await.unwrap().unwrap().len(), BATCH_MAX);

    // Somebody holds the head, so that one waits: where nobody does, everything is admitted.
    let mut owner = connect(&db.owner_url).await;
    let mut foreign = owner.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM journal_head FOR UPDATE").execute(&mut *foreign).await.unwrap();
    let mut waiting = std::pin::pin!(journal.record(events(), None));
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
    journal.admit(settings.queue_max - REQUEST_EVENTS).unwrap();
    foreign.rollback().await.unwrap();
    waiting.await.unwrap();
}

#[derive(Debug)]
struct Round {
    /// Requests that were answered well.
    per_second: f64,
    refused: usize,
    p99: Duration,
    refusal_p50: Duration,
}

/// So many clients send one request after the other. Who is refused comes again after a moment, far sooner than it is told to.
async fn round(journal: &Journal, clients: usize) -> Round {
    const PAUSE: Duration = Duration::from_millis(20);
    let stop = Arc::new(AtomicBool::new(false));
    let times: Arc<Mutex<(Vec<Duration>, Vec<Duration>)>> = Arc::default();
    let events: Vec<Vec<Event>> = {
        let events = events();
        (0..clients).map(|_| events.clone()).collect()
    };
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut events in events {
        let (journal, stop, times) = (journal.clone(), stop.clone(), times.clone());
        tasks.spawn(async move {
            events.iter_mut().for_each(|event| event.event_id = Uuid::now_v7());
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                // As the faces do, before they do anything for a request.
                let answer = match journal.admit(REQUEST_EVENTS) {
                    Ok(()) => journal.record(events.clone(), None).await,
                    Err(refusal) => Err(refusal),
                };
                match answer {
                    Ok(_) => {
                        times.lock().unwrap().0.push(begun.elapsed());
                        events.iter_mut().for_each(|event| event.event_id = Uuid::now_v7());
                    }
                    Err(Unavailable::QueueFull { .. }) => {
                        times.lock().unwrap().1.push(begun.elapsed());
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    tokio::time::sleep(ROUND).await; // the length of the measurement
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let (mut accepted, mut refused) = std::mem::take(&mut *times.lock().unwrap());
    accepted.sort_unstable();
    refused.sort_unstable();
    Round {
        per_second: accepted.len() as f64 / begun.elapsed().as_secs_f64(),
        refused: refused.len(),
        p99: accepted[accepted.len() * 99 / 100],
        refusal_p50: refused.get(refused.len() / 2).copied().unwrap_or_default(),
    }
}

fn events() -> Vec<Event> {
    let now = Utc::now();
    (0..REQUEST_EVENTS)
        .map(|number| {
            let fields = json!({
                "remediationId": format!("rr-{number}"), "occurredAt": "2026-05-04T10:05:40Z",
                "notificationId": "nt-1", "channel": "slack", "status": "delivered"
            });
            let fields = fields.as_object().unwrap().clone();
            let context = Context { cluster_id: "default", now, fresh_id: Uuid::now_v7() };
            Submission::of_fields(Kind::Notification, fields).check(context).unwrap()
        })
        .collect()
}
