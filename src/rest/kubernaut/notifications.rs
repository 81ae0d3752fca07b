//! Notifications, whose path is the seeds' and Kubernaut's.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{
    audit::{Entry, Kind, Problem, words::DELIVERY_STATUS},
    error::Failure,
    record::{Reason, Rejected},
    rest::{
        Rest,
        body::JsonText,
        call::{Admitted, Call},
        fault::Fault,
        key::HEADER,
        recording, seeds,
    },
};

/// The members that only Kubernaut's body has.
const THEIRS: [&str; 2] = ["message_summary", "recipient"];

/// What Kubernaut's record of a notification has to tell.
const REQUIRED: [&str; 7] =
    ["remediation_id", "notification_id", "recipient", "channel", "message_summary", "status", "sent_at"];

pub const PATH: &str = "/api/v1/audit/notifications";

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().route(PATH, post(record))
}

/// Kubernaut's record of a notification, with what the store adds.
#[derive(Serialize, ToSchema)]
pub struct NotificationRecord {
    /// The place in the whole journal, from 1.
    #[schema(minimum = 1)]
    pub id: i64,
    pub remediation_id: String,
    pub notification_id: String,
    pub recipient: String,
    pub channel: String,
    pub message_summary: String,
    pub status: String,
    pub sent_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    pub escalation_level: i64,
    pub created_at: DateTime<Utc>,
    /// The same as `created_at`: nothing is ever changed.
    pub updated_at: DateTime<Utc>,
    pub event_id: Uuid,
}

