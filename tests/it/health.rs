//! Health: what watchers read, and what the HTTP face withstands.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::{
    app::{Answer, App, request, until},
    audits::{notification, with},
    postgres::connect,
};

#[tokio::test]
async fn ready_tells_each_check() {
    let app = App::start().await;
    app.recorded(&[notification("rr", Uuid::from_u128(1), "nt-1")]).await;
    app.projected().await;

    let ready = get(&app, "/readyz").await;

    assert_eq!((ready.status, &ready.json()["status"]), (StatusCode::OK, &json!("ready")));
    let checks: Vec<String> = ready.json()["checks"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        checks,
        [
            "database ok",
            "journal ok",
            "migrations ok",
            "partitions ok 3 months ahead",
            "remediations ok 0 events behind, 0 dead letters",
            "event_index ok 0 events behind, 0 dead letters",
            "search_documents ok 0 events behind, 0 dead letters",
            "embedding ok off; 0 texts wait for their vector, 0 are refused",
        ]
    );
    assert_eq!(get(&app, "/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_missing_makes_a_server_unready_and_names_itself() {
    let app = App::start().await;
    let mut owner = app.owner().await;
    sqlx::raw_sql("UPDATE _sqlx_migrations SET success = false WHERE version = 2").execute(&mut owner).await.unwrap();

    let ready = get(&app, "/readyz").await;

    assert_eq!((ready.status, &ready.json()["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("not ready")));
    assert_eq!(told(&ready.json()["checks"][2]), "migrations failed 1 are not done");
}

#[tokio::test]
async fn without_its_database_a_server_lives_but_is_not_ready_and_says_so_soon() {
    // The server itself gives up after five seconds; a busy machine may add to that.
    const BOUND: Duration = Duration::from_secs(10);
    let app = App::start().await;
    assert_eq!(get(&app, "/readyz").await.status, StatusCode::OK);
    let mut admin = connect(&app.db.admin_url.replace(&app.db.name, "postgres")).await;
    let drop = format!("DROP DATABASE {} WITH (FORCE)", app.db.name);
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await.unwrap();

    let begun = Instant::now();
    let ready = get(&app, "/readyz").await;

    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["checks"][0]["state"], "failed");
    assert!(!ready.text.contains(&app.db.name), "anybody may read it: {}", ready.text);
    assert_eq!(get(&app, "/livez").await.status, StatusCode::OK);
    let answer = app.ask("{ system { events } }", json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{answer:#}");
    assert_eq!(answer["errors"][0]["extensions"]["retryable"], true, "{answer:#}");
    assert!(begun.elapsed() < BOUND * 2, "two answers took {:?}", begun.elapsed());
}

#[tokio::test]
async fn metrics_tell_what_was_recorded_how_far_projections_are_and_how_long_it_took() {
    let app = App::start().await;
    let audit = notification("rr", Uuid::from_u128(1), "nt-1");
    let conflict = with(audit.clone(), "recipientCount", json!(7));
    let invalid = with(notification("rr", Uuid::from_u128(2), "nt-2"), "status", json!("lost"));
    app.record(&[audit.clone(), audit, conflict, invalid]).await;
    app.projected().await;

    let gauges = ["binnacle_append_queue_events 0", r#"binnacle_projection_lag_events{projection="remediations"} 0"#];
    let text = until("the gauges to be set", || async {
        let text = get(&app, "/metrics").await.text;
        gauges.iter().all(|line| text.contains(line)).then_some(text)
    })
    .await;

    for line in [
        r#"binnacle_appends_total{kind="NOTIFICATION",outcome="recorded"} 1"#,
        r#"binnacle_appends_total{kind="NOTIFICATION",outcome="duplicate"} 1"#,
        r#"binnacle_appends_total{kind="NOTIFICATION",outcome="conflict"} 1"#,
        r#"binnacle_appends_total{kind="NOTIFICATION",outcome="invalid"} 1"#,
        r#"binnacle_appends_total{kind="EFFECTIVENESS",outcome="recorded"} 0"#,
        "binnacle_append_seconds_count 1",
        "binnacle_append_batch_events_sum 3",
        r#"binnacle_projection_lag_events{projection="event_index"} 0"#,
        r#"binnacle_projection_dead_letters{projection="remediations"} 0"#,
        r#"binnacle_http_request_seconds_count{method="POST",route="/graphql",status="200"} 1"#,
        r#"binnacle_graphql_operation_seconds_count{code="OK",operation="Record",type="mutation"} 1"#,
    ] {
        assert!(text.lines().any(|other| other == line), "no `{line}` in\n{text}");
    }
}

#[tokio::test]
async fn an_audit_keeps_the_trace_that_it_names() {
    let app = App::start().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    app.recorded(&[with(notification("rr", Uuid::from_u128(1), "nt-1"), "traceparent", json!(traceparent))]).await;

    let query = "{ event(eventId: \"00000000-0000-0000-0000-000000000001\") { traceId spanId } }";

    let event = app.data(query, json!({})).await["event"].take();
    assert_eq!(event, json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331"}));
}

#[tokio::test]
async fn what_a_foreign_web_page_could_send_stores_nothing() {
    let app = App::start().await;
    let mutation = "mutation { recordNotification(input: {remediationId: \"rr\", \
                    occurredAt: \"2026-05-04T10:05:40Z\", notificationId: \"nt\", status: \"delivered\", \
                    channel: \"slack\"}) { __typename } }";
    let encoded: String = mutation.bytes().map(|byte| format!("%{byte:02X}")).collect();

    let refused = get(&app, &format!("/graphql?query={encoded}")).await;
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{}", refused.text);
    let body = json!({"query": mutation}).to_string();
    for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let refused = post(&app, media, body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["extensions"]["code"], "BAD_INPUT");
    }

    assert_eq!(app.data("{ system { events } }", json!({})).await["system"]["events"], "0");
    let sent = post(&app, "application/json", body).await.json();
    assert_eq!(sent["data"]["recordNotification"]["__typename"], "Recorded", "{sent:#}"); // so it was no mistake in it
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let app = App::start().await;
    let large = json!({"query": "{ __typename }", "variables": {"large": "x".repeat(10 * 1024 * 1024)}}).to_string();

    let refused = post(&app, "application/json", large).await;

    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", refused.text);
    assert_eq!(refused.json()["errors"][0]["extensions"]["code"], "BAD_INPUT");
}

#[tokio::test]
async fn hostile_json_is_answered_soon() {
    const BOUND: Duration = Duration::from_secs(2);
    let app = App::start().await;
    let keys = |value: &str| (0..20_000).map(|n| format!(r#""{n}":{value}"#)).collect::<Vec<_>>().join(",");
    let doubled = vec![r#""k":1"#; 20_000].join(",");
    let nested = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    for (details, what) in [
        (format!("{{{}}}", keys("1")), "many keys"),
        (format!("{{{}}}", keys("1e400")), "many numbers that fit nothing"),
        (format!("{{{doubled}}}"), "one key again and again"),
        (nested, "brackets without end"),
        (format!("\"{}\"", "\\u0000".repeat(15_000)), "NUL characters"),
    ] {
        let body = format!(
            r#"{{"query": "mutation($details: JSON) {{ recordNotification(input: {{remediationId: \"rr\",
                occurredAt: \"2026-05-04T10:05:40Z\", notificationId: \"nt\", status: \"delivered\", channel: \"slack\",
                details: $details}}) {{ __typename }} }}", "variables": {{"details": {details}}}}}"#
        )
        .replace('\n', " ");

        let begun = Instant::now();
        let answer = post(&app, "application/json", body).await;

        assert!(begun.elapsed() < BOUND, "{what} took {:?}", begun.elapsed());
        assert!(!answer.status.is_server_error(), "{what}: {}", answer.text);
        if what != "many keys" {
            assert!(!answer.text.contains("Recorded"), "{what}: {}", answer.text);
        }
    }
    assert_eq!(get(&app, "/livez").await.status, StatusCode::OK);
}

fn told(check: &Value) -> String {
    let words = ["name", "state", "detail"].map(|part| check[part].as_str().unwrap_or_default());
    words.join(" ").trim_end().to_string()
}

async fn get(app: &App, path: &str) -> Answer {
    request(&app.router, Request::builder().method(Method::GET).uri(path).body(Body::empty()).unwrap()).await
}

async fn post(app: &App, media: &str, body: String) -> Answer {
    let post = Request::post("/graphql").header("content-type", media);
    request(&app.router, post.body(Body::from(body)).unwrap()).await
}
