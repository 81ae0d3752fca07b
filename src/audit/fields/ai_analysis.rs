//! The fields of an AI-analysis audit.

use super::{Field, KindTable, Shape::*, Table, Unit};
use crate::audit::{kind::Kind, words};

pub static KIND: KindTable = KindTable {
    kind: Kind::AiAnalysis,
    table: &TABLE,
    status: Some("completionStatus"),
    status_default: None,
    final_words: &[("completed", "success"), ("failed", "failure"), ("timeout", "failure")],
    event_type_prefix: "ai_analysis",
};

static RECOMMENDATION: Table = Table {
    name: "Recommendation",
    meaning: "A remedy that the analysis recommends.",
    fields: &[
        Field::new("action", Name, "What to do, such as `RestartPod`.").required(),
        Field::new("effectivenessProbability", Score, "How likely the action helps."),
        Field::new("historicalSuccessRate", Score, "How often the action has helped."),
        Field::new("target", Name, "What to do it to, such as `deployment/checkout`."),
        Field::new("parameters", Json, "The action's parameters, as JSON."),
        Field::new("rationale", Line, "Why the action should help."),
    ],
};

static ALTERNATIVE: Table = Table {
    name: "RejectedAction",
    meaning: "A remedy that was considered and rejected.",
    fields: &[
        Field::new("action", Name, "What could have been done, such as `RollbackDeployment`.").required(),
        Field::new("confidence", Score, "How much the analysis believed in this action."),
        Field::new("rejectedReason", Line, "Why this action was not recommended."),
    ],
};

