//! The record itself: how complete it is, and what the report was made from.

use crate::report::{
    case::Case,
    model::{Section, Statement},
    rules::RULES_VERSION,
    words,
};

/// Most gaps, late events and contradictions that are told one by one.
const TOLD_MAX: usize = 15;

/// What is missing, late or contradictory.
pub fn missing(case: &Case<'_>) -> Section {
    let completeness = &case.summary.completeness;
    let mut statements = Vec::new();
    let score = words::percent(completeness.score);
    let whole = match completeness.missing.len() {
        0 => format!("The record is complete ({score}): it has what one of this outcome should have."),
        gaps => format!(
            "The record is {score} complete: {} missing.",
            if gaps == 1 { "one thing is".to_string() } else { format!("{gaps} things are") }
        ),
    };
    let mut cites = case.first();
    cites.extend(case.cite.last());
    statements.push(case.say(whole, cites));
    for gap in completeness.missing.iter().take(TOLD_MAX) {
        let said = format!("Missing from {}: {}.", words::service(gap.service), words::cell(&gap.what));
        let told = case.rows(gap.service).flat_map(|row| case.cite.events([row.last_event_id])).collect();
        statements.push(case.say(said, told));
    }
    statements.extend(late(case));
    for found in completeness.contradictions.iter().take(TOLD_MAX) {
        let said = format!("Contradiction: {}.", words::cell(&found.what));
        statements.push(case.say(said, case.cite.events(found.event_ids.iter().copied())));
    }
    if completeness.contradictions.is_empty() {
        let mut cites = case.first();
        cites.extend(case.cite.last());
        statements.push(case.say("No facts contradict one another.", cites));
    }
    Section { id: "completeness", title: "What is missing", statements, tables: Vec::new() }
}

fn late(case: &Case<'_>) -> Option<Statement> {
    let late = &case.summary.completeness.late;
    let most = late.iter().map(|late| late.by_ms).fold(0.0, f64::max);
    if late.is_empty() {
        return None;
    }
    let said = format!(
        "{} recorded late, by up to {}: what had been read before then may have said something else.",
        if late.len() == 1 { "One event was".to_string() } else { format!("{} events were", late.len()) },
        words::duration(most)
    );
    Some(case.say(said, case.cite.events(late.iter().map(|late| late.event_id))))
}

pub fn provenance(case: &Case<'_>) -> Section {
    let (own, others) = (case.cite.own.len(), case.cite.others.len());
    let mut ends = case.first();
    ends.extend(case.cite.last());
    let mut statements = vec![case.say(
        format!(
            "Made by version {RULES_VERSION} of the rules from {} of this remediation and {} of others, all recorded up to watermark {}.",
            words::count(own, "event"),
            words::count(others, "event"),
            words::name(&case.evidence.watermark)
        ),
        ends.clone(),
    )];
    let digest = format!("SHA-256 over the digests of these events, in order: {}.", case.cite.digest());
    statements.push(case.say(digest, ends.clone()));
    let altered = case.cite.altered();
    let intact = match altered.len() {
        0 => "Every one of them still has the digest that it was sealed with.".to_string(),
        count => format!(
            "{} no longer what was sealed: the digests differ.",
            if count == 1 { "One of them is".to_string() } else { format!("{count} of them are") }
        ),
    };
    statements.push(case.say(intact, if altered.is_empty() { ends.clone() } else { altered }));
    let similar = &case.evidence.similar;
    let compared = match (&similar.model, similar.complete) {
        (Some(model), true) => {
            format!(
                "Similar remediations were compared with the model {}; everything recorded by then was embedded.",
                words::name(model)
            )
        }
        (Some(model), false) => format!(
            "Similar remediations were compared with the model {}; not everything was embedded yet, so the report may come \
             out differently later.",
            words::name(model)
        ),
        (None, _) => "Nothing was compared by meaning.".to_string(),
    };
    statements.push(case.say(compared, ends));
    Section { id: "provenance", title: "Provenance", statements, tables: Vec::new() }
}
