//! Reading remediations back: the worked example in any order, as of a time, as known at a time, and in lists.

use serde_json::{Value, json};

use crate::support::{
    app::App,
    audits::{notification, with, worked_example},
};

const ID: &str = "rr-7d1f0c9ab3e2-4be09c11";

const REMEDIATION: &str = "query($id: String!, $asOf: DateTime, $knownAt: DateTime, $at: Watermark) {
    remediation(remediationId: $id, asOf: $asOf, knownAt: $knownAt, at: $at) { ...all }
} ";

/// Everything that a list shows of a remediation, and what lies beneath.
const ALL: &str = "fragment all on Remediation {
    id remediationId clusterId url phase outcome effective effectivenessScore environment severity actionTypes workflowNames
    signal { name fingerprint source summary description labels } target { kind namespace name }
    rootCause { summary confidence event { eventId } }
    startedAt completedAt settledAt durationMs unaccountedMs
    phases { name startedAt endedAt durationMs share intervals { startedAt endedAt waiting } }
    bottleneck { name durationMs share }
    approvals { requestedAt requiredBy decidedAt decision decidedBy via reason waitMs event { eventId } }
    completeness { score missing { service what } late { byMs event { eventId } } contradictions { what events { eventId } } }
    timeline(first: 50) { totalCount pageInfo { hasNextPage } nodes { id at until offsetMs durationMs service phase title
        detail recordedLateByMs event { eventId }
        decision { question chosen by { type id } rationale confidence alternatives { option confidence rejectedBecause } } } }
    events(first: 100) { nodes { eventId version } }
    orchestration { id overallPhase startTime serviceCrdStatuses { aiAnalysis { phase success } } lastEvent { eventId } }
    signalProcessing { id status processingPhases { phase durationMs enrichmentResults { contextQuality } } }
    aiAnalyses { id completionStatus confidenceScore recommendations { action rationale } approvalStatus }
    workflowExecutions { id status executionOutcome stepExecutions { stepNumber action status } }
    notifications { id status channel recipients events { nodes { eventId } } }
    effectiveness { id status traditionalScore }
    watermark
}";

fn remediation() -> String {
    format!("{REMEDIATION}{ALL}")
}

#[tokio::test]
async fn the_worked_example_reads_the_same_in_whichever_order_it_was_told() {
    let orders = [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 5, 0, 4, 1, 3], [3, 0, 5, 2, 4, 1]];
    for order in orders {
        let app = App::start().await;
        let audits = worked_example();
        for place in order {
            app.recorded(&audits[place..=place]).await;
        }

        let told = app.data(&remediation(), json!({"id": ID})).await;
        let told = &told["remediation"];

        assert_eq!(told["durationMs"], 340_000.0);
        assert_eq!(told["bottleneck"], json!({"name": "APPROVAL_WAIT", "durationMs": 165_000.0, "share": 0.485}));
        assert_eq!(told["phase"], "COMPLETED");
        assert_eq!(told["url"], format!("http://127.0.0.1:8080/remediations/{ID}?cluster=default"));
        assert_eq!(told["outcome"], "REMEDIATED");
        assert_eq!(told["effective"], true);
        assert_eq!(told["completeness"]["missing"], json!([]));
        let nodes = told["timeline"]["nodes"].as_array().unwrap();
        let eleven = [
            ("10:00:00Z", "Signal received"),
            ("10:00:05Z", "Remediation request created"),
            ("10:00:10Z", "Investigated"),
            ("10:01:40Z", "Recommended restart-pod"),
            ("10:02:30Z", "Approval requested"),
            ("10:05:15Z", "Approved"),
            ("10:05:20Z", "started"),
            ("10:05:20Z", "Step 1"),
            ("10:05:25Z", "Step 2"),
            ("10:05:35Z", "succeeded"),
            ("10:05:40Z", "notification delivered"),
        ];
        let mut from = 0;
        for (at, title) in eleven {
            let rest = &nodes[from..];
            let found = rest.iter().position(|node| {
                node["at"] == format!("2026-05-04T{at}") && node["title"].as_str().unwrap().contains(title)
            });
            let titles: Vec<_> = rest.iter().map(|node| format!("{} {}", node["at"], node["title"])).collect();
            from += 1 + found.unwrap_or_else(|| panic!("no `{title}` at {at} in {titles:#?}"));
        }
        let approved = nodes.iter().find(|node| node["title"].as_str().unwrap().contains("Approved")).unwrap();
        assert_eq!(approved["decision"]["chosen"].as_str().unwrap().to_lowercase(), "approved");
    }
}

