//! A segment: a file of the queue. A head, then frames, then zeros up to its size.

use std::ops::Range;

use uuid::Uuid;

use super::frame;

pub const HEAD: usize = 56;
const MAGIC: [u8; 8] = *b"BINSPOOL";
pub const VERSION: u32 = 1;

/// The head of a segment.
///
/// ```text
/// magic 8 bytes | version u32 | crc32c u32 | first u64 | behind u64 | the spool's id 16 bytes | zeros
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The sequence of its first record. It is the file's name too.
    pub first: u64,
    /// The record that this segment follows on: nothing behind it counts in the segments before. What lies there was never
    /// acknowledged, or was written here again.
    pub behind: u64,
    pub spool: Uuid,
}

#[derive(Debug, PartialEq, Eq)]
pub enum HeadError {
    Damaged,
    Newer(u32),
}

impl Head {
    pub fn encode(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.behind.to_le_bytes());
        bytes[32..48].copy_from_slice(self.spool.as_bytes());
        let crc = checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Head, HeadError> {
        let bytes = bytes.first_chunk::<HEAD>().ok_or(HeadError::Damaged)?;
        let crc = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes are four bytes"));
        if bytes[..8] != MAGIC || checksum(bytes) != crc {
            return Err(HeadError::Damaged);
        }
        let version = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes are four bytes"));
        if version != VERSION {
            return Err(HeadError::Newer(version));
        }
        Ok(Head {
            first: u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes are eight bytes")),
            behind: u64::from_le_bytes(bytes[24..32].try_into().expect("eight bytes are eight bytes")),
            spool: Uuid::from_bytes(bytes[32..48].try_into().expect("sixteen bytes are sixteen bytes")),
        })
    }
}

fn checksum(head: &[u8; HEAD]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[..12]), &head[16..])
}

/// Where a frame lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub first: u64,
    pub count: u32,
    pub start: u32,
    pub bytes: u32,
    /// In whole seconds since 1970, for an age needs no more and there are millions of these.
    pub kept_at_seconds: u32,
}

impl Place {
    pub fn new(head: &frame::Head, start: usize) -> Place {
        let small = |value: usize| u32::try_from(value).expect("a segment is far smaller than 4 GiB");
        Place {
            first: head.first,
            count: head.count,
            start: small(start),
            bytes: small(head.bytes),
            kept_at_seconds: u32::try_from(head.kept_at / 1_000_000).unwrap_or(0),
        }
    }

    pub fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    pub fn range(&self) -> Range<usize> {
        self.start as usize..(self.start + self.bytes) as usize
    }
}

/// What was found in a segment's bytes.
#[derive(Debug, Default)]
pub struct Scan {
    pub frames: Vec<Place>,
    pub damage: Vec<Stretch>,
    /// Bytes behind the last frame that are not zeros: a write that was not finished, or damage that cannot be told from it.
    pub tail: Option<Range<usize>>,
    /// Where the next frame would begin.
    pub end: usize,
}

/// Bytes between two frames that are none.
#[derive(Debug, PartialEq, Eq)]
pub struct Stretch {
    pub bytes: Range<usize>,
    /// The records around it; those between may have been in it.
    pub after: u64,
    pub before: u64,
    /// Whether something was written later, so that the bytes were certainly on disk once.
    pub acknowledged: bool,
}

/// Finds the frames in a segment, also those behind damage.
///
/// `behind` is the last record before this segment.
pub fn scan(bytes: &[u8], behind: u64) -> Scan {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut found = Scan { end: HEAD, ..Scan::default() };
    let mut last = behind;
    let mut at = HEAD;
    while at < written {
        if let Some(head) = frame::check(&bytes[at..]).filter(|head| head.first > last) {
            // A write begins anew behind what was damaged: then that had been acknowledged.
            let write_first = head.first.saturating_sub(u64::from(head.written_before));
            for stretch in &mut found.damage {
                stretch.acknowledged |= write_first > stretch.after + 1;
            }
            found.frames.push(Place::new(&head, at));
            last = head.last();
            at += head.bytes;
            found.end = at;
            continue;
        }
        let Some(next) = next_frame(bytes, at + 1, written, last) else {
            found.tail = Some(at..written);
            break;
        };
        let before = frame::plausible(&bytes[next..]).map_or(last + 1, |head| head.first);
        found.damage.push(Stretch { bytes: at..next, after: last, before, acknowledged: false });
        at = next;
    }
    found
}

