//! Rules about approvals.

use super::Fired;
use crate::{
    audit::PhaseName,
    remediation::{
        model::{Approval, Summary},
        outcomes::{success, wilson_low},
    },
    report::{case::Case, model::Priority, words},
};

/// From this lower end of the success rate on (Wilson, 95 %) an action that was always agreed to needs nobody to agree: four
/// of four, or nine of eleven.
const SAFE_FROM: f64 = 0.5;
/// From this share of the whole on a wait is worth shortening, and from this on urgently.
const SHARE_FROM: f64 = 0.25;
const SHARE_URGENT: f64 = 0.5;

/// The wait for the last approval, where a person agreed.
fn agreed<'a>(case: &Case<'a>) -> Option<(&'a Approval, f64)> {
    let approval = case.summary.approvals.last().filter(|approval| approval.decision == "approved")?;
    Some((approval, case.approval_wait()?))
}

/// What speaks for agreeing without a person: how often one was asked, and what came of it.
struct Habit<'a> {
    action: &'a str,
    environment: &'a str,
    asked: usize,
    ended: usize,
    successes: usize,
    /// The lower end of the success rate.
    low: f64,
    cites: Vec<String>,
}

fn habit<'a>(case: &Case<'a>) -> Option<Habit<'a>> {
    let (action, environment) = (case.action()?, case.environment()?);
    let alike = |summary: &Summary| summary.environment.as_deref() == Some(environment) && Case::chose(summary, action);
    let similar = case.similar().map(|(similar, cites)| (&similar.summary, cites));
    let mut cases: Vec<(&Summary, Vec<String>)> = similar.chain(case.earlier()).filter(|(one, _)| alike(one)).collect();
    cases.sort_by(|(a, _), (b, _)| a.stream.cmp(&b.stream));
    cases.dedup_by(|(a, _), (b, _)| a.stream == b.stream);
    let decisions =
        |summary: &Summary| summary.approvals.iter().map(|found| found.decision.clone()).collect::<Vec<_>>();
    let refused =
        cases.iter().any(|(one, _)| decisions(one).iter().any(|word| matches!(word.as_str(), "rejected" | "expired")));
    let asked: Vec<_> =
        cases.into_iter().filter(|(one, _)| decisions(one).iter().any(|word| word == "approved")).collect();
    let ended = asked.iter().filter(|(one, _)| one.outcome.is_some()).count();
    let successes = asked.iter().filter(|(one, _)| success(one)).count();
    let low = wilson_low(successes, ended).filter(|low| *low >= SAFE_FROM)?;
    if refused || case.summary.effective == Some(false) {
        return None;
    }
    let cites = asked.iter().flat_map(|(_, cites)| cites.clone()).collect();
    Some(Habit { action, environment, asked: asked.len(), ended, successes, low, cites })
}

pub fn auto_approve(case: &Case<'_>) -> Vec<Fired> {
    let (Some((approval, wait)), Some(habit)) = (agreed(case), habit(case)) else { return Vec::new() };
    let share = case.phase(PhaseName::ApprovalWait).and_then(|phase| phase.share).unwrap_or_default();
    let text = format!(
        "Auto-approve {} in {}: in {} a person agreed every time, and {} that ended succeeded (at least {} with 95 % \
         confidence).",
        words::name(habit.action),
        words::name(habit.environment),
        words::count(habit.asked, "similar case"),
        words::of(habit.successes, habit.ended),
        words::percent(habit.low)
    );
    let mut cites = case.cite.events([approval.event_id]);
    cites.extend(habit.cites);
    let priority = if share >= SHARE_FROM { Priority::High } else { Priority::Medium };
    vec![Fired::new(priority, text, cites).worth(format!("−{} of waiting", words::duration(wait)))]
}

pub fn bottleneck(case: &Case<'_>) -> Vec<Fired> {
    let Some(phase) = case.phase(PhaseName::ApprovalWait) else { return Vec::new() };
    let Some(share) = phase.share.filter(|share| *share >= SHARE_FROM) else { return Vec::new() };
    let decided = case.asked().is_some_and(|asked| matches!(asked.decision.as_str(), "approved" | "rejected"));
    if case.summary.bottleneck != Some(PhaseName::ApprovalWait) || !decided || !auto_approve(case).is_empty() {
        return Vec::new();
    }
    let wait = words::duration(phase.duration_ms);
    let whole = words::duration(case.summary.duration_ms);
    let text = format!(
        "Shorten the wait for approval: {wait} of {whole} went by until a person decided ({}). Ask on a channel that \
         is watched, or let policy decide where cases like this one allow it.",
        words::percent(share)
    );
    let urgent = share >= SHARE_URGENT || case.impact.sla_breached == Some(true);
    let priority = if urgent { Priority::High } else { Priority::Medium };
    vec![Fired::new(priority, text, case.of_phase(PhaseName::ApprovalWait)).worth(format!("up to −{wait}"))]
}

pub fn expired(case: &Case<'_>) -> Vec<Fired> {
    let Some(approval) = case.summary.approvals.last().filter(|approval| approval.decision == "expired") else {
        return Vec::new();
    };
    let waited = approval.wait_ms.map(|ms| format!(" in {}", words::duration(ms))).unwrap_or_default();
    let text = format!(
        "Make sure that somebody is asked who can answer: nobody decided{waited}, and nothing was carried out."
    );
    let fired = Fired::new(Priority::High, text, case.cite.events([approval.event_id]));
    vec![match approval.wait_ms {
        Some(ms) => fired.worth(format!("−{} of waiting in vain", words::duration(ms))),
        None => fired,
    }]
}

pub fn refused(case: &Case<'_>) -> Vec<Fired> {
    let Some(approval) = case.summary.approvals.last().filter(|approval| approval.decision == "rejected") else {
        return Vec::new();
    };
    let action = case.action().map_or("the remedy".to_string(), words::name);
    let text = match &approval.reason {
        Some(why) => format!("Teach the analysis why {action} was refused here: {}.", words::quote(why)),
        None => format!("Ask why {action} was refused: no reason was recorded, so nothing can be learned from it."),
    };
    let fired = Fired::new(Priority::Medium, text, case.cite.events([approval.event_id]));
    vec![match approval.wait_ms {
        Some(ms) => fired.worth(format!("−{} until a refusal", words::duration(ms))),
        None => fired,
    }]
}
