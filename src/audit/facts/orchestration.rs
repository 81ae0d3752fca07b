//! The facts of an orchestration audit: the remediation as a whole, and what the orchestrator saw of its children.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{
    Actor, Alternative, Decided, Decision, Ending, Fields, Milestone, Shown, Sureness, Teller, Telling, Tells,
    approval, moved, say,
};
use crate::audit::{
    phase::{PhaseName, RemediationPhase},
    words::{APPROVAL_DECISION, plain},
};

pub fn tell(telling: &mut Telling<'_>) {
    beginning(telling);
    children(telling);
    transitions(telling);
    fork(telling);
    approve(telling);
    if retention(telling) {
        retire(telling);
    } else if telling.ended {
        end(telling);
    } else {
        stage(telling);
    }
}

fn beginning(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    if let Some(at) = fields.time("signalReceivedAt") {
        let signal = fields.object("signal");
        let part = |name| signal.and_then(|signal| signal.owned(name));
        telling
            .point(at, ("signal received", 0), "Signal received")
            .of(PhaseName::Intake)
            .saying(say::joined([part("name"), part("summary")], ": "))
            .telling(Tells::SignalReceived)
            .marking(Milestone::SignalReceived, Teller::Onlooker);
    }
    let by_type = telling.event_type_ends("lifecycle.created").then_some(telling.occurred_at);
    if let Some(at) = fields.time("remediationCreatedAt").or_else(|| fields.time("startTime")).or(by_type) {
        let target = fields.object("target").and_then(target_words);
        telling
            .point(at, ("created", 0), "Remediation request created")
            .of(PhaseName::Intake)
            .saying(target.map(|target| format!("for {target}")))
            .telling(Tells::RemediationCreated)
            .marking(Milestone::RequestCreated, Teller::Onlooker);
    }
    if let Some(at) = fields.time("lastDuplicateTime") {
        let title = match fields.count("duplicateCount") {
            Some(count) if count > 1 => format!("The same signal came {count} times more").into(),
            _ => Cow::from("The same signal came again"),
        };
        telling.point(at, ("signal repeated", 0), title).of(PhaseName::Intake).telling(Tells::SignalRepeated);
    }
}

fn target_words(target: Fields<'_>) -> Option<String> {
    let name = format!("{} {}", target.text("kind")?, target.text("name")?);
    Some(target.text("namespace").map_or(name.clone(), |namespace| format!("{name} in {namespace}")))
}

/// What the orchestrator saw of its children: shown and counted where a child tells nothing itself.
fn children(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    let statuses = fields.object("serviceCrdStatuses");
    let seen = [
        ("remediationProcessing", None, PhaseName::SignalProcessing),
        ("aiAnalysis", fields.time("aiAnalysisStartedAt"), PhaseName::AiAnalysis),
        ("workflowExecution", fields.time("workflowStartedAt"), PhaseName::WorkflowExecution),
    ];
    for (child, started_at, phase) in seen {
        let status = statuses.and_then(|statuses| statuses.object(child));
        let time = |name| status.and_then(|status| status.time(name));
        let tells = Tells::Ran { phase, part: "", teller: Teller::Onlooker };
        let (start, end) = (time("startTime").or(started_at), time("completionTime"));
        if let Some(start) = start {
            let failed = status.and_then(|status| status.flag("success")) == Some(false);
            let error = status.and_then(|status| status.owned("error"));
            let title = |took: Option<&str>| -> Cow<'static, str> {
                let name = say::capital(phase.in_words());
                match took {
                    Some(took) if failed => format!("{name} failed after {took}").into(),
                    Some(took) => format!("{name} took {took}").into(),
                    None => format!("{name} started").into(),
                }
            };
            let error = error.filter(|_| end.is_some_and(|end| telling.over(end)));
            telling.span(start, end, (child, 0), title).of(phase).saying(error).shown(Shown::Untold).telling(tells);
        } else if let Some(end) = end {
            telling
                .point(end, (child, 1), format!("{} ended", say::capital(phase.in_words())))
                .of(phase)
                .shown(Shown::Untold)
                .telling(Tells::Stopped { phase, sureness: Sureness::Told, teller: Teller::Onlooker });
        }
    }
    if let Some(at) = fields.time("notificationSentAt") {
        let tells =
            Tells::Stopped { phase: PhaseName::Notification, sureness: Sureness::Told, teller: Teller::Onlooker };
        let fact = telling.point(at, ("notified", 0), "People notified").of(PhaseName::Notification);
        fact.shown(Shown::Untold).telling(tells);
    }

    for (index, touched) in (0..).zip(fields.objects("crdPropagation")) {
        let (kind, name) = (touched.text("kind").unwrap_or("child"), touched.text("name").unwrap_or_default());
        let failed = touched.text("result") == Some("failure");
        let title = match (touched.text("action"), failed) {
            (Some("update"), false) => format!("Updated {kind} {name}"),
            (Some("delete"), false) => format!("Deleted {kind} {name}"),
            (_, false) => format!("Created {kind} {name}"),
            (action, true) => format!("Could not {} {kind} {name}", action.unwrap_or("create")),
        };
        let mut fact = telling.point(touched.time("at").unwrap_or(telling.occurred_at), ("child", index), title);
        fact = fact.saying(touched.text("error")).telling(Tells::ChildTouched { failed });
        fact.phase = child_phase(kind);
    }
}

