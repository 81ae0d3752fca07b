//! The orderly end of a server: steps in order, each within a bound. One that fails or takes too long never skips the next.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::join_all};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::Server;
use crate::worker::Shutdown;

/// How long those who follow may take to hear that they have to go elsewhere.
const FAREWELL_WAIT: Duration = Duration::from_secs(3);
/// How long what waits may take to be appended: a little longer than any append may take to be answered.
const FLUSH_WAIT: Duration = Duration::from_secs(8);
/// How long workers may take to end their step. It can run twice without harm, so one that takes longer is broken off.
const WORKERS_WAIT: Duration = Duration::from_secs(10);
/// How long connections to the database may take to come back and be closed.
const POOLS_WAIT: Duration = Duration::from_secs(5);

impl Server {
    /// Says that the server is about to stop: it is ready no more, and still serves whoever has not heard of it.
    pub fn retire(&self) {
        self.words.retire.now();
    }

    /// Says that the listener closes, and that those who follow are told to go elsewhere.
    pub fn drain(&self) {
        self.words.drain.now();
    }

    /// The word of `retire`, for those who run beside the workers.
    pub fn retiring(&self) -> Shutdown {
        self.words.retiring.clone()
    }

    /// The word of `drain`, for the listener.
    pub fn draining(&self) -> Shutdown {
        self.words.draining.clone()
    }

    /// Appends what waits, stops the workers at a step's end, and closes the connections.
    pub async fn stop(self) {
        self.retire();
        self.drain();
        step("followers", FAREWELL_WAIT, self.live.ended()).await;
        step("flush", FLUSH_WAIT, self.app.journal.close()).await;
        self.words.rest.now();
        let handles: Vec<_> = self.workers.iter().map(|worker| worker.abort_handle()).collect();
        // A worker that panicked has said so.
        if step("workers", WORKERS_WAIT, join_all(self.workers)).await.is_none() {
            handles.iter().for_each(|worker| worker.abort());
        }
        step("pools", POOLS_WAIT, self.pools.close()).await;
        info!("everything acknowledged is recorded; stopped");
    }
}

/// Takes one step of the end: what it gives, unless it panics or does not end within `bound`.
pub async fn step<T>(name: &str, bound: Duration, work: impl Future<Output = T>) -> Option<T> {
    let begun = Instant::now();
    let done = timeout(bound, AssertUnwindSafe(work).catch_unwind()).await;
    let ms = begun.elapsed().as_millis();
    match done {
        Ok(Ok(done)) => {
            info!(shutdown.step = name, duration.ms = ms, "shutdown: `{name}` took {ms} ms");
            Some(done)
        }
        // The panic itself is logged where it happens.
        Ok(Err(_)) => {
            error!(shutdown.step = name, duration.ms = ms, "shutdown: `{name}` panicked; the next step follows");
            None
        }
        Err(_) => {
            warn!(
                shutdown.step = name,
                duration.ms = ms,
                "shutdown: `{name}` did not end within {} s; the next step follows",
                bound.as_secs()
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_panics_or_hangs_ends_all_the_same() {
        assert_eq!(step("fine", Duration::from_secs(60), async { 7 }).await, Some(7));
        assert_eq!(step("hangs", Duration::from_millis(1), std::future::pending::<i32>()).await, None);
        assert_eq!(step("panics", Duration::from_secs(60), async { panic!("a bug") }).await, None::<i32>);
    }
}
