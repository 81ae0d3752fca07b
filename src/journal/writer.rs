//! The one writer of a process: it takes whatever waits and appends it in one transaction, while the next batch gathers.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::{PgPool, postgres::PgDatabaseError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot, watch};
use tracing::{error, warn};

use super::{Place, Receipt, Unavailable};
use crate::{
    audit::{Event, Position, Version, canonical::Digest, limits},
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

type Answer = oneshot::Sender<Result<Vec<Receipt>, Unavailable>>;

struct Request {
    events: Vec<Event>,
    digests: Vec<Digest>,
    recorded_by: Option<String>,
    /// Made history: the time of each event.
    sealed_ats: Option<Vec<DateTime<Utc>>>,
    since: Instant,
    answer: Answer,
    _room: OwnedSemaphorePermit,
}

#[derive(Clone)]
pub struct Handle {
    requests: mpsc::UnboundedSender<Request>,
    room: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    settings: Settings,
    metrics: Metrics,
}

/// Starts the writer. `head` is the journal's last position, as far as this process knows.
pub fn start(pool: PgPool, settings: Settings, metrics: Metrics, head: Position) -> Handle {
    // The semaphore bounds the queue: a request holds a permit for each of its events until it is answered.
    let (requests, queue) = mpsc::unbounded_channel();
    let (closing, closed) = watch::channel(false);
    let room = Arc::new(Semaphore::new(settings.queue_max));
    let writer = Writer {
        pool,
        queue,
        closed,
        held: VecDeque::new(),
        room: room.clone(),
        settings,
        metrics: metrics.clone(),
        head,
    };
    tokio::spawn(writer.run());
    Handle { requests, room, closing, settings, metrics }
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
        let wanted = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(wanted).map_err(|refusal| match refusal {
            TryAcquireError::Closed => Unavailable::Closed,
            TryAcquireError::NoPermits => Unavailable::QueueFull {
                waiting: self.settings.queue_max - self.room.available_permits(),
                most: self.settings.queue_max,
            },
        })?;
        self.metrics.append_queue(self.settings.queue_max - self.room.available_permits());
        // Hashed here, in the caller's task, so that the writer does nothing but write.
        let digests = events.iter().map(Event::digest).collect();
        let request = Request { events, digests, recorded_by, sealed_ats, since: Instant::now(), answer, _room: room };
        self.requests.send(request).map_err(|_| Unavailable::Closed)
    }

    pub async fn close(&self) {
        self.closing.send_replace(true);
        // The writer drops its end when it has answered everything.
        self.requests.closed().await;
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
    /// The journal's last position, as far as this writer has seen.
    head: Position,
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
        let mut events = first.events.len();
        let mut batch = vec![first];
        while let Some(next) = self.held.pop_front().or_else(|| self.queue.try_recv().ok()) {
            // Made history has times of its own, so it shares a batch with nothing else.
            let history = batch[0].sealed_ats.is_some() || next.sealed_ats.is_some();
            if history || events + next.events.len() > limits::BATCH_MAX {
                self.held.push_front(next);
                break;
            }
            events += next.events.len();
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
        let known = self.head;
        let deadline = Instant::now() + self.settings.patience;
        let mut pause = RETRY_PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            match call(&self.pool, batch).await {
                Ok(rows) => {
                    self.head = rows.iter().map(|row| row.place.position).max().unwrap_or(known).max(known);
                    return Ok(receipts(batch, rows, (tries > 1).then_some(known)));
                }
                Err(error) if !unknown_outcome(&error) => return Err(Failure::Refused(error)),
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

struct Row {
    status: String,
    place: Place,
}

async fn call(pool: &PgPool, batch: &[Request]) -> Result<Vec<Row>, sqlx::Error> {
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
            .fetch_all(pool)
            .await?
            .into_iter()
            .map(|row| Row {
                status: row.status,
                place: Place {
                    position: Position(row.position),
                    version: Version(row.version),
                    recorded_at: row.recorded_at,
                },
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

/// Turns the function's rows into receipts.
///
/// `tried_since` is the head as it was before the first of several tries: what such a batch finds recorded beyond it was
/// recorded by one of its own tries, so the first event with that id is no duplicate.
fn receipts(batch: &[Request], rows: Vec<Row>, tried_since: Option<Position>) -> Vec<Receipt> {
    let mut seen = HashSet::new();
    let events = batch.iter().flat_map(|request| &request.events);
    rows.into_iter()
        .zip(events)
        .map(|(row, event)| {
            let first = seen.insert(event.event_id);
            let own = first && tried_since.is_some_and(|head| row.place.position > head);
            match row.status.as_str() {
                "recorded" => Receipt::Recorded(row.place),
                "duplicate" if own => Receipt::Recorded(row.place),
                "duplicate" => Receipt::Duplicate(row.place),
                _ => Receipt::Conflict(row.place),
            }
        })
        .collect()
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
