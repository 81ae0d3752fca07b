//! The time by which a request has to be answered. It goes with all the work that is done for the request, so that the
//! database is told to stop when nobody waits any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task_local, time::timeout_at};

task_local! {
    static CURRENT: Deadline;
}

/// When a request has to be answered, and how often its work has asked the database. A clone is the same deadline.
#[derive(Clone, Debug)]
pub struct Deadline {
    at: Instant,
    reads: Arc<AtomicUsize>,
}

/// The work was not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late;

impl Deadline {
    pub fn at(at: Instant) -> Deadline {
        Deadline { at, reads: Arc::default() }
    }

    /// Does the work, unless the deadline comes first; then the work is dropped.
    pub async fn bound<T>(&self, work: impl Future<Output = T>) -> Result<T, Late> {
        timeout_at(self.at.into(), CURRENT.scope(self.clone(), work)).await.map_err(|_| Late)
    }

    /// The deadline of the work that asks.
    pub fn current() -> Option<Deadline> {
        CURRENT.try_with(Deadline::clone).ok()
    }

    /// How much time is left.
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Counts that the work takes a connection to read.
    pub fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the work has taken a connection to read.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn what_is_not_done_in_time_is_late() {
        let deadline = Deadline::at(Instant::now() + Duration::from_millis(10));
        assert_eq!(deadline.bound(async { 1 }).await, Ok(1));
        assert_eq!(deadline.bound(pending::<()>()).await, Err(Late));
        assert_eq!(deadline.left(), Duration::ZERO);
    }

    #[tokio::test]
    async fn the_work_knows_its_deadline_and_nothing_else_does() {
        let deadline = Deadline::at(Instant::now() + Duration::from_secs(60));
        let work = async { Deadline::current().expect("it goes with the work").count_read() };
        deadline.bound(work).await.unwrap();
        assert_eq!(deadline.reads(), 1);
        assert!(Deadline::current().is_none());
    }
}
