//! What nested fields read, in batches: one statement for all the objects of a level.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use async_graphql::dataloader::{DataLoader, Loader};
use futures_util::{
    Stream, StreamExt as _,
    future::{BoxFuture, poll_fn},
    stream::{self, FuturesUnordered},
};
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Result, folds, paging::TOTAL_MAX};
use crate::{
    audit::{Entry, Position, StreamId},
    error::ClientError,
    journal::read,
    projection::{event_index, remediations},
    remediation::{Folded, model::Summary},
};

/// Entries by event id.
pub struct Entries(PgPool);

impl Loader<Uuid> for Entries {
    type Value = Arc<Entry>;
    type Error = ClientError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Arc<Entry>>> {
        let entries = read::by_event_ids(&self.0, ids).await?;
        Ok(entries.into_iter().map(|entry| (entry.event.event_id, Arc::new(entry))).collect())
    }
}

/// The listed summaries of remediations.
pub struct Summaries(PgPool);

impl Loader<StreamId> for Summaries {
    type Value = Arc<Summary>;
    type Error = ClientError;

    async fn load(&self, streams: &[StreamId]) -> Result<HashMap<StreamId, Arc<Summary>>> {
        let summaries = remediations::by_streams(&self.0, streams).await?;
        Ok(summaries.into_iter().map(|summary| (summary.stream.clone(), Arc::new(summary))).collect())
    }
}

/// The folds of remediations that are no page of one list.
pub struct Folds(PgPool);

impl Loader<(StreamId, Position)> for Folds {
    type Value = Arc<Folded>;
    type Error = ClientError;

    async fn load(&self, keys: &[(StreamId, Position)]) -> Result<HashMap<(StreamId, Position), Arc<Folded>>> {
        let mut found = HashMap::new();
        let mut left = keys.to_vec();
        // A statement reads each stream up to one position; one round is enough unless a stream is wanted at several.
        while !left.is_empty() {
            let mut round: HashMap<StreamId, Position> = HashMap::new();
            left.retain(|(stream, up_to)| {
                let taken = round.contains_key(stream);
                round.entry(stream.clone()).or_insert(*up_to);
                taken
            });
            let wanted: Vec<_> = round.into_iter().collect();
            let folds = folds::read_and_fold(&self.0, &wanted).await?;
            found.extend(wanted.into_iter().filter_map(|key| Some((key.clone(), folds.get(&key.0)?.clone()))));
        }
        Ok(found)
    }
}

/// A page of the children of an event: after a position, so many.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChildrenOf {
    pub parent: Uuid,
    pub after: Option<i64>,
    pub limit: i64,
}

pub struct Children(PgPool);

impl Loader<ChildrenOf> for Children {
    type Value = Vec<Arc<Entry>>;
    type Error = ClientError;

    async fn load(&self, keys: &[ChildrenOf]) -> Result<HashMap<ChildrenOf, Vec<Arc<Entry>>>> {
        let mut found: HashMap<ChildrenOf, Vec<Arc<Entry>>> = HashMap::new();
        // One field asks all its events for the same page, so this is one round, as a rule.
        let mut pages: HashMap<(Option<i64>, i64), Vec<Uuid>> = HashMap::new();
        for key in keys {
            pages.entry((key.after, key.limit)).or_default().push(key.parent);
        }
        for ((after, limit), parents) in pages {
            let rows = event_index::children(&self.0, &parents, after, limit).await?;
            let places: Vec<_> = rows.iter().map(|(_, row)| (Position(row.position), row.recorded_at)).collect();
            let entries = read::at(&self.0, &places).await?;
            for entry in entries {
                let Some(parent) = entry.event.parent_event_id else { continue };
                found.entry(ChildrenOf { parent, after, limit }).or_default().push(Arc::new(entry));
            }
        }
        Ok(found)
    }
}

/// How many events each event led to.
pub struct ChildCounts(PgPool);

impl Loader<Uuid> for ChildCounts {
    type Value = i64;
    type Error = ClientError;

