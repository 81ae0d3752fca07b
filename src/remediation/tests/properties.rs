//! What holds of every stream, however strange.

use std::{collections::HashSet, sync::Arc};

use proptest::prelude::*;

use super::{
    super::{Folded, NARRATIVE, summary, summary_and_views},
    *,
};
use crate::audit::{
    Event, StreamId,
    event::time_text,
    facts::facts,
    fields::{COMMON, Field, KindTable, Shape, Table},
};

const START: &str = "2026-05-04T10:00:00Z";
const PLANS: [&str; 6] = [
    "requiredBy",
    "validityDeadline",
    "prometheusCheckAfter",
    "alertmanagerCheckAfter",
    "hashComputeAfter",
    "retentionExpiryTime",
];

/// A source of choices, so that an event is made from one number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.roll(from.len() as u64) as usize]
    }
}

/// A time within ten minutes, coarse enough that many are equal.
fn some_time(dice: &mut Dice) -> DateTime<Utc> {
    at(START) + TimeDelta::seconds(dice.roll(60) as i64 * 10)
}

fn some_value(shape: Shape, dice: &mut Dice) -> Value {
    match shape {
        Shape::Name => dice.pick(&["one", "two", "Analyzing", "Executing", "completed"]).into(),
        Shape::Line | Shape::Text => dice.pick(&["It leaks.", "# Head\n\nA. B.", "ä"]).into(),
        Shape::Word(words) => words.words[dice.roll(words.words.len() as u64) as usize].0.into(),
        Shape::Count | Shape::Int => dice.roll(4).into(),
        Shape::Score | Shape::Impact => json!(dice.roll(11) as f64 / 10.0),
        Shape::Ms => json!(dice.roll(30) * 10_000),
        Shape::Bool => (dice.roll(2) == 0).into(),
        Shape::Time => time_text(some_time(dice)).into(),
        Shape::Uuid => Uuid::from_u64_pair(dice.roll(9), 1).to_string().into(),
        Shape::Json => json!({"decision": "Approved", "from_phase": "a", "to_phase": "Analyzing", "message": "m"}),
        Shape::Names | Shape::Lines => json!(["one", "two"]),
        Shape::WordList(words) => json!([words.words[0].0]),
        Shape::Object(table) => some_fields(table, dice, 2),
        Shape::Objects(table) => (0..dice.roll(4)).map(|_| some_fields(table, dice, 2)).collect(),
    }
}

/// Each field with a chance of one in `rarity`; now and then of a wrong shape, for a journal that somebody changed.
fn some_fields(table: &Table, dice: &mut Dice, rarity: u64) -> Value {
    let mut fields = serde_json::Map::new();
    for field in table.fields {
        if dice.roll(rarity) == 0 {
            let value = if dice.roll(60) == 0 { json!([1, "x"]) } else { some_value(field.shape, dice) };
            fields.insert(field.name.to_string(), value);
        }
    }
    Value::Object(fields)
}

fn some_event(seed: u64, index: usize) -> Event {
    let mut dice = Dice(seed);
    let kind = Kind::ALL[dice.roll(7) as usize];
    let table = KindTable::of(kind);
    let Value::Object(mut fields) = some_fields(table.table, &mut dice, 4) else { unreachable!() };
    for name in ["environment", "severity", "signal", "target", "details"] {
        let Field { shape, .. } = COMMON.field(name).unwrap();
        if dice.roll(5) == 0 {
            fields.insert(name.to_string(), some_value(*shape, &mut dice));
        }
    }
    if let Some(status) = table.status {
        let Shape::Word(words) = table.field(status).unwrap().shape else { unreachable!() };
        fields.insert(status.to_string(), some_value(Shape::Word(words), &mut dice));
    }
    let types = [
        "gateway.signal.received",
        "orchestrator.approval.requested",
        "orchestrator.approval.approved",
        "x.approval.rejected",
        "orchestrator.lifecycle.created",
        "aiagent.session.started",
        "aiagent.session.completed",
        "a.retention",
        "plain",
    ];
    Event {
        event_id: Uuid::from_u64_pair(seed, index as u64),
        stream: StreamId { cluster_id: "c".into(), remediation_id: "r".into() },
        // No two at once, so that the last to tell does not depend on the order of recording.
        occurred_at: some_time(&mut dice) + TimeDelta::microseconds(index as i64),
        kind,
        category: dice.pick(&["approval", "gateway", "aiagent", "shop"]).to_string(),
        event_type: dice.pick(&types).to_string(),
        outcome: None,
        actor_type: None,
        actor_id: None,
        parent_event_id: None,
        trace_id: None,
        span_id: None,
        schema_version: 1,
        payload: crate::audit::event::Payload::new(fields),
        content_digest: [0; 32],
    }
}

