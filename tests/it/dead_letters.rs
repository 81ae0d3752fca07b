//! Dead letters: listed with what they mean, and tried again, over GraphQL and by the command.

use std::sync::atomic::Ordering;

use binnacle::{
    audit::{Position, canonical},
    caller::Callers,
    journal::read,
    projection::{
        Projection, cursor,
        dead_letters::{self, Retried},
        rebuild,
    },
    search::{embedder::Embedders, index},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _};
use uuid::Uuid;

use crate::support::{
    app::{App, until},
    audits::{notification, with, worked_example},
    embedder::Wordly,
    postgres::{database, options},
    process::{on_database, run},
    store::Folder,
};

const LIST: &str = "query($first: Int, $after: String) { system { allDeadLetters(first: $first, after: $after) {
    nodes { id projection model field position eventId kind remediationId clusterId error explanation tries triedAt parkedAt
        nextAttemptAt event { eventType } }
    pageInfo { hasNextPage endCursor } totalCount
} } }";
const RETRY: &str = "mutation($ids: [ID!]!) { retryDeadLetters(ids: $ids) {
    letters { id outcome error } eventId watermark
} }";

#[tokio::test]
async fn after_a_retry_the_tables_are_those_of_a_rebuild_whatever_came_later() {
    let wordly = Wordly::new("wordly");
    let app = App::embedding(database().await, Embedders::of(wordly.clone())).await;
    // As bugs would: an event that is refused, one whose remediation is refused as it stood then, one whose texts are.
    for (table, rule) in [
        ("event_index", "remediation_id <> 'rr-13' OR position <> 2"),
        ("remediations", "remediation_id <> 'rr-13' OR last_version <> 2"),
        ("search_documents", "source <> 3"),
    ] {
        sql(&app, &format!("ALTER TABLE {table} ADD CONSTRAINT poison CHECK ({rule})")).await;
    }
    let analysis = worked_example().into_iter().find(|audit| audit["kind"] == "AI_ANALYSIS").unwrap();
    let analysis = with(analysis, "remediationId", json!("rr-13"));
    let analysis = with(analysis, "investigationReport", json!("The node sank in quicksand."));
    let failed = with(notification("rr-13", Uuid::from_u128(4), "nt-2"), "status", json!("failed"));
    for audit in [
        notification("rr-13", Uuid::from_u128(1), "nt-1"),
        notification("rr-13", Uuid::from_u128(2), "nt-2"),
        analysis,
        with(failed, "recipientCount", json!(0)),
        notification("rr-14", Uuid::from_u128(5), "nt-1"),
    ] {
        app.recorded(&[audit]).await;
        reached(&app).await; // each a step of its own
    }
    assert_eq!(parked(&app).await, ["event_index@2", "remediations@2", "search_documents@3"]);
    until("the model to have been given everything", async || {
        let states = index::states(app.server.app.journal.reader()).await.unwrap();
        states.first().is_some_and(|state| state.complete()).then_some(())
    })
    .await;
    let before = cursors(&app).await;

    for table in ["event_index", "remediations", "search_documents"] {
        sql(&app, &format!("ALTER TABLE {table} DROP CONSTRAINT poison")).await;
    }
    for (projection, position) in
        [(Projection::EventIndex, 2), (Projection::Remediations, 2), (Projection::SearchDocuments, 3)]
    {
        let retried = dead_letters::retry(&app.server.app.work, projection, Position(position)).await.unwrap();
        assert_eq!(retried, Retried::Mended, "{projection:?}");
        let again = dead_letters::retry(&app.server.app.work, projection, Position(position)).await.unwrap();
        assert_eq!(again, Retried::Gone, "{projection:?}");
    }

    assert_eq!(cursors(&app).await, before, "a retry moves no cursor");
    // The text that the model was passed by has its vector, too.
    app.embedded().await;
    assert!(wordly.seen.lock().unwrap().contains("The node sank in quicksand."));
    for projection in Projection::ALL {
        let owner = options(&app.db.owner_url);
        for table in rebuild::rebuild(&owner, "binnacle_service", projection, |_, _| ()).await.unwrap().tables {
            assert_eq!(table.differing, 0, "{table:?}");
        }
    }
}

