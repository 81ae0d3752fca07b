//! The spool without its thread: everything happens in the caller's, so that tests decide the order.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use uuid::Uuid;

use super::{
    Sequence, Status,
    cursor::Cursor,
    dead,
    disk::{Disk, File, Lock},
    folder::Folder,
    state::State,
};

pub struct Core {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: Folder,
    pub(super) id: Uuid,
    pub(super) segment_bytes: usize,
    /// Held for moments only, never while the disk works.
    state: Mutex<State>,
    /// Held while a group is written.
    writer: Mutex<Writer>,
    /// Held while something is settled.
    cursor: Mutex<Cursor>,
    spare: Mutex<Option<Arc<dyn File>>>,
    /// The segment that was read last.
    pub(super) reading: Mutex<Option<(u64, Arc<dyn File>)>>,
    durable: watch::Sender<Sequence>,
    lock: Mutex<Option<Lock>>,
}

/// Where the next group goes.
pub struct Writer {
    pub next: u64,
    pub current: Option<Current>,
}

/// The segment that is written.
pub struct Current {
    pub file: Arc<dyn File>,
    pub path: PathBuf,
    pub at: usize,
    pub size: usize,
    pub condition: Condition,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    Sound,
    /// Whole, but a later segment may be on disk, so nothing may be added here any more.
    Ended,
    /// The disk failed it: what waits in it has to be written again elsewhere.
    Poisoned,
}

/// What an opening found.
pub struct Found {
    pub state: State,
    pub writer: Writer,
    pub cursor: Cursor,
    pub lock: Lock,
}

impl Core {
    pub fn new(disk: Arc<dyn Disk>, folder: Folder, id: Uuid, segment_bytes: usize, found: Found) -> Core {
        let (durable, _) = watch::channel(Sequence(found.state.durable));
        Core {
            disk,
            folder,
            id,
            segment_bytes,
            state: Mutex::new(found.state),
            writer: Mutex::new(found.writer),
            cursor: Mutex::new(found.cursor),
            spare: Mutex::new(None),
            reading: Mutex::new(None),
            durable,
            lock: Mutex::new(Some(found.lock)),
        }
    }

    pub fn durable(&self) -> watch::Receiver<Sequence> {
        self.durable.subscribe()
    }

    pub(super) fn publish(&self, durable: u64) {
        self.durable.send_replace(Sequence(durable));
    }

    pub fn settled(&self) -> Sequence {
        Sequence(self.state().settled)
    }

    pub fn status(&self) -> Status {
        let dead = dead::count(&*self.disk, &self.folder).unwrap_or_default(); // others may take letters away
        let state = self.state();
        Status {
            bytes: state.bytes,
            bytes_max: state.bytes_max,
            alarm: state.alarm(),
            waiting: state.waiting,
            oldest_kept_at: state.oldest_kept_at(),
            segments: state.segments.len() as u64,
            dead,
            quarantined: state.quarantined,
            fsync_failures: state.fsync_failures,
            appended: state.appended,
            trouble: state.trouble.clone(),
        }
    }

    /// Nothing more is read, written or settled here; another process may have the folder.
    pub fn close(&self) {
        let _writer = self.writer();
        let _cursor = self.cursor(); // whoever settles has ended before the lock goes
        self.state().closed = true;
        if self.spare().take().is_some() {
            let _ = self.disk.remove(&self.folder.spare()); // if it stays, the next opening removes it
        }
        lock(&self.lock).take();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }

    pub(super) fn cursor(&self) -> MutexGuard<'_, Cursor> {
        lock(&self.cursor)
    }

    pub(super) fn spare(&self) -> MutexGuard<'_, Option<Arc<dyn File>>> {
        lock(&self.spare)
    }

    /// Remembers trouble for whoever looks at the status.
    pub(super) fn trouble(&self, text: String) {
        self.state().trouble = Some(text);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
