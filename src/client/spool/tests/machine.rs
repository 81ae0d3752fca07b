//! On the file system of this machine.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::client::spool::{AppendError, OpenError, Record, SEGMENT_BYTES_MIN, Sequence, Settings, SettleError, Spool};

const SMALL: Settings = Settings { bytes_max: 1024 * 1024, segment_bytes: SEGMENT_BYTES_MIN };

pub(super) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn open(folder: &TempDir) -> Spool {
    Spool::open(folder.path(), SMALL).unwrap()
}

/// Opens a folder that is not fit for it and says why not.
fn refused(folder: &Path) -> String {
    match Spool::open(folder, SMALL) {
        Ok(_) => panic!("`{}` was opened", folder.display()),
        Err(error) => error.to_string(),
    }
}

pub(super) async fn append(spool: &Spool, texts: &[&str]) {
    for text in texts {
        spool.append(text.as_bytes().to_vec()).await.unwrap();
    }
}

/// Enough records of 100 bytes for several segments, each saying its number.
async fn fill(spool: &Spool, count: usize) {
    for number in 1..=count {
        spool.append(format!("{number:0100}").into_bytes()).await.unwrap();
    }
}

async fn all(spool: &Spool) -> Vec<Record> {
    spool.read(Sequence(0), usize::MAX, usize::MAX).await.unwrap()
}

pub(super) async fn texts(spool: &Spool) -> Vec<String> {
    all(spool).await.into_iter().map(|record| String::from_utf8(record.bytes).unwrap()).collect()
}

fn segments(folder: &TempDir) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder.path().join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "segment"))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn what_waits_is_there_in_order_after_reopening_and_what_is_settled_is_not() {
    let folder = folder();
    let spool = open(&folder);
    append(&spool, &["one", "two"]).await;
    let pair = spool.append_all(vec![b"three".to_vec(), b"four".to_vec()]).await.unwrap();
    assert_eq!(pair, [Sequence(3), Sequence(4)]);
    spool.settle(Sequence(1), vec![]).await.unwrap();
    spool.close().await.unwrap();

    let spool = open(&folder);
    assert_eq!(texts(&spool).await, ["two", "three", "four"]);
    assert_eq!((spool.settled(), *spool.durable().borrow()), (Sequence(1), Sequence(4)));
    assert_eq!(spool.append(b"five".to_vec()).await.unwrap(), Sequence(5));
    let two = spool.read(Sequence(2), 2, usize::MAX).await.unwrap();
    assert_eq!(two.iter().map(|record| record.sequence.0).collect::<Vec<_>>(), [3, 4]);
    let one = spool.read(Sequence(2), 100, 0).await.unwrap();
    assert_eq!(one.len(), 1, "one record comes whatever the bounds");
    assert_eq!(spool.status().waiting, 4);
}

#[tokio::test]
async fn settled_segments_go_and_sequences_never_go_back() {
    let folder = folder();
    let spool = open(&folder);
    fill(&spool, 200).await;
    assert!(segments(&folder).len() > 4);
    spool.settle(Sequence(200), vec![]).await.unwrap();
    assert_eq!(segments(&folder).len(), 1);
    let status = spool.status();
    assert_eq!((status.bytes, status.waiting, status.oldest_kept_at), (0, 0, None));
    spool.close().await.unwrap();

    let spool = open(&folder);
    assert_eq!(spool.append(b"next".to_vec()).await.unwrap(), Sequence(201));
}

