//! What the events of the effectiveness monitor tell. It names no score of the whole: that follows from the components.

use serde_json::Value;

use super::{
    As::{Go, Is, Seconds},
    Member, Reading, turned,
};
use crate::audit::words::plain;

const MEMBERS: &[Member] = &[
    ("ea_name", "assessmentId", Is),
    ("component", "component", Is),
    ("assessed", "assessed", Is),
    ("score", "score", Is),
    ("details", "assessment", Is),
    ("reason", "reason", Is),
    ("components_assessed", "componentsAssessed", Is),
    ("completed_at", "completedAt", Is),
    ("assessment_duration_seconds", "assessmentDurationMs", Seconds),
    ("validity_deadline", "validityDeadline", Is),
    ("prometheus_check_after", "prometheusCheckAfter", Is),
    ("alertmanager_check_after", "alertmanagerCheckAfter", Is),
    ("hash_compute_after", "hashComputeAfter", Is),
    ("hash_compute_delay", "hashComputeDelayMs", Go),
    ("alert_check_delay", "alertCheckDelayMs", Go),
    ("validity_window", "validityWindowMs", Go),
    ("stabilization_window", "stabilizationWindowMs", Go),
    ("pre_remediation_spec_hash", "preRemediationSpecHash", Is),
    ("post_remediation_spec_hash", "postRemediationSpecHash", Is),
    ("hash_match", "hashMatch", Is),
    ("metric_deltas", "metricDeltas", Is),
    ("action_type", "actionType", Is),
];

const HEALTH: &[Member] = &[
    ("pod_running", "podRunning", Is),
    ("readiness_pass", "readinessPass", Is),
    ("total_replicas", "totalReplicas", Is),
    ("ready_replicas", "readyReplicas", Is),
    ("restart_delta", "restartDelta", Is),
    ("crash_loops", "crashLoops", Is),
    ("oom_killed", "oomKilled", Is),
    ("pending_count", "pendingCount", Is),
];

const ALERT: &[Member] = &[
    ("alert_resolved", "alertResolved", Is),
    ("active_count", "activeCount", Is),
    ("resolution_time_seconds", "resolutionTimeMs", Seconds),
];

pub fn read(reading: &mut Reading<'_>) -> &'static [Member] {
    let data = reading.data;
    reading.take(MEMBERS);
    if !reading.told.contains_key("assessmentId") {
        // Kubernaut names an assessment after its remediation, so this is the name that the others tell.
        let made = format!("ea-{}", reading.event.stream.remediation_id);
        reading.tell("assessmentId", Some(reading.resource("EffectivenessAssessment").unwrap_or(&made)));
    }
    let object = |name, members| data.object(name).map(|object| Value::Object(turned(object, members)));
    reading.tell("healthChecks", object("health_checks", HEALTH));
    reading.tell("alertResolution", object("alert_resolution", ALERT));

    let status = match reading.event.event_type.as_str() {
        "effectiveness.assessment.scheduled" => "scheduled",
        "effectiveness.assessment.completed" => {
            let at = reading.occurred_at();
            reading.told.entry("completedAt").or_insert_with(|| Value::from(at));
            match data.text("reason").map(plain).as_deref() {
                Some("expired") => "expired",
                Some("noexecution" | "unrecoverable") => "insufficient_data",
                _ => "assessed",
            }
        }
        _ => "assessing",
    };
    reading.tell("status", Some(status));
    if status != "assessing" {
        // `scheduled` and `completed` are no components.
        reading.told.remove("component");
    }
    MEMBERS
}
