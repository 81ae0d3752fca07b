//! The one writer of a process: it takes whatever waits and appends it in one transaction, while the next batch gathers.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, postgres::PgDatabaseError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot, watch};
use tracing::{error, warn};

use super::{Place, Receipt, Unavailable};
use crate::{
    audit::{Event, Position, Version, canonical::Digest, limits},
    fail_points,
    telemetry::Metrics,
};

/// Bounds of the writer.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Most events that may wait; beyond it the caller is told to try again.
    pub queue_max: usize,
    /// How long a batch whose outcome is unknown is tried again before its callers are told.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { queue_max: 10_000, patience: Duration::from_secs(5) }
    }
}

/// How long to wait before a batch is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The longest that one call of the append function may take: longer than the server's own limit on waiting for the head.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Most bytes of payload that may wait, in KiB.
const QUEUE_KIB_MAX: usize = 64 * 1024;

type Answer = oneshot::Sender<Result<Vec<Receipt>, Unavailable>>;

struct Request {
    events: Vec<Event>,
    digests: Vec<Digest>,
    recorded_by: Option<String>,
    /// Made history: the time of each event.
    sealed_ats: Option<Vec<DateTime<Utc>>>,
    since: Instant,
    answer: Answer,
    bytes: usize,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

#[derive(Clone)]
pub struct Handle {
    requests: mpsc::UnboundedSender<Request>,
    room: Arc<Semaphore>,
    /// The same in KiB of payload: many large audits must not fill the memory.
    room_kib: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    /// Whether everything is answered.
    done: watch::Receiver<bool>,
    settings: Settings,
    metrics: Metrics,
}

/// Starts the writer.
pub fn start(pool: PgPool, settings: Settings, metrics: Metrics) -> Handle {
    // The semaphore bounds the queue: a request holds a permit for each of its events until it is answered.
    let (requests, queue) = mpsc::unbounded_channel();
    let (closing, closed) = watch::channel(false);
    let room = Arc::new(Semaphore::new(settings.queue_max));
    let writer =
        Writer { pool, queue, closed, held: VecDeque::new(), room: room.clone(), settings, metrics: metrics.clone() };
    let (finished, done) = watch::channel(false);
    tokio::spawn(async move {
        writer.run().await;
        finished.send_replace(true);
    });
    Handle { requests, room, room_kib: Arc::new(Semaphore::new(QUEUE_KIB_MAX)), closing, done, settings, metrics }
}

impl Handle {
    pub fn submit(
        &self,
        events: Vec<Event>,
        recorded_by: Option<String>,
        sealed_ats: Option<Vec<DateTime<Utc>>>,
        answer: Answer,
    ) -> Result<(), Unavailable> {
        if *self.closing.borrow() {
            return Err(Unavailable::Closed);
        }
        let bytes = events.iter().map(|event| event.payload.text().len()).sum::<usize>();
        let take = |room: &Arc<Semaphore>, wanted: usize| {
            let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
            room.clone().try_acquire_many_owned(wanted).map_err(|refusal| match refusal {
                TryAcquireError::Closed => Unavailable::Closed,
                TryAcquireError::NoPermits => {
                    Unavailable::QueueFull { waiting: self.settings.queue_max - self.room.available_permits() }
                }
            })
        };
        let room = (take(&self.room, events.len())?, take(&self.room_kib, bytes / 1024)?);
        self.metrics.append_queue(self.settings.queue_max - self.room.available_permits());
        // Hashed here, in the caller's task, so that the writer does nothing but write.
        let digests = events.iter().map(Event::digest).collect();
        let request =
            Request { events, digests, recorded_by, sealed_ats, since: Instant::now(), answer, bytes, _room: room };
        self.requests.send(request).map_err(|_| Unavailable::Closed)
    }