#[tokio::test]
async fn many_segments_are_read_back_from_disk_in_pieces() {
    let folder = folder();
    let spool = open(&folder);
    fill(&spool, 300).await;
    spool.close().await.unwrap();

    let spool = open(&folder);
    let (mut at, mut numbers) = (Sequence(0), Vec::new());
    loop {
        let records = spool.read(at, 7, 1000).await.unwrap();
        let Some(last) = records.last() else { break };
        at = last.sequence;
        numbers
            .extend(records.into_iter().map(|record| String::from_utf8(record.bytes).unwrap().parse::<u64>().unwrap()));
    }
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_closed_spool_does_nothing_more() {
    let folder = folder();
    let spool = open(&folder);
    append(&spool, &["one"]).await;
    spool.close().await.unwrap();
    assert!(matches!(spool.append(b"two".to_vec()).await, Err(AppendError::Closed)));
    assert!(matches!(spool.settle(Sequence(1), vec![]).await, Err(SettleError::Closed)));
    assert!(spool.read(Sequence(0), 1, 1).await.is_err());
    spool.close().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_name() {
    let folder = folder();
    let settings = Settings { bytes_max: 1000, ..SMALL };
    let spool = Spool::open(folder.path(), settings).unwrap();
    let huge = spool.append(vec![b'x'; 5 * 1024 * 1024]).await.unwrap_err().to_string();
    assert_eq!(huge, "5242880 bytes are too many at once: at most 4194304");

    append(&spool, &[&"x".repeat(600)]).await;
    assert_eq!(spool.status().alarm, Some(50));
    let full = spool.append(vec![b'x'; 600]).await.unwrap_err().to_string();
    assert_eq!(full, "the spool is full: 636 of 1000 bytes wait to be recorded");
    assert_eq!(spool.status().refusing, Some(full));
    append(&spool, &[&"x".repeat(200)]).await;
    assert_eq!((spool.status().alarm, spool.status().refusing), (Some(80), None));

    spool.settle(Sequence(1), vec![]).await.unwrap();
    assert_eq!(spool.status().alarm, None);
    append(&spool, &[&"x".repeat(600)]).await;
    let beyond = spool.settle(Sequence(9), vec![]).await.unwrap_err().to_string();
    assert_eq!(beyond, "record 9 cannot be settled: the last one kept is 3");
}

#[tokio::test]
async fn an_append_larger_than_a_segment_gets_one_of_its_own() {
    let folder = folder();
    let spool = open(&folder);
    let large = "x".repeat(50_000);
    append(&spool, &["one", &large, "three"]).await;
    spool.close().await.unwrap();
    assert_eq!(texts(&open(&folder)).await, ["one", &large, "three"]);
}

#[tokio::test]
async fn a_second_process_is_refused_with_the_number_of_the_first() {
    let folder = folder();
    let spool = open(&folder);
    let refusal = refused(folder.path());
    assert!(refusal.contains(&folder.path().display().to_string()), "{refusal}");
    assert!(refusal.contains(&format!("in use by process {}", std::process::id())), "{refusal}");
    spool.close().await.unwrap();
    open(&folder);
}

#[tokio::test]
async fn a_torn_tail_is_left_out_and_its_sequence_is_not_used_again() {
    let folder = folder();
    let spool = open(&folder);
    append(&spool, &["one", "two", "three"]).await;
    spool.close().await.unwrap();
    let path = &segments(&folder)[0];
    let bytes = fs::read(path).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(path, &bytes[..written - 1]).unwrap();

    let spool = open(&folder);
    assert_eq!(texts(&spool).await, ["one", "two"]);
    assert_eq!(spool.status().quarantined.files, 1);
    assert!(spool.append(b"four".to_vec()).await.unwrap() > Sequence(3));
    spool.close().await.unwrap();
    assert_eq!(texts(&open(&folder)).await, ["one", "two", "four"]);
}

#[tokio::test]
async fn damage_is_set_aside_and_what_lies_behind_it_is_delivered() {
    let folder = folder();
    let spool = open(&folder);
    fill(&spool, 100).await;
    spool.close().await.unwrap();
    let path = &segments(&folder)[1];
    let mut bytes = fs::read(path).unwrap();
    bytes[500] ^= 1;
    fs::write(path, &bytes).unwrap();

    let spool = open(&folder);
    let numbers: Vec<u64> = all(&spool).await.iter().map(|record| record.sequence.0).collect();
    assert_eq!(numbers.len(), 99);
    let missing = (1..=100).find(|number| !numbers.contains(number)).unwrap();
    let status = spool.status();
    assert_eq!(status.quarantined.files, 1);
    assert!(status.trouble.unwrap().contains(&format!("the records {missing} to {missing}")));
    let note = fs::read_dir(folder.path().join("quarantine")).unwrap().map(|entry| entry.unwrap().path());
    let note = note.into_iter().find(|path| path.extension().unwrap() == "json").unwrap();
    let note: serde_json::Value = serde_json::from_slice(&fs::read(note).unwrap()).unwrap();
    assert_eq!((note["first"].as_u64(), note["acknowledged"].as_bool()), (Some(missing), Some(true)));

    // What is settled takes the damage with it, and the next opening has nothing to tell.
    spool.settle(Sequence(100), vec![]).await.unwrap();
    spool.close().await.unwrap();
    assert_eq!(open(&folder).status().trouble, None);
}

#[tokio::test]
async fn damage_done_while_the_spool_is_open_stops_nothing() {
    let folder = folder();
    let spool = open(&folder);
    fill(&spool, 100).await;
    spool.close().await.unwrap();
    let spool = open(&folder); // nothing of it is in memory now
    let path = &segments(&folder)[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[500] ^= 1;
    fs::write(path, &bytes).unwrap();

    assert_eq!(all(&spool).await.len(), 99);
    let status = spool.status();
    assert_eq!((status.quarantined.files, status.waiting), (1, 99));
}

#[tokio::test]
async fn a_missing_segment_stops_the_opening_until_somebody_accepts_the_loss() {
    let folder = folder();
    let spool = open(&folder);
    fill(&spool, 100).await;
    spool.close().await.unwrap();
    let gone = &segments(&folder)[1];
    let kept = fs::read(gone).unwrap();
    fs::remove_file(gone).unwrap();

    let refusal = refused(folder.path());
    let accept = refusal.split('`').nth(3).unwrap().to_owned();
    assert!(refusal.starts_with("a segment with the records "), "{refusal}");
    fs::write(gone, kept).unwrap();
    let spool = open(&folder);
    assert_eq!(all(&spool).await.len(), 100);
    spool.close().await.unwrap();

    fs::remove_file(gone).unwrap();
    assert!(matches!(Spool::open(folder.path(), SMALL), Err(OpenError::SegmentMissing { .. })));
    fs::write(accept, "").unwrap();
    let numbers: Vec<u64> = all(&open(&folder)).await.iter().map(|record| record.sequence.0).collect();
    assert!(numbers.len() < 100 && numbers.first() == Some(&1) && numbers.last() == Some(&100));
}

#[tokio::test]
async fn segments_that_are_all_gone_stop_the_opening() {
    let folder = folder();
    let spool = open(&folder);
    fill(&spool, 10).await;
    spool.settle(Sequence(4), vec![]).await.unwrap();
    spool.close().await.unwrap();
    fs::remove_file(&segments(&folder)[0]).unwrap();
    let refusal = refused(folder.path());
    assert!(refusal.contains("used up to record 4 and its segments are gone"));
    fs::write(refusal.split('`').nth(3).unwrap(), "").unwrap();
    assert!(open(&folder).append(b"next".to_vec()).await.unwrap() > Sequence(10));
}

#[tokio::test]
async fn a_copy_without_its_last_segment_is_noticed() {
    let folder = folder();
    let spool = open(&folder);
    fill(&spool, 100).await;
    spool.settle(Sequence(1), vec![]).await.unwrap();
    spool.close().await.unwrap();
    fs::remove_file(segments(&folder).last().unwrap()).unwrap();

    let refusal = refused(folder.path());
    assert!(refusal.contains(" to 100 is missing"), "{refusal}");
    fs::write(refusal.split('`').nth(3).unwrap(), "").unwrap();
    let spool = open(&folder);
    assert_eq!(spool.append(b"next".to_vec()).await.unwrap(), Sequence(101));
}

#[tokio::test]
async fn a_lost_cursor_means_that_all_is_sent_again() {
    let folder = folder();
    let spool = open(&folder);
    append(&spool, &["one", "two"]).await;
    spool.settle(Sequence(1), vec![]).await.unwrap();
    spool.close().await.unwrap();
    fs::remove_file(folder.path().join("cursor")).unwrap();

    let spool = open(&folder);
    assert_eq!(texts(&spool).await, ["one", "two"]);
    assert!(spool.status().trouble.unwrap().starts_with("its cursor is missing"));
}

#[tokio::test]
async fn a_cursor_behind_the_last_record_loses_nothing() {
    let folder = folder();
    let spool = open(&folder);
    append(&spool, &["one", "two", "three"]).await;
    spool.close().await.unwrap();
    let early = fs::read(&segments(&folder)[0]).unwrap();
    let spool = open(&folder);
    append(&spool, &["four"]).await;
    spool.settle(Sequence(4), vec![]).await.unwrap();
    spool.close().await.unwrap();
    fs::write(&segments(&folder)[0], early).unwrap();

    let spool = open(&folder);
    assert!(spool.status().trouble.unwrap().contains("behind its last record"));
    assert_eq!(spool.append(b"five".to_vec()).await.unwrap(), Sequence(5));
    spool.close().await.unwrap();
    assert_eq!(texts(&open(&folder)).await, ["five"]);
}

#[tokio::test]
async fn a_folder_that_is_none_of_this_spool_is_refused_and_the_way_out_is_told() {
    let outer = folder();
    let file = outer.path().join("file");
    fs::write(&file, "mine").unwrap();
    assert!(refused(&file).contains("is a file; name a folder"));
    assert!(refused(&file.join("below")).contains("is a file"));
    assert_eq!(fs::read(&file).unwrap(), b"mine");

    let folder = folder();
    let spool = open(&folder);
    append(&spool, &["one"]).await;
    spool.close().await.unwrap();
    let identity = folder.path().join("spool.json");
    let own = fs::read_to_string(&identity).unwrap();

    fs::write(&identity, own.replace("\"format\":1", "\"format\":2")).unwrap();
    assert!(
        refused(folder.path()).contains("has format 2 and this program knows formats up to 1; use a newer program")
    );
    fs::write(&identity, "{}").unwrap();
    assert!(refused(folder.path()).contains("cannot be read as what it should be"));
    fs::remove_file(&identity).unwrap();
    assert!(refused(folder.path()).contains("has segments but no `spool.json`"));
    let other = own.replace(|letter: char| letter.is_ascii_hexdigit() && letter.is_numeric() && letter != '1', "2");
    fs::write(&identity, other).unwrap();
    assert!(refused(folder.path()).contains("belongs to another spool"));

    fs::write(&identity, own).unwrap();
    assert_eq!(texts(&open(&folder)).await, ["one"]);
    let odd = Settings { segment_bytes: 1, ..SMALL };
    assert!(matches!(Spool::open(folder.path(), odd), Err(OpenError::SegmentBytes { .. })));
}

#[tokio::test]
async fn the_last_durable_record_wakes_a_reader() {
    let folder = folder();
    let spool = open(&folder);
    let mut durable = spool.durable();
    let reader = tokio::spawn(async move { durable.wait_for(|last| *last >= Sequence(2)).await.map(|last| *last) });
    append(&spool, &["one", "two"]).await;
    assert_eq!(reader.await.unwrap().unwrap(), Sequence(2));
}
