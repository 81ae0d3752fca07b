//! What came of several remediations together: counts, rates, durations and scores, in all and by action.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::model::{RemediationOutcome, Summary};
use crate::audit::words::plain;

/// What came of some remediations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    pub count: usize,
    /// Those that have ended; rates and durations are of these.
    pub ended: usize,
    /// Those that an assessment has judged.
    pub verified: usize,
    /// Remediated, and not found ineffective.
    pub successes: usize,
    /// `successes` of `ended`, 0 to 1; `None` where none has ended.
    pub success_rate: Option<f64>,
    /// The lower end of what the rate may be (Wilson's 95 % interval): one of one is not 100 %.
    pub success_rate_low: Option<f64>,
    pub median_duration_ms: Option<f64>,
    /// Of those that an assessment gave a score, 0 to 1.
    pub mean_effectiveness: Option<f64>,
    /// When the latest of them ended.
    pub last_ended_at: Option<DateTime<Utc>>,
    /// By what came of them, the most frequent first.
    pub by_outcome: Vec<(RemediationOutcome, usize)>,
    /// By the action that was chosen last, the most promising first.
    pub by_action: Vec<ActionOutcomes>,
}

/// What came of one action.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionOutcomes {
    pub action_type: String,
    pub count: usize,
    pub ended: usize,
    pub verified: usize,
    pub successes: usize,
    pub success_rate: Option<f64>,
    pub success_rate_low: Option<f64>,
    pub median_duration_ms: Option<f64>,
    pub mean_effectiveness: Option<f64>,
    pub last_ended_at: Option<DateTime<Utc>>,
}

impl Outcomes {
    pub fn of<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> Outcomes {
        let (mut all, mut actions) = (Tally::default(), BTreeMap::<String, (&str, Tally)>::new());
        let mut outcomes = BTreeMap::<RemediationOutcome, usize>::new();
        for summary in summaries {
            all.add(summary);
            if let Some(action) = summary.action_types.last() {
                // Writers spell one action in several ways; the first spelling is shown.
                actions.entry(plain(action)).or_insert((action, Tally::default())).1.add(summary);
            }
            if let Some(outcome) = summary.outcome {
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
        let mut by_outcome: Vec<_> = outcomes.into_iter().collect();
        by_outcome.sort_by_key(|(outcome, count)| (std::cmp::Reverse(*count), *outcome));
        let mut by_action: Vec<ActionOutcomes> =
            actions.into_values().map(|(action, tally)| tally.of_action(action)).collect();
        // Actions are in order of name: so equal ones keep it.
        by_action.sort_by(|a, b| {
            b.success_rate_low.unwrap_or(0.0).total_cmp(&a.success_rate_low.unwrap_or(0.0)).then(b.count.cmp(&a.count))
        });
        Outcomes {
            count: all.count,
            ended: all.ended,
            verified: all.verified,
            successes: all.successes,
            success_rate: rate(all.successes, all.ended),
            success_rate_low: wilson_low(all.successes, all.ended),
            mean_effectiveness: mean(&all.scores),
            median_duration_ms: quantile(&mut all.durations, 0.5),
            last_ended_at: all.last_ended_at,
            by_outcome,
            by_action,
        }
    }
}

/// Whether a remediation did what it was for: remediated, and no assessment found otherwise.
pub fn success(summary: &Summary) -> bool {
    summary.outcome == Some(RemediationOutcome::Remediated) && summary.effective != Some(false)
}

/// The lower end of Wilson's 95 % interval for `successes` of `of`, 0 to 1 (E. B. Wilson, 1927).
pub fn wilson_low(successes: usize, of: usize) -> Option<f64> {
    const Z: f64 = 1.959_963_985;
    let share = rate(successes, of)?;
    if successes == 0 {
        return Some(0.0); // by the formula too, but for the rounding
    }
    let of = of as f64;
    let centre = share + Z * Z / (2.0 * of);
    let spread = Z * ((share * (1.0 - share) + Z * Z / (4.0 * of)) / of).sqrt();
    Some(((centre - spread) / (1.0 + Z * Z / of)).max(0.0))
}

/// The value below which `share` of the values lie, between neighbours in proportion; `None` of none. Sorts them.
pub fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let place = share * values.len().checked_sub(1)? as f64;
    let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

/// `successes` of `of`, 0 to 1; `None` of none.
pub fn rate(successes: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| successes as f64 / of as f64)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[derive(Default)]
struct Tally {
    count: usize,
    ended: usize,
    verified: usize,
    successes: usize,
    durations: Vec<f64>,
    scores: Vec<f64>,
    last_ended_at: Option<DateTime<Utc>>,
}

impl Tally {
    fn add(&mut self, summary: &Summary) {
        self.count += 1;
        self.verified += usize::from(summary.effective.is_some());
        self.scores.extend(summary.effectiveness);
        if summary.outcome.is_some() {
            self.ended += 1;
            self.successes += usize::from(success(summary));
            self.durations.push(summary.duration_ms);
            self.last_ended_at = self.last_ended_at.max(summary.completed_at);
        }
    }

    fn of_action(mut self, action_type: &str) -> ActionOutcomes {
        ActionOutcomes {
            action_type: action_type.to_string(),
            count: self.count,
            ended: self.ended,
            verified: self.verified,
            successes: self.successes,
            success_rate: rate(self.successes, self.ended),
            success_rate_low: wilson_low(self.successes, self.ended),
            median_duration_ms: quantile(&mut self.durations, 0.5),
            mean_effectiveness: mean(&self.scores),
            last_ended_at: self.last_ended_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_one_is_not_everything() {
        assert_eq!(wilson_low(0, 0), None);
        assert!((wilson_low(1, 1).unwrap() - 0.2065).abs() < 1e-3);
        assert!((wilson_low(14, 15).unwrap() - 0.7018).abs() < 1e-3);
        assert!(wilson_low(0, 9).unwrap().abs() < 1e-9);
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(quantile(&mut [], 0.5), None);
        assert_eq!(quantile(&mut [3.0], 0.9), Some(3.0));
        assert_eq!(quantile(&mut [4.0, 1.0, 2.0, 3.0], 0.5), Some(2.5));
    }
}
