//! How the report says things: names, quotations, counts and durations. What was recorded is untrusted text: here it
//! becomes one line of bearable length, and the renderers escape it.

use chrono::{DateTime, Utc};

use crate::{
    audit::{Kind, PhaseName, RemediationOutcome, RemediationPhase},
    remediation::model::{Summary, Target},
};

pub use crate::audit::facts::say::{capital, duration, line, millis, percent, trimmed};

/// Longest quotation, in characters.
const QUOTE_MAX: usize = 400;
/// Longest name, in characters.
const NAME_MAX: usize = 120;
/// Longest cell of a table, in characters.
const CELL_MAX: usize = 280;

/// What somebody wrote, in one line, as a quotation.
pub fn quote(text: &str) -> String {
    // Quotation marks within would end it early.
    let text: String = text.chars().map(|c| if matches!(c, '“' | '”') { '"' } else { c }).collect();
    format!("“{}”", cut(&line(&text), QUOTE_MAX).trim_end_matches('.'))
}

/// A name that somebody gave.
pub fn name(text: &str) -> String {
    cut(&line(text), NAME_MAX)
}

/// What fits into a cell of a table.
pub fn cell(text: &str) -> String {
    cut(&line(text), CELL_MAX)
}

/// The beginning of a text, visibly cut where it is longer than `max` characters.
pub fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_string(),
    }
}

/// A word of a closed set: `auto_approved` is `auto approved`.
pub fn word(text: &str) -> String {
    name(&crate::audit::facts::say::words(text))
}

/// A count with its noun: `1 step`, `3 steps`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `3 of 4`.
pub fn of(part: impl std::fmt::Display, whole: impl std::fmt::Display) -> String {
    format!("{part} of {whole}")
}

/// A score as people read it: two decimals, none that say nothing.
pub fn score(score: f64) -> String {
    trimmed(score, 2)
}

/// The time of day, in UTC: `10:05:40Z`. For times within one remediation, beside its date.
pub fn clock(time: DateTime<Utc>) -> String {
    time.format("%H:%M:%SZ").to_string()
}

/// A distance from the start, to the second: `+3:04`; of the first seconds also the tenth: `+0:01.4`.
pub fn offset(ms: f64) -> String {
    let grain = if ms.abs() < 10_000.0 { 100.0 } else { 1_000.0 };
    let told = crate::audit::facts::say::offset((ms / grain).round() * grain);
    if told.contains('.') { told.trim_end_matches('0').to_string() } else { told }
}

/// To the second, for people: `2026-05-04 10:05:40Z`.
pub fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// From one moment to another: `2026-05-04 10:00:00Z – 10:05:40Z`.
pub fn span(start: DateTime<Utc>, end: DateTime<Utc>) -> String {
    let end = if start.date_naive() == end.date_naive() { clock(end) } else { moment(end) };
    format!("{} – {end}", moment(start))
}

/// `Deployment payments/api`.
pub fn target(target: &Target) -> String {
    let namespace = target.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    name(&format!("{} {namespace}{}", target.kind, target.name))
}

pub fn service(kind: Kind) -> &'static str {
    match kind {
        Kind::Orchestration => "Orchestrator",
        Kind::SignalProcessing => "Signal processing",
        Kind::AiAnalysis => "AI analysis",
        Kind::WorkflowExecution => "Workflow execution",
        Kind::Notification => "Notification",
        Kind::Effectiveness => "Effectiveness monitor",
        Kind::Other => "Other services",
    }
}

/// The phase as the title of a row: `Approval wait`.
pub fn phase(name: PhaseName) -> &'static str {
    match name {
        PhaseName::Intake => "Intake",
        PhaseName::SignalProcessing => "Signal processing",
        PhaseName::AiAnalysis => "AI analysis",
        PhaseName::ApprovalWait => "Approval wait",
        PhaseName::WorkflowExecution => "Workflow execution",
        PhaseName::Verification => "Verification",
        PhaseName::Notification => "Notification",
    }
}

/// Where a remediation stands that is not over.
pub fn standing(phase: RemediationPhase) -> &'static str {
    match phase {
        RemediationPhase::Pending => "accepted, not begun",
        RemediationPhase::Intake => "in intake",
        RemediationPhase::SignalProcessing => "in signal processing",
        RemediationPhase::AiAnalysis => "in AI analysis",
        RemediationPhase::ApprovalWait => "waiting for approval",
        RemediationPhase::WorkflowExecution => "in workflow execution",
        RemediationPhase::Verification => "in verification",
        RemediationPhase::Notification => "in notification",
        RemediationPhase::Blocked => "blocked",
        RemediationPhase::Completed => "completed",
        RemediationPhase::Failed => "failed",
        RemediationPhase::TimedOut => "timed out",
        RemediationPhase::Skipped => "skipped",
        RemediationPhase::Cancelled => "cancelled",
    }
}

/// What came of a remediation, in a few words.
pub fn outcome(summary: &Summary) -> String {
    let Some(outcome) = summary.outcome else { return standing(summary.phase).to_string() };
    let verdict = match (outcome, summary.effective) {
        (RemediationOutcome::Remediated, Some(true)) => ", found effective",
        (RemediationOutcome::Remediated, Some(false)) => ", found not effective",
        _ => "",
    };
    format!("{}{verdict}", outcome.in_words())
}

/// Several things in a sentence: `a, b and c`.
pub fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The units of a duration, the longer spelling of a beginning first.
const UNITS: [(&str, f64); 8] = [
    ("ms", 1.0),
    ("us", 1e-3),
    ("µs", 1e-3),
    ("ns", 1e-6),
    ("s", 1_000.0),
    ("m", 60_000.0),
    ("h", 3_600_000.0),
    ("d", 86_400_000.0),
];

/// The milliseconds of a duration as Go writes it, such as `15m` or `1h30m`, and of whole days: `2d`.
pub fn read_duration(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut ms = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        ms += number * factor;
        rest = &rest[digits + unit.len()..];
    }
    (ms > 0.0 && ms.is_finite()).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, ms) in [
            ("15m", 900_000.0),
            ("1h30m", 5_400_000.0),
            ("1.5h", 5_400_000.0),
            ("90s", 90_000.0),
            ("2d", 172_800_000.0),
        ] {
            assert_eq!(read_duration(text), Some(ms), "{text}");
        }
        for text in ["", "15", "m", "soon", "15 m", "-5m", "1h30", "0s", "..s", "1e9h"] {
            assert_eq!(read_duration(text), None, "{text}");
        }
    }

    #[test]
    fn an_offset_is_as_fine_as_people_read_it() {
        let told: Vec<_> = [0.0, 789.0, 1_436.0, 10_436.0, 340_000.0, -2_000.0].map(offset).into_iter().collect();
        assert_eq!(told, ["+0:00", "+0:00.8", "+0:01.4", "+0:10", "+5:40", "-0:02"]);
    }

    #[test]
    fn a_quotation_is_one_line_that_ends_in_time() {
        assert_eq!(quote("It\n“leaks”. "), "“It \"leaks\"”");
        assert_eq!(quote(&"ä".repeat(900)).chars().count(), QUOTE_MAX + 3);
    }
}
