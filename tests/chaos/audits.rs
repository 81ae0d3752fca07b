//! What the audit of a number says. All of it follows from the number, so that what is recorded can be compared with it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// How many remediations the audits of a world are about.
const REMEDIATIONS: u64 = 500;
/// In a world with texts, one audit in so many is an analysis.
const TELLING: u64 = 20;
const LATE: u64 = 50;

/// The audits of one world.
#[derive(Clone, Debug)]
pub struct Audits {
    /// What the ids of this world begin with.
    mark: u64,
    /// Whether some of them have texts to embed.
    pub texts: bool,
    /// How many bytes each has beyond what it needs.
    pub padding: usize,
}

impl Audits {
    pub fn new(mark: u64) -> Audits {
        Audits { mark, texts: false, padding: 0 }
    }

    pub fn event_id(&self, number: u64) -> Uuid {
        Uuid::from_u64_pair(self.mark, number)
    }

    /// The number of an id; `None` where it is none of this world.
    pub fn number(&self, event_id: Uuid) -> Option<u64> {
        let (mark, number) = event_id.as_u64_pair();
        (mark == self.mark).then_some(number)
    }

    pub fn remediation(number: u64) -> String {
        format!("rr-{}", number % REMEDIATIONS)
    }

    /// A word that the payload of this audit holds and no other's.
    pub fn word(number: u64) -> String {
        format!("nt-{number}-")
    }

    /// As `recordAudits` takes it.
    pub fn graphql(&self, number: u64) -> Value {
        if self.texts && number.is_multiple_of(TELLING) {
            return json!({"aiAnalysis": self.analysis(number)});
        }
        let mut notification = json!({
            "remediationId": Audits::remediation(number), "eventId": self.event_id(number).to_string(),
            "occurredAt": occurred_at(number), "notificationId": Audits::word(number), "channel": "slack",
            "status": "delivered", "recipientCount": number % 9, "deliveryDurationMs": 100 + number % 900
        });
        self.pad(&mut notification);
        json!({ "notification": notification })
    }

    /// The same in the columns of REST.
    pub fn columns(&self, number: u64) -> Value {
        let mut columns = json!({
            "remediation_id": Audits::remediation(number), "event_id": self.event_id(number).to_string(),
            "occurred_at": occurred_at(number), "notification_id": Audits::word(number), "channel": "slack",
            "status": "delivered", "recipient_count": number % 9, "delivery_duration_ms": 100 + number % 900
        });
        self.pad(&mut columns);
        columns
    }

    fn pad(&self, audit: &mut Value) {
        if self.padding > 0 {
            audit["body"] = "x".repeat(self.padding).into();
        }
    }

    fn analysis(&self, number: u64) -> Value {
        json!({
            "remediationId": Audits::remediation(number), "eventId": self.event_id(number).to_string(),
            "occurredAt": occurred_at(number), "crdName": Audits::word(number), "severity": "critical",
            "rootCause": format!("session cache {number} has no bound"),
            "investigationReport": format!("Pod shop-{number} exceeds its memory limit after rollout {number}"),
            "confidenceScore": 0.75, "completionStatus": "completed"
        })
    }
}

/// Times of the past, later for higher numbers. One client in so many has a clock that is a year late.
fn occurred_at(number: u64) -> String {
    let begin: DateTime<Utc> = DateTime::from_timestamp(1_777_888_800, 0).expect("it is within the range of times");
    let late = if number.is_multiple_of(LATE) { TimeDelta::days(365) } else { TimeDelta::zero() };
    (begin - late + TimeDelta::milliseconds(number as i64)).to_rfc3339_opts(SecondsFormat::Millis, true)
}
