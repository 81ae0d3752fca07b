//! Remediations as they stood at a position of the journal: those that have moved on since are folded anew from the
//! entries up to there, and take part in the same statements as the rows of the table.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::remediations::{self, Filter, Stored, group, matching};
use crate::{
    audit::{Position, StreamId},
    journal::read,
    remediation::{self, model::Summary},
};

/// Most remediations that may have moved on since the position that a question about all of them is pinned to.
pub const MOVED_ON_MAX: i64 = 5_000;

/// How many streams are read and folded at once.
const STREAMS_AT_ONCE: usize = 250;

/// A pinned question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    #[error("more than {MOVED_ON_MAX} remediations have gone on since this place in the journal; name a later one")]
    TooManyMovedOn,
    #[error("could not read the remediations")]
    Database(#[from] sqlx::Error),
    #[error("could not read or write a remediation's summary")]
    Summary(#[from] anyhow::Error),
}

type Result<T> = std::result::Result<T, PinError>;

/// The rows that a statement is to see: those of the table up to a position, and beside them, as they stood then, those
/// that have moved on since.
pub(super) struct Pin {
    pub at: i64,
    /// The rows beside, as a JSON array for `json_populate_recordset`.
    pub beside: String,
    /// When the last entry that counts was recorded; `None` is now. What is settled is judged by it.
    pub moment: Option<DateTime<Utc>>,
}

impl Pin {
    /// Pins `db`'s transaction, which `begin` has begun, to `at`; without it, to what the table holds.
    pub async fn to(db: &mut PgConnection, at: Option<Position>) -> Result<Pin> {
        let Some(at) = at else {
            return Ok(Pin { at: i64::MAX, beside: "[]".to_string(), moment: None });
        };
        let moved_on = sqlx::query!(
            "SELECT first_position, cluster_id, remediation_id FROM remediations
            WHERE first_position <= $1 AND last_position > $1
            ORDER BY last_position, first_position LIMIT $2",
            at.0,
            MOVED_ON_MAX + 1
        )
        .fetch_all(&mut *db)
        .await?;
        if moved_on.len() as i64 > MOVED_ON_MAX {
            return Err(PinError::TooManyMovedOn);
        }
        let streams: Vec<(i64, StreamId)> = moved_on
            .into_iter()
            .map(|row| {
                (row.first_position, StreamId { cluster_id: row.cluster_id, remediation_id: row.remediation_id })
            })
            .collect();
        let folded = fold(&mut *db, &streams, at).await?;
        let stored: Vec<Stored<'_>> = folded
            .iter()
            .map(|(first, summary)| Stored::of(summary, Position(*first)))
            .collect::<anyhow::Result<_>>()?;
        let beside = serde_json::to_string(&stored).map_err(anyhow::Error::from)?;
        // Before the first entry there is no moment, and nothing that could be settled.
        let moment = read::recorded_at(db, at).await?.unwrap_or(DateTime::UNIX_EPOCH);
        Ok(Pin { at: at.0, beside, moment: Some(moment) })
    }
}

/// Begins the transaction of a question that may be pinned. All its statements see the same rows, so that what moves on
/// meanwhile is neither missed nor seen twice.
pub(super) async fn begin(db: &PgPool) -> std::result::Result<sqlx::Transaction<'static, sqlx::Postgres>, sqlx::Error> {
    let mut tx = db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    // The lock comes before the first statement, which fixes what is seen: having waited for the swap of a rebuild, one
    // would else look for the new table's rows in the time before they were there.
    sqlx::query!("LOCK TABLE remediations IN ACCESS SHARE MODE").execute(&mut *tx).await?;
    Ok(tx)
}

/// A statement over the remediations that match a filter, as they stood at a pin. As `matching!`, with four arguments of
/// its own: what follows begins with `$36`.
macro_rules! matching_at {
    ($query:ident, [$($row:tt)*], $filter:expr, $pin:expr, [$($with:tt)*], [$($head:tt)+], [$($join:tt)+], [$($tail:tt)+]
        $(, $argument:expr)* $(,)?) => {{
        let pin: &$crate::projection::pinned::Pin = $pin;
        // Settled is judged by the pin's moment, not by the clock.
        let settled = $filter.settled;
        let others = $crate::projection::remediations::Filter { settled: None, ..$filter.clone() };
        matching!(
            $query,
            [$($row)*],
            &others,
            // The name of the table within its own definition is still the table. Without a condition of its own each part
            // is planned like a table, with its indexes; the rows beside stand at the pin or before it, like the others.
            ["WITH remediations AS (
                SELECT t.* FROM remediations t
                UNION ALL SELECT b.* FROM json_populate_recordset(NULL::remediations, $33::text::json) b
            ) " $(+ $with)* + $($head)+],
            [$($join)+],
            // That it had begun by then is implied; told, it spares the walk of an index through all that came later.
            ["AND r.last_position <= $32 AND r.first_position <= $32
            AND ($34::boolean IS NULL OR coalesce(r.settled_at <= coalesce($35::timestamptz, now()), false) = $34) "
                + $($tail)+],
            pin.at,
            pin.beside,
            settled,
            pin.moment
            $(, $argument)*
        )
    }};
}
pub(super) use matching_at;

