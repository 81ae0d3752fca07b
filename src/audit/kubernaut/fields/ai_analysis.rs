//! What the events of the AI analysis tell: those of its controller, of the agent that investigates, and of the catalogue
//! that the agent chooses from.

use serde_json::{Value, json};

use super::{
    As::{Is, Seconds},
    Member, Reading, turned,
};
use crate::audit::{
    facts::Fields,
    words::{ANALYSIS_STATUS, plain},
};

const MEMBERS: &[Member] = &[
    ("analysis_name", "crdName", Is),
    ("approval_required", "approvalRequired", Is),
    ("approval_reason", "approvalReason", Is),
    ("degraded_mode", "degradedMode", Is),
    ("degraded", "degradedMode", Is),
    ("warnings_count", "warningsCount", Is),
    ("confidence", "confidenceScore", Is),
    ("workflow_id", "workflowId", Is),
    ("reason", "reason", Is),
    ("sub_reason", "subReason", Is),
    ("detail", "subReason", Is),
    ("policy_hash", "policyHash", Is),
    ("error_message", "reason", Is),
    ("error", "reason", Is),
    ("summary", "reason", Is),
    ("explanation", "reason", Is),
    ("validation_errors", "reason", Is),
    ("human_review_reason", "humanReviewReason", Is),
    ("total_prompt_tokens", "promptTokens", Is),
    ("total_completion_tokens", "completionTokens", Is),
    ("model", "llmModel", Is),
    ("duration_seconds", "durationMs", Seconds),
];

/// Members of what the agent answered that mean a field. That answer is spelled as its JSON schema has it.
const RESPONSE: &[Member] = &[
    ("analysis", "investigationReport", Is),
    ("confidence", "confidenceScore", Is),
    ("needsHumanReview", "needsHumanReview", Is),
    ("humanReviewReason", "humanReviewReason", Is),
    ("warnings", "warnings", Is),
];

const ROOT_CAUSE: &[Member] = &[
    ("summary", "rootCauseSummary", Is),
    ("reasoning", "rootCause", Is),
    ("severity", "rcaSeverity", Is),
    ("causalChain", "causalChain", Is),
    ("contributingFactors", "contributingFactors", Is),
];

