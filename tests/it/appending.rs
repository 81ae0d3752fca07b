//! The functions that append: what they take and refuse, how they count, and the partitions they make.

use std::time::Instant;

use binnacle::{
    audit::{Context, Event, Kind, Submission},
    journal::{self, Journal, Receipt, Unavailable, partitions, read, verify::verify},
    postgres::grant,
    telemetry::Metrics,
};
use chrono::{DateTime, Months, TimeDelta, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use crate::support::{
    app::DEADLINE,
    audits::notification,
    postgres::{connect, database, refused},
};

#[tokio::test]
async fn a_digest_of_another_length_is_refused_however_it_comes() {
    let db = database().await;
    let mut service = connect(&db.service_url).await;
    for statement in [append_one(1), append_single(2)] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut service).await.unwrap();
    }

    // Beside a repeat the other one goes another way.
    for statement in [append_lists(&[3]), append_single(3), append_lists(&[1, 3])] {
        for digest in ["sha256('a')", "sha256('b')"] {
            let short = statement.replace(digest, "'short'::bytea");
            let error = sqlx::raw_sql(AssertSqlSafe(short.clone())).execute(&mut service).await.expect_err(&short);
            let code = error.as_database_error().and_then(|refusal| refusal.code());
            assert_eq!(code.as_deref(), Some("23502"), "{short}: {error}");
        }
    }

    let next: i64 = sqlx::query_scalar("SELECT next_position FROM journal_head").fetch_one(&mut service).await.unwrap();
    assert_eq!(next, 3);
}

/// What a batch of two audits is called with, in the order of the function's lists, and whether it may lack the list.
const LISTS: [(&str, bool); 18] = [
    ("gen_random_uuid(), gen_random_uuid()", false),
    ("sha256('a'), sha256('a')", false),
    ("'c'::text, 'c'", false),
    ("'r'::text, 'r'", false),
    ("now(), now()", false),
    ("'OTHER'::text, 'OTHER'", false),
    ("'c'::text, 'c'", false),
    ("'t'::text, 't'", false),
    ("'SUCCESS'::text, NULL", true),
    ("'SERVICE'::text, NULL", true),
    ("'a'::text, NULL", true),
    ("'b'::text, NULL", true),
    ("gen_random_uuid(), NULL", true),
    ("'0af7651916cd43dd8448eb211c80319c'::text, NULL", true),
    ("'b7ad6b7169203331'::text, NULL", true),
    ("1::smallint, 1::smallint", false),
    ("'{}'::text, '{}'", false),
    ("sha256('b'), sha256('b')", false),
];

#[tokio::test]
async fn lists_that_do_not_fit_each_other_append_nothing_and_what_no_audit_has_may_go_without() {
    let db = database().await;
    let mut service = connect(&db.service_url).await;
    let known = Uuid::from_u128(1 << 100 | 7);
    sqlx::raw_sql(AssertSqlSafe(append_one(7))).execute(&mut service).await.unwrap();
    let mut recorded = 1;
    // Beside a repeat a batch goes another way.
    for (beside, ids) in [(2, LISTS[0].0.to_string()), (1, format!("'{known}'::uuid, gen_random_uuid()"))] {
        for (place, (items, optional)) in LISTS.into_iter().enumerate() {
            let (first, _) = items.split_once(", ").unwrap();
            for (list, fits) in [
                (format!("ARRAY[{items}, {first}]"), false),
                (format!("ARRAY[{first}]"), optional),
                (format!("CASE WHEN false THEN ARRAY[{items}] END"), optional),
            ] {
                let mut lists = LISTS.map(|(items, _)| format!("ARRAY[{items}]"));
                lists[0] = format!("ARRAY[{ids}]");
                lists[place] = list;
                let call = format!("SELECT public.journal_append_batch({})", lists.join(", "));

                let done = sqlx::raw_sql(AssertSqlSafe(call.clone())).execute(&mut service).await;

                assert_eq!(done.is_ok(), fits, "{call}: {done:?}");
                recorded += if fits { beside } else { 0 };
                let told: (i64, i64, i64, i64) = sqlx::query_as(
                    "SELECT next_position - 1, (SELECT count(*) FROM audit_events), (SELECT count(*) FROM event_keys),
                        (SELECT sum(version) FROM streams) FROM journal_head",
                )
                .fetch_one(&mut service)
                .await
                .unwrap();
                assert_eq!(told, (recorded, recorded, recorded, recorded), "{call}");
            }
        }
    }
}

