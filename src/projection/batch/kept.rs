//! The streams that were folded last, as they were read: a stream that goes on is not read again from its beginning.

use std::{
    mem::size_of,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use lru::LruCache;
use memchr::memchr_iter;
use sqlx::PgConnection;

use crate::{
    audit::{Entry, Position, StreamId},
    journal::read,
};

/// Most bytes that they take, about.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// A stream of a larger share of them is not kept: it would be instead of all others.
const SHARE_MAX: usize = BYTES_MAX / 4;
/// A stream that was kept of one of so many ranges, the latest, gives way to no other: where more streams go on in turn than there
/// is room for, each would else be gone before it is needed again.
const STAYS: u64 = 8;
/// What the fields take that were made of a payload, about, in bytes for each byte of its text, and for each object, be it small.
const BYTES_PER_BYTE: usize = 4;
const BYTES_PER_OBJECT: usize = 600;

/// A place in the journal that was read. Who finds the same there now has the same journal before it, too.
type Place = (Position, DateTime<Utc>);

/// Streams up to some entry each, whole, and how far the journal is known by which they were read.
pub struct Kept(Mutex<Inner>);

struct Inner {
    /// `None` while nothing is kept.
    known: Option<Place>,
    streams: LruCache<StreamId, Stream>,
    bytes: usize,
    /// How many ranges there were.
    ranges: u64,
}

struct Stream {
    /// Of which range it was kept last.
    range: u64,
    /// In order of version.
    entries: Vec<Arc<Entry>>,
    bytes: usize,
}

/// What somebody knows of the journal: as long as nobody else has kept what comes of another reading, it is what is kept by.
pub struct Known(Option<Place>);

impl Default for Kept {
    fn default() -> Kept {
        Kept(Mutex::new(Inner { known: None, streams: LruCache::unbounded(), bytes: 0, ranges: 0 }))
    }
}

impl Kept {
    /// Makes sure that the journal is the one that is known; of another one everything is forgotten.
    pub async fn known(&self, db: &mut PgConnection) -> Result<Known, sqlx::Error> {
        let known = self.inner().known;
        let Some(place) = known else { return Ok(Known(None)) };
        if !read::at(db, &[place]).await?.is_empty() {
            return Ok(Known(known));
        }
        self.forget();
        Ok(Known(None))
    }

    /// The entries of a stream before `next`, all of them; `None` where they have to be read.
    pub fn before(&self, known: &Known, next: &Entry) -> Option<Vec<Arc<Entry>>> {
        let mut inner = self.inner();
        if inner.known != known.0 {
            return None; // somebody else reads another part of the journal
        }
        let stream = inner.streams.get(&next.event.stream)?;
        let last = stream.entries.last()?;
        (last.version.0 + 1 == next.version.0 && last.position < next.position).then(|| stream.entries.clone())
    }

    /// Keeps streams that are likely to go on, whole up to `to` each, in the place of what was kept of them, as far as there is room
    /// beside those of the latest ranges; lets others go.
    pub fn keep(&self, known: &mut Known, to: Place, going_on: Vec<Vec<Arc<Entry>>>, others: &[StreamId]) {
        let mut inner = self.inner();
        if inner.known != known.0 {
            return;
        }
        if inner.known < Some(to) {
            inner.known = Some(to);
            inner.ranges += 1;
        }
        known.0 = inner.known;
        for id in others {
            inner.remove(id);
        }
        for entries in going_on {
            let Some(id) = entries.first().map(|entry| entry.event.stream.clone()) else { continue };
            if inner.streams.peek(&id).is_some_and(|stream| stream.entries.len() > entries.len()) {
                continue; // who is behind has less to say
            }
            inner.remove(&id);
            let bytes = entries.iter().map(|entry| bytes(entry)).sum();
            if bytes <= SHARE_MAX && inner.make_room(bytes) {
                let range = inner.ranges;
                inner.bytes += bytes;
                inner.streams.put(id, Stream { range, entries, bytes });
            }
        }
    }

    /// Everything, as what is read next may be of another journal.
    pub fn forget(&self) {
        let mut inner = self.inner();
        inner.known = None;
        inner.streams.clear();
        inner.bytes = 0;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether there is room for so many bytes, once the streams are gone that nobody went on with for long.
    fn make_room(&mut self, bytes: usize) -> bool {
        while self.bytes + bytes > BYTES_MAX {
            let Some((id, oldest)) = self.streams.peek_lru() else { return false };
            if oldest.range + STAYS > self.ranges {
                return false;
            }
            let id = id.clone();
            self.remove(&id);
        }
        true
    }

    fn remove(&mut self, id: &StreamId) {
        if let Some(stream) = self.streams.pop(id) {
            self.bytes -= stream.bytes;
        }
    }
}

fn bytes(entry: &Entry) -> usize {
    let text = entry.event.payload.text();
    size_of::<Entry>() + BYTES_PER_BYTE * text.len() + BYTES_PER_OBJECT * memchr_iter(b'{', text.as_bytes()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit::event::Payload, remediation::tests::kubernaut};

    /// So many entries of a stream, of which each stands at ten times its version.
    fn stream(entries: i32, text: usize) -> Vec<Arc<Entry>> {
        let one = kubernaut::sealed([&kubernaut::types()[0]]).remove(0);
        let nth = |version: i32| {
            let mut entry = one.clone();
            (entry.version.0, entry.position.0) = (version, i64::from(version) * 10);
            if text > 0 {
                entry.event.payload = Payload::from_text("x".repeat(text));
            }
            Arc::new(entry)
        };
        (1..=entries).map(nth).collect()
    }

    fn named(mut entries: Vec<Arc<Entry>>, name: &str) -> Vec<Arc<Entry>> {
        for entry in &mut entries {
            Arc::make_mut(entry).event.stream.remediation_id = name.to_string();
        }
        entries
    }

    fn place(position: i64) -> Place {
        (Position(position), DateTime::UNIX_EPOCH)
    }

    fn versions(entries: Option<Vec<Arc<Entry>>>) -> Option<usize> {
        entries.map(|entries| entries.len())
    }

    #[test]
    fn what_is_kept_of_a_stream_serves_its_next_entry_and_no_other() {
        let (kept, mut known) = (Kept::default(), Known(None));
        let whole = stream(6, 0);
        kept.keep(&mut known, place(40), vec![whole[..4].to_vec()], &[]);
        let served: Vec<_> = whole.iter().map(|next| versions(kept.before(&known, next))).collect();
        assert_eq!(served, [None, None, None, None, Some(4), None]);
        assert_eq!(versions(kept.before(&known, &named(whole.clone(), "rr-other")[4])), None);

        kept.keep(&mut known, place(50), vec![], &[whole[0].event.stream.clone()]);
        assert_eq!(versions(kept.before(&known, &whole[4])), None, "it is over");
    }

    #[test]
    fn who_knows_another_part_of_the_journal_neither_takes_nor_leaves_anything() {
        let (kept, mut known, mut other) = (Kept::default(), Known(None), Known(None));
        let whole = stream(6, 0);
        kept.keep(&mut known, place(40), vec![whole[..4].to_vec()], &[]);
        assert_eq!(versions(kept.before(&other, &whole[4])), None);
        kept.keep(&mut other, place(50), vec![whole[..5].to_vec()], &[]);
        assert_eq!(versions(kept.before(&known, &whole[4])), Some(4));
        kept.forget();
        assert_eq!(versions(kept.before(&known, &whole[4])), None);
        kept.keep(&mut known, place(40), vec![whole[..4].to_vec()], &[]);
        assert_eq!(versions(kept.before(&Known(None), &whole[4])), None, "what was forgotten does not come back");
    }

    #[test]
    fn who_is_behind_takes_nothing_from_who_is_ahead() {
        let (kept, mut known) = (Kept::default(), Known(None));
        let whole = stream(6, 0);
        kept.keep(&mut known, place(50), vec![whole[..5].to_vec()], &[]);
        kept.keep(&mut known, place(20), vec![whole[..2].to_vec()], &[]);
        assert_eq!(versions(kept.before(&known, &whole[5])), Some(5));
        assert_eq!(known.0, Some(place(50)));
    }

    #[test]
    fn who_is_kept_stays_while_it_goes_on_and_gives_way_when_it_has_not_for_long() {
        let (kept, mut known) = (Kept::default(), Known(None));
        // Of two entries each: four have room, five have not.
        let text = BYTES_MAX / BYTES_PER_BYTE / 9;
        let streams: Vec<_> = (0..6).map(|nth| named(stream(3, text), &format!("rr-{nth}"))).collect();
        let keep = |known: &mut Known, to: i64, nth: &[usize]| {
            kept.keep(known, place(to), nth.iter().map(|nth| streams[*nth][..2].to_vec()).collect(), &[]);
        };
        let there = |known: &Known| -> Vec<bool> {
            streams.iter().map(|stream| kept.before(known, &stream[2]).is_some()).collect()
        };
        // In turn, and more than there is room for.
        for range in 0..3 {
            keep(&mut known, 20 + range, &[0, 1, 2, 3, 4, 5]);
            assert_eq!(there(&known), [true, true, true, true, false, false]);
        }
        let bytes: usize = streams[..4].iter().flat_map(|stream| &stream[..2]).map(|entry| super::bytes(entry)).sum();
        assert_eq!(kept.inner().bytes, bytes);

        for range in 0..STAYS as i64 {
            keep(&mut known, 30 + range, &[1, 2, 3]);
        }
        keep(&mut known, 50, &[4]);
        assert_eq!(there(&known), [false, true, true, true, true, false]);

        let too_large = named(stream(5, text), "rr-large");
        kept.keep(&mut known, place(60), vec![too_large], &[]);
        assert_eq!(
            there(&known),
            [false, true, true, true, true, false],
            "what is too large takes no room from others"
        );
    }
}
