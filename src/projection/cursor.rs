//! How far each projection has come. A cursor moves in the transaction that writes the rows.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{Projection, Range};
use crate::audit::Position;

#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    pub position: Position,
    /// The `recorded_at` of that position.
    pub recorded_at: DateTime<Utc>,
}

/// Locks the cursor until the transaction ends; `None` when a rival holds it.
pub async fn lock(db: &mut PgConnection, projection: Projection) -> Result<Option<Cursor>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT position, recorded_at FROM projection_cursors WHERE name = $1 FOR UPDATE SKIP LOCKED",
        projection.name()
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Cursor { position: Position(row.position), recorded_at: row.recorded_at }))
}

/// Locks the cursor until the transaction ends; waits for a rival that holds it.
pub async fn hold(db: &mut PgConnection, projection: Projection) -> Result<Cursor, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT position, recorded_at FROM projection_cursors WHERE name = $1 FOR UPDATE",
        projection.name()
    )
    .fetch_one(db)
    .await?;
    Ok(Cursor { position: Position(row.position), recorded_at: row.recorded_at })
}

/// Moves the locked cursor to the end of `range` and tells who waits for it, when the transaction commits. Answers the
/// `recorded_at` of that end.
pub async fn advance(
    db: &mut PgConnection,
    projection: Projection,
    range: Range,
) -> Result<DateTime<Utc>, sqlx::Error> {
    let recorded_at = sqlx::query_scalar!(
        "UPDATE projection_cursors
        SET position = $2, moved_at = clock_timestamp(),
            recorded_at = (SELECT recorded_at FROM audit_events WHERE position = $2 AND recorded_at >= $3)
        WHERE name = $1
        RETURNING recorded_at",
        projection.name(),
        range.to.0,
        range.since
    )
    .fetch_one(&mut *db)
    .await?;
    sqlx::query!("SELECT pg_notify('binnacle_projection', $1)", format!("{}:{}", projection.name(), range.to))
        .execute(db)
        .await?;
    Ok(recorded_at)
}

/// Where the projection is.
pub async fn position(db: impl PgExecutor<'_>, projection: Projection) -> Result<Position, sqlx::Error> {
    let position = sqlx::query_scalar!("SELECT position FROM projection_cursors WHERE name = $1", projection.name())
        .fetch_one(db)
        .await?;
    Ok(Position(position))
}
