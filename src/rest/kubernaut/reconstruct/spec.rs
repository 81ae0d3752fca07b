//! The `spec`: the signal and its target. It never changes, so the event with which the remediation began tells it best; what
//! that leaves out, the others do.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::request::{Known, Trail, data, resource};
use crate::{
    audit::{
        Entry, Kind, canonical,
        facts::{Fields, Json},
    },
    remediation::model::Target,
};

pub fn of(trail: &Trail<'_>) -> Value {
    let summary = &trail.folded.summary;
    let none = Map::new();
    let began = trail.genesis.and_then(data).unwrap_or(Fields::Map(&none));
    let signal = Fields::Map(summary.signal.as_ref().unwrap_or(&none));
    let target = targeted(began).or_else(|| summary.target.clone());
    let payload = began.get("original_payload").filter(|payload| !payload.is_null());

    let mut spec = Known::default();
    let fingerprint = began.any_text(&["fingerprint", "signal_fingerprint"]).or(signal.text("fingerprint"));
    spec.put("signalFingerprint", fingerprint);
    spec.put("signalName", began.any_text(&["signal_name", "signalName"]).or(signal.text("name")));
    // As received: the words of the signal's source.
    let severity = began.text("severity").or_else(|| envelope_severity(trail.genesis)).or(summary.severity.as_deref());
    spec.put("severity", severity);
    // Kubernaut knows no other type of signal and no other type of target.
    spec.put("signalType", began.text("signal_type").or(Some("alert")));
    spec.put("signalSource", began.text("signal_source").or(signal.text("source")));
    spec.put("targetType", target.as_ref().map(|_| "kubernetes"));
    spec.put("targetResource", target.as_ref().map(resource));
    spec.put("clusterID", Some(summary.stream.cluster_id.as_str()));
    spec.time("firingTime", began.any_time(&["firing_time"]).or_else(|| payload.and_then(firing)));
    spec.time("receivedTime", received(trail));
    spec.put("signalLabels", began.object("signal_labels").or(signal.object("labels")).map(texts));
    spec.put("signalAnnotations", began.object("signal_annotations").map(texts).or_else(|| annotations(signal)));
    spec.put("providerData", provider_data(trail).map(|data| canonical::text(&data)));
    spec.put("originalPayload", payload.map(payload_text));
    spec.into()
}

/// When the signal was received.
pub fn received(trail: &Trail<'_>) -> Option<DateTime<Utc>> {
    let told = trail.row(Kind::Orchestration).and_then(|row| row.time("signalReceivedAt"));
    trail.genesis.map(|entry| entry.event.occurred_at).or(told)
}

/// The resource that the signal was about.
fn targeted(began: Fields<'_>) -> Option<Target> {
    Some(Target {
        kind: began.any_text(&["resource_kind", "target_kind"])?.to_string(),
        name: began.any_text(&["resource_name", "target_name"])?.to_string(),
        namespace: began.any_text(&["namespace", "target_namespace", "rr_namespace"]).map(str::to_string),
    })
}

fn envelope_severity(genesis: Option<&Entry>) -> Option<&str> {
    genesis?.event.payload.fields().object("kubernaut")?.text("severity")
}

/// When the first of the alerts of a webhook began to fire.
fn firing(payload: Json<'_>) -> Option<DateTime<Utc>> {
    let payload = payload.as_object()?;
    payload.time("startsAt").or_else(|| payload.objects("alerts").filter_map(|alert| alert.time("startsAt")).min())
}

/// Labels and annotations are texts.
fn texts(given: Fields<'_>) -> Value {
    let text = |value: Json<'_>| value.as_str().map_or_else(|| canonical::text(&value.to_value()), str::to_string);
    given.members().map(|(name, value)| (name.to_string(), Value::from(text(value)))).collect::<Map<_, _>>().into()
}

/// What an alert says of itself, where nobody tells its annotations.
fn annotations(signal: Fields<'_>) -> Option<Value> {
    let mut annotations = Known::default();
    annotations.put("summary", signal.text("summary"));
    annotations.put("description", signal.text("description"));
    Some(annotations.into())
}

/// What the analysis came to, in the words in which Kubernaut's summary has it.
fn provider_data(trail: &Trail<'_>) -> Option<Value> {
    let theirs = trail.of_type("aianalysis.analysis.completed").rev().filter_map(data);
    let theirs =
        theirs.filter_map(|data| data.get("provider_response_summary")).find(|summary| summary.as_object().is_some());
    if let Some(theirs) = theirs {
        return Some(theirs.to_value());
    }
    let row = trail.row(Kind::AiAnalysis)?;
    let mut summary = Known::default();
    let found = row.any_text(&["rootCauseSummary", "rootCause", "investigationReport", "failureReason"]);
    summary.put("analysis_preview", Some(found?));
    summary.put("incident_id", Some(trail.folded.summary.stream.remediation_id.as_str()));
    summary.put("selected_workflow_id", row.text("workflowId"));
    summary.put("needs_human_review", row.flag("needsHumanReview"));
    summary.put("warnings_count", row.count("warningsCount"));
    Some(summary.into())
}

/// The webhook's body as it came, where it is kept as text; else as JSON.
fn payload_text(payload: Json<'_>) -> String {
    payload.as_str().map_or_else(|| canonical::text(&payload.to_value()), str::to_string)
}
