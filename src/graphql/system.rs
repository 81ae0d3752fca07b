//! How Binnacle itself is doing, for operators.

use async_graphql::{Context, Object, SimpleObject};
use chrono::Utc;

use super::{
    Result, app,
    scalars::{DateTime, Watermark},
};
use crate::{
    journal::{partitions, read},
    projection,
};

/// How Binnacle itself is doing.
pub struct System;

#[Object]
impl System {
    /// The running version.
    async fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    /// Where the journal ends.
    async fn watermark(&self, ctx: &Context<'_>) -> Result<Watermark> {
        let head = read::head(app(ctx).journal.reader()).await?;
        Ok(Watermark { journal_id: head.journal_id, position: head.last })
    }

    /// How many events the journal holds, as decimal text.
    async fn events(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(read::head(app(ctx).journal.reader()).await?.last.to_string())
    }

    /// How far each projection is.
    async fn projections(&self, ctx: &Context<'_>) -> Result<Vec<ProjectionState>> {
        let db = app(ctx).journal.reader();
        let states = projection::states(db).await?;
        let head = read::head(db).await?;
        Ok(states
            .into_iter()
            .map(|state| ProjectionState {
                name: state.projection.name().to_string(),
                tables: state.projection.tables().iter().map(|table| table.to_string()).collect(),
                position: state.position.to_string(),
                lag_events: (head.last.0 - state.position.0).max(0).to_string(),
                moved_at: state.moved_at.into(),
                dead_letters: i32::try_from(state.dead_letters).unwrap_or(i32::MAX),
                rebuild_due: state.outdated,
            })
            .collect())
    }

    /// The newest events that a projection could not take.
    async fn dead_letters(&self, ctx: &Context<'_>) -> Result<Vec<DeadLetter>> {
        const MOST: i64 = 100;
        let letters = projection::dead_letters(app(ctx).journal.reader(), MOST).await?;
        let shown = letters.into_iter().map(|letter| DeadLetter {
            projection: letter.projection,
            position: letter.position.to_string(),
            error: letter.error,
            parked_at: letter.parked_at.into(),
        });
        Ok(shown.collect())
    }

    /// The journal's monthly partitions, oldest first.
    async fn partitions(&self, ctx: &Context<'_>) -> Result<Vec<Partition>> {
        let partitions = partitions::list(app(ctx).journal.reader()).await?;
        Ok(partitions.into_iter().map(|it| Partition { name: it.name, bytes: it.bytes.to_string() }).collect())
    }

    /// How many months ahead have their partition already.
    async fn partitions_ahead(&self, ctx: &Context<'_>) -> Result<i32> {
        let ahead = partitions::months_ahead(app(ctx).journal.reader(), Utc::now()).await?;
        Ok(i32::try_from(ahead).unwrap_or(i32::MAX))
    }
}

/// How far a projection is.
#[derive(SimpleObject)]
pub struct ProjectionState {
    /// Its name.
    name: String,
    /// The tables it fills.
    tables: Vec<String>,
    /// The last position it has taken.
    position: String,
    /// How many events it is behind the journal, as decimal text.
    lag_events: String,
    /// When it last moved.
    moved_at: DateTime,
    /// How many events it could not take.
    dead_letters: i32,
    /// Whether its rows were made by other rules than this server's, so that a rebuild is due.
    rebuild_due: bool,
}

/// An event that a projection could not take.
#[derive(SimpleObject)]
pub struct DeadLetter {
    /// The projection.
    projection: String,
    /// The event's position.
    position: String,
    /// Why not.
    error: String,
    /// When it was set aside.
    parked_at: DateTime,
}

/// A monthly partition of the journal.
#[derive(SimpleObject)]
pub struct Partition {
    /// The table's name.
    name: String,
    /// Its size with its indexes, in bytes, as decimal text.
    bytes: String,
}
