//! What happened to a target before: its earlier remediations, how each stands to the spec that the target has now, and
//! whether what one of them mended has come back.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::{
    model::{Summary, Target},
    outcomes::{Outcomes, success},
};
use crate::audit::{StreamId, facts::say};

/// Why a remediation is part of a target's history, the closest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// The target's spec is what it was before this remediation.
    SpecHashBefore,
    /// The target's spec is what this remediation left.
    SpecHashAfter,
    /// It was about the same target.
    Target,
    /// A signal of the same fingerprint, about a resource of another name: the same workload.
    Fingerprint,
    /// A signal of the same name, about something else.
    Signal,
    /// Its texts mean the same.
    Meaning,
}

impl Match {
    /// Whether it happened to the target itself, under whatever name.
    fn own(self) -> bool {
        match self {
            Match::SpecHashBefore | Match::SpecHashAfter | Match::Target | Match::Fingerprint => true,
            Match::Signal | Match::Meaning => false,
        }
    }
}

/// How the target's spec stands to a remediation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashMatch {
    PreRemediation,
    PostRemediation,
    None,
}

/// One remediation of a target's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub summary: Summary,
    pub by: Match,
    pub hash_match: HashMatch,
}

/// How something that had been mended came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegressionKind {
    SpecUndone,
    SignalReturned,
}

/// A success that did not last.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    pub kind: RegressionKind,
    /// The remediation that had been successful.
    pub remediation: Summary,
    /// The remediation in which the signal came again.
    pub by: Option<Summary>,
    /// In words for people.
    pub explanation: String,
}

/// What happened to a target before.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetHistory {
    /// The target's own, the latest first; behind them what happened elsewhere, the closest match first.
    pub entries: Vec<Entry>,
    pub regression: Option<Regression>,
    /// What came of the target's own, also of those beyond `entries`.
    pub outcomes: Outcomes,
    /// Whether there are no more than `entries`.
    pub exhausted: bool,
}

impl TargetHistory {
    /// Puts together what was found: `own` are the remediations of the target, the latest first, and `others` those that
    /// match otherwise, in the order in which they are to be shown. A remediation that is found twice counts once, by its
    /// closest match.
    pub fn of(
        own: Vec<Summary>,
        others: impl IntoIterator<Item = (Match, Summary)>,
        current_spec_hash: Option<&str>,
        first: usize,
    ) -> TargetHistory {
        let regression = regression(&own, current_spec_hash);
        let found = own.into_iter().map(|summary| (Match::Target, summary)).chain(others);
        let mut seen: HashSet<StreamId> = HashSet::new();
        let mut entries: Vec<Entry> = found
            .filter(|(_, summary)| seen.insert(summary.stream.clone()))
            .map(|(by, summary)| entry(by, summary, current_spec_hash))
            .collect();
        // Stable: others keep their order, and so do those that started at once.
        entries.sort_by_key(|entry| match entry.by.own() {
            true => (Match::Target, Some(std::cmp::Reverse(entry.summary.started_at))),
            false => (entry.by, None),
        });
        let outcomes = Outcomes::of(entries.iter().filter(|entry| entry.by.own()).map(|entry| &entry.summary));
        let exhausted = entries.len() <= first;
        entries.truncate(first);
        TargetHistory { entries, regression, outcomes, exhausted }
    }
}

fn entry(by: Match, summary: Summary, current_spec_hash: Option<&str>) -> Entry {
    let hash_match = match current_spec_hash {
        // A remediation that did not change the spec has both; as in Kubernaut, before wins.
        Some(hash) if summary.spec_hash_before.as_deref() == Some(hash) => HashMatch::PreRemediation,
        Some(hash) if summary.spec_hash_after.as_deref() == Some(hash) => HashMatch::PostRemediation,
        _ => HashMatch::None,
    };
    let by = match (by, hash_match) {
        (Match::Target, HashMatch::PreRemediation) => Match::SpecHashBefore,
        (Match::Target, HashMatch::PostRemediation) => Match::SpecHashAfter,
        _ => by,
    };
    Entry { summary, by, hash_match }
}

