//! Similar remediations: what came of them, which actions worked, how it has gone lately, and what was done to the same
//! target before.

use crate::{
    remediation::{
        model::Summary,
        outcomes::{ActionOutcomes, Outcomes, success},
    },
    report::{
        case::{Case, NAMED_MAX, same_action},
        model::{Row, Section, Statement, Table},
        words,
    },
    search::similar::{Match, Similar},
};

use super::{column, figure};

/// Most actions that the statistics name.
const ACTIONS_MAX: usize = 6;
/// So many ended remediations at least, before a rate is compared with another.
const COMPARABLE_FROM: usize = 5;

pub fn section(case: &Case<'_>) -> Section {
    let named: Vec<_> = case.similar().take(NAMED_MAX).collect();
    let mut statements = Vec::new();
    let mut tables = Vec::new();
    if named.is_empty() {
        statements.push(case.say(nothing_found(case), looked_by(case)));
    } else {
        let cites: Vec<String> = named.iter().flat_map(|(_, cites)| cites.clone()).collect();
        statements.push(case.say(found(case, named[0].0.by), cites.clone()));
        statements.push(case.say(trend(case), cites.clone()));
        tables.push(nearest(case, &named));
        tables.extend(actions(case, &cites));
    }
    if !case.evidence.similar.complete {
        let said =
            "Not everything recorded by then was embedded yet, so some that are similar may not have been found.";
        statements.push(case.say(said, looked_by(case)));
    }
    let before: Vec<_> = case.earlier().take(NAMED_MAX).collect();
    statements.push(same_target(case, &before));
    if !before.is_empty() {
        tables.push(earlier(case, &before));
    }
    Section { id: "similar-remediations", title: "Similar remediations and trend", statements, tables }
}

/// What was compared: the text of the signal and the cause.
fn looked_by(case: &Case<'_>) -> Vec<String> {
    let cause = case.cite.events(case.summary.root_cause.iter().map(|cause| cause.event_id));
    if cause.is_empty() { case.told_anywhere(&["signal"]) } else { cause }
}

fn nothing_found(case: &Case<'_>) -> String {
    match (&case.evidence.similar.model, case.evidence.similar.nearest.is_empty()) {
        (_, false) => "Similar remediations were found, but none that can be cited.".to_string(),
        (Some(_), true) => "No similar remediation was found by meaning.".to_string(),
        (None, true) => {
            "No earlier remediation of the same signal was found; nothing was compared by meaning.".to_string()
        }
    }
}

fn found(case: &Case<'_>, by: Match) -> String {
    let outcomes = &case.evidence.similar.outcomes;
    let (count, noun) = (outcomes.count, if outcomes.count == 1 { "remediation is" } else { "remediations are" });
    let how = match by {
        Match::Meaning => format!("{count} earlier {noun} like this one by the meaning of symptoms and causes"),
        Match::Signal => format!("{count} earlier {noun} of the same signal; nothing was compared by meaning"),
    };
    format!("{how}. {}", came_of(outcomes))
}

/// What came of them, in a sentence.
fn came_of(outcomes: &Outcomes) -> String {
    let (Some(rate), Some(low)) = (outcomes.success_rate, outcomes.success_rate_low) else {
        return "None of them has ended.".to_string();
    };
    let median = outcomes.median_duration_ms.map(|ms| format!(", in {} (median)", words::duration(ms)));
    format!(
        "{} that ended did what they were for ({}; at least {} with 95 % confidence){}.",
        words::of(outcomes.successes, outcomes.ended),
        words::percent(rate),
        words::percent(low),
        median.unwrap_or_default()
    )
}

fn trend(case: &Case<'_>) -> String {
    let similar = &case.evidence.similar;
    let until = similar.until.format("%Y-%m-%d");
    let (recent, all) = (&similar.recent, &similar.outcomes);
    let (Some(rate), Some(median)) = (recent.success_rate, recent.median_duration_ms) else {
        return format!("In the 30 days before {until} none of them ended.");
    };
    let mut said = format!(
        "In the 30 days before {until}: {} similar, {} successful ({}), {} on the median.",
        recent.count,
        words::of(recent.successes, recent.ended),
        words::percent(rate),
        words::duration(median)
    );
    if let Some(ever) = all.success_rate
        && recent.ended >= COMPARABLE_FROM
        && all.ended >= recent.ended + COMPARABLE_FROM
    {
        let points = (rate - ever) * 100.0;
        said.push_str(&match points {
            ..-0.05 => format!(" That is {} points worse than over the whole time.", words::trimmed(-points, 1)),
            0.05.. => format!(" That is {} points better than over the whole time.", words::trimmed(points, 1)),
            _ => " That is as over the whole time.".to_string(),
        });
    }
    said
}

