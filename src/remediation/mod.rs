//! The one fold: a stream of entries becomes a remediation, whole, as of a time, or as known at a time.

pub mod model;

/// placeholder until merged
pub fn fold(_: &[crate::audit::Entry], _: Option<chrono::DateTime<chrono::Utc>>) -> Option<model::Remediation> {
    None
}
