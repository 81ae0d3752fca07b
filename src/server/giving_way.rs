//! Projections give way to a burst of appends: a list may be late for a while, an acknowledgement may not.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::worker::{Progress, Shutdown};

/// How often a projection looks whether writers still wait for each other.
const REST: Duration = Duration::from_millis(100);
/// It gives way no longer once it has not caught up for this long: a burst without end must not make lists old without end.
const PATIENCE: Duration = Duration::from_secs(10);

/// When one projection lets appends go first.
pub struct GivingWay<Busy> {
    busy: Busy,
    /// Somebody waits for the projection: a reader does not give way.
    hurries: watch::Receiver<()>,
    patience: Duration,
    /// When it last knew of next to nothing that it had not taken.
    caught_up: Mutex<Instant>,
}

impl<Busy: Fn() -> bool> GivingWay<Busy> {
    pub fn new(busy: Busy, hurries: watch::Receiver<()>) -> GivingWay<Busy> {
        GivingWay { busy, hurries, patience: PATIENCE, caught_up: Mutex::new(Instant::now()) }
    }

    /// Rests until the burst is over, for as long as there is patience.
    pub async fn rest(&self, mut shutdown: Shutdown) {
        let mut hurries = self.hurries.clone();
        hurries.mark_unchanged();
        while self.due() {
            tokio::select! {
                () = tokio::time::sleep(REST) => {}
                _ = hurries.changed() => return, // who waits calls again and again
                () = shutdown.wait() => return,
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
    use crate::worker::{Stop, Wake};

    #[tokio::test]
    async fn a_reader_who_waits_ends_the_rest() {
        let (wake, (_stop, shutdown)) = (Wake::new(), Stop::new());
        let projection = GivingWay::new(|| true, wake.ear());
        let reader = tokio::spawn(async move {
            loop {
                wake.call();
                tokio::task::yield_now().await;
            }
        });
        tokio::time::timeout(PATIENCE / 2, projection.rest(shutdown)).await.expect("it rests although somebody waits");
        reader.abort();
    }

    #[test]
    fn it_gives_way_while_writers_wait_for_each_other_and_only_for_so_long() {
        let busy = AtomicBool::new(false);
        let mut projection = GivingWay::new(|| busy.load(Ordering::Relaxed), Wake::new().ear());
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
