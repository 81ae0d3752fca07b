//! Kubernaut's envelope in the OpenAPI document.

use serde_json::{Value, json};

use super::{audits::or_null, reference};
use crate::audit::{
    limits::{BATCH_MAX, LINE_MAX, TEXT_MAX},
    words::{CHANNEL, NOTIFICATION_STATUS, Words},
};

const NOTIFICATION: &str = include_str!("../../../docs/examples/kubernaut-notification.json");
const SAMPLE: &str = include_str!("../../../docs/examples/kubernaut-event.json");

/// Adds the schemas of an event and of a batch.
pub fn describe(document: &mut Value) {
    let sample: Value = serde_json::from_str(SAMPLE).expect("the sample is JSON");
    let name = |meaning: &str| json!({"type": "string", "maxLength": 255, "description": meaning});
    let named = |meaning: &str| json!({"type": "string", "minLength": 1, "maxLength": 255, "description": meaning});
    let schemas = &mut document["components"]["schemas"];
    schemas["AuditEventRequest"] = json!({
        "type": "object",
        "description": "An audit event in Kubernaut's envelope. Members that are not listed are kept as well.",
        "required": ["event_type", "event_timestamp", "event_category", "event_action", "event_outcome", "correlation_id", "event_data"],
        "additionalProperties": true,
        "properties": {
            "version": name("The version of the envelope, `1.0`."),
            "event_id": {"type": "string", "format": "uuid", "description": "Ours: the event's own id. Sent again, the event is recorded once."},
            "event_type": named("What sort of event it is, such as `gateway.signal.received`. A type that is not known is recorded as well."),
            "event_timestamp": {"type": "string", "format": "date-time", "description": "When it happened, by the clock of whoever writes; at most an hour ahead."},
            "event_category": named("The service or area, such as `gateway`."),
            "event_action": named("What was done, such as `received`."),
            "event_outcome": {"type": "string", "enum": ["success", "failure", "pending"], "description": "How it ended."},
            "actor_type": name("What sort of actor acted: `service`, `user`, `external` or `system`."),
            "actor_id": name("Who acted."),
            "actor_ip": name("From where."),
            "resource_type": name("What sort of resource it is about."),
            "resource_id": name("Which resource it is about."),
            "correlation_id": named("The remediation: the name of its RemediationRequest."),
            "parent_event_id": {"type": "string", "format": "uuid", "description": "The event that led to this one; it may come later."},
            "parent_event_date": {"type": "string", "format": "date", "description": "The day of that event."},
            "namespace": name("The namespace."),
            "cluster_id": name("The cluster; the one that the server is set to, when left out."),
            "severity": name("How bad the signal is."),
            "duration_ms": {"type": "number", "minimum": 0, "description": "How long it took, in milliseconds."},
            "error_code": name("The error's code."),
            "error_message": {"type": "string", "maxLength": TEXT_MAX, "description": "The error."},
            "retention_days": {"type": "integer", "minimum": 0, "maximum": i32::MAX, "description": "How long the event is to be kept, in days. Nothing is deleted by it."},
            "is_sensitive": {"type": "boolean", "description": "Whether the event holds what is not for everybody."},
            "event_data": {"type": "object", "additionalProperties": true, "description": "What happened, in the shape of its type; up to 256 KiB. Its `event_type`, where it has one, is the event's."},
        },
        "example": sample,
    });
    let notification: Value = serde_json::from_str(NOTIFICATION).expect("the example is JSON");
    schemas["KubernautNotification"] = json!({
        "type": "object",
        "description": "Kubernaut's record of a notification.",
        "required": ["remediation_id", "notification_id", "recipient", "channel", "message_summary", "status", "sent_at"],
        "additionalProperties": true,
        "properties": {
            "remediation_id": named("The remediation."),
            "notification_id": named("The notification's own id; each is recorded once."),
            "recipient": named("Who is told."),
            "channel": {"type": "string", "enum": words(&CHANNEL), "description": "Where people are told."},
            "message_summary": {"type": "string", "minLength": 1, "maxLength": LINE_MAX, "description": "The text of the message in short."},
            "status": {"type": "string", "enum": words(&NOTIFICATION_STATUS), "description": "Where the notification stands."},
            "sent_at": {"type": "string", "format": "date-time", "description": "When the message was handed to the channel; at most five minutes ahead."},
            "delivery_status": {"type": "string", "description": "How delivery went, in any words."},
            "error_message": {"type": "string", "minLength": 1, "maxLength": LINE_MAX, "description": "What went wrong."},
            "escalation_level": {"type": "integer", "minimum": 0, "maximum": i32::MAX, "description": "How often it was passed on."},
            "cluster_id": named("The cluster; the one that the server is set to, when left out."),
        },
        "example": notification,
    });
    // What is told back has no nulls, and an id in any case.
    let mut told = schemas["AuditEventRequest"].clone();
    told["description"] = "The members of Kubernaut's envelope, as they were sent.".into();
    let members = told.as_object_mut().expect("it is an object");
    members.remove("example");
    members["properties"].as_object_mut().expect("they are an object").remove("event_id");
    schemas["AuditEventEnvelope"] = told;
    for name in ["AuditEventRequest", "KubernautNotification"] {
        let required = schemas[name]["required"].clone();
        let members = schemas[name]["properties"].as_object_mut().expect("they are objects");
        for (name, schema) in members.iter_mut() {
            if required.as_array().is_none_or(|required| required.iter().all(|it| it != name)) {
                *schema = or_null(schema.take());
            }
        }
    }
    schemas["AuditEventBatch"] = json!({
        "type": "array", "minItems": 1, "maxItems": BATCH_MAX, "items": reference("AuditEventRequest"),
    });
}

fn words(set: &Words) -> Vec<&'static str> {
    set.words.iter().map(|(word, _)| *word).collect()
}
