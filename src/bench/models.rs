//! A store of any size in minutes: some remediations go through the whole of Binnacle, and SQL copies what came of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use indicatif::ProgressBar;
use sqlx::{PgPool, query};

use super::stand::Stand;
use crate::{
    audit::{self, Event},
    demo::{self, Recording},
    journal::{self, Journal},
    telemetry::Metrics,
};

const CLUSTER: &str = "eu-prod-1";
/// So many remediations go on at once: their entries lie among each other.
const TOGETHER: usize = 8;
/// Most time from one entry to the next: a remediation takes minutes, however few of them there are.
const GAP_MAX: TimeDelta = TimeDelta::seconds(2);
/// How many audits are recorded at once, and how many copies one statement makes.
const BATCH: usize = 500;
const COPIES: i64 = 25;

/// What a store is made of.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Remediations that are told and folded; all others are their copies.
    pub models: usize,
    /// Entries of each remediation.
    pub entries: usize,
    /// All entries, about.
    pub events: usize,
    /// Over how many months until now they are spread.
    pub months: i64,
}

impl Size {
    pub fn remediations(self) -> usize {
        self.copies() * self.models
    }

    /// How often each model is there.
    fn copies(self) -> usize {
        (self.events / (self.models * self.entries)).max(1)
    }

    /// How far a copy lies behind the one before.
    fn step(self) -> TimeDelta {
        TimeDelta::days(self.months * 30) / i32::try_from(self.copies()).unwrap_or(i32::MAX)
    }
}

/// The name of a remediation by its number.
pub fn name(number: usize, size: Size) -> String {
    match (number % size.models, number / size.models) {
        (model, 0) => format!("rr-{model}"),
        (model, copy) => format!("rr-{model}-{copy}"),
    }
}

/// Fills the store of a stand, which is empty.
pub async fn fill(stand: &Stand, size: Size, bar: &ProgressBar) -> anyhow::Result<()> {
    let begin = Utc::now() - TimeDelta::days(size.months * 30) - TimeDelta::hours(1);
    bar.set_message("recording the models");
    // A small store has as many partitions as a large one.
    query(
        "SELECT journal_ensure_partition(month) FROM generate_series($1::timestamptz, now(), interval '15 days') month",
    )
    .bind(begin)
    .execute(&stand.owner)
    .await?;
    record(&stand.owner, size, begin).await?;
    stand.caught_up().await?;
    let (step, copies) = (size.step(), size.copies() as i64);
    let index = drop_indexes(&stand.owner).await?;
    for first in (1..copies).step_by(COPIES as usize) {
        bar.set_message(format!("copying: {first} of {copies}"));
        copy(&stand.owner, size, step, first, (first + COPIES).min(copies) - 1).await?;
    }
    bar.set_message("building indexes");
    for definition in index {
        sqlx::raw_sql(sqlx::AssertSqlSafe(definition)).execute(&stand.owner).await?;
    }
    end(&stand.owner).await?;
    bar.set_message("vacuuming");
    sqlx::raw_sql("VACUUM (ANALYZE) audit_events, event_keys, streams, event_index, remediations, service_views")
        .execute(&stand.owner)
        .await?;
    stand.caught_up().await
}

/// Records the models, one behind the other, in a part of the time that a copy has.
async fn record(owner: &PgPool, size: Size, begin: DateTime<Utc>) -> anyhow::Result<()> {
    let told = models(size)?;
    let gap = (size.step() / i32::try_from(told.len() + 1)?).min(GAP_MAX);
    let now = Utc::now();
    let event = |recording: Recording| -> anyhow::Result<Event> {
        let context = audit::Context { cluster_id: CLUSTER, now, fresh_id: recording.event_id };
        let checked = recording.submission.check(context);
        checked.map_err(|problems| anyhow::anyhow!("a model was rejected: {}", problems[0].message))
    };
    let events = told.into_iter().map(event).collect::<anyhow::Result<Vec<_>>>()?;
    let journal = Journal::open(owner.clone(), owner.clone(), journal::Settings::default(), Metrics::new()).await?;
    for (batch, events) in events.chunks(BATCH).enumerate() {
        let time = |place: usize| begin + gap * i32::try_from(batch * BATCH + place).unwrap_or(i32::MAX);
        journal.record_history(events.to_vec(), (0..events.len()).map(time).collect()).await?;
    }
    journal.close().await;
    Ok(())
}

