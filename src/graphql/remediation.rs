//! A remediation as GraphQL shows it: the summary that lists keep, and beneath it what the fold of its stream gives.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{Context, ID, Object, parser::types::Field};
use tokio::sync::OnceCell;

use super::{
    Result, app,
    at_once::{All, AtOnce, names},
    described::SignalFields,
    enums::{self, AuditKind, RemediationOutcome, RemediationPhase, Severity},
    event::{AuditEvent, events_in_memory},
    filters::TimelineOrder,
    folds::{PageFolds, Unfolded},
    ids::GlobalId,
    loaders::Loaders,
    paging::{self, List, Listed, Page, Totals, page_wanted},
    parts::{Approval, Completeness, Phase, RootCause, Target},
    report::ReportNode,
    scalars::{DateTime, Watermark},
    search::{SIMILAR_MAX, SimilarRemediations, bounded, similar_to},
    timeline::TimelineEntry,
    views::{
        AiAnalysisView, EffectivenessView, NotificationView, OrchestrationView, SignalProcessingView, ViewSource,
        WorkflowExecutionView,
    },
};
use crate::{
    audit::{Kind, StreamId},
    error::ClientError,
    projection::remediations::Filter,
    remediation::{Folded, model::Summary},
};

/// One remediation.
#[derive(Clone)]
pub struct RemediationNode {
    pub summary: Arc<Summary>,
    pub source: Source,
}

impl AtOnce for RemediationNode {
    /// The summary is there; what the fold tells, and what leads to an event, may have to be read.
    fn at_once(field: &Field) -> bool {
        match field.name.node.as_str() {
            "id" | "remediationId" | "clusterId" | "url" | "phase" | "outcome" | "effective" | "effectivenessScore"
            | "signal" | "environment" | "severity" | "target" | "actionTypes" | "workflowNames" | "startedAt"
            | "completedAt" | "settledAt" | "durationMs" | "unaccountedMs" | "phases" | "bottleneck" | "watermark" => {
                true
            }
            "rootCause" | "approvals" | "completeness" => !names(field, "event") && !names(field, "events"),
            _ => false,
        }
    }
}

impl Listed for RemediationNode {
    const NAME: &'static str = "Remediation";
}

/// Where the fold beneath a summary comes from.
#[derive(Clone)]
pub enum Source {
    /// It is there.
    Whole(Arc<Folded>),
    /// Its entries are there.
    Read(Arc<Unfolded>),
    /// Read for the whole page when the first remediation of it is asked for more than its summary.
    Page(Arc<PageFolds>),
    /// Read once, together with whatever else is asked for at this moment.
    Loader(Arc<OnceCell<Arc<Folded>>>),
}

impl RemediationNode {
    pub fn whole(folded: Arc<Folded>) -> RemediationNode {
        let summary = Arc::new(folded.summary.clone());
        RemediationNode { summary, source: Source::Whole(folded) }
    }

    /// The remediation of these entries, whose summary is known.
    pub fn read(summary: Arc<Summary>, entries: Arc<Unfolded>) -> RemediationNode {
        RemediationNode { summary, source: Source::Read(entries) }
    }

    /// The remediation as lists show it; `None` where they have not come to it yet.
    pub async fn load(ctx: &Context<'_>, stream: &StreamId) -> Result<Option<RemediationNode>> {
        let summary = ctx.data_unchecked::<Loaders>().summaries().load_one(stream.clone()).await?;
        Ok(summary.map(|summary| RemediationNode { summary, source: Source::Loader(Arc::default()) }))
    }

    /// A remediation as it stands after a change.
    pub fn changed(summary: Arc<Summary>) -> RemediationNode {
        RemediationNode { summary, source: Source::Loader(Arc::default()) }
    }

    pub async fn folded(&self, ctx: &Context<'_>) -> Result<Arc<Folded>> {
        match &self.source {
            Source::Whole(folded) => Ok(folded.clone()),
            Source::Read(entries) => entries.fold().ok_or_else(|| self.without_entries()),
            Source::Page(page) => page.get(&self.summary.stream).await,
            Source::Loader(folded) => folded.get_or_try_init(|| self.load_fold(ctx)).await.cloned(),
        }
    }

