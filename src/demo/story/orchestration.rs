//! How the orchestrator ends a remediation, and what it keeps about its children.

use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Story, notice::Message, time, with};
use crate::demo::plan::Ending;

impl Story<'_> {
    /// The remediation is over; the time it ended is now.
    pub(super) fn ended(&mut self, parent: Uuid, crd_outcome: &str) {
        self.pass(200, 1_500);
        let fields = with(self.final_fields(), json!({"crdOutcome": crd_outcome}));
        let ended = self.phase("completed", Some(parent), fields);
        self.notify(Message::Done, Some(ended));
        self.cleaned_up();
    }

    pub(super) fn failed(&mut self, phase: &str, reason: &str, parent: Option<Uuid>) {
        self.failed_with(phase, reason, parent, json!({}));
    }

    pub(super) fn failed_with(&mut self, phase: &str, reason: &str, parent: Option<Uuid>, more: Value) {
        self.pass(200, 1_500);
        let mut fields = with(self.final_fields(), json!({"failurePhase": phase, "failureReason": reason}));
        let timed_out = self.plan.ending == Ending::ExecutionTimedOut;
        if timed_out {
            fields = with(fields, json!({"timeoutPhase": phase, "timeoutTime": time(self.now)}));
        }
        let word = if timed_out { "timed_out" } else { "failed" };
        let failed = self.phase(word, parent, with(fields, more));
        self.figures.insert("why", reason.to_string());
        self.notify(Message::Handover, Some(failed));
        self.cleaned_up();
    }

    pub(super) fn blocked(&mut self, processed: Uuid) {
        self.pass(200, 900);
        let before = self.plan.follows.clone();
        let reason = match &before {
            Some(before) => format!(
                "{before} changed {} a short time ago and its effect is still being \
                verified",
                self.target_path()
            ),
            None => format!("three remediations of {} have failed in a row", self.target_path()),
        };
        let rule = if before.is_some() { "RecentlyRemediated" } else { "ConsecutiveFailures" };
        let blocked = self.phase(
            "blocked",
            Some(processed),
            json!({
                "fromPhase": "Processing", "toPhase": "Blocked", "reason": rule, "subReason": reason.clone(),
                "decision": {
                    "point": "may this target be remediated \
                        now", "chosen": "block", "rule": rule, "reason": reason.clone(),
                    "options": [
                        {"name": "analyse", "taken": false, "reason": reason.clone()},
                        {"name": "block", "taken": true},
                    ],
                },
            }),
        );
        self.figures.insert("why", reason.clone());
        self.notify(Message::Handover, Some(blocked));
        self.gateway_note("gateway.signal.held", blocked, json!({"reason": rule}));
        if self.draw.chance(50) {
            return; // held back until somebody looks
        }
        self.pass(600_000, 1_500_000);
        let fields = json!({"failurePhase": "Blocked", "failureReason": reason, "reason": rule});
        let fields = with(self.final_fields(), fields);
        self.phase("failed", Some(blocked), fields);
    }

    pub(super) fn skipped(&mut self, processed: Uuid) {
        self.pass(200, 900);
        let (rule, reason) = match &self.plan.follows {
            Some(before) => ("RecentlyRemediated", format!("{before} remediated the same target within the cool-down")),
            None => (
                "ResourceBusy",
                format!(
                    "{} is being changed by a rollout that was started by \
                hand",
                    self.target_path()
                ),
            ),
        };
        let fields = json!({
            "reason": rule, "subReason": reason.clone(),
            "decision": {
                "point": "may this target be remediated now", "chosen": "skip", "rule": rule, "reason": reason.clone(),
                "options": [{"name": "analyse", "taken": false, "reason": reason.clone()}, {"name": "skip",
                "taken": true}],
            },
        });
        let fields = with(self.final_fields(), fields);
        let skipped = self.phase("skipped", Some(processed), fields);
        self.figures.insert("why", reason);
        self.notify(Message::Note, Some(skipped));
    }

    pub(super) fn no_action(&mut self, analysed: Uuid) {
        self.pass(200, 1_500);
        let why = "the condition had cleared before anything was done";
        let fields = with(self.final_fields(), json!({"crdOutcome": "no_action_required", "reason": why}));
        let ended = self.phase("completed", Some(analysed), fields);
        self.figures.insert("why", why.to_string());
        self.notify(Message::Note, Some(ended));
        self.cleaned_up();
    }

    pub(super) fn manual_review(&mut self, analysed: Uuid) {
        self.pass(200, 1_500);
        let why = "the analysis could not name a cause with enough confidence";
        let fields = with(self.final_fields(), json!({"crdOutcome": "manual_review_required", "reason": why}));
        let ended = self.phase("completed", Some(analysed), fields);
        self.figures.insert("why", why.to_string());
        self.notify(Message::Handover, Some(ended));
        self.cleaned_up();
    }

    /// What an orchestrator sums up when a remediation ends now.
    pub(super) fn final_fields(&mut self) -> Value {
        let total = (self.now - self.started_at).num_milliseconds();
        let names = [
            ("signal_processing", "signal-processing", "remediationProcessing"),
            ("ai_analysis", "ai-analysis", "aiAnalysis"),
            ("workflow_execution", "workflow-execution", "workflowExecution"),
        ];
        let mut invoked = Vec::new();
        let mut statuses = Map::new();
        let mut transitions = Vec::new();
        for (word, service, status) in names {
            let spans: Vec<_> = self.spans.iter().filter(|(name, _)| *name == word).map(|(_, span)| *span).collect();
            let (Some(first), Some(last)) = (spans.first(), spans.last()) else { continue };
            if let Some(before) = invoked.last() {
                transitions.push(json!({"from": before, "to": service, "at": time(first.start)}));
            }
            invoked.push(service);
            let failed = match word {
                "ai_analysis" => self.plan.ending == Ending::AnalysisFailed,
                "workflow_execution" => matches!(self.plan.ending, Ending::ExecutionFailed | Ending::ExecutionTimedOut),
                _ => false,
            };
            statuses.insert(
                status.to_string(),
                json!({
                    "phase": if failed { "Failed" } else { "Completed" }, "startTime": time(first.start),
                    "completionTime": time(last.end), "success": !failed,
                }),
            );
        }
        let mut sums: Vec<(&str, i64)> = Vec::new();
        for (word, span) in &self.spans {
            match sums.iter_mut().find(|(name, _)| name == word) {
                Some((_, sum)) => *sum += span.ms(),
                None => sums.push((word, span.ms())),
            }
        }
        let retention = self.now + TimeDelta::hours(24);
        let mut fields = json!({
            "startTime": time(self.started_at), "completionTime": time(self.now),
            "signalReceivedAt": time(self.started_at), "totalDurationMs": total, "servicesInvoked": invoked,
            "serviceCrdStatuses": statuses, "serviceTransitions": transitions,
            "retentionExpiryTime": time(retention),
            "environment": self.plan.cluster.environment, "severity": self.plan.severity,
        });
        // The earlier phase wins a tie.
        if let Some((word, sum)) = sums.iter().rev().max_by_key(|(_, sum)| *sum) {
            fields["bottleneckPhase"] = json!(word);
            fields["bottleneckDurationMs"] = json!(sum);
        }
        fields
    }

    /// Creates a child resource, and gives what the orchestrator tells of it.
    pub(super) fn create_child(&mut self, kind: &str, prefix: &str) -> Value {
        let draw = &mut self.draw;
        let (a, b, c, d, e) = (draw.hex(8), draw.hex(4), draw.hex(3), draw.hex(3), draw.hex(12));
        json!([{
            "kind": kind, "name": self.child(prefix), "uid": format!("{a}-{b}-4{c}-8{d}-{e}"), "action": "create",
            "result": "success", "at": time(self.now),
        }])
    }

    /// A day later the resource is deleted; some orchestrators tell so.
    pub(super) fn cleaned_up(&mut self) {
        if !self.draw.chance(25) {
            return;
        }
        let deleted_at = self.now + TimeDelta::hours(24) + TimeDelta::seconds(self.draw.range(5, 600));
        let fields = json!({
            "overallPhase": "completed", "eventType": "orchestration.retention.cleaned_up",
            "startTime": time(self.started_at), "deletedAt": time(deleted_at),
        });
        self.audit_at(deleted_at, crate::audit::Kind::Orchestration, super::orchestrator(), None, fields);
    }
}
