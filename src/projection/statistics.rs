//! What came of the remediations that match a filter, counted by up to two dimensions and by time: one row for each
//! combination. The definitions are those of `remediation::outcomes`; here the database counts.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{
    pinned::{self, Pin, PinError, matching_at},
    remediations::{Filter, matching},
};
use crate::{audit::Position, remediation::outcomes};

/// Most dimensions that are counted by at once.
pub const DIMENSIONS_MAX: usize = 2;
/// Most rows of one answer.
pub const ROWS_MAX: usize = 1_000;
/// The key of remediations that have no value in a dimension; the statements below spell it out.
pub const NONE: &str = "(none)";

/// What remediations are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    Signal,
    ActionType,
    Workflow,
    Environment,
    Cluster,
    Namespace,
    Severity,
    Outcome,
    Bottleneck,
    Model,
    Approver,
}

/// A stretch of time that remediations are counted by, in UTC; a week begins on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    Hour,
    Day,
    Week,
    Month,
}

/// What to count.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// At most `DIMENSIONS_MAX`, each once.
    pub group_by: Vec<Dimension>,
    pub bucket: Option<Bucket>,
    pub filter: Filter,
    /// As of this position; the projection has to have come there.
    pub at: Option<Position>,
}

/// What came of the remediations of one combination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// One for each dimension asked for, in their order.
    pub keys: Vec<String>,
    pub bucket_start: Option<DateTime<Utc>>,
    pub count: i64,
    pub ended: i64,
    pub verified: i64,
    pub successes: i64,
    pub success_rate: Option<f64>,
    pub success_rate_low: Option<f64>,
    /// Durations are of those that have ended.
    pub median_duration_ms: Option<f64>,
    pub p90_duration_ms: Option<f64>,
    pub mean_effectiveness: Option<f64>,
    pub mean_confidence: Option<f64>,
    pub approvals: Approvals,
}

/// What became of approvals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Approvals {
    pub count: i64,
    pub pending: i64,
    pub granted: i64,
    pub rejected: i64,
    pub expired: i64,
    pub auto_approved: i64,
    pub median_wait_ms: Option<f64>,
}

impl Approvals {
    /// Whether people granted every approval that they were asked for and that is decided; `None` where none is.
    pub fn always_granted(&self) -> Option<bool> {
        let decided = self.granted + self.rejected + self.expired;
        (decided > 0).then_some(decided == self.granted)
    }
}

/// The question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum StatisticsError {
    #[error(
        "the answer has more than {ROWS_MAX} rows; narrow it by `filter`, group by less, or take a longer `bucket`"
    )]
    TooManyRows,
    #[error(transparent)]
    Pin(#[from] PinError),
}

impl From<sqlx::Error> for StatisticsError {
    fn from(failure: sqlx::Error) -> StatisticsError {
        StatisticsError::Pin(failure.into())
    }
}

