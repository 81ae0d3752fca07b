//! What operators do to the store itself, told as events in a stream that is Binnacle's own.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    ActorType, Event, Kind, Outcome, StreamId, canonical,
    event::{Payload, SCHEMA_VERSION},
};

/// The stream of acts of administration. An event needs a stream, and these are about no remediation: so they have one that
/// is shown as none, and that is refused to clients, lest somebody tells of an act that never was.
pub const CLUSTER_ID: &str = "binnacle";
pub const REMEDIATION_ID: &str = "administration";

pub const CATEGORY: &str = "administration";

/// What a client hears who sends an audit into that stream.
pub(super) const RESERVED: &str = "remediation `administration` of cluster `binnacle` is kept for what operators do to the \
    store itself; name the remediation that the audit is about";

impl StreamId {
    /// The stream of acts of administration.
    pub fn administration() -> StreamId {
        StreamId { cluster_id: CLUSTER_ID.to_string(), remediation_id: REMEDIATION_ID.to_string() }
    }

    /// Whether it is that stream, and so no remediation.
    pub fn is_administration(&self) -> bool {
        reserved(&self.cluster_id, &self.remediation_id)
    }
}

/// The same of its two names.
pub fn reserved(cluster_id: &str, remediation_id: &str) -> bool {
    cluster_id == CLUSTER_ID && remediation_id == REMEDIATION_ID
}

/// An act that has been done.
#[derive(Clone, Debug)]
pub struct Act {
    /// In dotted words, such as `binnacle.rebuild.finished`.
    pub event_type: &'static str,
    pub outcome: Outcome,
    /// What was done, as operators will want to read it.
    pub details: Map<String, Value>,
}

/// The event that tells of an act. `actor_id` is the person who did it, where that is known. Of the time the microseconds are
/// kept, as of every time: Postgres has no more, and a digest of more would not hold.
pub fn event(act: Act, actor_id: Option<&str>, event_id: Uuid, now: DateTime<Utc>) -> Event {
    let payload = Payload::new(Map::from_iter([("payload".to_string(), Value::Object(act.details))]));
    let content_digest = canonical::digest(payload.text());
    Event {
        event_id,
        stream: StreamId::administration(),
        occurred_at: DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now),
        kind: Kind::Other,
        category: CATEGORY.to_string(),
        event_type: act.event_type.to_string(),
        outcome: Some(act.outcome),
        actor_type: actor_id.map(|_| ActorType::User),
        actor_id: actor_id.map(str::to_string),
        parent_event_id: None,
        trace_id: None,
        span_id: None,
        schema_version: SCHEMA_VERSION,
        payload,
        content_digest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::{Context, Submission};

    fn problems(submission: Submission, cluster_id: &str) -> Vec<String> {
        let now = "2026-05-04T12:00:00Z".parse().unwrap();
        let checked = submission.check(Context { cluster_id, now, fresh_id: Uuid::from_u128(7) });
        let problems = checked.err().unwrap_or_default();
        problems.into_iter().map(|it| format!("{} {}: {}", it.path.join("."), it.code, it.message)).collect()
    }

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn gateway(remediation: &str, cluster: Option<&str>) -> Submission {
        let given = json!({"remediationId": remediation, "clusterId": cluster, "occurredAt": "2026-05-04T10:00:00Z",
            "category": "administration", "eventType": "binnacle.rebuild.finished", "payload": {}});
        Submission::of_fields(Kind::Other, fields(given))
    }

    #[test]
    fn nobody_tells_of_acts_but_binnacle_whichever_way_the_stream_is_named() {
        let refused = problems(gateway("administration", Some("binnacle")), "default");
        insta::assert_snapshot!(refused.join("\n"), @"remediationId RESERVED: remediation `administration` of cluster `binnacle` is kept for what operators do to the store itself; name the remediation that the audit is about");
        assert_eq!(problems(gateway("administration", None), "binnacle"), refused, "the server's own cluster counts");

        let columns = json!({"remediation_id": "administration", "cluster_id": "binnacle", "category": "gateway",
            "occurred_at": "2026-05-04T10:00:00Z", "event_type": "x.y", "payload": {}});
        let refused = problems(Submission::of_columns(Kind::Other, fields(columns)), "default");
        assert_eq!((refused.len(), refused[0].starts_with("remediation_id RESERVED")), (1, true), "{refused:?}");

        for cluster in [Some("binnacle"), None] {
            let envelope = json!({"event_type": "x.y", "event_timestamp": "2026-05-04T10:00:00Z", "event_category": "x",
                "event_action": "y", "event_outcome": "success", "correlation_id": "administration",
                "cluster_id": cluster, "event_data": {}});
            let refused = problems(Submission::of_kubernaut(fields(envelope)), "binnacle");
            assert_eq!((refused.len(), refused[0].starts_with("correlation_id RESERVED")), (1, true), "{refused:?}");
        }
    }

    #[test]
    fn the_names_alone_are_anybodys() {
        assert_eq!(problems(gateway("administration", Some("eu-1")), "default"), [""; 0]);
        assert_eq!(problems(gateway("rr-1", Some("binnacle")), "default"), [""; 0]);
    }

    #[test]
    fn an_act_is_an_event_of_the_open_kind_that_says_who_did_what() {
        let act = Act {
            event_type: "binnacle.rebuild.finished",
            outcome: Outcome::Success,
            details: fields(json!({"projection": "event_index"})),
        };
        let event = event(act, Some("alice@bastion"), Uuid::nil(), "2026-05-04T12:00:00.123456789Z".parse().unwrap());
        insta::assert_snapshot!(event.canonical(), @r#"{"actorId":"alice@bastion","actorType":"user","category":"administration","clusterId":"binnacle","eventId":"00000000-0000-0000-0000-000000000000","eventType":"binnacle.rebuild.finished","kind":"OTHER","occurredAt":"2026-05-04T12:00:00.123456Z","outcome":"success","payload":{"payload":{"projection":"event_index"}},"remediationId":"administration","schemaVersion":1}"#);
        assert!(event.stream.is_administration());
    }
}
