//! The filters and orders of lists, and what they mean to the projections.

use async_graphql::{Enum, InputObject};

use super::{
    enums::{
        self, ApprovalDecision, AuditKind, Direction, Outcome, PhaseName, RemediationOutcome, RemediationPhase,
        Severity,
    },
    scalars::DateTime,
};
use crate::projection::{event_index, remediations};

/// A span of time, half open: from `from` on, before `to`.
#[derive(InputObject, Clone, Default)]
pub struct TimeRange {
    /// The earliest time that matches.
    pub from: Option<DateTime>,
    /// The earliest time that matches no more.
    pub to: Option<DateTime>,
}

/// A range of numbers, both ends included.
#[derive(InputObject, Clone, Default)]
pub struct FloatRange {
    /// The smallest that matches.
    pub min: Option<f64>,
    /// The largest that matches.
    pub max: Option<f64>,
}

/// Which targets; strings exact.
#[derive(InputObject, Clone, Default)]
pub struct TargetFilter {
    /// The target's kind, any of these.
    pub kind: Option<Vec<String>>,
    /// Its namespace, any of these.
    pub namespace: Option<Vec<String>>,
    /// Its name, any of these.
    pub name: Option<Vec<String>>,
}

/// Which approvals a remediation must have had.
#[derive(InputObject, Clone, Default)]
pub struct ApprovalFilter {
    /// The decision, any of these.
    pub decision: Option<Vec<ApprovalDecision>>,
    /// Who decided, any of these.
    pub decided_by: Option<Vec<String>>,
    /// How long all its approvals waited together, in milliseconds.
    pub wait_ms: Option<FloatRange>,
}

/// Fields are ANDed; a list means any of, an empty list nothing, null no filter; times are half open [from, to); strings
/// exact.
#[derive(InputObject, Clone, Default)]
pub struct RemediationFilter {
    /// When it began.
    pub started_at: Option<TimeRange>,
    /// When it ended.
    pub completed_at: Option<TimeRange>,
    /// When nothing more was to be expected of it.
    pub settled_at: Option<TimeRange>,
    /// Whether it is settled by now.
    pub settled: Option<bool>,
    /// What its name begins with.
    pub remediation_id_prefix: Option<String>,
    /// Its cluster, any of these.
    pub cluster_id: Option<Vec<String>>,
    /// Its environment, any of these.
    pub environment: Option<Vec<String>>,
    /// Its severity, any of these.
    pub severity: Option<Vec<Severity>>,
    /// Where it stands, any of these.
    pub phase: Option<Vec<RemediationPhase>>,
    /// What came of it, any of these.
    pub outcome: Option<Vec<RemediationOutcome>>,
    /// Whether an assessment found that it worked.
    pub effective: Option<bool>,
    /// Its signal's name, any of these.
    pub signal_name: Option<Vec<String>>,
    /// Its signal's fingerprint, any of these.
    pub fingerprint: Option<Vec<String>>,
    /// What it is about.
    pub target: Option<TargetFilter>,
    /// What was done or chosen, any of these.
    pub action_type: Option<Vec<String>>,
    /// The workflow that was run or chosen, any of these.
    pub workflow_name: Option<Vec<String>>,
    /// The phase that took longest, any of these.
    pub bottleneck: Option<Vec<PhaseName>>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<FloatRange>,
    /// Which approvals it had.
    pub approval: Option<ApprovalFilter>,
    /// How well it worked, 0 to 1.
    pub effectiveness: Option<FloatRange>,
    /// How complete its trail is: less than this, 0 to 1.
    pub completeness_below: Option<f64>,
}

impl RemediationFilter {
    pub fn to_projection(filter: Option<RemediationFilter>) -> remediations::Filter {
        let filter = filter.unwrap_or_default();
        let started = filter.started_at.unwrap_or_default();
        let completed = filter.completed_at.unwrap_or_default();
        let settled = filter.settled_at.unwrap_or_default();
        let target = filter.target.unwrap_or_default();
        let approval = filter.approval.unwrap_or_default();
        let wait = approval.wait_ms.unwrap_or_default();
        let duration = filter.duration_ms.unwrap_or_default();
        let effectiveness = filter.effectiveness.unwrap_or_default();
        remediations::Filter {
            started_from: started.from.map(|time| time.0),
            started_to: started.to.map(|time| time.0),
            completed_from: completed.from.map(|time| time.0),
            completed_to: completed.to.map(|time| time.0),
            settled_from: settled.from.map(|time| time.0),
            settled_to: settled.to.map(|time| time.0),
            settled: filter.settled,
            remediation_id_prefix: filter.remediation_id_prefix,
            cluster_id: filter.cluster_id,
            environment: filter.environment,
            severity: lower(filter.severity),
            phase: names(filter.phase),
            outcome: names(filter.outcome),
            effective: filter.effective,
            signal_name: filter.signal_name,
            fingerprint: filter.fingerprint,
            target_kind: target.kind,
            target_namespace: target.namespace,
            target_name: target.name,
            action_type: filter.action_type,
            workflow_name: filter.workflow_name,
            bottleneck: names(filter.bottleneck),
            duration_min: duration.min,
            duration_max: duration.max,
            decision: lower(approval.decision),
            decided_by: approval.decided_by,
            wait_min: wait.min,
            wait_max: wait.max,
            effectiveness_min: effectiveness.min,
            effectiveness_max: effectiveness.max,
            completeness_below: filter.completeness_below,
        }
    }
}

