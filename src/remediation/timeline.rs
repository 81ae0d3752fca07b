//! The timeline: the facts for people, in the order in which they happened.

use std::collections::{HashMap, HashSet};

use super::{model::TimelineEntry, story::Story};
use crate::audit::{
    Kind,
    facts::{About, Shown, say},
};

/// Builds the timeline. `own` says of which phases their own service tells; `echoes` are facts that others say better;
/// `late` are the entries that came late.
pub fn build(
    story: Story<'_>,
    own: [bool; 7],
    echoes: &HashSet<usize>,
    late: &HashMap<usize, f64>,
) -> Vec<TimelineEntry> {
    let shown = shown(&story, own, echoes);
    let Story { entries, facts, started_at, .. } = story;
    let mut timeline: Vec<TimelineEntry> = facts
        .into_iter()
        .zip(shown)
        .filter(|(_, shown)| *shown)
        .map(|(known, _)| {
            let (entry, fact) = (entries[known.entry], known.fact);
            TimelineEntry {
                event_id: entry.event.event_id,
                index: fact.index,
                position: entry.position,
                at: fact.at,
                until: fact.until,
                offset_ms: say::millis(started_at, fact.at),
                duration_ms: fact.until.map(|until| say::millis(fact.at, until)),
                service: entry.event.kind,
                phase: fact.phase,
                title: fact.title.into_owned(),
                detail: fact.detail,
                decision: fact.decision.map(|decision| *decision),
                recorded_late_by_ms: late.get(&known.entry).copied(),
            }
        })
        .collect();
    timeline.sort_by_key(|entry| (entry.at, entry.position, entry.index));
    timeline
}

/// Which facts show. Of each entry at least one does, so that nothing recorded is invisible.
fn shown(story: &Story<'_>, own: [bool; 7], echoes: &HashSet<usize>) -> Vec<bool> {
    let repeated = repeated(story);
    let mut seen = vec![false; story.entries.len()];
    let mut shown: Vec<bool> = Vec::with_capacity(story.facts.len());
    for (index, known) in story.facts.iter().enumerate() {
        let shows = match known.fact.shown {
            Shown::Always => true,
            Shown::Untold => known.fact.phase.is_none_or(|phase| !own[phase as usize]),
            Shown::Alone | Shown::Never => false,
        };
        let shows = shows && !echoes.contains(&index) && !repeated.contains(&index);
        shown.push(shows);
        seen[known.entry] |= shows;
    }
    // What else an entry has to say, best first: its own moment, then what others say too.
    for wanted in [Shown::Alone, Shown::Always, Shown::Untold, Shown::Never] {
        for (index, known) in story.facts.iter().enumerate() {
            if !seen[known.entry] && known.fact.shown == wanted {
                shown[index] = true;
                seen[known.entry] = true;
            }
        }
    }
    shown
}

/// Facts that are told again later: of the same entity, about the same thing, at the same time.
fn repeated(story: &Story<'_>) -> HashSet<usize> {
    let mut last: HashMap<(usize, &About, i64), usize> = HashMap::new();
    let mut repeated = HashSet::new();
    for (index, known) in story.facts.iter().enumerate() {
        let fact = &known.fact;
        let open_kind = story.entries[known.entry].event.kind == Kind::Other;
        if open_kind || matches!(fact.about.0, "moment" | "stage") || fact.shown == Shown::Never {
            continue;
        }
        let key = (known.entity, &fact.about, fact.at.timestamp_micros());
        repeated.extend(last.insert(key, index));
    }
    repeated
}
