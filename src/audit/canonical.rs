//! Canonical JSON: one text for one meaning, so that a digest can be trusted. RFC 8785, except that integers within 64
//! bits stay exact, and that numbers which would not survive a double are refused beforehand.

use std::{borrow::Cow, collections::HashSet, fmt::Write as _};

use memchr::memchr2;
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

/// A flaw of a JSON text that reading it as doubles and maps would hide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub path: Vec<String>,
    /// A stable word for programs.
    pub code: &'static str,
    pub message: String,
}

/// Names that begin so mean to serde_json that their text is JSON to be read anew: it would stand for what it is not, and each
/// such level may be nested as deep as a whole text. A text with such a name is not handed to it.
const RESERVED: &str = "$serde_json::private::";

/// The code of a name that is reserved.
const RESERVED_NAME: &str = "RESERVED_NAME";

/// Whether a text with these flaws may be parsed at all. Of a text with very many flaws not all were looked at.
pub fn parseable(flaws: &[Flaw]) -> bool {
    flaws.len() < FLAWS_MAX && flaws.iter().all(|flaw| flaw.code != RESERVED_NAME)
}

/// Finds what a JSON parser would change without a word: numbers that do not survive a double, names given twice in
/// one object, and names that it keeps for itself. `text` may be any text; what is not JSON is left for the parser to refuse.
pub fn hidden_flaws(text: &str) -> Vec<Flaw> {
    let mut scanner =
        Scanner { bytes: text.as_bytes(), text, at: 0, levels: Vec::new(), few: Vec::new(), flaws: Vec::new() };
    scanner.run();
    scanner.flaws
}

/// What is wrong with the literals of a GraphQL document and would be changed without a word: numbers that do not survive a
/// double, and fields given twice in one object.
pub fn literal_flaws(document: &str) -> Vec<String> {
    let bytes = document.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    // Braces within arguments are objects; elsewhere they select fields.
    let mut arguments = 0_usize;
    let mut objects: Vec<HashSet<&str>> = Vec::new();
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at += bytes[at..].iter().take_while(|b| !matches!(b, b'\n' | b'\r')).count(),
            b'"' if bytes[at..].starts_with(b"\"\"\"") => {
                at += 3;
                while at < bytes.len() && !bytes[at..].starts_with(b"\"\"\"") {
                    at += if bytes[at..].starts_with(b"\\\"\"\"") { 4 } else { 1 };
                }
                at += 3;
            }
            b'"' => (at, _) = string_end(bytes, at),
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, at);
                if !exact(&document[at..end]) {
                    found.push(format!(
                        "{} does not fit a 64-bit number exactly; send it as a string",
                        &document[at..end]
                    ));
                }
                at = end.max(at + 1);
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                let start = at;
                at += bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                let named = bytes[at..].iter().find(|b| !b.is_ascii_whitespace() && **b != b',') == Some(&b':');
                if let (true, Some(seen)) = (named, objects.last_mut())
                    && !seen.insert(&document[start..at])
                {
                    found.push(format!("`{}` is given twice in one object", &document[start..at]));
                }
            }
            byte => {
                match byte {
                    b'(' => arguments += 1,
                    b')' => arguments = arguments.saturating_sub(1),
                    b'{' if arguments > 0 => objects.push(HashSet::new()),
                    b'}' if arguments > 0 => drop(objects.pop()),
                    _ => {}
                }
                at += 1;
            }
        }
    }
    found
}

/// Most flaws that are told of one text.
const FLAWS_MAX: usize = 100;

/// As deep as serde_json reads.
const LEVELS_MAX: usize = 128;

enum Level<'a> {
    Object { names: Names<'a>, name: Option<Cow<'a, str>> },
    List { index: usize },
}

/// The names of one object. Most have few, and those are found sooner by looking at each.
struct Names<'a> {
    /// Where its own begin among those of the objects around it.
    few_from: usize,
    more: HashSet<Cow<'a, str>>,
    /// A bit for each name that is there: where it is missing, the name is new.
    there: u64,
}

impl<'a> Names<'a> {
    const FEW_MAX: usize = 24;

    fn new(few_from: usize) -> Names<'a> {
        Names { few_from, more: HashSet::new(), there: 0 }
    }

    /// Whether the name is a new one.
    fn add(&mut self, name: Cow<'a, str>, few: &mut Vec<Cow<'a, str>>) -> bool {
        let bit = bit(name.as_bytes());
        if self.there & bit != 0 && few[self.few_from..].contains(&name) {
            return false;
        }
        self.there |= bit;
        if few.len() - self.few_from < Self::FEW_MAX {
            few.push(name);
            return true;
        }
        self.more.insert(name)
    }
}