fn sealed(events: &[Event]) -> Vec<Entry> {
    let seal = |(index, event): (usize, &Event)| Entry {
        position: Position(index as i64 + 1),
        version: Version(index as i32 + 1),
        recorded_at: at("2026-06-01T00:00:00Z") + TimeDelta::seconds(index as i64),
        recorded_by: None,
        words: crate::audit::event::SealedWords::of(event),
        digest: Vec::new(),
        event: event.clone(),
    };
    events.iter().enumerate().map(seal).collect()
}

fn some_stream() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(any::<u64>(), 1..12)
        .prop_map(|seeds| seeds.into_iter().enumerate().map(|(index, seed)| some_event(seed, index)).collect())
}

/// Every time that a remediation shows, but for plans.
fn times(remediation: &Remediation) -> Vec<(String, DateTime<Utc>)> {
    let summary = &remediation.summary;
    let mut times = vec![("startedAt".to_string(), summary.started_at)];
    let mut add = |what: String, time: Option<DateTime<Utc>>| times.extend(time.map(|time| (what, time)));
    add("completedAt".into(), summary.completed_at);
    for phase in &summary.phases {
        add(format!("{:?}", phase.name), phase.ended_at.or(Some(phase.started_at)));
        for interval in &phase.intervals {
            add(format!("{:?}", phase.name), interval.ended_at.or(Some(interval.started_at)));
        }
    }
    for approval in &summary.approvals {
        add("approval".into(), approval.requested_at);
        add("approval".into(), approval.decided_at);
    }
    for entry in &remediation.timeline {
        add(entry.title.clone(), Some(entry.at));
        add(entry.title.clone(), entry.until);
    }
    for row in &remediation.views {
        add("first".into(), Some(row.first_occurred_at));
        add("last".into(), Some(row.last_occurred_at));
        for (name, value) in &row.fields {
            let field = KindTable::of(row.kind).field(name).unwrap();
            value_times(name, field.shape, value, &mut add);
        }
    }
    times
}

