//! Kubernaut's controllers record here as they do in its own store.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{
    app::App,
    rest::{example, fixture},
};

const EVENTS: &str = "/api/v1/audit/events";
const BATCH: &str = "/api/v1/audit/events/batch";
const NOTIFICATIONS: &str = "/api/v1/audit/notifications";

async fn head(app: &App) -> i64 {
    binnacle::journal::read::head(app.server.app.journal.reader()).await.unwrap().last.0
}

#[tokio::test]
async fn the_sample_event_is_recorded_and_sent_again_it_is_recorded_once() {
    let app = App::start().await;
    let sample = example("kubernaut-event");

    let first = app.post(EVENTS, &sample).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let created = first.json();
    assert_eq!(created["message"], "Audit event created successfully");
    assert_eq!(created["event_timestamp"], "2026-05-04T10:00:00.125Z");
    assert_eq!((&created["position"], &created["duplicate"]), (&json!("1"), &json!(false)));

    // As Kubernaut's client does when the answer was lost: the same bytes, without any id.
    let again = app.post(EVENTS, &sample).await;
    assert_eq!((again.status.as_u16(), &again.json()["event_id"]), (201, &created["event_id"]));
    assert_eq!(again.json()["duplicate"], true);
    let mut other = sample.clone();
    other["event_data"]["occurrence_count"] = json!(2);
    assert_ne!(app.post(EVENTS, &other).await.json()["event_id"], created["event_id"]);
    assert_eq!(head(&app).await, 2);
}

#[tokio::test]
async fn the_whole_sequence_as_a_batch_is_answered_with_ids_in_order_and_a_replay_adds_nothing() {
    let app = App::start().await;
    let sequence = example("kubernaut-sequence");
    let given = sequence.as_array().unwrap();

    let answer = app.post_with(BATCH, &[("idempotency-key", "sequence-1")], &sequence).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let created = answer.json();
    assert_eq!(created["message"], format!("{} audit events created successfully", given.len()));
    let ids = created["event_ids"].as_array().unwrap();
    assert_eq!(ids.len(), given.len());

    let asked = app
        .data(
            "query($ids: [UUID!]!) { eventsById(eventIds: $ids) { eventType occurredAt position payload } }",
            json!({"ids": ids}),
        )
        .await;
    for (index, (event, sent)) in asked["eventsById"].as_array().unwrap().iter().zip(given).enumerate() {
        assert_eq!(event["eventType"], sent["event_type"]);
        assert_eq!(event["position"], (index + 1).to_string());
        assert_eq!(event["payload"]["kubernaut"]["event_data"], sent["event_data"]);
    }

    let replayed = app.post_with(BATCH, &[("idempotency-key", "sequence-1")], &sequence).await;
    assert_eq!((replayed.status.as_u16(), replayed.json()), (201, created.clone()));
    assert_eq!(head(&app).await, given.len() as i64);
}

#[tokio::test]
async fn the_default_batch_of_kubernauts_client_works_and_one_event_more_is_too_many() {
    let app = App::start().await;
    let mut event = example("kubernaut-event");
    let events: Vec<Value> = (0..1_001)
        .map(|index| {
            event["event_data"]["occurrence_count"] = json!(index);
            event.clone()
        })
        .collect();

    let answer = app.post(BATCH, &json!(events[..1_000])).await;
    assert_eq!(answer.status, 201, "{:.300}", answer.text);
    assert_eq!(answer.json()["event_ids"].as_array().unwrap().len(), 1_000);

    let answer = app.post(BATCH, &json!(events)).await;
    assert_eq!(answer.problem(), "413 too-large: the batch has 1001 audits, at most 1000 are allowed");
    assert_eq!(answer.json()["batch_max"], 1_000);
    assert_eq!(head(&app).await, 1_000);
}

