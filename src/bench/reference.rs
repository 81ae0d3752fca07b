//! The same rows written by plain SQL: what Postgres does with nobody in front of it, and nothing but the events' own table.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use super::{
    audits, pgbench,
    sample::{Calls, Sample},
    stand::Stand,
};

/// A copy of the events' table with its indexes, and a position from a sequence instead of the head's lock.
const TABLES: &str = "
CREATE SCHEMA IF NOT EXISTS reference;
CREATE SEQUENCE reference.positions;
CREATE TABLE reference.audit_events (LIKE public.audit_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (recorded_at);
ALTER TABLE reference.audit_events
    ALTER position SET DEFAULT nextval('reference.positions'),
    ALTER recorded_at SET DEFAULT clock_timestamp(),
    ADD PRIMARY KEY (position, recorded_at);
CREATE INDEX ON reference.audit_events (cluster_id, remediation_id, version);
CREATE TABLE reference.audit_events_now PARTITION OF reference.audit_events DEFAULT;
";

const COLUMNS: &str = "event_id, cluster_id, remediation_id, version, occurred_at, kind, category, event_type, outcome, \
    actor_type, actor_id, recorded_by, schema_version, payload, digest";

/// A row's columns that are the same in each.
const KIND: [&str; 7] =
    ["ORCHESTRATION", "orchestration", "orchestration.executing", "pending", "service", "orchestrator", "bench"];

pub async fn prepare(owner: &PgPool) -> anyhow::Result<()> {
    sqlx::raw_sql(TABLES).execute(owner).await.context("cannot make the reference's tables")?;
    Ok(())
}

/// One row in each statement and transaction, by pgbench.
pub async fn singles(stand: &Stand, clients: usize, time: Duration) -> anyhow::Result<Sample> {
    let [kind, category, event_type, outcome, actor_type, actor_id, recorded_by] = KIND;
    let payload = audits::fields("rr-reference");
    let script = format!(
        "\\set r random(1, 1000000)\n\
        INSERT INTO reference.audit_events ({COLUMNS}) VALUES (uuidv7(), 'eu-prod-1', 'rr-' || :r, 1, now(), '{kind}', \
        '{category}', '{event_type}', '{outcome}', '{actor_type}', '{actor_id}', '{recorded_by}', 1, '{}', \
        decode(repeat('ab', 32), 'hex'));\n",
        // A colon in front of a letter would be a variable of pgbench.
        payload.replace(':', ": ")
    );
    pgbench::run(stand, &script, clients, time).await
}

/// So many rows in each statement and transaction, over one connection.
pub async fn unnest(stand: &Stand, rows: usize, time: Duration) -> anyhow::Result<Sample> {
    let statement = "INSERT INTO reference.audit_events (event_id, cluster_id, remediation_id, version, occurred_at, kind,
            category, event_type, outcome, actor_type, actor_id, recorded_by, schema_version, payload, digest)
        SELECT g.event_id, g.cluster_id, g.remediation_id, 1, g.occurred_at, g.kind, g.category, g.event_type, g.outcome,
            g.actor_type, g.actor_id, g.recorded_by, 1, g.payload::json, g.digest
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[])
            AS g(event_id, cluster_id, remediation_id, occurred_at, kind, category, event_type, outcome, actor_type,
                actor_id, recorded_by, payload, digest)";
    let mut db = PgConnection::connect(&stand.owner_url()).await?;
    let columns: Vec<Vec<&str>> = KIND.iter().map(|word| vec![*word; rows]).collect();
    let cluster_ids = vec!["eu-prod-1"; rows];
    let digests = vec![vec![0xab_u8; 32]; rows];
    let (begun, mut calls, mut turn) = (Instant::now(), Calls::new(), 0);
    while begun.elapsed() < time {
        turn += 1;
        let event_ids: Vec<Uuid> = (0..rows).map(|_| Uuid::now_v7()).collect();
        let remediations: Vec<String> = (0..rows).map(|row| format!("rr-{turn}-{}", row / 25)).collect();
        let payloads: Vec<String> = remediations.iter().map(|remediation| audits::fields(remediation)).collect();
        let times: Vec<DateTime<Utc>> = vec![Utc::now(); rows];
        let sent = Instant::now();
        let mut query = sqlx::query(statement).bind(&event_ids).bind(&cluster_ids).bind(&remediations).bind(&times);
        for column in &columns {
            query = query.bind(column);
        }
        query.bind(&payloads).bind(&digests).execute(&mut db).await?;
        calls.took(sent.elapsed());
    }
    let took = begun.elapsed();
    db.close().await?;
    Ok(Sample::new(calls.len() * rows as u64, took, calls))
}

/// So many rows in each `COPY` and transaction, over one connection.
pub async fn copy(stand: &Stand, rows: usize, time: Duration) -> anyhow::Result<Sample> {
    let mut db = PgConnection::connect(&stand.owner_url()).await?;
    let statement = format!("COPY reference.audit_events ({COLUMNS}) FROM STDIN");
    let kind = KIND.join("\t");
    let (begun, mut calls, mut turn) = (Instant::now(), Calls::new(), 0);
    while begun.elapsed() < time {
        turn += 1;
        let (now, mut text) = (Utc::now().to_rfc3339(), String::new());
        for row in 0..rows {
            let remediation = format!("rr-{turn}-{}", row / 25);
            let payload = audits::fields(&remediation);
            let id = Uuid::now_v7();
            text.push_str(&format!("{id}\teu-prod-1\t{remediation}\t1\t{now}\t{kind}\t1\t{payload}\t\\\\x"));
            text.push_str(&"ab".repeat(32));
            text.push('\n');
        }
        let sent = Instant::now();
        let mut copy = db.copy_in_raw(&statement).await?;
        copy.send(text.as_bytes()).await?;
        copy.finish().await?;
        calls.took(sent.elapsed());
    }
    let took = begun.elapsed();
    db.close().await?;
    Ok(Sample::new(calls.len() * rows as u64, took, calls))
}
