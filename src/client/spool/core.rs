//! The spool without its thread: everything happens in the caller's, so that tests decide the order.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use uuid::Uuid;

use super::{
    DeadError, Sequence, Status,
    cursor::Cursor,
    dead,
    disk::{Disk, File, Lock},
    folder::Folder,
    letters::Letters,
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
    /// Held while dead letters are written or counted.
    letters: Mutex<Letters>,
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
    pub letters: Letters,
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
            letters: Mutex::new(found.letters),
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
        let state = self.state();
        Sequence(state.reach(state.settled)) // who waits for a record that is lost would wait for ever
    }

    pub fn status(&self) -> Status {
        let state = self.state();
        Status {
            bytes: state.bytes,
            bytes_max: state.bytes_max,
            alarm: state.alarm(),
            waiting: state.waiting,
            oldest_kept_at: state.oldest_kept_at(),
            segments: state.segments.len() as u64,
            dead: state.dead,
            quarantined: state.quarantined,
            fsync_failures: state.fsync_failures,
            appended: state.appended,
            refusing: state.refusing.clone(),
            trouble: state.trouble.clone(),
        }
    }

    /// Moves a dead letter to those that were replayed, and counts what is left.
    pub fn replayed(&self, name: &str) -> Result<(), DeadError> {
        dead::replayed_on(&*self.disk, &self.folder, name)?;
        let mut letters = self.letters();
        let counted = letters.recount(&*self.disk, &self.folder);
        self.state().dead = letters.count();
        counted.map_err(|source| DeadError::Disk { folder: self.folder.dead(), source })
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

    pub(super) fn letters(&self) -> MutexGuard<'_, Letters> {
        lock(&self.letters)
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
