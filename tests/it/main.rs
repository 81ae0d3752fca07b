//! Stories about a whole Binnacle, on a real Postgres.

mod backup;
mod callers;
mod commands;
mod crash;
mod embedded;
mod embedders;
mod embedding_crash;
mod examples;
mod guarding;
mod health;
mod history;
mod hostile;
mod live;
mod live_outages;
mod over_http;
mod projections;
mod recording;
mod remediations;
mod reports;
mod rest_kubernaut;
mod search;
mod servers;
mod statements;
mod statistics;
mod support;
mod unknown_outcome;
