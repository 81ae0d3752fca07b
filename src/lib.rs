//! Binnacle: an event-sourced audit store with a GraphQL query surface. `ARCHITECTURE.md` is the map of these rooms.
pub mod audit;
pub mod caller;
pub mod cli;
pub mod config;
pub mod http;
pub mod remediation;
pub mod telemetry;
pub mod worker;