    pub async fn close(&self) {
        self.closing.send_replace(true);
        let _ = self.done.clone().wait_for(|done| *done).await; // an error is a writer that is gone
    }
}

struct Writer {
    pool: PgPool,
    queue: mpsc::UnboundedReceiver<Request>,
    closed: watch::Receiver<bool>,
    /// What was taken from the queue and did not fit the batch.
    held: VecDeque<Request>,
    room: Arc<Semaphore>,
    settings: Settings,
    metrics: Metrics,
}

impl Writer {
    async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            self.write(batch).await;
            self.metrics.append_queue(self.settings.queue_max - self.room.available_permits());
        }
    }

    /// Whatever waits, up to one batch; waits for the first. `None` when the journal is closed and all is answered.
    async fn gather(&mut self) -> Option<Vec<Request>> {
        let first = match self.held.pop_front() {
            Some(request) => request,
            None => tokio::select! {
                biased;
                request = self.queue.recv() => request?,
                _ = async { self.closed.wait_for(|closed| *closed).await.map(drop) } => {
                    self.queue.close();
                    self.queue.recv().await?
                }
            },
        };
        let (mut events, mut bytes) = (first.events.len(), first.bytes);
        let mut batch = vec![first];
        while let Some(next) = self.held.pop_front().or_else(|| self.queue.try_recv().ok()) {
            // Made history has times of its own, so it shares a batch with nothing else.
            let history = batch[0].sealed_ats.is_some() || next.sealed_ats.is_some();
            let full = events + next.events.len() > limits::BATCH_MAX || bytes + next.bytes > limits::BATCH_BYTES_MAX;
            if history || full {
                self.held.push_front(next);
                break;
            }
            events += next.events.len();
            bytes += next.bytes;
            batch.push(next);
        }
        Some(batch)
    }

    async fn write(&mut self, batch: Vec<Request>) {
        match self.append(&batch).await {
            Ok(receipts) => self.answer(batch, receipts),
            // One request that the database refuses must not harm its neighbours, so each is tried by itself.
            Err(Failure::Refused(_)) if batch.len() > 1 => {
                for request in batch {
                    let alone = [request];
                    let result = self.append(&alone).await;
                    let [request] = alone;
                    match result {
                        Ok(receipts) => self.answer(vec![request], receipts),
                        Err(failure) => self.fail(vec![request], failure),
                    }
                }
            }
            Err(failure) => self.fail(batch, failure),
        }
    }

    /// Appends the batch, trying again for as long as the outcome is unknown: the ids tell what an earlier try has stored.
    async fn append(&mut self, batch: &[Request]) -> Result<Vec<Receipt>, Failure> {
        let deadline = Instant::now() + self.settings.patience;
        let mut pause = RETRY_PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            match call(&self.pool, batch).await {
                Ok(receipts) => {
                    fail_points::dies_at("after_commit");
                    return Ok(receipts);
                }
                // After a try of unknown outcome a refusal does not say that nothing is stored.
                Err(error) if !unknown_outcome(&error) && tries == 1 => return Err(Failure::Refused(error)),
                Err(error) if Instant::now() + pause >= deadline => return Err(Failure::Unreachable(error)),
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "an append's outcome is unknown, asking again by id"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
    }

    fn answer(&self, batch: Vec<Request>, receipts: Vec<Receipt>) {
        self.metrics.append_batch(receipts.len());
        let mut receipts = receipts.into_iter();
        for request in batch {
            let own: Vec<_> = receipts.by_ref().take(request.events.len()).collect();
            self.metrics.append_took(request.since.elapsed());
            // A caller that went away has its audits recorded all the same.
            let _ = request.answer.send(Ok(own));
        }
    }

    fn fail(&self, batch: Vec<Request>, failure: Failure) {
        let failure = Arc::new(failure);
        match &*failure {
            Failure::Refused(cause) => {
                error!(error = cause as &dyn std::error::Error, "the database refused an append");
            }
            Failure::Unreachable(cause) => {
                error!(error = cause as &dyn std::error::Error, "appends cannot reach the database");
            }
        }
        for request in batch {
            // sqlx's errors cannot be cloned; the cause is logged above, and each caller is told the kind.
            let told = match &*failure {
                Failure::Refused(cause) => Unavailable::Refused(sqlx::Error::Protocol(cause.to_string())),
                Failure::Unreachable(cause) => Unavailable::Unreachable(sqlx::Error::Protocol(cause.to_string())),
            };
            let _ = request.answer.send(Err(told));
        }
    }
}

enum Failure {
    Unreachable(sqlx::Error),
    Refused(sqlx::Error),
}

/// One call of the append function. A database that has gone away without a word is given up after a while: its connection
/// is dropped with the call, and the ids tell later what became of it.
async fn call(pool: &PgPool, batch: &[Request]) -> Result<Vec<Receipt>, sqlx::Error> {
    let mut db = pool.acquire().await?;
    match tokio::time::timeout(CALL_TIMEOUT, append(&mut db, batch)).await {
        Ok(answer) => answer,
        Err(_) => {
            drop(db.detach());
            Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
        }
    }
}

