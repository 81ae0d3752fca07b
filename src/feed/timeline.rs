//! The facts of one remediation as they become known.

use std::{collections::VecDeque, sync::Arc};

use super::{Events, FeedError};
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
    told: Told,
    ready: VecDeque<Fact>,
    events: Events,
}

impl Timeline {
    /// Everything up to `told` is told; `entries` are all that are known, and `events` those that will be.
    pub(super) fn new(entries: Vec<Entry>, told: Told, events: Events) -> Timeline {
        let entries = entries.into_iter().map(Arc::new).collect();
        let mut timeline = Timeline { entries, told, ready: VecDeque::new(), events };
        timeline.fold();
        timeline
    }

    /// The next fact; waits for it as long as it takes. After an error nothing more comes.
    pub async fn next(&mut self) -> Result<Fact, FeedError> {
        loop {
            if let Some(fact) = self.ready.pop_front() {
                self.told = fact.told;
                return Ok(fact);
            }
            self.entries.extend(self.events.batch().await?);
            self.fold();
        }
    }

    /// How much was told.
    pub fn told(&self) -> Told {
        self.told
    }

    /// Finds the facts that are news, in the order of the journal.
    fn fold(&mut self) {
        let Some(folded) = Folded::of(self.entries.clone()) else { return };
        let (timeline, folded) = (folded.remediation.timeline.len(), Arc::new(folded));
        let mut places: Vec<(Told, usize)> = (0..timeline)
            .map(|place| {
                let entry = &folded.remediation.timeline[place];
                (Told { position: entry.position, facts: entry.index + 1 }, place)
            })
            .filter(|(told, _)| *told > self.told)
            .collect();
        places.sort_unstable();
        self.ready.extend(places.into_iter().map(|(told, place)| Fact { folded: folded.clone(), place, told }));
    }
}
