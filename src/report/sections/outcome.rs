//! Outcome and effectiveness: how it ended, and whether it did what it was for.

use crate::{
    audit::{Kind, RemediationOutcome, facts::Fields},
    remediation::model::ViewRow,
    report::{
        case::Case,
        model::{Section, Statement},
        words,
    },
};

use super::summary::failed_in;

/// Most assessments that are told one by one.
const ASSESSMENTS_MAX: usize = 5;

pub fn section(case: &Case<'_>) -> Section {
    let mut statements = vec![ending(case)];
    statements.extend(failure(case));
    let before = statements.len();
    for row in case.rows(Kind::Effectiveness).take(ASSESSMENTS_MAX) {
        statements.extend(assessment(case, row));
    }
    if statements.len() == before {
        statements.push(case.say(unassessed(case), case.cite.last()));
    }
    Section { id: "outcome", title: "Outcome and effectiveness", statements, tables: Vec::new() }
}

fn ending(case: &Case<'_>) -> Statement {
    let summary = case.summary;
    let began = words::moment(summary.started_at);
    let mut cites = case.first();
    cites.extend(case.ending());
    let said = match (summary.completed_at, summary.outcome) {
        (Some(end), Some(outcome)) => {
            format!("Outcome: {}. It ran from {began} to {}, {}.", outcome.in_words(), words::moment(end), took(case))
        }
        _ => format!("It is {}, {} after it began at {began}.", words::standing(summary.phase), took(case)),
    };
    case.say(said, cites)
}

fn took(case: &Case<'_>) -> String {
    words::duration(case.summary.duration_ms)
}

/// Why it failed, as the orchestrator tells it.
fn failure(case: &Case<'_>) -> Option<Statement> {
    let row = case.rows(Kind::Orchestration).next()?;
    let fields = Fields::Map(&row.fields);
    let reason = fields.text("failureReason").or_else(|| fields.object("errorDetails")?.text("message"));
    // Elsewhere the reason is that of a step on the way, such as of an approval that was needed.
    let reason = reason.or_else(|| fields.text("reason").filter(|_| explains_end(case.summary.outcome)));
    let at = failed_in(case).map(|phase| format!(" in {phase}")).unwrap_or_default();
    let failed = matches!(case.summary.outcome, Some(RemediationOutcome::Failed | RemediationOutcome::TimedOut));
    let how = if failed { "It failed" } else { "It ended" };
    let said = match (reason, case.summary.outcome) {
        (Some(reason), Some(_)) if fields.text("failureReason").is_some() || !at.is_empty() => {
            format!("{how}{at}: {}.", words::quote(reason))
        }
        (Some(reason), Some(_)) => format!("The orchestrator's reason: {}.", words::quote(reason)),
        (None, _) if !at.is_empty() => format!("{how}{at}; the orchestrator gives no reason."),
        _ => return None,
    };
    Some(case.say(said, case.told(row, &["failureReason", "failurePhase", "errorDetails", "reason"])))
}

fn explains_end(outcome: Option<RemediationOutcome>) -> bool {
    matches!(
        outcome,
        Some(
            RemediationOutcome::NoActionRequired
                | RemediationOutcome::ManualReview
                | RemediationOutcome::Blocked
                | RemediationOutcome::Skipped
                | RemediationOutcome::Cancelled
        )
    )
}

