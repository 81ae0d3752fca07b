//! The Remediation Analysis Report.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, SimpleObject};

use super::{
    Result, app,
    filters::RemediationFilter,
    loaders::Loaders,
    parts::Completeness,
    period_report::PeriodReport,
    readable,
    remediation::RemediationNode,
    scalars::{DateTime, Uuid, Watermark},
};
use crate::{
    audit::{Position, StreamId},
    remediation::Folded,
    report::{self, model},
};

#[derive(Default)]
pub struct Reports;

#[Object]
impl Reports {
    /// The report of a remediation: what happened, why, who decided, what it cost, what was like it and what follows. Made by
    /// rules from the evidence, and every statement cites it. Null when nothing of the remediation is recorded.
    #[graphql(complexity = "child_complexity.saturating_add(REPORT_COST)")]
    async fn report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The remediation's name, such as `rr-7d1f0c9ab3e2-4be09c11`.")] remediation_id: String,
        #[graphql(
            desc = "The cluster, such as `eu-prod-1`. May be left out where only one knows the name; else the error names them."
        )]
        cluster_id: Option<String>,
        #[graphql(desc = "From what had been recorded up to this place in the journal: the same for ever.")] at: Option<
            Watermark,
        >,
        #[graphql(desc = "Not older than this place in the journal. A report never is, so this changes nothing.")]
        at_least: Option<Watermark>,
    ) -> Result<Option<ReportNode>> {
        readable(ctx)?;
        if let Some(at_least) = at_least {
            app(ctx).reached(at_least).await?;
        }
        match app(ctx).stream(remediation_id, cluster_id).await? {
            Some(stream) => of(ctx, &stream, at).await,
            None => Ok(None),
        }
    }

    /// What came of the remediations that began in a period, by action and environment; what was slow, what got worse, and
    /// what could be automated.
    #[graphql(complexity = "child_complexity.saturating_add(REPORT_COST)")]
    async fn period_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The period's beginning: remediations that began from this time on.")] from: DateTime,
        #[graphql(desc = "The period's end: remediations that began before this time.")] to: DateTime,
        #[graphql(desc = "Of which remediations; of all when left out.")] filter: Option<RemediationFilter>,
        #[graphql(desc = "From what had been recorded up to this place in the journal: the same for ever.")] at: Option<
            Watermark,
        >,
    ) -> Result<PeriodReport> {
        readable(ctx)?;
        let filter = RemediationFilter::to_projection(filter);
        Ok(PeriodReport(report::of_period(app(ctx), (from.0, to.0), &filter, at).await?))
    }
}

/// What a report costs besides its fields: it reads whole streams and compares vectors.
const REPORT_COST: usize = 1_000;

/// The report of a remediation.
pub async fn of(ctx: &Context<'_>, stream: &StreamId, at: Option<Watermark>) -> Result<Option<ReportNode>> {
    let report = report::of_remediation(app(ctx), stream, at).await?;
    Ok(report.map(|report| ReportNode(Arc::new(report))))
}

/// The report of a remediation. Everything in it was recorded up to `provenance.watermark`.
#[derive(Clone)]
pub struct ReportNode(Arc<model::Report>);

/// The report of a remediation: what happened, why, who decided, what it cost, what was like it and what follows. Everything
/// in it was recorded up to `provenance.watermark`, and every statement cites its evidence.
#[Object(name = "RemediationAnalysisReport")]
impl ReportNode {
    /// The remediation, as it stood when everything up to the report's watermark was recorded.
    async fn remediation(&self, ctx: &Context<'_>) -> Result<Option<RemediationNode>> {
        Ok(self.folded(ctx).await?.map(RemediationNode::whole))
    }

    /// The report in short: one sentence, and what it meant for the business.
    async fn summary(&self) -> ReportSummary {
        let impact = &self.0.summary.business_impact;
        ReportSummary {
            headline: self.0.summary.headline.clone(),
            business_impact: BusinessImpact {
                priority: impact.priority.clone(),
                sla: impact.sla.clone(),
                sla_ms: impact.sla_ms,
                sla_breached: impact.sla_breached,
            },
        }
    }

