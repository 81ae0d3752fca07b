//! Many documents in little time: those of a made-up history, copied over and over, with made-up vectors. What is found among
//! them means nothing; how it is found does.

use anyhow::ensure;
use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::{
    audit::Context,
    bench::stand::Stand,
    demo,
    journal::{self, Journal},
    telemetry::Metrics,
};

pub const MODEL: &str = "bench";
pub const DIMENSION: usize = 384;

/// The parts that filters name: 0.01 % of the remediations, the rest of 1 %, and the rest of half of them.
pub const PARTS: [&str; 3] = ["part 0.01", "part 1", "part 50"];

/// How many remediations the history has that is copied, at most; and about how many documents each of them tells.
pub const REMEDIATIONS: usize = 600;
const DOCUMENTS_EACH: usize = 15;
/// The end of the history: the same for every run.
const UNTIL: &str = "2026-05-04T12:00:00Z";
const BATCH: usize = 500;
const QUESTIONS: i64 = 40;
/// Words of a document that make a question.
const QUESTION_WORDS: usize = 12;

/// So far apart are the positions of one copy and the next.
const SHIFT: i64 = 100_000_000;

/// What remediations are about, what a field says of it, and what is said besides, each a direction. What is about the same
/// lies together, as the vectors of a model do.
const DIRECTIONS: &str = "
SELECT setseed(0.42);
CREATE SCHEMA made_up;
CREATE TABLE made_up.topics AS SELECT n, array_agg(random_normal())::halfvec AS v
    FROM generate_series(0, 999) n, generate_series(1, 384) i GROUP BY n;
CREATE TABLE made_up.aspects AS SELECT n, array_agg(0.5 * random_normal())::halfvec AS v
    FROM generate_series(0, 63) n, generate_series(1, 384) i GROUP BY n;
CREATE TABLE made_up.noises AS SELECT n, array_agg(0.6 * random_normal())::halfvec AS v
    FROM generate_series(0, 2047) n, generate_series(1, 384) i GROUP BY n;
ANALYZE made_up.topics, made_up.aspects, made_up.noises;
";

/// A vector for each document, which becomes a text of its own for that.
const VECTORS: &str = "
UPDATE search_documents SET content = md5(format('%s %s %s', first_position, source, part))::uuid;
INSERT INTO search_models (model, dimension, role, choice) VALUES ('bench', 384, 'serving', '');
INSERT INTO search_embeddings (model, content, state, embedding)
    SELECT 'bench', d.content, 'embedded', t.v + a.v + n.v
    FROM search_documents d
    JOIN remediations r USING (first_position)
    JOIN made_up.topics t ON t.n = abs(hashtext(coalesce(r.fingerprint, r.remediation_id))::bigint) % 1000
    JOIN made_up.aspects a ON a.n = abs(hashtext(d.field)::bigint) % 64
    JOIN made_up.noises n ON n.n = abs(hashtext(d.content::text)::bigint) % 2048;
SELECT search_index_model('bench');
";

const SORT_INTO_PARTS: &str = "
UPDATE remediations r SET environment = CASE
        WHEN place = 1 THEN 'part 0.01' WHEN share <= 0.01 THEN 'part 1' WHEN share <= 0.5 THEN 'part 50' ELSE 'rest' END
    FROM (SELECT first_position, row_number() OVER (ORDER BY md5(first_position::text)) AS place,
            percent_rank() OVER (ORDER BY md5(first_position::text)) AS share FROM remediations) s
    WHERE s.first_position = r.first_position;
";

/// Makes about so many documents, and questions about them: texts and their vectors.
pub async fn make(stand: &Stand, documents: u32) -> anyhow::Result<Vec<(String, Vec<f32>)>> {
    let owner = &stand.owner;
    record(owner, REMEDIATIONS.min(documents as usize / DOCUMENTS_EACH)).await?;
    stand.caught_up().await?;
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM search_documents").fetch_one(owner).await?;
    ensure!(there > 0, "the history tells no documents");
    sqlx::raw_sql(DIRECTIONS).execute(owner).await?;
    for copy in 1..i64::from(documents) / there {
        sqlx::raw_sql(AssertSqlSafe(copied(copy * SHIFT, copy))).execute(owner).await?;
    }
    sqlx::raw_sql(SORT_INTO_PARTS).execute(owner).await?;
    sqlx::raw_sql(VECTORS).execute(owner).await?;
    for table in ["remediations", "search_documents", "search_embeddings"] {
        // Outside of any transaction, so one at a time.
        sqlx::raw_sql(AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).execute(owner).await?;
    }
    questions(owner).await
}

/// Records a history of so many remediations.
pub async fn record(owner: &PgPool, remediations: usize) -> anyhow::Result<()> {
    let until: DateTime<Utc> = UNTIL.parse()?;
    let journal = Journal::open(owner.clone(), owner.clone(), journal::Settings::default(), Metrics::new()).await?;
    for batch in demo::history(remediations, until).chunks(BATCH) {
        let context = Context { cluster_id: "default", now: Utc::now(), fresh_id: Uuid::nil() };
        let events = batch.iter().map(|recording| {
            let checked = recording.submission.clone().check(context);
            checked.map_err(|problems| anyhow::anyhow!("an audit was rejected: {}", problems[0].message))
        });
        let times = batch.iter().map(|recording| recording.recorded_at).collect();
        journal.record_history(events.collect::<anyhow::Result<_>>()?, times).await?;
    }
    journal.close().await;
    Ok(())
}

/// The statements that copy what the history tells to other positions and other clusters.
fn copied(shift: i64, copy: i64) -> String {
    format!(
        "INSERT INTO search_documents SELECT first_position + {shift}, CASE source WHEN 0 THEN 0 ELSE source + {shift} END,
            part, position + {shift}, event_id, recorded_at, kind, facet, field, text, content, words
        FROM search_documents WHERE first_position < {SHIFT};
        INSERT INTO remediations SELECT (json_populate_record(r, json_build_object(
            'first_position', first_position + {shift}, 'last_position', last_position + {shift},
            'cluster_id', cluster_id || '-{copy}'))).*
        FROM remediations r WHERE first_position < {SHIFT}"
    )
}

/// What some documents begin with, and vectors a little beside theirs.
async fn questions(owner: &PgPool) -> anyhow::Result<Vec<(String, Vec<f32>)>> {
    let rows: Vec<(String, HalfVector)> = sqlx::query_as(
        "SELECT d.text, e.embedding + n.v
        FROM (SELECT DISTINCT ON (text) text, content FROM search_documents ORDER BY text, content) d
        JOIN search_embeddings e ON e.model = 'bench' AND e.content = d.content
        JOIN made_up.noises n ON n.n = abs(hashtext(d.text)::bigint) % 2048
        ORDER BY md5(d.text) LIMIT $1",
    )
    .bind(QUESTIONS)
    .fetch_all(owner)
    .await?;
    let question = |(text, vector): (String, HalfVector)| {
        let words: Vec<&str> = text.split_whitespace().take(QUESTION_WORDS).collect();
        (words.join(" "), vector.as_slice().iter().map(|number| number.to_f32()).collect())
    };
    Ok(rows.into_iter().map(question).collect())
}

/// The statement for the nearest vectors, as pgvector's own documentation has it.
pub fn nearest() -> String {
    format!(
        "SELECT content FROM search_embeddings WHERE model = '{MODEL}' AND state = 'embedded'
        ORDER BY embedding::halfvec({DIMENSION}) <=> $1::halfvec({DIMENSION}) LIMIT $2"
    )
}
