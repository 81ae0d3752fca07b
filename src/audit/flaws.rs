//! What is wrong with a JSON text, or with the literals of a GraphQL document, that reading it would hide, and whether a text holds
//! too much to be read; told so that a name of any length stays short.

use std::{borrow::Cow, collections::HashSet};

use memchr::{memchr_iter, memchr2};

use super::limits::NAME_MAX;

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

/// The code of a text that would take too much memory, and its message.
pub const TOO_MANY_VALUES: &str = "TOO_MANY_VALUES";
pub const TOO_MANY_VALUES_MESSAGE: &str = "it holds more objects, lists and values (counted by braces, brackets and commas) \
    than are read at once; send less at a time";

/// What a text may hold, about by what its values take once they are parsed: a value counts as two, a list as eight more, an
/// object as sixteen.
const VALUES_MAX: usize = 6_000_000;

/// Whether a text may hold too many values to be parsed: each of a few bytes becomes hundreds in memory. Braces, brackets and
/// commas within strings count too.
pub fn too_many_values(text: &str) -> bool {
    let count = |byte: u8| memchr_iter(byte, text.as_bytes()).count();
    // A shorter one has no room for so many.
    text.len() > VALUES_MAX / 16 && 16 * count(b'{') + 8 * count(b'[') + 2 * count(b',') > VALUES_MAX
}

/// Whether a text with these flaws may be parsed at all. Of a text with very many flaws not all were looked at.
pub fn parseable(flaws: &[Flaw]) -> bool {
    flaws.len() < FLAWS_MAX && flaws.iter().all(|flaw| !matches!(flaw.code, RESERVED_NAME | TOO_MANY_VALUES))
}

/// Finds what a JSON parser would change without a word: numbers that do not survive a double, names given twice in
/// one object, and names that it keeps for itself. A text with too many values has this one flaw. `text` may be any text; what
/// is not JSON is left for the parser to refuse.
pub fn hidden(text: &str) -> Vec<Flaw> {
    if too_many_values(text) {
        return vec![Flaw { path: vec![], code: TOO_MANY_VALUES, message: TOO_MANY_VALUES_MESSAGE.to_string() }];
    }
    let mut scanner =
        Scanner { bytes: text.as_bytes(), text, at: 0, levels: Vec::new(), few: Vec::new(), flaws: Vec::new() };
    scanner.run();
    scanner.flaws
}

/// What is wrong with the literals of a GraphQL document and would be changed without a word: numbers that do not survive a
/// double, and fields given twice in one object.
pub fn in_literals(document: &str) -> Vec<String> {
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

/// With more bytes than this a path is told no further.
const PATH_BYTES_MAX: usize = 1_000;

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
                format!("{} does not fit a 64-bit number exactly; send it as a string", short(token))
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
        let names = self.levels.iter().filter_map(|level| match level {
            Level::Object { name, .. } => name.as_deref().map(Cow::Borrowed),
            Level::List { index } => Some(Cow::Owned(index.to_string())),
        });
        short_path(names)
    }
}

