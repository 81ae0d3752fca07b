//! Projections: rebuilt they are the same, a foreign transaction does not hold them up, and a poison event is parked.

use binnacle::{
    audit::Position,
    caller::Caller,
    demo,
    journal::read,
    projection::{self, Projection, rebuild},
};
use chrono::Utc;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::support::{
    app::App,
    audits::notification,
    history::app_with_history,
    postgres::{connect, database, options},
};

#[tokio::test]
async fn rebuilt_projections_are_the_live_ones() {
    let app = app_with_history(40).await;
    let mut owner = app.owner().await;
    let before = kept(&mut owner).await;
    let head = read::head(app.server.app.journal.reader()).await.unwrap().last;
    for projection in Projection::ALL {
        let outcome =
            rebuild::rebuild(&options(&app.db.owner_url), "binnacle_service", projection, |_, _| ()).await.unwrap();
        assert_eq!(outcome.position, head);
        for table in &outcome.tables {
            assert_eq!(table.differing, 0, "{table:?}");
            assert!(table.rows > 0, "{table:?}");
        }
    }
    assert_eq!(kept(&mut owner).await, before);
    // The service still reads and writes the tables that were swapped in.
    app.recorded(&[notification("rr-new", Uuid::from_u128(7), "nt")]).await;
    app.projected().await;
    let list = app.data("{ remediations(filter: {remediationIdPrefix: \"rr-new\"}) { totalCount } }", json!({})).await;
    assert_eq!(list["remediations"]["totalCount"], 1);
}

