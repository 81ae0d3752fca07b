//! Audits that stories send.

use serde_json::{Value, json};
use uuid::Uuid;

/// A notification of `remediation`, told under an id of its own.
pub fn notification(remediation: &str, event_id: Uuid, notification: &str) -> Value {
    json!({
        "kind": "NOTIFICATION", "remediationId": remediation, "eventId": event_id.to_string(),
        "occurredAt": "2026-05-04T10:05:40Z", "notificationId": notification, "channel": "slack",
        "status": "delivered", "recipientCount": 2, "deliveryDurationMs": 820
    })
}

/// The audit with a field changed.
pub fn with(mut audit: Value, name: &str, value: Value) -> Value {
    audit[name] = value;
    audit
}

/// The six audits of one remediation, told by six services: 340 seconds, of which 165 waiting for approval.
pub fn worked_example() -> Vec<Value> {
    serde_json::from_str(include_str!("../../fixtures/worked-example.json")).unwrap()
}
