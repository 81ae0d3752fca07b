//! The one writer of a process: it takes whatever waits and appends it in one transaction, while the next batch gathers.

mod append;
mod breaker;
mod link;
mod pressure;
mod run;
mod trouble;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot, watch};

use super::{Appended, Unavailable};
use crate::{
    audit::{Event, Position, canonical::Digest, limits::BATCH_MAX},
    telemetry::{Metrics, Refusal},
    worker::Wake,
};
use breaker::Breaker;
use link::Link;
use pressure::Pressure;
use run::Writer;

pub use breaker::Away;
pub use trouble::Trouble;

/// Bounds of the writer.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Most events that may wait; beyond it the caller is told to try again. Where nothing waits, a whole batch is taken even
    /// if it is larger than this: it could never be taken otherwise.
    pub queue_max: usize,
    /// The longest that a submission should have to wait for its batch: one that would wait longer, by how long batches take
    /// now, is refused at once. Whoever waits longer than this has mostly given up, and what is appended for them is done twice.
    pub wait_max: Duration,
    /// How long a batch whose outcome is unknown is tried again before its callers are told.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { queue_max: 10_000, wait_max: Duration::from_secs(1), patience: Duration::from_secs(5) }
    }
}

impl Settings {
    /// The events that there is room for.
    fn room(&self) -> usize {
        self.queue_max.max(BATCH_MAX)
    }
}

/// What has waited longer than this is not sent any more. With the patience for the batch that it is part of, every append is
/// answered within 7.5 s, whatever the database does; five seconds later at the most where a neighbour of it is refused.
const WAITED_MAX: Duration = Duration::from_millis(2_500);

/// So many events wait only where writers come faster than each can be answered at once.
const BUSY_FROM: usize = 16;

/// Most bytes of payload that may wait, in KiB.
const QUEUE_KIB_MAX: usize = 64 * 1024;

type Answer = oneshot::Sender<Result<Appended, Unavailable>>;

struct Request {
    events: Vec<Event>,
    digests: Vec<Digest>,
    recorded_by: Option<String>,
    /// Made history: the time of each event.
    sealed_ats: Option<Vec<DateTime<Utc>>>,
    since: Instant,
    answer: Answer,
    bytes: usize,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

#[derive(Clone)]
pub struct Handle {
    requests: mpsc::UnboundedSender<Request>,
    room: Arc<Semaphore>,
    /// The same in KiB of payload: many large audits must not fill the memory.
    room_kib: Arc<Semaphore>,
    breaker: Breaker,
    pressure: Arc<Pressure>,
    appended: Wake,
    last: Arc<AtomicI64>,
    closing: watch::Sender<bool>,
    /// Whether everything is answered.
    done: watch::Receiver<bool>,
    settings: Settings,
    metrics: Metrics,
}

/// Starts the writer. It opens one connection of its own, with the options of `pool`.
pub fn start(pool: &PgPool, settings: Settings, metrics: Metrics) -> Handle {
    // The semaphore bounds the queue: a request holds a permit for each of its events until it is answered.
    let (requests, queue) = mpsc::unbounded_channel();
    let (closing, closed) = watch::channel(false);
    let room = Arc::new(Semaphore::new(settings.room()));
    let (breaker, pressure, appended) = (Breaker::default(), Arc::new(Pressure::default()), Wake::new());
    let last = Arc::new(AtomicI64::new(0));
    let writer = Writer {
        link: Link::new(pool.connect_options()),
        queue,
        closed,
        held: VecDeque::new(),
        room: room.clone(),
        breaker: breaker.clone(),
        pauses: Default::default(),
        pressure: pressure.clone(),
        appended: appended.clone(),
        last: last.clone(),
        settings,
        metrics: metrics.clone(),
    };
    let (finished, done) = watch::channel(false);
    tokio::spawn(async move {
        writer.run().await;
        finished.send_replace(true);
    });
    let room_kib = Arc::new(Semaphore::new(QUEUE_KIB_MAX));
    Handle { requests, room, room_kib, breaker, pressure, appended, last, closing, done, settings, metrics }
}

impl Handle {
    /// Refuses so many events where they could only be refused later, or wait for too long. It costs nothing, so it may be
    /// asked before anything is done for them.
    pub fn admit(&self, events: usize) -> Result<(), Unavailable> {
        if *self.closing.borrow() {
            return Err(self.refused(Refusal::Closed, Unavailable::Closed));
        }
        if let Some(away) = self.breaker.away() {
            return Err(self.refused(Refusal::Away, Unavailable::Away(away)));
        }
        let waiting = self.waiting();
        let most = self.pressure.events_max(self.settings.wait_max, self.settings.queue_max);
        // Where nothing waits, nobody waits for long.
        if waiting > 0 && waiting + events > most {
            return Err(self.full());
        }
        Ok(())
    }

    pub fn submit(
        &self,
        events: Vec<Event>,
        recorded_by: Option<String>,
        sealed_ats: Option<Vec<DateTime<Utc>>>,
        answer: Answer,
    ) -> Result<(), Unavailable> {
        self.admit(events.len())?;
        let bytes = events.iter().map(|event| event.payload.text().len()).sum::<usize>();
        let take = |room: &Arc<Semaphore>, wanted: usize| {
            let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
            room.clone().try_acquire_many_owned(wanted).map_err(|refusal| match refusal {
                TryAcquireError::Closed => self.refused(Refusal::Closed, Unavailable::Closed),
                TryAcquireError::NoPermits => self.full(),
            })
        };
        let room = (take(&self.room, events.len())?, take(&self.room_kib, bytes / 1024)?);
        self.metrics.append_queue(self.waiting());
        // Hashed here, in the caller's task, so that the writer does nothing but write.
        let digests = events.iter().map(Event::digest).collect();
        let request =
            Request { events, digests, recorded_by, sealed_ats, since: Instant::now(), answer, bytes, _room: room };
        self.requests.send(request).map_err(|_| Unavailable::Closed)
    }

    /// Why nothing is appended now, while that is so.
    pub fn away(&self) -> Option<Away> {
        self.breaker.away()
    }

    /// Called at every append of this process.
    pub fn appended(&self) -> &Wake {
        &self.appended
    }

    /// The last position that this process has appended; 0 before the first.
    pub fn last(&self) -> Position {
        Position(self.last.load(Ordering::Relaxed))
    }

    /// Whether more waits than a quiet time brings.
    pub fn busy(&self) -> bool {
        self.waiting() >= BUSY_FROM
    }

    pub async fn close(&self) {
        self.closing.send_replace(true);
        let _ = self.done.clone().wait_for(|done| *done).await; // an error is a writer that is gone
    }

    /// The events that are not answered yet.
    fn waiting(&self) -> usize {
        self.settings.room() - self.room.available_permits()
    }

    fn full(&self) -> Unavailable {
        let full = Unavailable::QueueFull { waiting: self.waiting(), retry_after: self.settings.wait_max };
        self.refused(Refusal::QueueFull, full)
    }

    fn refused(&self, reason: Refusal, told: Unavailable) -> Unavailable {
        self.metrics.append_refused(reason);
        told
    }
}
