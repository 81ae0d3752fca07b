//! The queries.

use std::sync::Arc;

use async_graphql::{Context, ID, Interface, MergedObject, Object};

use super::{
    Result, app,
    enums::Direction,
    event::{AuditEvent, load_event},
    filters::{EventFilter, EventOrder, RemediationFilter, RemediationOrder},
    folds::Unfolded,
    ids::GlobalId,
    known::Known,
    loaders::Loaders,
    paging::{self, List, Page, Totals, page_wanted},
    readable,
    remediation::{RemediationNode, remediations_page},
    report::Reports,
    scalars::{DateTime, Uuid, Watermark},
    search::SearchQueries,
    statistics::Statistics,
    system::System,
    target_history::TargetHistories,
    timeline::TimelineEntry,
    view_lists::ViewLists,
    views::{
        AiAnalysisView, EffectivenessView, NotificationView, OrchestrationView, SignalProcessingView, ViewSource,
        WorkflowExecutionView,
    },
};
use crate::{
    audit::{Kind, Position, StreamId},
    error::ClientError,
    journal::read,
    projection::{Projection, event_index, remediations, service_views},
    remediation::{self, Folded},
};

/// Most events that `eventsById` takes.
const IDS_MAX: usize = 100;

/// The root of all queries.
#[derive(MergedObject)]
#[graphql(name = "Query")]
pub struct Query(pub Basics, pub ViewLists, pub SearchQueries, pub Statistics, pub TargetHistories, pub Reports);

#[derive(Default)]
pub struct Basics;

/// Anything that has a global id, by which `node` finds it again.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "A name for this object among all of this server: hand it to `node` to get the object again."
))]
#[allow(clippy::large_enum_variant)]
pub enum Node {
    AuditEvent(AuditEvent),
    Remediation(RemediationNode),
    TimelineEntry(TimelineEntry),
    Orchestration(OrchestrationView),
    SignalProcessing(SignalProcessingView),
    AiAnalysis(AiAnalysisView),
    WorkflowExecution(WorkflowExecutionView),
    Notification(NotificationView),
    EffectivenessAssessment(EffectivenessView),
}

