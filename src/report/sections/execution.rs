//! Execution: which workflows ran, step by step, with their retries, rollbacks and failures.

use crate::{
    audit::{Kind, facts::Fields},
    remediation::model::ViewRow,
    report::{
        case::Case,
        model::{Row, Section, Statement, Table},
        words,
    },
};

use super::{column, figure};

/// Most executions, and steps of one, that are told.
const EXECUTIONS_MAX: usize = 5;
const STEPS_MAX: usize = 50;

pub fn section(case: &Case<'_>) -> Section {
    let rows: Vec<&ViewRow> = case.rows(Kind::WorkflowExecution).collect();
    let mut statements = Vec::new();
    let mut tables = Vec::new();
    if rows.is_empty() {
        let (said, cites) = match case.summary.completed_at {
            Some(_) => ("No workflow was carried out.", case.ending()),
            None => ("No workflow has been carried out yet.", case.cite.last()),
        };
        statements.push(case.say(said, cites));
    }
    if rows.len() > EXECUTIONS_MAX {
        let said = format!("The last {EXECUTIONS_MAX} of {} are told here.", words::count(rows.len(), "execution"));
        statements.push(case.say(said, rows.iter().flat_map(|row| case.told_or_last(row, &[])).collect()));
    }
    for row in &rows[rows.len().saturating_sub(EXECUTIONS_MAX)..] {
        statements.push(ran(case, row));
        statements.extend(failed(case, row));
        statements.extend(efficiency(case, row));
        statements.extend(adjusted(case, row));
        tables.extend(steps(case, row));
    }
    Section { id: "execution", title: "Execution", statements, tables }
}

/// The workflow with its version, or what else is known of it.
pub fn workflow(row: &ViewRow) -> String {
    let fields = Fields::Map(&row.fields);
    let text = |name| fields.text(name).map(words::name);
    match (text("workflowName").or_else(|| text("workflowId")), text("workflowVersion")) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        (Some(name), None) => name,
        (None, _) => text("executionName").unwrap_or_else(|| "a workflow without a name".to_string()),
    }
}

fn attempt(fields: Fields<'_>) -> String {
    fields.count("attempt").filter(|n| *n > 1).map(|n| format!(", attempt {n},")).unwrap_or_default()
}

