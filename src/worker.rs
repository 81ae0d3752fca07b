//! The loop that repeats a step: at once while there is work, on a wake-up or after a while when there is none, later
//! and later while it fails. And the word to stop, which every loop hears.

use std::{panic::AssertUnwindSafe, pin::pin, sync::LazyLock, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, error, info, warn};
use uuid::Uuid;

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It did something, and there is more.
    Moved,
    /// It did something, and what little has come since can wait for the shortest rest.
    Nearly,
    /// There was nothing to do.
    CaughtUp,
}

/// How a worker spaces its steps.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The shortest rest when there is nothing to do: calls that come meanwhile are answered by one step, unless somebody is
    /// in a hurry. It ends at the same moments for all workers of this pace, so that those who need the same take their steps
    /// at one time; the first may be shorter.
    pub rest_min: Duration,
    /// The longest rest when there is nothing to do: a wake-up that got lost costs no more than this.
    pub rest: Duration,
    /// The pause after a first failure; it doubles with each that follows.
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    /// The longest that a step may take: what runs on after that is stuck, be it in a network that says nothing more of a
    /// connection, and is given up and tried again. `Duration::MAX` for a step that bounds its parts by itself.
    pub step_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            rest_min: Duration::ZERO,
            rest: Duration::from_secs(1),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            step_max: Duration::from_secs(10),
        }
    }
}

/// Calls workers that rest. A clone calls the same ones; calls that nobody has answered yet are one.
#[derive(Clone, Debug)]
pub struct Wake(watch::Sender<()>);

impl Wake {
    pub fn new() -> Wake {
        Wake(watch::Sender::new(()))
    }

    /// Says that there may be something to do.
    pub fn call(&self) {
        self.0.send_replace(());
    }

