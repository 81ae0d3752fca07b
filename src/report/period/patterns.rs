//! What a period shows beyond its figures: what got worse, what could run by itself, what keeps coming back.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Period, Section, Table, approval_wait, signal,
    statistics::{action, column, figure, grouped, points, section},
};
use crate::{
    remediation::{
        model::Summary,
        outcomes::{Outcomes, success, wilson_low},
    },
    report::words,
};

/// So many that ended, in both times, before they are compared.
const COMPARABLE_FROM: usize = 5;
/// A success rate that fell by this much got worse, and a median that grew by this factor.
const FELL_BY: f64 = 0.1;
const SLOWER_BY: f64 = 1.5;
/// An action was agreed to this often before policy could agree.
const AGREED_FROM: usize = 3;
/// A target that was remediated this often keeps coming back.
const RECURS_FROM: usize = 3;
/// Most lines of a section.
const LINES_MAX: usize = 10;

/// What a remediation is grouped by.
type Name = fn(&Summary) -> Option<String>;

/// Something that got worse against the time before.
struct Regression<'a> {
    /// How much worse, to put the worst first: points of success rate or the logarithm of a factor.
    size: f64,
    text: String,
    of: Vec<&'a Summary>,
}

pub fn regressions(period: &Period<'_>) -> Section {
    let mut found = Vec::new();
    for (noun, name) in [("action", action as Name), ("signal", signal)] {
        let before = grouped(&period.before, name);
        for (name, of) in grouped(&period.now, name) {
            if let Some(then) = before.get(&name) {
                found.extend(compared(noun, &name, of, then));
            }
        }
    }
    found.sort_by(|a, b| b.size.total_cmp(&a.size)); // stable: then by noun and name
    let mut statements: Vec<_> =
        found.iter().take(LINES_MAX).map(|one| period.say(one.text.clone(), &one.of)).collect();
    if statements.is_empty() {
        let said = format!(
            "Nothing got clearly worse against the time before: no action and no signal with at least {COMPARABLE_FROM} cases \
             in both times lost {} points of success or took {SLOWER_BY} times as long.",
            FELL_BY * 100.0
        );
        statements.push(period.say(said, &[]));
    }
    Section { id: "regressions", title: "What got worse", statements, tables: Vec::new() }
}

fn compared<'a>(noun: &str, name: &str, of: Vec<&'a Summary>, then: &[&Summary]) -> Vec<Regression<'a>> {
    let (now, before) = (Outcomes::of(of.iter().copied()), Outcomes::of(then.iter().copied()));
    if now.ended < COMPARABLE_FROM || before.ended < COMPARABLE_FROM {
        return Vec::new();
    }
    let mut found = Vec::new();
    if let (Some(rate), Some(was)) = (now.success_rate, before.success_rate)
        && was - rate >= FELL_BY
    {
        let failed = of.iter().copied().filter(|one| one.outcome.is_some() && !success(one)).collect();
        let text = format!(
            "Success of the {noun} {name} fell from {} ({}) to {} ({}): {}.",
            words::percent(was),
            words::of(before.successes, before.ended),
            words::percent(rate),
            words::of(now.successes, now.ended),
            points(rate - was)
        );
        found.push(Regression { size: was - rate, text, of: failed });
    }
    if let (Some(median), Some(was)) = (now.median_duration_ms, before.median_duration_ms)
        && was > 0.0
        && median >= was * SLOWER_BY
    {
        let mut slowest = of;
        slowest.sort_by(|a, b| b.duration_ms.total_cmp(&a.duration_ms));
        let text = format!(
            "The {noun} {name} took {} on the median, {} before: {} times as long.",
            words::duration(median),
            words::duration(was),
            words::trimmed(median / was, 1)
        );
        found.push(Regression { size: (median / was).ln(), text, of: slowest });
    }
    found
}