    /// The sections, in the order in which they are read.
    async fn sections(&self) -> Vec<ReportSection> {
        self.0.sections.iter().map(ReportSection::of).collect()
    }

    /// What should follow, the most urgent first.
    async fn recommendations(&self) -> Vec<Recommendation> {
        self.0.recommendations.iter().map(Recommendation::of).collect()
    }

    /// Everything that is cited, and nothing else.
    async fn evidence(&self) -> Vec<EvidenceItem> {
        self.0.evidence.iter().map(EvidenceItem::of).collect()
    }

    /// How complete the trail is that it rests on.
    async fn completeness(&self, ctx: &Context<'_>) -> Result<Option<Completeness>> {
        Ok(self.folded(ctx).await?.map(|folded| Completeness { node: RemediationNode::whole(folded) }))
    }

    /// What it was made from, so that it can be made again and checked.
    async fn provenance(&self) -> Provenance {
        Provenance::of(&self.0.provenance)
    }

    /// The report as Markdown.
    async fn markdown(&self) -> String {
        report::markdown::report(&self.0)
    }

    /// The report as a page that stands alone: no script, and nothing is loaded from elsewhere.
    async fn html(&self, ctx: &Context<'_>) -> String {
        let stream = self.stream();
        report::html::report(&self.0, Some(&super::remediation::url(ctx, &stream)))
    }
}

impl ReportNode {
    fn stream(&self) -> StreamId {
        StreamId { cluster_id: self.0.cluster_id.clone(), remediation_id: self.0.remediation_id.clone() }
    }

    /// The remediation as of the report's watermark.
    async fn folded(&self, ctx: &Context<'_>) -> Result<Option<Arc<Folded>>> {
        let watermark = Watermark::decode(&self.0.provenance.watermark);
        let up_to = watermark.map_or(Position(i64::MAX), |watermark| watermark.position);
        ctx.data_unchecked::<Loaders>().folds().load_one((self.stream(), up_to)).await
    }
}

/// A report in short.
#[derive(SimpleObject)]
pub struct ReportSummary {
    /// What happened, in one sentence.
    headline: String,
    /// What it meant for the business.
    business_impact: BusinessImpact,
}

/// What a remediation meant for the business.
#[derive(SimpleObject)]
pub struct BusinessImpact {
    /// The priority that signal processing gave it, such as `P1`.
    priority: Option<String>,
    /// How soon it was to be solved, as signal processing says, such as `15m`.
    sla: Option<String>,
    /// `sla` in milliseconds; null where it cannot be read.
    sla_ms: Option<f64>,
    /// Whether it took longer than `sla`; null while that is not known, or where the problem was not solved.
    sla_breached: Option<bool>,
}

/// A section of a report.
#[derive(SimpleObject)]
pub struct ReportSection {
    /// The section's name for programs, such as `executive-summary`.
    id: String,
    /// The section's name for people, such as `Executive summary`.
    title: String,
    /// What the section says, sentence by sentence.
    statements: Vec<Statement>,
    /// The section's tables.
    tables: Vec<ReportTable>,
}

impl ReportSection {
    pub fn of(section: &model::Section) -> ReportSection {
        ReportSection {
            id: section.id.to_string(),
            title: section.title.to_string(),
            statements: section.statements.iter().map(Statement::of).collect(),
            tables: section.tables.iter().map(ReportTable::of).collect(),
        }
    }
}

/// What a report says, in a sentence or two, and what that rests on.
#[derive(SimpleObject)]
pub struct Statement {
    /// The sentence.
    text: String,
    /// What it rests on: references of the report's evidence. Only where a period holds nothing there is nothing to cite.
    cites: Vec<String>,
}

impl Statement {
    fn of(statement: &model::Statement) -> Statement {
        Statement { text: statement.text.clone(), cites: statement.cites.clone() }
    }
}

/// A table of a report.
#[derive(SimpleObject)]
pub struct ReportTable {
    /// What the table shows.
    caption: String,
    /// The names of the columns.
    columns: Vec<String>,
    /// The rows, in the order in which they are read.
    rows: Vec<ReportRow>,
}

