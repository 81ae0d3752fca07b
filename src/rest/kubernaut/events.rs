//! Recording Kubernaut's events, one or a batch.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    error::Failure,
    record::{Reason, Rejected},
    rest::{
        Rest,
        body::JsonText,
        call::{Admitted, Call},
        fault::{Fault, ProblemDocument},
        recording::{self, Outcome},
    },
};

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(record)).routes(routes!(record_batch))
}

/// One event is recorded.
#[derive(Serialize, ToSchema)]
pub struct Created {
    pub event_id: Uuid,
    pub event_timestamp: DateTime<Utc>,
    #[schema(example = "Audit event created successfully")]
    pub message: String,
    /// The place in the whole journal, from 1, as decimal text.
    #[schema(example = "7061", pattern = "^[0-9]+$")]
    pub position: String,
    /// Whether it had been recorded before.
    pub duplicate: bool,
}

/// All events of a batch are recorded.
#[derive(Serialize, ToSchema)]
pub struct BatchCreated {
    /// In the order given.
    pub event_ids: Vec<Uuid>,
    #[schema(example = "2 audit events created successfully")]
    pub message: String,
}

/// Record an event of Kubernaut's
///
/// The same event sent again is recorded once: it is known by its `event_id`, else by the header `Idempotency-Key`, else by its
/// content. An event type that is not known is recorded all the same.
#[utoipa::path(post, path = "/api/v1/audit/events", tag = "kubernaut",
    request_body(content = ref("#/components/schemas/AuditEventRequest"), description = "An event in Kubernaut's envelope."),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key, the event is recorded once.")),
    responses(
        (status = 201, description = "The event is recorded.", body = Created),
        (status = 409, description = "The id was recorded before with other content.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn record(
    State(rest): State<Rest>,
    call: Call,
    _: Admitted,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response, Fault> {
    let items = vec![body.object()?];
    let mut outcomes = recording::record(&rest, &call, &headers, items, None).await?;
    let outcome = outcomes.pop().expect("one event has one answer");
    let (entry, duplicate) = outcome.map_err(|rejected| refused(&rejected, None))?;
    let created = Created {
        event_id: entry.event.event_id,
        event_timestamp: entry.event.occurred_at,
        message: "Audit event created successfully".to_string(),
        position: entry.position.to_string(),
        duplicate,
    };
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Record up to 1,000 events of Kubernaut's
///
/// In one transaction. An event that is refused keeps no other from being recorded: then the answer is a problem, whose member
/// `event_ids` has the ids of those that are recorded, and `null` for the others.
#[utoipa::path(post, path = "/api/v1/audit/events/batch", tag = "kubernaut",
    request_body(content = ref("#/components/schemas/AuditEventBatch"), description = "Events in Kubernaut's envelope."),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key, the events are recorded once.")),
    responses(
        (status = 201, description = "All events are recorded.", body = BatchCreated),
        (status = 409, description = "Ids were recorded before with other content.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn record_batch(
    State(rest): State<Rest>,
    call: Call,
    _: Admitted,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response, Fault> {
    let outcomes = recording::record(&rest, &call, &headers, body.list()?, None).await?;
    let ids: Vec<Option<Uuid>> = outcomes.iter().map(|outcome| Some(outcome.as_ref().ok()?.0.event.event_id)).collect();
    if let Some(fault) = partly_refused(&outcomes, &ids) {
        return Err(fault);
    }
    let event_ids: Vec<Uuid> = ids.into_iter().flatten().collect();
    let message = format!("{} audit events created successfully", event_ids.len());
    Ok((StatusCode::CREATED, Json(BatchCreated { event_ids, message })).into_response())
}

/// Why one event is refused. Kubernaut's clients know 400 for an event that is not valid, and do not send it again.
fn refused(rejected: &Rejected, at: Option<usize>) -> Fault {
    let fault = Fault::rejected(rejected, at);
    match rejected.reason {
        Reason::Invalid => Fault { failure: Failure::InvalidEvent, ..fault },
        Reason::Conflict | Reason::NotAllowed => fault,
    }
}

fn partly_refused(outcomes: &[Outcome], ids: &[Option<Uuid>]) -> Option<Fault> {
    let faults: Vec<Fault> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(index, outcome)| Some(refused(outcome.as_ref().err()?, Some(index))))
        .collect();
    let first = faults.first()?.failure;
    let failure = if faults.iter().all(|fault| fault.failure == first) { first } else { Failure::InvalidEvent };
    let (refused, given) = (faults.len(), outcomes.len());
    let ids: Vec<Value> = ids.iter().map(|id| id.map_or(Value::Null, |id| id.to_string().into())).collect();
    let fault = Fault::mistaken(failure, faults.into_iter().flat_map(|fault| fault.errors).collect());
    let detail = match given - refused {
        0 => format!("none of {given} events is recorded: {}", fault.detail),
        kept => format!("{refused} of {given} events are refused, the other {kept} are recorded: {}", fault.detail),
    };
    Some(Fault { detail, ..fault }.with("event_ids", ids))
}
