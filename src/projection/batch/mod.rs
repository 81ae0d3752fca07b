//! What a step of the projections works on: the entries of a range of positions, and for those that come from the fold what the
//! streams tell that they touch, each read whole and folded. All projections need the same of the same range, so the workers of a
//! process read and fold it once, and while one range is being written the next is made ready.

mod kept;
mod shared;

use std::{borrow::Borrow, collections::BTreeMap, mem::take, panic::resume_unwind, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    Projection, Range,
    search_documents::{Document, documents},
};
use crate::{
    audit::{Entry, Position, StreamId},
    journal::read,
    postgres::{ANSWER_WAIT, in_time},
    remediation::{
        self,
        model::{Summary, ViewRow},
    },
};

use kept::Kept;
pub use shared::Batches;

/// Most positions in one range, but where streams are long: its entries and what comes of them are held in memory.
pub const POSITIONS_MAX: i64 = 2_000;

/// So many entries of streams are folded at once, and as many read meanwhile; or one stream.
const FOLDED_MAX: usize = 2_000;

/// A stream of the range.
pub struct Stream {
    pub id: StreamId,
    /// Its first entry; of that of the acts of administration, which nothing is folded from, the first in the range.
    pub first: Position,
    /// Its last entry in the range, or up to the position as of which it is folded.
    last: Position,
    /// `None` where its entries tell nothing.
    pub told: Option<Told>,
}

/// What a stream tells. The timeline, and most of what was read, is not held.
pub struct Told {
    pub summary: Summary,
    pub views: Vec<ViewRow>,
    /// Those that are new or may have changed, with when the event was recorded by which they became what they are.
    pub documents: Vec<(DateTime<Utc>, Document)>,
}

impl Stream {
    /// Whether the stream has no entry before the range, nor any that a later step has written already.
    pub fn begins_in(&self, range: Range) -> bool {
        range.as_of == range.to && self.first > range.from
    }

    /// Folds the entries of a stream, in order of version; with those of its documents that come of events after `from`.
    fn fold(id: StreamId, entries: &[Arc<Entry>], from: Option<Position>) -> Option<Stream> {
        let (first, last) = (entries.first()?.position, entries.last()?.position);
        let told = remediation::summary_and_views(entries.iter().map(Arc::as_ref)).map(|(summary, views)| {
            let recorded_at = |document: &Document| {
                entries[entries.partition_point(|entry| entry.position < document.position)].recorded_at
            };
            let made = |from| documents(entries, &summary).into_iter().filter(move |it| it.made_after(from));
            let documents = from.into_iter().flat_map(made).map(|it| (recorded_at(&it), it)).collect();
            Told { summary, views, documents }
        });
        Some(Stream { id, first, last, told })
    }
}

impl Told {
    /// How many bytes of text it holds, about.
    fn bytes(&self) -> usize {
        let fields = |row: &ViewRow| row.fields.values().map(text_bytes).sum::<usize>();
        self.views.iter().map(fields).sum::<usize>()
            + self.documents.iter().map(|(_, document)| document.text.len()).sum::<usize>()
    }
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + text_bytes(value)).sum(),
        _ => size_of::<Value>(),
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
    /// How many entries were folded.
    folded: usize,
    /// How many bytes the streams take, about.
    told: usize,
}

/// What is made of the streams of a range. What documents cannot be made of is no reason to have no summaries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// And the rows of the views.
    Summaries,
    /// Documents too.
    All,
}

impl Made {
    /// What a projection needs; `None` where nothing is folded for it.
    fn of(projection: Projection) -> Option<Made> {
        match projection {
            Projection::EventIndex => None,
            Projection::Remediations => Some(Made::Summaries),
            Projection::SearchDocuments => Some(Made::All),
        }
    }
}

impl Batch {
    /// Reads the range for one projection, and folds it where that comes from the fold.
    pub async fn read(db: &mut PgConnection, range: Range, projection: Projection) -> anyhow::Result<Batch> {
        let batch = Batch::read_entries(db, range).await?;
        let Some(made) = Made::of(projection) else { return Ok(batch) };
        batch.fold(db, range, made, ANSWER_WAIT, &Kept::default()).await
    }

    async fn read_entries(db: &mut PgConnection, range: Range) -> Result<Batch, sqlx::Error> {
        let entries = read::between(db, range.from, range.since, range.to).await?;
        let recorded_at = entries.last().filter(|entry| entry.position == range.to).map(|entry| entry.recorded_at);
        Ok(Batch {
            to: range.to,
            recorded_at,
            entries: entries.into_iter().map(Arc::new).collect(),
            streams: Vec::new(),
            folded: 0,
            told: 0,
        })
    }

