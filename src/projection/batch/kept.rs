//! The streams that were folded last, as they were read: a stream that goes on is not read again from its beginning.

use std::{
    mem::size_of,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use lru::LruCache;
use sqlx::PgConnection;

use crate::{
    audit::{Entry, Position, StreamId},
    journal::read,
};

/// Most bytes that they take, about.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// A stream of a larger share of them is not kept: it would be instead of all others.
const SHARE_MAX: usize = BYTES_MAX / 4;
/// For so many ranges a stream that has gone on since it was kept gives way to no other: where more streams go on in turn than there
/// is room for, each would else be gone before it is needed again.
const GOING_ON_STAYS: u64 = 16;
/// And one of which that is not known yet; most streams of a catch-up never come again.
const NEW_STAYS: u64 = 2;

/// A place in the journal that was read. Who finds the same there now has the same journal before it, too.
type Place = (Position, DateTime<Utc>);

/// Streams up to some entry each, whole, and how far the journal is known by which they were read.
pub struct Kept(Mutex<Inner>);

struct Inner {
    /// `None` while nothing is kept.
    known: Option<Place>,
    streams: LruCache<StreamId, Stream>,
    bytes: usize,
    /// How many ranges there were, and the end of the last.
    ranges: u64,
    last: Option<Place>,
}

struct Stream {
    /// Until which range it stays.
    stays_until: u64,
    /// In order of version.
    entries: Vec<Arc<Entry>>,
    bytes: usize,
}

/// What somebody knows of the journal: as long as nobody else has kept what comes of another reading, it is what is kept by.
pub struct Known(Option<Place>);

impl Default for Kept {
    fn default() -> Kept {
        Kept(Mutex::new(Inner { known: None, streams: LruCache::unbounded(), bytes: 0, ranges: 0, last: None }))
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
        inner.known = inner.known.max(Some(to));
        if inner.last.replace(to) != Some(to) {
            inner.ranges += 1;
        }
        known.0 = inner.known;
        for id in others {
            inner.remove(id);
        }
        for entries in going_on {
            let Some(id) = entries.first().map(|entry| entry.event.stream.clone()) else { continue };
            let before = inner.streams.peek(&id).map(|stream| stream.entries.len());
            if before.is_some_and(|before| before > entries.len()) {
                continue; // who is behind has less to say
            }
            let stays = if before.is_some_and(|before| before < entries.len()) { GOING_ON_STAYS } else { NEW_STAYS };
            inner.remove(&id);
            let bytes = entries.iter().map(|entry| bytes(entry)).sum();
            if bytes <= SHARE_MAX && inner.make_room(bytes) {
                let stays_until = inner.ranges + stays;
                inner.bytes += bytes;
                inner.streams.put(id, Stream { stays_until, entries, bytes });
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
    /// Whether there is room for so many bytes, once the streams are gone that need not stay.
    fn make_room(&mut self, bytes: usize) -> bool {
        while self.bytes + bytes > BYTES_MAX {
            let Some((id, oldest)) = self.streams.peek_lru() else { return false };
            if oldest.stays_until > self.ranges {
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
    size_of::<Entry>() + entry.event.payload.bytes()
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
        let text = BYTES_MAX / 9;
        let streams: Vec<_> = (0..6).map(|nth| named(stream(3, text), &format!("rr-{nth}"))).collect();
        let mut to = 20;
        let mut keep = |known: &mut Known, nth: &[usize], entries: usize| {
            to += 1;
            kept.keep(known, place(to), nth.iter().map(|nth| streams[*nth][..entries].to_vec()).collect(), &[]);
        };
        let there = |known: &Known, entries: usize| -> Vec<bool> {
            streams.iter().map(|stream| kept.before(known, &stream[entries]).is_some()).collect()
        };
        keep(&mut known, &[0, 1, 2, 3, 4, 5], 2);
        assert_eq!(there(&known, 2), [true, true, true, true, false, false]);
        let bytes: usize = streams[..4].iter().flat_map(|stream| &stream[..2]).map(|entry| super::bytes(entry)).sum();
        assert_eq!(kept.inner().bytes, bytes);
        keep(&mut known, &[4, 5], 2);
        assert_eq!(there(&known, 2), [true, true, true, true, false, false], "a range later they are still there");
        keep(&mut known, &[4, 5], 2);
        assert_eq!(there(&known, 2), [false, false, true, true, true, true], "and two ranges later they are not");
    }

    #[test]
    fn who_has_gone_on_stays_for_longer() {
        let (kept, mut known) = (Kept::default(), Known(None));
        let text = BYTES_MAX / 13; // three entries are not too large yet
        let [first, other] = ["rr-1", "rr-2"].map(|name| named(stream(4, text), name));
        kept.keep(&mut known, place(20), vec![first[..2].to_vec()], &[]);
        kept.keep(&mut known, place(30), vec![first[..3].to_vec()], &[]);
        for range in 1..GOING_ON_STAYS as i64 {
            // Ever new ones fill the room beside it; and three parts of a range are one range.
            for _ in 0..3 {
                let new = named(other.clone(), &format!("rr-new-{range}"));
                kept.keep(&mut known, place(30 + range), vec![new[..3].to_vec(), new[..3].to_vec()], &[]);
            }
            assert!(kept.before(&known, &first[3]).is_some(), "{range} ranges later");
        }
        let too_large = named(stream(5, text), "rr-large");
        kept.keep(&mut known, place(60), vec![too_large.clone()], &[]);
        assert_eq!(versions(kept.before(&known, &too_large[4])), None, "what is too large takes no room from others");
    }
}