fn value_times(name: &str, shape: Shape, value: &Value, add: &mut impl FnMut(String, Option<DateTime<Utc>>)) {
    match (shape, value) {
        (Shape::Time, Value::String(text)) if !PLANS.contains(&name) => add(name.to_string(), text.parse().ok()),
        (Shape::Object(table) | Shape::Objects(table), Value::Object(members)) => {
            for (inner, value) in members {
                if let Some(field) = table.field(inner) {
                    value_times(&format!("{name}.{inner}"), field.shape, value, add);
                }
            }
        }
        (Shape::Objects(_), Value::Array(items)) => items.iter().for_each(|item| value_times(name, shape, item, add)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_stream_makes_the_fold_panic_and_nothing_recorded_is_invisible(events in some_stream()) {
        let remediation = fold(&sealed(&events), None).expect("there are entries");
        let named = |entry: &TimelineEntry| [entry.event_id].into_iter().chain(entry.also_told_by.clone()).collect::<Vec<_>>();
        let shown: HashSet<_> = remediation.timeline.iter().flat_map(named).collect();
        for event in &events {
            prop_assert!(shown.contains(&event.event_id), "{:?} is invisible", event);
        }
        let summary = &remediation.summary;
        prop_assert_eq!(summary.events, events.len());
        prop_assert!(summary.duration_ms >= 0.0 && summary.unaccounted_ms >= 0.0);
        prop_assert!((0.0..=1.0).contains(&summary.completeness.score));
        for phase in &summary.phases {
            prop_assert!(phase.duration_ms >= 0.0, "{:?}", phase);
            prop_assert!(phase.share.is_none_or(|share| (0.0..=1.0).contains(&share)), "{:?}", phase);
            for pair in phase.intervals.windows(2) {
                prop_assert!(pair[0].ended_at.is_some_and(|end| end <= pair[1].started_at), "{:?}", phase);
            }
        }
        prop_assert!(remediation.timeline.is_sorted_by_key(|entry| (entry.at, entry.position, entry.index)));
        let ids: HashSet<_> = remediation.timeline.iter().map(|entry| (entry.event_id, entry.index)).collect();
        prop_assert_eq!(ids.len(), remediation.timeline.len());
    }

    #[test]
    fn the_order_of_recording_changes_nothing_but_what_came_late(
        (events, shuffled) in some_stream().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        seconds in prop::option::of(0_i64..600),
    ) {
        let as_of = seconds.map(|seconds| at(START) + TimeDelta::seconds(seconds));
        let one = fold(&sealed(&events), as_of).map(|remediation| whatever_the_order(&remediation)).unwrap_or_default();
        let other = fold(&sealed(&shuffled), as_of).map(|remediation| whatever_the_order(&remediation)).unwrap_or_default();
        let differing = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        prop_assert!(one == other, "{:?}", differing);
    }

    #[test]
    fn as_of_a_moment_nothing_after_it_shows_and_a_fact_keeps_its_place(events in some_stream(), seconds in 0_i64..600) {
        let as_of = at(START) + TimeDelta::seconds(seconds);
        let entries = sealed(&events);
        let whole = fold(&entries, None).unwrap();
        match fold(&entries, Some(as_of)) {
            None => {
                let told = entries.iter().flat_map(|entry| facts(entry, None));
                let nothing = told.into_iter().all(|fact| fact.at > as_of);
                prop_assert!(as_of < whole.summary.started_at || nothing);
            }
            Some(then) => {
                prop_assert_eq!(then.summary.started_at, whole.summary.started_at);
                for (what, time) in times(&then) {
                    prop_assert!(time <= as_of, "{} shows {} as of {}", what, time, as_of);
                }
            }
        }
        for entry in &entries {
            let place = |facts: Vec<crate::audit::facts::Fact>| {
                facts.into_iter().map(|fact| (fact.index, fact.at, fact.about)).collect::<Vec<_>>()
            };
            prop_assert_eq!(place(facts(entry, Some(as_of))), place(facts(entry, None)));
        }
    }

    #[test]
    fn what_is_made_later_or_alone_is_what_the_whole_fold_makes(
        events in some_stream(), seconds in 0_i64..600, narrative in any::<prop::sample::Index>()
    ) {
        let mut entries = sealed(&events);
        let place = narrative.index(entries.len());
        let mut written = entries[place].clone();
        written.event.category = NARRATIVE.to_string();
        entries.insert(place, written);
        let shared: Vec<Arc<Entry>> = entries.iter().cloned().map(Arc::new).collect();
        for as_of in [None, Some(at(START) + TimeDelta::seconds(seconds))] {
            let whole = fold(&entries, as_of);
            let later = Folded::of(shared.clone(), as_of);
            prop_assert_eq!(whole.is_some(), later.is_some());
            let (Some(whole), Some(later)) = (whole, later) else { continue };
            prop_assert_eq!((&later.summary, &later.timeline), (&whole.summary, &whole.timeline));
            prop_assert_eq!(later.views().iter().map(Arc::as_ref).collect::<Vec<_>>(), whole.views.iter().collect::<Vec<_>>());
        }
        let whole = fold(&entries, None).unwrap();
        prop_assert_eq!(summary(&entries), Some(whole.summary.clone()));
        prop_assert_eq!(summary_and_views(&entries), Some((whole.summary, whole.views)));
    }

    #[test]
    fn as_of_the_far_future_is_the_whole_once_everything_has_ended(events in some_stream()) {
        let entries = sealed(&events);
        let whole = fold(&entries, None).unwrap();
        let ended = whole.summary.completed_at.is_some()
            && whole.summary.phases.iter().all(|phase| phase.ended_at.is_some())
            && whole.summary.settled_at.is_none_or(|settled_at| whole.timeline.iter().any(|entry| entry.at >= settled_at));
        let then = fold(&entries, Some(at("2100-01-01T00:00:00Z"))).unwrap();
        prop_assert_eq!(&then.timeline, &whole.timeline);
        prop_assert_eq!(&then.views, &whole.views);
        if ended {
            prop_assert_eq!(&then.summary.phases, &whole.summary.phases);
            prop_assert_eq!(then.summary.duration_ms, whole.summary.duration_ms);
            prop_assert_eq!(then.summary.phase, whole.summary.phase);
            prop_assert_eq!(then.summary.bottleneck, whole.summary.bottleneck);
            prop_assert_eq!(&then.summary.approvals, &whole.summary.approvals);
        }
    }
}
