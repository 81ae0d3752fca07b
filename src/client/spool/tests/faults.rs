//! Faults one by one, each with what a caller sees of it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::simulated::{Careless, Simulated};
use crate::client::spool::{
    AppendError, DeadLetter, OpenError, Sequence, Settings, SettleError, Spool, dead, disk::Disk, folder::Folder,
};

const SETTINGS: Settings = Settings { bytes_max: 1024 * 1024, segment_bytes: 4096 };

fn folder() -> Folder {
    Folder::new(Path::new("/spool"))
}

fn disk() -> Simulated {
    Simulated::new(1, Careless::Nowhere)
}

fn open(disk: &Simulated) -> Spool {
    Spool::open_on(Arc::new(disk.clone()), folder().root(), SETTINGS).unwrap()
}

fn letter(sequence: u64, bytes: Vec<u8>) -> DeadLetter {
    DeadLetter {
        sequence: Sequence(sequence),
        bytes,
        reason: "INVALID".to_owned(),
        message: "it is no audit".to_owned(),
        refused_at: DateTime::<Utc>::UNIX_EPOCH,
    }
}

async fn sequences(spool: &Spool) -> Vec<u64> {
    let records = spool.read(Sequence(0), usize::MAX, usize::MAX).await.unwrap();
    records.iter().map(|record| record.sequence.0).collect()
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_appends_work_again_once_there_is_room() {
    let disk = disk();
    let spool = open(&disk);
    spool.append(vec![b'x'; 1500]).await.unwrap(); // less than half of a segment, so there is no spare
    disk.fill_up_to(1000);
    assert!(matches!(spool.append(vec![b'y'; 3000]).await, Err(AppendError::Disk(_))));
    assert!(spool.status().trouble.unwrap().starts_with("the disk refused to keep audits"));
    assert!(spool.status().refusing.unwrap().starts_with("the spool's disk refused to keep it: "));
    let small = spool.append(vec![b'z'; 500]).await.unwrap();
    assert_eq!(spool.status().refusing, None);
    assert_eq!(small, Sequence(2), "what fits into the segment is kept, and the refused append left no hole");

    disk.heal();
    assert_eq!(spool.append(vec![b'y'; 3000]).await.unwrap(), Sequence(3));
    spool.close().await.unwrap();
    disk.crash();
    assert_eq!(sequences(&open(&disk)).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_full_disk_does_not_keep_the_queue_from_being_drained() {
    let disk = disk();
    let spool = open(&disk);
    for _ in 0..5 {
        spool.append(vec![b'x'; 3000]).await.unwrap();
    }
    disk.fill_up_to(0);
    spool.settle(Sequence(4), vec![]).await.unwrap();
    assert_eq!(spool.status().segments, 1);
    // Every settled segment made room for another.
    spool.append(vec![b'x'; 3000]).await.unwrap();
    disk.crash();
    assert_eq!(sequences(&open(&disk)).await, [5, 6]);
}

#[tokio::test]
async fn the_spare_segment_gives_its_room_to_a_dead_letter() {
    let disk = disk();
    let spool = open(&disk);
    let record = vec![b'x'; 3000];
    spool.append(record.clone()).await.unwrap();
    let spare = || disk.list(&folder().segments()).unwrap().iter().any(|name| name.starts_with("spare"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !spare() {
        assert!(Instant::now() < deadline, "no spare was made for a segment that is more than half full");
        tokio::task::yield_now().await;
    }
    let letter = letter(1, record);
    spool.0.core.wait_for_spare(); // its last bytes may still be on their way
    disk.fill_up_to(0);
    spool.settle(Sequence(1), vec![letter.clone()]).await.unwrap();
    assert!(!spare());
    assert_eq!(spool.status().dead, 1);

    spool.append(vec![b'y'; 500]).await.unwrap();
    disk.fill_up_to(0);
    let refused = spool.settle(Sequence(2), vec![DeadLetter { sequence: Sequence(2), ..letter }]).await;
    assert!(matches!(refused, Err(SettleError::Disk(_))));
    assert_eq!(sequences(&spool).await, [2], "without its letter it still waits");
}

#[tokio::test]
async fn a_sync_that_fails_once_is_counted_and_no_caller_notices() {
    let disk = disk();
    let spool = open(&disk);
    for _ in 0..3 {
        spool.append(vec![b'x'; 100]).await.unwrap();
    }
    let before = disk.list(&folder().segments()).unwrap();
    spool.settle(Sequence(1), vec![]).await.unwrap();
    disk.fail_syncs(0, 1);
    assert_eq!(spool.append(vec![b'y'; 100]).await.unwrap(), Sequence(4));

    let status = spool.status();
    assert_eq!((status.fsync_failures, status.appended, status.waiting), (1, 4, 3));
    assert!(status.trouble.unwrap().contains("what waited in it was written again"));
    let after = disk.list(&folder().segments()).unwrap();
    assert!(before.iter().all(|name| !after.contains(name)), "the failed segment is not used any more: {after:?}");
    disk.crash();
    assert_eq!(sequences(&open(&disk)).await, [2, 3, 4]);
}

#[tokio::test]
async fn a_disk_that_fails_every_sync_is_an_error_and_loses_nothing_from_before() {
    let disk = disk();
    let spool = open(&disk);
    spool.append(vec![b'x'; 100]).await.unwrap();
    for failing in 0..3 {
        disk.fail_syncs(0, u32::MAX);
        let refused = spool.append(vec![b'y'; 100]).await;
        assert!(matches!(refused, Err(AppendError::Disk(_))), "{failing}");
        assert!(matches!(spool.settle(Sequence(1), vec![]).await, Err(SettleError::Disk(_))));
        assert_eq!(sequences(&spool).await, [1]);
        disk.heal();
    }
    assert_eq!(spool.append(vec![b'z'; 100]).await.unwrap(), Sequence(2));
    spool.settle(Sequence(1), vec![]).await.unwrap();
    disk.crash();
    assert_eq!(sequences(&open(&disk)).await, [2]);
}

#[tokio::test]
async fn what_many_tasks_were_told_before_the_power_went_is_there() {
    for seed in 0..30 {
        let disk = Simulated::new(seed, Careless::Nowhere);
        let spool = open(&disk);
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let spool = spool.clone();
                tokio::spawn(async move {
                    let mut kept = Vec::new();
                    for number in 0.. {
                        let text = format!("{task} {number} {:300}", "");
                        match spool.append(text.clone().into_bytes()).await {
                            Ok(sequence) => kept.push((sequence, text)),
                            Err(_) => break,
                        }
                    }
                    kept
                })
            })
            .collect();
        let enough = spool.durable().wait_for(|last| *last >= Sequence(40 + seed)).await.map(|last| *last);
        enough.unwrap();
        disk.crash();
        let mut kept = Vec::new();
        for task in tasks {
            kept.extend(task.await.unwrap());
        }
        assert!(kept.len() >= 40);

        let spool = open(&disk);
        let found = spool.read(Sequence(0), usize::MAX, usize::MAX).await.unwrap();
        for (sequence, text) in kept {
            let record = found.iter().find(|record| record.sequence == sequence);
            assert_eq!(record.map(|record| &*record.bytes), Some(text.as_bytes()), "{sequence}");
        }
    }
}

#[tokio::test]
async fn a_cursor_that_is_damaged_falls_back_and_nothing_is_lost() {
    let disk = disk();
    let spool = open(&disk);
    for _ in 0..4 {
        spool.append(vec![b'x'; 100]).await.unwrap();
    }
    spool.settle(Sequence(2), vec![]).await.unwrap();
    spool.settle(Sequence(3), vec![]).await.unwrap();
    spool.close().await.unwrap();
    let newest = if disk.text(&folder().cursor(), 0, 30).contains("\"settled\":3") { 0 } else { 4096 };
    disk.flip(&folder().cursor(), 8 * (newest + 12));
    let spool = open(&disk);
    assert_eq!(sequences(&spool).await, [3, 4]);
    spool.close().await.unwrap();

    for line in [0, 4096] {
        disk.flip(&folder().cursor(), 8 * (line + 3));
    }
    let spool = open(&disk);
    assert_eq!(sequences(&spool).await, [1, 2, 3, 4], "the server knows repeats");
    assert!(spool.status().trouble.unwrap().starts_with("its cursor is missing or damaged"));
}

#[tokio::test]
async fn a_disk_that_fails_while_a_spool_is_opened_can_be_tried_again() {
    let mut refused = 0;
    for sync in 0..12 {
        let disk = disk();
        let spool = open(&disk);
        spool.append(vec![b'x'; 100]).await.unwrap();
        spool.close().await.unwrap();
        disk.fail_syncs(sync, 1);
        match Spool::open_on(Arc::new(disk.clone()), folder().root(), SETTINGS) {
            Ok(spool) => spool.close().await.unwrap(),
            Err(OpenError::Disk { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        disk.heal();
        disk.crash();
        assert_eq!(sequences(&open(&disk)).await, [1]);
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn a_letter_whose_folder_was_not_synced_is_written_again_before_the_cursor_moves() {
    for seed in 0..20 {
        let disk = Simulated::new(seed, Careless::Nowhere);
        let spool = open(&disk);
        spool.append(vec![b'x'; 100]).await.unwrap();
        let letters = vec![letter(1, vec![b'x'; 100])];
        disk.fail_syncs(1, 1); // the letter's own sync works
        assert!(matches!(spool.settle(Sequence(1), letters.clone()).await, Err(SettleError::Disk(_))));
        let again = DeadLetter { reason: "CONFLICT".to_owned(), ..letters[0].clone() };
        spool.settle(Sequence(1), vec![again.clone()]).await.unwrap();
        spool.settle(Sequence(1), letters).await.unwrap(); // settled long ago: nothing is written
        assert_eq!(spool.status().dead, 1);
        disk.crash();

        let spool = open(&disk);
        assert_eq!(spool.settled(), Sequence(1));
        let found = dead::list_on(&disk, &folder()).unwrap().letters;
        assert_eq!(found.into_iter().map(|(_, letter)| letter).collect::<Vec<_>>(), [again], "seed {seed}");
        assert_eq!(spool.status().dead, 1);
    }
}

#[tokio::test]
async fn a_letter_from_before_a_crash_is_written_again_under_its_name() {
    let disk = disk();
    let spool = open(&disk);
    spool.append(vec![b'x'; 100]).await.unwrap();
    disk.fail_syncs(2, 2); // the letter is there; the cursor is not, in place or anew
    let first = letter(1, vec![b'x'; 100]);
    assert!(spool.settle(Sequence(1), vec![first.clone()]).await.is_err());
    disk.kill();
    disk.heal();

    let spool = open(&disk);
    assert_eq!(spool.status().dead, 1);
    spool.settle(Sequence(1), vec![DeadLetter { reason: "CONFLICT".to_owned(), ..first }]).await.unwrap();
    assert_eq!(spool.status().dead, 1);
    assert_eq!(dead::list_on(&disk, &folder()).unwrap().letters.len(), 1);
}
