//! Problem documents: what a client of REST is told of every sort of failure.

use std::fs;

use axum::http::Method;
use binnacle::{audit::canonical, caller::Callers};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{app::App, doorway::Doorway, rest::example, store::Folder};

const PATH: &str = "/api/v1/audit/notifications";

/// An app that knows a writer of notifications and nobody else.
async fn guarded() -> (App, Folder) {
    let folder = Folder::new();
    let path = folder.0.join("tokens");
    let sha256 = |token: &str| canonical::hex(&canonical::digest(token));
    fs::write(
        &path,
        format!(
            "writer {} NOTIFICATION\nspy {} NOTIFICATION\nreader {} - read\n",
            sha256("w"),
            sha256("s"),
            sha256("r")
        ),
    )
    .unwrap();
    let app = App::with_callers(Callers::read(&path).unwrap()).await;
    (app, folder)
}

#[tokio::test]
async fn who_calls_decides_what_is_answered() {
    let (app, _folder) = guarded().await;
    let body = example("notifications");

    let nobody = app.post(PATH, &body).await;
    assert!(nobody.problem().starts_with("401 unauthenticated: "), "{}", nobody.problem());
    assert_eq!(nobody.headers["www-authenticate"], "Bearer");
    assert_eq!(nobody.json()["instance"], PATH);
    assert!(app.post_with(PATH, &[("authorization", "Bearer x")], &body).await.problem().starts_with("401 "));

    for path in ["/api/v1/audit/legal-hold", "/api/v1/audit/events", "/api/v1/effectiveness/rr-1"] {
        assert!(app.get(path).await.problem().starts_with("401 unauthenticated: "), "{path}");
    }

    let reader = [("authorization", "Bearer r")];
    let answer = app.post_with(PATH, &reader, &body).await;
    assert_eq!(answer.problem(), "403 kind-not-allowed: `reader` may not record audits of kind NOTIFICATION");
    assert_eq!(answer.json()["code"], "NOT_ALLOWED");

    let writer = [("authorization", "Bearer w")];
    assert_eq!(app.post_with(PATH, &writer, &body).await.status, 201);
    let mixed = json!([example("kubernaut-event"), body]);
    let answer = app.post_with("/api/v1/audit/events/batch", &writer, &mixed).await;
    assert!(answer.problem().starts_with("403 kind-not-allowed: none of 2 events"), "{}", answer.problem());
}

#[tokio::test]
async fn wrong_turns_are_told_as_problems() {
    let app = App::start().await;
    let unknown = app.get("/api/v1/audit/evnets").await;
    assert_eq!(unknown.problem(), "404 not-found: nothing is here; `/api-docs/` lists what there is");
    assert_eq!(unknown.json()["instance"], "/api/v1/audit/evnets");

    let method = app.rest(Method::PUT, PATH, &[], "").await;
    assert!(method.problem().starts_with("405 method-not-allowed: "));
    assert_eq!(method.headers["allow"], "POST");

    let accept = app.rest(Method::GET, "/remediations/rr-1/report", &[("accept", "image/png")], "").await;
    assert!(accept.problem().starts_with("406 not-acceptable: "));
    let picky = [("accept", "application/xml"), ("content-type", "application/json")];
    let answer = app.rest(Method::POST, PATH, &picky, example("notifications").to_string()).await;
    assert!(answer.problem().starts_with("406 not-acceptable: "), "{}", answer.problem());
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_acknowledged_and_the_client_is_told_to_try_again() {
    let app = App::start().await;
    app.server.app.journal.close().await;

    let answer = app.post(PATH, &example("notifications")).await;
    assert!(answer.problem().starts_with("503 unavailable: "), "{}", answer.problem());
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.json()["retryable"], true);
}

#[tokio::test]
async fn the_type_of_a_problem_is_the_address_of_a_page_about_it() {
    let app = App::start().await;
    let kind = app.post(PATH, &json!({})).await.json()["type"].as_str().unwrap().to_string();
    assert_eq!(kind, "/problems/invalid-audit");
    let page = app.get(&kind).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("<h1>Invalid audit</h1>"), "{:.300}", page.text);
    let markdown = app.rest(Method::GET, &kind, &[("accept", "text/markdown")], "").await;
    assert!(markdown.text.starts_with("# Invalid audit\n"));
    assert_eq!(app.get("/problems/invalid-audit.md").await.text, page.text);
    assert_eq!(app.get("/problems").await.headers["location"], "/problems/");
    assert!(app.get("/problems/").await.text.contains("invalid-audit"));
    assert!(app.get("/problems/no-such").await.problem().starts_with("404 not-found: there is no problem `no-such`"));
}

