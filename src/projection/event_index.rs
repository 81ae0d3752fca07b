//! The projection `event_index`: the columns that events are filtered by, one row per event.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Range,
    batch::Batch,
    column,
    compare::{any, longest, within},
};
use crate::audit::{Entry, Position, StreamId};

/// Adds the rows of a range. What an event tells of its context is what the event itself says. Rows that may
/// be there, as where a cursor was set back by hand, are looked for, which takes a tenth more.
pub(super) async fn write(
    db: &mut PgConnection,
    range: Range,
    batch: &Batch,
    may_be_there: bool,
) -> Result<(), sqlx::Error> {
    let entries = batch.entries(range);
    macro_rules! insert {
        ($conflict:literal) => {
            sqlx::query!(
                "INSERT INTO event_index (position, recorded_at, occurred_at, cluster_id, remediation_id, kind, category, event_type,
                    outcome, actor_id, recorded_by, parent_event_id, trace_id, environment, severity, target_kind, target_namespace,
                    target_name, action_type)
                SELECT unnest($1::bigint[]), unnest($2::timestamptz[]), unnest($3::timestamptz[]), unnest($4::text[]),
                    unnest($5::text[]), unnest($6::text[]), unnest($7::text[]), unnest($8::text[]), unnest($9::text[]),
                    unnest($10::text[]), unnest($11::text[]), unnest($12::uuid[]), unnest($13::text[]), unnest($14::text[]),
                    unnest($15::text[]), unnest($16::text[]), unnest($17::text[]), unnest($18::text[]), unnest($19::text[])"
                + $conflict,
                &column(&entries, |entry| entry.position.0) as &[i64],
                &column(&entries, |entry| entry.recorded_at) as &[DateTime<Utc>],
                &column(&entries, |entry| entry.event.occurred_at) as &[DateTime<Utc>],
                &column(&entries, |entry| entry.event.stream.cluster_id.as_str()) as &[&str],
                &column(&entries, |entry| entry.event.stream.remediation_id.as_str()) as &[&str],
                &column(&entries, |entry| &*entry.words.kind) as &[&str],
                &column(&entries, |entry| entry.event.category.as_str()) as &[&str],
                &column(&entries, |entry| entry.event.event_type.as_str()) as &[&str],
                &column(&entries, |entry| entry.words.outcome.as_deref()) as &[Option<&str>],
                &column(&entries, |entry| entry.event.actor_id.as_deref()) as &[Option<&str>],
                &column(&entries, |entry| entry.recorded_by.as_deref()) as &[Option<&str>],
                &column(&entries, |entry| entry.event.parent_event_id) as &[Option<Uuid>],
                &column(&entries, |entry| entry.event.trace_id.as_deref()) as &[Option<&str>],
                &column(&entries, |entry| told(entry, "environment")) as &[Option<&str>],
                &column(&entries, |entry| told(entry, "severity")) as &[Option<&str>],
                &column(&entries, |entry| target(entry, "kind")) as &[Option<&str>],
                &column(&entries, |entry| target(entry, "namespace")) as &[Option<&str>],
                &column(&entries, |entry| target(entry, "name")) as &[Option<&str>],
                &column(&entries, action) as &[Option<&str>]
            )
            .execute(db)
            .await?
        };
    }
    match may_be_there {
        false => insert!(""),
        true => insert!(" ON CONFLICT (position) DO NOTHING"),
    };
    Ok(())
}

fn told<'e>(entry: &'e Entry, name: &str) -> Option<&'e str> {
    entry.event.fields().text(name)
}

fn target<'e>(entry: &'e Entry, name: &str) -> Option<&'e str> {
    entry.event.fields().object("target")?.text(name)
}

/// The fields that tell an event's action; the first that is there counts.
const ACTION: [&str; 3] = ["actionType", "recommendedAction", "topRecommendation"];

fn action(entry: &Entry) -> Option<&str> {
    ACTION.iter().find_map(|name| told(entry, name))
}

/// Which events; everything that is set must hold. A list means any of, an empty list nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub occurred_from: Option<DateTime<Utc>>,
    pub occurred_to: Option<DateTime<Utc>>,
    pub recorded_from: Option<DateTime<Utc>>,
    pub recorded_to: Option<DateTime<Utc>>,
    pub kind: Option<Vec<String>>,
    pub category: Option<Vec<String>>,
    pub event_type: Option<Vec<String>>,
    /// The empty word is an event that tells none.
    pub outcome: Option<Vec<String>>,
    pub actor_id: Option<Vec<String>>,
    pub recorded_by: Option<Vec<String>>,
    pub cluster_id: Option<Vec<String>>,
    pub remediation_id: Option<Vec<String>>,
    pub environment: Option<Vec<String>>,
    pub severity: Option<Vec<String>>,
    pub target_kind: Option<Vec<String>>,
    pub target_namespace: Option<Vec<String>>,
    pub target_name: Option<Vec<String>>,
    pub action_type: Option<Vec<String>>,
    pub trace_id: Option<String>,
}

