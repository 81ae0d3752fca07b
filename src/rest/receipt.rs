//! What a writer is told of an audit that was recorded.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::{Entry, Watermark, canonical, event::time_text};

/// Where an audit stands in the journal.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// The audit's own id. Sent again with the same content, it is answered with this receipt.
    pub event_id: Uuid,
    pub cluster_id: String,
    pub remediation_id: String,
    /// The place in the whole journal, from 1, as decimal text.
    #[schema(example = "7061", pattern = "^[0-9]+$")]
    pub position: String,
    /// The place among the audits of its remediation, from 1.
    #[schema(minimum = 1)]
    pub version: i32,
    /// The position for whoever waits for it: lists take it as `atLeast`.
    pub watermark: String,
    /// Whether it had been recorded before.
    pub duplicate: bool,
    /// A word of GraphQL's `AuditKind`.
    #[schema(example = "NOTIFICATION")]
    pub kind: String,
    #[schema(example = "notification.delivered")]
    pub event_type: String,
    /// The writer's time of the fact.
    #[serde(serialize_with = "time")]
    pub occurred_at: DateTime<Utc>,
    /// The database's time of the append.
    #[serde(serialize_with = "time")]
    pub recorded_at: DateTime<Utc>,
    /// The SHA-256 of the event's canonical text, 64 hexadecimal digits.
    pub digest: String,
    /// Columns that no field has: they are kept in `details`. Left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

impl Receipt {
    pub fn of(entry: &Entry, duplicate: bool, journal_id: Uuid) -> Receipt {
        let event = &entry.event;
        Receipt {
            event_id: event.event_id,
            cluster_id: event.stream.cluster_id.clone(),
            remediation_id: event.stream.remediation_id.clone(),
            position: entry.position.to_string(),
            version: entry.version.0,
            watermark: Watermark::at(journal_id, entry.position).encode(),
            duplicate,
            kind: entry.words.kind.to_string(),
            event_type: event.event_type.clone(),
            occurred_at: event.occurred_at,
            recorded_at: entry.recorded_at,
            digest: canonical::hex(&entry.digest),
            unknown: Vec::new(),
        }
    }
}

/// As chrono does it, in a third of the time: there each part of it is looked through for what has to be escaped.
fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time_text(*time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_chrono_writes_them() {
        #[derive(Serialize)]
        struct Told(#[serde(serialize_with = "time")] DateTime<Utc>);

        for nanoseconds in [0, 120_000_000, 123_456_000, 123_456_789] {
            let at = DateTime::from_timestamp(1_777_888_999, nanoseconds).unwrap();
            assert_eq!(serde_json::to_string(&Told(at)).unwrap(), serde_json::to_string(&at).unwrap());
        }
    }
}
