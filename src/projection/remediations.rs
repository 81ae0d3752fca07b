//! The projection `remediations`: each stream that was appended to is folded whole, with the one fold, so that a list and a
//! single query never disagree. Its step writes the service views too.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use sqlx::{PgConnection, PgPool};

use super::{
    Projection, Range,
    batch::{Batch, Told},
    compare::{any, between, longest, overlaps, within},
    cursor, service_views,
};
use crate::{
    audit::{Position, StreamId},
    remediation::{self, model::Summary},
};

pub use super::batch::group;

/// A row as the table has it; the names are its columns.
#[derive(Serialize)]
pub(super) struct Stored<'a> {
    first_position: i64,
    cluster_id: &'a str,
    remediation_id: &'a str,
    phase: remediation::model::RemediationPhase,
    outcome: Option<remediation::model::RemediationOutcome>,
    effective: Option<bool>,
    effectiveness: Option<f64>,
    signal_name: Option<&'a str>,
    fingerprint: Option<&'a str>,
    environment: Option<&'a str>,
    severity: Option<&'a str>,
    model: Option<&'a str>,
    confidence: Option<f64>,
    spec_hash_before: Option<&'a str>,
    spec_hash_after: Option<&'a str>,
    target_kind: Option<&'a str>,
    target_namespace: Option<&'a str>,
    target_name: Option<&'a str>,
    action_types: &'a [String],
    workflow_names: &'a [String],
    started_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    settled_at: Option<DateTime<Utc>>,
    duration_ms: f64,
    bottleneck: Option<remediation::model::PhaseName>,
    decisions: Vec<&'a str>,
    /// Each once.
    approvers: Vec<&'a str>,
    /// One for each of `decisions`.
    approval_deciders: Vec<Option<&'a str>>,
    approval_waits: Vec<Option<f64>>,
    approval_wait_ms: Option<f64>,
    completeness: f64,
    last_position: i64,
    last_version: i32,
    /// `None` where it is handed over beside.
    summary: Option<Box<RawValue>>,
}

