//! The index of vectors: which models there are, which texts each has still to embed, and which model answers.

use std::time::Duration;

use pgvector::HalfVector;
use sqlx::{PgPool, postgres::types::PgInterval};
use uuid::Uuid;

use super::{choice::Choice, embedder::Model};
use crate::{
    audit::Position,
    projection::{Projection, cursor},
};

/// Below so many vectors an exact comparison is as quick as an index, and misses nothing.
pub const INDEXED_MIN: i64 = 5_000;

/// How long texts stay claimed by a worker that is not heard of. A worker that lives renews its claim well before.
const LEASE: Duration = Duration::from_secs(10);
pub const RENEW_EVERY: Duration = Duration::from_secs(3);

/// How often a text that was refused is tried again, and how long after.
pub const ATTEMPTS_MAX: i32 = 5;
const RETRY_MIN: Duration = Duration::from_secs(30);

/// Most documents that are handed to a model at once.
const ENQUEUE_MAX: i64 = 5_000;

/// A model whose vectors are there, or on their way.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub model: Model,
    /// Whether it answers questions; otherwise it will, once everything is embedded.
    pub serving: bool,
    pub indexed: bool,
    /// Texts that wait for their vector, and those that the model refuses.
    pub pending: i64,
    pub failed: i64,
    /// How many positions of the projection the model has not been given yet.
    pub behind: i64,
}

impl State {
    /// Whether every text has its vector, but for those that the model refuses.
    pub fn complete(&self) -> bool {
        self.pending == 0 && self.behind == 0
    }
}

/// All models, the serving one first.
pub async fn states(db: &PgPool) -> Result<Vec<State>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT m.model, m.dimension, m.role, m.indexed,
            greatest(c.position - m.enqueued, 0) AS "behind!", waiting.count - failed.count AS "pending!",
            failed.count AS "failed!"
        FROM search_models m
        JOIN projection_cursors c ON c.name = 'search_documents'
        CROSS JOIN LATERAL (
            SELECT count(*) FROM search_embeddings e WHERE e.model = m.model AND e.state <> 'embedded'
        ) waiting
        CROSS JOIN LATERAL (SELECT count(*) FROM search_embeddings e WHERE e.model = m.model AND e.state = 'failed') failed
        ORDER BY m.role DESC, m.model"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| State {
            model: Model { name: row.model, dimension: usize::try_from(row.dimension).unwrap_or_default() },
            serving: row.role == "serving",
            indexed: row.indexed,
            pending: row.pending,
            failed: row.failed,
            behind: row.behind,
        })
        .collect())
}

/// Whether everything that was recorded up to a position, and is to be embedded, has its vector by the model.
pub async fn complete(db: &PgPool, model: &Model, up_to: Position) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT enqueued >= $2 AND NOT EXISTS (
            SELECT FROM search_embeddings e
            WHERE e.model = m.model AND e.state <> 'embedded' AND EXISTS (
                SELECT FROM search_documents d WHERE d.content = e.content AND d.source <> 0 AND d.position <= $2
            )
        ) AS "complete!"
        FROM search_models m WHERE model = $1"#,
        model.name,
        up_to.0
    )
    .fetch_optional(db)
    .await
    .map(|complete| complete.unwrap_or(false))
}

/// How many texts have a vector of the model.
pub async fn embedded(db: &PgPool, model: &Model) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM search_embeddings WHERE model = $1 AND state = 'embedded'"#,
        model.name
    )
    .fetch_one(db)
    .await
}

/// The model that answers, and whether its vectors have an index.
pub async fn serving(db: &PgPool) -> Result<Option<(Model, bool)>, sqlx::Error> {
    let row = sqlx::query!("SELECT model, dimension, indexed FROM search_models WHERE role = 'serving'")
        .fetch_optional(db)
        .await?;
    Ok(row.map(|row| {
        (Model { name: row.model, dimension: usize::try_from(row.dimension).unwrap_or_default() }, row.indexed)
    }))
}

