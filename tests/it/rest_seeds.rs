//! The seeds' endpoints: audits in the columns of their kind.

use axum::http::Method;
use binnacle::audit::canonical;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{App, audit_input},
    rest::example,
};

const ENDPOINTS: [&str; 6] =
    ["orchestration", "signal-processing", "ai-decisions", "executions", "notifications", "effectiveness"];

fn path(endpoint: &str) -> String {
    format!("/api/v1/audit/{endpoint}")
}

#[tokio::test]
async fn the_six_audits_of_the_worked_example_fold_to_its_remediation() {
    let app = App::start().await;
    for endpoint in ENDPOINTS {
        let answer = app.post(&path(endpoint), &example(endpoint)).await;
        assert_eq!(answer.status, 201, "{endpoint}: {}", answer.text);
        let receipt = answer.json();
        assert_eq!(receipt["duplicate"], false);
        let place = answer.headers["location"].to_str().unwrap();
        assert_eq!(place, format!("/api/v1/audit/events/{}", receipt["event_id"].as_str().unwrap()));
    }
    let told = app
        .data(
            r#"{ remediation(remediationId: "rr-7d1f0c9ab3e2-4be09c11") {
                durationMs outcome bottleneck { name durationMs } events(first: 10) { totalCount } } }"#,
            json!({}),
        )
        .await;
    assert_eq!(
        told["remediation"],
        json!({"durationMs": 340_000.0, "outcome": "REMEDIATED", "events": {"totalCount": 6},
            "bottleneck": {"name": "APPROVAL_WAIT", "durationMs": 165_000.0}})
    );
}

#[tokio::test]
async fn a_receipt_says_all_that_a_controller_writes_into_its_resource() {
    let app = App::start().await;
    let mut body = example("notifications");
    body["event_id"] = json!("0199c2f4-0000-7000-8000-000000000001");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    let answer = app.post_with(&path("notifications"), &[("traceparent", trace)], &body).await;
    let receipt = answer.json();
    let told = app
        .data(
            "query($id: UUID!) { event(eventId: $id) {
                position version watermark kind eventType occurredAt recordedAt digest canonical traceId clusterId remediationId } }",
            json!({"id": body["event_id"]}),
        )
        .await;
    let event = &told["event"];
    for (column, field) in [
        ("position", "position"),
        ("version", "version"),
        ("watermark", "watermark"),
        ("kind", "kind"),
        ("event_type", "eventType"),
        ("digest", "digest"),
        ("cluster_id", "clusterId"),
        ("remediation_id", "remediationId"),
        ("occurred_at", "occurredAt"),
        ("recorded_at", "recordedAt"),
    ] {
        assert_eq!(receipt[column], event[field], "{column}");
    }
    assert_eq!(receipt["digest"], canonical::hex(&canonical::digest(event["canonical"].as_str().unwrap())));
    assert_eq!(event["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn sent_again_it_is_recorded_once_over_either_face_and_other_content_is_a_conflict() {
    let app = App::start().await;
    let mut body = example("notifications");
    body["event_id"] = json!("0199c2f4-0000-7000-8000-000000000001");
    let first = app.post(&path("notifications"), &body).await;
    assert_eq!(first.status, 201);

    let again = app.post(&path("notifications"), &body).await;
    assert_eq!(again.status, 200);
    let mut expected = first.json();
    expected["duplicate"] = json!(true);
    assert_eq!(again.json(), expected);

    // The same audit in GraphQL's words.
    let audit = json!({"kind": "NOTIFICATION", "eventId": body["event_id"], "notificationId": body["notification_id"],
        "remediationId": body["remediation_id"], "occurredAt": "2026-05-04T10:05:40Z", "channel": "slack",
        "recipientCount": 1, "recipients": ["#payments-sre"], "messageTemplate": "remediation-complete", "messagePriority": "P1",
        "notificationType": "resolution", "status": "delivered", "deliveryTime": "2026-05-04T10:05:40Z",
        "deliveryDurationMs": 820, "retryCount": 0, "maxRetries": 3, "completedAt": "2026-05-04T10:05:40Z"});
    let result = app.record(std::slice::from_ref(&audit)).await;
    assert_eq!(
        (&result[0]["duplicate"], &result[0]["position"]),
        (&json!(true), &json!("1")),
        "{}",
        audit_input(&audit)
    );

    let mut other = body.clone();
    other["status"] = json!("failed");
    other["delivery_duration_ms"] = json!(900);
    let conflict = app.post(&path("notifications"), &other).await;
    assert_eq!(conflict.status, 409);
    assert!(
        conflict.problem().contains(
            "was recorded at position 1 with another `event_type`, `outcome`, `delivery_duration_ms`, `status`"
        ),
        "{}",
        conflict.problem()
    );
    assert!(conflict.mistakes().contains(&"/delivery_duration_ms".to_string()), "{:?}", conflict.mistakes());
    assert_eq!(conflict.json()["existing"]["event_id"], body["event_id"]);

    let list = app.post(&path("notifications"), &json!([other, example("notifications")])).await;
    assert_eq!(list.status, 207, "{}", list.text);
    let problem = &list.json()["results"][0]["problem"];
    assert_eq!((&problem["status"], &problem["existing"]["position"]), (&json!(409), &json!("1")));
}

#[tokio::test]
async fn a_key_makes_the_ids_of_a_list_and_the_list_can_be_sent_again() {
    let app = App::start().await;
    let list = json!(["pending", "sent", "delivered"].map(|status| {
        let mut body = example("notifications");
        body["status"] = json!(status);
        body
    }));
    let key = [("idempotency-key", "reconcile-7")];

    let first = app.post_with(&path("notifications"), &key, &list).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let results = first.json()["results"].clone();
    assert_eq!(results.as_array().unwrap().iter().map(|it| it["status"].clone()).collect::<Vec<_>>(), [201, 201, 201]);
    let ids: Vec<Uuid> =
        (0..3).map(|index| results[index]["receipt"]["event_id"].as_str().unwrap().parse().unwrap()).collect();
    assert!(ids.iter().all(|id| id.get_version_num() == 5));

    let again = app.post_with(&path("notifications"), &key, &list).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(again.json()["results"][2]["receipt"]["position"], "3");
    let other = app.post_with(&path("notifications"), &[("idempotency-key", "reconcile-8")], &list).await;
    assert_eq!(other.json()["results"][0]["receipt"]["position"], "4");
}

#[tokio::test]
async fn a_mixed_list_is_answered_item_by_item_and_the_good_ones_are_kept() {
    let app = App::start().await;
    let good = example("executions");
    let mut wrong = good.clone();
    wrong["total_steps"] = json!("two");
    wrong["completed_at"] = json!("2026-05-04 10:05:35");
    wrong["step_executions"][0]["duration"] = json!(-1);
    wrong.as_object_mut().unwrap().remove("status");

    let answer = app.post(&path("executions"), &json!([good, wrong, 7])).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let results = answer.json()["results"].clone();
    assert_eq!(
        (&results[0]["status"], &results[1]["status"], &results[2]["status"]),
        (&json!(201), &json!(422), &json!(422))
    );
    let told = results[1]["problem"]["errors"].as_array().unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|it| format!("{}: {}", it["pointer"].as_str().unwrap(), it["detail"].as_str().unwrap()))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    /1/status: `status` is required
    /1/completed_at: `completed_at` has no zone; in UTC it is 2026-05-04 10:05:35Z
    /1/total_steps: `total_steps` must be a whole number from 0 to 2147483647
    /1/step_executions/0/duration: `duration` must be a duration from 0 to 1000000000000 seconds
    ");
    assert_eq!(results[2]["problem"]["errors"][0]["detail"], "the item is not a JSON object");

    let none = app.post(&path("executions"), &json!([wrong])).await;
    assert_eq!(none.status, 422);
    assert_eq!(none.json()["results"][0]["status"], 422);
    assert!(none.mistakes().iter().all(|pointer| pointer.starts_with("/0/")), "{:?}", none.mistakes());
}

