//! The checks: a submission becomes an event, or a list of everything that is wrong with it.

mod columns;
mod fitting;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use self::columns::{Names, Times};
use crate::audit::{
    administration, canonical,
    event::{Event, Payload, SCHEMA_VERSION, StreamId, time_text},
    fields::{ACTOR, COMMON, Field, KindTable, Need, Shape, Spellings, Table},
    kind::{ActorType, Kind, Outcome},
    kubernaut,
    limits::*,
};

pub(super) use fitting::{Examiner, fitting};

/// What a client sends: a kind and its fields. `null` is the same as leaving a field out.
#[derive(Clone, Debug)]
pub struct Submission {
    pub kind: Kind,
    pub form: Form,
    pub fields: Map<String, Value>,
}

/// How the fields of a submission are spelled, and in which units they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As in GraphQL: `investigationDurationMs`.
    Fields,
    /// As the domain's columns: `investigation_duration_ms`.
    Columns,
    /// An event in Kubernaut's envelope.
    Kubernaut,
}

/// What the checks need from outside.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The cluster of a submission that names none.
    pub cluster_id: &'a str,
    pub now: DateTime<Utc>,
    /// The id of a submission that brings none; made before the first attempt, so that retries keep it.
    pub fresh_id: Uuid,
}

/// One thing that is wrong with a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, in the submitter's own spelling; list items by their index from 0.
    pub path: Vec<String>,
    /// A stable word for programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// Most problems that are reported of one submission.
const PROBLEMS_MAX: usize = 100;

/// The longest duration, in milliseconds.
const MS_MAX: f64 = 1e15;

/// Fields that must not be later than their partner, wherever both stand in one object.
const ORDERED: &[(&str, &str)] = &[
    ("startTime", "completionTime"),
    ("startTime", "endTime"),
    ("investigationStart", "investigationEnd"),
    ("analysisStart", "analysisEnd"),
    ("recommendationStart", "recommendationEnd"),
    ("executionStartedAt", "completedAt"),
    ("approvalRequestedAt", "approvalTime"),
    ("approvalRequestedAt", "approvalDecidedAt"),
];

impl Form {
    pub const ALL: [Form; 3] = [Form::Fields, Form::Columns, Form::Kubernaut];

    /// The word for it where audits of several forms stand together.
    pub fn word(self) -> &'static str {
        match self {
            Form::Fields => "fields",
            Form::Columns => "columns",
            Form::Kubernaut => "kubernaut",
        }
    }

    pub fn parse(word: &str) -> Option<Form> {
        Form::ALL.into_iter().find(|form| form.word() == word)
    }

    /// A path within an event, such as `signal.name`, as a writer of this form spells it.
    pub fn spelled(self, kind: Kind, path: &str) -> Vec<String> {
        let mut parts: Vec<String> = path.split('.').map(str::to_string).collect();
        match self {
            Form::Fields => {}
            Form::Columns => parts[0] = Spellings::of(KindTable::of(kind).table).column(&parts[0]).to_string(),
            Form::Kubernaut => kubernaut::spell(&mut parts),
        }
        parts
    }
}

impl Submission {
    /// What came in GraphQL's spelling.
    pub fn of_fields(kind: Kind, fields: Map<String, Value>) -> Submission {
        Submission { kind, form: Form::Fields, fields }
    }

    /// What came in the spelling of the domain's columns.
    pub fn of_columns(kind: Kind, columns: Map<String, Value>) -> Submission {
        Submission { kind, form: Form::Columns, fields: columns }
    }

    /// What came in Kubernaut's envelope: its type tells the kind.
    pub fn of_kubernaut(envelope: Map<String, Value>) -> Submission {
        let event_type = envelope.get("event_type").and_then(Value::as_str).unwrap_or_default();
        Submission { kind: kubernaut::kind(event_type), form: Form::Kubernaut, fields: envelope }
    }

