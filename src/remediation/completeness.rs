//! How complete the record of a remediation is: what one of its outcome should have and has not, what came late, and what
//! cannot all be true.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    approvals::Approvals,
    model::{
        Approval, Completeness, Contradiction, Late, Missing, Phase, PhaseName, RemediationOutcome, RemediationPhase,
    },
    story::{Known, Story},
};
use crate::audit::{
    Kind,
    facts::{Ending, Tells, say},
};

/// An entry is late when it occurred this much before an entry recorded earlier.
pub const LATE_MS: f64 = 60_000.0;
/// How far the orchestrator's count of the whole duration may be off: this, or one part in a hundred.
const COUNT_OFF_MS: f64 = 1_000.0;

/// What the fold found so far.
pub struct Found<'s> {
    pub story: &'s Story<'s>,
    pub phases: &'s [Phase],
    pub approvals: &'s Approvals,
    pub ending: Option<(usize, DateTime<Utc>, &'s Ending)>,
    pub outcome: Option<RemediationOutcome>,
    pub duration_ms: f64,
    /// Until when an assessment is worth making.
    pub valid_until: Option<DateTime<Utc>>,
}

/// Judges how complete the record is.
pub fn judge(found: &Found<'_>, late: &HashMap<usize, f64>, mut contradictions: Vec<Contradiction>) -> Completeness {
    let expected = expected(found);
    let there = expected.iter().filter(|(_, _, there)| *there).count();
    let score = if expected.is_empty() { 1.0 } else { there as f64 / expected.len() as f64 };
    contradictions.extend(found.approvals.contradictions.iter().cloned());
    contradictions.extend(contradicting(found));
    contradictions.sort_by(|a, b| (&a.what, &a.event_ids).cmp(&(&b.what, &b.event_ids)));
    let mut late: Vec<(usize, f64)> = late.iter().map(|(entry, by_ms)| (*entry, *by_ms)).collect();
    late.sort_by_key(|(entry, _)| *entry);
    Completeness {
        score: (score * 1_000.0).round() / 1_000.0,
        missing: expected
            .into_iter()
            .filter(|(_, _, there)| !there)
            .map(|(service, what, _)| Missing { service, what: what.to_string() })
            .collect(),
        late: late
            .into_iter()
            .map(|(entry, by_ms)| Late { event_id: found.story.entries[entry].event.event_id, by_ms })
            .collect(),
        contradictions,
    }
}