/// A name or a number as it is told: one of megabytes would be told with each flaw below it.
pub fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(NAME_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// A path as it is told: of long names the first ones.
pub fn short_path<'a>(names: impl Iterator<Item = Cow<'a, str>>) -> Vec<String> {
    let mut told = 0;
    let mut path: Vec<String> = Vec::new();
    for name in names {
        if told > PATH_BYTES_MAX {
            path.push("…".to_string());
            break;
        }
        let name = short(&name).into_owned();
        told += name.len();
        path.push(name);
    }
    path
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
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn numbers_that_a_double_would_change_are_found_with_their_path() {
        let flaws = hidden(
            r#"{"a": [1, 9007199254740993, 9007199254740993.0], "b": {"c": 0.1, "d": 18446744073709551616},
                "e": 1.00, "f": 0.30000000000000000004, "g": "9007199254740993.0", "h": 1e400, "i": 12e-1}"#,
        );
        let paths: Vec<_> = flaws.iter().map(|flaw| flaw.path.join(".")).collect();
        assert_eq!(paths, ["a.2", "b.d", "f", "h"]);
    }

    #[test]
    fn a_name_given_twice_is_found() {
        let flaws = hidden(r#"{"a": {"b": 1, "c": [{"b": 2}], "b": 3}}"#);
        assert_eq!(flaws.len(), 1);
        assert_eq!(flaws[0].path, ["a", "b"]);
    }

    #[test]
    fn a_name_given_twice_is_found_however_many_there_are_and_however_it_is_spelled() {
        for count in [1, Names::FEW_MAX - 1, Names::FEW_MAX, Names::FEW_MAX + 1, 300] {
            let names: String = (0..count).map(|name| format!(r#""n{name}": 1, "#)).collect();
            assert!(hidden(&format!(r#"{{{names}"m": 1}}"#)).is_empty());
            for again in ["n0".to_string(), format!("n{}", count - 1), "\\u006e0".to_string()] {
                assert_eq!(hidden(&format!(r#"{{{names}"{again}": 1}}"#)).len(), 1, "{again} of {count}");
            }
        }
    }

    #[test]
    fn what_the_parser_refuses_for_its_depth_is_not_looked_at_to_the_end() {
        let nested = |levels: usize| format!(r#"{}{{"a": 1, "a": 2}}"#, "[".repeat(levels));
        assert_eq!(hidden(&nested(LEVELS_MAX - 1)).len(), 1);
        let deep = nested(LEVELS_MAX + 1);
        assert!(hidden(&deep).is_empty());
        assert!(serde_json::from_str::<Value>(&deep).unwrap_err().to_string().contains("recursion limit"));
    }

    #[test]
    fn a_text_whose_values_would_take_many_times_its_bytes_is_not_to_be_parsed() {
        // As many as may be, and one more.
        for (value, weight) in [(r#"{"":1},"#, 18), ("[1],", 10), ("1,", 2), ("{},", 18)] {
            let of = |count: usize| format!("[{}1]", value.repeat(count));
            let most = (VALUES_MAX - 8) / weight;
            assert!(!too_many_values(&of(most)) && parseable(&hidden(&of(most))), "{value}");
            let flaws = hidden(&of(most + 1));
            assert_eq!((flaws.len(), flaws[0].code), (1, TOO_MANY_VALUES), "{value}");
            assert!(!parseable(&flaws));
        }
    }

    #[test]
    fn a_name_or_a_number_of_any_length_is_told_in_short() {
        let (name, number) = ("n".repeat(100_000), format!("1{}", "0".repeat(100_000)));
        let flaws = hidden(&format!(r#"{{"{name}": [{number}, {number}], "{name}": 1}}"#));
        let told: Vec<usize> = flaws.iter().map(|flaw| flaw.message.chars().count()).collect();
        assert_eq!(flaws.len(), 3);
        assert!(told.iter().all(|length| *length < NAME_MAX + 100), "{told:?}");
        assert!(flaws.iter().flat_map(|flaw| &flaw.path).all(|name| name.chars().count() <= NAME_MAX + 1));

        let deep = format!("{}1e400", format!(r#"{{"{}":"#, "ä".repeat(NAME_MAX)).repeat(100));
        let path = hidden(&deep).remove(0).path;
        assert!(path.len() < 10 && path.last().is_some_and(|name| name == "…"), "{path:?}");
    }

    #[test]
    fn literals_of_a_document_are_read_outside_of_names_strings_and_comments() {
        let document = "{ a1: f(x: 0.30000000000000000004, s: \"0.30000000000000000004\") # 0.30000000000000000004\n }";
        assert_eq!(in_literals(document).len(), 1);
        assert!(in_literals("{ b(s: \"\"\"18446744073709551616 \\\"\"\" \"\"\", x: 0.5) }").is_empty());
    }

    #[test]
    fn a_field_given_twice_in_an_object_literal_is_found_and_an_alias_is_not() {
        let twice =
            in_literals("mutation { f(input: {status: \"sent\", at: {a: 1, a : 2}, status: \"failed\"}) { a b } }");
        assert_eq!(twice, ["`a` is given twice in one object", "`status` is given twice in one object"]);
        let fine = "query($f: F = {a: 1}) { x: f(a: {a: 1, b: [{a: 1}, {a: 1}]}) { a: b a: b } y: f(a: {a: 1}) { a } }";
        assert!(in_literals(fine).is_empty());
    }

    proptest! {
        #[test]
        fn what_serde_writes_of_an_exact_number_has_no_flaw(value in any::<f64>()) {
            prop_assume!(value.is_finite() && !(value.fract() == 0.0 && value.abs() >= 9.2e18));
            prop_assert!(hidden(&serde_json::to_string(&value).unwrap()).is_empty());
        }

        #[test]
        fn looking_for_flaws_never_panics(text in any::<String>()) {
            hidden(&text);
            in_literals(&text);
        }
    }
}
