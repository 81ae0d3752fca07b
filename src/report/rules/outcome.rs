//! Rules about the analysis, the execution and the effect.

use super::Fired;
use crate::{
    audit::{Kind, RemediationOutcome, facts::Fields},
    remediation::model::ViewRow,
    report::{case::Case, model::Priority, sections::workflow_of, words},
};

/// Below this confidence an analysis should not act alone.
const CONFIDENT_FROM: f64 = 0.6;
/// Most steps that a text names.
const STEPS_MAX: usize = 3;

pub fn sla_breached(case: &Case<'_>) -> Vec<Fired> {
    let (Some(true), Some(limit)) = (case.impact.sla_breached, case.impact.sla_ms) else { return Vec::new() };
    let took = case.summary.duration_ms;
    let longest = case.summary.bottleneck_phase().map(|phase| {
        let share = phase.share.map(|share| format!(" ({})", words::percent(share))).unwrap_or_default();
        format!(
            " Begin with {}, the longest part: {}{share}.",
            phase.name.in_words(),
            words::duration(phase.duration_ms)
        )
    });
    let text = format!(
        "Bring cases like this one within their SLA: it took {} where {} are allowed.{}",
        words::duration(took),
        words::duration(limit),
        longest.unwrap_or_default()
    );
    let told = case.rows(Kind::SignalProcessing).flat_map(|row| case.told(row, &["slaRequirement"]));
    let cites = told.chain(case.ending()).collect();
    vec![Fired::new(Priority::High, text, cites).worth(format!("−{} needed", words::duration(took - limit)))]
}

pub fn not_effective(case: &Case<'_>) -> Vec<Fired> {
    if case.summary.effective != Some(false) {
        return Vec::new();
    }
    let assessments = || case.rows(Kind::Effectiveness);
    let alert = |row: &ViewRow| Fields::Map(&row.fields).object("alertResolution")?.flag("alertResolved");
    let fires = assessments().any(|row| alert(row) == Some(false));
    let score = case.summary.effectiveness.map(|score| format!(" (score {})", words::score(score))).unwrap_or_default();
    let still = if fires { ", and the alert still fires" } else { "" };
    let action = case.action().map_or("the remedy".to_string(), words::name);
    let text = format!("Take up the problem again: {action} was found not effective{score}{still}.");
    let names = ["traditionalScore", "alertResolution", "status", "reason"];
    let cites = assessments().flat_map(|row| case.told(row, &names)).collect();
    let spent = words::duration(case.summary.duration_ms);
    vec![Fired::new(Priority::High, text, cites).worth(format!("{spent} of work have not solved it yet"))]
}

pub fn execution_failed(case: &Case<'_>) -> Vec<Fired> {
    let rows: Vec<&ViewRow> = case.rows(Kind::WorkflowExecution).collect();
    let last = rows.iter().max_by_key(|row| row.last_occurred_at);
    let Some(row) = last.filter(|row| {
        let fields = Fields::Map(&row.fields);
        let outcome = fields.text("executionOutcome").or_else(|| fields.text("status"));
        matches!(outcome, Some("failed" | "timeout" | "partial"))
    }) else {
        return Vec::new();
    };
    let fields = Fields::Map(&row.fields);
    let failed = |step: &Fields<'_>| matches!(step.text("status"), Some("failed" | "timeout"));
    let step = fields.objects("stepExecutions").find(failed);
    let step = step.and_then(|step| Some((step.count("stepNumber")?, step.text("action")?, step.text("errorMessage"))));
    let message = fields.text("failureMessage").or_else(|| fields.text("errorMessage"));
    let why = |told: Option<&str>| told.or(message).map(|why| format!(": {}", words::quote(why))).unwrap_or_default();
    let at = match step {
        Some((number, action, told)) => format!("step {number} ({}) did not succeed{}", words::name(action), why(told)),
        None => format!("it did not succeed{}", why(None)),
    };
    let text = format!("Repair the workflow {} or its inputs: {at}.", workflow_of(row));
    let names = ["executionOutcome", "stepExecutions", "failureMessage", "errorMessage"];
    let attempts = words::count(rows.len(), "attempt");
    let took: f64 = rows.iter().filter_map(|row| Fields::Map(&row.fields).ms("totalDurationMs")).sum();
    let fired = Fired::new(Priority::High, text, case.told_or_last(row, &names));
    vec![if took > 0.0 { fired.worth(format!("{attempts}, {} without success", words::duration(took))) } else { fired }]
}

