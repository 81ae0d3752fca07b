//! The facts of a workflow-execution audit: its start, its steps and its end.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{End, Fields, Milestone, Shown, Sureness, Teller, Telling, Tells, moved, say};
use crate::audit::{phase::PhaseName, words::EXECUTION_OUTCOME};

const PHASE: PhaseName = PhaseName::WorkflowExecution;

pub fn tell(telling: &mut Telling<'_>) {
    let name = name(telling.fields);
    let (start, end) = times(telling);
    beginning(telling, &name, start, end);
    steps(telling, start);
    adjustments(telling);
    if telling.ended {
        ending(telling, &name, start, end)
    } else {
        moment(telling, &name, start)
    }
    if let Some(at) = telling.fields.time("clearedAt") {
        let why = telling.fields.text("clearReason");
        telling.point(at, ("block cleared", 0), "Block cleared").of(PHASE).saying(why).telling(Tells::BlockCleared);
    }
}

fn name(fields: Fields<'_>) -> String {
    let workflow = fields.owned("workflowName").or_else(|| fields.owned("workflowId"));
    let named = say::joined([workflow, fields.owned("workflowVersion")], " ");
    let named = named
        .or_else(|| fields.owned("executionName"))
        .map_or("Workflow".to_string(), |name| format!("Workflow {name}"));
    match fields.count("attempt") {
        Some(attempt) if attempt > 1 => format!("{named}, attempt {attempt},"),
        _ => named,
    }
}

/// Start and end, as told or as they follow from the duration.
fn times(telling: &Telling<'_>) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let fields = telling.fields;
    let (start, end, took) =
        (fields.time("executionStartedAt"), fields.time("completedAt"), fields.ms("totalDurationMs"));
    let took = took.filter(|_| telling.ended);
    let end = end.or_else(|| moved(start?, took?));
    let implied = end.or(telling.ended.then_some(telling.occurred_at));
    (start.or_else(|| moved(implied?, -took?)), end)
}

fn beginning(telling: &mut Telling<'_>, name: &str, start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) {
    let Some(start) = start else { return };
    let steps = telling.fields.count("totalSteps").map(|n| format!("{n} {}", if n == 1 { "step" } else { "steps" }));
    telling
        .span(start, end, ("execution", 0), |_| format!("{name} started").into())
        .ran(PHASE, "")
        .saying(steps)
        .marking(Milestone::ExecutionStarted, Teller::Own);
}

/// The steps. One without times follows the one before, the first the execution's start.
fn steps(telling: &mut Telling<'_>, start: Option<DateTime<Utc>>) {
    let mut before = start.unwrap_or(telling.occurred_at);
    for step in telling.fields.objects("stepExecutions") {
        let status = step.text("status").unwrap_or_default();
        if status == "pending" {
            continue; // it has not happened
        }
        let took = step.ms("durationMs");
        let from_end = || moved(step.time("endTime")?, -took?);
        let start = step.time("startTime").or_else(from_end).unwrap_or(before);
        let end = step.time("endTime").or_else(|| moved(start, took?)).filter(|_| status != "running");
        before = end.unwrap_or(start);

        let number = step.count("stepNumber").unwrap_or_default();
        let action = step.text("action").unwrap_or_default();
        let over = end.is_none_or(|end| telling.over(end));
        let title = |took: Option<&str>| -> Cow<'static, str> {
            let named = format!("Step {number}, {action},");
            let (done, in_or_after) = match status {
                "failed" => ("failed", "after"),
                "timeout" => ("timed out", "after"),
                "rolled_back" => ("was rolled back", "after"),
                "skipped" => return format!("{named} was skipped").into(),
                _ => ("finished", "in"),
            };
            match took {
                Some(took) => format!("{named} {done} {in_or_after} {took}").into(),
                None if over && !matches!(status, "running" | "") => format!("{named} {done}").into(),
                None => format!("{named} started").into(),
            }
        };
        let retries = step.count("retriesAttempted").filter(|n| *n > 0);
        let retried = retries.map(|n| format!("tried again {n} {}", if n == 1 { "time" } else { "times" }));
        let target = step.text("target").map(|target| format!("on {target}"));
        let detail = if over { say::joined([target, retried, step.owned("errorMessage")], "; ") } else { target };
        let about = ("step", u32::try_from(number).unwrap_or_default());
        telling.span(start, end, about, title).of(PHASE).saying(detail).telling(Tells::StepRan);
    }
}

