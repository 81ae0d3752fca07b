//! What the events of notifications tell.

use super::{As::Is, Member, Reading};
use crate::audit::{kind::ActorType, words::plain};

const MEMBERS: &[Member] = &[
    ("notification_id", "notificationId", Is),
    ("notification_name", "notificationId", Is),
    ("channel", "channel", Is),
    ("delivery_channels", "channels", Is),
    ("subject", "subject", Is),
    ("body", "body", Is),
    ("type", "notificationType", Is),
    ("notification_type", "notificationType", Is),
    ("error_type", "errorType", Is),
    ("error", "errorMessage", Is),
    ("error_message", "errorMessage", Is),
    ("reason", "reason", Is),
    ("cancelled_by", "cancelledBy", Is),
    ("acknowledged_by", "acknowledgedBy", Is),
    ("priority", "messagePriority", Is),
    ("final_status", "status", Is),
];

/// Kubernaut's words for what is urgent, and ours.
const PRIORITIES: &[(&str, &str)] = &[("critical", "P0"), ("high", "P1"), ("medium", "P2"), ("low", "P3")];

pub fn read(reading: &mut Reading<'_>) -> &'static [Member] {
    let data = reading.data;
    reading.take(MEMBERS);
    if !reading.told.contains_key("notificationId") {
        let named = data.text("name").or_else(|| reading.resource("NotificationRequest"));
        let resource = named.or_else(|| reading.envelope.text("resource_id"));
        let made = format!("nt-{}", reading.event.stream.remediation_id);
        reading.tell("notificationId", Some(resource.unwrap_or(&made)));
    }
    let priority = data.text("priority").map(plain);
    let known = PRIORITIES.iter().find(|(theirs, _)| priority.as_deref() == Some(theirs));
    reading.tell("messagePriority", known.map(|(_, ours)| *ours));

    let status = match reading.event.event_type.as_str() {
        "notification.message.sent" => Some("sent"),
        "notification.message.failed" => Some("failed"),
        "notification.message.acknowledged" | "webhook.notification.acknowledged" => Some("acknowledged"),
        "notification.message.escalated" => Some("escalated"),
        "webhook.notification.cancelled" => Some("cancelled"),
        _ => None,
    };
    reading.tell("status", status);
    if status == Some("sent") {
        reading.tell("sentAt", Some(reading.occurred_at()));
    }
    // The webhook knows who acted; its one field for that is named after the other act.
    let person = reading.event.actor_id.as_deref().filter(|_| reading.event.actor_type == Some(ActorType::User));
    if reading.is("webhook.notification.acknowledged") {
        let by = data.any_text(&["acknowledged_by", "cancelled_by"]).or(person);
        reading.told.remove("cancelledBy");
        reading.tell("acknowledgedBy", by);
    }
    if reading.is("webhook.notification.cancelled") && !reading.told.contains_key("cancelledBy") {
        reading.tell("cancelledBy", person);
    }
    MEMBERS
}
