//! The decision: policy agrees by itself, or a person is asked and agrees, refuses or does not answer in time.

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Span, Story, notice::Message, service, time, with};
use crate::{
    audit::Kind,
    demo::{
        cast::{self, Person},
        plan::{Ending, Stage},
        texts,
    },
};

impl Story<'_> {
    /// The audit that opened the way to the execution; `None` when the remediation ended here.
    pub(super) fn decided(&mut self, analysed: Uuid) -> Option<Uuid> {
        if !self.plan.asks {
            self.pass(300, 1_500);
            return Some(self.executing(
                analysed,
                json!({
                    "approvalDecision": "auto_approved",
                    "decision": {
                        "point": "does a person have to agree", "chosen": "no", "rule": "approval.rego",
                        "reason": format!("{} changes of type {} are approved by \
                            policy", self.plan.cluster.environment, self.plan.workflow().action_type),
                        "options": [{"name": "auto-approve", "taken": true}, {"name": "ask", "taken": false}],
                    },
                }),
            ));
        }

        self.pass(500, 1_800);
        let asked_at = self.now;
        let patience = self.draw.pick(&[15, 30, 30, 60]);
        let required_by = asked_at + TimeDelta::minutes(patience);
        let asking = self.asking();
        let request = self.child("rar");
        let asked = self.phase(
            "awaiting_approval",
            Some(analysed),
            json!({
                "fromPhase": "Analyzing", "toPhase": "AwaitingApproval", "approvalRequestName": request,
                "approvalRequestedAt": time(asked_at), "requiredBy": time(required_by),
                "approvalConfidence": self.plan.confidence, "approvalDecision": "pending", "reason": asking.clone(),
                "workflowId": self.plan.workflow().name, "workflowVersion": self.plan.workflow().version,
                "actionType": self.plan.workflow().action_type,
                "decision": {
                    "point": "does a person have to \
                        agree", "chosen": "yes", "rule": "approval.rego", "reason": asking.clone(),
                    "options": [{"name": "auto-approve", "taken": false, "reason": asking.clone()}, {"name": "ask",
                    "taken": true}],
                },
            }),
        );
        self.figures.insert("asking", asking);
        self.figures.insert("required_by", required_by.format("%H:%M").to_string());
        self.notify(Message::Asking, Some(asked));

        if self.plan.ending == Ending::Expired {
            self.now = required_by;
            self.waited(asked_at);
            self.expired(asked);
            return None;
        }
        // Most answer within minutes; some are away from their desk. Nobody answers after the deadline.
        let answer = if self.draw.chance(80) { self.draw.range(40, 480) } else { self.draw.range(480, 840) };
        self.now = (asked_at + TimeDelta::seconds(answer)).max(self.now + TimeDelta::seconds(5));
        self.waited(asked_at);
        let person = cast::on_call(&self.plan.target, &mut self.draw);
        if self.plan.ending == Ending::Rejected {
            self.refused(asked, person);
            return None;
        }
        Some(self.agreed(asked, asked_at, person))
    }

    fn waited(&mut self, asked_at: chrono::DateTime<chrono::Utc>) {
        let span = Span { start: asked_at, end: self.now };
        self.spans.push(("approval_wait", span));
        self.stages.insert(Stage::AwaitingApproval, span);
    }

    fn agreed(&mut self, asked: Uuid, asked_at: chrono::DateTime<chrono::Utc>, person: &Person) -> Uuid {
        let decided_at = self.now;
        let words = self.one(texts::AGREED);
        let via = self.draw.pick(&["slack", "slack", "console", "console", "api"]);
        let decided = self.answered(asked, person, "Approved", via, &words);
        if self.draw.chance(30) {
            // Older analysis controllers write the decision into their own resource too.
            self.now += TimeDelta::milliseconds(250);
            self.analysis(
                "completed",
                Some(decided),
                json!({
                    "eventType": "ai_analysis.approval.recorded", "approvalRequired": true,
                    "approvalStatus": "approved",
                    "approvalRequestedAt": time(asked_at), "approvalTime": time(decided_at),
                    "approvalDurationMs": (decided_at - asked_at).num_milliseconds(), "approvalMethod": via,
                    "approvalJustification": words.clone(), "approvedBy": person.id,
                }),
            );
        }
        self.pass(300, 1_200);
        self.executing(
            decided,
            json!({
                "approvalDecision": "approved", "approvalDecidedAt": time(decided_at), "approvedBy": person.id,
                "message": words, "approvalRequestName": self.child("rar"),
            }),
        )
    }

    fn refused(&mut self, asked: Uuid, person: &Person) {
        let decided_at = self.now;
        let words = if !self.text.refusal.is_empty() && self.draw.chance(75) {
            self.text.refusal.clone()
        } else {
            self.one(texts::REFUSED)
        };
        let via = self.draw.pick(&["slack", "console"]);
        let decided = self.answered(asked, person, "Rejected", via, &words);
        self.pass(300, 1_200);
        let fields = json!({
            "approvalDecision": "rejected", "approvalDecidedAt": time(decided_at), "rejectedBy": person.id,
            "rejectionReason": words, "approvalRequestName": self.child("rar"),
        });
        self.failed_with("Approval", &format!("{} refused the recommended action", person.name), Some(decided), fields);
    }

    fn expired(&mut self, asked: Uuid) {
        let decided_at = self.now;
        self.pass(200, 2_000);
        let fields = json!({
            "approvalDecision": "expired", "approvalDecidedAt": time(decided_at),
            "approvalRequestName": self.child("rar"),
        });
        self.failed_with("Approval", "nobody decided before the approval request ran out", Some(asked), fields);
    }

    /// What the admission webhook saw: who decided, and in which words.
    fn answered(&mut self, asked: Uuid, person: &Person, decision: &str, via: &str, words: &str) -> Uuid {
        self.audit(
            Kind::Other,
            json!({"type": "user", "id": person.id, "displayName": person.name}),
            Some(asked),
            json!({
                "category": "approval", "eventType": "webhook.remediationapprovalrequest.decided", "outcome": "success",
                "payload": {
                    "approvalRequestName": self.child("rar"), "decision": decision, "decidedBy": person.id,
                    "decidedVia": via, "decidedAt": time(self.now), "decisionMessage": words,
                    "remediationRequest": self.plan.remediation_id,
                },
            }),
        )
    }

    fn executing(&mut self, parent: Uuid, fields: Value) -> Uuid {
        let workflow = self.plan.workflow();
        let created_child = self.create_child("WorkflowExecution", "we");
        let own = json!({
            "fromPhase": if self.plan.asks { "AwaitingApproval" } else { "Analyzing" }, "toPhase": "Executing",
            "workflowExecutionName": self.child("we"), "workflowStartedAt": time(self.now),
            "workflowId": workflow.name, "workflowVersion": workflow.version, "actionType": workflow.action_type,
            "crdPropagation": created_child,
        });
        self.phase("executing", Some(parent), with(own, fields))
    }

    pub(super) fn cancelled(&mut self, analysed: Uuid) {
        self.pass(20_000, 200_000);
        let person = cast::on_call(&self.plan.target, &mut self.draw);
        let why = self.one(texts::CALLED_OFF);
        let called_off = self.audit(
            Kind::Other,
            json!({"type": "user", "id": person.id, "displayName": person.name}),
            Some(analysed),
            json!({
                "category": "webhook", "eventType": "webhook.remediationrequest.cancelled", "outcome": "success",
                "payload": {"cancelledBy": person.id, "reason": why.clone()},
            }),
        );
        self.pass(200, 900);
        let fields = with(self.final_fields(), json!({"reason": why}));
        self.phase("cancelled", Some(called_off), fields);
        self.cleaned_up();
    }

    pub(super) fn gateway_note(&mut self, event_type: &str, parent: Uuid, payload: Value) -> Uuid {
        let fields = json!({"category": "gateway", "eventType": event_type, "outcome": "success", "payload": payload});
        self.audit(Kind::Other, service("gateway"), Some(parent), fields)
    }
}
