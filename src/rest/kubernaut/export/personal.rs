//! What of an event is personal data: which members of its envelope are masked, and how.

use serde_json::{Map, Value};

use super::redaction::{MASK, email_masked, redact, redact_names};
use crate::audit::{ActorType, words::ACTOR_TYPE};

/// Members of the envelope that are ids and names. Only e-mail addresses are masked in them, for too many ids look like a number
/// or an address of the network.
const NAMES: [&str; 18] = [
    "version",
    "event_type",
    "event_timestamp",
    "event_category",
    "event_action",
    "event_outcome",
    "actor_type",
    "actor_id",
    "resource_type",
    "resource_id",
    "resource_name",
    "correlation_id",
    "parent_event_id",
    "parent_event_date",
    "cluster_id",
    "namespace",
    "trace_id",
    "span_id",
];

/// Masks the personal data of an envelope, and says whether there was any.
pub fn redact_envelope(envelope: &mut Map<String, Value>) -> bool {
    let person = by_person(envelope);
    let mut any = redact_names(envelope);
    for (name, value) in envelope.iter_mut() {
        any |= match (name.as_str(), &mut *value) {
            ("actor_id", value) if person => {
                *value = MASK.into();
                true
            }
            (name, Value::String(text)) if NAMES.contains(&name) => match email_masked(text) {
                None => false,
                Some(masked) => {
                    *text = masked;
                    true
                }
            },
            (_, value) => redact(value),
        };
    }
    any
}

/// A name without the e-mail address that it may be.
pub fn redact_name(name: String) -> String {
    email_masked(&name).unwrap_or(name)
}

/// Whether the actor is a person: one whose type is none of a program. Who tells no type is a program by Kubernaut's rule.
fn by_person(envelope: &Map<String, Value>) -> bool {
    let Some(told) = envelope.get("actor_type").and_then(Value::as_str) else { return false };
    match ACTOR_TYPE.find(told).and_then(ActorType::parse) {
        Some(ActorType::Service | ActorType::Ai | ActorType::System | ActorType::External) => false,
        Some(ActorType::User) | None => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(envelope: Value) -> (bool, Value) {
        let Value::Object(mut envelope) = envelope else { panic!("an envelope is an object") };
        (redact_envelope(&mut envelope), envelope.into())
    }

    #[test]
    fn persons_have_no_names_and_programs_keep_theirs() {
        for (actor_type, actor_id, expected) in [
            (json!("user"), "ann", MASK),
            (json!("User"), "ann", MASK),
            (json!("operator"), "ann", MASK),
            (json!("service"), "gateway", "gateway"),
            (json!("service"), "ann@example.com", MASK),
            (json!(null), "gateway", "gateway"),
            (json!(null), "sso:ann@example.com", "sso:[redacted]"),
        ] {
            let (any, envelope) = redacted(json!({"actor_type": actor_type, "actor_id": actor_id}));
            assert_eq!(envelope["actor_id"], expected, "{actor_type} {actor_id}");
            assert_eq!(any, actor_id != expected);
        }
    }

    #[test]
    fn names_lose_addresses_of_mail_only_and_all_else_loses_more() {
        let (any, envelope) = redacted(json!({
            "resource_name": "10.1.2.3", "resource_id": "mailbox/ann@example.com", "trace_id": "555-010-9999-1",
            "recorded_by": "ann@example.com", "watermark": {"from 10.1.2.3": 1}, "ann@example.com": true
        }));
        assert!(any);
        let expected = json!({
            "resource_name": "10.1.2.3", "resource_id": "mailbox/[redacted]", "trace_id": "555-010-9999-1",
            "recorded_by": MASK, "watermark": {"from [redacted]": 1}, MASK: true
        });
        assert_eq!(envelope, expected);
        let plain = json!({"event_type": "gateway.signal.received", "event_data": {"count": 3}});
        assert_eq!(redacted(plain.clone()), (false, plain));
    }
}
