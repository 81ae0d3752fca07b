//! What came of several remediations together, as GraphQL shows it.

use async_graphql::{Object, SimpleObject};

use super::{enums::RemediationOutcome, scalars::DateTime};
use crate::remediation::outcomes;

#[derive(Clone)]
pub struct Outcomes(pub outcomes::Outcomes);

/// How many remediations came to an outcome.
#[derive(SimpleObject, Clone)]
pub struct OutcomeCount {
    /// What came of these remediations.
    outcome: RemediationOutcome,
    /// How many remediations came to it.
    count: i32,
}

#[derive(Clone)]
pub struct ActionOutcomes(pub outcomes::ActionOutcomes);

/// What came of some remediations together.
#[Object]
impl Outcomes {
    /// How many remediations there are.
    async fn count(&self) -> i32 {
        number(self.0.count)
    }

    /// How many have ended; rates and durations are of these.
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

    /// The median of how long they took, in milliseconds; null where none has ended.
    async fn median_duration_ms(&self) -> Option<f64> {
        self.0.median_duration_ms
    }

    /// The mean of their assessments' scores, 0 to 1; null where none was assessed.
    async fn mean_effectiveness(&self) -> Option<f64> {
        self.0.mean_effectiveness
    }

    /// When the latest of them ended; null where none has.
    async fn last_ended_at(&self) -> Option<DateTime> {
        self.0.last_ended_at.map(DateTime)
    }

    /// By what came of them, the most frequent first.
    #[graphql(complexity = "super::paging::times(5, child_complexity)")]
    async fn by_outcome(&self) -> Vec<OutcomeCount> {
        let counts = self.0.by_outcome.iter();
        counts.map(|(outcome, count)| OutcomeCount { outcome: (*outcome).into(), count: number(*count) }).collect()
    }

    /// By the action that was chosen last, the most promising first: by `successRateLow`.
    #[graphql(complexity = "super::paging::times(5, child_complexity)")]
    async fn by_action(&self) -> Vec<ActionOutcomes> {
        self.0.by_action.iter().cloned().map(ActionOutcomes).collect()
    }
}

/// What came of the remediations that chose an action.
#[Object]
impl ActionOutcomes {
    /// The action, such as `RestartPod`.
    async fn action_type(&self) -> &str {
        &self.0.action_type
    }

    /// How many remediations chose it.
    async fn count(&self) -> i32 {
        number(self.0.count)
    }

    /// How many of them have ended; rates and durations are of these.
    async fn ended(&self) -> i32 {
        number(self.0.ended)
    }

    /// How many of them an assessment has judged.
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

    /// The median of how long they took, in milliseconds; null where none has ended.
    async fn median_duration_ms(&self) -> Option<f64> {
        self.0.median_duration_ms
    }

    /// The mean of their assessments' scores, 0 to 1; null where none was assessed.
    async fn mean_effectiveness(&self) -> Option<f64> {
        self.0.mean_effectiveness
    }

    /// When the latest of them ended; null where none has.
    async fn last_ended_at(&self) -> Option<DateTime> {
        self.0.last_ended_at.map(DateTime)
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