impl ReportTable {
    fn of(table: &model::Table) -> ReportTable {
        let rows = table.rows.iter().map(|row| ReportRow {
            cells: row.cells.clone(),
            marked: row.marked,
            cites: row.cites.clone(),
        });
        ReportTable {
            caption: table.caption.clone(),
            columns: table.columns.iter().map(|column| column.name.to_string()).collect(),
            rows: rows.collect(),
        }
    }
}

/// A row of a table.
#[derive(SimpleObject)]
pub struct ReportRow {
    /// The texts of the row, one for each column.
    cells: Vec<String>,
    /// Whether the eye should fall on it: a decision, the bottleneck, a failure.
    marked: bool,
    /// What it rests on: references of the report's evidence.
    cites: Vec<String>,
}

/// How much a recommendation matters.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "model::Priority")]
pub enum RecommendationPriority {
    /// Do it now.
    High,
    /// Do it soon.
    Medium,
    /// Do it when there is time.
    Low,
}

/// What follows from a remediation.
#[derive(SimpleObject)]
#[graphql(name = "ReportRecommendation")]
pub struct Recommendation {
    /// The name of the rule that says so, such as `approval-bottleneck`.
    rule: String,
    /// How much it matters.
    priority: RecommendationPriority,
    /// What it would bring, computed from the evidence; null where no figure says.
    expected_impact: Option<String>,
    /// What to do, and why.
    text: String,
    /// What it rests on: references of the report's evidence.
    cites: Vec<String>,
}

impl Recommendation {
    fn of(recommendation: &model::Recommendation) -> Recommendation {
        Recommendation {
            rule: recommendation.rule.to_string(),
            priority: recommendation.priority.into(),
            expected_impact: recommendation.expected_impact.clone(),
            text: recommendation.text.clone(),
            cites: recommendation.cites.clone(),
        }
    }
}

/// An event that a report cites.
#[derive(SimpleObject)]
pub struct EvidenceItem {
    /// `E` and the version for an event of this remediation, `S` and a number for one of another.
    #[graphql(name = "ref")]
    reference: String,
    /// The event's id, for `event` and `eventsById`.
    event_id: Uuid,
    /// The remediation that the event belongs to.
    remediation_id: String,
    /// That remediation's cluster.
    cluster_id: String,
    /// What sort of event it is, in dotted words.
    event_type: String,
    /// When it happened, by the writer's clock.
    at: DateTime,
    /// When it was recorded, by the database's clock.
    recorded_at: DateTime,
    /// What the event says, in short.
    text: String,
}

impl EvidenceItem {
    fn of(item: &model::EvidenceItem) -> EvidenceItem {
        EvidenceItem {
            reference: item.reference.clone(),
            event_id: Uuid(item.event_id),
            remediation_id: item.remediation_id.clone(),
            cluster_id: item.cluster_id.clone(),
            event_type: item.event_type.clone(),
            at: item.at.into(),
            recorded_at: item.recorded_at.into(),
            text: item.text.clone(),
        }
    }
}

/// What a report was made from, so that it can be made again and checked.
#[derive(SimpleObject)]
pub struct Provenance {
    /// Everything in the report was recorded up to here; asked for again with this as `at`, it is the same.
    watermark: String,
    /// How many events of the remediation were read.
    events: i32,
    /// How many events of other remediations were read.
    other_events: i32,
    /// SHA-256 of the digests of all these events, in order.
    evidence_digest: String,
    /// References of events whose digest no longer is that of what the journal holds; there should be none.
    altered: Vec<String>,
    /// The version of the rules that made it.
    rules_version: String,
    /// The model that found what is alike; null where that was found by the signal only.
    embedding_model: Option<String>,
    /// Whether everything was embedded: then the same `at` and versions give the same bytes.
    complete: bool,
}

impl Provenance {
    fn of(provenance: &model::Provenance) -> Provenance {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        Provenance {
            watermark: provenance.watermark.clone(),
            events: number(provenance.events),
            other_events: number(provenance.other_events),
            evidence_digest: provenance.evidence_digest.clone(),
            altered: provenance.altered.clone(),
            rules_version: provenance.rules_version.to_string(),
            embedding_model: provenance.embedding_model.clone(),
            complete: provenance.complete,
        }
    }
}