/// The summaries of the remediations that begin at these positions, in the order given, as they stood at `at`; those that
/// had not begun by then are left out. The projection has to have come to `at`.
pub async fn summaries(
    db: &PgPool,
    first_positions: &[i64],
    at: Option<Position>,
) -> anyhow::Result<Vec<(i64, Summary)>> {
    let at = at.unwrap_or(Position(i64::MAX));
    let rows = sqlx::query!(
        r#"SELECT first_position, last_position, cluster_id, remediation_id,
            CASE WHEN last_position <= $2 THEN summary::text END AS summary
        FROM remediations WHERE first_position = ANY($1) AND first_position <= $2"#,
        first_positions,
        at.0
    )
    .fetch_all(db)
    .await?;
    let mut found: HashMap<i64, Summary> = HashMap::new();
    let mut moved_on = Vec::new();
    for row in rows {
        match row.summary {
            Some(summary) => drop(found.insert(row.first_position, serde_json::from_str(&summary)?)),
            None => {
                let stream = StreamId { cluster_id: row.cluster_id, remediation_id: row.remediation_id };
                moved_on.push((row.first_position, stream));
            }
        }
    }
    let mut connection = db.acquire().await?;
    found.extend(fold(&mut connection, &moved_on, at).await?);
    Ok(first_positions.iter().filter_map(|first| Some((*first, found.remove(first)?))).collect())
}

/// Where the remediations begin that match, the newest first, `limit` at most.
pub async fn select(db: &PgPool, filter: &Filter, limit: i64, at: Option<Position>) -> Result<Vec<i64>> {
    if at.is_none() {
        return Ok(remediations::newest(db, filter, limit).await?);
    }
    let mut tx = begin(db).await?;
    let pin = Pin::to(&mut tx, at).await?;
    let found = matching_at!(
        query_scalar,
        [],
        filter,
        &pin,
        [],
        ["SELECT r.first_position AS \"first_position!\" FROM"],
        [""],
        ["ORDER BY r.first_position DESC LIMIT $36"],
        limit
    )
    .fetch_all(&mut *tx)
    .await?;
    Ok(found)
}

/// The remediations that match and started from `from` on, before `to`, the latest first, `limit` at most.
pub async fn window(
    db: &PgPool,
    filter: &Filter,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
    at: Option<Position>,
) -> Result<Vec<Summary>> {
    let mut tx = begin(db).await?;
    let pin = Pin::to(&mut tx, at).await?;
    let found = matching_at!(
        query_scalar,
        [],
        filter,
        &pin,
        [],
        ["SELECT r.summary::text AS \"summary!\" FROM"],
        [""],
        ["AND r.started_at >= $36 AND r.started_at < $37
        ORDER BY r.started_at DESC, r.cluster_id DESC, r.remediation_id DESC LIMIT $38"],
        from,
        to,
        limit
    )
    .fetch_all(&mut *tx)
    .await?;
    let summaries = found.iter().map(|summary| serde_json::from_str(summary).map_err(anyhow::Error::from));
    Ok(summaries.collect::<anyhow::Result<Vec<Summary>>>()?)
}

/// These streams up to `at`, folded, a bounded number of them at a time.
async fn fold(
    db: &mut PgConnection,
    streams: &[(i64, StreamId)],
    at: Position,
) -> std::result::Result<Vec<(i64, Summary)>, sqlx::Error> {
    let mut folded = Vec::with_capacity(streams.len());
    for some in streams.chunks(STREAMS_AT_ONCE) {
        let ids: Vec<StreamId> = some.iter().map(|(_, stream)| stream.clone()).collect();
        let mut entries = group(read::streams(&mut *db, &ids, &vec![at; ids.len()]).await?);
        folded.extend(some.iter().filter_map(|(first, stream)| {
            let entries = entries.remove(stream)?;
            Some((*first, remediation::summary(&entries)?))
        }));
    }
    Ok(folded)
}
