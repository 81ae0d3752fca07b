//! Callers: who may record what, who may ask, and under which name it is kept.

use std::fs;

use axum::{
    body::Body,
    http::{Request, header},
};
use binnacle::{audit::canonical, caller::Callers};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{App, RECORD_AUDITS, audit_input, request},
    audits::notification,
    store::Folder,
};

#[tokio::test]
async fn without_a_known_token_nobody_is_served() {
    let (app, _file) = started().await;
    for token in [None, Some("Bearer nobody's"), Some("writer"), Some("Bearer "), Some("Basic d3JpdGVy")] {
        let mut post = Request::post("/graphql").header("content-type", "application/json");
        if let Some(token) = token {
            post = post.header("authorization", token);
        }
        let answer = request(&app.router, post.body(Body::from(r#"{"query": "{ __typename }"}"#)).unwrap()).await;

        assert_eq!(answer.status, 401, "{token:?}");
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        let error = &answer.json()["errors"][0]["extensions"];
        assert_eq!(error, &json!({"code": "UNAUTHENTICATED", "retryable": false}));
    }
}

#[tokio::test]
async fn what_a_caller_may_not_record_is_rejected_and_its_neighbours_are_stored_under_its_name() {
    let (app, _file) = started().await;
    let other = json!({"kind": "OTHER", "remediationId": "rr", "occurredAt": "2026-05-04T10:05:40Z",
        "category": "gateway", "eventType": "gateway.seen", "payload": {}});
    let batch = [notification("rr", id(1), "nt-1"), other, notification("rr", id(2), "nt-2")];

    let results = record(&app, "writer", &batch).await;

    assert_eq!([&results[0]["position"], &results[2]["position"]], ["1", "2"]);
    let rejected = &results[1];
    assert_eq!(rejected["code"], "NOT_ALLOWED");
    assert_eq!(rejected["retryable"], false);
    assert_eq!(rejected["problems"][0]["message"], "`writer` may not record audits of kind OTHER");

    // Whoever repeats it, the name of the first stays.
    assert_eq!(record(&app, "admin", &batch[..1]).await[0]["duplicate"], true);
    let asked = ask(&app, "reader", "query($ids: [UUID!]!) { eventsById(eventIds: $ids) { recordedBy } }");
    let asked = asked.await["data"]["eventsById"].take();
    assert_eq!(asked, json!([{"recordedBy": "writer"}, {"recordedBy": "writer"}]));
}

#[tokio::test]
async fn who_may_only_read_records_nothing() {
    let (app, _file) = started().await;
    let results = record(&app, "reader", &[notification("rr", id(1), "nt-1")]).await;
    assert_eq!(results[0]["code"], "NOT_ALLOWED");
    assert_eq!(ask(&app, "reader", "{ system { events } }").await["data"]["system"]["events"], "0");
}

#[tokio::test]
async fn who_may_only_record_asks_nothing_not_even_through_a_receipt() {
    let (app, _file) = started().await;
    record(&app, "admin", &[notification("rr", id(1), "nt-1")]).await;
    for query in [
        "{ system { events } }",
        "query($ids: [UUID!]!) { eventsById(eventIds: $ids) { payload } }",
        "{ event(eventId: \"00000000-0000-0000-0000-000000000001\") { payload } }",
        "{ remediation(remediationId: \"rr\") { phase } }",
        "{ remediations { nodes { phase } } }",
        "{ events { nodes { payload } } }",
    ] {
        let answer = ask(&app, "writer", query).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{query}: {answer:#}");
        assert_eq!(answer["data"], Value::Null, "{query}");
    }

    for around in ["remediation { phase }", "parent { payload }", "children { nodes { payload } }"] {
        let mutation = format!(
            "mutation($input: NotificationInput!) {{
                recordNotification(input: $input) {{ ... on Recorded {{ event {{ eventId {around} }} }} }}
            }}"
        );
        let mut audit = notification("rr", id(2), "nt-2");
        audit.as_object_mut().unwrap().remove("kind");
        audit["parentEventId"] = json!(id(1));
        let body = json!({"query": mutation, "variables": {"input": audit}}).to_string();
        let (_, answer) = app.send(Some("writer's token"), body).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{around}: {answer:#}");
        assert!(!answer["data"].to_string().contains("nt-1"), "{answer:#}");
    }
    // The audit is recorded all the same: what was asked beside it is another matter.
    assert_eq!(record(&app, "writer", &[with_parent()]).await[0]["duplicate"], true);
}

#[tokio::test]
async fn a_changed_file_is_in_force_once_it_is_read_again() {
    let file = File::new(&format!("writer {} NOTIFICATION\n", sha256("writer's token")));
    let callers = Callers::read(&file.path()).unwrap();
    let app = App::with_callers(callers.clone()).await;
    assert_eq!(app.send(Some("reader's token"), String::new()).await.0, 401);

    fs::write(file.path(), callers_file()).unwrap();
    assert_eq!(callers.reread().unwrap(), 3);

    assert_eq!(ask(&app, "reader", "{ system { events } }").await["data"]["system"]["events"], "0");
}

async fn started() -> (App, File) {
    let file = File::new(&callers_file());
    (App::with_callers(Callers::read(&file.path()).unwrap()).await, file)
}

fn callers_file() -> String {
    format!(
        "writer {} NOTIFICATION\nreader {} - read\nadmin {} * read admin\n",
        sha256("writer's token"),
        sha256("reader's token"),
        sha256("admin's token")
    )
}

fn sha256(token: &str) -> String {
    canonical::hex(&canonical::digest(token))
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn with_parent() -> Value {
    let mut audit = notification("rr", id(2), "nt-2");
    audit["parentEventId"] = json!(id(1));
    audit
}

async fn record(app: &App, caller: &str, audits: &[Value]) -> Vec<Value> {
    let inputs: Vec<Value> = audits.iter().map(audit_input).collect();
    let token = format!("{caller}'s token");
    let (_, mut answer) = app.ask_as(Some(&token), RECORD_AUDITS, json!({"inputs": inputs})).await;
    serde_json::from_value(answer["data"]["recordAudits"].take()).unwrap_or_else(|_| panic!("{answer:#}"))
}

async fn ask(app: &App, caller: &str, query: &str) -> Value {
    let token = format!("{caller}'s token");
    let variables = if query.contains("$ids") { json!({"ids": [id(1), id(2)]}) } else { Value::Null };
    app.ask_as(Some(&token), query, variables).await.1
}

/// A file of callers, in a folder that goes with this value.
struct File(Folder);

impl File {
    fn new(text: &str) -> File {
        let file = File(Folder::new());
        fs::write(file.path(), text).unwrap();
        file
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.0.join("callers")
    }
}
