//! Stories about a whole Binnacle, on a real Postgres.

mod backup;
mod embedded;
mod projections;
mod recording;
mod remediations;
mod servers;
mod support;
