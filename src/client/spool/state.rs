//! What a spool knows of itself in memory: where every waiting record lies, the newest of them as they are, and what is told
//! to operators.

use std::{collections::VecDeque, path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tracing::{info, warn};

use super::{
    disk::File,
    frame,
    quarantine::Quarantined,
    segment::{self, Place},
};

/// Newest frames that are also held in memory, so that a sender that keeps up reads nothing from disk.
const TAIL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Shares of the bound at which operators are warned, in percent.
const ALARMS: [u8; 2] = [50, 80];

/// What operators are told.
#[derive(Clone, Serialize, Debug)]
pub struct Status {
    /// What the waiting records take. The folder may hold up to three segments more: one that is settled in part, one that is
    /// not yet full, and one that is made before it is needed.
    pub bytes: u64,
    pub bytes_max: u64,
    /// The highest share of `bytes_max` that is passed, of 50 and 80 percent.
    pub alarm: Option<u8>,
    /// Records that are neither recorded nor dead.
    pub waiting: u64,
    /// When the oldest of them was kept, to the second.
    pub oldest_kept_at: Option<DateTime<Utc>>,
    pub segments: u64,
    /// Dead letters that were not replayed. One that another process replayed counts until this one replays one or opens again.
    pub dead: u64,
    /// What could not be read and was copied aside.
    pub quarantined: Quarantined,
    pub fsync_failures: u64,
    /// Records kept since this process opened the spool.
    pub appended: u64,
    /// Why the last append was refused; nothing once one is kept again.
    pub refusing: Option<String>,
    /// The last thing that went wrong, whether or not it was coped with.
    pub trouble: Option<String>,
}

pub struct Segment {
    /// Names it in this process, also when another file takes its place.
    pub id: u64,
    pub behind: u64,
    pub path: PathBuf,
    /// The file of the segment that is written: while the disk fails it, another may stand under its name.
    pub file: Option<Arc<dyn File>>,
    /// Its frames that wait.
    pub frames: VecDeque<Place>,
}

/// A frame in memory.
struct Newest {
    last: u64,
    bytes: Arc<[u8]>,
}

#[derive(Default)]
pub struct State {
    /// In order; the last is the one that is written.
    pub segments: VecDeque<Segment>,
    /// By their last record. All of them are in segments too.
    newest: VecDeque<Newest>,
    newest_bytes: usize,
    pub settled: u64,
    /// The last record that is certainly on disk.
    pub durable: u64,
    pub bytes: u64,
    pub bytes_max: u64,
    alarm: Option<u8>,
    pub waiting: u64,
    pub dead: u64,
    pub quarantined: Quarantined,
    pub fsync_failures: u64,
    pub appended: u64,
    pub refusing: Option<String>,
    pub trouble: Option<String>,
    pub closed: bool,
    segments_made: u64,
}

impl State {
    pub fn new(bytes_max: u64) -> State {
        State { bytes_max, ..State::default() }
    }

    pub fn add_segment(&mut self, head: segment::Head, path: PathBuf, file: Arc<dyn File>) {
        self.end_segment();
        self.segments_made += 1;
        self.segments.push_back(Segment {
            id: self.segments_made,
            behind: head.behind,
            path,
            file: Some(file),
            frames: VecDeque::new(),
        });
    }

    /// Nothing is written to the last segment any more.
    pub fn end_segment(&mut self) {
        if let Some(last) = self.segments.back_mut() {
            last.file = None;
        }
    }

    /// Counts frames as waiting that lie in the last segment, their places being relative to `at`.
    pub fn count(&mut self, places: &[Place], at: usize) {
        let at = u32::try_from(at).expect("a segment is far smaller than 4 GiB");
        for place in places.iter().filter(|place| place.last() > self.settled) {
            let segment = self.segments.back_mut().expect("frames lie in a segment");
            segment.frames.push_back(Place { start: at + place.start, ..*place });
            self.bytes += u64::from(place.bytes);
            self.waiting += waiting_of(place, self.settled);
            self.durable = self.durable.max(place.last());
        }
        self.look_at_bytes();
    }

    /// Its frames are to be counted elsewhere.
    pub fn drop_last_segment(&mut self) {
        for place in self.segments.pop_back().into_iter().flat_map(|segment| segment.frames) {
            self.bytes -= u64::from(place.bytes);
            self.waiting -= waiting_of(&place, self.settled);
        }
    }

    pub fn remember(&mut self, last: u64, bytes: &[u8]) {
        self.newest_bytes += bytes.len();
        self.newest.push_back(Newest { last, bytes: bytes.into() });
        while self.newest_bytes > TAIL_BYTES_MAX {
            self.forget_oldest();
        }
    }

    /// The frame that ends with this record, if it is in memory.
    pub fn newest(&self, last: u64) -> Option<Arc<[u8]>> {
        let at = self.newest.binary_search_by_key(&last, |newest| newest.last).ok()?;
        Some(self.newest[at].bytes.clone())
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.newest.pop_front() {
            self.newest_bytes -= oldest.bytes.len();
        }
    }

    /// How far the cursor may go once everything up to `up_to` is settled: over what is missing too, for no reader will
    /// ever get that, and a segment may only go when the cursor is past all that it held.
    pub fn reach(&self, up_to: u64) -> u64 {
        let next = self.segments.iter().flat_map(|segment| &segment.frames).find(|place| place.last() > up_to);
        match next {
            Some(place) => up_to.max(place.first - 1),
            None => up_to.max(self.durable),
        }
    }

    /// Forgets what is settled, and hands over the segments that are needed no more.
    pub fn settle(&mut self, up_to: u64) -> Vec<Segment> {
        for segment in &mut self.segments {
            while let Some(place) = segment.frames.front() {
                self.waiting -= waiting_of(place, self.settled) - waiting_of(place, up_to);
                if place.last() > up_to {
                    break;
                }
                self.bytes -= u64::from(place.bytes);
                segment.frames.pop_front();
            }
            if !segment.frames.is_empty() {
                break;
            }
        }
        self.settled = up_to;
        while self.newest.front().is_some_and(|newest| newest.last <= up_to) {
            self.forget_oldest();
        }
        self.look_at_bytes();

        let mut gone = Vec::new();
        while self.segments.len() > 1 && self.segments[0].frames.is_empty() {
            gone.extend(self.segments.pop_front());
        }
        gone
    }

    /// Takes a frame out that turned out to be damaged. False if it is not there any more.
    pub fn strike_out(&mut self, segment: u64, first: u64) -> bool {
        let Some(segment) = self.segments.iter_mut().find(|known| known.id == segment) else {
            return false;
        };
        let Ok(at) = segment.frames.binary_search_by_key(&first, |place| place.first) else {
            return false;
        };
        let place = segment.frames.remove(at).expect("it was found there");
        self.bytes -= u64::from(place.bytes);
        self.waiting -= waiting_of(&place, self.settled);
        true
    }

    pub fn oldest_kept_at(&self) -> Option<DateTime<Utc>> {
        let oldest = self.segments.iter().find_map(|segment| segment.frames.front())?;
        DateTime::from_timestamp(i64::from(oldest.kept_at_seconds), 0)
    }

    pub fn alarm(&self) -> Option<u8> {
        self.alarm
    }

    /// Says once when a share of the bound is passed, and once when all is well again.
    fn look_at_bytes(&mut self) {
        let passed = |percent: &u8| self.bytes > self.bytes_max / 100 * u64::from(*percent);
        let alarm = ALARMS.into_iter().rfind(passed);
        if alarm == self.alarm {
            return;
        }
        let (bytes, bytes_max, waiting) = (self.bytes, self.bytes_max, self.waiting);
        match alarm {
            Some(percent) if alarm > self.alarm => {
                warn!(bytes, bytes_max, waiting, "the spool is more than {percent} % full: {waiting} records wait");
            }
            Some(percent) => info!(bytes, bytes_max, waiting, "the spool is down to between {percent} % and 80 %"),
            None => info!(bytes, bytes_max, waiting, "the spool is less than half full again"),
        }
        self.alarm = alarm;
    }
}

/// How many records of a frame lie behind `settled`.
fn waiting_of(place: &Place, settled: u64) -> u64 {
    place.last().saturating_sub(settled).min(u64::from(place.count))
}

/// The records of a checked frame that lie behind `after`.
pub fn records_behind(frame: &[u8], after: u64) -> impl Iterator<Item = (u64, &[u8])> {
    frame::records(frame).filter(move |(sequence, _)| *sequence > after)
}
