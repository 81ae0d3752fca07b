//! Projections give way to appends, in a burst and after a step that took long: a list may be late for a while, an acknowledgement
//! may not.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    journal::Journal,
    worker::{Progress, Shutdown},
};

/// How often a projection looks whether it should still give way.
const REST: Duration = Duration::from_millis(100);
/// It gives way no longer once it has not caught up for so long, while writers wait for each other: a burst without end must not
/// make lists old without end.
const BURST_PATIENCE: Duration = Duration::from_secs(10);
/// The same while none of them has to wait, but audits come quickly enough to feel the projections beside them.
const LIVELY_PATIENCE: Duration = Duration::from_secs(2);
/// So many audits a second for each processor are that quick: theirs is then about a third of the processors' time.
const LIVELY_FROM: f64 = 600.0;
/// A step that took this long or longer is followed by a rest of twice as long, a second at most: where many long remediations go
/// on at a time each step folds all of them, however little each has got, so fewer steps cost less.
const LONG_STEP: Duration = Duration::from_millis(100);
const LONG_STEP_REST_MAX: Duration = Duration::from_secs(1);

/// When one projection lets appends go first.
pub struct GivingWay<Patience> {
    /// For how long it may be late as things are.
    patience: Patience,
    /// Somebody waits for the projection: a reader does not give way. Whoever has called since the last rest ends the next one.
    hurries: Mutex<watch::Receiver<()>>,
    last: Mutex<Last>,
}

struct Last {
    /// When it last knew of next to nothing that it had not taken.
    caught_up: Instant,
    /// Until when it rests after a long step.
    rests_until: Instant,
}

impl<Patience: Fn() -> Duration> GivingWay<Patience> {
    pub fn new(patience: Patience, hurries: watch::Receiver<()>) -> GivingWay<Patience> {
        let now = Instant::now();
        GivingWay {
            patience,
            hurries: Mutex::new(hurries),
            last: Mutex::new(Last { caught_up: now, rests_until: now }),
        }
    }

    /// Rests until the burst is over, for as long as there is patience, and after a long step.
    pub async fn rest(&self, mut shutdown: Shutdown) {
        let mut hurries = self.hurries().clone();
        while self.due() {
            tokio::select! {
                biased;
                _ = hurries.changed() => break,
                () = shutdown.wait() => break,
                () = tokio::time::sleep(REST) => {}
            }
        }
        self.hurries().mark_unchanged(); // the step looks after this
    }

    /// Takes note of a step, and how long it took. Who is far behind does not rest.
    pub fn moved(&self, progress: Progress, took: Duration) {
        if progress == Progress::Moved {
            return;
        }
        let mut last = self.last();
        last.caught_up = Instant::now();
        if took >= LONG_STEP {
            last.rests_until = last.caught_up + (2 * took).min(LONG_STEP_REST_MAX);
        }
    }

    fn due(&self) -> bool {
        let patience = (self.patience)(); // asked each time, since it measures how quickly audits come
        let last = self.last();
        last.caught_up.elapsed() < patience || Instant::now() < last.rests_until
    }

    fn hurries(&self) -> MutexGuard<'_, watch::Receiver<()>> {
        self.hurries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How lively the appends of this process are.
pub struct Liveliness {
    journal: Journal,
    flow: Flow,
    lively_from: f64,
}

impl Liveliness {
    pub fn of(journal: Journal) -> Liveliness {
        let processors = available_parallelism().map_or(1, |count| count.get());
        Liveliness { journal, flow: Flow::default(), lively_from: LIVELY_FROM * processors as f64 }
    }

