//! How Binnacle itself is doing, for operators.

use async_graphql::{Context, Object, SimpleObject};
use chrono::Utc;

use super::{
    Result,
    administration::{self, DeadLetterItem},
    app,
    paging::{self, List},
    scalars::{DateTime, Uuid, Watermark},
};
use crate::{
    audit::Position,
    journal::{partitions, read},
    projection,
    search::{index, refused},
};

/// How Binnacle itself is doing.
pub struct System;

/// How Binnacle itself is doing: how far its lists and its search are behind the journal, and what they could not take.
#[Object]
impl System {
    /// The version of Binnacle that answers, such as `0.1.0`.
    async fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    /// Where the journal begins: before its first entry. Subscribe `after` it to be told everything.
    async fn origin(&self, ctx: &Context<'_>) -> Watermark {
        Watermark::at(app(ctx).journal.id(), Position(0))
    }

    /// Where the journal ends: the last event that is recorded.
    async fn watermark(&self, ctx: &Context<'_>) -> Result<Watermark> {
        let head = read::head(app(ctx).journal.reader()).await?;
        Ok(Watermark::at(head.journal_id, head.last))
    }

    /// How many events the journal holds, as decimal text.
    async fn events(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(read::head(app(ctx).journal.reader()).await?.last.to_string())
    }

    /// How far each projection is: the tables that lists, statistics and search read from.
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

    /// Dead letters: events that a projection could not take, then texts that a model refuses. For administrators;
    /// `retryDeadLetters` tries them again.
    #[graphql(complexity = "paging::cost(first, None, child_complexity)")]
    async fn all_dead_letters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "Begin behind this cursor, such as the last page's `endCursor`.")] after: Option<String>,
    ) -> Result<List<DeadLetterItem>> {
        administration::all_dead_letters(ctx, first, after).await
    }

    /// The newest events that a projection could not take, 100 at most; none, if all is well.
    #[graphql(
        deprecation = "use `allDeadLetters`: it shows all of them page by page, explains them, and has texts too"
    )]
    async fn dead_letters(&self, ctx: &Context<'_>) -> Result<Vec<DeadLetter>> {
        const MOST: i64 = 100;
        let letters = projection::dead_letters::newest(app(ctx).journal.reader(), MOST).await?;
        let shown = letters.into_iter().map(|letter| DeadLetter {
            projection: letter.projection.name().to_string(),
            position: letter.position.to_string(),
            error: letter.error,
            parked_at: letter.parked_at.into(),
        });
        Ok(shown.collect())
    }

    /// How far the vectors are that search by meaning compares.
    async fn search(&self, ctx: &Context<'_>) -> Result<SearchState> {
        const MOST: i64 = 100;
        let search = &app(ctx).search;
        let mut models = Vec::new();
        for state in index::states(&search.db).await? {
            let embedded = index::embedded(&search.db, &state.model).await?;
            models.push(EmbeddingModel {
                complete: state.complete(),
                dimension: i32::try_from(state.model.dimension).unwrap_or(i32::MAX),
                name: state.model.name,
                serving: state.serving,
                indexed: state.indexed,
                embedded: embedded.to_string(),
                pending: state.pending.to_string(),
                failed: state.failed.to_string(),
                behind: state.behind.to_string(),
            });
        }
        let failures = refused::failures(&search.db, MOST).await?.into_iter().map(|failure| EmbeddingFailure {
            model: failure.model,
            reason: failure.reason,
            attempts: failure.attempts,
            next_attempt_at: failure.next_attempt_at.map(DateTime),
            event_id: failure.event_id.map(Uuid),
        });
        Ok(SearchState { embedder: search.embedders.state().to_string(), models, failures: failures.collect() })
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
    /// The projection's name, such as `remediations`.
    name: String,
    /// The tables that the projection fills.
    tables: Vec<String>,
    /// The last position of the journal that it has taken, as decimal text.
    position: String,
    /// How many events it is behind the journal, as decimal text.
    lag_events: String,
    /// When the projection last moved on.
    moved_at: DateTime,
    /// How many events the projection could not take; `deadLetters` of the system shows them.
    dead_letters: i32,
    /// Whether its rows were made by other rules than this server's, so that a rebuild is due.
    rebuild_due: bool,
}

/// How far the vectors are that search by meaning compares.
#[derive(SimpleObject)]
pub struct SearchState {
    /// What makes vectors here, or why nothing does; then search is by words only.
    embedder: String,
    /// The models whose vectors are there, the one that answers first.
    models: Vec<EmbeddingModel>,
    /// Texts that cannot be embedded, those to be tried next coming first; 100 at most.
    failures: Vec<EmbeddingFailure>,
}

/// A model whose vectors are there, or on their way.
#[derive(SimpleObject)]
pub struct EmbeddingModel {
    /// The model's name, the version of its weights included.
    name: String,
    /// How many numbers a vector has.
    dimension: i32,
    /// Whether it answers; another one will, once it is complete.
    serving: bool,
    /// Whether its vectors have an index; without one they are compared one by one.
    indexed: bool,
    /// How many texts have a vector, as decimal text.
    embedded: String,
    /// How many texts wait for theirs, as decimal text.
    pending: String,
    /// How many texts the model refuses, as decimal text.
    failed: String,
    /// How many events the model has not been given yet, as decimal text.
    behind: String,
    /// Whether every text has its vector, but for those that are refused.
    complete: bool,
}

/// A text that cannot be embedded.
#[derive(SimpleObject)]
pub struct EmbeddingFailure {
    /// The model that refuses it.
    model: String,
    /// Why the model refuses it.
    reason: String,
    /// How often the text was tried.
    attempts: i32,
    /// When the text is tried again; null when somebody has to ask for it with `binnacle embed --retry-failed`.
    next_attempt_at: Option<DateTime>,
    /// The id of an event that tells the text.
    event_id: Option<Uuid>,
}

/// An event that a projection could not take.
#[derive(SimpleObject)]
pub struct DeadLetter {
    /// The projection that could not take it.
    projection: String,
    /// The event's position in the journal, as decimal text.
    position: String,
    /// Why the projection could not take it.
    error: String,
    /// When the event was set aside.
    parked_at: DateTime,
}

/// A monthly partition of the journal.
#[derive(SimpleObject)]
pub struct Partition {
    /// The table's name, such as `audit_events_y2026m05`.
    name: String,
    /// The table's size with its indexes, in bytes, as decimal text.
    bytes: String,
}
