//! The facts of the open kind: of the gateway, approval webhooks, AI agents, and services yet to come.

use serde_json::Map;

use super::{Decided, End, Fields, Milestone, Shown, Sureness, Teller, Telling, Tells, approval, say};
use crate::audit::{
    phase::{PhaseName, RemediationPhase},
    words::{APPROVAL_DECISION, plain},
};

pub fn tell(telling: &mut Telling<'_>) {
    let none = Map::new();
    let event = &telling.entry.event;
    let payload = telling.fields.object("payload").unwrap_or(Fields::Map(&none));
    let at = telling.occurred_at;

    match event.event_type.as_str() {
        "gateway.signal.received" => {
            let name = payload.any_text(&["signal_name", "signalName"]).or_else(|| common_signal(telling.fields));
            let from = payload.any_text(&["resource_name", "resourceName"]);
            let detail = say::joined([name.map(str::to_string), from.map(str::to_string)], " on ");
            telling
                .point(at, ("signal received", 0), "Signal received")
                .of(PhaseName::Intake)
                .saying(detail)
                .telling(Tells::SignalReceived)
                .marking(Milestone::SignalReceived, Teller::Own);
        }
        "gateway.signal.deduplicated" => {
            telling
                .point(at, ("signal repeated", 0), "The same signal came again")
                .of(PhaseName::Intake)
                .telling(Tells::SignalRepeated);
        }
        "gateway.crd.created" | "apifrontend.rr.created" => {
            telling
                .point(at, ("created", 0), "Remediation request created")
                .of(PhaseName::Intake)
                .telling(Tells::RemediationCreated)
                .marking(Milestone::RequestCreated, Teller::Own);
        }
        "aiagent.session.started" => onlooker(telling, |phase, teller| Tells::Began { phase, part: "", teller }),
        "aiagent.session.completed" | "aiagent.session.failed" | "aiagent.session.cancelled" => {
            onlooker(telling, |phase, teller| Tells::Stopped { phase, sureness: Sureness::Implied, teller });
        }
        "aiagent.rca.complete" | "aiagent.response.complete" => root_cause(telling, payload),
        "workflowexecution.block.cleared" => {
            telling
                .point(at, ("block cleared", 0), "Block cleared")
                .of(PhaseName::WorkflowExecution)
                .saying(payload.any_text(&["clear_reason", "clearReason"]))
                .telling(Tells::BlockCleared);
        }
        "orchestrator.lifecycle.transitioned" => {
            if let Some(to) = payload.any_text(&["to_phase", "toPhase"]).and_then(RemediationPhase::read) {
                moment(telling, payload).telling(Tells::StageEntered(to));
            }
        }
        _ if plain(&event.category) == "approval" || event.event_type.contains("approval") => approve(telling, payload),
        _ => {}
    }
    if telling.facts.is_empty() {
        moment(telling, payload);
    }
}

fn onlooker(telling: &mut Telling<'_>, tells: impl FnOnce(PhaseName, Teller) -> Tells) {
    let title = say::event_type(&telling.entry.event.event_type, &telling.entry.event.category);
    let milestone = match telling.event_type_ends("started") {
        true => Milestone::AnalysisStarted,
        false => Milestone::AnalysisEnded(End::of_session(&telling.entry.event.event_type)),
    };
    telling
        .point(telling.occurred_at, ("moment", 0), title)
        .of(PhaseName::AiAnalysis)
        .telling(tells(PhaseName::AiAnalysis, Teller::Onlooker))
        .marking(milestone, Teller::Onlooker);
}

fn root_cause(telling: &mut Telling<'_>, payload: Fields<'_>) {
    let data = payload.object("response_data").or_else(|| payload.object("responseData")).unwrap_or(payload);
    let cause = data.object("rootCauseAnalysis").and_then(|cause| cause.text("summary"));
    if let Some(summary) = cause.and_then(say::excerpt) {
        let confidence = data.number("confidence").filter(|share| (0.0..=1.0).contains(share));
        telling
            .point(telling.occurred_at, ("root cause", 0), "Root cause found")
            .of(PhaseName::AiAnalysis)
            .saying(Some(summary.clone()))
            .telling(Tells::RootCauseFound { summary, confidence })
            .marking(Milestone::CauseFound, Teller::Own);
    }
}

