//! A store in a folder of its own, for stories about what happens to it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use binnacle::postgres::{DataDir, Embedded, EmbeddedOptions};
use sqlx::Connection;

use super::postgres::{connect, memory};

pub const DEADLINE: Duration = Duration::from_secs(60);

pub async fn start(folder: &Folder) -> Embedded {
    Embedded::start(in_folder(folder)).await.unwrap()
}

pub fn in_folder(folder: &Folder) -> EmbeddedOptions {
    EmbeddedOptions { data_dir: DataDir::Path(folder.0.clone()), pg_bin_dir: None }
}

pub async fn write_note(url: &str, note: &str) {
    let mut connection = connect(url).await;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS notes (note text)").execute(&mut connection).await.unwrap();
    sqlx::query("INSERT INTO notes VALUES ($1)").bind(note).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub async fn read_note(url: &str) -> String {
    let mut connection = connect(url).await;
    sqlx::query_scalar("SELECT note FROM notes ORDER BY ctid DESC LIMIT 1").fetch_one(&mut connection).await.unwrap()
}

pub async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !met() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A folder that Postgres's own account can reach, and that goes with this value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let path = memory().unwrap_or(PathBuf::from("/tmp"));
        let path = path.join(format!("binnacle-test-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
