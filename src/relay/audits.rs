//! The record calls: the same paths and bodies as the server's, answered `202` once the audits are on disk.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Relay;
use crate::{
    audit::{Form, Kind},
    client::{Ready, spool::AppendError},
    error::Failure,
    record::{Reason, Rejected, Traceparent},
    rest::{
        Fault, audits,
        body::{Item, Items, JsonText},
        key::{HEADER, Ids},
        kubernaut::notifications,
        recording::{Read, submission},
        seeds,
    },
    telemetry::RequestContext,
};

/// In whose name ids are made of an event's whole content: the same event is the same one, whichever relay hears of it.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0e_2a41_94d7_4c1b_8e3a_b1aa_c1e0_0001);

type Shared = State<Arc<Relay>>;

pub fn routes() -> Router<Arc<Relay>> {
    let own = seeds::ENDPOINTS.iter().filter(|endpoint| endpoint.kind != Kind::Notification);
    own.fold(Router::new(), |router, endpoint| {
        let kind = endpoint.kind;
        let path = format!("{}{}", seeds::BENEATH, endpoint.name);
        let there = path.clone();
        let handler = move |relay: Shared, headers: HeaderMap, body: JsonText| async move {
            columns(&relay, &headers, &there, &body, kind).await
        };
        router.route(&path, post(handler))
    })
    .route(NOTIFICATIONS, post(notification))
    .route(EVENTS, post(event))
    .route(EVENTS_BATCH, post(events))
    .route("/api/v1/audits", post(named))
}

const NOTIFICATIONS: &str = "/api/v1/audit/notifications";
const EVENTS: &str = "/api/v1/audit/events";
const EVENTS_BATCH: &str = "/api/v1/audit/events/batch";

/// An audit in columns, or a list of them.
async fn columns(
    relay: &Relay,
    headers: &HeaderMap,
    path: &str,
    body: &JsonText,
    kind: Kind,
) -> Result<Response, Fault> {
    let mut ids = ids(relay, headers, path, Form::Columns)?;
    match body.items()? {
        Items::One(item) => {
            let read = read(item, 0, &mut ids, Some(kind));
            one(keep(relay, headers, vec![read]).await?)
        }
        Items::Many(items) => {
            let read = items.into_iter().enumerate().map(|(index, item)| read(item, index, &mut ids, Some(kind)));
            many(keep(relay, headers, read.collect()).await?)
        }
    }
}

/// A notification in columns, or as Kubernaut records it.
async fn notification(State(relay): Shared, headers: HeaderMap, body: JsonText) -> Result<Response, Fault> {
    if !notifications::are_kubernauts(&body) {
        return columns(&relay, &headers, NOTIFICATIONS, &body, Kind::Notification).await;
    }
    let theirs = notifications::read(&body)?;
    // A notification's name is known within its cluster; where no cluster is named, within this relay.
    let (cluster_id, namespace) = match &relay.cluster_id {
        Some(cluster_id) => (cluster_id.as_str(), NAMESPACE),
        None => ("", relay.recorder.spool_id()),
    };
    let columns = notifications::columns(&theirs, cluster_id, namespace)?;
    let mut ids = ids(&relay, &headers, NOTIFICATIONS, Form::Columns)?;
    let read = read(Ok(columns), 0, &mut ids, Some(Kind::Notification));
    one(keep(&relay, &headers, vec![read]).await?)
}

/// An event in Kubernaut's envelope.
async fn event(State(relay): Shared, headers: HeaderMap, body: JsonText) -> Result<Response, Fault> {
    let mut ids = ids(&relay, &headers, EVENTS, Form::Kubernaut)?;
    let read = read(body.object()?, 0, &mut ids, None);
    one(keep(&relay, &headers, vec![read]).await?).map_err(as_event)
}

/// Events in Kubernaut's envelope: its clients know no answer for each, so a list with a bad one is refused as a whole, and
/// the answer names those that are kept.
async fn events(State(relay): Shared, headers: HeaderMap, body: JsonText) -> Result<Response, Fault> {
    let mut ids = ids(&relay, &headers, EVENTS_BATCH, Form::Kubernaut)?;
    let items = body.list()?.into_iter().enumerate();
    let kept = keep(&relay, &headers, items.map(|(index, item)| read(item, index, &mut ids, None)).collect()).await?;
    let event_ids: Vec<Value> = kept.iter().map(|kept| kept.as_ref().map_or(Value::Null, |id| json!(id))).collect();
    let faults: Vec<Fault> = kept
        .iter()
        .enumerate()
        .filter_map(|(index, kept)| Some(as_event(Fault::rejected(kept.as_ref().err()?, Some(index)))))
        .collect();
    if let Some(first) = faults.first() {
        let failure = first.failure;
        let fault = Fault::mistaken(failure, faults.into_iter().flat_map(|fault| fault.errors).collect());
        return Err(fault.with("event_ids", event_ids));
    }
    let message = format!("{} audit events kept, to be recorded", event_ids.len());
    Ok((StatusCode::ACCEPTED, Json(json!({"event_ids": event_ids, "state": KEPT, "message": message}))).into_response())
}

