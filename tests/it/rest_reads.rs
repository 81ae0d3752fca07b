//! Stories about Kubernaut's clients that read: queries, exports, and verification.

use std::fs;

use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode},
    response::Response,
};
use binnacle::{
    audit::{Position, canonical},
    caller::Callers,
    journal::read,
};
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::support::{
    app::{Answer, App, request, until},
    audits::{notification, with},
    postgres::connect,
    store::Folder,
};

const EVENTS: &str = "/api/v1/audit/events";
const EXPORT: &str = "/api/v1/audit/export";
const VERIFY: &str = "/api/v1/audit/verify-chain";

#[tokio::test]
async fn an_event_comes_back_as_it_was_sent_with_what_the_store_knows_of_it() {
    let app = App::start().await;
    let mut sent: Value = serde_json::from_str(include_str!("../../docs/examples/kubernaut-event.json")).unwrap();
    sent["event_data"]["from_tomorrow"] = json!({"deep": [1, 2.5, null]});
    sent["of_tomorrow"] = json!(["kept"]);
    sent["actor_ip"] = json!("10.0.0.7");
    let id = post(&app, EVENTS, &sent).await.json()["event_id"].clone();

    let page = get(&app, EVENTS).await.json();

    let shown = &page["data"][0];
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name}");
    }
    assert_eq!(shown["event_id"], id);
    assert_eq!(shown["event_date"], "2026-05-04");
    assert_eq!((&shown["position"], &shown["stream_version"]), (&json!("1"), &json!(1)));
    let entry = read::by_event_id(app.server.app.journal.reader(), uuid(&id)).await.unwrap().unwrap();
    assert_eq!(shown["event_hash"], canonical::hex(&entry.digest));
    assert_eq!(
        page["pagination"],
        json!({"limit": 50, "offset": 0, "total": 1, "total_is_capped": false, "has_more": false})
    );
    assert_eq!(get(&app, &format!("{EVENTS}/{}", id.as_str().unwrap())).await.json(), *shown);
}

