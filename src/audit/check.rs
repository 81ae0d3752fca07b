//! The checks: a submission becomes an event, or a list of everything that is wrong with it.

mod columns;
mod fitting;
mod seal;

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use self::{
    columns::{Names, Times},
    seal::seal,
};
use crate::audit::{
    administration, canonical,
    event::{Event, time_text},
    fields::{ACTOR, COMMON, Field, KindTable, Need, Shape, Spellings, Table},
    flaws::{short, short_path},
    kind::Kind,
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

        let mut content = given;
        checker.fields(COMMON.fields.iter().chain(table.table.fields), &names, &mut content);
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

struct Checker {
    form: Form,
    problems: Vec<Problem>,
    /// Names are those of the table, or a submitter's own spelling.
    path: Vec<Cow<'static, str>>,
    /// Of a body of columns, which may leave `occurredAt` to them.
    times: Times,
}

impl Checker {
    fn new(form: Form) -> Checker {
        Checker { form, problems: Vec::new(), path: Vec::new(), times: Times::default() }
    }

    fn problem(&mut self, path: &[&str], code: &'static str, message: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            let path = short_path(self.path.iter().map(Cow::as_ref).chain(path.iter().copied()).map(Cow::Borrowed));
            let message = message.into();
            let message = message.chars().take(LINE_MAX).collect();
            self.problems.push(Problem { path, code, message });
        }
    }

    /// Depth, NUL characters and numbers, anywhere in the submission.
    fn nesting(&mut self, given: &Map<String, Value>) {
        if given.iter().all(|(name, value)| sound(name, value, 1)) {
            return;
        }
        for (name, value) in given {
            let mut path = vec![short(name).into_owned()];
            self.walk(value, &mut path);
        }
        if given.keys().any(|name| name.contains('\0')) {
            self.problem(&[], "NUL", "a field's name holds a NUL character");
        }
    }

    fn walk(&mut self, value: &Value, path: &mut Vec<String>) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
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
                    format!("`{}` holds a NUL character, which Postgres cannot store", short(&at.join("."))),
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
                    self.problem(&at, "NUL", format!("a name in `{}` holds a NUL character", short(&at.join("."))));
                }
                for (name, item) in map {
                    path.push(short(name).into_owned());
                    self.walk(item, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// Checks what is given of a table's fields, in their order, and leaves each in its one normal form. One that has none goes,
    /// with a problem noted; what the table does not know stays as it is. Nothing that is given is null.
    fn fields(
        &mut self,
        fields: impl Iterator<Item = &'static Field> + Clone,
        names: &Names,
        given: &mut Map<String, Value>,
    ) {
        // A table has many fields, of which few are given: these are looked for there, and not the other way round.
        let place = |name: &str| fields.clone().position(|field| field.name == name);
        let told = given.iter_mut().filter_map(|(name, value)| Some((place(name)?, value)));
        let mut told: Vec<_> = told.collect();
        told.sort_unstable_by_key(|(place, _)| *place);
        let mut told = told.into_iter().peekable();
        let (mut times, mut refused) = (0, false);
        for (place, field) in fields.enumerate() {
            let Some((_, value)) = told.next_if(|(next, _)| *next == place) else {
                let need = if self.form == Form::Columns { field.column_need() } else { field.need };
                if need == Need::Always {
                    let name = names.of(field.name);
                    self.problem(&[name], "REQUIRED", format!("`{name}` is required"));
                }
                continue;
            };
            let name = names.of(field.name);
            self.path.push(names.part(field.name));
            let fine = self.in_own_unit(name, names.unit(field.name), value) && self.value(name, field.shape, value);
            if matches!(field.shape, Shape::Time) {
                times += 1;
                if self.form == Form::Columns && !field.ahead {
                    self.times.add(time_of(value).filter(|_| fine), &self.path);
                }
            }
            self.path.pop();
            if !fine {
                (*value, refused) = (Value::Null, true);
            }
        }
        if refused {
            given.retain(|_, value| !value.is_null());
        }
        if times < 2 {
            return;
        }
        for (first, second) in ORDERED {
            if let Some(start) = time_in(given, first)
                && let Some(end) = time_in(given, second)
                && end < start
            {
                let (first, second) = (names.of(first), names.of(second));
                self.problem(&[second], "ORDER", format!("`{second}` is before `{first}`"));
            }
        }
    }

    /// Puts the value into its one normal form. False after a problem was noted.
    fn value(&mut self, name: &str, shape: Shape, value: &mut Value) -> bool {
        match shape {
            Shape::Name => self.name(name, value),
            Shape::Line => self.text(name, value, LINE_MAX).is_some(),
            Shape::Text => self.text(name, value, TEXT_MAX).is_some(),
            Shape::Word(words) => {
                let Some(text) = self.text(name, value, NAME_MAX) else { return false };
                let word = words.find(text);
                if word.is_none() {
                    self.problem(&[], "UNKNOWN_WORD", format!("`{name}` is `{text}`; allowed are {}", words.listed()));
                }
                normal(word, value)
            }
            Shape::Count => self.number(name, value, 0.0, i32::MAX.into(), true, "a whole number from 0 to 2147483647"),
            Shape::Int => {
                self.number(name, value, i32::MIN.into(), i32::MAX.into(), true, "a whole number within 32 bits")
            }
            Shape::Score => self.number(name, value, 0.0, 1.0, false, "a number from 0 to 1"),
            Shape::Impact => self.number(name, value, -1.0, 1.0, false, "a number from -1 to 1"),
            Shape::Ms => self.number(name, value, 0.0, MS_MAX, false, "a duration in milliseconds, not negative"),
            Shape::Bool => self.typed(name, value.is_boolean(), "true or false"),
            Shape::Time => {
                let wanted = "a time as in RFC 3339, such as 2026-05-04T10:00:00Z";
                let Value::String(text) = value else {
                    self.problem(&[], "WRONG_TYPE", format!("`{name}` must be {wanted}, as a string"));
                    return false;
                };
                let time = parse_time(text);
                if time.is_none() {
                    let zone = format!("{text}Z");
                    let message = match parse_time(&zone) {
                        Some(_) => format!("`{name}` has no zone; in UTC it is {zone}"),
                        None => format!("`{name}` must be {wanted}"),
                    };
                    self.problem(&[], "MALFORMED", message);
                }
                normal(time.map(time_text).as_deref(), value)
            }
            Shape::Uuid => {
                let Some(text) = self.text(name, value, NAME_MAX) else { return false };
                let id = Uuid::try_parse(text).ok();
                if id.is_none() {
                    self.problem(&[], "MALFORMED", format!("`{name}` must be a UUID"));
                }
                let mut written = Uuid::encode_buffer();
                normal(id.map(|id| &*id.hyphenated().encode_lower(&mut written)), value)
            }
            Shape::Json => true,
            Shape::Names => self.list(name, value, Checker::name),
            Shape::Lines => self.list(name, value, |checker, name, item| checker.text(name, item, LINE_MAX).is_some()),
            Shape::WordList(words) => {
                self.list(name, value, |checker, name, item| checker.value(name, Shape::Word(words), item))
            }
            Shape::Object(table) => self.object(name, table, value),
            Shape::Objects(table) => self.list(name, value, |checker, name, item| checker.object(name, table, item)),
        }
    }

    /// A name is compared as it is, so it holds nothing that people would not see.
    fn name(&mut self, name: &str, value: &mut Value) -> bool {
        let Some(text) = self.text(name, value, NAME_MAX) else { return false };
        let plain = text.trim() == text && !text.chars().any(char::is_control);
        if !plain {
            self.problem(&[], "MALFORMED", format!("`{name}` has spaces around it, or control characters in it"));
        }
        plain
    }

    /// The text, or `None` after a problem was noted.
    fn text<'v>(&mut self, name: &str, value: &'v Value, most: usize) -> Option<&'v str> {
        self.typed(name, value.is_string(), "a string");
        let text = value.as_str()?;
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
        Some(text)
    }

    fn number(&mut self, name: &str, value: &mut Value, least: f64, most: f64, whole: bool, expected: &str) -> bool {
        let number = value.as_f64();
        let Some(fitting) = number.filter(|n| *n >= least && *n <= most && (!whole || n.fract() == 0.0)) else {
            let code = if number.is_some() { "OUT_OF_RANGE" } else { "WRONG_TYPE" };
            self.problem(&[], code, format!("`{name}` must be {expected}"));
            return false;
        };
        if whole {
            // `2.0` and `2` are the same count; the journal knows one of them.
            *value = Value::from(fitting as i64);
        }
        true
    }

    fn typed(&mut self, name: &str, right: bool, expected: &str) -> bool {
        if !right {
            self.problem(&[], "WRONG_TYPE", format!("`{name}` must be {expected}"));
        }
        right
    }

    fn list(
        &mut self,
        name: &str,
        value: &mut Value,
        mut each: impl FnMut(&mut Checker, &str, &mut Value) -> bool,
    ) -> bool {
        if !value.is_array() {
            if self.form == Form::Columns {
                return self.typed(name, false, "a list");
            }
            // GraphQL takes one item for a list of one.
            *value = Value::Array(vec![value.take()]);
        }
        let Value::Array(items) = value else { return false };
        if items.len() > LIST_MAX {
            self.problem(
                &[],
                "TOO_LONG",
                format!("`{name}` has {} items; at most {LIST_MAX} are allowed", items.len()),
            );
            return false;
        }
        for (index, item) in items.iter_mut().enumerate() {
            self.path.push(index.to_string().into());
            each(self, name, item); // a problem of one is not that of the others
            self.path.pop();
        }
        true
    }

    fn object(&mut self, name: &str, table: &'static Table, value: &mut Value) -> bool {
        self.typed(name, value.is_object(), "an object");
        let Value::Object(given) = value else { return false };
        given.retain(|_, value| !value.is_null());
        let names = self.names(table, given);
        self.fields(table.fields.iter(), &names, given);
        true
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

/// Gives the value its normal text, where it has one and is not written so. Whether it has one.
fn normal(text: Option<&str>, value: &mut Value) -> bool {
    if let Some(text) = text
        && value.as_str() != Some(text)
    {
        *value = text.into();
    }
    text.is_some()
}

/// Whether `walk` would find nothing.
fn sound(name: &str, value: &Value, depth: usize) -> bool {
    let whole = |text: &str| text.bytes().fold(true, |whole, byte| whole & (byte != 0)); // without a branch it takes many at once
    if depth > DEPTH_MAX || !whole(name) {
        return false;
    }
    match value {
        Value::String(text) => whole(text),
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
    parse_time(value.as_str()?)
}

/// The fields of an actor, for readers that put one back together.
pub fn actor_table() -> &'static Table {
    &ACTOR
}

#[cfg(test)]
mod tests;
