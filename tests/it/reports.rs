//! Stories of reports: what they say of the worked example, and that they stay what they are.

use std::collections::BTreeSet;

use axum::{body::Body, http::Request};
use binnacle::{
    audit::{Position, Watermark},
    demo,
    search::embedder::Embedders,
};
use chrono::Utc;
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, App, request},
    audits::{notification, with, worked_example},
    embedder::Wordly,
    history::write,
    postgres::database,
};

const ID: &str = "rr-7d1f0c9ab3e2-4be09c11";

const REPORT: &str = "query($id: String!, $at: Watermark) { report(remediationId: $id, at: $at) {
    summary { headline businessImpact { priority sla slaBreached } }
    sections { id title statements { text cites } tables { caption columns rows { cells marked cites } } }
    recommendations { rule priority expectedImpact text cites }
    evidence { ref eventId remediationId at text }
    completeness { score } remediation { durationMs }
    provenance { watermark events evidenceDigest altered rulesVersion embeddingModel complete }
    markdown html } }";

/// An app with some history, the worked example behind it, and a vector for every text.
async fn app() -> App {
    let db = database().await;
    write(&db, &demo::history(30, Utc::now())).await;
    let app = App::embedding(db, Embedders::of(Wordly::new("wordly"))).await;
    app.recorded(&worked_example()).await;
    app.embedded().await;
    app
}

async fn report(app: &App, id: &str, at: Option<&str>) -> Value {
    app.data(REPORT, json!({"id": id, "at": at})).await["report"].take()
}

async fn page(app: &App, path: &str) -> Answer {
    request(&app.router, Request::get(path).header("accept", "text/html").body(Body::empty()).unwrap()).await
}

/// Everything that is said, as one text.
fn said(report: &Value) -> String {
    report["markdown"].as_str().unwrap().replace('\\', "")
}

#[tokio::test]
async fn the_report_of_the_worked_example_tells_what_happened_and_cites_every_word_of_it() {
    let app = app().await;
    let report = report(&app, ID, None).await;
    let said = said(&report);
    for fact in [
        "5 m 40 s",
        "2 m 45 s",
        "48.5 %",
        "increase-memory-limit",
        "node has no spare memory",
        "restart-pod",
        "Slack",
        "0.88",
    ] {
        assert!(said.contains(fact), "`{fact}` is missing in\n{said}");
    }
    let ids: Vec<&str> = report["sections"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids[0], "executive-summary");
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len());

    let evidence = report["evidence"].as_array().unwrap();
    let known: BTreeSet<&str> = evidence.iter().map(|item| item["ref"].as_str().unwrap()).collect();
    let mut cited = BTreeSet::new();
    for section in report["sections"].as_array().unwrap() {
        for statement in section["statements"].as_array().unwrap() {
            let cites = statement["cites"].as_array().unwrap();
            assert!(!cites.is_empty(), "{statement:#}");
            cited.extend(cites.iter().map(|cite| cite.as_str().unwrap()));
        }
    }
    assert!(cited.is_subset(&known), "{cited:?} {known:?}");
    let ids: Vec<&Value> = evidence.iter().map(|item| &item["eventId"]).collect();
    let found = app.data("query($ids: [UUID!]!) { eventsById(eventIds: $ids) { eventId } }", json!({"ids": ids})).await;
    assert!(found["eventsById"].as_array().unwrap().iter().all(|event| event["eventId"].is_string()), "{found:#}");
    assert_eq!(report["provenance"]["altered"], json!([]));
    assert_eq!(report["provenance"]["complete"], true);
    assert_eq!(report["provenance"]["embeddingModel"], "wordly");
}

#[tokio::test]
async fn asked_again_with_the_same_watermark_it_is_the_same_after_a_thousand_newer_remediations() {
    let app = app().await;
    let before = report(&app, ID, None).await;
    let at = before["provenance"]["watermark"].as_str().unwrap().to_string();
    let path = format!("/remediations/{ID}/report?cluster=default&at={at}");
    let page_before = page(&app, &path).await;
    assert_eq!(page_before.status, 200);

    // A thousand more like it, each told in full by one audit, and more told of the old ones.
    let analysis = worked_example().into_iter().find(|audit| audit["kind"] == "AI_ANALYSIS").unwrap();
    for batch in 0..2_u128 {
        let newer: Vec<Value> = (0..500_u128)
            .map(|n| {
                let id = uuid::Uuid::from_u128(batch * 500 + n + 1);
                let audit = with(analysis.clone(), "remediationId", json!(format!("rr-newer-{batch}-{n}")));
                with(audit, "eventId", json!(id.to_string()))
            })
            .collect();
        app.recorded(&newer).await;
    }
    app.recorded(&[notification(ID, uuid::Uuid::from_u128(5_001), "nt-late")]).await;
    app.embedded().await;

    assert_eq!(report(&app, ID, Some(&at)).await, before);
    assert_eq!(page(&app, &path).await.text, page_before.text);
    let now = report(&app, ID, None).await;
    assert_ne!(now["provenance"]["evidenceDigest"], before["provenance"]["evidenceDigest"], "without `at` it goes on");
}

