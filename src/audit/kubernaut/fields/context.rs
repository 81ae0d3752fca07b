//! What every reader wants to know of a remediation, whichever of Kubernaut's events tells it.

use serde_json::{Map, Value, json};

use super::Reading;
use crate::audit::{
    facts::Fields,
    kind::Kind,
    words::{SEVERITY, plain},
};

/// Members that the context takes, and the field that holds what they say; empty for what the envelope's columns hold.
pub const TAKEN: &[(&str, &str)] = &[
    ("event_type", ""),
    ("rr_name", ""),
    ("correlation_id", ""),
    ("signal_name", "signal"),
    ("signal", "signal"),
    ("fingerprint", "signal"),
    ("signal_fingerprint", "signal"),
    ("severity", "severity"),
    ("normalized_severity", "severity"),
    ("environment", "environment"),
    ("target_resource", "target"),
    ("resource_kind", "target"),
    ("resource_name", "target"),
    ("affected_resource_kind", "target"),
    ("affected_resource_name", "target"),
    ("affected_resource_namespace", "target"),
];

pub fn read(reading: &mut Reading<'_>) {
    let (data, envelope) = (reading.data, reading.envelope);
    let severities = [data.text("normalized_severity"), data.text("severity"), envelope.text("severity")];
    reading.tell("severity", severities.into_iter().flatten().find_map(|word| SEVERITY.find(word)));
    reading.tell("environment", data.text("environment").filter(|environment| !environment.is_empty()));
    let signal = signal(data, reading.event.kind);
    reading.tell("signal", (!signal.is_empty()).then_some(Value::Object(signal)));
    reading.tell("target", target(data, reading.event.category.as_str()));
}

fn signal(data: Fields<'_>, kind: Kind) -> Map<String, Value> {
    let annotations = data.object("signal_annotations");
    let annotation = |name| annotations.and_then(|annotations| annotations.text(name));
    let own = if kind == Kind::SignalProcessing { data.text("signal") } else { None };
    let parts = [
        ("name", data.text("signal_name").or(own).map(Value::from)),
        ("fingerprint", data.any_text(&["fingerprint", "signal_fingerprint"]).map(Value::from)),
        ("source", data.text("signal_source").map(Value::from)),
        ("summary", annotation("summary").map(Value::from)),
        ("description", annotation("description").map(Value::from)),
        ("labels", data.object("signal_labels").map(|labels| Value::Object(labels.to_map()))),
    ];
    let told = parts.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
    told.filter(|(_, value)| *value != "").collect()
}

/// The resource that the remediation is about.
fn target(data: Fields<'_>, category: &str) -> Option<Value> {
    let named = || {
        let gateway = plain(category) == "gateway";
        of(data.text("resource_kind")?, data.text("namespace").filter(|_| gateway), data.text("resource_name")?)
    };
    let path = || data.text("target_resource").and_then(of_path);
    let chosen = || {
        let target = data.object("response_data")?.object("rootCauseAnalysis")?.object("remediationTarget")?;
        of(target.text("kind")?, target.text("namespace"), target.text("name")?)
    };
    let affected = || {
        let part = |name| data.text(name);
        of(part("affected_resource_kind")?, part("affected_resource_namespace"), part("affected_resource_name")?)
    };
    path().or_else(named).or_else(chosen).or_else(affected)
}

/// `ns/Kind/name`, or `Kind/name` for what has no namespace.
fn of_path(path: &str) -> Option<Value> {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        [namespace, kind, name] => of(kind, Some(namespace), name),
        [kind, name] => of(kind, None, name),
        _ => None,
    }
}

fn of(kind: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    (!kind.is_empty() && !name.is_empty()).then(|| json!({"kind": kind, "namespace": namespace, "name": name}))
}