    async fn load_fold(&self, ctx: &Context<'_>) -> Result<Arc<Folded>> {
        let key = (self.summary.stream.clone(), self.summary.last_position);
        let folded = ctx.data_unchecked::<Loaders>().folds().load_one(key).await?;
        folded.ok_or_else(|| self.without_entries())
    }

    fn without_entries(&self) -> ClientError {
        let message = format!("stream {} is listed and has no entries", self.summary.stream);
        ClientError::hidden(&std::io::Error::other(message))
    }

    async fn views<T: From<ViewSource>>(&self, ctx: &Context<'_>, kind: Kind) -> Result<Vec<T>> {
        let folded = match &self.source {
            Source::Page(page) => page.with_views(&self.summary.stream).await?,
            _ => self.folded(ctx).await?,
        };
        let rows = folded.views().iter().filter(|row| row.kind == kind);
        let sources = rows.map(|row| ViewSource::of(row.clone(), Some((self.clone(), folded.clone()))));
        Ok(sources.map(T::from).collect())
    }
}

/// A problem and what was done about it, from the signal to the check of the effect: everything that was recorded under one
/// RemediationRequest, made into one story.
#[Object(name = "Remediation")]
impl RemediationNode {
    /// A name for this object among all of this server: hand it to `node` to get the object again.
    pub async fn id(&self) -> ID {
        GlobalId::Remediation(self.summary.stream.clone()).encode()
    }

    /// The name of its RemediationRequest, such as `rr-7d1f0c9ab3e2-4be09c11`. Unique within its cluster.
    async fn remediation_id(&self) -> &str {
        &self.summary.stream.remediation_id
    }

    /// The cluster that it happened in, such as `eu-prod-1`.
    async fn cluster_id(&self) -> &str {
        &self.summary.stream.cluster_id
    }

    /// The address at which people find it in a browser.
    async fn url(&self, ctx: &Context<'_>) -> String {
        url(ctx, &self.summary.stream)
    }

    /// Where it stands now, or as of the moment that was asked about.
    async fn phase(&self) -> RemediationPhase {
        self.summary.phase.into()
    }

    /// What came of it; null while it runs.
    async fn outcome(&self) -> Option<RemediationOutcome> {
        self.summary.outcome.map(RemediationOutcome::from)
    }

    /// Whether an assessment found that it worked; null where none was made, or none could tell.
    async fn effective(&self) -> Option<bool> {
        self.summary.effective
    }

    /// The latest assessment's score, 0 to 1; null where none was made.
    async fn effectiveness_score(&self) -> Option<f64> {
        self.summary.effectiveness
    }

    /// What said that something is wrong: an alert or an event of the cluster.
    async fn signal(&self) -> Option<SignalFields> {
        self.summary.signal.clone().map(SignalFields)
    }

    /// The environment, such as `production`; null where nobody has said.
    async fn environment(&self) -> Option<&str> {
        self.summary.environment.as_deref()
    }

    /// How bad the signal is; null where nobody has said.
    async fn severity(&self) -> Option<Severity> {
        self.summary.severity.as_deref().and_then(enums::parse)
    }

    /// The resource that it is about; null where nobody has said.
    async fn target(&self) -> Option<Target> {
        self.summary.target.clone().map(Target::from)
    }

    /// The cause that the analysis found; null where it found none.
    async fn root_cause(&self) -> Option<RootCause> {
        let cause = self.summary.root_cause.clone()?;
        Some(RootCause {
            node: self.clone(),
            event_id: cause.event_id,
            summary: cause.summary,
            confidence: cause.confidence,
        })
    }

    /// The actions that were chosen or carried out, such as `RestartPod`, in their order, each once.
    async fn action_types(&self) -> &[String] {
        &self.summary.action_types
    }

    /// The workflows that were chosen or run, in their order, each once.
    async fn workflow_names(&self) -> &[String] {
        &self.summary.workflow_names
    }

