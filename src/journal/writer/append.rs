//! One call of an append function: the batch as its columns or a single audit as it is, and what the answer means.

use std::iter::zip;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Request;
use crate::{
    audit::{Event, Position, Version, canonical::Digest},
    journal::{Place, Receipt},
};

/// Appends the batch in one transaction. An empty one takes the journal's head and lets it go again.
pub async fn append(db: &mut PgConnection, batch: &[Request]) -> Result<Vec<Receipt>, sqlx::Error> {
    match single(batch) {
        Some(single) => Ok(vec![append_one(db, single).await?]),
        None => append_all(db, batch).await,
    }
}

/// An audit that comes by itself, as most do: its event, the digest of it, and who sends it.
type Single<'a> = (&'a Event, &'a Digest, Option<&'a str>);

fn single(batch: &[Request]) -> Option<Single<'_>> {
    let [Request { events, digests, recorded_by, sealed_ats: None, .. }] = batch else { return None };
    let ([event], [digest]) = (&events[..], &digests[..]) else { return None };
    Some((event, digest, recorded_by.as_deref()))
}

/// Without lists, which would cost Postgres more than they are worth: see `docs/performance-notes.md`.
async fn append_one(db: &mut PgConnection, (event, digest, recorded_by): Single<'_>) -> Result<Receipt, sqlx::Error> {
    let (status, position, version, recorded_at) = sqlx::query_scalar!(
        r#"SELECT journal_append($1::uuid, $2::bytea, $3::text, $4::text, $5::timestamptz, $6::text, $7::text, $8::text,
            $9::text, $10::text, $11::text, $12::text, $13::uuid, $14::text, $15::text, $16::smallint, $17::text,
            $18::bytea) AS "told!: (String, i64, i32, DateTime<Utc>)""#,
        event.event_id,
        &event.content_digest[..],
        event.stream.cluster_id,
        event.stream.remediation_id,
        event.occurred_at,
        event.kind.word(),
        event.category,
        event.event_type,
        event.outcome.map(|outcome| outcome.word()),
        event.actor_type.map(|actor| actor.word()),
        event.actor_id.as_deref(),
        recorded_by,
        event.parent_event_id,
        event.trace_id.as_deref(),
        event.span_id.as_deref(),
        event.schema_version,
        event.payload.text(),
        &digest[..]
    )
    .fetch_one(db)
    .await?;
    Ok(receipt(&status, (position, version, recorded_at)))
}

async fn append_all(db: &mut PgConnection, batch: &[Request]) -> Result<Vec<Receipt>, sqlx::Error> {
    let columns = Columns::of(batch);
    match batch.first().and_then(|request| request.sealed_ats.as_ref()) {
        None => append_batch(db, &columns).await,
        Some(sealed_ats) => append_history(db, &columns, sealed_ats).await,
    }
}

/// A statement over the columns of a batch, which are its first parameters.
macro_rules! over {
    ($columns:expr, $statement:literal $(, $more:expr)?) => {{
        let c = $columns;
        sqlx::query!(
            $statement,
            &c.event_ids, &c.content_digests as &[&[u8]], &c.cluster_ids as &[&str], &c.remediation_ids as &[&str],
            &c.occurred_ats, &c.kinds as &[&str], &c.categories as &[&str], &c.event_types as &[&str],
            given(&c.outcomes) as Option<&[Option<&str>]>, given(&c.actor_types) as Option<&[Option<&str>]>,
            given(&c.actor_ids) as Option<&[Option<&str>]>, given(&c.recorded_bys) as Option<&[Option<&str>]>,
            given(&c.parent_event_ids) as Option<&[Option<uuid::Uuid>]>, given(&c.trace_ids) as Option<&[Option<&str>]>,
            given(&c.span_ids) as Option<&[Option<&str>]>, &c.schema_versions, &c.payloads as &[&str],
            &c.digests as &[&[u8]]
            $(, $more)?
        )
    }};
}

async fn append_batch(db: &mut PgConnection, columns: &Columns<'_>) -> Result<Vec<Receipt>, sqlx::Error> {
    let told = over!(
        columns,
        r#"SELECT statuses AS "statuses!", positions AS "positions!", versions AS "versions!",
            recorded_ats AS "recorded_ats!: Vec<DateTime<Utc>>"
        FROM journal_append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"#
    )
    .fetch_one(db)
    .await?;
    let lists = [told.statuses.len(), told.positions.len(), told.versions.len(), told.recorded_ats.len()];
    whole(columns, &lists)?;
    let places = zip(told.positions, zip(told.versions, told.recorded_ats));
    let receipt = |(status, (position, (version, at))): (&String, _)| receipt(status, (position, version, at));
    Ok(zip(&told.statuses, places).map(receipt).collect())
}

