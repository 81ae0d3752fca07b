//! The append-only log: append, read, streams, partitions, verify. Only this room adds to the journal.

pub mod partitions;
pub mod read;
pub mod verify;
pub mod verify_stream;
mod writer;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::PgPool;
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use crate::{
    audit::{Entry, Event, Position, Version, canonical::Digest, limits},
    telemetry::Metrics,
    worker::Wake,
};

pub use writer::{Away, Settings, Trouble};

/// The journal of one Postgres. Cheap to clone; all clones share one writer.
#[derive(Clone)]
pub struct Journal {
    id: Uuid,
    append: PgPool,
    read: PgPool,
    writer: writer::Handle,
}

/// What the journal answers for one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    Recorded(Place),
    /// The id was recorded before with the same content; this is its place.
    Duplicate(Place),
    /// The id was recorded before with other content; this is the place of what was recorded.
    Conflict(Place),
}

impl Receipt {
    /// The position of what is recorded under the id.
    pub fn position(&self) -> i64 {
        let (Receipt::Recorded(place) | Receipt::Duplicate(place) | Receipt::Conflict(place)) = self;
        place.position.0
    }
}

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub position: Position,
    pub version: Version,
    pub recorded_at: DateTime<Utc>,
}

/// What was appended, in the order given.
#[derive(Debug)]
pub struct Appended {
    /// As they were handed over, for those who have more to say of them.
    pub events: Vec<Event>,
    /// The digest that was sealed with each.
    pub digests: Vec<Digest>,
    pub receipts: Vec<Receipt>,
}

/// Nothing was acknowledged. Sending the same events with the same ids again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("too much waits to be recorded already ({waiting} audits); nothing of this is recorded, try again shortly")]
    QueueFull { waiting: usize, retry_after: Duration },
    #[error("the batch has {given} audits, at most {} are allowed", limits::BATCH_MAX)]
    BatchTooLarge { given: usize },
    #[error("no audit can be recorded since {}: {}; nothing of this is recorded, try again shortly", since(.0), .0.trouble)]
    Away(Away),
    #[error(
        "the database refused something that was sent along with this, and to tell them apart took too long; nothing of this is recorded, try again shortly"
    )]
    PutOff { retry_after: Duration },
    #[error(
        "the journal did not answer in time, for {trouble}; the audits may or may not be recorded, try again with the same ids"
    )]
    Unreachable { trouble: Trouble },
    /// For good: the same would be refused again. It is the audit's fault or ours, for the checks have let it pass.
    #[error("the database refused the audit; nothing of it is recorded")]
    Refused(#[source] sqlx::Error),
    #[error(
        "the audits are recorded, but what was recorded before could not be read; send them again with the same ids"
    )]
    Unread(#[source] sqlx::Error),
    #[error("the server is shutting down")]
    Closed,
}

impl Unavailable {
    /// When to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Unavailable::QueueFull { retry_after, .. } | Unavailable::PutOff { retry_after } => Some(*retry_after),
            Unavailable::Away(away) => Some(away.retry_after()),
            Unavailable::BatchTooLarge { .. }
            | Unavailable::Unreachable { .. }
            | Unavailable::Refused(_)
            | Unavailable::Unread(_)
            | Unavailable::Closed => None,
        }
    }
}

fn since(away: &Away) -> String {
    away.since.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// How long the answer to a repeat waits for what was recorded before. The append just came through, so it mostly takes a
/// millisecond.
const RECORDED_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("could not read the journal's head")]
    Database(#[from] sqlx::Error),
}

impl Journal {
    /// Opens the journal and starts its writer. `append` carries the writes, `read` everything else.
    pub async fn open(
        append: PgPool,
        read: PgPool,
        settings: Settings,
        metrics: Metrics,
    ) -> Result<Journal, OpenError> {
        let head = read::head(&read).await?;
        let writer = writer::start(&append, settings, metrics);
        Ok(Journal { id: head.journal_id, append, read, writer })
    }

    /// Made at migration; part of every watermark.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The pool for reads.
    pub fn reader(&self) -> &PgPool {
        &self.read
    }

    /// What was recorded under these ids before. Readers cannot keep a writer's answer waiting: it has connections of its own.
    pub async fn recorded(&self, event_ids: &[Uuid]) -> Result<Vec<Entry>, Unavailable> {
        let read = timeout(RECORDED_WAIT, read::by_event_ids(&self.append, event_ids)).await;
        read.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(Unavailable::Unread)
    }

    /// Refuses so many audits at once where they could only wait in vain, or for too long. Cheap: for those who want to know
    /// before they do anything for them.
    pub fn admit(&self, audits: usize) -> Result<(), Unavailable> {
        self.writer.admit(audits)
    }

    /// Why nothing can be appended now, while that is so.
    pub fn away(&self) -> Option<Away> {
        self.writer.away()
    }

    /// Called at every append of this process.
    pub fn appended(&self) -> &Wake {
        self.writer.appended()
    }

    /// The last position that this process has appended; 0 before the first.
    pub fn last(&self) -> Position {
        self.writer.last()
    }

    /// Whether writers wait for each other: what can wait should give way to them.
    pub fn busy(&self) -> bool {
        self.writer.busy()
    }

    /// Records `events` at the end of the journal in one transaction and answers each, in the order given.
    ///
    /// The writer takes whatever waits and appends it in one call of a function. The head row which that locks
    /// is why positions have no gaps, and why a reader that has seen position 7 never finds a new 6 behind it.
    pub async fn record(&self, events: Vec<Event>, recorded_by: Option<&str>) -> Result<Vec<Receipt>, Unavailable> {
        Ok(self.append(events, recorded_by).await?.receipts)
    }

    /// Like `record`, and hands the events back.
    pub async fn append(&self, events: Vec<Event>, recorded_by: Option<&str>) -> Result<Appended, Unavailable> {
        if events.is_empty() {
            return Ok(Appended { events, digests: Vec::new(), receipts: Vec::new() });
        }
        if events.len() > limits::BATCH_MAX {
            return Err(Unavailable::BatchTooLarge { given: events.len() });
        }
        let (answer, appended) = oneshot::channel();
        self.writer.submit(events, recorded_by.map(str::to_string), None, answer)?;
        appended.await.map_err(|_| Unavailable::Closed)?
    }

    /// Like `record`, but each event is sealed at a time of the past: in order, not before the head's last, and with the
    /// owner's role only. For demos, tests and benches.
    pub async fn record_history(
        &self,
        events: Vec<Event>,
        sealed_ats: Vec<DateTime<Utc>>,
    ) -> Result<Vec<Receipt>, Unavailable> {
        assert_eq!(events.len(), sealed_ats.len(), "each event has its time");
        let (answer, appended) = oneshot::channel();
        self.writer.submit(events, None, Some(sealed_ats), answer)?;
        let appended = appended.await.map_err(|_| Unavailable::Closed)??;
        Ok(appended.receipts)
    }

    /// Stops taking events, appends what waits and returns when all is answered.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}
