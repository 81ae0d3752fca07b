//! What keeps the journal whole: who may do what to it, and what is found when somebody did.

use binnacle::journal::{partitions, verify::verify};
use sqlx::{AssertSqlSafe, Connection as _};
use uuid::Uuid;

use crate::{
    appending::{append_one, audits},
    support::{
        app::App,
        postgres::{TestDatabase, connect, refused},
    },
};

#[tokio::test]
async fn nobody_changes_or_removes_what_is_recorded() {
    let app = App::start().await;
    app.recorded(&audits(0..3)).await;
    let partition = partitions::list(app.server.app.journal.reader()).await.unwrap()[0].name.clone();
    let before = contents(&app.db).await;

    for (role, url) in roles(&app.db) {
        let mut connection = connect(url).await;
        for table in ["audit_events", partition.as_str(), "event_keys"] {
            for statement in [
                format!("UPDATE {table} SET version = version"),
                format!("UPDATE {table} SET version = version WHERE false"),
                format!("DELETE FROM {table}"),
                format!("DELETE FROM {table} WHERE false"),
                format!("TRUNCATE {table}"),
                format!("MERGE INTO {table} t USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE"),
            ] {
                let error = refused(&mut connection, &statement).await;
                let by_trigger = error.starts_with("the journal is append-only: ");
                assert!(role == "service" || by_trigger, "{role}: {statement}: {error}");
            }
        }
        for statement in [
            "DELETE FROM journal_head",
            "TRUNCATE journal_head",
            "INSERT INTO journal_head (one) VALUES (false)", // there is one head
            "DELETE FROM streams WHERE false",
            "TRUNCATE streams",
            "INSERT INTO event_keys SELECT * FROM event_keys ON CONFLICT (event_id) DO UPDATE SET position = 7",
        ] {
            refused(&mut connection, statement).await;
        }
    }

    assert_eq!(contents(&app.db).await, before);
}

#[tokio::test]
async fn the_service_role_can_only_append_and_only_by_the_function() {
    let app = App::start().await;
    app.recorded(&audits(0..1)).await;
    let partition = partitions::list(app.server.app.journal.reader()).await.unwrap()[0].name.clone();
    let before = contents(&app.db).await;
    let mut service = connect(&app.db.service_url).await;

    for statement in [
        "INSERT INTO audit_events SELECT * FROM audit_events",
        "INSERT INTO event_keys SELECT * FROM event_keys",
        "INSERT INTO streams SELECT * FROM streams",
        "INSERT INTO journal_head DEFAULT VALUES",
        "UPDATE journal_head SET next_position = 1",
        "UPDATE streams SET version = 7",
        "SELECT * FROM journal_head FOR UPDATE", // whoever holds this row holds up every append
        "DO $$ BEGIN LOCK TABLE audit_events IN EXCLUSIVE MODE; END $$",
        "SELECT journal_append_at(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
         NULL, NULL, NULL, NULL, NULL)",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP TRIGGER refuse_row ON audit_events",
        "DROP TABLE audit_events",
        "CREATE TRIGGER mine BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION journal_refuse_change()",
        "CREATE TABLE mine (a int)",
        "SET session_replication_role = replica",
        "SET ROLE binnacle_owner",
    ]
    .map(str::to_string)
    .into_iter()
    .chain([
        format!("INSERT INTO {partition} SELECT * FROM audit_events"),
        format!("ALTER TABLE audit_events DETACH PARTITION {partition}"),
        format!("DROP TABLE {partition}"),
    ]) {
        refused(&mut service, &statement).await;
    }

    assert_eq!(contents(&app.db).await, before);
    sqlx::raw_sql(AssertSqlSafe(append_one(1))).execute(&mut service).await.unwrap();
    assert_eq!(verify(app.server.app.journal.reader(), |_, _| ()).await.unwrap().entries, 1, "it has a false digest");
}

