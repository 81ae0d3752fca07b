//! Recording: receipts, repeats, conflicts, bad input, and the order that many writers make together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use binnacle::{audit::Position, journal, server::Server};
use chrono::{DateTime, Utc};
use insta::assert_snapshot;
use serde_json::{Value, json};
use sqlx::Connection as _;
use uuid::Uuid;

use crate::support::{
    app::{App, RECORD_AUDITS, ask, audit_input, serve, until},
    audits::{notification, with},
    postgres::{connect, database},
};

const ID: Uuid = Uuid::from_u128(0x0199_c2f4_7b1e_7c3a_9d58_2f6a_1b0c_4d5e);

#[tokio::test]
async fn a_controller_sends_one_mutation_and_gets_a_receipt() {
    let app = App::start().await;

    let data = app
        .data(
            "mutation Delivered($input: NotificationInput!) {
                recordNotification(input: $input) {
                    ... on Recorded { position version duplicate watermark event { eventId recordedAt digest eventType outcome } }
                    ... on Rejected { code retryable problems { path code message } existing { eventId position recordedAt } }
                }
            }",
            json!({"input": {"remediationId": "rr-7d1f0c9ab3e2-4be09c11", "clusterId": "eu-prod-1", "eventId": ID,
                "occurredAt": "2026-05-04T10:05:40Z", "notificationId": "nt-rr-7d1f0c9ab3e2-4be09c11-1",
                "channel": "slack", "status": "delivered", "recipientCount": 2, "deliveryDurationMs": 820}}),
        )
        .await;

    let receipt = &data["recordNotification"];
    assert_eq!(receipt["position"], "1");
    assert_eq!(receipt["version"], 1);
    assert_eq!(receipt["duplicate"], false);
    assert_eq!(receipt["event"]["eventType"], "notification.delivered");
    assert_eq!(receipt["event"]["outcome"], "SUCCESS");
    assert_eq!(receipt["event"]["digest"].as_str().unwrap().len(), 64);
    let event =
        app.data("query($id: UUID!) { event(eventId: $id) { digest canonical payload kind } }", json!({"id": ID}));
    let event = event.await;
    assert_eq!(event["event"]["digest"], receipt["event"]["digest"]);
    assert_eq!(event["event"]["payload"]["channel"], "slack");
}

#[tokio::test]
async fn a_repeat_gets_the_first_receipt_again_and_uses_up_no_position() {
    let app = App::start().await;
    let first = app.recorded(&[notification("rr", ID, "nt-1")]).await;

    let again = app.recorded(&[notification("rr", ID, "nt-1"), notification("rr", Uuid::from_u128(2), "nt-2")]).await;

    assert_eq!(again[0]["duplicate"], true);
    for field in ["position", "version", "watermark", "event"] {
        assert_eq!(again[0][field], first[0][field]);
    }
    assert_eq!(again[1]["position"], "2");
    assert_eq!(again[1]["version"], 2);
}

#[tokio::test]
async fn repeats_leave_the_head_of_the_journal_where_it_was() {
    let app = App::start().await;
    let many: Vec<_> = (2..5).map(|n| notification("rr", Uuid::from_u128(n), "nt")).collect();
    app.recorded(&[notification("rr", ID, "nt-1")]).await;
    app.recorded(&many).await;
    let head = async || -> (i64, DateTime<Utc>) {
        let statement = "SELECT next_position, last_recorded_at FROM journal_head";
        sqlx::query_as(statement).fetch_one(&mut app.owner().await).await.unwrap()
    };
    let before = head().await;

    app.recorded(&[notification("rr", ID, "nt-1")]).await;
    app.recorded(&many).await;

    assert_eq!(head().await, before);
    assert_eq!(before.0, 5);
}

#[tokio::test]
async fn the_same_id_with_other_content_is_a_conflict_that_shows_what_was_recorded() {
    let app = App::start().await;
    app.recorded(&[notification("rr", ID, "nt-1")]).await;
    let other = with(with(notification("rr", ID, "nt-1"), "status", json!("failed")), "errorCode", json!("GONE"));

    let answer = app.record(&[other]).await.remove(0);

    assert_eq!(answer["code"], "CONFLICT");
    assert_eq!(answer["retryable"], false);
    assert_eq!(answer["existing"]["position"], "1");
    assert_snapshot!(answer["problems"][0]["message"].as_str().unwrap(), @"eventId 0199c2f4-7b1e-7c3a-9d58-2f6a1b0c4d5e was recorded at position 1 with another `eventType`, `outcome`, `errorCode`, `status`");
}