pub fn hallucination(case: &Case<'_>) -> Vec<Fired> {
    let analyses: Vec<&ViewRow> = case.rows(Kind::AiAnalysis).collect();
    let wrong = analyses.iter().filter(|row| Fields::Map(&row.fields).flag("hallucinationDetected") == Some(true));
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() {
        return Vec::new();
    }
    let model = wrong.iter().find_map(|row| Fields::Map(&row.fields).text("llmModel"));
    let model = model.map(|model| format!(" of {}", words::name(model))).unwrap_or_default();
    let text = format!("Check the prompt and the tools of the analysis: an answer{model} failed its validation.");
    let cites = wrong.iter().flat_map(|row| case.told(row, &["hallucinationDetected"])).collect();
    let affected =
        format!("{} of this remediation affected", words::of(wrong.len(), words::count(analyses.len(), "run")));
    vec![Fired::new(Priority::High, text, cites).worth(affected)]
}

pub fn low_confidence(case: &Case<'_>) -> Vec<Fired> {
    let mut fired = Vec::new();
    for row in case.rows(Kind::AiAnalysis) {
        let fields = Fields::Map(&row.fields);
        let sure = fields.number("confidenceScore").or_else(|| fields.number("actionConfidence"));
        let unsure = sure.filter(|sure| *sure < CONFIDENT_FROM);
        let review = fields.flag("needsHumanReview") == Some(true);
        if unsure.is_none() && !review {
            continue;
        }
        let why = fields.text("humanReviewReason").filter(|_| review);
        let why = why.map(|why| format!(" (its reason: {})", words::word(why))).unwrap_or_default();
        let asked = if review { format!("asked for a person to look{why}") } else { String::new() };
        let doubt = unsure.map(|sure| format!("was {} sure", words::percent(sure))).unwrap_or_default();
        let parts: Vec<String> = [doubt, asked].into_iter().filter(|part| !part.is_empty()).collect();
        let text = format!("Give the analysis more to go on in cases like this one: it {}.", words::listed(&parts));
        let names = ["confidenceScore", "actionConfidence", "needsHumanReview", "humanReviewReason"];
        let one = Fired::new(Priority::Medium, text, case.told(row, &names));
        fired.push(match unsure {
            Some(sure) => one.worth(format!(
                "{} points below {}",
                words::trimmed((CONFIDENT_FROM - sure) * 100.0, 1),
                words::percent(CONFIDENT_FROM)
            )),
            None => one,
        });
    }
    fired
}

pub fn side_effects(case: &Case<'_>) -> Vec<Fired> {
    let mut fired = Vec::new();
    for row in case.rows(Kind::Effectiveness) {
        let fields = Fields::Map(&row.fields);
        if fields.flag("sideEffectsDetected") != Some(true) {
            continue;
        }
        let severity = fields.text("sideEffectSeverity");
        let priority = match severity {
            Some("high") => Priority::High,
            Some("none" | "low") => Priority::Low,
            _ => Priority::Medium,
        };
        let what = fields.text("sideEffectsDescription").map(|what| format!(": {}", words::quote(what)));
        let action = case.action().map_or("the remedy".to_string(), words::name);
        let text = format!("Weigh {action} against its side effects{}.", what.unwrap_or_default());
        let one = Fired::new(priority, text, case.told(row, &["sideEffectsDetected", "sideEffectsDescription"]));
        let impact = fields.number("environmentalImpact").map(|impact| words::score(impact).replace('-', "−"));
        let severity = severity.map(|word| format!("severity {}", words::word(word)));
        let impact = impact.map(|impact| format!("impact {impact} (from −1 to 1)"));
        let told: Vec<String> = severity.into_iter().chain(impact).collect();
        fired.push(if told.is_empty() { one } else { one.worth(told.join(", ")) });
    }
    fired
}

