//! What the events of signal processing tell.

use serde_json::{Value, json};

use super::{As::Is, Member, Reading};
use crate::audit::{kind::Outcome, words::PROCESSING_STATUS};

const MEMBERS: &[Member] = &[
    ("external_severity", "externalSeverity", Is),
    ("determination_source", "determinationSource", Is),
    ("policy_hash", "policyHash", Is),
    ("environment_source", "environmentSource", Is),
    ("priority", "businessPriority", Is),
    ("priority_source", "prioritySource", Is),
    ("criticality", "criticality", Is),
    ("sla_requirement", "slaRequirement", Is),
    ("business_unit", "businessUnit", Is),
    ("has_owner_chain", "hasOwnerChain", Is),
    ("has_namespace", "hasNamespace", Is),
    ("has_pod", "hasPod", Is),
    ("has_deployment", "hasDeployment", Is),
    ("owner_chain_length", "ownerChainLength", Is),
    ("degraded_mode", "degradedMode", Is),
    ("from_phase", "fromPhase", Is),
    ("to_phase", "toPhase", Is),
    ("signal_mode", "signalMode", Is),
    ("source_signal_name", "sourceSignalName", Is),
    ("error", "errorMessage", Is),
    ("phase", "status", Is),
];

pub fn read(reading: &mut Reading<'_>) -> &'static [Member] {
    let data = reading.data;
    reading.take(MEMBERS);
    let took = data.value("duration_ms");
    match reading.event.event_type.as_str() {
        "signalprocessing.phase.transition" => {
            reading.tell("status", data.text("to_phase").and_then(|phase| PROCESSING_STATUS.find(phase)));
        }
        "signalprocessing.enrichment.completed" => {
            reading.tell("status", Some("enriching"));
            // The duration is that of the step. When it began the transitions tell.
            let found = data.flag("degraded_mode").map(|degraded| json!({"degradedMode": degraded}));
            let step = json!({"phase": "enriching", "durationMs": took, "enrichmentResults": found});
            reading.tell("processingPhases", Some(Value::Array(vec![step])));
        }
        "signalprocessing.classification.decision" => reading.tell("status", Some("classifying")),
        "signalprocessing.business.classified" => reading.tell("status", Some("categorizing")),
        "signalprocessing.signal.processed" => {
            let failed = reading.event.outcome == Some(Outcome::Failure);
            reading.tell("status", Some(if failed { "failed" } else { "completed" }));
            reading.tell("completedAt", Some(reading.occurred_at()));
            reading.tell("durationMs", took);
        }
        _ => {}
    }
    MEMBERS
}
