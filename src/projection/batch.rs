//! What a step of the projections that come from the fold works on: the streams that a range of positions touches, each read
//! whole and folded. Both projections need the same of the same range, so the workers of a process read and fold it once, and
//! while one range is being written the next is made ready.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture, future::Shared};
use sqlx::{PgConnection, PgPool};
use tokio::{sync::watch, task::spawn_blocking, time::timeout};

use super::{Projection, Range};
use crate::{
    audit::{Entry, Position, StreamId},
    journal::read,
    remediation::{self, model::Remediation},
};

/// Most positions in one range: its entries and what comes of them are held in memory.
pub const POSITIONS_MAX: i64 = 2_000;

/// Most ranges that are held: one for each projection, and the one that comes next.
const HELD_MAX: usize = 3;

/// Projections that are so close together wait for each other, for then one range serves both.
const CLOSE: i64 = 4 * POSITIONS_MAX;
/// But not for long: one may have failed.
const TOGETHER_WAIT: Duration = Duration::from_secs(1);

/// A stream of the range, whole up to the range's end.
pub struct Stream {
    pub id: StreamId,
    /// In order of version.
    pub entries: Vec<Entry>,
    /// `None` where they tell nothing.
    pub remediation: Option<Remediation>,
}

impl Stream {
    /// Whether the stream has no entry before the range, nor any that a later step has written already.
    pub fn begins_in(&self, range: Range) -> bool {
        range.as_of == range.to && self.entries.first().is_some_and(|entry| entry.position > range.from)
    }
}

/// A range with its streams, in order of their ids.
pub struct Batch {
    pub to: Position,
    /// The `recorded_at` of `to`.
    pub recorded_at: Option<DateTime<Utc>>,
    streams: Vec<Stream>,
}

impl Batch {
    /// Reads the streams that were appended to in the range, and folds them.
    pub async fn read(db: &mut PgConnection, range: Range) -> anyhow::Result<Batch> {
        let entries = read::between(&mut *db, range.from, range.since, range.to).await?;
        let recorded_at = entries.last().map(|entry| entry.recorded_at);
        let mut streams = group(entries.into_iter().filter(|entry| !entry.event.stream.is_administration()));
        if range.as_of == range.to {
            let begun = |(id, entries): (&StreamId, &Vec<Entry>)| {
                let first = entries.first().filter(|entry| entry.version.0 > 1)?;
                Some((id.clone(), Position(first.position.0 - 1)))
            };
            let (ids, up_to): (Vec<_>, Vec<_>) = streams.iter().filter_map(begun).unzip();
            if !ids.is_empty() {
                for (id, mut whole) in group(read::streams(&mut *db, &ids, &up_to).await?) {
                    let later = streams.entry(id).or_default();
                    whole.append(later);
                    *later = whole;
                }
            }
        } else {
            let ids: Vec<StreamId> = streams.into_keys().collect();
            streams = group(read::streams(&mut *db, &ids, &vec![range.as_of; ids.len()]).await?);
        }
        // It takes some hundred milliseconds, for which the other tasks of this thread need not wait.
        let folded = spawn_blocking(move || {
            let fold = |(id, entries): (StreamId, Vec<Entry>)| {
                let remediation = remediation::fold(&entries, None);
                Stream { id, entries, remediation }
            };
            streams.into_iter().map(fold).collect()
        });
        match folded.await {
            Ok(streams) => Ok(Batch { to: range.to, recorded_at, streams }),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => Err(error.into()), // the runtime stops
        }
    }

    /// The streams that were appended to after `from`.
    pub fn streams_after(&self, from: Position) -> Vec<&Stream> {
        let touched = |stream: &&Stream| stream.entries.last().is_some_and(|entry| entry.position > from);
        self.streams.iter().filter(touched).collect()
    }
}

/// Entries by their stream, in the order given within each.
pub fn group(entries: impl IntoIterator<Item = Entry>) -> BTreeMap<StreamId, Vec<Entry>> {
    let mut streams: BTreeMap<StreamId, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        match streams.get_mut(&entry.event.stream) {
            Some(stream) => stream.push(entry),
            None => drop(streams.insert(entry.event.stream.clone(), vec![entry])),
        }
    }
    streams
}

/// The batches that the workers of a process share. What is in the journal never changes, so they need no transaction.
pub struct Batches {
    db: PgPool,
    held: Mutex<VecDeque<Held>>,
    /// Where each projection stands that takes batches, as far as this process knows.
    standing: watch::Sender<[Option<Position>; Projection::ALL.len()]>,
}

struct Held {
    from: Position,
    to: Position,
    batch: Shared<BoxFuture<'static, Option<Arc<Batch>>>>,
}

impl Batches {
    pub fn new(db: PgPool) -> Batches {
        Batches { db, held: Mutex::default(), standing: watch::Sender::new([None; Projection::ALL.len()]) }
    }

    /// Waits for a moment while another projection is a little behind this one.
    pub async fn keep_together(&self, projection: Projection) {
        let Some(own) = self.standing.borrow()[projection as usize] else { return };
        let mut others = self.standing.subscribe();
        let together = others.wait_for(|standing| {
            let behind = |other: &Position| (1..=CLOSE).contains(&(own.0 - other.0 - POSITIONS_MAX));
            !standing.iter().flatten().any(behind)
        });
        let _ = timeout(TOGETHER_WAIT, together).await; // then each goes its own way
    }

    /// The batch that begins at `from`, or before it and ends behind; `head` is where the journal ends. `None` where it cannot
    /// be read or folded: whoever needs it finds out why.
    pub async fn take(
        &self,
        projection: Projection,
        from: Position,
        since: DateTime<Utc>,
        head: Position,
    ) -> Option<Arc<Batch>> {
        self.standing.send_modify(|standing| standing[projection as usize] = Some(from));
        let batch = self.hold(from, since, head).await;
        match (&batch, batch.as_ref().and_then(|batch| batch.recorded_at)) {
            (Some(batch), Some(recorded_at)) if head.0 - batch.to.0 >= POSITIONS_MAX => {
                drop(self.hold(batch.to, recorded_at, head)); // it is made from now on
            }
            (None, _) => self.forget(),
            _ => {}
        }
        batch
    }

    /// Forgets all batches: one of them was not what the journal holds.
    pub fn forget(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn hold(
        &self,
        from: Position,
        since: DateTime<Utc>,
        head: Position,
    ) -> Shared<BoxFuture<'static, Option<Arc<Batch>>>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = held.iter().find(|it| it.from <= from && from < it.to && it.to <= head) {
            return found.batch.clone();
        }
        // They end at round places, so that projections that are apart come together.
        let to = head.min(Position((from.0 / POSITIONS_MAX + 1) * POSITIONS_MAX));
        let (db, range) = (self.db.clone(), Range::new(from, since, to));
        let made = tokio::spawn(async move {
            let mut db = db.acquire().await?;
            Batch::read(&mut db, range).await
        });
        let batch = made.map(|made| Some(Arc::new(made.ok()?.ok()?))).boxed().shared();
        if held.len() >= HELD_MAX {
            held.pop_front();
        }
        held.push_back(Held { from, to, batch: batch.clone() });
        batch
    }
}
