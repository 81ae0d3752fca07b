//! Counts, rates and durations of a period.

use std::collections::BTreeMap;

use super::{Bucket, Period, Section, Statement, Table, totals};
use crate::{
    audit::{PhaseName, RemediationOutcome},
    remediation::{
        model::Summary,
        outcomes::{Outcomes, quantile, success},
    },
    report::{
        model::{Column, Row},
        words,
    },
};

/// Most rows of a table.
const ROWS_MAX: usize = 20;

pub(super) const fn column(name: &'static str) -> Column {
    Column { name, figure: false }
}

pub(super) const fn figure(name: &'static str) -> Column {
    Column { name, figure: true }
}

pub fn headline(period: &Period<'_>) -> String {
    let totals = totals(&period.now);
    let count = words::count(totals.count, "remediation");
    match (totals.success_rate, totals.median_duration_ms) {
        (Some(rate), Some(median)) => format!(
            "{count}, {} of those that ended successful ({}), {} on the median",
            words::of(totals.successes, totals.ended),
            words::percent(rate),
            words::duration(median)
        ),
        _ => format!("{count}, none of which has ended"),
    }
}

pub fn summary(period: &Period<'_>) -> Section {
    let (now, before) = (totals(&period.now), totals(&period.before));
    let mut statements = vec![period.say(format!("{}.", headline(period)), &period.now)];
    if let (Some(rate), Some(low)) = (now.success_rate, now.success_rate_low) {
        let ended: Vec<&Summary> = period.now.iter().copied().filter(|one| one.outcome.is_some()).collect();
        let said = format!(
            "Success rate {} (at least {} with 95 % confidence); an assessment judged {} of them.",
            words::percent(rate),
            words::percent(low),
            now.verified
        );
        statements.push(period.say(said, &ended));
    }
    if before.count > 0 {
        let change = match (now.success_rate, before.success_rate) {
            (Some(now), Some(then)) => {
                format!("; the success rate was {} ({})", words::percent(then), points(now - then))
            }
            _ => String::new(),
        };
        let median = before.median_duration_ms.map(|ms| format!(", {} on the median", words::duration(ms)));
        let said = format!(
            "In the equally long time before: {}{}{change}.",
            words::count(before.count, "remediation"),
            median.unwrap_or_default()
        );
        statements.push(period.say(said, &period.before));
    } else {
        statements.push(period.say("Nothing is known of the equally long time before.", &[]));
    }
    if now.approval_wait_ms > 0.0 {
        let mut waited: Vec<&Summary> =
            period.now.iter().copied().filter(|one| super::approval_wait(one) > 0.0).collect();
        waited.sort_by(|a, b| super::approval_wait(b).total_cmp(&super::approval_wait(a)));
        let said = format!(
            "{} waited for approval, {} in all.",
            words::count(waited.len(), "remediation"),
            words::duration(now.approval_wait_ms)
        );
        statements.push(period.say(said, &waited));
    }
    Section { id: "summary", title: "Summary", statements, tables: Vec::new() }
}

/// A change in points of a rate: `3.1 points better now`.
pub(super) fn points(change: f64) -> String {
    let size = words::trimmed(change.abs() * 100.0, 1);
    match change {
        ..-0.0005 => format!("{size} points worse now"),
        0.0005.. => format!("{size} points better now"),
        _ => "as now".to_string(),
    }
}

pub fn outcomes(period: &Period<'_>) -> Section {
    let mut by: BTreeMap<Option<RemediationOutcome>, Vec<&Summary>> = BTreeMap::new();
    for one in &period.now {
        by.entry(one.outcome).or_default().push(one);
    }
    let mut by: Vec<_> = by.into_iter().collect();
    by.sort_by_key(|(_, of)| std::cmp::Reverse(of.len())); // stable: then in the order of outcomes
    let rows: Vec<Row> = by
        .iter()
        .map(|(outcome, of)| {
            let name = outcome.map_or("still running", RemediationOutcome::in_words);
            let share = words::percent(of.len() as f64 / period.now.len() as f64);
            period.row(vec![words::capital(name), of.len().to_string(), share], false, of)
        })
        .collect();
    let said = match by.first() {
        Some((outcome, of)) => {
            let name = outcome.map_or("still running", RemediationOutcome::in_words);
            period.say(format!("Most frequent: {name}, {}.", words::of(of.len(), period.now.len())), of)
        }
        None => period.say("No remediation began in this time.", &[]),
    };
    let table = Table {
        caption: "What came of them.".to_string(),
        columns: vec![column("Outcome"), figure("Remediations"), figure("Share")],
        rows,
    };
    section("outcomes", "Outcomes", vec![said], table)
}

