//! The phases in which a remediation spends its time, where it may stand, and the words that writers use for both.

use serde::{Deserialize, Serialize};

use crate::audit::words::plain;

/// A phase in which a remediation spends its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PhaseName {
    Intake,
    SignalProcessing,
    AiAnalysis,
    ApprovalWait,
    WorkflowExecution,
    Verification,
    Notification,
}

impl PhaseName {
    pub const ALL: [PhaseName; 7] = [
        PhaseName::Intake,
        PhaseName::SignalProcessing,
        PhaseName::AiAnalysis,
        PhaseName::ApprovalWait,
        PhaseName::WorkflowExecution,
        PhaseName::Verification,
        PhaseName::Notification,
    ];

    /// The phase for people, such as `AI analysis`.
    pub fn in_words(self) -> &'static str {
        match self {
            PhaseName::Intake => "intake",
            PhaseName::SignalProcessing => "signal processing",
            PhaseName::AiAnalysis => "AI analysis",
            PhaseName::ApprovalWait => "the wait for approval",
            PhaseName::WorkflowExecution => "workflow execution",
            PhaseName::Verification => "verification",
            PhaseName::Notification => "notification",
        }
    }
}

/// Where a remediation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RemediationPhase {
    Pending,
    Intake,
    SignalProcessing,
    AiAnalysis,
    ApprovalWait,
    WorkflowExecution,
    Verification,
    Notification,
    Blocked,
    Completed,
    Failed,
    TimedOut,
    Skipped,
    Cancelled,
}

impl RemediationPhase {
    /// Reads the phases of the orchestrator, and the names of services where they stand for their phase.
    pub fn read(text: &str) -> Option<RemediationPhase> {
        match plain(text).as_str() {
            "pending" => Some(RemediationPhase::Pending),
            "gateway" | "intake" => Some(RemediationPhase::Intake),
            "processing"
            | "signalprocessing"
            | "remediationprocessing"
            | "signalprocessor"
            | "remediationprocessor" => Some(RemediationPhase::SignalProcessing),
            "analyzing" | "analysis" | "aianalysis" | "investigating" => Some(RemediationPhase::AiAnalysis),
            "awaitingapproval" | "approval" | "approvalwait" => Some(RemediationPhase::ApprovalWait),
            "executing" | "execution" | "workflow" | "workflowexecution" => Some(RemediationPhase::WorkflowExecution),
            "verifying" | "verification" | "effectiveness" | "effectivenessmonitor" => {
                Some(RemediationPhase::Verification)
            }
            "notifying" | "notification" => Some(RemediationPhase::Notification),
            "blocked" => Some(RemediationPhase::Blocked),
            "completed" => Some(RemediationPhase::Completed),
            "failed" => Some(RemediationPhase::Failed),
            "timedout" | "timeout" => Some(RemediationPhase::TimedOut),
            "skipped" => Some(RemediationPhase::Skipped),
            "cancelled" | "canceled" => Some(RemediationPhase::Cancelled),
            _ => None,
        }
    }

    /// The phase in which time is spent while the remediation stands here.
    pub fn spends(self) -> Option<PhaseName> {
        match self {
            RemediationPhase::Intake => Some(PhaseName::Intake),
            RemediationPhase::SignalProcessing => Some(PhaseName::SignalProcessing),
            RemediationPhase::AiAnalysis => Some(PhaseName::AiAnalysis),
            RemediationPhase::ApprovalWait => Some(PhaseName::ApprovalWait),
            RemediationPhase::WorkflowExecution => Some(PhaseName::WorkflowExecution),
            RemediationPhase::Verification => Some(PhaseName::Verification),
            RemediationPhase::Notification => Some(PhaseName::Notification),
            RemediationPhase::Pending
            | RemediationPhase::Blocked
            | RemediationPhase::Completed
            | RemediationPhase::Failed
            | RemediationPhase::TimedOut
            | RemediationPhase::Skipped
            | RemediationPhase::Cancelled => None,
        }
    }

    /// Whether a remediation ends here.
    pub fn ends(self) -> bool {
        matches!(
            self,
            RemediationPhase::Completed
                | RemediationPhase::Failed
                | RemediationPhase::TimedOut
                | RemediationPhase::Skipped
                | RemediationPhase::Cancelled
        )
    }
}

impl From<PhaseName> for RemediationPhase {
    fn from(phase: PhaseName) -> RemediationPhase {
        match phase {
            PhaseName::Intake => RemediationPhase::Intake,
            PhaseName::SignalProcessing => RemediationPhase::SignalProcessing,
            PhaseName::AiAnalysis => RemediationPhase::AiAnalysis,
            PhaseName::ApprovalWait => RemediationPhase::ApprovalWait,
            PhaseName::WorkflowExecution => RemediationPhase::WorkflowExecution,
            PhaseName::Verification => RemediationPhase::Verification,
            PhaseName::Notification => RemediationPhase::Notification,
        }
    }
}
