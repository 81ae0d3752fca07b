//! One who follows: what is recorded already from the database, page by page, then what comes from memory.

use std::{collections::VecDeque, sync::Arc};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    FeedError, PAGE, SUMMARY_BYTES,
    tail::{Follower, Found},
};
use crate::{
    audit::{Entry, Position},
    journal::read,
    projection::{self, Projection, event_index, remediations},
    remediation::model::Summary,
};

/// So many bytes, and the item that makes it more, are at hand for one follower: what is at hand is held in memory for as long as
/// a slow client takes.
const SHARE_BYTES_MAX: usize = 256 * 1024;

/// What is followed: what of it is wanted, and how to read what memory has no more.
pub trait Source: Send {
    type Item: Send + Sync;

    /// Where an item stands, and how many bytes it has.
    fn measure(item: &Self::Item) -> (Position, usize);

    /// Whether an item is wanted.
    fn wants(&self, item: &Self::Item) -> bool;

    /// Reads up to `most` wanted items after a place, in order, and tells how far that is all there is.
    fn read(&mut self, after: Position, most: i64) -> impl Future<Output = Result<Read<Self::Item>, FeedError>> + Send;
}

/// What was read, and how far that is all there is.
pub type Read<T> = (Vec<Arc<T>>, Position);

/// One who follows a source.
pub struct Following<S: Source> {
    source: S,
    follower: Follower<S::Item>,
    /// Everything wanted up to here is in `ready` or was told.
    reached: Position,
    ready: VecDeque<Arc<S::Item>>,
    /// How many items are read from the database next.
    page: i64,
    /// Has come as far as memory reaches back; from then on it must keep up.
    live: bool,
    _place: OwnedSemaphorePermit,
}

impl<S: Source> Following<S> {
    pub(super) fn new(
        source: S,
        follower: Follower<S::Item>,
        after: Position,
        place: OwnedSemaphorePermit,
    ) -> Following<S> {
        Following { source, follower, reached: after, ready: VecDeque::new(), page: PAGE, live: false, _place: place }
    }

    /// The next item; waits for it as long as it takes. After an error nothing more comes.
    pub async fn next(&mut self) -> Result<Arc<S::Item>, FeedError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            self.ready = self.more().await?.into();
            if self.ready.is_empty() {
                // There may be thousands of which none is wanted, and others want the processor too.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Everything that is at hand, at least one item; waits for it as long as it takes.
    pub(super) async fn batch(&mut self) -> Result<Vec<Arc<S::Item>>, FeedError> {
        let first = self.next().await?;
        Ok(std::iter::once(first).chain(self.ready.drain(..)).collect())
    }

    /// Everything up to here was told, once `next` waits or has failed.
    pub fn reached(&self) -> Position {
        self.reached
    }

    async fn more(&mut self) -> Result<Vec<Arc<S::Item>>, FeedError> {
        match self.follower.after(self.reached, PAGE as usize, SHARE_BYTES_MAX) {
            Found::Items(items, to) => {
                self.live = true;
                self.reached = to;
                if items.is_empty() {
                    self.follower.moved().await;
                }
                Ok(items.into_iter().filter(|item| self.source.wants(item)).collect())
            }
            Found::Gone if self.live => Err(FeedError::TooSlow),
            Found::Gone => {
                let (mut items, mut to) = self.source.read(self.reached, self.page).await?;
                // Large items are read in small pages, so that little is read in vain.
                self.page = PAGE.min(self.page * 2);
                if let Some(last) = self.share(&items) {
                    items.truncate(last + 1);
                    to = S::measure(&items[last]).0;
                    self.page = PAGE.min(items.len() as i64);
                }
                self.reached = to;
                Ok(items)
            }
        }
    }

    /// The last item that a follower may hold, where that is not all of them.
    fn share(&self, items: &[Arc<S::Item>]) -> Option<usize> {
        let mut bytes = 0;
        let last = items.iter().position(|item| {
            bytes += S::measure(item).1;
            bytes >= SHARE_BYTES_MAX
        })?;
        (last + 1 < items.len()).then_some(last)
    }
}

/// The journal's entries.
pub struct Entries {
    db: PgPool,
    filter: event_index::Filter,
    /// The entry that was last read, and when it was recorded; partitions that end earlier are not touched.
    since: Option<(Position, DateTime<Utc>)>,
}

impl Entries {
    pub(super) fn new(db: PgPool, filter: event_index::Filter) -> Entries {
        Entries { db, filter, since: None }
    }

    /// From the index of events, which finds the wanted ones among many; `None` where it has not come so far yet.
    async fn read_indexed(&mut self, after: Position, most: i64) -> Result<Option<Read<Entry>>, FeedError> {
        let indexed = projection::cursor::position(&self.db, Projection::EventIndex).await?;
        if indexed <= after {
            return Ok(None);
        }
        let places = event_index::after(&self.db, &self.filter, after, most).await?;
        let entries = read::at(&self.db, &places).await?;
        let last = places.last().map_or(after, |(position, _)| *position);
        let to = if (places.len() as i64) < most { indexed.max(last) } else { last };
        Ok(Some((entries.into_iter().map(Arc::new).collect(), to)))
    }

    async fn read_journal(&mut self, after: Position, most: i64) -> Result<Read<Entry>, FeedError> {
        let since = match self.since {
            Some((position, since)) if position == after => since,
            _ => read::recorded_at(&self.db, after).await?.unwrap_or_default(),
        };
        let entries = read::after(&self.db, after, since, most).await?;
        let to = entries.last().map_or(after, |entry| entry.position);
        self.since = entries.last().map(|entry| (entry.position, entry.recorded_at)).or(self.since);
        let wanted = entries.into_iter().filter(|entry| self.filter.matches(entry));
        Ok((wanted.map(Arc::new).collect(), to))
    }
}

impl Source for Entries {
    type Item = Entry;

    fn measure(entry: &Entry) -> (Position, usize) {
        (entry.position, entry.event.payload.text().len())
    }

    fn wants(&self, entry: &Entry) -> bool {
        self.filter.matches(entry)
    }

    async fn read(&mut self, after: Position, most: i64) -> Result<Read<Entry>, FeedError> {
        if self.filter != event_index::Filter::default()
            && let Some(read) = self.read_indexed(after, most).await?
        {
            return Ok(read);
        }
        self.read_journal(after, most).await
    }
}

/// The remediations, each as it stands after its latest change.
pub struct Summaries {
    db: PgPool,
    filter: remediations::Filter,
}

impl Summaries {
    pub(super) fn new(db: PgPool, filter: remediations::Filter) -> Summaries {
        Summaries { db, filter }
    }
}

impl Source for Summaries {
    type Item = Summary;

    fn measure(summary: &Summary) -> (Position, usize) {
        (summary.last_position, SUMMARY_BYTES)
    }

    fn wants(&self, summary: &Summary) -> bool {
        self.filter.matches(summary, Utc::now())
    }

    async fn read(&mut self, after: Position, most: i64) -> Result<Read<Summary>, FeedError> {
        let changed = remediations::changed(&self.db, &self.filter, after, most).await.map_err(|error| {
            match error.downcast::<sqlx::Error>() {
                Ok(error) => FeedError::Database(error),
                Err(error) => FeedError::Summary(error),
            }
        })?;
        Ok((changed.summaries.into_iter().map(Arc::new).collect(), changed.up_to))
    }
}
