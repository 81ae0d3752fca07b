//! Reading the fields of a payload, which a changed journal may hold in any shape.

use std::slice;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, map};

use crate::audit::{check::parse_time, tree};

/// The fields of a payload or of an object in it: a map, or as they were read from the journal (`audit::tree`).
#[derive(Clone, Copy, Debug)]
pub enum Fields<'a> {
    Map(&'a Map<String, Value>),
    Tree(tree::Object<'a>),
}

/// A value of a field, of one or the other.
#[derive(Clone, Copy, Debug)]
pub enum Json<'a> {
    Value(&'a Value),
    Tree(tree::Item<'a>),
}

impl<'a> Fields<'a> {
    pub fn get(self, name: &str) -> Option<Json<'a>> {
        match self {
            Fields::Map(map) => map.get(name).map(Json::Value),
            Fields::Tree(object) => object.get(name).map(Json::Tree),
        }
    }

    /// A field by itself.
    pub fn value(self, name: &str) -> Option<Value> {
        self.get(name).map(Json::to_value)
    }

    pub fn text(self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    pub fn owned(self, name: &str) -> Option<String> {
        self.text(name).map(str::to_string)
    }

    pub fn time(self, name: &str) -> Option<DateTime<Utc>> {
        parse_time(self.text(name)?)
    }

    pub fn number(self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    /// A duration in milliseconds; `None` where it is negative or beyond what the checks let in.
    pub fn ms(self, name: &str) -> Option<f64> {
        self.number(name).filter(|ms| (0.0..=1e15).contains(ms))
    }

    pub fn count(self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    pub fn flag(self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    pub fn object(self, name: &str) -> Option<Fields<'a>> {
        self.get(name)?.as_object()
    }

    /// The values of a list; none where it is no list.
    pub fn list(self, name: &str) -> Items<'a> {
        self.get(name).and_then(Json::as_array).unwrap_or_default()
    }

    /// The objects of a list.
    pub fn objects(self, name: &str) -> impl Iterator<Item = Fields<'a>> {
        self.list(name).filter_map(Json::as_object)
    }

    /// The texts of a list.
    pub fn texts(self, name: &str) -> Vec<&'a str> {
        self.list(name).filter_map(Json::as_str).collect()
    }

    /// The first of these fields that holds a text; for payloads of others, who spell a name in several ways.
    pub fn any_text(self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| self.text(name))
    }

    pub fn any_time(self, names: &[&str]) -> Option<DateTime<Utc>> {
        names.iter().find_map(|name| self.time(name))
    }

    /// In the order of their names.
    pub fn members(self) -> Members<'a> {
        match self {
            Fields::Map(map) => Members::Map(map.iter()),
            Fields::Tree(object) => Members::Tree(object.members()),
        }
    }

    pub fn to_map(self) -> Map<String, Value> {
        self.members().map(|(name, value)| (name.to_string(), value.to_value())).collect()
    }
}

impl<'a> Json<'a> {
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Json::Value(value) => value.as_str(),
            Json::Tree(item) => item.as_str(),
        }
    }

    pub fn as_f64(self) -> Option<f64> {
        match self {
            Json::Value(value) => value.as_f64(),
            Json::Tree(item) => item.as_number()?.as_f64(),
        }
    }

    pub fn as_i64(self) -> Option<i64> {
        match self {
            Json::Value(value) => value.as_i64(),
            Json::Tree(item) => item.as_number()?.as_i64(),
        }
    }

    pub fn as_bool(self) -> Option<bool> {
        match self {
            Json::Value(value) => value.as_bool(),
            Json::Tree(item) => item.as_bool(),
        }
    }

    pub fn is_number(self) -> bool {
        self.as_f64().is_some()
    }

    pub fn is_null(self) -> bool {
        match self {
            Json::Value(value) => value.is_null(),
            Json::Tree(item) => item.is_null(),
        }
    }

    pub fn as_object(self) -> Option<Fields<'a>> {
        match self {
            Json::Value(value) => value.as_object().map(Fields::Map),
            Json::Tree(item) => item.as_object().map(Fields::Tree),
        }
    }

    pub fn as_array(self) -> Option<Items<'a>> {
        match self {
            Json::Value(value) => value.as_array().map(|items| Items::Slice(items.iter())),
            Json::Tree(item) => item.as_array().map(Items::Tree),
        }
    }

    /// The value by itself.
    pub fn to_value(self) -> Value {
        match self {
            Json::Value(value) => value.clone(),
            Json::Tree(item) => item.to_value(),
        }
    }
}

impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        if let (Json::Value(one), Json::Value(other)) = (self, other) {
            return one == other;
        }
        if self.as_str().is_some() || other.as_str().is_some() {
            return self.as_str() == other.as_str();
        }
        match (self.as_array(), other.as_array()) {
            (None, None) => {}
            (one, other) => return one.zip(other).is_some_and(|(one, other)| one.eq(other)),
        }
        match (self.as_object(), other.as_object()) {
            (None, None) => self.to_value() == other.to_value(),
            (one, other) => one.zip(other).is_some_and(|(one, other)| one.members().eq(other.members())),
        }
    }
}

/// The values of a list.
#[derive(Clone, Debug)]
pub enum Items<'a> {
    Slice(slice::Iter<'a, Value>),
    Tree(tree::Items<'a>),
}

impl Default for Items<'_> {
    fn default() -> Self {
        Items::Slice([].iter())
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        match self {
            Items::Slice(items) => items.next().map(Json::Value),
            Items::Tree(items) => items.next().map(Json::Tree),
        }
    }
}

/// Names and values of an object.
#[derive(Clone, Debug)]
pub enum Members<'a> {
    Map(map::Iter<'a>),
    Tree(tree::Members<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Json<'a>);

    fn next(&mut self) -> Option<(&'a str, Json<'a>)> {
        match self {
            Members::Map(members) => members.next().map(|(name, value)| (name.as_str(), Json::Value(value))),
            Members::Tree(members) => members.next().map(|(name, value)| (name, Json::Tree(value))),
        }
    }
}
