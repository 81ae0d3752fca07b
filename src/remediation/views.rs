//! The services' rows: one per entity, each field with the latest value told.

use std::{collections::BTreeMap, sync::LazyLock};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    context::{known, known_by, overlay},
    keys::Keys,
    model::ViewRow,
    story::Story,
};
use crate::audit::{
    Entry, Kind,
    facts::{Fields, Items, Json, moved},
    fields::{COMMON, Field, KindTable, Shape},
    limits::LIST_MAX,
};

/// The common fields that a row carries; the others stand in the envelope.
const CONTEXT: [&str; 5] = ["environment", "severity", "signal", "target", "details"];
/// Fields that hold what somebody plans; a plan is known from when it is told, not from when it comes true.
const PLANS: [&str; 6] = [
    "requiredBy",
    "validityDeadline",
    "prometheusCheckAfter",
    "alertmanagerCheckAfter",
    "hashComputeAfter",
    "retentionExpiryTime",
];

/// The fields of each kind that a row carries, sorted by name.
static FIELDS: LazyLock<[Vec<&'static Field>; 7]> = LazyLock::new(|| {
    Kind::ALL.map(|kind| {
        let common = COMMON.fields.iter().filter(|field| CONTEXT.contains(&field.name));
        let mut fields: Vec<&Field> = common.chain(KindTable::of(kind).table.fields).collect();
        fields.sort_unstable_by_key(|field| field.name);
        fields
    })
});

/// From what the rows are made beside the entries: little, so that it can be kept until somebody asks for them.
pub struct RowSource {
    telling: Vec<usize>,
    keys: Keys,
    known: Vec<bool>,
    shows_at: Vec<DateTime<Utc>>,
    as_of: Option<DateTime<Utc>>,
    /// Of each assessment that came to a score: its entity, the score, and whether that is there in spite of what was told.
    scores: Vec<(usize, f64, bool)>,
}

impl RowSource {
    /// Of a story whose entries and facts may be gone already.
    pub fn of(story: Story<'_>) -> RowSource {
        let scores = story.assessments.scores().collect();
        let Story { telling, keys, known, shows_at, as_of, .. } = story;
        RowSource { telling, keys, known, shows_at, as_of, scores }
    }

    /// The rows of a remediation, in the order of `Kind::ALL`, then by key; `entries` are those of the story.
    pub fn rows(&self, entries: &[&Entry]) -> Vec<ViewRow> {
        let mut rows: BTreeMap<(Kind, &str), Row<'_>> = BTreeMap::new();
        for index in &self.telling {
            let entry = entries[*index];
            if entry.event.kind == Kind::Other || !self.known[*index] {
                continue;
            }
            let (kind, key) = &self.keys.entities[self.keys.of[*index]];
            let occurred_at = if known(entry, self.as_of) { entry.event.occurred_at } else { self.shows_at[*index] };
            rows.entry((*kind, key)).or_insert_with(|| Row::new(*kind, occurred_at)).tell(
                entry,
                occurred_at,
                self.as_of,
            );
        }
        let mut rows: Vec<ViewRow> = rows.into_iter().map(|((kind, key), row)| row.finish(kind, key)).collect();
        self.score(&mut rows);
        rows
    }

    /// An assessment that names no score has the one that its components came to, and of one whose target was changed by
    /// somebody else nothing is left.
    fn score(&self, rows: &mut [ViewRow]) {
        for (entity, score, drifted) in &self.scores {
            let (kind, key) = &self.keys.entities[*entity];
            let Some(row) = rows.iter_mut().find(|row| row.kind == *kind && row.key == *key) else { continue };
            if *drifted || !row.fields.contains_key("traditionalScore") {
                row.fields.insert("traditionalScore".to_string(), (*score).into());
            }
        }
    }
}

struct Row<'a> {
    /// The fields of its kind, and what each holds.
    table: &'static [&'static Field],
    told: Vec<Option<Told<'a>>>,
    first_occurred_at: DateTime<Utc>,
    last_occurred_at: DateTime<Utc>,
    entries: Vec<&'a Entry>,
}

enum Told<'a> {
    As(Json<'a>),
    /// Put together from several tellings, or cut to what was known.
    Made(Value),
}

