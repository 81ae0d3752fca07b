//! Read tables derived from the journal: each projection owns its tables, a cursor and a step, and can be dropped and
//! rebuilt.

mod batch;
mod compare;
pub mod cursor;
pub mod dead_letters;
pub mod event_index;
pub mod pinned;
pub mod rebuild;
pub mod remediations;
pub mod search_documents;
pub mod service_views;
pub mod signals;
pub mod statistics;
pub mod target_history;

use std::panic::AssertUnwindSafe;

use anyhow::bail;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use sqlx::{Acquire as _, PgConnection, PgPool};
use tracing::error;

use crate::{audit::Position, fail_points, journal::read, worker::Progress};

use batch::Batch;
pub use batch::Batches;

/// A projection. The six service views come from the fold that makes `remediations`, so they share its step and cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Projection {
    Remediations,
    EventIndex,
    SearchDocuments,
}

/// A range of positions, (`from`, `to`].
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub from: Position,
    /// The `recorded_at` of `from`, or any time before it.
    pub since: DateTime<Utc>,
    pub to: Position,
    /// As of when the remediations of the range are folded: of `to`, but where an old position is tried again.
    as_of: Position,
}

impl Range {
    /// Folded as of its own end.
    pub fn new(from: Position, since: DateTime<Utc>, to: Position) -> Range {
        Range { from, since, to, as_of: to }
    }
}

impl Projection {
    pub const ALL: [Projection; 3] = [Projection::Remediations, Projection::EventIndex, Projection::SearchDocuments];

    /// The name of its cursor, its metrics and of `binnacle rebuild`.
    pub fn name(self) -> &'static str {
        match self {
            Projection::Remediations => "remediations",
            Projection::EventIndex => "event_index",
            Projection::SearchDocuments => "search_documents",
        }
    }

    /// The tables it owns.
    pub fn tables(self) -> &'static [&'static str] {
        match self {
            Projection::Remediations => &[
                "remediations",
                "orchestration_view",
                "signal_processing_view",
                "ai_analysis_view",
                "workflow_execution_view",
                "notification_view",
                "effectiveness_view",
            ],
            Projection::EventIndex => &["event_index"],
            Projection::SearchDocuments => &["search_documents"],
        }
    }

    /// The projection of this name.
    pub fn named(name: &str) -> Option<Projection> {
        Projection::ALL.into_iter().find(|projection| projection.name() == name)
    }

    /// The projection of this name, or the one that owns the table of this name.
    pub fn parse(name: &str) -> Option<Projection> {
        let owns = |projection: &Projection| projection.tables().contains(&name);
        Projection::named(name).or_else(|| Projection::ALL.into_iter().find(owns))
    }

    /// The version of the rules that make its rows. Raise it with every change of what they say: stores that were built by
    /// other rules then ask for a rebuild.
    pub fn rules(self) -> i32 {
        match self {
            Projection::Remediations => 3,
            Projection::EventIndex => 1,
            Projection::SearchDocuments => 2,
        }
    }

    /// Most positions in one step.
    fn range_max(self) -> i64 {
        match self {
            Projection::Remediations | Projection::SearchDocuments => batch::POSITIONS_MAX,
            Projection::EventIndex => 10_000,
        }
    }

    /// Whether it comes from the fold, and so from batches.
    fn folds(self) -> bool {
        match self {
            Projection::Remediations | Projection::SearchDocuments => true,
            Projection::EventIndex => false,
        }
    }

    /// Writes the rows of a range; `batch` holds its streams where they were read already.
    async fn apply(self, db: &mut PgConnection, range: Range, batch: Option<&Batch>) -> anyhow::Result<()> {
        if !self.folds() {
            return event_index::apply(db, range).await;
        }
        let read = match batch {
            Some(_) => None,
            None => Some(Batch::read(&mut *db, range).await?),
        };
        let streams = batch.or(read.as_ref()).map(|batch| batch.streams_after(range.from)).unwrap_or_default();
        match self {
            Projection::Remediations => remediations::write(db, range, &streams).await,
            Projection::SearchDocuments => search_documents::write(db, range, &streams).await,
            Projection::EventIndex => Ok(()),
        }
    }
}

/// One step of a projection: the rows of the next range of positions and the cursor, in one transaction. Of several
/// replicas one takes the step; the others find the cursor locked and rest.
pub async fn step(db: &PgPool, projection: Projection, batches: &Batches) -> anyhow::Result<Progress> {
    batches.keep_together(projection).await; // no transaction is open here
    let mut tx = db.begin().await?;
    let Some(left) = advance(&mut tx, projection, Position(i64::MAX), batches).await? else {
        return Ok(Progress::CaughtUp);
    };
    tx.commit().await?;
    // What was appended meanwhile has called again.
    Ok(if left > 0 { Progress::Moved } else { Progress::CaughtUp })
}

