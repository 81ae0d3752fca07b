//! The embedded Postgres: one owner of its folder, and whatever crashes, it starts again with its data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use binnacle::postgres::{DataDir, Embedded, EmbeddedError, EmbeddedOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::PgConnection;

use crate::support::postgres::connect;
use crate::support::store::{DEADLINE, Folder, in_folder, read_note, start, until, write_note};

#[tokio::test]
async fn a_second_owner_of_the_data_folder_is_refused_with_the_way_out() {
    let folder = Folder::new();
    let first = start(&folder).await;

    let error = Embedded::start(in_folder(&folder)).await.unwrap_err();

    assert!(matches!(error, EmbeddedError::Owned { .. }), "{error}");
    assert!(error.to_string().contains("--data-dir"), "{error}");
    first.stop().await;
    start(&folder).await.stop().await;
}

#[tokio::test]
async fn data_outlive_a_stop() {
    let folder = Folder::new();
    let embedded = start(&folder).await;
    write_note(&embedded.owner_url(), "kept").await;
    embedded.stop().await;

    let embedded = start(&folder).await;

    assert_eq!(read_note(&embedded.owner_url()).await, "kept");
    embedded.stop().await;
    assert!(!folder.0.join("postgres/postmaster.pid").exists());
}

#[tokio::test]
async fn a_killed_postgres_is_started_again_with_its_data() {
    let folder = Folder::new();
    let embedded = start(&folder).await;
    write_note(&embedded.owner_url(), "kept").await;

    kill(postmaster(&folder.0), Signal::SIGKILL).unwrap();

    until("postgres is started again", || embedded.restarts_total() == 1).await;
    assert_eq!(read_note(&embedded.owner_url()).await, "kept");
    embedded.stop().await;
}

#[tokio::test]
async fn after_a_crash_of_binnacle_its_guard_stops_postgres() {
    let folder = Folder::new();
    let mut holder = hold(&folder).await;
    let left = postmaster(&folder.0);

    holder.kill().unwrap();
    holder.wait().unwrap();

    until("the guard has stopped postgres", || !alive(left)).await;
    let embedded = start(&folder).await;
    assert_eq!(read_note(&embedded.owner_url()).await, "held");
    embedded.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_postgres_that_a_crash_left_running_is_stopped_and_its_data_are_there() {
    let folder = Folder::new();
    let mut holder = hold(&folder).await;
    let left = postmaster(&folder.0);

    kill(guard_of(holder.id()), Signal::SIGKILL).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(alive(left));

    let embedded = start(&folder).await;
    assert_ne!(postmaster(&folder.0), left);
    assert_eq!(read_note(&embedded.owner_url()).await, "held");
    embedded.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn children_of_a_killed_postgres_do_not_keep_binnacle_from_starting() {
    let folder = Folder::new();
    let mut holder = hold(&folder).await;
    let left = postmaster(&folder.0);
    let mut session = connect_as_admin(&folder).await;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut session).await.unwrap();

    // A frozen child cannot see that its postmaster is gone, and holds the shared memory.
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    kill(guard_of(holder.id()), Signal::SIGKILL).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    kill(left, Signal::SIGKILL).unwrap();
    until("the postmaster is gone", || !alive(left)).await;

    let starting = tokio::spawn(Embedded::start(in_folder(&folder)));
    let log = folder.0.join("postgres.log");
    until("a start met the child", || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("pre-existing shared memory block"))
    })
    .await;
    kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();

    let embedded = starting.await.unwrap().unwrap();
    assert_eq!(read_note(&embedded.owner_url()).await, "held");
    embedded.stop().await;
}

#[tokio::test]
async fn a_stale_pid_file_is_no_obstacle_even_if_its_number_is_another_process_now() {
    let folder = Folder::new();
    start(&folder).await.stop().await;
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();

    for pid in [gone.id(), std::process::id()] {
        let cluster = folder.0.join("postgres");
        let text = format!("{pid}\n{}\n1700000000\n5432\n/tmp\n\n  123 456\nready\n", cluster.display());
        fs::write(cluster.join("postmaster.pid"), text).unwrap();
        start(&folder).await.stop().await;
    }
}

