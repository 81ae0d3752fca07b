//! Numbers and words as people read them in a timeline.

use chrono::{DateTime, SecondsFormat, Utc};

/// Longest detail taken from a narrative, in characters.
const EXCERPT_MAX: usize = 240;

/// A duration in milliseconds: `820 ms`, `2.5 s`, `2 m 45 s`, `1 h 5 m`, `3 d 2 h`.
pub fn duration(ms: f64) -> String {
    if ms.abs() < 1_000.0 {
        return format!("{} ms", trimmed(ms, 1));
    }
    let sign = if ms < 0.0 { "-" } else { "" };
    let seconds = ms.abs() / 1_000.0;
    if seconds < 59.95 {
        return format!("{sign}{} s", trimmed(seconds, 1));
    }
    let seconds = seconds.round() as u64;
    let two = |large: u64, large_word: &str, small: u64, small_word: &str| match small {
        0 => format!("{sign}{large} {large_word}"),
        _ => format!("{sign}{large} {large_word} {small} {small_word}"),
    };
    match seconds {
        0..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// The time between two moments, in words.
pub fn between(start: DateTime<Utc>, end: DateTime<Utc>) -> String {
    duration(millis(start, end).max(0.0))
}

/// The time between two moments, in milliseconds, exact to the microsecond.
pub fn millis(start: DateTime<Utc>, end: DateTime<Utc>) -> f64 {
    (end.timestamp_micros() - start.timestamp_micros()) as f64 / 1_000.0
}

/// A distance from the start as a clock shows it, such as `+3:04.500` or `-0:02`.
pub fn offset(ms: f64) -> String {
    let sign = if ms < 0.0 { '-' } else { '+' };
    let ms = ms.abs().round() as u64;
    let (hours, minutes, seconds, millis) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    let hours = if hours > 0 { format!("{hours}:{minutes:02}") } else { minutes.to_string() };
    let millis = if millis > 0 { format!(".{millis:03}") } else { String::new() };
    format!("{sign}{hours}:{seconds:02}{millis}")
}

/// A time in UTC, such as `2026-05-04 10:05:40Z`.
pub fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true).replacen('T', " ", 1)
}

/// A share of 1 as a percentage: `75 %`, `48.5 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", trimmed(share * 100.0, 1))
}

