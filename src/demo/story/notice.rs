//! Notifications: each message with its way from waiting to delivered, limits and refusals of the channel included.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Story, service, time, with};
use crate::{
    audit::Kind,
    demo::{cast, texts},
};

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Asking,
    Done,
    Handover,
    Note,
}

impl Story<'_> {
    /// Sends a message. The telling does not wait for its delivery: what comes next may come before.
    pub(super) fn notify(&mut self, message: Message, parent: Option<Uuid>) {
        let resume_at = self.now;
        self.notices += 1;
        let (kind, template, templates) = match message {
            Message::Asking => ("approval", "approval-request", texts::ASKING_MESSAGES),
            Message::Done => ("resolution", "remediation-complete", texts::DONE_MESSAGES),
            Message::Handover => ("escalation", "remediation-handover", texts::HANDOVER_MESSAGES),
            Message::Note => ("status_update", "remediation-note", texts::NOTE_MESSAGES),
        };
        let channel = match message {
            Message::Handover => self.draw.pick(&["pagerduty", "pagerduty", "slack"]),
            Message::Note => self.draw.pick(&["email", "slack"]),
            _ => self.draw.pick(&["slack", "slack", "slack", "teams", "email"]),
        };
        let (subject, body) = self.words(templates);
        let recipients = match channel {
            "slack" | "teams" => cast::channel(&self.plan.target),
            "email" => format!("{}-team@example.com", self.plan.service.namespace),
            _ => format!("{}-primary", self.plan.target.namespace.unwrap_or("platform")),
        };
        let own = json!({
            "notificationId": format!("nt-{}-{}", self.plan.remediation_id, self.notices), "channel": channel,
            "notificationType": kind, "messageTemplate": template, "messagePriority": self.plan.service.priority,
            "recipients": [recipients], "recipientCount": 1, "maxRetries": 3,
        });
        self.pass(150, 900);
        let requested_at = self.now;
        let message_fields = json!({"subject": subject, "body": body, "notificationRequestedAt": time(requested_at)});
        let pending = self.notice("pending", parent, with(own.clone(), message_fields));
        self.deliver(pending, own, channel, message);
        self.now = resume_at;
    }

    fn deliver(&mut self, pending: Uuid, own: Value, channel: &str, message: Message) {
        let mut retries = 0;
        if self.draw.chance(14) {
            let (code, words) = match channel {
                "slack" => ("SLACK_RATE_LIMIT", "slack answered 429, retry after 30 s"),
                "email" => ("SMTP_GREYLISTED", "451 4.7.1 greylisted, please try again later"),
                "teams" => ("WEBHOOK_TIMEOUT", "no answer from the incoming webhook within 10 s"),
                _ => ("PROVIDER_UNAVAILABLE", "events endpoint answered 503"),
            };
            retries = self.draw.range(1, 2);
            for attempt in 1..=retries {
                self.pass(4_000, 32_000);
                let fields = json!({
                    "retryCount": attempt, "lastRetryTime": time(self.now), "errorCode": code, "errorMessage": words,
                    "errorType": "transient",
                });
                self.notice("retrying", Some(pending), with(own.clone(), fields));
            }
            if self.draw.chance(12) {
                self.pass(20_000, 60_000);
                let fields = json!({
                    "retryCount": 3, "errorCode": code, "errorMessage": words, "completedAt": time(self.now),
                    "deliveryStatus": "failed",
                });
                self.notice("failed", Some(pending), with(own, fields));
                return;
            }
        }
        self.pass(120, 1_900);
        let sent_at = self.now;
        let sent = with(own.clone(), json!({"sentAt": time(sent_at), "retryCount": retries}));
        let mut last = pending;
        if self.draw.chance(60) {
            last = self.notice("sent", Some(pending), sent.clone());
        }
        self.pass(200, 3_000);
        let delivered = json!({
            "deliveryTime": time(self.now), "deliveryDurationMs": (self.now - sent_at).num_milliseconds(),
            "deliveryStatus": "success", "completedAt": time(self.now),
        });
        self.notice("delivered", Some(last), with(sent.clone(), delivered.clone()));
        if message == Message::Handover && channel == "pagerduty" && self.draw.chance(70) {
            self.pass(40_000, 400_000);
            let person = cast::on_call(&self.plan.target, &mut self.draw);
            let fields = with(sent, with(delivered, json!({"acknowledgedBy": person.id})));
            self.notice("acknowledged", Some(last), fields);
        }
    }

    fn notice(&mut self, status: &str, parent: Option<Uuid>, fields: Value) -> Uuid {
        let fields = with(json!({"status": status}), fields);
        self.audit(Kind::Notification, service("notification"), parent, fields)
    }

    fn words(&mut self, templates: &[(&str, &str)]) -> (String, String) {
        let plan = self.plan;
        let figures = [
            ("workflow", plan.remedy.workflow.to_string()),
            ("summary", self.text.summary.clone()),
            ("rationale", self.text.rationale.clone()),
            ("priority", plan.service.priority.to_string()),
            ("signal", plan.signal.name.to_string()),
        ];
        self.figures.extend(figures);
        let (subject, body) = self.draw.pick(templates);
        (self.fill(subject), self.fill(body))
    }
}