    async fn load(&self, parents: &[Uuid]) -> Result<HashMap<Uuid, i64>> {
        Ok(event_index::count_children(&self.0, parents, TOTAL_MAX).await?.into_iter().collect())
    }
}

/// The loaders of one request, each made when it is first asked for: most requests need few of them, and mutations none.
pub struct Loaders {
    db: PgPool,
    begin: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    entries: OnceLock<DataLoader<Entries>>,
    summaries: OnceLock<DataLoader<Summaries>>,
    folds: OnceLock<DataLoader<Folds>>,
    children: OnceLock<DataLoader<Children>>,
    child_counts: OnceLock<DataLoader<ChildCounts>>,
}

impl Loaders {
    /// The loaders, and what has to run beside the request for them to load.
    pub fn new(db: &PgPool) -> (Loaders, Loads) {
        let (begin, begun) = mpsc::unbounded_channel();
        let loaders = Loaders {
            db: db.clone(),
            begin,
            entries: OnceLock::new(),
            summaries: OnceLock::new(),
            folds: OnceLock::new(),
            children: OnceLock::new(),
            child_counts: OnceLock::new(),
        };
        (loaders, Loads { begun, running: FuturesUnordered::new() })
    }

    pub fn entries(&self) -> &DataLoader<Entries> {
        self.entries.get_or_init(|| self.make(Entries))
    }

    pub fn summaries(&self) -> &DataLoader<Summaries> {
        self.summaries.get_or_init(|| self.make(Summaries))
    }

    pub fn folds(&self) -> &DataLoader<Folds> {
        self.folds.get_or_init(|| self.make(Folds))
    }

    pub fn children(&self) -> &DataLoader<Children> {
        self.children.get_or_init(|| self.make(Children))
    }

    pub fn child_counts(&self) -> &DataLoader<ChildCounts> {
        self.child_counts.get_or_init(|| self.make(ChildCounts))
    }

    fn make<L>(&self, loader: fn(PgPool) -> L) -> DataLoader<L> {
        let begin = self.begin.clone();
        // Sending fails only when the request is gone, and with it whoever waits for what would be loaded.
        DataLoader::new(loader(self.db.clone()), move |batch| drop(begin.send(batch))).delay(Duration::ZERO)
    }
}

/// The batches that a request's loaders have begun. They run in the request's own task, and only while the request waits:
/// so a batch holds all that a level asks for, however long the level takes to ask, and ends when the request does. (A
/// loader's usual way is to wait a millisecond and take what has been asked for by then.)
pub struct Loads {
    begun: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Loads {
    /// Runs a request together with what its loaders load.
    pub async fn beside<T>(mut self, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        poll_fn(|cx| self.poll(cx, |cx| request.as_mut().poll(cx))).await
    }

    /// The same of a request that answers again and again.
    pub fn beside_all<T>(mut self, answers: impl Stream<Item = T> + Send + 'static) -> impl Stream<Item = T> + Send {
        let mut answers = Box::pin(answers);
        stream::poll_fn(move |cx| self.poll(cx, |cx| answers.as_mut().poll_next(cx)))
    }

    /// Polls whatever asks the loaders, then what they load.
    fn poll<T>(&mut self, cx: &mut Context<'_>, mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        loop {
            let pause = Arc::new(Pause { only: AtomicBool::new(false), task: cx.waker().clone() });
            if let Poll::Ready(answer) = ask(&mut Context::from_waker(&Waker::from(pause.clone()))) {
                return Poll::Ready(answer);
            }
            if pause.only.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            while let Ok(batch) = self.begun.try_recv() {
                self.running.push(batch);
            }
            match self.running.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {} // one is there, so the request can go on
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Tells whether the request only made room for other tasks, and has called itself again: then it has more to ask.
struct Pause {
    only: AtomicBool,
    task: Waker,
}

impl Wake for Pause {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.only.store(true, Ordering::Relaxed);
        self.task.wake_by_ref();
    }
}
