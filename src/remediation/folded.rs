//! A remediation together with the entries it was folded from.

use std::sync::Arc;

use uuid::Uuid;

use super::{fold, model::Remediation};
use crate::audit::Entry;

/// A remediation folded from the journal, and the entries it was folded from.
pub struct Folded {
    pub remediation: Remediation,
    /// In order of version.
    pub entries: Vec<Arc<Entry>>,
}

impl Folded {
    pub fn new(entries: Vec<Entry>, remediation: Remediation) -> Folded {
        Folded { remediation, entries: entries.into_iter().map(Arc::new).collect() }
    }

    /// Folds the entries of one stream, in order of version; `None` where they tell nothing.
    pub fn of(entries: Vec<Arc<Entry>>) -> Option<Folded> {
        let remediation = fold(entries.iter().map(|entry| &**entry), None)?;
        Some(Folded { remediation, entries })
    }

    pub fn entry(&self, event_id: Uuid) -> Option<Arc<Entry>> {
        self.entries.iter().find(|entry| entry.event.event_id == event_id).cloned()
    }
}