static TABLE: Table = Table {
    name: "AiAnalysis",
    meaning: "An audit of the AI analysis: the cause it found, the remedy it recommends, and who approved.",
    fields: &[
        Field::new(
            "completionStatus",
            Word(&words::ANALYSIS_STATUS),
            "Where the analysis stands. Without `eventType`, the type is `ai_analysis.` and this word.",
        )
        .required(),
        Field::new("crdName", Name, "The name of the AIAnalysis resource in Kubernetes."),
        Field::new("crdNamespace", Name, "The namespace of the AIAnalysis resource."),
        Field::new("analysisId", Name, "The id that the analysing service gave to the analysis."),
        Field::new("investigationStart", Time, "When the investigation began."),
        Field::new("investigationEnd", Time, "When the investigation ended."),
        Field::new("investigationDurationMs", Ms, "How long the investigation took.").since("investigationEnd"),
        Field::new("rootCauseCount", Count, "How many possible causes the investigation found.").since("investigationEnd"),
        Field::new("investigationReport", Text, "What the investigation found, in Markdown; up to 100,000 characters.").since("investigationEnd"),
        Field::new("analysisStart", Time, "When the weighing of the evidence began."),
        Field::new("analysisEnd", Time, "When the weighing of the evidence ended."),
        Field::new("analysisDurationMs", Ms, "How long the weighing of the evidence took.").since("analysisEnd"),
        Field::new("confidenceScore", Score, "How sure the model is of its analysis.").also(&["confidence"]).since("analysisEnd"),
        Field::new("hallucinationDetected", Bool, "Whether an answer of the model failed its validation, such as one that names a workflow that does not exist.").since("analysisEnd"),
        Field::new("recommendationStart", Time, "When the choice of a remedy began."),
        Field::new("recommendationEnd", Time, "When the choice of a remedy ended."),
        Field::new("recommendations", Objects(&RECOMMENDATION), "The remedies, best first.").since("analysisEnd"),
        Field::new("topRecommendation", Name, "The best remedy's action, such as `RestartPod`.").since("analysisEnd"),
        Field::new("effectivenessProbability", Score, "How likely the best remedy helps.").since("analysisEnd"),
        Field::new("historicalSuccessRate", Score, "How often the best remedy has helped.").since("analysisEnd"),
        Field::new("alternativesConsidered", Objects(&ALTERNATIVE), "The remedies that were considered and rejected.")
            .since("analysisEnd"),
        Field::new("workflowCrdName", Name, "The name of the WorkflowExecution resource that the analysis led to.").since("analysisEnd"),
        Field::new("workflowCrdNamespace", Name, "The namespace of that WorkflowExecution resource.").since("analysisEnd"),
        Field::new("workflowId", Name, "The chosen workflow's id in the catalogue.").since("analysisEnd"),
        Field::new("failureReason", Line, "Why the analysis failed.").since("analysisEnd"),
        Field::new("errorCode", Name, "The error's code, where the analysis failed.").since("analysisEnd"),
        Field::new("rootCauseSummary", Line, "The root cause in a sentence or two.").since("investigationEnd"),
        Field::new("rootCause", Text, "The root cause in full.").since("investigationEnd"),
        Field::new("rootCauseConfidence", Score, "How sure the root cause is.").since("investigationEnd"),
        Field::new("causalChain", Lines, "How the cause led to the symptom, one step each, the cause first.").since("investigationEnd"),
        Field::new("contributingFactors", Lines, "What made it worse.").since("investigationEnd"),
        Field::new("recommendedAction", Name, "The action that was chosen, such as `RestartPod`.").since("analysisEnd"),
        Field::new("actionConfidence", Score, "How sure the choice of that action is.").since("analysisEnd"),
        Field::new("actionRationale", Line, "Why that action was chosen.").since("analysisEnd"),
        Field::new("approvalRequired", Bool, "Whether a person has to agree.").since("analysisEnd"),
        Field::new("approvalReason", Line, "Why a person has to agree.").since("analysisEnd"),
        Field::new("approvalRequestedAt", Time, "When approval was asked for."),
        Field::new("requiredBy", Time, "Until when a decision about the approval is needed.").ahead().since("approvalRequestedAt"),
        Field::new("approvalStatus", Word(&words::APPROVAL_DECISION), "What was decided about the approval.").since("approvalTime"),
        Field::new("approvalTime", Time, "When the approval was decided."),
        Field::new("approvalDurationMs", Ms, "How long the decision took, from the request on.")
            .column_in("approval_duration_seconds", Unit::Seconds)
            .since("approvalTime"),
        Field::new("approvalMethod", Word(&words::APPROVAL_METHOD), "How the decision was given.").since("approvalTime"),
        Field::new("approvalJustification", Line, "What the person who decided said.").since("approvalTime"),
        Field::new("approvedBy", Name, "Who agreed, such as `alice@example.com`; null where nobody has.").since("approvalTime"),
        Field::new("rejectedBy", Name, "Who refused; null where nobody has.").since("approvalTime"),
        Field::new("rejectionReason", Line, "Why approval was refused.").since("approvalTime"),
        Field::new("policyHash", Name, "The hash of the approval policy that was in force."),
        Field::new("holmesgptResponseTimeMs", Ms, "How long HolmesGPT, the agent that investigates, took to answer."),
        Field::new("llmProvider", Name, "The model's provider, such as `anthropic`."),
        Field::new("llmModel", Name, "The model's name, as its provider calls it."),
        Field::new("promptTokens", Count, "How many tokens were sent to the model."),
        Field::new("completionTokens", Count, "How many tokens the model answered with."),
        Field::new("totalTokens", Count, "How many tokens were sent and received together."),
        Field::new("durationMs", Ms, "How long the whole analysis took.").since("analysisEnd"),
        Field::new("rcaSignalType", Name, "The signal that the cause points to.").since("investigationEnd"),
        Field::new("rcaSeverity", Word(&words::SEVERITY), "How bad the analysis finds it.").since("investigationEnd"),
        Field::new("toolsInvoked", Names, "The names of the tools that the analysis used."),
        Field::new("degradedMode", Bool, "Whether the analysis had to do without some of its sources."),
        Field::new("warnings", Lines, "What the analysis warns of.").since("analysisEnd"),
        Field::new("warningsCount", Count, "How many warnings the analysis gave.").since("analysisEnd"),
        Field::new("needsHumanReview", Bool, "Whether a person should look at the analysis.").since("analysisEnd"),
        Field::new("humanReviewReason", Word(&words::HUMAN_REVIEW_REASON), "Why a person should look.").since("analysisEnd"),
        Field::new("reason", Line, "Why the analysis is where it is."),
        Field::new("subReason", Line, "The `reason`, more closely."),
    ],
};