#[tokio::test]
async fn as_of_shows_what_was_going_on_and_known_at_what_was_known() {
    let app = App::start().await;
    let audits = worked_example();
    let (analysis, others): (Vec<Value>, Vec<Value>) = audits.into_iter().partition(|it| it["kind"] == "AI_ANALYSIS");
    let last = app.recorded(&others).await.pop().unwrap();
    let before = last["event"]["recordedAt"].clone();
    app.recorded(&analysis).await;

    let ask = async |asked: Value| {
        let mut variables = json!({"id": ID});
        variables.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        app.data(&remediation(), variables).await["remediation"].take()
    };
    let waiting = ask(json!({"asOf": "2026-05-04T10:03:00Z"})).await;
    assert_eq!(waiting["phase"], "APPROVAL_WAIT");
    assert_eq!(waiting["completedAt"], Value::Null);
    assert_eq!(waiting["approvals"][0]["decidedAt"], Value::Null);
    assert_eq!(waiting["aiAnalyses"][0]["approvalStatus"], Value::Null);
    assert_eq!(waiting["aiAnalyses"][0]["confidenceScore"], 0.75);
    let unaware = ask(json!({"asOf": "2026-05-04T10:03:00Z", "knownAt": before})).await;
    assert_ne!(unaware["phase"], "APPROVAL_WAIT");
    assert_eq!(unaware["aiAnalyses"], json!([]));
    let pinned = ask(json!({"at": last["watermark"]})).await;
    assert_eq!(pinned["aiAnalyses"], json!([]));
    assert_eq!(pinned["watermark"], last["watermark"]);
    assert_eq!(ask(json!({"asOf": "2026-05-04T09:59:59Z"})).await, Value::Null);
}

#[tokio::test]
async fn a_list_says_the_same_as_a_single_query() {
    let app = App::start().await;
    app.recorded(&worked_example()).await;
    let last = app.recorded(&[notification("rr-other", uuid::Uuid::from_u128(9), "nt-9")]).await.remove(0);

    let list = app
        .data(
            &format!("query($w: Watermark) {{ remediations(first: 5, atLeast: $w) {{ totalCount nodes {{ ...all }} }} }} {ALL}"),
            json!({"w": last["watermark"]}),
        )
        .await;

    assert_eq!(list["remediations"]["totalCount"], 2);
    for listed in list["remediations"]["nodes"].as_array().unwrap() {
        let single = app.data(&remediation(), json!({"id": listed["remediationId"]})).await;
        assert_eq!(single["remediation"], *listed);
    }
}

#[tokio::test]
async fn lists_page_both_ways_without_skipping_or_repeating() {
    let app = App::start().await;
    let audits: Vec<Value> = (0..25)
        .map(|n| {
            let audit = notification(&format!("rr-{n:02}"), uuid::Uuid::from_u128(n), "nt");
            with(audit, "occurredAt", json!(format!("2026-05-04T10:{:02}:00Z", n / 2)))
        })
        .collect();
    app.recorded(&audits).await;
    app.projected().await;
    let query = "query($first: Int, $after: String, $last: Int, $before: String) {
        remediations(first: $first, after: $after, last: $last, before: $before, orderBy: {field: STARTED_AT, direction: ASC}) {
            edges { cursor node { remediationId } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }
    }";
    let names = |page: &Value| -> Vec<String> {
        let edges = page["remediations"]["edges"].as_array().unwrap().iter();
        edges.map(|edge| edge["node"]["remediationId"].as_str().unwrap().to_string()).collect()
    };
    let expected: Vec<String> = (0..25).map(|n| format!("rr-{n:02}")).collect();

    let (mut forwards, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = app.data(query, json!({"first": 4, "after": after})).await;
        forwards.extend(names(&page));
        let info = &page["remediations"]["pageInfo"];
        if info["hasNextPage"] == false {
            break;
        }
        after = info["endCursor"].clone();
    }
    let (mut backwards, mut before) = (Vec::new(), Value::Null);
    loop {
        let page = app.data(query, json!({"last": 7, "before": before})).await;
        backwards = [names(&page), backwards].concat();
        let info = &page["remediations"]["pageInfo"];
        if info["hasPreviousPage"] == false {
            break;
        }
        before = info["startCursor"].clone();
    }

    assert_eq!(forwards, expected);
    assert_eq!(backwards, expected);
    for (variables, words) in [
        (json!({"first": 0}), "1 to 100"),
        (json!({"first": 101}), "1 to 100"),
        (json!({"first": 1, "last": 1}), "not for both"),
        (json!({"first": 1, "after": "nonsense"}), "no cursor"),
    ] {
        let answer = app.ask(query, variables).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT");
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains(words), "{answer:#}");
    }
}

