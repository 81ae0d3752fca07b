//! Subscriptions: catching up, then live, without a gap or a repeat.

use axum::{body::Body, http::Request};
use binnacle::{
    audit::Position,
    caller::Callers,
    feed,
    journal::read,
    projection::{event_index, remediations},
    server::Server,
};
use chrono::{TimeDelta, Utc};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{App, RECORD_AUDITS, ask, request, serve_following, until},
    audits::{notification, with, worked_example},
    history::app_with_history,
    postgres::database,
    subscriber::{Heard, Subscriber, listen},
};

const EVENTS: &str = "subscription($filter: EventFilter, $after: Watermark) {
    events(filter: $filter, after: $after) { position watermark eventId kind remediation { remediationId } }
}";
const TIMELINE: &str = "subscription($id: String!, $cluster: String, $after: Watermark) {
    timeline(remediationId: $id, clusterId: $cluster, after: $after) { id title watermark event { position } }
}";
const REMEDIATIONS: &str = "subscription($filter: RemediationFilter, $after: Watermark) {
    remediations(filter: $filter, after: $after) { remediationId phase watermark events { edges { node { version } } } }
}";

#[tokio::test]
async fn events_are_told_from_a_watermark_on_and_then_as_they_are_recorded() {
    let app = App::start().await;
    app.recorded(&audits(0..150)).await;
    let address = listen(app.router.clone()).await;
    let origin = origin(&app).await;

    let mut everything = Subscriber::start(&address, EVENTS, json!({"after": origin})).await;
    let mut told = Vec::new();
    for _ in 0..150 {
        told.push(everything.data().await["events"].clone());
    }
    let mut since = Subscriber::start(&address, EVENTS, json!({"after": told[147]["watermark"]})).await;
    told.extend([since.data().await["events"].clone(), since.data().await["events"].clone()]);
    app.recorded(&audits(150..152)).await;
    for _ in 0..2 {
        told.push(everything.data().await["events"].clone());
    }

    let positions: Vec<i64> = told.iter().map(position).collect();
    let expected: Vec<i64> = (1..=150).chain([149, 150]).chain([151, 152]).collect();
    assert_eq!(positions, expected);
    assert_eq!(since.data().await["events"]["position"], "151");
    everything.silent().await;
}

#[tokio::test]
async fn without_a_watermark_only_what_is_new_is_told_and_a_filter_holds_for_old_and_new() {
    let app = App::start().await;
    app.recorded(&audits(0..3)).await;
    app.recorded(&worked_example()).await;
    app.projected().await;
    let address = listen(app.router.clone()).await;
    let filter = json!({"kind": ["AI_ANALYSIS"]});
    let mut new = Subscriber::start(&address, EVENTS, json!({})).await;
    following(&app.server, 1).await;
    let mut all = Subscriber::start(&address, EVENTS, json!({"filter": filter, "after": origin(&app).await})).await;
    assert_eq!(all.data().await["events"]["kind"], "AI_ANALYSIS");
    new.silent().await;

    let analysis = worked_example().into_iter().find(|audit| audit["kind"] == "AI_ANALYSIS").unwrap();
    let analysis = with(analysis, "eventId", json!(Uuid::from_u128(77)));
    app.recorded(&audits(3..4)).await;
    app.recorded(&[analysis]).await;

    assert_eq!(new.data().await["events"]["kind"], "NOTIFICATION");
    assert_eq!(new.data().await["events"]["kind"], "AI_ANALYSIS");
    assert_eq!(all.data().await["events"]["eventId"], Uuid::from_u128(77).to_string());
    all.silent().await;
}