    /// When it began: the time of its earliest fact.
    async fn started_at(&self) -> DateTime {
        self.summary.started_at.into()
    }

    /// When it ended; null while it runs.
    async fn completed_at(&self) -> Option<DateTime> {
        self.summary.completed_at.map(DateTime)
    }

    /// When nothing more is to be expected: completed, and assessed or its validity window over. May lie ahead.
    async fn settled_at(&self) -> Option<DateTime> {
        self.summary.settled_at.map(DateTime)
    }

    /// How long it took, or has taken so far, in milliseconds.
    async fn duration_ms(&self) -> f64 {
        self.summary.duration_ms
    }

    /// The part of its duration that no phase covers, in milliseconds.
    async fn unaccounted_ms(&self) -> f64 {
        self.summary.unaccounted_ms
    }

    /// Where its time went: the phases that took place, in the order of the work.
    async fn phases(&self) -> Vec<Phase> {
        self.summary.phases.iter().cloned().map(Phase).collect()
    }

    /// The phase that took longest before its end; planned stabilisation does not count. Null where no phase took time.
    async fn bottleneck(&self) -> Option<Phase> {
        self.summary.bottleneck_phase().cloned().map(Phase)
    }

    /// What people, or a policy, were asked and said; the latest last.
    async fn approvals(&self) -> Vec<Approval> {
        let approvals = self.summary.approvals.iter().cloned();
        approvals.map(|approval| Approval { node: self.clone(), approval }).collect()
    }

    /// How complete its trail is: what is missing, what came late, and what does not fit together.
    async fn completeness(&self) -> Completeness {
        Completeness { node: self.clone() }
    }

