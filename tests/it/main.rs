//! Stories about a whole Binnacle, on a real Postgres.

mod backup;
mod callers;
mod commands;
mod crash;
mod embedded;
mod embedders;
mod guarding;
mod health;
mod projections;
mod recording;
mod remediations;
mod search;
mod servers;
mod support;
mod unknown_outcome;
