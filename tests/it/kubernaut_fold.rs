//! Remediations that Kubernaut's services tell: folded, listed, filtered, found, and the same after a rebuild.

use binnacle::{
    audit::{Position, Submission},
    caller::Caller,
    projection::{
        Projection,
        event_index::{self, Filter, Order},
        rebuild,
    },
    record::{Answer, record},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::App,
    postgres::options,
    rest::{example, fixture},
};

const REMEDIATION: &str = "rr-7d1f0c9ab3e2-4be09c11";

fn list(told: Value) -> Vec<Value> {
    serde_json::from_value(told).unwrap()
}

fn sequence() -> Vec<Value> {
    list(example("kubernaut-sequence"))
}

fn types() -> Vec<Value> {
    list(fixture("kubernaut/types"))
}

fn submissions<'v>(envelopes: impl IntoIterator<Item = &'v Value>) -> Vec<Submission> {
    // With ids of their content, so that they are the same in whichever order they come.
    let submission = |envelope: &Value| {
        let mut fields = envelope.as_object().unwrap().clone();
        let id = Uuid::new_v5(&Uuid::nil(), envelope.to_string().as_bytes());
        fields.insert("event_id".to_string(), id.to_string().into());
        Submission::of_kubernaut(fields)
    };
    envelopes.into_iter().map(submission).collect()
}

/// Records envelopes in one batch; whether each was new.
async fn recorded(app: &App, submissions: Vec<Submission>) -> Vec<bool> {
    let answers = record(&app.server.app, &Caller::anonymous(), submissions).await.unwrap();
    let new = |answer: Answer| match answer {
        Answer::Recorded { duplicate, .. } => !duplicate,
        Answer::Rejected(rejected) => panic!("{:?}", rejected.problems),
    };
    answers.into_iter().map(new).collect()
}

async fn app_with_sequence() -> App {
    let app = App::start().await;
    recorded(&app, submissions(&sequence())).await;
    app.projected().await;
    app
}

const STORY: &str = "query($id: String!) {
    remediation(remediationId: $id) {
        phase outcome effective durationMs
        bottleneck { name durationMs }
        phases { name durationMs }
        signal { name } environment severity target { kind namespace name }
        approvals { decision decidedBy waitMs }
        completeness { score missing { what } contradictions { what } }
        timeline(first: 100) { nodes { title event { eventId } alsoToldBy } }
    }
}";

#[tokio::test]
async fn the_sequence_folds_to_what_happened() {
    let app = app_with_sequence().await;
    let envelopes = sequence();
    let mut story = app.data(STORY, json!({"id": REMEDIATION})).await["remediation"].take();
    assert_eq!(story["bottleneck"], json!({"name": "APPROVAL_WAIT", "durationMs": 164_500.0}));
    assert_eq!((&story["phase"], &story["outcome"]), (&json!("COMPLETED"), &json!("REMEDIATED")));
    assert_eq!((&story["effective"], &story["durationMs"]), (&json!(true), &json!(608_000.0)));
    assert_eq!(story["completeness"], json!({"score": 1.0, "missing": [], "contradictions": []}));
    assert_eq!(story["target"], json!({"kind": "Deployment", "namespace": "payments", "name": "checkout"}));
    assert_eq!(story["signal"]["name"], "KubePodCrashLooping");
    assert_eq!((&story["environment"], &story["severity"]), (&json!("production"), &json!("CRITICAL")));
    assert_eq!(story["approvals"][0]["decidedBy"], "maria.lopez@example.com");

    // Every event is in the timeline, by itself or with the fact that it repeats.
    let nodes = story["timeline"]["nodes"].take();
    let mut told: Vec<Value> = Vec::new();
    for node in nodes.as_array().unwrap() {
        told.push(node["event"]["eventId"].clone());
        told.extend(node["alsoToldBy"].as_array().unwrap().clone());
    }
    told.sort_by_key(Value::to_string);
    told.dedup();
    assert_eq!(told.len(), envelopes.len());
    let titles: Vec<&str> = nodes.as_array().unwrap().iter().filter_map(|node| node["title"].as_str()).collect();
    for once in ["Signal received", "Remediation request created", "Approval requested", "Remediation completed"] {
        assert_eq!(titles.iter().filter(|title| **title == once).count(), 1, "{titles:?}");
    }
}

