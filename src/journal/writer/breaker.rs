//! The breaker before the database: open, it refuses at once what could only wait in vain.
//!
//! It opens after one batch that could not be appended through no fault of its own, and closes when a probe of the writer's
//! has come through; no caller's request serves as a probe.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::trouble::Trouble;
use crate::clock;

/// The pause before the first probe. A database that was started again takes about a second.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause: so long may go by after the database is back before anybody notices.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A breaker that opens again within this time goes on with the pauses where they were: a disk that is full takes a probe,
/// which stores nothing, and refuses the next batch.
const CALM: Duration = Duration::from_secs(10);

/// Why nothing is appended now.
#[derive(Clone, Copy, Debug)]
pub struct Away {
    pub trouble: Trouble,
    pub since: DateTime<Utc>,
    /// When it is looked at again.
    again_at: Instant,
}

impl Away {
    /// When trying again is worth it: shortly after the next probe.
    pub fn retry_after(&self) -> Duration {
        self.again_at.saturating_duration_since(Instant::now()) + PAUSE_MIN
    }
}

/// Its state, for all who want to know. A clone is the same breaker.
#[derive(Clone, Debug, Default)]
pub struct Breaker(Arc<Mutex<Option<Away>>>);

impl Breaker {
    /// Why nothing is appended now; `None` while it is closed.
    pub fn away(&self) -> Option<Away> {
        *self.lock()
    }

    /// Opens, or stays open and tells what the last probe found; the next one is due after `pause`.
    pub fn open(&self, trouble: Trouble, pause: Duration) -> Away {
        let mut state = self.lock();
        let since = state.map_or_else(clock::now, |away| away.since);
        *state.insert(Away { trouble, since, again_at: Instant::now() + pause })
    }

    pub fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Away>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pauses between probes.
#[derive(Debug, Default)]
pub struct Pauses {
    next: Duration,
    closed_at: Option<Instant>,
}

impl Pauses {
    /// The breaker has opened.
    pub fn begin(&mut self) {
        if self.closed_at.is_none_or(|closed_at| closed_at.elapsed() > CALM) {
            self.next = PAUSE_MIN;
        }
    }

    /// Doubles from the least to the most; half of it is chance, so that replicas do not probe all at once.
    pub fn next(&mut self) -> Duration {
        let most = self.next.clamp(PAUSE_MIN, PAUSE_MAX);
        self.next = most * 2;
        let (_, random) = Uuid::new_v4().as_u64_pair();
        most.mul_f64(0.5 + f64::from(random as u32) / f64::from(u32::MAX) / 2.0)
    }

    pub fn end(&mut self) {
        self.closed_at = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_begin_anew_only_after_a_calm() {
        let mut pauses = Pauses::default();
        pauses.begin();
        for most in [250, 500, 1_000, 2_000, 2_000] {
            let pause = pauses.next().as_millis();
            assert!((most / 2..=most).contains(&pause), "{most}: {pause}");
        }
        pauses.end();
        pauses.begin();
        assert!(pauses.next() >= PAUSE_MAX / 2, "it has flapped");
        pauses.closed_at = Instant::now().checked_sub(CALM * 2);
        pauses.begin();
        assert!(pauses.next() <= PAUSE_MIN);
    }

    #[test]
    fn an_open_breaker_says_why_and_when_it_is_looked_at_again() {
        let breaker = Breaker::default();
        assert!(breaker.away().is_none());
        let opened = breaker.open(Trouble::Refusing, Duration::ZERO);
        breaker.open(Trouble::Restarting, Duration::from_secs(2));
        let away = breaker.clone().away().unwrap();
        assert_eq!(away.since, opened.since);
        assert_eq!(away.trouble, Trouble::Restarting);
        assert!((1_500..=2_250).contains(&away.retry_after().as_millis()), "{:?}", away.retry_after());
        breaker.close();
        assert!(breaker.away().is_none());
    }
}
