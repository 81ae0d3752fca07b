//! Bodies of the domain's columns: their spelling and units, and when a body happened that does not say so.

use std::{borrow::Cow, collections::HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Number, Value};

use super::{Checker, MS_MAX};
use crate::audit::{
    check::Form,
    event::time_text,
    fields::{Claim, Spellings, Table, Unit},
    flaws, go_duration,
    limits::AHEAD_MINUTES_MAX,
};

/// How the submitter spelled the fields of one object.
pub(super) struct Names {
    /// None where the names of GraphQL are the only ones.
    spellings: Option<&'static Spellings>,
    given: HashMap<&'static str, Given>,
    /// What was told for members of structured fields, such as `alert_fingerprint`.
    members: Vec<(String, &'static Claim, Value)>,
}

struct Given {
    spelling: String,
    unit: Unit,
    domain: bool,
}

impl Names {
    /// The field as the submitter spelled it; one that is missing, by its column.
    pub fn of<'a>(&'a self, field: &'a str) -> &'a str {
        match (self.given.get(field), self.spellings) {
            (Some(given), _) => &given.spelling,
            (None, Some(spellings)) => spellings.column(field),
            (None, None) => field,
        }
    }

    /// The same as a part of a path.
    pub fn part(&self, field: &'static str) -> Cow<'static, str> {
        match (self.given.get(field), self.spellings) {
            (Some(given), _) => given.spelling.clone().into(),
            (None, Some(spellings)) => spellings.column(field).into(),
            (None, None) => field.into(),
        }
    }

    /// In what the field was told.
    pub fn unit(&self, field: &str) -> Unit {
        self.given.get(field).map_or(Unit::Plain, |given| given.unit)
    }

    pub fn gave(&self, field: &str) -> bool {
        self.given.contains_key(field)
    }
}

/// The times that a body tells of what has been.
#[derive(Default)]
pub(super) struct Times {
    latest: Option<(DateTime<Utc>, Vec<String>)>,
    /// Whether a time was given that is none.
    refused: bool,
}

impl Times {
    pub fn add(&mut self, time: Option<DateTime<Utc>>, path: &[Cow<'static, str>]) {
        match time {
            None => self.refused = true,
            Some(time) if self.latest.as_ref().is_none_or(|(latest, _)| time > *latest) => {
                self.latest = Some((time, path.iter().map(Cow::to_string).collect()));
            }
            Some(_) => {}
        }
    }
}

impl Checker {
    /// Gives the members of an object of `table` their names in GraphQL, and remembers how they were spelled. What no field
    /// is called stays as it is.
    pub(super) fn names(&mut self, table: &Table, given: &mut Map<String, Value>) -> Names {
        let mut names = Names { spellings: None, given: HashMap::new(), members: Vec::new() };
        if self.form != Form::Columns {
            return names;
        }
        let spellings = Spellings::of(table);
        names.spellings = Some(spellings);
        let mut renamed: Map<String, Value> = Map::new();
        for (spelling, value) in std::mem::take(given) {
            if value.is_null() {
                continue;
            }
            match spellings.claim(&spelling, value.is_object()) {
                None => {
                    renamed.insert(spelling, value);
                }
                Some(claim) if claim.within.is_some() => self.member(&mut names, spelling, claim, value),
                Some(claim) => match names.given.get(claim.field.name) {
                    // The domain has two columns for some facts, and a body may have both.
                    Some(first) if first.domain && claim.domain && renamed[claim.field.name] == value => {}
                    Some(first) => self.doubled(&first.spelling, &spelling),
                    None => {
                        let how = Given { spelling, unit: claim.unit, domain: claim.domain };
                        names.given.insert(claim.field.name, how);
                        renamed.insert(claim.field.name.to_string(), value);
                    }
                },
            }
        }
        *given = renamed;
        names
    }

    fn member(&mut self, names: &mut Names, spelling: String, claim: &'static Claim, value: Value) {
        match names.members.iter().find(|(_, other, _)| std::ptr::eq(other.field, claim.field)) {
            Some((_, _, first)) if *first == value => {}
            Some((first, ..)) => self.doubled(first, &spelling),
            None => names.members.push((spelling, claim, value)),
        }
    }

    fn doubled(&mut self, first: &str, second: &str) {
        let message = format!("`{first}` and `{second}` are one field; send one of them");
        self.problem(&[second], "DOUBLED_NAME", message);
    }

    /// Puts what columns told for members of structured fields there. What the structured field tells itself is kept, and
    /// what a column tells otherwise is kept in `details`.
    pub(super) fn members(&mut self, names: Names, content: &mut Map<String, Value>) {
        for (spelling, claim, mut value) in names.members {
            self.path.push(spelling.clone().into());
            let fine = self.value(&spelling, claim.field.shape, &mut value);
            self.path.pop();
            let Some(within) = claim.within.filter(|_| fine) else { continue };
            let Value::Object(object) = content.entry(within).or_insert_with(|| Value::Object(Map::new())) else {
                continue;
            };
            let told = object.entry(claim.field.name).or_insert_with(|| value.clone());
            if *told == value {
                continue;
            }
            let details = content.entry("details").or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(details) = details else { continue };
            if *details.entry(spelling.as_str()).or_insert_with(|| value.clone()) != value {
                self.doubled(&format!("details.{spelling}"), &spelling);
            }
        }
    }

