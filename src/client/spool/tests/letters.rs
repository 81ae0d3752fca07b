//! Dead letters, on the file system of this machine.

use std::fs;

use chrono::{DateTime, Utc};

use super::machine::{append, folder, open, texts};
use crate::client::spool::{DeadLetter, Sequence, dead};

fn letter(sequence: u64, text: &str) -> DeadLetter {
    DeadLetter {
        sequence: Sequence(sequence),
        bytes: text.as_bytes().to_vec(),
        reason: "CONFLICT".to_owned(),
        message: "the id was recorded with another `status`".to_owned(),
        refused_at: DateTime::<Utc>::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn dead_letters_are_listed_beside_the_process_and_moved_aside_once_replayed() {
    let folder = folder();
    let spool = open(&folder);
    append(&spool, &["one", "{\"two\": \"ü\"}", "three"]).await;
    let letters = vec![letter(2, "{\"two\": \"ü\"}"), letter(1, "one")];
    spool.settle(Sequence(2), letters.clone()).await.unwrap();
    spool.settle(Sequence(2), letters.clone()).await.unwrap();
    fs::write(folder.path().join("dead/notes.txt"), "mine").unwrap();

    let listing = dead::list(folder.path()).unwrap();
    let (names, found): (Vec<_>, Vec<_>) = listing.letters.into_iter().unzip();
    assert_eq!(found, [letters[1].clone(), letters[0].clone()]);
    assert_eq!(listing.others.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["notes.txt"]);
    assert_eq!(spool.status().dead, 2);
    assert_eq!(names[0], "00000000000000000001-conflict.json");

    spool.replayed(&names[0]).await.unwrap();
    assert_eq!(spool.status().dead, 1);
    assert!(folder.path().join("dead/replayed").join(&names[0]).is_file());
    assert!(dead::get(folder.path(), &names[0]).is_err());
    assert_eq!(dead::get(folder.path(), &names[1]).unwrap(), letters[0]);
    assert!(dead::replayed(folder.path(), "../spool.json").is_err());
    assert!(spool.replayed("../spool.json").await.is_err());
    assert_eq!(texts(&spool).await, ["three"]);
}

#[tokio::test]
async fn a_letter_that_another_process_replayed_is_noticed_at_the_next_count() {
    let folder = folder();
    let spool = open(&folder);
    append(&spool, &["one", "two", "three"]).await;
    spool.settle(Sequence(3), (1..=3).map(|at| letter(at, "it")).collect()).await.unwrap();
    let names: Vec<String> = dead::list(folder.path()).unwrap().letters.into_iter().map(|(name, _)| name).collect();
    dead::replayed(folder.path(), &names[0]).unwrap();
    spool.replayed(&names[1]).await.unwrap();
    assert_eq!(spool.status().dead, 1);
    spool.close().await.unwrap();
    assert_eq!(open(&folder).status().dead, 1);
}

#[tokio::test]
async fn a_letter_that_is_no_text_comes_back_to_the_byte() {
    let folder = folder();
    let spool = open(&folder);
    spool.append(vec![0, 255, 7]).await.unwrap();
    spool.settle(Sequence(1), vec![DeadLetter { bytes: vec![0, 255, 7], ..letter(1, "") }]).await.unwrap();
    assert_eq!(dead::list(folder.path()).unwrap().letters[0].1.bytes, [0, 255, 7]);
}
