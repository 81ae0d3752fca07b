//! The circuit breaker of one endpoint: after failures in a row it is left alone for a while, then asked once.

use std::time::{Duration, Instant};

/// Failures in a row that open a breaker.
pub const FAILURES_MAX: u32 = 5;
/// How long an open breaker lets nothing through. Short: what waits is on disk, and a server that is back should hear of it soon.
pub const OPEN_FOR: Duration = Duration::from_secs(2);

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing, until a while has passed.
    Open,
    /// One request, whose outcome decides.
    HalfOpen,
}

/// Counts the failures of one endpoint. The time comes as an argument.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    /// Until when nothing goes through; an endpoint can ask for it by `Retry-After`.
    closed_from: Option<Instant>,
}

impl Breaker {
    pub fn state(&self, now: Instant) -> State {
        match self.closed_from {
            Some(until) if now < until => State::Open,
            Some(_) if self.failures >= FAILURES_MAX => State::HalfOpen,
            _ => State::Closed,
        }
    }

    /// How long until a request may go through.
    pub fn wait(&self, now: Instant) -> Duration {
        self.closed_from.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// The endpoint answered as it should.
    pub fn succeeded(&mut self) {
        *self = Breaker::default();
    }

    /// It did not; it may have said for how long it wants to be left alone.
    /// `pause_max` bounds how long it lets nothing through by itself.
    pub fn failed(&mut self, now: Instant, retry_after: Option<Duration>, pause_max: Duration) {
        self.failures = self.failures.saturating_add(1);
        let own = (self.failures >= FAILURES_MAX).then_some(OPEN_FOR.min(pause_max));
        if let Some(pause) = own.max(retry_after) {
            self.closed_from = Some(now + pause);
        }
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn failures_in_a_row_open_it_one_try_decides_and_a_success_closes_it() {
        let (mut breaker, begun) = (Breaker::default(), Instant::now());
        for _ in 1..FAILURES_MAX {
            breaker.failed(begun, None, LONG);
            assert_eq!((breaker.state(begun), breaker.wait(begun)), (State::Closed, Duration::ZERO));
        }
        breaker.failed(begun, None, LONG);
        assert_eq!((breaker.state(begun), breaker.wait(begun)), (State::Open, OPEN_FOR));
        let later = begun + OPEN_FOR;
        assert_eq!((breaker.state(later), breaker.wait(later)), (State::HalfOpen, Duration::ZERO));
        breaker.failed(later, None, LONG);
        assert_eq!(breaker.state(later), State::Open);
        breaker.succeeded();
        assert_eq!((breaker.state(later), breaker.failures()), (State::Closed, 0));
    }

    #[test]
    fn an_endpoint_that_asks_to_be_left_alone_is_left_alone_at_once() {
        let (mut breaker, begun) = (Breaker::default(), Instant::now());
        breaker.failed(begun, Some(Duration::from_secs(7)), LONG);
        assert_eq!((breaker.state(begun), breaker.wait(begun).as_secs()), (State::Open, 7));
        assert_eq!(breaker.state(begun + Duration::from_secs(7)), State::Closed);
    }
}