#[tokio::test]
async fn the_document_and_its_browser_load_nothing_from_elsewhere() {
    let app = App::start().await;
    let document = app.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/v1/audit/ai-decisions"]["post"].is_object());

    assert_eq!(app.get("/api-docs").await.headers["location"], "/api-docs/");
    let page = app.get("/api-docs/").await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "swagger-initializer.js"]
    {
        assert!(page.text.contains(file), "{file}");
        assert_eq!(app.get(&format!("/api-docs/{file}")).await.status, 200, "{file}");
    }
    assert!(app.get("/api-docs/swagger-initializer.js").await.text.contains("/openapi.json"));
    assert!(!page.text.contains("https://"), "{}", page.text);
    assert!(app.get("/api-docs/nope.js").await.problem().starts_with("404 not-found: "));
}

#[tokio::test]
async fn a_page_of_somebody_else_records_nothing_where_nobody_shows_a_token() {
    let app = App::start().await;
    let body = example("notifications");
    let foreign = [("origin", "https://evil.example"), ("host", "127.0.0.1:8080")];
    assert!(app.post_with(PATH, &foreign, &body).await.problem().starts_with("403 forbidden: "));
    let own = [("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")];
    assert_eq!(app.post_with(PATH, &own, &body).await.status, 201);
}

#[tokio::test]
async fn a_name_that_the_parser_keeps_for_itself_is_refused_everywhere_and_costs_nothing() {
    let app = App::start().await;
    // Each level is parsed anew, as deep as a whole text may be: enough of them overflow any stack.
    let mut nested = "1".to_string();
    for _ in 0..16 {
        let text = json!({"$serde_json::private::RawValue": nested}).to_string();
        nested = format!("{}{text}{}", "[".repeat(120), "]".repeat(120));
    }
    let headers = [("content-type", "application/json")];
    let one = format!(r#"{{"event_type": "x", "correlation_id": "rr-1", "zz": {nested}}}"#);
    let list = format!("[{one}]");
    for (path, body, status) in [
        ("/api/v1/audit/events", &one, 400),
        ("/api/v1/audit/events/batch", &list, 400),
        (PATH, &one, 422),
        (PATH, &list, 422),
        ("/api/v1/audit/verify-chain", &one, 400),
    ] {
        let answer = app.rest(Method::POST, path, &headers, body.clone()).await;
        assert_eq!(answer.status, status, "{path}: {:.300}", answer.text);
        assert!(answer.text.contains("is a name that cannot be kept"), "{path}: {:.300}", answer.text);
    }
    for member in ["variables", "extensions"] {
        let body = format!(r#"{{"query": "{{ __typename }}", "{member}": {{"zz": {nested}}}}}"#);
        let (status, answer) = app.send(None, body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.to_string().contains("is a name that cannot be kept"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_would_take_a_hundred_times_its_bytes_in_memory_is_refused_unread() {
    let app = App::start().await;
    let headers = [("content-type", "application/json")];
    let values = format!("[{}1]", r#"{"":1},"#.repeat(360_000));
    let audit = format!(r#"{{"event_type": "x", "correlation_id": "rr-1", "zz": {values}}}"#);
    for path in ["/api/v1/audit/events/batch", "/api/v1/audits", PATH] {
        let answer = app.rest(Method::POST, path, &headers, format!("[{audit}]")).await;
        assert!(
            answer.problem().starts_with("413 too-large: the batch cannot be read: it holds more objects"),
            "{path}"
        );
    }
    let query = "mutation($inputs: [AuditInput!]!) { recordAudits(inputs: $inputs) { __typename } }";
    let (status, answer) =
        app.send(None, format!(r#"{{"query": "{query}", "variables": {{"inputs": {values}}}}}"#)).await;
    assert_eq!(status, 413, "{answer}");
    assert!(answer.to_string().contains("it holds more objects, lists and values"), "{answer}");
}

#[tokio::test]
async fn who_may_not_read_learns_nothing_of_what_somebody_else_has_recorded() {
    let (app, _folder) = guarded().await;
    let mut theirs = example("notifications");
    theirs["event_id"] = json!("0199c2f4-0000-7000-8000-000000000001");
    let writer = [("authorization", "Bearer w")];
    let spy = [("authorization", "Bearer s")];
    assert_eq!(app.post_with(PATH, &writer, &theirs).await.status, 201);

    let mut guess = theirs.clone();
    guess["status"] = json!("failed");
    let told = app.post_with(PATH, &spy, &guess).await;
    assert_eq!(
        told.problem(),
        "409 conflict: event_id 0199c2f4-0000-7000-8000-000000000001 was recorded with other content"
    );
    assert_eq!((told.json().get("existing"), told.mistakes()), (None, vec!["/event_id".to_string()]));
    assert!(app.post_with(PATH, &writer, &guess).await.json()["existing"].is_object());
}

#[tokio::test]
async fn a_request_that_the_network_cuts_off_may_be_sent_again() {
    let app = App::start().await;
    let door = Doorway::opened(app.router.clone()).await;
    for path in ["/graphql", "/api/v1/audit/notifications", "/api/v1/audits"] {
        let mut connection = TcpStream::connect(door.url().trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n[{{"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        // No answer at all is as good.
        if !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
            assert!(answer.contains(r#""retryable":true"#), "{path}: {answer}");
        }
    }
}
