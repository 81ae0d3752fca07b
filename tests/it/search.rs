//! Stories of search: what is found, by what, and what holds while vectors are missing, late, refused or of another model.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use binnacle::{
    demo,
    journal::{self, read},
    projection::{Projection, pinned, rebuild, remediations::Filter},
    search::{
        Hit, Mode, Question, SearchError,
        choice::Choice,
        embedder::{EmbedderSettings, Embedders},
        index, refused,
    },
    worker::Progress,
};
use chrono::Utc;
use serde_json::{Value, json};

use crate::support::{
    app::{App, serve_embedding, until},
    audits::{notification, with, worked_example},
    embedder::{Gives, Wordly},
    history::{app_with_history, write},
    postgres::{database, options},
};

const SEARCH: &str =
    "query($q: String!, $mode: SearchMode, $filter: RemediationFilter, $kind: [AuditKind!], $first: Int) {
    search(query: $q, mode: $mode, filter: $filter, kind: $kind, first: $first) {
        exhausted mode notice model totals { count byAction { actionType count } }
        hits { score vector { score rank } text { score rank } facet field snippet event { eventId kind remediationId }
            remediation { remediationId clusterId environment outcome } }
    }
}";

const SYSTEM: &str = "{ system { search { embedder models { name serving embedded pending failed complete }
    failures { reason attempts nextAttemptAt eventId } } } }";

/// An app whose store holds a history, and whose texts have vectors by words.
async fn wordly_app(remediations: usize) -> (App, Arc<Wordly>) {
    let db = database().await;
    write(&db, &demo::history(remediations, Utc::now())).await;
    let wordly = Wordly::new("wordly");
    let app = App::embedding(db, Embedders::of(wordly.clone())).await;
    app.embedded().await;
    (app, wordly)
}

fn question(text: &str, first: usize) -> Question {
    Question { text: text.to_string(), filter: Filter::default(), kinds: None, mode: Mode::Hybrid, first, exact: false }
}

fn ids(answer: &Value) -> Vec<String> {
    let hits = answer["search"]["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["remediation"]["remediationId"].as_str().unwrap().to_string()).collect()
}

async fn rows(app: &App, statement: &str) -> i64 {
    let mut owner = app.owner().await;
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement.to_string())).fetch_one(&mut owner).await.unwrap()
}

#[tokio::test]
async fn the_worked_example_is_found_by_its_words_its_meaning_and_the_parts_of_its_alert() {
    let wordly = Wordly::new("wordly");
    let app = App::embedding(database().await, Embedders::of(wordly)).await;
    app.recorded(&worked_example()).await;
    app.embedded().await;

    for (asked, mode) in [
        ("checkout pods exceed memory after the rollout", "HYBRID"),
        ("session cache heap", "TEXT"),
        ("the heap grows with the session cache", "VECTOR"),
        ("no spare memory on the node", "HYBRID"),
    ] {
        let found = app.data(SEARCH, json!({"q": asked, "mode": mode})).await;
        assert_eq!(ids(&found), ["rr-7d1f0c9ab3e2-4be09c11"], "{asked}");
        let hit = &found["search"]["hits"][0];
        assert_eq!(found["search"]["exhausted"], true);
        assert_eq!(found["search"]["mode"], mode);
        assert_eq!(hit["vector"].is_null(), mode == "TEXT", "{hit:#}");
        assert_eq!(hit["text"].is_null(), mode == "VECTOR", "{hit:#}");
        assert_eq!(hit["event"]["remediationId"], "rr-7d1f0c9ab3e2-4be09c11");
    }
    let found = app.data(SEARCH, json!({"q": "session cache", "mode": "TEXT"})).await;
    assert!(found["search"]["hits"][0]["snippet"].as_str().unwrap().contains("[[session]] [[cache]]"), "{found:#}");
}

#[tokio::test]
async fn an_alert_is_found_by_the_parts_of_its_name() {
    let app = App::start().await;
    let alert =
        with(notification("rr-oom", uuid::Uuid::from_u128(1), "nt"), "signal", json!({"name": "KubePodOOMKilled"}));
    app.recorded(&[with(alert, "subject", json!("KubePodOOMKilled fired"))]).await;
    app.projected().await;
    for asked in ["oom killed", "KubePodOOMKilled", "pod killed"] {
        let found = app.data(SEARCH, json!({"q": asked, "mode": "TEXT"})).await;
        assert_eq!(ids(&found), ["rr-oom"], "{asked}");
    }
}