    /// Turns a submission into an event, or lists everything that is wrong with it.
    pub fn check(self, context: Context<'_>) -> Result<Event, Vec<Problem>> {
        if self.form == Form::Kubernaut {
            return kubernaut::check(self.fields, context);
        }
        let table = KindTable::of(self.kind);
        let mut checker = Checker::new(self.form);

        let mut given = self.fields;
        given.retain(|_, value| !value.is_null());
        checker.nesting(&given);
        if !checker.problems.is_empty() {
            return Err(checker.problems); // nothing that follows should walk so deep
        }
        let names = checker.names(table.table, &mut given);
        keep_unknown_in_details(table, &mut given, &mut checker);

        let fields = COMMON.fields.iter().chain(table.table.fields);
        let mut content = checker.fields(fields, &names, given).kept;
        checker.occurred_at(&names, &mut content, context.now);
        checker.common(&names, &content, context);
        checker.kind(table, &names, &content);
        let trace = checker.trace(&content);
        checker.members(names, &mut content);
        if content.get("details").is_some_and(|details| !details.is_object()) {
            checker.problem(&["details"], "WRONG_TYPE", "`details` must be a JSON object");
        }
        if !checker.problems.is_empty() {
            checker.problems.truncate(PROBLEMS_MAX);
            return Err(checker.problems);
        }

        let event = seal(table, content, trace, context);
        let bytes = event.payload.text().len();
        if bytes > PAYLOAD_BYTES_MAX {
            let message = format!("the audit has {bytes} bytes; at most {PAYLOAD_BYTES_MAX} are allowed");
            return Err(vec![Problem { path: vec![], code: "TOO_LARGE", message }]);
        }
        Ok(event)
    }
}

/// Fields that the table does not know are facts all the same: they go into `details`.
fn keep_unknown_in_details(table: &KindTable, given: &mut Map<String, Value>, checker: &mut Checker) {
    let unknown: Vec<String> = given.keys().filter(|name| table.field(name).is_none()).cloned().collect();
    if unknown.is_empty() {
        return;
    }
    let details = given.entry("details").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(details) = details else { return };
    let mut moved = Vec::new();
    for name in unknown {
        if details.contains_key(&name) {
            checker.problem(
                &[&name],
                "UNKNOWN_FIELD",
                format!("`{name}` is not a field of this audit, and `details` has one of that name"),
            );
        } else {
            moved.push(name);
        }
    }
    let moved: Vec<_> = moved.into_iter().filter_map(|name| given.remove_entry(&name)).collect();
    if let Some(Value::Object(details)) = given.get_mut("details") {
        details.extend(moved);
    }
}

/// Splits checked content into envelope and payload, and fills in the defaults.
fn seal(
    table: &KindTable,
    mut content: Map<String, Value>,
    trace: Option<(String, String)>,
    context: Context<'_>,
) -> Event {
    let text = |content: &mut Map<String, Value>, name: &str| match content.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let id = |content: &mut Map<String, Value>, name: &str| text(content, name).and_then(|id| id.parse::<Uuid>().ok());

    let event_id = id(&mut content, "eventId").unwrap_or(context.fresh_id);
    content.remove("traceparent");
    content.entry("clusterId").or_insert_with(|| context.cluster_id.into());
    content.insert("kind".to_string(), table.kind.word().into());
    let content_digest = canonical::digest(&canonical::object_text(&content));

    content.remove("kind");
    if let (Some(status), Some(default)) = (table.status, table.status_default) {
        content.entry(status).or_insert_with(|| default.into());
    }
    let status = table.status.and_then(|field| content.get(field)?.as_str()).unwrap_or("recorded").to_string();
    let occurred_at = text(&mut content, "occurredAt").and_then(|time| time.parse().ok()).unwrap_or(context.now);
    let default_outcome = || {
        let ended = table.final_words.iter().find(|(word, _)| *word == status).map(|(_, outcome)| *outcome);
        table.status.map(|_| ended.and_then(Outcome::parse).unwrap_or(Outcome::Pending))
    };
    let (actor_type, actor_id) = take_actor(&mut content);
    let (trace_id, span_id) = trace.unzip();
    Event {
        event_id,
        stream: StreamId {
            cluster_id: text(&mut content, "clusterId").unwrap_or_default(),
            remediation_id: text(&mut content, "remediationId").unwrap_or_default(),
        },
        occurred_at,
        kind: table.kind,
        category: table
            .kind
            .category()
            .map(str::to_string)
            .or_else(|| text(&mut content, "category"))
            .unwrap_or_default(),
        event_type: text(&mut content, "eventType").unwrap_or_else(|| format!("{}.{status}", table.event_type_prefix)),
        outcome: text(&mut content, "outcome").and_then(|word| Outcome::parse(&word)).or_else(default_outcome),
        actor_type,
        actor_id,
        parent_event_id: id(&mut content, "parentEventId"),
        trace_id,
        span_id,
        schema_version: SCHEMA_VERSION,
        payload: Payload::new(content),
        content_digest,
    }
}