impl Filter {
    /// The events of one remediation.
    pub fn of_stream(stream: &StreamId) -> Filter {
        Filter {
            cluster_id: Some(vec![stream.cluster_id.clone()]),
            remediation_id: Some(vec![stream.remediation_id.clone()]),
            ..Filter::default()
        }
    }

    /// How many values its longest list has.
    pub fn most_values(&self) -> usize {
        longest([
            &self.kind,
            &self.category,
            &self.event_type,
            &self.outcome,
            &self.actor_id,
            &self.recorded_by,
            &self.cluster_id,
            &self.remediation_id,
            &self.environment,
            &self.severity,
            &self.target_kind,
            &self.target_namespace,
            &self.target_name,
            &self.action_type,
        ])
    }

    /// Whether an entry matches: the same rules as the statements', for entries that the index may not have yet.
    pub fn matches(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        within(event.occurred_at, self.occurred_from, self.occurred_to)
            && within(entry.recorded_at, self.recorded_from, self.recorded_to)
            && any(&self.kind, Some(&entry.words.kind))
            && any(&self.category, Some(&event.category))
            && any(&self.event_type, Some(&event.event_type))
            && any(&self.outcome, Some(entry.words.outcome.as_deref().unwrap_or_default()))
            && any(&self.actor_id, event.actor_id.as_deref())
            && any(&self.recorded_by, entry.recorded_by.as_deref())
            && any(&self.cluster_id, Some(&event.stream.cluster_id))
            && any(&self.remediation_id, Some(&event.stream.remediation_id))
            && (self.environment.is_none() || any(&self.environment, told(entry, "environment")))
            && (self.severity.is_none() || any(&self.severity, told(entry, "severity")))
            && (self.target_kind.is_none() || any(&self.target_kind, target(entry, "kind")))
            && (self.target_namespace.is_none() || any(&self.target_namespace, target(entry, "namespace")))
            && (self.target_name.is_none() || any(&self.target_name, target(entry, "name")))
            && (self.action_type.is_none() || any(&self.action_type, action(entry)))
            && self.trace_id.as_ref().is_none_or(|trace| event.trace_id.as_ref() == Some(trace))
    }
}

/// What events are ordered by; ties by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Position,
    OccurredAt,
}

/// Where one event stands in an order.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Row {
    pub position: i64,
    pub recorded_at: DateTime<Utc>,
    pub occurred_at: DateTime<Utc>,
}

/// A statement over the events that match a filter: `i` is `event_index`, `$1` to `$19` are the filter.
// One value is said once more as an equality: only then is an index by the value and the position known to give the order of
// positions, and a page is read from it alone. Otherwise all that matches is sorted, or the journal is gone through from its end.
macro_rules! matching {
    ($query:ident, [$($row:tt)*], $filter:expr, [$($head:tt)+], [$($tail:tt)+] $(, $argument:expr)* $(,)?) => {{
        let filter: &Filter = $filter;
        sqlx::$query!(
            $($row)*
            $($head)+ +
            " FROM event_index i
            WHERE ($1::timestamptz IS NULL OR i.occurred_at >= $1) AND ($2::timestamptz IS NULL OR i.occurred_at < $2)
                AND ($3::timestamptz IS NULL OR i.recorded_at >= $3) AND ($4::timestamptz IS NULL OR i.recorded_at < $4)
                AND ($5::text[] IS NULL OR i.kind = ANY($5)) AND ($6::text[] IS NULL OR i.category = ANY($6))
                AND ($7::text[] IS NULL OR i.event_type = ANY($7)) AND ($8::text[] IS NULL OR coalesce(i.outcome, '') = ANY($8))
                AND ($9::text[] IS NULL OR i.actor_id = ANY($9)) AND ($10::text[] IS NULL OR i.recorded_by = ANY($10))
                AND ($11::text[] IS NULL OR i.cluster_id = ANY($11))
                AND ($12::text[] IS NULL OR i.remediation_id = ANY($12))
                AND ($13::text[] IS NULL OR i.environment = ANY($13)) AND ($14::text[] IS NULL OR i.severity = ANY($14))
                AND ($15::text[] IS NULL OR i.target_kind = ANY($15))
                AND ($16::text[] IS NULL OR i.target_namespace = ANY($16))
                AND ($17::text[] IS NULL OR i.target_name = ANY($17))
                AND ($18::text[] IS NULL OR i.action_type = ANY($18))
                AND ($19::text IS NULL OR i.trace_id = $19)
                AND ($7::text[] IS NULL OR cardinality($7) <> 1 OR i.event_type = ($7)[1])
                AND ($9::text[] IS NULL OR cardinality($9) <> 1 OR i.actor_id = ($9)[1])
                AND ($12::text[] IS NULL OR cardinality($12) <> 1 OR i.remediation_id = ($12)[1])
                "
            + $($tail)+,
            filter.occurred_from,
            filter.occurred_to,
            filter.recorded_from,
            filter.recorded_to,
            filter.kind.as_deref(),
            filter.category.as_deref(),
            filter.event_type.as_deref(),
            filter.outcome.as_deref(),
            filter.actor_id.as_deref(),
            filter.recorded_by.as_deref(),
            filter.cluster_id.as_deref(),
            filter.remediation_id.as_deref(),
            filter.environment.as_deref(),
            filter.severity.as_deref(),
            filter.target_kind.as_deref(),
            filter.target_namespace.as_deref(),
            filter.target_name.as_deref(),
            filter.action_type.as_deref(),
            filter.trace_id
            $(, $argument)*
        )
    }};
}