impl<'a> Stored<'a> {
    pub(super) fn of(summary: &'a Summary, first_position: Position) -> anyhow::Result<Stored<'a>> {
        let signal = |name: &str| summary.signal.as_ref().and_then(|signal| signal.get(name)?.as_str());
        let waits: Vec<f64> = summary.approvals.iter().filter_map(|approval| approval.wait_ms).collect();
        let deciders: Vec<Option<&str>> =
            summary.approvals.iter().map(|approval| approval.decided_by.as_deref()).collect();
        let mut seen = HashSet::new();
        Ok(Stored {
            first_position: first_position.0,
            cluster_id: &summary.stream.cluster_id,
            remediation_id: &summary.stream.remediation_id,
            phase: summary.phase,
            outcome: summary.outcome,
            effective: summary.effective,
            effectiveness: summary.effectiveness,
            signal_name: signal("name"),
            fingerprint: signal("fingerprint"),
            environment: summary.environment.as_deref(),
            severity: summary.severity.as_deref(),
            model: summary.model.as_deref(),
            confidence: summary.confidence,
            spec_hash_before: summary.spec_hash_before.as_deref(),
            spec_hash_after: summary.spec_hash_after.as_deref(),
            target_kind: summary.target.as_ref().map(|target| target.kind.as_str()),
            target_namespace: summary.target.as_ref().and_then(|target| target.namespace.as_deref()),
            target_name: summary.target.as_ref().map(|target| target.name.as_str()),
            action_types: &summary.action_types,
            workflow_names: &summary.workflow_names,
            started_at: summary.started_at,
            completed_at: summary.completed_at,
            settled_at: summary.settled_at,
            duration_ms: summary.duration_ms,
            bottleneck: summary.bottleneck,
            decisions: summary.approvals.iter().map(|approval| approval.decision.as_str()).collect(),
            approvers: deciders.iter().flatten().copied().filter(|approver| seen.insert(*approver)).collect(),
            approval_deciders: deciders,
            approval_waits: summary.approvals.iter().map(|approval| approval.wait_ms).collect(),
            approval_wait_ms: (!waits.is_empty()).then(|| waits.iter().sum()),
            completeness: summary.completeness.score,
            last_position: summary.last_position.0,
            last_version: summary.last_version.0,
            summary: Some(serde_json::value::to_raw_value(summary)?),
        })
    }
}

/// Writes the rows of the streams that were appended to in the range.
pub(super) async fn write(db: &mut PgConnection, range: Range, batch: &Batch) -> anyhow::Result<()> {
    let streams = batch.streams_after(range.from);
    let told: Vec<(Position, &Told)> =
        streams.iter().filter_map(|stream| Some((stream.first, stream.told.as_ref()?))).collect();
    let mut stored =
        told.iter().map(|(first, told)| Stored::of(&told.summary, *first)).collect::<anyhow::Result<Vec<_>>>()?;
    let summaries: Vec<Option<Box<RawValue>>> = stored.iter_mut().map(|row| row.summary.take()).collect();
    let summaries: Vec<Option<&str>> = summaries.iter().map(|summary| summary.as_deref().map(RawValue::get)).collect();
    // Within the rows' own text the summaries, which are most of it, would be gone through three times.
    sqlx::query!(
        "INSERT INTO remediations (cluster_id, remediation_id, phase, outcome, effective, effectiveness, signal_name,
            fingerprint, environment, severity, target_kind, target_namespace, target_name, action_types, workflow_names,
            started_at, completed_at, settled_at, duration_ms, bottleneck, decisions, approvers, approval_wait_ms,
            completeness, last_position, last_version, summary, first_position, model, confidence, spec_hash_before,
            spec_hash_after, approval_deciders, approval_waits)
        SELECT cluster_id, remediation_id, phase, outcome, effective, effectiveness, signal_name,
            fingerprint, environment, severity, target_kind, target_namespace, target_name, action_types, workflow_names,
            started_at, completed_at, settled_at, duration_ms, bottleneck, decisions, approvers, approval_wait_ms,
            completeness, last_position, last_version, unnest::json, first_position, model, confidence, spec_hash_before,
            spec_hash_after, approval_deciders, approval_waits
        FROM ROWS FROM (json_populate_recordset(NULL::remediations, $1::text::json), unnest($2::text[]))
        ON CONFLICT (cluster_id, remediation_id) DO UPDATE
        SET phase = excluded.phase, outcome = excluded.outcome, effective = excluded.effective,
            effectiveness = excluded.effectiveness, signal_name = excluded.signal_name, fingerprint = excluded.fingerprint,
            environment = excluded.environment, severity = excluded.severity, target_kind = excluded.target_kind,
            target_namespace = excluded.target_namespace, target_name = excluded.target_name,
            action_types = excluded.action_types, workflow_names = excluded.workflow_names,
            started_at = excluded.started_at, completed_at = excluded.completed_at, settled_at = excluded.settled_at,
            duration_ms = excluded.duration_ms, bottleneck = excluded.bottleneck, decisions = excluded.decisions,
            approvers = excluded.approvers, approval_wait_ms = excluded.approval_wait_ms,
            completeness = excluded.completeness, last_position = excluded.last_position,
            last_version = excluded.last_version, summary = excluded.summary, model = excluded.model,
            confidence = excluded.confidence, spec_hash_before = excluded.spec_hash_before,
            spec_hash_after = excluded.spec_hash_after, approval_deciders = excluded.approval_deciders,
            approval_waits = excluded.approval_waits",
        serde_json::to_string(&stored)?,
        &summaries as &[Option<&str>]
    )
    .execute(&mut *db)
    .await?;
    let known: Vec<&StreamId> = streams.iter().filter(|stream| !stream.begins_in(range)).map(|it| &it.id).collect();
    service_views::replace(db, &known, told.iter().flat_map(|(_, told)| &told.views)).await
}

