//! The embedded Postgres: one owner, whatever crashes; its backups; and the servers that Binnacle refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use binnacle::postgres::{
    self, BackupError, DataDir, Embedded, EmbeddedError, EmbeddedOptions, Guarding, ManifestError, PoolSettings, Pools,
    PrepareError, ServerError, Unfit,
};
use indicatif::ProgressBar;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};

use crate::support::postgres::{connect, database, options};

const DEADLINE: Duration = Duration::from_secs(60);

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
    fs::create_dir(folder.0.join("postgres.new")).unwrap();
    fs::write(folder.0.join("postgres.new/half"), "made").unwrap();

    start(&folder).await.stop().await;

    assert!(!folder.0.join("postgres.new").exists());
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
async fn the_embedded_server_is_fit_and_its_database_is_utf8_with_checksums() {
    let database = database().await;
    let pools = Pools::open(&options(&database.service_url), &PoolSettings::default());

    postgres::check_server(&pools.append).await.unwrap();
    postgres::check_server(&pools.read).await.unwrap();

    let made: (String, String, String, String) = sqlx::query_as(
        "SELECT pg_encoding_to_char(encoding), datctype, current_setting('data_checksums'), \
                current_setting('statement_timeout')
         FROM pg_database WHERE datname = current_database()",
    )
    .fetch_one(&pools.read)
    .await
    .unwrap();
    assert_eq!(made, ("UTF8".into(), "C.UTF-8".into(), "on".into(), "10s".into()));
    pools.close().await;
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_acknowledged_is_refused_with_every_reason() {
    let folder = Folder::new();
    let embedded = start(&folder).await;
    let mut admin = connect(&embedded.admin_url("binnacle")).await;
    for change in [
        "ALTER SYSTEM SET fsync = off",
        "ALTER SYSTEM SET full_page_writes = off",
        "ALTER ROLE binnacle_service SET synchronous_commit = local",
        "SELECT pg_reload_conf()",
    ] {
        sqlx::raw_sql(change).execute(&mut admin).await.unwrap();
    }
    let deadline = Instant::now() + DEADLINE;
    while sqlx::query_scalar::<_, String>("SHOW fsync").fetch_one(&mut admin).await.unwrap() == "on" {
        assert!(Instant::now() < deadline, "the settings are not read again");
    }

    let pools = Pools::open(&options(&embedded.service_url()), &PoolSettings::default());
    let error = postgres::check_server(&pools.append).await.unwrap_err();

    let ServerError::Unfit(reasons) = &error else { panic!("{error}") };
    let asynchronous = Unfit::AsyncCommit { found: "local".into(), role: "binnacle_service".into() };
    let expected = [Unfit::Unsafe { setting: "fsync" }, Unfit::Unsafe { setting: "full_page_writes" }, asynchronous];
    assert_eq!(reasons, &expected);
    assert!(error.to_string().contains("ALTER SYSTEM SET fsync = on"), "{error}");
    embedded.stop().await;
}

#[tokio::test]
async fn replicas_that_start_together_all_find_the_database_prepared() {
    let folder = Folder::new();
    let embedded = start(&folder).await;
    let (owner, service) = (options(&embedded.owner_url()), options(&embedded.service_url()));

    let replicas: Vec<_> = (0..8)
        .map(|_| {
            let (owner, service) = (owner.clone(), service.clone());
            tokio::spawn(async move { postgres::prepare(&owner, &service).await })
        })
        .collect();

    for replica in replicas {
        assert_eq!(replica.await.unwrap().unwrap(), Guarding::RolesAndTriggers);
    }
    embedded.stop().await;
}

#[tokio::test]
async fn the_service_address_alone_is_enough_once_the_owner_has_migrated() {
    let folder = Folder::new();
    let embedded = start(&folder).await;
    let (owner, service) = (options(&embedded.owner_url()), options(&embedded.service_url()));

    let error = postgres::prepare(&service, &service).await.unwrap_err();
    assert!(matches!(error, PrepareError::NotOwner { .. }), "{error}");
    assert!(error.to_string().contains("--owner-url"), "{error}");

    postgres::prepare(&owner, &service).await.unwrap();
    postgres::prepare(&service, &service).await.unwrap();
    embedded.stop().await;
}

#[tokio::test]
async fn a_database_that_a_newer_binnacle_migrated_is_refused() {
    let database = database().await;
    let mut owner = connect(&database.owner_url).await;
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (987654, 'from the future', true, '', 1)",
    )
    .execute(&mut owner)
    .await
    .unwrap();

    let error = postgres::prepare(&options(&database.owner_url), &options(&database.service_url)).await.unwrap_err();

    assert!(matches!(error, PrepareError::Newer { version: 987654 }), "{error}");
}