/// What events to show. Fields are ANDed; a list means any of, an empty list nothing, null no filter; times are half open
/// [from, to); strings exact. Environment, severity, target and action are those that the event itself tells.
#[derive(InputObject, Clone, Default)]
pub struct EventFilter {
    /// When the fact occurred.
    pub occurred_at: Option<TimeRange>,
    /// When it was recorded.
    pub recorded_at: Option<TimeRange>,
    /// Its kind, any of these.
    pub kind: Option<Vec<AuditKind>>,
    /// Its category, any of these.
    pub category: Option<Vec<String>>,
    /// Its type, any of these.
    pub event_type: Option<Vec<String>>,
    /// How the step ended, any of these.
    pub outcome: Option<Vec<Outcome>>,
    /// Who acted, any of these.
    pub actor_id: Option<Vec<String>>,
    /// Who sent it, any of these.
    pub recorded_by: Option<Vec<String>>,
    /// Its cluster, any of these.
    pub cluster_id: Option<Vec<String>>,
    /// Its remediation, any of these.
    pub remediation_id: Option<Vec<String>>,
    /// Its environment, any of these.
    pub environment: Option<Vec<String>>,
    /// Its severity, any of these.
    pub severity: Option<Vec<Severity>>,
    /// What it is about.
    pub target: Option<TargetFilter>,
    /// What was done, any of these.
    pub action_type: Option<Vec<String>>,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
}

impl EventFilter {
    pub fn to_projection(filter: Option<EventFilter>) -> event_index::Filter {
        let filter = filter.unwrap_or_default();
        let occurred = filter.occurred_at.unwrap_or_default();
        let recorded = filter.recorded_at.unwrap_or_default();
        let target = filter.target.unwrap_or_default();
        event_index::Filter {
            occurred_from: occurred.from.map(|time| time.0),
            occurred_to: occurred.to.map(|time| time.0),
            recorded_from: recorded.from.map(|time| time.0),
            recorded_to: recorded.to.map(|time| time.0),
            kind: names(filter.kind),
            category: filter.category,
            event_type: filter.event_type,
            outcome: lower(filter.outcome),
            actor_id: filter.actor_id,
            recorded_by: filter.recorded_by,
            cluster_id: filter.cluster_id,
            remediation_id: filter.remediation_id,
            environment: filter.environment,
            severity: lower(filter.severity),
            target_kind: target.kind,
            target_namespace: target.namespace,
            target_name: target.name,
            action_type: filter.action_type,
            trace_id: filter.trace_id,
        }
    }
}

/// What remediations are ordered by; what has no such value comes last.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "remediations::Order")]
pub enum RemediationOrderField {
    /// When it began.
    StartedAt,
    /// When it ended.
    CompletedAt,
    /// How long it took.
    Duration,
    /// How well it worked.
    Effectiveness,
    /// How complete its trail is.
    Completeness,
}

/// The order of remediations; ties by cluster and name.
#[derive(InputObject, Clone)]
pub struct RemediationOrder {
    /// What to order by.
    pub field: RemediationOrderField,
    /// Which way.
    #[graphql(default_with = "Direction::Desc")]
    pub direction: Direction,
}

/// What events are ordered by.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "event_index::Order")]
pub enum EventOrderField {
    /// Their place in the journal.
    Position,
    /// When the facts occurred.
    OccurredAt,
}

/// The order of events; ties by position.
#[derive(InputObject, Clone)]
pub struct EventOrder {
    /// What to order by.
    pub field: EventOrderField,
    /// Which way.
    #[graphql(default_with = "Direction::Asc")]
    pub direction: Direction,
}

/// What the rows of a service view are ordered by.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
pub enum ViewOrderField {
    /// The time of its last event.
    LastOccurredAt,
}

/// The order of a service view; ties by cluster, remediation and key.
#[derive(InputObject, Clone)]
pub struct ViewOrder {
    /// What to order by.
    pub field: ViewOrderField,
    /// Which way.
    #[graphql(default_with = "Direction::Desc")]
    pub direction: Direction,
}

/// What a timeline is ordered by.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
pub enum TimelineOrder {
    /// The facts' own times, then position: how it happened.
    Occurred,
    /// Position: how it became known.
    Recorded,
}

fn names<T: async_graphql::resolver_utils::EnumType>(values: Option<Vec<T>>) -> Option<Vec<String>> {
    values.map(|values| values.iter().map(|value| enums::name(value).to_string()).collect())
}

fn lower<T: async_graphql::resolver_utils::EnumType>(values: Option<Vec<T>>) -> Option<Vec<String>> {
    values.map(|values| values.iter().map(|value| enums::name(value).to_lowercase()).collect())
}
