//! Gathers what reports are made of: the journal's events, what is like them, and what happened before.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    Evidence, assemble,
    model::Report,
    period::{self, PeriodEvidence, PeriodReport},
};
use crate::{
    app::App,
    audit::{Entry, Kind, Position, StreamId, Watermark, fields::KindTable},
    error::ClientError,
    journal::read,
    projection::{
        Projection, pinned,
        remediations::{Filter, group},
    },
    remediation::{self, model::Summary},
};

/// How many similar remediations a report names.
const SIMILAR_MAX: usize = 10;

/// How many earlier remediations of the same target a report knows.
const EARLIER_MAX: i64 = 10;

/// Most remediations that the report of a period reads, of the period and of the one before.
const PERIOD_MAX: i64 = 10_000;

/// Longest period.
const PERIOD_DAYS_MAX: i64 = 3_660;

type Result<T> = std::result::Result<T, ClientError>;

/// The report of a remediation from what had been recorded up to `at`, or up to now; `None` where nothing of it had been.
pub async fn of_remediation(app: &App, stream: &StreamId, at: Option<Watermark>) -> Result<Option<Report>> {
    let at = settle(app, at, &[Projection::Remediations, Projection::SearchDocuments]).await?;
    let db = app.journal.reader();
    let entries = read::stream(db, stream, at.position).await?;
    let Some(remediation) = remediation::fold(&entries, None) else { return Ok(None) };
    let Some(subject) = app.search.subject(stream, Some(at.position)).await? else { return Ok(None) };
    let similar = app.search.similar(&subject, &Filter::default(), Some(at.position), SIMILAR_MAX).await?;
    let earlier = earlier(app, &remediation.summary, at.position).await?;

    let mut cited: BTreeSet<Uuid> = similar.nearest.iter().map(|similar| similar.event_id).collect();
    cited.extend(ends(app, &earlier, at.position).await?);
    let mut others = read::by_event_ids(db, &cited.into_iter().collect::<Vec<_>>()).await?;
    others.sort_by_key(|entry| entry.position);
    let evidence = Evidence {
        entries,
        remediation,
        similar,
        earlier,
        others,
        at: at.position,
        journal_id: at.journal_id,
        watermark: at.encode(),
    };
    Ok(Some(assemble(&evidence)))
}

/// The report of the remediations that began in [`from`, `to`) and match a filter.
pub async fn of_period(
    app: &App,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    filter: &Filter,
    at: Option<Watermark>,
) -> Result<PeriodReport> {
    if to <= from {
        return Err(ClientError::bad_input("the period ends before it begins: `to` has to be later than `from`"));
    }
    if to - from > TimeDelta::days(PERIOD_DAYS_MAX) {
        return Err(ClientError::bad_input("the period is longer than ten years; choose a shorter one"));
    }
    let at = settle(app, at, &[Projection::Remediations]).await?;
    let db = app.journal.reader();
    let read = async |span| pinned::window(db, filter, span, PERIOD_MAX + 1, Some(at.position)).await;
    let mut summaries = read((from, to)).await?;
    let mut before = read((from - (to - from), from)).await?;
    let most = usize::try_from(PERIOD_MAX).unwrap_or(usize::MAX);
    let truncated = summaries.len() > most || before.len() > most;
    summaries.truncate(most);
    before.truncate(most);
    let (journal_id, watermark) = (at.journal_id, at.encode());
    let evidence = PeriodEvidence { from, to, summaries, before, truncated, at: at.position, journal_id, watermark };
    Ok(period::assemble(&evidence))
}

/// Where the report looks from: the place that was asked for, or the end of the journal; the projections have come there.
async fn settle(app: &App, at: Option<Watermark>, projections: &[Projection]) -> Result<Watermark> {
    let at = match at {
        Some(at) => {
            app.reached(at).await?;
            at
        }
        None => {
            let head = read::head(app.journal.reader()).await?;
            Watermark::at(head.journal_id, head.last)
        }
    };
    app.projected(projections, at.position).await?;
    Ok(at)
}

/// The remediations of the same target that began before, the latest first.
async fn earlier(app: &App, summary: &Summary, at: Position) -> Result<Vec<Summary>> {
    let Some(target) = &summary.target else { return Ok(Vec::new()) };
    let filter = Filter {
        cluster_id: Some(vec![summary.stream.cluster_id.clone()]),
        target_kind: Some(vec![target.kind.clone()]),
        target_namespace: target.namespace.clone().map(|namespace| vec![namespace]),
        target_name: Some(vec![target.name.clone()]),
        ..Filter::default()
    };
    let before = (DateTime::UNIX_EPOCH, summary.started_at);
    Ok(pinned::window(app.journal.reader(), &filter, before, EARLIER_MAX, Some(at)).await?)
}

/// For each of these remediations the event that tells its end, else its last.
async fn ends(app: &App, summaries: &[Summary], at: Position) -> Result<Vec<Uuid>> {
    let streams: Vec<StreamId> = summaries.iter().map(|summary| summary.stream.clone()).collect();
    let entries = read::streams(app.journal.reader(), &streams, &vec![at; streams.len()]).await?;
    let end = |entries: &Vec<Entry>| {
        let end = entries.iter().rev().find(|entry| ends_it(entry)).or(entries.last());
        end.map(|entry| entry.event.event_id)
    };
    Ok(group(entries).values().filter_map(end).collect())
}

/// Whether the orchestrator says with this event that the remediation is over.
fn ends_it(entry: &Entry) -> bool {
    let table = KindTable::of(Kind::Orchestration);
    let status = table.status.and_then(|status| entry.field(status)?.as_str());
    entry.event.kind == Kind::Orchestration
        && status.is_some_and(|status| table.final_words.iter().any(|(word, _)| *word == status))
}
