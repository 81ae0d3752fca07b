//! `make eval`: how good search is at finding the remediations that people are after. It asks each system the questions
//! of `questions.toml` about the demo's history, and compares the answers with what the remediations really were.

#![cfg_attr(
    test,
    allow(dead_code, unused_imports, reason = "cargo sets `test` for a bench too; its tests run in tests.rs")
)]

mod measures;
mod questions;
mod runs;
mod table;
mod yardstick;

use std::path::PathBuf;

use anyhow::Context as _;
use binnacle::demo;
use chrono::{DateTime, Utc};
use clap::Parser;

use runs::{Judge, Run};
use table::{Page, System};
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
    let runs: Vec<Run> = vec![
        runs::ask("chance", &questions, async |question| Ok(yardstick::chance(&labels, &question.text))).await?,
        runs::ask("words", &questions, async |question| Ok(words.search(&question.text))).await?,
    ];

    let judge = Judge::new(&labels);
    let systems: Vec<System> =
        runs.into_iter().map(|run| System { scores: judge.scores(&questions, &run), run }).collect();
    let page = Page {
        remediations: labels.len(),
        audits: history.len(),
        questions: &questions,
        halves: &halves,
        systems: &systems,
        pairs: &[("words", "chance")],
        selectivities: &[],
    };
    println!("{}", table::markdown(&page));
    if let Some(path) = &arguments.write {
        table::write(path, &page)?;
        println!("\nwritten into {}", path.display());
    }
    Ok(())
}