/// Which remediations; everything that is set must hold. A list means any of, an empty list nothing; times are half open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub started_from: Option<DateTime<Utc>>,
    pub started_to: Option<DateTime<Utc>>,
    pub completed_from: Option<DateTime<Utc>>,
    pub completed_to: Option<DateTime<Utc>>,
    pub settled_from: Option<DateTime<Utc>>,
    pub settled_to: Option<DateTime<Utc>>,
    pub settled: Option<bool>,
    pub remediation_id_prefix: Option<String>,
    pub cluster_id: Option<Vec<String>>,
    pub environment: Option<Vec<String>>,
    pub severity: Option<Vec<String>>,
    pub phase: Option<Vec<String>>,
    pub outcome: Option<Vec<String>>,
    pub effective: Option<bool>,
    pub signal_name: Option<Vec<String>>,
    pub fingerprint: Option<Vec<String>>,
    pub target_kind: Option<Vec<String>>,
    pub target_namespace: Option<Vec<String>>,
    pub target_name: Option<Vec<String>>,
    pub action_type: Option<Vec<String>>,
    pub workflow_name: Option<Vec<String>>,
    pub bottleneck: Option<Vec<String>>,
    pub duration_min: Option<f64>,
    pub duration_max: Option<f64>,
    pub decision: Option<Vec<String>>,
    pub decided_by: Option<Vec<String>>,
    pub wait_min: Option<f64>,
    pub wait_max: Option<f64>,
    pub effectiveness_min: Option<f64>,
    pub effectiveness_max: Option<f64>,
    pub completeness_below: Option<f64>,
}

impl Filter {
    /// How many values its longest list has.
    pub fn most_values(&self) -> usize {
        longest([
            &self.cluster_id,
            &self.environment,
            &self.severity,
            &self.phase,
            &self.outcome,
            &self.signal_name,
            &self.fingerprint,
            &self.target_kind,
            &self.target_namespace,
            &self.target_name,
            &self.action_type,
            &self.workflow_name,
            &self.bottleneck,
            &self.decision,
            &self.decided_by,
        ])
    }

    /// Whether a remediation matches at this time: the same rules as the statements', for what was read already.
    pub fn matches(&self, summary: &Summary, now: DateTime<Utc>) -> bool {
        let signal = |name: &str| summary.signal.as_ref().and_then(|signal| signal.get(name)?.as_str());
        let target = summary.target.as_ref();
        let waits: Vec<f64> = summary.approvals.iter().filter_map(|approval| approval.wait_ms).collect();
        let waited = (!waits.is_empty()).then(|| waits.iter().sum());
        let settled = summary.settled_at.is_some_and(|at| at <= now);
        within(summary.started_at, self.started_from, self.started_to)
            && within(summary.completed_at, self.completed_from, self.completed_to)
            && within(summary.settled_at, self.settled_from, self.settled_to)
            && self.settled.is_none_or(|wanted| wanted == settled)
            && self.remediation_id_prefix.as_ref().is_none_or(|it| summary.stream.remediation_id.starts_with(it))
            && any(&self.cluster_id, Some(&summary.stream.cluster_id))
            && any(&self.environment, summary.environment.as_deref())
            && any(&self.severity, summary.severity.as_deref())
            && named(&self.phase, Some(summary.phase))
            && named(&self.outcome, summary.outcome)
            && self.effective.is_none_or(|wanted| summary.effective == Some(wanted))
            && any(&self.signal_name, signal("name"))
            && any(&self.fingerprint, signal("fingerprint"))
            && any(&self.target_kind, target.map(|target| target.kind.as_str()))
            && any(&self.target_namespace, target.and_then(|target| target.namespace.as_deref()))
            && any(&self.target_name, target.map(|target| target.name.as_str()))
            && overlaps(&self.action_type, summary.action_types.iter().map(String::as_str))
            && overlaps(&self.workflow_name, summary.workflow_names.iter().map(String::as_str))
            && named(&self.bottleneck, summary.bottleneck)
            && between(summary.duration_ms, self.duration_min, self.duration_max)
            && overlaps(&self.decision, summary.approvals.iter().map(|approval| approval.decision.as_str()))
            && overlaps(&self.decided_by, summary.approvals.iter().filter_map(|it| it.decided_by.as_deref()))
            && between(waited, self.wait_min, self.wait_max)
            && between(summary.effectiveness, self.effectiveness_min, self.effectiveness_max)
            && self.completeness_below.is_none_or(|below| summary.completeness.score < below)
    }
}

