//! `binnacle timeline`: a remediation as tables for people, or as JSON for scripts.

mod json;
#[cfg(test)]
mod tests;

use comfy_table::{Attribute, Cell, Color, Table};
use serde::Serialize;

use super::look::{self, Look};
use crate::remediation::model::{Approval, Completeness, Decision, Phase, Remediation, Summary, TimelineEntry};

pub use json::json;

/// The longest bar of a phase, in characters.
const BAR_CHARS_MAX: f64 = 24.0;

/// The remediation for people.
pub fn text(remediation: &Remediation, look: Look) -> String {
    let summary = &remediation.summary;
    let mut sections = vec![head(summary, look)];
    if !summary.phases.is_empty() {
        sections.push(section("Phases", phases(summary, look), look));
    }
    if !summary.approvals.is_empty() {
        sections.push(section("Approvals", approvals(&summary.approvals, look), look));
    }
    sections.push(section("Timeline", timeline(&remediation.timeline, look), look));
    sections.push(completeness(&summary.completeness, look));
    sections.join("\n")
}

fn head(summary: &Summary, look: Look) -> String {
    let mut text = format!(
        "{} in cluster {}\n",
        look.bold(&look::line(&summary.stream.remediation_id)),
        look::line(&summary.stream.cluster_id)
    );
    let mut standing = vec![word(summary.phase)];
    standing.extend(summary.outcome.map(word));
    standing
        .extend(summary.effective.map(|effective| if effective { "effective" } else { "not effective" }.to_string()));
    text.push_str(&format!("{}\n", standing.join(" · ")));

    let signal = summary.signal.as_ref().and_then(|signal| signal.get("name")?.as_str());
    let target = summary.target.as_ref().map(|target| {
        let namespace = target.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        format!("{} {namespace}{}", target.kind, target.name)
    });
    let context: Vec<_> = [signal, summary.severity.as_deref(), summary.environment.as_deref(), target.as_deref()]
        .into_iter()
        .flatten()
        .map(look::line)
        .collect();
    if !context.is_empty() {
        text.push_str(&format!("{}\n", context.join(" · ")));
    }
    if let Some(cause) = &summary.root_cause {
        let confidence = cause.confidence.map(|score| format!(" ({})", look::percent(score))).unwrap_or_default();
        text.push_str(&format!("cause: {}{confidence}\n", look::line(&cause.summary)));
    }

    let (start, took) = (look::time(summary.started_at), look::duration(summary.duration_ms));
    match summary.completed_at {
        Some(end) => text.push_str(&format!("{start} to {}, {took}", look::time(end))),
        None => text.push_str(&format!("since {start}, {took} so far")),
    }
    if let Some(phase) = summary.bottleneck_phase() {
        let share = phase.share.map(|share| format!(", {}", look::percent(share))).unwrap_or_default();
        text.push_str(&format!("; longest was {} ({}{share})", word(phase.name), look::duration(phase.duration_ms)));
    }
    text.push('\n');
    text
}

fn phases(summary: &Summary, look: Look) -> Table {
    let mut table = look.table(&["PHASE", "FROM", "TOOK", "SHARE", ""]);
    look::right(&mut table, &[1, 2, 3]);
    for phase in &summary.phases {
        let longest = summary.bottleneck == Some(phase.name);
        let from = (phase.started_at - summary.started_at).as_seconds_f64() * 1_000.0;
        let open = if phase.ended_at.is_none() { " so far" } else { "" };
        let row = [
            Cell::new(word(phase.name)),
            Cell::new(look::offset(from)),
            Cell::new(format!("{}{open}", look::duration(phase.duration_ms))),
            Cell::new(phase.share.map(look::percent).unwrap_or_default()),
            Cell::new(format!("{}{}", bar(phase), note(phase, longest, summary.completed_at))),
        ];
        table.add_row(
            row.map(|cell| if longest { cell.fg(Color::Yellow).add_attribute(Attribute::Bold) } else { cell }),
        );
    }
    if summary.unaccounted_ms > 0.0 {
        let told = look::duration(summary.unaccounted_ms);
        table.add_row(["no phase", "", told.as_str(), "", ""].map(|text| Cell::new(text).fg(Color::DarkGrey)));
    }
    table
}

fn bar(phase: &Phase) -> String {
    let share = phase.share.unwrap_or_default().clamp(0.0, 1.0);
    "█".repeat((share * BAR_CHARS_MAX).ceil() as usize)
}