impl<'a> Row<'a> {
    fn new(kind: Kind, occurred_at: DateTime<Utc>) -> Row<'a> {
        let table = FIELDS[kind as usize].as_slice();
        let told = std::iter::repeat_with(|| None).take(table.len()).collect();
        Row { table, told, first_occurred_at: occurred_at, last_occurred_at: occurred_at, entries: Vec::new() }
    }

    fn tell(&mut self, entry: &'a Entry, occurred_at: DateTime<Utc>, as_of: Option<DateTime<Utc>>) {
        self.first_occurred_at = self.first_occurred_at.min(occurred_at);
        self.last_occurred_at = self.last_occurred_at.max(occurred_at);
        self.entries.push(entry);
        let one_by_one = entry.event.event_type == "aiagent.llm.tool_call";
        for (name, value) in entry.event.fields().members() {
            let Ok(place) = self.table.binary_search_by_key(&name, |field| field.name) else { continue };
            let told = match as_of {
                None => Some(Told::As(value)),
                Some(as_of) => told_by(self.table[place], value, entry, as_of),
            };
            let tools = match &told {
                Some(Told::As(value)) if name == "toolsInvoked" && one_by_one => value.as_array(),
                _ => None,
            };
            match (tools, told) {
                (Some(tools), _) => self.add_tools(place, tools),
                (None, Some(told)) => self.keep(place, told),
                (None, None) => {}
            }
        }
    }

    /// An agent tells the tools that it uses one by one; together they are what the analysis used.
    fn add_tools(&mut self, place: usize, tools: impl Iterator<Item = Json<'a>>) {
        let mut all: Vec<Value> = match self.told[place].take() {
            Some(told) => match told.value() {
                Value::Array(all) => all,
                _ => Vec::new(),
            },
            None => Vec::new(),
        };
        for tool in tools {
            if all.len() < LIST_MAX && !all.iter().any(|known| Json::Value(known) == tool) {
                all.push(tool.to_value());
            }
        }
        self.told[place] = Some(Told::Made(Value::Array(all)));
    }

    fn keep(&mut self, place: usize, told: Told<'a>) {
        // A signal and the details are told in parts, and a part that is told fills what is empty.
        let parts = matches!(self.table[place].name, "signal" | "details");
        let after = match &told {
            Told::As(value) if parts => value.as_object(),
            _ => None,
        };
        match (&mut self.told[place], after) {
            (Some(before), Some(after)) => {
                if let Told::As(whole) = before {
                    *before = Told::Made(whole.to_value());
                }
                match before {
                    Told::Made(Value::Object(whole)) => overlay(whole, after),
                    before => *before = told,
                }
            }
            (before, _) => *before = Some(told),
        }
    }

    fn finish(mut self, kind: Kind, key: &str) -> ViewRow {
        self.entries.sort_by_key(|entry| entry.position);
        let last = self.entries.last().expect("a row is made when an entry tells of it");
        let fields = self.table.iter().zip(self.told);
        let fields = fields.filter_map(|(field, told)| Some((field.name.to_string(), told?.value())));
        ViewRow {
            kind,
            stream: last.event.stream.clone(),
            key: key.to_string(),
            fields: fields.collect(),
            first_occurred_at: self.first_occurred_at,
            last_occurred_at: self.last_occurred_at,
            event_ids: self.entries.iter().map(|entry| entry.event.event_id).collect(),
            last_event_id: last.event.event_id,
            last_position: last.position,
        }
    }
}

impl Told<'_> {
    fn value(self) -> Value {
        match self {
            Told::As(value) => value.to_value(),
            Told::Made(value) => value,
        }
    }
}