#[tokio::test]
async fn a_role_that_is_not_there_is_made_or_asked_for() {
    let folder = Folder::new();
    let embedded = start(&folder).await;
    let owner = options(&embedded.owner_url());
    let missing = options(&embedded.service_url()).username("an \"odd\" name");

    let error = postgres::prepare(&owner, &missing).await.unwrap_err();
    assert!(matches!(error, PrepareError::Role { .. }), "{error}");

    let admin = options(&embedded.admin_url("binnacle"));
    assert_eq!(postgres::prepare(&admin, &missing).await.unwrap(), Guarding::RolesAndTriggers);
    embedded.stop().await;
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

#[tokio::test]
async fn the_service_role_writes_what_can_be_rebuilt_and_nothing_else() {
    let folder = Folder::new();
    let embedded = start(&folder).await;
    let mut owner = connect(&embedded.owner_url()).await;
    sqlx::raw_sql(
        "CREATE TABLE audit_events (position bigint) PARTITION BY RANGE (position);
         CREATE TABLE audit_events_first PARTITION OF audit_events FOR VALUES FROM (1) TO (10);
         CREATE TABLE event_keys (event_id int);
         CREATE TABLE notes_view (id bigint GENERATED ALWAYS AS IDENTITY, note text);
         CREATE FUNCTION journal_append(n int) RETURNS int SECURITY DEFINER LANGUAGE sql RETURN n;
         CREATE FUNCTION journal_append_at(n int) RETURNS int SECURITY DEFINER LANGUAGE sql RETURN n;
         CREATE FUNCTION journal_ensure_partition() RETURNS int SECURITY DEFINER LANGUAGE sql RETURN 1;",
    )
    .execute(&mut owner)
    .await
    .unwrap();

    postgres::grant(&mut owner, "binnacle_service").await.unwrap();

    let mut service = connect(&embedded.service_url()).await;
    for allowed in [
        "SELECT position FROM audit_events",
        "SELECT event_id FROM event_keys",
        "INSERT INTO notes_view (note) VALUES ('a')",
        "UPDATE notes_view SET note = 'b'",
        "DELETE FROM notes_view",
        "SELECT journal_append(1)",
        "SELECT journal_ensure_partition()",
    ] {
        sqlx::raw_sql(allowed).execute(&mut service).await.unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    for refused in [
        "INSERT INTO audit_events VALUES (1)",
        "INSERT INTO audit_events_first VALUES (1)",
        "DELETE FROM audit_events",
        "TRUNCATE event_keys",
        "UPDATE event_keys SET event_id = 1",
        "SELECT journal_append_at(1)",
        "CREATE TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    ] {
        let error = sqlx::raw_sql(refused).execute(&mut service).await.expect_err(refused);
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{refused}: {error}");
    }
    embedded.stop().await;
}

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

async fn start(folder: &Folder) -> Embedded {
    Embedded::start(in_folder(folder)).await.unwrap()
}

fn in_folder(folder: &Folder) -> EmbeddedOptions {
    EmbeddedOptions { data_dir: DataDir::Path(folder.0.clone()), pg_bin_dir: None }
}

async fn write_note(url: &str, note: &str) {
    let mut connection = connect(url).await;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS notes (note text)").execute(&mut connection).await.unwrap();
    sqlx::query("INSERT INTO notes VALUES ($1)").bind(note).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn read_note(url: &str) -> String {
    let mut connection = connect(url).await;
    sqlx::query_scalar("SELECT note FROM notes ORDER BY ctid DESC LIMIT 1").fetch_one(&mut connection).await.unwrap()
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

async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !met() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A folder that Postgres's own account can reach, and that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = PathBuf::from(format!("/tmp/binnacle-test-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