async fn append(db: &mut PgConnection, batch: &[Request]) -> Result<Vec<Receipt>, sqlx::Error> {
    let columns = Columns::of(batch);
    let c = &columns;
    macro_rules! rows {
        ($statement:literal $(, $more:expr)?) => {
            sqlx::query!(
                $statement,
                &c.event_ids, &c.content_digests as &[&[u8]], &c.cluster_ids as &[&str], &c.remediation_ids as &[&str],
                &c.occurred_ats, &c.kinds as &[&str], &c.categories as &[&str], &c.event_types as &[&str],
                &c.outcomes as &[Option<&str>], &c.actor_types as &[Option<&str>], &c.actor_ids as &[Option<&str>],
                &c.recorded_bys as &[Option<&str>], &c.parent_event_ids as &[Option<uuid::Uuid>],
                &c.trace_ids as &[Option<&str>], &c.span_ids as &[Option<&str>], &c.schema_versions,
                &c.payloads as &[&str], &c.digests as &[&[u8]]
                $(, $more)?
            )
            .fetch_all(db)
            .await?
            .into_iter()
            .map(|row| {
                let place = Place {
                    position: Position(row.position),
                    version: Version(row.version),
                    recorded_at: row.recorded_at,
                };
                receipt(&row.status, place)
            })
            .collect()
        };
    }
    Ok(match &batch[0].sealed_ats {
        None => rows!(
            r#"SELECT status AS "status!", position AS "position!", version AS "version!", recorded_at AS "recorded_at!"
            FROM journal_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"#
        ),
        Some(sealed_ats) => rows!(
            r#"SELECT status AS "status!", position AS "position!", version AS "version!", recorded_at AS "recorded_at!"
            FROM journal_append_at($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"#,
            sealed_ats
        ),
    })
}

/// The batch, column by column, as the function takes it.
#[derive(Default)]
struct Columns<'a> {
    event_ids: Vec<uuid::Uuid>,
    content_digests: Vec<&'a [u8]>,
    cluster_ids: Vec<&'a str>,
    remediation_ids: Vec<&'a str>,
    occurred_ats: Vec<DateTime<Utc>>,
    kinds: Vec<&'a str>,
    categories: Vec<&'a str>,
    event_types: Vec<&'a str>,
    outcomes: Vec<Option<&'a str>>,
    actor_types: Vec<Option<&'a str>>,
    actor_ids: Vec<Option<&'a str>>,
    recorded_bys: Vec<Option<&'a str>>,
    parent_event_ids: Vec<Option<uuid::Uuid>>,
    trace_ids: Vec<Option<&'a str>>,
    span_ids: Vec<Option<&'a str>>,
    schema_versions: Vec<i16>,
    payloads: Vec<&'a str>,
    digests: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a [Request]) -> Columns<'a> {
        let mut columns = Columns::default();
        for request in batch {
            for (event, digest) in request.events.iter().zip(&request.digests) {
                columns.event_ids.push(event.event_id);
                columns.content_digests.push(&event.content_digest);
                columns.cluster_ids.push(&event.stream.cluster_id);
                columns.remediation_ids.push(&event.stream.remediation_id);
                columns.occurred_ats.push(event.occurred_at);
                columns.kinds.push(event.kind.word());
                columns.categories.push(&event.category);
                columns.event_types.push(&event.event_type);
                columns.outcomes.push(event.outcome.map(|outcome| outcome.word()));
                columns.actor_types.push(event.actor_type.map(|actor| actor.word()));
                columns.actor_ids.push(event.actor_id.as_deref());
                columns.recorded_bys.push(request.recorded_by.as_deref());
                columns.parent_event_ids.push(event.parent_event_id);
                columns.trace_ids.push(event.trace_id.as_deref());
                columns.span_ids.push(event.span_id.as_deref());
                columns.schema_versions.push(event.schema_version);
                columns.payloads.push(event.payload.text());
                columns.digests.push(digest);
            }
        }
        columns
    }
}

/// What the function's answer means. A batch that was tried several times finds its own earlier try as a duplicate: that is
/// told as such, for it cannot be known from here who recorded the event, and what is told of a duplicate is read back.
fn receipt(status: &str, place: Place) -> Receipt {
    match status {
        "recorded" => Receipt::Recorded(place),
        "duplicate" => Receipt::Duplicate(place),
        _ => Receipt::Conflict(place),
    }
}

/// Whether the transaction may or may not have been committed, or was ended by something that passes: then the ids decide.
/// All else is the database's own refusal, after which nothing is stored.
fn unknown_outcome(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(refusal) => {
            let refusal = refusal.downcast_ref::<PgDatabaseError>();
            // Classes of SQLSTATE: connection, resources, operator intervention, system error; serialization and deadlock;
            // lock not available; read-only (a failover is under way).
            ["08", "53", "57", "58", "40"].iter().any(|class| refusal.code().starts_with(class))
                || matches!(refusal.code(), "55P03" | "25006" | "XX000")
        }
        _ => true,
    }
}
