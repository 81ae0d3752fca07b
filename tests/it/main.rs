//! Stories about a whole Binnacle, on a real Postgres.

mod embedded;
mod support;
