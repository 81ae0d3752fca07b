//! The summaries of remediations that were asked for lately.
//!
//! To fold a remediation takes most of the time that an answer takes, and the journal only grows: a stream up to an entry is the
//! same for ever, and so is what the fold makes of it. So who asks for a remediation again, with nothing recorded of it since,
//! is given the summary that was made before. Its entries are read from the journal each time.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

use crate::{
    audit::{Entry, Position, StreamId},
    remediation::model::Summary,
};

/// Most summaries that are kept, of some kilobytes each.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(2_048).expect("it is not zero");
/// Most entries of a remediation whose summary is kept: that of a longer one may be long.
const ENTRIES_MAX: usize = 200;

pub struct Known(Mutex<LruCache<StreamId, (Fingerprint, Arc<Summary>)>>);

/// What tells a stream from the same one before and after: its last entry, and how many there are.
type Fingerprint = (Option<Position>, usize);

impl Default for Known {
    fn default() -> Known {
        Known(Mutex::new(LruCache::new(KEPT_MAX)))
    }
}

impl Known {
    /// The summary of a stream whose entries are these, from the first on.
    pub fn get(&self, stream: &StreamId, entries: &[Arc<Entry>]) -> Option<Arc<Summary>> {
        let mut kept = self.kept();
        let (of, summary) = kept.get(stream)?;
        (*of == fingerprint(entries)).then(|| summary.clone())
    }

    /// Keeps the summary of a stream whose entries are these.
    pub fn keep(&self, entries: &[Arc<Entry>], summary: &Arc<Summary>) {
        if entries.len() <= ENTRIES_MAX {
            self.kept().put(summary.stream.clone(), (fingerprint(entries), summary.clone()));
        }
    }

    fn kept(&self) -> MutexGuard<'_, LruCache<StreamId, (Fingerprint, Arc<Summary>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fingerprint(entries: &[Arc<Entry>]) -> Fingerprint {
    (entries.last().map(|entry| entry.position), entries.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remediation::{
        Folded,
        tests::{recorded, worked_example},
    };

    #[test]
    fn a_summary_is_given_again_until_something_is_recorded() {
        let entries: Vec<Arc<Entry>> = recorded(&worked_example()).into_iter().map(Arc::new).collect();
        let before = &entries[..entries.len() - 1];
        let summary = Arc::new(Folded::of(before.to_vec(), None).unwrap().summary);
        let known = Known::default();
        assert!(known.get(&summary.stream, before).is_none());

        known.keep(before, &summary);

        assert!(Arc::ptr_eq(&known.get(&summary.stream, before).unwrap(), &summary));
        assert!(known.get(&summary.stream, &entries).is_none());
        assert!(known.get(&summary.stream, &before[..1]).is_none());
    }
}
