//! `make eval`: how good search is at finding the remediations that people are after. It asks each system the questions
//! of `questions.toml` about the demo's history, and compares the answers with what the remediations really were.

#![cfg_attr(
    test,
    allow(dead_code, unused_imports, reason = "cargo sets `test` for a bench too; its tests run in tests.rs")
)]

mod measures;
mod questions;
mod runs;
mod store;
mod table;
mod yardstick;

use std::{collections::HashMap, path::PathBuf};

use anyhow::Context as _;
use binnacle::{demo, search::Mode};
use chrono::{DateTime, Utc};
use clap::Parser;

use questions::Question;
use runs::{Judge, Run};
use store::Store;
use table::{Cut, Page, Selectivity, System};
use yardstick::Words;

/// Where the history ends. It is the same for all runs, so that the same code gives the same figures.
const UNTIL: &str = "2026-05-04T12:00:00Z";
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/search-quality.md");

/// Measures the quality of search on the demo's history.
#[derive(Parser)]
struct Arguments {
    /// How many remediations the history has.
    #[arg(long, default_value_t = 2_000)]
    remediations: usize,
    /// How many documents the store is grown to, to measure the index behind filters; 0 leaves that out.
    #[arg(long, default_value_t = 100_000)]
    documents: i64,
    /// Write the figures into this document, between its markers, besides printing them.
    #[arg(long, num_args = 0..=1, default_missing_value = DOCUMENT)]
    write: Option<PathBuf>,
    /// Cargo gives this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let until: DateTime<Utc> = UNTIL.parse().context("the end of the history")?;
    let questions = questions::all().context("reading the questions")?;
    let halves = questions::halves(&questions);
    let labels = demo::labels(arguments.remediations);
    anyhow::ensure!(!labels.is_empty(), "a history of no remediations answers nothing");
    let history = demo::history(arguments.remediations, until);

    let words = Words::read(&history);
    let store = Store::filled(&history).await?;
    let runs: Vec<Run> = vec![
        runs::ask("chance", &questions, async |question| Ok(yardstick::chance(&labels, &question.text))).await?,
        runs::ask("words", &questions, async |question| Ok(words.search(&question.text))).await?,
        runs::ask("TEXT", &questions, async |question| store.ask(&question.text, Mode::Text).await).await?,
        runs::ask("VECTOR", &questions, async |question| store.ask(&question.text, Mode::Vector).await).await?,
        runs::ask("HYBRID", &questions, async |question| store.ask(&question.text, Mode::Hybrid).await).await?,
    ];
    let cuts = cuts(&store, &questions, &labels).await?;
    let selectivities = selectivities(&store, arguments.documents, &questions).await?;
    store.close().await;

    let judge = Judge::new(&labels);
    let systems: Vec<System> =
        runs.into_iter().map(|run| System { scores: judge.scores(&questions, &run), run }).collect();
    let page = Page {
        remediations: labels.len(),
        audits: history.len(),
        questions: &questions,
        halves: &halves,
        systems: &systems,
        pairs: &[("HYBRID", "VECTOR"), ("HYBRID", "TEXT"), ("VECTOR", "TEXT"), ("TEXT", "words")],
        selectivities: &selectivities,
        cuts: &cuts,
    };
    println!("{}", table::markdown(&page));
    if let Some(path) = &arguments.write {
        table::write(path, &page)?;
        println!("\nwritten into {}", path.display());
    }
    Ok(())
}

/// What the index finds of the exact answer in a store of so many documents, without a filter and with narrower and narrower
/// ones.
async fn selectivities(store: &Store, documents: i64, questions: &[Question]) -> anyhow::Result<Vec<Selectivity>> {
    if documents == 0 {
        return Ok(Vec::new());
    }
    store.grow(documents).await?;
    let texts: Vec<String> = questions.iter().map(|question| question.text.clone()).collect();
    let mut measured = Vec::new();
    let parts = ["part 0.01", "part 1", "part 50"];
    for (percent, parts) in [(100.0, &parts[..0]), (50.0, &parts[..]), (1.0, &parts[..2]), (0.01, &parts[..1])] {
        measured.push(store.selectivity(percent, parts, &texts).await?);
    }
    Ok(measured)
}

/// How many of the remediations that score at least a share of the best are of the family that was asked for.
async fn cuts(store: &Store, questions: &[Question], labels: &[demo::Label]) -> anyhow::Result<Vec<Cut>> {
    const SHARES: [f64; 6] = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7];
    let by_id: HashMap<(&str, &str), &demo::Label> =
        labels.iter().map(|label| ((label.cluster_id, label.remediation_id.as_str()), label)).collect();
    let mut counted = [(0_usize, 0_usize); SHARES.len()];
    for question in questions {
        let found = store.scored(&question.text).await?;
        let best = found.first().map_or(0.0, |(_, score)| *score);
        for (share, (all, right)) in SHARES.into_iter().zip(&mut counted) {
            for ((cluster_id, remediation_id), _) in found.iter().take_while(|(_, score)| *score >= best * share) {
                *all += 1;
                let label = by_id.get(&(cluster_id.as_str(), remediation_id.as_str()));
                *right += usize::from(label.is_some_and(|label| question.grade(label) > 0));
            }
        }
    }
    let cut = |(share, (all, right)): (f64, (usize, usize))| Cut {
        share,
        precision: right as f64 / all.max(1) as f64,
        count: all as f64 / questions.len() as f64,
    };
    Ok(SHARES.into_iter().zip(counted).map(cut).collect())
}
