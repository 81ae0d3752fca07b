//! Dead letters of the projections: events that one could not take. The cursor goes on without them; they are listed here, and
//! tried again when somebody asks for it.

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{Attempt, Projection, Range, attempt, cursor};
use crate::{audit::Position, journal::read};

/// An event that a projection could not take.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub projection: Projection,
    pub position: Position,
    /// Why it was refused last.
    pub error: String,
    pub parked_at: DateTime<Utc>,
    pub tries: i32,
    pub tried_at: DateTime<Utc>,
}

struct Row {
    projection: String,
    position: i64,
    error: String,
    parked_at: DateTime<Utc>,
    tries: i32,
    tried_at: DateTime<Utc>,
}

impl Row {
    /// `None` of a projection that a later version of Binnacle has.
    fn letter(self) -> Option<DeadLetter> {
        Some(DeadLetter {
            projection: Projection::named(&self.projection)?,
            position: Position(self.position),
            error: self.error,
            parked_at: self.parked_at,
            tries: self.tries,
            tried_at: self.tried_at,
        })
    }
}

/// What became of a dead letter that was tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// The projection has it now.
    Mended,
    /// For this reason.
    Refused(String),
    /// There is none there, or no more.
    Gone,
}

/// Sets an event aside that the projection has refused.
pub(super) async fn park(
    db: &mut PgConnection,
    projection: Projection,
    position: Position,
    error: &str,
) -> anyhow::Result<()> {
    sqlx::query!(
        "INSERT INTO projection_dead_letters AS d (projection, position, error) VALUES ($1, $2, $3)
        ON CONFLICT (projection, position) DO UPDATE SET error = excluded.error, tries = d.tries + 1, tried_at = now()",
        projection.name(),
        position.0,
        error
    )
    .execute(db)
    .await
    .context("parking a poison event")?;
    Ok(())
}

/// The newest dead letters of all projections.
pub async fn newest(db: &PgPool, limit: i64) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT projection, position, error, parked_at, tries, tried_at FROM projection_dead_letters
        ORDER BY parked_at DESC, projection, position LIMIT $1",
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(Row::letter).collect())
}

/// Up to `limit` dead letters behind a place, by the name of the projection and the position.
pub async fn page(
    db: &PgPool,
    after: Option<(Projection, Position)>,
    limit: i64,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let (projection, position) = after.map_or(("", 0), |(projection, position)| (projection.name(), position.0));
    let known: Vec<&str> = Projection::ALL.into_iter().map(Projection::name).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT projection, position, error, parked_at, tries, tried_at FROM projection_dead_letters
        WHERE (projection, position) > ($1, $2) AND projection = ANY($3)
        ORDER BY projection, position LIMIT $4",
        projection,
        position,
        &known as &[&str],
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(Row::letter).collect())
}

/// How many there are, counted up to `most` + 1.
pub async fn count(db: &PgPool, most: i64) -> Result<i64, sqlx::Error> {
    let known: Vec<&str> = Projection::ALL.into_iter().map(Projection::name).collect();
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
            SELECT 1 AS one FROM projection_dead_letters WHERE projection = ANY($1) LIMIT $2
        ) found"#,
        &known as &[&str],
        most + 1
    )
    .fetch_one(db)
    .await
}

/// Tries a parked event again: what the projection writes of it and the end of the dead letter are one transaction. The
/// cursor's lock keeps the projection's own steps away meanwhile, and the cursor stays where it is.
pub async fn retry(db: &PgPool, projection: Projection, position: Position) -> anyhow::Result<Retried> {
    let mut tx = db.begin().await?;
    // A step may hold the cursor for a while. Whoever asks is told so, rather than kept waiting without a word.
    sqlx::query!("SET LOCAL lock_timeout = '15s'").execute(&mut *tx).await?;
    let cursor = cursor::hold(&mut tx, projection).await?;
    let parked = sqlx::query_scalar!(
        r#"SELECT EXISTS (
            SELECT FROM projection_dead_letters WHERE projection = $1 AND position = $2
        ) AS "parked!""#,
        projection.name(),
        position.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if !parked || position > cursor.position {
        return Ok(Retried::Gone);
    }
    let Some(since) = read::recorded_at(&mut *tx, position).await? else {
        bail!("position {position} is parked, and the journal has no such position");
    };
    // What later events have made of the stream must not be lost: it is folded as far as the cursor has come.
    let range = Range { from: Position(position.0 - 1), since, to: position, as_of: cursor.position };
    let retried = match attempt(&mut tx, projection, range, None, false).await? {
        Attempt::Done(_) => {
            end(&mut tx, projection, position).await?;
            Retried::Mended
        }
        Attempt::Refused(error) => {
            park(&mut tx, projection, position, &error).await?;
            Retried::Refused(error)
        }
    };
    tx.commit().await?;
    Ok(retried)
}

async fn end(db: &mut PgConnection, projection: Projection, position: Position) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM projection_dead_letters WHERE projection = $1 AND position = $2",
        projection.name(),
        position.0
    )
    .execute(&mut *db)
    .await?;
    if projection == Projection::SearchDocuments {
        // Each model was given the documents beyond this position already, and would never hear of these: it is given them
        // again. Texts that have their vector keep it.
        sqlx::query!("UPDATE search_models SET enqueued = $1 WHERE enqueued > $1", position.0 - 1).execute(db).await?;
    }
    Ok(())
}
