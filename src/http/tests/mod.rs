//! The router's behaviour, with a small schema in the place of the real one.

mod live;
mod pages;
mod serve;
mod server;

use std::{io, time::Duration};

use axum::http::{Method, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tower::ServiceExt as _;

use super::*;
use server::{Server, checks, request};

#[tokio::test]
async fn a_query_is_answered_and_its_resolvers_know_caller_and_trace() {
    let server = Server::new();
    let headers = [
        ("content-type", "application/json; charset=UTF-8"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let answer = server.send(request(Method::POST, "/graphql", &headers, r#"{"query": "{ caller trace }"}"#)).await;
    assert_eq!(
        answer.json(),
        json!({"data": {"caller": "nobody", "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
    );
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json; charset=utf-8");
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
}

#[tokio::test]
async fn null_members_are_the_same_as_none() {
    let body = r#"{"query": "{ caller }", "variables": null, "operationName": null, "extensions": null}"#;
    assert_eq!(Server::new().post(body).await.json(), json!({"data": {"caller": "nobody"}}));
}

#[tokio::test]
async fn the_media_type_asked_for_decides_the_status_of_a_request_error() {
    let server = Server::new();
    let ask = |query: &str, accept: &'static str| {
        let headers = [("content-type", "application/json"), ("accept", accept)];
        server.send(request(Method::POST, "/graphql", &headers, &json!({"query": query}).to_string()))
    };
    const NEW: &str = "application/graphql-response+json";

    for query in ["{ nope }", "{", "subscription { x }"] {
        let refused = ask(query, NEW).await;
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.header(header::CONTENT_TYPE), "application/graphql-response+json; charset=utf-8");
        assert!(refused.json().get("data").is_none());
        assert!(refused.json()["errors"][0]["message"].is_string());
        assert_eq!(ask(query, "*/*").await.status, 200);
    }
    let executed = ask("{ fails }", NEW).await;
    assert_eq!((executed.status, &executed.json()["data"]), (200, &Value::Null));
    assert!(executed.json().as_object().unwrap().contains_key("data"));
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_plain_sentence() {
    let server = Server::new();
    let mut told = Vec::new();
    let deep = format!(r#""variables": {{"it": {}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let [deep, broken] = [&*deep, r#""variables": {"it": 1 2}"#]
        .map(|variables| format!(r#"{{"query": "mutation {{ record }}", {variables}}}"#));
    for body in [
        "{ not",
        r#"["{ caller }", null, null, null]"#,
        "{}",
        r#"{"query": 7}"#,
        r#"{"query": "{ caller }", "variables": "x"}"#,
        r#"{"query": "\ud800"}"#,
        &deep,
        &broken,
    ] {
        told.push(server.post(body).await.refusal());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    400 BAD_INPUT the request is not JSON: key must be a string at line 1 column 3
    400 BAD_INPUT a request is one JSON object, with `query` and `variables`; `recordAudits` takes many audits
    400 BAD_INPUT the request has no `query`, and no `documentId`
    400 BAD_INPUT the request is not what GraphQL over HTTP asks for: invalid type: integer `7`, expected a string at line 1 column 11
    400 BAD_INPUT the request is not what GraphQL over HTTP asks for: invalid type: string "x", expected a map at line 1 column 40
    400 BAD_INPUT the request is not JSON: unexpected end of hex escape at line 1 column 18
    400 BAD_INPUT the request is not JSON: recursion limit exceeded at line 1 column 179
    400 BAD_INPUT the request is not JSON: expected `,` or `}` at line 1 column 56
    "#);
    for media in ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=latin1"] {
        let answer = server.send(request(Method::POST, "/graphql", &[("content-type", media)], "{}")).await;
        assert_eq!(answer.status, 415, "{media}: {}", answer.refusal());
    }
}

#[tokio::test]
async fn a_number_that_would_change_is_refused_before_anything_is_executed() {
    let server = Server::new();
    let body = r#"{"query": "mutation { bump }", "variables": {"input": {"n": [1, 9007199254740993.0]}}}"#;
    let answer = server.post(body).await;
    assert_eq!(answer.json()["errors"][0]["extensions"]["path"], json!(["input", "n", "1"]));
    insta::assert_snapshot!(answer.refusal(), @"200 BAD_INPUT variable `input.n.1`: 9007199254740993.0 does not fit a 64-bit number exactly; send it as a string");

    assert_eq!(server.ask("mutation { bump }").await.json(), json!({"data": {"bump": 1}}));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let server = Server::new();
    let of = |query: &str, bytes: usize| {
        let text = |filling: &str| json!({"query": query, "variables": {"x": filling}}).to_string();
        text(&"x".repeat(bytes - text("").len()))
    };
    let (single, batch) = ("{ caller }", "{ caller } # as large as recordAudits");
    assert_eq!(server.post(&of(single, graphql::SINGLE_BYTES_MAX)).await.status, 200);
    assert_eq!(server.post(&of(batch, crate::rest::BODY_BYTES_MAX)).await.status, 200);
    insta::assert_snapshot!(server.post(&of(single, graphql::SINGLE_BYTES_MAX + 1)).await.refusal(), @"413 BAD_INPUT a request like this may have 1048576 bytes; only `recordAudits` may have more");
    insta::assert_snapshot!(server.post(&of(batch, crate::rest::BODY_BYTES_MAX + 1)).await.refusal(), @"413 BAD_INPUT a request like this may have 9437184 bytes; send more audits in several requests");
    let declared = [("content-type", "application/json"), ("content-length", "104857600")];
    let answer = server.send(request(Method::POST, "/graphql", &declared, "{}")).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
}

#[tokio::test]
async fn pages_of_others_may_not_post_where_nobody_shows_a_token() {
    let server = Server::new();
    let post = |origin: &'static str, host: &'static str| {
        let headers = [("content-type", "application/json"), ("origin", origin), ("host", host)];
        server.send(request(Method::POST, "/graphql", &headers, r#"{"query": "mutation { bump }"}"#))
    };
    assert_eq!(post("https://evil.example.com", "127.0.0.1:8080").await.status, 403);
    assert_eq!(post("http://rebound.example.com", "rebound.example.com").await.status, 403);
    assert_eq!(post("http://127.0.0.1:8080", "127.0.0.1:8080").await.json(), json!({"data": {"bump": 1}}));
}

#[tokio::test]
async fn get_takes_the_same_members_as_parameters() {
    let server = Server::new();
    let answer =
        server.get("/graphql?query=query%20E(%24v:%20JSON!)%7Becho(value:%24v)%7D&variables=%7B%22v%22:[1]%7D").await;
    assert_eq!(answer.json(), json!({"data": {"echo": [1]}}));
    assert_eq!(server.get("/graphql").await.refusal(), "400 BAD_INPUT the request has no `query`, and no `documentId`");
    let answer = server.get("/graphql?query=%7Bcaller%7D&variables=%7B%22v%22:1e400%7D").await;
    assert_eq!(answer.json()["errors"][0]["extensions"]["path"], json!(["v"]));
    assert_eq!(server.get("/graphql?query=%7Bcaller%7D&extensions=%7B%22a%22:1%7D").await.status, 200);
    let told = server.get("/graphql?query=%7Bcaller%7D&extensions=7").await.refusal();
    insta::assert_snapshot!(told, @"400 BAD_INPUT the parameter `extensions` has to be a JSON object");
    insta::assert_snapshot!(server.get("/graphql?query=a&query=b").await.refusal(), @"400 BAD_INPUT Failed to deserialize query string: duplicate field `query`");
}

#[tokio::test]
async fn a_report_is_written_as_it_is_asked_for() {
    let server = Server::new();
    let led = server.get("/remediations/rr%2F1?cluster=a%26b").await;
    assert_eq!((led.status, led.header(header::LOCATION)), (303, "/remediations/rr%2F1/report?cluster=a%26b"));

    let ask = async |path: &str, accept: &str| server.send(request(Method::GET, path, &[("accept", accept)], "")).await;
    let page = ask("/remediations/rr%2F1/report?cluster=a%26b", "text/html,*/*;q=0.8").await;
    assert_eq!((page.status, page.header(header::CONTENT_TYPE)), (200, "text/html; charset=utf-8"));
    assert!(page.header(header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'"));
    assert!(page.text.contains("\"a&b\""), "{}", page.text);
    let markdown = ask("/remediations/rr%2F1/report?at=x", "text/markdown").await;
    assert_eq!(markdown.header(header::CONTENT_TYPE), "text/markdown; charset=utf-8");
    let json = ask("/remediations/rr%2F1/report?format=json", "text/html").await;
    assert_eq!(json.header(header::CONTENT_TYPE), "application/json; charset=utf-8");

    insta::assert_snapshot!(ask("/remediations/rr-2/report", "*/*").await.refusal(), @"404 NOT_FOUND nothing is recorded of remediation `rr-2`");
    insta::assert_snapshot!(ask("/remediations/rr%2F1/report?format=pdf", "*/*").await.refusal(), @"400 BAD_INPUT there is no format `pdf`; there are html, md and json");
    insta::assert_snapshot!(ask("/remediations/rr%2F1/report", "image/png").await.refusal(), @"406 BAD_INPUT a report can be had as text/html, text/markdown and application/json");
}

#[tokio::test]
async fn who_is_not_known_is_asked_for_a_token_and_health_stays_open() {
    let file = std::env::temp_dir().join(format!("binnacle-http-callers-{}", std::process::id()));
    let sha256 = crate::audit::canonical::hex(&crate::audit::canonical::digest("secret"));
    std::fs::write(&file, format!("auditor {sha256} - read")).unwrap();
    let server = Server::with(|app| app.callers = Callers::read(&file).unwrap());
    std::fs::remove_file(&file).unwrap();

    let answer = server.ask("{ caller }").await;
    assert_eq!((answer.status, answer.header(header::WWW_AUTHENTICATE)), (401, "Bearer"));
    assert_eq!(answer.json()["errors"][0]["extensions"], json!({"code": "UNAUTHENTICATED", "retryable": false}));
    assert_eq!(server.get("/graphql?query=%7Bcaller%7D").await.status, 401);
    assert_eq!(server.get("/livez").await.status, 200);

    let headers = [("content-type", "application/json"), ("authorization", "Bearer secret")];
    let answer = server.send(request(Method::POST, "/graphql", &headers, r#"{"query": "{ caller }"}"#)).await;
    assert_eq!(answer.json(), json!({"data": {"caller": "auditor"}}));
}

#[tokio::test]
async fn a_panic_is_answered_and_the_server_lives() {
    let server = Server::new();
    assert_eq!(server.ask("{ panics }").await.refusal(), "500 INTERNAL something went wrong here");
    assert_eq!(server.ask("{ caller }").await.status, 200);
}

#[tokio::test]
async fn what_nobody_can_read_is_not_answered() {
    let server = Server::new();
    for method in [Method::GET, Method::POST] {
        let headers = [("accept", "text/html, application/json;q=0"), ("content-type", "application/json")];
        let answer = server.send(request(method, "/graphql?query=%7Bcaller%7D", &headers, "{}")).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer.refusal(), @"406 BAD_INPUT answers can be had as application/graphql-response+json and as application/json");
        }
    }
}

#[tokio::test]
async fn a_refusal_has_the_media_type_asked_for() {
    let server = Server::new();
    let headers = [("accept", "application/graphql-response+json"), ("content-type", "text/plain")];
    let answer = server.send(request(Method::POST, "/graphql", &headers, "{}")).await;
    assert_eq!(answer.status, 415);
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/graphql-response+json; charset=utf-8");
    assert!(answer.json().get("data").is_none());
}

#[tokio::test]
async fn ready_means_that_no_check_failed_and_nobody_stops_us() {
    let ready = |state| async move { Server::with(|app| app.checks = checks(state)).get("/readyz").await };
    assert_eq!(ready(State::Ok).await.status, 200);
    let warned = ready(State::Warning).await;
    assert_eq!(warned.status, 200);
    assert_eq!(warned.json(), json!({"status": "ready", "checks": [{"name": "database", "state": "warning"}]}));
    assert_eq!(ready(State::Failed).await.status, 503);

    let server = Server::new();
    server.stop.now();
    assert_eq!(server.get("/readyz").await.json()["status"], "stopping");
    assert_eq!(server.get("/livez").await.status, 200);
}

#[tokio::test]
async fn every_wrong_turn_is_answered_in_json() {
    let server = Server::new();
    assert_eq!(server.get("/nope").await.refusal(), "404 NOT_FOUND nothing is here; `/` lists what there is");
    let answer = server.send(request(Method::DELETE, "/graphql", &[], "")).await;
    assert!(answer.refusal().starts_with("405 BAD_INPUT "), "{}", answer.refusal());
    assert_eq!(answer.header(header::ALLOW), "GET,HEAD,POST");
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let server = Server::new();
    server.ask("query Who { caller }").await;
    server.get("/nope/1").await;
    server.get("/nope/2").await;
    let text = server.get("/metrics").await.text;
    assert!(
        text.contains(r#"binnacle_http_request_seconds_count{method="POST",route="/graphql",status="200"} 1"#),
        "{text}"
    );
    assert!(
        text.contains(r#"binnacle_http_request_seconds_count{method="GET",route="unknown",status="404"} 2"#),
        "{text}"
    );
    assert!(!server.metrics.text().unwrap().contains("nope"));
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_who_can_read_it() {
    let server = Server::new();
    let body =
        json!({"query": "query($v: JSON!) { echo(value: $v) }", "variables": {"v": "x".repeat(5_000)}}).to_string();
    let headers = [("content-type", "application/json"), ("accept-encoding", "gzip")];
    let response = server.router.clone().oneshot(request(Method::POST, "/graphql", &headers, &body)).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(server.post(&body).await.header(header::CONTENT_ENCODING), "");
}

/// Sends a request that waits to a server on a port of its own, and tells that server to stop.
async fn stop_while_a_request_runs(server: &Server, grace: Duration) -> (TcpStream, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let serving = tokio::spawn(serve(Listener::Tcp(listener), server.router.clone(), server.shutdown.clone(), grace));
    let head = "GET /graphql?query=%7Bwaits%7D HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    server.gate.entered.notified().await;
    server.stop.now();
    (client, serving)
}

#[tokio::test]
async fn a_request_that_runs_when_the_server_stops_is_answered() {
    let server = Server::new();
    let (mut client, serving) = stop_while_a_request_runs(&server, Duration::from_secs(60)).await;
    server.gate.release.notify_one();
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with(r#"{"data":{"waits":1}}"#), "{text}");
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_after_the_grace() {
    let server = Server::new();
    let (_client, serving) = stop_while_a_request_runs(&server, Duration::from_millis(20)).await;
    timeout(Duration::from_secs(5), serving).await.expect("the server should have stopped by now").unwrap().unwrap();
}