#[tokio::test]
async fn one_bad_event_of_a_batch_harms_no_other_and_is_told_by_its_place() {
    let app = App::start().await;
    let good = example("kubernaut-event");
    let mut bad = good.clone();
    bad["event_timestamp"] = json!("2026-05-04T10:00:00");
    bad["event_data"]["event_type"] = json!("gateway.crd.created");
    bad.as_object_mut().unwrap().remove("event_action");
    let mut other = good.clone();
    other["event_data"]["occurrence_count"] = json!(2);

    let answer = app.post(BATCH, &json!([good, bad, other])).await;
    assert!(
        answer.problem().starts_with("400 invalid-event: 1 of 3 events are refused, the other 2 are recorded: "),
        "{}",
        answer.problem()
    );
    assert_eq!(answer.mistakes(), ["/1/event_timestamp", "/1/event_action", "/1/event_data/event_type"]);
    let ids = answer.json()["event_ids"].clone();
    assert!(ids[0].is_string() && ids[1].is_null() && ids[2].is_string(), "{ids}");
    assert_eq!(head(&app).await, 2);

    let none = app.post(BATCH, &json!([bad])).await;
    assert!(none.problem().starts_with("400 invalid-event: none of 1 events is recorded: "), "{}", none.problem());
}

#[tokio::test]
async fn a_text_that_no_parser_can_read_is_refused_in_its_item_only() {
    let app = App::start().await;
    let good = example("kubernaut-event").to_string();
    let lone = good.replace("in a loop", "\\ud800");
    let doubled = good.replace("\"occurrence_count\":1", "\"occurrence_count\":1,\"occurrence_count\":2");
    let inexact = good.replace("\"occurrence_count\":1", "\"occurrence_count\":9007199254740993.0");
    let nested = good.replace("\"occurrence_count\":1", &format!("\"deep\":{}1{}", "[".repeat(200), "]".repeat(200)));
    let body = format!("[{lone},{doubled},{inexact},{nested},7,{good}]");

    let answer = app.rest(Method::POST, BATCH, &[("content-type", "application/json")], body).await;
    assert!(answer.problem().contains("5 of 6 events are refused, the other 1 are recorded"), "{}", answer.problem());
    let pointers = answer.mistakes();
    assert_eq!(pointers, ["/0", "/1/event_data/occurrence_count", "/2/event_data/occurrence_count", "/3", "/4"]);
    assert_eq!(head(&app).await, 1);

    let cut = &good[..good.len() - 2];
    let answer = app.rest(Method::POST, EVENTS, &[("content-type", "application/json")], cut.to_string()).await;
    assert!(answer.problem().starts_with("400 malformed-request: the body is not JSON: EOF"), "{}", answer.problem());
}

#[tokio::test]
async fn an_event_of_a_type_that_nobody_knows_is_kept_with_all_its_fields() {
    let app = App::start().await;
    let mut event = example("kubernaut-event");
    event["event_type"] = json!("fleet.overlay.failed");
    event["event_category"] = json!("fleet");
    event["event_data"] = json!({"event_type": "fleet.overlay.failed", "overlay": "eu", "attempts": [1, 2]});
    event["tenant"] = json!("payments");

    let created = app.post(EVENTS, &event).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let id = created.json()["event_id"].clone();
    let told = app
        .data("query($id: UUID!) { event(eventId: $id) { kind category eventType payload } }", json!({"id": id}))
        .await;
    assert_eq!(told["event"]["kind"], "OTHER");
    assert_eq!(told["event"]["category"], "fleet");
    let kept = &told["event"]["payload"]["kubernaut"];
    assert_eq!((&kept["event_data"], &kept["tenant"]), (&event["event_data"], &json!("payments")));
}

