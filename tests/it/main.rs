//! Stories about a whole Binnacle, on a real Postgres.

mod backup;
mod embedded;
mod servers;
mod support;
