//! The `status`: how far the remediation has come, and what was chosen, done and reached.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    request::{Known, Trail, data, resource},
    spec::received,
};
use crate::{
    audit::{Entry, Kind, PhaseName, RemediationOutcome, RemediationPhase, facts::Fields, go_duration},
    remediation::model::Summary,
    rest::kubernaut::spelling::{outcome, pascal, phase},
};

/// The time limits, in Kubernaut's words and ours.
const TIMEOUTS: [(&str, &str); 4] = [
    ("global", "globalMs"),
    ("processing", "processingMs"),
    ("analyzing", "analyzingMs"),
    ("executing", "executingMs"),
];

pub fn of(trail: &Trail<'_>) -> Value {
    let summary = &trail.folded.summary;
    let none = Map::new();
    let orchestration = trail.row(Kind::Orchestration).unwrap_or(Fields::Map(&none));

    let mut status = Known::default();
    status.put("overallPhase", Some(phase(summary.phase)));
    let started = orchestration.any_time(&["startTime", "remediationCreatedAt"]);
    let created = ["orchestrator.lifecycle.created", "orchestrator.lifecycle.started"];
    let first = created.into_iter().find_map(|event_type| trail.of_type(event_type).next());
    status.time("startTime", started.or(first.map(|entry| entry.event.occurred_at)));
    status.time("completedAt", summary.completed_at);
    status.put("phaseProgress", Some(progress(summary)));
    status.put("deduplication", Some(deduplication(trail, orchestration)));
    status.put("timeoutConfig", Some(timeouts(trail)));
    status.put("routingStatus", Some(routing(trail)));
    status.put("workflowSelection", Some(selection(trail, orchestration)));
    status.put("completionStatus", Some(completion(summary, orchestration)));
    status.put("preRemediationSpecHash", summary.spec_hash_before.as_deref());
    children(trail, orchestration, &mut status);
    status.into()
}

/// When each phase began.
fn progress(summary: &Summary) -> Value {
    let names = [
        (PhaseName::SignalProcessing, "processingStartTime"),
        (PhaseName::AiAnalysis, "analyzingStartTime"),
        (PhaseName::WorkflowExecution, "executingStartTime"),
    ];
    let mut progress = Known::default();
    for (name, theirs) in names {
        let began = summary.phases.iter().find(|phase| phase.name == name);
        progress.time(theirs, began.map(|phase| phase.started_at));
    }
    progress.into()
}

fn deduplication(trail: &Trail<'_>, orchestration: Fields<'_>) -> Value {
    let again: Vec<&Entry> = trail.of_type("gateway.signal.deduplicated").collect();
    let counts = again.iter().filter_map(|entry| data(entry)?.count("occurrence_count"));
    let counted = counts.max();
    let came_again = i64::try_from(again.len()).unwrap_or(i64::MAX);
    let told = orchestration.count("duplicateCount").map(|duplicates| duplicates.saturating_add(1));
    let first = trail.genesis.and_then(data).and_then(|data| data.count("occurrence_count"));
    let times = counted.max(told).or((came_again > 0).then_some(came_again.saturating_add(1))).or(first);
    let last = again.last().map(|entry| entry.event.occurred_at).max(orchestration.time("lastDuplicateTime"));

    let mut deduplication = Known::default();
    deduplication.put("occurrenceCount", times);
    if times.is_some() {
        deduplication.time("firstSeenAt", received(trail));
        deduplication.time("lastSeenAt", last.or(received(trail)));
    }
    deduplication.into()
}

/// The limits in force: people may change single ones while it runs.
fn timeouts(trail: &Trail<'_>) -> Value {
    let mut in_force: BTreeMap<&str, f64> = BTreeMap::new();
    for limits in trail.of_kind(Kind::Orchestration).filter_map(|fields| fields.object("timeoutConfig")) {
        in_force.extend(TIMEOUTS.iter().filter_map(|(theirs, ours)| Some((*theirs, limits.ms(ours)?))));
    }
    let texts = in_force.into_iter().map(|(name, ms)| (name.to_string(), Value::from(go_duration::text(ms))));
    Value::Object(texts.collect())
}

/// Why it is held back or was not carried out; nothing while neither is so.
fn routing(trail: &Trail<'_>) -> Value {
    let standing = match trail.folded.summary.phase {
        RemediationPhase::Blocked => Some(("blocked", "blockReason", "blockMessage")),
        RemediationPhase::Skipped => Some(("skipped", "skipReason", "skipMessage")),
        _ => None,
    };
    let mut routing = Known::default();
    if let Some((word, reason, message)) = standing {
        let told = trail.of_kind(Kind::Orchestration).filter(|fields| fields.text("overallPhase") == Some(word)).last();
        routing.put(reason, told.and_then(|fields| fields.text("reason")));
        routing.put(message, told.and_then(|fields| fields.any_text(&["message", "subReason"])));
    }
    routing.into()
}