/// Whether the name of a value, as the table has it, is one of a list.
fn named(wanted: &Option<Vec<String>>, value: Option<impl Serialize>) -> bool {
    let name = || serde_json::to_value(value.as_ref()?).ok();
    wanted.is_none() || any(wanted, name().as_ref().and_then(Value::as_str))
}

/// A statement over the remediations that match a filter: `r` is `remediations`, `$1` to `$31` are the filter. `head` ends
/// where the table's name goes, `join` comes behind it, and `tail` behind the conditions.
macro_rules! matching {
    ($query:ident, [$($row:tt)*], $filter:expr, [$($head:tt)+], [$($join:tt)+], [$($tail:tt)+]
        $(, $argument:expr)* $(,)?) => {{
        let filter: &$crate::projection::remediations::Filter = $filter;
        sqlx::$query!(
            $($row)*
            $($head)+ + " remediations r " + $($join)+ +
            " WHERE ($1::timestamptz IS NULL OR r.started_at >= $1) AND ($2::timestamptz IS NULL OR r.started_at < $2)
                AND ($3::timestamptz IS NULL OR r.completed_at >= $3) AND ($4::timestamptz IS NULL OR r.completed_at < $4)
                AND ($5::timestamptz IS NULL OR r.settled_at >= $5) AND ($6::timestamptz IS NULL OR r.settled_at < $6)
                AND ($7::boolean IS NULL OR coalesce(r.settled_at <= now(), false) = $7)
                AND ($8::text IS NULL OR starts_with(r.remediation_id, $8))
                AND ($9::text[] IS NULL OR r.cluster_id = ANY($9)) AND ($10::text[] IS NULL OR r.environment = ANY($10))
                AND ($11::text[] IS NULL OR r.severity = ANY($11)) AND ($12::text[] IS NULL OR r.phase = ANY($12))
                AND ($13::text[] IS NULL OR r.outcome = ANY($13)) AND ($14::boolean IS NULL OR r.effective = $14)
                AND ($15::text[] IS NULL OR r.signal_name = ANY($15))
                AND ($16::text[] IS NULL OR r.fingerprint = ANY($16))
                AND ($17::text[] IS NULL OR r.target_kind = ANY($17))
                AND ($18::text[] IS NULL OR r.target_namespace = ANY($18))
                AND ($19::text[] IS NULL OR r.target_name = ANY($19))
                AND ($20::text[] IS NULL OR r.action_types && $20) AND ($21::text[] IS NULL OR r.workflow_names && $21)
                AND ($22::text[] IS NULL OR r.bottleneck = ANY($22))
                AND ($23::float8 IS NULL OR r.duration_ms >= $23) AND ($24::float8 IS NULL OR r.duration_ms <= $24)
                AND ($25::text[] IS NULL OR r.decisions && $25) AND ($26::text[] IS NULL OR r.approvers && $26)
                AND ($27::float8 IS NULL OR r.approval_wait_ms >= $27)
                AND ($28::float8 IS NULL OR r.approval_wait_ms <= $28)
                AND ($29::float8 IS NULL OR r.effectiveness >= $29) AND ($30::float8 IS NULL OR r.effectiveness <= $30)
                AND ($31::float8 IS NULL OR r.completeness < $31) "
            + $($tail)+,
            filter.started_from,
            filter.started_to,
            filter.completed_from,
            filter.completed_to,
            filter.settled_from,
            filter.settled_to,
            filter.settled,
            filter.remediation_id_prefix,
            filter.cluster_id.as_deref(),
            filter.environment.as_deref(),
            filter.severity.as_deref(),
            filter.phase.as_deref(),
            filter.outcome.as_deref(),
            filter.effective,
            filter.signal_name.as_deref(),
            filter.fingerprint.as_deref(),
            filter.target_kind.as_deref(),
            filter.target_namespace.as_deref(),
            filter.target_name.as_deref(),
            filter.action_type.as_deref(),
            filter.workflow_name.as_deref(),
            filter.bottleneck.as_deref(),
            filter.duration_min,
            filter.duration_max,
            filter.decision.as_deref(),
            filter.decided_by.as_deref(),
            filter.wait_min,
            filter.wait_max,
            filter.effectiveness_min,
            filter.effectiveness_max,
            filter.completeness_below
            $(, $argument)*
        )
    }};
}
pub(super) use matching;