#[Object]
impl Basics {
    /// The object of a global id, as the `id` of any object gives it; null when there is none.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The `id` of an object, such as `QXVkaXRFdmVudDow…`.")] id: ID,
    ) -> Result<Option<Node>> {
        readable(ctx)?;
        let Some(id) = GlobalId::decode(&id) else { return Ok(None) };
        match id {
            GlobalId::AuditEvent(event_id) => Ok(load_event(ctx, event_id).await?.map(Node::AuditEvent)),
            GlobalId::Remediation(stream) => {
                Ok(folded(ctx, &stream).await?.map(RemediationNode::whole).map(Node::Remediation))
            }
            GlobalId::TimelineEntry(event_id, index) => {
                let Some(event) = load_event(ctx, event_id).await? else { return Ok(None) };
                let Some(folded) = folded(ctx, &event.0.event.stream).await? else { return Ok(None) };
                Ok(TimelineEntry::find(folded, event_id, index).map(Node::TimelineEntry))
            }
            GlobalId::View(kind, stream, key) => view_node(ctx, kind, &stream, &key).await,
        }
    }

    /// One event, straight from the journal; null when its id was never recorded.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The `eventId` that the audit was recorded under.")] event_id: Uuid,
    ) -> Result<Option<AuditEvent>> {
        readable(ctx)?;
        load_event(ctx, event_id.0).await
    }

    /// Up to 100 events, straight from the journal, in the order asked; null where an id was never recorded.
    #[graphql(complexity = "paging::times(event_ids.len(), child_complexity)")]
    async fn events_by_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The `eventId`s, up to 100; one may be asked for several times.")] event_ids: Vec<Uuid>,
    ) -> Result<Vec<Option<AuditEvent>>> {
        readable(ctx)?;
        if event_ids.len() > IDS_MAX {
            let given = event_ids.len();
            return Err(ClientError::bad_input(format!("`eventIds` has {given} ids, at most {IDS_MAX} are allowed")));
        }
        let found = ctx.data_unchecked::<Loaders>().entries().load_many(event_ids.iter().map(|id| id.0)).await?;
        Ok(event_ids.iter().map(|id| found.get(&id.0).cloned().map(AuditEvent)).collect())
    }

    /// One remediation, folded straight from the journal: always current. Null when nothing of it is recorded.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    #[allow(clippy::too_many_arguments)] // each is a way to ask
    async fn remediation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The remediation's name, such as `rr-7d1f0c9ab3e2-4be09c11`.")] remediation_id: String,
        #[graphql(
            desc = "The cluster, such as `eu-prod-1`. May be left out where only one knows the name; else the error names them."
        )]
        cluster_id: Option<String>,
        #[graphql(desc = "As it was at this time: only facts that had happened by then, whenever they were recorded.")]
        as_of: Option<DateTime>,
        #[graphql(desc = "As it was known at this time: only audits that had been recorded by then.")] known_at: Option<
            DateTime,
        >,
        #[graphql(desc = "As of this place in the journal: only audits up to it, the same for ever.")] at: Option<
            Watermark,
        >,
        #[graphql(
            desc = "Not older than this place in the journal. A single remediation never is, so this changes nothing."
        )]
        at_least: Option<Watermark>,
    ) -> Result<Option<RemediationNode>> {
        readable(ctx)?;
        for watermark in [at, at_least].into_iter().flatten() {
            app(ctx).reached(watermark).await?;
        }
        let Some(stream) = app(ctx).stream(remediation_id, cluster_id).await? else { return Ok(None) };
        let up_to = at.map_or(Position(i64::MAX), |watermark| watermark.position);
        let mut entries = read::stream(app(ctx).journal.reader(), &stream, up_to).await?;
        if let Some(known_at) = known_at {
            entries.truncate(remediation::known_at(&entries, known_at.0).len());
        }
        if let Some(as_of) = as_of {
            let folded = Folded::of(entries.into_iter().map(Arc::new).collect(), Some(as_of.0));
            return Ok(folded.map(|folded| RemediationNode::whole(Arc::new(folded))));
        }
        let known = ctx.data_unchecked::<Arc<Known>>();
        let read = Arc::new(Unfolded::new(entries));
        if let Some(summary) = known.get(&stream, &read.entries) {
            return Ok(Some(RemediationNode::read(summary, read)));
        }
        let Some(folded) = read.fold() else { return Ok(None) };
        let summary = Arc::new(folded.summary.clone());
        known.keep(&read.entries, &summary);
        Ok(Some(RemediationNode::read(summary, read)))
    }

    /// Remediations, the latest first unless `orderBy` says otherwise. The list follows the journal within a second or so;
    /// `atLeast` waits for it.
    #[graphql(complexity = "paging::cost(first, last, child_complexity)")]
    #[allow(clippy::too_many_arguments)] // Relay's four, and three of our own
    async fn remediations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which remediations; all when left out.")] filter: Option<RemediationFilter>,
        #[graphql(desc = "In which order; by start, the latest first, when left out.")] order_by: Option<
            RemediationOrder,
        >,
        #[graphql(desc = "How many from the beginning, 1 to 100; 20 when neither `first` nor `last` is given.")]
        first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor, such as the last page's `endCursor`. Goes with `first`.")]
        after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor, such as the page's `startCursor`. Goes with `last`.")] before: Option<
            String,
        >,
        #[graphql(desc = "Wait until the list has come to this place in the journal, for 5 seconds at most.")]
        at_least: Option<Watermark>,
    ) -> Result<List<RemediationNode>> {
        readable(ctx)?;
        let page = Page::new(first, after, last, before)?;
        let order = order_by.map_or((remediations::Order::StartedAt, true), |order| {
            (order.field.into(), order.direction == Direction::Desc)
        });
        let filter = RemediationFilter::to_projection(filter);
        if page.from.as_ref().is_some_and(|place: &remediations::Place| (place.order, place.descending) != order) {
            return Err(ClientError::bad_input(
                "the cursor is of another order; begin anew, or keep `orderBy` as it was",
            ));
        }
        caught_up(ctx, Projection::Remediations, at_least).await?;
        let totals = Totals::Remediations(Box::new(filter.clone()));
        if !page_wanted(ctx) {
            return Ok(List::only_counted(totals));
        }
        let db = app(ctx).journal.reader();
        let rows = remediations::page(db, &filter, order, page.backwards, page.from.as_ref(), page.reach()).await?;
        Ok(remediations_page(ctx, &page, rows, totals))
    }

    /// Events, in the order of the journal unless `orderBy` says otherwise. The list follows the journal within a second or
    /// so; `atLeast` waits for it.
    #[graphql(complexity = "paging::cost(first, last, child_complexity)")]
    #[allow(clippy::too_many_arguments)] // Relay's four, and three of our own
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which events; all when left out.")] filter: Option<EventFilter>,
        #[graphql(desc = "In which order; as they were recorded, the earliest first, when left out.")] order_by: Option<
            EventOrder,
        >,
        #[graphql(desc = "How many from the beginning, 1 to 100; 20 when neither `first` nor `last` is given.")]
        first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor, such as the last page's `endCursor`. Goes with `first`.")]
        after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor, such as the page's `startCursor`. Goes with `last`.")] before: Option<
            String,
        >,
        #[graphql(desc = "Wait until the list has come to this place in the journal, for 5 seconds at most.")]
        at_least: Option<Watermark>,
    ) -> Result<List<AuditEvent>> {
        readable(ctx)?;
        let page: Page<event_index::Row> = Page::new(first, after, last, before)?;
        let (order, descending) = order_by.map_or((event_index::Order::Position, false), |order| {
            (order.field.into(), order.direction == Direction::Desc)
        });
        let filter = EventFilter::to_projection(filter);
        caught_up(ctx, Projection::EventIndex, at_least).await?;
        let totals = Totals::Events(Box::new(filter.clone()));
        if !page_wanted(ctx) {
            return Ok(List::only_counted(totals));
        }
        let db = app(ctx).journal.reader();
        let descending = descending != page.backwards;
        let rows = event_index::page(db, &filter, order, descending, page.from.as_ref(), page.reach()).await?;
        let places: Vec<_> = rows.iter().map(|row| (Position(row.position), row.recorded_at)).collect();
        let entries: std::collections::HashMap<i64, _> = read::at(db, &places)
            .await?
            .into_iter()
            .map(|entry| (entry.position.0, AuditEvent(Arc::new(entry))))
            .collect();
        let rows: Vec<_> =
            rows.into_iter().filter_map(|row| Some((entries.get(&row.position)?.clone(), row))).collect();
        Ok(page.list(rows, totals, |(event, row)| (row, event)))
    }

    /// How Binnacle itself is doing: for operators.
    async fn system(&self, ctx: &Context<'_>) -> Result<System> {
        readable(ctx)?;
        Ok(System)
    }
}