/// How Postgres keeps the projections' tables: their indexes, their settings, and where their wide columns go.
async fn kept(owner: &mut PgConnection) -> Vec<String> {
    let tables: Vec<&str> = Projection::ALL.iter().flat_map(|projection| projection.tables()).copied().collect();
    sqlx::query_scalar(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY($1)
        UNION ALL
        SELECT concat(relname, ' ', reloptions) FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relname = ANY($1)
        UNION ALL
        SELECT concat(relname, '.', attname, ' ', attstorage) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
            WHERE relnamespace = 'public'::regnamespace AND relname = ANY($1) AND attnum > 0
        ORDER BY 1",
    )
    .bind(tables)
    .fetch_all(owner)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_rebuild_finds_and_mends_rows_that_somebody_changed() {
    let app = app_with_history(5).await;
    let mut owner = app.owner().await;
    sqlx::raw_sql("UPDATE remediations SET phase = 'PENDING' WHERE remediation_id IN (SELECT min(remediation_id) FROM remediations)")
        .execute(&mut owner)
        .await
        .unwrap();
    let rebuilt = async || {
        rebuild::rebuild(&options(&app.db.owner_url), "binnacle_service", Projection::Remediations, |_, _| ())
            .await
            .unwrap()
    };
    assert_eq!(rebuilt().await.tables[0].differing, 1);
    assert_eq!(rebuilt().await.tables[0].differing, 0);
}

#[tokio::test]
async fn a_cursor_that_was_set_back_by_hand_adds_what_is_missing_and_parks_nothing() {
    let app = app_with_history(10).await;
    let mut owner = app.owner().await;
    let head = read::head(app.server.app.journal.reader()).await.unwrap().last.0;
    let rows = async |owner: &mut PgConnection| -> Vec<String> {
        sqlx::query_scalar("SELECT i::text FROM event_index i ORDER BY position").fetch_all(owner).await.unwrap()
    };
    let before = rows(&mut owner).await;
    // A part of a range, and one position alone.
    for to in [5, head - 1] {
        sqlx::raw_sql("DELETE FROM event_index WHERE position > 5 AND position % 3 = 0")
            .execute(&mut owner)
            .await
            .unwrap();
        sqlx::query(
            "UPDATE projection_cursors c SET position = e.position, recorded_at = e.recorded_at
            FROM audit_events e WHERE c.name = 'event_index' AND e.position = $1",
        )
        .bind(to)
        .execute(&mut owner)
        .await
        .unwrap();
        app.projected().await;
        if to == 5 {
            assert_eq!(rows(&mut owner).await, before);
        }
    }
    let parked: i64 =
        sqlx::query_scalar("SELECT count(*) FROM projection_dead_letters").fetch_one(&mut owner).await.unwrap();
    assert_eq!(parked, 0);
}

#[tokio::test]
async fn a_store_of_older_rules_says_that_a_rebuild_is_due_which_fills_what_they_left_empty() {
    let app = app_with_history(20).await;
    let due = async || {
        let system = app.data("{ system { projections { name rebuildDue } } }", json!({})).await;
        let projections = system["system"]["projections"].as_array().unwrap().clone();
        projections.iter().filter(|projection| projection["rebuildDue"] == true).count()
    };
    let models = async || {
        let query = "{ statistics(groupBy: [MODEL]) { keys count meanConfidence approvals { medianWaitMs } } }";
        app.data(query, json!({})).await["statistics"].take()
    };
    assert_eq!(due().await, 0, "a fresh store has no older rules");
    let before = models().await;

    // As the migration finds a store that an older binary has filled.
    sqlx::raw_sql(
        "UPDATE remediations SET model = NULL, confidence = NULL, approval_deciders = NULL, approval_waits = NULL;
        UPDATE projection_cursors SET rules = 1 WHERE name = 'remediations'",
    )
    .execute(&mut app.owner().await)
    .await
    .unwrap();
    assert_eq!(due().await, 1);
    assert_eq!(models().await[0]["keys"], json!(["(none)"]));
    rebuild::rebuild(&options(&app.db.owner_url), "binnacle_service", Projection::Remediations, |_, _| ())
        .await
        .unwrap();
    assert_eq!(due().await, 0);
    assert_eq!(models().await, before);
    assert!(before.as_array().unwrap().iter().any(|row| row["keys"] != json!(["(none)"])), "{before}");
}

#[tokio::test]
async fn a_transaction_left_open_elsewhere_holds_nothing_up() {
    let app = App::start().await;
    let elsewhere = database().await;
    let mut foreign = connect(&elsewhere.owner_url).await;
    let mut left_open = foreign.begin().await.unwrap();
    // It has a transaction id and a snapshot, which is what readers that go by `xmin` would wait for.
    sqlx::raw_sql("CREATE TABLE held_open (id int); SELECT count(*) FROM held_open")
        .execute(&mut *left_open)
        .await
        .unwrap();

    for n in 0..20 {
        app.recorded(&[notification("rr", Uuid::from_u128(n), "nt")]).await;
        app.projected().await;
    }
    left_open.rollback().await.unwrap();
}

#[tokio::test]
async fn a_poison_event_is_parked_and_the_cursor_moves_on() {
    let app = App::start().await;
    let mut owner = app.owner().await;
    // A row that the projection's table refuses, as a bug would make one.
    sqlx::raw_sql("ALTER TABLE event_index ADD CONSTRAINT no_nt_13 CHECK (remediation_id <> 'rr-13')")
        .execute(&mut owner)
        .await
        .unwrap();
    let audits: Vec<_> = (0..30).map(|n| notification(&format!("rr-{n}"), Uuid::from_u128(n), "nt")).collect();
    let last = app.recorded(&audits).await.pop().unwrap();

    let list = app
        .data(
            "query($w: Watermark) { events(first: 100, atLeast: $w) { nodes { remediationId } } }",
            json!({"w": last["watermark"]}),
        )
        .await;

    assert_eq!(list["events"]["nodes"].as_array().unwrap().len(), 29);
    let letters = projection::dead_letters::newest(app.server.app.journal.reader(), 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].projection, letters[0].position), (Projection::EventIndex, Position(14)));
    let system = app.data("{ system { deadLetters { position projection error } } }", json!({})).await;
    assert_eq!(system["system"]["deadLetters"][0]["position"], "14");
    // Mended and rebuilt, it is there.
    sqlx::raw_sql("ALTER TABLE event_index DROP CONSTRAINT no_nt_13").execute(&mut owner).await.unwrap();
    rebuild::rebuild(&options(&app.db.owner_url), "binnacle_service", Projection::EventIndex, |_, _| ()).await.unwrap();
    assert!(projection::dead_letters::newest(app.server.app.journal.reader(), 10).await.unwrap().is_empty());
}

proptest::proptest! {
    // Each case has a database of its own; a few long and tangled histories say more than many short ones.
    #![proptest_config(proptest::test_runner::Config { cases: 4, ..Default::default() })]

    #[test]
    fn any_history_in_any_order_projects_to_what_a_rebuild_gives(
        order in proptest::collection::vec(proptest::num::u32::ANY, 150..400),
        sizes in proptest::collection::vec(1_usize..60, 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = App::start().await;
            // Pieces of a believable history, thrown together: late, doubled, without beginning or end.
            let history = demo::history(25, Utc::now());
            let audits: Vec<_> = order.iter().map(|pick| &history[*pick as usize % history.len()].submission).collect();
            let mut rest = audits.as_slice();
            for size in sizes.iter().cycle() {
                let (batch, more) = rest.split_at((*size).min(rest.len()));
                let submissions = batch.iter().map(|submission| (*submission).clone()).collect();
                binnacle::record::record(&app.server.app, &Caller::anonymous(), submissions).await.unwrap();
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
            app.projected().await;
            for projection in Projection::ALL {
                let outcome = rebuild::rebuild(&options(&app.db.owner_url), "binnacle_service", projection, |_, _| ()).await;
                for table in outcome.unwrap().tables {
                    assert_eq!(table.differing, 0, "{table:?}");
                }
            }
        });
    }
}
