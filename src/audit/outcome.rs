//! What came of a remediation, and the table that leads there from the words of orchestrators.

use serde::{Deserialize, Serialize};

use crate::audit::{phase::RemediationPhase, words::plain};

/// What came of a remediation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RemediationOutcome {
    Remediated,
    NoActionRequired,
    ManualReview,
    Inconclusive,
    VerificationTimedOut,
    DryRun,
    Failed,
    TimedOut,
    Rejected,
    Expired,
    Blocked,
    Skipped,
    Cancelled,
}

/// The words of the orchestrator at the end of a remediation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndWords<'a> {
    pub crd_outcome: Option<&'a str>,
    pub failure_phase: Option<&'a str>,
    pub failure_reason: Option<&'a str>,
    pub timeout_phase: Option<&'a str>,
    /// The last approval's decision, where nothing was carried out after it.
    pub approval: Option<&'a str>,
}

/// The outcome words of a custom resource, in Kubernaut's spelling and in ours.
const CRD_OUTCOMES: &[(&str, RemediationOutcome)] = &[
    ("remediated", RemediationOutcome::Remediated),
    ("noactionrequired", RemediationOutcome::NoActionRequired),
    ("manualreviewrequired", RemediationOutcome::ManualReview),
    ("manualreview", RemediationOutcome::ManualReview),
    ("verificationtimedout", RemediationOutcome::VerificationTimedOut),
    ("inconclusive", RemediationOutcome::Inconclusive),
    ("dryrun", RemediationOutcome::DryRun),
];

/// The reasons and phases of a failure that say more than that it failed.
const FAILURES: &[(&str, RemediationOutcome)] = &[
    ("approvalrejected", RemediationOutcome::Rejected),
    ("approvalexpired", RemediationOutcome::Expired),
    ("timeout", RemediationOutcome::TimedOut),
    ("timedout", RemediationOutcome::TimedOut),
    ("blocked", RemediationOutcome::Blocked),
];

impl RemediationOutcome {
    /// What came of a remediation that ended at `phase` with these words; `None` where it has not ended.
    pub fn of(phase: RemediationPhase, words: EndWords<'_>) -> Option<RemediationOutcome> {
        let crd = find(CRD_OUTCOMES, words.crd_outcome);
        let failure = find(FAILURES, words.failure_reason).or_else(|| find(FAILURES, words.failure_phase));
        let refused = match words.approval {
            Some("rejected") => Some(RemediationOutcome::Rejected),
            Some("expired") => Some(RemediationOutcome::Expired),
            _ => None,
        };
        match phase {
            RemediationPhase::Completed => Some(crd.or(refused).unwrap_or(RemediationOutcome::Remediated)),
            RemediationPhase::Failed => {
                // `Remediated` cannot be what came of a failure; the fold reports the contradiction.
                let crd = crd.filter(|outcome| *outcome != RemediationOutcome::Remediated);
                Some(refused.or(failure).or(crd).unwrap_or(RemediationOutcome::Failed))
            }
            RemediationPhase::TimedOut => {
                let waited =
                    words.timeout_phase.and_then(RemediationPhase::read) == Some(RemediationPhase::ApprovalWait);
                let crd = crd.filter(|outcome| *outcome == RemediationOutcome::VerificationTimedOut);
                let expired =
                    (waited || refused == Some(RemediationOutcome::Expired)).then_some(RemediationOutcome::Expired);
                Some(crd.or(expired).unwrap_or(RemediationOutcome::TimedOut))
            }
            RemediationPhase::Skipped => Some(match crd {
                Some(RemediationOutcome::NoActionRequired) => RemediationOutcome::NoActionRequired,
                _ if failure == Some(RemediationOutcome::Blocked) => RemediationOutcome::Blocked,
                _ => RemediationOutcome::Skipped,
            }),
            RemediationPhase::Cancelled => Some(RemediationOutcome::Cancelled),
            RemediationPhase::Pending
            | RemediationPhase::Intake
            | RemediationPhase::SignalProcessing
            | RemediationPhase::AiAnalysis
            | RemediationPhase::ApprovalWait
            | RemediationPhase::WorkflowExecution
            | RemediationPhase::Verification
            | RemediationPhase::Notification
            | RemediationPhase::Blocked => None,
        }
    }

    /// The outcome for people, such as `no action required`.
    pub fn in_words(self) -> &'static str {
        match self {
            RemediationOutcome::Remediated => "remediated",
            RemediationOutcome::NoActionRequired => "no action required",
            RemediationOutcome::ManualReview => "handed to people",
            RemediationOutcome::Inconclusive => "inconclusive",
            RemediationOutcome::VerificationTimedOut => "not verified in time",
            RemediationOutcome::DryRun => "dry run",
            RemediationOutcome::Failed => "failed",
            RemediationOutcome::TimedOut => "timed out",
            RemediationOutcome::Rejected => "approval rejected",
            RemediationOutcome::Expired => "approval expired",
            RemediationOutcome::Blocked => "blocked",
            RemediationOutcome::Skipped => "skipped",
            RemediationOutcome::Cancelled => "cancelled",
        }
    }
}

fn find(table: &[(&str, RemediationOutcome)], word: Option<&str>) -> Option<RemediationOutcome> {
    let word = plain(word?);
    table.iter().find(|(listed, _)| *listed == word).map(|(_, outcome)| *outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_orchestrator_lead_to_one_outcome() {
        let crd = |phase, crd_outcome| {
            RemediationOutcome::of(phase, EndWords { crd_outcome: Some(crd_outcome), ..EndWords::default() })
        };
        let bare = |phase| RemediationOutcome::of(phase, EndWords::default());
        assert_eq!(bare(RemediationPhase::Completed), Some(RemediationOutcome::Remediated));
        assert_eq!(crd(RemediationPhase::Completed, "NoActionRequired"), Some(RemediationOutcome::NoActionRequired));
        assert_eq!(crd(RemediationPhase::Completed, "manual_review_required"), Some(RemediationOutcome::ManualReview));
        assert_eq!(crd(RemediationPhase::Failed, "Remediated"), Some(RemediationOutcome::Failed));
        assert_eq!(bare(RemediationPhase::TimedOut), Some(RemediationOutcome::TimedOut));
        assert_eq!(bare(RemediationPhase::Skipped), Some(RemediationOutcome::Skipped));
        assert_eq!(bare(RemediationPhase::Verification), None);
    }

    #[test]
    fn a_failure_is_told_apart_by_the_approval_and_by_its_reason() {
        let of = |words| RemediationOutcome::of(RemediationPhase::Failed, words);
        let words = EndWords::default();
        assert_eq!(of(EndWords { approval: Some("rejected"), ..words }), Some(RemediationOutcome::Rejected));
        assert_eq!(of(EndWords { approval: Some("expired"), ..words }), Some(RemediationOutcome::Expired));
        assert_eq!(of(EndWords { failure_reason: Some("Timeout"), ..words }), Some(RemediationOutcome::TimedOut));
        assert_eq!(of(EndWords { failure_phase: Some("Blocked"), ..words }), Some(RemediationOutcome::Blocked));
        assert_eq!(of(EndWords { failure_reason: Some("image pull"), ..words }), Some(RemediationOutcome::Failed));
    }
}