fn child_phase(kind: &str) -> Option<PhaseName> {
    match plain(kind).as_str() {
        "signalprocessing" | "remediationprocessing" => Some(PhaseName::SignalProcessing),
        "aianalysis" => Some(PhaseName::AiAnalysis),
        "remediationapprovalrequest" => Some(PhaseName::ApprovalWait),
        "workflowexecution" | "kubernetesexecution" => Some(PhaseName::WorkflowExecution),
        "effectivenessassessment" => Some(PhaseName::Verification),
        "notificationrequest" | "notification" => Some(PhaseName::Notification),
        _ => None,
    }
}

/// The way from service to service. A step without a time follows the one before by the duration it tells.
fn transitions(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    let mut before = fields.time("startTime").or_else(|| fields.time("remediationCreatedAt"));
    for (index, step) in (0..).zip(fields.objects("serviceTransitions")) {
        let after = || moved(before?, step.ms("durationMs")?);
        let at = step.time("at").or_else(after);
        before = at;
        let (Some(at), Some(to)) = (at, step.text("to")) else { continue };
        let title = match step.text("from") {
            Some(from) => format!("Moved from {} to {}", say::words(from), say::words(to)),
            None => format!("Moved to {}", say::words(to)),
        };
        let stage = RemediationPhase::read(to);
        let fact =
            telling.point(at, ("transition", index), title).telling(stage.map_or(Tells::Itself, Tells::StageEntered));
        fact.phase = stage.and_then(RemediationPhase::spends);
        // Where the service that was entered tells its own story, this would tell its beginning twice.
        fact.shown = if fact.phase.is_some() { Shown::Untold } else { Shown::Always };
    }
}

fn fork(telling: &mut Telling<'_>) {
    let Some(fork) = telling.fields.object("decision") else { return };
    let chosen = fork.text("chosen").unwrap_or_default();
    let because = say::joined([fork.owned("reason"), fork.text("rule").map(|rule| format!("rule {rule}"))], "; ");
    let not_taken = fork.objects("options").filter(|option| option.flag("taken") != Some(true));
    let alternatives = not_taken
        .filter(|option| option.text("name") != Some(chosen))
        .map(|option| Alternative {
            option: option.owned("name").unwrap_or_default(),
            confidence: None,
            rejected_because: option.owned("reason"),
        })
        .collect();
    let decision = Decision {
        question: fork.owned("point").unwrap_or_default(),
        chosen: chosen.to_string(),
        by: Actor::of(telling.entry),
        rationale: because.clone(),
        confidence: None,
        alternatives,
    };
    let at = telling.occurred_at;
    telling
        .point(at, ("fork", 0), format!("Decided: {chosen}"))
        .saying(because)
        .deciding(decision)
        .telling(Tells::Routed);
}

