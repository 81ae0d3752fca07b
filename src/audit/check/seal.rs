//! What a checked audit becomes: an event, with its envelope, its payload and the digest of its content.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Context, time_of};
use crate::audit::{
    canonical::{self, Digest},
    event::{Event, Payload, SCHEMA_VERSION, StreamId},
    fields::KindTable,
    kind::{ActorType, Outcome},
};

/// Splits checked content into envelope and payload, and fills in the defaults.
pub(super) fn seal(
    table: &KindTable,
    mut content: Map<String, Value>,
    trace: Option<(String, String)>,
    context: Context<'_>,
) -> Event {
    content.entry("clusterId").or_insert_with(|| context.cluster_id.into());
    content.insert("kind".to_string(), table.kind.word().into());
    let default = table.status.zip(table.status_default).filter(|(name, _)| !content.contains_key(*name));
    content.extend(default.map(|(name, word)| (name.to_string(), word.into())));
    let status = table.status.and_then(|name| content.get(name)?.as_str()).unwrap_or("recorded").to_string();
    let default_outcome = table.status.map(|_| {
        let ended = table.final_words.iter().find(|(word, _)| *word == status).map(|(_, outcome)| *outcome);
        ended.and_then(Outcome::parse).unwrap_or(Outcome::Pending)
    });
    let (trace_id, span_id) = trace.unzip();
    let mut event = Event {
        event_id: context.fresh_id,
        stream: StreamId { cluster_id: String::new(), remediation_id: String::new() },
        occurred_at: context.now,
        kind: table.kind,
        category: table.kind.category().unwrap_or_default().to_string(),
        event_type: String::new(),
        outcome: default_outcome,
        actor_type: None,
        actor_id: None,
        parent_event_id: None,
        trace_id,
        span_id,
        schema_version: SCHEMA_VERSION,
        payload: Payload::from_text(String::new()),
        content_digest: Digest::default(),
    };

    // Most members are digested and are in the payload too: they are written once. All names are ASCII, as those of the table are,
    // so a map has them in the order of canonical JSON.
    let [mut digested, mut payload] = ["{"; 2].map(|opened| {
        let mut text = String::with_capacity(canonical::USUAL_BYTES);
        text.push_str(opened);
        text
    });
    for (name, value) in content {
        let begin = digested.len();
        canonical::write_member(&name, &value, &mut digested);
        digested.push(',');
        match (name.as_str(), value) {
            ("eventId", id) => {
                event.event_id = uuid(&id).unwrap_or(context.fresh_id);
                digested.truncate(begin);
            }
            ("traceparent", _) => digested.truncate(begin),
            ("kind", _) => {}
            ("clusterId", Value::String(text)) => event.stream.cluster_id = text,
            ("remediationId", Value::String(text)) => event.stream.remediation_id = text,
            ("category", Value::String(text)) => event.category = text,
            ("eventType", Value::String(text)) => event.event_type = text,
            ("occurredAt", time) => event.occurred_at = time_of(&time).unwrap_or(context.now),
            ("outcome", word) => event.outcome = word.as_str().and_then(Outcome::parse).or(default_outcome),
            ("parentEventId", id) => event.parent_event_id = uuid(&id),
            ("actor", Value::Object(actor)) => {
                let more = take_actor(&mut event, actor);
                if !more.is_empty() {
                    canonical::write_member(&name, &Value::Object(more), &mut payload);
                    payload.push(',');
                }
            }
            (name, _) => {
                payload.push_str(&digested[begin..]);
                if default.is_some_and(|(status, _)| status == name) {
                    digested.truncate(begin);
                }
            }
        }
    }
    for text in [&mut digested, &mut payload] {
        if text.ends_with(',') {
            text.pop();
        }
        text.push('}');
    }
    if event.event_type.is_empty() {
        event.event_type = format!("{}.{status}", table.event_type_prefix);
    }
    event.content_digest = canonical::digest(&digested);
    event.payload = Payload::from_text(payload);
    event
}

fn uuid(value: &Value) -> Option<Uuid> {
    value.as_str()?.parse().ok()
}

/// The actor's type and id go into the envelope; what else is told of it stays in the payload.
fn take_actor(event: &mut Event, mut actor: Map<String, Value>) -> Map<String, Value> {
    event.actor_type = actor.remove("type").and_then(|word| ActorType::parse(word.as_str()?));
    event.actor_id = actor.remove("id").and_then(|id| id.as_str().map(str::to_string));
    actor
}
