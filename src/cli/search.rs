//! `binnacle search` and `binnacle embed`: what was seen before, and which of it has vectors yet.

use std::time::Duration;

use comfy_table::{Cell, Color, Table};
use serde_json::{Value, json};

use super::{
    Exit,
    acts::Acts,
    args::{EmbedArgs, SearchArgs},
    embedding::Embedding,
    exit::Usage,
    look::{self, Look},
    store::Store,
};
use crate::{
    administration::Act,
    config::Settings,
    projection::remediations::Filter,
    remediation::{
        model::{RemediationOutcome, Summary},
        outcomes::ActionOutcomes,
    },
    search::{Answer, Hit, Mode, Question, Search, SearchError, embedder::Embedders, index, refused},
    telemetry::Metrics,
};

/// How long the local model may take to load.
const LOAD_WAIT: Duration = Duration::from_secs(30);

/// How many failures `embed --status` lists.
const FAILURES_SHOWN: i64 = 20;

pub async fn search(settings: &Settings, arguments: &SearchArgs) -> anyhow::Result<Exit> {
    let question = question(arguments)?;
    let embedding = Embedding::of(settings)?;
    let store = Store::open(settings).await?;
    let found = ask(&store, &embedding, &question).await;
    store.close().await;
    let answer = match found? {
        Ok(answer) => answer,
        Err(error @ (SearchError::Empty | SearchError::TooLong { .. })) => return Err(Usage(error.to_string()).into()),
        Err(error) => return Err(error.into()),
    };
    if arguments.json {
        look::print(&format!("{:#}\n", as_json(&answer)))?;
    } else {
        look::print(&as_text(&answer, Look::of_output(settings.color)))?;
    }
    Ok(if answer.hits.is_empty() { Exit::Findings } else { Exit::Done })
}

fn question(arguments: &SearchArgs) -> anyhow::Result<Question> {
    let some = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let unknown =
        |what: &str, word: &str, known: &str| Usage(format!("there is no {what} `{word}`; there are {known}"));
    let mode =
        Mode::parse(&arguments.mode).ok_or_else(|| unknown("mode", &arguments.mode, "hybrid, vector and text"))?;
    let outcomes = arguments.outcome.iter().map(|word| outcome(word)).collect::<anyhow::Result<Vec<String>>>()?;
    let filter = Filter {
        cluster_id: some(&arguments.cluster),
        environment: some(&arguments.environment),
        action_type: some(&arguments.action_type),
        outcome: some(&outcomes),
        started_from: arguments.since,
        ..Filter::default()
    };
    let text = arguments.text.join(" ");
    Ok(Question { text, filter, kinds: None, mode, first: arguments.first, exact: false })
}

/// An outcome as the filter spells it.
fn outcome(word: &str) -> anyhow::Result<String> {
    let name = word.to_uppercase().replace('-', "_");
    let known: Result<RemediationOutcome, _> = serde_json::from_value(Value::from(name.as_str()));
    let unknown =
        || Usage(format!("there is no outcome `{word}`; such are remediated, failed, rejected and no-action-required"));
    Ok(known.map(|_| name).map_err(|_| unknown())?)
}

async fn ask(store: &Store, embedding: &Embedding, question: &Question) -> anyhow::Result<Result<Answer, SearchError>> {
    let embedders = Embedders::start(embedding.embedder.clone());
    if question.mode != Mode::Text {
        embedders.loaded(LOAD_WAIT).await;
    }
    let db = store.reader();
    let search = Search::new(db.clone(), db, embedders, Metrics::new());
    let answer = search.ask(question).await;
    search.db.close().await;
    Ok(answer)
}

fn as_text(answer: &Answer, look: Look) -> String {
    let mut text = String::new();
    if let Some(notice) = &answer.notice {
        text.push_str(&format!("{}\n\n", look::line(notice)));
    }
    if answer.hits.is_empty() {
        text.push_str("Nothing that is recorded speaks of this.\n");
        return text;
    }
    text.push_str(&format!("{}\n", hits(&answer.hits, look)));
    if !answer.outcomes.by_action.is_empty() {
        let (ended, successes) = (answer.outcomes.ended, answer.outcomes.successes);
        text.push_str(&format!(
            "\n{}\n{}\n",
            look.bold(&format!("What worked: {successes} of {ended} that have ended like these")),
            actions(&answer.outcomes.by_action, look)
        ));
    }
    if answer.exhausted {
        text.push_str("\nNothing else matches.\n");
    }
    text
}

