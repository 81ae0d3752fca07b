//! A target's history: it stays when the spec moves on, and says when something that was mended has come back.

use binnacle::search::embedder::Embedders;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{app::App, embedder::Wordly, postgres::database};

const HISTORY: &str = "query(
    $target: TargetInput!, $cluster: String, $hash: String, $window: String, $first: Int, $at: Watermark
) {
    targetHistory(
        target: $target, clusterId: $cluster, currentSpecHash: $hash, window: $window, first: $first, at: $at
    ) {
        target { kind namespace name } window from to regressionDetected
        regression { kind remediation { remediationId effectiveness { status } } by { remediationId } explanation }
        entries { remediation { remediationId timeline { totalCount } } match hashMatch specHashBefore specHashAfter
            actionType outcome effective effectivenessScore startedAt completedAt }
        outcomes { count ended successes successRate lastEndedAt byOutcome { outcome count }
            byAction { actionType count successes } }
        exhausted
    }
}";

/// A remediation of a target, as its services tell it.
struct Told<'a> {
    id: &'a str,
    days_ago: i64,
    signal: &'a str,
    target: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    outcome: &'a str,
}

impl Default for Told<'_> {
    fn default() -> Self {
        Told {
            id: "rr-1",
            days_ago: 10,
            signal: "KubePodOOMKilled",
            target: "api",
            before: None,
            after: None,
            outcome: "remediated",
        }
    }
}

fn ago(days: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::days(days)
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

impl Told<'_> {
    /// Its orchestrator's last word and, unless it still runs, an assessment ten minutes later.
    fn audits(&self) -> Vec<Value> {
        let start = ago(self.days_ago);
        let end = start + TimeDelta::minutes(5);
        let id = |what: &str| Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}/{what}", self.id).as_bytes()).to_string();
        let common = |audit: Value| {
            let mut audit = audit;
            audit["remediationId"] = json!(self.id);
            audit["target"] = json!({"kind": "Deployment", "namespace": "shop", "name": self.target});
            audit["signal"] = json!({"name": self.signal, "fingerprint": format!("fp-{}", self.target)});
            audit
        };
        if self.outcome == "running" {
            return vec![common(json!({
                "kind": "ORCHESTRATION", "eventId": id("o"), "occurredAt": time(start), "overallPhase": "analyzing",
                "startTime": time(start),
            }))];
        }
        let mut orchestration = common(json!({
            "kind": "ORCHESTRATION", "eventId": id("o"), "occurredAt": time(end), "overallPhase": "completed",
            "crdOutcome": self.outcome, "startTime": time(start), "completionTime": time(end), "actionType": "RaiseLimit",
        }));
        let mut assessment = common(json!({
            "kind": "EFFECTIVENESS", "eventId": id("e"), "occurredAt": time(end + TimeDelta::minutes(10)),
            "assessmentId": format!("ea-{}", self.id), "status": "assessing", "component": "hash", "assessed": true,
        }));
        if let Some(before) = self.before {
            orchestration["preRemediationSpecHash"] = json!(before);
        }
        if let Some(after) = self.after {
            assessment["postRemediationSpecHash"] = json!(after);
        }
        vec![orchestration, assessment]
    }
}

async fn tell(app: &App, told: &[Told<'_>]) {
    for told in told {
        app.recorded(&told.audits()).await;
    }
    app.projected().await;
}

async fn history(app: &App, more: Value) -> Value {
    let mut variables = json!({"target": {"kind": "Deployment", "namespace": "shop", "name": "api"}});
    variables.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    app.data(HISTORY, variables).await["targetHistory"].take()
}

/// `id match hashMatch` of each entry.
fn entries(history: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let entries = history["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| {
            let id = text(&entry["remediation"]["remediationId"]);
            format!("{id} {} {}", text(&entry["match"]), text(&entry["hashMatch"]))
        })
        .collect()
}

