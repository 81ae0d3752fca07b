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

/// A span of time, half open: from `from` on, before `to`. For a day: `{from: "2026-05-04T00:00:00Z", to: "2026-05-05T00:00:00Z"}`.
#[derive(InputObject, Clone, Default)]
pub struct TimeRange {
    /// The earliest time that matches; without it, from the beginning.
    pub from: Option<DateTime>,
    /// The earliest time that matches no more; without it, to the end.
    pub to: Option<DateTime>,
}

/// A range of numbers, both ends included.
#[derive(InputObject, Clone, Default)]
pub struct FloatRange {
    /// The smallest number that matches; without it, there is no lower bound.
    pub min: Option<f64>,
    /// The largest number that matches; without it, there is no upper bound.
    pub max: Option<f64>,
}

/// Which targets. All that is given must hold; strings match exactly, case included.
#[derive(InputObject, Clone, Default)]
pub struct TargetFilter {
    /// The target's kind, any of these.
    pub kind: Option<Vec<String>>,
    /// The target's namespace, any of these.
    pub namespace: Option<Vec<String>>,
    /// The target's name, any of these.
    pub name: Option<Vec<String>>,
}

/// Which approvals a remediation must have had. Each field may be met by another approval.
#[derive(InputObject, Clone, Default)]
pub struct ApprovalFilter {
    /// What was decided, any of these.
    pub decision: Option<Vec<ApprovalDecision>>,
    /// Who decided, any of these, such as `alice@example.com`.
    pub decided_by: Option<Vec<String>>,
    /// How long all its approvals waited together, in milliseconds.
    pub wait_ms: Option<FloatRange>,
}

/// Which remediations. All that is given must hold; of a list any one may. What is left out or null filters nothing, an empty
/// list lets nothing through. Strings match exactly, case included.
/// Such as `{environment: ["production"], outcome: [FAILED, TIMED_OUT], durationMs: {min: 600000}}`.
#[derive(InputObject, Clone, Default)]
pub struct RemediationFilter {
    /// When the remediation began.
    pub started_at: Option<TimeRange>,
    /// When the remediation ended; one that still runs does not match.
    pub completed_at: Option<TimeRange>,
    /// When nothing more was to be expected of the remediation: completed, and assessed or too late to be.
    pub settled_at: Option<TimeRange>,
    /// Whether the remediation is settled by now.
    pub settled: Option<bool>,
    /// What the remediation's name begins with, such as `rr-7d1f`.
    pub remediation_id_prefix: Option<String>,
    /// The cluster, any of these, such as `eu-prod-1`.
    pub cluster_id: Option<Vec<String>>,
    /// The environment, any of these, such as `production`.
    pub environment: Option<Vec<String>>,
    /// How bad the signal is, any of these.
    pub severity: Option<Vec<Severity>>,
    /// Where the remediation stands, any of these.
    pub phase: Option<Vec<RemediationPhase>>,
    /// What came of the remediation, any of these; one that still runs does not match.
    pub outcome: Option<Vec<RemediationOutcome>>,
    /// Whether an assessment found that it worked; one without an assessment matches neither.
    pub effective: Option<bool>,
    /// The signal's name, any of these, such as `KubePodCrashLooping`.
    pub signal_name: Option<Vec<String>>,
    /// The signal's fingerprint, any of these.
    pub fingerprint: Option<Vec<String>>,
    /// The resource that it is about.
    pub target: Option<TargetFilter>,
    /// The action that was chosen or done, any of these, such as `RestartPod`.
    pub action_type: Option<Vec<String>>,
    /// The workflow that was chosen or run, any of these, such as `restart-pod`.
    pub workflow_name: Option<Vec<String>>,
    /// The phase that took longest, any of these.
    pub bottleneck: Option<Vec<PhaseName>>,
    /// How long the remediation took, or has taken so far, in milliseconds: 600000 are ten minutes.
    pub duration_ms: Option<FloatRange>,
    /// Which approvals the remediation had.
    pub approval: Option<ApprovalFilter>,
    /// The latest assessment's score, 0 to 1; one without an assessment does not match.
    pub effectiveness: Option<FloatRange>,
    /// The completeness of its trail is less than this, 0 to 1.
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

/// Which events. All that is given must hold; of a list any one may. What is left out or null filters nothing, an empty list
/// lets nothing through. Strings match exactly, case included. Environment, severity, target and action are those that the
/// event itself tells. Such as `{kind: [NOTIFICATION], outcome: [FAILURE]}`.
#[derive(InputObject, Clone, Default)]
pub struct EventFilter {
    /// When it happened, by the writer's clock.
    pub occurred_at: Option<TimeRange>,
    /// When it was recorded, by the database's clock.
    pub recorded_at: Option<TimeRange>,
    /// Which service's audit it is, any of these.
    pub kind: Option<Vec<AuditKind>>,
    /// The service or area that tells it, any of these, such as `gateway`.
    pub category: Option<Vec<String>>,
    /// What sort of event it is, any of these, such as `notification.delivered`.
    pub event_type: Option<Vec<String>>,
    /// How the recorded step ended, any of these.
    pub outcome: Option<Vec<Outcome>>,
    /// Who acted, any of these, such as `alice@example.com`.
    pub actor_id: Option<Vec<String>>,
    /// Who sent it, any of these: the names of authenticated callers.
    pub recorded_by: Option<Vec<String>>,
    /// The cluster, any of these, such as `eu-prod-1`.
    pub cluster_id: Option<Vec<String>>,
    /// The remediation's name, any of these.
    pub remediation_id: Option<Vec<String>>,
    /// The environment, any of these, such as `production`.
    pub environment: Option<Vec<String>>,
    /// How bad the signal is, any of these.
    pub severity: Option<Vec<Severity>>,
    /// The resource that it is about.
    pub target: Option<TargetFilter>,
    /// The action that was done or chosen, any of these, such as `RestartPod`.
    pub action_type: Option<Vec<String>>,
    /// The trace that it belongs to, 32 hexadecimal digits.
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
    /// What the list is ordered by.
    pub field: RemediationOrderField,
    /// Which way the list runs.
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
    /// What the list is ordered by.
    pub field: EventOrderField,
    /// Which way the list runs.
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
    /// What the list is ordered by.
    pub field: ViewOrderField,
    /// Which way the list runs.
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
