//! The facts of a stream, gathered for the fold: who tells each, in which order, and which of them are known yet.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    assessments::Assessments,
    keys::{self, Keys},
};
use crate::audit::{
    Entry, PhaseName, RemediationPhase,
    facts::{Fact, Teller, Tells, facts},
};

/// The category whose events are about a remediation without being part of it.
pub const NARRATIVE: &str = "report";

/// What is known of a stream at a moment.
pub struct Story<'a> {
    /// By position, without narratives.
    pub entries: Vec<&'a Entry>,
    /// The indexes of `entries` in the order of telling: by `occurredAt`, then position. The last to tell a value is right.
    pub telling: Vec<usize>,
    /// The entity that each entry is about.
    pub keys: Keys,
    /// In the order of telling.
    pub facts: Vec<Known>,
    /// For each entry, whether any of its facts is known yet.
    pub known: Vec<bool>,
    /// For each entry the time of its last known fact: when an entry that has not occurred yet shows. Empty without `as_of`.
    pub shows_at: Vec<DateTime<Utc>>,
    pub as_of: Option<DateTime<Utc>>,
    pub started_at: DateTime<Utc>,
    /// What the fold looks at: `as_of`, or the last fact.
    pub moment: DateTime<Utc>,
    /// Where the orchestrator says the remediation stood from when on, in the order of time.
    pub stages: Vec<Stage>,
    pub assessments: Assessments,
    /// When it was seen executing or later, in the order of time.
    beyond: Vec<DateTime<Utc>>,
}

/// A fact that is known, and where it comes from.
pub struct Known {
    pub fact: Fact,
    /// An index of `Story::entries`.
    pub entry: usize,
    /// The entity of its entry.
    pub entity: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Stage {
    pub at: DateTime<Utc>,
    pub stage: RemediationPhase,
    /// An index of `Story::facts`.
    pub fact: usize,
}

impl<'a> Story<'a> {
    /// Gathers what is known; `None` when nothing is, or when the remediation had not started yet.
    pub fn gather(entries: impl IntoIterator<Item = &'a Entry>, as_of: Option<DateTime<Utc>>) -> Option<Story<'a>> {
        let entries = entries_of(entries);
        let keys = keys::assign(&entries);
        let mut telling: Vec<usize> = (0..entries.len()).collect();
        telling.sort_by_key(|index| entries[*index].event.occurred_at); // stable: then by position

        let mut all = Vec::with_capacity(entries.len() * 4);
        for index in &telling {
            let (entry, entity) = (*index, keys.of[*index]);
            all.extend(facts(entries[*index], as_of).into_iter().map(|fact| Known { fact, entry, entity }));
        }
        let started_at = started_at(&all, &entries)?;
        if as_of.is_some_and(|as_of| as_of < started_at) {
            return None;
        }
        all.retain(|known| as_of.is_none_or(|as_of| known.fact.at <= as_of));
        let assessments = Assessments::find(&all);
        assessments.name(&mut all);
        let mut known = vec![false; entries.len()];
        for fact in &all {
            known[fact.entry] = true;
        }
        let shows_at = as_of.map(|_| shows_at(&all, started_at, entries.len())).unwrap_or_default();
        let last = all.iter().map(|known| known.fact.until.unwrap_or(known.fact.at)).max();
        let stages = stages(&all);
        let beyond = beyond(&all);
        let moment = as_of.or(last).unwrap_or(started_at).max(started_at);
        Some(Story {
            entries,
            telling,
            keys,
            facts: all,
            known,
            shows_at,
            as_of,
            started_at,
            moment,
            stages,
            assessments,
            beyond,
        })
    }

    /// The entry that tells a fact.
    pub fn entry_of(&self, fact: usize) -> &'a Entry {
        self.entries[self.facts[fact].entry]
    }

