//! An answer's value as JSON text. serde_json would read text that is JSON already once more, to see that it is.

use std::sync::LazyLock;

use async_graphql::{Name, Value, indexmap::IndexMap};

use crate::audit::canonical::write_string;

/// A JSON object that is text already, and goes out as it is: to read it and to write it again would cost more than all else
/// that is done for an event.
pub struct Raw<'a>(pub &'a str);

/// A member by which async-graphql, as serde_json, knows text that is JSON.
static RAW: LazyLock<Name> = LazyLock::new(|| Name::new("$serde_json::private::RawValue"));

impl Raw<'_> {
    /// The text as a value among others.
    pub fn value(&self) -> Value {
        Value::Object(IndexMap::from([(RAW.clone(), Value::String(self.0.to_string()))]))
    }

    /// The text of such a value; `None` for every other object, whatever its members are called.
    pub fn text(members: &IndexMap<Name, Value>) -> Option<&str> {
        let (name, value) = members.first()?;
        let own = std::ptr::eq(name.as_str(), RAW.as_str());
        match value {
            Value::String(text) if own => Some(text),
            _ => None,
        }
    }
}

/// Adds the value as JSON.
pub fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(true) => out.push_str("true"),
        Value::Boolean(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_string(text, out),
        Value::Enum(name) => write_string(name, out),
        Value::Binary(bytes) => within('[', bytes, ']', out, |byte, out| out.push_str(&byte.to_string())),
        Value::List(items) => within('[', items, ']', out, write_json),
        Value::Object(members) => match Raw::text(members) {
            Some(text) => out.push_str(text),
            None => within('{', members, '}', out, |(name, value), out| {
                write_string(name, out);
                out.push(':');
                write_json(value, out);
            }),
        },
    }
}

fn within<T>(
    open: char,
    items: impl IntoIterator<Item = T>,
    close: char,
    out: &mut String,
    one: impl Fn(T, &mut String),
) {
    out.push(open);
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        one(item, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use async_graphql::Number;
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<i64>().prop_map(Number::from),
            any::<u64>().prop_map(Number::from),
            any::<f64>().prop_filter_map("is a number", Number::from_f64),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Boolean),
            number.prop_map(Value::Number),
            any::<String>().prop_map(Value::String),
            "[A-Z_]{1,8}".prop_map(|name| Value::Enum(Name::new(name))),
            proptest::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| Value::Binary(bytes.into())),
        ];
        leaf.prop_recursive(4, 32, 5, |within| {
            let members = proptest::collection::vec(("[a-zé\"$:]{0,8}", within.clone()), 0..5);
            prop_oneof![
                proptest::collection::vec(within, 0..5).prop_map(Value::List),
                members.prop_map(|members| {
                    Value::Object(members.into_iter().map(|(name, value)| (Name::new(name), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_serde_json_writes(value in any_value()) {
            let mut text = String::new();
            write_json(&value, &mut text);
            prop_assert_eq!(text, serde_json::to_string(&value).unwrap());
        }
    }

    #[test]
    fn what_is_json_already_goes_out_as_it_is_and_nothing_that_only_bears_the_name_does() {
        let mut text = String::new();
        write_json(&Raw(r#"{"b":1.0,"a":  2}"#).value(), &mut text);
        assert_eq!(text, r#"{"b":1.0,"a":  2}"#);

        let named = IndexMap::from([(Name::new("$serde_json::private::RawValue"), Value::String("]".to_string()))]);
        let mut text = String::new();
        write_json(&Value::Object(named), &mut text);
        assert_eq!(text, r#"{"$serde_json::private::RawValue":"]"}"#);
    }
}
