//! A remediation as GraphQL shows it: the summary that lists keep, and beneath it what the fold of its stream gives.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, Object, SimpleObject};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Result, app,
    described::SignalFields,
    enums::{self, ApprovalDecision, AuditKind, PhaseName, RemediationOutcome, RemediationPhase, Severity},
    event::{AuditEvent, events_in_memory},
    filters::TimelineOrder,
    ids::GlobalId,
    loaders::{Folded, Loaders, PageFolds},
    paging::{self, List, Page, Totals},
    scalars::{DateTime, Watermark},
    timeline::{TimelineEntry, TimelineList},
    views::{
        AiAnalysisView, EffectivenessView, NotificationView, OrchestrationView, SignalProcessingView, ViewSource,
        WorkflowExecutionView,
    },
};
use crate::{
    audit::{Kind, StreamId},
    remediation::model::{self, Summary},
};

/// One remediation.
#[derive(Clone)]
pub struct RemediationNode {
    pub summary: Arc<Summary>,
    pub source: Source,
}

/// Where the fold beneath a summary comes from.
#[derive(Clone)]
pub enum Source {
    /// It is there.
    Whole(Arc<Folded>),
    /// Read for the whole page when the first remediation of it is asked for more than its summary.
    Page(Arc<PageFolds>),
    /// Read together with whatever else is asked for at this moment.
    Loader,
}

impl RemediationNode {
    pub fn whole(folded: Arc<Folded>) -> RemediationNode {
        let summary = Arc::new(folded.remediation.summary.clone());
        RemediationNode { summary, source: Source::Whole(folded) }
    }

    /// The remediation as lists show it; `None` where they have not come to it yet.
    pub async fn load(ctx: &Context<'_>, stream: &StreamId) -> Result<Option<RemediationNode>> {
        let summary = ctx.data_unchecked::<Loaders>().summaries.load_one(stream.clone()).await?;
        Ok(summary.map(|summary| RemediationNode { summary, source: Source::Loader }))
    }

    pub async fn folded(&self, ctx: &Context<'_>) -> Result<Arc<Folded>> {
        match &self.source {
            Source::Whole(folded) => Ok(folded.clone()),
            Source::Page(page) => page.get(&self.summary.stream).await,
            Source::Loader => {
                let key = (self.summary.stream.clone(), self.summary.last_position);
                let folded = ctx.data_unchecked::<Loaders>().folds.load_one(key).await?;
                folded.ok_or_else(|| {
                    crate::error::ClientError::hidden(&std::io::Error::other(format!(
                        "stream {} is listed and has no entries",
                        self.summary.stream
                    )))
                })
            }
        }
    }

    async fn views<T: From<ViewSource>>(&self, ctx: &Context<'_>, kind: Kind) -> Result<Vec<T>> {
        let folded = self.folded(ctx).await?;
        let rows = folded.remediation.views.iter().filter(|row| row.kind == kind);
        let sources = rows.map(|row| ViewSource::of(row.clone(), Some((self.clone(), folded.clone()))));
        Ok(sources.map(T::from).collect())
    }
}

#[Object(name = "Remediation")]
impl RemediationNode {
    /// The global id.
    pub async fn id(&self) -> ID {
        GlobalId::Remediation(self.summary.stream.clone()).encode()
    }

    /// Its name: that of its RemediationRequest, unique within its cluster.
    async fn remediation_id(&self) -> &str {
        &self.summary.stream.remediation_id
    }

    /// Its cluster.
    async fn cluster_id(&self) -> &str {
        &self.summary.stream.cluster_id
    }

    /// Where people find it.
    async fn url(&self, ctx: &Context<'_>) -> String {
        let stream = &self.summary.stream;
        let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (remediation, cluster) = (part(&stream.remediation_id), part(&stream.cluster_id));
        format!("{}/remediations/{remediation}?cluster={cluster}", app(ctx).faces.public_url)
    }

    /// Where it stands.
    async fn phase(&self) -> RemediationPhase {
        self.summary.phase.into()
    }

    /// What came of it; null while it runs.
    async fn outcome(&self) -> Option<RemediationOutcome> {
        self.summary.outcome.map(RemediationOutcome::from)
    }

    /// Whether an assessment found that it worked; null when none was made.
    async fn effective(&self) -> Option<bool> {
        self.summary.effective
    }

    /// The latest assessment's score, 0 to 1.
    async fn effectiveness_score(&self) -> Option<f64> {
        self.summary.effectiveness
    }

    /// What said that something is wrong.
    async fn signal(&self) -> Option<SignalFields> {
        self.summary.signal.clone().map(SignalFields)
    }

    /// The environment, such as `production`.
    async fn environment(&self) -> Option<&str> {
        self.summary.environment.as_deref()
    }

    /// How bad the signal is.
    async fn severity(&self) -> Option<Severity> {
        self.summary.severity.as_deref().and_then(enums::parse)
    }

    /// The resource that it is about.
    async fn target(&self) -> Option<Target> {
        self.summary.target.clone().map(Target::from)
    }