#[tokio::test]
async fn without_a_model_everything_else_works_and_the_answer_says_so() {
    let app = app_with_history(12).await;

    let found = app.data(SEARCH, json!({"q": "memory limit of the pods"})).await;
    assert_eq!(found["search"]["mode"], "TEXT");
    assert!(!ids(&found).is_empty());
    assert!(found["search"]["notice"].as_str().unwrap().starts_with("searched by words only: "), "{found:#}");

    let refused = app.ask(SEARCH, json!({"q": "memory", "mode": "VECTOR"})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{refused:#}");
    let system = app.data(SYSTEM, json!({})).await;
    assert_eq!(system["system"]["search"]["models"], json!([]));
    assert!(!system["system"]["search"]["embedder"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_in_words() {
    let app = App::start().await;
    for (asked, said) in [("  ", "the query is empty"), (&"x".repeat(10_000), "the query has 10000 characters")] {
        let answer = app.ask(SEARCH, json!({"q": asked})).await;
        assert!(answer["errors"][0]["message"].as_str().unwrap().starts_with(said), "{answer:#}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT");
    }
    for first in [0, -1, 101] {
        let answer = app.ask(SEARCH, json!({"q": "oom", "first": first})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT", "{answer:#}");
    }
    // Characters that mean something to full-text search are nothing but characters.
    for asked in ["it's 'quoted' & | ! <-> \\ (", "💥", "a:*", "the of and", "%_%"] {
        let answer = app.data(SEARCH, json!({"q": asked})).await;
        assert_eq!(ids(&answer), Vec::<String>::new(), "{asked}");
        assert_eq!(answer["search"]["exhausted"], true);
    }
}

#[tokio::test]
async fn a_filter_is_exact_and_exhausted_says_when_fewer_exist() {
    let (app, _) = wordly_app(80).await;
    let search = &app.server.app.search;
    let environment = |name: &str| Filter { environment: Some(vec![name.to_string()]), ..Filter::default() };
    let filters = [
        Filter::default(),
        environment("production"),
        environment("development"),
        environment("nowhere"),
        Filter { outcome: Some(vec!["REJECTED".to_string()]), ..environment("production") },
        Filter { action_type: Some(vec!["RollbackDeployment".to_string()]), ..Filter::default() },
        Filter { cluster_id: Some(vec![]), ..Filter::default() },
    ];
    for filter in filters {
        let matching: BTreeSet<String> = {
            let firsts = pinned::select(&search.db, &filter, 1_000, None).await.unwrap();
            let summaries = pinned::summaries(&search.db, &firsts, None).await.unwrap();
            summaries.into_iter().map(|(_, summary)| summary.stream.remediation_id).collect()
        };
        for (mode, first) in [(Mode::Hybrid, 5), (Mode::Vector, 100), (Mode::Hybrid, 100), (Mode::Text, 100)] {
            let answer = search
                .ask(&Question { filter: filter.clone(), mode, ..question("pods restart after a rollout", first) })
                .await;
            let answer = answer.unwrap();
            let found: BTreeSet<String> =
                answer.hits.iter().map(|hit| hit.summary.stream.remediation_id.clone()).collect();
            assert_eq!(found.len(), answer.hits.len(), "each remediation is one hit");
            assert!(found.is_subset(&matching), "{filter:?}");
            if mode != Mode::Text {
                // Everything that has a document has a vector, so everything that matches is a hit.
                assert_eq!(found.len(), matching.len().min(first), "{filter:?} {mode:?}");
                assert_eq!(answer.exhausted, matching.len() <= first, "{filter:?} {mode:?} {first}");
            }
        }
    }
}

#[tokio::test]
async fn only_what_audits_of_a_kind_say_is_found_when_a_kind_is_asked_for() {
    let (app, _) = wordly_app(30).await;
    for kind in ["AI_ANALYSIS", "NOTIFICATION", "EFFECTIVENESS"] {
        let found = app.data(SEARCH, json!({"q": "memory of the pods after the release", "kind": [kind]})).await;
        let hits = found["search"]["hits"].as_array().unwrap();
        assert!(!hits.is_empty(), "{kind}");
        assert!(hits.iter().all(|hit| hit["event"]["kind"] == kind), "{kind} {hits:#?}");
    }
}

#[tokio::test]
async fn a_question_without_words_to_look_for_is_answered_by_meaning_alone() {
    let (app, _) = wordly_app(5).await;
    for asked in ["the and of", "a", "it's", "---", "💥"] {
        let found = app.data(SEARCH, json!({"q": asked})).await;
        assert_eq!(ids(&found).len(), 5, "{asked}");
        let similar =
            app.data("query($t: String!) { similarRemediations(text: $t) { totals { count } } }", json!({"t": asked}));
        assert!(similar.await["similarRemediations"]["totals"]["count"].as_i64().unwrap() > 0, "{asked}");
    }
}

#[tokio::test]
async fn however_many_tell_the_same_text_all_of_them_are_found() {
    let wordly = Wordly::new("wordly");
    let app = App::embedding(database().await, Embedders::of(wordly)).await;
    let failed = |n: u128| {
        json!({
            "kind": "WORKFLOW_EXECUTION", "remediationId": format!("rr-{n}"), "clusterId": format!("c{}", n % 2),
            "eventId": uuid::Uuid::from_u128(n).to_string(), "occurredAt": "2026-05-04T10:00:00Z", "status": "running",
            "failureMessage": "the pipeline ran out of time", "environment": if n.is_multiple_of(2) { "production" } else { "staging" },
        })
    };
    app.recorded(&(1..=70).map(failed).collect::<Vec<_>>()).await;
    app.embedded().await;
    for (filter, count) in [(json!({}), 70), (json!({"environment": ["production"]}), 35)] {
        for mode in ["VECTOR", "HYBRID", "TEXT"] {
            let asked = json!({
                "q": "ran out of time", "mode": mode, "kind": ["WORKFLOW_EXECUTION"], "filter": filter, "first": 100,
            });
            let found = app.data(SEARCH, asked).await;
            assert_eq!(ids(&found).len(), count, "{mode} {filter}");
            assert_eq!(found["search"]["exhausted"], true, "{mode} {filter}");
        }
    }
}

#[tokio::test]
async fn words_count_the_same_whether_they_are_counted_or_known_from_the_databases_statistics() {
    let (app, _) = wordly_app(60).await;
    let search = &app.server.app.search;
    let asked =
        ["pods are killed for memory after the release", "certificate of the ingress", "rollback refused by a person"];
    let scores = async || {
        let mut all = Vec::new();
        for text in asked {
            let answer = search.ask(&Question { mode: Mode::Text, ..question(text, 100) }).await.unwrap();
            let score = |hit: &Hit| (hit.document.first_position, hit.words.unwrap().score);
            all.push(answer.hits.iter().map(score).collect::<BTreeMap<i64, f64>>());
        }
        all
    };
    let counted = scores().await;
    sqlx::query("ANALYZE search_documents").execute(&mut app.owner().await).await.unwrap();
    let seen: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_stats WHERE tablename = 'search_documents' AND attname = 'words'")
            .fetch_one(&search.db)
            .await
            .unwrap();
    assert_eq!(seen, 1, "the service may see the statistics");
    for (known, counted) in scores().await.iter().zip(&counted) {
        assert!(!counted.is_empty());
        assert_eq!(known.keys().collect::<Vec<_>>(), counted.keys().collect::<Vec<_>>());
        for (first, score) in known {
            assert!((score - counted[first]).abs() < 1e-3, "{first}: {score} and {}", counted[first]);
        }
    }
}

#[tokio::test]
async fn the_same_text_is_embedded_once_however_many_remediations_tell_it() {
    let wordly = Wordly::new("wordly");
    let app = App::embedding(database().await, Embedders::of(wordly.clone())).await;
    let analysis = |n: u128| {
        json!({
            "kind": "AI_ANALYSIS", "remediationId": format!("rr-{n}"), "eventId": uuid::Uuid::from_u128(n).to_string(),
            "occurredAt": "2026-05-04T10:00:00Z", "completionStatus": "investigating",
            "rootCauseSummary": "the session cache is never emptied",
        })
    };
    app.recorded(&(1..=20).map(analysis).collect::<Vec<_>>()).await;
    app.embedded().await;
    let told =
        wordly.seen.lock().unwrap().iter().filter(|text| text.as_str() == "the session cache is never emptied").count();
    assert_eq!(told, 1);
    assert_eq!(wordly.texts.load(Ordering::Relaxed), wordly.seen.lock().unwrap().len(), "no text twice");
    let found = app.data(SEARCH, json!({"q": "session cache", "first": 100})).await;
    assert_eq!(ids(&found).len(), 20);
}

#[tokio::test]
async fn a_text_that_is_refused_fails_alone_and_is_tried_again_when_asked() {
    let db = database().await;
    let wordly = Wordly::new("wordly");
    *wordly.refused.lock().unwrap() = Some("Checkout pods exceed".to_string());
    let app = App::embedding(db, Embedders::of(wordly.clone())).await;
    app.recorded(&worked_example()).await;
    app.embedded().await;

    let system = app.data(SYSTEM, json!({})).await;
    let search = &system["system"]["search"];
    assert_ne!(search["models"][0]["failed"], "0", "{search:#}");
    assert_ne!(search["models"][0]["embedded"], "0");
    assert_eq!(search["failures"][0]["reason"], "it says Checkout pods exceed");
    assert!(search["failures"][0]["nextAttemptAt"].is_string());
    let ready = app.data("{ system { search { models { complete } } } }", json!({})).await;
    assert_eq!(ready["system"]["search"]["models"][0]["complete"], true, "what is refused does not wait");

    *wordly.refused.lock().unwrap() = None;
    assert!(refused::retry_failed(app.server.app.journal.reader()).await.unwrap() > 0);
    app.embedded().await;
    let system = app.data(SYSTEM, json!({})).await;
    assert_eq!(system["system"]["search"]["models"][0]["failed"], "0");
    assert_eq!(system["system"]["search"]["failures"], json!([]));
}

#[tokio::test]
async fn nothing_but_vectors_of_the_model_gets_into_the_index() {
    for gives in [Gives::Short, Gives::NotANumber] {
        let wordly = Wordly::new("wordly");
        *wordly.gives.lock().unwrap() = gives;
        let app = App::embedding(database().await, Embedders::of(wordly)).await;
        app.recorded(&worked_example()).await;
        app.projected().await;
        until("all texts to fail", async || {
            let states = index::states(app.server.app.journal.reader()).await.unwrap();
            states.first().is_some_and(|state| state.failed > 0 && state.pending == 0).then_some(())
        })
        .await;
        assert_eq!(rows(&app, "SELECT count(*) FROM search_embeddings WHERE embedding IS NOT NULL").await, 0);
        // A question gets no such vector either: words still find it.
        let found = app.data(SEARCH, json!({"q": "session cache"})).await;
        assert_eq!(ids(&found).len(), 1, "{found:#}");
        assert_eq!(found["search"]["mode"], "TEXT");
    }
}

#[tokio::test]
async fn while_the_embedder_is_away_audits_are_recorded_and_found_by_words_and_later_by_meaning() {
    let wordly = Wordly::new("wordly");
    wordly.away.store(true, Ordering::Relaxed);
    let app = App::embedding(database().await, Embedders::of(wordly.clone())).await;
    app.recorded(&worked_example()).await;
    app.projected().await;
    let found = app.data(SEARCH, json!({"q": "session cache"})).await;
    assert_eq!((found["search"]["mode"].as_str(), ids(&found).len()), (Some("TEXT"), 1));

    wordly.away.store(false, Ordering::Relaxed);
    until("every text to have its vector", async || {
        let states = index::states(app.server.app.journal.reader()).await.unwrap();
        states.first().is_some_and(|state| state.complete()).then_some(())
    })
    .await;
    assert_eq!(app.data(SEARCH, json!({"q": "session cache"})).await["search"]["mode"], "HYBRID");
}

#[tokio::test]
async fn another_model_is_built_beside_and_answers_once_it_is_complete() {
    let (app, _) = wordly_app(20).await;
    let old = rows(&app, "SELECT count(*) FROM search_embeddings").await;
    let App { server, db, .. } = app;
    server.stop().await;

    let other = Wordly::new("other");
    other.away.store(true, Ordering::Relaxed);
    let server = serve_embedding(&db, journal::Settings::default(), Embedders::of(other.clone())).await;
    let reader = server.app.journal.reader().clone();
    until("the other model to be there", async || (index::states(&reader).await.unwrap().len() == 2).then_some(()))
        .await;
    let answer = server.app.search.ask(&question("memory", 5)).await.unwrap();
    assert_eq!(answer.mode, Mode::Text, "a question by one model is never compared with vectors of another");
    let states = index::states(&reader).await.unwrap();
    assert_eq!((states[0].model.name.as_str(), states[0].serving), ("wordly", true));
    assert_eq!((states[1].model.name.as_str(), states[1].serving), ("other", false));

    other.away.store(false, Ordering::Relaxed);
    let mut owner = crate::support::postgres::connect(&db.owner_url).await;
    until("the other model to answer", async || {
        let states = index::states(&reader).await.unwrap();
        (states.len() == 1 && states[0].serving && states[0].model.name == "other").then_some(())
    })
    .await;
    let answer = server.app.search.ask(&question("memory", 5)).await.unwrap();
    assert_eq!((answer.mode, answer.model.as_deref()), (Mode::Hybrid, Some("other")));
    let now: i64 = sqlx::query_scalar("SELECT count(*) FROM search_embeddings").fetch_one(&mut owner).await.unwrap();
    assert_eq!(now, old, "the vectors of the model before are gone");
    server.stop().await;
}

#[tokio::test]
async fn a_model_that_changes_its_dimension_under_its_name_is_refused() {
    let (app, _) = wordly_app(3).await;
    let model = binnacle::search::embedder::Model { name: "wordly".to_string(), dimension: 65 };
    let refused = index::enlist(app.server.app.journal.reader(), &model, &Choice::default()).await;
    assert!(
        refused.unwrap_err().to_string().starts_with("model `wordly` has vectors of 64 numbers here, and now gives 65")
    );
}

#[tokio::test]
async fn rebuilt_documents_are_the_live_ones_and_keep_their_vectors() {
    let (app, wordly) = wordly_app(25).await;
    let embedded = wordly.texts.load(Ordering::Relaxed);
    let outcome =
        rebuild::rebuild(&options(&app.db.owner_url), "binnacle_service", Projection::SearchDocuments, |_, _| ()).await;
    let table = &outcome.unwrap().tables[0];
    assert!(table.rows > 100, "{table:?}");
    assert_eq!(table.differing, 0, "{table:?}");
    app.embedded().await;
    assert_eq!(wordly.texts.load(Ordering::Relaxed), embedded, "nothing was embedded again");
    let answer = app.server.app.search.ask(&question("memory", 5)).await.unwrap();
    assert_eq!(answer.mode, Mode::Hybrid);
}

#[tokio::test]
async fn an_index_finds_what_a_comparison_one_by_one_finds() {
    let (app, _) = wordly_app(120).await;
    let search = &app.server.app.search;
    let asked = [
        "pods are killed for memory after the release",
        "certificate expired on the ingress",
        "no space left on the disk of the broker",
        "dns lookups time out",
        "rollback of the deployment refused by a person",
    ];
    let mut owner = app.owner().await;
    let answers = async |exact: bool| {
        let mut all = Vec::new();
        for text in asked {
            let question = Question { mode: Mode::Vector, exact, ..question(text, 10) };
            let answer = search.ask(&question).await.unwrap();
            all.push(answer.hits.iter().map(|hit| hit.document.first_position).collect::<BTreeSet<_>>());
        }
        all
    };
    let exact = answers(true).await;
    assert_eq!(answers(false).await, exact, "without an index everything is compared");

    sqlx::query("SELECT search_index_model('wordly')").execute(&mut owner).await.unwrap();
    let found = answers(false).await;
    let shared: usize = found.iter().zip(&exact).map(|(found, exact)| found.intersection(exact).count()).sum();
    assert!(shared >= 48, "{shared} of 50");
    assert!(index::states(&search.db).await.unwrap()[0].indexed);
}

#[tokio::test]
async fn what_is_alike_is_found_with_what_came_of_it_and_pinned_it_stays_the_same() {
    let db = database().await;
    let history = demo::history(60, Utc::now());
    write(&db, &history).await;
    let wordly = Wordly::new("wordly");
    let app = App::embedding(db, Embedders::of(wordly)).await;
    app.embedded().await;
    let search = app.server.app.search.clone();
    let firsts =
        pinned::select(&search.db, &Filter { settled: Some(true), ..Filter::default() }, 1, None).await.unwrap();
    let (_, subject) = pinned::summaries(&search.db, &firsts, None).await.unwrap().remove(0);
    let at = read::head(&search.db).await.unwrap().last;

    let similar = async || {
        let subject = search.subject(&subject.stream, Some(at)).await.unwrap().unwrap();
        let found = search.similar(&subject, &Filter::default(), Some(at), 10).await.unwrap();
        let shown =
            found.nearest.iter().map(|it| (it.summary.stream.remediation_id.clone(), it.similarity, it.event_id));
        (shown.collect::<Vec<_>>(), found.outcomes, found.complete)
    };
    let before = similar().await;
    assert!(before.2, "everything is embedded");
    assert!(!before.0.is_empty());
    assert!(before.0.iter().all(|(id, _, _)| *id != subject.stream.remediation_id), "it is not like itself");
    assert!(before.0.windows(2).all(|pair| pair[0].1 >= pair[1].1), "the most alike come first");
    assert_eq!(before.1.by_outcome.iter().map(|(_, count)| count).sum::<usize>(), before.1.ended);

    // More of the same, and more told of the old ones.
    app.recorded(&worked_example()).await;
    let late: Vec<Value> = before
        .0
        .iter()
        .enumerate()
        .map(|(n, (id, _, _))| {
            let late = notification(id, uuid::Uuid::from_u128(900 + n as u128), &format!("late-{n}"));
            with(late, "subject", json!("more about the memory of the pods"))
        })
        .collect();
    app.recorded(&late).await;
    app.embedded().await;
    assert_eq!(similar().await, before);
}

#[tokio::test]
async fn without_vectors_remediations_of_the_same_signal_are_alike() {
    let app = app_with_history(60).await;
    let search = &app.server.app.search;
    let firsts = pinned::select(&search.db, &Filter::default(), 60, None).await.unwrap();
    let summaries = pinned::summaries(&search.db, &firsts, None).await.unwrap();
    let name = |summary: &binnacle::remediation::model::Summary| {
        summary.signal.as_ref().and_then(|signal| signal.get("name").cloned())
    };
    let (_, subject) = summaries.iter().find(|(_, summary)| name(summary).is_some()).unwrap();
    let like = search.subject(&subject.stream, None).await.unwrap().unwrap();
    let found = search.similar(&like, &Filter::default(), None, 50).await.unwrap();
    let same = summaries.iter().filter(|(_, other)| name(other) == name(subject)).count() - 1;
    assert_eq!(found.nearest.len(), same);
    assert_eq!((found.model, found.exhausted), (None, true));
}

#[tokio::test]
async fn the_worker_rests_where_there_is_no_embedder() {
    let app = App::start().await;
    let worker = binnacle::search::worker::Worker {
        db: app.server.app.journal.reader().clone(),
        choice: Choice::default(),
        metrics: app.server.app.metrics.clone(),
        enlisted: Default::default(),
    };
    assert_eq!(worker.step(None).await.unwrap(), Progress::CaughtUp);
    let none = Embedders::start(EmbedderSettings::Off);
    assert!(none.current().is_none());
    let error = app.server.app.search.ask(&Question { mode: Mode::Vector, ..question("oom", 1) }).await.unwrap_err();
    assert!(matches!(error, SearchError::NoVectors { .. }), "{error}");
}
