//! Verification of the events of one remediation.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    audit::{Problem, StreamId},
    error::{ClientError, Failure},
    journal::verify_stream::{StreamReport, Tampered, verify_stream},
    rest::{
        Rest,
        body::JsonText,
        call::Call,
        fault::{Fault, Mistake, ProblemDocument},
    },
};

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(verify))
}

/// Whose events to verify.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyChainRequest {
    /// The remediation.
    #[schema(example = "rr-7d1f0c9ab3e2-4be09c11", min_length = 1)]
    pub correlation_id: String,
    /// Its cluster; to be named where several clusters know a remediation of this name.
    #[schema(nullable = false, min_length = 1)]
    pub cluster_id: Option<String>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub struct VerifyChainResponse {
    pub correlation_id: String,
    pub cluster_id: String,
    /// Whether every event is there and is what was recorded.
    pub is_valid: bool,
    /// Events that are there.
    #[schema(minimum = 0)]
    pub total_events: i64,
    /// Those of them that are what was recorded.
    #[schema(minimum = 0)]
    pub verified_events: i64,
    /// Always 0: every event has a hash.
    #[schema(minimum = 0, maximum = 0)]
    pub skipped_null_hash: i64,
    /// Events that are not what was recorded, the first 1,000 of them.
    pub tampered_events: Vec<TamperedEvent>,
    /// The `stream_version`s of events that are gone, the first 1,000 of them.
    pub missing_versions: Vec<i32>,
    pub verification_time: DateTime<Utc>,
    pub message: String,
}

/// An event that is not what was recorded.
#[derive(Serialize, ToSchema)]
pub struct TamperedEvent {
    pub event_id: Uuid,
    pub event_timestamp: DateTime<Utc>,
    /// The hash that was sealed with the event.
    pub expected_hash: String,
    /// The hash of what the journal holds now; the same as `expected_hash` where only the event's place is wrong.
    pub actual_hash: String,
    pub message: String,
}

/// Verify the events of a remediation
///
/// Computes the hash of every event anew, and looks for events that are gone, the last ones too. An event's hash stands alone, so that
/// there is no `previous_hash`.
///
/// There is no limit to the number of events but the time that a request may take (`--request-timeout`, 30 seconds by default): the
/// answer for a remediation that takes longer is 504. `binnacle verify` looks at the whole journal, for as long as that takes.
#[utoipa::path(post, path = "/api/v1/audit/verify-chain", tag = "kubernaut",
    request_body(content = VerifyChainRequest, description = "Whose events to verify."),
    responses(
        (status = 200, description = "What was found, be it good or bad.", body = VerifyChainResponse),
        (status = 404, description = "No such remediation is known.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn verify(State(rest): State<Rest>, call: Call, body: JsonText) -> Result<Json<VerifyChainResponse>, Fault> {
    call.reads()?;
    let fields = body.object()?.map_err(|problems| refused(&problems))?;
    let asked = asked(fields)?;
    let stream = rest.app.stream(asked.correlation_id.clone(), asked.cluster_id).await.map_err(unclear)?;
    let stream = stream.ok_or_else(|| unknown(&asked.correlation_id))?;
    match verify_stream(rest.app.journal.reader(), &stream).await? {
        Some(report) => Ok(Json(answer(stream, report))),
        None => Err(unknown(&stream.remediation_id)),
    }
}

/// Reads the body; all that is wrong with it is told at once.
fn asked(mut fields: Map<String, Value>) -> Result<VerifyChainRequest, Fault> {
    let mut problems = Vec::new();
    let mut text = |name: &str, required: bool| {
        let (code, message) = match fields.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => return Some(text),
            None | Some(Value::Null) if !required => return None,
            None | Some(Value::Null | Value::String(_)) => ("REQUIRED", format!("`{name}` is required")),
            Some(_) => ("WRONG_TYPE", format!("`{name}` must be a string")),
        };
        problems.push(Problem { path: vec![name.to_string()], code, message });
        None
    };
    let (correlation_id, cluster_id) = (text("correlation_id", true), text("cluster_id", false));
    problems.extend(fields.keys().map(|name| Problem {
        path: vec![name.clone()],
        code: "UNKNOWN_FIELD",
        message: format!("`{name}` is no field of this request"),
    }));
    match correlation_id {
        Some(correlation_id) if problems.is_empty() => Ok(VerifyChainRequest { correlation_id, cluster_id }),
        _ => Err(refused(&problems)),
    }
}

/// Several clusters know a remediation of this name.
fn unclear(error: ClientError) -> Fault {
    match error.failure {
        Failure::BadInput => {
            refused(&[Problem { path: vec!["cluster_id".to_string()], code: "REQUIRED", message: error.message }])
        }
        _ => Fault::from(error),
    }
}

fn refused(problems: &[Problem]) -> Fault {
    Fault::mistaken(Failure::BadInput, problems.iter().map(|problem| Mistake::of(problem, None)).collect())
}

fn unknown(remediation_id: &str) -> Fault {
    Fault::new(Failure::NotFound, format!("no event of `{remediation_id}` is recorded there"))
}

fn answer(stream: StreamId, report: StreamReport) -> VerifyChainResponse {
    let tampered = report.entries - report.intact;
    let message = match (report.valid(), tampered, report.gone) {
        (true, ..) => format!("all {} events are there and are what was recorded", report.entries),
        (false, 0, 0) => {
            format!("the events go up to version {}, but the stream's head says {}", report.last, report.head)
        }
        (false, tampered, gone) => {
            format!("of {} events, {tampered} are not what was recorded and {gone} are gone", report.entries + gone)
        }
    };
    VerifyChainResponse {
        correlation_id: stream.remediation_id,
        cluster_id: stream.cluster_id,
        is_valid: report.valid(),
        total_events: report.entries,
        verified_events: report.intact,
        skipped_null_hash: 0,
        tampered_events: report.tampered.into_iter().map(TamperedEvent::from).collect(),
        missing_versions: report.missing.into_iter().map(|version| version.0).collect(),
        verification_time: Utc::now(),
        message,
    }
}

impl From<Tampered> for TamperedEvent {
    fn from(tampered: Tampered) -> TamperedEvent {
        TamperedEvent {
            event_id: tampered.event_id,
            event_timestamp: tampered.occurred_at,
            expected_hash: tampered.sealed,
            actual_hash: tampered.found,
            message: tampered.message.to_string(),
        }
    }
}
