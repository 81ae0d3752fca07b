//! The Remediation Analysis Report and the report of a period: from evidence that is handed in, by rules and not by a
//! model, to a structured report, to Markdown, to a page of HTML. Pure, but for `gather`, which reads the evidence.

mod case;
mod cite;
mod gather;
pub mod html;
pub mod markdown;
pub mod model;
pub mod period;
mod picture;
pub mod rules;
mod sections;
#[cfg(test)]
mod tests;
mod words;

use uuid::Uuid;

use crate::{
    audit::{Entry, Position},
    remediation::model::{Remediation, Summary},
    search::similar::SimilarSet,
};

use case::Case;
pub use gather::{of_period, of_remediation};
use model::{Figures, Provenance, Report};
pub use rules::RULES_VERSION;

/// What a report is made of. Everything in it was recorded up to `at`.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Of the remediation, in order of version.
    pub entries: Vec<Entry>,
    /// Folded from them.
    pub remediation: Remediation,
    pub similar: SimilarSet,
    /// Remediations of the same target that began before this one, the latest first.
    pub earlier: Vec<Summary>,
    /// Events of other remediations: for each of `similar.nearest` the event that it was found by, and for each of
    /// `earlier` the one that tells its end. Of a remediation without an event here the report says nothing, for it could
    /// not be cited.
    pub others: Vec<Entry>,
    pub at: Position,
    pub journal_id: Uuid,
    /// The opaque text of `journal_id` and `at`.
    pub watermark: String,
}

/// Assembles the report.
///
/// Every statement cites at least one event of the evidence. The same evidence gives the same report.
pub fn assemble(evidence: &Evidence) -> Report {
    let case = Case::of(evidence);
    let summary = &evidence.remediation.summary;
    let recommendations = rules::apply(&case);
    let mut report = Report {
        remediation_id: summary.stream.remediation_id.clone(),
        cluster_id: summary.stream.cluster_id.clone(),
        summary: model::Summary { headline: sections::headline(&case), business_impact: case.impact.clone() },
        figures: figures(&case),
        sections: sections::all(&case, &recommendations),
        recommendations,
        phases: sections::phases::measured(&case),
        timeline: sections::timeline::moments(&case),
        evidence: Vec::new(),
        completeness: summary.completeness.clone(),
        provenance: provenance(&case),
    };
    report.evidence = case.cite.evidence(&report, evidence);
    report
}

fn figures(case: &Case<'_>) -> Figures {
    let summary = case.summary;
    Figures {
        phase: summary.phase,
        outcome: summary.outcome,
        effective: summary.effective,
        effectiveness: summary.effectiveness,
        environment: summary.environment.as_deref().map(words::name),
        severity: summary.severity.as_deref().map(words::name),
        signal: case.signal(),
        target: summary.target.as_ref().map(words::target),
        action: case.action().map(words::name),
        started_at: summary.started_at,
        completed_at: summary.completed_at,
        duration_ms: summary.duration_ms,
        unaccounted_ms: summary.unaccounted_ms,
        approval_wait_ms: case.approval_wait(),
        decision_quality: sections::analysis::quality(case).map(|judged| judged.quality),
    }
}

fn provenance(case: &Case<'_>) -> Provenance {
    let evidence = case.evidence;
    Provenance {
        watermark: evidence.watermark.clone(),
        journal_id: evidence.journal_id,
        events: case.cite.own.len(),
        other_events: case.cite.others.len(),
        evidence_digest: case.cite.digest(),
        altered: case.cite.altered(),
        rules_version: RULES_VERSION,
        embedding_model: evidence.similar.model.clone(),
        complete: evidence.similar.complete,
    }
}
