//! The executive summary: what went wrong, what was done, what came of it, and what it meant to the business.

use crate::{
    audit::{Kind, RemediationOutcome},
    report::{
        case::Case,
        model::{Priority, Recommendation, Section, Statement},
        words,
    },
};

use super::execution;

pub fn section(case: &Case<'_>, recommendations: &[Recommendation]) -> Section {
    let mut statements = vec![case.say(format!("{}.", headline(case)), headline_cites(case))];
    statements.extend(trouble(case));
    statements.extend(cause(case));
    statements.extend(remedy(case));
    statements.extend(impact(case));
    statements.extend(bottleneck(case));
    if let Some(first) = recommendations.first().filter(|first| first.priority < Priority::Low) {
        statements.push(case.say(format!("First recommendation: {}", first.text), first.cites.clone()));
    }
    Section { id: "executive-summary", title: "Executive summary", statements, tables: Vec::new() }
}

/// The report in a line.
pub fn headline(case: &Case<'_>) -> String {
    let summary = case.summary;
    let took = words::duration(summary.duration_ms);
    let said = match summary.outcome {
        None => format!("Still {} after {took}", words::standing(summary.phase)),
        Some(RemediationOutcome::Remediated) => match (summary.effective, summary.effectiveness) {
            (Some(true), Some(score)) => {
                format!("Remediated in {took} and found effective (score {})", words::score(score))
            }
            (Some(true), None) => format!("Remediated in {took} and found effective"),
            (Some(false), Some(score)) => {
                format!("Carried out in {took}, but found not effective (score {})", words::score(score))
            }
            (Some(false), None) => format!("Carried out in {took}, but found not effective"),
            (None, _) => format!("Remediated in {took}, the effect not verified"),
        },
        Some(RemediationOutcome::NoActionRequired) => format!("Closed after {took}, no action required"),
        Some(RemediationOutcome::ManualReview) => format!("Handed to people after {took}"),
        Some(RemediationOutcome::Inconclusive) => format!("Carried out in {took}, with an unclear effect"),
        Some(RemediationOutcome::VerificationTimedOut) => {
            format!("Carried out in {took}, not verified in time")
        }
        Some(RemediationOutcome::DryRun) => format!("Tried in {took} without changing anything (dry run)"),
        Some(RemediationOutcome::Failed) => match failed_in(case) {
            Some(phase) => format!("Failed in {phase} after {took}"),
            None => format!("Failed after {took}"),
        },
        Some(RemediationOutcome::TimedOut) => format!("Timed out after {took}"),
        Some(RemediationOutcome::Rejected) => format!("Approval rejected after {took}, nothing carried out since"),
        Some(RemediationOutcome::Expired) => format!("Approval expired undecided after {took}"),
        Some(RemediationOutcome::Blocked) => format!("Blocked by a routing rule after {took}"),
        Some(RemediationOutcome::Skipped) => format!("Skipped on purpose after {took}"),
        Some(RemediationOutcome::Cancelled) => format!("Called off after {took}"),
    };
    match (case.signal(), summary.target.as_ref()) {
        (Some(signal), Some(target)) => format!("{said}: {signal} on {}", words::target(target)),
        (Some(signal), None) => format!("{said}: {signal}"),
        (None, Some(target)) => format!("{said}: {}", words::target(target)),
        (None, None) => said,
    }
}

fn headline_cites(case: &Case<'_>) -> Vec<String> {
    let mut cites = case.ending();
    if case.summary.effective.is_some() {
        cites.extend(case.rows(Kind::Effectiveness).flat_map(|row| case.told(row, &["traditionalScore", "status"])));
    }
    cites
}

/// The phase that failed, as the orchestrator tells it.
pub fn failed_in(case: &Case<'_>) -> Option<String> {
    let row = case.rows(Kind::Orchestration).next()?;
    let told = row.fields.get("failurePhase")?.as_str()?;
    let spends = crate::audit::RemediationPhase::read(told).and_then(crate::audit::RemediationPhase::spends);
    Some(spends.map_or_else(|| words::word(told), |phase| phase.in_words().to_string()))
}

