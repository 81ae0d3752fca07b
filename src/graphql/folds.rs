//! Streams that are read for an answer, singly or a page at once, and folded when something is asked that only the fold tells.

use std::{
    collections::HashMap,
    panic::resume_unwind,
    sync::{Arc, OnceLock},
    thread::available_parallelism,
};

use sqlx::PgPool;
use tokio::{runtime::Handle, sync::OnceCell, task::spawn_blocking};

use super::Result;
use crate::{
    audit::{Entry, Position, StreamId},
    error::ClientError,
    journal::read,
    projection::remediations,
    remediation::Folded,
};

/// So many remediations are folded by the request's own task: that takes it two or three milliseconds.
const FOLDED_AT_ONCE: usize = 8;

/// The entries of one stream, which are folded once when they are asked to be.
pub struct Unfolded {
    /// In order of version.
    pub entries: Vec<Arc<Entry>>,
    folded: OnceLock<Option<Arc<Folded>>>,
}

impl Unfolded {
    pub fn new(entries: Vec<Entry>) -> Unfolded {
        Unfolded { entries: entries.into_iter().map(Arc::new).collect(), folded: OnceLock::new() }
    }

    /// The fold; `None` where the entries tell nothing.
    pub fn fold(&self) -> Option<Arc<Folded>> {
        self.folded.get_or_init(|| Folded::of(self.entries.clone(), None).map(Arc::new)).clone()
    }
}

/// All remediations of one page, read when the first of them is needed, and folded when the first fold is.
pub struct PageFolds {
    db: PgPool,
    /// Each with the position up to which the list has shown it, so that what is nested agrees with the list.
    streams: Vec<(StreamId, Position)>,
    read: OnceCell<Result<HashMap<StreamId, Arc<Unfolded>>>>,
    folded: OnceCell<Result<()>>,
    /// Whether the services' rows are made of all of them.
    rows: OnceCell<Result<()>>,
}

impl PageFolds {
    pub fn new(db: PgPool, streams: Vec<(StreamId, Position)>) -> PageFolds {
        PageFolds { db, streams, read: OnceCell::new(), folded: OnceCell::new(), rows: OnceCell::new() }
    }

    /// The entries of one of the remediations.
    pub async fn entries(&self, stream: &StreamId) -> Result<Arc<Unfolded>> {
        self.read().await?.get(stream).cloned().ok_or_else(|| listed_and_empty(stream))
    }

    /// One of the remediations, folded.
    pub async fn get(&self, stream: &StreamId) -> Result<Arc<Folded>> {
        let read = self.read().await?;
        let folded = self.folded.get_or_init(|| each(read.values().cloned().collect(), fold));
        folded.await.as_ref().map_err(Clone::clone)?;
        read.get(stream).and_then(|unfolded| unfolded.fold()).ok_or_else(|| listed_and_empty(stream))
    }

    /// One of the remediations, folded, whose services' rows are made.
    pub async fn with_views(&self, stream: &StreamId) -> Result<Arc<Folded>> {
        let read = self.read().await?;
        let rows = self.rows.get_or_init(|| each(read.values().cloned().collect(), fold_with_views));
        rows.await.as_ref().map_err(Clone::clone)?;
        read.get(stream).and_then(|unfolded| unfolded.fold()).ok_or_else(|| listed_and_empty(stream))
    }

    async fn read(&self) -> Result<&HashMap<StreamId, Arc<Unfolded>>> {
        self.read.get_or_init(|| read_each(&self.db, &self.streams)).await.as_ref().map_err(Clone::clone)
    }
}

impl Drop for PageFolds {
    /// A page of 50 holds more than a thousand entries in pieces. To free them takes milliseconds, for which no caller waits.
    fn drop(&mut self) {
        let Some(Ok(read)) = self.read.take() else { return };
        if read.len() > FOLDED_AT_ONCE
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(read));
        }
    }
}

fn listed_and_empty(stream: &StreamId) -> ClientError {
    ClientError::hidden(&std::io::Error::other(format!("stream {stream} is listed and has no entries")))
}

/// Reads and folds several streams, each up to a position, with one statement; those that tell nothing are left out.
pub async fn read_and_fold(db: &PgPool, streams: &[(StreamId, Position)]) -> Result<HashMap<StreamId, Arc<Folded>>> {
    let read = read_each(db, streams).await?;
    each(read.values().cloned().collect(), fold).await?;
    Ok(read.into_iter().filter_map(|(stream, unfolded)| Some((stream, unfolded.fold()?))).collect())
}

/// Reads several streams, each up to a position, with one statement.
async fn read_each(db: &PgPool, streams: &[(StreamId, Position)]) -> Result<HashMap<StreamId, Arc<Unfolded>>> {
    let (streams, up_to): (Vec<_>, Vec<_>) = streams.iter().cloned().unzip();
    let entries = remediations::group(read::streams(db, &streams, &up_to).await?);
    Ok(entries.into_iter().map(|(stream, entries)| (stream, Arc::new(Unfolded::new(entries)))).collect())
}

/// Does it to each of them.
async fn each(mut unfolded: Vec<Arc<Unfolded>>, make: fn(&Unfolded)) -> Result<()> {
    if unfolded.len() <= FOLDED_AT_ONCE {
        unfolded.iter().for_each(|it| make(it));
        return Ok(());
    }
    // Many take long enough that the other tasks of this thread would feel it, and they are quicker on all processors.
    let processors = available_parallelism().map_or(1, |processors| processors.get());
    let share = unfolded.len().div_ceil(processors).max(FOLDED_AT_ONCE);
    let mut shares = Vec::new();
    while !unfolded.is_empty() {
        let share = unfolded.split_off(unfolded.len().saturating_sub(share));
        shares.push(spawn_blocking(move || share.iter().for_each(|it| make(it))));
    }
    for share in shares {
        match share.await {
            Ok(()) => {}
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => return Err(ClientError::hidden(&error)), // the runtime stops
        }
    }
    Ok(())
}

fn fold(unfolded: &Unfolded) {
    unfolded.fold();
}

fn fold_with_views(unfolded: &Unfolded) {
    if let Some(folded) = unfolded.fold() {
        folded.views();
    }
}
