//! The facts of one remediation as they become known.

use std::{collections::VecDeque, sync::Arc};

use super::{Events, FeedError, TIMELINE_BYTES_MAX};
use crate::{
    audit::{Entry, Position},
    remediation::Folded,
};

/// How much of a timeline somebody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// All facts of the entries before this place.
    pub position: Position,
    /// And so many of the facts of the entry here, by their index.
    pub facts: usize,
}

impl Told {
    /// All facts up to a place.
    pub fn whole(position: Position) -> Told {
        Told { position, facts: usize::MAX }
    }
}

/// A fact that is news: which one of which fold.
pub struct Fact {
    pub folded: Arc<Folded>,
    /// Its place in the fold's timeline.
    pub place: usize,
    /// How much was told with it.
    pub told: Told,
}

/// One who follows the timeline of a remediation.
pub struct Timeline {
    entries: Vec<Arc<Entry>>,
    bytes: usize,
    told: Told,
    ready: VecDeque<Fact>,
    events: Events,
}

impl Timeline {
    /// Everything up to `told` is told; `entries` are all that are known, and `events` those that will be.
    pub(super) fn new(entries: Vec<Entry>, told: Told, events: Events) -> Result<Timeline, FeedError> {
        let mut timeline = Timeline { entries: Vec::new(), bytes: 0, told, ready: VecDeque::new(), events };
        timeline.know(entries.into_iter().map(Arc::new))?;
        Ok(timeline)
    }

    /// The next fact; waits for it as long as it takes. After an error nothing more comes.
    pub async fn next(&mut self) -> Result<Fact, FeedError> {
        loop {
            if let Some(fact) = self.ready.pop_front() {
                self.told = fact.told;
                return Ok(fact);
            }
            let entries = self.events.batch().await?;
            self.know(entries)?;
        }
    }

    /// How much was told.
    pub fn told(&self) -> Told {
        self.told
    }

    /// Adds entries, and finds what is news with them.
    fn know(&mut self, entries: impl IntoIterator<Item = Arc<Entry>>) -> Result<(), FeedError> {
        for entry in entries {
            self.bytes += entry.event.payload.text().len();
            self.entries.push(entry);
        }
        if self.bytes > TIMELINE_BYTES_MAX {
            return Err(FeedError::TooLarge);
        }
        self.fold();
        Ok(())
    }

    /// Finds the facts that are news, in the order of the journal.
    fn fold(&mut self) {
        let Some(folded) = Folded::of(self.entries.clone(), None) else { return };
        let (timeline, folded) = (folded.timeline.len(), Arc::new(folded));
        let mut places: Vec<(Told, usize)> = (0..timeline)
            .map(|place| {
                let entry = &folded.timeline[place];
                (Told { position: entry.position, facts: entry.index + 1 }, place)
            })
            .filter(|(told, _)| *told > self.told)
            .collect();
        places.sort_unstable();
        self.ready.extend(places.into_iter().map(|(told, place)| Fact { folded: folded.clone(), place, told }));
    }
}