    /// The cause that was found.
    async fn root_cause(&self) -> Option<RootCause> {
        let cause = self.summary.root_cause.clone()?;
        Some(RootCause {
            node: self.clone(),
            event_id: cause.event_id,
            summary: cause.summary,
            confidence: cause.confidence,
        })
    }

    /// What was chosen or done, such as `RestartPod`, each once.
    async fn action_types(&self) -> &[String] {
        &self.summary.action_types
    }

    /// The workflows that were chosen or run, each once.
    async fn workflow_names(&self) -> &[String] {
        &self.summary.workflow_names
    }

    /// When it began: its earliest fact.
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

    /// The part of it that no phase covers, in milliseconds.
    async fn unaccounted_ms(&self) -> f64 {
        self.summary.unaccounted_ms
    }

    /// Where its time went.
    async fn phases(&self) -> Vec<Phase> {
        self.summary.phases.iter().cloned().map(Phase).collect()
    }

    /// The phase that took longest before its end; planned stabilisation does not count.
    async fn bottleneck(&self) -> Option<Phase> {
        self.summary.bottleneck_phase().cloned().map(Phase)
    }

    /// What people, or a policy, were asked and said.
    async fn approvals(&self) -> Vec<Approval> {
        let approvals = self.summary.approvals.iter().cloned();
        approvals.map(|approval| Approval { node: self.clone(), approval }).collect()
    }

    /// How complete its trail is.
    async fn completeness(&self) -> Completeness {
        Completeness { node: self.clone() }
    }

    /// What happened, fact by fact.
    #[graphql(complexity = "paging::cost(first, last, child_complexity)")]
    #[allow(clippy::too_many_arguments)] // Relay's four, and three of our own
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning, 1 to 100; 20 when neither `first` nor `last` is given.")]
        first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "Only of these services.")] kinds: Option<Vec<AuditKind>>,
        #[graphql(desc = "Only where something was decided.", default)] decision_points_only: bool,
        #[graphql(
            desc = "By the facts' own times, or as they became known.",
            default_with = "TimelineOrder::Occurred"
        )]
        order: TimelineOrder,
    ) -> Result<TimelineList> {
        let page = Page::new(first, after, last, before)?;
        let folded = self.folded(ctx).await?;
        let kinds: Option<Vec<Kind>> = kinds.map(|kinds| kinds.into_iter().map(Kind::from).collect());
        Ok(TimelineEntry::page(&page, folded, kinds.as_deref(), decision_points_only, order))
    }

    /// Its events, in the order of the journal.
    #[graphql(complexity = "paging::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning, 1 to 100; 20 when neither `first` nor `last` is given.")]
        first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<List<AuditEvent>> {
        let page = Page::new(first, after, last, before)?;
        Ok(events_in_memory(&page, &self.folded(ctx).await?.entries))
    }

    /// What the orchestrator says.
    #[graphql(complexity = "1 + child_complexity")]
    async fn orchestration(&self, ctx: &Context<'_>) -> Result<Option<OrchestrationView>> {
        Ok(self.views(ctx, Kind::Orchestration).await?.into_iter().next())
    }

    /// What signal processing says.
    #[graphql(complexity = "1 + child_complexity")]
    async fn signal_processing(&self, ctx: &Context<'_>) -> Result<Option<SignalProcessingView>> {
        Ok(self.views(ctx, Kind::SignalProcessing).await?.into_iter().next())
    }

    /// Its AI analyses.
    #[graphql(complexity = "1 + 2 * child_complexity")]
    async fn ai_analyses(&self, ctx: &Context<'_>) -> Result<Vec<AiAnalysisView>> {
        self.views(ctx, Kind::AiAnalysis).await
    }

    /// Its workflow executions.
    #[graphql(complexity = "1 + 2 * child_complexity")]
    async fn workflow_executions(&self, ctx: &Context<'_>) -> Result<Vec<WorkflowExecutionView>> {
        self.views(ctx, Kind::WorkflowExecution).await
    }

    /// Its notifications.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn notifications(&self, ctx: &Context<'_>) -> Result<Vec<NotificationView>> {
        self.views(ctx, Kind::Notification).await
    }

    /// Its effectiveness assessments.
    #[graphql(complexity = "1 + 2 * child_complexity")]
    async fn effectiveness(&self, ctx: &Context<'_>) -> Result<Vec<EffectivenessView>> {
        self.views(ctx, Kind::Effectiveness).await
    }

    /// The last entry that is folded in here, to hand back as `at` or `atLeast`.
    async fn watermark(&self, ctx: &Context<'_>) -> Watermark {
        Watermark { journal_id: app(ctx).journal.id(), position: self.summary.last_position }
    }
}

/// One of the events that a remediation was folded from.
async fn event_of(ctx: &Context<'_>, node: &RemediationNode, event_id: uuid::Uuid) -> Result<Option<AuditEvent>> {
    Ok(node.folded(ctx).await?.entry(event_id).map(AuditEvent))
}