#[tokio::test]
async fn what_has_no_column_is_kept_and_what_tells_no_time_is_refused() {
    let app = App::start().await;
    let mut body = example("orchestration");
    body["team"] = json!("checkout");
    let receipt = app.post(&path("orchestration"), &body).await.json();
    assert_eq!(receipt["unknown"], json!(["team"]));
    let id = receipt["event_id"].clone();
    let told = app.data("query($id: UUID!) { event(eventId: $id) { payload } }", json!({"id": id})).await;
    assert_eq!(told["event"]["payload"]["details"], json!({"team": "checkout"}));

    let timeless = json!({"remediation_name": "rr-1", "overall_phase": "processing"});
    let answer = app.post(&path("orchestration"), &timeless).await;
    assert_eq!((answer.status.as_u16(), answer.mistakes()), (422, vec!["/occurred_at".to_string()]));
}

#[tokio::test]
async fn bodies_that_are_no_audits_are_refused_by_what_they_are() {
    let app = App::start().await;
    let path = path("notifications");
    let json = [("content-type", "application/json")];
    for (body, expected) in [
        ("", "400 malformed-request: the body is not JSON: EOF while parsing a value at line 1 column 0"),
        ("7", "400 malformed-request: the body has to be a JSON object, or a list of them"),
        ("[]", "400 bad-input: the batch is empty"),
        ("{\"status\":", "400 malformed-request: the body is not JSON: EOF while parsing a value at line 1 column 10"),
    ] {
        assert_eq!(app.rest(Method::POST, &path, &json, body).await.problem(), expected);
    }
    let many = Value::Array(vec![json!({}); 1_001]);
    assert!(app.post(&path, &many).await.problem().starts_with("413 too-large: the batch has 1001 audits"));
    let large = json!({"notification_id": "x".repeat(5 << 20)});
    assert_eq!(app.post(&path, &large).await.problem(), "413 too-large: one audit may have 1048576 bytes");
    let larger = format!("[\"{}\"]", "x".repeat(10 << 20));
    assert!(
        app.rest(Method::POST, &path, &json, larger).await.problem().starts_with("413 too-large: a request may have")
    );
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""] {
        let headers = [("content-type", media)];
        let answer = app.rest(Method::POST, &path, &headers, "{}").await;
        assert!(answer.problem().starts_with("415 unsupported-media-type: "), "{media}");
    }
    let bytes = axum::body::Body::from(vec![b'{', 0xff, b'}']);
    assert_eq!(
        app.rest(Method::POST, &path, &json, bytes).await.problem(),
        "400 malformed-request: the body is not text in UTF-8"
    );
}