#[tokio::test]
async fn what_is_beyond_the_cursor_or_was_never_parked_is_no_dead_letter() {
    let app = App::start().await;
    app.recorded(&[notification("rr", Uuid::from_u128(1), "nt")]).await;
    app.projected().await;
    // As a rebuild of a newer binary might leave it.
    sql(&app, "INSERT INTO projection_dead_letters (projection, position, error) VALUES ('event_index', 7, 'x')").await;
    for position in [1, 7, 8] {
        let retried = dead_letters::retry(&app.server.app.work, Projection::EventIndex, Position(position)).await;
        assert_eq!(retried.unwrap(), Retried::Gone, "{position}");
    }
}

#[tokio::test]
async fn an_administrator_lists_dead_letters_page_by_page_and_tries_them_again_which_is_recorded() {
    let (app, _file) = with_tokens().await;
    poison(&app).await;
    record(&app, &["rr-1", "rr-13", "rr-13", "rr-2"]).await;

    let first = data(&app, LIST, json!({"first": 1})).await["system"]["allDeadLetters"].take();
    assert_eq!((&first["totalCount"], &first["pageInfo"]["hasNextPage"]), (&json!(2), &json!(true)));
    let letter = &first["nodes"][0];
    assert_eq!(
        [&letter["id"], &letter["projection"], &letter["position"], &letter["remediationId"], &letter["clusterId"]],
        ["event_index@2", "event_index", "2", "rr-13", "default"]
    );
    assert_eq!([&letter["kind"], &letter["event"]["eventType"]], ["NOTIFICATION", "notification.delivered"]);
    assert_eq!((&letter["tries"], &letter["model"]), (&json!(1), &Value::Null));
    assert!(letter["error"].as_str().unwrap().contains("violates check constraint \"poison\""), "{letter:#}");
    let explanation = letter["explanation"].as_str().unwrap();
    assert!(explanation.starts_with("Lists of events do not show this event"), "{explanation}");
    let after = first["pageInfo"]["endCursor"].clone();
    let second = data(&app, LIST, json!({"first": 1, "after": after})).await["system"]["allDeadLetters"].take();
    assert_eq!(
        (&second["nodes"][0]["id"], second["pageInfo"]["hasNextPage"].as_bool()),
        (&json!("event_index@3"), Some(false))
    );

    // While the cause is there it is refused again, and says how often.
    let ids = json!({"ids": ["event_index@2", "event_index@3", "event_index@2", "event_index@1"]});
    let retried = data(&app, RETRY, ids.clone()).await["retryDeadLetters"].take();
    let outcomes = |retried: &Value| -> Vec<String> {
        let letters = retried["letters"].as_array().unwrap().iter();
        letters.map(|it| format!("{} {}", it["id"].as_str().unwrap(), it["outcome"].as_str().unwrap())).collect()
    };
    assert_eq!(outcomes(&retried), ["event_index@2 REFUSED", "event_index@3 REFUSED", "event_index@1 GONE"]);
    assert!(retried["letters"][0]["error"].as_str().unwrap().contains("violates check constraint"));
    let letter = data(&app, LIST, json!({})).await["system"]["allDeadLetters"]["nodes"][0].take();
    assert_eq!(letter["tries"], 2);
    assert!(letter["triedAt"].as_str() > letter["parkedAt"].as_str(), "{letter:#}");

    mend(&app).await;
    let retried = data(&app, RETRY, ids.clone()).await["retryDeadLetters"].take();
    assert_eq!(outcomes(&retried), ["event_index@2 MENDED", "event_index@3 MENDED", "event_index@1 GONE"]);
    assert_eq!(data(&app, LIST, json!({})).await["system"]["allDeadLetters"]["totalCount"], 0);
    let told = data(
        &app,
        "query($id: UUID!) { event(eventId: $id) {
            position category eventType kind outcome recordedBy actor { type id } payload
        } }",
        json!({"id": retried["eventId"]}),
    )
    .await["event"]
        .take();
    assert_eq!(
        [
            &told["position"],
            &told["category"],
            &told["eventType"],
            &told["kind"],
            &told["outcome"],
            &told["recordedBy"]
        ],
        ["6", "administration", "binnacle.dead_letters.retried", "OTHER", "SUCCESS", "admin"]
    );
    assert_eq!(told["actor"], json!({"type": "USER", "id": "admin"}));
    let details = &told["payload"]["payload"];
    assert_eq!((&details["mended"], &details["gone"]), (&json!(2), &json!(1)), "{details:#}");
    assert_eq!(details["letters"][0], json!({"id": "event_index@2", "outcome": "mended", "error": null}));

    // Where there was nothing to try nothing is recorded.
    let retried = data(&app, RETRY, ids).await["retryDeadLetters"].take();
    assert_eq!((&retried["eventId"], &retried["watermark"]), (&Value::Null, &Value::Null));
    assert_eq!(data(&app, "{ system { events } }", json!({})).await["system"]["events"], "6");
}

