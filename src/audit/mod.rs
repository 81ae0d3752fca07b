//! What may be recorded: the kinds, their fields and closed sets, the checks, canonical bytes and digests, and the facts
//! that an entry tells. Pure: no database, network, clock or randomness.

pub mod canonical;
pub mod check;
pub mod event;
pub mod fields;
pub mod kind;
pub mod limits;
pub mod words;

pub use check::{Context, Problem, Submission};
pub use event::{Entry, Event, Position, StreamId, Version};
pub use kind::{ActorType, Kind, Outcome};