#[tokio::test]
async fn kubernauts_record_of_a_notification_is_answered_as_kubernaut_does() {
    let app = App::start().await;
    let body = example("kubernaut-notification");

    let answer = app.post(NOTIFICATIONS, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let record = answer.json();
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&record[name], value, "{name}");
    }
    assert_eq!(record["id"], 1);
    assert_eq!(record["created_at"], record["updated_at"]);

    // Theirs refuses what it has; ours says which event it is.
    let again = app.post(NOTIFICATIONS, &body).await;
    let id = body["notification_id"].as_str().unwrap();
    assert_eq!(again.problem(), format!("409 conflict: notification `{id}` is recorded already"));
    let told = again.json();
    assert_eq!(
        (&told["resource"], &told["field"], &told["value"], &told["event_id"]),
        (&json!("notification_audit"), &json!("notification_id"), &json!(id), &record["event_id"])
    );
    let mut other = body.clone();
    other["status"] = json!("failed");
    assert_eq!(app.post(NOTIFICATIONS, &other).await.status, 409);

    let mut missing = body.clone();
    missing.as_object_mut().unwrap().remove("recipient");
    missing["sent_at"] = Value::Null;
    let answer = app.post(NOTIFICATIONS, &missing).await;
    assert_eq!(
        (answer.status.as_u16(), answer.mistakes()),
        (400, vec!["/recipient".to_string(), "/sent_at".to_string()])
    );
    let mut wrong = body.clone();
    wrong["notification_id"] = json!("nt-2");
    wrong["channel"] = json!("pigeon");
    let answer = app.post(NOTIFICATIONS, &wrong).await;
    assert_eq!(answer.mistakes(), ["/channel"]);
    assert!(answer.json()["field_errors"]["channel"].as_str().unwrap().contains("pigeon"));

    // Who says that it may send more than once is answered as often.
    let key = [("idempotency-key", "nt-3")];
    let mut keyed = body.clone();
    keyed["notification_id"] = json!("nt-3");
    let first = app.post_with(NOTIFICATIONS, &key, &keyed).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(app.post_with(NOTIFICATIONS, &key, &keyed).await.json(), first.json());
}

#[tokio::test]
async fn legal_holds_say_that_they_are_not_there_yet() {
    let app = App::start().await;
    let body = json!({"correlation_id": "rr", "reason": "dispute"});
    assert!(app.post("/api/v1/audit/legal-hold", &body).await.problem().starts_with("501 not-yet: "));
    assert!(app.get("/api/v1/audit/legal-hold").await.problem().starts_with("501 not-yet: "));
    let release = app.rest(Method::DELETE, "/api/v1/audit/legal-hold/rr", &[], "").await;
    assert!(release.problem().starts_with("501 not-yet: "));
    assert_eq!(app.get("/readyz").await.json()["status"], "ready");
}

#[tokio::test]
async fn the_whole_sequence_is_read_back_with_every_member_that_was_sent() {
    let app = App::start().await;
    let mut sent: Vec<Value> = serde_json::from_value(example("kubernaut-sequence")).unwrap();
    sent.extend(serde_json::from_value::<Vec<Value>>(fixture("kubernaut/types")).unwrap());
    let ids = app.post(BATCH, &json!(sent)).await.json()["event_ids"].clone();

    let answer = app.get(&format!("{EVENTS}?limit=1000")).await;
    assert_eq!(answer.status, 200, "{:.300}", answer.text);
    let page = answer.json();
    assert_eq!(page["pagination"]["total"], sent.len());
    let told = page["data"].as_array().unwrap();
    for (id, sent) in ids.as_array().unwrap().iter().zip(&sent) {
        let event = told.iter().find(|event| event["event_id"] == *id).unwrap();
        for (name, value) in sent.as_object().unwrap() {
            match name.as_str() {
                // The same moment, without zeros that say nothing.
                "event_timestamp" => assert_eq!(time(&event[name]), time(value)),
                _ => assert_eq!(&event[name], value, "{name} of {}", sent["event_type"]),
            }
        }
    }
    let moments: Vec<_> = told.iter().map(|event| time(&event["event_timestamp"])).collect();
    assert!(moments.is_sorted_by(|later, earlier| later >= earlier), "the latest comes first");
}

