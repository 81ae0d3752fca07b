//! The six service views: one row per orchestration, analysis, execution, notification or assessment, with the latest
//! value told of each field. Written by the projection `remediations`, whose fold makes them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    column,
    remediations::{Filter, matching},
};
use crate::{
    audit::{Kind, Position, StreamId, canonical, fields::KindTable},
    remediation::model::ViewRow,
};

/// Writes `rows`, and deletes what else there is of the streams `known`, which had rows before: an entity's key may become
/// known late.
pub(super) async fn replace<'a>(
    db: &mut PgConnection,
    known: &[&StreamId],
    rows: impl Iterator<Item = &'a ViewRow>,
) -> anyhow::Result<()> {
    let rows: Vec<&ViewRow> = rows.collect();
    if !known.is_empty() {
        delete_others(db, known, &rows).await?;
    }
    sqlx::query!(
        "INSERT INTO service_views AS v (kind, cluster_id, remediation_id, key, status, fields, first_occurred_at,
            last_occurred_at, event_ids, last_event_id, last_position)
        SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]),
            unnest($6::text[])::json, unnest($7::timestamptz[]), unnest($8::timestamptz[]), unnest($9::text[])::uuid[],
            unnest($10::uuid[]), unnest($11::bigint[])
        ON CONFLICT (kind, cluster_id, remediation_id, key) DO UPDATE
        SET status = excluded.status, fields = excluded.fields, first_occurred_at = excluded.first_occurred_at,
            last_occurred_at = excluded.last_occurred_at, event_ids = excluded.event_ids,
            last_event_id = excluded.last_event_id, last_position = excluded.last_position
        WHERE v.event_ids <> excluded.event_ids OR v.fields::text <> excluded.fields::text",
        &column(&rows, |row| row.kind.word()) as &[&str],
        &column(&rows, |row| row.stream.cluster_id.as_str()) as &[&str],
        &column(&rows, |row| row.stream.remediation_id.as_str()) as &[&str],
        &column(&rows, |row| row.key.as_str()) as &[&str],
        &column(&rows, status) as &[Option<&str>],
        &column(&rows, |row| canonical::object_text(&row.fields)),
        &column(&rows, |row| row.first_occurred_at) as &[DateTime<Utc>],
        &column(&rows, |row| row.last_occurred_at) as &[DateTime<Utc>],
        &column(&rows, |row| array_text(&row.event_ids)),
        &column(&rows, |row| row.last_event_id),
        &column(&rows, |row| row.last_position.0)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What the row's kind takes for its status.
fn status(row: &ViewRow) -> Option<&str> {
    row.fields.get(KindTable::of(row.kind).status?)?.as_str()
}

