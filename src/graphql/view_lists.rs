//! The lists of the six service views, which differ in nothing but what they list.

use std::sync::Arc;

use async_graphql::{Context, MergedObject, Object};

use super::{
    Result, app,
    enums::Direction,
    filters::{RemediationFilter, ViewOrder},
    paging::{self, List, Listed, Page, Totals, page_wanted},
    query::caught_up,
    readable,
    scalars::Watermark,
    views::{
        AiAnalysisView, EffectivenessView, NotificationView, OrchestrationView, SignalProcessingView, ViewSource,
        WorkflowExecutionView,
    },
};
use crate::{
    audit::Kind,
    projection::{Projection, service_views},
};

/// All six lists, as part of the root.
#[derive(MergedObject, Default)]
pub struct ViewLists(
    Orchestrations,
    SignalProcessings,
    AiAnalyses,
    WorkflowExecutions,
    Notifications,
    EffectivenessAssessments,
);

macro_rules! lists {
    ($($meaning:tt $root:ident $field:ident $view:ident $kind:ident;)+) => {$(
        #[derive(Default)]
        pub struct $root;

        #[Object]
        impl $root {
            #[doc = $meaning]
            #[graphql(complexity = "paging::cost(first, last, child_complexity)")]
            #[allow(clippy::too_many_arguments)] // Relay's four, and three of our own
            async fn $field(
                &self,
                ctx: &Context<'_>,
                #[graphql(desc = "Of which remediations; of all when left out.")] filter: Option<RemediationFilter>,
                #[graphql(desc = "In which order; by the last audit of each, the latest first, when left out.")] order_by: Option<ViewOrder>,
                #[graphql(desc = "How many from the beginning, 1 to 100; 20 when neither `first` nor `last` is given.")]
                first: Option<i32>,
                #[graphql(desc = "Begin behind this cursor, such as the last page's `endCursor`. Goes with `first`.")] after: Option<String>,
                #[graphql(desc = "How many from the end, 1 to 100; not together with `first`.")] last: Option<i32>,
                #[graphql(desc = "End before this cursor, such as the page's `startCursor`. Goes with `last`.")] before: Option<String>,
                #[graphql(desc = "Wait until the list has come to this place in the journal, for 5 seconds at most.")]
                at_least: Option<Watermark>,
            ) -> Result<List<$view>> {
                let page = Page::new(first, after, last, before)?;
                views(ctx, Kind::$kind, filter, order_by, page, at_least).await
            }
        }
    )+};
}

lists! {
    "What the orchestrator says of each remediation: one row each." Orchestrations orchestrations OrchestrationView Orchestration;
    "What signal processing says of each remediation: one row each." SignalProcessings signal_processings SignalProcessingView SignalProcessing;
    "AI analyses of all remediations: how sure they were, what they recommended, what was decided." AiAnalyses ai_analyses AiAnalysisView AiAnalysis;
    "Workflow executions of all remediations: what was run, how it went, how long it took." WorkflowExecutions workflow_executions WorkflowExecutionView WorkflowExecution;
    "Notifications of all remediations: whom they told, and whether that arrived." Notifications notifications NotificationView Notification;
    "Effectiveness assessments of all remediations: whether they worked." EffectivenessAssessments effectiveness_assessments EffectivenessView Effectiveness;
}

async fn views<T: From<ViewSource> + Listed>(
    ctx: &Context<'_>,
    kind: Kind,
    filter: Option<RemediationFilter>,
    order: Option<ViewOrder>,
    page: Page<service_views::Place>,
    at_least: Option<Watermark>,
) -> Result<List<T>> {
    readable(ctx)?;
    let filter = RemediationFilter::to_projection(filter);
    caught_up(ctx, Projection::Remediations, at_least).await?;
    let totals = Totals::Views(kind, Box::new(filter.clone()));
    if !page_wanted(ctx) {
        return Ok(List::only_counted(totals));
    }
    let descending = order.is_none_or(|order| order.direction == Direction::Desc) != page.backwards;
    let db = app(ctx).journal.reader();
    let rows = service_views::page(db, kind, &filter, descending, page.from.as_ref(), page.reach()).await?;
    Ok(page.list(rows, totals, |row| (row.place, T::from(ViewSource::of(Arc::new(row.view), None)))))
}