    /// When a body happened that does not say so: at the latest time that it tells. The clock has no part in it, so that a
    /// retry tells the same.
    pub(super) fn occurred_at(&mut self, names: &Names, content: &mut Map<String, Value>, now: DateTime<Utc>) {
        if self.form != Form::Columns || names.gave("occurredAt") {
            return;
        }
        let name = names.of("occurredAt").to_string();
        match self.times.latest.take() {
            Some((time, path)) if time > now + TimeDelta::minutes(AHEAD_MINUTES_MAX) => {
                let message = format!(
                    "`{}` is {}, more than {AHEAD_MINUTES_MAX} minutes ahead of the server's clock ({}); without `{name}` an \
                     audit is taken to have happened at the latest time that it tells",
                    path.last().map_or("", String::as_str),
                    time_text(time),
                    time_text(now)
                );
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                self.problem(&path, "FUTURE", message);
            }
            Some((time, _)) => {
                content.insert("occurredAt".to_string(), time_text(time).into());
            }
            None if self.times.refused => {}
            None => {
                let message = format!(
                    "`{name}` is required, because no other field tells a time of what has been; send it as in RFC 3339, \
                     such as 2026-05-04T10:00:00Z"
                );
                self.problem(&[&name], "REQUIRED", message);
            }
        }
    }

    /// Puts what was told in `unit` into what the field's shape has. False after a problem was noted.
    pub(super) fn in_own_unit(&mut self, name: &str, unit: Unit, value: &mut Value) -> bool {
        let expected = match unit {
            Unit::Plain => return true,
            Unit::NumberText => return self.number_of_text(name, value),
            Unit::Resource => return self.resource(name, value),
            Unit::Seconds => "a duration in seconds, as a number",
            Unit::Nanoseconds => {
                "a duration: nanoseconds as a number, or a text as Go writes durations, such as `4m0s`"
            }
            Unit::GoDuration => "a duration as Go writes it, such as `4m0s`",
        };
        let ms = match (unit, &*value) {
            (Unit::Seconds, Value::Number(number)) => Ok(scaled(number, 3)),
            (Unit::Nanoseconds, Value::Number(number)) => Ok(scaled(number, -6)),
            // Go counts nanoseconds: what adding up the parts leaves beyond them is no part of the duration.
            (Unit::Nanoseconds | Unit::GoDuration, Value::String(text)) => {
                go_duration::parse(text).map(|ms| (ms * 1e6).round() / 1e6).ok_or("MALFORMED")
            }
            _ => Err("WRONG_TYPE"),
        };
        match ms {
            Ok(ms) if (0.0..=MS_MAX).contains(&ms) => {
                *value = shortest(ms);
                return true;
            }
            Ok(_) => {
                let most = MS_MAX / 1_000.0;
                self.problem(&[], "OUT_OF_RANGE", format!("`{name}` must be a duration from 0 to {most} seconds"));
            }
            Err(code) => self.problem(&[], code, format!("`{name}` must be {expected}")),
        }
        false
    }

    fn number_of_text(&mut self, name: &str, value: &mut Value) -> bool {
        let Value::String(text) = value else { return true };
        let number: Option<Number> = serde_json::from_str(text).ok().filter(|_| flaws::hidden(text).is_empty());
        let Some(number) = number else {
            self.problem(&[], "MALFORMED", format!("`{name}` must be a number as a text, such as `0.72`"));
            return false;
        };
        *value = Value::Number(number);
        true
    }

    fn resource(&mut self, name: &str, value: &mut Value) -> bool {
        let Value::String(text) = value else { return true };
        let parts: Vec<&str> = text.split('/').collect();
        let names: &[&str] = match parts.len() {
            2 => &["kind", "name"],
            3 => &["namespace", "kind", "name"],
            _ => &[],
        };
        if names.is_empty() || parts.contains(&"") {
            let message =
                format!("`{name}` must be an object, or a text such as `shop/Deployment/checkout` or `Node/worker-1`");
            self.problem(&[], "MALFORMED", message);
            return false;
        }
        let members = names.iter().zip(parts).map(|(name, part)| (name.to_string(), Value::from(part)));
        *value = Value::Object(members.collect());
        true
    }
}

/// The number times a power of ten, to the last digit: 1.005 seconds are 1005 milliseconds, which a product of doubles
/// misses.
fn scaled(number: &Number, exponent: i32) -> f64 {
    let digits = match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => integer.to_string(),
        (None, Some(double)) => double.to_string(),
        (None, None) => return f64::NAN,
    };
    format!("{digits}e{exponent}").parse().unwrap_or(f64::NAN)
}

/// A whole number as one, as most senders write it.
fn shortest(ms: f64) -> Value {
    if ms.fract() == 0.0 { Value::from(ms as i64) } else { Value::from(ms) }
}

#[cfg(test)]
mod tests;