    /// The ear of one more worker; it misses no call from now on.
    pub fn ear(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// What a worker listens to while it rests.
pub struct Ear {
    calls: watch::Receiver<()>,
    hurries: watch::Receiver<()>,
}

impl Ear {
    /// Hears calls, and somebody who waits for what the calls are about: then even the shortest rest is over at once.
    pub fn hurried_by(calls: watch::Receiver<()>, hurries: watch::Receiver<()>) -> Ear {
        Ear { calls, hurries }
    }
}

impl From<watch::Receiver<()>> for Ear {
    fn from(calls: watch::Receiver<()>) -> Ear {
        Ear { calls, hurries: Wake::new().ear() }
    }
}

impl Default for Wake {
    fn default() -> Self {
        Wake::new()
    }
}

/// Word that the process is about to stop. A clone hears the same word.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Gives that word; dropped, it has given it, so that no loop outlives the one who watches over it.
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    pub fn new() -> (Stop, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (Stop(sender), Shutdown(receiver))
    }

    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether the word was given.
    pub fn given(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits for the word.
    pub async fn wait(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await; // an error is a dropped `Stop`, which is the word too
    }
}

/// Repeats `step` until `shutdown`; a step that has begun is let end. What fails is tried again, and logged when it
/// begins, changes or ends.
pub async fn run<Step, Running>(name: &str, pace: Pace, ear: impl Into<Ear>, mut shutdown: Shutdown, mut step: Step)
where
    Step: FnMut() -> Running,
    Running: Future<Output = anyhow::Result<Progress>>,
{
    let Ear { calls: mut wake, mut hurries } = ear.into();
    let mut failing = Failing::default();
    // Set again when it has rung and not with each call: of calls there may be thousands a second, and each setting may wake the
    // thread that waits for timers.
    let mut look_again = pin!(sleep(pace.rest));
    while !shutdown.given() {
        // Marked before the step looks, so that a call that comes while it looks wakes us afterwards.
        wake.mark_unchanged();
        hurries.mark_unchanged();
        let stepping = timeout(pace.step_max, async { step().await });
        let pause = match AssertUnwindSafe(stepping).catch_unwind().await {
            Ok(Ok(Ok(progress))) => {
                failing.over(name);
                match progress {
                    Progress::Moved => continue,
                    Progress::Nearly | Progress::CaughtUp => {
                        let rest = async {
                            tokio::select! {
                                () = sleep_until(rest_ends(pace.rest_min)) => {}
                                () = called(&mut hurries) => return,
                            }
                            if progress == Progress::Nearly {
                                return;
                            }
                            tokio::select! {
                                () = called(&mut hurries) => {}
                                () = called(&mut wake) => {}
                                () = look_again.as_mut() => look_again.as_mut().reset(Instant::now() + pace.rest),
                            }
                        };
                        tokio::select! {
                            () = rest => {}
                            () = shutdown.wait() => {}
                        }
                        continue;
                    }
                }
            }
            Ok(Ok(Err(cause))) => failing.again(name, &pace, Failure::Error(format!("{cause:#}"))),
            Ok(Err(_)) => {
                let cause = format!("a step took longer than {} s", pace.step_max.as_secs_f64());
                failing.again(name, &pace, Failure::Error(cause))
            }
            Err(_) => failing.again(name, &pace, Failure::Panic), // the panic itself is logged where it happens
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.wait() => {}
        }
    }
    debug!(worker.name = name, "worker `{name}` stopped");
}

/// When the shortest rest ends that begins now.
fn rest_ends(rest_min: Duration) -> Instant {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let now = Instant::now();
    now + until_beat(rest_min, now.duration_since(*BEGUN))
}

/// How long it is to the next whole multiple of `beat`, so long after the beginning.
fn until_beat(beat: Duration, passed: Duration) -> Duration {
    let since = passed.as_nanos().checked_rem(beat.as_nanos()).unwrap_or_default();
    beat.saturating_sub(Duration::from_nanos(since as u64))
}

/// Waits for a call; for ever, once nobody is left to call.
async fn called(wake: &mut watch::Receiver<()>) {
    if wake.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[derive(PartialEq, Eq)]
enum Failure {
    Error(String),
    Panic,
}

/// The failures in a row.
#[derive(Default)]
struct Failing {
    times: u32,
    last: Option<Failure>,
}

impl Failing {
    /// Counts one more failure, logs it if it is news, and says how long to wait before the next attempt.
    fn again(&mut self, name: &str, pace: &Pace, failure: Failure) -> Duration {
        self.times = self.times.saturating_add(1);
        let pause = backoff(pace, self.times);
        if self.last.as_ref() != Some(&failure) {
            match &failure {
                Failure::Error(cause) => {
                    warn!(worker.name = name, error = %cause, "worker `{name}` failed and tries again: {cause}");
                }
                Failure::Panic => error!(worker.name = name, "worker `{name}` panicked and tries again"),
            }
        }
        self.last = Some(failure);
        pause
    }

    fn over(&mut self, name: &str) {
        if self.times > 0 {
            let times = self.times;
            info!(worker.name = name, worker.failures = times, "worker `{name}` works again after {times} failures");
        }
        *self = Failing::default();
    }
}

/// Doubles from the least to the most; half of it is chance, so that replicas do not come back all at once.
fn backoff(pace: &Pace, times: u32) -> Duration {
    let doubled = pace.backoff_min.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1).min(30)));
    let most = doubled.min(pace.backoff_max);
    let (_, random) = Uuid::new_v4().as_u64_pair();
    let share = f64::from(random as u32) / f64::from(u32::MAX);
    most.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);
    const DEADLINE: Duration = Duration::from_secs(10);
    const QUICK: Pace = Pace {
        rest_min: Duration::ZERO,
        rest: LONG,
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(4),
        step_max: LONG,
    };

    #[tokio::test]
    async fn who_is_in_a_hurry_ends_even_the_shortest_rest() {
        let (stop, shutdown) = Stop::new();
        let (wake, hurry) = (Wake::new(), Wake::new());
        let turns = AtomicU32::new(0);
        let pace = Pace { rest_min: LONG, ..QUICK };
        let ear = Ear::hurried_by(wake.ear(), hurry.ear());
        let running = run("test", pace, ear, shutdown, || async {
            match turns.fetch_add(1, Ordering::SeqCst) + 1 {
                3 => stop.now(),
                _ => hurry.call(), // comes while the step looks, so it must not rest afterwards
            }
            Ok(Progress::CaughtUp)
        });
        timeout(DEADLINE, running).await.expect("the worker should have stopped by now");
        assert_eq!(turns.into_inner(), 3);
    }

    /// Runs a worker whose step gets the number of its turn, until the step calls `stop`.
    async fn work(pace: Pace, wake: &Wake, step: impl Fn(u32, &Stop) -> anyhow::Result<Progress>) -> u32 {
        let (stop, shutdown) = Stop::new();
        let turns = AtomicU32::new(0);
        let running = run("test", pace, wake.ear(), shutdown, || async {
            let turn = turns.fetch_add(1, Ordering::SeqCst) + 1;
            step(turn, &stop)
        });
        timeout(DEADLINE, running).await.expect("the worker should have stopped by now");
        turns.into_inner()
    }

    #[tokio::test]
    async fn while_there_is_work_step_follows_step() {
        let wake = Wake::new();
        let turns = work(QUICK, &wake, |turn, stop| {
            if turn == 100 {
                stop.now();
            }
            Ok(Progress::Moved)
        });
        assert_eq!(turns.await, 100);
    }

    #[tokio::test]
    async fn a_call_during_a_step_or_a_rest_wakes_a_worker_that_has_caught_up() {
        let wake = Wake::new();
        let turns = work(QUICK, &wake, |turn, stop| {
            match turn {
                1 => wake.call(), // as if an entry came after the step had looked
                2 => {
                    let wake = wake.clone();
                    tokio::spawn(async move { wake.call() });
                }
                _ => stop.now(),
            }
            Ok(Progress::CaughtUp)
        });
        assert_eq!(turns.await, 3);
    }

    #[tokio::test]
    async fn without_any_call_it_looks_again_after_its_rest() {
        let pace = Pace { rest: Duration::from_millis(1), ..QUICK };
        let wake = Wake::new();
        let turns = work(pace, &wake, |turn, stop| {
            if turn == 3 {
                stop.now();
            }
            Ok(Progress::CaughtUp)
        });
        assert_eq!(turns.await, 3);
    }

    #[tokio::test]
    async fn calls_that_come_during_the_shortest_rest_are_answered_by_one_step() {
        const REST_MIN: Duration = Duration::from_millis(50);
        let wake = Wake::new();
        let calling = wake.clone();
        let caller = tokio::spawn(async move {
            loop {
                calling.call();
                sleep(Duration::from_millis(1)).await;
            }
        });
        let begun = std::time::Instant::now();
        let turns = work(Pace { rest_min: REST_MIN, ..QUICK }, &wake, |turn, stop| {
            if turn == 4 {
                stop.now();
            }
            Ok(Progress::CaughtUp)
        });
        assert_eq!(turns.await, 4);
        assert!(begun.elapsed() >= 2 * REST_MIN, "the first rest may be shorter: {:?}", begun.elapsed());
        caller.abort();
    }

    #[tokio::test]
    async fn who_has_nearly_caught_up_looks_again_after_the_shortest_rest_without_a_call() {
        let pace = Pace { rest_min: Duration::from_millis(1), ..QUICK };
        let wake = Wake::new();
        let turns = work(pace, &wake, |turn, stop| {
            if turn == 3 {
                stop.now();
            }
            Ok(Progress::Nearly)
        });
        assert_eq!(turns.await, 3);
    }

    #[test]
    fn the_shortest_rests_of_several_workers_end_at_one_time() {
        let until = |beat, passed| until_beat(Duration::from_millis(beat), Duration::from_millis(passed)).as_millis();
        assert_eq!([until(200, 0), until(200, 1), until(200, 399), until(200, 1_000)], [200, 199, 1, 200]);
        assert_eq!(until(0, 7), 0);
    }

    #[tokio::test]
    async fn errors_and_panics_are_tried_again() {
        let wake = Wake::new();
        let turns = work(QUICK, &wake, |turn, stop| match turn {
            1 => anyhow::bail!("no database"),
            2 => panic!("a bug"),
            3 => Ok(Progress::Moved),
            _ => {
                stop.now();
                Ok(Progress::CaughtUp)
            }
        });
        assert_eq!(turns.await, 4);
    }

    #[tokio::test]
    async fn a_step_that_does_not_end_is_given_up_and_tried_again() {
        let (stop, shutdown) = Stop::new();
        let turns = AtomicU32::new(0);
        let pace = Pace { step_max: Duration::from_millis(1), ..QUICK };
        let running = run("test", pace, Wake::new().ear(), shutdown, || async {
            if turns.fetch_add(1, Ordering::SeqCst) + 1 < 3 {
                std::future::pending::<()>().await;
            }
            stop.now();
            Ok(Progress::CaughtUp)
        });
        timeout(DEADLINE, running).await.expect("the worker should have stopped by now");
        assert_eq!(turns.into_inner(), 3);
    }

    #[tokio::test]
    async fn the_word_to_stop_ends_a_rest_and_a_pause() {
        for outcome in [|| Ok(Progress::CaughtUp), || anyhow::bail!("no database")] {
            let pace = Pace { backoff_min: LONG, backoff_max: LONG, ..QUICK };
            let (stop, shutdown) = Stop::new();
            let stepped = Arc::new(tokio::sync::Notify::new());
            let seen = stepped.clone();
            let worker = tokio::spawn(async move {
                run("test", pace, Wake::new().ear(), shutdown, || async {
                    seen.notify_one();
                    outcome()
                })
                .await;
            });
            stepped.notified().await;
            stop.now();
            timeout(DEADLINE, worker).await.expect("the worker should have stopped by now").unwrap();
        }
    }

    #[test]
    fn a_dropped_stop_is_the_word_too() {
        let (stop, shutdown) = Stop::new();
        assert!(!shutdown.given());
        drop(stop);
        assert!(shutdown.given());
    }

    #[test]
    fn a_pause_doubles_up_to_its_bound_and_never_falls_below_half() {
        let pace = Pace { backoff_min: Duration::from_millis(100), backoff_max: Duration::from_secs(30), ..QUICK };
        for (times, most) in [(1, 100), (2, 200), (5, 1_600), (20, 30_000), (u32::MAX, 30_000)] {
            let pause = backoff(&pace, times).as_millis();
            assert!((most / 2..=most).contains(&pause), "{times}: {pause}");
        }
    }
}