#[tokio::test]
async fn the_page_stands_alone_and_a_remediation_leads_to_it() {
    let app = app().await;
    let led = page(&app, &format!("/remediations/{ID}?cluster=default")).await;
    let to = led.headers["location"].to_str().unwrap();
    let page = page(&app, to).await;
    assert_eq!(page.status, 200);
    assert!(page.text.starts_with("<!DOCTYPE html>"), "{}", &page.text[..200]);
    assert!(page.text.contains("<svg"), "the phases are a picture");
    for foreign in ["<script", "<link", "<img", "src=", "@import"] {
        assert!(!page.text.contains(foreign), "it holds {foreign}");
    }
    let loads = page.text.matches("url(").count();
    assert_eq!(loads, page.text.matches("url(#").count(), "what it refers to is in it");
}

#[tokio::test]
async fn a_report_of_nothing_and_a_report_from_elsewhere_are_refused_in_words() {
    let app = App::start().await;
    assert_eq!(report(&app, "rr-unknown", None).await, Value::Null);
    let answer = page(&app, "/remediations/rr-unknown/report").await;
    assert_eq!(answer.problem(), "404 not-found: nothing is recorded of remediation `rr-unknown`");
    let answer = page(&app, "/remediations/rr-unknown/report?at=nonsense").await;
    assert_eq!(answer.status, 400);
    app.recorded(&worked_example()).await;
    let theirs = Watermark::at(uuid::Uuid::from_u128(9), Position(1)).encode();
    let answer = app.ask(REPORT, json!({"id": ID, "at": theirs})).await;
    assert_eq!(answer["errors"][0]["message"], "this watermark was given by another journal");
}

#[tokio::test]
async fn what_was_not_there_yet_is_not_in_a_report_of_that_time() {
    let app = App::start().await;
    let first = app.recorded(&worked_example()[..2]).await.pop().unwrap();
    app.recorded(&worked_example()[2..]).await;
    let then = report(&app, ID, first["watermark"].as_str()).await;
    assert_eq!(then["provenance"]["events"], 2);
    assert!(!said(&then).contains("increase-memory-limit"));
    assert_eq!(report(&app, ID, None).await["provenance"]["events"], 6);
}

#[tokio::test]
async fn a_period_tells_what_came_of_its_remediations() {
    let db = database().await;
    write(&db, &demo::history(120, Utc::now())).await;
    let app = App::on(db).await;
    app.projected().await;
    let now = Utc::now();
    let query = "query($from: DateTime!, $to: DateTime!, $filter: RemediationFilter) {
        periodReport(from: $from, to: $to, filter: $filter) { headline truncated totals { count ended successes successRate }
            before { count } sections { id statements { text cites } } remediations { ref remediationId } markdown html } }";
    let told = app
        .data(query, json!({"from": (now - chrono::TimeDelta::days(91)).to_rfc3339(), "to": now.to_rfc3339()}))
        .await;
    let told = &told["periodReport"];
    assert_eq!(told["totals"]["count"], 120);
    assert_eq!(told["before"]["count"], 0);
    assert!(told["markdown"].as_str().unwrap().contains("120"), "{told:#}");
    let half = json!({"from": (now - chrono::TimeDelta::days(45)).to_rfc3339(), "to": now.to_rfc3339(),
        "filter": {"environment": ["production"]}});
    let half = app.data(query, half).await;
    let (count, before) = (&half["periodReport"]["totals"]["count"], &half["periodReport"]["before"]["count"]);
    assert!(count.as_i64().unwrap() > 0 && before.as_i64().unwrap() > 0);
    assert!(count.as_i64().unwrap() + before.as_i64().unwrap() < 120);
    let wrong = app.ask(query, json!({"from": now.to_rfc3339(), "to": now.to_rfc3339()})).await;
    assert_eq!(wrong["errors"][0]["extensions"]["code"], "BAD_INPUT");
}
