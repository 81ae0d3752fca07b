//! What nested fields read, in batches: one statement for all the objects of a level.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::{DataLoader, Loader};
use sqlx::PgPool;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::Result;
use crate::{
    audit::{Entry, Position, StreamId},
    deadline,
    error::ClientError,
    journal::read,
    projection::{event_index, remediations},
    remediation::{self, model::Summary},
};

pub use crate::remediation::Folded;

/// The folds of all remediations of one page, read when the first of them is needed.
pub struct PageFolds {
    db: PgPool,
    /// Each with the position up to which the list has shown it, so that what is nested agrees with the list.
    streams: Vec<(StreamId, Position)>,
    folds: OnceCell<Result<HashMap<StreamId, Arc<Folded>>>>,
}

impl PageFolds {
    pub fn new(db: PgPool, streams: Vec<(StreamId, Position)>) -> PageFolds {
        PageFolds { db, streams, folds: OnceCell::new() }
    }

    pub async fn get(&self, stream: &StreamId) -> Result<Arc<Folded>> {
        let folds = self.folds.get_or_init(|| fold(&self.db, &self.streams)).await.as_ref().map_err(Clone::clone)?;
        folds.get(stream).cloned().ok_or_else(|| {
            ClientError::hidden(&std::io::Error::other(format!("stream {stream} is listed and has no entries")))
        })
    }
}

/// Reads and folds several streams, each up to a position, with one statement.
pub async fn fold(db: &PgPool, streams: &[(StreamId, Position)]) -> Result<HashMap<StreamId, Arc<Folded>>> {
    let (streams, up_to): (Vec<_>, Vec<_>) = streams.iter().cloned().unzip();
    let entries = read::streams(db, &streams, &up_to).await?;
    let folds = remediations::group(entries).into_iter().filter_map(|(stream, entries)| {
        let folded = remediation::fold(&entries, None)?;
        Some((stream, Arc::new(Folded::new(entries, folded))))
    });
    Ok(folds.collect())
}

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
            let folds = fold(&self.0, &wanted).await?;
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

/// The loaders of one request.
pub struct Loaders {
    pub entries: DataLoader<Entries>,
    pub summaries: DataLoader<Summaries>,
    pub folds: DataLoader<Folds>,
    pub children: DataLoader<Children>,
}

impl Loaders {
    pub fn new(db: &PgPool) -> Loaders {
        Loaders {
            entries: DataLoader::new(Entries(db.clone()), deadline::spawn),
            summaries: DataLoader::new(Summaries(db.clone()), deadline::spawn),
            folds: DataLoader::new(Folds(db.clone()), deadline::spawn),
            children: DataLoader::new(Children(db.clone()), deadline::spawn),
        }
    }
}