fn unassessed(case: &Case<'_>) -> &'static str {
    let executed = case.rows(Kind::WorkflowExecution).next().is_some();
    match (executed, case.summary.outcome) {
        (true, Some(_)) => "No assessment was made, so whether it worked is not verified.",
        (true, None) | (false, None) => "No assessment has been made yet.",
        (false, Some(_)) => "No assessment was made; nothing was carried out that could be assessed.",
    }
}

fn assessment(case: &Case<'_>, row: &ViewRow) -> Vec<Statement> {
    let fields = Fields::Map(&row.fields);
    let mut statements = Vec::new();
    let status = fields.text("status").unwrap_or("assessed");
    let score = fields.number("traditionalScore");
    if let Some(said) = verdict(case, status, fields) {
        let names = ["traditionalScore", "confidence", "environmentalImpact", "status", "validityDeadline"];
        statements.push(case.say(said, case.told_or_last(row, &names)));
    }
    if let Some(told) = fields.text("assessment") {
        statements.push(case.say(format!("The assessment: {}.", words::quote(told)), case.told(row, &["assessment"])));
    }
    if let Some((said, names)) = observed(fields) {
        statements.push(case.say(said, case.told(row, &names)));
    }
    if fields.flag("sideEffectsDetected") == Some(true) {
        let how = fields.text("sideEffectSeverity").map(|word| format!(" ({})", words::word(word))).unwrap_or_default();
        let what = fields.text("sideEffectsDescription").map(|told| format!(": {}", words::quote(told)));
        let said = format!("Side effects were seen{how}{}.", what.unwrap_or_default());
        statements.push(case.say(said, case.told(row, &["sideEffectsDetected", "sideEffectsDescription"])));
    } else if fields.flag("sideEffectsDetected") == Some(false) {
        statements.push(case.say("No side effects were seen.", case.told(row, &["sideEffectsDetected"])));
    }
    if let Some(pattern) = fields.text("patternDescription") {
        let said = format!("A pattern was seen: {}.", words::quote(pattern));
        statements.push(case.say(said, case.told(row, &["patternDescription"])));
    }
    if let (Some(_), Some(said)) = (score, history(fields)) {
        let names = ["recentSuccessRate", "historicalSuccessRate", "sampleSize", "dataQuality"];
        statements.push(case.say(said, case.told(row, &names)));
    }
    statements
}

fn verdict(case: &Case<'_>, status: &str, fields: Fields<'_>) -> Option<String> {
    let sure = fields.number("confidence").map(|sure| format!(", {} sure", words::percent(sure)));
    let impact = fields.number("environmentalImpact").map(|impact| {
        let side = if impact < 0.0 { "harm to" } else { "on" };
        format!("; impact {side} the surroundings {} (from −1 to 1)", words::score(impact).replace('-', "−"))
    });
    let more = format!("{}{}", sure.unwrap_or_default(), impact.unwrap_or_default());
    Some(match (status, fields.number("traditionalScore"), case.summary.effective) {
        ("scheduled" | "assessing", ..) => match fields.time("validityDeadline") {
            Some(until) => format!("An assessment is under way; it is worth making until {}.", words::moment(until)),
            None => "An assessment is under way.".to_string(),
        },
        ("insufficient_data", ..) => "The assessment ended without enough data for a verdict.".to_string(),
        ("expired", ..) => "The assessment came too late: its validity window passed first.".to_string(),
        (_, Some(score), Some(effective)) => {
            let found = if effective { "effective" } else { "not effective" };
            format!("The assessment found it {found}: score {}{more}.", words::score(score))
        }
        (_, Some(score), None) => {
            format!("The assessment gave a score of {}{more}, but no verdict.", words::score(score))
        }
        (_, None, Some(effective)) => {
            format!("The assessment found it {}{more}.", if effective { "effective" } else { "not effective" })
        }
        (_, None, None) => "The assessment came to no verdict.".to_string(),
    })
}

/// What was looked at, and found: the alert, the target's health, its spec.
fn observed(fields: Fields<'_>) -> Option<(String, Vec<&'static str>)> {
    let mut seen = Vec::new();
    let mut names = Vec::new();
    if let Some(alert) = fields.object("alertResolution") {
        names.push("alertResolution");
        let after =
            alert.ms("resolutionTimeMs").map(|ms| format!(" after {}", words::duration(ms))).unwrap_or_default();
        match (alert.flag("alertResolved"), alert.count("activeCount").filter(|active| *active > 0)) {
            (Some(true), None) => seen.push(format!("the alert stopped{after}")),
            (Some(true), Some(active)) => seen.push(format!("the alert stopped{after}, {active} others still fire")),
            (Some(false), _) => seen.push("the alert still fires".to_string()),
            (None, _) => {}
        }
    }
    if let Some(health) = fields.object("healthChecks") {
        names.push("healthChecks");
        if let (Some(ready), Some(total)) = (health.count("readyReplicas"), health.count("totalReplicas")) {
            seen.push(format!("{} replicas are ready", words::of(ready, total)));
        }
        if let Some(restarts) = health.count("restartDelta").filter(|restarts| *restarts != 0) {
            seen.push(format!("{restarts} restarts since"));
        }
        let trouble = [("crashLoops", "crash loops"), ("oomKilled", "kills for lack of memory")];
        seen.extend(
            trouble.iter().filter(|(name, _)| health.flag(name) == Some(true)).map(|(_, said)| said.to_string()),
        );
    }
    if let Some(same) = fields.flag("hashMatch") {
        names.push("hashMatch");
        seen.push(if same { "the target's spec is unchanged" } else { "the target's spec has changed" }.to_string());
    }
    (!seen.is_empty()).then(|| (format!("Seen afterwards: {}.", words::listed(&seen)), names))
}

/// How the action has done elsewhere, as the assessment knows.
fn history(fields: Fields<'_>) -> Option<String> {
    let recent = fields.number("recentSuccessRate").map(|rate| format!("{} lately", words::percent(rate)));
    let ever = fields.number("historicalSuccessRate").map(|rate| format!("{} over all time", words::percent(rate)));
    let rates: Vec<String> = recent.into_iter().chain(ever).collect();
    if rates.is_empty() {
        return None;
    }
    let action = fields.text("actionType").map_or("the action".to_string(), words::name);
    let cases = fields.count("sampleSize").map(|size| format!(", from {size} comparable cases")).unwrap_or_default();
    let quality = fields.text("dataQuality").map(|word| format!(" ({} data)", words::word(word))).unwrap_or_default();
    Some(format!("The monitor's own figures: {action} helped in {}{cases}{quality}.", words::listed(&rates)))
}