/// What said that something is wrong, and where.
fn trouble(case: &Case<'_>) -> Option<Statement> {
    let summary = case.summary;
    let text = |name: &str| summary.signal.as_ref()?.get(name)?.as_str();
    let what =
        case.signal().or_else(|| text("fingerprint").map(|print| format!("signal {}", words::cut(print, 12))))?;
    let mut said = format!("It was about {what}");
    if let Some(severity) = &summary.severity {
        said.push_str(&format!(" ({})", words::word(severity)));
    }
    if let Some(target) = &summary.target {
        said.push_str(&format!(" on {}", words::target(target)));
    }
    if let Some(environment) = case.environment() {
        said.push_str(&format!(" in {}", words::name(environment)));
    }
    said.push_str(&format!(", cluster {}", words::name(&summary.stream.cluster_id)));
    match text("summary").or_else(|| text("description")) {
        Some(told) => said.push_str(&format!(": {}.", words::quote(told))),
        None => said.push('.'),
    }
    Some(case.say(said, case.told_anywhere(&["signal", "target", "severity", "environment"])))
}

fn cause(case: &Case<'_>) -> Option<Statement> {
    let cause = case.summary.root_cause.as_ref()?;
    let sure = cause.confidence.map(|sure| format!(" The analysis was {} sure.", words::percent(sure)));
    let said =
        format!("The cause, as the analysis found it: {}.{}", words::quote(&cause.summary), sure.unwrap_or_default());
    Some(case.say(said, case.cite.events([cause.event_id])))
}

/// What was carried out, and who agreed.
fn remedy(case: &Case<'_>) -> Option<Statement> {
    let rows: Vec<_> = case.rows(Kind::WorkflowExecution).collect();
    let mut cites: Vec<String> =
        rows.iter().flat_map(|row| case.told_or_last(row, &["workflowName", "executionOutcome"])).collect();
    let mut named: Vec<String> = rows.iter().map(|row| execution::workflow(row)).collect();
    named.dedup();
    let agreed = case.summary.approvals.last().map(|approval| {
        cites.extend(case.cite.events([approval.event_id]));
        super::people::decided(approval)
    });
    let done = match named.as_slice() {
        [] => match case.summary.outcome {
            Some(_) => "Nothing was carried out".to_string(),
            None => "Nothing has been carried out yet".to_string(),
        },
        named if rows.len() > named.len() => {
            format!("Carried out: {}, in {}", words::listed(named), words::count(rows.len(), "attempt"))
        }
        named => format!("Carried out: {}", words::listed(named)),
    };
    let agreed = agreed.map(|agreed| format!("; {agreed}")).unwrap_or_default();
    Some(case.say(format!("{done}{agreed}."), cites))
}

fn impact(case: &Case<'_>) -> Option<Statement> {
    let impact = &case.impact;
    let priority = impact.priority.as_ref().map(|priority| format!("Business priority {priority}"));
    let sla = impact.sla.as_ref().map(|sla| {
        let solved = format!("to be solved within {}", impact.sla_ms.map_or(sla.clone(), words::duration));
        match (impact.sla_ms, impact.sla_breached) {
            (Some(limit), Some(true)) => {
                format!("{solved}: missed by {}", words::duration(case.summary.duration_ms - limit))
            }
            (Some(limit), Some(false)) => {
                format!("{solved}: kept, with {} to spare", words::duration(limit - case.summary.duration_ms))
            }
            (Some(_), None) if case.summary.outcome.is_none() => format!("{solved}: still running within it"),
            (Some(_), None) => format!("{solved}: it ended within that time without solving the problem"),
            (None, _) => format!("{solved}, which is no duration that can be compared"),
        }
    });
    let said = match (priority, sla) {
        (Some(priority), Some(sla)) => format!("{priority}, {sla}."),
        (Some(priority), None) => format!("{priority}; no SLA was told."),
        (None, Some(sla)) => format!("{}.", words::capital(&sla)),
        (None, None) => return None,
    };
    let told = |row| case.told(row, &["businessPriority", "slaRequirement", "processingPhases"]);
    let mut cites: Vec<String> = case.rows(Kind::SignalProcessing).flat_map(told).collect();
    if impact.sla_breached.is_some() {
        cites.extend(case.ending());
    }
    Some(case.say(said, cites))
}

fn bottleneck(case: &Case<'_>) -> Option<Statement> {
    let phase = case.summary.bottleneck_phase()?;
    let said = format!("The longest part was {}: {}.", phase.name.in_words(), super::phases::took(phase));
    Some(case.say(said, case.of_phase(phase.name)))
}
