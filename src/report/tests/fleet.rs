//! The remediations of the demo, each with the evidence that a database would hand in.

use std::collections::BTreeMap;

use super::*;
use crate::{
    audit::{Context, StreamId, Version, event::SealedWords},
    demo,
    remediation::outcomes::Outcomes,
};

/// How many similar remediations are handed in.
const NEAREST: usize = 20;

/// The evidence of each of so many remediations of the demo, in the order in which they began. Those of the same signal
/// count as similar.
pub fn fleet(remediations: usize) -> Vec<Evidence> {
    let until = at("2026-05-04T12:00:00Z");
    let mut streams: BTreeMap<StreamId, Vec<Entry>> = BTreeMap::new();
    for (index, recording) in demo::history(remediations, until).into_iter().enumerate() {
        let context = Context { cluster_id: "default", now: until, fresh_id: recording.event_id };
        let event = recording.submission.check(context).expect("the demo records nothing wrong");
        let entries = streams.entry(event.stream.clone()).or_default();
        entries.push(Entry {
            position: Position(index as i64 + 1),
            version: Version(entries.len() as i32 + 1),
            recorded_at: recording.recorded_at,
            recorded_by: None,
            words: SealedWords::of(&event),
            digest: event.digest().to_vec(),
            event,
        });
    }
    let mut all: Vec<Evidence> = streams.into_values().map(alone).collect();
    all.sort_by_key(|evidence| evidence.remediation.summary.started_at);
    for index in 0..all.len() {
        let (before, rest) = all.split_at_mut(index);
        acquaint(&mut rest[0], before);
    }
    all
}

/// Hands in what had happened before.
fn acquaint(evidence: &mut Evidence, before: &[Evidence]) {
    let summary = &evidence.remediation.summary;
    let name =
        |summary: &Summary| summary.signal.as_ref().and_then(|signal| Some(signal.get("name")?.as_str()?.to_string()));
    let settled = || {
        before
            .iter()
            .rev()
            .filter(|other| other.remediation.summary.completed_at.is_some_and(|end| end < summary.started_at))
    };
    let alike: Vec<&Evidence> = settled().filter(|other| name(&other.remediation.summary) == name(summary)).collect();
    let same: Vec<&Evidence> =
        settled().filter(|other| same_target(&other.remediation.summary, summary)).take(10).collect();
    let nearest = alike.iter().take(NEAREST).map(|other| Similar {
        summary: other.remediation.summary.clone(),
        similarity: Some(0.8),
        by: Match::Meaning,
        event_id: other.entries[0].event.event_id,
        text: "What went wrong there".to_string(),
    });
    evidence.similar.nearest = nearest.collect();
    evidence.similar.outcomes = Outcomes::of(alike.iter().map(|other| &other.remediation.summary));
    evidence.similar.recent = evidence.similar.outcomes.clone();
    evidence.others = alike.iter().take(NEAREST).map(|other| other.entries[0].clone()).collect();
    evidence.others.extend(same.iter().map(|other| other.entries.last().unwrap().clone()));
    evidence.earlier = same.iter().map(|other| other.remediation.summary.clone()).collect();
}

fn same_target(one: &Summary, other: &Summary) -> bool {
    one.target == other.target && one.stream.cluster_id == other.stream.cluster_id
}
