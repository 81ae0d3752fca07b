//! What is seen of one variant in one turn.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Times of calls are kept to three figures, up to this.
const CALL_MAX: Duration = Duration::from_secs(120);

/// How long calls took, in microseconds.
#[derive(Clone, Debug)]
pub struct Calls(Histogram<u64>);

impl Calls {
    pub fn new() -> Calls {
        // The bounds are constants that the histogram takes.
        Calls(Histogram::new_with_bounds(1, CALL_MAX.as_micros() as u64, 3).expect("the bounds are in order"))
    }

    pub fn took(&mut self, time: Duration) {
        self.0.saturating_record(time.as_micros() as u64);
    }

    pub fn add(&mut self, others: &Calls) {
        self.0.add(&others.0).expect("both have the same bounds");
    }

    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// The time that so many per cent of the calls stayed within, in milliseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        self.0.value_at_percentile(percent) as f64 / 1e3
    }
}

impl Default for Calls {
    fn default() -> Calls {
        Calls::new()
    }
}

/// What a variant did in its turn.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The things done, as the scenario counts them: a call may do many.
    pub n: u64,
    pub took: Duration,
    pub calls: Calls,
    /// The share of the exact answer that was found, where that is in question.
    pub recall: Option<f64>,
}

impl Sample {
    pub fn new(n: u64, took: Duration, calls: Calls) -> Sample {
        Sample { n, took, calls, recall: None }
    }

    pub fn per_second(&self) -> f64 {
        self.n as f64 / self.took.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_time_that_so_many_stayed_within() {
        let mut calls = Calls::new();
        (1..=100).for_each(|millis| calls.took(Duration::from_millis(millis)));
        let shown = [50.0, 95.0, 99.0].map(|percent| calls.percentile(percent).round());
        assert_eq!(shown, [50.0, 95.0, 99.0]);

        let mut mostly_none = Calls::new();
        (0..98).for_each(|_| mostly_none.took(Duration::ZERO));
        (0..2).for_each(|_| mostly_none.took(Duration::from_secs(1)));
        assert_eq!(mostly_none.percentile(50.0), 0.0);
        assert_eq!(mostly_none.percentile(99.0).round(), 1_000.0);
    }
}
