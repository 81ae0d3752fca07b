//! What always holds of the demo's history.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::*;
use crate::audit::{Context, Event, Kind, canonical};

/// The greatest share of word trigrams that two reports of one family have in common, on average over all pairs. The
/// families lie between 0.06 and 0.13.
const OVERLAP_MAX: f64 = 0.15;

fn until() -> DateTime<Utc> {
    "2026-05-04T12:00:00.123456Z".parse().unwrap()
}

fn events(history: Vec<Recording>) -> Vec<(DateTime<Utc>, Event)> {
    let context = Context { cluster_id: "default", now: until(), fresh_id: Uuid::nil() };
    history
        .into_iter()
        .map(|recording| {
            let shown = canonical::object_text(&recording.submission.fields);
            let event = recording.submission.check(context).unwrap_or_else(|problems| {
                panic!(
                    "{problems:?} in \
                {shown}"
                )
            });
            assert_eq!(event.event_id, recording.event_id);
            (recording.recorded_at, event)
        })
        .collect()
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    let text = |history: Vec<Recording>| -> Vec<String> {
        history
            .into_iter()
            .map(|r| format!("{} {} {}", r.recorded_at, r.event_id, canonical::object_text(&r.submission.fields)))
            .collect()
    };
    assert_eq!(text(history(60, until())), text(history(60, until())));
}

#[test]
fn every_submission_passes_its_checks_has_its_own_id_and_was_recorded_in_order_by_now() {
    let events = events(history(300, until()));
    let ids: HashSet<_> = events.iter().map(|(_, event)| event.event_id).collect();
    assert_eq!(ids.len(), events.len());
    assert!(events.is_sorted_by_key(|(recorded_at, _)| *recorded_at));
    assert!(events.iter().all(|(recorded_at, event)| event.occurred_at <= *recorded_at && *recorded_at <= until()));
    assert!(events[0].1.occurred_at >= until() - TimeDelta::days(90));
    let late = events.iter().filter(|(recorded_at, e)| *recorded_at - e.occurred_at > TimeDelta::seconds(60)).count();
    assert!((20..400).contains(&late), "{late} audits are recorded late");
}

#[test]
fn there_are_enough_audits_of_every_kind_and_parents_come_first() {
    let events = events(history(300, until()));
    let streams: HashSet<_> = events.iter().map(|(_, event)| &event.stream).collect();
    assert_eq!(streams.len(), 300);
    let mean = events.len() as f64 / 300.0;
    assert!((18.0..=30.0).contains(&mean), "{mean} audits per remediation");
    for kind in Kind::ALL {
        let count = events.iter().filter(|(_, event)| event.kind == kind).count();
        assert!(count > 300, "{count} audits of {kind:?}");
    }
    let occurred: HashMap<_, _> = events.iter().map(|(_, event)| (event.event_id, event.occurred_at)).collect();
    for (_, event) in &events {
        if let Some(parent) = event.parent_event_id.and_then(|parent| occurred.get(&parent)) {
            assert!(*parent <= event.occurred_at, "{} before its parent", event.event_type);
        }
    }
}

#[test]
fn times_within_a_story_are_in_order_and_ends_are_ends() {
    let mut by_stream: BTreeMap<_, Vec<Event>> = BTreeMap::new();
    for (_, event) in events(history(300, until())) {
        by_stream.entry(event.stream.clone()).or_default().push(event);
    }
    for (stream, events) in by_stream {
        let text = |event: &Event, name: &str| event.payload.fields().to_map().get(name)?.as_str().map(str::to_string);
        let times = |event: &Event, name: &str| text(event, name).and_then(|time| time.parse::<DateTime<Utc>>().ok());
        let first = events.iter().map(|event| event.occurred_at).min().unwrap();
        let received = events.iter().find_map(|event| times(event, "signalReceivedAt"));
        assert!(received.is_none_or(|received| received <= first + TimeDelta::seconds(1)), "{stream}");
        let ends: HashSet<_> = events.iter().filter_map(|event| times(event, "completionTime")).collect();
        assert!(ends.len() <= 1, "{stream} ends more than once");
        let Some(end) = ends.into_iter().next() else { continue };
        for event in &events {
            let before = matches!(event.kind, Kind::SignalProcessing | Kind::AiAnalysis | Kind::WorkflowExecution);
            assert!(!before || event.occurred_at <= end, "{stream}: {} after its end", event.event_type);
        }
    }
}

#[test]
fn all_families_appear_and_no_fragment_asks_for_a_figure_that_it_does_not_have() {
    let stories = told(300, until());
    let seen: BTreeSet<_> = stories.iter().map(|(plan, _)| plan.family.name).collect();
    assert_eq!(seen.len(), families::ALL.len());
    assert!(seen.len() >= 12, "{} families", seen.len());
    let causes: BTreeSet<_> = stories.iter().map(|(plan, _)| (plan.family.name, plan.cause.name)).collect();
    assert_eq!(causes.len(), families::ALL.iter().map(|family| family.causes.len()).sum::<usize>());

    for (plan, _) in &stories {
        let figures = writer::figures(plan, until());
        for fragment in fragments(plan) {
            // Each wording has its chance.
            for turn in 0..2 {
                let text = phrase::fill(fragment, &mut Draw::new(turn, fragment), &figures);
                let stray = text.contains('{') || text.contains('}') || text.contains("  ") || text.contains(" .");
                assert!(!stray, "{} {}: {text}", plan.family.name, plan.cause.name);
            }
        }
    }
}