#[tokio::test]
async fn what_was_mended_and_could_not_be_recorded_is_told_as_mended() {
    let app = App::start().await;
    poison(&app).await;
    record(&app, &["rr-13"]).await;
    mend(&app).await;
    sql(
        &app,
        "DO $$ BEGIN EXECUTE (
            SELECT string_agg(format('REVOKE EXECUTE ON FUNCTION %s FROM binnacle_service', oid::regprocedure), '; ')
            FROM pg_proc WHERE proname IN ('journal_append', 'journal_append_batch')
        ); END $$",
    )
    .await;

    let answer = app.ask(RETRY, json!({"ids": ["event_index@1"]})).await;

    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{answer:#}");
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("of the dead letters 1 were mended"), "{message}");
    assert!(message.contains("but that could not be recorded in the journal: no audit can"), "{message}");
    assert!(parked(&app).await.is_empty());
}

#[tokio::test]
async fn a_retry_waits_for_who_holds_the_cursor() {
    let app = App::start().await;
    poison(&app).await;
    record(&app, &["rr-13"]).await;
    mend(&app).await;
    let mut owner = app.owner().await;
    let mut step = owner.begin().await.unwrap();
    let hold = "SELECT FROM projection_cursors WHERE name = 'event_index' FOR UPDATE";
    sqlx::query(hold).execute(&mut *step).await.unwrap();

    let work = app.server.app.work.clone();
    let retry = tokio::spawn(async move { dead_letters::retry(&work, Projection::EventIndex, Position(1)).await });
    let db = app.server.app.journal.reader();
    until("the retry to wait for the cursor", async || {
        let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND query LIKE '%projection_cursors%FOR UPDATE%')";
        sqlx::query_scalar::<_, bool>(waiting).fetch_one(db).await.unwrap().then_some(())
    })
    .await;
    assert_eq!(parked(&app).await, ["event_index@1"]);
    step.commit().await.unwrap();

    assert_eq!(retry.await.unwrap().unwrap(), Retried::Mended);
}

