//! Writers that send audits without a pause, and notes of what they were told, to compare with what is there afterwards.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{app::audit_input, audits::notification, client::Client, store::DEADLINE};

/// What the writers of a storm have sent, and what they were told.
pub struct Notes {
    /// The audit of a number.
    audit: fn(u128) -> Value,
    /// The audits by number, each with the position it was acknowledged at, if it was.
    audits: Mutex<BTreeMap<u128, Option<i64>>>,
    next: Mutex<u128>,
    acknowledged: AtomicUsize,
}

impl Notes {
    /// Notes on audits that each number stands for; they are to carry `event_id` of it.
    pub fn on(audit: fn(u128) -> Value) -> Arc<Notes> {
        Arc::new(Notes { audit, audits: Mutex::default(), next: Mutex::default(), acknowledged: AtomicUsize::new(0) })
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub fn sent(&self) -> usize {
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
    pub async fn compare(&self, client: &mut Client) {
        let audits: Vec<(u128, Option<i64>)> = self.audits.lock().unwrap().clone().into_iter().collect();
        let mut there = 0;
        for page in audits.chunks(100) {
            let ids: Vec<Uuid> = page.iter().map(|(number, _)| event_id(*number)).collect();
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
    pub async fn send_all_again(&self, client: &mut Client) {
        let numbers: Vec<u128> = self.audits.lock().unwrap().keys().copied().collect();
        for page in numbers.chunks(500) {
            let inputs: Vec<Value> = page.iter().map(|number| (self.audit)(*number)).collect();
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
pub enum Retry {
    /// Ends when a batch is not acknowledged.
    Never,
    /// Sends a batch until it is acknowledged.
    Always,
    /// And, every third time, sends an acknowledged batch again.
    AlsoWithoutNeed,
}

pub struct Storm {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Storm {
    pub fn start(notes: &Arc<Notes>, writers: u128, client: impl Fn(usize) -> Client, retry: Retry) -> Storm {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..writers)
            .map(|writer| tokio::spawn(write(client(writer as usize), notes.clone(), stop.clone(), writer, retry)));
        Storm { writers: writers.collect(), stop }
    }

    pub async fn stop(self) {
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
        let inputs: Vec<Value> = numbers.iter().map(|number| (notes.audit)(*number)).collect();
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

/// Waits until every projection has come to the end of the journal.
pub async fn wait_for_projections(client: &mut Client, last: usize) {
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

/// The id that the audit of a number has.
pub fn event_id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Notifications of twenty remediations in turn.
pub fn notifications(number: u128) -> Value {
    audit_input(&notification(&format!("rr-{}", number % 20), event_id(number), &format!("nt-{number}")))
}
