//! How much may wait: as many batches as the database has lately taken within the longest wait, and never less than one
//! beside the one that is being appended.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::audit::limits::{BATCH_BYTES_MAX, BATCH_MAX};

/// A batch that is less full than this tells how slow a round trip is, and little of how much fits into one.
const FULL_SHARE: f64 = 0.5;
/// How much the newest batch counts.
const NEWEST_SHARE: f64 = 0.3;
/// What was measured longer ago than this says nothing of now.
const MEASURE_MAX: Duration = Duration::from_secs(30);

/// How long a full batch takes. A clone is not the same: the writer has one.
#[derive(Debug, Default)]
pub struct Pressure(Mutex<Option<(Duration, Instant)>>);

impl Pressure {
    /// A batch of so much was appended in `time`.
    pub fn appended(&self, events: usize, bytes: usize, time: Duration) {
        let share = (events as f64 / BATCH_MAX as f64).max(bytes as f64 / BATCH_BYTES_MAX as f64);
        if share < FULL_SHARE {
            return;
        }
        let full = time.div_f64(share.min(1.0));
        let before = self.full();
        let full = before.map_or(full, |before| before.mul_f64(1.0 - NEWEST_SHARE) + full.mul_f64(NEWEST_SHARE));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((full, Instant::now()));
    }

    /// How many events may be there, with those of the batch that is being appended, if nobody's batch is to begin later than
    /// in `wait_max`; at most `queue_max`. Without a measure, nothing speaks against it.
    pub fn events_max(&self, wait_max: Duration, queue_max: usize) -> usize {
        let Some(full) = self.full() else { return queue_max };
        let batches = wait_max.as_secs_f64() / full.as_secs_f64().max(f64::EPSILON);
        // While one batch is appended, another one gathers: with less the database would have to wait for us.
        let events = batches.max(2.0) * BATCH_MAX as f64;
        (events as usize).min(queue_max)
    }

    fn full(&self) -> Option<Duration> {
        let measured = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured.filter(|(_, at)| at.elapsed() < MEASURE_MAX).map(|(full, _)| full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    #[test]
    fn a_slow_database_shortens_the_queue_and_a_quick_one_does_not() {
        let pressure = Pressure::default();
        assert_eq!(pressure.events_max(WAIT, 10_000), 10_000);
        pressure.appended(1, 100, Duration::from_secs(5)); // tells nothing of a full batch
        assert_eq!(pressure.events_max(WAIT, 10_000), 10_000);
        pressure.appended(1_000, 100, Duration::from_millis(500));
        assert_eq!(pressure.events_max(WAIT, 10_000), 2_000);
        for _ in 0..30 {
            pressure.appended(1_000, 100, Duration::from_millis(200));
        }
        assert_eq!(pressure.events_max(WAIT, 10_000).div_ceil(100), 50);
        for _ in 0..30 {
            pressure.appended(500, 100, Duration::from_millis(10)); // half full: a full one takes twice as long
        }
        assert_eq!(pressure.events_max(WAIT, 10_000), 10_000);
        for _ in 0..30 {
            pressure.appended(3, BATCH_BYTES_MAX, Duration::from_secs(4));
        }
        assert_eq!(pressure.events_max(WAIT, 10_000), 2_000, "while one is appended another may wait");
    }
}