#[tokio::test]
async fn the_six_views_show_what_kubernauts_services_told() {
    let app = app_with_sequence().await;
    let views = app
        .data(
            "query($id: String!) { remediation(remediationId: $id) {
                orchestration { overallPhase crdOutcome totalDurationMs workflowId timeoutConfig { globalMs } }
                signalProcessing { status businessPriority criticality durationMs }
                aiAnalyses { crdName completionStatus confidenceScore rootCauseSummary totalTokens toolsInvoked approvalRequired }
                workflowExecutions { executionName status executionOutcome totalDurationMs }
                notifications { notificationId status channel messagePriority subject }
                effectiveness { assessmentId status traditionalScore hashMatch healthChecks { readyReplicas } }
            } }",
            json!({"id": REMEDIATION}),
        )
        .await;
    let of = &views["remediation"];
    assert_eq!(
        of["orchestration"],
        json!({"overallPhase": "COMPLETED", "crdOutcome": "REMEDIATED", "totalDurationMs": 607_600,
            "workflowId": "e3e833a2-0709-5160-8930-4e30133d4a2b", "timeoutConfig": {"globalMs": 3_600_000.0}})
    );
    assert_eq!(
        of["signalProcessing"],
        json!({"status": "COMPLETED", "businessPriority": "P1", "criticality": "CRITICAL", "durationMs": 900})
    );
    let [analysis] = of["aiAnalyses"].as_array().unwrap().as_slice() else { panic!("{of:#}") };
    assert_eq!((&analysis["completionStatus"], &analysis["confidenceScore"]), (&json!("COMPLETED"), &json!(0.75)));
    assert_eq!((&analysis["totalTokens"], &analysis["approvalRequired"]), (&json!(61_205), &json!(true)));
    assert!(analysis["toolsInvoked"].as_array().unwrap().len() > 3, "{analysis}");
    assert_eq!(
        of["workflowExecutions"],
        json!([{"executionName": "we-rr-7d1f0c9ab3e2-4be09c11", "status": "COMPLETED", "executionOutcome": "SUCCESS",
            "totalDurationMs": 44_500.0}])
    );
    let [notification] = of["notifications"].as_array().unwrap().as_slice() else { panic!("{of:#}") };
    assert_eq!((&notification["channel"], &notification["messagePriority"]), (&json!("SLACK"), &json!("P1")));
    assert_eq!(
        of["effectiveness"],
        json!([{"assessmentId": "ea-rr-7d1f0c9ab3e2-4be09c11", "status": "ASSESSED", "traditionalScore": 0.95,
            "hashMatch": false, "healthChecks": {"readyReplicas": 5}}])
    );
}

#[tokio::test]
async fn their_events_are_filtered_by_what_they_tell_the_same_in_memory_and_in_the_database() {
    let app = App::start().await;
    let envelopes = [sequence(), types()].concat();
    for batch in envelopes.chunks(50) {
        recorded(&app, submissions(batch)).await;
    }
    app.projected().await;
    let db = app.server.app.journal.reader();
    let entries = binnacle::journal::read::after(db, Position(0), DateTime::<Utc>::UNIX_EPOCH, 1_000).await.unwrap();
    let one = |value: &str| Some(vec![value.to_string()]);
    let filters = [
        Filter { environment: one("production"), ..Filter::default() },
        Filter { severity: one("critical"), ..Filter::default() },
        Filter { severity: one("high"), ..Filter::default() },
        Filter { target_kind: one("Deployment"), target_name: one("checkout"), ..Filter::default() },
        Filter { target_namespace: one("payments"), ..Filter::default() },
        Filter { action_type: one("RestartPod"), ..Filter::default() },
        Filter { event_type: one("gateway.signal.received"), ..Filter::default() },
        Filter { kind: one("AI_ANALYSIS"), ..Filter::default() },
        Filter { category: one("aiagent"), actor_id: one("kubernaut-agent"), ..Filter::default() },
    ];
    for filter in filters {
        let rows = event_index::page(db, &filter, Order::Position, false, None, 1_000).await.unwrap();
        let found: Vec<i64> = rows.iter().map(|row| row.position).collect();
        let matching: Vec<i64> =
            entries.iter().filter(|entry| filter.matches(entry)).map(|entry| entry.position.0).collect();
        assert_eq!(found, matching, "{filter:?}");
        assert!(!found.is_empty() && found.len() < entries.len(), "{filter:?}");
    }
}

#[tokio::test]
async fn their_texts_are_found_and_everything_is_the_same_after_a_rebuild() {
    let app = app_with_sequence().await;
    recorded(&app, submissions(&types())).await;
    app.projected().await;
    for (words, remediation) in [
        ("session cache eviction", REMEDIATION),
        ("database migration that the old code cannot read", REMEDIATION),
        ("month-end closing", "rr-000000000001-0000000b"),
        ("model provider refused the key", "rr-000000000001-0000000d"),
    ] {
        let found = app
            .data(
                "query($text: String!) { search(query: $text, mode: TEXT, first: 5) { hits { event { remediationId } } } }",
                json!({"text": words}),
            )
            .await;
        let hits = found["search"]["hits"].as_array().unwrap().clone();
        assert!(hits.iter().any(|hit| hit["event"]["remediationId"] == remediation), "{words}: {found}");
    }
    for projection in Projection::ALL {
        let outcome =
            rebuild::rebuild(&options(&app.db.owner_url), "binnacle_service", projection, |_, _| ()).await.unwrap();
        for table in outcome.tables {
            assert_eq!(table.differing, 0, "{table:?}");
        }
    }
}

#[tokio::test]
async fn in_whichever_order_they_come_the_story_is_the_same() {
    let envelopes = sequence();
    let mut stories = Vec::new();
    for step in [1, 13, 31] {
        let app = App::start().await;
        // Coprime to the number of events, so that each comes once.
        let shuffled: Vec<&Value> =
            (0..envelopes.len()).map(|index| &envelopes[index * step % envelopes.len()]).collect();
        for batch in shuffled.chunks(9) {
            recorded(&app, submissions(batch.iter().copied())).await;
        }
        app.projected().await;
        let mut story = app.data(STORY, json!({"id": REMEDIATION})).await["remediation"].take();
        for node in story["timeline"]["nodes"].as_array_mut().unwrap() {
            // They come in the order of recording.
            node["alsoToldBy"].as_array_mut().unwrap().sort_by_key(Value::to_string);
        }
        // What is told of one moment comes in the order of recording too.
        story["timeline"]["nodes"].as_array_mut().unwrap().sort_by_key(Value::to_string);
        stories.push(story);
    }
    assert_eq!(stories[0], stories[1]);
    assert_eq!(stories[0], stories[2]);
}