/// The step within a transaction, not beyond `most`: how many positions are left behind it; `None` where there were none.
async fn advance(
    db: &mut PgConnection,
    projection: Projection,
    most: Position,
    batches: &Batches,
) -> anyhow::Result<Option<i64>> {
    let Some(cursor) = cursor::lock(db, projection).await? else {
        return Ok(None);
    };
    let head = most.min(read::head(&mut *db).await?.last);
    if head <= cursor.position {
        return Ok(None);
    }
    let batch = match projection.folds() {
        true => batches.take(projection, cursor.position, cursor.recorded_at, head).await,
        false => None,
    };
    let to = match &batch {
        Some(batch) => batch.to,
        None => head.min(Position(cursor.position.0 + projection.range_max())),
    };
    let range = Range::new(cursor.position, cursor.recorded_at, to);
    apply_or_park(db, projection, range, batch.as_deref()).await?;
    fail_points::dies_at("before_cursor");
    let recorded_at = cursor::advance(db, projection, range).await?;
    if batch.is_some_and(|batch| batch.recorded_at != Some(recorded_at)) {
        // As after a failover to a replica that had not got all: another event stands at that position.
        batches.forget();
        bail!("the journal is not the one that was read up to position {to}");
    }
    Ok(Some(head.0 - to.0))
}

/// Applies the range; where it cannot be taken, halves it until the poison event stands alone, and parks that.
async fn apply_or_park(
    db: &mut PgConnection,
    projection: Projection,
    range: Range,
    batch: Option<&Batch>,
) -> anyhow::Result<()> {
    let Some(refusal) = attempt(db, projection, range, batch).await? else { return Ok(()) };
    if range.to.0 - range.from.0 > 1 {
        let middle = Position((range.from.0 + range.to.0) / 2);
        let (first, second) = (Range::new(range.from, range.since, middle), Range { from: middle, ..range });
        Box::pin(apply_or_park(db, projection, first, None)).await?;
        return Box::pin(apply_or_park(db, projection, second, None)).await;
    }
    error!(
        projection = projection.name(),
        entry.position = %range.to,
        error = refusal,
        "projection `{}` cannot take position {}; it is parked",
        projection.name(),
        range.to
    );
    dead_letters::park(db, projection, range.to, &refusal).await
}

/// Applies the range, or leaves everything as it was and tells why the range cannot be taken.
async fn attempt(
    db: &mut PgConnection,
    projection: Projection,
    range: Range,
    batch: Option<&Batch>,
) -> anyhow::Result<Option<String>> {
    let mut savepoint = db.begin().await?;
    // A panic is a bug that one event has found; it must not stop the events behind it.
    let applied = AssertUnwindSafe(projection.apply(&mut savepoint, range, batch)).catch_unwind().await;
    let refusal = match applied {
        Ok(Ok(())) => {
            savepoint.commit().await?;
            return Ok(None);
        }
        Ok(Err(error)) if passes(&error) => return Err(error),
        Ok(Err(error)) => reason(&error),
        Err(panic) => panic_text(&*panic),
    };
    savepoint.rollback().await?;
    Ok(Some(refusal))
}

/// Whether the error is the database's trouble, not that of the range.
fn passes(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(refusal)) => {
            // Classes of SQLSTATE that speak of data: data exceptions, constraints, plpgsql, program limits; and what a
            // range that is too large to do at once meets: out of memory, canceled by the time limit.
            let code = refusal.code().unwrap_or_default();
            !["22", "23", "54", "P0", "53200", "57014"].iter().any(|class| code.starts_with(class))
        }
        Some(_) => true,
        None => false,
    }
}

/// How far a projection is, for operators.
#[derive(Clone, Debug)]
pub struct State {
    pub projection: Projection,
    pub position: Position,
    pub moved_at: DateTime<Utc>,
    pub dead_letters: i64,
    /// Whether its rows were made by other rules than this binary's.
    pub outdated: bool,
}

/// All projections, in the order of `Projection::ALL`.
pub async fn states(db: &PgPool) -> Result<Vec<State>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT c.name, c.position, c.moved_at, c.rules,
            (SELECT count(*) FROM projection_dead_letters d WHERE d.projection = c.name) AS "dead_letters!"
        FROM projection_cursors c ORDER BY c.name"#
    )
    .fetch_all(db)
    .await?;
    let mut states: Vec<State> = rows
        .into_iter()
        .filter_map(|row| {
            let projection = Projection::named(&row.name)?;
            let position = Position(row.position);
            let outdated = row.rules != projection.rules();
            Some(State { projection, position, moved_at: row.moved_at, dead_letters: row.dead_letters, outdated })
        })
        .collect();
    states.sort_by_key(|state| state.projection);
    Ok(states)
}

/// The error with its causes, each once: the database's are repeated by what wraps them.
fn reason(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn a_reason_tells_each_cause_once() {
        let error =
            Err::<(), _>(anyhow!("it violates a rule")).context("database: it violates a rule").context("no row");
        assert_eq!(reason(&error.unwrap_err()), "no row: database: it violates a rule");
    }
}
