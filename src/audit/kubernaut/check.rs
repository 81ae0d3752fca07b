//! The checks of an event in Kubernaut's envelope. They ask for what its specification requires, but for `version`, and let
//! through all else as it is: an event that Kubernaut's own store would take is taken here.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{WRITTEN, kind};
use crate::audit::{
    Context, Problem, administration,
    canonical::{self, Digest},
    check::{Examiner, parse_time, parse_traceparent},
    event::{Event, Payload, SCHEMA_VERSION, StreamId, time_text},
    fields::Shape,
    kind::{ActorType, Outcome},
    limits::{KUBERNAUT_AHEAD_MINUTES_MAX, KUBERNAUT_BYTES_MAX, NAME_MAX, PAYLOAD_BYTES_MAX, TEXT_MAX},
    words::ACTOR_TYPE,
};

/// Members that hold a text and may be left out, with the most characters of each. They are kept as they are.
const TEXTS: &[(&str, usize)] = &[
    ("version", NAME_MAX),
    ("actor_ip", NAME_MAX),
    ("resource_type", NAME_MAX),
    ("resource_id", NAME_MAX),
    ("resource_name", NAME_MAX),
    ("namespace", NAME_MAX),
    ("severity", NAME_MAX),
    ("error_code", NAME_MAX),
    ("error_message", TEXT_MAX),
    ("trace_id", NAME_MAX),
    ("span_id", NAME_MAX),
];

/// Members with a column that some clients send as an empty text where they mean none.
const OFTEN_EMPTY: &[&str] = &["event_id", "actor_type", "actor_id", "cluster_id", "parent_event_id", "traceparent"];

/// Turns an event in Kubernaut's envelope into an event of the journal, or lists everything that is wrong with it, each in
/// the envelope's spelling.
///
/// Nothing is filled in: an actor that was not sent is not told.
pub fn check(mut given: Map<String, Value>, context: Context<'_>) -> Result<Event, Vec<Problem>> {
    let mut examiner = Examiner::new();
    given.retain(|name, value| match value {
        Value::Null => false,
        Value::String(text) if text.is_empty() => !OFTEN_EMPTY.contains(&name.as_str()),
        _ => true,
    });
    nesting(&given, &mut examiner);
    if !examiner.fine() {
        return Err(examiner.into_problems()); // nothing that follows should walk so deep
    }
    let cluster_id = given.get("cluster_id").and_then(Value::as_str).unwrap_or(context.cluster_id).to_string();
    let digest = content_digest(&mut given, &cluster_id);

    let event_id = optional(&mut given, "event_id", Shape::Uuid, &mut examiner).and_then(|id| id.parse::<Uuid>().ok());
    let event_type = required(&mut given, "event_type", Shape::Name, &mut examiner);
    let occurred_at = required(&mut given, "event_timestamp", Shape::Time, &mut examiner);
    let occurred_at = occurred_at.as_deref().and_then(parse_time);
    let category = required(&mut given, "event_category", Shape::Name, &mut examiner);
    let action = required(&mut given, "event_action", Shape::Name, &mut examiner);
    let outcome = required(&mut given, "event_outcome", Shape::Name, &mut examiner);
    let outcome = outcome.and_then(|word| known_outcome(&word, &mut examiner));
    let remediation_id = required(&mut given, "correlation_id", Shape::Name, &mut examiner);
    let named_cluster = optional(&mut given, "cluster_id", Shape::Name, &mut examiner);
    if administration::reserved(&cluster_id, remediation_id.as_deref().unwrap_or_default()) {
        examiner.problem(&["correlation_id"], "RESERVED", administration::RESERVED);
    }
    let actor_type = actor_type(&mut given, &mut examiner);
    let actor_id = optional(&mut given, "actor_id", Shape::Name, &mut examiner);
    let parent = optional(&mut given, "parent_event_id", Shape::Uuid, &mut examiner);
    let trace = optional(&mut given, "traceparent", Shape::Name, &mut examiner);
    let trace = trace.and_then(|text| traced(&text, &mut examiner));
    time_window(occurred_at, context.now, &mut examiner);
    more(&given, &mut examiner);
    event_data(&given, event_type.as_deref(), &mut examiner);

    given.extend(action.map(|action| ("event_action".to_string(), action.into())));
    let payload = Payload::new(Map::from_iter([(WRITTEN.to_string(), Value::Object(given))]));
    if payload.text().len() > KUBERNAUT_BYTES_MAX {
        let message =
            format!("the event has {} bytes; at most {KUBERNAUT_BYTES_MAX} are allowed", payload.text().len());
        examiner.problem(&[], "TOO_LARGE", message);
    }
    if !examiner.fine() {
        return Err(examiner.into_problems());
    }
    let (trace_id, span_id) = trace.unzip();
    let event_type = event_type.unwrap_or_default();
    Ok(Event {
        event_id: event_id.unwrap_or(context.fresh_id),
        stream: StreamId {
            cluster_id: named_cluster.unwrap_or(cluster_id),
            remediation_id: remediation_id.unwrap_or_default(),
        },
        occurred_at: occurred_at.unwrap_or(context.now),
        kind: kind(&event_type),
        category: category.unwrap_or_default(),
        event_type,
        outcome,
        actor_type,
        actor_id,
        parent_event_id: parent.and_then(|id| id.parse().ok()),
        trace_id,
        span_id,
        schema_version: SCHEMA_VERSION,
        payload,
        content_digest: digest,
    })
}

