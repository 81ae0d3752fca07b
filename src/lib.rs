//! Binnacle: an event-sourced audit store with a GraphQL query surface. `ARCHITECTURE.md` is the map of these rooms.
pub mod audit;
pub mod demo;
pub mod remediation;
