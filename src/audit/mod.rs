//! What may be recorded: the kinds, their fields and closed sets, the checks, canonical bytes and digests, and the facts
//! that an entry tells. Pure: no database, network, clock or randomness.

pub mod administration;
pub mod canonical;
pub mod check;
pub mod event;
pub mod facts;
pub mod fields;
pub mod flaws;
pub mod go_duration;
pub mod json;
pub mod kind;
pub mod kubernaut;
pub mod limits;
pub mod outcome;
pub mod phase;
mod tree;
mod watermark;
pub mod words;

pub use check::{Context, Form, Problem, Submission};
pub use event::{Entry, Event, Position, StreamId, Version};
pub use facts::{Actor, Alternative, Decision};
pub use kind::{ActorType, Kind, Outcome};
pub use outcome::RemediationOutcome;
pub use phase::{PhaseName, RemediationPhase};
pub use watermark::Watermark;
