//! Kubernaut's audit events: their envelope, their types, and what they tell in the fields of our kinds.
//!
//! The journal holds exactly what the client sent, in Kubernaut's words: the columns that both know, and all else of the
//! envelope, in its own spelling, as the one member `kubernaut` of the payload. What that means in the fields of a kind is
//! read each time, by `fields`, so that a better reading holds for all history once the projections are rebuilt.

mod check;
mod fields;
mod types;

use serde_json::{Map, Value};

use crate::audit::{
    event::{Event, Payload, time_text},
    facts::{Fields, Json},
};

pub use check::check;
pub use fields::fields;
pub use types::{TYPES, kind};

/// The one member of the payload of an event that came in Kubernaut's envelope: what of the envelope has no column.
const WRITTEN: &str = "kubernaut";

/// How the text of such a payload begins.
pub const OPENING: &str = "{\"kubernaut\":";

/// Whether a payload was written in Kubernaut's envelope.
pub fn wrote(payload: &Payload) -> bool {
    payload.text().starts_with(OPENING)
}

/// What an event that came in Kubernaut's envelope carries, in its own words; `None` for others.
pub fn event_data(event: &Event) -> Option<Json<'_>> {
    if wrote(&event.payload) { written(event)?.get("event_data") } else { None }
}

/// What of the envelope has no column, in Kubernaut's spelling.
fn written(event: &Event) -> Option<Fields<'_>> {
    event.payload.fields().object(WRITTEN)
}

/// The envelope as it was sent, put together again; `None` for an event that did not come in one.
///
/// Each member has the value that was sent, with these differences: `event_timestamp` is in UTC and ends at the microsecond,
/// ids are in their usual spelling, and there is always a `cluster_id`. A member that was `null` is left out, as is one with a
/// column that was empty, and `event_id`, which the journal knows of every event. Nothing is added: who sent no `actor_type` is told none.
pub fn envelope(event: &Event) -> Option<Map<String, Value>> {
    if !wrote(&event.payload) {
        return None;
    }
    let written = written(event)?;
    let mut envelope = written.to_map();
    let mut member = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            envelope.entry(name).or_insert(value);
        }
    };
    member("event_type", Some(event.event_type.as_str().into()));
    member("event_timestamp", Some(time_text(event.occurred_at).into()));
    member("event_category", Some(event.category.as_str().into()));
    member("event_outcome", event.outcome.map(|outcome| outcome.word().into()));
    member("correlation_id", Some(event.stream.remediation_id.as_str().into()));
    member("cluster_id", Some(event.stream.cluster_id.as_str().into()));
    if written.get("actor_type").is_none() {
        member("actor_type", event.actor_type.map(|actor| actor.word().into()));
    }
    member("actor_id", event.actor_id.as_deref().map(Value::from));
    member("parent_event_id", event.parent_event_id.map(|id| id.to_string().into()));
    Some(envelope)
}

/// Names a path within an event as the envelope does.
pub fn spell(path: &mut Vec<String>) {
    match path[0].as_str() {
        WRITTEN if path.len() > 1 => drop(path.remove(0)),
        field => {
            path[0] = COLUMNS.iter().find(|(known, _)| *known == field).map_or(field, |(_, ours)| ours).to_string()
        }
    }
}

/// The envelope's names of what has a column.
const COLUMNS: [(&str, &str); 9] = [
    ("eventId", "event_id"),
    ("clusterId", "cluster_id"),
    ("remediationId", "correlation_id"),
    ("occurredAt", "event_timestamp"),
    ("category", "event_category"),
    ("eventType", "event_type"),
    ("outcome", "event_outcome"),
    ("actor", "actor_id"),
    ("parentEventId", "parent_event_id"),
];

#[cfg(test)]
pub(crate) mod tests;
