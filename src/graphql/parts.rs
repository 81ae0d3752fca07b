//! What a remediation is made of, as GraphQL shows it: target, root cause, phases, approvals, completeness.

use async_graphql::{ComplexObject, Context, Object, SimpleObject};

use super::{
    Result,
    enums::{self, ApprovalDecision, AuditKind, PhaseName},
    event::AuditEvent,
    remediation::RemediationNode,
    scalars::DateTime,
};
use crate::remediation::model;

/// One of the events that a remediation was folded from.
async fn event_of(ctx: &Context<'_>, node: &RemediationNode, event_id: uuid::Uuid) -> Result<Option<AuditEvent>> {
    Ok(node.folded(ctx).await?.entry(event_id).map(AuditEvent))
}

/// The resource that a remediation is about.
#[derive(SimpleObject, Clone)]
pub struct Target {
    /// The resource's kind, such as `Deployment`.
    kind: String,
    /// The resource's namespace; null for cluster-wide resources.
    namespace: Option<String>,
    /// The resource's name, such as `checkout`.
    name: String,
}

impl From<model::Target> for Target {
    fn from(target: model::Target) -> Target {
        Target { kind: target.kind, namespace: target.namespace, name: target.name }
    }
}

/// The cause that the analysis found.
#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub struct RootCause {
    #[graphql(skip)]
    pub(super) node: RemediationNode,
    #[graphql(skip)]
    pub(super) event_id: uuid::Uuid,
    /// The cause in a sentence or two.
    pub(super) summary: String,
    /// How sure the analysis is of it, 0 to 1; null where it does not say.
    pub(super) confidence: Option<f64>,
}

#[ComplexObject]
impl RootCause {
    /// The event that tells the cause.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn event(&self, ctx: &Context<'_>) -> Result<Option<AuditEvent>> {
        event_of(ctx, &self.node, self.event_id).await
    }
}

/// A phase in which a remediation spent its time.
#[derive(Clone)]
pub struct Phase(pub(super) model::Phase);

/// A phase in which a remediation spent its time, such as the AI analysis or the wait for approval.
#[Object]
impl Phase {
    /// Which phase it is.
    async fn name(&self) -> PhaseName {
        self.0.name.into()
    }

    /// When the phase began first.
    async fn started_at(&self) -> DateTime {
        self.0.started_at.into()
    }

    /// When the phase ended last; null while it is open.
    async fn ended_at(&self) -> Option<DateTime> {
        self.0.ended_at.map(DateTime)
    }

    /// How long the phase took in all its intervals together, in milliseconds.
    async fn duration_ms(&self) -> f64 {
        self.0.duration_ms
    }

    /// The phase's share of the remediation's duration, 0 to 1; null for what came after the end.
    async fn share(&self) -> Option<f64> {
        self.0.share
    }

    /// When the phase ran: more than once where something was tried again.
    async fn intervals(&self) -> Vec<Interval> {
        let intervals = self.0.intervals.iter();
        intervals
            .map(|interval| Interval {
                started_at: interval.started_at.into(),
                ended_at: interval.ended_at.map(DateTime),
                waiting: interval.waiting,
            })
            .collect()
    }
}

/// A time in which a phase ran.
#[derive(SimpleObject, Clone)]
pub struct Interval {
    /// When the interval began.
    started_at: DateTime,
    /// When the interval ended; null while it is open.
    ended_at: Option<DateTime>,
    /// Whether nothing was worked on: a wait for approval, or planned stabilisation.
    waiting: bool,
}

/// What was asked of a person or a policy, and what it said.
#[derive(Clone)]
pub struct Approval {
    pub(super) node: RemediationNode,
    pub(super) approval: model::Approval,
}

/// What was asked of a person or a policy, and what it said.
#[Object]
impl Approval {
    /// When the decision was asked for; null where only the decision is recorded.
    async fn requested_at(&self) -> Option<DateTime> {
        self.approval.requested_at.map(DateTime)
    }

