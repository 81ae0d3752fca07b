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
    audit::{Entry, Kind, Submission, words::DELIVERY_STATUS},
    error::Failure,
    record::{Reason, Rejected},
    rest::{
        Rest,
        body::{Items, JsonText},
        call::Call,
        fault::{Fault, Mistake},
        recording, seeds,
    },
};

/// The member that only Kubernaut's body has.
const THEIRS: &str = "message_summary";

/// What Kubernaut's record of a notification has to tell.
const REQUIRED: [&str; 7] = ["remediation_id", "notification_id", "recipient", "channel", THEIRS, "status", "sent_at"];

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

async fn record(State(rest): State<Rest>, call: Call, headers: HeaderMap, body: JsonText) -> Result<Response, Fault> {
    let theirs = match body.items()? {
        Items::One(Ok(fields)) if fields.contains_key(THEIRS) => fields,
        _ => return seeds::record(&rest, &call, &headers, &body, Kind::Notification).await,
    };
    let keyed = headers.contains_key("idempotency-key") || theirs.contains_key("event_id");
    let columns = columns(&theirs, &rest)?;
    let submission = |columns| Submission::of_columns(Kind::Notification, columns);
    let mut outcomes = recording::record(&rest, &call, &headers, vec![Ok(columns)], submission).await?;
    match outcomes.pop().expect("one audit has one answer") {
        // Kubernaut refuses a notification that it has. Who names the request wants to send it more than once.
        Ok((entry, true)) if !keyed => Err(known(&theirs, Some(&entry))),
        Ok((entry, _)) => Ok((StatusCode::CREATED, Json(answer(&theirs, &entry))).into_response()),
        Err(rejected) => Err(refused(&theirs, &rejected)),
    }
}

/// The same audit in the seeds' columns.
fn columns(theirs: &Map<String, Value>, rest: &Rest) -> Result<Map<String, Value>, Fault> {
    let missing = REQUIRED.iter().filter(|name| theirs.get(**name).is_none_or(Value::is_null));
    let missing: Vec<Mistake> = missing
        .map(|name| Mistake {
            pointer: Some(format!("/{name}")),
            parameter: None,
            code: "REQUIRED".to_string(),
            detail: format!("`{name}` is required"),
        })
        .collect();
    if !missing.is_empty() {
        return Err(Fault::mistaken(Failure::InvalidEvent, missing));
    }
    let mut columns = theirs.clone();
    if let Some(recipient) = columns.remove("recipient") {
        columns.insert("recipients".to_string(), Value::Array(vec![recipient]));
    }
    // Theirs is any text, such as the channel's answer.
    let delivered = columns.get("delivery_status").and_then(Value::as_str);
    if delivered.is_some_and(|told| DELIVERY_STATUS.find(told).is_none())
        && let Some(told) = columns.remove("delivery_status")
    {
        columns.insert("details".to_string(), json!({"delivery_status": told}));
    }
    let occurred_at = theirs["sent_at"].clone();
    columns.entry("occurred_at").or_insert(occurred_at);
    let cluster = theirs.get("cluster_id").and_then(Value::as_str).unwrap_or(&rest.app.faces.cluster_id);
    let name = format!("notification_audit\0{cluster}\0{}", theirs["notification_id"].as_str().unwrap_or_default());
    let id = Uuid::new_v5(&rest.app.journal.id(), name.as_bytes());
    columns.entry("event_id").or_insert(id.to_string().into());
    Ok(columns)
}

fn answer(theirs: &Map<String, Value>, entry: &Entry) -> NotificationRecord {
    let text = |name: &str| theirs.get(name).and_then(Value::as_str).map(str::to_string);
    NotificationRecord {
        id: entry.position.0,
        remediation_id: entry.event.stream.remediation_id.clone(),
        notification_id: text("notification_id").unwrap_or_default(),
        recipient: text("recipient").unwrap_or_default(),
        channel: text("channel").unwrap_or_default(),
        message_summary: text(THEIRS).unwrap_or_default(),
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

fn refused(theirs: &Map<String, Value>, rejected: &Rejected) -> Fault {
    match rejected.reason {
        Reason::Conflict => known(theirs, rejected.existing.as_deref()),
        Reason::NotAllowed => Fault::rejected(rejected, None),
        Reason::Invalid => {
            let fault = Fault::rejected(rejected, None);
            let told = fault.errors.iter().map(|mistake| {
                let field = mistake.pointer.as_deref().unwrap_or_default().trim_start_matches('/').to_string();
                (field, Value::from(mistake.detail.clone()))
            });
            let told: Map<String, Value> = told.collect();
            Fault { failure: Failure::InvalidEvent, ..fault }.with("field_errors", told)
        }
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
