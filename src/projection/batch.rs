//! What a step of the projections works on: the entries of a range of positions, and for those that come from the fold the
//! streams that they touch, each read whole and folded. All projections need the same of the same range, so the workers of a
//! process read and fold it once, and while one range is being written the next is made ready.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, VecDeque},
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture, future::Shared};
use sqlx::{PgConnection, PgPool};
use tokio::{sync::watch, task::spawn_blocking, time::timeout};
use tracing::warn;

use super::{Projection, Range};
use crate::{
    audit::{Entry, Position, StreamId},
    journal::read,
    postgres::{ANSWER_WAIT, in_time},
    remediation::{self, model::Remediation},
};

/// Most positions in one range: its entries and what comes of them are held in memory.
pub const POSITIONS_MAX: i64 = 2_000;

/// Most ranges that are held: one for each projection, and the one that comes next.
const HELD_MAX: usize = Projection::ALL.len() + 1;
/// With more bytes of payloads than this, the oldest of them are held no longer.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Projections that are so close together wait for each other, for then one range serves all of them.
const CLOSE: i64 = 4 * POSITIONS_MAX;
/// But not for long: one may have failed.
const TOGETHER_WAIT: Duration = Duration::from_secs(1);
/// And what does not come from the fold for a step or two at most: a long stream is not soon folded.
const UNFOLDED_WAIT: Duration = Duration::from_millis(250);

/// A stream of the range.
pub struct Stream {
    pub id: StreamId,
    /// In order of version, whole up to the range's end; but that of the acts of administration, which nothing is folded from.
    pub entries: Vec<Arc<Entry>>,
    /// `None` where they tell nothing.
    pub remediation: Option<Remediation>,
}

impl Stream {
    /// Whether the stream has no entry before the range, nor any that a later step has written already.
    pub fn begins_in(&self, range: Range) -> bool {
        range.as_of == range.to && self.entries.first().is_some_and(|entry| entry.position > range.from)
    }
}

/// A range with what is known of it.
pub struct Batch {
    pub to: Position,
    /// The `recorded_at` of `to`; `None` where the journal has no such position.
    pub recorded_at: Option<DateTime<Utc>>,
    /// In order.
    entries: Vec<Arc<Entry>>,
    /// In order of their ids; none where nothing is folded.
    streams: Vec<Stream>,
}

impl Batch {
    /// Reads the range, and folds it where it is to be `folded`.
    pub async fn read(db: &mut PgConnection, range: Range, folded: bool) -> anyhow::Result<Batch> {
        let batch = Batch::read_entries(db, range).await?;
        if folded { batch.fold(db, range, ANSWER_WAIT).await } else { Ok(batch) }
    }

    async fn read_entries(db: &mut PgConnection, range: Range) -> Result<Batch, sqlx::Error> {
        let entries = read::between(db, range.from, range.since, range.to).await?;
        let recorded_at = entries.last().filter(|entry| entry.position == range.to).map(|entry| entry.recorded_at);
        Ok(Batch {
            to: range.to,
            recorded_at,
            entries: entries.into_iter().map(Arc::new).collect(),
            streams: Vec::new(),
        })
    }

    /// The same with the streams that its entries belong to, each read whole and folded.
    async fn fold(&self, db: &mut PgConnection, range: Range, wait: Duration) -> anyhow::Result<Batch> {
        let mut streams = group(self.entries.iter().cloned());
        in_time(wait, complete(db, range, &mut streams)).await?;
        // It takes some hundred milliseconds, for which the other tasks of this thread need not wait.
        let folded = spawn_blocking(move || {
            let fold = |(id, entries): (StreamId, Vec<Arc<Entry>>)| {
                let remediation = remediation::fold(entries.iter().map(Arc::as_ref), None);
                Stream { id, entries, remediation }
            };
            streams.into_iter().map(fold).collect()
        });
        match folded.await {
            Ok(streams) => Ok(Batch { streams, entries: self.entries.clone(), ..*self }),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => Err(error.into()), // the runtime stops
        }
    }

    /// The entries of a range that is part of this one, in order.
    pub fn entries(&self, range: Range) -> Vec<&Entry> {
        let within = |entry: &&Entry| entry.position > range.from && entry.position <= range.to;
        self.entries.iter().map(Arc::as_ref).filter(within).collect()
    }

