//! Exports of events: one consistent cut of the journal, streamed in bounded memory.

mod personal;
mod redaction;
mod writer;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    personal::{redact_envelope, redact_name},
    writer::{Pace, Stopped, Writer},
};
use super::show::{self, AuditEvent};
use crate::{
    app::App,
    audit::{Entry, Position, Watermark, canonical},
    error::{ClientError, Failure},
    journal::read,
    projection::{
        Projection,
        event_index::{self, Filter},
    },
    rest::{
        Rest,
        call::Call,
        fault::{Fault, ProblemDocument},
        params::Params,
    },
};

/// Most exports that one server runs at once.
pub const EXPORTS_MAX: usize = 4;

/// How slowly a caller may read: an export has its place for as long as that takes.
const PACE: Pace =
    Pace { patience: Duration::from_secs(30), grace: Duration::from_secs(60), bytes_per_second: 16 * 1024 };

/// Places that are looked up at once.
const PLACES: i64 = 1_000;

/// Positions among which places are looked up at once. Where few events match, this keeps a statement from looking at the whole
/// index, and from the time limit of statements.
const WINDOW: i64 = 100_000;

/// Entries that are read and written at once: with the largest payloads some 16 MiB.
const ENTRIES: usize = 50;

/// Most tampered events that are named; they are counted all, and each says so itself.
const NAMED_MAX: usize = 1_000;

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(export))
}

/// Room for the exports of one server.
pub fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(EXPORTS_MAX))
}

/// Events, and what they were checked for. `events` comes first: the rest is known only at the end.
#[derive(Serialize, ToSchema)]
pub struct Export {
    pub events: Vec<ExportedEvent>,
    pub hash_chain_verification: ExportVerification,
    pub export_metadata: ExportMetadata,
}

/// An event with what it takes to check it anywhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedEvent {
    #[serde(flatten)]
    pub event: AuditEvent,
    /// Whether the event is what was recorded.
    pub hash_chain_valid: bool,
    /// The event's canonical text (RFC 8785): its SHA-256 in UTF-8 is `event_hash`. Left out where the event is redacted, and,
    /// with `redact_pii=true`, where it is not what was recorded: what was changed cannot be known to be free of personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<String>,
    /// `true` where personal data of what was sent was masked, be it in a member that is not shown; else left out. Its
    /// `event_hash` is that of the event as it was recorded, and cannot be computed anew from what is left.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub redacted: bool,
}

/// How many of the events are what was recorded.
#[derive(Clone, Serialize, ToSchema)]
pub struct ExportVerification {
    #[schema(minimum = 0)]
    pub total_events_verified: i64,
    #[schema(minimum = 0)]
    pub valid_chain_events: i64,
    #[schema(minimum = 0)]
    pub broken_chain_events: i64,
    /// 100 where there are no events.
    #[schema(minimum = 0, maximum = 100)]
    pub chain_integrity_percentage: f64,
    pub verification_timestamp: DateTime<Utc>,
    /// The ids of events that are not what was recorded, the first 1,000 of them.
    pub tampered_event_ids: Vec<String>,
    /// Events that the index of events knows and the journal holds no more.
    #[schema(minimum = 0)]
    pub missing_events: i64,
}

/// What was exported.
#[derive(Clone, Serialize, ToSchema)]
pub struct ExportMetadata {
    pub export_timestamp: DateTime<Utc>,
    /// `json` or `ndjson`.
    pub export_format: &'static str,
    pub query_filters: ExportFilters,
    #[schema(minimum = 0)]
    pub total_events: i64,
    /// The place in the journal that the export goes up to; what was recorded later is not in it.
    pub watermark: String,
    /// The SHA-256 of the `event_hash`es in the order of the events, each as its 64 hexadecimal digits and a line feed. Anybody can
    /// compute it: `jq -r '.events[].event_hash' export.json | sha256sum`, and of an ndjson export
    /// `jq -r '.event_hash // empty' export.ndjson | sha256sum`.
    pub events_digest: String,
    /// Empty: exports are not signed yet. The member is there for clients that insist on it.
    #[schema(max_length = 0)]
    pub signature: &'static str,
    /// `none`: exports are not signed yet.
    pub signature_algorithm: &'static str,
    /// The authenticated caller; left out where none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exported_by: Option<String>,
}

/// The filters of an export, as they were understood.
#[derive(Clone, Serialize, ToSchema)]
pub struct ExportFilters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    pub offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    pub redact_pii: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Ndjson,
}

