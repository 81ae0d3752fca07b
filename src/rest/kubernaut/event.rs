//! One event, straight from the journal.

use axum::{
    Json,
    extract::{Path, State},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::show::AuditEvent;
use crate::{
    error::Failure,
    journal::read,
    rest::{
        Rest,
        call::Call,
        fault::{Fault, Mistake, ProblemDocument},
        params::Params,
    },
};

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(event))
}

/// One event
///
/// Read from the journal itself, so that it is there as soon as its recording is acknowledged.
#[utoipa::path(get, path = "/api/v1/audit/events/{event_id}", tag = "kubernaut",
    params(("event_id" = Uuid, Path, description = "The event's id.")),
    responses(
        (status = 200, description = "The event.", body = AuditEvent),
        (status = 404, description = "No such event is recorded.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn event(
    State(rest): State<Rest>,
    call: Call,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<AuditEvent>, Fault> {
    call.reads()?;
    params.finish()?;
    let Ok(event_id) = id.parse::<Uuid>() else {
        let mistake = Mistake::parameter("event_id", "MALFORMED", "`event_id` has to be a UUID");
        return Err(Fault::mistaken(Failure::BadInput, vec![mistake]));
    };
    match read::by_event_id(rest.app.journal.reader(), event_id).await? {
        Some(entry) => Ok(Json(AuditEvent::of(&entry, rest.app.journal.id()))),
        None => Err(Fault::new(Failure::NotFound, format!("no event `{event_id}` is recorded"))),
    }
}