fn note(phase: &Phase, longest: bool, completed_at: Option<chrono::DateTime<chrono::Utc>>) -> String {
    let mut notes = Vec::new();
    if longest {
        notes.push("longest".to_string());
    }
    if phase.intervals.len() > 1 {
        notes.push(format!("{} times", phase.intervals.len()));
    }
    if completed_at.is_some_and(|completed_at| phase.started_at >= completed_at) {
        notes.push("after the end".to_string());
    }
    if notes.is_empty() { String::new() } else { format!(" {}", notes.join(", ")) }
}

fn approvals(approvals: &[Approval], look: Look) -> Table {
    let mut table = look.table(&["ASKED", "DECISION", "BY", "WAITED", "REASON"]);
    look::right(&mut table, &[3]);
    for approval in approvals {
        let color = match approval.decision.as_str() {
            "approved" | "auto_approved" => Color::Green,
            "rejected" | "expired" => Color::Red,
            _ => Color::Yellow,
        };
        let via = approval.via.as_ref().map(|via| format!(" via {via}")).unwrap_or_default();
        table.add_row([
            Cell::new(approval.requested_at.map(look::time).unwrap_or_default()),
            Cell::new(look::line(&approval.decision)).fg(color),
            Cell::new(look::line(&format!("{}{via}", approval.decided_by.as_deref().unwrap_or_default()))),
            Cell::new(approval.wait_ms.map(look::duration).unwrap_or_default()),
            Cell::new(look::line(approval.reason.as_deref().unwrap_or_default())),
        ]);
    }
    table
}

fn timeline(entries: &[TimelineEntry], look: Look) -> Table {
    let mut table = look.table(&["AT", "TOOK", "SERVICE", "WHAT"]);
    look::right(&mut table, &[0, 1]);
    for entry in entries {
        let what = look::line(&entry.title);
        let what = match &entry.decision {
            Some(_) => Cell::new(format!("◆ {what}")).fg(Color::Yellow).add_attribute(Attribute::Bold),
            None => Cell::new(format!("· {what}")),
        };
        table.add_row([
            Cell::new(look::offset(entry.offset_ms)),
            Cell::new(entry.duration_ms.map(look::duration).unwrap_or_default()),
            Cell::new(word(entry.service)).fg(Color::Cyan),
            what,
        ]);
        for more in below(entry) {
            table.add_row([Cell::new(""), Cell::new(""), Cell::new(""), Cell::new(more).fg(Color::DarkGrey)]);
        }
    }
    table
}

/// What stands below an entry's title.
fn below(entry: &TimelineEntry) -> Vec<String> {
    let mut lines: Vec<String> = entry.detail.iter().map(|detail| format!("  {}", look::line(detail))).collect();
    if let Some(decision) = &entry.decision {
        lines.extend(told(decision));
    }
    if let Some(ms) = entry.recorded_late_by_ms {
        lines.push(format!("  recorded {} late", look::duration(ms)));
    }
    lines
}

fn told(decision: &Decision) -> Vec<String> {
    let by = decision.by.as_ref().map(|actor| actor.display_name.as_ref().unwrap_or(&actor.id));
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let confidence = decision.confidence.map(|score| format!(" ({})", look::percent(score))).unwrap_or_default();
    let mut lines = vec![look::line(&format!("{} {}{confidence}{by}", decision.question, decision.chosen))];
    lines.extend(decision.rationale.iter().map(|why| look::line(&format!("because {why}"))));
    for alternative in &decision.alternatives {
        let confidence = alternative.confidence.map(|score| format!(" ({})", look::percent(score))).unwrap_or_default();
        let why = alternative.rejected_because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(look::line(&format!("instead of {}{confidence}{why}", alternative.option)));
    }
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

fn completeness(completeness: &Completeness, look: Look) -> String {
    let mut text = format!("{} {}\n", look.bold("Complete"), look::percent(completeness.score));
    for missing in &completeness.missing {
        text.push_str(&format!("  missing from {}: {}\n", word(missing.service), look::line(&missing.what)));
    }
    for contradiction in &completeness.contradictions {
        text.push_str(&format!("  contradiction: {}\n", look::line(&contradiction.what)));
    }
    if !completeness.late.is_empty() {
        let most = completeness.late.iter().map(|late| late.by_ms).fold(0.0, f64::max);
        text.push_str(&format!("  recorded late: {}, by up to {}\n", completeness.late.len(), look::duration(most)));
    }
    text
}

fn section(title: &str, table: Table, look: Look) -> String {
    format!("{}\n{}\n", look.bold(title), table.trim_fmt())
}

/// A closed set's word as GraphQL shows it.
fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(), // these types serialise as their words
    }
}