pub fn read(reading: &mut Reading<'_>) -> &'static [Member] {
    let event_type = reading.event.event_type.as_str();
    if event_type.contains(".llm.") {
        // Raw material: what was asked and answered, one by one. What came of it others tell.
        reading.tell("llmModel", reading.data.text("model"));
        reading.tell("toolsInvoked", reading.data.text("tool_name").map(|tool| json!([tool])));
        return MEMBERS;
    }
    reading.take(MEMBERS);
    if event_type.starts_with("aianalysis.") {
        controller(reading, event_type);
    } else {
        agent(reading, event_type);
    }
    MEMBERS
}

/// The controller's resource tells the analysis apart; the agent names none, and its events are of the only one there is.
fn controller(reading: &mut Reading<'_>, event_type: &str) {
    let data = reading.data;
    let at = reading.occurred_at();
    if !reading.told.contains_key("crdName") {
        reading.tell("crdName", reading.resource("AIAnalysis"));
    } else {
        reading.tell("crdNamespace", data.text("namespace"));
    }
    let phase = data.text("phase").and_then(|phase| ANALYSIS_STATUS.find(phase));
    let status = match event_type {
        "aianalysis.phase.transition" => {
            let entered = data.text("new_phase").and_then(|phase| ANALYSIS_STATUS.find(phase));
            match entered {
                Some("investigating") => reading.tell("investigationStart", Some(at)),
                Some("analyzing") => {
                    reading.tell("investigationEnd", Some(at.as_str()));
                    reading.tell("analysisStart", Some(at));
                }
                _ => {}
            }
            entered
        }
        "aianalysis.analysis.completed" | "aianalysis.analysis.failed" => {
            let failed = event_type.ends_with("failed") || phase == Some("failed");
            reading.tell("analysisEnd", Some(at));
            summary(reading);
            if failed {
                let error = data.object("error_details");
                let part = |name| error.and_then(|error| error.text(name));
                reading.tell("failureReason", part("message").or(data.text("reason")));
                reading.tell("errorCode", part("code"));
            }
            Some(if failed { "failed" } else { "completed" })
        }
        "aianalysis.aiagent.call" | "aianalysis.aiagent.submit" | "aianalysis.aiagent.result" => Some("investigating"),
        "aianalysis.rego.evaluation" => Some("analyzing"),
        "aianalysis.approval.decision" => {
            if data.flag("auto_approved") == Some(true) {
                reading.tell("approvalStatus", Some("auto_approved"));
                reading.tell("approvalTime", Some(at));
            }
            Some("analyzing")
        }
        _ => phase,
    };
    reading.tell("completionStatus", status);
}

/// What the controller keeps of the agent's answer.
fn summary(reading: &mut Reading<'_>) {
    let Some(summary) = reading.data.object("provider_response_summary") else { return };
    reading.tell("analysisId", summary.text("incident_id"));
    reading.tell("needsHumanReview", summary.flag("needs_human_review"));
    if !reading.told.contains_key("workflowId") {
        reading.tell("workflowId", summary.text("selected_workflow_id"));
    }
}

fn agent(reading: &mut Reading<'_>, event_type: &str) {
    let data = reading.data;
    match event_type {
        "aiagent.rca.complete" | "aiagent.response.complete" => answer(reading),
        // The failure of an answer is not that of the analysis, which may go on.
        "aiagent.workflow.validation_attempt" if data.flag("is_valid") == Some(false) => {
            reading.tell("hallucinationDetected", Some(true));
            reading.told.remove("workflowId");
            let errors = data.texts("errors");
            if !reading.told.contains_key("reason") && !errors.is_empty() {
                reading.tell("reason", Some(errors.join("; ")));
            }
        }
        "aiagent.alignment.verdict" => {
            let aligned = data.text("result").map(plain);
            let doubted = data.count("flagged").is_some_and(|flagged| flagged > 0)
                || matches!(aligned.as_deref(), Some("suspicious" | "misaligned" | "flagged" | "rejected" | "failed"));
            if doubted {
                reading.tell("hallucinationDetected", Some(true));
            }
        }
        _ => {}
    }
    let tokens = |name: &str| reading.told.get(name).and_then(Value::as_i64);
    let total = tokens("promptTokens").zip(tokens("completionTokens")).map(|(asked, answered)| asked + answered);
    reading.tell("totalTokens", total);
}

/// What the agent found, and what it recommends.
fn answer(reading: &mut Reading<'_>) {
    let Some(response) = reading.data.object("response_data") else { return };
    reading.told.extend(turned(response, RESPONSE));
    let incident = response.text("incidentId").or(reading.data.text("incident_id"));
    reading.tell("analysisId", incident);
    if let Some(cause) = response.object("rootCauseAnalysis") {
        reading.told.extend(turned(cause, ROOT_CAUSE));
        reading.tell("rootCauseConfidence", response.value("confidence"));
    }
    if let Some(chosen) = response.object("selectedWorkflow") {
        let action = action(chosen);
        reading.tell("workflowId", chosen.text("workflowId"));
        reading.tell("actionConfidence", chosen.value("confidence"));
        reading.tell("actionRationale", chosen.text("rationale"));
        reading.tell("recommendedAction", action);
        let target = response.object("rootCauseAnalysis").and_then(|cause| cause.object("remediationTarget"));
        let target = target.and_then(|target| Some(format!("{}/{}", target.text("kind")?, target.text("name")?)));
        reading.tell("recommendations", action.map(|action| {
            json!([{"action": action, "target": target, "parameters": chosen.value("parameters"), "rationale": chosen.text("rationale")}])
        }));
    }
    let others: Vec<Value> = response
        .objects("alternativeWorkflows")
        .filter_map(|other| {
            let why = other.any_text(&["rejectedReason", "rationale"]);
            Some(json!({"action": action(other)?, "confidence": other.value("confidence"), "rejectedReason": why}))
        })
        .collect();
    reading.tell("alternativesConsidered", (!others.is_empty()).then_some(Value::Array(others)));
}

/// What a workflow does, in the best words there are.
fn action<'a>(workflow: Fields<'a>) -> Option<&'a str> {
    workflow.any_text(&["actionType", "workflowName", "title", "workflowId"])
}
