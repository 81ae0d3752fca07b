//! The one fold: a stream of entries becomes a remediation, whole, as of a time, or as known at a time.

pub mod model;
