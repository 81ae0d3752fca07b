//! What is new, for those who follow it: each is told first what was recorded already, then what comes, in the order of the
//! journal, without a gap or a repeat.
//!
//! One worker of this process follows the journal and one the projection of remediations, woken by the one connection that
//! listens; both keep the newest in memory (`tail`). A follower keeps nothing but its place. It takes from memory what comes
//! after that place, a little at a time, and reads from the database what lies further back. Nothing is queued for a follower, so
//! a slow one costs little memory: it falls behind, and once it has fallen out of what is kept, it is told where to resume and
//! let go. Only who follows a timeline keeps more: the entries of that remediation, to fold them anew.

mod follow;
mod tail;
mod timeline;

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::sleep,
};

use crate::{
    audit::{Entry, Position, StreamId, limits},
    journal::read,
    projection::{self, Projection, event_index, remediations, signals::Signals},
    remediation::model::Summary,
    worker::{self, Pace, Progress, Shutdown},
};

use follow::{Entries, Summaries};
use tail::{Follower, Tail};

pub use follow::Following;
pub use timeline::{Fact, Timeline, Told};

/// How many items are read at a time.
const PAGE: i64 = 100;

/// The least that has to be kept: a batch comes all at once, and must not throw out who keeps up.
pub const KEPT_MIN: usize = limits::BATCH_MAX;

/// Most bytes of payloads that are kept in memory; a page more than this for a moment.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Most bytes of payloads that one who follows a timeline holds, to fold them anew.
const TIMELINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a summary takes in memory depends on its phases and approvals; this is a typical one.
const SUMMARY_BYTES: usize = 4 * 1024;

/// How often a worker looks for itself, in case a notification was lost with its connection, or somebody follows now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Bounds of the feed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Most that follow at the same time.
    pub followers_max: usize,
    /// How many of the newest events are kept in memory: so far may a live follower fall behind.
    pub kept_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { followers_max: 1_000, kept_max: 4_096 }
    }
}

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("too many follow already ({most}); try again shortly")]
    Full { most: usize },
    #[error(
        "you read more slowly than events come, and have fallen too far behind; resume from `extensions.watermark`"
    )]
    TooSlow,
    #[error(
        "the audits of this remediation have more than {} MiB, too much to follow as a timeline; follow `events` with a filter \
         on it",
        TIMELINE_BYTES_MAX / 1024 / 1024
    )]
    TooLarge,
    #[error("could not read what is recorded already")]
    Database(#[from] sqlx::Error),
    #[error("could not read a remediation that is recorded already")]
    Summary(#[source] anyhow::Error),
}

/// All events from somewhere on.
pub type Events = Following<Entries>;
/// All changes of remediations from somewhere on.
pub type Remediations = Following<Summaries>;

/// The feed of one process. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    /// For those who read what is recorded already.
    db: PgPool,
    entries: Arc<Tail<Entry>>,
    summaries: Arc<Tail<Summary>>,
    places: Arc<Semaphore>,
    settings: Settings,
}

impl Feed {
    /// Starts the workers. `work` is their pool, `read` that of the followers.
    pub fn start(
        work: PgPool,
        read: PgPool,
        signals: &Signals,
        shutdown: Shutdown,
        settings: Settings,
    ) -> (Feed, [JoinHandle<()>; 2]) {
        let feed = Feed {
            db: read,
            entries: Arc::new(Tail::new(settings.kept_max, BYTES_MAX)),
            summaries: Arc::new(Tail::new(settings.kept_max, BYTES_MAX)),
            places: Arc::new(Semaphore::new(settings.followers_max)),
            settings,
        };
        let pace = Pace { rest: LOOK_AGAIN, ..Pace::default() };
        let entries = {
            let (tail, db, wake, stop) =
                (feed.entries.clone(), work.clone(), signals.appended().ear(), shutdown.clone());
            tokio::spawn(async move {
                worker::run("feed of events", pace, wake, stop.clone(), || keep_entries(&db, &tail, &stop)).await;
            })
        };
        let summaries = {
            let (tail, wake, stop) = (feed.summaries.clone(), signals.projected().ear(), shutdown);
            tokio::spawn(async move {
                worker::run("feed of remediations", pace, wake, stop.clone(), || keep_summaries(&work, &tail, &stop))
                    .await;
            })
        };
        (feed, [entries, summaries])
    }

    /// Events that match, after `after` or from now on.
    pub async fn events(&self, filter: event_index::Filter, after: Option<Position>) -> Result<Events, FeedError> {
        let (follower, newest) = self.follow(&self.entries, || newest_entry(&self.db)).await?;
        let place = self.place()?;
        let source = Entries::new(self.db.clone(), filter);
        Ok(Following::new(source, follower, after.unwrap_or(newest), place))
    }