pub(super) fn section(id: &'static str, title: &'static str, statements: Vec<Statement>, table: Table) -> Section {
    let tables = if table.rows.is_empty() { Vec::new() } else { vec![table] };
    Section { id, title, statements, tables }
}

/// Remediations by a name that they may have.
pub(super) fn grouped<'a>(
    of: &[&'a Summary],
    name: impl Fn(&Summary) -> Option<String>,
) -> BTreeMap<String, Vec<&'a Summary>> {
    let mut groups: BTreeMap<String, Vec<&Summary>> = BTreeMap::new();
    for one in of {
        if let Some(name) = name(one) {
            groups.entry(name).or_default().push(one);
        }
    }
    groups
}

/// The action that was chosen last, whichever way it is spelt: `RestartPod` and `restart_pod` are one.
pub(super) fn action(summary: &Summary) -> Option<String> {
    let action = summary.action_types.last()?;
    let mut spelt = String::with_capacity(action.len() + 4);
    for c in action.chars() {
        if c.is_uppercase() && !spelt.is_empty() && !spelt.ends_with(['_', '-']) {
            spelt.push('_');
        }
        spelt.extend(c.to_lowercase());
    }
    Some(words::name(&spelt.replace('-', "_")))
}

pub fn actions(period: &Period<'_>) -> Section {
    let (statement, table) = rates(period, "action", "Success by action", action);
    section("actions", "Success by action", vec![statement], table)
}

pub fn environments(period: &Period<'_>) -> Section {
    let environment = |one: &Summary| one.environment.as_deref().map(words::name);
    let (statement, table) = rates(period, "environment", "Success by environment", environment);
    section("environments", "Success by environment", vec![statement], table)
}

fn rates(
    period: &Period<'_>,
    noun: &'static str,
    caption: &str,
    name: impl Fn(&Summary) -> Option<String>,
) -> (Statement, Table) {
    let groups = grouped(&period.now, name);
    let mut rated: Vec<(String, Outcomes, Vec<&Summary>)> =
        groups.into_iter().map(|(name, of)| (name, Outcomes::of(of.iter().copied()), of)).collect();
    rated.sort_by_key(|(_, outcomes, _)| std::cmp::Reverse(outcomes.count)); // stable: then by name
    let left = rated.len().saturating_sub(ROWS_MAX);
    let worst = rated.iter().filter(|(_, outcomes, _)| outcomes.ended > 0).min_by(|(_, a, _), (_, b, _)| {
        a.success_rate.unwrap_or(1.0).total_cmp(&b.success_rate.unwrap_or(1.0)).then(b.ended.cmp(&a.ended))
    });
    let said = match worst {
        Some((name, outcomes, of)) => {
            let failed: Vec<&Summary> =
                of.iter().copied().filter(|one| one.outcome.is_some() && !success(one)).collect();
            let rate = outcomes.success_rate.map(words::percent).unwrap_or_default();
            let ended = words::of(outcomes.successes, outcomes.ended);
            period.say(format!("Least successful: {name}, {ended} that ended ({rate})."), &failed)
        }
        None => period.say(format!("None with a known {noun} has ended."), &[]),
    };
    let shown = |value: Option<f64>, how: fn(f64) -> String| value.map(how).unwrap_or_default();
    let rows = rated.iter().take(ROWS_MAX).map(|(name, outcomes, of)| {
        let cells = vec![
            name.clone(),
            outcomes.count.to_string(),
            words::of(outcomes.successes, outcomes.ended),
            shown(outcomes.success_rate, words::percent),
            shown(outcomes.success_rate_low, words::percent),
            shown(outcomes.median_duration_ms, words::duration),
            shown(outcomes.mean_effectiveness, words::score),
        ];
        period.row(cells, false, of)
    });
    let left = if left > 0 { format!(" {left} with fewer remediations are left out.") } else { String::new() };
    let first = if noun == "action" { column("Action") } else { column("Environment") };
    let table = Table {
        caption: format!("{caption}. “At least” is the lower end of Wilson's 95 % interval.{left}"),
        columns: vec![
            first,
            figure("Remediations"),
            figure("Successful"),
            figure("Rate"),
            figure("At least"),
            figure("Median"),
            figure("Mean score"),
        ],
        rows: rows.collect(),
    };
    (said, table)
}