/// A model that has the name of another and another dimension.
#[derive(Debug, thiserror::Error)]
pub enum EnlistError {
    #[error("model `{name}` has vectors of {recorded} numbers here, and now gives {given}: give it another name")]
    Dimension { name: String, recorded: i32, given: usize },
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes the model one of those that documents are embedded with: the first answers at once, a later one once it is
/// complete. Models that are neither this one nor serve are forgotten. With another choice of kinds and fields than before,
/// all documents are handed to it again; those that have their vector keep it.
pub async fn enlist(db: &PgPool, model: &Model, choice: &Choice) -> Result<(), EnlistError> {
    let dimension = i32::try_from(model.dimension).unwrap_or(i32::MAX);
    let mut tx = db.begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('binnacle search models'))").execute(&mut *tx).await?;
    let row = sqlx::query!(
        "INSERT INTO search_models AS m (model, dimension, role, choice)
        VALUES ($1, $2, CASE WHEN EXISTS (SELECT FROM search_models WHERE role = 'serving') THEN 'building' ELSE 'serving' END, $3)
        ON CONFLICT (model) DO UPDATE
        SET choice = excluded.choice, enqueued = CASE WHEN m.choice = excluded.choice THEN m.enqueued ELSE 0 END
        RETURNING dimension",
        model.name,
        dimension,
        choice.text()
    )
    .fetch_one(&mut *tx)
    .await?;
    if row.dimension != dimension {
        let (name, recorded, given) = (model.name.clone(), row.dimension, model.dimension);
        return Err(EnlistError::Dimension { name, recorded, given });
    }
    sqlx::query!(
        "SELECT search_drop_model(model) FROM search_models WHERE role = 'building' AND model <> $1",
        model.name
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Hands the documents that have come since to the model; whether there were any. Of several replicas one does it.
pub async fn enqueue(db: &PgPool, model: &Model, choice: &Choice) -> Result<bool, sqlx::Error> {
    let mut tx = db.begin().await?;
    let Some(row) =
        sqlx::query!("SELECT enqueued FROM search_models WHERE model = $1 FOR UPDATE SKIP LOCKED", model.name)
            .fetch_optional(&mut *tx)
            .await?
    else {
        return Ok(false);
    };
    let projected = cursor::position(&mut *tx, Projection::SearchDocuments).await?;
    if row.enqueued >= projected.0 {
        return Ok(false);
    }
    // As many positions as hold so many documents; what one position tells stays together.
    let to = sqlx::query_scalar!(
        r#"SELECT max(position) FROM (
            SELECT position FROM search_documents WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3
        ) next"#,
        row.enqueued,
        projected.0,
        ENQUEUE_MAX
    )
    .fetch_one(&mut *tx)
    .await?;
    let last = to.unwrap_or(projected.0);
    sqlx::query!(
        "INSERT INTO search_embeddings (model, content, state)
        SELECT DISTINCT $1, content, 'pending' FROM search_documents
        WHERE position > $2 AND position <= $3 AND (kind = ANY($4) OR kind || '.' || field = ANY($4))
        ON CONFLICT (model, content) DO NOTHING",
        model.name,
        row.enqueued,
        last,
        choice.words()
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("UPDATE search_models SET enqueued = $2 WHERE model = $1", model.name, last).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// A text that waits for its vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    pub content: Uuid,
    pub text: String,
}

/// Takes texts that wait, for as long as the lease; none, when nothing waits. Texts that no document of the choice tells any
/// more are forgotten: a text may have been handed over under a wider choice, and must not leave under a narrower one.
pub async fn claim(db: &PgPool, model: &Model, choice: &Choice, limit: i64) -> Result<Vec<Waiting>, sqlx::Error> {
    loop {
        // By an array: of a join the planner does not know how few rows it has, and may read the whole table.
        let rows = sqlx::query!(
            r#"UPDATE search_embeddings e SET next_attempt_at = now() + $3
            WHERE model = $1 AND content = ANY(ARRAY(
                SELECT content FROM search_embeddings
                WHERE model = $1 AND state <> 'embedded' AND next_attempt_at <= now()
                ORDER BY next_attempt_at, content LIMIT $2
                FOR UPDATE SKIP LOCKED
            ))
            RETURNING content, (
                SELECT d.text FROM search_documents d
                WHERE d.content = e.content AND (d.kind = ANY($4) OR d.kind || '.' || d.field = ANY($4)) LIMIT 1
            ) AS text"#,
            model.name,
            limit,
            interval(LEASE),
            choice.words()
        )
        .fetch_all(db)
        .await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (mut waiting, mut gone) = (Vec::new(), Vec::new());
        for row in rows {
            match row.text {
                Some(text) => waiting.push(Waiting { content: row.content, text }),
                None => gone.push(row.content),
            }
        }
        if !gone.is_empty() {
            forget(db, model, choice, &gone).await?;
        }
        if !waiting.is_empty() {
            return Ok(waiting);
        }
    }
}

/// Forgets those of these texts that no document of the choice tells. Nobody hands documents over meanwhile: one that tells
/// such a text again is either seen here or handed over afterwards.
async fn forget(db: &PgPool, model: &Model, choice: &Choice, contents: &[Uuid]) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await?;
    sqlx::query!("SELECT FROM search_models WHERE model = $1 FOR UPDATE", model.name).execute(&mut *tx).await?;
    sqlx::query!(
        "DELETE FROM search_embeddings e
        WHERE model = $1 AND content = ANY($2) AND embedding IS NULL AND NOT EXISTS (
            SELECT FROM search_documents d
            WHERE d.content = e.content AND (d.kind = ANY($3) OR d.kind || '.' || d.field = ANY($3))
        )",
        model.name,
        contents,
        choice.words()
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

// Where the contents are named, texts without a vector are told by its absence: told by their state, the planner may take the
// index of all that wait.

/// Keeps texts claimed that are still being embedded, but for those that have come to an end in the meantime.
pub async fn renew(db: &PgPool, model: &Model, contents: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE search_embeddings e SET next_attempt_at = now() + $3
        FROM (
            SELECT content FROM search_embeddings
            WHERE model = $1 AND content = ANY($2) AND embedding IS NULL AND next_attempt_at < now() + $3
            FOR UPDATE SKIP LOCKED
        ) held
        WHERE e.model = $1 AND e.content = held.content",
        model.name,
        contents,
        interval(LEASE)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps the vectors of these texts. A vector that does not fit the model is not kept, whatever made it.
pub async fn keep(db: &PgPool, model: &Model, vectors: &[(Uuid, Vec<f32>)]) -> Result<(), sqlx::Error> {
    let fitting = vectors.iter().filter(|(_, vector)| vector.len() == model.dimension);
    let (contents, embeddings): (Vec<Uuid>, Vec<HalfVector>) =
        fitting.map(|(content, vector)| (*content, HalfVector::from_f32_slice(vector))).unzip();
    sqlx::query!(
        "UPDATE search_embeddings e
        SET state = 'embedded', embedding = v.embedding, reason = NULL
        FROM unnest($2::uuid[], $3::halfvec[]) AS v(content, embedding)
        WHERE e.model = $1 AND e.content = v.content AND e.embedding IS NULL",
        model.name,
        &contents,
        &embeddings as &[HalfVector]
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives claimed texts back, to be tried after `pause`: the embedder was away, which says nothing about them.
pub async fn give_back(db: &PgPool, model: &Model, contents: &[Uuid], pause: Duration) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE search_embeddings SET next_attempt_at = now() + $3
        WHERE model = $1 AND content = ANY($2) AND embedding IS NULL",
        model.name,
        contents,
        interval(pause)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Says that the model refuses a text. It is tried again later and later, and after that when somebody asks for it.
pub async fn fail(db: &PgPool, model: &Model, content: Uuid, reason: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE search_embeddings
        SET state = 'failed', attempts = attempts + 1, reason = $3, refused_at = now(),
            next_attempt_at = CASE WHEN attempts + 1 >= $4 THEN 'infinity' ELSE now() + make_interval(secs => $5 * power(2, attempts)) END
        WHERE model = $1 AND content = $2 AND embedding IS NULL",
        model.name,
        content,
        reason,
        ATTEMPTS_MAX,
        RETRY_MIN.as_secs_f64()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Lets a complete model answer in the place of the one before, whose vectors are forgotten; whether it did.
pub async fn promote(db: &PgPool, model: &Model) -> Result<bool, sqlx::Error> {
    let mut tx = db.begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('binnacle search models'))").execute(&mut *tx).await?;
    let ready = sqlx::query_scalar!(
        r#"SELECT role = 'building' AND enqueued >= (SELECT position FROM projection_cursors WHERE name = 'search_documents')
            AND NOT EXISTS (SELECT FROM search_embeddings e WHERE e.model = m.model AND e.state = 'pending') AS "ready!"
        FROM search_models m WHERE model = $1"#,
        model.name
    )
    .fetch_optional(&mut *tx)
    .await?;
    if ready != Some(true) {
        return Ok(false);
    }
    sqlx::query!("SELECT search_drop_model(model) FROM search_models WHERE role = 'serving'").execute(&mut *tx).await?;
    sqlx::query!("UPDATE search_models SET role = 'serving' WHERE model = $1", model.name).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// Makes the index of a model's vectors, where there are enough of them and none is there; whether it did.
pub async fn index(db: &PgPool, model: &Model) -> Result<bool, sqlx::Error> {
    let wanted = sqlx::query_scalar!(
        r#"SELECT NOT indexed AND (
            SELECT count(*) FROM (
                SELECT FROM search_embeddings e WHERE e.model = m.model AND e.state = 'embedded' LIMIT $2
            ) enough
        ) >= $2 AS "wanted!"
        FROM search_models m WHERE model = $1"#,
        model.name,
        INDEXED_MIN
    )
    .fetch_optional(db)
    .await?;
    if wanted != Some(true) {
        return Ok(false);
    }
    let mut tx = db.begin().await?;
    // It takes as long as it takes: minutes for a million vectors.
    sqlx::query!("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
    sqlx::query!("SELECT search_index_model($1)", model.name).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}
