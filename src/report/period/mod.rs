//! The report of a period: what came of the remediations that began in it, what got worse, what could run by itself, and
//! what keeps coming back.

mod patterns;
mod render;
mod statistics;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    model::{Row, Section, Statement, Table},
    words,
};
use crate::{
    audit::{Position, RemediationOutcome},
    remediation::{
        model::Summary,
        outcomes::{Outcomes, success},
    },
};

pub use render::{html, markdown};

/// Most remediations that one line names.
const NAMED_MAX: usize = 8;
/// Most remediations that one row of a table names.
const ROW_MAX: usize = 5;
/// Most spans of time that a trend is told in.
const BUCKETS_MAX: i64 = 60;
/// A trend is told by days up to this many, then by weeks, then by four weeks, and so on.
const DAYS_MAX: i64 = 31;

/// What the report of a period is made of. Everything in it was recorded up to `at`.
#[derive(Clone, Debug)]
pub struct PeriodEvidence {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// The remediations that began in [from, to).
    pub summaries: Vec<Summary>,
    /// Those that began in the equally long time before.
    pub before: Vec<Summary>,
    /// Whether there were more than could be handed in, in either.
    pub truncated: bool,
    pub at: Position,
    pub journal_id: Uuid,
    /// The opaque text of `journal_id` and `at`.
    pub watermark: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeriodReport {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub headline: String,
    pub totals: Totals,
    /// Of the equally long time before.
    pub before: Totals,
    /// In the order in which they are read. What a line cites are references of `remediations`.
    pub sections: Vec<Section>,
    pub buckets: Vec<Bucket>,
    /// Everything that is cited, and nothing else.
    pub remediations: Vec<Cited>,
    /// Whether there were more remediations than could be read.
    pub truncated: bool,
    pub watermark: String,
    pub journal_id: Uuid,
    pub rules_version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    pub count: usize,
    pub ended: usize,
    pub verified: usize,
    pub successes: usize,
    pub success_rate: Option<f64>,
    /// The lower end of what the rate may be (Wilson's 95 % interval).
    pub success_rate_low: Option<f64>,
    pub median_duration_ms: Option<f64>,
    pub mean_effectiveness: Option<f64>,
    /// The sum of all waits for approval.
    pub approval_wait_ms: f64,
}

/// What came of the remediations that began in a span of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub count: usize,
    /// In the order of `Class::ALL`.
    pub classes: Vec<usize>,
    pub success_rate: Option<f64>,
    pub median_duration_ms: Option<f64>,
}

/// A remediation that the report names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cited {
    /// `R` and a number for one of the period, `B` for one of the time before.
    #[serde(rename = "ref")]
    pub reference: String,
    pub remediation_id: String,
    pub cluster_id: String,
    pub started_at: DateTime<Utc>,
    pub text: String,
}

/// Outcomes as bars show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Success,
    Failure,
    Refused,
    Unclear,
    Running,
}

impl Class {
    pub const ALL: [Class; 5] = [Class::Success, Class::Failure, Class::Refused, Class::Unclear, Class::Running];

    pub fn of(summary: &Summary) -> Class {
        match summary.outcome {
            None => Class::Running,
            Some(RemediationOutcome::Remediated) if success(summary) => Class::Success,
            Some(RemediationOutcome::Remediated | RemediationOutcome::Failed | RemediationOutcome::TimedOut) => {
                Class::Failure
            }
            Some(RemediationOutcome::Rejected | RemediationOutcome::Expired) => Class::Refused,
            Some(_) => Class::Unclear,
        }
    }

    pub fn in_words(self) -> &'static str {
        match self {
            Class::Success => "successful",
            Class::Failure => "failed or not effective",
            Class::Refused => "approval rejected or expired",
            Class::Unclear => "nothing to do, handed over, held back or unclear",
            Class::Running => "still running",
        }
    }
}

/// Assembles the report. The same evidence gives the same report.
pub fn assemble(evidence: &PeriodEvidence) -> PeriodReport {
    let period = Period::of(evidence);
    let buckets = buckets(&period);
    let mut report = PeriodReport {
        from: evidence.from,
        to: evidence.to,
        headline: statistics::headline(&period),
        totals: totals(&period.now),
        before: totals(&period.before),
        sections: vec![
            statistics::summary(&period),
            statistics::outcomes(&period),
            statistics::trend(&period, &buckets),
            statistics::actions(&period),
            statistics::environments(&period),
            statistics::phases(&period),
            patterns::regressions(&period),
            patterns::automation(&period),
            patterns::recurring(&period),
            patterns::provenance(&period),
        ],
        buckets,
        remediations: Vec::new(),
        truncated: evidence.truncated,
        watermark: evidence.watermark.clone(),
        journal_id: evidence.journal_id,
        rules_version: super::RULES_VERSION,
    };
    report.remediations = period.cited(&report.sections);
    report
}

/// The evidence in one order: by start, ties by name.
struct Period<'a> {
    evidence: &'a PeriodEvidence,
    now: Vec<&'a Summary>,
    before: Vec<&'a Summary>,
}

impl<'a> Period<'a> {
    fn of(evidence: &'a PeriodEvidence) -> Period<'a> {
        let ordered = |summaries: &'a [Summary]| {
            let mut ordered: Vec<&Summary> = summaries.iter().collect();
            ordered.sort_by(|a, b| (a.started_at, &a.stream).cmp(&(b.started_at, &b.stream)));
            ordered
        };
        Period { evidence, now: ordered(&evidence.summaries), before: ordered(&evidence.before) }
    }

