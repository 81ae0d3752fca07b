//! The six service views as GraphQL shows them: the latest value told of each field, with the events that told it.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, parser::types::Field};

use super::{
    Result,
    at_once::AtOnce,
    described::KindFields,
    event::{AuditEvent, events_in_memory, load_event},
    ids::GlobalId,
    loaders::Loaders,
    paging::{self, List, Listed, Page, Totals, page_wanted},
    remediation::RemediationNode,
    scalars::DateTime,
};
use crate::{
    audit::Entry,
    remediation::{Folded, model::ViewRow},
};

/// A row, and the fold it comes from where it comes from one.
#[derive(Clone)]
pub struct ViewSource {
    row: Arc<ViewRow>,
    within: Option<(RemediationNode, Arc<Folded>)>,
}

impl ViewSource {
    pub fn of(row: Arc<ViewRow>, within: Option<(RemediationNode, Arc<Folded>)>) -> ViewSource {
        ViewSource { row, within }
    }

    fn id(&self) -> ID {
        GlobalId::View(self.row.kind, self.row.stream.clone(), self.row.key.clone()).encode()
    }

    async fn remediation(&self, ctx: &Context<'_>) -> Result<Option<RemediationNode>> {
        match &self.within {
            Some((node, _)) => Ok(Some(node.clone())),
            None => RemediationNode::load(ctx, &self.row.stream).await,
        }
    }

    async fn last_event(&self, ctx: &Context<'_>) -> Result<Option<AuditEvent>> {
        match &self.within {
            Some((_, folded)) => Ok(folded.entry(self.row.last_event_id).map(AuditEvent)),
            None => load_event(ctx, self.row.last_event_id).await,
        }
    }

    async fn events(&self, ctx: &Context<'_>, page: Page<i64>) -> Result<List<AuditEvent>> {
        let entries: Vec<Arc<Entry>> = match &self.within {
            Some((_, folded)) => self.row.event_ids.iter().filter_map(|id| folded.entry(*id)).collect(),
            None if !page_wanted(ctx) => {
                return Ok(List::only_counted(Totals::Known(self.row.event_ids.len() as i64)));
            }
            None => {
                let ids = self.row.event_ids.iter().copied();
                let mut found = ctx.data_unchecked::<Loaders>().entries().load_many(ids).await?;
                self.row.event_ids.iter().filter_map(|id| found.remove(id)).collect()
            }
        };
        events_in_memory(&page, &entries)
    }
}

macro_rules! views {
    ($($(#[$meaning:meta])* $view:ident $name:literal $place:literal;)+) => {$(
        #[derive(Clone)]
        pub struct $view(ViewSource);

        impl From<ViewSource> for $view {
            fn from(source: ViewSource) -> $view {
                $view(source)
            }
        }

        impl AtOnce for $view {
            fn at_once(field: &Field) -> bool {
                !matches!(field.name.node.as_str(), "remediation" | "lastEvent" | "events")
            }
        }

        impl Listed for $view {
            const NAME: &'static str = $name;
        }

        $(#[$meaning])*
        #[Object(name = $name)]
        impl $view {
            /// A name for this object among all of this server: hand it to `node` to get the object again.
            pub async fn id(&self) -> ID {
                self.0.id()
            }

            /// The remediation's name, such as `rr-7d1f0c9ab3e2-4be09c11`.
            async fn remediation_id(&self) -> &str {
                &self.0.row.stream.remediation_id
            }

            /// The remediation's cluster, such as `eu-prod-1`.
            async fn cluster_id(&self) -> &str {
                &self.0.row.stream.cluster_id
            }

            /// The remediation it belongs to.
            #[graphql(complexity = "child_complexity.saturating_add(1)")]
            async fn remediation(&self, ctx: &Context<'_>) -> Result<Option<RemediationNode>> {
                self.0.remediation(ctx).await
            }

            /// When the first of the audits that tell it happened.
            async fn first_occurred_at(&self) -> DateTime {
                self.0.row.first_occurred_at.into()
            }

            /// When the last of the audits that tell it happened.
            async fn last_occurred_at(&self) -> DateTime {
                self.0.row.last_occurred_at.into()
            }

            /// The audit that was last recorded of it.
            #[graphql(complexity = "child_complexity.saturating_add(1)")]
            async fn last_event(&self, ctx: &Context<'_>) -> Result<Option<AuditEvent>> {
                self.0.last_event(ctx).await
            }

            /// The audits that tell it, in the order in which they were recorded.
            #[graphql(complexity = "paging::cost(first, last, child_complexity)")]
            async fn events(
                &self,
                ctx: &Context<'_>,
                #[graphql(desc = "How many from the beginning, 1 to 100; 20 when neither `first` nor `last` is given.")]
                first: Option<i32>,
                #[graphql(desc = "Begin behind this cursor, such as the last page's `endCursor`. Goes with `first`.")] after: Option<String>,
                #[graphql(desc = "How many from the end, 1 to 100; not together with `first`.")] last: Option<i32>,
                #[graphql(desc = "End before this cursor, such as the page's `startCursor`. Goes with `last`.")] before: Option<String>,
            ) -> Result<List<AuditEvent>> {
                self.0.events(ctx, Page::new(first, after, last, before)?).await
            }

            #[graphql(flatten)]
            async fn fields(&self) -> KindFields<$place> {
                KindFields(self.0.row.clone())
            }
        }
    )+};
}

views! {
    /// What the orchestrator says of a remediation: of each field the latest value that was told, null where none was.
    OrchestrationView "Orchestration" 0;
    /// What signal processing says of a remediation: of each field the latest value that was told, null where none was.
    SignalProcessingView "SignalProcessing" 1;
    /// An AI analysis: of each field the latest value that was told, null where none was.
    AiAnalysisView "AiAnalysis" 2;
    /// A workflow execution: of each field the latest value that was told, null where none was.
    WorkflowExecutionView "WorkflowExecution" 3;
    /// A notification: of each field the latest value that was told, null where none was.
    NotificationView "Notification" 4;
    /// An effectiveness assessment: of each field the latest value that was told, null where none was.
    EffectivenessView "EffectivenessAssessment" 5;
}
