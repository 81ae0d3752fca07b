//! A remediation together with the entries it was folded from.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Fold,
    model::{Summary, TimelineEntry, ViewRow},
    story::entries_of,
    views::RowSource,
};
use crate::audit::Entry;

/// A remediation folded from the journal, and the entries it was folded from.
pub struct Folded {
    pub summary: Summary,
    pub timeline: Vec<TimelineEntry>,
    /// In order of version.
    pub entries: Vec<Arc<Entry>>,
    /// Made when somebody asks for them.
    views: OnceLock<Vec<Arc<ViewRow>>>,
    row_source: RowSource,
}

impl Folded {
    /// Folds the entries of one stream, in order of version, as `fold` does; `None` where they tell nothing.
    pub fn of(entries: Vec<Arc<Entry>>, as_of: Option<DateTime<Utc>>) -> Option<Folded> {
        let mut fold = Fold::of(entries.iter().map(Arc::as_ref), as_of)?;
        let timeline = fold.take_timeline();
        let Fold { summary, story, .. } = fold;
        let row_source = RowSource::of(story);
        Some(Folded { summary, timeline, entries, views: OnceLock::new(), row_source })
    }

    /// The services' rows, in the order of `Kind::ALL`, then by key.
    pub fn views(&self) -> &[Arc<ViewRow>] {
        let rows = || self.row_source.rows(&entries_of(self.entries.iter().map(Arc::as_ref)));
        self.views.get_or_init(|| rows().into_iter().map(Arc::new).collect())
    }

    pub fn entry(&self, event_id: Uuid) -> Option<Arc<Entry>> {
        self.entries.iter().find(|entry| entry.event.event_id == event_id).cloned()
    }
}