/// The resource that a remediation is about.
#[derive(SimpleObject, Clone)]
pub struct Target {
    /// Its kind, such as `Deployment`.
    kind: String,
    /// Its namespace; none for cluster-wide resources.
    namespace: Option<String>,
    /// Its name.
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
    node: RemediationNode,
    #[graphql(skip)]
    event_id: uuid::Uuid,
    /// The cause in a sentence or two.
    summary: String,
    /// How sure it is, 0 to 1.
    confidence: Option<f64>,
}

#[ComplexObject]
impl RootCause {
    /// The event that tells it.
    #[graphql(complexity = "1 + child_complexity")]
    async fn event(&self, ctx: &Context<'_>) -> Result<Option<AuditEvent>> {
        event_of(ctx, &self.node, self.event_id).await
    }
}

/// A phase in which a remediation spent its time.
#[derive(Clone)]
pub struct Phase(model::Phase);

#[Object]
impl Phase {
    /// Which phase.
    async fn name(&self) -> PhaseName {
        self.0.name.into()
    }

    /// When it began.
    async fn started_at(&self) -> DateTime {
        self.0.started_at.into()
    }

    /// When it ended; null while it is open.
    async fn ended_at(&self) -> Option<DateTime> {
        self.0.ended_at.map(DateTime)
    }

    /// How long it took in all its intervals, in milliseconds.
    async fn duration_ms(&self) -> f64 {
        self.0.duration_ms
    }

    /// Its share of the remediation's duration, 0 to 1; null for what came after the end.
    async fn share(&self) -> Option<f64> {
        self.0.share
    }

    /// When it ran: more than once where something was tried again.
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
    /// When it began.
    started_at: DateTime,
    /// When it ended; null while it is open.
    ended_at: Option<DateTime>,
    /// Whether it was an approval wait or planned stabilisation.
    waiting: bool,
}

/// What was asked of a person or a policy, and what it said.
#[derive(Clone)]
pub struct Approval {
    node: RemediationNode,
    approval: model::Approval,
}

#[Object]
impl Approval {
    /// When it was asked.
    async fn requested_at(&self) -> Option<DateTime> {
        self.approval.requested_at.map(DateTime)
    }

    /// Until when a decision was needed.
    async fn required_by(&self) -> Option<DateTime> {
        self.approval.required_by.map(DateTime)
    }

    /// When it was decided; null while it is open.
    async fn decided_at(&self) -> Option<DateTime> {
        self.approval.decided_at.map(DateTime)
    }

    /// What was decided.
    async fn decision(&self) -> Option<ApprovalDecision> {
        enums::parse(&self.approval.decision)
    }

    /// Who decided.
    async fn decided_by(&self) -> Option<&str> {
        self.approval.decided_by.as_deref()
    }

    /// How the decision was given, such as `slack`.
    async fn via(&self) -> Option<&str> {
        self.approval.via.as_deref()
    }

    /// What was said.
    async fn reason(&self) -> Option<&str> {
        self.approval.reason.as_deref()
    }

    /// How long it waited, in milliseconds.
    async fn wait_ms(&self) -> Option<f64> {
        self.approval.wait_ms
    }

    /// The event that tells it.
    #[graphql(complexity = "1 + child_complexity")]
    async fn event(&self, ctx: &Context<'_>) -> Result<Option<AuditEvent>> {
        event_of(ctx, &self.node, self.approval.event_id).await
    }
}

/// How complete a remediation's trail is.
pub struct Completeness {
    node: RemediationNode,
}

#[Object]
impl Completeness {
    /// The share of what a remediation of this outcome should have, 0 to 1.
    async fn score(&self) -> f64 {
        self.node.summary.completeness.score
    }

    /// What is missing.
    async fn missing(&self) -> Vec<Missing> {
        let missing = self.node.summary.completeness.missing.iter();
        missing.map(|missing| Missing { service: missing.service.into(), what: missing.what.clone() }).collect()
    }

    /// What came later than it should have.
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
    /// What is missing.
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
    /// The audit.
    #[graphql(complexity = "1 + child_complexity")]
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
    /// What they say.
    what: String,
}

#[ComplexObject]
impl Contradiction {
    /// The audits that say so.
    #[graphql(complexity = "1 + 2 * child_complexity")]
    async fn events(&self, ctx: &Context<'_>) -> Result<Vec<AuditEvent>> {
        let mut events = Vec::new();
        for event_id in &self.event_ids {
            events.extend(event_of(ctx, &self.node, *event_id).await?);
        }
        Ok(events)
    }
}

/// A page of remediations from the projection.
pub fn remediations_page(
    ctx: &Context<'_>,
    page: &Page<crate::projection::remediations::Place>,
    rows: Vec<crate::projection::remediations::Row>,
    totals: Totals,
) -> List<RemediationNode> {
    let shown = rows.iter().take(page.limit);
    let streams = shown.map(|row| (row.summary.stream.clone(), row.summary.last_position)).collect();
    let folds = Arc::new(PageFolds::new(app(ctx).journal.reader().clone(), streams));
    page.connection(rows, totals, |row| {
        let node = RemediationNode { summary: Arc::new(row.summary), source: Source::Page(folds.clone()) };
        (row.place, node)
    })
}
