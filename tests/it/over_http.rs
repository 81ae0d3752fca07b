//! The GraphQL surface as clients and operators meet it: statuses, costs, the allow-list, deadlines, and what is seen of each
//! operation.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Request, header},
};
use binnacle::graphql::{AllowList, Settings};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgPool};
use uuid::Uuid;

use crate::support::{
    app::{Answer, App, audit_input, request, until},
    audits::{notification, with},
    postgres::{connect, database},
    process::{Served, on_database, run},
    store::Folder,
};

const NEWER: &str = "application/graphql-response+json";

#[tokio::test]
async fn a_mutation_by_get_is_refused_and_nothing_is_recorded() {
    let app = App::start().await;
    let mutation = r#"mutation { recordNotification(input: {remediationId: "rr", occurredAt: "2026-05-04T10:05:40Z",
        notificationId: "nt", status: "delivered", channel: "slack"}) { __typename } }"#;

    let answer = get(&app, mutation, "*/*").await;

    assert_eq!(
        (answer.status.as_u16(), &answer.headers[header::ALLOW]),
        (405, &header::HeaderValue::from_static("POST"))
    );
    assert_eq!(told(&answer), "405 BAD_INPUT only queries may be sent with GET; send this operation with POST");
    assert_eq!(head(&app).await, 0);
    assert_eq!(post(&app, json!({"query": mutation}), "*/*").await.status, 200);
    assert_eq!(head(&app).await, 1);
}

#[tokio::test]
async fn a_mutation_whose_variables_have_no_value_is_not_done_by_half() {
    let app = App::start().await;
    let mutation = "mutation Two($a: NotificationInput!, $b: NotificationInput!) {
        a: recordNotification(input: $a) { __typename } b: recordNotification(input: $b) { __typename } }";
    let a = json!({"remediationId": "rr", "occurredAt": "2026-05-04T10:05:40Z", "notificationId": "nt",
        "status": "delivered", "channel": "slack"});

    let answer = post(&app, json!({"query": mutation, "variables": {"a": a}}), NEWER).await;

    let plain = "the variable `$b` of type `NotificationInput!` has no value; send it in `variables`";
    assert_eq!(told(&answer), format!("400 BAD_INPUT {plain}"));
    assert_eq!(head(&app).await, 0);
    let skipped = json!({"query": "query($no: Boolean!) { system @include(if: $no) { events } }"});
    assert_eq!(post(&app, skipped, NEWER).await.status, 400);
}