fn nearest(case: &Case<'_>, named: &[(&Similar, Vec<String>)]) -> Table {
    let left = case.evidence.similar.outcomes.count.saturating_sub(named.len());
    let left = if left > 0 { format!(" {left} more are counted above.") } else { String::new() };
    let rows = named.iter().map(|(similar, cites)| {
        let likeness = similar.similarity.map_or("same signal".to_string(), words::percent);
        let mut cells = vec![likeness];
        cells.extend(cells_of(case, &similar.summary));
        case.row(cells, false, cites.clone())
    });
    Table {
        caption: format!("The nearest.{left}"),
        columns: vec![
            figure("Likeness"),
            column("Remediation"),
            column("Began"),
            column("Action"),
            column("Outcome"),
            figure("Took"),
        ],
        rows: rows.collect(),
    }
}

fn cells_of(case: &Case<'_>, summary: &Summary) -> Vec<String> {
    let stream = &summary.stream;
    let elsewhere = stream.cluster_id != case.summary.stream.cluster_id;
    let elsewhere = if elsewhere { format!(" in {}", stream.cluster_id) } else { String::new() };
    vec![
        words::name(&format!("{}{elsewhere}", stream.remediation_id)),
        words::moment(summary.started_at),
        summary.action_types.last().map(|action| words::name(action)).unwrap_or_default(),
        words::outcome(summary),
        words::duration(summary.duration_ms),
    ]
}

fn actions(case: &Case<'_>, cites: &[String]) -> Option<Table> {
    let listed = &case.evidence.similar.outcomes.by_action;
    let here = case.action();
    let rows: Vec<Row> = listed
        .iter()
        .take(ACTIONS_MAX)
        .map(|action| {
            let of: Vec<String> = case
                .similar()
                .filter(|(similar, _)| Case::chose(&similar.summary, &action.action_type))
                .flat_map(|(_, cites)| cites)
                .collect();
            let of = if of.is_empty() { cites.to_vec() } else { of };
            case.row(action_cells(action), here.is_some_and(|here| same_action(here, &action.action_type)), of)
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        caption: "What came of each action in similar cases. “At least” is the lower end of Wilson's 95 % interval."
            .into(),
        columns: vec![
            column("Action"),
            figure("Cases"),
            figure("Successful"),
            figure("Rate"),
            figure("At least"),
            figure("Median"),
            figure("Mean score"),
        ],
        rows,
    })
}

fn action_cells(action: &ActionOutcomes) -> Vec<String> {
    let shown = |value: Option<f64>, how: fn(f64) -> String| value.map(how).unwrap_or_default();
    vec![
        words::name(&action.action_type),
        action.count.to_string(),
        words::of(action.successes, action.ended),
        shown(action.success_rate, words::percent),
        shown(action.success_rate_low, words::percent),
        shown(action.median_duration_ms, words::duration),
        shown(action.mean_effectiveness, words::score),
    ]
}

fn same_target(case: &Case<'_>, before: &[(&Summary, Vec<String>)]) -> Statement {
    let Some((last, _)) = before.first() else {
        let said = match case.summary.target {
            Some(_) => "No earlier remediation of the same target is known.",
            None => "The target is not told, so earlier remediations of it cannot be found.",
        };
        let told = case.told_anywhere(&["target"]);
        return case.say(said, told);
    };
    let worked = before.iter().filter(|(summary, _)| success(summary)).count();
    let ago = words::duration(words::millis(last.started_at, case.summary.started_at));
    let said = format!(
        "The same target had been remediated before: {} shown here, {worked} with success; the last began {ago} earlier.",
        words::count(before.len(), "time")
    );
    case.say(said, before.iter().flat_map(|(_, cites)| cites.clone()).collect())
}

fn earlier(case: &Case<'_>, before: &[(&Summary, Vec<String>)]) -> Table {
    let rows = before.iter().map(|(summary, cites)| {
        let signal = summary.signal.as_ref().and_then(|signal| signal.get("name")?.as_str()).unwrap_or_default();
        let mut cells = cells_of(case, summary);
        cells.insert(2, words::name(signal));
        case.row(cells, !success(summary), cites.clone())
    });
    Table {
        caption: "Earlier remediations of the same target.".to_string(),
        columns: vec![
            column("Remediation"),
            column("Began"),
            column("Signal"),
            column("Action"),
            column("Outcome"),
            figure("Took"),
        ],
        rows: rows.collect(),
    }
}