fn approve(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    let required_by = fields.time("requiredBy");
    let told = fields.text("approvalDecision").and_then(|word| APPROVAL_DECISION.find(word));
    let by_name = match (fields.text("approvedBy"), fields.text("rejectedBy")) {
        (Some(_), _) => Some("approved"),
        (None, Some(_)) => Some("rejected"),
        (None, None) => None,
    };
    let by_type = ["approved", "rejected", "expired"]
        .into_iter()
        .find(|word| telling.event_type_ends(&format!("approval.{word}")));
    let decision = told.filter(|word| *word != "pending").or(by_type).or(by_name);

    let asked_by_type =
        (telling.event_type_ends("approval.requested") || told == Some("pending")).then_some(telling.occurred_at);
    if let Some(at) = fields.time("approvalRequestedAt").or(asked_by_type.filter(|_| decision.is_none())) {
        let sure =
            fields.number("approvalConfidence").map(|share| format!("the analysis is {} sure", say::percent(share)));
        let why = say::joined([fields.owned("reason").filter(|_| asked_by_type.is_some()), sure], "; ");
        approval::asked(telling, at, Sureness::Told, required_by, why);
    }
    if let Some(decision) = decision {
        let decided_at = fields.time("approvalDecidedAt");
        let by = if decision == "rejected" { fields.owned("rejectedBy") } else { fields.owned("approvedBy") };
        let decided = Decided {
            sureness: if decided_at.is_some() { Sureness::Told } else { Sureness::Implied },
            decision,
            by,
            via: None,
            reason: fields
                .owned("rejectionReason")
                .filter(|_| decision == "rejected")
                .or_else(|| fields.owned("message")),
            required_by,
        };
        let confidence = fields.number("approvalConfidence");
        approval::decided(
            telling,
            decided_at.unwrap_or(telling.occurred_at),
            decided,
            fields.text("actionType"),
            confidence,
        );
    }
}

/// Whether the audit is of a clean-up, which Kubernaut tells as one more end of the remediation.
fn retention(telling: &Telling<'_>) -> bool {
    let fields = telling.fields;
    let action =
        fields.object("details").and_then(|details| details.any_text(&["event_action", "eventAction", "action"]));
    fields.time("deletedAt").is_some()
        || telling.entry.event.event_type.contains("retention")
        || action.is_some_and(|action| plain(action) == "retentioncleanup")
}

fn retire(telling: &mut Telling<'_>) {
    let at = telling.fields.time("deletedAt").unwrap_or(telling.occurred_at);
    telling.point(at, ("retired", 0), "Remediation request cleaned up").telling(Tells::Retired);
}

fn end(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    let phase = RemediationPhase::read(telling.status).unwrap_or(RemediationPhase::Completed);
    let at = fields
        .time("completionTime")
        .or_else(|| fields.time("completedAt"))
        .or_else(|| fields.time("timeoutTime").filter(|_| phase == RemediationPhase::TimedOut));
    let at = at.unwrap_or(telling.occurred_at);
    let reason = fields.owned("failureReason").or_else(|| fields.object("errorDetails")?.owned("message"));
    let reason = reason.or_else(|| fields.owned("reason"));
    let ending = Ending {
        phase,
        crd_outcome: fields.owned("crdOutcome"),
        failure_phase: fields.owned("failurePhase"),
        failure_reason: fields.owned("failureReason"),
        timeout_phase: fields.owned("timeoutPhase"),
        total_duration_ms: fields.ms("totalDurationMs"),
    };
    let title: Cow<'static, str> = match (phase, ending.failure_phase.as_deref(), ending.timeout_phase.as_deref()) {
        (RemediationPhase::Failed, Some(phase), _) => format!("Remediation failed in {}", phase_words(phase)).into(),
        (RemediationPhase::Failed, None, _) => "Remediation failed".into(),
        (RemediationPhase::TimedOut, _, Some(phase)) => {
            format!("Remediation timed out in {}", phase_words(phase)).into()
        }
        (RemediationPhase::TimedOut, _, None) => "Remediation timed out".into(),
        (RemediationPhase::Skipped, ..) => "Remediation skipped".into(),
        (RemediationPhase::Cancelled, ..) => "Remediation cancelled".into(),
        _ => "Remediation completed".into(),
    };
    let outcome = ending.crd_outcome.as_deref().map(say::words);
    telling
        .point(at, ("ended", 0), title)
        .saying(say::joined([outcome, reason], "; "))
        .telling(Tells::Ended(ending))
        .marking(Milestone::Ended(phase), Teller::Own);
}