/// What remediations are ordered by; ties by cluster and name. What has no such value comes after all that have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    StartedAt,
    CompletedAt,
    Duration,
    Effectiveness,
    Completeness,
}

/// Where a remediation stands in an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub order: Order,
    pub descending: bool,
    /// The value it is ordered by, as the database writes it.
    pub value: String,
    pub cluster_id: String,
    pub remediation_id: String,
}

/// A remediation of a list, with its place in the list's order.
#[derive(Clone, Debug)]
pub struct Row {
    pub summary: Summary,
    pub place: Place,
}

struct Found {
    summary: String,
    value: String,
    cluster_id: String,
    remediation_id: String,
}

/// Up to `limit` remediations after `after` in the order given; `backwards` reads the same order from its end.
pub async fn page(
    db: &PgPool,
    filter: &Filter,
    (order, descending): (Order, bool),
    backwards: bool,
    after: Option<&Place>,
    limit: i64,
) -> anyhow::Result<Vec<Row>> {
    let value = after.map(|place| place.value.as_str());
    let cluster_id = after.map(|place| place.cluster_id.as_str());
    let remediation_id = after.map(|place| place.remediation_id.as_str());
    macro_rules! rows {
        ($key:literal, $cast:literal, $comparison:literal, $direction:literal) => {
            matching!(
                query_as,
                [Found,],
                filter,
                ["SELECT r.summary::text AS \"summary!\", "
                    + $key
                    + "::text AS \"value!\", r.cluster_id, r.remediation_id FROM"],
                [""],
                ["AND ($32::text IS NULL OR ("
                    + $key
                    + ", r.cluster_id, r.remediation_id) "
                    + $comparison
                    + " ($32::text::"
                    + $cast
                    + ", $33::text, $34::text)) ORDER BY "
                    + $key
                    + " "
                    + $direction
                    + ", r.cluster_id "
                    + $direction
                    + ", r.remediation_id "
                    + $direction
                    + " LIMIT $35"],
                value,
                cluster_id,
                remediation_id,
                limit
            )
            .fetch_all(db)
            .await?
        };
        ($key:literal, $cast:literal) => {
            if descending == backwards { rows!($key, $cast, ">", "ASC") } else { rows!($key, $cast, "<", "DESC") }
        };
    }
    // What has no value comes last whichever way the list is ordered.
    let found = match (order, descending) {
        (Order::StartedAt, _) => rows!("r.started_at", "timestamptz"),
        (Order::CompletedAt, false) => rows!("coalesce(r.completed_at, 'infinity')", "timestamptz"),
        (Order::CompletedAt, true) => rows!("coalesce(r.completed_at, '-infinity')", "timestamptz"),
        (Order::Duration, _) => rows!("r.duration_ms", "float8"),
        (Order::Effectiveness, false) => rows!("coalesce(r.effectiveness, 2)", "float8"),
        (Order::Effectiveness, true) => rows!("coalesce(r.effectiveness, -1)", "float8"),
        (Order::Completeness, _) => rows!("r.completeness", "float8"),
    };
    found.into_iter().map(|found| found.row(order, descending)).collect()
}