#[tokio::test]
async fn tables_that_the_service_puts_in_front_deceive_no_append() {
    let db = database().await;
    let mut service = connect(&db.service_url).await;
    for name in ["journal_head", "event_keys", "streams", "audit_events"] {
        let copy = format!("CREATE TEMP TABLE {name} AS SELECT * FROM public.{name}");
        sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut service).await.unwrap();
    }

    sqlx::raw_sql(AssertSqlSafe(append_one(1))).execute(&mut service).await.unwrap();

    let mut owner = connect(&db.owner_url).await;
    for name in ["event_keys", "streams", "audit_events"] {
        let count = format!("SELECT count(*) FROM {name}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut owner).await.unwrap();
        assert_eq!(count, 1, "{name}");
    }
}

#[tokio::test]
async fn a_missing_partition_is_made_by_the_append_and_nothing_is_lost() {
    // By a list, and by a single audit.
    for first in [3, 1] {
        let db = database().await;
        let (journal, service) = journal_as(&db.service_url).await;
        assert!(partitions::list(&service).await.unwrap().is_empty(), "nobody has made any yet");

        let mut receipts = journal.record(events(0..first), None).await.unwrap();
        receipts.extend(journal.record(events(first..4), None).await.unwrap());

        let positions: Vec<_> = receipts.iter().filter_map(recorded).map(|(position, _)| position).collect();
        assert_eq!(positions, [1, 2, 3, 4]);
        let made = partitions::list(&service).await.unwrap();
        assert_eq!(made.len(), 1);
        assert_eq!(verify(&service, |_, _| ()).await.unwrap().entries, 4);
        let mut admin = connect(&db.admin_url).await;
        let error = refused(&mut admin, &format!("TRUNCATE {}", made[0].name)).await;
        assert!(error.starts_with("the journal is append-only: "), "{error}");
        journal.close().await;
        service.close().await;
    }
}

#[tokio::test]
async fn who_waited_for_a_rival_to_make_a_partition_finds_it_made() {
    let db = database().await;
    let mut first = connect(&db.service_url).await;
    let mut making = first.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(hashtext('binnacle partitions'))").execute(&mut *making).await.unwrap();

    let (journal, service) = journal_as(&db.service_url).await;
    let appending = tokio::spawn(async move {
        let receipts = journal.record(events(0..1), None).await;
        journal.close().await;
        receipts
    });
    let url = db.service_url.clone();
    let ensuring = tokio::spawn(async move {
        sqlx::raw_sql("SELECT journal_ensure_partition(now())").execute(&mut connect(&url).await).await
    });
    let (owner_url, service_role) = (db.owner_url.clone(), "binnacle_service");
    let granting = tokio::spawn(async move { grant(&mut connect(&owner_url).await, service_role).await });
    waiting_for_locks(&mut connect(&db.owner_url).await, 3).await;
    sqlx::raw_sql("SELECT journal_ensure_partition(now())").execute(&mut *making).await.unwrap();
    making.commit().await.unwrap();

    assert!(matches!(appending.await.unwrap().unwrap()[..], [Receipt::Recorded(_)]));
    ensuring.await.unwrap().unwrap();
    granting.await.unwrap().unwrap();
    assert_eq!(partitions::list(&service).await.unwrap().len(), 1);
    service.close().await;
}

#[tokio::test]
async fn history_is_made_in_order_and_not_in_the_future() {
    let db = database().await;
    let (journal, owner) = journal_as(&db.owner_url).await;
    let now = Utc::now();
    let (spring, summer) = (now - Months::new(6), now - Months::new(3));

    let receipts = journal.record_history(events(0..2), vec![spring, summer]).await.unwrap();
    let places: Vec<_> = receipts.iter().filter_map(recorded).collect();
    assert_eq!(places, [(1, micros(spring)), (2, micros(summer))]);
    assert_eq!(partitions::list(&owner).await.unwrap().len(), 4, "a month without events has its partition too");

    let hour = TimeDelta::hours(1);
    for (times, what) in [
        (vec![summer - hour, now], "before the last"),
        (vec![now, now + hour], "after the clock"),
        (vec![now, now - hour], "out of order"),
    ] {
        let error = journal.record_history(events(2..4), times).await.expect_err(what);
        assert!(
            matches!(&error, Unavailable::Refused(cause) if cause.to_string().contains("history is made in order"))
        );
    }

    let head = read::head(&owner).await.unwrap();
    assert_eq!(head.last.0, 2, "nothing of what was refused is stored");
    journal.record(events(2..3), None).await.unwrap();
    assert_eq!(verify(&owner, |_, _| ()).await.unwrap().flaw, None);
    journal.close().await;
    owner.close().await;
}

