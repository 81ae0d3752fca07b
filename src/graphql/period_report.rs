//! The report of a period.

use async_graphql::{Context, Object, SimpleObject};

use super::{report::ReportSection, scalars::DateTime};
use crate::{audit::StreamId, report::period};

/// The report of a period.
pub struct PeriodReport(pub period::PeriodReport);

/// What came of the remediations that began in a period: by action and environment, what was slow, what got worse, and what
/// could be automated.
#[Object]
impl PeriodReport {
    /// The beginning of the period.
    async fn from(&self) -> DateTime {
        self.0.from.into()
    }

    /// The end of the period, which is no part of it.
    async fn to(&self) -> DateTime {
        self.0.to.into()
    }

    /// What happened, in one sentence.
    async fn headline(&self) -> &str {
        &self.0.headline
    }

    /// What came of the remediations that began in the period.
    async fn totals(&self) -> PeriodTotals {
        PeriodTotals::of(&self.0.totals)
    }

    /// What came of those that began in the equally long time before.
    async fn before(&self) -> PeriodTotals {
        PeriodTotals::of(&self.0.before)
    }

    /// The sections, in the order in which they are read. What they cite are references of `remediations`.
    async fn sections(&self) -> Vec<ReportSection> {
        self.0.sections.iter().map(ReportSection::of).collect()
    }

    /// Everything that is cited, and nothing else.
    async fn remediations(&self) -> Vec<PeriodRemediation> {
        self.0.remediations.iter().map(PeriodRemediation::of).collect()
    }

    /// Whether there were more remediations than could be read; then the figures are of the latest of them.
    async fn truncated(&self) -> bool {
        self.0.truncated
    }

    /// Everything in the report was recorded up to here; asked for again with this as `at`, it is the same.
    async fn watermark(&self) -> &str {
        &self.0.watermark
    }

    /// The report as Markdown.
    async fn markdown(&self) -> String {
        period::markdown(&self.0)
    }

    /// The report as a page that stands alone.
    async fn html(&self, ctx: &Context<'_>) -> String {
        period::html(&self.0, |remediation_id, cluster_id| {
            let (remediation_id, cluster_id) = (remediation_id.to_string(), cluster_id.to_string());
            Some(super::remediation::url(ctx, &StreamId { cluster_id, remediation_id }))
        })
    }
}

/// What came of the remediations of a period.
#[derive(SimpleObject)]
pub struct PeriodTotals {
    /// How many remediations there were.
    count: i32,
    /// How many have ended; rates and durations are of these.
    ended: i32,
    /// How many an assessment has judged.
    verified: i32,
    /// How many were remediated and not found ineffective.
    successes: i32,
    /// The share of successes among those that have ended, 0 to 1; null where none has.
    success_rate: Option<f64>,
    /// The lower end of what that rate may really be (Wilson's 95 % interval).
    success_rate_low: Option<f64>,
    /// The median of how long they took, in milliseconds; null where none has ended.
    median_duration_ms: Option<f64>,
    /// The mean of their assessments' scores, 0 to 1; null where none was assessed.
    mean_effectiveness: Option<f64>,
    /// The sum of all waits for approval, in milliseconds.
    approval_wait_ms: f64,
}

impl PeriodTotals {
    fn of(totals: &period::Totals) -> PeriodTotals {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        PeriodTotals {
            count: number(totals.count),
            ended: number(totals.ended),
            verified: number(totals.verified),
            successes: number(totals.successes),
            success_rate: totals.success_rate,
            success_rate_low: totals.success_rate_low,
            median_duration_ms: totals.median_duration_ms,
            mean_effectiveness: totals.mean_effectiveness,
            approval_wait_ms: totals.approval_wait_ms,
        }
    }
}

/// A remediation that the report of a period names.
#[derive(SimpleObject)]
pub struct PeriodRemediation {
    /// `R` and a number for one of the period, `B` for one of the time before.
    #[graphql(name = "ref")]
    reference: String,
    /// The remediation's name.
    remediation_id: String,
    /// The remediation's cluster.
    cluster_id: String,
    /// When the remediation began.
    started_at: DateTime,
    /// What the remediation was, in short.
    text: String,
}

impl PeriodRemediation {
    fn of(cited: &period::Cited) -> PeriodRemediation {
        PeriodRemediation {
            reference: cited.reference.clone(),
            remediation_id: cited.remediation_id.clone(),
            cluster_id: cited.cluster_id.clone(),
            started_at: cited.started_at.into(),
            text: cited.text.clone(),
        }
    }
}