    /// For how long what can wait should give way to them.
    pub fn patience(&self) -> Duration {
        let rate = self.flow.rate(self.journal.last().0, Instant::now());
        match () {
            () if self.journal.busy() => BURST_PATIENCE,
            () if rate >= self.lively_from => LIVELY_PATIENCE,
            () => Duration::ZERO,
        }
    }
}

/// How quickly a count grows.
#[derive(Default)]
struct Flow(Mutex<Option<Measured>>);

struct Measured {
    at: Instant,
    count: i64,
    /// A second, of the time before that.
    rate: f64,
}

impl Flow {
    /// By how much it has grown a second since it was measured last, `REST` ago or longer; 0 at first.
    fn rate(&self, count: i64, now: Instant) -> f64 {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = match &*measured {
            Some(before) if now.duration_since(before.at) < REST => return before.rate,
            // A process does not know what others have appended before it.
            Some(before) if before.count == 0 => 0.0,
            Some(before) => (count - before.count) as f64 / now.duration_since(before.at).as_secs_f64(),
            None => 0.0,
        };
        *measured = Some(Measured { at: now, count, rate });
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::{Stop, Wake};

    #[tokio::test]
    async fn a_reader_who_waits_ends_the_rest() {
        let (wake, (_stop, shutdown)) = (Wake::new(), Stop::new());
        let projection = GivingWay::new(|| BURST_PATIENCE, wake.ear());
        let reader = tokio::spawn(async move {
            loop {
                wake.call();
                tokio::task::yield_now().await;
            }
        });
        tokio::time::timeout(BURST_PATIENCE / 2, projection.rest(shutdown))
            .await
            .expect("it rests although somebody waits");
        reader.abort();
    }

    #[tokio::test]
    async fn a_reader_who_has_called_before_the_rest_ends_it_too_and_the_next_one_is_whole() {
        let (wake, (stop, shutdown)) = (Wake::new(), Stop::new());
        let projection = GivingWay::new(|| BURST_PATIENCE, wake.ear());
        wake.call();
        tokio::time::timeout(BURST_PATIENCE / 2, projection.rest(shutdown.clone())).await.expect("it rests at once");
        tokio::time::timeout(REST * 2, projection.rest(shutdown.clone())).await.expect_err("nobody waits any more");
        stop.now();
        tokio::time::timeout(BURST_PATIENCE / 2, projection.rest(shutdown))
            .await
            .expect("it rests while it is to stop");
    }

    #[test]
    fn it_gives_way_for_as_long_as_there_is_patience() {
        let patience = Mutex::new(Duration::ZERO);
        let projection = GivingWay::new(|| *patience.lock().unwrap(), Wake::new().ear());
        assert!(!projection.due(), "nothing comes");

        *patience.lock().unwrap() = Duration::from_secs(60);
        assert!(projection.due());

        projection.last().caught_up = Instant::now() - Duration::from_secs(61);
        projection.moved(Progress::Moved, Duration::ZERO);
        assert!(!projection.due(), "it has been behind for too long");

        projection.moved(Progress::CaughtUp, Duration::ZERO);
        assert!(projection.due());
    }

    #[test]
    fn after_a_long_step_it_rests_unless_it_is_far_behind() {
        let rests = |progress, took| {
            let projection = GivingWay::new(|| Duration::ZERO, Wake::new().ear());
            projection.moved(progress, took);
            let until = projection.last().rests_until;
            until.saturating_duration_since(Instant::now()).as_secs_f64()
        };
        let minute = Duration::from_secs(60);
        assert_eq!(rests(Progress::CaughtUp, LONG_STEP / 2), 0.0);
        assert_eq!(rests(Progress::Moved, minute), 0.0);
        for progress in [Progress::CaughtUp, Progress::Nearly] {
            let rest = rests(progress, minute);
            assert!((0.5..=LONG_STEP_REST_MAX.as_secs_f64()).contains(&rest), "{rest}");
        }
        let projection = GivingWay::new(|| Duration::ZERO, Wake::new().ear());
        projection.moved(Progress::CaughtUp, minute);
        assert!(projection.due());
    }

    #[test]
    fn how_quickly_audits_come_is_measured_a_tenth_of_a_second_at_a_time() {
        let (flow, begun) = (Flow::default(), Instant::now());
        let rate = |count, millis| flow.rate(count, begun + Duration::from_millis(millis));
        assert_eq!(rate(0, 0), 0.0);
        assert_eq!(rate(1_000, 100), 0.0, "what others have appended has not come now");
        assert_eq!(rate(1_100, 199), 0.0);
        assert_eq!(rate(1_150, 200), 1_500.0);
        assert_eq!(rate(1_150, 250), 1_500.0);
        assert_eq!(rate(1_150, 400), 0.0);
    }
}