/// Made history: the owner's.
async fn append_history(
    db: &mut PgConnection,
    columns: &Columns<'_>,
    sealed_ats: &[DateTime<Utc>],
) -> Result<Vec<Receipt>, sqlx::Error> {
    let told = over!(
        columns,
        r#"SELECT status AS "status!", position AS "position!", version AS "version!", recorded_at AS "recorded_at!"
        FROM journal_append_at($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"#,
        sealed_ats
    )
    .fetch_all(db)
    .await?;
    whole(columns, &[told.len()])?;
    Ok(told.into_iter().map(|row| receipt(&row.status, (row.position, row.version, row.recorded_at))).collect())
}

/// Refuses an answer that is not about each audit of the batch: who got no receipt would never know.
fn whole(columns: &Columns<'_>, told: &[usize]) -> Result<(), sqlx::Error> {
    let asked = columns.event_ids.len();
    match told.iter().find(|told| **told != asked) {
        Some(told) => Err(sqlx::Error::Protocol(format!("of {asked} audits that were appended {told} were answered"))),
        None => Ok(()),
    }
}

/// A column that has a value; what none of the audits has goes without a list.
fn given<T>(column: &[Option<T>]) -> Option<&[Option<T>]> {
    column.iter().any(Option::is_some).then_some(column)
}

/// The batch, column by column, as the function takes it.
#[derive(Default)]
struct Columns<'a> {
    event_ids: Vec<uuid::Uuid>,
    content_digests: Vec<&'a [u8]>,
    cluster_ids: Vec<&'a str>,
    remediation_ids: Vec<&'a str>,
    occurred_ats: Vec<DateTime<Utc>>,
    kinds: Vec<&'a str>,
    categories: Vec<&'a str>,
    event_types: Vec<&'a str>,
    outcomes: Vec<Option<&'a str>>,
    actor_types: Vec<Option<&'a str>>,
    actor_ids: Vec<Option<&'a str>>,
    recorded_bys: Vec<Option<&'a str>>,
    parent_event_ids: Vec<Option<uuid::Uuid>>,
    trace_ids: Vec<Option<&'a str>>,
    span_ids: Vec<Option<&'a str>>,
    schema_versions: Vec<i16>,
    payloads: Vec<&'a str>,
    digests: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a [Request]) -> Columns<'a> {
        let mut columns = Columns::default();
        for request in batch {
            for (event, digest) in request.events.iter().zip(&request.digests) {
                columns.event_ids.push(event.event_id);
                columns.content_digests.push(&event.content_digest);
                columns.cluster_ids.push(&event.stream.cluster_id);
                columns.remediation_ids.push(&event.stream.remediation_id);
                columns.occurred_ats.push(event.occurred_at);
                columns.kinds.push(event.kind.word());
                columns.categories.push(&event.category);
                columns.event_types.push(&event.event_type);
                columns.outcomes.push(event.outcome.map(|outcome| outcome.word()));
                columns.actor_types.push(event.actor_type.map(|actor| actor.word()));
                columns.actor_ids.push(event.actor_id.as_deref());
                columns.recorded_bys.push(request.recorded_by.as_deref());
                columns.parent_event_ids.push(event.parent_event_id);
                columns.trace_ids.push(event.trace_id.as_deref());
                columns.span_ids.push(event.span_id.as_deref());
                columns.schema_versions.push(event.schema_version);
                columns.payloads.push(event.payload.text());
                columns.digests.push(digest);
            }
        }
        columns
    }
}

/// What the function's answer means. A batch that was tried several times finds its own earlier try as a duplicate: that is
/// told as such, for it cannot be known from here who recorded the event, and what is told of a duplicate is read back.
fn receipt(status: &str, (position, version, recorded_at): (i64, i32, DateTime<Utc>)) -> Receipt {
    let place = Place { position: Position(position), version: Version(version), recorded_at };
    match status {
        "recorded" => Receipt::Recorded(place),
        "duplicate" => Receipt::Duplicate(place),
        _ => Receipt::Conflict(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_about_each_audit_or_none() {
        let columns = Columns { event_ids: vec![uuid::Uuid::nil(); 3], ..Columns::default() };

        assert!(whole(&columns, &[3, 3, 3, 3]).is_ok());
        let refused = whole(&columns, &[3, 3, 2, 3]).unwrap_err();
        assert!(refused.to_string().contains("of 3 audits that were appended 2 were answered"), "{refused}");
        assert!(whole(&columns, &[4]).is_err() && whole(&columns, &[0]).is_err());
    }
}
