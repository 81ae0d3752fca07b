//! Reading the fields of a payload, which a changed journal may hold in any shape.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::audit::check::parse_time;

/// The fields of a payload or of an object in it.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    pub fn owned(self, name: &str) -> Option<String> {
        self.text(name).map(str::to_string)
    }

    pub fn time(self, name: &str) -> Option<DateTime<Utc>> {
        parse_time(self.text(name)?)
    }

    pub fn number(self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// A duration in milliseconds; `None` where it is negative or beyond what the checks let in.
    pub fn ms(self, name: &str) -> Option<f64> {
        self.number(name).filter(|ms| (0.0..=1e15).contains(ms))
    }

    pub fn count(self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    pub fn flag(self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub fn object(self, name: &str) -> Option<Fields<'a>> {
        self.0.get(name)?.as_object().map(Fields)
    }

    pub fn list(self, name: &str) -> &'a [Value] {
        self.0.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The objects of a list.
    pub fn objects(self, name: &str) -> impl Iterator<Item = Fields<'a>> {
        self.list(name).iter().filter_map(|item| item.as_object().map(Fields))
    }

    /// The texts of a list.
    pub fn texts(self, name: &str) -> Vec<&'a str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }

    /// The first of these fields that holds a text; for payloads of others, who spell a name in several ways.
    pub fn any_text(self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| self.text(name))
    }

    pub fn any_time(self, names: &[&str]) -> Option<DateTime<Utc>> {
        names.iter().find_map(|name| self.time(name))
    }
}