/// Audits of any kind and form.
async fn named(State(relay): Shared, headers: HeaderMap, body: JsonText) -> Result<Response, Fault> {
    let read = body.list()?.into_iter().map(audits::read).collect();
    many(keep(&relay, &headers, read).await?)
}

const KEPT: &str = "kept";

/// A key names a request among those of one relay: others may use the same.
fn ids(relay: &Relay, headers: &HeaderMap, path: &str, form: Form) -> Result<Ids, Fault> {
    let namespace = if headers.contains_key(HEADER) { relay.recorder.spool_id() } else { NAMESPACE };
    Ids::of(headers, path, None, form, namespace)
}

fn read(item: Item, index: usize, ids: &mut Ids, kind: Option<Kind>) -> Read {
    item.map(|mut fields| {
        ids.lend(&mut fields, index);
        submission(kind, fields)
    })
}

/// Keeps what is well formed, together; answers the id of each, or what is wrong with it.
async fn keep(relay: &Relay, headers: &HeaderMap, read: Vec<Read>) -> Result<Vec<Result<Uuid, Rejected>>, Fault> {
    let trace = RequestContext::of(headers).traceparent.map(|it| Traceparent(it.to_string()));
    let mut ready: Vec<Ready> = Vec::new();
    let answers: Vec<Result<Uuid, Rejected>> = read
        .into_iter()
        .map(|read| {
            let prepared = read.and_then(|mut submission| {
                if let Some(trace) = &trace {
                    trace.lend(&mut submission);
                }
                relay.recorder.prepare(submission)
            });
            match prepared {
                Ok(one) => {
                    let id = one.event_id;
                    ready.push(one);
                    Ok(id)
                }
                Err(problems) => Err(Rejected { reason: Reason::Invalid, problems, existing: None }),
            }
        })
        .collect();
    relay.metrics.refused(&answers);
    if !ready.is_empty() {
        relay.recorder.keep(ready).await.map_err(not_kept)?;
    }
    Ok(answers)
}

/// The spool is full, or its disk fails: the writer has to know, and may try again.
fn not_kept(error: AppendError) -> Fault {
    let never_fits = matches!(error, AppendError::TooLarge { .. } | AppendError::Full { bytes: 0, .. });
    let causes = anyhow::Error::from(error);
    tracing::error!(error = %format!("{causes:#}"), "could not keep an audit: {causes:#}");
    let failure = if never_fits { Failure::TooLarge } else { Failure::Unavailable };
    Fault::new(failure, format!("{causes:#}"))
}

fn one(mut kept: Vec<Result<Uuid, Rejected>>) -> Result<Response, Fault> {
    let kept = kept.pop().expect("one audit has one answer");
    let id = kept.map_err(|rejected| Fault::rejected(&rejected, None))?;
    let place = HeaderValue::from_str(&format!("{}events/{id}", seeds::BENEATH)).expect("a UUID is ASCII");
    // Kubernaut's clients know an answer 202 by its last two members.
    let answer = json!({"event_id": id, "state": KEPT, "status": "accepted", "message": "kept here, not recorded yet"});
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(answer)).into_response())
}

fn many(kept: Vec<Result<Uuid, Rejected>>) -> Result<Response, Fault> {
    let results: Vec<Value> = kept
        .iter()
        .enumerate()
        .map(|(index, kept)| match kept {
            Ok(id) => json!({"status": 202, "event_id": id, "state": KEPT}),
            Err(rejected) => {
                let problem = Fault::rejected(rejected, Some(index)).document(None);
                json!({"status": problem.status, "problem": problem})
            }
        })
        .collect();
    if kept.iter().all(Result::is_err) {
        let refused = kept.iter().enumerate().filter_map(|(index, kept)| Some((index, kept.as_ref().err()?)));
        let errors = refused.flat_map(|(index, rejected)| Fault::rejected(rejected, Some(index)).errors).collect();
        return Err(Fault::mistaken(Failure::Invalid, errors).with("results", results));
    }
    let status = if kept.iter().all(Result::is_ok) { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
    Ok((status, Json(json!({"results": results}))).into_response())
}

/// Kubernaut's clients know 400 for an event that is not valid.
fn as_event(fault: Fault) -> Fault {
    match fault.failure {
        Failure::Invalid => Fault { failure: Failure::InvalidEvent, ..fault },
        _ => fault,
    }
}
