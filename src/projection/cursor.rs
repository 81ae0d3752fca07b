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

/// The cursor as it stands, and where the journal ends.
pub async fn look(db: impl PgExecutor<'_>, projection: Projection) -> Result<(Cursor, Position), sqlx::Error> {
    let row = sqlx::query!(
        "SELECT c.position, c.recorded_at, h.next_position - 1 AS \"head!\"
        FROM projection_cursors c, journal_head h
        WHERE c.name = $1 AND h.one",
        projection.name()
    )
    .fetch_one(db)
    .await?;
    Ok((Cursor { position: Position(row.position), recorded_at: row.recorded_at }, Position(row.head)))
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

/// What came of moving a cursor.
pub enum Moved {
    /// It stays locked until the transaction ends.
    Ahead,
    /// A rival holds it, or has moved it.
    Rival,
    /// The journal does not hold what was read.
    OtherJournal,
}

/// Moves the cursor from the beginning of `range` to its end, which was recorded at `recorded_at`, and tells who waits for it,
/// when the transaction commits.
pub async fn advance(
    db: &mut PgConnection,
    projection: Projection,
    range: Range,
    recorded_at: Option<DateTime<Utc>>,
) -> Result<Moved, sqlx::Error> {
    let Some(recorded_at) = recorded_at else { return Ok(Moved::OtherJournal) };
    let moved = sqlx::query!(
        r#"UPDATE projection_cursors
        SET position = $3, recorded_at = $4, moved_at = clock_timestamp()
        WHERE name = (
            SELECT c.name FROM projection_cursors c WHERE c.name = $1 AND c.position = $2 FOR UPDATE SKIP LOCKED
        )
        RETURNING EXISTS (SELECT FROM audit_events a WHERE a.position = $3 AND a.recorded_at = $4) AS "known!",
            pg_notify('binnacle_projection', $1 || ':' || $3)::text AS notified"#,
        projection.name(),
        range.from.0,
        range.to.0,
        recorded_at
    )
    .fetch_optional(db)
    .await?;
    Ok(match moved {
        Some(row) if row.known => Moved::Ahead,
        Some(_) => Moved::OtherJournal,
        None => Moved::Rival,
    })
}

/// Where the projection is.
pub async fn position(db: impl PgExecutor<'_>, projection: Projection) -> Result<Position, sqlx::Error> {
    let position = sqlx::query_scalar!("SELECT position FROM projection_cursors WHERE name = $1", projection.name())
        .fetch_one(db)
        .await?;
    Ok(Position(position))
}