fn fragments(plan: &Plan) -> Vec<&'static str> {
    let (family, cause) = (plan.family, plan.cause);
    let lists = [
        family.ruled_out,
        family.passed,
        family.unclear,
        cause.summary,
        cause.openings,
        cause.evidence,
        cause.reasoning,
        cause.notes,
        cause.chain,
        cause.factors,
    ];
    let mut all: Vec<&'static str> = lists.into_iter().flatten().copied().collect();
    all.extend(family.refusals.iter().map(|(_, text)| *text));
    all.extend(cause.logs.iter().filter(|log| !log.contains("  ")));
    all.extend(family.signals.iter().flat_map(|signal| [signal.summary, signal.description]));
    all.extend(cause.alternatives.iter().map(|(_, reason)| *reason));
    assert!(
        cause.signals.iter().all(|name| family.signals.iter().any(|signal| signal.name == *name)),
        "{}",
        cause.name
    );
    for remedy in cause.remedies {
        assert_eq!(workflows::named(remedy.workflow).name, remedy.workflow, "{} is in the catalogue", remedy.workflow);
        all.push(remedy.side_effect);
        all.extend([remedy.rationale, remedy.helped, remedy.not_helped].into_iter().flatten());
        all.extend(workflows::named(remedy.workflow).failures.iter().map(|(_, message)| *message));
    }
    all
}

#[test]
fn no_two_reports_are_the_same_and_those_of_a_family_differ_in_their_words() {
    let mut reports: BTreeMap<&str, Vec<HashSet<Vec<String>>>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for (plan, told) in told(300, until()) {
        let report = told.recordings.iter().find_map(|r| r.submission.fields.get("investigationReport")?.as_str());
        let Some(report) = report.map(str::to_string) else { continue };
        let words: Vec<String> = report.split_whitespace().map(str::to_lowercase).collect();
        reports.entry(plan.family.name).or_default().push(words.windows(3).map(<[String]>::to_vec).collect());
        assert!(seen.insert(report), "{} is told twice", plan.remediation_id);
    }
    assert!(seen.len() > 250);
    for (family, reports) in reports {
        let mut shares = Vec::new();
        for (place, a) in reports.iter().enumerate() {
            shares.extend(reports[..place].iter().map(|b| {
                let both = a.intersection(b).count() as f64;
                both / (a.len() + b.len()) as f64 * 2.0
            }));
        }
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!(mean < OVERLAP_MAX, "{family}: {mean:.3} of the trigrams are shared on average");
    }
}

#[test]
fn every_ending_is_told_and_the_last_few_still_run() {
    let stories = told(300, until());
    let endings: BTreeSet<_> = stories.iter().map(|(plan, _)| plan.ending).collect();
    assert_eq!(endings.len(), 14);
    let settled = until() - TimeDelta::hours(2);
    let running: Vec<_> = stories.iter().filter(|(plan, _)| plan.caught_in.is_some()).collect();
    assert_eq!(running.len(), 7);
    for (plan, told) in running {
        let stage = told.stages[&plan.caught_in.unwrap()];
        assert!(stage.start <= until() && until() < stage.end, "{} is in {:?}", plan.remediation_id, plan.caught_in);
        assert!(told.recordings[0].recorded_at > settled);
    }
}

#[test]
fn the_same_target_keeps_its_fingerprint() {
    let mut known: HashMap<(String, Value), Value> = HashMap::new();
    let (mut again, mut count) = (0, 0);
    for (_, event) in events(history(300, until())) {
        let fields = event.payload.fields().to_map();
        let (Some(target), Some(signal)) = (fields.get("target"), fields.get("signal")) else { continue };
        count += 1;
        let before = known.insert((event.stream.cluster_id.clone(), target.clone()), signal["fingerprint"].clone());
        again += usize::from(before.is_some());
        assert!(before.is_none_or(|before| before == signal["fingerprint"]));
    }
    assert!(again * 2 > count);
}

#[test]
fn three_hundred_remediations_take_less_than_a_second() {
    let timed = || {
        let started = Instant::now();
        assert!(history(300, until()).len() > 300);
        started.elapsed()
    };
    // The machine may be busy with other tests; one undisturbed try is what counts.
    let tries = 20;
    assert!((0..tries).any(|_| timed() < Duration::from_secs(1)), "none of {tries} tries took less than a second");
}

#[test]
fn any_number_of_remediations_can_be_asked_for() {
    assert!(history(0, until()).is_empty());
    for count in [1, 2, 11, 30] {
        let streams: HashSet<_> = events(history(count, until())).into_iter().map(|(_, event)| event.stream).collect();
        assert_eq!(streams.len(), count);
    }
}