/// Up to `limit` rows after `after` in the order given, or in the reverse of it.
pub async fn page(
    db: &PgPool,
    filter: &Filter,
    order: Order,
    descending: bool,
    after: Option<&Row>,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    let position = after.map(|row| row.position);
    let occurred_at = after.map(|row| row.occurred_at);
    macro_rules! by_occurrence {
        ($comparison:literal, $direction:literal) => {
            matching!(
                query_as,
                [Row,],
                filter,
                ["SELECT i.position, i.recorded_at, i.occurred_at"],
                ["AND ($20::timestamptz IS NULL OR (i.occurred_at, i.position) "
                    + $comparison
                    + " ($20, $21::bigint)) ORDER BY i.occurred_at "
                    + $direction
                    + ", i.position "
                    + $direction
                    + " LIMIT $22"],
                occurred_at,
                position,
                limit
            )
            .fetch_all(db)
            .await
        };
    }
    macro_rules! by_position {
        ($comparison:literal, $direction:literal) => {
            matching!(
                query_as,
                [Row,],
                filter,
                ["SELECT i.position, i.recorded_at, i.occurred_at"],
                ["AND ($20::bigint IS NULL OR i.position "
                    + $comparison
                    + " $20) ORDER BY i.position "
                    + $direction
                    + " LIMIT $21"],
                position,
                limit
            )
            .fetch_all(db)
            .await
        };
    }
    match (order, descending) {
        (Order::Position, false) => by_position!(">", "ASC"),
        (Order::Position, true) => by_position!("<", "DESC"),
        (Order::OccurredAt, false) => by_occurrence!(">", "ASC"),
        (Order::OccurredAt, true) => by_occurrence!("<", "DESC"),
    }
}

/// The places of up to `limit` events that match after a position, in the order of the journal.
pub async fn after(
    db: &PgPool,
    filter: &Filter,
    position: Position,
    limit: i64,
) -> Result<Vec<(Position, DateTime<Utc>)>, sqlx::Error> {
    between(db, filter, position, Position(i64::MAX), limit).await
}

/// The places of up to `limit` events that match in (`from`, `to`], in the order of the journal. Where few match, it is that
/// range that bounds how many are looked at.
pub async fn between(
    db: &PgPool,
    filter: &Filter,
    from: Position,
    to: Position,
    limit: i64,
) -> Result<Vec<(Position, DateTime<Utc>)>, sqlx::Error> {
    let rows = matching!(
        query_as,
        [Row,],
        filter,
        ["SELECT i.position, i.recorded_at, i.occurred_at"],
        ["AND i.position > $20 AND i.position <= $21 ORDER BY i.position LIMIT $22"],
        from.0,
        to.0,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (Position(row.position), row.recorded_at)).collect())
}

/// How many events match, counted up to `most` + 1.
pub async fn count(db: &PgPool, filter: &Filter, most: i64) -> Result<i64, sqlx::Error> {
    matching!(
        query_scalar,
        [],
        filter,
        [r#"SELECT count(*) AS "count!" FROM (SELECT 1 AS one"#],
        ["LIMIT $20) found"],
        most + 1
    )
    .fetch_one(db)
    .await
}

/// How many events each of `parents` led to, counted up to `most` + 1.
pub async fn count_children(db: &PgPool, parents: &[Uuid], most: i64) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT p.id AS "parent!", c.count AS "count!"
        FROM unnest($1::uuid[]) AS p(id)
        CROSS JOIN LATERAL (
            SELECT count(*) FROM (SELECT 1 AS one FROM event_index i WHERE i.parent_event_id = p.id LIMIT $2) found
        ) c
        ORDER BY p.id"#,
        parents,
        most + 1
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.parent, row.count)).collect())
}

/// The events that were led to by each of `parents`: for each its first `limit` after `after`, by position.
pub async fn children(
    db: &PgPool,
    parents: &[Uuid],
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<(Uuid, Row)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT p.id AS "parent!", c.position AS "position!", c.recorded_at AS "recorded_at!", c.occurred_at AS "occurred_at!"
        FROM unnest($1::uuid[]) AS p(id)
        CROSS JOIN LATERAL (
            SELECT i.position, i.recorded_at, i.occurred_at FROM event_index i
            WHERE i.parent_event_id = p.id AND ($2::bigint IS NULL OR i.position > $2)
            ORDER BY i.position LIMIT $3
        ) c
        ORDER BY p.id, c.position"#,
        parents,
        after,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (row.parent, Row { position: row.position, recorded_at: row.recorded_at, occurred_at: row.occurred_at })
        })
        .collect())
}