impl Found {
    fn row(self, order: Order, descending: bool) -> anyhow::Result<Row> {
        let summary = serde_json::from_str(&self.summary)?;
        Ok(Row {
            summary,
            place: Place {
                order,
                descending,
                value: self.value,
                cluster_id: self.cluster_id,
                remediation_id: self.remediation_id,
            },
        })
    }
}

/// Remediations that have changed, in the order of their last entries.
#[derive(Debug)]
pub struct Changed {
    pub summaries: Vec<Summary>,
    /// There are no others up to here.
    pub up_to: Position,
}

/// Up to `limit` remediations that match and whose last entry comes after `after`.
pub async fn changed(db: &PgPool, filter: &Filter, after: Position, limit: i64) -> anyhow::Result<Changed> {
    // Read first: what is listed below has come at least as far.
    let projected = cursor::position(db, Projection::Remediations).await?;
    let found = matching!(
        query_scalar,
        [],
        filter,
        [r#"SELECT r.summary::text AS "summary!" FROM"#],
        [""],
        ["AND r.last_position > $32 ORDER BY r.last_position LIMIT $33"],
        after.0,
        limit
    )
    .fetch_all(db)
    .await?;
    let summaries = found.iter().map(|text| serde_json::from_str(text)).collect::<Result<Vec<Summary>, _>>()?;
    let last = summaries.last().map_or(after, |summary| summary.last_position);
    let up_to = if (summaries.len() as i64) < limit { projected.max(last) } else { last };
    Ok(Changed { summaries, up_to })
}

/// How many remediations match, counted up to `most` + 1.
pub async fn count(db: &PgPool, filter: &Filter, most: i64) -> Result<i64, sqlx::Error> {
    matching!(
        query_scalar,
        [],
        filter,
        ["SELECT count(*) AS \"count!\" FROM (SELECT 1 AS one FROM"],
        [""],
        ["LIMIT $32) found"],
        most + 1
    )
    .fetch_one(db)
    .await
}

/// Where the remediations begin that match, the newest first, `limit` at most.
pub async fn newest(db: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<i64>, sqlx::Error> {
    matching!(
        query_scalar,
        [],
        filter,
        ["SELECT r.first_position AS \"first_position!\" FROM"],
        [""],
        ["ORDER BY r.first_position DESC LIMIT $32"],
        limit
    )
    .fetch_all(db)
    .await
}

/// Which of the candidates, named by where they begin, match; in no particular order.
pub async fn matching_of(db: &PgPool, filter: &Filter, candidates: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    matching!(
        query_scalar,
        [],
        filter,
        ["SELECT r.first_position AS \"first_position!\" FROM"],
        [""],
        ["AND r.first_position = ANY($32)"],
        candidates
    )
    .fetch_all(db)
    .await
}

/// The summaries of these remediations, by stream; those that are not projected yet are left out.
pub async fn by_streams(db: &PgPool, streams: &[StreamId]) -> anyhow::Result<Vec<Summary>> {
    let clusters: Vec<&str> = streams.iter().map(|stream| stream.cluster_id.as_str()).collect();
    let remediations: Vec<&str> = streams.iter().map(|stream| stream.remediation_id.as_str()).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT r.summary::text AS "summary!"
        FROM unnest($1::text[], $2::text[]) AS w(cluster_id, remediation_id)
        JOIN remediations r ON r.cluster_id = w.cluster_id AND r.remediation_id = w.remediation_id"#,
        &clusters as &[&str],
        &remediations as &[&str]
    )
    .fetch_all(db)
    .await?;
    found.iter().map(|summary| Ok(serde_json::from_str(summary)?)).collect()
}

/// Where the remediation begins in the journal, which stands for it in other tables.
pub async fn first_position(db: &PgPool, stream: &StreamId) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT first_position FROM remediations WHERE cluster_id = $1 AND remediation_id = $2",
        stream.cluster_id,
        stream.remediation_id
    )
    .fetch_optional(db)
    .await
}