#[tokio::test]
async fn repeats_inside_one_batch_are_judged_by_the_same_rule() {
    let app = App::start().await;
    let audit = notification("rr", ID, "nt-1");

    let results = app.record(&[audit.clone(), audit.clone(), with(audit, "recipientCount", json!(3))]).await;

    assert_eq!(results[0]["duplicate"], false);
    assert_eq!(results[1]["duplicate"], true);
    assert_eq!(results[1]["position"], results[0]["position"]);
    assert_eq!(results[2]["code"], "CONFLICT");
}

#[tokio::test]
async fn a_batch_of_a_thousand_with_one_bad_item_of_each_sort_stores_the_others() {
    let app = App::start().await;
    let taken = Uuid::from_u128(1);
    app.recorded(&[notification("rr", taken, "nt-1")]).await;
    let good = |n: u128| notification("rr", Uuid::from_u128(100 + n), &format!("nt-{n}"));
    let run = json!({"kind": "WORKFLOW_EXECUTION", "remediationId": "rr", "occurredAt": "2026-05-04T10:05:40Z",
        "status": "running", "totalSteps": 1, "stepsCompleted": 1, "stepsFailed": 1,
        "executionStartedAt": "2026-05-04T10:05:40Z", "completedAt": "2026-05-04T10:05:39Z"});
    let deep = (0..20).fold(json!(1), |inner, _| json!([inner]));
    let bad = [
        (with(good(1), "channel", json!("pigeon")), "channel UNKNOWN_WORD"),
        (with(good(2), "subject", json!("")), "subject EMPTY"),
        (with(good(3), "subject", json!("x".repeat(5_000))), "subject TOO_LONG"),
        (with(good(4), "occurredAt", json!("2126-05-04T10:05:40Z")), "occurredAt FUTURE"),
        (with(good(5), "deliveryDurationMs", json!(-1)), "deliveryDurationMs OUT_OF_RANGE"),
        (run, "completedAt ORDER|stepsCompleted OUT_OF_RANGE"),
        (with(good(6), "subject", json!("a\u{0}b")), "subject NUL"),
        (with(good(7), "details", json!({"deep": deep})), "details TOO_DEEP"),
        (with(good(8), "details", json!({"large": "x".repeat(300_000)})), " TOO_LARGE"),
        (
            with(notification("rr", taken, "nt-1"), "recipientCount", json!(3)),
            "eventId CONFLICT|recipientCount DIFFERS",
        ),
        (
            json!({"kind": "EFFECTIVENESS", "remediationId": "rr", "occurredAt": "2026-05-04T10:05:40Z",
                "assessmentId": "ea", "actionType": "restart", "traditionalScore": 1.2, "confidence": 0.5,
                "completedAt": "2026-05-04T10:05:40Z"}),
            "traditionalScore OUT_OF_RANGE",
        ),
    ];
    let mut batch: Vec<Value> = (1_000..2_000 - bad.len() as u128).map(good).collect();
    for (index, (audit, _)) in bad.iter().enumerate() {
        batch.insert(index * 80, audit.clone());
    }
    assert_eq!(batch.len(), 1_000);

    let results = app.record(&batch).await;

    let mut position = 1;
    for (index, result) in results.iter().enumerate() {
        if let Some((_, expected)) = bad.get(index / 80).filter(|_| index % 80 == 0) {
            let problems = result["problems"].as_array().unwrap_or_else(|| panic!("{expected}: {result:#}")).iter();
            let told: Vec<String> = problems
                .map(|problem| {
                    let path: Vec<&str> =
                        problem["path"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                    format!("{} {}", path.join("."), problem["code"].as_str().unwrap())
                })
                .collect();
            assert_eq!(told.join("|"), *expected);
        } else {
            position += 1;
            assert_eq!(result["position"], position.to_string());
        }
    }
    assert_eq!(position as usize, 1 + 1_000 - bad.len());
}

#[tokio::test]
async fn what_graphql_itself_refuses_stores_nothing_of_the_request() {
    let app = App::start().await;
    let good = audit_input(&notification("rr", ID, "nt-1"));
    let refused = [
        (with(notification("rr", ID, "nt-2"), "occurredAt", json!("yesterday")), "inputs.1.notification.occurredAt"),
        (with(notification("rr", ID, "nt-2"), "eventId", json!("not-a-uuid")), "inputs.1.notification.eventId"),
        (with(notification("rr", ID, "nt-2"), "statsu", json!("x")), "statsu"),
        (with(notification("rr", ID, "nt-2"), "status", Value::Null), "inputs.1.notification.status"),
    ];
    for (audit, path) in refused {
        let answer = app.ask(RECORD_AUDITS, json!({"inputs": [good, audit_input(&audit)]})).await;
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_INPUT", "{answer:#}");
        assert!(error["message"].as_str().unwrap().contains(path), "{error:#}");
        assert!(path == "statsu" || error["extensions"]["path"][0] == "inputs", "{error:#}");
    }
    let (_, answer) = app
        .send(
            None,
            format!(
                r#"{{"query": {}, "variables": {{"inputs": [{{"other": {{"remediationId": "rr", "category": "c",
            "eventType": "t", "occurredAt": "2026-05-04T10:05:40Z", "payload": 9007199254740993.0}}}}]}}}}"#,
                json!(RECORD_AUDITS)
            ),
        )
        .await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT", "{answer:#}");
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("inputs.0.other.payload"), "{answer:#}");
    let system = app.data("{ system { events } }", json!({})).await;
    assert_eq!(system["system"]["events"], "0");
}

