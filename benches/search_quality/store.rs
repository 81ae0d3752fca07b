//! A whole Binnacle on a throw-away Postgres, filled with the history and embedded by the local model; and the same grown
//! to many times its size.

use std::{
    collections::BTreeSet,
    str::FromStr as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use binnacle::{
    app::Faces,
    audit::Context,
    demo::Recording,
    journal::{self, Journal, read},
    postgres::{DataDir, Embedded, EmbeddedOptions, PoolSettings, prepare},
    projection::{Projection, cursor, remediations::Filter},
    search::{
        HITS_MAX, Mode, Question, Search,
        choice::Choice,
        embedder::{EmbedderSettings, Embedders},
        index,
    },
    server::{Server, Settings},
    telemetry::Metrics,
};
use chrono::Utc;
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use crate::{
    runs::{Key, PLACES},
    table::Selectivity,
};

/// How many audits are recorded at once.
const BATCH: usize = 500;
/// How often the state of the work is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub struct Store {
    embedded: Embedded,
    server: Server,
    owner: PgPool,
}

impl Store {
    /// Records the history and waits until every text has its vector.
    pub async fn filled(history: &[Recording]) -> anyhow::Result<Store> {
        let options = EmbeddedOptions { data_dir: DataDir::Throwaway, pg_bin_dir: None };
        let embedded = Embedded::start(options).await.context("starting a throw-away postgres")?;
        let connect = |url: String| PgConnectOptions::from_str(&url);
        let (owner, service) = (connect(embedded.owner_url())?, connect(embedded.service_url())?);
        prepare(&owner, &service).await?;
        let owner = PgPoolOptions::new().max_connections(2).connect_with(owner).await?;
        record(&owner, history).await?;

        let settings = Settings {
            service,
            pools: PoolSettings::default(),
            writer: journal::Settings::default(),
            feed: Default::default(),
            faces: Faces {
                cluster_id: "default".to_string(),
                public_url: "http://127.0.0.1".to_string(),
                allowed_origins: Vec::new(),
                live_connections_max: 1,
                request_timeout: Duration::from_secs(30),
            },
            graphql: Default::default(),
            embedders: Embedders::start(EmbedderSettings::Local { folder: None, threads: 2 }),
            choice: Choice::default(),
            metrics: Metrics::new(),
        };
        let server = Server::start(settings).await?;
        let store = Store { embedded, server, owner };
        store.projected().await?;
        store.embedded().await?;
        sqlx::raw_sql("ANALYZE").execute(&store.owner).await?;
        Ok(store)
    }

    /// The first remediations that search finds.
    pub async fn ask(&self, text: &str, mode: Mode) -> anyhow::Result<Vec<Key>> {
        let answer = self.search().ask(&question(text, mode, Filter::default(), false)).await?;
        let key = |hit: &binnacle::search::Hit| {
            let stream = &hit.summary.stream;
            (stream.cluster_id.clone(), stream.remediation_id.clone())
        };
        Ok(answer.hits.iter().map(key).collect())
    }

    /// Up to a hundred remediations that search finds, with their scores.
    pub async fn scored(&self, text: &str) -> anyhow::Result<Vec<(Key, f64)>> {
        let asked = Question { first: HITS_MAX, ..question(text, Mode::Hybrid, Filter::default(), false) };
        let answer = self.search().ask(&asked).await?;
        let scored = answer.hits.into_iter().map(|hit| {
            let stream = hit.summary.stream;
            ((stream.cluster_id, stream.remediation_id), hit.score)
        });
        Ok(scored.collect())
    }

    fn search(&self) -> &Search {
        &self.server.app.search
    }