    /// The same with the streams that its entries belong to, each made whole by what is kept or read, and folded. Some of them at
    /// a time: all together may be many times what the range holds.
    async fn fold(
        &self,
        db: &mut PgConnection,
        range: Range,
        made: Made,
        wait: Duration,
        kept: &Kept,
    ) -> anyhow::Result<Batch> {
        let mut known = in_time(wait, kept.known(db)).await?;
        let mut batch = Batch { entries: self.entries.clone(), streams: Vec::new(), ..*self };
        let documents_from = (made == Made::All).then_some(range.from);
        let mut folding: Option<JoinHandle<Part>> = None;
        for mut streams in parts(group(self.entries.iter().cloned())) {
            in_time(wait, complete(db, range, &mut streams, |next| kept.before(&known, next))).await?;
            if let Some(part) = folding.take() {
                batch.add(part, range, kept, &mut known).await?;
            }
            // The next is read meanwhile. It takes some hundred milliseconds, for which the other tasks of this thread need not wait.
            folding = Some(spawn_blocking(move || Part::fold(streams, documents_from)));
        }
        if let Some(part) = folding {
            batch.add(part, range, kept, &mut known).await?;
        }
        Ok(batch)
    }

    async fn add(
        &mut self,
        part: JoinHandle<Part>,
        range: Range,
        kept: &Kept,
        known: &mut kept::Known,
    ) -> anyhow::Result<()> {
        let part = match part.await {
            Ok(part) => part,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => return Err(error.into()), // the runtime stops
        };
        if let Some(recorded_at) = self.recorded_at.filter(|_| range.as_of == range.to) {
            kept.keep(known, (range.to, recorded_at), part.going_on, &part.others);
        }
        self.folded += part.folded;
        self.told += part.streams.iter().filter_map(|stream| stream.told.as_ref()).map(Told::bytes).sum::<usize>();
        self.streams.extend(part.streams);
        Ok(())
    }

    /// The entries of a range that is part of this one, in order.
    pub fn entries(&self, range: Range) -> Vec<&Entry> {
        let within = |entry: &&Entry| entry.position > range.from && entry.position <= range.to;
        self.entries.iter().map(Arc::as_ref).filter(within).collect()
    }

    /// The payloads of its entries, in bytes.
    fn payloads(&self) -> usize {
        self.entries.iter().map(|entry| entry.event.payload.text().len()).sum()
    }

    /// What it holds, in bytes of text, about.
    fn bytes(&self) -> usize {
        self.payloads() + self.told
    }

    /// The streams that were appended to after `from`.
    pub fn streams_after(&self, from: Position) -> Vec<&Stream> {
        self.streams.iter().filter(|stream| stream.last > from).collect()
    }
}

/// Some streams of a range, folded.
#[derive(Default)]
struct Part {
    streams: Vec<Stream>,
    folded: usize,
    /// The entries of those that are likely to go on, and the ids of the others.
    going_on: Vec<Vec<Arc<Entry>>>,
    others: Vec<StreamId>,
}

impl Part {
    fn fold(streams: Streams, documents_from: Option<Position>) -> Part {
        let mut part = Part::default();
        for (id, entries) in streams {
            let Some(stream) = Stream::fold(id, &entries, documents_from) else { continue };
            part.folded += entries.len();
            match &stream.told {
                Some(told) if told.summary.settled_at.is_none() => part.going_on.push(entries),
                _ => part.others.push(stream.id.clone()),
            }
            part.streams.push(stream);
        }
        part
    }
}

/// Entries of streams, in order of version.
type Streams = BTreeMap<StreamId, Vec<Arc<Entry>>>;

/// As many streams at a time as have no more entries than are to be folded at once, but one at least.
fn parts(streams: Streams) -> Vec<Streams> {
    let (mut parts, mut part, mut weight) = (Vec::new(), Streams::new(), 0);
    for (id, entries) in streams {
        // The last version is how many entries the stream has.
        let entries_whole = entries.last().map_or(0, |entry| usize::try_from(entry.version.0).unwrap_or(0));
        if weight + entries_whole > FOLDED_MAX && !part.is_empty() {
            parts.push(take(&mut part));
            weight = 0;
        }
        weight += entries_whole;
        part.insert(id, entries);
    }
    parts.push(part);
    parts
}

/// Makes the streams of a range whole, up to the place as of which they are folded; `before` gives what is kept of an entry's stream.
async fn complete(
    db: &mut PgConnection,
    range: Range,
    streams: &mut Streams,
    before: impl Fn(&Entry) -> Option<Vec<Arc<Entry>>>,
) -> Result<(), sqlx::Error> {
    if range.as_of == range.to {
        for entries in streams.values_mut() {
            if let Some(mut whole) = entries.first().and_then(|next| before(next)) {
                whole.append(entries);
                *entries = whole;
            }
        }
    }
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
