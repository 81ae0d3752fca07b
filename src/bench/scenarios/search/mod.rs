//! Search by meaning and words among many documents, behind filters that let more and less through, beside the bare index of
//! vectors. The questions' vectors are made up with the documents, so no model is asked: what is measured is the search.

mod documents;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use pgvector::HalfVector;
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    bench::{
        Bench, Group,
        rounds::{Scenario, Variant},
        sample::{Calls, Sample},
    },
    postgres::{PoolSettings, Pools},
    projection::remediations::Filter,
    search::{
        Mode, Question, Search,
        embedder::{EmbedError, Embedder, Embedders, Model, Purpose},
    },
    telemetry::Metrics,
};

use documents::{DIMENSION, MODEL, PARTS};
pub(super) use documents::{REMEDIATIONS, record};

/// How many hits are asked for.
const HITS: usize = 10;

/// What a filter lets through, in per cent, and the parts that it names; none is no filter.
const FILTERS: [(&str, &[&str]); 4] =
    [("all", &[]), ("50 %", &PARTS), ("1 %", &[PARTS[0], PARTS[1]]), ("0.01 %", &[PARTS[0]])];

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let documents = bench.settings.documents;
    let stand = bench.stand(&["--embedder", "none"]).await?;
    bench.bar.set_message(format!("making {documents} documents"));
    let asked = documents::make(&stand, documents).await?;
    let pools = Pools::open(&stand.service_url().parse()?, &PoolSettings::default());
    let searcher = Arc::new(Searcher::new(pools.search.clone(), pools.read.clone(), stand.owner.clone(), asked));
    for (share, parts) in FILTERS {
        let filter = filter(parts);
        bench.bar.set_message(format!("comparing everything, {share}"));
        let exact = Arc::new(searcher.exact(&filter).await?);
        let (bare, hybrid) = (searcher.clone(), searcher.clone());
        let scenario = Scenario {
            group: Group::Search,
            name: format!("search among {documents} documents, {share}"),
            counted: "searches",
            reference: Some(Variant::new("ten nearest vectors of all", move |time| {
                where_servers_answer(bare.clone().bare(time))
            })),
            variants: vec![Variant::new("hybrid", move |time| {
                where_servers_answer(hybrid.clone().hybrid(filter.clone(), exact.clone(), time))
            })],
        };
        bench.measure(&stand, scenario).await?;
    }
    pools.close().await;
    stand.stop().await
}

/// On a thread that answers, as a server does: the one that waits for the turn to end would have to be woken at each step.
fn where_servers_answer(
    turn: impl Future<Output = anyhow::Result<Sample>> + Send + 'static,
) -> BoxFuture<'static, anyhow::Result<Sample>> {
    async { tokio::spawn(turn).await? }.boxed()
}

fn filter(parts: &[&str]) -> Filter {
    let environment = (!parts.is_empty()).then(|| parts.iter().map(|part| part.to_string()).collect());
    Filter { environment, ..Filter::default() }
}

/// Where the hits of each question begin.
type Answers = Vec<BTreeSet<i64>>;

struct Searcher {
    search: Search,
    /// Connections as pgvector leaves them, for the reference.
    plain: PgPool,
    asked: Vec<(String, Vec<f32>)>,
}

impl Searcher {
    fn new(db: PgPool, filters: PgPool, plain: PgPool, asked: Vec<(String, Vec<f32>)>) -> Searcher {
        let model = Model { name: MODEL.to_string(), dimension: DIMENSION };
        let known = Known { model, vectors: asked.iter().cloned().collect() };
        let search = Search::new(db, filters, Embedders::of(Arc::new(known)), Metrics::new());
        Searcher { search, plain, asked }
    }

    /// What is right: all that match, compared one by one.
    async fn exact(&self, filter: &Filter) -> anyhow::Result<Answers> {
        let mut answers = Vec::with_capacity(self.asked.len());
        for (text, _) in &self.asked {
            answers.push(self.hits(text, filter, true).await?);
        }
        Ok(answers)
    }

    async fn hits(&self, text: &str, filter: &Filter, exact: bool) -> anyhow::Result<BTreeSet<i64>> {
        let (text, filter) = (text.to_string(), filter.clone());
        let question = Question { text, filter, kinds: None, mode: Mode::Hybrid, first: HITS, exact };
        let answer = self.search.ask(&question).await?;
        Ok(answer.hits.iter().map(|hit| hit.document.first_position).collect())
    }

    async fn hybrid(self: Arc<Self>, filter: Filter, exact: Arc<Answers>, time: Duration) -> anyhow::Result<Sample> {
        let (begun, mut calls, mut found, mut wanted) = (Instant::now(), Calls::new(), 0, 0);
        for place in self.places(begun, time) {
            let asked = Instant::now();
            let hits = self.hits(&self.asked[place].0, &filter, false).await?;
            calls.took(asked.elapsed());
            found += hits.intersection(&exact[place]).count();
            wanted += exact[place].len();
        }
        let recall = Some(found as f64 / f64::max(wanted as f64, 1.0));
        Ok(Sample { recall, ..Sample::new(calls.len(), begun.elapsed(), calls) })
    }

    /// What pgvector does by itself: the nearest vectors of all, with no words, no filter and nothing of remediations,
    /// and a ninth as many of them looked at as we look at, or fewer.
    async fn bare(self: Arc<Self>, time: Duration) -> anyhow::Result<Sample> {
        let statement = documents::nearest();
        let mut db = self.plain.acquire().await?;
        let (begun, mut calls) = (Instant::now(), Calls::new());
        for place in self.places(begun, time) {
            let asked = Instant::now();
            let vector = HalfVector::from_f32_slice(&self.asked[place].1);
            let query = sqlx::query(AssertSqlSafe(statement.clone()));
            query.bind(vector).bind(HITS as i64).fetch_all(&mut *db).await?;
            calls.took(asked.elapsed());
        }
        Ok(Sample::new(calls.len(), begun.elapsed(), calls))
    }

    /// One question after the other, over and over, for about so long.
    fn places(&self, begun: Instant, time: Duration) -> impl Iterator<Item = usize> {
        (0..self.asked.len()).cycle().take_while(move |_| begun.elapsed() < time)
    }
}

/// Knows the vectors of the questions, and nothing else.
struct Known {
    model: Model,
    vectors: HashMap<String, Vec<f32>>,
}

impl Embedder for Known {
    fn model(&self) -> &Model {
        &self.model
    }

    fn batch_max(&self) -> usize {
        1
    }

    fn text_chars_max(&self) -> usize {
        usize::MAX
    }

    fn embed<'a>(&'a self, texts: &'a [String], _: Purpose) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        let vector = |text: &String| {
            let unknown = || EmbedError::Refused { reason: format!("`{text}` is none of the questions") };
            self.vectors.get(text).cloned().ok_or_else(unknown)
        };
        let vectors = texts.iter().map(vector).collect();
        async move { vectors }.boxed()
    }
}