/// One of 64 bits for a name, by its length, its first byte and its last.
fn bit(name: &[u8]) -> u64 {
    let [first, last] = [name.first(), name.last()].map(|byte| byte.copied().map_or(0, usize::from));
    1 << ((name.len() * 7 + first * 5 + last) % 64)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    levels: Vec<Level<'a>>,
    /// The first names of all objects that are open, those of the innermost last.
    few: Vec<Cow<'a, str>>,
    flaws: Vec<Flaw>,
}

impl<'a> Scanner<'a> {
    fn run(&mut self) {
        // At a deeper place the parser refuses the text.
        while let Some(&byte) = self.bytes.get(self.at).filter(|_| self.levels.len() <= LEVELS_MAX) {
            match byte {
                b'{' => self.levels.push(Level::Object { names: Names::new(self.few.len()), name: None }),
                b'[' => self.levels.push(Level::List { index: 0 }),
                b'}' | b']' => {
                    if let Some(Level::Object { names, .. }) = self.levels.pop() {
                        self.few.truncate(names.few_from);
                    }
                }
                b',' => match self.levels.last_mut() {
                    Some(Level::List { index }) => *index += 1,
                    Some(Level::Object { name, .. }) => *name = None,
                    None => {}
                },
                b'"' => {
                    self.string();
                    continue;
                }
                b'-' | b'0'..=b'9' => {
                    self.number();
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn string(&mut self) {
        let (end, escapes) = string_end(self.bytes, self.at);
        let token = self.text.get(self.at..end).unwrap_or_default();
        self.at = end;
        let Some(Level::Object { names, name: name @ None }) = self.levels.last_mut() else { return };
        let member: Cow<'a, str> = match token.get(1..token.len().saturating_sub(1)) {
            Some(plain) if !escapes => plain.into(),
            _ => serde_json::from_str::<String>(token).unwrap_or_default().into(),
        };
        let fresh = names.add(member.clone(), &mut self.few);
        let reserved = member.starts_with(RESERVED);
        *name = Some(member);
        if reserved {
            self.flaw(RESERVED_NAME, |path| {
                format!("`{}` is a name that cannot be kept", path.last().map_or("", String::as_str))
            });
        }
        if !fresh {
            self.flaw("DOUBLED_NAME", |path| {
                format!("`{}` is given twice in one object", path.last().map_or("", String::as_str))
            });
        }
    }

    fn number(&mut self) {
        let end = number_end(self.bytes, self.at);
        let token = &self.text[self.at..end];
        if !exact(token) {
            self.flaw("INEXACT_NUMBER", |_| {
                format!("{token} does not fit a 64-bit number exactly; send it as a string")
            });
        }
        self.at = end.max(self.at + 1);
    }

    /// Notes a flaw of this place. Its path is made only now: the nesting of a hostile text can be very deep.
    fn flaw(&mut self, code: &'static str, message: impl FnOnce(&[String]) -> String) {
        if self.flaws.len() < FLAWS_MAX {
            let path = self.path();
            let message = message(&path);
            self.flaws.push(Flaw { path, code, message });
        }
    }

    fn path(&self) -> Vec<String> {
        self.levels
            .iter()
            .filter_map(|level| match level {
                Level::Object { name, .. } => name.as_ref().map(Cow::to_string),
                Level::List { index } => Some(index.to_string()),
            })
            .collect()
    }
}

/// Where a string ends, and whether it has escapes.
fn string_end(bytes: &[u8], start: usize) -> (usize, bool) {
    let (mut at, mut escapes) = (start + 1, false);
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += next;
        if bytes[at] == b'"' {
            return (at + 1, escapes);
        }
        (at, escapes) = (at + 2, true);
    }
    (bytes.len(), escapes)
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    start + bytes[start..].iter().take_while(|b| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')).count()
}

/// Whether a number reads back as what was written: an integer within 64 bits, or a decimal whose digits its double
/// keeps.
fn exact(token: &str) -> bool {
    // A double keeps fifteen digits of any decimal.
    if token.len() <= 15 && !token.contains(['e', 'E']) {
        return true;
    }
    if token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok() {
        return true;
    }
    let Ok(double) = token.parse::<f64>() else { return true };
    if !double.is_finite() {
        return false;
    }
    if double.fract() == 0.0 && double.abs() >= 9_223_372_036_854_775_808.0 {
        return false;
    }
    // Where two shortest decimals lie equally near, printers differ; both are what the writer meant.
    let token = decimal(token);
    token == decimal(ryu_js::Buffer::new().format(double)) || token == decimal(&format!("{double:e}"))
}

/// A decimal as its significant digits and the power of ten of the last one; zero has no digits.
fn decimal(token: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
    let negative = mantissa.starts_with('-');
    let (whole, fraction) = mantissa.trim_start_matches(['-', '+']).split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('-');
    let mut power = exponent.parse::<i64>().unwrap_or(0).saturating_sub(fraction.len() as i64);
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let short = digits.trim_end_matches('0');
    power = power.saturating_add((digits.len() - short.len()) as i64);
    if short.is_empty() { (false, String::new(), 0) } else { (negative, short.to_string(), power) }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn numbers_that_a_double_would_change_are_found_with_their_path() {
        let flaws = hidden_flaws(
            r#"{"a": [1, 9007199254740993, 9007199254740993.0], "b": {"c": 0.1, "d": 18446744073709551616},
                "e": 1.00, "f": 0.30000000000000000004, "g": "9007199254740993.0", "h": 1e400, "i": 12e-1}"#,
        );
        let paths: Vec<_> = flaws.iter().map(|flaw| flaw.path.join(".")).collect();
        assert_eq!(paths, ["a.2", "b.d", "f", "h"]);
    }

    #[test]
    fn a_name_given_twice_is_found() {
        let flaws = hidden_flaws(r#"{"a": {"b": 1, "c": [{"b": 2}], "b": 3}}"#);
        assert_eq!(flaws.len(), 1);
        assert_eq!(flaws[0].path, ["a", "b"]);
    }

    #[test]
    fn a_name_given_twice_is_found_however_many_there_are_and_however_it_is_spelled() {
        for count in [1, Names::FEW_MAX - 1, Names::FEW_MAX, Names::FEW_MAX + 1, 300] {
            let names: String = (0..count).map(|name| format!(r#""n{name}": 1, "#)).collect();
            assert!(hidden_flaws(&format!(r#"{{{names}"m": 1}}"#)).is_empty());
            for again in ["n0".to_string(), format!("n{}", count - 1), "\\u006e0".to_string()] {
                assert_eq!(hidden_flaws(&format!(r#"{{{names}"{again}": 1}}"#)).len(), 1, "{again} of {count}");
            }
        }
    }

    #[test]
    fn what_the_parser_refuses_for_its_depth_is_not_looked_at_to_the_end() {
        let nested = |levels: usize| format!(r#"{}{{"a": 1, "a": 2}}"#, "[".repeat(levels));
        assert_eq!(hidden_flaws(&nested(LEVELS_MAX - 1)).len(), 1);
        let deep = nested(LEVELS_MAX + 1);
        assert!(hidden_flaws(&deep).is_empty());
        assert!(serde_json::from_str::<Value>(&deep).unwrap_err().to_string().contains("recursion limit"));
    }

    #[test]
    fn literals_of_a_document_are_read_outside_of_names_strings_and_comments() {
        let document = "{ a1: f(x: 0.30000000000000000004, s: \"0.30000000000000000004\") # 0.30000000000000000004\n }";
        assert_eq!(literal_flaws(document).len(), 1);
        assert!(literal_flaws("{ b(s: \"\"\"18446744073709551616 \\\"\"\" \"\"\", x: 0.5) }").is_empty());
    }

    #[test]
    fn a_field_given_twice_in_an_object_literal_is_found_and_an_alias_is_not() {
        let twice =
            literal_flaws("mutation { f(input: {status: \"sent\", at: {a: 1, a : 2}, status: \"failed\"}) { a b } }");
        assert_eq!(twice, ["`a` is given twice in one object", "`status` is given twice in one object"]);
        let fine = "query($f: F = {a: 1}) { x: f(a: {a: 1, b: [{a: 1}, {a: 1}]}) { a: b a: b } y: f(a: {a: 1}) { a } }";
        assert!(literal_flaws(fine).is_empty());
    }

    fn any_json() -> impl Strategy<Value = Value> {
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

        #[test]
        fn what_serde_writes_of_an_exact_number_has_no_flaw(value in any::<f64>()) {
            prop_assume!(value.is_finite() && !(value.fract() == 0.0 && value.abs() >= 9.2e18));
            prop_assert!(hidden_flaws(&serde_json::to_string(&value).unwrap()).is_empty());
        }

        #[test]
        fn looking_for_flaws_never_panics(text in any::<String>()) {
            hidden_flaws(&text);
            literal_flaws(&text);
        }
    }
}
