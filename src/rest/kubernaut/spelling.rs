//! Kubernaut's spelling of our words, and of its own in the answers that are in camel case.

use crate::{
    audit::{RemediationOutcome, RemediationPhase},
    remediation::model::Target,
};

/// A word of a closed set as Kubernaut writes it: `spec_drift` is `SpecDrift`.
pub fn pascal(word: &str) -> String {
    word.split(['_', '-']).map(capital).collect()
}

/// A name in camel case: `latency_p95_before_ms` is `latencyP95BeforeMs`. One that is so already stays.
pub fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |whole, part| whole + &capital(part))
}

fn capital(part: &str) -> String {
    let mut letters = part.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A target as `namespace/Kind/name`, or `Kind/name` for what has no namespace.
pub fn path(target: &Target) -> String {
    let namespace = target.namespace.iter().map(String::as_str);
    namespace.chain([target.kind.as_str(), target.name.as_str()]).collect::<Vec<_>>().join("/")
}

/// What came of a remediation, in the words of a RemediationRequest's outcome, and of its phase where it came to none.
pub fn outcome(outcome: RemediationOutcome) -> &'static str {
    match outcome {
        RemediationOutcome::Remediated => "Remediated",
        RemediationOutcome::NoActionRequired => "NoActionRequired",
        RemediationOutcome::ManualReview => "ManualReviewRequired",
        RemediationOutcome::Inconclusive => "Inconclusive",
        RemediationOutcome::VerificationTimedOut => "VerificationTimedOut",
        RemediationOutcome::DryRun => "DryRun",
        RemediationOutcome::Failed => "Failed",
        RemediationOutcome::TimedOut => "TimedOut",
        RemediationOutcome::Rejected => "Rejected",
        RemediationOutcome::Expired => "Expired",
        RemediationOutcome::Blocked => "Blocked",
        RemediationOutcome::Skipped => "Skipped",
        RemediationOutcome::Cancelled => "Cancelled",
    }
}

/// Where a remediation stands, in the words of a RemediationRequest's phase.
pub fn phase(phase: RemediationPhase) -> &'static str {
    match phase {
        RemediationPhase::Pending | RemediationPhase::Intake => "Pending",
        RemediationPhase::SignalProcessing => "Processing",
        RemediationPhase::AiAnalysis => "Analyzing",
        RemediationPhase::ApprovalWait => "AwaitingApproval",
        RemediationPhase::WorkflowExecution => "Executing",
        // Kubernaut tells people while it verifies, and has no phase for that.
        RemediationPhase::Verification | RemediationPhase::Notification => "Verifying",
        RemediationPhase::Blocked => "Blocked",
        RemediationPhase::Completed => "Completed",
        RemediationPhase::Failed => "Failed",
        RemediationPhase::TimedOut => "TimedOut",
        RemediationPhase::Skipped => "Skipped",
        RemediationPhase::Cancelled => "Cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_are_spelled_as_kubernaut_does() {
        assert_eq!(["full", "spec_drift", "metrics_timed_out"].map(pascal), ["Full", "SpecDrift", "MetricsTimedOut"]);
        assert_eq!(
            ["cpu_before", "latency_p95_before_ms", "cpuAfter"].map(camel),
            ["cpuBefore", "latencyP95BeforeMs", "cpuAfter"]
        );
    }
}