#[tokio::test]
async fn a_folder_of_another_major_version_is_refused_naming_both() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("postgres")).unwrap();
    fs::write(folder.0.join("postgres/PG_VERSION"), "15\n").unwrap();

    let error = Embedded::start(in_folder(&folder)).await.unwrap_err();

    assert!(matches!(error, EmbeddedError::OtherMajor { found: 15, major: 16.., .. }), "{error}");
    assert!(error.to_string().contains("written by postgres 15"), "{error}");
    assert!(error.to_string().contains("--pg-bin-dir"), "{error}");
}

#[tokio::test]
async fn what_an_interrupted_start_left_is_no_obstacle() {
    let folder = Folder::new();
    let half = folder.0.join("postgres.new-1");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("half"), "made").unwrap();

    start(&folder).await.stop().await;

    assert!(!half.exists());
}

#[tokio::test]
async fn a_throwaway_store_leaves_nothing_stopped_or_dropped() {
    let throwaway = || EmbeddedOptions { data_dir: DataDir::Throwaway, pg_bin_dir: None };
    let stopped = Embedded::start(throwaway()).await.unwrap();
    let dropped = Embedded::start(throwaway()).await.unwrap();
    let folders = [stopped.data_dir().to_owned(), dropped.data_dir().to_owned()];

    stopped.stop().await;
    assert!(!folders[0].exists());
    drop(dropped);
    until("the guard has tidied up", || !folders[1].exists()).await;
}

#[tokio::test]
async fn a_postgres_that_cannot_be_started_again_is_told() {
    let folder = Folder::new();
    let embedded = start(&folder).await;

    fs::remove_file(folder.0.join("postgres/global/pg_control")).unwrap();
    kill(postmaster(&folder.0), Signal::SIGQUIT).unwrap();

    let error = tokio::time::timeout(DEADLINE, embedded.died()).await.expect("it is told in time");
    assert!(matches!(error, EmbeddedError::Died { .. }), "{error}");
    embedded.stop().await;
}

/// Not a test: the process that other tests kill. It runs the store in the folder that they name.
#[tokio::test]
#[ignore = "other tests start it in a process of its own"]
async fn holds_a_store_until_killed() {
    let folder = PathBuf::from(std::env::var_os(HOLD).unwrap());
    let options = EmbeddedOptions { data_dir: DataDir::Path(folder.clone()), pg_bin_dir: None };
    let embedded = Embedded::start(options).await.unwrap();
    write_note(&embedded.owner_url(), "held").await;
    fs::write(folder.join("held"), "").unwrap();
    std::future::pending::<()>().await;
}

const HOLD: &str = "BINNACLE_TEST_HOLD";

async fn hold(folder: &Folder) -> Child {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "embedded::holds_a_store_until_killed"])
        .env(HOLD, &folder.0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the other process runs the store", || {
        assert!(holder.try_wait().unwrap().is_none(), "the other process ended");
        folder.0.join("held").exists()
    })
    .await;
    holder
}

#[cfg(target_os = "linux")]
async fn connect_as_admin(folder: &Folder) -> PgConnection {
    let text = fs::read_to_string(folder.0.join("postgres/postmaster.pid")).unwrap();
    let sockets = text.lines().nth(4).unwrap();
    connect(&format!("postgres:///binnacle?host={sockets}&port=5432&user=binnacle_admin&sslmode=disable")).await
}

fn postmaster(folder: &Path) -> Pid {
    let text = fs::read_to_string(folder.join("postgres/postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

/// A process that has ended but was not yet waited for counts as gone.
fn alive(pid: Pid) -> bool {
    let zombie = fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')));
    !zombie && kill(pid, None).is_ok()
}

#[cfg(target_os = "linux")]
fn guard_of(parent: u32) -> Pid {
    let children =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    children
        .filter(|pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let ours = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)) == Some(&parent.to_string());
            ours && String::from_utf8_lossy(&line).contains("binnacle-guard")
        })
        .map(Pid::from_raw)
        .next()
        .expect("the other process has a guard")
}