/// The actor's type and id go into the envelope; what else is told of it stays in the payload.
fn take_actor(content: &mut Map<String, Value>) -> (Option<ActorType>, Option<String>) {
    let Some(Value::Object(mut actor)) = content.remove("actor") else { return (None, None) };
    let actor_type = actor.remove("type").and_then(|word| ActorType::parse(word.as_str()?));
    let actor_id = actor.remove("id").and_then(|id| id.as_str().map(str::to_string));
    if !actor.is_empty() {
        content.insert("actor".to_string(), Value::Object(actor));
    }
    (actor_type, actor_id)
}

/// What was given of an object.
struct Checked {
    /// The fields of its table, each in its one normal form; of those that have none a problem was noted.
    kept: Map<String, Value>,
    /// What the table does not know.
    beyond: Vec<(String, Value)>,
}

struct Checker {
    form: Form,
    problems: Vec<Problem>,
    path: Vec<String>,
    /// Of a body of columns, which may leave `occurredAt` to them.
    times: Times,
}

impl Checker {
    fn new(form: Form) -> Checker {
        Checker { form, problems: Vec::new(), path: Vec::new(), times: Times::default() }
    }

    fn problem(&mut self, path: &[&str], code: &'static str, message: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            let path = self.path.iter().cloned().chain(path.iter().map(|part| part.to_string())).collect();
            self.problems.push(Problem { path, code, message: message.into() });
        }
    }

    /// Depth, NUL characters and numbers, anywhere in the submission.
    fn nesting(&mut self, given: &Map<String, Value>) {
        if given.iter().all(|(name, value)| sound(name, value, 1)) {
            return;
        }
        for (name, value) in given {
            let mut path = vec![name.clone()];
            self.walk(value, &mut path);
        }
        if given.keys().any(|name| name.contains('\0')) {
            self.problem(&[], "NUL", "a field's name holds a NUL character");
        }
    }

    fn walk(&mut self, value: &Value, path: &mut Vec<String>) {
        let at: Vec<&str> = path.iter().map(String::as_str).collect();
        if at.len() > DEPTH_MAX {
            self.problem(&at[..1], "TOO_DEEP", format!("`{}` is nested deeper than {DEPTH_MAX} levels", at[0]));
            return;
        }
        match value {
            Value::String(text) if text.contains('\0') => {
                self.problem(
                    &at,
                    "NUL",
                    format!("`{}` holds a NUL character, which Postgres cannot store", at.join(".")),
                );
            }
            Value::Number(number) if canonical::beyond_64_bits(number) => {
                self.problem(
                    &at,
                    "INEXACT_NUMBER",
                    format!("{number} does not fit a 64-bit number exactly; send it as a string"),
                );
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    self.walk(item, path);
                    path.pop();
                }
            }
            Value::Object(map) => {
                if map.keys().any(|name| name.contains('\0')) {
                    self.problem(&at, "NUL", format!("a name in `{}` holds a NUL character", at.join(".")));
                }
                for (name, item) in map {
                    path.push(name.clone());
                    self.walk(item, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// Checks what is given of a table's fields, in their order.
    fn fields<'f>(
        &mut self,
        fields: impl Iterator<Item = &'f Field> + Clone,
        names: &Names,
        given: Map<String, Value>,
    ) -> Checked {
        // A table has many fields, of which few are given: these are looked for there, and not the other way round.
        let (mut told, mut beyond) = (Vec::with_capacity(given.len()), Vec::new());
        for (name, value) in given {
            match fields.clone().position(|field| field.name == name) {
                Some(place) => told.push((place, name, value)),
                None => beyond.push((name, value)),
            }
        }
        told.sort_unstable_by_key(|(place, ..)| *place);
        let mut kept = Vec::with_capacity(told.len());
        let mut told = told.into_iter().peekable();
        for (place, field) in fields.enumerate() {
            let given = told.next_if(|(next, ..)| *next == place).filter(|(.., value)| !value.is_null());
            let Some((own_name, value)) = given.map(|(_, name, value)| (name, value)) else {
                let need = if self.form == Form::Columns { field.column_need() } else { field.need };
                if need == Need::Always {
                    let name = names.of(field.name);
                    self.problem(&[name], "REQUIRED", format!("`{name}` is required"));
                }
                continue;
            };
            let name = names.of(field.name);
            self.path.push(name.to_string());
            let value = self
                .in_own_unit(name, names.unit(field.name), value)
                .and_then(|value| self.value(name, field.shape, value));
            if self.form == Form::Columns && matches!(field.shape, Shape::Time) && !field.ahead {
                self.times.add(value.as_ref().and_then(time_of), &self.path);
            }
            self.path.pop();
            kept.extend(value.map(|value| (own_name, value)));
        }
        let kept = Map::from_iter(kept);
        for (first, second) in ORDERED {
            if let Some(start) = time_in(&kept, first)
                && let Some(end) = time_in(&kept, second)
                && end < start
            {
                let (first, second) = (names.of(first), names.of(second));
                self.problem(&[second], "ORDER", format!("`{second}` is before `{first}`"));
            }
        }
        Checked { kept, beyond }
    }

    /// The value in its one normal form, or `None` after a problem was noted.
    fn value(&mut self, name: &str, shape: Shape, value: Value) -> Option<Value> {
        match shape {
            Shape::Name => self.name(name, value),
            Shape::Line => self.text(name, value, LINE_MAX),
            Shape::Text => self.text(name, value, TEXT_MAX),
            Shape::Word(words) => {
                let text = self.text(name, value, NAME_MAX)?;
                let text = text.as_str().unwrap_or_default();
                let word = words.find(text);
                if word.is_none() {
                    self.problem(&[], "UNKNOWN_WORD", format!("`{name}` is `{text}`; allowed are {}", words.listed()));
                }
                word.map(Value::from)
            }
            Shape::Count => self.number(name, value, 0.0, i32::MAX.into(), true, "a whole number from 0 to 2147483647"),
            Shape::Int => {
                self.number(name, value, i32::MIN.into(), i32::MAX.into(), true, "a whole number within 32 bits")
            }
            Shape::Score => self.number(name, value, 0.0, 1.0, false, "a number from 0 to 1"),
            Shape::Impact => self.number(name, value, -1.0, 1.0, false, "a number from -1 to 1"),
            Shape::Ms => self.number(name, value, 0.0, MS_MAX, false, "a duration in milliseconds, not negative"),
            Shape::Bool => self.typed(name, value, Value::is_boolean, "true or false"),
            Shape::Time => {
                let wanted = "a time as in RFC 3339, such as 2026-05-04T10:00:00Z";
                let Value::String(text) = value else {
                    self.problem(&[], "WRONG_TYPE", format!("`{name}` must be {wanted}, as a string"));
                    return None;
                };
                let time = parse_time(&text);
                if time.is_none() {
                    let zone = format!("{text}Z");
                    let message = match parse_time(&zone) {
                        Some(_) => format!("`{name}` has no zone; in UTC it is {zone}"),
                        None => format!("`{name}` must be {wanted}"),
                    };
                    self.problem(&[], "MALFORMED", message);
                }
                time.map(|time| time_text(time).into())
            }
            Shape::Uuid => {
                let text = self.text(name, value, NAME_MAX)?;
                let id = text.as_str().and_then(|text| Uuid::try_parse(text).ok());
                if id.is_none() {
                    self.problem(&[], "MALFORMED", format!("`{name}` must be a UUID"));
                }
                id.map(|id| id.to_string().into())
            }
            Shape::Json => Some(value),
            Shape::Names => self.list(name, value, Checker::name),
            Shape::Lines => self.list(name, value, |checker, name, item| checker.text(name, item, LINE_MAX)),
            Shape::WordList(words) => {
                self.list(name, value, |checker, name, item| checker.value(name, Shape::Word(words), item))
            }
            Shape::Object(table) => self.object(name, table, value),
            Shape::Objects(table) => self.list(name, value, |checker, name, item| checker.object(name, table, item)),
        }
    }

    /// A name is compared as it is, so it holds nothing that people would not see.
    fn name(&mut self, name: &str, value: Value) -> Option<Value> {
        let value = self.text(name, value, NAME_MAX)?;
        let text = value.as_str().unwrap_or_default();
        if text.trim() != text || text.chars().any(char::is_control) {
            self.problem(&[], "MALFORMED", format!("`{name}` has spaces around it, or control characters in it"));
            return None;
        }
        Some(value)
    }

    fn text(&mut self, name: &str, value: Value, most: usize) -> Option<Value> {
        let value = self.typed(name, value, Value::is_string, "a string")?;
        let text = value.as_str().unwrap_or_default();
        if text.trim().is_empty() {
            self.problem(&[], "EMPTY", format!("`{name}` is empty"));
            return None;
        }
        // Bytes are never fewer than characters, so most texts need no counting.
        if text.len() > most && text.chars().count() > most {
            let length = text.chars().count();
            self.problem(&[], "TOO_LONG", format!("`{name}` has {length} characters; at most {most} are allowed"));
            return None;
        }
        Some(value)
    }

    fn number(
        &mut self,
        name: &str,
        value: Value,
        least: f64,
        most: f64,
        whole: bool,
        expected: &str,
    ) -> Option<Value> {
        let number = value.as_f64();
        let fits = number.is_some_and(|n| n >= least && n <= most && (!whole || n.fract() == 0.0));
        if fits {
            // `2.0` and `2` are the same count; the journal knows one of them.
            return if whole { number.map(|n| Value::from(n as i64)) } else { Some(value) };
        }
        let code = if number.is_some() { "OUT_OF_RANGE" } else { "WRONG_TYPE" };
        self.problem(&[], code, format!("`{name}` must be {expected}"));
        None
    }

    fn typed(&mut self, name: &str, value: Value, right: fn(&Value) -> bool, expected: &str) -> Option<Value> {
        if right(&value) {
            return Some(value);
        }
        self.problem(&[], "WRONG_TYPE", format!("`{name}` must be {expected}"));
        None
    }

    fn list(
        &mut self,
        name: &str,
        value: Value,
        mut each: impl FnMut(&mut Checker, &str, Value) -> Option<Value>,
    ) -> Option<Value> {
        let items = match value {
            Value::Array(items) => items,
            _ if self.form == Form::Columns => {
                self.problem(&[], "WRONG_TYPE", format!("`{name}` must be a list"));
                return None;
            }
            // GraphQL takes one item for a list of one.
            one => vec![one],
        };
        if items.len() > LIST_MAX {
            self.problem(
                &[],
                "TOO_LONG",
                format!("`{name}` has {} items; at most {LIST_MAX} are allowed", items.len()),
            );
            return None;
        }
        let mut kept = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.path.push(index.to_string());
            kept.extend(each(self, name, item));
            self.path.pop();
        }
        Some(Value::Array(kept))
    }

    fn object(&mut self, name: &str, table: &'static Table, value: Value) -> Option<Value> {
        let Value::Object(mut given) = self.typed(name, value, Value::is_object, "an object")? else { return None };
        let names = self.names(table, &mut given);
        let Checked { mut kept, beyond } = self.fields(table.fields.iter(), &names, given);
        // What the table does not know stays where it was told.
        kept.extend(beyond.into_iter().filter(|(_, value)| !value.is_null()));
        Some(Value::Object(kept))
    }

    fn common(&mut self, names: &Names, content: &Map<String, Value>, context: Context<'_>) {
        let text = |name: &str| content.get(name).and_then(Value::as_str);
        let cluster_id = text("clusterId").unwrap_or(context.cluster_id);
        if administration::reserved(cluster_id, text("remediationId").unwrap_or_default()) {
            self.problem(&[names.of("remediationId")], "RESERVED", administration::RESERVED);
        }
        let (name, now) = (names.of("occurredAt"), context.now);
        if let Some(occurred_at) = time_in(content, "occurredAt")
            && occurred_at > now + TimeDelta::minutes(AHEAD_MINUTES_MAX)
        {
            let message = format!(
                "`{name}` is {}, more than {AHEAD_MINUTES_MAX} minutes ahead of the server's clock ({})",
                time_text(occurred_at),
                time_text(now)
            );
            self.problem(&[name], "FUTURE", message);
        }
    }

    fn kind(&mut self, table: &KindTable, names: &Names, content: &Map<String, Value>) {
        if table.kind == Kind::Other && !content.contains_key("eventType") {
            let name = names.of("eventType");
            self.problem(&[name], "REQUIRED", format!("`{name}` is required"));
        }
        let status = table.status.and_then(|name| content.get(name)?.as_str()).or(table.status_default);
        if let (Some(status), Some(status_field)) = (status, table.status)
            && table.final_words.iter().any(|(word, _)| *word == status)
        {
            for field in table.table.fields.iter().filter(|field| field.need == Need::WhenFinal) {
                let (name, status_name) = (names.of(field.name), names.of(status_field));
                // A value that was given and refused has its problem already.
                let refused = self.problems.iter().any(|problem| problem.path.first().is_some_and(|p| p == name));
                if !content.contains_key(field.name) && !refused {
                    self.problem(&[name], "REQUIRED", format!("`{name}` is required when `{status_name}` is {status}"));
                }
            }
        }
        let count = |name: &str| content.get(name).and_then(Value::as_i64);
        if let Some(total) = count("totalSteps") {
            let told = count("stepsCompleted").unwrap_or(0) + count("stepsFailed").unwrap_or(0);
            if told > total {
                let [completed, failed, all] =
                    ["stepsCompleted", "stepsFailed", "totalSteps"].map(|name| names.of(name));
                let message = format!("`{completed}` and `{failed}` are {told} together, more than `{all}` ({total})");
                self.problem(&[completed], "OUT_OF_RANGE", message);
            }
        }
    }

    /// The trace and span of `traceparent` (W3C Trace Context: version, 32 digits, 16 digits, flags).
    fn trace(&mut self, content: &Map<String, Value>) -> Option<(String, String)> {
        let text = content.get("traceparent")?.as_str()?;
        let parsed = parse_traceparent(text);
        if parsed.is_none() {
            self.problem(&["traceparent"], "MALFORMED", "`traceparent` must be as in W3C Trace Context, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        }
        parsed
    }
}

/// Whether `walk` would find nothing.
fn sound(name: &str, value: &Value, depth: usize) -> bool {
    if depth > DEPTH_MAX || name.contains('\0') {
        return false;
    }
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Number(number) => !canonical::beyond_64_bits(number),
        Value::Array(items) => items.iter().all(|item| sound("", item, depth + 1)),
        Value::Object(members) => members.iter().all(|(name, member)| sound(name, member, depth + 1)),
        Value::Null | Value::Bool(_) => true,
    }
}

/// A time in RFC 3339, in UTC and truncated to the microsecond; `None` outside the years 1 to 9999.
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    let time = DateTime::from_timestamp_micros(time.timestamp_micros())?;
    (1..=9999).contains(&time.year()).then_some(time)
}

/// Trace id and span id of a W3C `traceparent`, or `None` when it is malformed.
pub fn parse_traceparent(text: &str) -> Option<(String, String)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    let well_formed = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let only_four = version != "00" || parts.next().is_none();
    (well_formed && only_four && !zero(trace) && !zero(span)).then(|| (trace.to_string(), span.to_string()))
}

fn time_in(map: &Map<String, Value>, name: &str) -> Option<DateTime<Utc>> {
    time_of(map.get(name)?)
}

fn time_of(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

/// The fields of an actor, for readers that put one back together.
pub fn actor_table() -> &'static Table {
    &ACTOR
}

#[cfg(test)]
mod tests;
