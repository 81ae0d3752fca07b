//! Reads that fail: what passes is waited for, and what never comes in is damage.

use std::{ops::Range, path::Path, sync::Arc};

use super::simulated::{Careless, Simulated};
use crate::client::spool::{
    AppendError, OpenError, ReadError, Sequence, Settings, Spool, disk::READ_TRIES, folder::Folder, segment,
};

const BLOCK: usize = 4096;
const BLOCKS: usize = 4;
const SETTINGS: Settings = Settings { bytes_max: 1024 * 1024, segment_bytes: (BLOCKS * BLOCK) as u64 };

/// With its frame's head and its length a record takes this, so five fill a segment.
const FRAME: usize = 3036;
const RECORD: usize = FRAME - 36;

fn folder() -> Folder {
    Folder::new(Path::new("/spool"))
}

fn try_open(disk: &Simulated) -> Result<Spool, OpenError> {
    Spool::open_on(Arc::new(disk.clone()), folder().root(), SETTINGS)
}

fn open(disk: &Simulated) -> Spool {
    try_open(disk).unwrap()
}

/// A spool of which nothing is in memory.
async fn reopened(disk: &Simulated, records: usize) -> Spool {
    let spool = open(disk);
    for _ in 0..records {
        spool.append(vec![b'x'; RECORD]).await.unwrap();
    }
    spool.close().await.unwrap();
    open(disk)
}

async fn sequences(spool: &Spool) -> Result<Vec<u64>, ReadError> {
    let records = spool.read(Sequence(0), usize::MAX, usize::MAX).await?;
    Ok(records.iter().map(|record| record.sequence.0).collect())
}

