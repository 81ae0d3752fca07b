//! Projections give way to a burst of appends: a list may be late for a while, an acknowledgement may not.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::worker::{Progress, Shutdown};

/// How long a projection rests before a step while writers wait for each other.
const REST: Duration = Duration::from_millis(250);
/// It gives way no longer once it has not caught up for this long: a burst without end must not make lists old without end.
const PATIENCE: Duration = Duration::from_secs(10);

/// When one projection lets appends go first.
pub struct GivingWay<Busy> {
    busy: Busy,
    patience: Duration,
    /// When it last knew of next to nothing that it had not taken.
    caught_up: Mutex<Instant>,
}

impl<Busy: Fn() -> bool> GivingWay<Busy> {
    pub fn new(busy: Busy) -> GivingWay<Busy> {
        GivingWay { busy, patience: PATIENCE, caught_up: Mutex::new(Instant::now()) }
    }

    /// Rests for a while if that is the time for it.
    pub async fn rest(&self, mut shutdown: Shutdown) {
        if self.due() {
            tokio::select! {
                () = tokio::time::sleep(REST) => {}
                () = shutdown.wait() => {}
            }
        }
    }

    /// Takes note of a step.
    pub fn moved(&self, progress: Progress) {
        if progress != Progress::Moved {
            *self.caught_up() = Instant::now();
        }
    }

    fn due(&self) -> bool {
        (self.busy)() && self.caught_up().elapsed() < self.patience
    }

    fn caught_up(&self) -> MutexGuard<'_, Instant> {
        self.caught_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn it_gives_way_while_writers_wait_for_each_other_and_only_for_so_long() {
        let busy = AtomicBool::new(false);
        let mut projection = GivingWay::new(|| busy.load(Ordering::Relaxed));
        assert!(!projection.due(), "nobody waits");

        busy.store(true, Ordering::Relaxed);
        assert!(projection.due());

        projection.patience = Duration::from_secs(60);
        *projection.caught_up() = Instant::now() - Duration::from_secs(61);
        projection.moved(Progress::Moved);
        assert!(!projection.due(), "it has been behind for too long");

        projection.moved(Progress::CaughtUp);
        assert!(projection.due());
    }
}
