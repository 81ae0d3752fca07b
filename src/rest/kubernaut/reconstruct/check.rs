//! How complete a RemediationRequest is: what is missing, and which event would tell it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Below this share, in percent, nothing is put together.
pub const COMPLETENESS_MIN: u8 = 50;

/// How complete a reconstructed resource is.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct Validation {
    /// Whether what has to be there is there.
    pub is_valid: bool,
    /// How much of what counts is there, in percent.
    #[schema(minimum = 0, maximum = 100, example = 88)]
    pub completeness: u8,
    /// What has to be there and is not.
    pub errors: Vec<String>,
    /// What else is missing, each with the event type that would tell it.
    pub warnings: Vec<String>,
}

/// A member, and the event type that tells it.
struct Part {
    pointer: &'static str,
    by: &'static str,
    counts: Counts,
}

#[derive(Clone, Copy, PartialEq)]
enum Counts {
    /// Towards the completeness, and without it the resource is not valid.
    Needed,
    /// Towards the completeness.
    Wanted,
    /// Not: Kubernaut's store, whose figure this is, does not rebuild it.
    Besides,
    /// Nor this, which there is only at the end.
    AtTheEnd,
}

const PARTS: &[Part] = &[
    Part { pointer: "/spec/signalName", by: SIGNAL, counts: Counts::Needed },
    Part { pointer: "/spec/signalType", by: SIGNAL, counts: Counts::Needed },
    Part { pointer: "/spec/signalLabels", by: SIGNAL, counts: Counts::Wanted },
    Part { pointer: "/spec/signalAnnotations", by: SIGNAL, counts: Counts::Wanted },
    Part { pointer: "/spec/originalPayload", by: SIGNAL, counts: Counts::Wanted },
    Part { pointer: "/spec/providerData", by: "aianalysis.analysis.completed", counts: Counts::Wanted },
    Part { pointer: "/status/timeoutConfig", by: "orchestrator.lifecycle.created", counts: Counts::Wanted },
    Part {
        pointer: "/status/workflowSelection/selectedWorkflowRef",
        by: "workflowexecution.selection.completed",
        counts: Counts::Wanted,
    },
    Part {
        pointer: "/status/workflowSelection/executionRef",
        by: "workflowexecution.execution.started",
        counts: Counts::Wanted,
    },
    Part { pointer: "/spec/signalFingerprint", by: SIGNAL, counts: Counts::Besides },
    Part { pointer: "/spec/severity", by: SIGNAL, counts: Counts::Besides },
    Part { pointer: "/spec/targetResource", by: SIGNAL, counts: Counts::Besides },
    Part { pointer: "/spec/firingTime", by: SIGNAL, counts: Counts::Besides },
    Part { pointer: "/spec/receivedTime", by: SIGNAL, counts: Counts::Besides },
    Part { pointer: "/status/startTime", by: "orchestrator.lifecycle.created", counts: Counts::Besides },
    Part { pointer: "/status/completionStatus", by: "orchestrator.lifecycle.completed", counts: Counts::AtTheEnd },
];

const SIGNAL: &str = "gateway.signal.received";

/// How complete `request` is; `ended` says whether the remediation has.
pub fn of(request: &Value, ended: bool) -> Validation {
    let missing = |part: &&Part| request.pointer(part.pointer).is_none();
    let counted = || PARTS.iter().filter(|part| matches!(part.counts, Counts::Needed | Counts::Wanted));
    let there = counted().filter(|part| !missing(part)).count();
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for part in PARTS.iter().filter(missing) {
        let name = part.pointer[1..].replace('/', ".");
        let told = format!("{name} is missing: {} would tell it", part.by);
        match part.counts {
            Counts::Needed => errors.push(told),
            Counts::Wanted | Counts::Besides => warnings.push(told),
            Counts::AtTheEnd if ended => warnings.push(told),
            Counts::AtTheEnd => {}
        }
    }
    Validation {
        is_valid: errors.is_empty(),
        completeness: u8::try_from(there * 100 / counted().count()).unwrap_or(100),
        errors,
        warnings,
    }
}
