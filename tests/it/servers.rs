//! Which servers Binnacle accepts, and what it makes of a database there: roles, rights, migrations.

use std::time::Instant;

use binnacle::postgres::{self, Guarding, PoolSettings, Pools, PrepareError, ServerError, Unfit};
use sqlx::PgConnection;
use sqlx::migrate::Migrator;
use uuid::Uuid;

use crate::support::postgres::{connect, database, empty_database, options};
use crate::support::store::{DEADLINE, Folder, start};

/// The last migration with which the journal's tables had CHECKs.
const CHECKED_BY_TABLES: i64 = 13;

/// The first with which indexes of vectors are made with more care than pgvector takes by itself.
const CAREFUL_INDEX: i64 = 16;

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
async fn a_store_that_an_older_binnacle_has_filled_is_migrated_and_goes_on() {
    let database = empty_database().await;
    let mut owner = connect(&database.owner_url).await;
    let older = postgres::MIGRATIONS.iter().filter(|migration| migration.version <= CHECKED_BY_TABLES);
    Migrator::with_migrations(older.cloned().collect()).run(&mut owner).await.unwrap();
    let months = "SELECT journal_ensure_partition(now() + n * interval '1 month') FROM generate_series(-2, 1) n";
    sqlx::raw_sql(months).execute(&mut owner).await.unwrap();
    let checks = "SELECT count(*) FROM pg_constraint WHERE contype = 'c'
        AND (conrelid::regclass::text LIKE 'audit_events%' OR conrelid IN ('event_keys'::regclass, 'journal_head'::regclass))";
    let mut told = Vec::new();
    for (migrates, ids) in [(false, 1..3), (true, 1..5)] {
        if migrates {
            assert!(sqlx::query_scalar::<_, i64>(checks).fetch_one(&mut owner).await.unwrap() > 4);
            postgres::prepare(&options(&database.owner_url), &options(&database.service_url)).await.unwrap();
            assert_eq!(sqlx::query_scalar::<_, i64>(checks).fetch_one(&mut owner).await.unwrap(), 0);
        }
        for id in ids {
            told.push(append(&mut owner, id).await);
        }
    }
    let expected =
        [(1, "recorded"), (2, "recorded"), (1, "duplicate"), (2, "duplicate"), (3, "recorded"), (4, "recorded")];
    assert_eq!(told, expected.map(|(place, status)| (status.to_string(), place, i32::try_from(place).unwrap())));

    // A server of before goes on until it is replaced, and asks as it always did.
    let told = append_as_before(&mut owner, &[4, 5, 6]).await;
    let expected = [(4, "duplicate"), (5, "recorded"), (6, "recorded")];
    assert_eq!(told, expected.map(|(place, status)| (status.to_string(), place, i32::try_from(place).unwrap())));
}

#[tokio::test]
async fn an_index_of_vectors_that_is_there_is_made_on_as_a_new_one_is() {
    let database = empty_database().await;
    let mut owner = connect(&database.owner_url).await;
    let index = "INSERT INTO search_models (model, dimension, role, choice) VALUES ('m', 3, 'serving', '');
        SELECT search_index_model('m')";
    let without = "INSERT INTO search_models (model, dimension, role, choice) VALUES ('n', 3, 'building', '')";
    let made = "SELECT coalesce(reloptions, '{}') FROM pg_class WHERE relname = 'search_vectors_' || md5('m')";
    let older = postgres::MIGRATIONS.iter().filter(|migration| migration.version < CAREFUL_INDEX);
    Migrator::with_migrations(older.cloned().collect()).run(&mut owner).await.unwrap();
    for statement in [index, without] {
        sqlx::raw_sql(statement).execute(&mut owner).await.unwrap();
    }
    assert_eq!(sqlx::query_scalar::<_, Vec<String>>(made).fetch_one(&mut owner).await.unwrap(), [""; 0]);

    postgres::prepare(&options(&database.owner_url), &options(&database.service_url)).await.unwrap();

    let expected = ["ef_construction=200"];
    assert_eq!(sqlx::query_scalar::<_, Vec<String>>(made).fetch_one(&mut owner).await.unwrap(), expected);
    sqlx::raw_sql("SELECT search_drop_model('m')").execute(&mut owner).await.unwrap();
    sqlx::raw_sql(index).execute(&mut connect(&database.service_url).await).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, Vec<String>>(made).fetch_one(&mut owner).await.unwrap(), expected);
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
async fn nobody_else_may_append_also_where_one_role_is_owner_and_service() {
    let database = empty_database().await;
    let one = options(&database.owner_url);
    postgres::prepare(&one, &one).await.unwrap();
    let mut owner = connect(&database.owner_url).await;

    // A role that is there everywhere, and has what everybody has.
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND (prosecdef OR starts_with(proname, 'journal_append'))
            AND has_function_privilege('pg_monitor', oid, 'EXECUTE')",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();

    assert_eq!(open, [""; 0]);
    assert_eq!(append(&mut owner, 1).await, ("recorded".to_string(), 1, 1));
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
         CREATE FUNCTION journal_append_batch(n int) RETURNS int SECURITY DEFINER LANGUAGE sql RETURN n;
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
        "SELECT journal_append_batch(1)",
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

/// Appends an audit of one remediation: what became of it, its position and its version.
async fn append(owner: &mut PgConnection, id: u128) -> (String, i64, i32) {
    sqlx::query_as(
        "SELECT status, position, version FROM journal_append($1, sha256('a'), 'c', 'rr', now(), 'OTHER', 'c', 'e', NULL::text,
            NULL::text, NULL::text, NULL::text, NULL::uuid, NULL::text, NULL::text, 1::smallint, '{}', sha256('b'))",
    )
    .bind(Uuid::from_u128(id))
    .fetch_one(owner)
    .await
    .unwrap()
}

/// The same of several in one call, as servers do that know of no answer in one row.
async fn append_as_before(owner: &mut PgConnection, ids: &[u128]) -> Vec<(String, i64, i32)> {
    sqlx::query_as(
        "SELECT status, position, version
        FROM (
            SELECT array_fill(sha256('a'), n), array_fill('c'::text, n), array_fill('rr'::text, n), array_fill(now(), n),
                array_fill('OTHER'::text, n), array_fill(NULL::text, n), array_fill(1::smallint, n), array_fill('{}'::text, n)
            FROM (SELECT ARRAY[cardinality($1::uuid[])]) size (n)
        ) a (digests, words, streams, times, kinds, none, versions, payloads),
            journal_append($1, a.digests, a.words, a.streams, a.times, a.kinds, a.words, a.words, a.none, a.none, a.none, a.none,
                NULL::uuid[], a.none, a.none, a.versions, a.payloads, a.digests)",
    )
    .bind(ids.iter().map(|id| Uuid::from_u128(*id)).collect::<Vec<_>>())
    .fetch_all(owner)
    .await
    .unwrap()
}