#[tokio::test]
async fn the_newer_media_type_tells_by_status_whether_anything_was_executed() {
    let app = App::start().await;
    let deep = format!("{}__typename{}", "{ system ".repeat(30), "}".repeat(30));
    let mut statuses = Vec::new();
    for query in ["{ __typename }", "{ nope }", "{", &deep, "{ remediations(first: 1000000000) { nodes { id } } }"] {
        let (newer, older) =
            (post(&app, json!({"query": query}), NEWER).await, post(&app, json!({"query": query}), "*/*").await);
        assert_eq!(newer.headers[header::CONTENT_TYPE], format!("{NEWER}; charset=utf-8"));
        assert_eq!(older.headers[header::CONTENT_TYPE], "application/json; charset=utf-8");
        statuses.push(format!("{} {} data: {}", newer.status, older.status, newer.json().get("data").is_some()));
    }
    insta::assert_snapshot!(statuses.join("\n"), @r"
    200 OK 200 OK data: true
    400 Bad Request 200 OK data: false
    400 Bad Request 200 OK data: false
    400 Bad Request 200 OK data: false
    200 OK 200 OK data: true
    ");
}

#[tokio::test]
async fn an_operation_that_is_not_there_is_told_plainly() {
    let app = App::start().await;
    let two = "query A { __typename } query B { __typename }";
    let bodies = [
        json!({"query": two}),
        json!({"query": two, "operationName": "C"}),
        json!({"query": "{ __typename }", "operationName": "C"}),
        json!({"documentId": "x"}),
    ];
    let mut answers = Vec::new();
    for body in bodies {
        answers.push(told(&post(&app, body, NEWER).await));
    }
    insta::assert_snapshot!(answers.join("\n"), @r"
    400 BAD_INPUT the query has several operations; name one as `operationName`
    400 BAD_INPUT `operationName` names no operation of the query
    400 BAD_INPUT `operationName` names no operation of the query
    400 BAD_INPUT `documentId` names nothing here, as there is no allow-list; send `query`
    ");
    assert_eq!(post(&app, json!({"query": two, "operationName": "B"}), NEWER).await.status, 200);
}

#[tokio::test]
async fn the_cost_is_told_when_asked_for_and_too_much_is_refused_with_the_figure() {
    let app = App::start().await;
    const QUERY: &str = "query Page($n: Int!) { remediations(first: $n) { edges { node { remediationId events(first: 10) { edges { node { eventId } } } } } } }";
    let asked = json!({"query": QUERY, "variables": {"n": 7}, "extensions": {"cost": true}});

    let answer = post(&app, asked.clone(), NEWER).await.json();

    // A page of 7 at 1 for itself; each of them an edge, a node, a name, and a page of 10 times 3, and 1.
    let each = 1 + 1 + 1 + (10 * 3 + 1);
    let cost = json!({"requested": 7 * each + 1, "max": 50_000, "depth": 7, "depthMax": 20});
    assert_eq!(answer["extensions"]["cost"], cost);
    assert_eq!(answer["data"]["remediations"]["edges"], json!([]));
    let quiet = json!({"query": QUERY, "variables": {"n": 7}});
    assert!(post(&app, quiet, NEWER).await.json().get("extensions").is_none());

    let uri = format!("/graphql?query={}&extensions=%7B%22cost%22:true%7D", encoded("{ system { watermark } }"));
    let by_get = request(&app.router, Request::get(uri).body(Body::empty()).unwrap()).await;
    assert_eq!(by_get.json()["extensions"]["cost"]["requested"], 2);

    let large = "{ remediations(first: 100) { edges { node { events(first: 100) { edges { node { children(first: 100) { edges { node { eventId } } } } } } } } } }";
    insta::assert_snapshot!(told(&post(&app, json!({"query": large}), NEWER).await), @"400 TOO_COMPLEX the query costs 3030301 fields, page sizes counted, at most 50000 are allowed; ask for smaller pages");
}

#[tokio::test]
async fn pages_in_pages_cost_too_much_however_deep_they_go() {
    let app = App::with_graphql(Settings { depth_max: 1_000, ..Settings::default() }).await;
    let page = |name: &str, inner: &str| format!("{name}(first: 100) {{ edges {{ node {{ eventId {inner} }} }} }}");
    // Ten pages in each other would show more than a 64-bit number can count; an eleventh is deeper than any setting allows.
    let nested = |pages: usize| (1..pages).fold(String::new(), |inner, _| page("children", &inner));
    let mut answers = Vec::new();
    for pages in [5, 10, 11] {
        let query = format!("{{ system {{ watermark }} {} }}", page("events", &nested(pages)));
        answers.push(told(&post(&app, json!({"query": query}), NEWER).await));
    }
    insta::assert_snapshot!(answers.join("\n"), @r"
    400 TOO_COMPLEX the query costs 1000000002 fields, page sizes counted, at most 50000 are allowed; ask for smaller pages
    400 TOO_COMPLEX the query costs 1000000002 fields, page sizes counted, at most 50000 are allowed; ask for smaller pages
    400 TOO_COMPLEX the query has 34 levels of fields, at most 32 are allowed; nest less deep
    ");
}

#[tokio::test]
async fn introspection_and_suggestions_can_be_switched_off() {
    let open = App::start().await;
    let closed = App::with_graphql(Settings { introspection: false, ..Settings::default() }).await;
    let quiet = App::with_graphql(Settings { suggestions: false, ..Settings::default() }).await;
    const SCHEMA: &str = "{ __schema { queryType { name } } }";
    const TYPO: &str = "{ remediation(remediationId: \"rr\") { phas } }";
    let mut answers = Vec::new();
    for (app, name) in [(&open, "open"), (&closed, "closed"), (&quiet, "quiet")] {
        for query in [SCHEMA, TYPO, "{ __typename }"] {
            let answer = post(app, json!({"query": query}), NEWER).await;
            answers.push(format!("{name}: {}", told(&answer)));
        }
    }
    insta::assert_snapshot!(answers.join("\n"), @r#"
    open: 200 {"__schema":{"queryType":{"name":"Query"}}}
    open: 400 BAD_INPUT Unknown field "phas" on type "Remediation". Did you mean "phase", "phases"?
    open: 200 {"__typename":"Query"}
    closed: 403 FORBIDDEN introspection is switched off here; `binnacle schema` prints the schema
    closed: 400 BAD_INPUT Unknown field "phas" on type "Remediation".
    closed: 200 {"__typename":"Query"}
    quiet: 200 {"__schema":{"queryType":{"name":"Query"}}}
    quiet: 400 BAD_INPUT Unknown field "phas" on type "Remediation".
    quiet: 200 {"__typename":"Query"}
    "#);
}

#[tokio::test]
async fn with_an_allow_list_only_its_documents_run_by_their_text_or_their_id() {
    const LISTED: &str = "query Listed { system { watermark } }";
    let folder = Folder::new();
    let file = folder.0.join("documents.json");
    fs::write(&file, json!({"listed": LISTED}).to_string()).unwrap();
    let settings = Settings::default();
    let list = AllowList::read(&file, settings.bounds()).unwrap();
    let app = App::with_graphql(Settings { allow_list: Some(Arc::new(list)), ..settings }).await;

    for body in [
        json!({"query": LISTED}),
        json!({"documentId": "listed"}),
        json!({"documentId": format!("sha256:{}", sha256(LISTED))}),
    ] {
        let answer = post(&app, body.clone(), NEWER).await;
        assert!(answer.json()["data"]["system"]["watermark"].is_string(), "{body} {}", answer.text);
    }
    let by_get = request(&app.router, Request::get("/graphql?documentId=listed").body(Body::empty()).unwrap()).await;
    assert_eq!(by_get.status, 200, "{}", by_get.text);

    let mut answers = Vec::new();
    for body in [
        json!({"query": "{ __typename }"}),
        json!({"documentId": "other"}),
        json!({"documentId": "listed", "query": "{ __typename }"}),
        json!({"query": "{"}),
    ] {
        answers.push(told(&post(&app, body, NEWER).await));
    }
    insta::assert_snapshot!(answers.join("\n"), @r"
    403 FORBIDDEN only listed documents run here, and this one is not listed; its SHA-256 is 7f56e67dd21ab3f30d1ff8b7bed08893f0a0db86449836189b361dd1e56ddb4b
    403 FORBIDDEN only listed documents run here, and none has the id `other`
    400 BAD_INPUT send `documentId` or `query`, not both
    403 FORBIDDEN only listed documents run here, and this one is not listed; its SHA-256 is 021fb596db81e6d02bf3d2586ee3981fe519f275c0ac9ca76bbcf2ebb4097d96
    ");
}

#[tokio::test]
async fn an_allow_list_with_a_mistake_stops_the_start() {
    let db = database().await;
    let folder = Folder::new();
    let file = folder.0.join("documents.json");
    let file_name = file.to_str().unwrap();
    for (text, words) in [
        ("[", "is not a JSON object of ids with the texts of documents"),
        (r#"{"one": "{ a"}"#, "has a document that cannot run: `one`: the query ends too early, at line 1, column 4"),
        ("{}", "is empty, and then nothing could run"),
    ] {
        fs::write(&file, text).unwrap();
        let ended = run(on_database(&db, &["serve", "--listen", "127.0.0.1:0", "--allow-list", file_name])).await;
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.errors.contains(words), "{}", ended.errors);
    }
}

#[tokio::test]
async fn a_deadline_ends_the_statement_too_and_the_pool_is_as_before() {
    let timeout = Duration::from_millis(1_500);
    let app = App::with_graphql(Settings { request_timeout: timeout, ..Settings::default() }).await;
    let parent = Uuid::now_v7();
    let child = with(notification("rr", Uuid::now_v7(), "nt-2"), "parentEventId", json!(parent.to_string()));
    app.recorded(&[notification("rr", parent, "nt-1"), child]).await;
    app.projected().await;
    let queries = [
        ("remediations", "{ remediations { edges { node { phase } } } }"),
        // Its list is there; only what a loader reads, in a task of its own, is locked.
        ("event_keys", "{ events { edges { node { parent { eventId } } } } }"),
    ];
    for (table, query) in queries {
        assert!(post(&app, json!({"query": query}), NEWER).await.json().get("errors").is_none());
        let mut owner = app.owner().await;
        let mut lock = owner.begin().await.unwrap();
        let statement = sqlx::AssertSqlSafe(format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"));
        lock.execute(sqlx::raw_sql(statement)).await.unwrap();

        let begun = Instant::now();
        let asked = json!({"query": query});
        let (answer, ()) = tokio::join!(post(&app, asked, NEWER), async {
            until("a reader to wait for the lock", async || (readers_at_work(&app).await > 0).then_some(())).await;
        });

        let error = &answer.json()["errors"][0]["extensions"];
        assert_eq!(error, &json!({"code": "TIMEOUT", "retryable": true}), "{table}: {}", answer.text);
        assert_eq!(answer.status, 504);
        assert!(begun.elapsed() < Duration::from_secs(6), "{table}: {:?}", begun.elapsed());
        // The lock is still held, so a statement that goes on would be seen.
        until("no reader to be at work", async || (readers_at_work(&app).await == 0).then_some(())).await;
        assert!(begun.elapsed() < Duration::from_secs(6), "{table}: {:?}", begun.elapsed());
        lock.rollback().await.unwrap();

        until("the query to be answered again", async || {
            post(&app, json!({"query": query}), NEWER).await.json().get("errors").is_none().then_some(())
        })
        .await;
    }
    until("every connection to have the pool's own limit", async || {
        (limits(app.server.app.journal.reader()).await == ["10s", "10s", "10s", "10s"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn operations_are_counted_by_name_and_by_what_became_of_them() {
    let app = App::start().await;
    app.ask("query Who { system { watermark } }", json!({})).await;
    app.ask("query Who { remediations(first: 0) { nodes { id } } }", json!({})).await;
    app.ask("{", json!({})).await;
    let text = request(&app.router, Request::get("/metrics").body(Body::empty()).unwrap()).await.text;
    for line in [
        r#"binnacle_graphql_operation_seconds_count{code="OK",operation="Who",type="query"} 1"#,
        r#"binnacle_graphql_operation_seconds_count{code="BAD_INPUT",operation="Who",type="query"} 1"#,
        r#"binnacle_graphql_refused_total{code="BAD_INPUT"} 1"#,
    ] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
}

#[tokio::test]
async fn a_slow_operation_is_logged_with_all_but_its_variables() {
    const SECRET: &str = "hunter2-in-a-variable";
    const QUERY: &str =
        "query Secrets($id: [String!]) { events(filter: {actorId: $id}) { edges { node { eventId } } } }";
    let db = database().await;
    let filter = "info,binnacle=trace,sqlx=trace";
    let command = on_database(&db, &["serve", "--slow-operation", "1ms", "--log-filter", filter]);
    let server = Served::start(command).await;
    let mut client = server.client();
    let mut audit = notification("rr-secret", Uuid::now_v7(), "nt");
    audit["details"] = json!({"password": SECRET});
    client.record(&[audit_input(&audit)]).await.expect("recorded");
    client.data(QUERY, json!({"id": [SECRET]})).await;
    client.data("query Find($q: String!) { search(query: $q) { hits { score } } }", json!({"q": SECRET})).await;
    let bad =
        json!({"query": "query Bad($id: UUID!) { event(eventId: $id) { eventId } }", "variables": {"id": SECRET}});
    assert!(client.post(&bad.to_string()).await.unwrap().text.contains("BAD_INPUT"));
    let lines = || server.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>();
    let of_operation = |line: &&Value| line["operation.name"] == "Secrets" && line["duration.ms"].is_number();
    let slow = until("the slow operation to be logged", async || lines().iter().find(of_operation).cloned()).await;

    assert_eq!((&slow["level"], &slow["operation.kind"]), (&json!("WARN"), &json!("query")));
    assert_eq!(slow["document.sha256"], sha256(QUERY)[..16]);
    assert_eq!((&slow["operation.code"], &slow["operation.cost"]), (&json!("OK"), &json!(20 * 3 + 1)));
    assert!(slow["operation.reads"].as_u64().unwrap() >= 1, "{slow}");

    // Each statement is told within the spans of its request and its operation, by its text alone.
    let statements = |line: &&Value| line["target"] == "sqlx::query" && line["span"]["operation.name"] == "Secrets";
    let lines = lines();
    let statement = lines.iter().find(statements).expect("a statement of the operation is logged");
    assert!(statement["elapsed_secs"].is_number(), "{statement}");
    assert!(statement["spans"][0]["trace.id"].is_string(), "{statement}");
    assert!(!server.log().contains(SECRET), "{}", server.log().lines().find(|line| line.contains(SECRET)).unwrap());
}

/// How many connections for reading are executing something.
async fn readers_at_work(app: &App) -> i64 {
    let mut admin = connect(&app.db.admin_url).await; // others are not shown what a role's connections do
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'binnacle read'
            AND state = 'active'",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap()
}

/// The time limits of all connections of a pool of four.
async fn limits(pool: &PgPool) -> Vec<String> {
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.acquire().await.unwrap());
    }
    let mut limits: Vec<String> = Vec::new();
    for connection in &mut held {
        limits.push(sqlx::query_scalar("SHOW statement_timeout").fetch_one(&mut **connection).await.unwrap());
    }
    limits
}

async fn head(app: &App) -> i64 {
    binnacle::journal::read::head(app.server.app.journal.reader()).await.unwrap().last.0
}

fn sha256(text: &str) -> String {
    binnacle::audit::canonical::hex(&binnacle::audit::canonical::digest(text))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn get(app: &App, query: &str, accept: &str) -> Answer {
    let get = Request::get(format!("/graphql?query={}", encoded(query))).header("accept", accept);
    request(&app.router, get.body(Body::empty()).unwrap()).await
}

async fn post(app: &App, body: Value, accept: &str) -> Answer {
    let post = Request::post("/graphql").header("content-type", "application/json").header("accept", accept);
    request(&app.router, post.body(Body::from(body.to_string())).unwrap()).await
}

/// Status, code and message of the first error; the data where there is none.
fn told(answer: &Answer) -> String {
    let json = answer.json();
    let Some(error) = json["errors"].get(0) else { return format!("{} {}", answer.status.as_u16(), json["data"]) };
    let (code, message) = (error["extensions"]["code"].as_str().unwrap(), error["message"].as_str().unwrap());
    format!("{} {code} {message}", answer.status.as_u16())
}