/// Depth counts from `event_data`, as Kubernaut counts it.
fn nesting(given: &Map<String, Value>, examiner: &mut Examiner) {
    for (name, value) in given {
        match value {
            Value::Object(members) => examiner.nesting(&[name], members),
            value => examiner.nesting(&[], &Map::from_iter([(name.clone(), value.clone())])),
        }
        if name.contains('\0') {
            examiner.problem(&[], "NUL", "a field's name holds a NUL character");
        }
    }
}

/// The digest of what was sent, with the cluster, without the id and the trace.
fn content_digest(given: &mut Map<String, Value>, cluster_id: &str) -> Digest {
    let aside: Vec<_> =
        ["event_id", "traceparent", "cluster_id"].into_iter().filter_map(|name| given.remove_entry(name)).collect();
    given.insert("cluster_id".to_string(), cluster_id.into());
    let digest = canonical::digest(&canonical::object_text(given));
    given.remove("cluster_id");
    given.extend(aside);
    digest
}

/// Takes a member that has to be there.
fn required(given: &mut Map<String, Value>, name: &str, shape: Shape, examiner: &mut Examiner) -> Option<String> {
    if !given.contains_key(name) {
        examiner.problem(&[name], "REQUIRED", format!("`{name}` is required"));
    }
    optional(given, name, shape, examiner)
}

/// Takes a member that has a column.
fn optional(given: &mut Map<String, Value>, name: &str, shape: Shape, examiner: &mut Examiner) -> Option<String> {
    let value = given.remove(name)?;
    let value = examiner.value(name, shape, value)?;
    value.as_str().map(str::to_string)
}

fn known_outcome(word: &str, examiner: &mut Examiner) -> Option<Outcome> {
    let outcome = Outcome::parse(word);
    if outcome.is_none() {
        let message = format!("`event_outcome` is `{word}`; allowed are success, failure, pending");
        examiner.problem(&["event_outcome"], "UNKNOWN_WORD", message);
    }
    outcome
}

/// Kubernaut's services do not agree on the spelling of actor types. One that the column cannot give back stays where it
/// was, so that it comes back as it was sent.
fn actor_type(given: &mut Map<String, Value>, examiner: &mut Examiner) -> Option<ActorType> {
    let sent = optional(given, "actor_type", Shape::Name, examiner)?;
    let actor = ACTOR_TYPE.find(&sent).and_then(ActorType::parse);
    if actor.is_none_or(|actor| actor.word() != sent) {
        given.insert("actor_type".to_string(), sent.into());
    }
    actor
}

fn traced(text: &str, examiner: &mut Examiner) -> Option<(String, String)> {
    let trace = parse_traceparent(text);
    if trace.is_none() {
        examiner.problem(&["traceparent"], "MALFORMED", "`traceparent` must be as in W3C Trace Context, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    }
    trace
}

/// Kubernaut's services may be an hour ahead; the past is open, for what was kept elsewhere may be brought in later.
fn time_window(occurred_at: Option<DateTime<Utc>>, now: DateTime<Utc>, examiner: &mut Examiner) {
    if let Some(time) = occurred_at.filter(|time| *time > now + TimeDelta::minutes(KUBERNAUT_AHEAD_MINUTES_MAX)) {
        let message = format!(
            "`event_timestamp` is {}, more than {KUBERNAUT_AHEAD_MINUTES_MAX} minutes ahead of the server's clock ({})",
            time_text(time),
            time_text(now)
        );
        examiner.problem(&["event_timestamp"], "FUTURE", message);
    }
}

/// What stays in the payload: members that the envelope knows have to be of their sort, others may be anything.
fn more(given: &Map<String, Value>, examiner: &mut Examiner) {
    for (name, most) in TEXTS {
        match given.get(*name) {
            None => {}
            Some(Value::String(text)) if text.chars().count() <= *most => {}
            Some(Value::String(_)) => {
                examiner.problem(&[name], "TOO_LONG", format!("`{name}` may have {most} characters at most"));
            }
            Some(_) => examiner.problem(&[name], "WRONG_TYPE", format!("`{name}` must be a string")),
        }
    }
    for (name, shape) in [("duration_ms", Shape::Ms), ("retention_days", Shape::Count), ("is_sensitive", Shape::Bool)] {
        if let Some(value) = given.get(name) {
            examiner.value(name, shape, value.clone());
        }
    }
    let date = |value: &Value| value.as_str().is_some_and(|text| text.parse::<NaiveDate>().is_ok());
    if given.get("parent_event_date").is_some_and(|value| !date(value)) {
        examiner.problem(&["parent_event_date"], "MALFORMED", "`parent_event_date` must be a date, such as 2026-05-04");
    }
}

fn event_data(given: &Map<String, Value>, event_type: Option<&str>, examiner: &mut Examiner) {
    let data = match given.get("event_data") {
        Some(Value::Object(data)) => data,
        Some(_) => return examiner.problem(&["event_data"], "WRONG_TYPE", "`event_data` must be an object"),
        None => return examiner.problem(&["event_data"], "REQUIRED", "`event_data` is required"),
    };
    let inner = data.get("event_type").filter(|inner| !inner.is_null());
    if let (Some(inner), Some(event_type)) = (inner, event_type)
        && inner.as_str() != Some(event_type)
    {
        let message = format!("`event_data.event_type` must be the event's own, `{event_type}`");
        examiner.problem(&["event_data", "event_type"], "DIFFERS", message);
    }
    let bytes = canonical::object_text(data).len();
    if bytes > PAYLOAD_BYTES_MAX {
        let message = format!("`event_data` has {bytes} bytes; at most {PAYLOAD_BYTES_MAX} are allowed");
        examiner.problem(&["event_data"], "TOO_LARGE", message);
    }
}