pub fn phases(period: &Period<'_>) -> Section {
    let whole: f64 = period.now.iter().map(|one| one.duration_ms).sum();
    let mut told: Vec<(PhaseName, Vec<(f64, &Summary)>)> = PhaseName::ALL
        .into_iter()
        .map(|name| {
            let of = period
                .now
                .iter()
                .filter_map(|one| Some((one.phases.iter().find(|phase| phase.name == name)?.duration_ms, *one)));
            let mut of: Vec<(f64, &Summary)> = of.collect();
            of.sort_by(|a, b| b.0.total_cmp(&a.0));
            (name, of)
        })
        .filter(|(_, of)| !of.is_empty())
        .collect();
    let sum = |of: &[(f64, &Summary)]| of.iter().map(|(ms, _)| ms).sum::<f64>();
    told.sort_by(|(_, a), (_, b)| sum(b).total_cmp(&sum(a)));
    let rows = told.iter().map(|(name, of)| {
        let mut durations: Vec<f64> = of.iter().map(|(ms, _)| *ms).collect();
        let slowest = of.iter().filter(|(_, one)| one.bottleneck == Some(*name)).count();
        let cells = vec![
            words::phase(*name).to_string(),
            of.len().to_string(),
            words::duration(sum(of)),
            quantile(&mut durations, 0.5).map(words::duration).unwrap_or_default(),
            quantile(&mut durations, 0.9).map(words::duration).unwrap_or_default(),
            slowest.to_string(),
        ];
        period.row(cells, false, &of.iter().map(|(_, one)| *one).collect::<Vec<_>>())
    });
    let rows = rows.collect();
    let said = match told.first() {
        Some((name, of)) => {
            let said = format!(
                "Most time went into {}: {} of {} that the remediations took together. Phases may overlap and go on after \
                 the end.",
                name.in_words(),
                words::duration(sum(of)),
                words::duration(whole)
            );
            period.say(said, &of.iter().map(|(_, one)| *one).collect::<Vec<_>>())
        }
        None => period.say("No phase is told.", &[]),
    };
    let table = Table {
        caption: "The phases, the longest in sum first. The remediations named are those in which it took longest."
            .to_string(),
        columns: vec![
            column("Phase"),
            figure("Remediations"),
            figure("Sum"),
            figure("Median"),
            figure("90 % within"),
            figure("Bottleneck in"),
        ],
        rows,
    };
    section("phases", "Slowest phases", vec![said], table)
}

pub fn trend(period: &Period<'_>, buckets: &[Bucket]) -> Section {
    let within = |bucket: &Bucket| -> Vec<&Summary> {
        period.now.iter().copied().filter(|one| (bucket.from..bucket.to).contains(&one.started_at)).collect()
    };
    let busiest = buckets.iter().rev().max_by_key(|bucket| bucket.count).filter(|bucket| bucket.count > 0);
    let said = match busiest {
        Some(bucket) => {
            let said = format!(
                "Most began from {} on: {}.",
                bucket.from.format("%Y-%m-%d"),
                words::count(bucket.count, "remediation")
            );
            period.say(said, &within(bucket))
        }
        None => period.say("No remediation began in this time.", &[]),
    };
    let rows = buckets.iter().filter(|bucket| bucket.count > 0).map(|bucket| {
        let mut cells = vec![bucket.from.format("%Y-%m-%d").to_string(), bucket.count.to_string()];
        cells.extend(bucket.classes.iter().map(usize::to_string));
        cells.push(bucket.success_rate.map(words::percent).unwrap_or_default());
        cells.push(bucket.median_duration_ms.map(words::duration).unwrap_or_default());
        period.row(cells, false, &within(bucket))
    });
    let table = Table {
        caption: "By when they began; spans without any are left out.".to_string(),
        columns: vec![
            column("From"),
            figure("Remediations"),
            figure("Successful"),
            figure("Failed"),
            figure("Refused"),
            figure("Unclear"),
            figure("Running"),
            figure("Success rate"),
            figure("Median"),
        ],
        rows: rows.collect(),
    };
    section("trend", "Trend", vec![said], table)
}