#[tokio::test]
async fn a_read_that_fails_while_a_failed_segment_is_saved_refuses_the_append_and_loses_nothing() {
    let disk = Simulated::new(1, Careless::Nowhere);
    let spool = reopened(&disk, 2).await;
    disk.fail_syncs(0, 1);
    disk.fail_reads(1, 1);
    assert!(matches!(spool.append(b"three".to_vec()).await, Err(AppendError::Disk(_))));
    assert_eq!(spool.status().quarantined.files, 0);
    assert_eq!(spool.append(b"three".to_vec()).await.unwrap(), Sequence(3));
    assert_eq!(sequences(&spool).await.unwrap(), [1, 2, 3]);
    disk.crash();
    assert_eq!(sequences(&open(&disk)).await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn a_read_that_fails_for_the_sender_can_be_tried_again() {
    let disk = Simulated::new(1, Careless::Nowhere);
    let spool = reopened(&disk, 2).await;
    disk.fail_reads(0, 1);
    assert!(matches!(sequences(&spool).await, Err(ReadError::Disk { .. })));
    assert_eq!(sequences(&spool).await.unwrap(), [1, 2]);
    assert_eq!(spool.status().quarantined.files, 0);
}

#[tokio::test]
async fn an_unreadable_block_takes_only_the_records_in_it_and_the_spool_opens() {
    let frames: [(usize, Range<u64>); 2] = [(0, 1..6), (1, 6..9)];
    for (at, held) in frames {
        for block in 0..BLOCKS {
            let disk = Simulated::new(1, Careless::Nowhere);
            reopened(&disk, 8).await.close().await.unwrap();
            let spoiled = block * BLOCK..(block + 1) * BLOCK;
            disk.spoil(&folder().segment([1, 6][at]), spoiled.clone());
            let start = |sequence: u64| segment::HEAD + (sequence - held.start) as usize * FRAME;
            let lost = |sequence: &u64| {
                held.contains(sequence) && start(*sequence) < spoiled.end && start(*sequence) + FRAME > spoiled.start
            };
            let left: Vec<u64> = (1..9).filter(|sequence| !lost(sequence)).collect();

            let spool = open(&disk);
            let status = spool.status();
            assert_eq!(sequences(&spool).await.unwrap(), left, "segment {at}, block {block}");
            if left.len() < 8 {
                assert!(status.quarantined.files > 0, "segment {at}, block {block}");
                assert!(status.trouble.unwrap().contains("are damaged, with the records"));
            }
            let next = spool.append(vec![b'y'; 100]).await.unwrap();
            assert!(next > Sequence(8), "segment {at}, block {block}: {next} was another record's");
            disk.crash();
            let spool = open(&disk);
            let expected: Vec<u64> = left.into_iter().chain([next.0]).collect();
            assert_eq!(sequences(&spool).await.unwrap(), expected, "segment {at}, block {block}");
            spool.settle(next, vec![]).await.unwrap();
            assert_eq!(spool.status().waiting, 0);
        }
    }
}

#[tokio::test]
async fn an_unreadable_block_behind_the_last_whole_record_is_not_taken_for_an_empty_one() {
    let disk = Simulated::new(1, Careless::Nowhere);
    let spool = open(&disk);
    spool.append(vec![b'x'; BLOCK - segment::HEAD - (FRAME - RECORD)]).await.unwrap();
    spool.append(vec![b'x'; 1000]).await.unwrap(); // it begins with the second block
    spool.close().await.unwrap();
    disk.spoil(&folder().segment(1), BLOCK..2 * BLOCK);
    let spool = open(&disk);
    assert_eq!(sequences(&spool).await.unwrap(), [1]);
    assert_eq!(spool.status().quarantined.files, 1);
    assert!(spool.append(b"next".to_vec()).await.unwrap() > Sequence(2));
}

#[tokio::test]
async fn a_block_that_can_be_read_again_was_left_as_it_lay() {
    let disk = Simulated::new(1, Careless::Nowhere);
    reopened(&disk, 4).await.close().await.unwrap();
    disk.spoil(&folder().segment(1), BLOCK..2 * BLOCK);
    let spool = open(&disk);
    assert_eq!(sequences(&spool).await.unwrap(), [1, 4]);
    spool.close().await.unwrap();
    disk.heal();
    assert_eq!(sequences(&open(&disk)).await.unwrap(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn an_unreadable_line_of_the_cursor_leaves_the_other() {
    for line in [0, BLOCK] {
        let disk = Simulated::new(1, Careless::Nowhere);
        let spool = reopened(&disk, 4).await;
        spool.settle(Sequence(2), vec![]).await.unwrap();
        spool.settle(Sequence(3), vec![]).await.unwrap();
        spool.close().await.unwrap();
        disk.spoil(&folder().cursor(), line..line + BLOCK);
        let found = sequences(&open(&disk)).await.unwrap();
        assert!(found == [4] || found == [3, 4], "{found:?}");
    }
}

#[tokio::test]
async fn a_disk_that_brings_in_nothing_is_an_error_and_nothing_is_taken_for_damaged() {
    let disk = Simulated::new(1, Careless::Nowhere);
    reopened(&disk, 2).await.close().await.unwrap();
    disk.fail_reads(0, u32::MAX);
    assert!(matches!(try_open(&disk), Err(OpenError::Disk { .. })));
    disk.heal();
    disk.spoil(&folder().segment(1), 0..BLOCKS * BLOCK);
    assert!(matches!(try_open(&disk), Err(OpenError::Disk { .. })));
}

#[tokio::test]
async fn a_read_that_fails_for_a_while_at_an_opening_loses_nothing() {
    let mut refused = 0;
    for after in 0..8 {
        let disk = Simulated::new(1, Careless::Nowhere);
        reopened(&disk, 2).await.close().await.unwrap();
        disk.fail_reads(after, READ_TRIES - 1);
        let spool = try_open(&disk).unwrap_or_else(|_| {
            refused += 1;
            disk.heal_reads();
            open(&disk)
        });
        disk.heal();
        assert_eq!(sequences(&spool).await.unwrap(), [1, 2], "{after}");
        assert_eq!(spool.status().quarantined.files, 0);
    }
    assert!(refused < 8, "an opening tries again by itself");
}

#[tokio::test]
async fn the_last_waiting_record_is_lost_and_who_waits_for_it_waits_no_more() {
    let disk = Simulated::new(1, Careless::Nowhere);
    let spool = reopened(&disk, 3).await;
    spool.settle(Sequence(2), vec![]).await.unwrap();
    assert_eq!(spool.settled(), Sequence(2));
    disk.flip(&folder().segment(1), 8 * (segment::HEAD + 2 * FRAME + 100));
    assert!(sequences(&spool).await.unwrap().is_empty());
    assert_eq!(spool.status().quarantined.files, 1);
    assert_eq!(spool.settled(), *spool.durable().borrow(), "nothing is left to wait for");
    disk.crash();
    let spool = open(&disk);
    assert_eq!(spool.settled(), *spool.durable().borrow());
    assert!(spool.append(b"next".to_vec()).await.unwrap() > Sequence(3));
    assert_eq!(sequences(&spool).await.unwrap().len(), 1);
}