#[tokio::test]
async fn who_is_no_administrator_neither_sees_nor_tries_dead_letters() {
    let (app, _file) = with_tokens().await;
    poison(&app).await;
    record(&app, &["rr-13"]).await;
    for (query, variables) in [(LIST, json!({})), (RETRY, json!({"ids": ["event_index@1"]}))] {
        for caller in ["reader", "writer"] {
            let (_, answer) = app.ask_as(Some(&format!("{caller}'s token")), query, variables.clone()).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{caller}: {answer:#}");
            assert!(!answer.to_string().contains("rr-13"), "{answer:#}");
        }
    }
    assert_eq!(data(&app, LIST, json!({})).await["system"]["allDeadLetters"]["nodes"][0]["tries"], 1);
}

#[tokio::test]
async fn a_mutation_says_what_is_wrong_with_its_ids() {
    let app = App::start().await;
    let many: Vec<String> = (1..=101).map(|n| format!("event_index@{n}")).collect();
    for (ids, told) in [
        (json!([]), "`ids` has 0 ids; give 1 to 100"),
        (json!(many), "`ids` has 101 ids; give 1 to 100"),
        (json!(["event_index"]), "`event_index` is no dead letter's id"),
    ] {
        let answer = app.ask(RETRY, json!({"ids": ids})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT", "{answer:#}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().starts_with(told), "{answer:#}");
    }
}

#[tokio::test]
async fn a_refused_text_is_listed_with_where_it_stands_and_tried_again_by_the_server() {
    let wordly = Wordly::new("wordly");
    *wordly.refused.lock().unwrap() = Some("Checkout pods exceed".to_string());
    let app = App::embedding(database().await, Embedders::of(wordly.clone())).await;
    app.recorded(&worked_example()).await;
    app.embedded().await;

    let list = app.data(LIST, json!({})).await["system"]["allDeadLetters"].take();
    let letters = list["nodes"].as_array().unwrap();
    assert_eq!(list["totalCount"], letters.len());
    let letter = letters.iter().find(|letter| letter["field"] == "investigationReport").unwrap();
    assert_eq!([&letter["model"], &letter["kind"]], ["wordly", "AI_ANALYSIS"]);
    assert_eq!(letter["remediationId"], worked_example()[0]["remediationId"]);
    assert_eq!((&letter["projection"], &letter["error"]), (&Value::Null, &json!("it says Checkout pods exceed")));
    assert!(letter["triedAt"].is_string() && letter["nextAttemptAt"].is_string() && letter["parkedAt"].is_null());
    assert!(letter["explanation"].as_str().unwrap().contains("Model `wordly` refuses it"), "{letter:#}");

    *wordly.refused.lock().unwrap() = None;
    let ids: Vec<&str> = letters.iter().map(|letter| letter["id"].as_str().unwrap()).collect();
    let texts = wordly.texts.load(Ordering::Relaxed);
    let retried = app.data(RETRY, json!({"ids": ids})).await["retryDeadLetters"].take();
    assert!(retried["letters"].as_array().unwrap().iter().all(|it| it["outcome"] == "WAITING"), "{retried:#}");
    app.embedded().await;
    assert_eq!(wordly.texts.load(Ordering::Relaxed), texts + ids.len());
    assert_eq!(app.data(LIST, json!({})).await["system"]["allDeadLetters"]["nodes"], json!([]));
}

#[tokio::test]
async fn the_command_lists_explains_and_tries_again_beside_a_server() {
    let app = App::start().await;
    let none = run(on_database(&app.db, &["dead-letters", "list"])).await.done();
    assert!(none.starts_with("There are no dead letters"), "{none}");
    poison(&app).await;
    record(&app, &["rr-1", "rr-13", "rr-13"]).await;

    let listed = run(on_database(&app.db, &["dead-letters", "list", "--first", "1"])).await;
    assert_eq!(listed.code, Some(1), "{listed:#?}");
    for told in [
        "event_index@2",
        "notification.delivered of rr-13",
        "… and 1 more",
        "Lists of events do not show",
        "retry --all",
    ] {
        assert!(listed.text.contains(told), "{told}: {}", listed.text);
    }
    let listed = run(on_database(&app.db, &["dead-letters", "list", "--json"])).await.json();
    assert_eq!((&listed["count"], &listed["letters"][1]["id"]), (&json!(2), &json!("event_index@3")));
    assert_eq!(listed["letters"][1]["eventId"], Uuid::from_u128(3).to_string());

    let wrong = run(on_database(&app.db, &["dead-letters", "retry", "14"])).await;
    assert_eq!(wrong.code, Some(2), "{wrong:#?}");
    assert!(wrong.errors.contains("`14` is no dead letter's id"), "{wrong:#?}");
    let refused = run(on_database(&app.db, &["dead-letters", "retry", "--all", "--json"])).await;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert_eq!((&refused.json()["refused"], &refused.json()["left"]), (&json!(2), &json!(2)));

    mend(&app).await;
    let one = run(on_database(&app.db, &["dead-letters", "retry", "event_index@3"])).await;
    assert_eq!(one.code, Some(1), "one is left: {one:#?}");
    assert!(one.text.starts_with("1 mended, 0 refused again\n1 are left"), "{}", one.text);
    let all = run(on_database(&app.db, &["dead-letters", "retry", "--all"])).await.done();
    assert_eq!(all, "1 mended, 0 refused again\n");
    let again = run(on_database(&app.db, &["dead-letters", "retry", "event_index@3"])).await;
    assert_eq!(again.code, Some(1), "it is none any more: {again:#?}");
    assert!(again.text.contains("1 are no dead letters (any more): event_index@3"), "{again:#?}");

    // Three retries had something to try, and are told by who ran them.
    let events = app.data("{ system { watermark } }", json!({})).await["system"]["watermark"].take();
    let told = app
        .data(
            "query($w: Watermark) { events(filter: {category: [\"administration\"]}, atLeast: $w) {
                nodes { outcome recordedBy actor { type id } payload }
            } }",
            json!({"w": events}),
        )
        .await["events"]["nodes"]
        .take();
    let outcomes: Vec<&Value> = told.as_array().unwrap().iter().map(|event| &event["outcome"]).collect();
    assert_eq!(outcomes, ["FAILURE", "SUCCESS", "SUCCESS"]);
    assert_eq!((&told[0]["recordedBy"], &told[0]["actor"]["type"]), (&Value::Null, &json!("USER")));
    assert!(told[0]["actor"]["id"].as_str().unwrap().contains('@'), "{told:#}");
}

/// Lets no event of `rr-13` into the index of events.
async fn poison(app: &App) {
    sql(app, "ALTER TABLE event_index ADD CONSTRAINT poison CHECK (remediation_id <> 'rr-13')").await;
}

async fn mend(app: &App) {
    sql(app, "ALTER TABLE event_index DROP CONSTRAINT poison").await;
}

async fn sql(app: &App, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_string())).execute(&mut app.owner().await).await.unwrap();
}