pub fn not_verified(case: &Case<'_>) -> Vec<Fired> {
    let summary = case.summary;
    let executed: Vec<&ViewRow> = case.rows(Kind::WorkflowExecution).collect();
    let ended = matches!(
        summary.outcome,
        Some(
            RemediationOutcome::Remediated
                | RemediationOutcome::Inconclusive
                | RemediationOutcome::VerificationTimedOut
        )
    );
    let gave_up = |row: &ViewRow| {
        let status = Fields::Map(&row.fields).text("status");
        matches!(status, Some("expired" | "insufficient_data" | "assessed"))
    };
    let assessments: Vec<&ViewRow> = case.rows(Kind::Effectiveness).collect();
    // One that is still under way is in time.
    let over = assessments.is_empty() || assessments.iter().any(|row| gave_up(row));
    if executed.is_empty() || !ended || summary.effective.is_some() || !over {
        return Vec::new();
    }
    let action = case.action().map_or("what was done".to_string(), words::name);
    let text = match assessments.is_empty() {
        true => format!("Have the effect of {action} assessed: nobody has looked whether it worked."),
        false => format!("See why the effect of {action} could not be judged: the assessment came to no verdict."),
    };
    let told = assessments.iter().flat_map(|row| case.told_or_last(row, &["status"]));
    let cites = told.chain(case.ending()).collect();
    vec![Fired::new(Priority::Medium, text, cites)]
}

pub fn rollbacks(case: &Case<'_>) -> Vec<Fired> {
    let mut fired = Vec::new();
    for row in case.rows(Kind::WorkflowExecution) {
        let fields = Fields::Map(&row.fields);
        let Some(count) = fields.count("rollbacksPerformed").filter(|count| *count > 0) else { continue };
        let undone = fields.objects("stepExecutions").filter(|step| step.text("status") == Some("rolled_back"));
        let undone = named(undone);
        let which = if undone.is_empty() { String::new() } else { format!(" ({})", words::listed(&undone)) };
        let steps = words::count(usize::try_from(count).unwrap_or_default(), "step");
        let text = format!("Check what {} left behind: {steps} had to be rolled back{which}.", workflow_of(row));
        let one = Fired::new(Priority::Medium, text, case.told(row, &["rollbacksPerformed", "stepExecutions"]));
        fired.push(match fields.count("totalSteps").filter(|total| *total > 0) {
            Some(total) => one.worth(format!("{} steps undone", words::of(count, total))),
            None => one,
        });
    }
    fired
}

fn named<'a>(steps: impl Iterator<Item = Fields<'a>>) -> Vec<String> {
    let named = steps
        .filter_map(|step| Some(format!("step {} {}", step.count("stepNumber")?, words::name(step.text("action")?))));
    named.take(STEPS_MAX).collect()
}

pub fn retried_steps(case: &Case<'_>) -> Vec<Fired> {
    let mut fired = Vec::new();
    for row in case.rows(Kind::WorkflowExecution) {
        let fields = Fields::Map(&row.fields);
        let retried = || {
            fields
                .objects("stepExecutions")
                .filter(|step| step.count("retriesAttempted").is_some_and(|count| count > 0))
        };
        let counted: i64 = retried().filter_map(|step| step.count("retriesAttempted")).sum();
        let count = counted.max(fields.count("retriesPerformed").unwrap_or_default());
        if count <= 0 || fields.text("executionOutcome") != Some("success") {
            continue;
        }
        let steps = named(retried());
        let which = if steps.is_empty() { "its steps".to_string() } else { words::listed(&steps) };
        let times = if count == 1 { "once".to_string() } else { format!("{count} times") };
        let text =
            format!("See why {which} of {} had to be tried again {times} before it succeeded.", workflow_of(row));
        let one = Fired::new(Priority::Low, text, case.told(row, &["retriesPerformed", "stepExecutions"]));
        let took: f64 = retried().filter_map(|step| step.ms("durationMs")).sum();
        fired.push(if took > 0.0 { one.worth(format!("retried steps took {}", words::duration(took))) } else { one });
    }
    fired
}
