//! Rules about other remediations: of the same target, and similar ones.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::Fired;
use crate::{
    audit::PhaseName,
    remediation::{
        model::Summary,
        outcomes::{quantile, success},
    },
    report::{
        case::{Case, same_action},
        model::Priority,
        words,
    },
};

/// A target that was remediated this many days ago or less comes back too soon.
const RECURS_DAYS: i64 = 7;
/// So many cases at least before an action or a phase is compared.
const CASES_FROM: usize = 3;
/// By so much the lower end of another action's success rate has to be higher.
const BETTER_BY: f64 = 0.1;
/// So many times the median is slow.
const SLOW_FROM: f64 = 2.0;

pub fn action_failed_before(case: &Case<'_>) -> Vec<Fired> {
    let Some(action) = case.action() else { return Vec::new() };
    let carried_out = |summary: &Summary| {
        summary.outcome.is_some() && summary.phases.iter().any(|phase| phase.name == PhaseName::WorkflowExecution)
    };
    let before: Vec<_> = case.earlier().filter(|(one, _)| Case::chose(one, action) && carried_out(one)).collect();
    let failed: Vec<_> = before.iter().filter(|(one, _)| !success(one)).collect();
    let Some((last, _)) = failed.first() else { return Vec::new() };
    let text = format!(
        "Try something else than {} on this target: it had been carried out there {} before, {} without success (last: \
         {}, {}).",
        words::name(action),
        words::count(before.len(), "time"),
        failed.len(),
        words::name(&last.stream.remediation_id),
        words::outcome(last)
    );
    let cites = failed.iter().flat_map(|(_, cites)| cites.clone()).chain(here(case)).collect();
    let lost: f64 = failed.iter().map(|(one, _)| one.duration_ms).sum();
    vec![Fired::new(Priority::High, text, cites).worth(format!(
        "{} went into {} without success",
        words::duration(lost),
        words::count(failed.len(), "remediation")
    ))]
}

/// What tells of the action that was chosen here.
fn here(case: &Case<'_>) -> Vec<String> {
    case.told_anywhere(&["actionType", "recommendedAction", "topRecommendation"])
}

pub fn recurring_target(case: &Case<'_>) -> Vec<Fired> {
    let since = TimeDelta::days(RECURS_DAYS);
    let recent: Vec<_> =
        case.earlier().filter(|(one, _)| success(one) && case.summary.started_at - one.started_at <= since).collect();
    let Some((last, _)) = recent.first() else { return Vec::new() };
    let end = last.completed_at.unwrap_or(last.started_at);
    let signals: BTreeSet<String> = recent
        .iter()
        .filter_map(|(one, _)| one.signal.as_ref()?.get("name")?.as_str().map(words::name))
        .chain(case.signal())
        .collect();
    let signals: Vec<String> = signals.into_iter().take(CASES_FROM).collect();
    let signals = if signals.is_empty() { String::new() } else { format!(" ({})", signals.join(", ")) };
    let target = case.summary.target.as_ref().map_or("this target".to_string(), words::target);
    let text = format!(
        "Remove the cause, not the symptom: {target} had been remediated {} with success in the {RECURS_DAYS} days before, and \
         trouble came back {} after the last time{signals}.",
        words::count(recent.len(), "time"),
        words::duration(words::millis(end, case.summary.started_at).max(0.0)),
    );
    let spent: f64 = recent.iter().map(|(one, _)| one.duration_ms).sum::<f64>() + case.summary.duration_ms;
    let priority = if recent.len() + 1 >= CASES_FROM { Priority::High } else { Priority::Medium };
    let cites = recent.iter().flat_map(|(_, cites)| cites.clone()).chain(case.first()).collect();
    let times = words::count(recent.len() + 1, "remediation");
    vec![
        Fired::new(priority, text, cites)
            .worth(format!("{times} in {RECURS_DAYS} days took {}", words::duration(spent))),
    ]
}

pub fn better_action(case: &Case<'_>) -> Vec<Fired> {
    let Some(action) = case.action() else { return Vec::new() };
    let listed = &case.evidence.similar.outcomes.by_action;
    let Some(here) = listed.iter().find(|one| same_action(&one.action_type, action)) else { return Vec::new() };
    let better = listed.iter().find(|one| {
        let ahead = one.success_rate_low.zip(here.success_rate_low).is_some_and(|(a, b)| a >= b + BETTER_BY);
        !same_action(&one.action_type, action) && one.ended >= CASES_FROM && ahead
    });
    let Some(better) = better else { return Vec::new() };
    let (Some(rate), Some(low)) = (better.success_rate, better.success_rate_low) else { return Vec::new() };
    let (Some(rate_here), Some(low_here)) = (here.success_rate, here.success_rate_low) else { return Vec::new() };
    let text = format!(
        "Consider {} for cases like this one: it succeeded in {} ({}, at least {}), {} in {} ({}, at least {}).",
        words::name(&better.action_type),
        words::of(better.successes, better.ended),
        words::percent(rate),
        words::percent(low),
        words::name(action),
        words::of(here.successes, here.ended),
        words::percent(rate_here),
        words::percent(low_here),
    );
    let told = |action: &str| -> Vec<String> {
        let of = case.similar().filter(|(one, _)| Case::chose(&one.summary, action));
        of.flat_map(|(_, cites)| cites).collect()
    };
    let mut cites = [told(&better.action_type), told(action)].concat();
    if cites.is_empty() {
        cites = case.similar().flat_map(|(_, cites)| cites).collect();
    }
    let helped = case.summary.effective == Some(true);
    let priority = if helped { Priority::Low } else { Priority::Medium };
    let points = words::trimmed((rate - rate_here) * 100.0, 1);
    vec![Fired::new(priority, text, cites).worth(format!("{points} points of success rate, as far as these cases go"))]
}

pub fn slow_phase(case: &Case<'_>) -> Vec<Fired> {
    let Some(phase) = case.summary.bottleneck_phase().filter(|phase| phase.name != PhaseName::ApprovalWait) else {
        return Vec::new();
    };
    let mut cites = case.of_phase(phase.name);
    let mut durations = Vec::new();
    for (similar, cite) in case.similar() {
        let same = similar.summary.phases.iter().find(|other| other.name == phase.name && other.ended_at.is_some());
        if let Some(same) = same {
            durations.push(same.duration_ms);
            cites.extend(cite);
        }
    }
    let count = durations.len();
    let Some(median) = quantile(&mut durations, 0.5) else { return Vec::new() };
    if count < CASES_FROM || phase.duration_ms < median * SLOW_FROM {
        return Vec::new();
    }
    let text = format!(
        "Look into {}: it took {} here, {} on the median of {}.",
        phase.name.in_words(),
        words::duration(phase.duration_ms),
        words::duration(median),
        words::count(count, "similar case")
    );
    let saved = words::duration(phase.duration_ms - median);
    vec![Fired::new(Priority::Medium, text, cites).worth(format!("−{saved}"))]
}