async fn view_node(ctx: &Context<'_>, kind: Kind, stream: &StreamId, key: &str) -> Result<Option<Node>> {
    let Some(row) = service_views::by_key(app(ctx).journal.reader(), kind, stream, key).await? else { return Ok(None) };
    let source = ViewSource::of(Arc::new(row), None);
    Ok(match kind {
        Kind::Orchestration => Some(Node::Orchestration(source.into())),
        Kind::SignalProcessing => Some(Node::SignalProcessing(source.into())),
        Kind::AiAnalysis => Some(Node::AiAnalysis(source.into())),
        Kind::WorkflowExecution => Some(Node::WorkflowExecution(source.into())),
        Kind::Notification => Some(Node::Notification(source.into())),
        Kind::Effectiveness => Some(Node::EffectivenessAssessment(source.into())),
        Kind::Other => None,
    })
}

async fn folded(ctx: &Context<'_>, stream: &StreamId) -> Result<Option<Arc<Folded>>> {
    let entries = read::stream(app(ctx).journal.reader(), stream, Position(i64::MAX)).await?;
    Ok(Folded::of(entries.into_iter().map(Arc::new).collect(), None).map(Arc::new))
}

/// Waits until the projection has come to the watermark.
pub async fn caught_up(ctx: &Context<'_>, projection: Projection, at_least: Option<Watermark>) -> Result<()> {
    let Some(watermark) = at_least else { return Ok(()) };
    app(ctx).reached(watermark).await?;
    let app = app(ctx);
    Ok(app.signals.wait(app.journal.reader(), projection, watermark.position).await?)
}
