//! The queue of audits on disk: segment files, written and synced in groups, and how far they are settled.
//!
//! ```text
//! spool.json    the format and the spool's id
//! lock          held by the process that uses the folder
//! cursor        up to where everything is settled
//! segments/     <first sequence>.segment: the records, in order; spare.new: the next one, made beforehand
//! dead/         one file for each record that was refused for good; replayed/ has those that were sent again
//! quarantine/   bytes that could not be read, each with a note
//! ```
//!
//! What holds, whenever power is lost: what `append` answered is there and stands in order; what was settled does not come back;
//! a sequence that was answered or read names one record for ever.

mod core;
mod cursor;
pub mod dead;
mod disk;
mod errors;
mod folder;
mod frame;
mod letters;
mod opening;
mod quarantine;
mod read;
mod segment;
mod settle;
mod state;
#[cfg(test)]
mod tests;
mod thread;
mod write;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex},
};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use uuid::Uuid;

use self::{
    core::{Core, lock},
    disk::{Disk, Machine},
    thread::Request,
};
pub use self::{
    dead::DeadLetter,
    errors::{AppendError, CloseError, DeadError, OpenError, ReadError, SettleError},
    quarantine::Quarantined,
    state::Status,
};

/// Most bytes of one record.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most bytes of the records that are kept together: a full batch of audits is well below.
pub const APPEND_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bounds of a segment. Small ones cost a change of the folder often; large ones keep settled records on disk for long.
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;
pub const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
pub const SEGMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What waits to be written at most: appends, and bytes.
const QUEUE_APPENDS_MAX: usize = 10_000;
const QUEUE_BYTES_MAX: usize = 2 * APPEND_BYTES_MAX;

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Most bytes that may wait to be recorded; beyond it appends are refused.
    pub bytes_max: u64,
    /// The size of a segment; an append that is larger gets one of its own.
    pub segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { bytes_max: 1024 * 1024 * 1024, segment_bytes: SEGMENT_BYTES }
    }
}

impl Settings {
    fn check(&self) -> Result<usize, OpenError> {
        let (given, min, max) = (self.segment_bytes, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let fits = (min..=max).contains(&given);
        usize::try_from(given).ok().filter(|_| fits).ok_or(OpenError::SegmentBytes { given, min, max })
    }
}

/// A record's place in the spool, from 1. None is given out twice in a folder; some may never be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub sequence: Sequence,
    pub bytes: Vec<u8>,
}

/// The queue in a folder. All clones are one spool; it ends with the last of them, or with `close`.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    /// `None` once the spool is closed.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    /// Bytes that may still wait to be written.
    room: Arc<Semaphore>,
    done: watch::Receiver<bool>,
}

impl Spool {
    /// Opens the spool in `folder`, or makes one there. Reads all that waits, so it blocks: up to some seconds for a full one.
    pub fn open(folder: &Path, settings: Settings) -> Result<Spool, OpenError> {
        Spool::open_on(Arc::new(Machine), folder, settings)
    }

    fn open_on(disk: Arc<dyn Disk>, folder: &Path, settings: Settings) -> Result<Spool, OpenError> {
        let core = Arc::new(opening::open(disk, folder, &settings)?);
        let (requests, queue) = mpsc::channel(QUEUE_APPENDS_MAX);
        let done = thread::start(core.clone(), queue)
            .map_err(|source| OpenError::Disk { folder: folder.to_path_buf(), source })?;
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        Ok(Spool(Arc::new(Inner { core, requests: Mutex::new(Some(requests)), room, done })))
    }

    /// Keeps a record: it is on disk when this returns. Dropped before, it may be kept or not.
    pub async fn append(&self, bytes: Vec<u8>) -> Result<Sequence, AppendError> {
        let sequences = self.append_all(vec![bytes]).await?;
        Ok(*sequences.first().expect("one record gets one sequence"))
    }

    /// Keeps several records side by side: all of them or none.
    pub async fn append_all(&self, records: Vec<Vec<u8>>) -> Result<Vec<Sequence>, AppendError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let longest = records.iter().map(Vec::len).max().unwrap_or(0);
        let bytes = frame::bytes_of(&records);
        for (bytes, bytes_max) in [(longest, RECORD_BYTES_MAX), (bytes, APPEND_BYTES_MAX)] {
            if bytes > bytes_max {
                return Err(AppendError::TooLarge { bytes: bytes as u64, bytes_max: bytes_max as u64 });
            }
        }
        let wanted = u32::try_from(bytes).expect("an append is far smaller than 4 GiB");
        let room = self.0.room.clone().acquire_many_owned(wanted).await.map_err(|_| AppendError::Closed)?;
        let requests = lock(&self.0.requests).clone().ok_or(AppendError::Closed)?;
        let (answer, answered) = oneshot::channel();
        requests.send(Request { records, answer, room }).await.map_err(|_| AppendError::Closed)?;
        drop(requests); // the thread ends when nobody can send any more
        answered.await.map_err(|_| AppendError::Closed)?
    }

    /// What waits behind `after`, in order, up to both bounds, and one record in any case. Empty if nothing waits.
    pub async fn read(&self, after: Sequence, records_max: usize, bytes_max: usize) -> Result<Vec<Record>, ReadError> {
        let plan = self.0.core.plan(after, records_max, bytes_max)?;
        if !plan.needs_disk() {
            return self.0.core.fetch(plan);
        }
        let core = self.0.core.clone();
        blocking(move || core.fetch(plan)).await
    }

    /// Remembers that everything up to `up_to` is recorded, or is one of `dead`, whose letters are written first. Doing it again
    /// harms nothing.
    pub async fn settle(&self, up_to: Sequence, dead: Vec<DeadLetter>) -> Result<(), SettleError> {
        let core = self.0.core.clone();
        blocking(move || core.settle(up_to, &dead)).await
    }

    /// Up to where everything is settled. It may be past what was settled last, where the records behind that are lost.
    pub fn settled(&self) -> Sequence {
        self.0.core.settled()
    }

    /// The last record that is on disk. It changes when something can be read.
    pub fn durable(&self) -> watch::Receiver<Sequence> {
        self.0.core.durable()
    }

    /// The spool's own name, for as long as its folder is there.
    pub fn id(&self) -> Uuid {
        self.0.core.id
    }

    /// How the spool is.
    pub fn status(&self) -> Status {
        self.0.core.status()
    }

    /// Moves a dead letter to those that were replayed, once its record is kept again. Its name is that of its file.
    pub async fn replayed(&self, name: &str) -> Result<(), DeadError> {
        let (core, name) = (self.0.core.clone(), name.to_owned());
        blocking(move || core.replayed(&name)).await
    }

    /// Ends the spool: what was appended before is on disk and answered, and another process may have the folder.
    pub async fn close(&self) -> Result<(), CloseError> {
        lock(&self.0.requests).take();
        let finished = self.0.done.clone().wait_for(|done| *done).await.is_ok();
        let core = self.0.core.clone();
        blocking(move || core.close()).await;
        if finished { Ok(()) } else { Err(CloseError::Panicked) }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