/// A number with at most so many decimals, and none that say nothing.
pub fn trimmed(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// `text` in one line, without characters that would command a terminal or turn the direction of writing: what was
/// recorded may hold any.
pub fn line(text: &str) -> String {
    let text: String = text.chars().map(|c| if commands(c) { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn commands(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A stored word for people: `timed_out` is `timed out`.
pub fn words(word: &str) -> String {
    word.replace(['_', '-', '.'], " ")
}

/// The text with its first letter in upper case.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The first paragraph of a narrative that is not a heading, cut to a bearable length.
pub fn excerpt(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    Some(match line.char_indices().nth(EXCERPT_MAX) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_string(),
    })
}

/// The parts that are there, joined.
pub fn joined(parts: impl IntoIterator<Item = Option<String>>, by: &str) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(by))
}

/// What the well-known event types of Kubernaut's services mean, where their own words do not say it to everyone.
const KNOWN: &[(&str, &str)] = &[
    ("orchestrator.lifecycle.created", "Remediation taken on"),
    ("orchestrator.lifecycle.started", "Orchestration started"),
    ("orchestrator.lifecycle.verifying_started", "Verification began"),
    ("orchestrator.lifecycle.verification_completed", "Verification completed"),
    ("orchestrator.lifecycle.verification_timed_out", "Verification timed out"),
    ("orchestrator.approval.approved", "Approval taken up"),
    ("orchestrator.approval.rejected", "Rejection taken up"),
    ("orchestrator.remediation.manual_review", "Handed to people"),
    ("orchestrator.routing.blocked", "Remediation blocked"),
    ("orchestrator.ea.created", "Assessment created"),
    ("signalprocessing.enrichment.completed", "Signal enriched"),
    ("signalprocessing.classification.decision", "Signal classified"),
    ("signalprocessing.business.classified", "Business impact decided"),
    ("signalprocessing.error.occurred", "Error in signal processing"),
    ("aianalysis.aiagent.call", "AI agent called"),
    ("aianalysis.aiagent.submit", "Investigation handed to the AI agent"),
    ("aianalysis.aiagent.result", "AI agent answered"),
    ("aianalysis.approval.decision", "Need for approval decided"),
    ("aianalysis.rego.evaluation", "Approval policy evaluated"),
    ("aianalysis.error.occurred", "Error in the AI analysis"),
    ("aiagent.session.started", "AI agent session started"),
    ("aiagent.session.completed", "AI agent session completed"),
    ("aiagent.session.failed", "AI agent session failed"),
    ("aiagent.session.cancelled", "AI agent session cancelled"),
    ("aiagent.llm.request", "Model asked"),
    ("aiagent.llm.response", "Model answered"),
    ("aiagent.llm.tool_call", "Tool used"),
    ("aiagent.enrichment.completed", "Context of the target collected"),
    ("aiagent.enrichment.failed", "Context of the target not found"),
    ("aiagent.response.complete", "AI agent gave its answer"),
    ("aiagent.response.failed", "AI agent gave no answer"),
    ("aiagent.workflow.validation_attempt", "Choice of the workflow checked"),
    ("aiagent.interactive.k8s_call", "Person asked the cluster through the AI agent"),
    ("aiagent.interactive.started", "Person joined the investigation"),
    ("aiagent.interactive.completed", "Person left the investigation"),
    ("aiagent.alignment.step", "Step of the model checked for alignment"),
    ("aiagent.alignment.verdict", "Alignment of the model judged"),
    ("aiagent.shadow.llm.request", "Second model asked"),
    ("aiagent.shadow.llm.response", "Second model answered"),
    ("aiagent.ratelimit.denied", "AI agent asked too often"),
    ("aiagent.auth.failure", "Caller of the AI agent not known"),
    ("aiagent.auth.denied", "Caller of the AI agent not permitted"),
    ("workflow.catalog.actions_listed", "Actions of the catalogue listed"),
    ("workflow.catalog.workflows_listed", "Workflows of the catalogue listed"),
    ("workflow.catalog.workflow_retrieved", "Workflow looked up in the catalogue"),
    ("workflow.catalog.selection_validated", "Choice confirmed by the catalogue"),
    ("webhook.remediationrequest.timeout_modified", "Time limits changed"),
    ("remediationworkflow.admitted.create", "workflow registered"),
    ("remediationworkflow.admitted.update", "workflow changed"),
    ("remediationworkflow.admitted.delete", "workflow removed"),
    ("remediationworkflow.admitted.denied", "workflow refused"),
    ("authwebhook.workflow.registration_failed", "registration failed"),
    ("workflowexecution.selection.completed", "Workflow selected"),
    ("effectiveness.alert_decay.detected", "Alert is fading"),
];

/// A dotted event type in words, without the prefix that says which service it is: `gateway.signal.received` is
/// `Signal received`.
pub fn event_type(event_type: &str, category: &str) -> String {
    if let Some((_, said)) = KNOWN.iter().find(|(known, _)| *known == event_type) {
        return said.to_string();
    }
    let (first, rest) = event_type.split_once('.').unwrap_or(("", event_type));
    let service = super::super::words::plain(first);
    let category = super::super::words::plain(category);
    let prefix = service == category
        || matches!(
            service.as_str(),
            "webhook"
                | "orchestrator"
                | "orchestration"
                | "aianalysis"
                | "aiagent"
                | "signalprocessing"
                | "workflowexecution"
                | "notification"
                | "effectiveness"
        );
    capital(&words(if prefix { rest } else { event_type }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_offsets_read_like_speech_and_like_a_clock() {
        let durations =
            [0.0, 0.5, 820.0, 2_500.0, 59_000.0, 59_960.0, 165_000.0, 300_000.0, 3_900_000.0, 180_000_000.0, -2_000.0];
        let told: Vec<_> = durations.iter().map(|ms| format!("{} = {}", duration(*ms), offset(*ms))).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        0 ms = +0:00
        0.5 ms = +0:00.001
        820 ms = +0:00.820
        2.5 s = +0:02.500
        59 s = +0:59
        1 m = +0:59.960
        2 m 45 s = +2:45
        5 m = +5:00
        1 h 5 m = +1:05:00
        2 d 2 h = +50:00:00
        -2 s = -0:02
        ");
        assert_eq!((percent(0.75), percent(0.485)), ("75 %".to_string(), "48.5 %".to_string()));
    }

    #[test]
    fn what_was_recorded_cannot_command_the_terminal() {
        assert_eq!(line("a\u{1b}[31mred\u{7}\n b\u{202e}c\t"), "a [31mred b c");
    }

    #[test]
    fn an_event_type_is_said_without_the_name_of_its_service() {
        assert_eq!(event_type("gateway.signal.received", "gateway"), "Signal received");
        assert_eq!(event_type("aiagent.secret.accessed", "aiagent"), "Secret accessed");
        assert_eq!(event_type("aiagent.llm.tool_call", "aiagent"), "Tool used");
        assert_eq!(event_type("cart.emptied", "shop"), "Cart emptied");
        assert_eq!(event_type("emptied", "shop"), "Emptied");
    }

    #[test]
    fn an_excerpt_skips_headings_and_ends_in_time() {
        assert_eq!(excerpt("# Report\n\nIt leaks.\nMore."), Some("It leaks.".to_string()));
        assert_eq!(excerpt("# Report"), None);
        assert_eq!(excerpt(&"ä".repeat(900)).map(|text| text.chars().count()), Some(EXCERPT_MAX + 1));
    }
}