    /// Remediations that match, each time one has changed after `after` or from now on.
    pub async fn remediations(
        &self,
        filter: remediations::Filter,
        after: Option<Position>,
    ) -> Result<Remediations, FeedError> {
        let (follower, newest) = self.follow(&self.summaries, || newest_summary(&self.db)).await?;
        let place = self.place()?;
        let source = Summaries::new(self.db.clone(), filter);
        Ok(Following::new(source, follower, after.unwrap_or(newest), place))
    }

    /// The facts of one remediation, after `after` or from now on. Those that are known already are told as they stand by now:
    /// what another audit says better by then is left out.
    pub async fn timeline(&self, stream: StreamId, after: Option<Told>) -> Result<Timeline, FeedError> {
        let (follower, newest) = self.follow(&self.entries, || newest_entry(&self.db)).await?;
        let place = self.place()?;
        let known = after.map_or(newest, |told| newest.max(told.position));
        let entries = read::stream(&self.db, &stream, known).await?;
        let source = Entries::new(self.db.clone(), event_index::Filter::of_stream(&stream));
        let events = Following::new(source, follower, known, place);
        Timeline::new(entries, after.unwrap_or(Told::whole(known)), events)
    }

    /// How many follow now; who is counted misses nothing from then on.
    pub fn followers(&self) -> usize {
        self.settings.followers_max - self.places.available_permits()
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, FeedError> {
        let full = |_| FeedError::Full { most: self.settings.followers_max };
        self.places.clone().try_acquire_owned().map_err(full)
    }

    /// A follower of a tail that keeps what is new from now on at the latest, and how far that tail has come.
    async fn follow<T, Reading>(
        &self,
        tail: &Arc<Tail<T>>,
        newest: impl FnOnce() -> Reading,
    ) -> Result<(Follower<T>, Position), FeedError>
    where
        Reading: Future<Output = Result<Position, sqlx::Error>>,
    {
        let follower = tail.follow();
        if let Some(reached) = tail.reached() {
            return Ok((follower, reached));
        }
        // Nobody followed until now, so the worker rested.
        let reached = tail.begin(newest().await?);
        Ok((follower, reached))
    }
}

async fn newest_entry(db: &PgPool) -> Result<Position, sqlx::Error> {
    Ok(read::head(db).await?.last)
}

async fn newest_summary(db: &PgPool) -> Result<Position, sqlx::Error> {
    projection::cursor::position(db, Projection::Remediations).await
}

/// While nobody follows, a worker waits for who does, and for no call: each append is one, and to answer it would cost the thread
/// that answers the append. Within the time that a step may take it looks again.
async fn rest<T>(tail: &Tail<T>, shutdown: &Shutdown) -> Progress {
    let mut shutdown = shutdown.clone();
    tokio::select! {
        () = tail.begun() => {}
        () = shutdown.wait() => {}
        () = sleep(LOOK_AGAIN) => {}
    }
    Progress::Moved
}

/// Keeps what was appended since the last step.
async fn keep_entries(db: &PgPool, tail: &Tail<Entry>, shutdown: &Shutdown) -> anyhow::Result<Progress> {
    let Some(reached) = tail.reached_or_rest() else { return Ok(rest(tail, shutdown).await) };
    if newest_entry(db).await? <= reached {
        return Ok(Progress::CaughtUp);
    }
    let since = match tail.last() {
        Some(entry) => Some(entry.recorded_at),
        None => read::recorded_at(db, reached).await?,
    };
    let entries = read::after(db, reached, since.unwrap_or_default(), PAGE).await?;
    let Some(last) = entries.last().map(|entry| entry.position) else { return Ok(Progress::CaughtUp) };
    let sized = entries.into_iter().map(|entry| (entry.position, entry.event.payload.text().len(), entry));
    tail.keep(sized, last);
    Ok(Progress::Moved)
}

/// Keeps the remediations that have changed since the last step.
async fn keep_summaries(db: &PgPool, tail: &Tail<Summary>, shutdown: &Shutdown) -> anyhow::Result<Progress> {
    let Some(reached) = tail.reached_or_rest() else { return Ok(rest(tail, shutdown).await) };
    let changed = remediations::changed(db, &remediations::Filter::default(), reached, PAGE).await?;
    if changed.up_to <= reached {
        return Ok(Progress::CaughtUp);
    }
    let sized = changed.summaries.into_iter().map(|summary| (summary.last_position, SUMMARY_BYTES, summary));
    tail.keep(sized, changed.up_to);
    Ok(Progress::Moved)
}