#[tokio::test]
async fn a_timeline_can_be_resumed_after_any_of_its_facts() {
    let app = App::start().await;
    app.recorded(&worked_example()).await;
    let address = listen(app.router.clone()).await;
    let expected = timeline(&app).await;

    // After each fact the connection is lost.
    let mut after = json!(origin(&app).await);
    let mut told = Vec::new();
    for _ in 0..expected.len() {
        let variables = json!({"id": "rr-7d1f0c9ab3e2-4be09c11", "after": after});
        let mut fact = Subscriber::start(&address, TIMELINE, variables).await.data().await["timeline"].take();
        after = fact["watermark"].take();
        told.push(fact["id"].take());
    }

    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_timeline_tells_new_facts_and_waits_for_a_remediation_that_is_named_whole() {
    let app = App::start().await;
    let address = listen(app.router.clone()).await;
    let variables = json!({"id": "rr-7d1f0c9ab3e2-4be09c11", "cluster": "default"});
    let mut watching = Subscriber::start(&address, TIMELINE, variables).await;
    following(&app.server, 1).await;

    for audit in worked_example() {
        app.recorded(&[audit]).await;
    }
    let expected = timeline(&app).await;
    let mut told: Vec<(i64, Value)> = Vec::new();
    while told.last().map(|(_, id)| id) != expected.last() {
        let mut fact = watching.data().await["timeline"].take();
        told.push((position(&fact["event"]), fact["id"].take()));
    }
    watching.silent().await;

    assert!(told.iter().map(|(position, _)| position).is_sorted(), "{told:#?}");
    for id in &expected {
        assert_eq!(told.iter().filter(|(_, one)| one == id).count(), 1, "{id} of {told:#?}");
    }
}

#[tokio::test]
async fn remediations_are_told_each_time_one_that_matches_has_changed() {
    let app = App::start().await;
    app.recorded(&worked_example()[..2]).await;
    app.projected().await;
    let address = listen(app.router.clone()).await;
    let filter = json!({"remediationIdPrefix": "rr-7d"});
    let mut board = Subscriber::start(&address, REMEDIATIONS, json!({"filter": filter})).await;
    following(&app.server, 1).await;
    let mut from_the_start = Subscriber::start(&address, REMEDIATIONS, json!({"after": origin(&app).await})).await;
    let first = from_the_start.data().await;
    assert_eq!(first["remediations"]["remediationId"], "rr-7d1f0c9ab3e2-4be09c11");
    board.silent().await;

    app.recorded(&[notification("rr-elsewhere", Uuid::from_u128(5), "n")]).await;
    assert_eq!(from_the_start.data().await["remediations"]["remediationId"], "rr-elsewhere");
    app.recorded(&worked_example()[2..3]).await;
    for subscriber in [&mut board, &mut from_the_start] {
        let changed = subscriber.data().await["remediations"].take();
        assert_eq!(changed["remediationId"], "rr-7d1f0c9ab3e2-4be09c11");
        assert_eq!(changed["events"]["edges"].as_array().unwrap().len(), 3, "the fold beneath is as new");
    }

    let mut resumed =
        Subscriber::start(&address, REMEDIATIONS, json!({"after": first["remediations"]["watermark"]})).await;
    let names = [resumed.data().await, resumed.data().await].map(|data| data["remediations"]["remediationId"].clone());
    assert_eq!(names, ["rr-elsewhere", "rr-7d1f0c9ab3e2-4be09c11"]);
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_at_once() {
    let app = App::start().await;
    app.recorded(&audits(0..1)).await;
    let address = listen(app.router.clone()).await;
    let journal = app.server.app.journal.id();
    let watermark = |id: Uuid, position: i64| binnacle::audit::Watermark::at(id, Position(position)).encode();
    let refused = async |query: &str, variables: Value| {
        let error = Subscriber::start(&address, query, variables).await.error().await;
        format!("{} {}", error["extensions"]["code"].as_str().unwrap(), error["message"].as_str().unwrap())
    };

    insta::assert_snapshot!(
        [
            refused(EVENTS, json!({"after": watermark(journal, 2)})).await,
            refused(EVENTS, json!({"after": watermark(Uuid::nil(), 1)})).await,
            refused(EVENTS, json!({"after": "nonsense"})).await,
            refused(TIMELINE, json!({"id": "nobody"})).await,
            refused(EVENTS, json!({"filter": {"actorId": vec!["x"; 101]}})).await,
            refused("subscription { events { id } timeline(remediationId: \"rr\") { id } }", json!({})).await,
            refused("subscription { ...F } fragment F on Subscription { events { id } }", json!({})).await,
        ]
        .join("\n"),
        @r#"
    BAD_INPUT this watermark lies beyond the end of the journal
    BAD_INPUT this watermark was given by another journal
    BAD_INPUT Invalid value for argument "after", expected type "Watermark"
    NOT_FOUND nothing is recorded of `nobody`; to wait for it, say in which cluster with `clusterId`
    BAD_INPUT a list of the filter has 101 values, at most 100 are allowed
    BAD_INPUT a subscription has one field at its root, written out and not in a fragment
    BAD_INPUT a subscription has one field at its root, written out and not in a fragment
    "#
    );
}

#[tokio::test]
async fn only_so_many_may_follow_and_only_who_may_read() {
    let db = database().await;
    let settings = feed::Settings { followers_max: 1, ..feed::Settings::default() };
    let server = serve_following(&db, settings).await;
    let address = listen(server.router(Callers::anyone(), false)).await;

    let first = Subscriber::start(&address, EVENTS, json!({})).await;
    following(&server, 1).await;
    let error = Subscriber::start(&address, EVENTS, json!({})).await.error().await;
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE");
    assert_eq!(error["extensions"]["retryable"], true);

    drop(first);
    // The place is free again once the server has noticed.
    following(&server, 0).await;
    let _second = Subscriber::start(&address, EVENTS, json!({})).await;
    following(&server, 1).await;
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_where_to_resume_and_misses_nothing() {
    const LARGE: &str =
        "subscription($after: Watermark) { events(after: $after) { position watermark payload canonical } }";
    let db = database().await;
    let settings = feed::Settings { kept_max: 35, ..feed::Settings::default() };
    let server = serve_following(&db, settings).await;
    let router = server.router(Callers::anyone(), false);
    let address = listen(router.clone()).await;
    let mut slow = Subscriber::start(&address, LARGE, json!({})).await;
    following(&server, 1).await;

    // More than what lies between a server and a client who reads nothing: the buffers of both sockets.
    let text = "x".repeat(90_000);
    for batch in 0..4_u128 {
        let audits: Vec<Value> = (batch * 30..(batch + 1) * 30)
            .map(|number| {
                json!({"other": {"remediationId": "rr", "eventId": Uuid::from_u128(number), "category": "gateway",
                    "eventType": "gateway.seen", "occurredAt": "2026-05-04T10:05:40Z",
                    "payload": {"a": text, "b": text}}})
            })
            .collect();
        let body = json!({"query": RECORD_AUDITS, "variables": {"inputs": audits}});
        let (_, answer) = ask(&router, None, body.to_string()).await;
        assert_eq!(answer["data"]["recordAudits"][29]["__typename"], "Recorded");
    }

    let mut positions = Vec::new();
    let mut after = json!(binnacle::audit::Watermark::at(server.app.journal.id(), Position(0)).encode());
    let mut cut = 0;
    while positions.len() < 120 {
        match slow.hear().await {
            Heard::Data(mut data) => {
                positions.push(position(&data["events"]));
                after = data["events"]["watermark"].take();
            }
            Heard::Errors(errors) => {
                assert_eq!(errors[0]["extensions"]["code"], "TOO_SLOW");
                assert_eq!(errors[0]["extensions"]["watermark"], after);
                assert!(matches!(slow.hear().await, Heard::Closed(4429)));
                cut += 1;
                slow = Subscriber::start(&address, LARGE, json!({"after": after})).await;
            }
            // On a slow machine the server has lost its patience: nothing was taken for so long.
            Heard::Lost => {
                cut += 1;
                slow = Subscriber::start(&address, LARGE, json!({"after": after})).await;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(cut > 0, "everything went through: the buffers are larger than this story thinks");
    assert_eq!(positions, (1..=120).collect::<Vec<i64>>());
}

#[tokio::test]
async fn over_server_sent_events_too_only_what_may_be_is_followed() {
    let app = App::start().await;
    app.recorded(&audits(0..2)).await;
    let get = async |query: &str| {
        let query = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let get = Request::get(format!("/graphql?query={query}")).header("accept", "text/event-stream");
        request(&app.router, get.body(Body::empty()).unwrap()).await
    };

    let refused = get("mutation { recordAudits(inputs: []) { __typename } }").await;
    assert_eq!((refused.status.as_u16(), &refused.headers["allow"]), (405, &"POST".parse().unwrap()));
    assert_eq!(get("subscription { nope }").await.status, 400);
    let ended = get("subscription { timeline(remediationId: \"nobody\") { id } }").await;
    assert_eq!((ended.status.as_u16(), ended.json().get("data")), (404, None));
    assert_eq!(ended.json()["errors"][0]["extensions"]["code"], "NOT_FOUND");
    let query = get("{ system { events } }").await;
    assert!(query.text.starts_with("event: next\ndata: {\"data\":{\"system\":{\"events\":\"2\"}}}"), "{}", query.text);

    // The transports that answer once say where to go.
    let answer = app.ask("subscription { events { id } }", json!({})).await;
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("text/event-stream"), "{answer}");
}

/// What the index and the projection find is what a filter matches in memory, whatever it asks for.
#[tokio::test]
async fn a_filter_means_the_same_in_memory_and_in_the_database() {
    let app = app_with_history(40).await;
    let db = app.server.app.journal.reader().clone();
    let entries = read::after(&db, Position(0), chrono::DateTime::UNIX_EPOCH, 100_000).await.unwrap();
    let all = remediations::Filter::default();
    let summaries = remediations::changed(&db, &all, Position(0), 1_000).await.unwrap().summaries;
    assert!(entries.len() > 500 && summaries.len() == 40);

    let mut cases = Vec::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..150 {
        let (one, other, which) = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u32>())
            .new_tree(&mut runner)
            .unwrap()
            .current();
        cases.push((one, other, which));
    }
    let mut matched = (0, 0);
    for (one, other, which) in cases {
        let filter = event_filter(one.get(&entries), other.get(&entries), which);
        let found: Vec<Position> =
            event_index::after(&db, &filter, Position(0), 100_000).await.unwrap().iter().map(|place| place.0).collect();
        let matching: Vec<Position> =
            entries.iter().filter(|entry| filter.matches(entry)).map(|entry| entry.position).collect();
        assert_eq!(found, matching, "{filter:?}");
        matched.0 += found.len();

        let filter = remediation_filter(one.get(&summaries), other.get(&summaries), which);
        let found = remediations::changed(&db, &filter, Position(0), 1_000).await.unwrap().summaries;
        let matching: Vec<_> =
            summaries.iter().filter(|summary| filter.matches(summary, Utc::now())).cloned().collect();
        assert_eq!(found, matching, "{filter:?}");
        matched.1 += found.len();
    }
    assert!(matched.0 > 1_000 && matched.1 > 300, "the filters match next to nothing: {matched:?}");
}

/// A filter on some of the fields, each with the values of one of the entries or of both.
fn event_filter(one: &binnacle::audit::Entry, other: &binnacle::audit::Entry, which: u32) -> event_index::Filter {
    let told = |name: &str| {
        let text = |entry: &binnacle::audit::Entry| Some(entry.field(name)?.as_str()?.to_string());
        [one, other].into_iter().filter_map(text).collect::<Vec<_>>()
    };
    let target = |name: &str| {
        let text = |entry: &binnacle::audit::Entry| entry.event.fields().object("target")?.owned(name);
        [one, other].into_iter().filter_map(text).collect::<Vec<_>>()
    };
    let each =
        |of: fn(&binnacle::audit::Entry) -> Option<String>| [one, other].into_iter().filter_map(of).collect::<Vec<_>>();
    let on = |bit: u32| which >> (2 * bit) & 3 == 3; // one field in four
    event_index::Filter {
        occurred_from: on(0).then_some(one.event.occurred_at - TimeDelta::days(30)),
        occurred_to: on(1).then_some(one.event.occurred_at),
        recorded_from: on(2).then_some(other.recorded_at),
        recorded_to: on(0).then_some(other.recorded_at + TimeDelta::days(40)),
        kind: on(3).then(|| each(|entry| Some(entry.words.kind.to_string()))),
        category: on(4).then(|| each(|entry| Some(entry.event.category.clone()))),
        event_type: on(5).then(|| each(|entry| Some(entry.event.event_type.clone()))),
        outcome: on(6).then(|| each(|entry| entry.words.outcome.as_deref().map(str::to_string))),
        actor_id: on(7).then(|| each(|entry| entry.event.actor_id.clone())),
        cluster_id: on(8).then(|| each(|entry| Some(entry.event.stream.cluster_id.clone()))),
        remediation_id: on(9).then(|| each(|entry| Some(entry.event.stream.remediation_id.clone()))),
        environment: on(10).then(|| told("environment")),
        severity: on(11).then(|| told("severity")),
        target_kind: on(12).then(|| target("kind")),
        target_namespace: on(13).then(|| target("namespace")),
        target_name: on(14).then(|| target("name")),
        action_type: on(15).then(|| [told("actionType"), told("recommendedAction")].concat()),
        trace_id: on(5).then(|| one.event.trace_id.clone()).flatten(),
        ..event_index::Filter::default()
    }
}

/// The same for remediations.
fn remediation_filter(
    one: &binnacle::remediation::model::Summary,
    other: &binnacle::remediation::model::Summary,
    which: u32,
) -> remediations::Filter {
    use binnacle::remediation::model::Summary;
    let each = |of: fn(&Summary) -> Vec<String>| [one, other].into_iter().flat_map(of).collect::<Vec<_>>();
    fn word(value: impl serde::Serialize) -> Vec<String> {
        serde_json::to_value(value).unwrap().as_str().map(str::to_string).into_iter().collect()
    }
    fn signal(summary: &Summary, name: &str) -> Vec<String> {
        let told = summary.signal.as_ref().and_then(|signal| signal.get(name)?.as_str());
        told.map(str::to_string).into_iter().collect()
    }
    let on = |bit: u32| which >> (2 * bit) & 3 == 3; // one field in four
    let waited = |summary: &Summary| summary.approvals.iter().filter_map(|approval| approval.wait_ms).sum::<f64>();
    remediations::Filter {
        started_from: on(0).then_some(one.started_at - TimeDelta::days(20)),
        started_to: on(1).then_some(one.started_at + TimeDelta::days(20)),
        completed_from: on(2).then_some(other.started_at),
        completed_to: on(3).then_some(one.completed_at).flatten(),
        settled_from: on(4).then_some(one.started_at),
        settled_to: on(4).then_some(other.settled_at).flatten(),
        settled: on(5).then_some(which & 1 == 0),
        remediation_id_prefix: on(6).then(|| one.stream.remediation_id[..4].to_string()),
        cluster_id: on(7).then(|| each(|it| vec![it.stream.cluster_id.clone()])),
        environment: on(8).then(|| each(|it| it.environment.iter().cloned().collect())),
        severity: on(9).then(|| each(|it| it.severity.iter().cloned().collect())),
        phase: on(10).then(|| each(|it| word(it.phase))),
        outcome: on(11).then(|| each(|it| word(it.outcome))),
        effective: on(12).then_some(which & 2 == 0),
        signal_name: on(13).then(|| each(|it| signal(it, "name"))),
        fingerprint: on(14).then(|| each(|it| signal(it, "fingerprint"))),
        target_kind: on(15).then(|| each(|it| it.target.iter().map(|target| target.kind.clone()).collect())),
        target_namespace: on(9).then(|| each(|it| it.target.iter().filter_map(|it| it.namespace.clone()).collect())),
        target_name: on(8).then(|| each(|it| it.target.iter().map(|target| target.name.clone()).collect())),
        action_type: on(7).then(|| each(|it| it.action_types.clone())),
        workflow_name: on(6).then(|| each(|it| it.workflow_names.clone())),
        bottleneck: on(5).then(|| each(|it| word(it.bottleneck))),
        duration_min: on(3).then_some(one.duration_ms.min(other.duration_ms)),
        duration_max: on(2).then_some(one.duration_ms.max(other.duration_ms)),
        decision: on(1).then(|| each(|it| it.approvals.iter().map(|it| it.decision.clone()).collect())),
        decided_by: on(0).then(|| each(|it| it.approvals.iter().filter_map(|it| it.decided_by.clone()).collect())),
        wait_min: on(10).then(|| waited(one).min(waited(other))),
        wait_max: on(11).then(|| waited(one).max(waited(other))),
        effectiveness_min: on(12).then_some(one.effectiveness).flatten(),
        effectiveness_max: on(13).then_some(other.effectiveness).flatten(),
        completeness_below: on(14).then_some(one.completeness.score),
    }
}

/// Notifications, numbered.
fn audits(numbers: std::ops::Range<u128>) -> Vec<Value> {
    numbers
        .map(|number| notification(&format!("rr-{}", number % 7), Uuid::from_u128(number + 1_000), &number.to_string()))
        .collect()
}

/// Waits until so many follow: from then on they miss nothing.
async fn following(server: &Server, count: usize) {
    until("the followers", async || (server.app.feed.followers() == count).then_some(())).await;
}

async fn origin(app: &App) -> String {
    let data = app.data("{ system { origin } }", json!({})).await;
    data["system"]["origin"].as_str().unwrap().to_string()
}

fn position(event: &Value) -> i64 {
    event["position"].as_str().unwrap().parse().unwrap()
}

/// The ids of the worked example's facts, in the order in which they became known.
async fn timeline(app: &App) -> Vec<Value> {
    let query = "{ remediation(remediationId: \"rr-7d1f0c9ab3e2-4be09c11\") {
        timeline(first: 100, order: RECORDED) { edges { node { id } } } } }";
    let mut data = app.data(query, json!({})).await;
    let edges = data["remediation"]["timeline"]["edges"].as_array_mut().unwrap();
    let ids: Vec<Value> = edges.iter_mut().map(|edge| edge["node"]["id"].take()).collect();
    assert!(ids.len() > 10, "{ids:#?}");
    ids
}
