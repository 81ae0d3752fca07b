//! Canonical JSON: one text for one meaning, so that a digest can be trusted. RFC 8785, except that integers within 64
//! bits stay exact, and that numbers which would not survive a double are refused beforehand.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub type Digest = [u8; 32];

/// Most audits are no longer than this.
pub const USUAL_BYTES: usize = 1024;

/// The SHA-256 of `text`.
pub fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

/// A digest as people read it: 64 hexadecimal digits.
pub fn hex(digest: &[u8]) -> String {
    let halves = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.map(|half| char::from(b"0123456789abcdef"[usize::from(half)])).collect()
}

/// The canonical text of `value`.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// The canonical text of an object.
pub fn object_text(map: &Map<String, Value>) -> String {
    let mut out = String::with_capacity(USUAL_BYTES);
    write_object(map, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(string) => write_string(string, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => write_object(map, out),
    }
}

fn write_object(map: &Map<String, Value>, out: &mut String) {
    // RFC 8785 §3.2.3 sorts by UTF-16 code units. Among ASCII that is the order of bytes, in which a map has its names already.
    if map.keys().all(|name| name.is_ascii()) {
        return write_members(map.iter(), out);
    }
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    write_members(members.into_iter(), out);
}

fn write_members<'a>(members: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_member(name, value, out);
    }
    out.push('}');
}

/// Adds a member of an object, without what stands between two of them.
pub fn write_member(name: &str, value: &Value, out: &mut String) {
    write_string(name, out);
    out.push(':');
    write(value, out);
}

/// Adds the string as JSON.
pub fn write_string(string: &str, out: &mut String) {
    // Each byte is looked at, whatever those before it are, so that many are looked at in one step.
    let plain = |plain: bool, byte: u8| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\');
    if string.bytes().fold(true, plain) {
        out.push('"');
        out.push_str(string);
        out.push('"');
    } else {
        // serde_json escapes as RFC 8785 §3.2.2.2 asks: the short forms, \u00xx in lower case, and nothing else.
        out.push_str(&serde_json::to_string(string).expect("a string is always JSON"));
    }
}

fn write_number(number: &Number, out: &mut String) {
    if let Some(integer) = number.as_i64() {
        let _ = write!(out, "{integer}"); // a string takes all
    } else if let Some(integer) = number.as_u64() {
        let _ = write!(out, "{integer}"); // a string takes all
    } else if let Some(double) = number.as_f64() {
        out.push_str(ryu_js::Buffer::new().format(double));
    }
}

/// Whether a double is a whole number that 64 bits cannot hold; its canonical text would read back as another number.
pub fn beyond_64_bits(number: &Number) -> bool {
    !number.is_i64()
        && !number.is_u64()
        && number.as_f64().is_some_and(|double| double.fract() == 0.0 && double.abs() >= 9_223_372_036_854_775_808.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn members_are_sorted_numbers_are_shortest_and_strings_are_escaped_as_rfc_8785_asks() {
        let value =
            json!({"b": [1, -0.0, 1e-7, 4.50, 1e21, 0.1], "a": "\u{8}\u{f}€\"\\/", "\u{1F600}": 1, "\u{fb33}": 2});
        assert_eq!(
            text(&json!({"x": value["b"], "a": value["a"]})),
            r#"{"a":"\b\u000f€\"\\/","x":[1,0,1e-7,4.5,1e+21,0.1]}"#
        );
        assert_eq!(text(&json!({"\u{fb33}": 2, "\u{1F600}": 1})), "{\"\u{1F600}\":1,\"\u{fb33}\":2}");
        assert_eq!(text(&json!([u64::MAX, i64::MIN])), "[18446744073709551615,-9223372036854775808]");
    }

    pub fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e15..1e15f64).prop_map(Value::from),
            any::<f64>().prop_filter("finite", |d| d.is_finite()).prop_map(|d| Value::from(d / 1e300)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_writes_it(string in "\\PC*|[\\x00-\\x7f]{0,40}") {
            let mut out = String::new();
            write_string(&string, &mut out);
            prop_assert_eq!(out, serde_json::to_string(&string).unwrap());
        }

        #[test]
        fn names_come_in_the_order_of_utf_16(names in prop::collection::vec("[a-c\u{e9}\u{fb33}\u{1F600}]{0,3}", 0..8)) {
            let object: Map<String, Value> = names.iter().map(|name| (name.clone(), Value::Null)).collect();
            let mut sorted: Vec<&String> = object.keys().collect();
            sorted.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            let written: Vec<_> = sorted.iter().map(|name| format!("{}:null", serde_json::to_string(name).unwrap())).collect();
            prop_assert_eq!(object_text(&object), format!("{{{}}}", written.join(",")));
        }

        #[test]
        fn canonical_text_reads_back_to_itself(value in any_json()) {
            let once = text(&value);
            let again: Value = serde_json::from_str(&once).unwrap();
            prop_assert_eq!(text(&again), once);
        }

        #[test]
        fn canonical_text_does_not_depend_on_the_order_of_members(
            members in prop::collection::btree_map(any::<String>(), any_json(), 0..8)
        ) {
            let forward: Map<_, _> = members.clone().into_iter().collect();
            let backward: Map<_, _> = members.into_iter().rev().collect();
            prop_assert_eq!(object_text(&forward), object_text(&backward));
        }
    }
}