/// The latest success that did not last, among remediations of one target (in whichever clusters), the latest first.
///
/// The spec was undone where it is again what it was before a success that had changed it, and no later success left it
/// so. Else, a signal came back where it was seen again on the same target after a success had ended: that is noticed
/// whatever the spec has become since.
fn regression(own: &[Summary], current_spec_hash: Option<&str>) -> Option<Regression> {
    current_spec_hash.and_then(|hash| spec_undone(own, hash)).or_else(|| signal_returned(own))
}

fn spec_undone(own: &[Summary], hash: &str) -> Option<Regression> {
    // What did not change the spec can neither be undone nor have meant it to be so.
    let changed = |summary: &Summary| success(summary) && summary.spec_hash_after != summary.spec_hash_before;
    let meant = |since: &Summary| {
        own.iter().any(|later| {
            later.stream.cluster_id == since.stream.cluster_id
                && later.completed_at > since.completed_at
                && later.spec_hash_after.as_deref() == Some(hash)
                && changed(later)
        })
    };
    let undone = own
        .iter()
        .find(|summary| summary.spec_hash_before.as_deref() == Some(hash) && changed(summary) && !meant(summary))?;
    let explanation = format!(
        "the spec of {} is again what it was before {} ({}): what that changed has been undone or overwritten since",
        target_in_words(undone.target.as_ref()),
        undone.stream.remediation_id,
        success_in_words(undone),
    );
    Some(Regression { kind: RegressionKind::SpecUndone, remediation: undone.clone(), by: None, explanation })
}

fn signal_returned(own: &[Summary]) -> Option<Regression> {
    own.iter().enumerate().find_map(|(place, again)| {
        let (before, ended_at) = own[place + 1..].iter().find_map(|before| {
            let ended_at = before.completed_at.filter(|ended_at| *ended_at <= again.started_at)?;
            let same = before.stream.cluster_id == again.stream.cluster_id
                && before.target == again.target
                && same_signal(before, again);
            (same && success(before)).then_some((before, ended_at))
        })?;
        let explanation = format!(
            "{} came again on {} {} after {} had dealt with it ({}); {}",
            signal(again, "name").unwrap_or("the same signal"),
            target_in_words(again.target.as_ref()),
            say::between(ended_at, again.started_at),
            before.stream.remediation_id,
            success_in_words(before),
            again_in_words(again),
        );
        Some(Regression {
            kind: RegressionKind::SignalReturned,
            remediation: before.clone(),
            by: Some(again.clone()),
            explanation,
        })
    })
}

/// By the signal's name; where one has no name, by the fingerprint.
fn same_signal(one: &Summary, other: &Summary) -> bool {
    let both = |field: &str| signal(one, field).zip(signal(other, field));
    both("name").or_else(|| both("fingerprint")).is_some_and(|(one, other)| one == other)
}

/// A text of a remediation's signal.
pub fn signal<'s>(summary: &'s Summary, field: &str) -> Option<&'s str> {
    summary.signal.as_ref()?.get(field)?.as_str()
}

fn target_in_words(target: Option<&Target>) -> String {
    match target {
        Some(Target { kind, namespace: Some(namespace), name }) => format!("{kind} {namespace}/{name}"),
        Some(Target { kind, namespace: None, name }) => format!("{kind} {name}"),
        None => "the target".to_string(),
    }
}

/// What a success did, and when it ended: `restart_pod, 4 May 2026 10:05 UTC, found effective`.
fn success_in_words(summary: &Summary) -> String {
    let action = summary.action_types.last().cloned();
    let ended = summary.completed_at.map(day);
    let verified = (summary.effective == Some(true)).then(|| "found effective".to_string());
    say::joined([action, ended, verified], ", ").unwrap_or_else(|| "successful".to_string())
}

