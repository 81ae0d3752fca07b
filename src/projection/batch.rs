//! What a step of the projections works on: the entries of a range of positions and the streams that they touch, each read
//! whole and folded. All projections need the same of the same range, so the workers of a process read and fold it once, and
//! while one range is being written the next is made ready.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture, future::Shared};
use sqlx::{PgConnection, PgPool};
use tokio::{sync::watch, task::spawn_blocking, time::timeout};
use tracing::warn;

use super::{Projection, Range};
use crate::{
    audit::{Entry, Position, StreamId},
    journal::read,
    remediation::{self, model::Remediation},
};

/// Most positions in one range: its entries and what comes of them are held in memory.
pub const POSITIONS_MAX: i64 = 2_000;

/// Most ranges that are held: one for each projection, and the one that comes next.
const HELD_MAX: usize = Projection::ALL.len() + 1;
/// With more bytes of payloads than this, the oldest of them are held no longer.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Projections that are so close together wait for each other, for then one range serves both.
const CLOSE: i64 = 4 * POSITIONS_MAX;
/// But not for long: one may have failed.
const TOGETHER_WAIT: Duration = Duration::from_secs(1);

/// A stream of the range.
pub struct Stream {
    pub id: StreamId,
    /// In order of version. Of a batch that is folded the stream is whole up to the range's end, but for that of the acts of
    /// administration, which nothing is folded from.
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
    /// The `recorded_at` of `to`; `None` where the journal has no such position.
    pub recorded_at: Option<DateTime<Utc>>,
    streams: Vec<Stream>,
}

impl Batch {
    /// Reads the entries of the range; where they are to be `folded`, reads the streams that they belong to and folds them.
    pub async fn read(db: &mut PgConnection, range: Range, folded: bool) -> anyhow::Result<Batch> {
        let entries = read::between(&mut *db, range.from, range.since, range.to).await?;
        let recorded_at = entries.last().filter(|entry| entry.position == range.to).map(|entry| entry.recorded_at);
        let mut streams = group(entries);
        if !folded {
            let stream = |(id, entries)| Stream { id, entries, remediation: None };
            return Ok(Batch { to: range.to, recorded_at, streams: streams.into_iter().map(stream).collect() });
        }
        complete(db, range, &mut streams).await?;
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

    /// The entries of a range that is part of this one, in order.
    pub fn entries(&self, range: Range) -> Vec<&Entry> {
        let within = |entry: &&Entry| entry.position > range.from && entry.position <= range.to;
        let mut entries: Vec<&Entry> = self.streams.iter().flat_map(|stream| &stream.entries).filter(within).collect();
        entries.sort_unstable_by_key(|entry| entry.position);
        entries
    }

    /// The payloads of its streams.
    fn bytes(&self) -> usize {
        self.streams.iter().flat_map(|stream| &stream.entries).map(|entry| entry.event.payload.text().len()).sum()
    }

    /// The streams that were appended to after `from`.
    pub fn streams_after(&self, from: Position) -> Vec<&Stream> {
        let touched = |stream: &&Stream| stream.entries.last().is_some_and(|entry| entry.position > from);
        self.streams.iter().filter(touched).collect()
    }
}

/// Makes the streams of a range whole, up to the place as of which they are folded.
async fn complete(
    db: &mut PgConnection,
    range: Range,
    streams: &mut BTreeMap<StreamId, Vec<Entry>>,
) -> Result<(), sqlx::Error> {
    let wanted = |(id, entries): (&StreamId, &Vec<Entry>)| {
        let first = entries.first().filter(|_| !id.is_administration())?;
        if range.as_of == range.to {
            (first.version.0 > 1).then(|| (id.clone(), Position(first.position.0 - 1)))
        } else {
            Some((id.clone(), range.as_of))
        }
    };
    let (ids, up_to): (Vec<_>, Vec<_>) = streams.iter().filter_map(wanted).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    for (id, mut whole) in group(read::streams(db, &ids, &up_to).await?) {
        let later = streams.entry(id).or_default();
        if range.as_of == range.to {
            whole.append(later);
        }
        *later = whole;
    }
    Ok(())
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
    folded: bool,
    held: Mutex<VecDeque<Held>>,
    /// Where each projection stands, as far as this process knows.
    standing: watch::Sender<[Option<Position>; Projection::ALL.len()]>,
}

/// A batch for all who wait for it; `None` where it could not be read or folded.
type Shareable = Shared<BoxFuture<'static, Option<Arc<Batch>>>>;

struct Held {
    from: Position,
    to: Position,
    batch: Shareable,
}

impl Held {
    /// The payloads of all of its streams, once they are read.
    fn bytes(&self) -> usize {
        self.batch.peek().and_then(Option::as_ref).map_or(0, |batch| batch.bytes())
    }

