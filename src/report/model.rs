//! What a report is: sections of cited statements, the evidence they cite, recommendations, and the figures that
//! pictures are drawn from. Its JSON has the names and words of GraphQL.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use uuid::Uuid;

use crate::{
    audit::{Kind, PhaseName, RemediationOutcome, RemediationPhase},
    remediation::model::Completeness,
};

/// The Remediation Analysis Report of one remediation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub remediation_id: String,
    pub cluster_id: String,
    pub summary: Summary,
    pub figures: Figures,
    /// In the order in which they are read.
    pub sections: Vec<Section>,
    /// The most urgent first.
    pub recommendations: Vec<Recommendation>,
    /// In the order of `PhaseName`.
    pub phases: Vec<Phase>,
    /// In the order of the facts' own times.
    pub timeline: Vec<Moment>,
    /// Everything that is cited, and nothing else.
    pub evidence: Vec<EvidenceItem>,
    #[serde(serialize_with = "completeness")]
    pub completeness: Completeness,
    pub provenance: Provenance,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub headline: String,
    pub business_impact: BusinessImpact,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BusinessImpact {
    /// A word of `audit::words::PRIORITY`.
    pub priority: Option<String>,
    /// As signal processing tells it, such as `15m`.
    pub sla: Option<String>,
    /// The same in milliseconds, where it can be read.
    pub sla_ms: Option<f64>,
    /// `None` while it is not known: nothing was asked for, it still runs in time, or the problem was not solved.
    pub sla_breached: Option<bool>,
}

/// What stands at the head of a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    pub phase: RemediationPhase,
    pub outcome: Option<RemediationOutcome>,
    pub effective: Option<bool>,
    /// 0 to 1.
    pub effectiveness: Option<f64>,
    pub environment: Option<String>,
    pub severity: Option<String>,
    pub signal: Option<String>,
    pub target: Option<String>,
    pub action: Option<String>,
    pub started_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
    pub duration_ms: f64,
    pub unaccounted_ms: f64,
    pub approval_wait_ms: Option<f64>,
    pub decision_quality: Option<Quality>,
}

/// How good a decision of the analysis was, by the rule that the report states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Quality {
    High,
    Medium,
    Low,
}

/// How much a recommendation matters; the most urgent is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Priority {
    High,
    Medium,
    Low,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// In kebab case, such as `executive-summary`.
    pub id: &'static str,
    pub title: &'static str,
    pub statements: Vec<Statement>,
    pub tables: Vec<Table>,
}

/// A sentence or two, and the references of the evidence that they rest on; at least one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    pub text: String,
    pub cites: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    pub caption: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    pub name: &'static str,
    /// A figure: set to the right.
    pub figure: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub cells: Vec<String>,
    /// A decision point, the bottleneck, a failure: what the eye should fall on.
    pub marked: bool,
    pub cites: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// The name of the rule that fired.
    pub rule: &'static str,
    pub priority: Priority,
    /// Computed from figures of the evidence; `None` where they do not say.
    pub expected_impact: Option<String>,
    pub text: String,
    pub cites: Vec<String>,
}

/// A phase, measured from the remediation's start.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    pub name: PhaseName,
    pub offset_ms: f64,
    pub duration_ms: f64,
    /// Of the remediation's duration; `None` for what came after its end.
    pub share: Option<f64>,
    pub bottleneck: bool,
    pub open: bool,
    pub intervals: Vec<Interval>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interval {
    pub offset_ms: f64,
    pub duration_ms: f64,
    /// An approval wait or planned stabilisation.
    pub waiting: bool,
}

/// One fact of the timeline, measured from the remediation's start.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    pub at: DateTime<Utc>,
    pub offset_ms: f64,
    pub duration_ms: Option<f64>,
    pub service: Kind,
    pub phase: Option<PhaseName>,
    pub title: String,
    pub detail: Option<String>,
    /// Decision points are numbered from 1.
    pub decision: Option<usize>,
    pub recorded_late_by_ms: Option<f64>,
    pub cite: String,
}

/// An event that the report cites.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceItem {
    /// `E` and the version for an event of this remediation, `S` and a number for one of another.
    #[serde(rename = "ref")]
    pub reference: String,
    pub event_id: Uuid,
    pub remediation_id: String,
    pub cluster_id: String,
    pub service: Kind,
    pub event_type: String,
    /// When it occurred.
    pub at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
    pub text: String,
}

/// What the report was made from, so that it can be made again and checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// Everything in the report was recorded up to here.
    pub watermark: String,
    pub journal_id: Uuid,
    /// How many events of this remediation were read.
    pub events: usize,
    /// How many events of other remediations were read.
    pub other_events: usize,
    /// SHA-256 of the digests of all these events, in order: this remediation's by version, then the others as `S1`, `S2`.
    pub evidence_digest: String,
    /// The references of events whose digest is not that of what the journal holds.
    pub altered: Vec<String>,
    pub rules_version: &'static str,
    pub embedding_model: Option<String>,
    /// Whether everything recorded up to the watermark could be compared: only then do the same words come out again.
    pub complete: bool,
}

/// The fold's completeness in the spelling of GraphQL.
fn completeness<S: Serializer>(completeness: &Completeness, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Late {
        event_id: Uuid,
        by_ms: f64,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Contradiction<'a> {
        what: &'a str,
        event_ids: &'a [Uuid],
    }
    let late = completeness.late.iter().map(|late| Late { event_id: late.event_id, by_ms: late.by_ms });
    let contradictions = completeness.contradictions.iter();
    let contradictions = contradictions.map(|found| Contradiction { what: &found.what, event_ids: &found.event_ids });
    let mut shown = serializer.serialize_struct("Completeness", 4)?;
    shown.serialize_field("score", &completeness.score)?;
    shown.serialize_field("missing", &completeness.missing)?;
    shown.serialize_field("late", &late.collect::<Vec<_>>())?;
    shown.serialize_field("contradictions", &contradictions.collect::<Vec<_>>())?;
    shown.end()
}

impl Report {
    /// Everything that is said, with what it cites.
    pub fn said(&self) -> impl Iterator<Item = (&str, &[String])> {
        let statements = self.sections.iter().flat_map(|section| {
            let rows = section.tables.iter().flat_map(|table| &table.rows);
            let rows = rows.map(|row| (row.cells.first().map_or("", String::as_str), row.cites.as_slice()));
            section.statements.iter().map(|said| (said.text.as_str(), said.cites.as_slice())).chain(rows)
        });
        statements.chain(self.recommendations.iter().map(|said| (said.text.as_str(), said.cites.as_slice())))
    }
}