#[tokio::test]
async fn an_event_that_came_another_way_is_told_in_the_same_words() {
    let app = App::start().await;
    let audit = with(notification("rr-1", Uuid::from_u128(1), "nt-1"), "severity", json!("critical"));
    app.recorded(&[audit]).await;

    let shown = &get(&app, EVENTS).await.json()["data"][0];

    for (name, value) in [
        ("version", json!("1.0")),
        ("event_type", json!("notification.delivered")),
        ("event_action", json!("delivered")),
        ("event_outcome", json!("success")),
        ("event_category", json!("notification")),
        ("event_timestamp", json!("2026-05-04T10:05:40Z")),
        ("correlation_id", json!("rr-1")),
        ("cluster_id", json!("default")),
        ("severity", json!("critical")),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert_eq!(shown["event_data"]["event_type"], "notification.delivered");
    assert_eq!(shown["event_data"]["notificationId"], "nt-1");
}

#[tokio::test]
async fn an_event_that_tells_no_outcome_is_pending_to_whoever_asks() {
    let app = App::start().await;
    let other = json!({"kind": "OTHER", "remediationId": "rr-1", "occurredAt": "2026-05-04T10:00:00Z", "category": "gateway",
        "eventType": "gateway.signal.noted", "payload": {"note": "none"}});
    app.recorded(&[other, notification("rr-1", Uuid::from_u128(1), "nt-1")]).await;

    let pending = get(&app, &format!("{EVENTS}?event_outcome=pending")).await.json();

    assert_eq!(pending["pagination"]["total"], 1);
    assert_eq!(pending["data"][0]["event_type"], "gateway.signal.noted");
    assert_eq!(pending["data"][0]["event_outcome"], "pending");
}

#[tokio::test]
async fn filters_choose_and_all_of_them_must_hold() {
    let app = App::start().await;
    let at = |minute: i64| format!("2026-05-04T10:{minute:02}:00Z");
    let told = [
        event("rr-1", &at(0), "gateway.signal.received", "gateway", "success", json!({"task_id": "t-1", "count": 7})),
        event(
            "rr-1",
            &at(1),
            "aianalysis.analysis.failed",
            "analysis",
            "failure",
            json!({"task_id": "t-2", "ok": true}),
        ),
        event(
            "rr-2",
            &at(2),
            "gateway.signal.received",
            "gateway",
            "pending",
            json!({"task_id": ["t-1"], "count": "7"}),
        ),
    ];
    let mut told: Vec<Value> = told.into();
    told[2]["cluster_id"] = json!("west");
    posted(&app, &told).await;
    app.recorded(&[with(notification("rr-3", Uuid::from_u128(9), "nt-9"), "severity", json!("critical"))]).await;

    for (query, expected) in [
        ("", vec!["rr-3", "rr-2", "rr-1", "rr-1"]),
        ("correlation_id=rr-1", vec!["rr-1", "rr-1"]),
        ("event_type=gateway.signal.received", vec!["rr-2", "rr-1"]),
        ("event_category=gateway&correlation_id=rr-2", vec!["rr-2"]),
        ("event_outcome=failure", vec!["rr-1"]),
        ("cluster_id=west", vec!["rr-2"]),
        ("severity=critical", vec!["rr-3"]),
        ("since=2026-05-04T10:01:00Z&until=2026-05-04T10:02:00Z", vec!["rr-2", "rr-1"]),
        ("since=2026-05-04T12:01:00%2B02:00&correlation_id=rr-1", vec!["rr-1"]),
        ("until=2026-05-04", vec![]),
        ("detail_key=task_id&detail_value=t-1", vec!["rr-1"]),
        ("detail_key=count&detail_value=7", vec!["rr-2", "rr-1"]),
        ("detail_key=ok&detail_value=true", vec!["rr-1"]),
        ("detail_key=ok&detail_value=true&event_category=gateway", vec![]),
        ("detail_key=notificationId&detail_value=nt-9", vec!["rr-3"]),
        ("detail_key=event_type&detail_value=notification.delivered", vec!["rr-3"]),
        ("detail_key=kubernaut&detail_value=x", vec![]),
    ] {
        let page = get(&app, &format!("{EVENTS}?{query}")).await.json();
        let found: Vec<_> =
            page["data"].as_array().unwrap().iter().map(|it| it["correlation_id"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{query}");
        assert_eq!(page["pagination"]["total"], expected.len(), "{query}");
    }
}

#[tokio::test]
async fn a_relative_time_counts_back_from_now() {
    let app = App::start().await;
    let hours = |hours| (Utc::now() - TimeDelta::hours(hours)).to_rfc3339();
    let told = [1, 25, 200].map(|ago| {
        event(&format!("rr-{ago}"), &hours(ago), "gateway.signal.received", "gateway", "success", json!({}))
    });
    posted(&app, &told).await;

    for (query, expected) in
        [("since=24h", 1), ("since=7d", 2), ("until=90m", 2), ("until=24h&since=7d", 1), ("since=30m", 0)]
    {
        let page = get(&app, &format!("{EVENTS}?{query}")).await.json();
        assert_eq!(page["pagination"]["total"], expected, "{query}");
    }
}

#[tokio::test]
async fn pages_by_offset_and_by_cursor_agree_and_miss_nothing_while_others_append() {
    let app = App::start().await;
    // Many at the same time, so that the place in the journal decides.
    let told: Vec<Value> = (0..100).map(|n| numbered(n, &format!("2026-05-04T10:00:{:02}Z", n / 10))).collect();
    posted(&app, &told).await;
    let whole = numbers(&get(&app, &format!("{EVENTS}?limit=1000")).await.json());
    let expected: Vec<i64> = (0..100).rev().collect();
    assert_eq!(whole, expected);

    let mut by_offset = Vec::new();
    for offset in (0..100).step_by(17) {
        let page = get(&app, &format!("{EVENTS}?limit=17&offset={offset}")).await.json();
        assert_eq!(page["pagination"]["has_more"], offset + 17 < 100);
        assert_eq!(page["pagination"]["total"], 100);
        by_offset.extend(numbers(&page));
    }
    assert_eq!(by_offset, expected);

    for (turn, more) in ["", "&detail_key=sort&detail_value=plain"].into_iter().enumerate() {
        let (mut by_cursor, mut cursor) = (Vec::new(), String::new());
        for round in 0.. {
            let page = get(&app, &format!("{EVENTS}?limit=17{cursor}{more}")).await.json();
            by_cursor.extend(numbers(&page));
            // One later and one earlier than all, and one in the middle of what was read.
            posted(
                &app,
                &["2026-06-01T00:00:00Z", "2026-05-04T10:00:09Z"]
                    .map(|at| numbered(1_000 + 100 * turn as i64 + round, at)),
            )
            .await;
            match page["pagination"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut old = by_cursor.clone();
        old.retain(|n| *n < 1_000);
        assert_eq!(old, expected, "{more}");
    }
}

#[tokio::test]
async fn a_page_of_large_events_ends_early_and_the_next_goes_on_behind_it() {
    let app = App::start().await;
    let text = "x".repeat(250 * 1024);
    for half in [0..20, 20..40] {
        let large: Vec<Value> = half
            .map(|n| {
                let mut large = numbered(n, "2026-05-04T10:00:00Z");
                large["event_data"]["text"] = json!(text);
                large
            })
            .collect();
        posted(&app, &large).await;
    }
    let expected: Vec<i64> = (0..40).rev().collect();

    let first = get(&app, &format!("{EVENTS}?limit=1000")).await.json();

    let came = numbers(&first).len();
    assert_eq!(came, (8 * 1024 * 1024_usize).div_ceil(250 * 1024), "the event that fills it is the last");
    assert_eq!((&first["pagination"]["has_more"], &first["pagination"]["total"]), (&json!(true), &json!(40)));
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    for goes_on in [format!("cursor={cursor}"), format!("offset={came}")] {
        let second = get(&app, &format!("{EVENTS}?limit=1000&{goes_on}")).await.json();
        assert_eq!([numbers(&first), numbers(&second)].concat(), expected, "{goes_on}");
        let more = (&second["pagination"]["has_more"], &second["pagination"]["total"]);
        assert_eq!(more, (&json!(false), &json!(40)), "{goes_on}");
    }
    // A page that has its `limit` when it is full goes on behind it as any other.
    let exact = get(&app, &format!("{EVENTS}?limit={came}&offset={}", 40 - came)).await.json();
    assert_eq!((numbers(&exact).len(), &exact["pagination"]["has_more"]), (came, &json!(false)));
}

#[tokio::test]
async fn a_total_is_counted_for_the_first_page_and_told_on_each_that_follows() {
    let app = App::start().await;
    history(&app, 5).await;
    for (n, more) in [(6, ""), (7, "&detail_key=sort&detail_value=plain")] {
        let first = get(&app, &format!("{EVENTS}?limit=2{more}")).await.json();
        let total = first["pagination"]["total"].as_i64().unwrap();
        posted(&app, &[numbered(n, "2026-05-01T00:00:00Z")]).await;

        let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
        let second = get(&app, &format!("{EVENTS}?limit=2{more}&cursor={cursor}")).await.json();
        assert_eq!(second["pagination"]["total"], total);
        let anew = get(&app, &format!("{EVENTS}?limit=2{more}")).await.json();
        assert_eq!(anew["pagination"]["total"], total + 1);
    }
}

#[tokio::test]
async fn who_has_just_written_reads_it_at_once() {
    let app = App::start().await;
    for n in 0..50 {
        post(&app, EVENTS, &numbered(n, "2026-05-04T10:00:00Z")).await;
        let page = get(&app, &format!("{EVENTS}?limit=1")).await.json();
        assert_eq!((numbers(&page), &page["pagination"]["total"]), (vec![n], &json!(n + 1)));
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_query_is_told_at_once() {
    let app = App::start().await;
    let query = "since=yesterday&until=2026-13-01&limit=0&offset=-1&event_outcome=fine&detail_key=a-b&detail_value=x&cursor=7&sort=asc";

    let answer = get(&app, &format!("{EVENTS}?{query}")).await;

    assert_eq!(answer.status, 400);
    let problem = answer.json();
    let mut wrong: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|it| it["parameter"].as_str().unwrap()).collect();
    wrong.sort();
    wrong.dedup();
    assert_eq!(wrong, ["cursor", "detail_key", "event_outcome", "limit", "offset", "since", "sort", "until"]);

    for (query, parameter, told) in [
        ("offset=10001", "offset", "cursor"),
        ("limit=1001", "limit", "1 to 1000"),
        ("detail_key=task_id", "detail_value", "detail_key"),
        ("detail_value=t-1", "detail_key", "detail_value"),
    ] {
        let problem = get(&app, &format!("{EVENTS}?{query}")).await.json();
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}");
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains(told), "{query}: {problem:#}");
    }
    posted(&app, &[numbered(1, "2026-05-04T10:00:00Z"), numbered(2, "2026-05-04T10:00:00Z")]).await;
    let page = get(&app, &format!("{EVENTS}?limit=1")).await.json();
    let cursor = page["pagination"]["next_cursor"].as_str().unwrap();
    let both = get(&app, &format!("{EVENTS}?cursor={cursor}&offset=1")).await.json();
    assert_eq!(both["errors"][0]["code"], "NOT_TOGETHER");
}

#[tokio::test]
async fn a_detail_that_only_old_events_tell_is_found_by_the_cursor() {
    let app = App::start().await;
    let mut rare = numbered(0, "2026-05-01T10:00:00Z");
    rare["event_data"]["task_id"] = json!("t-rare");
    posted(&app, &[rare]).await;
    history(&app, 20_500).await;
    let query = format!("{EVENTS}?detail_key=task_id&detail_value=t-rare");

    let first = get(&app, &query).await.json();
    assert_eq!(numbers(&first), [0_i64; 0]);
    assert_eq!(first["pagination"]["has_more"], true);
    assert_eq!(first["pagination"]["total_is_capped"], true);
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    let second = get(&app, &format!("{query}&cursor={cursor}")).await.json();
    assert_eq!((numbers(&second), &second["pagination"]["has_more"]), (vec![0], &json!(false)));
    assert_eq!(second["pagination"]["total_is_capped"], true);

    for query in ["", "&detail_key=sort&detail_value=plain"] {
        let page = get(&app, &format!("{EVENTS}?limit=1{query}")).await.json();
        let total = (&page["pagination"]["total"], &page["pagination"]["total_is_capped"]);
        assert_eq!(total, (&json!(10_000), &json!(true)), "{query}");
    }

    let behind = get(&app, &format!("{query}&offset=1")).await;
    assert_eq!(behind.status, 400, "{}", behind.text);
    assert!(behind.text.contains("too-complex"), "{}", behind.text);
    let narrow = get(&app, &format!("{query}&until=2026-05-02")).await.json();
    assert_eq!((numbers(&narrow), &narrow["pagination"]["total_is_capped"]), (vec![0], &json!(false)));
}

#[tokio::test]
async fn an_event_is_found_by_its_id() {
    let app = App::start().await;
    let unknown = get(&app, &format!("{EVENTS}/{}", Uuid::from_u128(7))).await;
    assert_eq!((unknown.status, &unknown.json()["type"]), (StatusCode::NOT_FOUND, &json!("/problems/not-found")));
    let malformed = get(&app, &format!("{EVENTS}/7")).await;
    assert_eq!(
        (malformed.status, &malformed.json()["errors"][0]["parameter"]),
        (StatusCode::BAD_REQUEST, &json!("event_id"))
    );
    assert_eq!(get(&app, &format!("{EVENTS}/batch")).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn an_export_is_the_journal_event_for_event_and_can_be_checked_by_anybody() {
    const EVENTS_MADE: i64 = 12_000;
    let app = App::start().await;
    history(&app, EVENTS_MADE).await;
    app.recorded(&[notification("rr-graphql", Uuid::from_u128(1), "nt-1")]).await;

    let (frames, end) = frames(open(&app, &format!("{EXPORT}?format=ndjson")).await).await;
    end.unwrap();

    assert!(frames.iter().all(|frame| frame.len() <= 64 * 1024), "it is written as it is read");
    let text = String::from_utf8(frames.concat()).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    let db = app.server.app.journal.reader();
    let mut hashes = String::new();
    let (mut from, mut seen) = (Position(0), 0);
    loop {
        let entries = read::after(db, from, DateTime::UNIX_EPOCH, 1_000).await.unwrap();
        let Some(end) = entries.last() else { break };
        from = end.position;
        for entry in &entries {
            let line = &lines[seen];
            seen += 1;
            assert_eq!(line["event_id"], entry.event.event_id.to_string());
            assert_eq!(line["canonical"], entry.canonical());
            assert_eq!(line["event_hash"], canonical::hex(&canonical::digest(line["canonical"].as_str().unwrap())));
            assert_eq!(line["hash_chain_valid"], true);
            hashes += &format!("{}\n", line["event_hash"].as_str().unwrap());
        }
    }
    assert_eq!((seen, lines.len()), (EVENTS_MADE as usize + 1, EVENTS_MADE as usize + 1));
    let digest = canonical::hex(&canonical::digest(&hashes));
    let (metadata, verification) = (&last["export_metadata"], &last["hash_chain_verification"]);
    assert_eq!(metadata["events_digest"], digest);
    assert_eq!(metadata["total_events"], EVENTS_MADE + 1);
    assert_eq!((&metadata["signature"], &metadata["signature_algorithm"]), (&json!(""), &json!("none")));
    assert_eq!(verification["valid_chain_events"], EVENTS_MADE + 1);
    assert_eq!(verification["chain_integrity_percentage"], 100.0);

    let whole = get(&app, EXPORT).await.json();
    assert_eq!(whole["events"].as_array().unwrap(), &lines);
    assert_eq!(whole["export_metadata"]["events_digest"], digest);
    let part = get(&app, &format!("{EXPORT}?offset=1500&limit=1100")).await.json();
    assert_eq!(part["events"].as_array().unwrap(), &lines[1_500..2_600]);
    assert_eq!(part["export_metadata"]["query_filters"], json!({"offset": 1500, "limit": 1100, "redact_pii": false}));
    let few = get(&app, &format!("{EXPORT}?correlation_id=rr-graphql&format=json")).await.json();
    assert_eq!(few["events"].as_array().unwrap(), &lines[EVENTS_MADE as usize..]);
}

#[tokio::test]
async fn an_export_holds_what_was_recorded_by_the_time_that_it_was_asked_for_and_what_its_filters_say() {
    let app = App::start().await;
    history(&app, 3_000).await;

    let export = open(&app, EXPORT).await;
    posted(&app, &[event("rr-late", "2026-05-04T10:00:00Z", "gateway.signal.received", "late", "success", json!({}))])
        .await;
    let (frames, end) = frames(export).await;

    end.unwrap();
    let document: Value = serde_json::from_slice(&frames.concat()).unwrap();
    assert_eq!(document["export_metadata"]["total_events"], 3_000);
    for (query, expected) in [
        ("event_category=late", 1),
        ("cluster_id=nowhere", 0),
        ("start_time=2026-05-04T10:00:00Z&end_time=2026-05-04T10:00:00Z", 1),
        ("end_time=2026-05-03T00:00:00Z", 3_000),
    ] {
        let document = get(&app, &format!("{EXPORT}?{query}")).await.json();
        assert_eq!(document["export_metadata"]["total_events"], expected, "{query}");
        assert_eq!(document["events"].as_array().unwrap().len(), expected, "{query}");
    }
    for (query, status) in [
        ("format=csv", 400),
        ("limit=0", 400),
        ("start_time=2026-05-04", 400),
        ("start_time=2026-05-04T10:00:00Z&end_time=2026-05-03T10:00:00Z", 400),
        ("include_detached_signature=true", 501),
        ("include_detached_signature=false", 200),
    ] {
        assert_eq!(get(&app, &format!("{EXPORT}?{query}")).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn personal_data_is_masked_where_that_is_asked_for() {
    let app = App::start().await;
    let personal =
        json!({"by": "ann@example.com", "from": ["10.1.2.3", "2001:db8::7"], "call": "+49 30 1234567", "runs": 3});
    let mut sent = event("rr-1", "2026-05-04T10:00:00Z", "gateway.signal.received", "gateway", "success", personal);
    sent["actor_id"] = json!("gateway");
    sent["actor_ip"] = json!("10.1.2.3");
    posted(&app, &[sent, numbered(2, "2026-05-04T10:00:01Z")]).await;

    let plain = get(&app, EXPORT).await.json();
    let masked = get(&app, &format!("{EXPORT}?redact_pii=true")).await.json();

    let (before, after) = (&plain["events"][0], &masked["events"][0]);
    assert_eq!(after["event_data"]["by"], "[redacted]");
    assert_eq!(after["event_data"]["from"], json!(["[redacted]", "[redacted]"]));
    assert_eq!((&after["event_data"]["call"], &after["event_data"]["runs"]), (&json!("[redacted]"), &json!(3)));
    assert_eq!((&after["actor_ip"], &after["actor_id"]), (&json!("[redacted]"), &json!("gateway")));
    assert_eq!((&after["redacted"], &after["canonical"]), (&json!(true), &Value::Null));
    assert_eq!((&after["event_hash"], &after["hash_chain_valid"]), (&before["event_hash"], &json!(true)));
    assert_eq!(masked["events"][1], plain["events"][1], "it tells nobody's data");
    assert_eq!(masked["export_metadata"]["events_digest"], plain["export_metadata"]["events_digest"]);
}

#[tokio::test]
async fn a_masked_export_holds_no_personal_data_wherever_that_was_sent() {
    let folder = Folder::new();
    let file = folder.0.join("tokens");
    fs::write(&file, format!("ann@example.com {} * read\n", canonical::hex(&canonical::digest("ann's")))).unwrap();
    let app = App::with_callers(Callers::read(&file).unwrap()).await;
    let places: [fn(&mut Value); 9] = [
        |sent| sent["recorded_by"] = json!("zoe-miller@example.com"),
        |sent| sent["watermark"] = json!({"of": ["zoe-miller@example.com"]}),
        |sent| sent["zoe-miller@example.com"] = json!(1),
        |sent| sent["event_data"]["zoe-miller@example.com"] = json!(1),
        |sent| sent["actor_id"] = json!("zoe-miller@example.com"),
        |sent| sent["resource_name"] = json!("zoe-miller@example.com"),
        |sent| sent["error_message"] = json!("zoe-miller@example.com said no"),
        |sent| {
            sent["actor_type"] = json!("user");
            sent["actor_id"] = json!("zoe-miller");
        },
        |_| {},
    ];
    let mut told: Vec<Value> = (1..).map(|n| numbered(n, "2026-05-04T10:00:00Z")).take(places.len()).collect();
    told.iter_mut().zip(places).for_each(|(sent, put)| put(sent));
    let asked = |request: axum::http::request::Builder, body: Body| {
        let request = request.header("authorization", "Bearer ann's").header("content-type", "application/json");
        request.body(body).unwrap()
    };
    let batch = asked(Request::post("/api/v1/audit/events/batch"), Body::from(json!(told).to_string()));
    let recorded = request(&app.router, batch).await;
    assert_eq!(recorded.status, 201, "{}", recorded.text);

    let path = format!("{EXPORT}?redact_pii=true&format=ndjson");
    let export = request(&app.router, asked(Request::get(path), Body::empty())).await;

    let lines: Vec<Value> = export.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, events) = lines.split_last().unwrap();
    assert_eq!(end["hash_chain_verification"]["valid_chain_events"], places.len());
    let (plain, personal) = events.split_last().unwrap();
    for (event, sent) in personal.iter().zip(&told) {
        assert!(!event.to_string().contains("zoe-miller"), "{sent} as {event}");
        assert_eq!((&event["redacted"], event.get("canonical")), (&json!(true), None), "{sent}");
        assert_eq!(event["recorded_by"], "[redacted]");
    }
    assert_eq!((plain.get("redacted"), &plain["recorded_by"]), (None, &json!("[redacted]")));
    assert_eq!(canonical::hex(&canonical::digest(plain["canonical"].as_str().unwrap())), plain["event_hash"]);
}

#[tokio::test]
async fn an_export_finds_events_that_lie_far_apart() {
    let app = App::start().await;
    history(&app, 4).await;
    get(&app, EVENTS).await; // they are in the index
    // As if many others had been recorded between them.
    for table in ["audit_events", "event_index"] {
        tamper(&app, &format!("UPDATE {table} SET position = CASE position WHEN 4 THEN 350000 ELSE position + 250000 END WHERE position > 1"))
            .await;
    }
    tamper(&app, "UPDATE projection_cursors SET position = 350000; UPDATE journal_head SET next_position = 350001")
        .await;

    for (query, expected) in [
        ("event_category=gateway", vec![1, 2, 3, 4]),
        ("event_category=gateway&offset=1&limit=2", vec![2, 3]),
        ("start_time=2026-05-02T00:00:03Z", vec![3, 4]),
        ("cluster_id=nowhere", vec![]),
    ] {
        let document = get(&app, &format!("{EXPORT}?{query}")).await.json();
        let events = document["events"].as_array().unwrap_or_else(|| panic!("{document:#}"));
        let found: Vec<_> = events.iter().map(|it| &it["event_data"]["n"]).collect();
        assert_eq!(json!(found), json!(expected), "{query}");
    }
}

#[tokio::test]
async fn an_export_tells_which_events_are_not_what_was_recorded() {
    let app = App::start().await;
    history(&app, 4).await;
    get(&app, EVENTS).await; // they are in the index
    tamper(&app, "UPDATE audit_events SET payload = replace(payload::text, 'plain', 'other')::json WHERE position = 2")
        .await;
    tamper(&app, "DELETE FROM audit_events WHERE position = 3").await;

    let document = get(&app, EXPORT).await.json();

    let valid: Vec<_> =
        document["events"].as_array().unwrap().iter().map(|it| it["hash_chain_valid"].clone()).collect();
    assert_eq!(valid, [true, false, true]);
    let verification = &document["hash_chain_verification"];
    assert_eq!(verification["tampered_event_ids"], json!([document["events"][1]["event_id"]]));
    assert_eq!((&verification["broken_chain_events"], &verification["missing_events"]), (&json!(1), &json!(1)));
    let masked = get(&app, &format!("{EXPORT}?redact_pii=true")).await.json();
    let texts: Vec<_> = masked["events"].as_array().unwrap().iter().map(|it| it["canonical"].is_string()).collect();
    assert_eq!(texts, [true, false, true], "nobody has looked for personal data in what was changed");
}

#[tokio::test]
async fn only_a_few_exports_run_at_once_and_who_has_gone_makes_room() {
    let app = App::start().await;
    history(&app, 1_000).await;
    let mut running = Vec::new();
    for _ in 0..4 {
        let response = open(&app, EXPORT).await;
        assert_eq!(response.status(), 200);
        running.push(response);
    }

    let refused = get(&app, EXPORT).await;

    assert_eq!(
        (refused.status, refused.headers["retry-after"].to_str().unwrap()),
        (StatusCode::TOO_MANY_REQUESTS, "1")
    );
    assert_eq!(refused.json()["type"], "/problems/too-many-requests");
    drop(running.pop());
    let taken = until("room for an export", async || {
        let response = open(&app, EXPORT).await;
        (response.status() == 200).then_some(response)
    })
    .await;
    drop(running);
    frames(taken).await.1.unwrap();
}

#[tokio::test]
async fn an_export_that_fails_in_the_middle_breaks_off() {
    for (format, told) in [("json", false), ("ndjson", true)] {
        let app = App::start().await;
        history(&app, 1_000).await;
        let mut body = open(&app, &format!("{EXPORT}?format={format}")).await.into_body();
        body.frame().await.unwrap().unwrap();
        let mut admin = connect(&app.db.admin_url).await;
        sqlx::raw_sql("ALTER TABLE audit_events RENAME TO gone").execute(&mut admin).await.unwrap();

        let (mut frames, mut end) = (Vec::new(), Ok(()));
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => frames.push(frame.into_data().unwrap()),
                Err(error) => end = Err(error),
            }
        }

        assert!(end.is_err(), "{format}");
        let text = String::from_utf8(frames.concat()).unwrap();
        assert!(!text.contains("export_metadata"), "{format}");
        assert_eq!(text.lines().last().unwrap_or_default().starts_with("{\"error\":"), told, "{format}");
    }
}

#[tokio::test]
async fn a_remediation_is_verified_and_whatever_a_superuser_changes_is_found() {
    for (change, tampered, missing) in [
        ("SELECT 1", vec![], vec![]),
        (
            "UPDATE audit_events SET payload = replace(payload::text, 'plain', 'other')::json WHERE position = 2",
            vec![2],
            vec![],
        ),
        (
            "UPDATE audit_events SET occurred_at = occurred_at + interval '1 microsecond' WHERE position = 1",
            vec![1],
            vec![],
        ),
        ("DELETE FROM audit_events WHERE position = 3", vec![], vec![3]),
        ("DELETE FROM audit_events WHERE position > 3", vec![], vec![4, 5]),
        ("DELETE FROM audit_events WHERE position < 6", vec![], vec![1, 2, 3, 4, 5]),
        ("UPDATE audit_events SET version = 3 - version WHERE position < 3", vec![2, 1], vec![]),
        ("UPDATE audit_events SET version = 1 WHERE position = 2", vec![2], vec![2]),
    ] {
        let app = App::start().await;
        let ids: Vec<Value> = history(&app, 5).await;
        tamper(&app, change).await;

        let found = post(&app, VERIFY, &json!({"correlation_id": "rr-0"})).await.json();

        assert_eq!(found["is_valid"], tampered.is_empty() && missing.is_empty(), "{change}: {found:#}");
        let named: Vec<_> =
            found["tampered_events"].as_array().unwrap().iter().map(|it| it["event_id"].clone()).collect();
        let expected: Vec<Value> = tampered.iter().map(|position: &usize| ids[position - 1].clone()).collect();
        assert_eq!(named, expected, "{change}");
        assert_eq!(found["missing_versions"], json!(missing), "{change}");
        let (total, verified) = (found["total_events"].as_u64().unwrap(), found["verified_events"].as_u64().unwrap());
        assert_eq!(total - verified, tampered.len() as u64, "{change}");
    }
}

#[tokio::test]
async fn a_head_that_was_lowered_does_not_hide_the_events_beyond_it() {
    let app = App::start().await;
    history(&app, 3).await;
    tamper(&app, "UPDATE streams SET version = 2").await;

    let found = post(&app, VERIFY, &json!({"correlation_id": "rr-0"})).await.json();

    assert_eq!(found["is_valid"], false);
    assert_eq!(found["message"], "the events go up to version 3, but the stream's head says 2");
}

#[tokio::test]
async fn what_cannot_be_verified_is_told_apart() {
    let app = App::start().await;
    let mut west = numbered(2, "2026-05-04T10:00:00Z");
    west["cluster_id"] = json!("west");
    posted(&app, &[numbered(1, "2026-05-04T10:00:00Z"), west]).await;

    for (body, status, pointer) in [
        (json!({"correlation_id": "rr-unknown"}), 404, Value::Null),
        (json!({"correlation_id": "rr-0", "cluster_id": "nowhere"}), 404, Value::Null),
        (json!({}), 400, json!("/correlation_id")),
        (json!({"correlation_id": ""}), 400, json!("/correlation_id")),
        (json!({"correlation_id": 7}), 400, json!("/correlation_id")),
        (json!({"correlation_id": "rr-0", "cluster": "west"}), 400, json!("/cluster")),
        (json!({"correlation_id": "rr-0"}), 400, json!("/cluster_id")),
        (json!({"correlation_id": "rr-0", "cluster_id": "west"}), 200, Value::Null),
    ] {
        let answer = post(&app, VERIFY, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    let get = get(&app, VERIFY).await;
    assert_eq!((get.status, get.headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
}

#[tokio::test]
async fn only_callers_who_may_read_get_an_answer() {
    let folder = Folder::new();
    let file = folder.0.join("tokens");
    let hash = |token: &str| canonical::hex(&canonical::digest(token));
    fs::write(&file, format!("writer {} *\nreader {} - read\n", hash("writes"), hash("reads"))).unwrap();
    let app = App::with_callers(Callers::read(&file).unwrap()).await;
    let asked = |method: &str, path: &str, token: Option<&str>| {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(Body::from(r#"{"correlation_id": "rr-0"}"#)).unwrap()
    };

    let event = format!("{EVENTS}/{}", Uuid::from_u128(1));
    for (method, path, found) in
        [("GET", EVENTS, 200), ("GET", event.as_str(), 404), ("GET", EXPORT, 200), ("POST", VERIFY, 404)]
    {
        for (token, status) in [(None, 401), (Some("no one's"), 401), (Some("writes"), 403), (Some("reads"), found)] {
            let answer = request(&app.router, asked(method, path, token)).await;
            assert_eq!(answer.status, status, "{method} {path} as {token:?}: {}", answer.text);
        }
    }
    let exported = request(&app.router, asked("GET", EXPORT, Some("reads"))).await.json();
    assert_eq!(exported["export_metadata"]["exported_by"], "reader");
}

/// An event of `rr-0` that tells its number.
fn numbered(n: i64, at: &str) -> Value {
    event("rr-0", at, "gateway.signal.received", "gateway", "success", json!({"n": n, "sort": "plain"}))
}

fn event(remediation: &str, at: &str, event_type: &str, category: &str, outcome: &str, data: Value) -> Value {
    json!({
        "version": "1.0", "event_type": event_type, "event_timestamp": at, "event_category": category,
        "event_action": "told", "event_outcome": outcome, "correlation_id": remediation, "event_data": data
    })
}

/// Numbered events, one a second from 2026-05-02 on; gives their ids.
async fn history(app: &App, count: i64) -> Vec<Value> {
    let begin: DateTime<Utc> = "2026-05-02T00:00:00Z".parse().unwrap();
    let told: Vec<Value> = (1..=count).map(|n| numbered(n, &(begin + TimeDelta::seconds(n)).to_rfc3339())).collect();
    let mut ids = Vec::new();
    for batch in told.chunks(1_000) {
        ids.extend(posted(app, batch).await);
    }
    ids
}

/// The numbers of the events of a page.
fn numbers(page: &Value) -> Vec<i64> {
    page["data"].as_array().unwrap().iter().map(|event| event["event_data"]["n"].as_i64().unwrap()).collect()
}

/// Records a batch that must be recorded, and gives the ids.
async fn posted(app: &App, events: &[Value]) -> Vec<Value> {
    let answer = post(app, "/api/v1/audit/events/batch", &json!(events)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["event_ids"].as_array().unwrap().clone()
}

async fn post(app: &App, path: &str, body: &Value) -> Answer {
    let post = Request::post(path).header("content-type", "application/json");
    request(&app.router, post.body(Body::from(body.to_string())).unwrap()).await
}

async fn get(app: &App, path: &str) -> Answer {
    request(&app.router, Request::get(path).body(Body::empty()).unwrap()).await
}

/// An answer of which nothing is read yet.
async fn open(app: &App, path: &str) -> Response {
    app.router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

/// The parts of a body, and how it ended.
async fn frames(response: Response) -> (Vec<Bytes>, Result<(), axum::Error>) {
    let (mut body, mut frames) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => frames.push(frame.into_data().unwrap()),
            Err(error) => return (frames, Err(error)),
        }
    }
    (frames, Ok(()))
}

async fn tamper(app: &App, change: &str) {
    let mut admin = connect(&app.db.admin_url).await;
    let change = format!("SET session_replication_role = replica; {change}");
    sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut admin).await.unwrap();
}

fn uuid(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}
