//! Acts of administration: each is an event of the journal, and none is a remediation.

use binnacle::{
    administration::{self, Act, Who},
    audit::Position,
    journal::verify::verify,
    projection::{Projection, rebuild},
    search::{embedder::Embedders, index},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::App,
    audits::{notification, with, worked_example},
    embedder::Wordly,
    history::app_with_history,
    postgres::{database, options},
    process::{Served, on_database, on_folder, run},
    store::Folder,
    subscriber::{Subscriber, listen},
};

const ACTS: &str = "query($w: Watermark) {
    events(filter: {category: [\"administration\"]}, atLeast: $w) {
        nodes { position version eventType outcome remediationId clusterId recordedBy actor { type id } payload
            remediation { remediationId } }
    }
}";

#[tokio::test]
async fn rebuilds_beside_a_server_and_on_a_stopped_store_and_a_restore_are_events_with_who_did_it() {
    let (store, restored, outside) = (Folder::new(), Folder::new(), Folder::new());
    let backup = outside.0.join("monday").display().to_string();
    let lines = outside.0.join("lines");
    std::fs::write(&lines, format!("{}\n", notification("rr-1", Uuid::from_u128(1), "nt-1"))).unwrap();
    run(on_folder(&store, &["migrate"])).await.done();
    run(on_folder(&store, &["record", lines.to_str().unwrap()])).await.done();

    run(on_folder(&store, &["rebuild", "--all"])).await.done();
    let server = Served::start(on_folder(&store, &["serve"])).await;
    acts(&server).await; // so the index of events holds them all
    run(on_folder(&store, &["rebuild", "event_index"])).await.done();
    let acts = acts(&server).await;
    server.stop().await;
    run(on_folder(&store, &["backup", &backup])).await.done();
    run(on_folder(&restored, &["restore", &backup])).await.done();
    let server = Served::start(on_folder(&restored, &["serve"])).await;
    let after = self::acts(&server).await;
    server.stop().await;

    let of = |acts: &[Value], member: &str| -> Vec<String> {
        acts.iter().map(|act| act["payload"]["payload"][member].as_str().unwrap_or_default().to_string()).collect()
    };
    assert_eq!(of(&acts, "projection"), ["remediations", "event_index", "search_documents", "event_index"]);
    assert_eq!(of(&acts, "toPosition")[3], "4");
    for (place, act) in (2..).zip(&acts) {
        assert_eq!([&act["eventType"], &act["outcome"]], ["binnacle.rebuild.finished", "SUCCESS"]);
        assert_eq!([&act["clusterId"], &act["remediationId"]], ["binnacle", "administration"]);
        assert_eq!((&act["position"], &act["version"]), (&json!(place.to_string()), &json!(place - 1)));
        assert_eq!((&act["recordedBy"], &act["remediation"]), (&Value::Null, &Value::Null));
        let (user, host) = act["actor"]["id"].as_str().unwrap().split_once('@').unwrap();
        assert!(!user.is_empty() && !host.is_empty() && act["actor"]["type"] == "USER", "{act:#}");
        let details = &act["payload"]["payload"];
        assert!(details["durationMs"].is_u64() && details["version"].is_string(), "{act:#}");
    }
    let tables = &acts[3]["payload"]["payload"]["tables"];
    assert_eq!(tables, &json!([{"table": "event_index", "rows": 4, "differing": 0}]));

    assert_eq!(after[..4], acts[..]);
    assert_eq!((after.len(), &after[4]["eventType"]), (5, &json!("binnacle.restored")));
    let details = &after[4]["payload"]["payload"];
    assert_eq!((&details["folder"], &details["headPosition"]), (&json!(backup), &json!("5")));
}

#[tokio::test]
async fn an_act_is_an_event_like_any_other_and_no_remediation() {
    let app = app_with_history(6).await;
    let counts = "{ remediations { totalCount } statistics(groupBy: []) { count }
        remediation(remediationId: \"administration\", clusterId: \"binnacle\") { phase }
        found: remediations(filter: {clusterId: [\"binnacle\"]}) { totalCount }
        search(query: \"administration rebuild\", mode: TEXT, first: 100) { hits { remediation { remediationId } } } }";
    let before = app.data(counts, json!({})).await;
    let address = listen(app.router.clone()).await;
    let follow = "subscription { events(filter: {remediationId: [\"administration\"]}) { eventId eventType } }";
    let mut follower = Subscriber::start(&address, follow, json!({})).await;
    crate::support::app::until("the follower to follow", async || (app.server.app.feed.followers() == 1).then_some(()))
        .await;

    let act = Act::TextsRetried { texts: 7 };
    let who = Who { caller: Some("ops".to_string()), person: Some("alice@bastion".to_string()) };
    let recorded = administration::record(&app.server.app.journal, &act, &who).await.unwrap();
    app.projected().await;

    assert_eq!(app.data(counts, json!({})).await, before);
    assert_eq!(before["remediation"], Value::Null);
    assert_eq!(follower.data().await["events"]["eventId"], recorded.event_id.to_string());
    let told = app.data(ACTS, json!({})).await["events"]["nodes"].take();
    assert_eq!(
        [&told[0]["eventType"], &told[0]["recordedBy"], &told[0]["actor"]["id"]],
        ["binnacle.texts.retried", "ops", "alice@bastion"]
    );
    assert_eq!((&told[0]["payload"]["payload"]["texts"], &told[0]["remediation"]), (&json!(7), &Value::Null));
    let walked = verify(app.server.app.journal.reader(), |_, _| ()).await.unwrap();
    assert_eq!((walked.flaw, Position(walked.entries)), (None, recorded.position));
    for projection in Projection::ALL {
        let owner = options(&app.db.owner_url);
        for table in rebuild::rebuild(&owner, "binnacle_service", projection, |_, _| ()).await.unwrap().tables {
            assert_eq!(table.differing, 0, "{table:?}");
        }
    }
}

#[tokio::test]
async fn clients_record_nothing_there_and_the_names_alone_stay_theirs() {
    let app = App::start().await;
    let there = with(notification("administration", Uuid::from_u128(1), "nt"), "clusterId", json!("binnacle"));
    let elsewhere = notification("administration", Uuid::from_u128(2), "nt");
    let results = app.record(&[there, elsewhere]).await;
    assert_eq!((&results[0]["code"], &results[0]["problems"][0]["code"]), (&json!("INVALID"), &json!("RESERVED")));
    assert_eq!(results[1]["position"], "1", "{results:#?}");

    // The stream of Binnacle's own makes no name ambiguous.
    administration::record(&app.server.app.journal, &Act::TextsRetried { texts: 1 }, &Who::default()).await.unwrap();
    let found = app.data("{ remediation(remediationId: \"administration\") { clusterId } }", json!({})).await;
    assert_eq!(found["remediation"]["clusterId"], "default");
}

#[tokio::test]
async fn an_act_that_cannot_be_recorded_is_told_as_done_and_ends_with_an_error() {
    let db = database().await;
    let mut admin = crate::support::postgres::connect(&db.admin_url).await;
    sqlx::raw_sql(
        "DO $$ DECLARE item record; BEGIN
            FOR item IN
                SELECT oid::regprocedure AS called, proname || '_away' AS away FROM pg_proc
                WHERE proname IN ('journal_append', 'journal_append_batch')
            LOOP
                EXECUTE format('ALTER FUNCTION %s RENAME TO %I', item.called, item.away);
            END LOOP;
        END $$",
    )
    .execute(&mut admin)
    .await
    .unwrap();

    let ended = run(on_database(&db, &["rebuild", "event_index"])).await;

    assert_eq!(ended.code, Some(4), "{ended:#?}");
    let told =
        "`event_index` was rebuilt and 0 of its rows had differed, but that could not be recorded in the journal";
    assert!(ended.errors.contains(told), "{ended:#?}");
}

#[tokio::test]
async fn texts_that_are_given_back_to_be_tried_are_told_with_their_number() {
    let wordly = Wordly::new("wordly");
    *wordly.refused.lock().unwrap() = Some("Checkout pods exceed".to_string());
    let app = App::embedding(database().await, Embedders::of(wordly.clone())).await;
    app.recorded(&worked_example()).await;
    app.embedded().await;
    let failed = index::states(app.server.app.journal.reader()).await.unwrap()[0].failed;
    *wordly.refused.lock().unwrap() = None;

    run(on_database(&app.db, &["embed", "--retry-failed"])).await.done();
    run(on_database(&app.db, &["embed", "--retry-failed"])).await.done(); // there may be none left to retry

    app.embedded().await;
    let told = app.data(ACTS, json!({})).await["events"]["nodes"].take();
    assert_eq!((&told[0]["eventType"], failed > 0), (&json!("binnacle.texts.retried"), true));
    assert_eq!(told[0]["payload"]["payload"]["texts"], failed);
}

/// What operators did to the store that is served, once its lists have come to the end of the journal.
async fn acts(server: &Served) -> Vec<Value> {
    let mut client = server.client();
    let watermark = client.data("{ system { watermark } }", json!({})).await["system"]["watermark"].take();
    let mut data = client.data(ACTS, json!({"w": watermark})).await;
    serde_json::from_value(data["events"]["nodes"].take()).unwrap()
}
