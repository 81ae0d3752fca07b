//! An audit event as GraphQL shows it.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, parser::types::Field};

use super::{
    Result, app,
    at_once::{AtOnce, One},
    enums::{ActorType, AuditKind, Outcome},
    ids::GlobalId,
    loaders::{ChildrenOf, Loaders},
    paging::{self, List, Listed, Page, Totals, page_wanted},
    readable,
    remediation::RemediationNode,
    scalars::{DateTime, Uuid, Watermark},
};
use crate::{
    audit::{Entry, Position, canonical},
    http::Raw,
    remediation::model,
};

/// An event of the journal.
#[derive(Clone)]
pub struct AuditEvent(pub Arc<Entry>);

impl AtOnce for AuditEvent {
    fn at_once(field: &Field) -> bool {
        !matches!(field.name.node.as_str(), "parent" | "children" | "remediation")
    }
}

impl Listed for AuditEvent {
    const NAME: &'static str = "AuditEvent";
}

/// What one audit became: an immutable event of the journal. Its envelope says who, when and about what; `payload` says the
/// rest, in the writer's own words.
#[Object(name = "AuditEvent")]
impl AuditEvent {
    /// A name for this object among all of this server: hand it to `node` to get the object again.
    pub async fn id(&self) -> ID {
        GlobalId::AuditEvent(self.0.event.event_id).encode()
    }

    /// The id that the audit was sent under, or that the server gave it. Sending the same audit under it again is safe.
    async fn event_id(&self) -> Uuid {
        Uuid(self.0.event.event_id)
    }

    /// The event's place in the whole journal, from 1, without gaps. Decimal text, for it may outgrow what JSON holds exactly.
    async fn position(&self) -> String {
        self.0.position.to_string()
    }

    /// The event's place among those of its remediation, from 1, without gaps.
    async fn version(&self) -> i32 {
        self.0.version.0
    }

    /// The event's place, to hand back as `atLeast`, `at` or `after`.
    async fn watermark(&self, ctx: &Context<'_>) -> Watermark {
        Watermark::at(app(ctx).journal.id(), self.0.position)
    }

    /// The remediation's name, such as `rr-7d1f0c9ab3e2-4be09c11`.
    async fn remediation_id(&self) -> &str {
        &self.0.event.stream.remediation_id
    }

    /// The remediation's cluster, such as `eu-prod-1`.
    async fn cluster_id(&self) -> &str {
        &self.0.event.stream.cluster_id
    }

    /// Which service's audit it is.
    async fn kind(&self) -> AuditKind {
        self.0.event.kind.into()
    }

    /// The service or area that tells it, such as `gateway`; null where none was named.
    async fn category(&self) -> Option<&str> {
        Some(self.0.event.category.as_str()).filter(|category| !category.is_empty())
    }

    /// What sort of event it is, in dotted words, such as `workflow_execution.completed`.
    async fn event_type(&self) -> &str {
        &self.0.event.event_type
    }

    /// How the recorded step ended, as its writer says; null where that was not said.
    async fn outcome(&self) -> Option<Outcome> {
        self.0.event.outcome.map(Outcome::from)
    }

    /// When it happened, by the writer's clock.
    async fn occurred_at(&self) -> DateTime {
        self.0.event.occurred_at.into()
    }

    /// When it was recorded, by the database's clock. Never goes back from one position to the next.
    async fn recorded_at(&self) -> DateTime {
        self.0.recorded_at.into()
    }

    /// Who acted, as the writer claims; null where nobody is named. Who sent it is `recordedBy`.
    async fn actor(&self) -> Option<One<Actor>> {
        Actor::of(&self.0).map(One)
    }

    /// Who sent it: the authenticated caller, or null while no authentication is in force.
    async fn recorded_by(&self) -> Option<&str> {
        self.0.recorded_by.as_deref()
    }