#[tokio::test]
async fn a_history_stays_when_the_spec_moves_on() {
    let app = App::start().await;
    tell(
        &app,
        &[
            Told {
                id: "rr-1",
                days_ago: 40,
                before: Some("a"),
                after: Some("b"),
                signal: "KubePodOOMKilled",
                ..Told::default()
            },
            Told {
                id: "rr-2",
                days_ago: 20,
                before: Some("b"),
                after: Some("c"),
                signal: "HighLatency",
                ..Told::default()
            },
            // The same workload by its fingerprint, the same signal elsewhere, and something else altogether.
            Told { id: "rr-3", days_ago: 30, target: "web", signal: "HighLatency", ..Told::default() },
            Told { id: "rr-4", days_ago: 1, target: "db", signal: "DiskFull", ..Told::default() },
            Told { id: "rr-5", days_ago: 100, before: Some("x"), after: Some("a"), ..Told::default() },
        ],
    )
    .await;

    let known = history(&app, json!({"hash": "c"})).await;
    assert_eq!(entries(&known), ["rr-2 SPEC_HASH_AFTER POST_REMEDIATION", "rr-1 TARGET NONE", "rr-3 SIGNAL NONE"]);
    let moved_on = history(&app, json!({"hash": "z"})).await;
    assert_eq!(entries(&moved_on), ["rr-2 TARGET NONE", "rr-1 TARGET NONE", "rr-3 SIGNAL NONE"]);
    assert_eq!(moved_on["regressionDetected"], false);
    assert_eq!(moved_on["exhausted"], true);
    // What happened elsewhere does not count as the target's.
    assert_eq!(moved_on["outcomes"]["count"], 2);
    assert_eq!(moved_on["outcomes"]["byAction"], json!([{"actionType": "RaiseLimit", "count": 2, "successes": 2}]));
    assert_eq!(moved_on["entries"][0]["specHashBefore"], "b");
    assert!(moved_on["entries"][0]["remediation"]["timeline"]["totalCount"].as_i64().unwrap() > 0);

    let longer = history(&app, json!({"hash": "z", "window": "P1Y", "first": 2})).await;
    assert_eq!(entries(&longer), ["rr-2 TARGET NONE", "rr-1 TARGET NONE"]);
    assert_eq!(longer["outcomes"]["count"], 3);
    assert_eq!(longer["exhausted"], false);
    let short = history(&app, json!({"window": "30d"})).await;
    assert_eq!(entries(&short)[..1], ["rr-2 TARGET NONE"]);
    assert_eq!(short["outcomes"]["count"], 1);
    assert_eq!(entries(&history(&app, json!({"cluster": "elsewhere"})).await), [""; 0]);
}

#[tokio::test]
async fn the_same_workload_under_another_name_is_its_own_history() {
    let app = App::start().await;
    let mut pod = Told { id: "rr-pod", days_ago: 5, ..Told::default() }.audits();
    for audit in &mut pod {
        audit["target"] = json!({"kind": "Pod", "namespace": "shop", "name": "api-7d9f"});
    }
    app.recorded(&pod).await;
    tell(&app, &[Told { id: "rr-1", days_ago: 2, signal: "Other", ..Told::default() }]).await;

    let told = history(&app, json!({})).await;

    assert_eq!(entries(&told), ["rr-1 TARGET NONE", "rr-pod FINGERPRINT NONE"]);
    assert_eq!(told["outcomes"]["count"], 2);
}

