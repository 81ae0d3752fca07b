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

use std::{panic::AssertUnwindSafe, time::Duration};

use anyhow::bail;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use sqlx::{Acquire as _, PgConnection, PgPool};
use tracing::error;

use crate::{
    audit::Position,
    fail_points,
    journal::read,
    postgres::{ANSWER_WAIT, in_time},
    worker::Progress,
};

use batch::Batch;
pub use batch::Batches;
use cursor::{Cursor, Moved};

/// How long an attempt to apply a range is waited for. Mostly it takes a tenth of a second; each of its statements takes two minutes
/// at most, and the range is halved where one takes more.
const ATTEMPT_WAIT: Duration = Duration::from_secs(600);

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

    /// Whether it comes from the fold.
    fn folds(self) -> bool {
        match self {
            Projection::Remediations | Projection::SearchDocuments => true,
            Projection::EventIndex => false,
        }
    }

    /// Writes the rows of a range, which is the batch's or part of it. Where a range was tried before, some of them `may_be_there`.
    async fn write(self, db: &mut PgConnection, range: Range, batch: &Batch, may_be_there: bool) -> anyhow::Result<()> {
        match self {
            Projection::Remediations => remediations::write(db, range, batch).await,
            Projection::EventIndex => Ok(event_index::write(db, range, batch, may_be_there).await?),
            Projection::SearchDocuments => search_documents::write(db, range, batch).await,
        }
    }
}

/// One step of a projection: the rows of the next range of positions and the cursor, in one transaction. Of several
/// replicas one takes the step; the others find the cursor held, or moved, and rest.
pub async fn step(db: &PgPool, projection: Projection, batches: &Batches) -> anyhow::Result<Progress> {
    let (cursor, head) = in_time(ANSWER_WAIT, cursor::look(db, projection)).await?;
    batches.stands(projection, cursor.position);
    if head <= cursor.position {
        return Ok(Progress::CaughtUp);
    }
    if head.0 - cursor.position.0 >= batch::POSITIONS_MAX {
        batches.keep_together(projection).await;
    }
    let batch = batches.take(projection, cursor.position, cursor.recorded_at, head).await; // no connection is held here
    let Some(to) = advance(&mut *db.acquire().await?, projection, cursor, head, batch.as_deref(), batches).await?
    else {
        return Ok(Progress::CaughtUp);
    };
    // What was appended since the look has called again; not so what came between this look and that which the batch is of.
    Ok(match head.0 - to.0 {
        left if left <= 0 => Progress::CaughtUp,
        left if left < batch::POSITIONS_MAX && to.0 % batch::POSITIONS_MAX != 0 => Progress::Nearly,
        _ => Progress::Moved,
    })
}

/// Takes the range from the cursor to the end of the batch, or of what can be read at once: where it ends; `None` where a rival
/// has taken it.
async fn advance(
    db: &mut PgConnection,
    projection: Projection,
    cursor: Cursor,
    head: Position,
    batch: Option<&Batch>,
    batches: &Batches,
) -> anyhow::Result<Option<Position>> {
    let to = match batch {
        Some(batch) => batch.to,
        None => head.min(Position(cursor.position.0 + batch::POSITIONS_MAX)),
    };
    let range = Range::new(cursor.position, cursor.recorded_at, to);
    match apply_or_park(db, projection, range, batch).await? {
        Moved::Ahead => Ok(Some(to)),
        Moved::Rival => Ok(None),
        Moved::OtherJournal => {
            // As after a failover to a replica that had not got all: another event stands at that position.
            batches.forget();
            bail!("the journal is not the one that was read up to position {to}");
        }
    }
}

/// Applies the range; where it cannot be taken, halves it until the poison event stands alone, and parks that. The cursor moves
/// with each part.
async fn apply_or_park(
    db: &mut PgConnection,
    projection: Projection,
    range: Range,
    batch: Option<&Batch>,
) -> anyhow::Result<Moved> {
    let refusal = match attempt(db, projection, range, batch, true).await? {
        Attempt::Done(moved) => return Ok(moved),
        Attempt::Refused(refusal) => refusal,
    };
    if range.to.0 - range.from.0 > 1 {
        let middle = Position((range.from.0 + range.to.0) / 2);
        let (first, second) = (Range::new(range.from, range.since, middle), Range { from: middle, ..range });
        return match Box::pin(apply_or_park(db, projection, first, None)).await? {
            Moved::Ahead => Box::pin(apply_or_park(db, projection, second, None)).await,
            stopped => Ok(stopped),
        };
    }
    if batch.is_some() {
        // Read anew, and with a look at what may be there.
        return Box::pin(apply_or_park(db, projection, range, None)).await;
    }
    let parking = async {
        let recorded_at = read::recorded_at(&mut *db, range.to).await?;
        let mut tx = db.begin().await?;
        let moved = cursor::advance(&mut tx, projection, range, recorded_at).await?;
        if let Moved::Ahead = moved {
            dead_letters::park(&mut tx, projection, range.to, &refusal).await?;
            tx.commit().await?;
        }
        Ok::<_, anyhow::Error>(moved)
    };
    let moved = in_time(ANSWER_WAIT, parking).await?;
    if let Moved::Ahead = moved {
        error!(
            projection = projection.name(),
            entry.position = %range.to,
            error = refusal,
            "projection `{}` cannot take position {}; it is parked",
            projection.name(),
            range.to
        );
    }
    Ok(moved)
}

/// What came of an attempt to apply a range.
enum Attempt {
    Done(Moved),
    /// Everything is as it was; the reason why the range cannot be taken.
    Refused(String),
}

/// Applies the range, and moves the cursor with it if it is to; what has no batch is read first.
async fn attempt(
    db: &mut PgConnection,
    projection: Projection,
    range: Range,
    batch: Option<&Batch>,
    moves: bool,
) -> anyhow::Result<Attempt> {
    let applying = async {
        let mut tx = db.begin().await?; // before anything is read: whoever has a transaction already must not lose it
        let may_be_there = batch.is_none(); // what was refused with a batch is tried again without one
        let read;
        let batch = match batch {
            Some(batch) => batch,
            None => {
                read = Batch::read(&mut tx, range, projection).await?;
                &read
            }
        };
        if moves {
            match cursor::advance(&mut tx, projection, range, batch.recorded_at).await? {
                Moved::Ahead => {}
                stopped => return Ok(stopped),
            }
        }
        projection.write(&mut tx, range, batch, may_be_there).await?;
        fail_points::dies_at("before_cursor");
        tx.commit().await?;
        Ok(Moved::Ahead)
    };
    // A panic is a bug that one event has found; it must not stop the events behind it.
    match AssertUnwindSafe(in_time(ATTEMPT_WAIT, applying)).catch_unwind().await {
        Ok(Ok(moved)) => Ok(Attempt::Done(moved)),
        Ok(Err(error)) if passes(&error) => Err(error),
        Ok(Err(error)) => Ok(Attempt::Refused(reason(&error))),
        Err(panic) => Ok(Attempt::Refused(panic_text(&*panic))),
    }
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

/// One value of each row: a column of many, as statements take them.
fn column<'r, R, T>(rows: &[&'r R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
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
