//! The seeds' endpoints: one for each kind, taking its columns.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde::Serialize;
use serde_json::Map;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use super::{
    Rest,
    body::{Item, Items, JsonText},
    call::{Admitted, Call},
    fault::{Fault, ProblemDocument},
    receipt::Receipt,
    recording::{self, Outcome},
};
use crate::{
    audit::{
        Kind,
        fields::{KindTable, Spellings},
    },
    error::Failure,
    record::{Reason, Rejected},
};

/// An endpoint of the seeds: the last part of its path, and the kind that it records.
pub struct Endpoint {
    pub name: &'static str,
    pub kind: Kind,
}

pub const ENDPOINTS: [Endpoint; 6] = [
    Endpoint { name: "orchestration", kind: Kind::Orchestration },
    Endpoint { name: "signal-processing", kind: Kind::SignalProcessing },
    Endpoint { name: "ai-decisions", kind: Kind::AiAnalysis },
    Endpoint { name: "executions", kind: Kind::WorkflowExecution },
    Endpoint { name: "notifications", kind: Kind::Notification },
    Endpoint { name: "effectiveness", kind: Kind::Effectiveness },
];

/// Where the endpoints are.
pub const BENEATH: &str = "/api/v1/audit/";

/// Most mistakes that are listed of one audit of a list.
const ITEM_ERRORS_MAX: usize = 20;

/// What became of each audit of a list, in the order given.
#[derive(Serialize, ToSchema)]
pub struct Results {
    pub results: Vec<ItemResult>,
}

/// What became of one audit of a list.
#[derive(Serialize, ToSchema)]
pub struct ItemResult {
    /// The status that the audit would have had alone.
    #[schema(example = 201, minimum = 200, maximum = 599)]
    pub status: u16,
    /// The audit's id, where the request has it beside the audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uuid>,
    /// Where it is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Why it was not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemDocument>,
}

pub fn routes() -> OpenApiRouter<Rest> {
    // Notifications have a path that is Kubernaut's as well, which tells both apart.
    let own = ENDPOINTS.iter().filter(|endpoint| endpoint.kind != Kind::Notification);
    own.fold(OpenApiRouter::default(), |router, endpoint| {
        let kind = endpoint.kind;
        let handler = move |rest: State<Rest>, call: Call, _: Admitted, headers: HeaderMap, body: JsonText| async move {
            record(&rest, &call, &headers, &body, kind).await
        };
        router.route(&format!("{BENEATH}{}", endpoint.name), post(handler))
    })
}

/// Records the audits of a body in columns of `kind`.
pub async fn record(
    rest: &Rest,
    call: &Call,
    headers: &HeaderMap,
    body: &JsonText,
    kind: Kind,
) -> Result<Response, Fault> {
    let journal_id = rest.app.journal.id();
    match body.items()? {
        Items::One(item) => {
            let unknown = unknown(kind, &item);
            let mut outcomes = recording::record(rest, call, headers, vec![item], Some(kind)).await?;
            one(outcomes.pop().expect("one audit has one answer"), unknown, journal_id)
        }
        Items::Many(items) => {
            let unknown = items.iter().map(|item| unknown(kind, item)).collect();
            let outcomes = recording::record(rest, call, headers, items, Some(kind)).await?;
            many(outcomes, unknown, journal_id)
        }
    }
}

/// The columns of an audit that no field has: a misspelled one is kept, and the receipt says so.
fn unknown(kind: Kind, item: &Item) -> Vec<String> {
    let spellings = Spellings::of(KindTable::of(kind).table);
    let names = item.iter().flat_map(Map::keys);
    names.filter(|name| spellings.claim(name, false).is_none()).cloned().collect()
}

fn one(outcome: Outcome, unknown: Vec<String>, journal_id: Uuid) -> Result<Response, Fault> {
    let (entry, duplicate) = outcome.map_err(|rejected| refused(&rejected, None, journal_id))?;
    let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let place = format!("{BENEATH}events/{}", entry.event.event_id);
    let place = HeaderValue::from_str(&place).expect("a UUID is ASCII");
    Ok((status, [(header::LOCATION, place)], Json(Receipt { unknown, ..Receipt::of(&entry, duplicate, journal_id) }))
        .into_response())
}

/// What became of each audit of a list, as the client is told.
pub fn many(outcomes: Vec<Outcome>, unknown: Vec<Vec<String>>, journal_id: Uuid) -> Result<Response, Fault> {
    let named = vec![None; outcomes.len()];
    many_named(outcomes, unknown, named, journal_id)
}

/// The same of audits that have their ids beside them.
pub fn many_named(
    outcomes: Vec<Outcome>,
    unknown: Vec<Vec<String>>,
    named: Vec<Option<Uuid>>,
    journal_id: Uuid,
) -> Result<Response, Fault> {
    let none = outcomes.iter().all(Result::is_err).then(|| none_recorded(&outcomes));
    let fresh = outcomes.iter().any(|outcome| matches!(outcome, Ok((_, false))));
    let status = match (outcomes.iter().all(Result::is_ok), fresh) {
        (false, _) => StatusCode::MULTI_STATUS,
        (true, true) => StatusCode::CREATED,
        (true, false) => StatusCode::OK,
    };
    let told = outcomes.into_iter().zip(unknown).zip(named).enumerate();
    let results = told.map(|(index, ((outcome, unknown), event_id))| match outcome {
        Ok((entry, duplicate)) => ItemResult {
            status: if duplicate { 200 } else { 201 },
            event_id,
            receipt: Some(Receipt { unknown, ..Receipt::of(&entry, duplicate, journal_id) }),
            problem: None,
        },
        Err(rejected) => {
            let mut problem = refused(&rejected, Some(index), journal_id).document(None);
            problem.errors.truncate(ITEM_ERRORS_MAX);
            ItemResult { status: problem.status, event_id, receipt: None, problem: Some(problem) }
        }
    });
    let results: Vec<ItemResult> = results.collect();
    match none {
        Some(fault) => Err(fault.with("results", serde_json::to_value(results).unwrap_or_default())),
        None => Ok((status, Json(Results { results })).into_response()),
    }
}

/// An audit that was not recorded, with the receipt of what was recorded under its id before.
fn refused(rejected: &Rejected, at: Option<usize>, journal_id: Uuid) -> Fault {
    let fault = Fault::rejected(rejected, at);
    let existing = rejected.existing.as_ref().map(|entry| Receipt::of(entry, true, journal_id));
    match existing.and_then(|receipt| serde_json::to_value(receipt).ok()) {
        Some(receipt) => fault.with("existing", receipt),
        None => fault,
    }
}

/// Nothing of the list was recorded, so that the whole request has failed.
fn none_recorded(outcomes: &[Outcome]) -> Fault {
    let refused = || outcomes.iter().enumerate().filter_map(|(index, outcome)| Some((index, outcome.as_ref().err()?)));
    let all = |reason: Reason| refused().all(|(_, rejected)| rejected.reason == reason);
    let failure = match () {
        () if all(Reason::Conflict) => Failure::Conflict,
        () if all(Reason::NotAllowed) => Failure::NotAllowed,
        () => Failure::Invalid,
    };
    let errors = refused().flat_map(|(index, rejected)| Fault::rejected(rejected, Some(index)).errors).collect();
    Fault::mistaken(failure, errors)
}
