//! What the fold gives: a remediation with its phases, approvals, completeness, timeline and the services' rows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::audit::{Kind, Position, StreamId, Version};

pub use crate::audit::facts::Standing;
pub use crate::audit::{Actor, Alternative, Decision, PhaseName, RemediationOutcome, RemediationPhase};

/// A remediation, folded from its stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Remediation {
    pub summary: Summary,
    /// By the facts' own times, then position, then their place in the event.
    pub timeline: Vec<TimelineEntry>,
    /// The services' rows, in the order of `Kind::ALL`, then by key.
    pub views: Vec<ViewRow>,
    /// The last that ended, else the last that is told of.
    pub assessment: Option<Assessment>,
}

/// What lists show of a remediation, and what the projection keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub stream: StreamId,
    pub phase: RemediationPhase,
    pub outcome: Option<RemediationOutcome>,
    /// Verified by an assessment; `None` when none was made.
    pub effective: Option<bool>,
    /// The latest assessment's score, 0 to 1.
    pub effectiveness: Option<f64>,
    /// The fields of `audit::fields::SIGNAL`.
    pub signal: Option<Map<String, Value>>,
    pub environment: Option<String>,
    /// A word of `audit::words::SEVERITY`.
    pub severity: Option<String>,
    pub target: Option<Target>,
    pub root_cause: Option<RootCause>,
    /// The model that analysed, and how sure it was, 0 to 1.
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub confidence: Option<f64>,
    /// The hash of the target's spec before anything was done to it, and after.
    #[serde(default)]
    pub spec_hash_before: Option<String>,
    #[serde(default)]
    pub spec_hash_after: Option<String>,
    /// Every action type and workflow that was chosen or carried out, in order, each once.
    pub action_types: Vec<String>,
    pub workflow_names: Vec<String>,
    pub started_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
    /// Completed, and assessed or its validity window over; may lie ahead.
    pub settled_at: Option<DateTime<Utc>>,
    pub duration_ms: f64,
    pub unaccounted_ms: f64,
    /// In the order of `PhaseName`; only those that took place.
    pub phases: Vec<Phase>,
    pub bottleneck: Option<PhaseName>,
    pub approvals: Vec<Approval>,
    pub completeness: Completeness,
    /// How many entries were folded, and the last of them.
    pub events: usize,
    pub last_position: Position,
    pub last_version: Version,
}

impl Summary {
    /// The phase named as the bottleneck.
    pub fn bottleneck_phase(&self) -> Option<&Phase> {
        self.phases.iter().find(|phase| Some(phase.name) == self.bottleneck)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RootCause {
    pub summary: String,
    /// 0 to 1.
    pub confidence: Option<f64>,
    pub event_id: Uuid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub name: PhaseName,
    pub started_at: DateTime<Utc>,
    /// `None` while it is open.
    pub ended_at: Option<DateTime<Utc>>,
    pub duration_ms: f64,
    /// Of the remediation's duration, to three decimals; `None` for what came after its end.
    pub share: Option<f64>,
    /// Merged where they overlap.
    pub intervals: Vec<Interval>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub started_at: DateTime<Utc>,
    /// `None` while it is open.
    pub ended_at: Option<DateTime<Utc>>,
    /// An approval wait or planned stabilisation.
    pub waiting: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub requested_at: Option<DateTime<Utc>>,
    pub required_by: Option<DateTime<Utc>>,
    pub decided_at: Option<DateTime<Utc>>,
    /// A word of `audit::words::APPROVAL_DECISION`.
    pub decision: String,
    pub decided_by: Option<String>,
    pub via: Option<String>,
    pub reason: Option<String>,
    pub wait_ms: Option<f64>,
    /// The event that tells the decision, else the request.
    pub event_id: Uuid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completeness {
    /// 0 to 1: the share of what a remediation of this outcome should have.
    pub score: f64,
    /// What is missing, in words for people.
    pub missing: Vec<Missing>,
    /// Entries that came later than one recorded before them says they should.
    pub late: Vec<Late>,
    /// Facts that cannot both be true, in words for people.
    pub contradictions: Vec<Contradiction>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    pub service: Kind,
    pub what: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Late {
    pub event_id: Uuid,
    pub by_ms: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contradiction {
    pub what: String,
    pub event_ids: Vec<Uuid>,
}

/// One fact, for people. An audit that tells several gives several.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineEntry {
    pub event_id: Uuid,
    /// Its place among the facts of its event, from 0.
    pub index: usize,
    pub position: Position,
    pub at: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
    /// Since the remediation's start; below zero for what came before it.
    pub offset_ms: f64,
    pub duration_ms: Option<f64>,
    pub service: Kind,
    pub phase: Option<PhaseName>,
    pub title: String,
    pub detail: Option<String>,
    pub decision: Option<Decision>,
    /// Further events that tell the same fact, in the order of the journal. Where an event says nothing else, it shows here
    /// and nowhere else.
    pub also_told_by: Vec<Uuid>,
    /// How much later than an entry recorded before it this one should have come.
    pub recorded_late_by_ms: Option<f64>,
}

/// What an assessment found.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The key of its row in the views.
    pub id: String,
    pub standing: Standing,
    /// Why it ended, a word of `audit::words::ASSESSMENT_REASON`.
    pub reason: Option<&'static str>,
    /// Of the whole, 0 to 1: as told, else as far as the components are known; 0 where somebody else changed the target.
    pub score: Option<f64>,
    /// `None` where it has not ended, or came to no verdict.
    pub effective: Option<bool>,
    pub health: Judgement,
    pub alert: Judgement,
    pub metrics: Judgement,
}

/// What an assessment found of one component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    pub assessed: bool,
    /// 0 to 1; `None` where it was not assessed.
    pub score: Option<f64>,
    /// What was seen, in the assessor's words.
    pub details: Option<String>,
}

/// One row of a service's view: each field with the latest value told, by `occurredAt`, then position.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewRow {
    pub kind: Kind,
    pub stream: StreamId,
    /// The entity's own key within its stream, such as a notification's id; empty where there is one per remediation.
    pub key: String,
    pub fields: Map<String, Value>,
    pub first_occurred_at: DateTime<Utc>,
    pub last_occurred_at: DateTime<Utc>,
    /// Its events in the order of the journal, and the last of them.
    pub event_ids: Vec<Uuid>,
    pub last_event_id: Uuid,
    pub last_position: Position,
}
