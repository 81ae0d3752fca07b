//! Stories of embedders: an endpoint that gets only what may leave, and a model that comes late.

use std::{
    collections::BTreeSet,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use binnacle::{
    cache, demo,
    search::{
        choice::Choice,
        embedder::{EmbedError, Embedder, EmbedderSettings, Embedders, Model, Purpose, State},
    },
};
use chrono::Utc;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::support::{
    app::{App, until},
    audits::worked_example,
    embedder::Wordly,
    endpoint::{DIMENSION, Endpoint},
    history::write,
    postgres::database,
    process::{binnacle, run},
    store::Folder,
};

const SEARCH: &str = "query($q: String!, $mode: SearchMode) {
    search(query: $q, mode: $mode) { mode model notice hits { remediation { remediationId } } }
}";

/// What may leave in these stories.
fn sendable() -> Choice {
    Choice::parse("AI_ANALYSIS,OTHER.signal").unwrap()
}

/// The texts of documents, of those that may leave or of all.
async fn texts(app: &App, only: Option<&Choice>) -> BTreeSet<String> {
    let rows: Vec<(String, String, String)> = sqlx::query_as("SELECT kind, field, text FROM search_documents")
        .fetch_all(&mut app.owner().await)
        .await
        .unwrap();
    let chosen = rows.into_iter().filter(|(kind, field, _)| only.is_none_or(|choice| choice.allows(kind, field)));
    chosen.map(|(_, _, text)| text).collect()
}

fn hits(found: &Value) -> usize {
    found["search"]["hits"].as_array().unwrap().len()
}

#[tokio::test]
async fn an_endpoint_gets_what_may_leave_and_nothing_else_and_its_vectors_answer() {
    let db = database().await;
    write(&db, &demo::history(12, Utc::now())).await;
    let endpoint = Endpoint::start(&["500 Oops\r\n", "502 Oops\r\n"]);
    let choice = Choice::default().intersection(&sendable());
    let app = App::embedding_only(db, Embedders::of(endpoint.embedder()), choice).await;
    app.embedded().await;

    let sent: BTreeSet<String> = endpoint.texts().into_iter().collect();
    assert!(!sent.is_empty());
    assert_eq!(sent, texts(&app, Some(&sendable())).await);
    assert!(texts(&app, None).await.len() > sent.len(), "there is more that may not leave");

    let found = app.data(SEARCH, json!({"q": "pods are killed for memory", "mode": "VECTOR"})).await;
    assert_eq!(found["search"]["model"], format!("openai:127.0.0.1:words:{DIMENSION}"));
    assert!(hits(&found) > 0, "{found:#}");
    assert_eq!(endpoint.texts().last().unwrap(), "pods are killed for memory", "a question leaves too");
    let asked = endpoint.times().len();
    app.data(SEARCH, json!({"q": "pods are killed for memory", "mode": "HYBRID"})).await;
    assert_eq!(endpoint.times().len(), asked, "the same question is sent once");
}

#[tokio::test]
async fn what_waits_under_a_wider_choice_does_not_leave_under_a_narrower_one() {
    let db = database().await;
    write(&db, &demo::history(6, Utc::now())).await;
    let endpoint = Endpoint::start(&[]);
    let name = format!("openai:127.0.0.1:words:{DIMENSION}");
    let away = Wordly::new(&name); // the same model, as the index knows it
    away.away.store(true, Ordering::Relaxed);
    let app = App::embedding(db, Embedders::of(away)).await;
    app.projected().await;
    until("texts of all kinds to wait", async || {
        let mut owner = app.owner().await;
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM search_embeddings e JOIN search_documents d USING (content) WHERE kind = 'REMEDIATION'",
        )
        .fetch_one(&mut owner)
        .await
        .unwrap();
        (count > 0).then_some(())
    })
    .await;
    let App { server, db, .. } = app;
    server.stop().await;

    let app = App::embedding_only(db, Embedders::of(endpoint.embedder()), sendable()).await;
    app.embedded().await;
    let sent: BTreeSet<String> = endpoint.texts().into_iter().collect();
    assert_eq!(sent, texts(&app, Some(&sendable())).await);
}