    /// The event that led to this one, by its `parentEventId`; null where none is named, or where it is not recorded.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<AuditEvent>> {
        readable(ctx)?; // a receipt leads here too, and whoever may record gets one
        let Some(parent) = self.0.event.parent_event_id else { return Ok(None) };
        load_event(ctx, parent).await
    }

    /// The events that this one led to, by position.
    #[graphql(complexity = "paging::cost(first, None, child_complexity)")]
    async fn children(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100; 10 when left out.", default = 10)] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor, such as the last page's `endCursor`. Goes with `first`.")]
        after: Option<String>,
    ) -> Result<List<AuditEvent>> {
        readable(ctx)?;
        let page: Page<i64> = Page::new(first, after, None, None)?;
        let parent = self.0.event.event_id;
        if !page_wanted(ctx) {
            return Ok(List::only_counted(Totals::Children(parent)));
        }
        let key = ChildrenOf { parent, after: page.from, limit: page.reach() };
        let children = ctx.data_unchecked::<Loaders>().children().load_one(key).await?.unwrap_or_default();
        Ok(page.list(children, Totals::Children(parent), |entry| (entry.position.0, AuditEvent(entry))))
    }

    /// The trace that the recorded work belongs to, 32 hexadecimal digits; null where none was sent.
    async fn trace_id(&self) -> Option<&str> {
        self.0.event.trace_id.as_deref()
    }

    /// The span that recorded it, 16 hexadecimal digits; null where none was sent.
    async fn span_id(&self) -> Option<&str> {
        self.0.event.span_id.as_deref()
    }

    /// What the writer said beyond the envelope, as a JSON object.
    async fn payload(&self) -> Raw<'_> {
        Raw(self.0.event.payload.text())
    }

    /// The event as canonical JSON (RFC 8785), byte for byte what `digest` is of.
    async fn canonical(&self) -> String {
        self.0.canonical()
    }

    /// The SHA-256 of `canonical`, 64 hexadecimal digits: check it yourself to know that nothing was changed.
    async fn digest(&self) -> String {
        canonical::hex(&self.0.digest)
    }

    /// The remediation it belongs to. Null where its audits tell nothing of one.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn remediation(&self, ctx: &Context<'_>) -> Result<Option<RemediationNode>> {
        readable(ctx)?;
        let stream = &self.0.event.stream;
        if let Some(listed) = RemediationNode::load(ctx, stream).await? {
            return Ok(Some(listed));
        }
        // The lists have not come to it yet.
        let folded = ctx.data_unchecked::<Loaders>().folds().load_one((stream.clone(), Position(i64::MAX))).await?;
        Ok(folded.map(RemediationNode::whole))
    }
}

/// The event of this id, read together with its siblings.
pub async fn load_event(ctx: &Context<'_>, event_id: uuid::Uuid) -> Result<Option<AuditEvent>> {
    Ok(ctx.data_unchecked::<Loaders>().entries().load_one(event_id).await?.map(AuditEvent))
}

/// A page of events that are in memory, in order of position.
pub fn events_in_memory(page: &Page<i64>, entries: &[Arc<Entry>]) -> Result<List<AuditEvent>> {
    let rows = page.slice(entries, |entry| entry.position.0)?;
    Ok(page.list(rows, Totals::Known(entries.len() as i64), |entry| (entry.position.0, AuditEvent(entry))))
}

/// Who acted: as an event's envelope and payload claim, or as the fold has read it.
#[derive(Clone)]
pub enum Actor {
    Claimed(crate::audit::ActorType, Arc<Entry>),
    Read(model::Actor),
}

impl AtOnce for Actor {
    fn at_once(_: &Field) -> bool {
        true
    }
}

/// Who acted, as the writer claims. Who sent the audit is `recordedBy`.
#[Object]
impl Actor {
    /// Who it is: a service's or a user's name, such as `alice@example.com`.
    async fn id(&self) -> &str {
        match self {
            Actor::Claimed(_, entry) => entry.event.actor_id.as_deref().unwrap_or_default(),
            Actor::Read(actor) => &actor.id,
        }
    }

    /// The actor's name for people, such as `Alice`; null where it has none.
    async fn display_name(&self) -> Option<&str> {
        match self {
            Actor::Claimed(_, entry) => told(entry, "displayName"),
            Actor::Read(actor) => actor.display_name.as_deref(),
        }
    }

    /// For whom the actor acted; null where it acted for itself.
    async fn on_behalf_of(&self) -> Option<&str> {
        match self {
            Actor::Claimed(_, entry) => told(entry, "onBehalfOf"),
            Actor::Read(actor) => actor.on_behalf_of.as_deref(),
        }
    }

    /// What sort of actor it is.
    #[graphql(name = "type")]
    async fn actor_type(&self) -> ActorType {
        match self {
            Actor::Claimed(actor_type, _) => (*actor_type).into(),
            Actor::Read(actor) => actor.actor_type.into(),
        }
    }
}

impl Actor {
    /// Nobody where the envelope names nobody. What else is told of an actor stands in the payload, which is read when it is
    /// asked for.
    fn of(entry: &Arc<Entry>) -> Option<Actor> {
        entry.event.actor_id.as_ref()?;
        Some(Actor::Claimed(entry.event.actor_type?, entry.clone()))
    }
}

fn told<'e>(entry: &'e Entry, name: &str) -> Option<&'e str> {
    entry.field("actor")?.as_object()?.text(name)
}

impl From<model::Actor> for Actor {
    fn from(actor: model::Actor) -> Actor {
        Actor::Read(actor)
    }
}
