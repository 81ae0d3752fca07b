//! The timeline, and its decision points.

use std::collections::BTreeSet;

use crate::{
    remediation::model::{Decision, TimelineEntry},
    report::{
        case::Case,
        model::{Moment, Row, Section, Statement, Table},
        words,
    },
};

use super::{column, figure};

/// Most moments that the report shows; decision points are kept, and the first and last of the others.
pub const MOMENTS_MAX: usize = 200;
/// Most decision points that are told in words.
const DECISIONS_MAX: usize = 20;

pub fn section(case: &Case<'_>) -> Section {
    let entries = &case.evidence.remediation.timeline;
    let kept = kept(entries);
    let mut statements = vec![extent(case, entries, kept.len())];
    let decisions = entries.iter().filter_map(|entry| Some((entry, entry.decision.as_ref()?)));
    for (number, (entry, decision)) in (1..=DECISIONS_MAX).zip(decisions) {
        statements.push(decided(case, number, entry, decision));
    }
    Section { id: "timeline", title: "Timeline and decision points", statements, tables: vec![table(case)] }
}

fn extent(case: &Case<'_>, entries: &[TimelineEntry], shown: usize) -> Statement {
    let decisions = entries.iter().filter(|entry| entry.decision.is_some()).count();
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return case.say("Nothing is told.", case.cite.last());
    };
    let mut said = format!(
        "{} from {} to {}, {} among them.",
        words::count(entries.len(), "fact"),
        words::moment(first.at),
        words::moment(last.at),
        words::count(decisions, "decision point")
    );
    if shown < entries.len() {
        said.push_str(&format!(" {} from the middle are left out here.", entries.len() - shown));
    }
    case.say(said, case.cite.events([first.event_id, last.event_id]))
}

fn decided(case: &Case<'_>, number: usize, entry: &TimelineEntry, decision: &Decision) -> Statement {
    let by = decision.by.as_ref().map(|actor| actor.display_name.as_ref().unwrap_or(&actor.id));
    let by = by.map(|by| format!(", by {}", words::name(by))).unwrap_or_default();
    let sure = decision.confidence.map(|sure| format!(" ({} sure)", words::percent(sure))).unwrap_or_default();
    let why = decision.rationale.as_ref().map(|why| format!(" Why: {}.", words::quote(why))).unwrap_or_default();
    let others: Vec<String> = decision.alternatives.iter().map(|other| words::name(&other.option)).collect();
    let others = if others.is_empty() { String::new() } else { format!(" Not chosen: {}.", words::listed(&others)) };
    let question = words::name(&decision.question);
    let question = if question.ends_with('?') { question } else { format!("{question}?") };
    let said = format!(
        "Decision {number}, at {}: {} Answer: {}{sure}{by}.{why}{others}",
        words::offset(entry.offset_ms),
        words::capital(&question),
        words::name(&decision.chosen),
    );
    case.say(said, case.cite.events([entry.event_id]))
}

/// The indexes of the moments that the report shows.
fn kept(entries: &[TimelineEntry]) -> BTreeSet<usize> {
    if entries.len() <= MOMENTS_MAX {
        return (0..entries.len()).collect();
    }
    let decisions = (0..entries.len()).filter(|index| entries[*index].decision.is_some());
    let mut kept: BTreeSet<usize> = decisions.take(MOMENTS_MAX / 2).collect();
    let mut ends = (0..entries.len()).flat_map(|step| [step, entries.len() - 1 - step]);
    while kept.len() < MOMENTS_MAX
        && let Some(index) = ends.next()
    {
        kept.insert(index);
    }
    kept
}

pub fn moments(case: &Case<'_>) -> Vec<Moment> {
    let entries = &case.evidence.remediation.timeline;
    let kept = kept(entries);
    let mut decisions = 0;
    let mut moments = Vec::with_capacity(kept.len());
    for (index, entry) in entries.iter().enumerate() {
        decisions += usize::from(entry.decision.is_some());
        let Some(cite) = case.cite.events([entry.event_id]).pop().filter(|_| kept.contains(&index)) else { continue };
        moments.push(Moment {
            at: entry.at,
            offset_ms: entry.offset_ms,
            duration_ms: entry.duration_ms,
            service: entry.service,
            phase: entry.phase,
            title: words::cell(&entry.title),
            detail: entry.detail.as_deref().map(words::cell),
            decision: entry.decision.as_ref().map(|_| decisions),
            recorded_late_by_ms: entry.recorded_late_by_ms,
            cite,
        });
    }
    moments
}

fn table(case: &Case<'_>) -> Table {
    let mut told_late = BTreeSet::new();
    let rows = moments(case).into_iter().map(|mut moment| {
        // Once for each event is enough.
        moment.recorded_late_by_ms = moment.recorded_late_by_ms.filter(|_| told_late.insert(moment.cite.clone()));
        row(case, moment)
    });
    let rows = rows.collect();
    Table {
        caption: "Everything that is told, in the order in which it happened. ◆ marks a decision point.".to_string(),
        columns: vec![figure("At"), column("UTC"), column("Service"), column("What"), figure("Took")],
        rows,
    }
}

fn row(case: &Case<'_>, moment: Moment) -> Row {
    let mark = moment.decision.map(|number| format!("◆ {number} ")).unwrap_or_default();
    let detail = moment.detail.map(|detail| format!(" — {detail}")).unwrap_or_default();
    let late = moment.recorded_late_by_ms.map(|ms| format!(" (recorded {} late)", words::duration(ms)));
    let cells = vec![
        words::offset(moment.offset_ms),
        words::clock(moment.at),
        words::service(moment.service).to_string(),
        format!("{mark}{}{detail}{}", moment.title, late.unwrap_or_default()),
        moment.duration_ms.map(words::duration).unwrap_or_default(),
    ];
    case.row(cells, moment.decision.is_some(), vec![moment.cite])
}