    /// Until when a decision was needed; null where there was no limit.
    async fn required_by(&self) -> Option<DateTime> {
        self.approval.required_by.map(DateTime)
    }

    /// When the decision was made; null while it is open.
    async fn decided_at(&self) -> Option<DateTime> {
        self.approval.decided_at.map(DateTime)
    }

    /// What was decided.
    async fn decision(&self) -> Option<ApprovalDecision> {
        enums::parse(&self.approval.decision)
    }

    /// Who decided, such as `alice@example.com`; null while it is open, or where nobody is named.
    async fn decided_by(&self) -> Option<&str> {
        self.approval.decided_by.as_deref()
    }

    /// How the decision was given, such as `slack`.
    async fn via(&self) -> Option<&str> {
        self.approval.via.as_deref()
    }

    /// What the one who decided said.
    async fn reason(&self) -> Option<&str> {
        self.approval.reason.as_deref()
    }

    /// How long the decision was waited for, in milliseconds; null while it is open.
    async fn wait_ms(&self) -> Option<f64> {
        self.approval.wait_ms
    }

    /// The event that tells it.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn event(&self, ctx: &Context<'_>) -> Result<Option<AuditEvent>> {
        event_of(ctx, &self.node, self.approval.event_id).await
    }
}

/// How complete a remediation's trail is.
pub struct Completeness {
    pub(super) node: RemediationNode,
}

/// How complete a remediation's trail is: what is missing, what came late, and what does not fit together.
#[Object]
impl Completeness {
    /// The share of what a remediation of this outcome should have, 0 to 1.
    async fn score(&self) -> f64 {
        self.node.summary.completeness.score
    }

    /// What a remediation of this outcome should have and this one has not.
    async fn missing(&self) -> Vec<Missing> {
        let missing = self.node.summary.completeness.missing.iter();
        missing.map(|missing| Missing { service: missing.service.into(), what: missing.what.clone() }).collect()
    }

    /// What was recorded later than it should have been.
    async fn late(&self) -> Vec<Late> {
        let late = self.node.summary.completeness.late.iter();
        late.map(|late| Late { node: self.node.clone(), event_id: late.event_id, by_ms: late.by_ms }).collect()
    }

    /// Facts that cannot all be true.
    async fn contradictions(&self) -> Vec<Contradiction> {
        let contradictions = self.node.summary.completeness.contradictions.iter();
        contradictions
            .map(|contradiction| Contradiction {
                node: self.node.clone(),
                event_ids: contradiction.event_ids.clone(),
                what: contradiction.what.clone(),
            })
            .collect()
    }
}

/// Something that a remediation of this outcome should have and has not.
#[derive(SimpleObject)]
pub struct Missing {
    /// Whose audit it would be in.
    service: AuditKind,
    /// What is missing, in words.
    what: String,
}

/// An audit that came later than it should have.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Late {
    #[graphql(skip)]
    node: RemediationNode,
    #[graphql(skip)]
    event_id: uuid::Uuid,
    /// How much it occurred before an entry that was recorded earlier, in milliseconds.
    by_ms: f64,
}

#[ComplexObject]
impl Late {
    /// The audit that came late.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn event(&self, ctx: &Context<'_>) -> Result<Option<AuditEvent>> {
        event_of(ctx, &self.node, self.event_id).await
    }
}

/// Facts that cannot all be true.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Contradiction {
    #[graphql(skip)]
    node: RemediationNode,
    #[graphql(skip)]
    event_ids: Vec<uuid::Uuid>,
    /// What the facts say, and why that cannot be, in words.
    what: String,
}

#[ComplexObject]
impl Contradiction {
    /// The audits that say so.
    #[graphql(complexity = "super::paging::times(2, child_complexity)")]
    async fn events(&self, ctx: &Context<'_>) -> Result<Vec<AuditEvent>> {
        let mut events = Vec::new();
        for event_id in &self.event_ids {
            events.extend(event_of(ctx, &self.node, *event_id).await?);
        }
        Ok(events)
    }
}