/// Counts, the earliest bucket first, and within it the most frequent. Without dimensions and bucket it is one row, even
/// of nothing.
pub async fn count(db: &PgPool, question: &Question) -> Result<Vec<Row>, StatisticsError> {
    let mut tx = pinned::begin(db).await?;
    let pin = Pin::to(&mut tx, question.at).await?;
    let dimension = |place: usize| question.group_by.get(place).map(|dimension| dimension.word());
    // The keys of a remediation in each dimension: several where it has several values, one even where it has none. Means
    // are taken of whole billionths: a sum of floating-point numbers would depend on the order of the rows.
    macro_rules! counted {
        ($($number:literal $key:literal),+) => {
            matching_at!(
                query_as,
                [Found,],
                &question.filter,
                &pin,
                [", keyed AS ("],
                ["SELECT " + $("coalesce(" + $key + ".value, CASE " + $number + "::text
                        WHEN 'SIGNAL' THEN r.signal_name
                        WHEN 'ENVIRONMENT' THEN r.environment
                        WHEN 'CLUSTER' THEN r.cluster_id
                        WHEN 'NAMESPACE' THEN r.target_namespace
                        WHEN 'SEVERITY' THEN upper(r.severity)
                        WHEN 'OUTCOME' THEN r.outcome
                        WHEN 'BOTTLENECK' THEN r.bottleneck
                        WHEN 'MODEL' THEN r.model
                    END, '(none)') AS " + $key + ", " +)+
                "date_trunc($38::text, r.started_at, 'UTC') AS bucket_start, r.outcome IS NOT NULL AS ended,
                    r.outcome = 'REMEDIATED' AND r.effective IS NOT FALSE AS success, r.effective,
                    (r.effectiveness * 1e9)::bigint AS effectiveness, (r.confidence * 1e9)::bigint AS confidence,
                    r.duration_ms, r.decisions, r.approval_deciders, r.approval_waits
                FROM"],
                // The condition on the parameter alone spares those that have one value the look into a list.
                [$("LEFT JOIN LATERAL unnest(CASE " + $number + "
                        WHEN 'ACTION_TYPE' THEN r.action_types
                        WHEN 'WORKFLOW' THEN r.workflow_names
                        WHEN 'APPROVER' THEN r.approvers
                    END) AS " + $key + "(value) ON " + $number + " IN ('ACTION_TYPE', 'WORKFLOW', 'APPROVER') " +)+ ""],
                ["), counted AS (
                    SELECT one, two, bucket_start, count(*) AS count, count(*) FILTER (WHERE ended) AS ended,
                        count(effective) AS verified, count(*) FILTER (WHERE success) AS successes,
                        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE ended)
                            AS durations,
                        avg(effectiveness)::float8 / 1e9 AS mean_effectiveness,
                        avg(confidence)::float8 / 1e9 AS mean_confidence
                    FROM keyed GROUP BY one, two, bucket_start
                ), asked AS (
                    SELECT one, two, bucket_start, count(*) AS count,
                        count(*) FILTER (WHERE a.decision = 'pending') AS pending,
                        count(*) FILTER (WHERE a.decision = 'approved') AS granted,
                        count(*) FILTER (WHERE a.decision = 'rejected') AS rejected,
                        count(*) FILTER (WHERE a.decision = 'expired') AS expired,
                        count(*) FILTER (WHERE a.decision = 'auto_approved') AS auto_approved,
                        percentile_cont(0.5) WITHIN GROUP (ORDER BY a.wait_ms) AS median_wait_ms
                    FROM keyed
                    CROSS JOIN LATERAL unnest(decisions, approval_deciders, approval_waits)
                        AS a(decision, decider, wait_ms)
                    WHERE decisions <> '{}'" + $(" AND (" + $number + " IS DISTINCT FROM 'APPROVER'
                        OR coalesce(a.decider, '(none)') = " + $key + ")" +)+ "
                    GROUP BY one, two, bucket_start
                )
                SELECT c.one AS \"one!\", c.two AS \"two!\", c.bucket_start, c.count AS \"count!\", c.ended AS \"ended!\",
                    c.verified AS \"verified!\", c.successes AS \"successes!\", c.durations[1] AS median_duration_ms,
                    c.durations[2] AS p90_duration_ms, c.mean_effectiveness, c.mean_confidence,
                    coalesce(a.count, 0) AS \"asked!\", coalesce(a.pending, 0) AS \"pending!\",
                    coalesce(a.granted, 0) AS \"granted!\", coalesce(a.rejected, 0) AS \"rejected!\",
                    coalesce(a.expired, 0) AS \"expired!\", coalesce(a.auto_approved, 0) AS \"auto_approved!\",
                    a.median_wait_ms
                FROM counted c
                LEFT JOIN asked a ON a.one = c.one AND a.two = c.two
                    AND a.bucket_start IS NOT DISTINCT FROM c.bucket_start
                ORDER BY c.bucket_start, c.count DESC, c.one COLLATE \"C\", c.two COLLATE \"C\"
                LIMIT $39"],
                dimension(0),
                dimension(1),
                question.bucket.map(Bucket::word),
                ROWS_MAX as i64 + 1
            )
        };
    }
    let found = counted!("$36" "one", "$37" "two").fetch_all(&mut *tx).await?;
    if found.len() > ROWS_MAX {
        return Err(StatisticsError::TooManyRows);
    }
    let mut rows: Vec<Row> = found.into_iter().map(|found| found.row(question.group_by.len())).collect();
    if rows.is_empty() && question.group_by.is_empty() && question.bucket.is_none() {
        rows.push(Row::default());
    }
    Ok(rows)
}

struct Found {
    one: String,
    two: String,
    bucket_start: Option<DateTime<Utc>>,
    count: i64,
    ended: i64,
    verified: i64,
    successes: i64,
    median_duration_ms: Option<f64>,
    p90_duration_ms: Option<f64>,
    mean_effectiveness: Option<f64>,
    mean_confidence: Option<f64>,
    asked: i64,
    pending: i64,
    granted: i64,
    rejected: i64,
    expired: i64,
    auto_approved: i64,
    median_wait_ms: Option<f64>,
}

impl Found {
    fn row(self, dimensions: usize) -> Row {
        let mut keys = vec![self.one, self.two];
        keys.truncate(dimensions);
        Row {
            keys,
            bucket_start: self.bucket_start,
            count: self.count,
            ended: self.ended,
            verified: self.verified,
            successes: self.successes,
            success_rate: outcomes::rate(self.successes as usize, self.ended as usize),
            success_rate_low: outcomes::wilson_low(self.successes as usize, self.ended as usize),
            median_duration_ms: self.median_duration_ms,
            p90_duration_ms: self.p90_duration_ms,
            mean_effectiveness: self.mean_effectiveness,
            mean_confidence: self.mean_confidence,
            approvals: Approvals {
                count: self.asked,
                pending: self.pending,
                granted: self.granted,
                rejected: self.rejected,
                expired: self.expired,
                auto_approved: self.auto_approved,
                median_wait_ms: self.median_wait_ms,
            },
        }
    }
}

impl Dimension {
    fn word(self) -> &'static str {
        match self {
            Dimension::Signal => "SIGNAL",
            Dimension::ActionType => "ACTION_TYPE",
            Dimension::Workflow => "WORKFLOW",
            Dimension::Environment => "ENVIRONMENT",
            Dimension::Cluster => "CLUSTER",
            Dimension::Namespace => "NAMESPACE",
            Dimension::Severity => "SEVERITY",
            Dimension::Outcome => "OUTCOME",
            Dimension::Bottleneck => "BOTTLENECK",
            Dimension::Model => "MODEL",
            Dimension::Approver => "APPROVER",
        }
    }
}

impl Bucket {
    fn word(self) -> &'static str {
        match self {
            Bucket::Hour => "hour",
            Bucket::Day => "day",
            Bucket::Week => "week",
            Bucket::Month => "month",
        }
    }
}