    async fn projected(&self) -> anyhow::Result<()> {
        let head = read::head(&self.owner).await?.last;
        let bar = bar("making the documents", head.0.unsigned_abs());
        for projection in Projection::ALL {
            loop {
                let reached = cursor::position(&self.owner, projection).await?;
                bar.set_position(reached.0.unsigned_abs());
                if reached >= head {
                    break;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    async fn embedded(&self) -> anyhow::Result<()> {
        let bar = bar("embedding", 0);
        loop {
            let states = index::states(&self.owner).await?;
            if let Some(state) = states.first() {
                let done = index::embedded(&self.owner, &state.model).await?;
                bar.set_length((done + state.pending + state.failed).unsigned_abs());
                bar.set_position(done.unsigned_abs());
                anyhow::ensure!(state.failed == 0, "{} texts of the history cannot be embedded", state.failed);
                if state.complete() {
                    break;
                }
            }
            anyhow::ensure!(
                self.search().embedders.ready_or_off(),
                "there is no model to embed with: {}",
                self.search().embedders.state()
            );
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Copies all remediations until there are so many documents, each copy with vectors that lie a little beside those that
    /// it was made of; and sorts them into parts of the sizes that filters will let through. What is found in this store
    /// means nothing; how it is found does.
    pub async fn grow(&self, documents: i64) -> anyhow::Result<()> {
        let (model, _) = index::serving(&self.owner).await?.context("nothing is embedded")?;
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM search_documents").fetch_one(&self.owner).await?;
        let copies = (documents / there.max(1)).max(1);
        let bar = bar("growing the store", copies.unsigned_abs());
        let statements = [
            "SELECT setseed(0.42)".to_string(),
            "CREATE TEMP TABLE noise AS SELECT n, array_agg((random() - 0.5) * 0.05)::halfvec AS vector
                FROM generate_series(0, 255) n, generate_series(1, (SELECT dimension FROM search_models LIMIT 1)) i
                GROUP BY n"
                .to_string(),
            // It is quicker to make it anew than to add to it row by row.
            "DO $$ BEGIN EXECUTE (SELECT format('DROP INDEX IF EXISTS %I', 'search_vectors_' || md5(model)) FROM search_models);
            END $$"
                .to_string(),
            "UPDATE search_models SET indexed = false".to_string(),
        ];
        let mut owner = self.owner.acquire().await?;
        for statement in statements {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *owner).await?;
        }
        for copy in 1..copies {
            let shift = copy * 100_000_000;
            sqlx::raw_sql(AssertSqlSafe(format!(
                "INSERT INTO search_embeddings (model, content, state, embedding)
                    SELECT e.model, md5(e.content::text || '{copy}')::uuid, e.state, e.embedding + n.vector
                    FROM search_embeddings e JOIN noise n ON n.n = abs(hashtext(e.content::text || '{copy}')) % 256
                    WHERE e.content IN (SELECT content FROM search_documents WHERE first_position < 100000000);
                INSERT INTO search_documents SELECT first_position + {shift}, CASE source WHEN 0 THEN 0 ELSE source + {shift} END,
                        part, position + {shift}, event_id, recorded_at, kind, facet, field, text,
                        md5(content::text || '{copy}')::uuid, words
                    FROM search_documents WHERE first_position < 100000000;
                INSERT INTO remediations SELECT (json_populate_record(r, json_build_object(
                        'first_position', first_position + {shift}, 'last_position', last_position + {shift},
                        'cluster_id', cluster_id || '-{copy}'))).*
                    FROM remediations r WHERE first_position < 100000000"
            )))
            .execute(&mut *owner)
            .await?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        sqlx::raw_sql(
            "UPDATE remediations r SET environment = CASE
                    WHEN place = 1 THEN 'part 0.01' WHEN share <= 0.01 THEN 'part 1' WHEN share <= 0.5 THEN 'part 50'
                    ELSE 'rest' END
                FROM (SELECT first_position, row_number() OVER (ORDER BY md5(first_position::text)) AS place,
                        percent_rank() OVER (ORDER BY md5(first_position::text)) AS share FROM remediations) s
                WHERE s.first_position = r.first_position",
        )
        .execute(&mut *owner)
        .await?;
        sqlx::query("SELECT search_index_model($1)").bind(&model.name).execute(&mut *owner).await?;
        sqlx::raw_sql("VACUUM ANALYZE remediations, search_documents, search_embeddings").execute(&mut *owner).await?;
        Ok(())
    }

    /// What search finds of the exact answer, and how long it takes, where a filter lets a share of the documents through.
    pub async fn selectivity(&self, percent: f64, parts: &[&str], texts: &[String]) -> anyhow::Result<Selectivity> {
        let filter = match parts {
            [] => Filter::default(),
            parts => {
                Filter { environment: Some(parts.iter().map(|part| part.to_string()).collect()), ..Filter::default() }
            }
        };
        let search = self.search();
        let (mut shared, mut wanted) = (0, 0);
        let (mut took, mut exact_took) = (Vec::new(), Vec::new());
        for text in texts {
            let found = async |exact: bool| {
                let asked = question(text, Mode::Hybrid, filter.clone(), exact);
                search.ask(&asked).await?; // the question's vector, and the caches
                let begun = Instant::now();
                let answer = search.ask(&asked).await?;
                let firsts: BTreeSet<i64> = answer.hits.iter().map(|hit| hit.document.first_position).collect();
                anyhow::Ok((firsts, begun.elapsed()))
            };
            let (exact, time) = found(true).await?;
            exact_took.push(time);
            let (approximate, time) = found(false).await?;
            took.push(time);
            shared += approximate.intersection(&exact).count();
            wanted += exact.len();
        }
        let documents: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM search_documents d JOIN remediations r USING (first_position)
            WHERE $1 OR r.environment = ANY($2)",
        )
        .bind(parts.is_empty())
        .bind(parts)
        .fetch_one(&self.owner)
        .await?;
        Ok(Selectivity {
            percent,
            documents: usize::try_from(documents)?,
            way: if percent < 5.0 { "filter first, then all compared" } else { "index first, then the filter" },
            recall: shared as f64 / wanted.max(1) as f64,
            took,
            exact_took,
        })
    }

    pub async fn close(self) {
        self.owner.close().await;
        self.server.stop().await;
        self.embedded.stop().await;
    }
}

fn question(text: &str, mode: Mode, filter: Filter, exact: bool) -> Question {
    Question { text: text.to_string(), filter, kinds: None, mode, first: PLACES, exact }
}

async fn record(owner: &PgPool, history: &[Recording]) -> anyhow::Result<()> {
    let journal = Journal::open(owner.clone(), owner.clone(), journal::Settings::default(), Metrics::new()).await?;
    let bar = bar("recording the history", history.len() as u64);
    for batch in history.chunks(BATCH) {
        let context = Context { cluster_id: "default", now: Utc::now(), fresh_id: Uuid::nil() };
        let events = batch.iter().map(|recording| {
            let checked = recording.submission.clone().check(context);
            checked.map_err(|problems| anyhow::anyhow!("an audit was rejected: {}", problems[0].message))
        });
        let times = batch.iter().map(|recording| recording.recorded_at).collect();
        journal.record_history(events.collect::<anyhow::Result<_>>()?, times).await?;
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    journal.close().await;
    Ok(())
}

fn bar(what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} · {eta} left");
    ProgressBar::new(length).with_style(style.expect("the template is well formed")).with_message(what)
}
