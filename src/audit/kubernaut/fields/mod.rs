//! What an event in Kubernaut's envelope tells in the fields of its kind: one file per service, each with the table of the
//! members that mean a field of ours, and what else follows from the event's type.

mod ai_analysis;
mod context;
mod effectiveness;
mod notification;
mod orchestration;
mod signal_processing;
mod workflow_execution;

use serde_json::{Map, Value, json};

use super::written;
use crate::audit::{
    check::fitting,
    event::{Event, time_text},
    facts::{Fields, Json},
    fields::KindTable,
    go_duration,
    kind::Kind,
    limits::NAME_MAX,
};

/// What an event tells in the fields of its kind, as the checks would have kept it; what does not fit a field is not told.
/// `details` holds the small members of `event_data` that no field took.
pub fn fields(event: &Event) -> Map<String, Value> {
    let none = Map::new();
    let envelope = written(event).unwrap_or(Fields::Map(&none));
    let data = envelope.object("event_data").unwrap_or(Fields::Map(&none));
    let mut reading = Reading { event, envelope, data, told: Map::new() };
    context::read(&mut reading);
    let members = match event.kind {
        Kind::Orchestration => orchestration::read(&mut reading),
        Kind::SignalProcessing => signal_processing::read(&mut reading),
        Kind::AiAnalysis => ai_analysis::read(&mut reading),
        Kind::WorkflowExecution => workflow_execution::read(&mut reading),
        Kind::Notification => notification::read(&mut reading),
        Kind::Effectiveness => effectiveness::read(&mut reading),
        Kind::Other => return other(reading),
    };
    let mut told = fitting(KindTable::of(event.kind), reading.told);
    let details = details(data, members, &told);
    if !details.is_empty() && !bulky(&event.event_type) {
        told.insert("details".to_string(), Value::Object(details));
    }
    told
}

/// The open kind keeps the writer's own words.
fn other(reading: Reading<'_>) -> Map<String, Value> {
    let mut told = fitting(KindTable::of(Kind::Other), reading.told);
    told.insert("category".to_string(), reading.event.category.as_str().into());
    told.insert("payload".to_string(), Value::Object(reading.data.to_map()));
    told
}

/// An event while it is read.
struct Reading<'a> {
    event: &'a Event,
    envelope: Fields<'a>,
    data: Fields<'a>,
    told: Map<String, Value>,
}

/// A member of `event_data`, the field that it means, and how its value is turned into that field's.
type Member = (&'static str, &'static str, As);

#[derive(Clone, Copy)]
enum As {
    /// As it is; words and times find their normal form when they are fitted.
    Is,
    /// A duration as Go writes it, in milliseconds.
    Go,
    /// Seconds, in milliseconds.
    Seconds,
    /// A number that is written as a text.
    Number,
}

impl As {
    fn turn(self, value: Json<'_>) -> Option<Value> {
        match self {
            As::Is => Some(value.to_value()),
            As::Go => value.as_str().and_then(go_duration::parse).map(Value::from).or_else(|| number(value)),
            As::Seconds => value.as_f64().map(|seconds| Value::from(seconds * 1_000.0)),
            As::Number => number(value).or_else(|| value.as_str()?.trim().parse::<f64>().ok().map(Value::from)),
        }
    }
}

fn number(value: Json<'_>) -> Option<Value> {
    value.is_number().then(|| value.to_value())
}

impl<'a> Reading<'a> {
    fn is(&self, event_type: &str) -> bool {
        self.event.event_type == event_type
    }

    /// Tells a field; nothing of what is not there.
    fn tell(&mut self, field: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value.map(Into::into).filter(|value: &Value| !value.is_null()) {
            self.told.insert(field.to_string(), value);
        }
    }

    /// Tells every field that a member of `event_data` means.
    fn take(&mut self, members: &[Member]) {
        self.told.extend(turned(self.data, members));
    }

    /// When the event happened, as a field holds it.
    fn occurred_at(&self) -> String {
        time_text(self.event.occurred_at)
    }

    /// The name of the resource that the event is about, where it is of this kind.
    fn resource(&self, kind: &str) -> Option<&'a str> {
        use crate::audit::words::plain;
        let of_kind = self.envelope.text("resource_type").is_some_and(|told| plain(told) == plain(kind));
        self.envelope.text("resource_id").filter(|_| of_kind)
    }

    /// An error as its component tells it.
    fn error(&self) -> Option<Value> {
        let error = self.data.object("error_details")?;
        Some(json!({
            "message": error.text("message"),
            "code": error.text("code"),
            "component": error.text("component"),
            "retryPossible": error.flag("retry_possible"),
            "stackTrace": error.texts("stack_trace"),
        }))
    }
}

/// The members of an object that mean a field, in our words.
fn turned(of: Fields<'_>, members: &[Member]) -> Map<String, Value> {
    let turn = |(theirs, ours, how): &Member| {
        let value = of.get(theirs).filter(|value| !value.is_null() && value.as_str() != Some(""))?;
        Some((ours.to_string(), how.turn(value)?))
    };
    members.iter().filter_map(turn).collect()
}

/// Longest text that is a detail and not a narrative.
const DETAIL_MAX: usize = NAME_MAX;

/// The members that no field took, as far as they are small.
fn details(data: Fields<'_>, members: &[Member], told: &Map<String, Value>) -> Map<String, Value> {
    let taken = |name: &str| {
        let mine = members.iter().find(|(theirs, _, _)| *theirs == name).map(|(_, ours, _)| *ours);
        let field = mine.or_else(|| context::TAKEN.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours));
        field.is_some_and(|field| field.is_empty() || told.contains_key(field))
    };
    let small = |value: Json<'_>| match value.as_str() {
        Some(text) => !text.is_empty() && text.len() <= DETAIL_MAX,
        None => value.as_bool().is_some() || value.is_number(),
    };
    let kept = data.members().filter(|(name, value)| small(*value) && !taken(name));
    kept.map(|(name, value)| (name.to_string(), value.to_value())).collect()
}

/// Events of raw material: what a model was asked and said, one by one. A view that gathered that would say nothing.
fn bulky(event_type: &str) -> bool {
    event_type.contains(".llm.")
}