    /// The references of the first few of these, `R` or `B` and their place.
    fn refs(&self, of: &[&Summary]) -> Vec<String> {
        let reference = |summary: &&Summary| {
            let place = |all: &[&Summary]| {
                let key = (summary.started_at, &summary.stream);
                all.binary_search_by(|other| (other.started_at, &other.stream).cmp(&key)).ok()
            };
            let now = place(&self.now).map(|place| format!("R{}", place + 1));
            now.or_else(|| place(&self.before).map(|place| format!("B{}", place + 1)))
        };
        of.iter().filter_map(reference).take(NAMED_MAX).collect()
    }

    fn say(&self, text: impl Into<String>, of: &[&Summary]) -> Statement {
        let part = if of.len() > NAMED_MAX { format!(" (Naming {NAMED_MAX} of {}.)", of.len()) } else { String::new() };
        Statement { text: format!("{}{part}", text.into()), cites: self.refs(of) }
    }

    fn row(&self, cells: Vec<String>, marked: bool, of: &[&Summary]) -> Row {
        Row { cells, marked, cites: self.refs(&of[..of.len().min(ROW_MAX)]) }
    }

    fn cited(&self, sections: &[Section]) -> Vec<Cited> {
        let rows = |table: &Table| table.rows.iter().flat_map(|row| row.cites.clone()).collect::<Vec<_>>();
        let cited: BTreeSet<String> = sections
            .iter()
            .flat_map(|section| {
                let said = section.statements.iter().flat_map(|said| said.cites.clone());
                said.chain(section.tables.iter().flat_map(rows)).collect::<Vec<_>>()
            })
            .collect();
        let named = |all: &[&Summary], letter: char| -> Vec<Cited> {
            let numbered = (1..).zip(all).map(|(number, summary)| (format!("{letter}{number}"), *summary));
            let kept = numbered.filter(|(reference, _)| cited.contains(reference));
            kept.map(|(reference, summary)| self::cited(reference, summary)).collect()
        };
        [named(&self.now, 'R'), named(&self.before, 'B')].concat()
    }
}

fn cited(reference: String, summary: &Summary) -> Cited {
    let signal = signal(summary).unwrap_or_else(|| "a signal without a name".to_string());
    let target = summary.target.as_ref().map(|target| format!(" on {}", words::target(target))).unwrap_or_default();
    let action = summary.action_types.last().map(|action| format!(", {}", words::name(action))).unwrap_or_default();
    Cited {
        reference,
        remediation_id: summary.stream.remediation_id.clone(),
        cluster_id: summary.stream.cluster_id.clone(),
        started_at: summary.started_at,
        text: format!(
            "{signal}{target}{action}: {}, {}",
            words::outcome(summary),
            words::duration(summary.duration_ms)
        ),
    }
}

fn signal(summary: &Summary) -> Option<String> {
    summary.signal.as_ref()?.get("name")?.as_str().map(words::name)
}

/// The waits for approval of a remediation together.
fn approval_wait(summary: &Summary) -> f64 {
    let waits = summary.phases.iter().filter(|phase| phase.name == crate::audit::PhaseName::ApprovalWait);
    waits.map(|phase| phase.duration_ms).sum()
}

fn totals(summaries: &[&Summary]) -> Totals {
    let outcomes = Outcomes::of(summaries.iter().copied());
    Totals {
        count: outcomes.count,
        ended: outcomes.ended,
        verified: outcomes.verified,
        successes: outcomes.successes,
        success_rate: outcomes.success_rate,
        success_rate_low: outcomes.success_rate_low,
        median_duration_ms: outcomes.median_duration_ms,
        mean_effectiveness: outcomes.mean_effectiveness,
        approval_wait_ms: summaries.iter().map(|summary| approval_wait(summary)).sum(),
    }
}

/// The spans of time that a trend is told in, by the length of the period.
fn buckets(period: &Period<'_>) -> Vec<Bucket> {
    let (from, to) = (period.evidence.from, period.evidence.to);
    let days = ((to - from).num_seconds() + 86_399).div_euclid(86_400).max(1);
    let least = if days <= DAYS_MAX { 1 } else { 7 };
    // Whole multiples, so that a span is a number of weeks where days are too many.
    let length = least * (days + least * BUCKETS_MAX - 1).div_euclid(least * BUCKETS_MAX).max(1);
    let mut buckets = Vec::new();
    let mut start = from;
    while start < to && buckets.len() < BUCKETS_MAX as usize {
        let end = start.checked_add_signed(TimeDelta::days(length)).unwrap_or(to).min(to);
        let within: Vec<&Summary> =
            period.now.iter().copied().filter(|one| (start..end).contains(&one.started_at)).collect();
        let outcomes = Outcomes::of(within.iter().copied());
        let class = |class: &Class| within.iter().filter(|one| Class::of(one) == *class).count();
        buckets.push(Bucket {
            from: start,
            to: end,
            count: within.len(),
            classes: Class::ALL.iter().map(class).collect(),
            success_rate: outcomes.success_rate,
            median_duration_ms: outcomes.median_duration_ms,
        });
        start = end;
    }
    buckets
}
