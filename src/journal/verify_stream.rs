//! Verification of one stream: recomputes the digest of each of its entries, and looks for entries that are gone.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{read, verify::known_keys};
use crate::audit::{Entry, Position, StreamId, Version, canonical};

/// Entries that are read at once: with the largest payloads some 16 MiB.
const PAGE: i64 = 50;

/// Most entries, and most versions, that a report names; it counts all.
pub const NAMED_MAX: usize = 1_000;

/// What a walk over one stream found.
#[derive(Debug)]
pub struct StreamReport {
    /// Entries that are there.
    pub entries: i64,
    /// Those of them that are as they were recorded.
    pub intact: i64,
    /// The version that the head of the stream says: how many entries there should be.
    pub head: Version,
    /// The version of the last entry.
    pub last: Version,
    /// The first of those that are not intact.
    pub tampered: Vec<Tampered>,
    /// How many versions are missing.
    pub gone: i64,
    /// The first of them.
    pub missing: Vec<Version>,
}

/// An entry that is not as it was recorded.
#[derive(Debug)]
pub struct Tampered {
    pub event_id: Uuid,
    pub occurred_at: DateTime<Utc>,
    /// The digest that was sealed with the event.
    pub sealed: String,
    /// The digest of what the journal holds now.
    pub found: String,
    pub message: &'static str,
}

impl StreamReport {
    pub fn valid(&self) -> bool {
        self.intact == self.entries && self.gone == 0 && self.last == self.head
    }
}

/// Walks one stream in one snapshot; `None` where no such stream is known.
///
/// Entries that are gone are missed by their versions, at the end too: the head of the stream says how many there were. Who
/// removes a stream with its head, or lowers the head, is found by `verify`, which walks the whole journal.
pub async fn verify_stream(db: &PgPool, stream: &StreamId) -> Result<Option<StreamReport>, sqlx::Error> {
    // One snapshot, so that the head is that of the entries.
    let mut tx = db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let Some(head) = read::stream_version(&mut *tx, stream).await? else { return Ok(None) };
    let mut report = StreamReport {
        entries: 0,
        intact: 0,
        head,
        last: Version(0),
        tampered: Vec::new(),
        gone: 0,
        missing: Vec::new(),
    };
    let mut place: Option<(Version, Position)> = None;
    loop {
        let entries = read::stream_after(&mut *tx, stream, place, PAGE).await?;
        let Some(last) = entries.last() else { break };
        place = Some((last.version, last.position));
        let keys = known_keys(&mut tx, &entries).await?;
        for (entry, known) in entries.iter().zip(keys) {
            report.step(entry, known);
        }
    }
    report.miss(report.last.0 + 1..=head.0);
    Ok(Some(report))
}

impl StreamReport {
    fn step(&mut self, entry: &Entry, known: bool) {
        self.entries += 1;
        let flaw = if !entry.intact() {
            Some("its content is not what was recorded")
        } else if entry.version <= self.last {
            Some("it has the version of another event")
        } else if !known {
            Some("its place in the journal is not the one it was given")
        } else {
            None
        };
        match flaw {
            None => self.intact += 1,
            Some(message) if self.tampered.len() < NAMED_MAX => self.tampered.push(Tampered {
                event_id: entry.event.event_id,
                occurred_at: entry.event.occurred_at,
                sealed: canonical::hex(&entry.digest),
                found: canonical::hex(&canonical::digest(&entry.canonical())),
                message,
            }),
            Some(_) => {}
        }
        if entry.version > self.last {
            self.miss(self.last.0 + 1..=entry.version.0 - 1);
            self.last = entry.version;
        }
    }

    fn miss(&mut self, versions: std::ops::RangeInclusive<i32>) {
        if versions.is_empty() {
            return;
        }
        self.gone += i64::from(*versions.end()) - i64::from(*versions.start()) + 1;
        let room = NAMED_MAX - self.missing.len();
        self.missing.extend(versions.map(Version).take(room));
    }
}
