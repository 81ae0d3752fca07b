//! A frame: the records of one append as they lie in a segment, under one checksum, so that all of them are kept or none.
//!
//! ```text
//! body's length u32 | crc32c u32 | sequence of the first record u64 | kept at, in microseconds i64
//! records u32 | records that the same write holds before this frame u32 | body: for each record its length u32, its bytes
//! ```
//!
//! All numbers are little-endian; the checksum is over everything but itself. A frame tells its sequence, so that those behind
//! a damaged stretch are found and known again.

pub const HEAD: usize = 32;
const LENGTH: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pub first: u64,
    /// Microseconds since 1970.
    pub kept_at: i64,
    pub count: u32,
    /// Tells frames of one write from those of a later one. What is written later follows on what is certainly on disk.
    pub written_before: u32,
    /// Head and body.
    pub bytes: usize,
}

impl Head {
    pub fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }
}

/// What the records take on disk.
pub fn bytes_of(records: &[Vec<u8>]) -> usize {
    HEAD + records.iter().map(|record| LENGTH + record.len()).sum::<usize>()
}

/// Adds a frame of the records to `out`.
pub fn encode(out: &mut Vec<u8>, first: u64, kept_at: i64, written_before: u32, records: &[Vec<u8>]) {
    let start = out.len();
    let number = |value: usize| u32::try_from(value).expect("a frame is far smaller than 4 GiB").to_le_bytes();
    out.extend(number(bytes_of(records) - HEAD));
    out.extend([0; 4]);
    out.extend(first.to_le_bytes());
    out.extend(kept_at.to_le_bytes());
    out.extend(number(records.len()));
    out.extend(written_before.to_le_bytes());
    for record in records {
        out.extend(number(record.len()));
        out.extend(record);
    }
    let crc = checksum(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// The head of the frame that begins `bytes`, if there is a whole and undamaged one.
pub fn check(bytes: &[u8]) -> Option<Head> {
    let head = plausible(bytes)?;
    let frame = &bytes[..head.bytes];
    (checksum(frame) == u32_at(frame, 4)).then_some(head)
}

/// What a head seems to say. Cheap: it turns away nearly every place where no frame begins.
pub fn plausible(bytes: &[u8]) -> Option<Head> {
    let body = u32_at(bytes.get(..HEAD)?, 0) as usize;
    let head = Head {
        first: u64_at(bytes, 8),
        kept_at: u64_at(bytes, 16).cast_signed(),
        count: u32_at(bytes, 24),
        written_before: u32_at(bytes, 28),
        bytes: HEAD + body,
    };
    let fits = head.bytes <= bytes.len() && head.count > 0 && body >= LENGTH * head.count as usize;
    (fits && head.first > 0 && head.first < u64::MAX / 2).then_some(head)
}

/// The records of a frame that was checked, with their sequences.
pub fn records(frame: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let (first, mut rest) = (u64_at(frame, 8), &frame[HEAD..]);
    (first..).map_while(move |sequence| {
        let (length, behind) = rest.split_at_checked(LENGTH)?;
        let (record, behind) = behind.split_at_checked(u32_at(length, 0) as usize)?;
        rest = behind;
        Some((sequence, record))
    })
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes are eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_any_changed_bit_is_noticed() {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, 1_700_000_000_000_000, 3, &[b"one".to_vec(), Vec::new(), b"three".to_vec()]);

        let head = check(&bytes).unwrap();
        assert_eq!((head.first, head.last(), head.written_before, head.bytes), (7, 9, 3, bytes.len()));
        let read: Vec<_> = records(&bytes).collect();
        assert_eq!(read, [(7, b"one".as_slice()), (8, b"".as_slice()), (9, b"three".as_slice())]);

        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&changed), None, "bit {bit}");
        }
    }
}