#[tokio::test]
async fn a_spec_that_is_again_what_it_was_before_a_success_is_a_regression() {
    let app = App::start().await;
    tell(
        &app,
        &[
            Told { id: "rr-1", days_ago: 40, before: Some("a"), after: Some("b"), ..Told::default() },
            Told {
                id: "rr-2",
                days_ago: 20,
                before: Some("b"),
                after: Some("c"),
                signal: "HighLatency",
                ..Told::default()
            },
            // Restarted: nothing that could be undone.
            Told { id: "rr-3", days_ago: 10, before: Some("r"), after: Some("r"), signal: "Stuck", ..Told::default() },
            // Not a success: what it left is not what was wanted.
            Told {
                id: "rr-4",
                days_ago: 8,
                before: Some("f"),
                after: Some("g"),
                signal: "Slow",
                outcome: "inconclusive",
                ..Told::default()
            },
        ],
    )
    .await;

    let undone = history(&app, json!({"hash": "a"})).await;
    assert_eq!(undone["regressionDetected"], true);
    assert_eq!(undone["regression"]["kind"], "SPEC_UNDONE");
    assert_eq!(undone["regression"]["remediation"]["remediationId"], "rr-1");
    assert_eq!(undone["regression"]["by"], Value::Null);
    let words = undone["regression"]["explanation"].as_str().unwrap();
    assert!(
        words.starts_with("the spec of Deployment shop/api is again what it was before rr-1 (RaiseLimit, "),
        "{words}"
    );
    assert!(entries(&undone).contains(&"rr-1 SPEC_HASH_BEFORE PRE_REMEDIATION".to_string()));
    for hash in ["c", "r", "f", "z"] {
        assert_eq!(history(&app, json!({"hash": hash})).await["regressionDetected"], false, "{hash}");
    }
    // Restarted, so the hash is that of before as well as that of after; before wins.
    assert_eq!(entries(&history(&app, json!({"hash": "r"})).await)[1], "rr-3 SPEC_HASH_BEFORE PRE_REMEDIATION");

    // A later success that leaves it so is meant.
    tell(
        &app,
        &[Told { id: "rr-5", days_ago: 2, before: Some("c"), after: Some("a"), signal: "Costly", ..Told::default() }],
    )
    .await;
    assert_eq!(history(&app, json!({"hash": "a"})).await["regressionDetected"], false);
}

#[tokio::test]
async fn a_signal_that_comes_again_after_a_success_is_a_regression_whatever_the_spec() {
    let app = App::start().await;
    tell(
        &app,
        &[
            Told { id: "rr-1", days_ago: 40, before: Some("a"), after: Some("b"), ..Told::default() },
            Told { id: "rr-2", days_ago: 30, target: "web", ..Told::default() },
        ],
    )
    .await;
    let first = app.recorded(&Told { id: "rr-x", days_ago: 25, target: "db", ..Told::default() }.audits()).await;
    let before = first[0]["watermark"].clone();
    assert_eq!(history(&app, json!({"hash": "z"})).await["regressionDetected"], false);

    tell(&app, &[Told { id: "rr-3", days_ago: 0, outcome: "running", ..Told::default() }]).await;

    for variables in [json!({"hash": "z"}), json!({}), json!({"hash": "b"})] {
        let back = history(&app, variables).await;
        assert_eq!(back["regressionDetected"], true);
        assert_eq!(back["regression"]["kind"], "SIGNAL_RETURNED");
        assert_eq!(back["regression"]["remediation"]["remediationId"], "rr-1");
        assert_eq!(back["regression"]["by"]["remediationId"], "rr-3");
        let words = back["regression"]["explanation"].as_str().unwrap();
        assert!(
            words.starts_with("KubePodOOMKilled came again on Deployment shop/api 39 d 23 h after rr-1"),
            "{words}"
        );
        assert!(words.ends_with("; rr-3 is dealing with it now"), "{words}");
    }
    // A window that the success lies outside of, and a time before it came back.
    assert_eq!(history(&app, json!({"window": "P30D"})).await["regressionDetected"], false);
    let then = history(&app, json!({"at": before})).await;
    assert_eq!(then["regressionDetected"], false);
    assert_eq!(then["outcomes"]["count"], 1);
}