fn selection(trail: &Trail<'_>, orchestration: Fields<'_>) -> Value {
    let none = Map::new();
    let execution = trail.row(Kind::WorkflowExecution).unwrap_or(Fields::Map(&none));
    let analysis = trail.row(Kind::AiAnalysis).unwrap_or(Fields::Map(&none));
    let everywhere = |name| [execution, orchestration, analysis].into_iter().find_map(|fields| fields.text(name));

    let mut workflow = Known::default();
    // A workflow that nobody tells the id of is known by its name.
    workflow.put("workflowId", everywhere("workflowId").or(execution.text("workflowName")));
    workflow.put("version", everywhere("workflowVersion"));
    workflow.put("containerImage", execution.text("containerImage"));
    let workflow = Value::from(workflow);
    let chosen = workflow.get("workflowId").is_some();

    let name = execution.text("executionName").or(orchestration.text("workflowExecutionName"));
    let name = name.or(analysis.text("workflowCrdName"));
    let namespace = analysis.text("workflowCrdNamespace");

    let mut selection = Known::default();
    selection.put("selectedWorkflowRef", chosen.then_some(workflow));
    selection.put("executionRef", name.map(|name| reference("WorkflowExecution", name, namespace)));
    let target = trail.folded.summary.target.as_ref().filter(|_| chosen);
    selection.put("remediationTarget", target.map(resource));
    selection.put("confidence", trail.folded.summary.confidence);
    selection.into()
}

fn completion(summary: &Summary, orchestration: Fields<'_>) -> Value {
    let mut completion = Known::default();
    let told = orchestration.text("crdOutcome").map(pascal);
    completion.put("outcome", told.or(summary.outcome.filter(|it| known(*it)).map(|it| outcome(it).to_string())));
    completion.put("failurePhase", orchestration.text("failurePhase"));
    completion.put("failureReason", orchestration.text("failureReason"));
    completion.put("timeoutPhase", orchestration.text("timeoutPhase"));
    completion.time("timeoutTime", orchestration.time("timeoutTime"));
    completion.into()
}

/// Whether a RemediationRequest has a word for this outcome; how others ended its phase says.
fn known(outcome: RemediationOutcome) -> bool {
    match outcome {
        RemediationOutcome::Remediated
        | RemediationOutcome::NoActionRequired
        | RemediationOutcome::ManualReview
        | RemediationOutcome::Inconclusive
        | RemediationOutcome::VerificationTimedOut
        | RemediationOutcome::DryRun => true,
        RemediationOutcome::Failed
        | RemediationOutcome::TimedOut
        | RemediationOutcome::Rejected
        | RemediationOutcome::Expired
        | RemediationOutcome::Blocked
        | RemediationOutcome::Skipped
        | RemediationOutcome::Cancelled => false,
    }
}

/// The resources that were made for the remediation.
fn children(trail: &Trail<'_>, orchestration: Fields<'_>, status: &mut Known) {
    let of = |kind: Kind, name: &str| trail.row(kind).and_then(|row| row.owned(name));
    let told = |name: &str| orchestration.owned(name);
    let processing = told("remediationProcessingName");
    status.put("signalProcessingRef", processing.map(|name| reference("SignalProcessing", &name, None)));
    let analysis = told("aiAnalysisName").or_else(|| of(Kind::AiAnalysis, "crdName"));
    let namespace = of(Kind::AiAnalysis, "crdNamespace");
    status.put("aiAnalysisRef", analysis.map(|name| reference("AIAnalysis", &name, namespace.as_deref())));
    let assessment = told("eaName").or_else(|| of(Kind::Effectiveness, "assessmentId"));
    let assessment = assessment.map(|name| reference("EffectivenessAssessment", &name, None));
    status.put("effectivenessAssessmentRef", assessment);
    let rows = trail.folded.views.iter().filter(|row| row.kind == Kind::Notification);
    let messages = rows.filter_map(|row| Fields::Map(&row.fields).text("notificationId"));
    let messages: Vec<Value> = messages.map(|name| reference("NotificationRequest", name, None)).collect();
    status.put("notificationRequestRefs", Some(messages));
}

fn reference(kind: &str, name: &str, namespace: Option<&str>) -> Value {
    match namespace {
        Some(namespace) => json!({"kind": kind, "name": name, "namespace": namespace}),
        None => json!({"kind": kind, "name": name}),
    }
}