    /// The payloads that it holds, in bytes: those of its streams are those of its entries too.
    fn bytes(&self) -> usize {
        let bytes =
            |entries: &[Arc<Entry>]| entries.iter().map(|entry| entry.event.payload.text().len()).sum::<usize>();
        match &self.streams[..] {
            [] => bytes(&self.entries),
            streams => streams.iter().map(|stream| bytes(&stream.entries)).sum(),
        }
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
    streams: &mut BTreeMap<StreamId, Vec<Arc<Entry>>>,
) -> Result<(), sqlx::Error> {
    let wanted = |(id, entries): (&StreamId, &Vec<Arc<Entry>>)| {
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
    for (id, mut whole) in group(read::streams(db, &ids, &up_to).await?.into_iter().map(Arc::new)) {
        let later = streams.entry(id).or_default();
        if range.as_of == range.to {
            whole.append(later);
        }
        *later = whole;
    }
    Ok(())
}

/// Entries by their stream, in the order given within each.
pub fn group<E: Borrow<Entry>>(entries: impl IntoIterator<Item = E>) -> BTreeMap<StreamId, Vec<E>> {
    let mut streams: BTreeMap<StreamId, Vec<E>> = BTreeMap::new();
    for entry in entries {
        let id = &entry.borrow().event.stream;
        match streams.get_mut(id) {
            Some(stream) => stream.push(entry),
            None => drop(streams.insert(id.clone(), vec![entry])),
        }
    }
    streams
}

/// The batches that the workers of a process share. What is in the journal never changes, so they need no transaction.
pub struct Batches {
    db: PgPool,
    held: Mutex<VecDeque<Held>>,
    /// How long Postgres is waited for.
    wait: Duration,
    /// Where each projection stands, as far as this process knows.
    standing: watch::Sender<[Option<Position>; Projection::ALL.len()]>,
}

/// A batch for all who wait for it; `None` where it could not be read or folded.
type Shareable = Shared<BoxFuture<'static, Option<Arc<Batch>>>>;

struct Held {
    range: Range,
    /// As it is read, for those that do not come from the fold: a long stream is soon read, but not soon folded.
    read: Shareable,
    /// Made once somebody asks for it.
    folded: Option<Shareable>,
    /// How long Postgres is waited for.
    wait: Duration,
}

impl Held {
    fn begin(db: PgPool, range: Range, wait: Duration) -> Held {
        let read = shared(async move {
            let mut db = db.acquire().await?;
            Ok(in_time(wait, Batch::read_entries(&mut db, range)).await?)
        });
        Held { range, read, folded: None, wait }
    }

    fn fold(&mut self, db: &PgPool) -> Shareable {
        let (range, read, wait) = (self.range, &self.read, self.wait);
        let begin = || {
            let (db, read) = (db.clone(), read.clone());
            shared(async move {
                let read = read.await.context("the range was not read")?;
                let mut db = db.acquire().await?;
                read.fold(&mut db, range, wait).await
            })
        };
        self.folded.get_or_insert_with(begin).clone()
    }

    /// The payloads that it holds, in bytes, once they are read.
    fn bytes(&self) -> usize {
        let made = |batch: &Shareable| batch.peek().and_then(|batch| Some(batch.as_ref()?.bytes()));
        self.folded.as_ref().and_then(made).or_else(|| made(&self.read)).unwrap_or(0)
    }

    fn failed(&self) -> bool {
        let failed = |batch: &Shareable| batch.peek().is_some_and(Option::is_none);
        failed(&self.read) || self.folded.as_ref().is_some_and(failed)
    }
}

/// It is made from now on, in a task of its own, so that whoever waits for it may stop waiting.
fn shared(making: impl Future<Output = anyhow::Result<Batch>> + Send + 'static) -> Shareable {
    let made = tokio::spawn(making);
    made.map(|made| Some(Arc::new(made.ok()?.ok()?))).boxed().shared()
}

impl Batches {
    /// For the projections of a process; they read with this pool.
    pub fn new(db: PgPool) -> Batches {
        Batches::waiting(db, ANSWER_WAIT)
    }

    /// With another patience.
    pub fn waiting(db: PgPool, wait: Duration) -> Batches {
        Batches { db, held: Mutex::default(), wait, standing: watch::Sender::new(Default::default()) }
    }

    /// Takes note of where a projection stands: what all have behind them is held no longer.
    pub fn stands(&self, projection: Projection, position: Position) {
        self.standing.send_modify(|standing| standing[projection as usize] = Some(position));
        let hindmost = self.standing.borrow().iter().flatten().min().copied();
        self.held().retain(|it| hindmost.is_none_or(|hindmost| it.range.to > hindmost));
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
        let wait = if projection.folds() { TOGETHER_WAIT } else { UNFOLDED_WAIT };
        let _ = timeout(wait, together).await; // then each goes its own way
    }

    /// What `projection` needs of the range that begins at `from`, or before it and ends behind; `head` is where the journal
    /// ends. `None` where it cannot be read or folded: whoever needs it finds out why. Whoever calls holds no connection of the
    /// batches' pool meanwhile.
    pub async fn take(
        &self,
        projection: Projection,
        from: Position,
        since: DateTime<Utc>,
        head: Position,
    ) -> Option<Arc<Batch>> {
        let batch = self.hold(projection, from, since, head).await;
        let Some(batch) = batch else {
            self.held().retain(|it| !it.failed());
            return None;
        };
        if let Some(recorded_at) = batch.recorded_at
            && head.0 - batch.to.0 >= POSITIONS_MAX
            && batch.bytes() < HELD_BYTES_MAX
        {
            drop(self.hold(projection, batch.to, recorded_at, head)); // it is made from now on
        }
        Some(batch)
    }

    /// Forgets all batches: one of them was not what the journal holds.
    pub fn forget(&self) {
        warn!("what was read of the journal is not what it holds now; it is read anew");
        self.held().clear();
    }

    fn hold(&self, projection: Projection, from: Position, since: DateTime<Utc>, head: Position) -> Shareable {
        let mut held = self.held();
        let place = match held.iter().position(|it| it.range.from <= from && from < it.range.to) {
            Some(place) => place,
            None => {
                // They end at round places, so that projections that are apart come together.
                let to = head.min(Position((from.0 / POSITIONS_MAX + 1) * POSITIONS_MAX));
                if held.len() >= HELD_MAX {
                    held.pop_front();
                }
                while held.iter().map(Held::bytes).sum::<usize>() > HELD_BYTES_MAX {
                    held.pop_front();
                }
                held.push_back(Held::begin(self.db.clone(), Range::new(from, since, to), self.wait));
                held.len() - 1
            }
        };
        let batch = &mut held[place];
        if projection.folds() { batch.fold(&self.db) } else { batch.read.clone() }
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