/// The phase that a word stands for, else the word itself.
fn phase_words(word: &str) -> String {
    let spends = RemediationPhase::read(word).and_then(RemediationPhase::spends);
    spends.map_or_else(|| say::words(word), |phase| phase.in_words().to_string())
}

/// Where the orchestrator says the remediation stands.
fn stage(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    let entered = telling.entered().and_then(RemediationPhase::read);
    let entered = if telling.event_type_ends("routing.blocked") { Some(RemediationPhase::Blocked) } else { entered };
    let stage = entered.filter(|stage| !stage.ends()).or_else(|| RemediationPhase::read(telling.status));
    let title = match (telling.moved(), workflow(telling)) {
        (Some(moved), _) => moved.into(),
        (None, Some(workflow)) => workflow,
        (None, None) => telling.moment_title(stage_title(stage)),
    };
    let why = fields
        .owned("transitionReason")
        .or_else(|| say::joined([fields.owned("reason"), fields.owned("subReason")], ": "));
    let shown = if telling.facts.iter().any(|fact| fact.shown == Shown::Always) { Shown::Alone } else { Shown::Always };
    let at: DateTime<Utc> = telling.occurred_at;
    let event_type = telling.entry.event.event_type.as_str();
    let fact = telling.point(at, ("stage", 0), title).saying(why).shown(shown);
    fact.phase = stage.and_then(RemediationPhase::spends);
    if let Some(stage) = stage {
        fact.telling(Tells::StageEntered(stage));
    }
    match (event_type, stage) {
        ("orchestrator.lifecycle.verification_completed", _) => {
            fact.marking(Milestone::Assessed, Teller::Onlooker);
        }
        ("orchestrator.ea.created", _) => {
            fact.marking(Milestone::AssessmentPlanned, Teller::Onlooker);
        }
        // It says nothing but where the remediation went.
        ("orchestrator.lifecycle.transitioned" | "orchestrator.lifecycle.verifying_started", Some(stage)) => {
            fact.marking(Milestone::StageEntered(stage), Teller::Own);
        }
        _ => {}
    }
}

fn workflow(telling: &Telling<'_>) -> Option<Cow<'static, str>> {
    if !telling.event_type_ends("workflow_created") {
        return None;
    }
    let fields = telling.fields;
    let name = say::joined([fields.owned("workflowId"), fields.owned("workflowVersion")], " ")?;
    let action = fields.text("actionType").map(|action| format!(", to carry out {action}")).unwrap_or_default();
    Some(format!("Workflow {name} created{action}").into())
}

fn stage_title(stage: Option<RemediationPhase>) -> Cow<'static, str> {
    match stage {
        Some(RemediationPhase::Pending) => "Remediation accepted".into(),
        Some(RemediationPhase::SignalProcessing) => "Handed to signal processing".into(),
        Some(RemediationPhase::AiAnalysis) => "Handed to AI analysis".into(),
        Some(RemediationPhase::ApprovalWait) => "Waiting for approval".into(),
        Some(RemediationPhase::WorkflowExecution) => "Handed to workflow execution".into(),
        Some(RemediationPhase::Verification) => "Verification began".into(),
        Some(RemediationPhase::Blocked) => "Remediation blocked".into(),
        _ => "Remediation moved on".into(),
    }
}
