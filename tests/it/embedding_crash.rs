//! Kills of a server in the middle of embedding: no text is forgotten, and what was acknowledged is there once.

use std::time::{Duration, Instant};

use binnacle::cache;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::support::{
    app::{audit_input, until},
    audits::{notification, with, worked_example},
    postgres::{connect, database},
    process::{Served, on_database, run},
    store::{self, DEADLINE},
    storm::{Notes, Retry, Storm, event_id, wait_for_projections},
};

const WRITERS: u128 = 4;
/// One audit in so many has texts of its own to embed.
const TELLING: u128 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_it_embeds_loses_no_text_and_no_audit_and_doubles_none() {
    if cache::fetched(cache::MODEL).is_none() {
        eprintln!("skipped: there is no model in the cache folder; `make setup` fetches it");
        return;
    }
    let db = database().await;
    let mut owner = connect(&db.owner_url).await;
    let serve = || {
        let mut command = on_database(&db, &["serve", "--embedder", "local"]);
        command.args(["--append-connections-max", "2", "--read-connections-max", "4"]);
        command
    };
    let notes = Notes::on(audit);
    let mut lost = 0;
    for round in 1..=3 {
        let server = Served::start(serve()).await;
        model_ready(&server).await;
        let before = count(&mut owner, EMBEDDED).await;
        let storm = Storm::start(&notes, WRITERS, |_| server.client(), Retry::Never);
        store::until("the storm is under way", || notes.acknowledged() >= round * 300).await;
        while count(&mut owner, EMBEDDED).await == before || count(&mut owner, CLAIMED).await == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.kill();
        storm.stop().await;
        lost += count(&mut owner, CLAIMED).await;
    }
    assert!(lost > 0, "no kill came while texts were being embedded");

    let server = Served::start(serve()).await;
    let mut client = server.client();
    notes.compare(&mut client).await;
    notes.send_all_again(&mut client).await;
    wait_for_projections(&mut client, notes.sent()).await;
    all_embedded(&server, &mut owner).await;

    // The key of the table lets no text have two.
    assert_eq!(count(&mut owner, WITHOUT_VECTOR).await, 0, "a text that is to be embedded was forgotten");
    let told = (1..=notes.sent() as u128).filter(|number| number.is_multiple_of(TELLING)).count();
    assert_eq!(count(&mut owner, REPORTS).await, told as i64, "each report has its vector");
    server.stop().await;

    run(on_database(&db, &["verify"])).await.done();
    let rebuilt = run(on_database(&db, &["rebuild", "--all", "--json"])).await;
    assert_eq!(rebuilt.code, Some(0), "the projections differ from a rebuild: {rebuilt:#?}");
}

const EMBEDDED: &str = "SELECT count(*) FROM search_embeddings WHERE state = 'embedded'";
const CLAIMED: &str = "SELECT count(*) FROM search_embeddings WHERE state = 'pending' AND next_attempt_at > now()";
const WITHOUT_VECTOR: &str = "SELECT count(*) FROM search_documents d
    WHERE kind IN ('AI_ANALYSIS', 'REMEDIATION')
    AND NOT EXISTS (SELECT FROM search_embeddings e WHERE e.content = d.content AND e.state = 'embedded')";
const REPORTS: &str = "SELECT count(*) FROM search_documents JOIN search_embeddings USING (content)
    WHERE field = 'investigationReport' AND state = 'embedded'";

async fn count(owner: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(owner).await.unwrap()
}

/// Waits for as long as texts get their vectors: how many there are, and how long one takes, is the machine's affair.
async fn all_embedded(server: &Served, owner: &mut PgConnection) {
    let (mut embedded, mut moved) = (0, Instant::now());
    loop {
        let data = server.client().data("{ system { search { models { complete failed } } } }", json!({})).await;
        if data["system"]["search"]["models"] == json!([{"complete": true, "failed": "0"}]) {
            return;
        }
        let now = count(owner, EMBEDDED).await;
        if now != embedded {
            (embedded, moved) = (now, Instant::now());
        }
        assert!(moved.elapsed() < DEADLINE, "{embedded} texts have their vectors, and no more get theirs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn model_ready(server: &Served) {
    until("the model to be loaded", async || {
        let data = server.client().data("{ system { search { embedder } } }", json!({})).await;
        data["system"]["search"]["embedder"].as_str().unwrap().ends_with(" in this process").then_some(())
    })
    .await;
}

/// Mostly notifications, and now and then an analysis that changes what its remediation as a whole is said to be.
fn audit(number: u128) -> Value {
    let remediation = format!("rr-{}", number % 20);
    if !number.is_multiple_of(TELLING) {
        return audit_input(&notification(&remediation, event_id(number), &format!("nt-{number}")));
    }
    let analysis = worked_example().into_iter().find(|audit| audit["kind"] == "AI_ANALYSIS").unwrap();
    let analysis = with(analysis, "remediationId", json!(remediation));
    let analysis = with(analysis, "eventId", json!(event_id(number)));
    let told =
        format!("Pod shop-{number} exceeds its memory limit after rollout {number}; its heap grows with the sessions");
    let analysis = with(analysis, "rootCause", json!(format!("session cache {number} has no bound")));
    audit_input(&with(analysis, "investigationReport", json!(told)))
}
