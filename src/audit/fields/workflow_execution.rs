//! The fields of a workflow-execution audit.

use super::{Field, KindTable, Shape::*, Table};
use crate::audit::{kind::Kind, words};

pub static KIND: KindTable = KindTable {
    kind: Kind::WorkflowExecution,
    table: &TABLE,
    status: Some("status"),
    status_default: None,
    final_words: &[("completed", "success"), ("failed", "failure"), ("timeout", "failure")],
    event_type_prefix: "workflow_execution",
};

static STEP: Table = Table {
    name: "StepExecution",
    meaning: "One step of the workflow.",
    fields: &[
        Field::new("stepNumber", Count, "Its place, from 1.").required(),
        Field::new("action", Name, "What it did.").required(),
        Field::new("status", Word(&words::STEP_STATUS), "Where it stands."),
        Field::new("startTime", Time, "When it began; without it, when the step before ended."),
        Field::new("endTime", Time, "When it ended."),
        Field::new("durationMs", Ms, "How long it took.").column("duration"),
        Field::new("retriesAttempted", Count, "How often it was tried again."),
        Field::new("errorMessage", Line, "What went wrong."),
        Field::new("target", Name, "What it was done to."),
        Field::new("output", Line, "What it printed."),
    ],
};

static ADJUSTMENT: Table = Table {
    name: "AdaptiveAdjustment",
    meaning: "How the running workflow was adjusted.",
    fields: &[
        Field::new("stepNumber", Count, "The step.").required(),
        Field::new("adjustmentType", Word(&words::ADJUSTMENT_TYPE), "What was adjusted.").required(),
        Field::new("reason", Line, "Why."),
        Field::new("timestamp", Time, "When."),
    ],
};

static TABLE: Table = Table {
    name: "WorkflowExecution",
    meaning: "An audit of a workflow execution: what was done, step by step.",
    fields: &[
        Field::new(
            "status",
            Word(&words::EXECUTION_STATUS),
            "Where the execution stands. Without `eventType`, the type is `workflow_execution.` and this word.",
        )
        .required(),
        Field::new("executionName", Name, "The execution resource; tells several executions of one remediation apart."),
        Field::new("attempt", Count, "Which attempt this is, from 1."),
        Field::new("workflowId", Name, "The workflow's id in the catalogue."),
        Field::new("workflowName", Name, "The workflow.").when_final(),
        Field::new("workflowVersion", Name, "Its version.").when_final(),
        Field::new("actionType", Name, "What it does, such as `RestartPod`."),
        Field::new("executionStartedAt", Time, "When it began."),
        Field::new("completedAt", Time, "When it ended; not before `executionStartedAt`."),
        Field::new("totalDurationMs", Ms, "How long it took.").since("completedAt"),
        Field::new("totalSteps", Count, "How many steps it has.").when_final(),
        Field::new("stepsCompleted", Count, "How many are done.").since("completedAt"),
        Field::new("stepsFailed", Count, "How many failed; with `stepsCompleted` not more than `totalSteps`.")
            .since("completedAt"),
        Field::new("executionOutcome", Word(&words::EXECUTION_OUTCOME), "What came of it.")
            .when_final()
            .column("outcome")
            .since("completedAt"),
        Field::new("effectivenessScore", Score, "The share of steps done, less retries and rollbacks.")
            .since("completedAt"),
        Field::new("rollbacksPerformed", Count, "How many steps were undone.").since("completedAt"),
        Field::new("retriesPerformed", Count, "How many steps were tried again.").since("completedAt"),
        Field::new("retryCount", Count, "How often the whole workflow was tried again."),
        Field::new("stepExecutions", Objects(&STEP), "Its steps."),
        Field::new("adaptiveAdjustments", Objects(&ADJUSTMENT), "How it was adjusted while it ran."),
        Field::new("preConditionsPassed", Bool, "Whether the conditions to begin held."),
        Field::new("postConditionsPassed", Bool, "Whether the conditions to end held.").since("completedAt"),
        Field::new("validationResults", Json, "What the validations found.").since("completedAt"),
        Field::new("errorMessage", Line, "What went wrong.").since("completedAt"),
        Field::new("failureReason", Word(&words::EXECUTION_FAILURE), "Why it failed.").since("completedAt"),
        Field::new("failureMessage", Line, "The failure in the engine's words.").since("completedAt"),
        Field::new("failedTaskName", Name, "The task that failed.").since("completedAt"),
        Field::new("containerImage", Name, "The workflow's image."),
        Field::new("pipelinerunName", Name, "The PipelineRun."),
        Field::new("parameters", Json, "The workflow's parameters."),
        Field::new("clearReason", Line, "Why a block was cleared."),
        Field::new("clearedAt", Time, "When a block was cleared."),
    ],
};
