//! What REST answers from what is known: how effective a remediation was, what happened to a target before, and the
//! RemediationRequest put together again; whichever way the audits came.

use std::fs;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use binnacle::{audit::canonical, caller::Callers};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, App, request},
    audits::worked_example,
    store::Folder,
};

const REMEDIATION: &str = "rr-7d1f0c9ab3e2-4be09c11";
const BEFORE: &str = "sha256:695252f664b93b2375fc1738693a32a19e8c722fe14e81a3d80cc5b85a923da0";
const AFTER: &str = "sha256:72231043bc1807e6f740b235eb7511ecb33255a6a375435631196de8a9750d4b";

#[tokio::test]
async fn the_effectiveness_of_kubernauts_sequence_is_its_score_by_components() {
    let app = App::start().await;
    post_batch(&app, &sequence()).await;

    let answer = get(&app, &format!("/api/v1/effectiveness/{REMEDIATION}")).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let told = answer.json();
    assert!(told["computed_at"].as_str().unwrap().parse::<DateTime<Utc>>().is_ok());
    insta::assert_json_snapshot!(told, {".computed_at" => "[time]"}, @r#"
    {
      "assessment_status": "Full",
      "components": {
        "alert_assessed": true,
        "alert_details": "alert \"KubePodCrashLooping\" resolved",
        "alert_score": 1.0,
        "health_assessed": true,
        "health_details": "all 5 pods ready, no restarts",
        "health_score": 1.0,
        "metrics_assessed": true,
        "metrics_details": "4 of 5 metrics improved, average score 0.80",
        "metrics_score": 0.8
      },
      "computed_at": "[time]",
      "correlation_id": "rr-7d1f0c9ab3e2-4be09c11",
      "hash_comparison": {
        "hash_match": false,
        "post_remediation_spec_hash": "sha256:72231043bc1807e6f740b235eb7511ecb33255a6a375435631196de8a9750d4b",
        "pre_remediation_spec_hash": "sha256:695252f664b93b2375fc1738693a32a19e8c722fe14e81a3d80cc5b85a923da0"
      },
      "score": 0.95
    }
    "#);
    // One who names the cluster gets the same, one who names another nothing.
    let named = get(&app, &format!("/api/v1/effectiveness/{REMEDIATION}?cluster_id=eu-prod-1")).await.json();
    assert_eq!(named["score"], told["score"]);
    let elsewhere = get(&app, &format!("/api/v1/effectiveness/{REMEDIATION}?cluster_id=us-1")).await;
    problem(&elsewhere, 404, "not-found");
}

#[tokio::test]
async fn the_effectiveness_of_audits_in_our_fields_is_the_score_that_they_tell() {
    let app = App::start().await;
    app.recorded(&worked_example()).await;
    let told = get(&app, &format!("/api/v1/effectiveness/{REMEDIATION}")).await.json();
    assert_eq!((&told["score"], &told["assessment_status"]), (&json!(0.88), &json!("EffectivenessAssessed")));
    assert_eq!(told["components"]["health_score"], Value::Null);
    assert_eq!(told["components"]["health_assessed"], false);
}

#[tokio::test]
async fn without_an_assessment_there_is_no_effectiveness() {
    let app = App::start().await;
    let unknown = get(&app, "/api/v1/effectiveness/rr-nobody").await;
    problem(&unknown, 404, "not-found");
    app.recorded(&worked_example()[..5]).await;
    let unassessed = get(&app, &format!("/api/v1/effectiveness/{REMEDIATION}")).await;
    problem(&unassessed, 404, "not-found");
}

#[tokio::test]
async fn what_an_assessment_came_to_is_the_same_wherever_it_is_asked() {
    let app = App::start().await;
    let mut events = sequence();
    let completed = |event: &Value| event["event_type"] == "effectiveness.assessment.completed";
    let full = events.iter().find(|event| completed(event)).unwrap().clone();
    for event in events.iter_mut().filter(|event| completed(event)) {
        event["event_data"]["reason"] = "SpecDrift".into();
    }
    post_batch(&app, &events).await;
    let query = "query($id: String!) { remediation(remediationId: $id, clusterId: \"eu-prod-1\") { effective effectivenessScore } }";
    let both = async || {
        let told = get(&app, &format!("/api/v1/effectiveness/{REMEDIATION}")).await.json();
        app.projected().await;
        let folded = app.data(query, json!({"id": REMEDIATION})).await["remediation"].take();
        assert_eq!(told["score"], folded["effectivenessScore"]);
        (told["score"].clone(), told["assessment_status"].clone(), folded["effective"].clone())
    };
    assert_eq!(both().await, (json!(0.0), json!("SpecDrift"), json!(false)));

    let later = moved(&[full], REMEDIATION, "2026-05-04T10:20:00Z".parse().unwrap());
    post_batch(&app, &later).await;
    assert_eq!(both().await, (json!(0.95), json!("Full"), json!(true)));
}

#[tokio::test]
async fn a_trail_without_end_is_not_answered_from() {
    let app = App::start().await;
    let seen = |n: usize| {
        json!({"kind": "OTHER", "remediationId": REMEDIATION, "category": "load", "eventType": "load.seen",
        "occurredAt": "2026-05-04T10:00:00Z", "payload": {"n": n}})
    };
    let all: Vec<Value> = (0..5_001).map(seen).collect();
    app.recorded(&all[..1_000]).await;
    for path in paths() {
        let answer = send(&app, None, &path).await;
        assert_ne!(answer.status, StatusCode::OK);
        assert_ne!(answer.json()["code"], "TOO_COMPLEX", "{}", answer.text);
    }
    for some in all[1_000..].chunks(1_000) {
        app.recorded(some).await;
    }
    for path in paths() {
        let told = problem(&send(&app, None, &path).await, 400, "too-complex");
        assert!(told["detail"].as_str().unwrap().contains("5000 audits"), "{told:#}");
    }
}

#[tokio::test]
async fn a_name_that_several_clusters_know_has_to_come_with_its_cluster() {
    let app = App::start().await;
    post_batch(&app, &sequence()).await;
    app.recorded(&worked_example()).await;
    for path in paths() {
        let answer = send(&app, None, &path).await;
        let told = problem(&answer, 400, "bad-input");
        assert_eq!(told["errors"][0]["parameter"], "cluster_id", "{told:#}");
        assert!(told["detail"].as_str().unwrap().contains("default, eu-prod-1"), "{told:#}");
    }
}

#[tokio::test]
async fn a_targets_history_stays_when_its_spec_moves_on() {
    let app = App::start().await;
    let now = Utc::now();
    // The sequence as it went an hour ago, and the same remediation by other names before.
    post_batch(&app, &moved(&sequence(), REMEDIATION, now - TimeDelta::hours(1))).await;
    post_batch(&app, &moved(&sequence(), "rr-a-week-ago", now - TimeDelta::days(7))).await;
    post_batch(&app, &moved(&sequence(), "rr-long-ago", now - TimeDelta::days(100))).await;

    let told = history(&app, "sha256:a-third-state", "").await;

    assert_eq!(told["targetResource"], "payments/Deployment/checkout");
    assert_eq!(told["currentSpecHash"], "sha256:a-third-state");
    assert_eq!((&told["tier1"]["window"], &told["tier2"]["window"]), (&json!("24h"), &json!("2160h")));
    // The signal came again after it had been dealt with.
    assert_eq!(told["regressionDetected"], true);
    let [entry] = told["tier1"]["chain"].as_array().unwrap().as_slice() else { panic!("{told:#}") };
    insta::assert_json_snapshot!(entry, {".completedAt" => "[time]", ".assessedAt" => "[time]"}, @r#"
    {
      "actionType": "RestartPod",
      "assessedAt": "[time]",
      "assessmentReason": "Full",
      "completedAt": "[time]",
      "effectivenessScore": 0.95,
      "hashMatch": "none",
      "healthChecks": {
        "crashLoops": false,
        "oomKilled": false,
        "pendingCount": 0,
        "podRunning": true,
        "readinessPass": true,
        "restartDelta": 0
      },
      "metricDeltas": {
        "cpuAfter": 0.45,
        "cpuBefore": 0.42,
        "errorRateAfter": 0.004,
        "errorRateBefore": 0.12,
        "latencyP95AfterMs": 310.0,
        "latencyP95BeforeMs": 1840.0,
        "memoryAfter": 0.61,
        "memoryBefore": 0.97,
        "throughputAfterRps": 118.2,
        "throughputBeforeRps": 41.5
      },
      "outcome": "Remediated",
      "postRemediationSpecHash": "sha256:72231043bc1807e6f740b235eb7511ecb33255a6a375435631196de8a9750d4b",
      "preRemediationSpecHash": "sha256:695252f664b93b2375fc1738693a32a19e8c722fe14e81a3d80cc5b85a923da0",
      "remediationUID": "rr-7d1f0c9ab3e2-4be09c11",
      "sideEffects": [],
      "signalFingerprint": "7d1f0c9ab3e2f4105b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e9f001122",
      "signalResolved": true,
      "signalType": "alert"
    }
    "#);
    let [summary] = told["tier2"]["chain"].as_array().unwrap().as_slice() else { panic!("{told:#}") };
    insta::assert_json_snapshot!(summary, {".completedAt" => "[time]"}, @r#"
    {
      "actionType": "RestartPod",
      "assessmentReason": "Full",
      "completedAt": "[time]",
      "effectivenessScore": 0.95,
      "hashMatch": "none",
      "outcome": "Remediated",
      "remediationUID": "rr-a-week-ago",
      "signalFingerprint": "7d1f0c9ab3e2f4105b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e9f001122",
      "signalResolved": true,
      "signalType": "alert"
    }
    "#);

    // Other windows, in days as well.
    let told = history(&app, "sha256:a-third-state", "&tier1Window=10d&tier2Window=200d").await;
    assert_eq!(names(&told["tier1"]["chain"]), ["rr-a-week-ago", REMEDIATION]);
    assert_eq!(names(&told["tier2"]["chain"]), ["rr-long-ago"]);
    // Another cluster, and another target.
    assert_eq!(names(&history(&app, BEFORE, "&clusterId=us-1").await["tier1"]["chain"]), [""; 0]);
    let other = get(&app, &HISTORY.replace("checkout", "cart").replace("HASH", BEFORE)).await.json();
    assert_eq!((names(&other["tier1"]["chain"]), &other["regressionDetected"]), (vec![], &json!(false)));
}

#[tokio::test]
async fn a_spec_that_is_again_what_it_was_before_is_a_regression() {
    let app = App::start().await;
    post_batch(&app, &moved(&sequence(), REMEDIATION, Utc::now() - TimeDelta::hours(1))).await;

    let undone = history(&app, BEFORE, "").await;
    assert_eq!((&undone["regressionDetected"], hash_match(&undone)), (&json!(true), "preRemediation"));
    let kept = history(&app, AFTER, "").await;
    assert_eq!((&kept["regressionDetected"], hash_match(&kept)), (&json!(false), "postRemediation"));
    let moved_on = history(&app, "sha256:other", "").await;
    assert_eq!((&moved_on["regressionDetected"], hash_match(&moved_on)), (&json!(false), "none"));
}

#[tokio::test]
async fn what_was_recorded_in_our_fields_is_history_as_well_and_a_writer_finds_it_at_once() {
    let app = App::start().await;
    let at = |seconds: i64| (Utc::now() + TimeDelta::seconds(seconds)).to_rfc3339_opts(SecondsFormat::Millis, true);
    for number in 1..=3 {
        let name = format!("rr-{number}");
        app.recorded(&[
            json!({"kind": "ORCHESTRATION", "remediationId": name, "occurredAt": at(-120), "overallPhase": "completed",
                "startTime": at(-600), "completionTime": at(-120), "signal": {"name": "Slow", "fingerprint": "f"},
                "target": {"kind": "Deployment", "namespace": "payments", "name": "checkout"},
                "preRemediationSpecHash": BEFORE}),
            json!({"kind": "EFFECTIVENESS", "remediationId": name, "occurredAt": at(-60), "assessmentId": "ea",
                "actionType": "restart_pod", "traditionalScore": 0.5, "confidence": 0.8, "completedAt": at(-60),
                "reason": "partial", "postRemediationSpecHash": AFTER, "sideEffectsDetected": true,
                "sideEffectsDescription": "the cache is cold", "metricDeltas": {"cpuBefore": 0.5, "memory_after": 0.25},
                "healthChecks": {"podRunning": true}, "alertResolution": {"alertResolved": false}}),
        ])
        .await;

        let told = history(&app, AFTER, "").await;

        let chain = told["tier1"]["chain"].as_array().unwrap();
        assert_eq!(chain.len(), number, "{told:#}");
        let entry = chain.iter().find(|entry| entry["remediationUID"] == name.as_str()).unwrap();
        assert_eq!(entry["sideEffects"], json!(["the cache is cold"]));
        assert_eq!(entry["metricDeltas"], json!({"cpuBefore": 0.5, "memoryAfter": 0.25}));
        assert_eq!(entry["healthChecks"], json!({"podRunning": true}));
        assert_eq!((&entry["signalResolved"], &entry["assessmentReason"]), (&json!(false), &json!("Partial")));
    }
}

#[tokio::test]
async fn bad_parameters_are_all_told_at_once() {
    let app = App::start().await;
    let nothing = get(&app, "/api/v1/remediation-history/context").await;
    let told = problem(&nothing, 400, "bad-input");
    let missing: Vec<&str> =
        told["errors"].as_array().unwrap().iter().map(|it| it["parameter"].as_str().unwrap()).collect();
    assert_eq!(missing, ["targetKind", "targetName", "targetNamespace", "currentSpecHash"]);

    for (more, parameter, code) in [
        ("&tier1Window=a%20day", "tier1Window", "MALFORMED"),
        ("&tier1Window=0", "tier1Window", "MALFORMED"),
        ("&tier2Window=4000d", "tier2Window", "MALFORMED"),
        ("&tier1Window=48h&tier2Window=2d", "tier2Window", "OUT_OF_RANGE"),
        ("&tier2Window=1h", "tier2Window", "OUT_OF_RANGE"),
        ("&cluster=x", "cluster", "UNKNOWN_PARAMETER"),
        ("&clusterId=%00", "clusterId", "NUL"),
    ] {
        let answer = get(&app, &(HISTORY.replace("HASH", BEFORE) + more)).await;
        let told = problem(&answer, 400, "bad-input");
        let mistake = &told["errors"][0];
        assert_eq!((&mistake["parameter"], &mistake["code"]), (&json!(parameter), &json!(code)), "{more}: {told:#}");
    }
    for path in paths() {
        let told = problem(&send(&app, None, &(path + "?clusterId=x")).await, 400, "bad-input");
        assert_eq!(told["errors"][0]["code"], "UNKNOWN_PARAMETER", "{told:#}");
    }
    for name in ["%FF", "a%00b"] {
        let answer = get(&app, &format!("/api/v1/effectiveness/{name}")).await;
        assert_eq!(problem(&answer, 400, "bad-input")["errors"][0]["parameter"], "correlation_id");
    }
}

#[tokio::test]
async fn a_remediation_request_is_put_together_from_kubernauts_sequence() {
    let app = App::start().await;
    post_batch(&app, &sequence()).await;

    let told = reconstructed(&app, "").await;

    assert_eq!((&told["correlation_id"], &told["cluster_id"]), (&json!(REMEDIATION), &json!("eu-prod-1")));
    assert!(told["reconstructed_at"].as_str().unwrap().parse::<DateTime<Utc>>().is_ok());
    let validation = &told["validation"];
    assert_eq!((&validation["is_valid"], &validation["errors"]), (&json!(true), &json!([])));
    let yaml = told["remediation_request_yaml"].as_str().unwrap();
    for line in [
        "apiVersion: remediation.kubernaut.ai/v1alpha1",
        "  namespace: kubernaut-system",
        "  signalName: KubePodCrashLooping",
        "  clusterID: eu-prod-1",
        "  overallPhase: Completed",
        "    outcome: Remediated",
    ] {
        assert!(yaml.lines().any(|it| it == line), "{line}\n{yaml}");
    }
    assert!(yaml.contains(&format!("name: rr-reconstructed-{REMEDIATION}-")), "{yaml}");
}

#[tokio::test]
async fn a_remediation_request_is_put_together_from_audits_of_several_spellings() {
    let app = App::start().await;
    let mut ours = worked_example();
    ours.iter_mut().for_each(|audit| audit["clusterId"] = "eu-prod-1".into());
    app.recorded(&ours).await;
    let untold = send(&app, None, &reconstruct("")).await;
    assert!(problem(&untold, 400, "incomplete-trail")["detail"].as_str().unwrap().contains("gateway.signal.received"));

    // The gateway is Kubernaut's, the orchestrator's limits too; all else is told over GraphQL.
    let theirs: Vec<Value> =
        sequence().into_iter().filter(|event| event["event_type"].as_str().unwrap().contains("created")).collect();
    post_batch(&app, &[sequence()[..1].to_vec(), theirs].concat()).await;
    let told = reconstructed(&app, "?cluster_id=eu-prod-1").await;

    assert_eq!(told["validation"]["is_valid"], true, "{told:#}");
    let yaml = told["remediation_request_yaml"].as_str().unwrap();
    for line in ["  signalName: KubePodCrashLooping", "    global: 1h0m0s", "      name: we-rr-7d1f0c9ab3e2-4be09c11"] {
        assert!(yaml.lines().any(|it| it == line), "{line}\n{yaml}");
    }
}

#[tokio::test]
async fn of_what_is_not_known_or_hardly_known_no_request_is_put_together() {
    let app = App::start().await;
    problem(&send(&app, None, &reconstruct("")).await, 404, "not-found");
    post_batch(&app, &sequence()[..1]).await;
    let told = problem(&send(&app, None, &reconstruct("")).await, 400, "incomplete-trail");
    assert_eq!(told["completeness"], 33);
    let missing = told["missing"].as_array().unwrap();
    assert!(missing.iter().any(|it| it.as_str().unwrap().contains("orchestrator.lifecycle.created")), "{told:#}");
}

#[tokio::test]
async fn only_who_may_read_is_answered() {
    let folder = Folder::new();
    let digest = |token: &str| canonical::hex(&canonical::digest(token));
    let callers = format!("writer {} *\nreader {} - read\n", digest("writer's"), digest("reader's"));
    fs::write(folder.0.join("callers"), callers).unwrap();
    let app = App::with_callers(Callers::read(&folder.0.join("callers")).unwrap()).await;
    for path in paths().into_iter().chain([HISTORY.replace("HASH", BEFORE)]) {
        problem(&send(&app, None, &path).await, 401, "unauthenticated");
        problem(&send(&app, Some("writer's"), &path).await, 403, "forbidden");
        let answer = send(&app, Some("reader's"), &path).await;
        assert!([200, 404].contains(&answer.status.as_u16()), "{path}: {}", answer.text);
    }
}

const HISTORY: &str = "/api/v1/remediation-history/context?targetKind=Deployment&targetName=checkout\
    &targetNamespace=payments&currentSpecHash=HASH";

/// The addresses of the endpoints about one remediation.
fn paths() -> [String; 2] {
    [format!("/api/v1/effectiveness/{REMEDIATION}"), reconstruct("")]
}

fn reconstruct(query: &str) -> String {
    format!("/api/v1/audit/remediation-requests/{REMEDIATION}/reconstruct{query}")
}

fn sequence() -> Vec<Value> {
    serde_json::from_str(include_str!("../../docs/examples/kubernaut-sequence.json")).unwrap()
}

/// The events as those of another remediation that began at another time.
fn moved(events: &[Value], remediation: &str, began: DateTime<Utc>) -> Vec<Value> {
    let first: DateTime<Utc> = events[0]["event_timestamp"].as_str().unwrap().parse().unwrap();
    let text = serde_json::to_string(events).unwrap().replace(REMEDIATION, remediation);
    let mut events: Vec<Value> = serde_json::from_str(&text).unwrap();
    events.iter_mut().for_each(|event| move_times(event, began - first));
    events
}

fn move_times(value: &mut Value, by: TimeDelta) {
    match value {
        Value::String(text) => {
            if let Ok(time) = text.parse::<DateTime<Utc>>() {
                *text = (time + by).to_rfc3339_opts(SecondsFormat::Micros, true);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_times(item, by)),
        Value::Object(members) => members.values_mut().for_each(|member| move_times(member, by)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

async fn post_batch(app: &App, events: &[Value]) {
    let post = Request::post("/api/v1/audit/events/batch").header("content-type", "application/json");
    let answer = request(&app.router, post.body(Body::from(json!(events).to_string())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
}

async fn get(app: &App, path: &str) -> Answer {
    request(&app.router, Request::get(path).body(Body::empty()).unwrap()).await
}

/// Asks an address by its own method.
async fn send(app: &App, token: Option<&str>, path: &str) -> Answer {
    let method = if path.contains("reconstruct") { "POST" } else { "GET" };
    let mut asked = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        asked = asked.header("authorization", format!("Bearer {token}"));
    }
    request(&app.router, asked.body(Body::empty()).unwrap()).await
}

async fn history(app: &App, hash: &str, more: &str) -> Value {
    let answer = get(app, &(HISTORY.replace("HASH", hash) + more)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn reconstructed(app: &App, query: &str) -> Value {
    let answer = send(app, None, &reconstruct(query)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

fn names(chain: &Value) -> Vec<&str> {
    chain.as_array().unwrap().iter().map(|entry| entry["remediationUID"].as_str().unwrap()).collect()
}

fn hash_match(told: &Value) -> &str {
    told["tier1"]["chain"][0]["hashMatch"].as_str().unwrap()
}

/// The problem document that an answer is.
#[track_caller]
fn problem(answer: &Answer, status: u16, name: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let told = answer.json();
    assert_eq!(told["type"], format!("/problems/{name}"));
    told
}