async fn record(
    State(rest): State<Rest>,
    call: Call,
    _: Admitted,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response, Fault> {
    if !are_kubernauts(&body) {
        return seeds::record(&rest, &call, &headers, &body, Kind::Notification).await;
    }
    let theirs = read(&body)?;
    let keyed = headers.contains_key(HEADER) || theirs.contains_key("event_id");
    let columns = columns(&theirs, &rest.app.faces.cluster_id, rest.app.journal.id())?;
    let mut outcomes = recording::record(&rest, &call, &headers, vec![Ok(columns)], Some(Kind::Notification)).await?;
    match outcomes.pop().expect("one audit has one answer") {
        // Kubernaut refuses a notification that it has. Who names the request wants to send it more than once.
        Ok((entry, true)) if !keyed => Err(known(&theirs, Some(&entry))),
        Ok((entry, _)) => Ok((StatusCode::CREATED, Json(answer(&theirs, &entry))).into_response()),
        Err(rejected) if rejected.reason == Reason::Conflict && !theirs.contains_key("event_id") => {
            Err(known(&theirs, rejected.existing.as_deref()))
        }
        Err(rejected) => Err(refused(&rejected)),
    }
}

/// Whether a body is Kubernaut's record of a notification.
pub fn are_kubernauts(body: &JsonText) -> bool {
    body.names_any(&THEIRS)
}

/// Kubernaut's record of a notification.
pub fn read(body: &JsonText) -> Result<Map<String, Value>, Fault> {
    match body.object()? {
        Ok(mut fields) => {
            fields.retain(|_, value| !value.is_null());
            Ok(fields)
        }
        Err(problems) => Err(refused(&Rejected { reason: Reason::Invalid, problems, existing: None })),
    }
}

/// The same audit in the seeds' columns. `cluster_id` is that of a body that names none; its id is made in `namespace`.
pub fn columns(theirs: &Map<String, Value>, cluster_id: &str, namespace: Uuid) -> Result<Map<String, Value>, Fault> {
    let missing = REQUIRED.iter().filter(|name| !theirs.contains_key(**name));
    let missing = missing.map(|name| wrong(name, "REQUIRED", format!("`{name}` is required")));
    let no_text = REQUIRED.iter().filter(|name| theirs.get(**name).is_some_and(|it| !it.is_string()));
    let no_text = no_text.map(|name| wrong(name, "WRONG_TYPE", format!("`{name}` must be a string")));
    let problems: Vec<Problem> = missing.chain(no_text).collect();
    if !problems.is_empty() {
        return Err(refused(&Rejected { reason: Reason::Invalid, problems, existing: None }));
    }
    let mut columns = theirs.clone();
    if let Some(recipient) = columns.remove("recipient") {
        let others = columns.remove("recipients").and_then(|others| others.as_array().cloned());
        let all = std::iter::once(recipient).chain(others.into_iter().flatten());
        columns.insert("recipients".to_string(), all.collect());
    }
    // Theirs is any text, such as the channel's answer. What no column takes is kept in `details`.
    let delivered = columns.get("delivery_status").and_then(Value::as_str);
    if delivered.is_some_and(|told| DELIVERY_STATUS.find(told).is_none())
        && let Some(told) = columns.remove("delivery_status")
        && let Some(details) = columns.entry("details").or_insert_with(|| json!({})).as_object_mut()
    {
        details.insert("delivery_status".to_string(), told);
    }
    columns.entry("occurred_at").or_insert_with(|| theirs["sent_at"].clone());
    let cluster = theirs.get("cluster_id").and_then(Value::as_str).unwrap_or(cluster_id);
    let name = format!("notification_audit\0{cluster}\0{}", theirs["notification_id"].as_str().unwrap_or_default());
    let id = Uuid::new_v5(&namespace, name.as_bytes());
    columns.entry("event_id").or_insert_with(|| id.to_string().into());
    Ok(columns)
}

fn wrong(name: &str, code: &'static str, message: String) -> Problem {
    Problem { path: vec![name.to_string()], code, message }
}

fn answer(theirs: &Map<String, Value>, entry: &Entry) -> NotificationRecord {
    let text = |name: &str| theirs.get(name).and_then(Value::as_str).map(str::to_string);
    NotificationRecord {
        id: entry.position.0,
        remediation_id: entry.event.stream.remediation_id.clone(),
        notification_id: text("notification_id").unwrap_or_default(),
        recipient: text("recipient").unwrap_or_default(),
        channel: text("channel").unwrap_or_default(),
        message_summary: text("message_summary").unwrap_or_default(),
        status: text("status").unwrap_or_default(),
        sent_at: text("sent_at").unwrap_or_default(),
        delivery_status: text("delivery_status"),
        error_message: text("error_message"),
        escalation_level: theirs.get("escalation_level").and_then(Value::as_i64).unwrap_or(0),
        created_at: entry.recorded_at,
        updated_at: entry.recorded_at,
        event_id: entry.event.event_id,
    }
}

/// What is wrong, in the words of Kubernaut's body, and told by field as Kubernaut does.
fn refused(rejected: &Rejected) -> Fault {
    let mut problems: Vec<Problem> = Vec::new();
    for problem in &rejected.problems {
        let (field, theirs) = match problem.path.first().map(String::as_str) {
            Some("occurred_at") => ("occurred_at", "sent_at"),
            Some("recipients") => ("recipients", "recipient"),
            _ => ("", ""),
        };
        let mut problem = problem.clone();
        if !field.is_empty() {
            problem.path = vec![theirs.to_string()];
            problem.message = problem.message.replace(&format!("`{field}`"), &format!("`{theirs}`"));
        }
        // A time that is wrong is so under both of its names.
        if problems.iter().all(|other| other.path != problem.path) {
            problems.push(problem);
        }
    }
    let fields = problems.iter().map(|problem| (problem.path.join("."), Value::from(problem.message.clone())));
    let fields: Map<String, Value> = fields.collect();
    let fault = Fault::rejected(&Rejected { problems, existing: None, ..*rejected }, None);
    match rejected.reason {
        Reason::Invalid => Fault { failure: Failure::InvalidEvent, ..fault }.with("field_errors", fields),
        Reason::Conflict | Reason::NotAllowed => fault,
    }
}

/// The notification is recorded already; told in Kubernaut's words.
fn known(theirs: &Map<String, Value>, entry: Option<&Entry>) -> Fault {
    let id = theirs.get("notification_id").and_then(Value::as_str).unwrap_or_default();
    let detail = format!("notification `{id}` is recorded already");
    let fault = Fault::new(Failure::Conflict, detail)
        .with("resource", "notification_audit")
        .with("field", "notification_id")
        .with("value", id);
    match entry {
        Some(entry) => fault.with("event_id", entry.event.event_id.to_string()),
        None => fault,
    }
}
