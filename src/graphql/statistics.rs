//! What came of remediations, counted: the query `statistics` and what it shows.

use async_graphql::{Context, Enum, Object};

use super::{
    Result, app,
    filters::RemediationFilter,
    query::caught_up,
    readable,
    scalars::{DateTime, Watermark},
};
use crate::{
    error::ClientError,
    projection::{
        Projection,
        statistics::{self, DIMENSIONS_MAX},
    },
};

/// How many rows an answer has, by experience; what its fields cost is counted so often.
const ROWS_EXPECTED: usize = 50;

/// What remediations are counted by.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "statistics::Dimension")]
pub enum Dimension {
    /// The signal's name.
    Signal,
    /// What was chosen or done. A remediation with several counts once under each.
    ActionType,
    /// The workflow that was chosen or run. A remediation with several counts once under each.
    Workflow,
    /// The environment, such as `production`.
    Environment,
    /// The cluster, such as `eu-prod-1`.
    Cluster,
    /// The target's namespace.
    Namespace,
    /// How bad the signal was, as a word of `Severity`.
    Severity,
    /// What came of it, as a word of `RemediationOutcome`.
    Outcome,
    /// The phase that took longest, as a word of `PhaseName`.
    Bottleneck,
    /// The model that analysed.
    Model,
    /// Who decided on an approval. A remediation with several counts once under each, and `approvals` are those that the
    /// approver decided.
    Approver,
}

/// How long a stretch of time is counted together, in UTC.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "statistics::Bucket")]
pub enum TimeBucket {
    /// An hour, from minute 0.
    Hour,
    /// A day, from midnight in UTC.
    Day,
    /// A week, which begins on Monday.
    Week,
    /// A month of the calendar.
    Month,
}

pub struct StatisticsRow(statistics::Row);

/// What came of the remediations that have the same keys and started in the same bucket.
#[Object]
impl StatisticsRow {
    /// One for each of `groupBy`, in its order; `(none)` where a remediation has no such value.
    async fn keys(&self) -> &[String] {
        &self.0.keys
    }

    /// When the row's stretch of time begins; null where no `bucket` was asked for.
    async fn bucket_start(&self) -> Option<DateTime> {
        self.0.bucket_start.map(DateTime)
    }

    /// How many remediations the row counts.
    async fn count(&self) -> i32 {
        number(self.0.count)
    }

    /// How many of them have ended; rates and durations are of these.
    async fn ended(&self) -> i32 {
        number(self.0.ended)
    }

    /// How many an assessment has judged.
    async fn verified(&self) -> i32 {
        number(self.0.verified)
    }

    /// How many were remediated and not found ineffective.
    async fn successes(&self) -> i32 {
        number(self.0.successes)
    }

    /// The share of successes among those that have ended, 0 to 1; null where none has.
    async fn success_rate(&self) -> Option<f64> {
        self.0.success_rate
    }

    /// The lower end of what that rate may really be (Wilson's 95 % interval): one of one is not 100 %.
    async fn success_rate_low(&self) -> Option<f64> {
        self.0.success_rate_low
    }

    /// The median of how long they took, in milliseconds.
    async fn median_duration_ms(&self) -> Option<f64> {
        self.0.median_duration_ms
    }

    /// What nine of ten took at most, in milliseconds.
    async fn p90_duration_ms(&self) -> Option<f64> {
        self.0.p90_duration_ms
    }

    /// The mean of their assessments' scores, 0 to 1.
    async fn mean_effectiveness(&self) -> Option<f64> {
        self.0.mean_effectiveness
    }

    /// The mean of how sure the model was of its analysis, 0 to 1.
    async fn mean_confidence(&self) -> Option<f64> {
        self.0.mean_confidence
    }

    /// What became of their approvals.
    async fn approvals(&self) -> ApprovalStatistics {
        ApprovalStatistics(self.0.approvals.clone())
    }
}

pub struct ApprovalStatistics(statistics::Approvals);

/// What became of approvals.
#[Object]
impl ApprovalStatistics {
    /// How many approvals there are; a remediation may have several.
    async fn count(&self) -> i32 {
        number(self.0.count)
    }

    /// How many approvals nobody has decided yet.
    async fn pending(&self) -> i32 {
        number(self.0.pending)
    }

    /// How many approvals a person granted.
    async fn granted(&self) -> i32 {
        number(self.0.granted)
    }

    /// How many approvals a person refused.
    async fn rejected(&self) -> i32 {
        number(self.0.rejected)
    }

    /// How many approvals nobody decided in time.
    async fn expired(&self) -> i32 {
        number(self.0.expired)
    }

    /// How many approvals a policy granted without a person.
    async fn auto_approved(&self) -> i32 {
        number(self.0.auto_approved)
    }

    /// The median of how long one decision was waited for, in milliseconds; null where none was made.
    async fn median_wait_ms(&self) -> Option<f64> {
        self.0.median_wait_ms
    }

    /// Whether people granted every one that they were asked for and that is over; null where there is none. Then the
    /// wait may be spared.
    async fn always_granted(&self) -> Option<bool> {
        self.0.always_granted()
    }
}

/// The query, as part of the root.
#[derive(Default)]
pub struct Statistics;

#[Object]
impl Statistics {
    /// What came of remediations, counted by up to two dimensions and by time: the earliest bucket first, then the most
    /// frequent, then by key. Without dimensions and bucket it is one row of all. At most 1,000 rows.
    #[graphql(complexity = "super::paging::times(ROWS_EXPECTED, child_complexity)")]
    async fn statistics(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to count by: up to two, each once; none counts all together.")] group_by: Vec<Dimension>,
        #[graphql(desc = "Count by when the remediations began as well, in stretches of this length.")] bucket: Option<
            TimeBucket,
        >,
        #[graphql(desc = "Which remediations; all when left out.")] filter: Option<RemediationFilter>,
        #[graphql(
            desc = "As of this place in the journal: only audits up to there count, whatever came later. Waits until the \
                    lists have come there, for 5 seconds at most."
        )]
        at: Option<Watermark>,
    ) -> Result<Vec<StatisticsRow>> {
        readable(ctx)?;
        if group_by.len() > DIMENSIONS_MAX {
            let given = group_by.len();
            let message =
                format!("`groupBy` has {given} dimensions; {DIMENSIONS_MAX} at most can be counted by at once");
            return Err(ClientError::bad_input(message));
        }
        if group_by.iter().enumerate().any(|(place, dimension)| group_by[..place].contains(dimension)) {
            return Err(ClientError::bad_input("`groupBy` names a dimension twice"));
        }
        caught_up(ctx, Projection::Remediations, at).await?;
        let question = statistics::Question {
            group_by: group_by.into_iter().map(statistics::Dimension::from).collect(),
            bucket: bucket.map(statistics::Bucket::from),
            filter: RemediationFilter::to_projection(filter),
            at: at.map(|watermark| watermark.position),
        };
        let rows = statistics::count(app(ctx).journal.reader(), &question).await?;
        Ok(rows.into_iter().map(StatisticsRow).collect())
    }
}

fn number(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