#[tokio::test]
async fn filters_mean_what_they_say() {
    let app = App::start().await;
    app.recorded(&worked_example()).await;
    let other = with(notification("rr-other", uuid::Uuid::from_u128(9), "nt-9"), "environment", json!("staging"));
    app.recorded(&[other]).await;
    app.projected().await;
    let both = [ID, "rr-other"];
    let cases: [(Value, &[&str]); 16] = [
        (json!({}), &both),
        (json!({"environment": ["production"]}), &[ID]),
        (json!({"environment": ["production", "staging"]}), &both),
        (json!({"environment": []}), &[]),
        (json!({"environment": null}), &both),
        (json!({"startedAt": {"from": "2026-05-04T10:00:00Z", "to": "2026-05-04T10:00:01Z"}}), &[ID]),
        (json!({"startedAt": {"to": "2026-05-04T10:00:00Z"}}), &[]),
        (json!({"outcome": ["REMEDIATED"], "phase": ["COMPLETED"], "effective": true}), &[ID]),
        (json!({"bottleneck": ["APPROVAL_WAIT"], "durationMs": {"min": 340_000, "max": 340_000}}), &[ID]),
        (json!({"approval": {"decision": ["APPROVED"], "waitMs": {"min": 165_000}}}), &[ID]),
        (json!({"approval": {"decision": ["REJECTED"]}}), &[]),
        (json!({"workflowName": ["restart-and-scale"], "severity": ["CRITICAL"]}), &[ID]),
        (json!({"remediationIdPrefix": "rr-o"}), &["rr-other"]),
        (json!({"remediationIdPrefix": "rr_"}), &[]),
        (json!({"settled": true, "effectiveness": {"min": 0.88}}), &[ID]),
        (json!({"completenessBelow": 1.0}), &["rr-other"]),
    ];
    for (filter, expected) in cases {
        let query = "query($filter: RemediationFilter) { remediations(filter: $filter) { totalCount nodes { remediationId } } }";
        let list = app.data(query, json!({"filter": filter})).await;
        let mut found: Vec<&str> = list["remediations"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["remediationId"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
        assert_eq!(list["remediations"]["totalCount"], expected.len());
    }
}

#[tokio::test]
async fn events_go_by_position_and_filter_by_what_they_tell() {
    let app = App::start().await;
    app.recorded(&worked_example()).await;
    app.projected().await;
    let query = "query($filter: EventFilter, $orderBy: EventOrder) {
        events(filter: $filter, orderBy: $orderBy) { totalCount nodes { position kind occurredAt } } }";

    let all = app.data(query, json!({})).await;
    let positions: Vec<&str> =
        all["events"]["nodes"].as_array().unwrap().iter().map(|node| node["position"].as_str().unwrap()).collect();
    assert_eq!(positions, ["1", "2", "3", "4", "5", "6"]);
    let latest = app.data(query, json!({"orderBy": {"field": "OCCURRED_AT", "direction": "DESC"}})).await;
    assert_eq!(latest["events"]["nodes"][0]["kind"], "EFFECTIVENESS");
    let analyses = app.data(query, json!({"filter": {"kind": ["AI_ANALYSIS"], "environment": ["production"]}})).await;
    assert_eq!(analyses["events"]["totalCount"], 1);
    assert_eq!(analyses["events"]["nodes"][0]["kind"], "AI_ANALYSIS");
}

#[tokio::test]
async fn the_six_views_list_what_their_services_told() {
    let app = App::start().await;
    app.recorded(&worked_example()).await;
    app.projected().await;
    let told = app
        .data(
            "{ orchestrations { nodes { overallPhase totalDurationMs remediation { outcome } } }
               signalProcessings { nodes { status businessPriority processingPhases { routingResults { routingKey } } } }
               aiAnalyses { nodes { crdName recommendations { action effectivenessProbability } hallucinationDetected } }
               workflowExecutions { nodes { workflowName stepExecutions { action durationMs status } } }
               notifications(filter: {environment: [\"production\"]}) { nodes { id channel notificationType lastEvent { kind } } }
               effectivenessAssessments { totalCount nodes { assessmentId trendDirection environmentalImpact } } }",
            json!({}),
        )
        .await;

    insta::assert_json_snapshot!(told, {".notifications.nodes[].id" => "[id]"});
    let id = &told["notifications"]["nodes"][0]["id"];
    let node = app
        .data("query($id: ID!) { node(id: $id) { __typename id ... on Notification { channel } } }", json!({"id": id}));
    assert_eq!(node.await["node"], json!({"__typename": "Notification", "id": id, "channel": "SLACK"}));
}

#[tokio::test]
async fn every_global_id_leads_back_to_its_object() {
    let app = App::start().await;
    app.recorded(&worked_example()).await;
    app.projected().await;
    let told = app
        .data(
            "query($id: String!) { remediation(remediationId: $id) { id orchestration { id } signalProcessing { id }
                aiAnalyses { id } workflowExecutions { id } notifications { id } effectiveness { id }
                timeline(first: 5) { nodes { id } } events { nodes { id } } } }",
            json!({"id": ID}),
        )
        .await;
    let mut ids = Vec::new();
    collect_ids(&told, &mut ids);
    assert!(ids.len() > 15);
    for id in ids {
        let node = app.data("query($id: ID!) { node(id: $id) { __typename id } }", json!({"id": id})).await;
        assert_eq!(node["node"]["id"], id);
    }
    let nothing = app.data("{ node(id: \"bm90aGluZw\") { id } }", json!({})).await;
    assert_eq!(nothing["node"], Value::Null);
}

fn collect_ids(value: &Value, ids: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            ids.extend(map.get("id").and_then(Value::as_str).map(str::to_string));
            map.values().for_each(|value| collect_ids(value, ids));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_ids(item, ids)),
        _ => {}
    }
}