    /// The first time from `after` on at which the remediation was seen beyond the wait for approval.
    pub fn beyond_approval(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.beyond.get(self.beyond.partition_point(|at| *at < after)).copied()
    }
}

/// The entries of a story: by position, without narratives.
pub fn entries_of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<&'a Entry> {
    let mut entries: Vec<&Entry> = entries.into_iter().filter(|entry| entry.event.category != NARRATIVE).collect();
    entries.sort_by_key(|entry| entry.position); // mostly sorted already
    entries
}

fn shows_at(facts: &[Known], started_at: DateTime<Utc>, entries: usize) -> Vec<DateTime<Utc>> {
    let mut times = vec![started_at; entries];
    for known in facts {
        times[known.entry] = times[known.entry].max(known.fact.at);
    }
    times
}

/// The earliest fact that is a beginning, else the earliest `occurredAt`.
fn started_at(facts: &[Known], entries: &[&Entry]) -> Option<DateTime<Utc>> {
    let beginnings = facts.iter().filter(|known| match known.fact.tells {
        Tells::SignalReceived
        | Tells::RemediationCreated
        | Tells::StageEntered(_)
        | Tells::Ran { .. }
        | Tells::Began { .. }
        | Tells::Stopped { .. }
        | Tells::ApprovalAsked(_) => true,
        Tells::Itself
        | Tells::SignalRepeated
        | Tells::Ended(_)
        | Tells::BlockCleared
        | Tells::Retired
        | Tells::ChildTouched { .. }
        | Tells::Routed
        | Tells::RootCauseFound { .. }
        | Tells::RemedyRecommended
        | Tells::ApprovalDecided(_)
        | Tells::ExecutionEnded { .. }
        | Tells::StepRan
        | Tells::NotificationAsked
        | Tells::NotificationDelivered
        | Tells::NotificationFailed
        | Tells::NotificationSeen
        | Tells::AssessmentScheduled { .. }
        | Tells::ComponentAssessed(_)
        | Tells::Assessing
        | Tells::Assessed { .. } => false,
    });
    let earliest = beginnings.map(|known| known.fact.at).min();
    earliest.or_else(|| entries.iter().map(|entry| entry.event.occurred_at).min())
}

fn stages(facts: &[Known]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = facts
        .iter()
        .enumerate()
        .filter_map(|(fact, known)| match known.fact.tells {
            Tells::StageEntered(stage) => Some(Stage { at: known.fact.at, stage, fact }),
            _ => None,
        })
        .collect();
    stages.sort_by_key(|stage| stage.at); // stable: then in the order of telling
    stages
}

fn beyond(facts: &[Known]) -> Vec<DateTime<Utc>> {
    let mut beyond: Vec<DateTime<Utc>> = facts
        .iter()
        .filter(|known| match known.fact.tells {
            Tells::StageEntered(stage) => stage.spends().is_some_and(|phase| phase > PhaseName::ApprovalWait),
            Tells::Ran { phase, teller, .. } | Tells::Began { phase, teller, .. } => {
                phase == PhaseName::WorkflowExecution && teller == Teller::Own
            }
            _ => false,
        })
        .map(|known| known.fact.at)
        .collect();
    beyond.sort_unstable();
    beyond
}

/// For each entry, how many milliseconds later than it should it was recorded: an entry recorded before it had occurred
/// that much after it. Only what is more than `late_ms`.
pub fn late(story: &Story<'_>, late_ms: f64) -> HashMap<usize, f64> {
    let mut latest: Option<DateTime<Utc>> = None;
    let mut late = HashMap::new();
    for (index, entry) in story.entries.iter().enumerate() {
        let occurred_at = entry.event.occurred_at;
        if story.as_of.is_some_and(|as_of| occurred_at > as_of) {
            continue; // it has not occurred yet, though it tells of what has
        }
        if let Some(latest) = latest {
            let by = crate::audit::facts::say::millis(occurred_at, latest);
            if by > late_ms {
                late.insert(index, by);
            }
        }
        latest = latest.max(Some(occurred_at));
    }
    late
}
