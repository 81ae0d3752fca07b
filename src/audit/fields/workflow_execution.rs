//! The fields of a workflow-execution audit.

use super::{Field, KindTable, Shape::*, Table, Unit};
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
        Field::new("stepNumber", Count, "The step's place in the workflow, from 1.").required(),
        Field::new("action", Name, "What the step did, such as `scale-deployment`.").required(),
        Field::new("status", Word(&words::STEP_STATUS), "Where the step stands."),
        Field::new(
            "startTime",
            Time,
            "When the step began. When left out, it is taken to have begun when the step before ended.",
        ),
        Field::new("endTime", Time, "When the step ended."),
        Field::new("durationMs", Ms, "How long the step took.").column_in("duration", Unit::Nanoseconds),
        Field::new("retriesAttempted", Count, "How often the step was tried again."),
        Field::new("errorMessage", Line, "What went wrong, where something did."),
        Field::new("target", Name, "What the step was done to, such as `deployment/checkout`."),
        Field::new("output", Line, "What the step printed; up to 4,000 characters."),
    ],
};

static ADJUSTMENT: Table = Table {
    name: "AdaptiveAdjustment",
    meaning: "How the running workflow was adjusted.",
    fields: &[
        Field::new("stepNumber", Count, "The number of the step that was adjusted.").required(),
        Field::new("adjustmentType", Word(&words::ADJUSTMENT_TYPE), "What was adjusted.").required(),
        Field::new("reason", Line, "Why the workflow was adjusted."),
        Field::new("timestamp", Time, "When the workflow was adjusted."),
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
        Field::new(
            "executionName",
            Name,
            "The name of the WorkflowExecution resource. It tells several executions of one remediation apart.",
        ),
        Field::new("attempt", Count, "Which attempt this is, from 1."),
        Field::new("workflowId", Name, "The workflow's id in the catalogue."),
        Field::new("workflowName", Name, "The workflow's name, such as `restart-pod`.").when_final(),
        Field::new("workflowVersion", Name, "The workflow's version, such as `v1.2.0`.").when_final(),
        Field::new("actionType", Name, "What the workflow does, such as `RestartPod`."),
        Field::new("executionStartedAt", Time, "When the execution began."),
        Field::new(
            "completedAt",
            Time,
            "When the execution ended; not before `executionStartedAt`. Null while it runs.",
        ),
        Field::new("totalDurationMs", Ms, "How long the execution took.").since("completedAt"),
        Field::new("totalSteps", Count, "How many steps the workflow has.").when_final(),
        Field::new("stepsCompleted", Count, "How many steps are done.").since("completedAt"),
        Field::new("stepsFailed", Count, "How many steps failed; with `stepsCompleted` not more than `totalSteps`.")
            .since("completedAt"),
        Field::new("executionOutcome", Word(&words::EXECUTION_OUTCOME), "What came of the execution.")
            .when_final()
            .column("outcome")
            .since("completedAt"),
        Field::new("effectivenessScore", Score, "The share of steps done, less retries and rollbacks.")
            .since("completedAt"),
        Field::new("rollbacksPerformed", Count, "How many steps were undone.").since("completedAt"),
        Field::new("retriesPerformed", Count, "How many steps were tried again.").since("completedAt"),
        Field::new("retryCount", Count, "How often the whole workflow was tried again."),
        Field::new("stepExecutions", Objects(&STEP), "The steps of the execution, in their order."),
        Field::new("adaptiveAdjustments", Objects(&ADJUSTMENT), "How the workflow was adjusted while it ran."),
        Field::new("preConditionsPassed", Bool, "Whether the conditions for beginning held."),
        Field::new("postConditionsPassed", Bool, "Whether what the workflow promises held when it was through.")
            .since("completedAt"),
        Field::new("validationResults", Json, "What the checks before and after found, as JSON.").since("completedAt"),
        Field::new("errorMessage", Line, "What went wrong, where something did.").since("completedAt"),
        Field::new("failureReason", Word(&words::EXECUTION_FAILURE), "Why the execution failed.").since("completedAt"),
        Field::new("failureMessage", Line, "The failure in the engine's words.").since("completedAt"),
        Field::new("failedTaskName", Name, "The name of the task that failed.").since("completedAt"),
        Field::new("containerImage", Name, "The container image that the workflow ran from."),
        Field::new("pipelinerunName", Name, "The name of the Tekton PipelineRun that carried the workflow out."),
        Field::new("parameters", Json, "The workflow's parameters, as JSON."),
        Field::new("clearReason", Line, "Why a block that kept further executions back was cleared."),
        Field::new("clearedAt", Time, "When that block was cleared."),
    ],
};
