//! Verification: walks the journal, recomputes every digest, checks positions and versions, and names the first bad one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, PgPool};

use super::read;
use crate::audit::{Entry, Position, StreamId, Version};

/// Entries that are read at once.
const PAGE: i64 = 2_000;

/// What a walk over the whole journal found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub entries: i64,
    pub streams: usize,
    /// The first thing that is wrong, if any.
    pub flaw: Option<Flaw>,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("position {expected} is missing: after it comes {found}")]
    Gap { expected: Position, found: Position },
    #[error("position {position} (event {event_id}) was changed: its digest is not that of its content")]
    Digest { position: Position, event_id: uuid::Uuid },
    #[error("position {position} has version {found} of stream {stream}, expected {expected}")]
    Version { position: Position, stream: StreamId, expected: Version, found: Version },
    #[error("position {position} was recorded at {found}, before its predecessor ({before})")]
    Time { position: Position, before: DateTime<Utc>, found: DateTime<Utc> },
    #[error("position {position} (event {event_id}) has no matching row in event_keys")]
    Key { position: Position, event_id: uuid::Uuid },
    #[error("the journal ends at position {found}, but its head says {expected}")]
    Tail { expected: Position, found: Position },
    #[error("the head of stream {stream} (version, first and last time) is not that of its entries")]
    Stream { stream: StreamId },
    #[error("event_keys holds {found} ids, the journal {expected} entries")]
    Keys { expected: i64, found: i64 },
}

/// Walks the journal in one snapshot; `progress` is told the position reached and the head.
pub async fn verify(db: &PgPool, mut progress: impl FnMut(Position, Position)) -> Result<Report, sqlx::Error> {
    // One snapshot, so that the heads compared at the end are those of the entries walked before.
    let mut tx = db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let head = read::head(&mut *tx).await?;
    let mut walk = Walk { last: Position(0), recorded_at: DateTime::UNIX_EPOCH, streams: HashMap::new() };
    loop {
        let entries = read::after(&mut *tx, walk.last, walk.recorded_at, PAGE).await?;
        if entries.is_empty() {
            break;
        }
        let keys = known_keys(&mut tx, &entries).await?;
        for (entry, known) in entries.iter().zip(keys) {
            if let Err(flaw) = walk.step(entry, known) {
                return Ok(walk.report(Some(flaw)));
            }
        }
        progress(walk.last, head.last);
    }
    if walk.last != head.last {
        let flaw = Flaw::Tail { expected: head.last, found: walk.last };
        return Ok(walk.report(Some(flaw)));
    }
    let flaw = heads(&mut tx, &walk).await?;
    Ok(walk.report(flaw))
}

struct Walk {
    last: Position,
    recorded_at: DateTime<Utc>,
    streams: HashMap<StreamId, Head>,
}

/// What the head of a stream should say.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Head {
    version: Version,
    first_recorded_at: DateTime<Utc>,
    last_recorded_at: DateTime<Utc>,
}

impl Walk {
    fn step(&mut self, entry: &Entry, known: bool) -> Result<(), Flaw> {
        let position = entry.position;
        let expected = Position(self.last.0 + 1);
        if position != expected {
            return Err(Flaw::Gap { expected, found: position });
        }
        if !entry.intact() {
            return Err(Flaw::Digest { position, event_id: entry.event.event_id });
        }
        if entry.recorded_at < self.recorded_at {
            return Err(Flaw::Time { position, before: self.recorded_at, found: entry.recorded_at });
        }
        let at = entry.recorded_at;
        let head = Head { version: Version(0), first_recorded_at: at, last_recorded_at: at };
        let head = self.streams.entry(entry.event.stream.clone()).or_insert(head);
        let expected = Version(head.version.0 + 1);
        if entry.version != expected {
            let stream = entry.event.stream.clone();
            return Err(Flaw::Version { position, stream, expected, found: entry.version });
        }
        if !known {
            return Err(Flaw::Key { position, event_id: entry.event.event_id });
        }
        head.version = entry.version;
        head.last_recorded_at = at;
        self.last = position;
        self.recorded_at = entry.recorded_at;
        Ok(())
    }

    fn report(self, flaw: Option<Flaw>) -> Report {
        Report { entries: self.last.0, streams: self.streams.len(), flaw }
    }
}

/// For each entry, whether `event_keys` knows its id at its place.
pub(super) async fn known_keys(db: &mut PgConnection, entries: &[Entry]) -> Result<Vec<bool>, sqlx::Error> {
    let ids: Vec<uuid::Uuid> = entries.iter().map(|entry| entry.event.event_id).collect();
    let positions: Vec<i64> = entries.iter().map(|entry| entry.position.0).collect();
    let versions: Vec<i32> = entries.iter().map(|entry| entry.version.0).collect();
    let times: Vec<DateTime<Utc>> = entries.iter().map(|entry| entry.recorded_at).collect();
    sqlx::query_scalar!(
        r#"SELECT (k.event_id IS NOT NULL) AS "known!"
        FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::timestamptz[])
            WITH ORDINALITY AS g(event_id, position, version, recorded_at, item)
        LEFT JOIN event_keys k ON k.event_id = g.event_id AND k.position = g.position AND k.version = g.version
            AND k.recorded_at = g.recorded_at
        ORDER BY g.item"#,
        &ids,
        &positions,
        &versions,
        &times
    )
    .fetch_all(db)
    .await
}

/// Whether the heads of the streams and the number of ids are those of the journal.
async fn heads(db: &mut PgConnection, walk: &Walk) -> Result<Option<Flaw>, sqlx::Error> {
    let keys = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM event_keys"#).fetch_one(&mut *db).await?;
    if keys != walk.last.0 {
        return Ok(Some(Flaw::Keys { expected: walk.last.0, found: keys }));
    }
    let mut missing = walk.streams.clone();
    let mut heads = sqlx::query!(
        "SELECT cluster_id, remediation_id, version, first_recorded_at, last_recorded_at FROM streams
        ORDER BY cluster_id, remediation_id"
    )
    .fetch(db);
    while let Some(row) = heads.try_next().await? {
        let stream = StreamId { cluster_id: row.cluster_id, remediation_id: row.remediation_id };
        let told = Head {
            version: Version(row.version),
            first_recorded_at: row.first_recorded_at,
            last_recorded_at: row.last_recorded_at,
        };
        if missing.remove(&stream) != Some(told) {
            return Ok(Some(Flaw::Stream { stream }));
        }
    }
    Ok(missing.into_keys().min().map(|stream| Flaw::Stream { stream }))
}
