//! The execution of the workflow: its steps with their retries and rollbacks, and sometimes a second attempt.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Span, Story, service, time, with};
use crate::{
    audit::Kind,
    demo::plan::{Ending, Stage},
};

/// How an attempt ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Succeeds,
    Fails,
    TimesOut,
}

/// What went wrong in an attempt.
struct Failure {
    /// The engine's word.
    reason: &'static str,
    message: String,
    /// The step's place.
    place: usize,
    status: &'static str,
    /// When the engine gave up on the step, if it waited; it fails at once otherwise.
    patience: Option<Patience>,
}

#[derive(Clone, Copy)]
enum Patience {
    OfStep(TimeDelta),
    OfWorkflow(DateTime<Utc>),
}

/// The time limit of a workflow.
const LIMIT: TimeDelta = TimeDelta::minutes(30);

/// The steps as they ran, and what is counted about them.
#[derive(Default)]
struct Steps {
    told: Vec<Value>,
    adjustments: Vec<Value>,
    completed: usize,
    failed: usize,
    retries: i64,
    rollbacks: usize,
}

impl Story<'_> {
    /// The audit of the last attempt; `None` when the remediation failed here.
    pub(super) fn carried_out(&mut self, agreed: Uuid) -> Option<Uuid> {
        let start = self.now;
        let attempts = match self.plan.ending {
            Ending::ExecutionFailed if self.draw.chance(45) => vec![Attempt::Fails, Attempt::Fails],
            Ending::ExecutionFailed => vec![Attempt::Fails],
            Ending::ExecutionTimedOut => vec![Attempt::TimesOut],
            Ending::Remediated if self.draw.chance(8) => vec![Attempt::Fails, Attempt::Succeeds],
            _ => vec![Attempt::Succeeds],
        };
        let mut parent = agreed;
        let mut outcome = None;
        for (index, attempt) in attempts.iter().enumerate() {
            if index > 0 {
                self.pass(15_000, 90_000); // a pause before trying again
            }
            (parent, outcome) = self.attempt(parent, index + 1, *attempt);
        }
        self.stages.insert(Stage::Executing, Span { start, end: self.now });
        match outcome {
            None => Some(parent),
            Some(Failure { reason, message, .. }) => {
                let why = format!("{} failed: {message}", self.plan.workflow().name);
                let details = json!({"errorDetails": {
                    "message": message, "code": format!("ERR_EXECUTION_{}", reason.to_uppercase()),
                    "component": "workflowexecution", "retryPossible": reason != "forbidden",
                }});
                self.failed_with("WorkflowExecution", &why, Some(parent), details);
                None
            }
        }
    }

    fn attempt(&mut self, parent: Uuid, number: usize, attempt: Attempt) -> (Uuid, Option<Failure>) {
        let workflow = self.plan.workflow();
        self.pass(400, 2_500);
        let start = self.now;
        let failure = self.failure(attempt, start);
        let dry_run = self.plan.ending == Ending::DryRun;
        let suffix = self.draw.suffix(5);
        let run = format!("{}-{number}", self.child("we"));
        let name = if number == 1 { self.child("we") } else { run };
        let own = json!({
            "executionName": name, "attempt": number, "workflowId": workflow.name, "workflowName": workflow.name,
            "workflowVersion": workflow.version, "actionType": workflow.action_type, "executionStartedAt": time(start),
            "totalSteps": workflow.steps.len(),
        });
        let running = self.execution(
            "running",
            Some(parent),
            with(
                own.clone(),
                json!({
                    "preConditionsPassed": true, "pipelinerunName": format!("{}-{suffix}", workflow.name),
                    "containerImage": format!("registry.internal/workflows/{}:{}", workflow.name, workflow.version),
                    "parameters": {
                        "target": self.target_path(), "dryRun": dry_run.to_string(),
                        "reason": self.plan.cause.name,
                    },
                    "target": self.target(),
                }),
            ),
        );
        let steps = self.steps(running, &own, failure.as_ref());
        let end = self.now;
        self.spans.push(("workflow_execution", Span { start, end }));

        let done = steps.completed as f64 / workflow.steps.len() as f64;
        let score = (done - 0.05 * steps.retries as f64 - 0.1 * steps.rollbacks as f64).clamp(0.0, 1.0);
        let mut fields = with(
            own,
            json!({
                "completedAt": time(end), "totalDurationMs": Span { start, end }.ms(),
                "stepsCompleted": steps.completed, "stepsFailed": steps.failed, "stepExecutions": steps.told,
                "adaptiveAdjustments": steps.adjustments, "retriesPerformed": steps.retries,
                "rollbacksPerformed": steps.rollbacks, "effectivenessScore": (score * 100.0).round() / 100.0,
                "postConditionsPassed": failure.is_none(), "retryCount": number - 1,
            }),
        );
        let (status, outcome) = match attempt {
            Attempt::Succeeds => ("completed", "success"),
            Attempt::Fails => ("failed", if steps.completed > 0 { "partial" } else { "failed" }),
            Attempt::TimesOut => ("timeout", "timeout"),
        };
        fields["executionOutcome"] = outcome.into();
        if let Some(Failure { reason, message, place, .. }) = &failure {
            let step = workflow.steps[*place];
            fields = with(
                fields,
                json!({
                    "failureReason": reason, "failureMessage": message, "failedTaskName": step,
                    "errorMessage": format!("step {} ({step}) did not succeed", place + 1),
                }),
            );
        }
        (self.execution(status, Some(running), fields), failure)
    }

    fn execution(&mut self, status: &str, parent: Option<Uuid>, fields: Value) -> Uuid {
        let fields = with(json!({"status": status}), fields);
        self.audit(Kind::WorkflowExecution, service("workflow-execution"), parent, fields)
    }

    fn failure(&mut self, attempt: Attempt, start: DateTime<Utc>) -> Option<Failure> {
        let workflow = self.plan.workflow();
        match attempt {
            Attempt::Succeeds => None,
            Attempt::TimesOut => Some(Failure {
                reason: "deadline_exceeded",
                message: "PipelineRun was stopped by its time limit of 30m0s while its last step was \
                    waiting"
                    .to_string(),
                place: workflow.steps.len() - 1,
                status: "timeout",
                patience: Some(Patience::OfWorkflow(start + LIMIT)),
            }),
            Attempt::Fails => {
                let (reason, message) = self.draw.pick(workflow.failures);
                let minutes = self.figures["patience"].split('m').next().and_then(|text| text.parse().ok());
                let waited = message.contains("{patience}").then_some(TimeDelta::minutes(minutes.unwrap_or(3)));
                Some(Failure {
                    reason,
                    message: self.fill(message),
                    place: failing_step(workflow.steps, reason, message),
                    status: "failed",
                    patience: waited.map(Patience::OfStep),
                })
            }
        }
    }

    /// Runs the steps up to the one that fails, and tells of the progress on the way.
    fn steps(&mut self, running: Uuid, own: &Value, failure: Option<&Failure>) -> Steps {
        let workflow = self.plan.workflow();
        let mut steps = Steps::default();
        for (place, action) in workflow.steps.iter().enumerate() {
            let start = self.now;
            let fails = failure.filter(|failure| failure.place == place);
            let (least, most) = workflow.step_seconds;
            let mut retries = 0;
            match fails.map(|failure| failure.patience) {
                Some(Some(Patience::OfStep(waited))) => self.now += waited,
                Some(Some(Patience::OfWorkflow(limit))) => self.now = limit.max(self.now),
                Some(None) | None => self.pass(least * 1_000, most * 1_000),
            }
            if fails.is_some() {
                retries = self.draw.range(0, 3);
            } else if self.draw.chance(7) {
                retries = 1;
                self.pass(4_000, 30_000);
                steps.adjustments.push(adjustment(
                    place,
                    "retry",
                    "first try met a conflict, the object had just \
                    been changed",
                    self.now,
                ));
            } else if self.draw.chance(5) {
                steps.adjustments.push(adjustment(
                    place,
                    "timeout",
                    "image pull is slow on this node, limit raised \
                    from 2m to 5m",
                    self.now,
                ));
            }
            steps.retries += retries;
            let mut step = json!({
                "stepNumber": place + 1, "action": action, "startTime": time(start), "endTime": time(self.now),
                "durationMs": Span { start, end: self.now }.ms(), "retriesAttempted": retries,
                "target": self.target_path(), "status": "completed",
            });
            if let Some(Failure { message, status, .. }) = fails {
                step = with(step, json!({"status": status, "errorMessage": message}));
                steps.failed = 1;
                steps.told.push(step);
                self.roll_back(&mut steps);
                break;
            }
            steps.completed += 1;
            steps.told.push(step);
            if place + 1 < workflow.steps.len() && self.draw.chance(45) {
                let progress = json!({
                    "eventType": "workflow_execution.step_completed", "stepExecutions": steps.told.clone(),
                });
                self.execution("running", Some(running), with(own.clone(), progress));
            }
        }
        steps
    }

    /// What the steps before had changed is put back, if the acting step had already been done.
    fn roll_back(&mut self, steps: &mut Steps) {
        let acted = steps.told.len() >= 3 && self.draw.chance(70);
        if !acted {
            return;
        }
        self.pass(4_000, 40_000);
        let place = steps.told.len() - 2;
        steps.told[place]["status"] = "rolled_back".into();
        steps.completed -= 1;
        steps.rollbacks = 1;
    }
}

/// Where a workflow fails: what waits runs out of time, what acts is refused.
fn failing_step(steps: &[&str], reason: &str, message: &str) -> usize {
    let find = |wanted: &[&str]| steps.iter().position(|step| wanted.iter().any(|part| step.contains(part)));
    let named = steps.iter().position(|step| message.starts_with(step));
    let by_reason = match reason {
        _ if message.starts_with("cannot evict") => find(&["evict", "restart-pods"]),
        "deadline_exceeded" | "resource_exhausted" => find(&["wait", "watch", "verify-res", "check-condition"]),
        _ => Some(1),
    };
    named.or(by_reason).unwrap_or(steps.len() - 1)
}

fn adjustment(place: usize, adjustment_type: &str, reason: &str, at: DateTime<Utc>) -> Value {
    let at = at - TimeDelta::seconds(1);
    json!({"stepNumber": place + 1, "adjustmentType": adjustment_type, "reason": reason, "timestamp": time(at)})
}