#[tokio::test]
async fn one_audit_many_and_repeats_among_them_count_on_from_each_other() {
    let db = database().await;
    let (journal, service) = journal_as(&db.service_url).await;
    let twice = || events(12..14).into_iter().chain(events(12..14)).collect();
    let batches = [
        events(0..1),
        events(1..2),
        events(2..7),
        events(5..10),
        events(9..10),
        events(10..12),
        twice(),
        events(14..15),
    ];

    let mut told = Vec::new();
    for batch in batches {
        for receipt in journal.record(batch, None).await.unwrap() {
            match receipt {
                Receipt::Recorded(place) => told.push(format!("{}.{}", place.position.0, place.version.0)),
                Receipt::Duplicate(place) => told.push(format!("again {}.{}", place.position.0, place.version.0)),
                Receipt::Conflict(place) => told.push(format!("conflict {}", place.position.0)),
            }
        }
        told.push("|".to_string());
    }

    let expected = "1.1 | 2.1 | 3.2 4.2 5.3 6.3 7.4 | again 6.3 again 7.4 8.4 9.5 10.5 | again 10.5 | 11.6 12.6 | \
                    13.7 14.7 again 13.7 again 14.7 | 15.8 |";
    assert_eq!(told.join(" "), expected);
    assert_eq!(verify(&service, |_, _| ()).await.unwrap().flaw, None);
    journal.close().await;
    service.close().await;
}

#[tokio::test]
async fn the_service_makes_no_history() {
    let db = database().await;
    let (journal, service) = journal_as(&db.service_url).await;
    let allowed = "SELECT has_function_privilege(oid, 'EXECUTE') FROM pg_proc WHERE proname = 'journal_append_at'";
    let allowed: bool = sqlx::query_scalar(allowed).fetch_one(&service).await.unwrap();

    let error = journal.record_history(events(0..1), vec![Utc::now() - TimeDelta::days(1)]).await.unwrap_err();

    assert!(!allowed);
    assert!(matches!(&error, Unavailable::Away(_)), "{error:?}");
    assert_eq!(read::head(&service).await.unwrap().last.0, 0);
    journal.close().await;
    service.close().await;
}

/// A journal without the workers of a server, and its pool.
async fn journal_as(url: &str) -> (Journal, PgPool) {
    let pool = PgPool::connect(url).await.unwrap();
    let journal = Journal::open(pool.clone(), pool.clone(), journal::Settings::default(), Metrics::new()).await;
    (journal.unwrap(), pool)
}

/// Waits until so many sessions of this database wait for an advisory lock.
async fn waiting_for_locks(connection: &mut PgConnection, sessions: i64) {
    let deadline = Instant::now() + DEADLINE;
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *connection).await.unwrap() < sessions {
        assert!(Instant::now() < deadline, "nobody waits");
    }
}

/// Notifications by turns in two streams.
pub fn audits(which: std::ops::Range<u128>) -> Vec<serde_json::Value> {
    which.map(|n| notification(&format!("rr-{}", n % 2), Uuid::from_u128(n + 1), &format!("nt-{n}"))).collect()
}

fn events(which: std::ops::Range<u128>) -> Vec<Event> {
    let now = Utc::now();
    let event = |audit: serde_json::Value| {
        let serde_json::Value::Object(mut fields) = audit else { unreachable!("an audit is an object") };
        fields.remove("kind");
        let context = Context { cluster_id: "default", now, fresh_id: Uuid::now_v7() };
        Submission::of_fields(Kind::Notification, fields).check(context).unwrap()
    };
    audits(which).into_iter().map(event).collect()
}

fn recorded(receipt: &Receipt) -> Option<(i64, DateTime<Utc>)> {
    match receipt {
        Receipt::Recorded(place) => Some((place.position.0, place.recorded_at)),
        _ => None,
    }
}

/// A time as Postgres keeps it.
fn micros(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap()
}

/// A call of `journal_append_batch` by hand, with a digest of something else.
pub fn append_one(event: u128) -> String {
    append_lists(&[event])
}

/// The same of several.
fn append_lists(events: &[u128]) -> String {
    let ids: Vec<String> = events.iter().map(|event| format!("'{}'", Uuid::from_u128(1 << 100 | event))).collect();
    let all = |value: &str| format!("array_fill({value}, ARRAY[{}])", ids.len());
    let [text, none] = [all("'c'::text"), all("NULL::text")];
    format!(
        "SELECT * FROM public.journal_append_batch(ARRAY[{}]::uuid[], {}, {text}, {text}, {}, {}, {text}, {text}, {none}, {none},
            {none}, {none}, {}, {none}, {none}, {}, {}, {})",
        ids.join(", "),
        all("sha256('a')"),
        all("now()"),
        all("'OTHER'::text"),
        all("NULL::uuid"),
        all("1::smallint"),
        all("'{}'::text"),
        all("sha256('b')")
    )
}

/// The same by the function for a single audit.
fn append_single(event: u128) -> String {
    let id = Uuid::from_u128(1 << 100 | event);
    format!(
        "SELECT public.journal_append('{id}'::uuid, sha256('a'), 'c', 'r', now(), 'OTHER', 'c', 't', NULL, NULL, NULL, NULL,
            NULL::uuid, NULL, NULL, 1::smallint, '{payload}', sha256('b'))",
        payload = json!({})
    )
}
