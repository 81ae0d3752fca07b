//! What every reader wants to know of a remediation, whichever of its audits tells it. The latest value told wins.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{model::Target, story::Story};
use crate::audit::{
    Entry, Kind,
    facts::{Fields, Json},
    fields::{Field, KindTable},
    words::{SEVERITY, plain},
};

#[derive(Debug, Default)]
pub struct Context {
    pub signal: Option<Map<String, Value>>,
    pub environment: Option<String>,
    pub severity: Option<String>,
    pub target: Option<Target>,
    pub model: Option<String>,
    pub confidence: Option<f64>,
    pub spec_hash_before: Option<String>,
    pub spec_hash_after: Option<String>,
    pub action_types: Vec<String>,
    pub workflow_names: Vec<String>,
}

/// Gathers the context that is known.
pub fn find(story: &Story<'_>) -> Context {
    let mut signal: Map<String, Value> = Map::new();
    let (mut environment, mut severity, mut target) = (None, None, None);
    let (mut actions, mut workflows) = (HashSet::new(), HashSet::new());
    let mut context = Context::default();
    for index in &story.telling {
        let entry = story.entries[*index];
        own_fields(&mut context, entry, story.as_of);
        if !known(entry, story.as_of) {
            continue;
        }
        let fields = entry.event.fields();
        match fields.object("signal") {
            Some(told) => overlay(&mut signal, told),
            None if entry.event.event_type.starts_with("gateway.signal") => gateway_signal(&mut signal, fields),
            None => {}
        }
        environment = fields.text("environment").or(environment);
        severity = fields.text("severity").or_else(|| gateway_severity(entry, fields)).or(severity);
        target = fields.object("target").or(target);
        let action = fields.text("actionType").filter(|action| actions.insert(plain(action)));
        context.action_types.extend(action.map(str::to_string));
        let workflow = fields.text("workflowName").filter(|workflow| workflows.insert(*workflow));
        context.workflow_names.extend(workflow.map(str::to_string));
    }
    context.signal = (!signal.is_empty()).then_some(signal);
    context.environment = environment.map(str::to_string);
    context.severity = severity.map(str::to_string);
    context.target = target.and_then(|target| {
        Some(Target {
            kind: target.text("kind")?.to_string(),
            namespace: target.owned("namespace"),
            name: target.text("name")?.to_string(),
        })
    });
    context
}

/// What only its own service tells, known from the time on that the table of fields says.
fn own_fields(context: &mut Context, entry: &Entry, as_of: Option<DateTime<Utc>>) {
    let fields = entry.event.fields();
    let table = KindTable::of(entry.event.kind);
    let known = |name: &str| table.field(name).is_some_and(|field| known_by(field, entry, as_of));
    let text = |name: &str| fields.owned(name).filter(|_| known(name));
    match entry.event.kind {
        Kind::AiAnalysis => {
            context.model = text("llmModel").or(context.model.take());
            let confidence = fields.number("confidenceScore").filter(|_| known("confidenceScore"));
            context.confidence = confidence.or(context.confidence);
        }
        Kind::Orchestration | Kind::Effectiveness => {
            context.spec_hash_before = text("preRemediationSpecHash").or(context.spec_hash_before.take());
            context.spec_hash_after = text("postRemediationSpecHash").or(context.spec_hash_after.take());
        }
        Kind::SignalProcessing | Kind::WorkflowExecution | Kind::Notification | Kind::Other => {}
    }
}

/// Whether a field's value is known: from the time on that it is since, else from when it is told.
pub fn known_by(field: &Field, entry: &Entry, as_of: Option<DateTime<Utc>>) -> bool {
    let Some(as_of) = as_of else { return true };
    let since = field.since.and_then(|since| entry.event.fields().time(since));
    since.unwrap_or(entry.event.occurred_at) <= as_of
}

/// Whether what an event tells without a time of its own is known.
pub fn known(entry: &Entry, as_of: Option<DateTime<Utc>>) -> bool {
    as_of.is_none_or(|as_of| entry.event.occurred_at <= as_of)
}

/// Lays what is told later over what was told before, member by member.
pub fn overlay(known: &mut Map<String, Value>, told: Fields<'_>) {
    for (name, value) in told.members() {
        if known.get(name).map(Json::Value) != Some(value) {
            known.insert(name.to_string(), value.to_value());
        }
    }
}

/// The signal as Kubernaut's gateway spells it.
fn gateway_signal(signal: &mut Map<String, Value>, fields: Fields<'_>) {
    let Some(payload) = fields.object("payload") else { return };
    let named: [(&str, &[&str]); 2] =
        [("name", &["signal_name", "signalName"]), ("fingerprint", &["fingerprint", "signal_fingerprint"])];
    for (name, spellings) in named {
        if let Some(text) = payload.any_text(spellings) {
            signal.insert(name.to_string(), text.into());
        }
    }
}

fn gateway_severity(entry: &Entry, fields: Fields<'_>) -> Option<&'static str> {
    if entry.event.kind != Kind::Other || !entry.event.event_type.starts_with("gateway.signal") {
        return None;
    }
    SEVERITY.find(fields.object("payload")?.text("severity")?)
}