fn adjustments(telling: &mut Telling<'_>) {
    for (index, adjustment) in (0..).zip(telling.fields.objects("adaptiveAdjustments")) {
        let number = adjustment.count("stepNumber").unwrap_or_default();
        let title = match adjustment.text("adjustmentType") {
            Some("timeout") => format!("Time limit of step {number} changed"),
            Some("retry") => format!("Step {number} tried again"),
            Some("skip") => format!("Step {number} left out"),
            _ => format!("Step {number} adjusted"),
        };
        let at = adjustment.time("timestamp").unwrap_or(telling.occurred_at);
        telling.point(at, ("adjustment", index), title).of(PHASE).saying(adjustment.text("reason"));
    }
}

fn ending(telling: &mut Telling<'_>, name: &str, start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) {
    let fields = telling.fields;
    let at = end.unwrap_or(telling.occurred_at);
    let outcome = fields.text("executionOutcome").and_then(|word| EXECUTION_OUTCOME.find(word));
    let outcome = outcome.or(match telling.status {
        "failed" => Some("failed"),
        "timeout" => Some("timeout"),
        _ => None,
    });
    let (done, how) = match outcome {
        Some("failed") => ("failed", End::Failed),
        Some("timeout") => ("timed out", End::TimedOut),
        Some("partial") => ("succeeded in part", End::Partly),
        Some(_) => ("succeeded", End::Done),
        None => ("ended", End::Done),
    };
    let took = start.filter(|start| *start <= at).map(|start| format!(" after {}", say::between(start, at)));
    let title = format!("{name} {done}{}", took.unwrap_or_default());

    let count = |name: &str| fields.count(name).filter(|n| *n > 0);
    let steps = match (fields.count("stepsCompleted"), fields.count("totalSteps")) {
        (Some(done), Some(total)) => Some(format!("{done} of {total} steps done")),
        _ => None,
    };
    let undone = count("rollbacksPerformed").map(|n| format!("{n} rolled back"));
    let failed = say::joined([fields.text("failureReason").map(say::words), fields.owned("failedTaskName")], " in ");
    let message = fields.owned("failureMessage").or_else(|| fields.owned("errorMessage"));
    telling
        .point(at, ("ended", 0), title)
        .saying(say::joined([steps, undone, failed, message], "; "))
        .stopped(PHASE, if end.is_some() { Sureness::Told } else { Sureness::Implied })
        .marking(Milestone::ExecutionEnded(how), Teller::Own);
    telling
        .point(at, ("outcome", 0), "Execution outcome")
        .of(PHASE)
        .shown(Shown::Never)
        .telling(Tells::ExecutionEnded { outcome });

    match fields.flag("postConditionsPassed") {
        Some(true) => telling.point(at, ("validation", 0), "Validation passed").of(PHASE),
        Some(false) => telling.point(at, ("validation", 0), "Validation failed").of(PHASE),
        None => return,
    };
}

/// Where the execution stands, at the time that the audit is of.
fn moment(telling: &mut Telling<'_>, name: &str, start: Option<DateTime<Utc>>) {
    let runs = telling.status == "running";
    let usual = if runs { format!("{name} running") } else { format!("{name} waits to begin") };
    let title = telling.moment_title(usual);
    // That it runs, told together with its start, says nothing more.
    let says_started = telling.event_type_ends("execution.started")
        || telling.event_type_ends("workflow.started")
        || (runs && start.is_some() && telling.repeats_status());
    let shown = if telling.facts.iter().any(|fact| fact.shown == Shown::Always) { Shown::Alone } else { Shown::Always };
    let at = telling.occurred_at;
    let fact = telling.point(at, ("moment", 0), title).of(PHASE).shown(shown);
    if runs && start.is_none() {
        fact.began(PHASE, "");
    }
    if says_started {
        fact.marking(Milestone::ExecutionStarted, Teller::Own);
    }
}
