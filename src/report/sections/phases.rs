//! How long each phase took, and which of them was the bottleneck.

use crate::{
    audit::{Kind, PhaseName, facts::Fields},
    remediation::model,
    report::{
        case::Case,
        model::{Interval, Phase, Row, Section, Statement, Table},
        words,
    },
};

use super::{column, figure};

/// From this share of the whole on, what no phase covers is worth a sentence.
const UNACCOUNTED_FROM: f64 = 0.05;

pub fn section(case: &Case<'_>) -> Section {
    let mut statements = vec![whole(case)];
    statements.extend(bottleneck(case));
    statements.extend(waiting(case));
    statements.extend(unaccounted(case));
    let tables = if case.summary.phases.is_empty() { Vec::new() } else { vec![table(case)] };
    Section { id: "phases", title: "Phase durations", statements, tables }
}

fn whole(case: &Case<'_>) -> Statement {
    let summary = case.summary;
    let took = words::duration(summary.duration_ms);
    let said = match summary.completed_at {
        Some(_) => format!("From the first fact to the end it took {took}."),
        None => format!("From the first fact to the last that is told it has taken {took}; it is not over."),
    };
    let mut cites = case.first();
    cites.extend(case.ending());
    case.say(said, cites)
}

fn bottleneck(case: &Case<'_>) -> Option<Statement> {
    let phase = case.summary.bottleneck_phase()?;
    let mut said = format!("The bottleneck was {}: {}.", phase.name.in_words(), took(phase));
    let told =
        case.rows(Kind::Orchestration).find_map(|row| Some((row, Fields::Map(&row.fields).text("bottleneckPhase")?)));
    let mut cites = case.of_phase(phase.name);
    if let Some((row, told)) = told
        && crate::audit::RemediationPhase::read(told).and_then(crate::audit::RemediationPhase::spends)
            != Some(phase.name)
    {
        said.push_str(&format!(" The orchestrator itself names {}.", words::word(told)));
        cites.extend(case.told(row, &["bottleneckPhase"]));
    }
    Some(case.say(said, cites))
}

/// How long a phase took, its share, and how much of it was left to settle: `7 m 48 s, 58.4 % of the whole, 5 m of it
/// planned stabilisation`.
pub fn took(phase: &model::Phase) -> String {
    let share = phase.share.map(|share| format!(", {} of the whole", words::percent(share))).unwrap_or_default();
    let waits = phase.intervals.iter().filter(|span| span.waiting && phase.name != PhaseName::ApprovalWait);
    let planned: f64 = waits.filter_map(|span| Some(words::millis(span.started_at, span.ended_at?))).sum();
    let planned = if planned > 0.0 {
        format!(", {} of it planned stabilisation", words::duration(planned))
    } else {
        String::new()
    };
    format!("{}{share}{planned}", words::duration(phase.duration_ms))
}

/// How much of the whole was waiting, on people or on purpose.
fn waiting(case: &Case<'_>) -> Option<Statement> {
    let measured = measured(case);
    let waits = |phase: &Phase| phase.intervals.iter().filter(|span| span.waiting).map(|span| span.duration_ms).sum();
    let waits: Vec<(PhaseName, f64)> =
        measured.iter().map(|phase| (phase.name, waits(phase))).filter(|(_, ms)| *ms > 0.0).collect();
    let said: Vec<String> = waits
        .iter()
        .map(|(name, ms)| match name {
            PhaseName::ApprovalWait => format!("{} for a person's decision", words::duration(*ms)),
            _ => format!("{} of planned stabilisation", words::duration(*ms)),
        })
        .collect();
    if said.is_empty() {
        return None;
    }
    let cites = waits.iter().flat_map(|(name, _)| case.of_phase(*name)).collect();
    Some(case.say(format!("Waiting, not work: {}.", words::listed(&said)), cites))
}

fn unaccounted(case: &Case<'_>) -> Option<Statement> {
    let summary = case.summary;
    let share = summary.unaccounted_ms / summary.duration_ms;
    if !share.is_finite() || share < UNACCOUNTED_FROM {
        return None;
    }
    let said = format!(
        "{} ({}) belong to no phase: no service tells what went on then.",
        words::duration(summary.unaccounted_ms),
        words::percent(share)
    );
    let mut cites = case.first();
    cites.extend(case.ending());
    Some(case.say(said, cites))
}

fn table(case: &Case<'_>) -> Table {
    let rows = measured(case).iter().map(|phase| row(case, phase)).collect();
    Table {
        caption: "The phases. Shares are of the remediation's own duration; what came after its end has none.".into(),
        columns: vec![column("Phase"), figure("From"), figure("Took"), figure("Share"), column("Notes")],
        rows,
    }
}

fn row(case: &Case<'_>, phase: &Phase) -> Row {
    let mut notes = Vec::new();
    if phase.bottleneck {
        notes.push("bottleneck".to_string());
    }
    let waits: f64 = phase.intervals.iter().filter(|span| span.waiting).map(|span| span.duration_ms).sum();
    if waits > 0.0 && phase.name != PhaseName::ApprovalWait {
        notes.push(format!("{} of it planned stabilisation", words::duration(waits)));
    }
    let worked = phase.intervals.iter().filter(|span| !span.waiting).count();
    if worked > 1 {
        notes.push(format!("{worked} times"));
    }
    if phase.open {
        notes.push("still open".to_string());
    }
    if phase.share.is_none() && case.summary.completed_at.is_some() {
        notes.push("after the end".to_string());
    }
    let cells = vec![
        words::phase(phase.name).to_string(),
        words::offset(phase.offset_ms),
        words::duration(phase.duration_ms),
        phase.share.map(words::percent).unwrap_or_default(),
        notes.join(", "),
    ];
    case.row(cells, phase.bottleneck, case.of_phase(phase.name))
}

/// The phases, measured from the remediation's start.
pub fn measured(case: &Case<'_>) -> Vec<Phase> {
    case.summary.phases.iter().map(|phase| measure(case, phase)).collect()
}

fn measure(case: &Case<'_>, phase: &model::Phase) -> Phase {
    let start = case.summary.started_at;
    // What the fold has measured of an open interval is what the others leave of the phase's duration.
    let closed = |span: &model::Interval| span.ended_at.map(|end| words::millis(span.started_at, end));
    let open_ms = phase.duration_ms - phase.intervals.iter().filter_map(closed).sum::<f64>();
    let intervals = phase.intervals.iter().map(|span| Interval {
        offset_ms: words::millis(start, span.started_at),
        duration_ms: closed(span).unwrap_or(open_ms.max(0.0)),
        waiting: span.waiting,
    });
    Phase {
        name: phase.name,
        offset_ms: words::millis(start, phase.started_at),
        duration_ms: phase.duration_ms,
        share: phase.share,
        bottleneck: case.summary.bottleneck == Some(phase.name),
        open: phase.ended_at.is_none(),
        intervals: intervals.collect(),
    }
}
