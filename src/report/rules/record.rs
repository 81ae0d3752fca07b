//! Rules about the record: what did not get through, what is missing, late or contradictory.

use std::collections::BTreeMap;

use super::Fired;
use crate::{
    audit::{Kind, facts::Fields},
    remediation::model::ViewRow,
    report::{case::Case, model::Priority, sections::notification_retries, words},
};

/// Below this share of the wanted context an analysis works half blind.
const CONTEXT_FROM: f64 = 0.5;

pub fn notification_failed(case: &Case<'_>) -> Vec<Fired> {
    let rows: Vec<&ViewRow> = case.rows(Kind::Notification).collect();
    let status = |row: &ViewRow| Fields::Map(&row.fields).owned("status").unwrap_or_default();
    let channel = |row: &ViewRow| Fields::Map(&row.fields).text("channel").map_or("a channel".to_string(), words::word);
    let cites = |of: &[&&ViewRow]| {
        of.iter()
            .flat_map(|row| case.told_or_last(row, &["status", "errorMessage", "retryCount", "deliveryAttempts"]))
            .collect()
    };
    let mut fired = Vec::new();
    let failed: Vec<&&ViewRow> = rows.iter().filter(|row| status(row) == "failed").collect();
    if !failed.is_empty() {
        let mut channels: Vec<String> = failed.iter().map(|row| channel(row)).collect();
        channels.dedup();
        let text = format!(
            "Repair the notifications by {}: {} given up, so the people meant did not learn of it that way.",
            words::listed(&channels),
            if failed.len() == 1 { "one was".to_string() } else { format!("{} were", failed.len()) }
        );
        let share = format!("{} did not arrive", words::of(failed.len(), words::count(rows.len(), "notification")));
        fired.push(Fired::new(Priority::Medium, text, cites(&failed)).worth(share));
    }
    let retried: Vec<&&ViewRow> =
        rows.iter().filter(|row| status(row) != "failed" && notification_retries(row) > 0).collect();
    if !retried.is_empty() {
        let mut channels: Vec<String> = retried.iter().map(|row| channel(row)).collect();
        channels.dedup();
        let attempts: i64 = retried.iter().map(|row| notification_retries(row)).sum();
        let text = format!("Look at the delivery by {}: it took more than one attempt.", words::listed(&channels));
        let attempts = words::count(usize::try_from(attempts).unwrap_or_default(), "further attempt");
        fired.push(Fired::new(Priority::Low, text, cites(&retried)).worth(attempts));
    }
    fired
}

pub fn contradictions(case: &Case<'_>) -> Vec<Fired> {
    let found = &case.summary.completeness.contradictions;
    let Some(first) = found.first() else { return Vec::new() };
    let more = if found.len() > 1 { format!(", and {} more", found.len() - 1) } else { String::new() };
    let text = format!("Find out which service is wrong: {}{more}.", words::cell(&first.what));
    let cites = case.cite.events(found.iter().flat_map(|found| found.event_ids.iter().copied()));
    let worth = format!("{} in the record", words::count(found.len(), "contradiction"));
    vec![Fired::new(Priority::Medium, text, cites).worth(worth)]
}

pub fn missing_audits(case: &Case<'_>) -> Vec<Fired> {
    let completeness = &case.summary.completeness;
    let mut by_service: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for gap in &completeness.missing {
        by_service.entry(gap.service).or_default().push(words::cell(&gap.what));
    }
    let named: Vec<String> = by_service
        .iter()
        .map(|(service, gaps)| format!("{} ({})", words::service(*service), gaps.join("; ")))
        .collect();
    if named.is_empty() {
        return Vec::new();
    }
    let text = format!("Have every service tell what it does. Missing: {}.", named.join(", "));
    let score = words::percent(completeness.score);
    let mut cites: Vec<String> = by_service
        .keys()
        .flat_map(|kind| case.rows(*kind))
        .flat_map(|row| case.cite.events([row.last_event_id]))
        .collect();
    cites.extend(case.cite.last());
    vec![Fired::new(Priority::Medium, text, cites).worth(format!("completeness {score} → 100 %"))]
}

pub fn late_audits(case: &Case<'_>) -> Vec<Fired> {
    let late = &case.summary.completeness.late;
    let ids: Vec<_> = late.iter().map(|late| late.event_id).collect();
    let mut services: Vec<String> = case
        .cite
        .own
        .iter()
        .filter(|entry| ids.contains(&entry.event.event_id))
        .map(|entry| words::service(entry.event.kind).to_string())
        .collect();
    services.sort();
    services.dedup();
    if services.is_empty() {
        return Vec::new();
    }
    let most = late.iter().map(|late| late.by_ms).fold(0.0, f64::max);
    let text = format!(
        "See why audits of {} reach the journal late: {} recorded after a later one.",
        words::listed(&services),
        if late.len() == 1 { "one event was".to_string() } else { format!("{} events were", late.len()) },
    );
    vec![Fired::new(Priority::Low, text, case.cite.events(ids)).worth(format!("up to {} late", words::duration(most)))]
}

pub fn thin_context(case: &Case<'_>) -> Vec<Fired> {
    let mut fired = Vec::new();
    for row in case.rows(Kind::SignalProcessing) {
        let fields = Fields::Map(&row.fields);
        let quality = fields.number("enrichmentQuality");
        let thin = quality.filter(|quality| *quality < CONTEXT_FROM);
        let degraded = fields.flag("degradedMode") == Some(true) || fields.text("status") == Some("degraded");
        if thin.is_none() && !degraded {
            continue;
        }
        let got = quality.map(|quality| format!("{} of the wanted context was got", words::percent(quality)));
        let text = format!(
            "Give signal processing its sources back: {}.",
            got.clone().unwrap_or_else(|| "some were missing".to_string())
        );
        let one = Fired::new(Priority::Low, text, case.told(row, &["enrichmentQuality", "degradedMode", "status"]));
        fired.push(match quality {
            Some(quality) => one.worth(format!("{} of the context", words::percent(1.0 - quality))),
            None => one,
        });
    }
    fired
}
