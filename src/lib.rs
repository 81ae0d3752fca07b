//! Binnacle: an event-sourced audit store with a GraphQL query surface. `ARCHITECTURE.md` is the map of these rooms.

pub mod app;
pub mod audit;
pub mod cache;
pub mod caller;
pub mod cli;
pub mod config;
pub mod deadline;
pub mod demo;
pub mod error;
pub mod feed;
pub mod graphql;
pub mod http;
pub mod journal;
pub mod postgres;
pub mod projection;
pub mod record;
pub mod remediation;
pub mod report;
pub mod rest;
pub mod search;
pub mod server;
pub mod telemetry;
pub mod worker;