#[tokio::test]
async fn a_document_that_has_recorded_is_refused_in_the_same_words_as_a_new_one() {
    let app = App::start().await;
    let good = || audit_input(&notification("rr", ID, "nt-1"));
    let refused = [
        json!({"inputs": [good(), audit_input(&with(notification("rr", ID, "nt-2"), "occurredAt", json!("yesterday")))]}),
        json!({"inputs": [good(), audit_input(&with(notification("rr", ID, "nt-2"), "statsu", json!("x")))]}),
        json!({"inputs": good()["notification"]}),
        json!({"inputs": null}),
        json!({"input": [good()]}),
        json!({}),
    ];
    let refusals = async || {
        let mut answers = Vec::new();
        for variables in &refused {
            answers.push(app.ask(RECORD_AUDITS, variables.clone()).await);
        }
        answers
    };
    let at_first = refusals().await;
    for answer in &at_first {
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT", "{answer:#}");
    }

    for _ in 0..2 {
        app.recorded(&[notification("rr", ID, "nt-1")]).await;
    }

    assert_eq!(refusals().await, at_first);
    let system = app.data("{ system { events } }", json!({})).await;
    assert_eq!(system["system"]["events"], "1");
}

#[tokio::test]
async fn a_document_is_answered_later_as_it_was_at_first() {
    let app = App::start().await;
    let before = notification("rr", ID, "nt-1");
    app.recorded(std::slice::from_ref(&before)).await;
    let other = notification("rr", ID, "nt-2");
    let bad = with(notification("rr", Uuid::from_u128(1), "nt-3"), "remediationId", json!(""));
    for asked in [
        "__typename",
        "... on Recorded { at: position version watermark duplicate } ... on Rejected { code problems { message } }",
        "kind: __typename ...Receipt ... on Rejected { existing { eventId position } }",
        "... on Rejected { code }",
        "... on Recorded { event { __typename eventId recordedAt digest position version watermark } }",
        "... on Recorded { event { ...Event } } __typename",
        "... on Recorded { event { eventId payload } }",
        "... on Recorded { duplicate @skip(if: true) position }",
        "... on Recorded { position } ... on Recorded { version position }",
        "... { __typename }",
    ] {
        let one =
            format!("mutation One($it: NotificationInput!) {{ r: recordNotification(input: $it) {{ {asked} }} }}");
        let many = format!("mutation ($all: [AuditInput!]!) {{ recordAudits(inputs: $all) {{ {asked} }} }}");
        let with_fragments = |mut document: String| {
            for (name, of, asked) in
                [("Receipt", "Recorded", "duplicate version"), ("Event", "AuditEvent", "digest eventId")]
            {
                if document.contains(&format!("...{name}")) {
                    document += &format!(" fragment {name} on {of} {{ {asked} }}");
                }
            }
            document
        };
        let (one, many) = (with_fragments(one), with_fragments(many));
        let ask_all = async || {
            let mut answers = Vec::new();
            for audit in [&before, &other, &bad] {
                answers.push(app.ask(&one, json!({"it": audit_input(audit)["notification"]})).await);
            }
            for audits in [vec![&before, &before], vec![&before, &other, &bad], vec![]] {
                let audits: Vec<Value> = audits.into_iter().map(audit_input).collect();
                answers.push(app.ask(&many, json!({"all": audits})).await);
            }
            answers
        };

        let at_first = ask_all().await;

        assert_eq!(ask_all().await, at_first, "{asked}");
        assert!(at_first[0]["data"].is_object(), "{asked}: {:#}", at_first[0]);
    }
    assert_eq!(app.data("{ system { events } }", json!({})).await["system"]["events"], "1");
}

#[tokio::test]
async fn too_large_a_batch_is_refused_whole() {
    let app = App::start().await;
    let batch: Vec<Value> = (0..1_001).map(|n| audit_input(&notification("rr", Uuid::from_u128(n), "nt"))).collect();

    let answer = app.ask(RECORD_AUDITS, json!({"inputs": batch})).await;

    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT");
    assert_snapshot!(answer["errors"][0]["message"].as_str().unwrap(), @"the batch has 1001 audits, at most 1000 are allowed");
}

#[tokio::test]
async fn a_full_queue_is_told_at_once_and_is_worth_a_retry() {
    let db = database().await;
    let server = serve(&db, journal::Settings { queue_max: 10, ..journal::Settings::default() }).await;
    let router = server.router(binnacle::caller::Callers::anyone(), false);
    let send = |numbers: std::ops::Range<u128>| {
        let batch: Vec<Value> = numbers.map(|n| audit_input(&notification("rr", Uuid::from_u128(n), "nt"))).collect();
        let (router, body) = (router.clone(), json!({"query": RECORD_AUDITS, "variables": {"inputs": batch}}));
        tokio::spawn(async move { ask(&router, None, body.to_string()).await.1 })
    };
    let mut owner = connect(&db.owner_url).await;
    let mut foreign = owner.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM journal_head FOR UPDATE").execute(&mut *foreign).await.unwrap();
    let waiting = send(0..10);
    until("the queue to be full", async || {
        server.app.metrics.text().unwrap().contains("binnacle_append_queue_events 10").then_some(())
    })
    .await;

    let error = send(10..11).await.unwrap()["errors"][0].take();

    assert!(!waiting.is_finished(), "the head was held for too short a time to fill the queue");
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{error:#}");
    assert_eq!(error["extensions"]["retryable"], true, "{error:#}");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("too much waits to be recorded already (10 audits)"), "{message}");
    foreign.rollback().await.unwrap();
    let answer = waiting.await.unwrap();
    assert_eq!(answer["data"]["recordAudits"].as_array().map(Vec::len), Some(10), "{answer:#}");
}

#[tokio::test]
async fn an_empty_queue_takes_a_batch_that_is_larger_than_it() {
    let db = database().await;
    let server = serve(&db, journal::Settings { queue_max: 1, ..journal::Settings::default() }).await;
    let router = server.router(binnacle::caller::Callers::anyone(), false);
    let batch: Vec<Value> = (0..1_000).map(|n| audit_input(&notification("rr", Uuid::from_u128(n), "nt"))).collect();

    let body = json!({"query": RECORD_AUDITS, "variables": {"inputs": batch}});
    let (_, answer) = ask(&router, None, body.to_string()).await;

    let results = answer["data"]["recordAudits"].as_array();
    let recorded = results.map(|results| results.iter().filter(|result| result["__typename"] == "Recorded").count());
    assert_eq!(recorded, Some(1_000), "{}", answer["errors"]);
    assert!(server.app.metrics.text().unwrap().contains("binnacle_append_queue_events 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_make_one_order_without_holes_or_repeats() {
    let app = App::start().await;
    storm(&[&app.server], 16, 2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_on_one_postgres_make_one_order_without_holes_or_repeats() {
    let db = database().await;
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(serve(&db, journal::Settings::default()).await);
    }
    storm(&servers.iter().collect::<Vec<_>>(), 16, 500).await;
}

/// Many writers with random repeats, while a reader follows; then everything is compared with the receipts.
async fn storm(servers: &[&Server], writers: u128, each: u128) {
    let receipts: Arc<Mutex<HashMap<Uuid, (i64, i64)>>> = Arc::default();
    let total = (writers * each) as i64;
    let reader = {
        let journal = servers[0].app.journal.clone();
        tokio::spawn(async move {
            let (mut last, mut since) = (Position(0), DateTime::UNIX_EPOCH);
            until("the reader to see everything", || {
                let journal = journal.clone();
                async move { Some(journal::read::after(journal.reader(), last, since, 500).await.unwrap()) }
            })
            .await;
            while last.0 < total {
                for entry in journal::read::after(journal.reader(), last, since, 500).await.unwrap() {
                    assert_eq!(entry.position.0, last.0 + 1, "a reader saw a gap");
                    (last, since) = (entry.position, entry.recorded_at);
                }
            }
        })
    };
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let router = servers[writer as usize % servers.len()].router(binnacle::caller::Callers::anyone(), false);
        let receipts = receipts.clone();
        tasks.push(tokio::spawn(async move {
            let audit = |n: u128| {
                let id = Uuid::from_u128(writer << 64 | n);
                (id, audit_input(&notification(&format!("rr-{}", (writer + n) % 40), id, &format!("nt-{n}"))))
            };
            let mut sent = 0;
            let mut turn = 0_u128;
            while sent < each {
                turn += 1;
                // Sizes and repeats that differ from turn to turn, the same in every run.
                let size = (1 + (turn * 7 + writer * 3) % 40).min(each - sent);
                let mut batch: Vec<_> = (sent..sent + size).map(audit).collect();
                sent += size;
                if turn.is_multiple_of(3) {
                    batch.push(audit((turn * 31) % sent));
                }
                let (ids, inputs): (Vec<Uuid>, Vec<Value>) = batch.into_iter().unzip();
                let body = json!({"query": RECORD_AUDITS, "variables": {"inputs": inputs}}).to_string();
                let (_, answer) = ask(&router, None, body).await;
                let results = answer["data"]["recordAudits"].as_array().unwrap_or_else(|| panic!("{answer:#}"));
                for (id, result) in ids.into_iter().zip(results) {
                    let place =
                        (result["position"].as_str().unwrap().parse().unwrap(), result["version"].as_i64().unwrap());
                    let first = receipts.lock().unwrap().insert(id, place);
                    assert_eq!(first.is_some(), result["duplicate"] == true, "{result:#}");
                    assert!(first.is_none_or(|first| first == place), "a repeat got another receipt");
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    reader.await.unwrap();

    let report = journal::verify::verify(servers[0].app.journal.reader(), |_, _| ()).await.unwrap();
    assert_eq!(report.flaw, None);
    assert_eq!((report.entries, report.streams), (total, 40));
    let entries = journal::read::after(servers[0].app.journal.reader(), Position(0), DateTime::UNIX_EPOCH, total).await;
    let receipts = receipts.lock().unwrap();
    assert_eq!(receipts.len() as i64, total);
    for entry in entries.unwrap() {
        assert_eq!(
            receipts[&entry.event.event_id],
            (entry.position.0, entry.version.0.into()),
            "a receipt was not true"
        );
    }
}

#[tokio::test]
async fn an_audit_without_a_trace_belongs_to_that_of_its_request() {
    let app = App::start().await;
    let body = json!({"query": RECORD_AUDITS, "variables": {"inputs": [audit_input(&notification("rr", ID, "nt-1"))]}});
    let request = axum::http::Request::post("/graphql")
        .header("content-type", "application/json")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    tower::ServiceExt::oneshot(app.router.clone(), request).await.unwrap();

    let event = app.data("query($id: UUID!) { event(eventId: $id) { traceId spanId } }", json!({"id": ID})).await;
    assert_eq!(event["event"], json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331"}));
    // A retry in another trace is still the same audit.
    let again = app.recorded(&[notification("rr", ID, "nt-1")]).await;
    assert_eq!(again[0]["duplicate"], true);
}