#[tokio::test]
async fn an_endpoint_that_asks_for_a_pause_gets_it() {
    let db = database().await;
    write(&db, &demo::history(12, Utc::now())).await;
    let endpoint = Endpoint::start(&["429 Slow down\r\nRetry-After: 2\r\n"]);
    let app = App::embedding_only(db, Embedders::of(endpoint.embedder()), sendable()).await;
    until("the endpoint to be asked", async || endpoint.times().first().copied()).await;
    let meanwhile = app.data(SEARCH, json!({"q": "memory"})).await;
    // A machine that is busy enough may let the pause go by first.
    if endpoint.times().len() == 1 {
        assert_eq!(meanwhile["search"]["mode"], "TEXT", "a question does not disturb it either");
    }
    app.embedded().await;
    // The question may have come before the endpoint's answer to the first batch.
    let times = endpoint.batches();
    assert!(times.len() > 1, "there was more than one batch");
    assert!(times[1] - times[0] >= Duration::from_millis(1_900), "{:?}", times[1] - times[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_comes_late_embeds_what_was_recorded_before() {
    let Some(model) = real_model() else {
        eprintln!("skipped: there is no model in the cache folder; `make setup` fetches it");
        return;
    };
    let folder = Folder::new();
    let place = folder.0.join("model");
    let embedders = Embedders::start(EmbedderSettings::Local { folder: Some(place.clone()), threads: 1 });
    let app = App::embedding(database().await, embedders.clone()).await;
    embedders.loaded(Duration::from_secs(30)).await;
    assert!(matches!(embedders.state(), State::Missing { .. }), "{}", embedders.state());

    app.recorded(&worked_example()).await;
    app.projected().await;
    let found = app.data(SEARCH, json!({"q": "session cache"})).await;
    assert_eq!((found["search"]["mode"].as_str(), hits(&found)), (Some("TEXT"), 1));
    assert!(found["search"]["notice"].as_str().unwrap().contains("--model-dir"), "{found:#}");

    std::fs::create_dir_all(&folder.0).unwrap();
    symlink(model, &place).unwrap();
    app.embedded().await;
    let found = app.data(SEARCH, json!({"q": "the heap grows until the kernel kills it", "mode": "VECTOR"})).await;
    assert_eq!(hits(&found), 1, "{found:#}");
    assert!(embedders.state().to_string().ends_with(" in this process"), "{}", embedders.state());
}

/// The model that `make setup` fetched.
fn real_model() -> Option<PathBuf> {
    cache::fetched(cache::MODEL)
}

/// An embedder that takes texts and never answers.
struct Silent {
    model: Model,
    asked: AtomicBool,
}

impl Embedder for Silent {
    fn model(&self) -> &Model {
        &self.model
    }

    fn batch_max(&self) -> usize {
        8
    }

    fn text_chars_max(&self) -> usize {
        1_000
    }

    fn embed<'a>(&'a self, _: &'a [String], _: Purpose) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        self.asked.store(true, Ordering::Relaxed);
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn an_embedder_that_never_answers_does_not_keep_a_server_from_stopping() {
    let model = Model { name: "silent".to_string(), dimension: 8 };
    let silent = Arc::new(Silent { model, asked: AtomicBool::new(false) });
    let app = App::embedding(database().await, Embedders::of(silent.clone())).await;
    app.recorded(&worked_example()).await;
    until("texts to be embedded", async || silent.asked.load(Ordering::Relaxed).then_some(())).await;
    let stopped = tokio::time::timeout(Duration::from_secs(15), app.server.stop()).await;
    assert!(stopped.is_ok(), "it waits for an answer");
}

#[tokio::test]
async fn an_endpoint_needs_to_be_told_what_may_leave() {
    let asked =
        ["serve", "--embedder", "openai", "--embedding-url", "https://api.example.org/v1", "--embedding-model", "m"];
    let mut serve = binnacle(asked.into_iter().chain(["--embedding-dimension", "8"]));
    serve.env("BINNACLE_EMBEDDING_KEY", "sk-hunter2");
    let ended = run(serve).await;
    assert_eq!(ended.code, Some(2), "{}", ended.errors);
    assert!(ended.errors.contains("needs `--embedding-send` as well"), "{}", ended.errors);

    let mut config = binnacle(["config", "--json", "--embedder", "openai"]);
    config.env("BINNACLE_EMBEDDING_KEY", "sk-hunter2");
    let ended = run(config).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.text.contains(r#""value": "***""#) && !ended.text.contains("hunter2"), "{}", ended.text);
    assert!(!ended.errors.contains("hunter2"));
}
