//! Crashes and stops of whole processes: what was acknowledged stays, once, and what was not can be sent again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use binnacle::{audit::Position, journal::read};
use chrono::DateTime;
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::{
    app::{RECORD_AUDITS, audit_input},
    audits::notification,
    client::Client,
    postgres::empty_database,
    process::{Served, on_database, on_folder, postgres_stopped, postmaster, run},
    store::{DEADLINE, Folder, until},
};

const WRITERS: u128 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_kill_is_there_once_and_sending_all_again_harms_nothing() {
    let folder = Folder::new();
    let notes = Arc::new(Notes::default());
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
    let notes = Arc::new(Notes::default());
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

    let notes = Arc::new(Notes::default());
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
    let body = body(&[audit(1)]);
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
    let body = body(&[audit(1)]);
    let mut running = server.client();
    running.begin_post(&body).await.unwrap();

    server.signal(Signal::SIGTERM);
    refuses_connections(&server).await;
    server.signal(Signal::SIGTERM);

    assert_eq!(server.ended().await.code(), Some(130), "{}", server.log());
    postgres_stopped(&folder).await;
}

/// What the writers of a storm have sent, and what they were told.
#[derive(Default)]
struct Notes {
    /// The audits by number, each with the position it was acknowledged at, if it was.
    audits: Mutex<BTreeMap<u128, Option<i64>>>,
    next: Mutex<u128>,
    acknowledged: AtomicUsize,
}

impl Notes {
    fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    fn sent(&self) -> usize {
        self.audits.lock().unwrap().len()
    }

    /// Takes numbers that nobody else sends, and notes them as sent.
    fn take(&self, count: u128) -> Vec<u128> {
        let mut next = self.next.lock().unwrap();
        let taken: Vec<u128> = (*next + 1..=*next + count).collect();
        *next += count;
        self.audits.lock().unwrap().extend(taken.iter().map(|number| (*number, None)));
        taken
    }

    fn note(&self, number: u128, receipt: &Value) {
        let position = receipt["position"].as_str().unwrap_or_else(|| panic!("{receipt:#}")).parse().unwrap();
        let told = self.audits.lock().unwrap().insert(number, Some(position)).flatten();
        match told {
            None => _ = self.acknowledged.fetch_add(1, Ordering::Relaxed),
            Some(before) => assert_eq!(before, position, "audit {number} got another receipt"),
        }
    }

    /// Compares with what the server has: each acknowledged audit at its place, and nothing that was never sent.
    async fn compare(&self, client: &mut Client) {
        let audits: Vec<(u128, Option<i64>)> = self.audits.lock().unwrap().clone().into_iter().collect();
        let mut there = 0;
        for page in audits.chunks(100) {
            let ids: Vec<Uuid> = page.iter().map(|(number, _)| id(*number)).collect();
            let query = "query($ids: [UUID!]!) { eventsById(eventIds: $ids) { position eventId } }";
            let data = client.data(query, json!({"ids": ids})).await;
            for ((number, told), event) in page.iter().zip(data["eventsById"].as_array().unwrap()) {
                there += usize::from(!event.is_null());
                if let Some(position) = told {
                    assert_eq!(event["position"], position.to_string(), "audit {number} was acknowledged: {event}");
                }
            }
        }
        let system = client.data("{ system { events } }", json!({})).await;
        assert_eq!(system["system"]["events"], there.to_string(), "some event is there twice");
    }

    /// Sends everything again; then each audit is there once, and together they fill the journal without a hole.
    async fn send_all_again(&self, client: &mut Client) {
        let numbers: Vec<u128> = self.audits.lock().unwrap().keys().copied().collect();
        for page in numbers.chunks(500) {
            let inputs: Vec<Value> = page.iter().map(|number| audit(*number)).collect();
            let results = client.record(&inputs).await.expect("nothing is in the way now");
            for (number, result) in page.iter().zip(&results) {
                let known = self.audits.lock().unwrap()[number].is_some();
                assert!(!known || result["duplicate"] == true, "audit {number} was acknowledged before: {result:#}");
                self.note(*number, result);
            }
        }
        let mut positions: Vec<i64> = self.audits.lock().unwrap().values().copied().flatten().collect();
        positions.sort_unstable();
        assert_eq!(positions, (1..=numbers.len() as i64).collect::<Vec<_>>());
        self.compare(client).await;
    }
}

/// What a writer does after a batch.
#[derive(Clone, Copy, PartialEq)]
enum Retry {
    /// Ends when a batch is not acknowledged.
    Never,
    /// Sends a batch until it is acknowledged.
    Always,
    /// And, every third time, sends an acknowledged batch again.
    AlsoWithoutNeed,
}

struct Storm {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Storm {
    fn start(notes: &Arc<Notes>, writers: u128, client: impl Fn(usize) -> Client, retry: Retry) -> Storm {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..writers)
            .map(|writer| tokio::spawn(write(client(writer as usize), notes.clone(), stop.clone(), writer, retry)));
        Storm { writers: writers.collect(), stop }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.unwrap();
        }
    }
}

/// Sends batches of one to five audits, over one connection, until told to stop.
async fn write(mut client: Client, notes: Arc<Notes>, stop: Arc<AtomicBool>, writer: u128, retry: Retry) {
    let mut turn = writer;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let numbers = notes.take(1 + turn % 5);
        let inputs: Vec<Value> = numbers.iter().map(|number| audit(*number)).collect();
        let results = match retry {
            Retry::Never => match client.record(&inputs).await {
                Some(results) => results,
                None => return,
            },
            Retry::Always | Retry::AlsoWithoutNeed => record_at_last(&mut client, &inputs).await,
        };
        for (number, result) in numbers.iter().zip(&results) {
            notes.note(*number, result);
        }
        if retry == Retry::AlsoWithoutNeed && turn.is_multiple_of(3) {
            let again = record_at_last(&mut client, &inputs).await;
            for (number, result) in numbers.iter().zip(&again) {
                assert_eq!(result["duplicate"], true, "{result:#}");
                notes.note(*number, result);
            }
        }
    }
}

/// Sends a batch until it is acknowledged, as a careful client does.
async fn record_at_last(client: &mut Client, inputs: &[Value]) -> Vec<Value> {
    const PAUSE: Duration = Duration::from_millis(20);
    const PATIENCE: Duration = Duration::from_secs(60);
    let begun = Instant::now();
    loop {
        if let Some(results) = client.record(inputs).await {
            return results;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is acknowledged any more");
        tokio::time::sleep(PAUSE).await;
    }
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

/// Waits until every projection has come to the end of the journal.
async fn wait_for_projections(client: &mut Client, last: usize) {
    let (last, deadline) = (last.to_string(), Instant::now() + DEADLINE);
    loop {
        let data = client.data("{ system { projections { position } deadLetters { error } } }", json!({})).await;
        let projections = data["system"]["projections"].as_array().unwrap();
        if projections.iter().all(|projection| projection["position"] == last.as_str()) {
            assert_eq!(data["system"]["deadLetters"], json!([]));
            return;
        }
        assert!(Instant::now() < deadline, "the projections do not catch up: {data:#}");
    }
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

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn audit(number: u128) -> Value {
    audit_input(&notification(&format!("rr-{}", number % 20), id(number), &format!("nt-{number}")))
}