/// What was always agreed to when a person was asked.
pub fn automation(period: &Period<'_>) -> Section {
    let mut asked: BTreeMap<(String, String), Vec<&Summary>> = BTreeMap::new();
    for one in &period.now {
        let by_people = one
            .approvals
            .iter()
            .any(|approval| matches!(approval.decision.as_str(), "approved" | "rejected" | "expired"));
        if let (Some(action), Some(environment), true) = (action(one), one.environment.as_deref(), by_people) {
            asked.entry((action, words::name(environment))).or_default().push(one);
        }
    }
    let agreed = |one: &&Summary| {
        one.approvals.iter().all(|approval| !matches!(approval.decision.as_str(), "rejected" | "expired"))
    };
    let mut always: Vec<_> =
        asked.into_iter().filter(|(_, of)| of.len() >= AGREED_FROM && of.iter().all(agreed)).collect();
    let waited = |of: &[&Summary]| of.iter().map(|one| approval_wait(one)).sum::<f64>();
    always.sort_by(|(_, a), (_, b)| waited(b).total_cmp(&waited(a)));
    let rows = always.iter().take(LINES_MAX).map(|((action, environment), of)| {
        let ended = of.iter().filter(|one| one.outcome.is_some()).count();
        let worked = of.iter().filter(|one| success(one)).count();
        let cells = vec![
            action.clone(),
            environment.clone(),
            of.len().to_string(),
            words::of(worked, ended),
            wilson_low(worked, ended).map(words::percent).unwrap_or_default(),
            words::duration(waited(of)),
        ];
        period.row(cells, false, of)
    });
    let rows = rows.collect();
    let said = match always.first() {
        Some(((action, environment), of)) => {
            let said = format!(
                "People always agreed to {action} in {environment}: {}, which waited {} together.",
                words::count(of.len(), "time"),
                words::duration(waited(of))
            );
            period.say(said, of)
        }
        None => {
            let said =
                format!("No action was agreed to every time, and at least {AGREED_FROM} times, in one environment.");
            period.say(said, &[])
        }
    };
    let table = Table {
        caption:
            "Approvals that were always given. Whether policy may give them depends on how often the action worked."
                .into(),
        columns: vec![
            column("Action"),
            column("Environment"),
            figure("Agreed"),
            figure("Successful"),
            figure("At least"),
            figure("Waited"),
        ],
        rows,
    };
    section("automation", "What could run by itself", vec![said], table)
}

pub fn recurring(period: &Period<'_>) -> Section {
    let target = |one: &Summary| {
        let target = one.target.as_ref().map(words::target)?;
        Some(format!("{target} in {}", words::name(&one.stream.cluster_id)))
    };
    let mut again: Vec<_> =
        grouped(&period.now, target).into_iter().filter(|(_, of)| of.len() >= RECURS_FROM).collect();
    again.sort_by_key(|(_, of)| std::cmp::Reverse(of.len())); // stable: then by name
    let spent = |of: &[&Summary]| of.iter().map(|one| one.duration_ms).sum::<f64>();
    let rows = again.iter().take(LINES_MAX).map(|(target, of)| {
        let signals: BTreeSet<String> = of.iter().filter_map(|one| signal(one)).collect();
        let signals: Vec<String> = signals.into_iter().take(AGREED_FROM).collect();
        let worked = of.iter().filter(|one| success(one)).count();
        let cells = vec![
            target.clone(),
            of.len().to_string(),
            worked.to_string(),
            words::cell(&signals.join(", ")),
            words::duration(spent(of)),
        ];
        period.row(cells, false, of)
    });
    let rows = rows.collect();
    let said = match again.first() {
        Some((target, of)) => {
            let said = format!("{target} was remediated {} times, {} in all.", of.len(), words::duration(spent(of)));
            period.say(said, of)
        }
        None => period.say(format!("No target was remediated {RECURS_FROM} times or more."), &[]),
    };
    let table = Table {
        caption: "Targets that keep coming back: look for the cause behind them.".to_string(),
        columns: vec![
            column("Target"),
            figure("Remediations"),
            figure("Successful"),
            column("Signals"),
            figure("Took together"),
        ],
        rows,
    };
    section("recurring", "Targets that keep coming back", vec![said], table)
}

pub fn provenance(period: &Period<'_>) -> Section {
    let evidence = period.evidence;
    let mut statements = vec![period.say(
        format!(
            "Made by version {} of the rules from {} that began in this time and {} of the equally long time before, as \
             recorded up to watermark {}.",
            super::super::RULES_VERSION,
            words::count(period.now.len(), "remediation"),
            period.before.len(),
            words::name(&evidence.watermark)
        ),
        &[],
    )];
    if evidence.truncated {
        let said =
            "There were more remediations than could be read at once: counts and sums are of those that were read.";
        statements.push(period.say(said, &[]));
    }
    Section { id: "provenance", title: "Provenance", statements, tables: Vec::new() }
}
