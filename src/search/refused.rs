//! Texts that a model refuses: listed, counted, and given back to be tried again.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Lets all texts that failed be tried again now; how many there are.
pub async fn retry_failed(db: &PgPool) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE search_embeddings SET state = 'pending', attempts = 0, next_attempt_at = now() WHERE state = 'failed'"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Lets one text that failed be tried again now; whether there is such a text.
pub async fn retry_one(db: &PgPool, model: &str, content: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE search_embeddings SET state = 'pending', attempts = 0, next_attempt_at = now()
        WHERE model = $1 AND content = $2 AND state = 'failed'",
        model,
        content
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A text that its model refuses, by its place among all such texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub model: String,
    pub content: Uuid,
    pub reason: String,
    pub attempts: i32,
    pub refused_at: Option<DateTime<Utc>>,
    /// `None` when it is not tried again by itself.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// An event that tells it, and in which field; `None` where no document does any more.
    pub event_id: Option<Uuid>,
    pub field: Option<String>,
}

/// Up to `limit` refused texts behind a place, by model and text.
pub async fn page(db: &PgPool, after: Option<(&str, Uuid)>, limit: i64) -> Result<Vec<Refused>, sqlx::Error> {
    let (model, content) = after.unwrap_or(("", Uuid::nil()));
    sqlx::query_as!(
        Refused,
        r#"SELECT e.model, e.content, coalesce(e.reason, '') AS "reason!", e.attempts, e.refused_at,
            nullif(e.next_attempt_at, 'infinity') AS next_attempt_at, d.event_id AS "event_id?", d.field AS "field?"
        FROM search_embeddings e
        LEFT JOIN LATERAL (
            SELECT i.event_id, i.field FROM search_documents i
            WHERE i.content = e.content ORDER BY i.position, i.first_position, i.part LIMIT 1
        ) d ON true
        WHERE e.state = 'failed' AND (e.model, e.content) > ($1, $2)
        ORDER BY e.model, e.content LIMIT $3"#,
        model,
        content,
        limit
    )
    .fetch_all(db)
    .await
}

/// How many texts are refused, counted up to `most` + 1.
pub async fn count(db: &PgPool, most: i64) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
            SELECT 1 AS one FROM search_embeddings WHERE state = 'failed' LIMIT $1
        ) found"#,
        most + 1
    )
    .fetch_one(db)
    .await
}

/// A text that its model refuses.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub model: String,
    pub reason: String,
    pub attempts: i32,
    /// `None` when it is not tried again by itself.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// An event that tells it.
    pub event_id: Option<Uuid>,
}

/// The texts that were refused, those to be tried first coming first.
pub async fn failures(db: &PgPool, limit: i64) -> Result<Vec<Failure>, sqlx::Error> {
    sqlx::query_as!(
        Failure,
        r#"SELECT e.model, coalesce(e.reason, '') AS "reason!", e.attempts,
            nullif(e.next_attempt_at, 'infinity') AS next_attempt_at,
            (SELECT d.event_id FROM search_documents d WHERE d.content = e.content ORDER BY d.position LIMIT 1) AS event_id
        FROM search_embeddings e
        WHERE e.state = 'failed'
        ORDER BY e.next_attempt_at, e.model, e.content LIMIT $1"#,
        limit
    )
    .fetch_all(db)
    .await
}