fn approve(telling: &mut Telling<'_>, payload: Fields<'_>) {
    let required_by = payload.any_time(&["required_by", "requiredBy"]);
    let told = payload
        .any_text(&["decision", "approval_decision", "approvalDecision"])
        .and_then(|w| APPROVAL_DECISION.find(w));
    let by_type = ["approved", "rejected", "expired"].into_iter().find(|word| telling.event_type_ends(word));
    match told.or(by_type) {
        Some("pending") | None if telling.event_type_ends("requested") || told == Some("pending") => {
            let why = payload.any_text(&["reason", "message"]).map(str::to_string);
            approval::asked(telling, telling.occurred_at, Sureness::Told, required_by, why);
        }
        Some(decision) if decision != "pending" => {
            let claimed = telling.entry.event.actor_id.as_deref();
            let by = payload.any_text(&[
                "decided_by",
                "decidedBy",
                "approved_by",
                "approvedBy",
                "rejected_by",
                "rejectedBy",
            ]);
            let via = payload.any_text(&["delegated_via", "delegatedVia", "decided_via", "decidedVia"]);
            let reason = payload.any_text(&["decision_message", "decisionMessage", "message", "reason"]);
            let at = payload.any_time(&["decided_at", "decidedAt"]).unwrap_or(telling.occurred_at);
            let decided = Decided {
                sureness: Sureness::Told,
                decision,
                by: by.or(claimed).map(str::to_string),
                via: via.map(str::to_string),
                reason: reason.map(str::to_string),
                required_by,
            };
            approval::decided(telling, at, decided, None, None);
        }
        _ => {}
    }
}

/// The event itself, in the words of its category, its type and its payload.
fn moment<'t>(telling: &'t mut Telling<'_>, payload: Fields<'_>) -> &'t mut super::Fact {
    let event = &telling.entry.event;
    let words = say::event_type(&event.event_type, &event.category);
    let title = match event.category.is_empty() {
        true => words,
        false => format!("{}: {}", category(&event.category), lower(&words)),
    };
    let told = payload.any_text(&[
        "message",
        "denial_reason",
        "denied_reason",
        "rejection_reason",
        "failure_reason",
        "summary",
        "reason",
        "description",
        "error",
        "error_message",
        "errorMessage",
        "detail",
        "title",
        "text",
    ]);
    let inner = payload.object("error_details").and_then(|error| error.text("message"));
    let bare = telling.fields.text("payload");
    let detail = told.or(inner).or(bare).and_then(say::excerpt);
    let phase = phase_of(&event.category);
    let fact = telling.point(telling.occurred_at, ("moment", 0), title).saying(detail).shown(Shown::Always);
    fact.phase = phase;
    fact
}

/// A category for people; Kubernaut's are written as one word.
fn category(word: &str) -> String {
    match word {
        "apifrontend" => "API front end".to_string(),
        "actiontype" => "Action type".to_string(),
        "agentsession" => "Agent session".to_string(),
        _ => say::capital(&say::words(word)),
    }
}

/// The phase that a category of Kubernaut's envelope works in.
fn phase_of(category: &str) -> Option<PhaseName> {
    match plain(category).as_str() {
        "gateway" => Some(PhaseName::Intake),
        "signalprocessing" => Some(PhaseName::SignalProcessing),
        "analysis" | "aianalysis" | "aiagent" | "workflow" => Some(PhaseName::AiAnalysis),
        "approval" => Some(PhaseName::ApprovalWait),
        "workflowexecution" => Some(PhaseName::WorkflowExecution),
        "effectiveness" => Some(PhaseName::Verification),
        "notification" => Some(PhaseName::Notification),
        _ => None,
    }
}

fn common_signal(fields: Fields<'_>) -> Option<&str> {
    fields.object("signal")?.text("name")
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
