//! The timeline: the facts for people, in the order in which they happened.

use std::{
    collections::{HashMap, HashSet},
    mem::take,
};

use uuid::Uuid;

use super::{model::TimelineEntry, once, story::Story};
use crate::audit::{
    Kind,
    facts::{About, Shown, say},
};

/// Builds the timeline, and takes the facts for it. `own` says of which phases their own service tells; `echoes` are facts
/// that others say better;
/// `late` are the entries that came late.
pub fn build(
    story: &mut Story<'_>,
    own: [bool; 7],
    echoes: &HashMap<usize, usize>,
    late: &HashMap<usize, f64>,
) -> Vec<TimelineEntry> {
    let shown = shown(story, own, echoes);
    let mut also = also_told(story, echoes);
    let facts = take(&mut story.facts);
    let (entries, started_at) = (&story.entries, story.started_at);
    let mut timeline: Vec<TimelineEntry> = facts
        .into_iter()
        .zip(shown)
        .enumerate()
        .filter(|(_, (_, shown))| *shown)
        .map(|(index, (known, _))| {
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
                also_told_by: also.remove(&index).unwrap_or_default(),
                recorded_late_by_ms: late.get(&known.entry).copied(),
            }
        })
        .collect();
    timeline.sort_by_key(|entry| (entry.at, entry.position, entry.index));
    timeline
}

/// The events that tell a fact too, by that fact.
fn also_told(story: &Story<'_>, echoes: &HashMap<usize, usize>) -> HashMap<usize, Vec<Uuid>> {
    let mut entries: HashMap<usize, Vec<usize>> = HashMap::new();
    for (echo, kept) in echoes {
        let (echo, by) = (story.facts[*echo].entry, story.facts[*kept].entry);
        if echo != by {
            entries.entry(*kept).or_default().push(echo);
        }
    }
    let named = |mut entries: Vec<usize>| {
        entries.sort_unstable();
        entries.dedup();
        entries.into_iter().map(|entry| story.entries[entry].event.event_id).collect()
    };
    entries.into_iter().map(|(kept, entries)| (kept, named(entries))).collect()
}

/// Which facts show. Of each entry at least one does, so that nothing recorded is invisible; but for an entry that only
/// repeats what others say better: it is named with the fact that shows.
fn shown(story: &Story<'_>, own: [bool; 7], echoes: &HashMap<usize, usize>) -> Vec<bool> {
    let kept: HashSet<usize> = echoes.values().copied().collect();
    let repeated = repeated(story);
    let silent = once::silent(story, echoes, &repeated);
    let mut seen: Vec<bool> = (0..story.entries.len()).map(|entry| silent.contains(&entry)).collect();
    let mut shown: Vec<bool> = Vec::with_capacity(story.facts.len());
    for (index, known) in story.facts.iter().enumerate() {
        let shows = match known.fact.shown {
            Shown::Always => true,
            Shown::Untold => known.fact.phase.is_none_or(|phase| !own[phase as usize]),
            Shown::Alone | Shown::Never => false,
        };
        let shows = (shows && !echoes.contains_key(&index) && !repeated.contains(&index)) || kept.contains(&index);
        shown.push(shows);
        seen[known.entry] |= shows;
    }
    // What else an entry has to say, best first: its own moment, then what others say too.
    for wanted in [Shown::Alone, Shown::Always, Shown::Untold, Shown::Never] {
        for (index, known) in story.facts.iter().enumerate() {
            if !seen[known.entry] && known.fact.shown == wanted && !echoes.contains_key(&index) {
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
