//! Approvals are told by the analysis, by the orchestrator and by the webhook that saw the person decide. All three say it
//! in these words.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{Actor, Asked, Decided, Decision, Sureness, Telling, Tells, say};
use crate::audit::{kind::ActorType, phase::PhaseName};

/// Tells that approval was asked for.
pub fn asked(
    telling: &mut Telling<'_>,
    at: DateTime<Utc>,
    sureness: Sureness,
    required_by: Option<DateTime<Utc>>,
    why: Option<String>,
) {
    let within = required_by.filter(|by| *by > at).map(|by| format!("to be decided within {}", say::between(at, by)));
    telling
        .point(at, ("approval asked", 0), "Approval requested")
        .of(PhaseName::ApprovalWait)
        .saying(say::joined([why, within], "; "))
        .telling(Tells::ApprovalAsked(Asked { sureness, required_by }));
}

/// Tells that approval was given, refused, or not given in time.
pub fn decided(
    telling: &mut Telling<'_>,
    at: DateTime<Utc>,
    decided: Decided,
    of: Option<&str>,
    confidence: Option<f64>,
) {
    let done = match decided.decision {
        "rejected" => "Rejected",
        "expired" => "Approval expired",
        "auto_approved" => "Approved by policy",
        _ => "Approved",
    };
    let by = decided.by.as_deref().filter(|_| decided.decision != "expired");
    let via = decided.via.as_deref().map(|via| match via {
        "slack" => "Slack",
        "console" => "the console",
        "api" => "the API",
        other => other,
    });
    let title: Cow<'static, str> = match (by, via) {
        (Some(by), Some(via)) => format!("{done} by {by} via {via}").into(),
        (Some(by), None) => format!("{done} by {by}").into(),
        (None, Some(via)) => format!("{done} via {via}").into(),
        (None, None) => done.into(),
    };
    let actor = by.map(|by| match Actor::of(telling.entry) {
        Some(actor) if actor.id == by => actor,
        _ => Actor::person(by),
    });
    let policy =
        || Actor { actor_type: ActorType::System, id: "policy".to_string(), display_name: None, on_behalf_of: None };
    let decision = Decision {
        question: of.map_or_else(|| "Carry out the remedy?".to_string(), |action| format!("Carry out {action}?")),
        chosen: say::words(decided.decision),
        by: actor.or_else(|| (decided.decision == "auto_approved").then(policy)),
        rationale: decided.reason.clone(),
        confidence,
        alternatives: Vec::new(),
    };
    telling
        .point(at, ("approval decided", 0), title)
        .of(PhaseName::ApprovalWait)
        .saying(decided.reason.clone())
        .deciding(decision)
        .telling(Tells::ApprovalDecided(decided));
}
