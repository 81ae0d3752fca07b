//! Tests of what judges the search: a bench without a harness cannot run them itself.

mod measures;
mod questions;
mod runs;
mod table;
mod yardstick;