/// Export events
///
/// All events that match and that were recorded when it is asked for, in the order of the journal, however many. The answer begins at once
/// and is written as it is read. An export that fails in the middle breaks the connection off.
///
/// With `format=ndjson` each event is a line, and the last line is an object with `hash_chain_verification` and `export_metadata`; where the
/// last line has an `error`, or is none of these, the export is not whole.
///
/// A caller may take its time, but not too long: an export is broken off for one who takes nothing for 30 seconds, or for whom it has
/// had to wait for more than a minute and a second for each 16 KiB.
///
/// With `redact_pii=true` e-mail addresses, IP addresses and telephone numbers are masked in the texts of `event_data` and of all other
/// members of the envelope, and in the names of members. In those that are ids or names (`actor_id`, `resource_name`, …), and in
/// `recorded_by`, only e-mail addresses are masked; but the `actor_id` of a person is masked whole.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "kubernaut",
    params(
        ("start_time" = Option<DateTime<Utc>>, Query, description = "That happened at this time or later."),
        ("end_time" = Option<DateTime<Utc>>, Query, description = "That happened at this time or before."),
        ("correlation_id" = Option<String>, Query, description = "Of this remediation."),
        ("event_category" = Option<String>, Query, description = "Of this category."),
        ("cluster_id" = Option<String>, Query, description = "Ours: of this cluster."),
        ("format" = Option<String>, Query, pattern = "^(json|ndjson)$", description = "`json`, or ours: `ndjson`. `json` when left out."),
        ("include_detached_signature" = Option<bool>, Query, description = "Exports are not signed yet: `true` is answered by a problem."),
        ("offset" = Option<i64>, Query, minimum = 0, description = "How many to pass over."),
        ("limit" = Option<i64>, Query, minimum = 1, description = "How many at most; all when left out."),
        ("redact_pii" = Option<bool>, Query, description = "Whether to mask personal data."),
    ),
    responses(
        (status = 200, description = "The export.", content((Export = "application/json"), (String = "application/x-ndjson"))),
        (status = 429, description = "Too many exports run by now.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 501, description = "Exports are not signed yet.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn export(State(rest): State<Rest>, call: Call, params: Params) -> Result<Response, Fault> {
    call.reads()?;
    let question = Question::read(params)?;
    let permit = rest.exports.clone().try_acquire_owned().map_err(|_| {
        Fault::new(Failure::TooMany, format!("{EXPORTS_MAX} exports run already; try again when one has ended"))
    })?;
    let head = read::head(rest.app.journal.reader()).await?.last;
    rest.app.projected(&[Projection::EventIndex], head).await?;

    let format = question.format;
    let (writer, body) = writer::pair(PACE);
    let run = Run { app: rest.app.clone(), question, head, exported_by: call.caller.name, at: Utc::now() };
    // A task of its own, for only so is a caller noticed who reads no more.
    tokio::spawn(run.go(writer, permit).in_current_span());
    Ok(response(format, body))
}

fn response(format: Format, body: Body) -> Response {
    let media = match format {
        Format::Json => "application/json",
        Format::Ndjson => "application/x-ndjson",
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

/// What is asked.
struct Question {
    filter: Filter,
    format: Format,
    told: ExportFilters,
}

impl Question {
    fn read(mut params: Params) -> Result<Question, Fault> {
        let format = |text: &str| match text {
            "json" => Some(Format::Json),
            "ndjson" => Some(Format::Ndjson),
            _ => None,
        };
        let format = params.read("format", format, "json or ndjson").unwrap_or(Format::Json);
        let told = ExportFilters {
            start_time: params.time("start_time"),
            end_time: params.time("end_time"),
            correlation_id: params.text("correlation_id"),
            event_category: params.text("event_category"),
            cluster_id: params.text("cluster_id"),
            offset: params.number("offset", 0..=i64::MAX).unwrap_or(0),
            limit: params.number("limit", 1..=i64::MAX),
            redact_pii: params.flag("redact_pii").unwrap_or(false),
        };
        if let (Some(start), Some(end)) = (told.start_time, told.end_time)
            && start > end
        {
            params.mistake("end_time", "BEFORE_START", "`end_time` lies before `start_time`".to_string());
        }
        let detached = params.flag("include_detached_signature").unwrap_or(false);
        params.finish()?;
        if detached {
            let detail = "exports are not signed yet, so that there is no detached signature; `events_digest` is there";
            return Err(Fault::new(Failure::NotYet, detail));
        }
        let one = |text: &Option<String>| text.clone().map(|text| vec![text]);
        let filter = Filter {
            occurred_from: told.start_time,
            // Times are kept to the microsecond.
            occurred_to: told.end_time.map(|time| time + TimeDelta::microseconds(1)),
            remediation_id: one(&told.correlation_id),
            category: one(&told.event_category),
            cluster_id: one(&told.cluster_id),
            ..Filter::default()
        };
        Ok(Question { filter, format, told })
    }
}

/// An export that runs.
struct Run {
    app: App,
    question: Question,
    /// Where the journal ended when the export was asked for.
    head: Position,
    exported_by: Option<String>,
    at: DateTime<Utc>,
}

impl Run {
    /// Writes the export to its end. `permit` is its place among the exports of the server.
    async fn go(self, mut writer: Writer, permit: OwnedSemaphorePermit) {
        let written = self.write(&mut writer).await;
        drop(permit);
        match written {
            Ok(()) => writer.finish().await,
            Err(Stopped::Unread) => tracing::info!("gave up an export that nobody reads"),
            Err(Stopped::Failed(error)) => {
                if self.question.format == Format::Ndjson {
                    let document = Fault::from(error).document(None);
                    let line = serde_json::json!({ "error": document });
                    let _ = writer.text(&format!("{line}\n")).await; // it breaks off in any case
                }
                writer.break_off().await;
            }
        }
    }

    async fn write(&self, writer: &mut Writer) -> Result<(), Stopped> {
        let mut tally = Tally::default();
        if self.question.format == Format::Json {
            writer.text("{\"events\":[").await?;
        }
        let (mut from, mut skip) = (Position(0), self.question.told.offset);
        let mut left = self.question.told.limit.unwrap_or(i64::MAX);
        while left > 0 && from < self.head {
            if writer.unread() {
                return Err(Stopped::Unread); // there may be nothing to write for long
            }
            let (mut places, to) = self.places(from).await?;
            from = to;
            let skipped = skip.min(places.len() as i64);
            skip -= skipped;
            places.drain(..skipped as usize);
            places.truncate(left.min(PLACES) as usize);
            left -= places.len() as i64;
            for places in places.chunks(ENTRIES) {
                let entries = read::at(self.app.journal.reader(), places).await.map_err(ClientError::from)?;
                tally.missing += (places.len() - entries.len()) as i64;
                // Each is gone before the next is looked into, for what was read of it is large.
                for entry in entries {
                    let text = self.text(&entry, &mut tally);
                    writer.text(&text).await?;
                }
            }
        }
        writer.text(&self.end(tally)).await
    }

    /// The next places that match, if any, and up to where they are all; never beyond where the journal ended.
    async fn places(&self, from: Position) -> Result<(Vec<(Position, DateTime<Utc>)>, Position), Stopped> {
        let db = self.app.journal.reader();
        let to = self.head.min(Position(from.0 + WINDOW));
        let places =
            event_index::between(db, &self.question.filter, from, to, PLACES).await.map_err(ClientError::from)?;
        let full = places.len() as i64 == PLACES;
        let to = places.last().filter(|_| full).map_or(to, |(last, _)| *last);
        Ok((places, to))
    }

    fn text(&self, entry: &Entry, tally: &mut Tally) -> String {
        let valid = entry.intact();
        let first = tally.events == 0;
        tally.count(entry, valid);
        let shown = ExportedEvent::of(entry, valid, self.question.told.redact_pii, &self.app);
        let text = serde_json::to_string(&shown).expect("an event is JSON");
        match self.question.format {
            Format::Json if first => text,
            Format::Json => format!(",{text}"),
            Format::Ndjson => format!("{text}\n"),
        }
    }

    fn end(&self, tally: Tally) -> String {
        let metadata = ExportMetadata {
            export_timestamp: self.at,
            export_format: match self.question.format {
                Format::Json => "json",
                Format::Ndjson => "ndjson",
            },
            query_filters: self.question.told.clone(),
            total_events: tally.events,
            watermark: Watermark::at(self.app.journal.id(), self.head).encode(),
            events_digest: canonical::hex(&tally.digest.clone().finalize()),
            signature: "",
            signature_algorithm: "none",
            exported_by: self.exported_by.clone(),
        };
        let verification = serde_json::to_string(&tally.verification()).expect("it is JSON");
        let metadata = serde_json::to_string(&metadata).expect("it is JSON");
        let members = format!("\"hash_chain_verification\":{verification},\"export_metadata\":{metadata}}}");
        match self.question.format {
            Format::Json => format!("],{members}"),
            Format::Ndjson => format!("{{{members}\n"),
        }
    }
}

/// What is known of the events that were written so far.
#[derive(Default)]
struct Tally {
    events: i64,
    tampered: i64,
    named: Vec<String>,
    missing: i64,
    digest: Sha256,
}

impl Tally {
    fn count(&mut self, entry: &Entry, valid: bool) {
        self.events += 1;
        self.digest.update(canonical::hex(&entry.digest));
        self.digest.update("\n");
        if !valid {
            self.tampered += 1;
            if self.named.len() < NAMED_MAX {
                self.named.push(entry.event.event_id.to_string());
            }
        }
    }

    fn verification(self) -> ExportVerification {
        let valid = self.events - self.tampered;
        ExportVerification {
            total_events_verified: self.events,
            valid_chain_events: valid,
            broken_chain_events: self.tampered,
            chain_integrity_percentage: match self.events {
                0 => 100.0,
                events => valid as f64 * 100.0 / events as f64,
            },
            verification_timestamp: Utc::now(),
            tampered_event_ids: self.named,
            missing_events: self.missing,
        }
    }
}

impl ExportedEvent {
    fn of(entry: &Entry, valid: bool, redacting: bool, app: &App) -> ExportedEvent {
        // Members that are not shown are looked at as well: the canonical text has them.
        let mut envelope = show::envelope(entry);
        let redacted = redacting && redact_envelope(&mut envelope);
        let mut event = AuditEvent::with(envelope, entry, app.journal.id());
        if redacting {
            event.recorded_by = event.recorded_by.map(redact_name);
        }
        let canonical = (!redacted && (valid || !redacting)).then(|| entry.canonical());
        ExportedEvent { event, hash_chain_valid: valid, canonical, redacted }
    }
}