fn time(text: &Value) -> chrono::DateTime<chrono::Utc> {
    text.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_channels_and_words_of_both_their_lists_are_taken() {
    let app = App::start().await;
    let sent = |channel: &str, status: &str, recipient: &str| {
        let mut body = example("kubernaut-notification");
        body["notification_id"] = json!(format!("nt-{channel}-{status}"));
        body["channel"] = json!(channel);
        body["status"] = json!(status);
        body["recipient"] = json!(recipient);
        body
    };
    for channel in ["email", "slack", "pagerduty", "teams", "webhook", "console", "file", "log"] {
        for status in ["sent", "failed", "pending", "acknowledged", "escalated"] {
            let answer = app.post(NOTIFICATIONS, &sent(channel, status, "#sre")).await;
            assert_eq!(answer.status, 201, "{channel} {status}: {}", answer.text);
        }
    }
    let long = app.post(NOTIFICATIONS, &sent("slack", "sent", &"x".repeat(255))).await;
    assert_eq!(long.status, 409, "it is known by its id: {}", long.text);
}

#[tokio::test]
async fn one_event_that_is_not_valid_is_refused_with_every_member_named() {
    let app = App::start().await;
    let mut event = example("kubernaut-event");
    event["event_outcome"] = json!("maybe");
    event["severity"] = json!(7);
    event["event_data"] = json!([]);
    event["correlation_id"] = json!("");
    let answer = app.post(EVENTS, &event).await;
    assert!(answer.problem().starts_with("400 invalid-event: "), "{}", answer.problem());
    assert_eq!(answer.mistakes(), ["/event_outcome", "/correlation_id", "/severity", "/event_data"]);
    assert_eq!(head(&app).await, 0);
}

#[tokio::test]
async fn a_key_names_one_request_and_events_that_are_alike_in_one_batch_are_all_kept() {
    let app = App::start().await;
    let event = example("kubernaut-event");
    let twins = json!([event, event]);

    let first = app.post(BATCH, &twins).await.json()["event_ids"].clone();
    assert_ne!(first[0], first[1]);
    assert_eq!(app.post(BATCH, &twins).await.json()["event_ids"], first);
    assert_eq!(head(&app).await, 2);

    let key = |key| [("idempotency-key", key)];
    let keyed = app.post_with(BATCH, &key("one"), &twins).await.json()["event_ids"].clone();
    assert_ne!(keyed, first);
    assert_eq!(app.post_with(BATCH, &key("one"), &twins).await.json()["event_ids"], keyed);
    assert_ne!(app.post_with(BATCH, &key("two"), &twins).await.json()["event_ids"], keyed);
    assert_eq!(head(&app).await, 6);

    let mut other = event.clone();
    other["severity"] = json!("warning");
    let conflict = app.post_with(BATCH, &key("one"), &json!([event, other])).await;
    assert!(
        conflict.problem().starts_with(
            "409 conflict: 1 of 2 events are refused, the other 1 are recorded: `Idempotency-Key` `one` has named another request: "
        ),
        "{}",
        conflict.problem()
    );
    assert!(conflict.mistakes().contains(&"/1/severity".to_string()), "{:?}", conflict.mistakes());
}

#[tokio::test]
async fn what_is_wrong_with_a_notification_is_told_by_the_names_of_its_body() {
    let app = App::start().await;
    let mut body = example("kubernaut-notification");
    body["sent_at"] = json!("2026-05-04T10:10:09");
    let answer = app.post(NOTIFICATIONS, &body).await;
    assert_eq!(answer.problem(), "400 invalid-event: `sent_at` has no zone; in UTC it is 2026-05-04T10:10:09Z");
    assert_eq!(answer.mistakes(), ["/sent_at"]);
    body["sent_at"] = json!("2126-05-04T10:10:09Z");
    assert_eq!(app.post(NOTIFICATIONS, &body).await.mistakes(), ["/sent_at"]);
    body["recipient"] = json!(7);
    assert_eq!(
        app.post(NOTIFICATIONS, &body).await.json()["field_errors"],
        json!({"recipient": "`recipient` must be a string"})
    );

    let mut misspelled = example("kubernaut-notification");
    let summary = misspelled.as_object_mut().unwrap().remove("message_summary").unwrap();
    misspelled["mesage_summary"] = summary;
    assert_eq!(
        app.post(NOTIFICATIONS, &misspelled).await.problem(),
        "400 invalid-event: `message_summary` is required"
    );

    let mut detailed = example("kubernaut-notification");
    detailed["details"] = json!({"ticket": 7});
    detailed["recipients"] = json!(["#dba"]);
    detailed["event_id"] = Value::Null;
    let id = app.post(NOTIFICATIONS, &detailed).await.json()["event_id"].clone();
    let told = app.data("query($id: UUID!) { event(eventId: $id) { payload } }", json!({"id": id})).await;
    assert_eq!(told["event"]["payload"]["details"], json!({"ticket": 7, "delivery_status": "200 OK"}));
    assert_eq!(told["event"]["payload"]["recipients"], json!([detailed["recipient"], "#dba"]));
    assert_eq!(app.post(NOTIFICATIONS, &detailed).await.status, 409, "no id is no id of its own");
}
