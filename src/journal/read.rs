//! Reading the journal: single entries, streams, and ranges of positions. Positions have no gaps, so a reader that
//! remembers its last one misses nothing.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::audit::{
    ActorType, Entry, Event, Kind, Outcome, Position, StreamId, Version,
    administration::reserved,
    event::{Payload, SealedWords},
};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Where the journal ends.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub journal_id: Uuid,
    /// The last position; 0 in an empty journal.
    pub last: Position,
    pub last_recorded_at: DateTime<Utc>,
}

/// The journal's head.
pub async fn head(db: impl PgExecutor<'_>) -> Result<Head> {
    let row = sqlx::query!("SELECT journal_id, next_position, last_recorded_at FROM journal_head WHERE one")
        .fetch_one(db)
        .await?;
    Ok(Head {
        journal_id: row.journal_id,
        last: Position(row.next_position - 1),
        last_recorded_at: row.last_recorded_at,
    })
}

/// A row of `audit_events` as the statements below give it.
struct EntryRow {
    position: i64,
    recorded_at: DateTime<Utc>,
    event_id: Uuid,
    cluster_id: String,
    remediation_id: String,
    version: i32,
    occurred_at: DateTime<Utc>,
    kind: String,
    category: String,
    event_type: String,
    outcome: Option<String>,
    actor_type: Option<String>,
    actor_id: Option<String>,
    recorded_by: Option<String>,
    parent_event_id: Option<Uuid>,
    trace_id: Option<String>,
    span_id: Option<String>,
    schema_version: i16,
    payload: String,
    digest: Vec<u8>,
}

impl From<EntryRow> for Entry {
    fn from(row: EntryRow) -> Entry {
        Entry {
            position: Position(row.position),
            version: Version(row.version),
            recorded_at: row.recorded_at,
            recorded_by: row.recorded_by,
            event: Event {
                event_id: row.event_id,
                stream: StreamId { cluster_id: row.cluster_id, remediation_id: row.remediation_id },
                occurred_at: row.occurred_at,
                kind: Kind::from_journal(&row.kind),
                category: row.category,
                event_type: row.event_type,
                outcome: row.outcome.as_deref().and_then(Outcome::parse),
                actor_type: row.actor_type.as_deref().and_then(ActorType::parse),
                actor_id: row.actor_id,
                parent_event_id: row.parent_event_id,
                trace_id: row.trace_id,
                span_id: row.span_id,
                schema_version: row.schema_version,
                payload: Payload::from_text(row.payload),
                content_digest: [0; 32],
            },
            words: SealedWords {
                kind: row.kind.into(),
                outcome: row.outcome.map(Into::into),
                actor_type: row.actor_type.map(Into::into),
            },
            digest: row.digest,
        }
    }
}

/// A statement that reads entries; `e` is `audit_events`, or a function that gives rows of it.
// Look-ups by key are functions of the journal's migrations: they find out first which partitions to touch.
macro_rules! entries {
    ($db:expr, $rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            EntryRow,
            r#"SELECT e.position AS "position!", e.recorded_at AS "recorded_at!", e.event_id AS "event_id!",
                e.cluster_id AS "cluster_id!", e.remediation_id AS "remediation_id!", e.version AS "version!",
                e.occurred_at AS "occurred_at!", e.kind AS "kind!", e.category AS "category!", e.event_type AS "event_type!",
                e.outcome, e.actor_type, e.actor_id, e.recorded_by, e.parent_event_id, e.trace_id, e.span_id,
                e.schema_version AS "schema_version!", e.payload::text AS "payload!", e.digest AS "digest!" "#
                + $rest,
            $($argument),*
        )
        .fetch_all($db)
        .await
        .map(|rows| rows.into_iter().map(Entry::from).collect::<Vec<Entry>>())
    };
}

/// The entries with these event ids, by position; ids that were never recorded are left out.
pub async fn by_event_ids(db: impl PgExecutor<'_>, event_ids: &[Uuid]) -> Result<Vec<Entry>> {
    entries!(db, "FROM journal_entries_of($1) e ORDER BY e.position", event_ids)
}

/// The entry with this event id.
pub async fn by_event_id(db: impl PgExecutor<'_>, event_id: Uuid) -> Result<Option<Entry>> {
    Ok(by_event_ids(db, &[event_id]).await?.pop())
}

/// The entries at these places, by position.
pub async fn at(db: impl PgExecutor<'_>, places: &[(Position, DateTime<Utc>)]) -> Result<Vec<Entry>> {
    let positions: Vec<i64> = places.iter().map(|(position, _)| position.0).collect();
    let times: Vec<DateTime<Utc>> = places.iter().map(|(_, recorded_at)| *recorded_at).collect();
    entries!(db, "FROM journal_entries($1, $2) e ORDER BY e.position", &positions, &times)
}

/// The entries at these positions, in order. Every partition is looked into: where times are known, `at` is quicker.
pub async fn at_positions(db: impl PgExecutor<'_>, positions: &[Position]) -> Result<Vec<Entry>> {
    let positions: Vec<i64> = positions.iter().map(|position| position.0).collect();
    entries!(db, "FROM audit_events e WHERE e.position = ANY($1) ORDER BY e.position", &positions)
}

/// When the entry at a position was recorded.
pub async fn recorded_at(db: impl PgExecutor<'_>, position: Position) -> Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("SELECT recorded_at FROM audit_events WHERE position = $1", position.0).fetch_optional(db).await
}

