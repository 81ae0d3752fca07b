//! Acts of administration: what operators do to the store itself, done here or told here, and each recorded in the journal.

mod act;
pub mod dead_letters;
mod explain;
mod letter;

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    audit::{Position, administration},
    clock,
    journal::{Journal, Receipt, Unavailable},
};

pub use act::Act;
pub use letter::{LetterId, NoLetterId};

/// Who did it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The authenticated caller; `None` of a command, which needs no more than the database's address, and while no
    /// authentication is in force.
    pub caller: Option<String>,
    /// The person, as well as that is known.
    pub person: Option<String>,
}

/// Where an act stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub event_id: Uuid,
    pub position: Position,
    pub recorded_at: DateTime<Utc>,
}

/// The act is done, and the journal does not tell of it.
#[derive(Debug, thiserror::Error)]
#[error("{done}, but that could not be recorded in the journal")]
pub struct Unrecorded {
    pub done: String,
    pub source: Unavailable,
}

/// Records an act that has been done, with who did it and when.
pub async fn record(journal: &Journal, act: &Act, who: &Who) -> Result<Recorded, Unrecorded> {
    let unrecorded = |source| Unrecorded { done: act.done(), source };
    let event_id = Uuid::now_v7();
    let event = administration::event(act.told(), who.person.as_deref(), event_id, clock::now());
    let receipts = journal.record(vec![event], who.caller.as_deref()).await.map_err(unrecorded)?;
    let receipt = receipts.into_iter().next().ok_or(Unavailable::Closed).map_err(unrecorded)?;
    // A duplicate is the writer's own earlier try, for the id is new.
    let (Receipt::Recorded(place) | Receipt::Duplicate(place) | Receipt::Conflict(place)) = receipt;
    Ok(Recorded { event_id, position: place.position, recorded_at: place.recorded_at })
}

/// How long an act took, in whole milliseconds.
fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