    /// What happened, fact by fact, for people to read.
    #[graphql(complexity = "paging::cost(first, last, child_complexity)")]
    #[allow(clippy::too_many_arguments)] // Relay's four, and three of our own
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning, 1 to 100; 20 when neither `first` nor `last` is given.")]
        first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor, such as the last page's `endCursor`. Goes with `first`.")]
        after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor, such as the page's `startCursor`. Goes with `last`.")] before: Option<
            String,
        >,
        #[graphql(desc = "Only what these services tell; of all when left out.")] kinds: Option<Vec<AuditKind>>,
        #[graphql(desc = "Only entries that tell a decision.", default)] decision_points_only: bool,
        #[graphql(
            desc = "By the facts' own times, or in the order in which they became known.",
            default_with = "TimelineOrder::Occurred"
        )]
        order: TimelineOrder,
    ) -> Result<List<TimelineEntry>> {
        let page = Page::new(first, after, last, before)?;
        let folded = self.folded(ctx).await?;
        let kinds: Option<Vec<Kind>> = kinds.map(|kinds| kinds.into_iter().map(Kind::from).collect());
        TimelineEntry::page(&page, folded, kinds.as_deref(), decision_points_only, order)
    }

    /// Its events, in the order in which they were recorded.
    #[graphql(complexity = "paging::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning, 1 to 100; 20 when neither `first` nor `last` is given.")]
        first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor, such as the last page's `endCursor`. Goes with `first`.")]
        after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor, such as the page's `startCursor`. Goes with `last`.")] before: Option<
            String,
        >,
    ) -> Result<List<AuditEvent>> {
        let page = Page::new(first, after, last, before)?;
        if !page_wanted(ctx) {
            return Ok(List::only_counted(Totals::Known(self.summary.events as i64)));
        }
        match &self.source {
            Source::Read(read) => events_in_memory(&page, &read.entries),
            Source::Page(read) => events_in_memory(&page, &read.entries(&self.summary.stream).await?.entries),
            Source::Whole(_) | Source::Loader(_) => events_in_memory(&page, &self.folded(ctx).await?.entries),
        }
    }

    /// What the orchestrator says of it; null where it has said nothing.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn orchestration(&self, ctx: &Context<'_>) -> Result<Option<OrchestrationView>> {
        Ok(self.views(ctx, Kind::Orchestration).await?.into_iter().next())
    }

    /// What signal processing says of it; null where it has said nothing.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn signal_processing(&self, ctx: &Context<'_>) -> Result<Option<SignalProcessingView>> {
        Ok(self.views(ctx, Kind::SignalProcessing).await?.into_iter().next())
    }

    /// Its AI analyses: mostly one, several where it was analysed again.
    #[graphql(complexity = "paging::times(2, child_complexity)")]
    async fn ai_analyses(&self, ctx: &Context<'_>) -> Result<All<AiAnalysisView>> {
        self.views(ctx, Kind::AiAnalysis).await.map(All)
    }

    /// Its workflow executions: several where it was tried again.
    #[graphql(complexity = "paging::times(2, child_complexity)")]
    async fn workflow_executions(&self, ctx: &Context<'_>) -> Result<All<WorkflowExecutionView>> {
        self.views(ctx, Kind::WorkflowExecution).await.map(All)
    }

    /// Its notifications: whom it told, and whether that arrived.
    #[graphql(complexity = "paging::times(5, child_complexity)")]
    async fn notifications(&self, ctx: &Context<'_>) -> Result<All<NotificationView>> {
        self.views(ctx, Kind::Notification).await.map(All)
    }

    /// Its effectiveness assessments: whether it worked.
    #[graphql(complexity = "paging::times(2, child_complexity)")]
    async fn effectiveness(&self, ctx: &Context<'_>) -> Result<All<EffectivenessView>> {
        self.views(ctx, Kind::Effectiveness).await.map(All)
    }

    /// Remediations like it, and what came of them: what worked last time.
    #[graphql(complexity = "paging::cost(first, None, child_complexity).saturating_add(100)")]
    async fn similar(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many to show, 1 to 50; 5 when left out. `totals` counts all that are alike.",
            default_with = "Some(5)"
        )]
        first: Option<i32>,
    ) -> Result<Option<SimilarRemediations>> {
        let first = bounded(first, SIMILAR_MAX)?;
        similar_to(ctx, &self.summary.stream, &Filter::default(), None, first).await
    }

    /// Its report, from all that is recorded by now. Takes long: ask for it of one remediation at a time.
    #[graphql(complexity = "child_complexity.saturating_add(1_000)")]
    async fn report(&self, ctx: &Context<'_>) -> Result<Option<ReportNode>> {
        super::report::of(ctx, &self.summary.stream, None).await
    }

    /// The last entry that is folded in here, to hand back as `at` or `atLeast`.
    async fn watermark(&self, ctx: &Context<'_>) -> Watermark {
        Watermark::at(app(ctx).journal.id(), self.summary.last_position)
    }
}

/// Remediations that are shown together: what lies beneath them is read for all of them at once.
pub struct RemediationNodes(Arc<PageFolds>);

impl RemediationNodes {
    /// Each stream may be among them several times, as of the same position.
    pub fn together<'s>(ctx: &Context<'_>, summaries: impl Iterator<Item = &'s Summary>) -> RemediationNodes {
        let streams: BTreeMap<_, _> =
            summaries.map(|summary| (summary.stream.clone(), summary.last_position)).collect();
        RemediationNodes(Arc::new(PageFolds::new(app(ctx).journal.reader().clone(), streams.into_iter().collect())))
    }

    pub fn node(&self, summary: Summary) -> RemediationNode {
        RemediationNode { summary: Arc::new(summary), source: Source::Page(self.0.clone()) }
    }
}

/// A page of remediations from the projection.
pub fn remediations_page(
    ctx: &Context<'_>,
    page: &Page<crate::projection::remediations::Place>,
    rows: Vec<crate::projection::remediations::Row>,
    totals: Totals,
) -> List<RemediationNode> {
    let nodes = RemediationNodes::together(ctx, rows.iter().take(page.limit).map(|row| &row.summary));
    page.list(rows, totals, |row| (row.place, nodes.node(row.summary)))
}

/// Where people find a remediation.
pub fn url(ctx: &Context<'_>, stream: &StreamId) -> String {
    format!("{}{}", app(ctx).faces.public_url, crate::http::remediation_path(stream))
}