/// The audits of the models, in the order in which they are recorded. Each is made of stories of the demo, one behind the other,
/// until it is long enough.
fn models(size: Size) -> anyhow::Result<Vec<Recording>> {
    let mut stories: BTreeMap<String, Vec<Recording>> = BTreeMap::new();
    // The shortest story has some seven audits, most have more than twenty.
    for recording in demo::history(size.models * size.entries / 15, Utc::now()) {
        let name = recording.submission.fields.get("remediationId").and_then(|name| name.as_str());
        stories
            .entry(name.context("an audit of the demo names its remediation")?.to_string())
            .or_default()
            .push(recording);
    }
    let mut stories = stories.into_values().filter(|story| story.len() >= 20);
    let mut models: Vec<Vec<Recording>> = Vec::with_capacity(size.models);
    for number in 0..size.models {
        let mut told: Vec<Recording> = Vec::new();
        while told.len() < size.entries {
            told.extend(stories.next().context("the demo has too few stories for so many models")?);
        }
        told.truncate(size.entries);
        for recording in &mut told {
            recording.submission.fields.insert("remediationId".to_string(), name(number, size).into());
            recording.submission.fields.insert("clusterId".to_string(), CLUSTER.into());
        }
        models.push(told);
    }
    let mut order: Vec<(usize, usize, usize)> = Vec::with_capacity(size.models * size.entries);
    order.extend(
        (0..size.models).flat_map(|model| (0..size.entries).map(move |entry| (model / TOGETHER, entry, model))),
    );
    order.sort_unstable();
    ensure!(order.len() == size.models * size.entries, "each model has {} entries", size.entries);
    Ok(order.into_iter().map(|(_, entry, model)| models[model][entry].clone()).collect())
}

/// Makes the copies `first` to `last`: what the journal holds and the projections have made of the models, at later positions and
/// times, under other ids and names. The texts, payloads and summaries, tell the times of the models.
async fn copy(owner: &PgPool, size: Size, step: TimeDelta, first: i64, last: i64) -> anyhow::Result<()> {
    let models = (size.models * size.entries) as i64;
    let step =
        sqlx::postgres::types::PgInterval { months: 0, days: 0, microseconds: step.num_microseconds().unwrap_or(0) };
    for statement in COPIED {
        query(*statement).bind(models).bind(step).bind(first).bind(last).execute(owner).await?;
    }
    Ok(())
}

