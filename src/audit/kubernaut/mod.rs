//! Kubernaut's audit events: their envelope, their types, and what they tell in the fields of our kinds.

use serde_json::{Map, Value};

use crate::audit::{
    Context, Problem,
    event::{Event, Payload},
    kind::Kind,
};

/// The one member of the payload of an event that came in Kubernaut's envelope: what of the envelope has no column.
const WRITTEN: &str = "kubernaut";

/// The kind that an event type belongs to; the open one for a type that is not known.
pub fn kind(_event_type: &str) -> Kind {
    Kind::Other
}

/// Whether a payload was written in Kubernaut's envelope.
pub fn wrote(payload: &Payload) -> bool {
    payload
        .text()
        .strip_prefix("{\"")
        .and_then(|rest| rest.strip_prefix(WRITTEN))
        .is_some_and(|it| it.starts_with("\":"))
}

/// What an event tells in the fields of its kind.
pub fn fields(_event: &Event) -> Map<String, Value> {
    Map::new()
}

/// Turns an event in Kubernaut's envelope into an event of the journal, or lists everything that is wrong with it.
pub fn check(_envelope: Map<String, Value>, _context: Context<'_>) -> Result<Event, Vec<Problem>> {
    Err(Vec::new())
}