/// Where the next frame behind `last` begins.
fn next_frame(bytes: &[u8], from: usize, written: usize, last: u64) -> Option<usize> {
    (from..written).find(|at| {
        let behind = &bytes[*at..];
        frame::plausible(behind).is_some_and(|head| head.first > last) && frame::check(behind).is_some()
    })
}

/// How many records may have been in that many bytes.
pub fn records_max(bytes: usize) -> u64 {
    (bytes / 4 + 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three writes: of one frame, of three, of one.
    fn segment() -> (Vec<u8>, Vec<usize>) {
        let head = Head { first: 1, behind: 0, spool: Uuid::nil() };
        let mut bytes = head.encode().to_vec();
        let mut starts = Vec::new();
        for (first, written_before) in [(1, 0), (2, 0), (3, 1), (4, 2), (5, 0)] {
            starts.push(bytes.len());
            frame::encode(&mut bytes, first, 0, written_before, &[format!("record {first}").into_bytes()]);
        }
        bytes.resize(1024, 0);
        (bytes, starts)
    }

    fn firsts(scan: &Scan) -> Vec<u64> {
        scan.frames.iter().map(|place| place.first).collect()
    }

    #[test]
    fn a_whole_segment_is_read_to_its_end() {
        let (bytes, _) = segment();
        let found = scan(&bytes, 0);
        assert_eq!(firsts(&found), [1, 2, 3, 4, 5]);
        assert_eq!((found.damage.len(), found.tail), (0, None));
        assert!(bytes[found.end..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn frames_behind_a_damaged_one_are_found_whatever_was_damaged_in_it() {
        let (whole, starts) = segment();
        for at in starts[1]..starts[2] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            let found = scan(&bytes, 0);
            assert_eq!(firsts(&found), [1, 3, 4, 5], "byte {at}");
            let stretch = Stretch { bytes: starts[1]..starts[2], after: 1, before: 3, acknowledged: true };
            assert_eq!(found.damage, [stretch]);
        }
    }

    #[test]
    fn a_hole_in_the_last_write_may_never_have_been_acknowledged() {
        let (mut bytes, starts) = segment();
        bytes[starts[4]..].fill(0);
        bytes[starts[2]..starts[3]].fill(0);
        let found = scan(&bytes, 0);
        assert_eq!(firsts(&found), [1, 2, 4]);
        assert!(!found.damage[0].acknowledged);
    }

    #[test]
    fn a_torn_tail_is_told_apart_from_damage() {
        let (mut bytes, starts) = segment();
        bytes[starts[4] + 20..].fill(0);
        let found = scan(&bytes, 0);
        assert_eq!(firsts(&found), [1, 2, 3, 4]);
        assert_eq!((found.damage.len(), found.end), (0, starts[4]));
        assert!(found.tail.is_some());
    }

    #[test]
    fn a_head_reads_back_and_a_newer_one_is_known_as_newer() {
        let head = Head { first: 9, behind: 8, spool: Uuid::from_u128(5) };
        assert_eq!(Head::decode(&head.encode()), Ok(head));
        for byte in 0..HEAD {
            let mut bytes = head.encode();
            bytes[byte] ^= 1;
            assert_eq!(Head::decode(&bytes), Err(HeadError::Damaged));
        }
        let mut newer = head.encode();
        newer[8] = 2;
        let crc = checksum(&newer);
        newer[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Head::decode(&newer), Err(HeadError::Newer(2)));
    }
}