/// Records a notification of each remediation, in one batch, with the ids 1, 2, …
async fn record(app: &App, remediations: &[&str]) {
    let audits: Vec<Value> =
        (1..).zip(remediations).map(|(n, remediation)| notification(remediation, Uuid::from_u128(n), "nt")).collect();
    let inputs: Vec<Value> = audits.iter().map(crate::support::app::audit_input).collect();
    let (_, answer) =
        app.ask_as(Some("admin's token"), crate::support::app::RECORD_AUDITS, json!({"inputs": inputs})).await;
    assert!(
        answer["data"]["recordAudits"].as_array().unwrap().iter().all(|it| it["position"].is_string()),
        "{answer:#}"
    );
    reached(app).await;
}

/// Waits until every projection has come to the end of the journal, with or without dead letters.
async fn reached(app: &App) {
    let db = app.server.app.journal.reader();
    let head = read::head(db).await.unwrap().last;
    for projection in Projection::ALL {
        app.server.app.signals.wait(db, projection, head).await.unwrap();
    }
}

async fn parked(app: &App) -> Vec<String> {
    let letters = dead_letters::page(app.server.app.journal.reader(), None, 100).await.unwrap();
    letters.iter().map(|letter| format!("{}@{}", letter.projection.name(), letter.position)).collect()
}

async fn cursors(app: &App) -> Vec<Position> {
    let mut positions = Vec::new();
    for projection in Projection::ALL {
        positions.push(cursor::position(app.server.app.journal.reader(), projection).await.unwrap());
    }
    positions
}

async fn with_tokens() -> (App, Folder) {
    let folder = Folder::new();
    let sha256 = |caller: &str| canonical::hex(&canonical::digest(&format!("{caller}'s token")));
    let callers = format!(
        "writer {} NOTIFICATION\nreader {} - read\nadmin {} * read admin\n",
        sha256("writer"),
        sha256("reader"),
        sha256("admin")
    );
    let file = folder.0.join("callers");
    std::fs::write(&file, callers).unwrap();
    (App::with_callers(Callers::read(&file).unwrap()).await, folder)
}

/// The data of a request of the administrator that must succeed.
async fn data(app: &App, query: &str, variables: Value) -> Value {
    let (_, mut answer) = app.ask_as(Some("admin's token"), query, variables).await;
    assert!(answer.get("errors").is_none(), "{query}\n{answer:#}");
    answer["data"].take()
}
