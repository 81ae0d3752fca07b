//! Numbers and words as people read them in a timeline.

use chrono::{DateTime, Utc};

/// Longest detail taken from a narrative, in characters.
const EXCERPT_MAX: usize = 240;

/// A duration in milliseconds: `820 ms`, `5 s`, `2 min 45 s`, `1 h 5 min`, `3 d 2 h`.
pub fn duration(ms: f64) -> String {
    let ms = ms.max(0.0);
    if ms < 1_000.0 {
        return format!("{} ms", ms.round());
    }
    if ms < 10_000.0 && ms % 1_000.0 >= 50.0 {
        return format!("{:.1} s", ms / 1_000.0);
    }
    let seconds = (ms / 1_000.0).round() as u64;
    let two = |large: u64, large_word: &str, small: u64, small_word: &str| match small {
        0 => format!("{large} {large_word}"),
        _ => format!("{large} {large_word} {small} {small_word}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// The time between two moments, in words.
pub fn between(start: DateTime<Utc>, end: DateTime<Utc>) -> String {
    duration(millis(start, end))
}

/// The time between two moments, in milliseconds, exact to the microsecond.
pub fn millis(start: DateTime<Utc>, end: DateTime<Utc>) -> f64 {
    (end.timestamp_micros() - start.timestamp_micros()) as f64 / 1_000.0
}

/// A share as a percentage: `75 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", (share * 100.0).round())
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
    fn durations_read_like_speech() {
        for (ms, said) in [
            (0.0, "0 ms"),
            (820.0, "820 ms"),
            (5_000.0, "5 s"),
            (4_480.0, "4.5 s"),
            (44_500.0, "45 s"),
            (165_000.0, "2 min 45 s"),
            (300_000.0, "5 min"),
            (3_900_000.0, "1 h 5 min"),
            (266_400_000.0, "3 d 2 h"),
            (-5.0, "0 ms"),
        ] {
            assert_eq!(duration(ms), said);
        }
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