#[tokio::test]
async fn whatever_a_superuser_changes_is_found_and_the_first_place_is_named() {
    let ids: Vec<Uuid> = (0..5).map(|n| Uuid::from_u128(n + 1)).collect();
    let cases = [
        (
            "UPDATE audit_events SET payload = replace(payload::text, 'slack', 'email')::json WHERE position IN (2, 4)",
            1,
            format!("position 2 (event {}) was changed: its digest is not that of its content", ids[1]),
        ),
        (
            "UPDATE audit_events SET outcome = 'failure' WHERE position = 5",
            4,
            format!("position 5 (event {}) was changed: its digest is not that of its content", ids[4]),
        ),
        (
            "UPDATE audit_events SET digest = sha256('') WHERE position = 1",
            0,
            format!("position 1 (event {}) was changed: its digest is not that of its content", ids[0]),
        ),
        ("DELETE FROM audit_events WHERE position = 3", 2, "position 3 is missing: after it comes 4".to_string()),
        (
            "DELETE FROM audit_events WHERE position = 5",
            4,
            "the journal ends at position 4, but its head says 5".to_string(),
        ),
        (
            // Its traces are covered up everywhere but in the head of its stream.
            "DELETE FROM audit_events WHERE position = 5; DELETE FROM event_keys WHERE position = 5;
             UPDATE journal_head SET next_position = 5",
            4,
            "the head of stream default/rr-0 (version, first and last time) is not that of its entries".to_string(),
        ),
        (
            "UPDATE audit_events SET version = 3 - version WHERE position IN (1, 3)",
            0,
            "position 1 has version 2 of stream default/rr-0, expected 1".to_string(),
        ),
        (
            "UPDATE audit_events SET recorded_at = recorded_at - interval '1 microsecond' WHERE position = 3",
            2,
            "position 3 was recorded at TIME, before its predecessor (TIME)".to_string(),
        ),
        (
            "DELETE FROM event_keys WHERE position = 4",
            3,
            format!("position 4 (event {}) has no matching row in event_keys", ids[3]),
        ),
        (
            "UPDATE event_keys SET position = 1 WHERE position = 4",
            3,
            format!("position 4 (event {}) has no matching row in event_keys", ids[3]),
        ),
        (
            "INSERT INTO event_keys SELECT gen_random_uuid(), 9, recorded_at, 1, content_digest FROM event_keys LIMIT 1",
            5,
            "event_keys holds 6 ids, the journal 5 entries".to_string(),
        ),
    ];
    for (change, whole, expected) in cases {
        let app = App::start().await;
        app.recorded(&audits(0..5)).await; // in two streams, by turns
        let reader = app.server.app.journal.reader();
        assert_eq!(verify(reader, |_, _| ()).await.unwrap().flaw, None);

        let mut admin = connect(&app.db.admin_url).await;
        let change = format!("SET session_replication_role = replica; {change}");
        sqlx::raw_sql(AssertSqlSafe(change.clone())).execute(&mut admin).await.unwrap();

        let report = verify(reader, |_, _| ()).await.unwrap();
        let told = report.flaw.map(|flaw| flaw.to_string()).unwrap_or_default();
        assert_eq!((without_times(&told).as_str(), report.entries), (expected.as_str(), whole), "{change}");
    }
}

fn roles(db: &TestDatabase) -> [(&'static str, &str); 3] {
    [("service", &db.service_url), ("owner", &db.owner_url), ("superuser", &db.admin_url)]
}

/// Every row of the journal, as text.
async fn contents(db: &TestDatabase) -> String {
    let mut admin = connect(&db.admin_url).await;
    let rows = sqlx::query_scalar(
        "SELECT string_agg(row, E'\\n') FROM (
             SELECT e::text AS row FROM audit_events e
             UNION ALL SELECT k::text FROM event_keys k
             UNION ALL SELECT s::text FROM streams s
             UNION ALL SELECT h::text FROM journal_head h
             ORDER BY row
         ) rows",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    admin.close().await.unwrap();
    rows
}

/// The message with each time as `TIME`.
fn without_times(message: &str) -> String {
    let words = message.split_inclusive(' ').collect::<Vec<_>>();
    let mut told = String::new();
    let mut index = 0;
    while index < words.len() {
        let day = words[index].trim_start_matches('(');
        if day.len() == 11 && day.matches('-').count() == 2 {
            let end = words.get(index + 2).map_or("", |word| word.trim_start_matches("UTC"));
            told.push_str(&words[index].replace(day, "TIME"));
            told.push_str(end);
            index += 3;
        } else {
            told.push_str(words[index]);
            index += 1;
        }
    }
    told
}
