//! Remediations like another, and what came of them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    audit::Position,
    remediation::{model::Summary, outcomes::Outcomes},
};

/// In what a remediation is like another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// By the meaning of its symptoms and causes.
    Meaning,
    /// By the name of its signal: where there are no vectors.
    Signal,
}

/// A remediation like the one that was asked about.
#[derive(Clone, Debug)]
pub struct Similar {
    pub summary: Summary,
    /// 0 to 1; 1 is the same. `None` where it was found by its signal.
    pub similarity: Option<f64>,
    pub by: Match,
    /// The event whose text is nearest.
    pub event_id: Uuid,
    /// That text, or its beginning.
    pub text: String,
}

/// The remediations like one, the nearest first, and what came of all that are near enough.
#[derive(Clone, Debug)]
pub struct SimilarSet {
    /// At most as many as were asked for.
    pub nearest: Vec<Similar>,
    /// Of all that are near enough, also those beyond `nearest`.
    pub outcomes: Outcomes,
    /// Of those of them that ended in the 30 days before `until`.
    pub recent: Outcomes,
    /// The end of the trend's window.
    pub until: DateTime<Utc>,
    /// Whether there are no more than `nearest`.
    pub exhausted: bool,
    /// The model whose vectors were compared; `None` where there are none.
    pub model: Option<String>,
    /// Whether everything recorded up to `at` is embedded.
    pub complete: bool,
    /// Up to which position of the journal was looked.
    pub at: Position,
}