/// The entries after `after`, in order, at most `limit`. `since` is the `recorded_at` of `after`, or any time before it:
/// partitions that end earlier are not touched.
pub async fn after(db: impl PgExecutor<'_>, after: Position, since: DateTime<Utc>, limit: i64) -> Result<Vec<Entry>> {
    entries!(
        db,
        "FROM audit_events e
        WHERE e.position > $1 AND e.recorded_at >= $2
        ORDER BY e.position
        LIMIT $3",
        after.0,
        since,
        limit
    )
}

/// The entries of (`from`, `to`], in order; `since` as for `after`.
pub async fn between(
    db: impl PgExecutor<'_>,
    from: Position,
    since: DateTime<Utc>,
    to: Position,
) -> Result<Vec<Entry>> {
    entries!(
        db,
        "FROM audit_events e
        WHERE e.position > $1 AND e.position <= $3 AND e.recorded_at >= $2
        ORDER BY e.position",
        from.0,
        since,
        to.0
    )
}

/// The whole streams of several remediations, each up to a position, in the order of the journal: of version within each.
pub async fn streams(db: impl PgExecutor<'_>, streams: &[StreamId], up_to: &[Position]) -> Result<Vec<Entry>> {
    let clusters: Vec<&str> = streams.iter().map(|stream| stream.cluster_id.as_str()).collect();
    let remediations: Vec<&str> = streams.iter().map(|stream| stream.remediation_id.as_str()).collect();
    let up_to: Vec<i64> = up_to.iter().map(|position| position.0).collect();
    entries!(
        db,
        "FROM journal_streams($1::text[], $2::text[], $3::bigint[]) e ORDER BY e.position",
        &clusters as &[&str],
        &remediations as &[&str],
        &up_to
    )
}

/// The whole stream of one remediation up to a position.
pub async fn stream(db: impl PgExecutor<'_>, stream: &StreamId, up_to: Position) -> Result<Vec<Entry>> {
    entries!(
        db,
        "FROM journal_stream($1, $2, $3) e ORDER BY e.version",
        stream.cluster_id,
        stream.remediation_id,
        up_to.0
    )
}

/// Up to `limit` entries of one stream in order of version after a place in it, from its first entry where there is none.
pub async fn stream_after(
    db: impl PgExecutor<'_>,
    stream: &StreamId,
    after: Option<(Version, Position)>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let (version, position) = after.unwrap_or((Version(i32::MIN), Position(i64::MIN)));
    entries!(
        db,
        "FROM audit_events e
        WHERE e.cluster_id = $1 AND e.remediation_id = $2 AND (e.version, e.position) > ($3, $4)
            AND e.recorded_at >= (SELECT first_recorded_at FROM streams WHERE cluster_id = $1 AND remediation_id = $2)
            AND e.recorded_at <= (SELECT last_recorded_at FROM streams WHERE cluster_id = $1 AND remediation_id = $2)
        ORDER BY e.version, e.position
        LIMIT $5",
        stream.cluster_id,
        stream.remediation_id,
        version.0,
        position.0,
        limit
    )
}

/// The version that the head of a stream says; `None` where no such stream is known.
pub async fn stream_version(db: impl PgExecutor<'_>, stream: &StreamId) -> Result<Option<Version>> {
    let version = sqlx::query_scalar!(
        "SELECT version FROM streams WHERE cluster_id = $1 AND remediation_id = $2",
        stream.cluster_id,
        stream.remediation_id
    )
    .fetch_optional(db)
    .await?;
    Ok(version.map(Version))
}

/// Those of `places` whose event tells `text` in a member of what it tells beside its envelope: of Kubernaut's `event_data`,
/// else of the payload. A number or a boolean is compared by its JSON text; lists and objects are no match.
pub async fn telling(
    db: impl PgExecutor<'_>,
    places: &[(Position, DateTime<Utc>)],
    member: &str,
    text: &str,
) -> Result<HashSet<Position>> {
    let positions: Vec<i64> = places.iter().map(|(position, _)| position.0).collect();
    let times: Vec<DateTime<Utc>> = places.iter().map(|(_, recorded_at)| *recorded_at).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT p.position AS "position!"
        FROM unnest($1::bigint[], $2::timestamptz[]) AS p(position, recorded_at)
        CROSS JOIN LATERAL (
            SELECT a.event_type, coalesce(a.payload->'kubernaut'->'event_data', a.payload) AS told,
                a.payload->'kubernaut' IS NULL AS ours
            FROM audit_events a WHERE a.position = p.position AND a.recorded_at = p.recorded_at OFFSET 0
        ) e
        WHERE (json_typeof(e.told->$3) IN ('string', 'number', 'boolean') AND e.told->>$3 = $4)
            OR (e.ours AND $3 = 'event_type' AND e.event_type = $4)
        ORDER BY p.position"#,
        &positions,
        &times,
        member,
        text
    )
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().map(Position).collect())
}

/// The clusters that know a remediation of this name, at most a few more than one.
pub async fn clusters_of(db: impl PgExecutor<'_>, remediation_id: &str) -> Result<Vec<String>> {
    const CLUSTERS_MAX: i64 = 10;
    let mut clusters = sqlx::query_scalar!(
        "SELECT cluster_id FROM streams WHERE remediation_id = $1 ORDER BY cluster_id LIMIT $2",
        remediation_id,
        CLUSTERS_MAX
    )
    .fetch_all(db)
    .await?;
    clusters.retain(|cluster_id| !reserved(cluster_id, remediation_id));
    Ok(clusters)
}