/// An array as Postgres reads it: arrays within arrays would have to be of one length.
fn array_text(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// Deletes the rows of the streams `known` that are not among `rows`.
async fn delete_others(db: &mut PgConnection, known: &[&StreamId], rows: &[&ViewRow]) -> Result<(), sqlx::Error> {
    let streams: HashSet<&StreamId> = known.iter().copied().collect();
    let kept: Vec<&ViewRow> = rows.iter().copied().filter(|row| streams.contains(&row.stream)).collect();
    let clusters: Vec<&str> = known.iter().map(|stream| stream.cluster_id.as_str()).collect();
    let remediations: Vec<&str> = known.iter().map(|stream| stream.remediation_id.as_str()).collect();
    // `OFFSET 0` keeps look-ups by key, and `NOT IN` becomes one table of hashes: the planner does not know how many rows there are.
    let gone = sqlx::query!(
        r#"SELECT v.kind AS "kind!", v.cluster_id AS "cluster_id!", v.remediation_id AS "remediation_id!", v.key AS "key!"
        FROM unnest($1::text[], $2::text[]) AS s(cluster_id, remediation_id)
        CROSS JOIN LATERAL (
            SELECT i.kind, i.cluster_id, i.remediation_id, i.key FROM service_views i
            WHERE i.kind IN ('ORCHESTRATION', 'SIGNAL_PROCESSING', 'AI_ANALYSIS', 'WORKFLOW_EXECUTION', 'NOTIFICATION',
                    'EFFECTIVENESS')
                AND i.cluster_id = s.cluster_id AND i.remediation_id = s.remediation_id OFFSET 0
        ) v
        WHERE (v.kind, v.cluster_id, v.remediation_id, v.key) NOT IN (
            SELECT kind, cluster_id, remediation_id, key
            FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS r(kind, cluster_id, remediation_id, key)
        )"#,
        &clusters as &[&str],
        &remediations as &[&str],
        &column(&kept, |row| row.kind.word()) as &[&str],
        &column(&kept, |row| row.stream.cluster_id.as_str()) as &[&str],
        &column(&kept, |row| row.stream.remediation_id.as_str()) as &[&str],
        &column(&kept, |row| row.key.as_str()) as &[&str],
    )
    .fetch_all(&mut *db)
    .await?;
    for row in gone {
        sqlx::query!(
            "DELETE FROM service_views WHERE kind = $1 AND cluster_id = $2 AND remediation_id = $3 AND key = $4",
            row.kind,
            row.cluster_id,
            row.remediation_id,
            row.key
        )
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// A row of a list, with its place in the list's order.
#[derive(Clone, Debug)]
pub struct Row {
    pub view: ViewRow,
    pub place: Place,
}

/// Where a row stands in the order of its list: by the time of its last event, then its identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub last_occurred_at: DateTime<Utc>,
    pub cluster_id: String,
    pub remediation_id: String,
    pub key: String,
}

struct Found {
    cluster_id: String,
    remediation_id: String,
    key: String,
    fields: String,
    first_occurred_at: DateTime<Utc>,
    last_occurred_at: DateTime<Utc>,
    event_ids: Vec<Uuid>,
    last_event_id: Uuid,
    last_position: i64,
}

impl Found {
    fn row(self, kind: Kind) -> Row {
        let place = Place {
            last_occurred_at: self.last_occurred_at,
            cluster_id: self.cluster_id.clone(),
            remediation_id: self.remediation_id.clone(),
            key: self.key.clone(),
        };
        let view = ViewRow {
            kind,
            stream: StreamId { cluster_id: self.cluster_id, remediation_id: self.remediation_id },
            key: self.key,
            fields: serde_json::from_str(&self.fields).unwrap_or_default(),
            first_occurred_at: self.first_occurred_at,
            last_occurred_at: self.last_occurred_at,
            event_ids: self.event_ids,
            last_event_id: self.last_event_id,
            last_position: Position(self.last_position),
        };
        Row { view, place }
    }
}

/// Up to `limit` rows of a kind whose remediation matches the filter, after `after`, by the time of their last event.
pub async fn page(
    db: &PgPool,
    kind: Kind,
    filter: &Filter,
    descending: bool,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    let time = after.map(|place| place.last_occurred_at);
    let cluster_id = after.map(|place| place.cluster_id.as_str());
    let remediation_id = after.map(|place| place.remediation_id.as_str());
    let key = after.map(|place| place.key.as_str());
    macro_rules! rows {
        ($comparison:literal, $direction:literal) => {
            matching!(
                query_as,
                [Found,],
                filter,
                ["SELECT v.cluster_id, v.remediation_id, v.key, v.fields::text AS \"fields!\", v.first_occurred_at,
                    v.last_occurred_at, v.event_ids, v.last_event_id, v.last_position
                FROM service_views v JOIN"],
                ["ON v.cluster_id = r.cluster_id AND v.remediation_id = r.remediation_id"],
                ["AND v.kind = $32 AND ($33::timestamptz IS NULL
                    OR (v.last_occurred_at, v.cluster_id, v.remediation_id, v.key) "
                    + $comparison
                    + " ($33, $34::text, $35::text, $36::text))
                ORDER BY v.last_occurred_at "
                    + $direction
                    + ", v.cluster_id "
                    + $direction
                    + ", v.remediation_id "
                    + $direction
                    + ", v.key "
                    + $direction
                    + " LIMIT $37"],
                kind.word(),
                time,
                cluster_id,
                remediation_id,
                key,
                limit
            )
            .fetch_all(db)
            .await
        };
    }
    let found = if descending { rows!("<", "DESC") } else { rows!(">", "ASC") }?;
    Ok(found.into_iter().map(|found| found.row(kind)).collect())
}

/// How many rows of a kind have a remediation that matches, counted up to `most` + 1.
pub async fn count(db: &PgPool, kind: Kind, filter: &Filter, most: i64) -> Result<i64, sqlx::Error> {
    matching!(
        query_scalar,
        [],
        filter,
        ["SELECT count(*) AS \"count!\" FROM (SELECT 1 AS one FROM service_views v JOIN"],
        ["ON v.cluster_id = r.cluster_id AND v.remediation_id = r.remediation_id"],
        ["AND v.kind = $32 LIMIT $33) found"],
        kind.word(),
        most + 1
    )
    .fetch_one(db)
    .await
}

/// The rows of these identities, for `node`; what is not there is left out.
pub async fn by_key(db: &PgPool, kind: Kind, stream: &StreamId, key: &str) -> Result<Option<ViewRow>, sqlx::Error> {
    let found = sqlx::query_as!(
        Found,
        r#"SELECT cluster_id, remediation_id, key, fields::text AS "fields!", first_occurred_at, last_occurred_at, event_ids,
            last_event_id, last_position
        FROM service_views WHERE kind = $1 AND cluster_id = $2 AND remediation_id = $3 AND key = $4"#,
        kind.word(),
        stream.cluster_id,
        stream.remediation_id,
        key
    )
    .fetch_optional(db)
    .await?;
    Ok(found.map(|found| found.row(kind).view))
}

/// The rows of a kind of several remediations, those whose last event is the latest last.
pub async fn of_streams(db: &PgPool, kind: Kind, streams: &[StreamId]) -> Result<Vec<ViewRow>, sqlx::Error> {
    let clusters: Vec<&str> = streams.iter().map(|stream| stream.cluster_id.as_str()).collect();
    let remediations: Vec<&str> = streams.iter().map(|stream| stream.remediation_id.as_str()).collect();
    let found = sqlx::query_as!(
        Found,
        r#"SELECT v.cluster_id, v.remediation_id, v.key, v.fields::text AS "fields!", v.first_occurred_at, v.last_occurred_at,
            v.event_ids, v.last_event_id, v.last_position
        FROM unnest($2::text[], $3::text[]) AS s(cluster_id, remediation_id)
        JOIN service_views v ON v.kind = $1 AND v.cluster_id = s.cluster_id AND v.remediation_id = s.remediation_id
        ORDER BY v.last_occurred_at, v.cluster_id, v.remediation_id, v.key"#,
        kind.word(),
        &clusters as &[&str],
        &remediations as &[&str],
    )
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().map(|found| found.row(kind).view).collect())
}