/// How an execution ended, in a word; `None` while it runs.
pub fn ended(fields: Fields<'_>) -> Option<&'static str> {
    match (fields.text("executionOutcome"), fields.text("status")) {
        (Some("success"), _) => Some("succeeded"),
        (Some("failed"), _) | (None, Some("failed")) => Some("failed"),
        (Some("partial"), _) => Some("succeeded in part"),
        (Some("timeout"), _) | (None, Some("timeout")) => Some("timed out"),
        (None, Some("completed")) => Some("ended"),
        _ => None,
    }
}

fn ran(case: &Case<'_>, row: &ViewRow) -> Statement {
    let fields = Fields::Map(&row.fields);
    let named = format!("Workflow {}{}", workflow(row), attempt(fields));
    let done = match (fields.count("stepsCompleted"), fields.count("totalSteps")) {
        (Some(done), Some(total)) => format!(", {} steps done", words::of(done, total)),
        _ => String::new(),
    };
    let counts =
        [("stepsFailed", "failed"), ("retriesPerformed", "tried again"), ("rollbacksPerformed", "rolled back")];
    let counted: Vec<String> = counts
        .iter()
        .filter_map(|(name, said)| Some(format!("{} {said}", fields.count(name).filter(|n| *n > 0)?)))
        .collect();
    let counted = if counted.is_empty() { String::new() } else { format!(", {}", counted.join(", ")) };
    let after = |took: Option<f64>| took.map(|ms| format!(" after {}", words::duration(ms))).unwrap_or_default();
    let took = fields.ms("totalDurationMs").or_else(|| {
        Some(words::millis(fields.time("executionStartedAt")?, fields.time("completedAt")?)).filter(|ms| *ms >= 0.0)
    });
    let checked = match fields.flag("postConditionsPassed") {
        Some(true) => "; the conditions to end held",
        Some(false) => "; the conditions to end did not hold",
        None => "",
    };
    let said = match ended(fields) {
        Some(ended) => format!("{named} {ended}{}{done}{counted}{checked}.", after(took)),
        None => {
            let status = fields.text("status").map_or("running".to_string(), words::word);
            format!("{named} is {status}{done}.")
        }
    };
    let names = ["executionOutcome", "status", "stepsCompleted", "executionStartedAt"];
    case.say(said, case.told_or_last(row, &names))
}

fn failed(case: &Case<'_>, row: &ViewRow) -> Option<Statement> {
    let fields = Fields::Map(&row.fields);
    let message = fields.text("failureMessage").or_else(|| fields.text("errorMessage"));
    let task = fields.text("failedTaskName").map(|task| format!(" in {}", words::name(task))).unwrap_or_default();
    let reason = fields.text("failureReason").map(words::word);
    let said = match (reason, message) {
        (Some(reason), Some(message)) => format!("Reason{task}: {reason}, {}.", words::quote(message)),
        (Some(reason), None) => format!("Reason{task}: {reason}."),
        (None, Some(message)) => format!("Reason{task}: {}.", words::quote(message)),
        (None, None) => return None,
    };
    let names = ["failureReason", "failureMessage", "errorMessage", "failedTaskName"];
    Some(case.say(said, case.told(row, &names)))
}

/// How much of its time went into steps, and the engine's own score.
fn efficiency(case: &Case<'_>, row: &ViewRow) -> Option<Statement> {
    let fields = Fields::Map(&row.fields);
    let total = fields.ms("totalDurationMs").filter(|ms| *ms > 0.0);
    let steps: f64 = fields.objects("stepExecutions").filter_map(|step| step.ms("durationMs")).sum();
    let worked = total.filter(|total| steps > 0.0 && steps <= *total).map(|total| {
        let share = words::percent(steps / total);
        format!("its steps took {} of {} ({share})", words::duration(steps), words::duration(total))
    });
    let score = fields.number("effectivenessScore");
    let score =
        score.map(|score| format!("the engine scores it {} (1 is every step, at the first try)", words::score(score)));
    let parts: Vec<String> = worked.into_iter().chain(score).collect();
    if parts.is_empty() {
        return None;
    }
    let said = format!("Efficiency: {}.", parts.join("; "));
    Some(case.say(said, case.told(row, &["totalDurationMs", "stepExecutions", "effectivenessScore"])))
}

fn adjusted(case: &Case<'_>, row: &ViewRow) -> Vec<Statement> {
    let fields = Fields::Map(&row.fields);
    let adjustments = fields.objects("adaptiveAdjustments").filter_map(|adjustment| {
        let number = adjustment.count("stepNumber")?;
        let what = match adjustment.text("adjustmentType")? {
            "timeout" => format!("the time limit of step {number} was changed"),
            "retry" => format!("step {number} was tried again"),
            "skip" => format!("step {number} was left out"),
            other => format!("step {number}: {}", words::word(other)),
        };
        let why = adjustment.text("reason").map(|why| format!(": {}", words::quote(why))).unwrap_or_default();
        Some(case.say(format!("While it ran, {what}{why}."), case.told(row, &["adaptiveAdjustments"])))
    });
    adjustments.take(EXECUTIONS_MAX).collect()
}

fn steps(case: &Case<'_>, row: &ViewRow) -> Option<Table> {
    let fields = Fields::Map(&row.fields);
    let cites = case.told(row, &["stepExecutions"]);
    let rows: Vec<Row> =
        fields.objects("stepExecutions").take(STEPS_MAX).map(|step| self::step(case, step, &cites)).collect();
    let left = fields.list("stepExecutions").count().saturating_sub(STEPS_MAX);
    let left = if left > 0 { format!(" {left} more are left out.") } else { String::new() };
    (!rows.is_empty()).then(|| Table {
        caption: format!("Steps of {}{}.{left}", workflow(row), attempt(fields).trim_end_matches(',')),
        columns: vec![
            figure("Step"),
            column("Action"),
            column("Status"),
            figure("Took"),
            figure("Retries"),
            column("On, and what went wrong"),
        ],
        rows,
    })
}

fn step(case: &Case<'_>, step: Fields<'_>, cites: &[String]) -> Row {
    let status = step.text("status").unwrap_or_default();
    let error = step.text("errorMessage").map(words::cell);
    let told: Vec<String> = step.text("target").map(words::name).into_iter().chain(error).collect();
    let cells = vec![
        step.count("stepNumber").map(|number| number.to_string()).unwrap_or_default(),
        step.text("action").map(words::name).unwrap_or_default(),
        words::word(status),
        step.ms("durationMs").map(words::duration).unwrap_or_default(),
        step.count("retriesAttempted").map(|count| count.to_string()).unwrap_or_default(),
        told.join(": "),
    ];
    case.row(cells, matches!(status, "failed" | "timeout" | "rolled_back"), cites.to_vec())
}
