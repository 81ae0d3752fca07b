//! An entry of the journal in the shape of Kubernaut's events, whichever way it came in.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema},
};
use uuid::Uuid;

use crate::audit::{Entry, Outcome, Watermark, canonical, event::time_text, facts::Json, kubernaut};

/// An event in Kubernaut's envelope, with what the store knows of it.
///
/// An event that came in the envelope has every member that was sent, those that nobody knows too, but for members that have
/// the name of one below. An event that came another way is told in the same words: its `event_action` is the last word of its
/// type, its `event_outcome` is `pending` where it tells none, and its `event_data` are the fields of its kind.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEvent {
    #[serde(flatten)]
    pub envelope: Envelope,
    pub event_id: Uuid,
    /// The day of `event_timestamp` in UTC.
    pub event_date: NaiveDate,
    /// The SHA-256 that was sealed with the event, of its canonical text: 64 hexadecimal digits. It stands alone: no event's
    /// hash depends on another's.
    pub event_hash: String,
    /// The place in the whole journal, from 1, as decimal text.
    #[schema(example = "7061", pattern = "^[0-9]+$")]
    pub position: String,
    /// The place among the events of its remediation, from 1. (`version` is that of the envelope.)
    #[schema(minimum = 1)]
    pub stream_version: i32,
    /// The database's time of the append.
    pub recorded_at: DateTime<Utc>,
    /// The authenticated caller that recorded it; left out where none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub recorded_by: Option<String>,
    /// The position for whoever waits for it: GraphQL takes it as `atLeast`.
    pub watermark: String,
}

/// The members that the store knows better than who sent them.
const OURS: [&str; 8] =
    ["event_id", "event_date", "event_hash", "position", "stream_version", "recorded_at", "recorded_by", "watermark"];

/// The members of Kubernaut's envelope.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Envelope(pub Map<String, Value>);

// Its schema is written by hand, with that of requests: utoipa knows nothing of it.
impl PartialSchema for Envelope {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().into()
    }
}

impl ToSchema for Envelope {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("AuditEventEnvelope")
    }
}

impl AuditEvent {
    pub fn of(entry: &Entry, journal_id: Uuid) -> AuditEvent {
        AuditEvent::with(envelope(entry), entry, journal_id)
    }

    /// The event of an entry with this envelope: its own, or what may be shown of it.
    pub fn with(mut envelope: Map<String, Value>, entry: &Entry, journal_id: Uuid) -> AuditEvent {
        envelope.retain(|name, _| !OURS.contains(&name.as_str()));
        envelope.entry("version").or_insert_with(|| "1.0".into());
        AuditEvent {
            envelope: Envelope(envelope),
            event_id: entry.event.event_id,
            event_date: entry.event.occurred_at.date_naive(),
            event_hash: canonical::hex(&entry.digest),
            position: entry.position.to_string(),
            stream_version: entry.version.0,
            recorded_at: entry.recorded_at,
            recorded_by: entry.recorded_by.clone(),
            watermark: Watermark::at(journal_id, entry.position).encode(),
        }
    }
}

/// The whole envelope of an event, with the members that `AuditEvent` does not show, for they have the names of others.
pub fn envelope(entry: &Entry) -> Map<String, Value> {
    kubernaut::envelope(&entry.event).unwrap_or_else(|| told(entry))
}

/// What an event that did not come in the envelope would have said in one.
fn told(entry: &Entry) -> Map<String, Value> {
    let event = &entry.event;
    let action = event.event_type.rsplit('.').next().unwrap_or_default();
    let mut data = event.fields().to_map();
    data.insert("event_type".to_string(), event.event_type.as_str().into());
    let envelope = json!({
        "event_type": event.event_type,
        "event_timestamp": time_text(event.occurred_at),
        "event_category": event.category,
        "event_action": action,
        "event_outcome": event.outcome.unwrap_or(Outcome::Pending).word(),
        "correlation_id": event.stream.remediation_id,
        "cluster_id": event.stream.cluster_id,
        "event_data": data,
    });
    let Value::Object(mut envelope) = envelope else { unreachable!("it is written as an object") };
    let mut member = |name: &str, value: Option<&str>| {
        envelope.extend(value.map(|text| (name.to_string(), Value::from(text))));
    };
    member("actor_type", event.actor_type.map(|actor| actor.word()));
    member("actor_id", event.actor_id.as_deref());
    member("parent_event_id", event.parent_event_id.map(|id| id.to_string()).as_deref());
    member("severity", entry.field("severity").and_then(Json::as_str));
    envelope
}
