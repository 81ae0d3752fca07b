//! What the orchestrator's events tell.

use serde_json::Value;

use super::{
    As::{Go, Is, Number},
    Member, Reading, turned,
};
use crate::audit::{
    kind::Outcome,
    words::{OVERALL_PHASE, plain},
};

const MEMBERS: &[Member] = &[
    ("namespace", "namespace", Is),
    ("crd_outcome", "crdOutcome", Is),
    ("from_phase", "fromPhase", Is),
    ("to_phase", "toPhase", Is),
    ("transition_reason", "transitionReason", Is),
    ("failure_phase", "failurePhase", Is),
    ("failure_reason", "failureReason", Is),
    ("rar_name", "approvalRequestName", Is),
    ("required_by", "requiredBy", Is),
    ("confidence_str", "approvalConfidence", Number),
    ("decision", "approvalDecision", Is),
    ("approved_by", "approvedBy", Is),
    ("rejected_by", "rejectedBy", Is),
    ("rejection_reason", "rejectionReason", Is),
    ("message", "message", Is),
    ("reason", "reason", Is),
    ("sub_reason", "subReason", Is),
    ("notification_name", "notificationName", Is),
    ("workflow_id", "workflowId", Is),
    ("workflow_version", "workflowVersion", Is),
    ("action_type", "actionType", Is),
    ("pre_remediation_spec_hash", "preRemediationSpecHash", Is),
    ("ea_name", "eaName", Is),
    ("hash_compute_delay", "hashComputeDelayMs", Go),
    ("alert_check_delay", "alertCheckDelayMs", Go),
    ("gitops_sync_delay", "gitopsSyncDelayMs", Go),
    ("operator_reconcile_delay", "operatorReconcileDelayMs", Go),
    ("is_gitops_managed", "gitopsManaged", Is),
    ("is_crd", "targetIsCrd", Is),
    ("start_time", "startTime", Is),
];

const TIMEOUTS: &[Member] = &[
    ("global", "globalMs", Go),
    ("processing", "processingMs", Go),
    ("analyzing", "analyzingMs", Go),
    ("executing", "executingMs", Go),
];

pub fn read(reading: &mut Reading<'_>) -> &'static [Member] {
    let data = reading.data;
    reading.take(MEMBERS);
    let timeouts = data.object("timeout_config").or_else(|| data.object("new_timeout_config"));
    reading.tell("timeoutConfig", timeouts.map(|timeouts| Value::Object(turned(timeouts, TIMEOUTS))));
    reading.tell("errorDetails", reading.error());

    let phase = match reading.event.event_type.as_str() {
        "orchestrator.lifecycle.created" | "orchestrator.lifecycle.started" => Some("pending"),
        "orchestrator.lifecycle.transitioned" => data.text("to_phase").and_then(|phase| OVERALL_PHASE.find(phase)),
        "orchestrator.lifecycle.completed" | "orchestrator.lifecycle.failed" => Some(end(reading)),
        "orchestrator.lifecycle.verifying_started"
        | "orchestrator.lifecycle.verification_completed"
        | "orchestrator.lifecycle.verification_timed_out"
        | "orchestrator.ea.created" => Some("verifying"),
        "orchestrator.approval.requested" | "orchestrator.approval.approved" | "orchestrator.approval.rejected" => {
            Some("awaiting_approval")
        }
        "orchestrator.routing.blocked" => Some("blocked"),
        "remediation.workflow_created" => Some("executing"),
        _ => None,
    };
    reading.tell("overallPhase", phase);
    // A request that nobody answered in time is told as one more refusal.
    if reading.is("orchestrator.approval.rejected") && action(reading) == "expired" {
        reading.tell("approvalDecision", Some("expired"));
    }
    MEMBERS
}

/// How the remediation ended. One type tells success, failure, a time limit and, long after, the clean-up.
fn end(reading: &mut Reading<'_>) -> &'static str {
    let data = reading.data;
    let occurred_at = reading.occurred_at();
    if action(reading) == "retentioncleanup" {
        reading.tell("deletedAt", Some(occurred_at));
        return "completed";
    }
    reading.tell("completionTime", Some(occurred_at));
    reading.tell("totalDurationMs", data.value("duration_ms"));
    let says = |name: &str, words: &[&str]| data.text(name).is_some_and(|told| words.contains(&plain(told).as_str()));
    let failed = reading.is("orchestrator.lifecycle.failed")
        || reading.event.outcome == Some(Outcome::Failure)
        || says("outcome", &["failed", "failure"]);
    if failed && says("failure_reason", &["timeout", "timedout"]) {
        reading.tell("timeoutPhase", data.text("failure_phase"));
        return "timed_out";
    }
    if failed { "failed" } else { "completed" }
}

fn action(reading: &Reading<'_>) -> String {
    reading.envelope.text("event_action").map(plain).unwrap_or_default()
}
