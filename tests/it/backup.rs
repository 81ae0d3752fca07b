//! Backups of the embedded store, and what comes back from them.

use std::fs;

use binnacle::postgres::{self, BackupError, ManifestError};
use indicatif::ProgressBar;

use crate::support::store::{Folder, in_folder, read_note, start, write_note};

#[tokio::test]
async fn a_backup_of_a_running_and_of_a_stopped_store_restores_what_was_written() {
    let (store, running, stopped) = (Folder::new(), Folder::new(), Folder::new());
    let embedded = start(&store).await;
    write_note(&embedded.owner_url(), "first").await;
    postgres::backup(in_folder(&store), &running.0, &ProgressBar::hidden()).await.unwrap();
    write_note(&embedded.owner_url(), "second").await;
    embedded.stop().await;
    postgres::backup(in_folder(&store), &stopped.0, &ProgressBar::hidden()).await.unwrap();

    for (backup, note) in [(&running, "first"), (&stopped, "second")] {
        let target = Folder::new();
        let bar = ProgressBar::hidden();
        let restored = postgres::restore(in_folder(&target), &backup.0, &bar).await.unwrap();
        assert_eq!(read_note(&restored.owner_url()).await, note);
        restored.stop().await;
        start(&target).await.stop().await;
    }
}

#[tokio::test]
async fn nothing_is_backed_up_over_or_restored_over() {
    let (store, target) = (Folder::new(), Folder::new());
    start(&store).await.stop().await;
    fs::write(target.0.join("something"), "of value").unwrap();

    let error = postgres::backup(in_folder(&store), &target.0, &ProgressBar::hidden()).await.unwrap_err();
    assert!(matches!(error, BackupError::TargetNotEmpty { .. }), "{error}");

    let backup = Folder::new();
    postgres::backup(in_folder(&store), &backup.0, &ProgressBar::hidden()).await.unwrap();
    let error = postgres::restore(in_folder(&store), &backup.0, &ProgressBar::hidden()).await.unwrap_err();
    assert!(matches!(error, BackupError::StoreNotEmpty { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_backup_is_not_restored() {
    let (store, backup, target) = (Folder::new(), Folder::new(), Folder::new());
    start(&store).await.stop().await;
    postgres::backup(in_folder(&store), &backup.0, &ProgressBar::hidden()).await.unwrap();
    let victim = backup.0.join("global/pg_control");
    let whole = fs::read(&victim).unwrap();

    let mut changed = whole.clone();
    changed[100] ^= 1;
    for (bytes, what) in
        [(Some(changed), "has other content"), (Some(whole[..9].to_vec()), "has 9 bytes"), (None, "is missing")]
    {
        match bytes {
            Some(bytes) => fs::write(&victim, bytes).unwrap(),
            None => fs::remove_file(&victim).unwrap(),
        }
        let error = postgres::restore(in_folder(&target), &backup.0, &ProgressBar::hidden()).await.unwrap_err();
        assert!(error.to_string().starts_with("the backup is damaged: `global/pg_control` "), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }

    fs::write(&victim, whole).unwrap();
    fs::remove_file(backup.0.join("backup_manifest")).unwrap();
    let error = postgres::restore(in_folder(&target), &backup.0, &ProgressBar::hidden()).await.unwrap_err();
    assert!(matches!(error, BackupError::Manifest(ManifestError::Missing { .. })), "{error}");
    assert!(!target.0.join("postgres").exists());
}
