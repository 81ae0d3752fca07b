//! The batches that the workers of a process share.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture, future::Shared};
use sqlx::PgPool;
use tokio::{sync::watch, time::timeout};
use tracing::warn;

use super::{Batch, Made, POSITIONS_MAX, kept::Kept};
use crate::{
    audit::Position,
    postgres::{ANSWER_WAIT, in_time},
    projection::{Projection, Range},
};

/// Most positions in one range where streams are long and go on side by side: there each range folds all of them, and a longer one
/// folds them for more events.
const LONG_POSITIONS_MAX: i64 = 2 * POSITIONS_MAX;
/// Where so many entries are folded for one that is new.
const LONG_FROM: usize = 4;
/// But not where such a one would hold more bytes of payloads than this, if it is like the one before.
const LONG_BYTES_MAX: usize = 8 * 1024 * 1024;

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

/// The batches that the workers of a process share. What is in the journal never changes, so they need no transaction.
pub struct Batches {
    db: PgPool,
    held: Mutex<VecDeque<Held>>,
    /// How long Postgres is waited for.
    wait: Duration,
    made: Made,
    kept: Arc<Kept>,
    /// Most positions in the next range.
    positions_max: AtomicI64,
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

    fn fold(&mut self, db: &PgPool, made: Made, kept: &Arc<Kept>) -> Shareable {
        let (range, read, wait) = (self.range, &self.read, self.wait);
        let begin = || {
            let (db, kept, read) = (db.clone(), kept.clone(), read.clone());
            shared(async move {
                let read = read.await.context("the range was not read")?;
                let mut db = db.acquire().await?;
                read.fold(&mut db, range, made, wait, &kept).await
            })
        };
        self.folded.get_or_insert_with(begin).clone()
    }

    /// What it holds, in bytes of text, once it is read.
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

    /// For one projection that is made anew by itself.
    pub fn of(db: PgPool, projection: Projection) -> Batches {
        Batches { made: Made::of(projection).unwrap_or(Made::Summaries), ..Batches::new(db) }
    }

    /// With another patience.
    pub fn waiting(db: PgPool, wait: Duration) -> Batches {
        Batches {
            db,
            held: Mutex::default(),
            wait,
            made: Made::All,
            kept: Arc::default(),
            positions_max: AtomicI64::new(POSITIONS_MAX),
            standing: watch::Sender::new(Default::default()),
        }
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
            let ahead_max = self.positions_max.load(Ordering::Relaxed);
            let behind = |other: &Position| (1..=CLOSE).contains(&(own.0 - other.0 - ahead_max));
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
        if let Some(positions_max) = positions_max(&batch) {
            self.positions_max.store(positions_max, Ordering::Relaxed);
        }
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
        self.kept.forget();
    }

    fn hold(&self, projection: Projection, from: Position, since: DateTime<Utc>, head: Position) -> Shareable {
        let mut held = self.held();
        // They end at round places, so that projections that are apart come together.
        let positions_max = self.positions_max.load(Ordering::Relaxed);
        let to = head.min(Position((from.0 / positions_max + 1) * positions_max));
        // What others have read meanwhile, piece by piece, would be folded piece by piece; but half of it or more is no piece.
        let piece =
            |it: &Held| projection.folds() && it.folded.is_none() && 2 * (it.range.to.0 - from.0) < to.0 - from.0;
        let fits = |it: &Held| it.range.from <= from && from < it.range.to && !piece(it);
        let place = match held.iter().position(fits) {
            Some(place) => place,
            None => {
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
        if projection.folds() { batch.fold(&self.db, self.made, &self.kept) } else { batch.read.clone() }
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many positions the range behind one should have; `None` where that one was not folded.
fn positions_max(batch: &Batch) -> Option<i64> {
    let (entries, full) = (batch.entries.len(), POSITIONS_MAX as usize);
    let long = entries >= full && batch.folded >= LONG_FROM * full;
    let bytes = || batch.payloads() / entries * LONG_POSITIONS_MAX as usize;
    (batch.folded > 0).then(|| if long && bytes() <= LONG_BYTES_MAX { LONG_POSITIONS_MAX } else { POSITIONS_MAX })
}