#[tokio::test]
async fn a_remediation_of_several_clusters_has_to_be_asked_for_by_cluster() {
    let app = App::start().await;
    let in_cluster =
        |cluster: &str, n| with(notification("rr", uuid::Uuid::from_u128(n), "nt"), "clusterId", json!(cluster));
    app.recorded(&[in_cluster("eu", 1), in_cluster("us", 2)]).await;

    let answer = app.ask("{ remediation(remediationId: \"rr\") { id } }", json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT");
    assert!(answer["errors"][0]["message"].as_str().unwrap().ends_with("eu, us"), "{answer:#}");
    let one = app.data("{ remediation(remediationId: \"rr\", clusterId: \"us\") { clusterId } }", json!({})).await;
    assert_eq!(one["remediation"]["clusterId"], "us");
    let none = app.data("{ remediation(remediationId: \"unknown\") { id } }", json!({})).await;
    assert_eq!(none["remediation"], Value::Null);
}

#[tokio::test]
async fn a_watermark_of_another_journal_or_beyond_the_end_is_refused_at_once() {
    let app = App::start().await;
    let query = "query($w: Watermark) { remediations(atLeast: $w) { nodes { id } } }";
    let own = app.data("{ system { watermark } }", json!({})).await["system"]["watermark"].clone();
    assert!(app.ask(query, json!({"w": own})).await.get("errors").is_none());
    let journal_id = app.server.app.journal.id();
    let beyond = binnacle::graphql::Watermark::at(journal_id, binnacle::audit::Position(99));
    let foreign = binnacle::graphql::Watermark::at(uuid::Uuid::from_u128(1), binnacle::audit::Position(0));
    for (watermark, words) in
        [(beyond.encode(), "beyond the end"), (foreign.encode(), "another journal"), ("7".to_string(), "Watermark")]
    {
        let answer = app.ask(query, json!({"w": watermark})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT", "{answer:#}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains(words), "{answer:#}");
    }
}