/// What should be there, and whether it is.
type Expected = (Kind, &'static str, bool);

fn expected(found: &Found<'_>) -> Vec<Expected> {
    let Needs { processing, analysis, execution, notification, assessment } = needs(found);
    let has = |pick: fn(&Tells) -> bool| found.story.facts.iter().any(|known| pick(&known.fact.tells));
    let told = |kind: Kind| {
        found.story.entries.iter().zip(&found.story.known).any(|(e, known)| *known && e.event.kind == kind)
    };
    let ended = |phase: PhaseName| {
        found
            .phases
            .iter()
            .any(|known| known.name == phase && known.ended_at.is_some_and(|end| end >= known.started_at))
    };
    let mut expected = vec![
        (
            Kind::Orchestration,
            "when the signal was received or the remediation created",
            has(|tells| matches!(tells, Tells::SignalReceived | Tells::RemediationCreated)),
        ),
        (Kind::Orchestration, "where the remediation stands", told(Kind::Orchestration)),
    ];
    if processing {
        expected.push((Kind::SignalProcessing, "an audit of signal processing", told(Kind::SignalProcessing)));
    }
    if analysis {
        let ended = found.outcome.is_none() || ended(PhaseName::AiAnalysis);
        expected.push((Kind::AiAnalysis, "an audit of the AI analysis", told(Kind::AiAnalysis)));
        expected.push((Kind::AiAnalysis, "when the analysis ended", ended));
        let failed =
            matches!(found.outcome, Some(RemediationOutcome::Failed | RemediationOutcome::TimedOut)) && !execution;
        if found.outcome.is_some() && !failed {
            expected.push((
                Kind::AiAnalysis,
                "the root cause",
                has(|tells| matches!(tells, Tells::RootCauseFound { .. })),
            ));
        }
    }
    for approval in &found.approvals.approvals {
        let decided = approval.decision != "pending";
        // Nobody has to have decided yet while the remediation waits.
        if decided || found.outcome.is_some() {
            expected.push((Kind::AiAnalysis, "what was decided about the approval", decided));
        }
        if matches!(approval.decision.as_str(), "approved" | "rejected") {
            expected.push((Kind::AiAnalysis, "who decided about the approval, or how", decider(approval)));
        }
    }
    if execution {
        expected.push((Kind::WorkflowExecution, "an audit of the workflow execution", told(Kind::WorkflowExecution)));
        if found.outcome.is_some() {
            let outcome = has(|tells| matches!(tells, Tells::ExecutionEnded { outcome: Some(_) }));
            expected.push((Kind::WorkflowExecution, "what came of the execution", outcome));
            // Some engines know no steps; one that counts them should tell them.
            if counts_steps(found.story) {
                expected.push((Kind::WorkflowExecution, "the steps", has(|tells| matches!(tells, Tells::StepRan))));
            }
        }
    }
    if notification {
        expected.push((Kind::Notification, "an audit of a notification", told(Kind::Notification)));
    }
    if assessment {
        let assessed = has(|tells| matches!(tells, Tells::Assessed { .. }));
        // While its window is open an assessment is not missing yet.
        let due = found.valid_until.is_none_or(|until| until <= found.story.moment);
        if assessed || due {
            expected.push((Kind::Effectiveness, "an assessment of the effect", assessed));
        }
    }
    expected
}

fn counts_steps(story: &Story<'_>) -> bool {
    let executions = story.entries.iter().filter(|entry| entry.event.kind == Kind::WorkflowExecution);
    executions.filter_map(|entry| entry.event.fields().count("totalSteps")).any(|steps| steps > 0)
}

fn decider(approval: &Approval) -> bool {
    approval.decided_by.is_some() || approval.via.is_some()
}

/// Which services a remediation should have gone through.
struct Needs {
    processing: bool,
    analysis: bool,
    execution: bool,
    notification: bool,
    assessment: bool,
}

fn needs(found: &Found<'_>) -> Needs {
    let reached = found.phases.iter().map(|phase| phase.name).filter(|name| *name < PhaseName::Verification).max();
    let reached = |phase: PhaseName| reached.is_some_and(|reached| reached >= phase);
    let up_to_here = Needs {
        processing: reached(PhaseName::SignalProcessing),
        analysis: reached(PhaseName::AiAnalysis),
        execution: reached(PhaseName::WorkflowExecution),
        notification: true,
        assessment: false,
    };
    let Some(outcome) = found.outcome else { return Needs { notification: false, ..up_to_here } };
    match outcome {
        RemediationOutcome::Remediated
        | RemediationOutcome::Inconclusive
        | RemediationOutcome::VerificationTimedOut => {
            Needs { processing: true, analysis: true, execution: true, notification: true, assessment: true }
        }
        RemediationOutcome::DryRun => Needs { processing: true, analysis: true, ..up_to_here },
        RemediationOutcome::NoActionRequired
        | RemediationOutcome::ManualReview
        | RemediationOutcome::Rejected
        | RemediationOutcome::Expired => Needs { processing: true, analysis: true, ..up_to_here },
        RemediationOutcome::Failed | RemediationOutcome::TimedOut | RemediationOutcome::Cancelled => up_to_here,
        RemediationOutcome::Blocked | RemediationOutcome::Skipped => Needs { notification: false, ..up_to_here },
    }
}

/// Facts that cannot all be true.
fn contradicting(found: &Found<'_>) -> Vec<Contradiction> {
    let story = found.story;
    let mut contradictions = Vec::new();
    let mut add = |what: String, facts: &[usize]| {
        let mut event_ids: Vec<_> = facts.iter().map(|fact| story.entry_of(*fact).event.event_id).collect();
        event_ids.dedup();
        contradictions.push(Contradiction { what, event_ids });
    };
    let find = |pick: &dyn Fn(&Known) -> bool| story.facts.iter().rposition(pick);

    if let Some((fact, completed_at, ending)) = found.ending {
        if completed_at < story.started_at {
            add("the remediation ended before it started".to_string(), &[fact]);
        }
        if let Some(count) = ending.total_duration_ms
            && (count - found.duration_ms).abs() > COUNT_OFF_MS.max(found.duration_ms / 100.0)
        {
            let (count, ours) = (say::duration(count), say::duration(found.duration_ms));
            add(format!("the orchestrator counts {count}, the facts tell {ours}"), &[fact]);
        }
        let another = |known: &Known| matches!(&known.fact.tells, Tells::Ended(other) if other.phase != ending.phase);
        if let Some(other) = find(&another)
            && let Tells::Ended(told) = &story.facts[other].fact.tells
        {
            let what = format!(
                "the remediation is told to have ended both as {} and as {}",
                word(told.phase),
                word(ending.phase)
            );
            add(what, &[other, fact]);
        }
        let last = |known: &Known| matches!(known.fact.tells, Tells::ExecutionEnded { outcome: Some(_) });
        if ending.phase == RemediationPhase::Completed
            && ending.outcome(None) == Some(RemediationOutcome::Remediated)
            && let Some(execution) = find(&last)
            && let Tells::ExecutionEnded { outcome: Some(outcome @ ("failed" | "timeout")) } =
                story.facts[execution].fact.tells
        {
            let what = format!("the remediation is told to have worked, its last execution to have ended as {outcome}");
            add(what, &[execution, fact]);
        }
        if ending.phase == RemediationPhase::Failed && ending.crd_outcome.as_deref() == Some("remediated") {
            add("the remediation is told both to have failed and to have worked".to_string(), &[fact]);
        }
    }
    let executed = found.phases.iter().find(|phase| phase.name == PhaseName::WorkflowExecution);
    for approval in &found.approvals.approvals {
        let (Some(decided_at), Some(executed)) = (approval.decided_at, executed) else { continue };
        let early =
            |start: DateTime<Utc>| approval.requested_at.is_some_and(|asked| asked <= start) && start < decided_at;
        let what = if executed.intervals.iter().any(|run| early(run.started_at)) {
            "a workflow ran before the approval was decided"
        } else if approval.decision == "rejected" && after_rejection(found, approval, decided_at) {
            "a workflow ran although the approval was rejected"
        } else {
            continue;
        };
        contradictions.push(Contradiction { what: what.to_string(), event_ids: vec![approval.event_id] });
    }
    contradictions
}

/// Whether something was carried out after the rejection and before anybody was asked again.
fn after_rejection(found: &Found<'_>, approval: &Approval, decided_at: DateTime<Utc>) -> bool {
    let next = found.approvals.approvals.iter().filter(|other| other.event_id != approval.event_id);
    let next = next.filter_map(|other| other.requested_at.or(other.decided_at)).filter(|at| *at > decided_at).min();
    let executed = found.phases.iter().filter(|phase| phase.name == PhaseName::WorkflowExecution);
    executed
        .flat_map(|phase| &phase.intervals)
        .any(|run| run.started_at > decided_at && next.is_none_or(|next| run.started_at < next))
}

fn word(phase: RemediationPhase) -> &'static str {
    match phase {
        RemediationPhase::Completed => "completed",
        RemediationPhase::Failed => "failed",
        RemediationPhase::TimedOut => "timed out",
        RemediationPhase::Skipped => "skipped",
        RemediationPhase::Cancelled => "cancelled",
        RemediationPhase::Pending
        | RemediationPhase::Intake
        | RemediationPhase::SignalProcessing
        | RemediationPhase::AiAnalysis
        | RemediationPhase::ApprovalWait
        | RemediationPhase::WorkflowExecution
        | RemediationPhase::Verification
        | RemediationPhase::Notification
        | RemediationPhase::Blocked => "going on",
    }
}
