//! The fields of an AI-analysis audit.

use super::{Field, KindTable, Shape::*, Table};
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
        Field::new("action", Name, "What to do.").required(),
        Field::new("effectivenessProbability", Score, "How likely it helps."),
        Field::new("historicalSuccessRate", Score, "How often it has helped."),
        Field::new("target", Name, "What to do it to."),
        Field::new("parameters", Json, "Its parameters."),
        Field::new("rationale", Line, "Why it should help."),
    ],
};

static ALTERNATIVE: Table = Table {
    name: "RejectedAction",
    meaning: "A remedy that was considered and rejected.",
    fields: &[
        Field::new("action", Name, "What could have been done.").required(),
        Field::new("confidence", Score, "How much the analysis believed in it."),
        Field::new("rejectedReason", Line, "Why it was not recommended."),
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
        Field::new("crdName", Name, "The AIAnalysis resource."),
        Field::new("crdNamespace", Name, "Its namespace."),
        Field::new("analysisId", Name, "The analysis's own id."),
        Field::new("investigationStart", Time, "When the investigation began."),
        Field::new("investigationEnd", Time, "When it ended."),
        Field::new("investigationDurationMs", Ms, "How long it took.").since("investigationEnd"),
        Field::new("rootCauseCount", Count, "How many hypotheses it found.").since("investigationEnd"),
        Field::new("investigationReport", Text, "What it found, in Markdown.").since("investigationEnd"),
        Field::new("analysisStart", Time, "When the weighing of the evidence began."),
        Field::new("analysisEnd", Time, "When it ended."),
        Field::new("analysisDurationMs", Ms, "How long it took.").since("analysisEnd"),
        Field::new("confidenceScore", Score, "How sure the model is.").since("analysisEnd"),
        Field::new("hallucinationDetected", Bool, "Whether an answer failed its validation.").since("analysisEnd"),
        Field::new("recommendationStart", Time, "When the choice of a remedy began."),
        Field::new("recommendationEnd", Time, "When it ended."),
        Field::new("recommendations", Objects(&RECOMMENDATION), "The remedies, best first.").since("analysisEnd"),
        Field::new("topRecommendation", Name, "The best remedy.").since("analysisEnd"),
        Field::new("effectivenessProbability", Score, "How likely the best remedy helps.").since("analysisEnd"),
        Field::new("historicalSuccessRate", Score, "How often the best remedy has helped.").since("analysisEnd"),
        Field::new("alternativesConsidered", Objects(&ALTERNATIVE), "What was considered and rejected.")
            .since("analysisEnd"),
        Field::new("workflowCrdName", Name, "The workflow resource it led to.").since("analysisEnd"),
        Field::new("workflowCrdNamespace", Name, "That resource's namespace.").since("analysisEnd"),
        Field::new("workflowId", Name, "The chosen workflow.").since("analysisEnd"),
        Field::new("failureReason", Line, "Why the analysis failed.").since("analysisEnd"),
        Field::new("errorCode", Name, "Its error code.").since("analysisEnd"),
        Field::new("rootCauseSummary", Line, "The root cause in a sentence or two.").since("investigationEnd"),
        Field::new("rootCause", Text, "The root cause in full.").since("investigationEnd"),
        Field::new("rootCauseConfidence", Score, "How sure the root cause is.").since("investigationEnd"),
        Field::new("causalChain", Lines, "How the cause led to the symptom, step by step.").since("investigationEnd"),
        Field::new("contributingFactors", Lines, "What made it worse.").since("investigationEnd"),
        Field::new("recommendedAction", Name, "The action that was chosen.").since("analysisEnd"),
        Field::new("actionConfidence", Score, "How sure the choice is.").since("analysisEnd"),
        Field::new("actionRationale", Line, "Why it was chosen.").since("analysisEnd"),
        Field::new("approvalRequired", Bool, "Whether a person has to agree.").since("analysisEnd"),
        Field::new("approvalReason", Line, "Why a person has to agree.").since("analysisEnd"),
        Field::new("approvalRequestedAt", Time, "When approval was asked for."),
        Field::new("requiredBy", Time, "Until when a decision is needed.").since("approvalRequestedAt"),
        Field::new("approvalStatus", Word(&words::APPROVAL_DECISION), "What was decided.").since("approvalTime"),
        Field::new("approvalTime", Time, "When it was decided."),
        Field::new("approvalDurationMs", Ms, "How long the decision took.")
            .column("approval_duration_seconds")
            .since("approvalTime"),
        Field::new("approvalMethod", Word(&words::APPROVAL_METHOD), "How it was given.").since("approvalTime"),
        Field::new("approvalJustification", Line, "What the person said.").since("approvalTime"),
        Field::new("approvedBy", Name, "Who agreed.").since("approvalTime"),
        Field::new("rejectedBy", Name, "Who refused.").since("approvalTime"),
        Field::new("rejectionReason", Line, "Why.").since("approvalTime"),
        Field::new("policyHash", Name, "The hash of the approval policy."),
        Field::new("holmesgptResponseTimeMs", Ms, "How long the agent took to answer."),
        Field::new("llmProvider", Name, "The model's provider, such as `anthropic`."),
        Field::new("llmModel", Name, "The model."),
        Field::new("promptTokens", Count, "Tokens sent."),
        Field::new("completionTokens", Count, "Tokens received."),
        Field::new("totalTokens", Count, "Both together."),
        Field::new("durationMs", Ms, "How long the whole analysis took.").since("analysisEnd"),
        Field::new("rcaSignalType", Name, "The signal that the cause points to.").since("investigationEnd"),
        Field::new("rcaSeverity", Word(&words::SEVERITY), "How bad the analysis finds it.").since("investigationEnd"),
        Field::new("toolsInvoked", Names, "The tools it used."),
        Field::new("degradedMode", Bool, "Whether sources were missing."),
        Field::new("warnings", Lines, "What it warns of.").since("analysisEnd"),
        Field::new("warningsCount", Count, "How many warnings it gave.").since("analysisEnd"),
        Field::new("needsHumanReview", Bool, "Whether a person should look.").since("analysisEnd"),
        Field::new("humanReviewReason", Word(&words::HUMAN_REVIEW_REASON), "Why.").since("analysisEnd"),
        Field::new("reason", Line, "Why the analysis is where it is."),
        Field::new("subReason", Line, "The same, more closely."),
    ],
};