/// A field's value as it was known at `as_of`; `None` where it was not.
fn told_by<'a>(field: &Field, value: Json<'a>, entry: &'a Entry, as_of: DateTime<Utc>) -> Option<Told<'a>> {
    let fields = entry.event.fields();
    let occurred = entry.event.occurred_at <= as_of;
    let made = |made: Option<Value>| made.map(Told::Made);
    if value.as_str().is_some() && matches!(field.shape, Shape::Time) && !PLANS.contains(&field.name) {
        return fields.time(field.name).map_or(occurred, |time| time <= as_of).then_some(Told::As(value));
    }
    match (field.name, value.as_array(), value.as_object()) {
        ("stepExecutions", Some(items), _) => made(steps(items, fields, occurred, as_of)),
        ("processingPhases", Some(items), _) => made(cut_list(items, &PROCESSING, occurred, as_of)),
        ("deliveryAttempts", Some(items), _) => made(cut_list(items, &ATTEMPT, occurred, as_of)),
        ("serviceTransitions" | "crdPropagation", Some(items), _) => made(cut_list(items, &TOUCHED, occurred, as_of)),
        ("adaptiveAdjustments", Some(items), _) => made(cut_list(items, &ADJUSTMENT, occurred, as_of)),
        ("serviceCrdStatuses", _, Some(known)) => made(children(known, occurred, as_of)),
        _ => known_by(field, entry, Some(as_of)).then_some(Told::As(value)),
    }
}

/// Where an item of a list says when it began and ended, and what of it is known from the start.
struct Item {
    start: &'static str,
    end: &'static str,
    from_start: &'static [&'static str],
}

const PROCESSING: Item = Item { start: "startTime", end: "endTime", from_start: &["phase", "startTime"] };
const STEP: Item =
    Item { start: "startTime", end: "endTime", from_start: &["stepNumber", "action", "target", "startTime"] };
const ATTEMPT: Item = Item { start: "at", end: "", from_start: &["channel", "attempt", "at"] };
const TOUCHED: Item = Item { start: "at", end: "", from_start: &[] };
const ADJUSTMENT: Item = Item { start: "timestamp", end: "", from_start: &[] };
const CHILD: Item = Item { start: "startTime", end: "completionTime", from_start: &["startTime"] };

/// The items that had begun, those that had not ended without what came of them.
fn cut_list(items: Items<'_>, item: &Item, occurred: bool, as_of: DateTime<Utc>) -> Option<Value> {
    let items: Vec<Value> = items.filter_map(|value| cut(value, item, None, occurred, as_of)).collect();
    (occurred || !items.is_empty()).then_some(Value::Array(items))
}

/// One item as it was known; `started` is its start where it does not tell one. Without any it is known with its event.
fn cut(
    value: Json<'_>,
    item: &Item,
    started: Option<DateTime<Utc>>,
    occurred: bool,
    as_of: DateTime<Utc>,
) -> Option<Value> {
    let Some(fields) = value.as_object() else { return occurred.then(|| value.to_value()) };
    let took = fields.ms("durationMs");
    let end = fields.time(item.end);
    let start = fields.time(item.start).or_else(|| moved(end?, -took?)).or(started);
    let Some(start) = start.or(end) else { return occurred.then(|| value.to_value()) };
    if start > as_of {
        return None;
    }
    let end = end.or_else(|| moved(start, took?));
    let whole = match end {
        Some(end) => end <= as_of,
        None => occurred || item.end.is_empty(),
    };
    if whole || item.from_start.is_empty() {
        return Some(value.to_value());
    }
    let known = fields.members().filter(|(name, _)| item.from_start.contains(name));
    Some(Value::Object(known.map(|(name, value)| (name.to_string(), value.to_value())).collect()))
}

/// Steps without times follow one another from the execution's start.
fn steps(steps: Items<'_>, fields: Fields<'_>, occurred: bool, as_of: DateTime<Utc>) -> Option<Value> {
    let began = || moved(fields.time("completedAt")?, -fields.ms("totalDurationMs")?);
    let mut before = fields.time("executionStartedAt").or_else(began);
    let mut items = Vec::new();
    for value in steps {
        items.extend(cut(value, &STEP, before, occurred, as_of));
        let Some(step) = value.as_object() else { continue };
        let (end, took) = (step.time("endTime"), step.ms("durationMs"));
        let start = step.time("startTime").or_else(|| moved(end?, -took?)).or(before);
        before = end.or_else(|| moved(start?, took?)).or(start);
    }
    (occurred || !items.is_empty()).then_some(Value::Array(items))
}

fn children(children: Fields<'_>, occurred: bool, as_of: DateTime<Utc>) -> Option<Value> {
    let known = children.members();
    let known: Map<String, Value> = known
        .filter_map(|(name, child)| Some((name.to_string(), cut(child, &CHILD, None, occurred, as_of)?)))
        .collect();
    (occurred || !known.is_empty()).then_some(Value::Object(known))
}
