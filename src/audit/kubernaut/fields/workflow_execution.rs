//! What the events of workflow executions tell. Kubernaut's tell no single steps.

use serde_json::Value;

use super::{
    As::{Go, Is},
    Member, Reading,
};

const MEMBERS: &[Member] = &[
    ("execution_name", "executionName", Is),
    ("workflow_id", "workflowId", Is),
    ("workflow_name", "workflowName", Is),
    ("workflow_version", "workflowVersion", Is),
    ("action_type", "actionType", Is),
    ("container_image", "containerImage", Is),
    ("pipelinerun_name", "pipelinerunName", Is),
    ("parameters", "parameters", Is),
    ("retry_count", "retryCount", Is),
    ("started_at", "executionStartedAt", Is),
    ("completed_at", "completedAt", Is),
    ("duration", "totalDurationMs", Go),
    ("failure_reason", "failureReason", Is),
    ("failure_message", "failureMessage", Is),
    ("failed_task_name", "failedTaskName", Is),
    ("clear_reason", "clearReason", Is),
    ("cleared_at", "clearedAt", Is),
    ("phase", "status", Is),
];

pub fn read(reading: &mut Reading<'_>) -> &'static [Member] {
    reading.take(MEMBERS);
    let resource = reading.resource("WorkflowExecution");
    if !reading.told.contains_key("executionName") {
        reading.tell("executionName", resource);
    }
    let error = reading.error();
    reading.tell("errorMessage", error.as_ref().and_then(|error| error.get("message")).cloned());
    let ended = |reading: &mut Reading<'_>, status: &str, outcome: &str| {
        reading.tell("status", Some(status));
        reading.tell("executionOutcome", Some(outcome));
        let at = reading.occurred_at();
        reading.told.entry("completedAt").or_insert_with(|| Value::from(at));
    };
    match reading.event.event_type.as_str() {
        "workflowexecution.selection.completed" => reading.tell("status", Some("pending")),
        "workflowexecution.execution.started" | "workflowexecution.workflow.started" => {
            reading.tell("status", Some("running"));
        }
        "workflowexecution.workflow.completed" => ended(reading, "completed", "success"),
        "workflowexecution.workflow.failed" => {
            let timed_out = reading.data.text("failure_reason") == Some("DeadlineExceeded");
            let (status, outcome) = if timed_out { ("timeout", "timeout") } else { ("failed", "failed") };
            ended(reading, status, outcome);
        }
        "workflowexecution.block.cleared" => {
            // A cleared block says that an execution may begin, not that it has.
            reading.told.remove("status");
            let at = reading.occurred_at();
            reading.told.entry("clearedAt").or_insert_with(|| Value::from(at));
        }
        _ => {}
    }
    MEMBERS
}