fn again_in_words(summary: &Summary) -> String {
    let id = &summary.stream.remediation_id;
    match summary.outcome {
        None => format!("{id} is dealing with it now"),
        Some(_) if success(summary) => format!("{id} dealt with it then ({})", success_in_words(summary)),
        Some(outcome) => {
            let found = if summary.effective == Some(false) { ", found not effective" } else { "" };
            format!("{id} ended {}{found}", outcome.in_words())
        }
    }
}

/// As people write it.
fn day(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{
            fold,
            tests::{at, recorded},
        },
        *,
    };

    /// A remediation of `api` that started on a day of May and took an hour.
    fn told(id: &str, day: u32, more: serde_json::Value) -> Summary {
        let time = |hour: u32| format!("2026-05-{day:02}T{hour:02}:00:00Z");
        let mut audit = json!({
            "kind": "ORCHESTRATION", "remediationId": id, "occurredAt": time(11), "overallPhase": "completed",
            "crdOutcome": "remediated", "startTime": time(10), "completionTime": time(11),
            "target": {"kind": "Node", "name": "worker-3"}, "signal": {"name": "DiskPressure"},
        });
        audit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fold(&recorded([&audit]), None).unwrap().summary
    }

    fn ids(history: &TargetHistory) -> Vec<(&str, Match)> {
        history.entries.iter().map(|entry| (entry.summary.stream.remediation_id.as_str(), entry.by)).collect()
    }

    #[test]
    fn the_targets_own_come_first_then_the_closest_and_what_is_found_twice_shows_once() {
        let own = vec![told("own-2", 9, json!({})), told("own-1", 3, json!({}))];
        let others = [
            (Match::Fingerprint, told("own-2", 9, json!({}))),
            (Match::Fingerprint, told("same-workload", 5, json!({}))),
            (Match::Signal, told("elsewhere", 20, json!({}))),
            (Match::Meaning, told("like-1", 2, json!({}))),
            (Match::Meaning, told("elsewhere", 20, json!({}))),
            (Match::Meaning, told("like-2", 25, json!({}))),
        ];
        let history = TargetHistory::of(own.clone(), others.clone(), None, 10);
        let expected = [
            ("own-2", Match::Target),
            ("same-workload", Match::Fingerprint),
            ("own-1", Match::Target),
            ("elsewhere", Match::Signal),
            ("like-1", Match::Meaning),
            ("like-2", Match::Meaning),
        ];
        assert_eq!(ids(&history), expected);
        assert_eq!((history.outcomes.count, history.exhausted), (3, true));
        let cut = TargetHistory::of(own, others, None, 5);
        assert_eq!(ids(&cut), expected[..5]);
        assert_eq!((cut.outcomes.count, cut.exhausted), (3, false));
    }

    #[test]
    fn a_signal_has_come_back_only_on_the_same_target_in_the_same_cluster_after_a_success_had_ended() {
        let first = told("rr-1", 3, json!({"actionType": "CordonNode"}));
        let again = told("rr-2", 5, json!({"crdOutcome": "inconclusive"}));
        let back = regression(&[again.clone(), first.clone()], None).unwrap();
        assert_eq!(
            back.explanation,
            "DiskPressure came again on Node worker-3 1 d 23 h after rr-1 had dealt with it (CordonNode, 3 May 2026 11:00 \
             UTC); rr-2 ended inconclusive"
        );
        let second = told("rr-2", 5, json!({}));
        assert!(regression(&[second, first.clone()], None).unwrap().explanation.contains("rr-2 dealt with it then"));

        let elsewhere = told("rr-2", 5, json!({"clusterId": "other"}));
        let another = told("rr-2", 5, json!({"signal": {"name": "MemoryPressure"}}));
        let meanwhile = told("rr-2", 3, json!({}));
        let failed = told("rr-1", 3, json!({"overallPhase": "failed", "crdOutcome": null}));
        for other in [elsewhere, another, meanwhile] {
            assert_eq!(regression(&[other, first.clone()], None), None);
        }
        assert_eq!(regression(&[again, failed], None), None);
        assert_eq!(first.completed_at, Some(at("2026-05-03T11:00:00Z")));
    }
}