    fn failed(&self) -> bool {
        self.batch.peek().is_some_and(Option::is_none)
    }
}

impl Batches {
    /// For all projections of a process, or for one that comes from the fold.
    pub fn new(db: PgPool) -> Batches {
        Batches { db, folded: true, held: Mutex::default(), standing: watch::Sender::new(Default::default()) }
    }

    /// For this projection alone.
    pub fn of_one(db: PgPool, projection: Projection) -> Batches {
        Batches { folded: projection.folds(), ..Batches::new(db) }
    }

    /// Takes note of where a projection stands: what all have behind them is held no longer.
    pub fn stands(&self, projection: Projection, position: Position) {
        self.standing.send_modify(|standing| standing[projection as usize] = Some(position));
        let hindmost = self.standing.borrow().iter().flatten().min().copied();
        self.held().retain(|it| hindmost.is_none_or(|hindmost| it.to > hindmost));
    }

    /// How far a projection is behind a position, as far as this process knows.
    pub fn behind(&self, projection: Projection, position: Position) -> i64 {
        let standing = self.standing.borrow()[projection as usize];
        standing.map_or(0, |standing| (position.0 - standing.0).max(0))
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
    /// be read or folded: whoever needs it finds out why. Whoever calls holds no connection of the batches' pool meanwhile.
    pub async fn take(&self, from: Position, since: DateTime<Utc>, head: Position) -> Option<Arc<Batch>> {
        let batch = self.hold(from, since, head).await;
        let Some(batch) = batch else {
            self.held().retain(|it| !it.failed());
            return None;
        };
        if let Some(recorded_at) = batch.recorded_at
            && head.0 - batch.to.0 >= POSITIONS_MAX
            && batch.bytes() < HELD_BYTES_MAX
        {
            drop(self.hold(batch.to, recorded_at, head)); // it is made from now on
        }
        Some(batch)
    }

    /// Forgets all batches: one of them was not what the journal holds.
    pub fn forget(&self) {
        warn!("what was read of the journal is not what it holds now; it is read anew");
        self.held().clear();
    }

    fn hold(&self, from: Position, since: DateTime<Utc>, head: Position) -> Shareable {
        let mut held = self.held();
        if let Some(found) = held.iter().find(|it| it.from <= from && from < it.to) {
            return found.batch.clone();
        }
        // They end at round places, so that projections that are apart come together.
        let to = head.min(Position((from.0 / POSITIONS_MAX + 1) * POSITIONS_MAX));
        let (db, range, folded) = (self.db.clone(), Range::new(from, since, to), self.folded);
        let made = tokio::spawn(async move {
            let mut db = db.acquire().await?;
            Batch::read(&mut db, range, folded).await
        });
        let batch = made.map(|made| Some(Arc::new(made.ok()?.ok()?))).boxed().shared();
        if held.len() >= HELD_MAX {
            held.pop_front();
        }
        while held.iter().map(Held::bytes).sum::<usize>() > HELD_BYTES_MAX {
            held.pop_front();
        }
        held.push_back(Held { from, to, batch: batch.clone() });
        batch
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