fn hits(hits: &[Hit], look: Look) -> Table {
    let mut table = look.table(&["", "REMEDIATION", "WHAT CAME OF IT", "WHERE", "WHAT SPEAKS OF IT"]);
    look::right(&mut table, &[0]);
    for hit in hits {
        let summary = &hit.summary;
        let remediation = format!(
            "{}\n{} in {}\n{}",
            look::line(&summary.stream.remediation_id),
            look::time(summary.started_at).get(..16).unwrap_or_default(),
            look::line(&summary.stream.cluster_id),
            parts(hit)
        );
        let good = crate::remediation::outcomes::success(summary);
        let mut came = Cell::new(came_of(summary));
        if good {
            came = came.fg(Color::Green);
        }
        table.add_row([
            Cell::new(format!("{:.2}", hit.score)),
            Cell::new(remediation),
            came,
            Cell::new(place(summary)),
            Cell::new(marked(&look::line(&hit.snippet), look)),
        ]);
    }
    table
}

/// The parts of a hit's score, as `meaning 0.71 (2nd) · words 9.3 (1st)`.
fn parts(hit: &Hit) -> String {
    let part = |name: &str, part: Option<crate::search::Part>| {
        part.map(|part| format!("{name} {:.2} (no. {})", part.score, part.rank))
    };
    [part("meaning", hit.meaning), part("words", hit.words)].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn came_of(summary: &Summary) -> String {
    let outcome = summary.outcome.map_or("still running", |outcome| outcome.in_words());
    let verdict = match summary.effective {
        Some(true) => ", it helped",
        Some(false) => ", it did not help",
        None => "",
    };
    let action = summary.action_types.last().map(|action| format!("\n{}", look::line(action))).unwrap_or_default();
    format!("{outcome}{verdict}{action}\n{}", look::duration(summary.duration_ms))
}

fn place(summary: &Summary) -> String {
    let signal = summary.signal.as_ref().and_then(|signal| signal.get("name")?.as_str()).map(look::line);
    let target = summary.target.as_ref().map(|target| look::line(&format!("{} {}", target.kind, target.name)));
    let environment = summary.environment.as_deref().map(look::line);
    [signal, target, environment].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// The passage with what was asked for made bold, or left in brackets where nothing can be bold.
fn marked(snippet: &str, look: Look) -> String {
    if look.color { snippet.replace("[[", "\u{1b}[1m").replace("]]", "\u{1b}[22m") } else { snippet.to_string() }
}

fn actions(actions: &[ActionOutcomes], look: Look) -> Table {
    let mut table =
        look.table(&["ACTION", "TIMES", "WORKED", "AT LEAST", "TOOK (MEDIAN)", "EFFECTIVENESS", "LAST ENDED"]);
    look::right(&mut table, &[1, 2, 3, 4, 5]);
    for action in actions {
        let percent = |share: Option<f64>| share.map(look::percent).unwrap_or_default();
        table.add_row([
            look::line(&action.action_type),
            action.count.to_string(),
            percent(action.success_rate),
            percent(action.success_rate_low),
            action.median_duration_ms.map(look::duration).unwrap_or_default(),
            action.mean_effectiveness.map(|score| format!("{score:.2}")).unwrap_or_default(),
            action.last_ended_at.map(|at| at.format("%Y-%m-%d").to_string()).unwrap_or_default(),
        ]);
    }
    table
}

fn as_json(answer: &Answer) -> Value {
    let part = |part: Option<crate::search::Part>| part.map(|part| json!({"score": part.score, "rank": part.rank}));
    let hits = answer.hits.iter().map(|hit| {
        json!({
            "score": hit.score, "vector": part(hit.meaning), "text": part(hit.words), "snippet": hit.snippet,
            "facet": hit.document.facet, "kind": hit.document.kind, "field": hit.document.field,
            "eventId": hit.document.event_id.to_string(),
            "remediationId": hit.summary.stream.remediation_id, "clusterId": hit.summary.stream.cluster_id,
            "outcome": hit.summary.outcome, "effective": hit.summary.effective, "actionTypes": hit.summary.action_types,
            "startedAt": hit.summary.started_at, "durationMs": hit.summary.duration_ms,
        })
    });
    let outcomes = &answer.outcomes;
    let actions = outcomes.by_action.iter().map(|action| {
        json!({
            "actionType": action.action_type, "count": action.count, "ended": action.ended, "successes": action.successes,
            "successRate": action.success_rate, "successRateLow": action.success_rate_low,
            "medianDurationMs": action.median_duration_ms, "meanEffectiveness": action.mean_effectiveness,
            "lastEndedAt": action.last_ended_at,
        })
    });
    json!({
        "hits": Value::from_iter(hits), "exhausted": answer.exhausted, "mode": answer.mode.word(), "notice": answer.notice,
        "model": answer.model,
        "totals": {
            "count": outcomes.count, "ended": outcomes.ended, "successes": outcomes.successes,
            "successRate": outcomes.success_rate, "successRateLow": outcomes.success_rate_low,
            "medianDurationMs": outcomes.median_duration_ms, "byAction": Value::from_iter(actions),
        },
    })
}

pub async fn embed(settings: &Settings, arguments: &EmbedArgs) -> anyhow::Result<Exit> {
    let store = Store::open(settings).await?;
    let told = look_after(&store, settings, arguments).await;
    store.close().await;
    let (text, exit) = told?;
    look::print(&text)?;
    Ok(exit)
}

async fn look_after(store: &Store, settings: &Settings, arguments: &EmbedArgs) -> anyhow::Result<(String, Exit)> {
    let db = store.reader();
    let mut text = String::new();
    let mut retried = None;
    if arguments.retry_failed {
        let acts = Acts::open(store).await?;
        let tried = retry_failed(&acts).await;
        acts.close().await;
        let tried = tried?;
        retried = Some(tried);
        text = format!("{tried} texts that had failed will be tried again by the server.\n");
    }
    let states = index::states(&db).await?;
    let failures = refused::failures(&db, FAILURES_SHOWN).await?;
    let mut shown = Vec::new();
    for state in states {
        let embedded = index::embedded(&db, &state.model).await?;
        shown.push((state, embedded));
    }
    db.close().await;
    let failed = shown.iter().any(|(state, _)| state.failed > 0);
    let exit = if failed && !arguments.retry_failed { Exit::Findings } else { Exit::Done };
    if arguments.json {
        let models = shown.iter().map(|(state, embedded)| {
            json!({
                "model": state.model.name, "dimension": state.model.dimension, "serving": state.serving,
                "indexed": state.indexed, "embedded": embedded, "pending": state.pending, "failed": state.failed,
                "behind": state.behind, "complete": state.complete(),
            })
        });
        let failures = failures.iter().map(|failure| {
            json!({
                "model": failure.model, "reason": failure.reason, "attempts": failure.attempts,
                "nextAttemptAt": failure.next_attempt_at, "eventId": failure.event_id.map(|id| id.to_string()),
            })
        });
        let all =
            json!({"models": Value::from_iter(models), "failures": Value::from_iter(failures), "retried": retried});
        return Ok((format!("{all:#}\n"), exit));
    }
    let look = Look::of_output(settings.color);
    if shown.is_empty() {
        text.push_str("Nothing is embedded: no embedder has been at work on this store. Search is by words.\n");
        return Ok((text, exit));
    }
    let mut table = look.table(&["MODEL", "ROLE", "NUMBERS", "EMBEDDED", "WAITING", "FAILED", "INDEX"]);
    look::right(&mut table, &[2, 3, 4, 5]);
    for (state, embedded) in &shown {
        let waiting = if state.behind > 0 { format!("{} and more", state.pending) } else { state.pending.to_string() };
        table.add_row([
            look::line(&state.model.name),
            if state.serving { "answers" } else { "will answer once it is complete" }.to_string(),
            state.model.dimension.to_string(),
            embedded.to_string(),
            waiting,
            state.failed.to_string(),
            if state.indexed { "made" } else { "none, compared one by one" }.to_string(),
        ]);
    }
    text.push_str(&format!("{table}\n"));
    if !failures.is_empty() {
        let mut table = look.table(&["WHY IT FAILED", "ATTEMPTS", "NEXT ATTEMPT", "EVENT"]);
        for failure in &failures {
            table.add_row([
                look::line(&failure.reason),
                failure.attempts.to_string(),
                failure.next_attempt_at.map_or("when asked for".to_string(), look::time),
                failure.event_id.map(|id| id.to_string()).unwrap_or_default(),
            ]);
        }
        text.push_str(&format!("\n{table}\nbinnacle embed --retry-failed tries them again.\n"));
    }
    Ok((text, exit))
}

/// Gives all texts that failed back to be tried again, and records that, where there are any.
async fn retry_failed(acts: &Acts) -> anyhow::Result<u64> {
    let texts = refused::retry_failed(acts.work()).await?;
    if texts > 0 {
        acts.record(&Act::TextsRetried { texts }).await?;
    }
    Ok(texts)
}
