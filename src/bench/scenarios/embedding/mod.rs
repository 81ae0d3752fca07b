//! Making vectors of texts: the local model in this process against sentence-transformers, the program that people know it by,
//! with the same weights, the same texts and as many threads.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures_util::FutureExt as _;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::search::{REMEDIATIONS, record};
use crate::{
    bench::{
        Bench, Group,
        rounds::{Scenario, Variant},
        sample::{Calls, Sample},
    },
    cache,
    search::embedder::{Embedder as _, Local, Purpose},
};

/// How many texts there are; they are embedded over and over.
const TEXTS: i64 = 512;
const THREADS: usize = 1;

/// Reads texts, loads the model, embeds for so many seconds, and says how many and how long.
const SENTENCE_TRANSFORMERS: &str = include_str!("reference.py");

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let Some(folder) = cache::fetched(cache::MODEL) else {
        bench.say("embedding: SKIPPED: no model was fetched; run `make setup`");
        return Ok(());
    };
    let python = bench.settings.python.clone();
    if python.is_none() {
        bench.say("embedding: without its reference: name a Python that has sentence-transformers with --python");
    }
    let stand = bench.stand(&["--embedder", "none"]).await?;
    record(&stand.owner, REMEDIATIONS).await?;
    stand.caught_up().await?;
    let texts: Vec<String> = sqlx::query_scalar(
        "SELECT text FROM (SELECT DISTINCT ON (content) content, text FROM search_documents ORDER BY content) d
        ORDER BY content LIMIT $1",
    )
    .bind(TEXTS)
    .fetch_all(&stand.owner)
    .await?;

    let texts_as_json = serde_json::to_vec(&texts)?;
    let reference = python.map(|python| Reference { python, model: folder.clone(), texts: texts_as_json });
    let local = Local::load(&folder, THREADS)?;
    let (local, texts) = (&local, &texts);
    let scenario = Scenario {
        group: Group::Embedding,
        name: format!("texts embedded, {THREADS} thread"),
        counted: "texts",
        reference: reference
            .as_ref()
            .map(|reference| Variant::new("sentence-transformers", move |time| reference.run(time).boxed())),
        variants: vec![Variant::new("Binnacle", move |time| embed(local, texts, time).boxed())],
    };
    bench.measure(&stand, scenario).await?;
    stand.stop().await
}

async fn embed(local: &Local, texts: &[String], time: Duration) -> anyhow::Result<Sample> {
    let (begun, mut calls, mut n) = (Instant::now(), Calls::new(), 0);
    for batch in texts.chunks(local.batch_max()).cycle() {
        if begun.elapsed() >= time {
            break;
        }
        let asked = Instant::now();
        local.embed(batch, Purpose::Documents).await?;
        calls.took(asked.elapsed());
        n += batch.len() as u64;
    }
    Ok(Sample::new(n, begun.elapsed(), calls))
}

/// A program in Python that does the same.
struct Reference {
    python: PathBuf,
    model: PathBuf,
    /// The texts, as a list in JSON.
    texts: Vec<u8>,
}

/// What the program says at its end.
#[derive(Deserialize)]
struct Told {
    texts: u64,
    seconds: f64,
    batch_seconds: Vec<f64>,
}

impl Reference {
    async fn run(&self, time: Duration) -> anyhow::Result<Sample> {
        let mut program = Command::new(&self.python)
            .arg("-c")
            .arg(SENTENCE_TRANSFORMERS)
            .arg(&self.model)
            .args([time.as_secs_f64().to_string(), THREADS.to_string()])
            // It shall load what lies here, and ask nobody.
            .envs([("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "1")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run `{}`", self.python.display()))?;
        let mut input = program.stdin.take().context("its input is piped")?;
        // Should it end before it has read them, its own words say why.
        let _ = input.write_all(&self.texts).await;
        drop(input);
        let output = program.wait_with_output().await?;
        if !output.status.success() {
            bail!("`{}` failed: {}", self.python.display(), String::from_utf8_lossy(&output.stderr).trim_end());
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().unwrap_or_default();
        let told: Told = serde_json::from_str(last).with_context(|| format!("the reference said `{last}`"))?;
        let mut calls = Calls::new();
        told.batch_seconds.iter().for_each(|seconds| calls.took(Duration::from_secs_f64(*seconds)));
        Ok(Sample::new(told.texts, Duration::from_secs_f64(told.seconds), calls))
    }
}
