//! Global ids: base64url of the type's name and the object's natural key, as `Type:key`.

use async_graphql::ID;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::audit::{Kind, StreamId};

/// What a global id points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobalId {
    AuditEvent(Uuid),
    Remediation(StreamId),
    /// An event, and the fact's place in it.
    TimelineEntry(Uuid, usize),
    /// A service view's row: its kind, its remediation and the entity's own key.
    View(Kind, StreamId, String),
}

impl GlobalId {
    pub fn encode(&self) -> ID {
        let text = match self {
            GlobalId::AuditEvent(event_id) => format!("AuditEvent:{event_id}"),
            GlobalId::Remediation(stream) => {
                format!("Remediation:{}", key(&[&stream.cluster_id, &stream.remediation_id]))
            }
            GlobalId::TimelineEntry(event_id, index) => {
                format!("TimelineEntry:{}", serde_json::json!([event_id.to_string(), index]))
            }
            GlobalId::View(kind, stream, own) => {
                format!("{}:{}", view_name(*kind), key(&[&stream.cluster_id, &stream.remediation_id, own]))
            }
        };
        ID(BASE64_URL_SAFE_NO_PAD.encode(text))
    }

    /// `None` for anything that no object of this schema has given out.
    pub fn decode(id: &str) -> Option<GlobalId> {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
        let (name, rest) = text.split_once(':')?;
        match name {
            "AuditEvent" => Some(GlobalId::AuditEvent(rest.parse().ok()?)),
            "Remediation" => {
                let [cluster_id, remediation_id] = serde_json::from_str::<[String; 2]>(rest).ok()?;
                Some(GlobalId::Remediation(StreamId { cluster_id, remediation_id }))
            }
            "TimelineEntry" => {
                let (event_id, index) = serde_json::from_str::<(Uuid, usize)>(rest).ok()?;
                Some(GlobalId::TimelineEntry(event_id, index))
            }
            name => {
                let kind = Kind::ALL.into_iter().find(|kind| *kind != Kind::Other && view_name(*kind) == name)?;
                let [cluster_id, remediation_id, own] = serde_json::from_str::<[String; 3]>(rest).ok()?;
                Some(GlobalId::View(kind, StreamId { cluster_id, remediation_id }, own))
            }
        }
    }
}

/// The GraphQL type of a kind's view.
pub fn view_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Orchestration => "Orchestration",
        Kind::SignalProcessing => "SignalProcessing",
        Kind::AiAnalysis => "AiAnalysis",
        Kind::WorkflowExecution => "WorkflowExecution",
        Kind::Notification => "Notification",
        Kind::Effectiveness => "EffectivenessAssessment",
        Kind::Other => "Other",
    }
}

fn key(parts: &[&str]) -> String {
    serde_json::json!(parts).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_to_what_it_points_at() {
        let stream = StreamId { cluster_id: "eu\"1".to_string(), remediation_id: "rr:1".to_string() };
        for id in [
            GlobalId::AuditEvent(Uuid::from_u128(1)),
            GlobalId::Remediation(stream.clone()),
            GlobalId::TimelineEntry(Uuid::from_u128(1), 3),
            GlobalId::View(Kind::Notification, stream, "nt-1".to_string()),
        ] {
            assert_eq!(GlobalId::decode(&id.encode()), Some(id));
        }
        assert_eq!(GlobalId::decode("nonsense"), None);
    }
}