/// `$1` is how many entries the models have, `$2` the step in time, `$3` and `$4` the first copy and the last.
const COPIED: &[&str] = &[
    "INSERT INTO audit_events (position, recorded_at, event_id, cluster_id, remediation_id, version, occurred_at, kind, category,
        event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id, schema_version, payload,
        digest)
    SELECT e.position + k * $1, e.recorded_at + k * $2, (lpad(to_hex(k), 8, '0') || substr(e.event_id::text, 9))::uuid,
        e.cluster_id, e.remediation_id || '-' || k, e.version, e.occurred_at + k * $2, e.kind, e.category, e.event_type,
        e.outcome, e.actor_type, e.actor_id, e.recorded_by,
        (lpad(to_hex(k), 8, '0') || substr(e.parent_event_id::text, 9))::uuid, e.trace_id, e.span_id, e.schema_version,
        e.payload, e.digest
    FROM generate_series($3::bigint, $4::bigint) k CROSS JOIN (SELECT * FROM audit_events WHERE position <= $1) e
    ORDER BY k, e.position",
    "INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
    SELECT (lpad(to_hex(k), 8, '0') || substr(e.event_id::text, 9))::uuid, e.position + k * $1, e.recorded_at + k * $2,
        e.version, e.content_digest
    FROM generate_series($3::bigint, $4::bigint) k CROSS JOIN (SELECT * FROM event_keys WHERE position <= $1) e
    ORDER BY 1",
    "INSERT INTO streams (cluster_id, remediation_id, version, first_recorded_at, last_recorded_at)
    SELECT s.cluster_id, s.remediation_id || '-' || k, s.version, s.first_recorded_at + k * $2, s.last_recorded_at + k * $2
    FROM generate_series($3::bigint, $4::bigint) k
    CROSS JOIN (
        SELECT * FROM streams WHERE (cluster_id, remediation_id) IN (
            SELECT cluster_id, remediation_id FROM audit_events WHERE position <= $1)
    ) s",
    "INSERT INTO event_index (position, recorded_at, occurred_at, cluster_id, remediation_id, kind, category, event_type, outcome,
        actor_id, recorded_by, parent_event_id, trace_id, environment, severity, target_kind, target_namespace, target_name,
        action_type)
    SELECT i.position + k * $1, i.recorded_at + k * $2, i.occurred_at + k * $2, i.cluster_id, i.remediation_id || '-' || k,
        i.kind, i.category, i.event_type, i.outcome, i.actor_id, i.recorded_by,
        (lpad(to_hex(k), 8, '0') || substr(i.parent_event_id::text, 9))::uuid, i.trace_id, i.environment, i.severity,
        i.target_kind, i.target_namespace, i.target_name, i.action_type
    FROM generate_series($3::bigint, $4::bigint) k CROSS JOIN (SELECT * FROM event_index WHERE position <= $1) i
    ORDER BY k, i.position",
    "INSERT INTO remediations (cluster_id, remediation_id, phase, outcome, effective, effectiveness, signal_name, fingerprint,
        environment, severity, target_kind, target_namespace, target_name, action_types, workflow_names, started_at,
        completed_at, settled_at, duration_ms, bottleneck, decisions, approvers, approval_wait_ms, completeness, last_position,
        last_version, summary, first_position, model, confidence, spec_hash_before, spec_hash_after, approval_deciders,
        approval_waits)
    SELECT r.cluster_id, r.remediation_id || '-' || k, r.phase, r.outcome, r.effective, r.effectiveness, r.signal_name,
        r.fingerprint, r.environment, r.severity, r.target_kind, r.target_namespace, r.target_name, r.action_types,
        r.workflow_names, r.started_at + k * $2, r.completed_at + k * $2, r.settled_at + k * $2, r.duration_ms, r.bottleneck,
        r.decisions, r.approvers, r.approval_wait_ms, r.completeness, r.last_position + k * $1, r.last_version,
        replace(replace(r.summary::text, '\"' || r.remediation_id || '\"', '\"' || r.remediation_id || '-' || k || '\"'),
            '\"last_position\":' || r.last_position, '\"last_position\":' || (r.last_position + k * $1))::json,
        r.first_position + k * $1, r.model, r.confidence, r.spec_hash_before, r.spec_hash_after, r.approval_deciders,
        r.approval_waits
    FROM generate_series($3::bigint, $4::bigint) k CROSS JOIN (SELECT * FROM remediations WHERE first_position <= $1) r",
    "INSERT INTO service_views (kind, cluster_id, remediation_id, key, status, fields, first_occurred_at, last_occurred_at,
        event_ids, last_event_id, last_position)
    SELECT v.kind, v.cluster_id, v.remediation_id || '-' || k, v.key, v.status, v.fields, v.first_occurred_at + k * $2,
        v.last_occurred_at + k * $2,
        ARRAY(SELECT (lpad(to_hex(k), 8, '0') || substr(id::text, 9))::uuid FROM unnest(v.event_ids) WITH ORDINALITY u(id, n)
            ORDER BY n),
        (lpad(to_hex(k), 8, '0') || substr(v.last_event_id::text, 9))::uuid, v.last_position + k * $1
    FROM generate_series($3::bigint, $4::bigint) k CROSS JOIN (SELECT * FROM service_views WHERE last_position <= $1) v",
];

/// Takes the indexes of `event_index` away but for its key, and answers how they are made: to build them at the end is quicker.
async fn drop_indexes(owner: &PgPool) -> anyhow::Result<Vec<String>> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexname::text, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename = 'event_index' AND indexname <> 'event_index_pkey' ORDER BY indexname",
    )
    .fetch_all(owner)
    .await?;
    for (name, _) in &found {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP INDEX {name}"))).execute(owner).await?;
    }
    Ok(found.into_iter().map(|(_, definition)| definition).collect())
}

/// Moves the journal's head and the cursors of the projections behind what was copied.
async fn end(owner: &PgPool) -> anyhow::Result<()> {
    let mut transaction = owner.begin().await?;
    query(
        "UPDATE journal_head h SET next_position = e.position + 1, last_recorded_at = e.recorded_at
        FROM (SELECT position, recorded_at FROM event_index ORDER BY position DESC LIMIT 1) e",
    )
    .execute(&mut *transaction)
    .await?;
    query(
        "UPDATE projection_cursors c SET position = e.position, recorded_at = e.recorded_at
        FROM (SELECT position, recorded_at FROM event_index ORDER BY position DESC LIMIT 1) e",
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}