#[tokio::test]
async fn a_question_about_history_that_makes_no_sense_is_refused_with_an_example() {
    let app = App::start().await;
    let refused = async |more: Value| {
        let mut variables = json!({"target": {"kind": "Deployment", "name": "api"}});
        variables.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = app.ask(HISTORY, variables).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT", "{answer:#}");
        answer["errors"][0]["message"].as_str().unwrap().to_string()
    };
    assert!(
        refused(json!({"window": "a while"})).await.starts_with("`window` is `a while`; give an ISO-8601 duration")
    );
    assert!(refused(json!({"window": "P11Y"})).await.contains("the longest is 10 years"));
    assert_eq!(refused(json!({"first": 0})).await, "`first` is 0; 1 to 100 entries can be asked for");
    assert!(refused(json!({"target": {"kind": "Deployment"}})).await.contains("name"));
    assert!(refused(json!({"target": {"kind": "Deployment", "name": "api", "spec": 1}})).await.contains("spec"));
}

#[tokio::test]
async fn assessments_are_read_by_action_target_and_time_the_latest_first() {
    let app = App::start().await;
    let assessed = |told: Told<'_>, score: f64| {
        let mut audits = told.audits();
        let done = audits[1]["occurredAt"].clone();
        for (name, value) in [
            ("status", json!("assessed")),
            ("actionType", json!("RaiseLimit")),
            ("traditionalScore", json!(score)),
            ("confidence", json!(0.9)),
            ("completedAt", done),
        ] {
            audits[1][name] = value;
        }
        audits
    };
    app.recorded(&assessed(Told { id: "rr-1", days_ago: 40, ..Told::default() }, 0.9)).await;
    app.recorded(&assessed(Told { id: "rr-2", days_ago: 20, ..Told::default() }, 0.4)).await;
    app.recorded(&assessed(Told { id: "rr-3", days_ago: 10, target: "web", ..Told::default() }, 0.7)).await;
    app.projected().await;

    let scores = async |filter: Value| -> Vec<f64> {
        let query = "query($filter: RemediationFilter) {
            effectivenessAssessments(filter: $filter) { nodes { traditionalScore } } }";
        let data = app.data(query, json!({"filter": filter})).await;
        let nodes = data["effectivenessAssessments"]["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node["traditionalScore"].as_f64().unwrap()).collect()
    };
    assert_eq!(scores(json!({"actionType": ["RaiseLimit"]})).await, [0.7, 0.4, 0.9]);
    assert_eq!(scores(json!({"target": {"name": ["api"]}})).await, [0.4, 0.9]);
    assert_eq!(scores(json!({"target": {"name": ["api"]}, "startedAt": {"from": time(ago(30))}})).await, [0.4]);
}

#[tokio::test]
async fn what_means_the_same_is_part_of_a_targets_history_though_nothing_else_is_shared() {
    let app = App::embedding(database().await, Embedders::of(Wordly::new("wordly"))).await;
    let analysis = |n: u128, name: &str, cause: &str| {
        json!({
            "kind": "AI_ANALYSIS", "remediationId": format!("rr-{n}"), "eventId": Uuid::from_u128(n).to_string(),
            "occurredAt": (Utc::now() - TimeDelta::hours(2)).to_rfc3339(), "completionStatus": "investigating",
            "rootCauseSummary": cause, "signal": {"name": format!("Signal{n}"), "fingerprint": format!("print-{n}")},
            "target": {"kind": "Deployment", "namespace": "shop", "name": name},
        })
    };
    app.recorded(&[
        analysis(1, "checkout", "the session cache keeps every finished request and the heap grows"),
        analysis(2, "ledger", "finished requests stay in the session cache, the heap grows until the kernel kills it"),
        analysis(3, "ingress", "certificate renewal was blocked by a missing issuer"),
    ])
    .await;
    app.embedded().await;
    let told = app
        .data(
            "{ targetHistory(target: {kind: \"Deployment\", namespace: \"shop\", name: \"checkout\"}) {
                entries { match remediation { remediationId } } } }",
            json!({}),
        )
        .await;
    let entries = told["targetHistory"]["entries"].as_array().unwrap();
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (entry["match"].as_str().unwrap(), entry["remediation"]["remediationId"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [("TARGET", "rr-1"), ("MEANING", "rr-2")]);
}
