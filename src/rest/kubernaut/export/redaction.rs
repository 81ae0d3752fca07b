//! Masking of personal data in what is exported: e-mail addresses, IP addresses and telephone numbers in texts.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

/// What stands in the place of personal data.
pub const MASK: &str = "[redacted]";

/// Longest text of an IPv6 address.
const IPV6_CHARS_MAX: usize = 45;

/// Masks the personal data in all texts of a value, and in the names of members. Says whether there was any.
///
/// Masked are e-mail addresses, IPv4 and IPv6 addresses, and telephone numbers: those that begin with `+`, of 7 to 15 digits,
/// and those of ten digits in groups of 3, 3 and 4. A number without groups is none: too many ids and times look like that.
pub fn redact(value: &mut Value) -> bool {
    match value {
        Value::String(text) => match masked(text) {
            None => false,
            Some(masked) => {
                *text = masked;
                true
            }
        },
        Value::Array(items) => redact_all(items.iter_mut()),
        Value::Object(members) => {
            let named = redact_names(members);
            redact_all(members.values_mut()) || named
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Masks the personal data in the names of members, and says whether there was any. No member is lost: where a name is taken, a
/// number follows it.
pub fn redact_names(members: &mut Map<String, Value>) -> bool {
    if members.keys().all(|name| masked(name).is_none()) {
        return false;
    }
    let mut personal = Vec::new();
    for (name, value) in std::mem::take(members) {
        match masked(&name) {
            Some(masked) => personal.push((masked, value)),
            None => drop(members.insert(name, value)),
        }
    }
    let mut number = 1; // of all, so that many of one name are not counted anew each time
    for (masked, value) in personal {
        let mut name = masked.clone();
        while members.contains_key(&name) {
            number += 1;
            name = format!("{masked} ({number})");
        }
        members.insert(name, value);
    }
    true
}

fn redact_all<'v>(values: impl Iterator<Item = &'v mut Value>) -> bool {
    values.map(redact).filter(|masked| *masked).count() > 0
}

/// The text without e-mail addresses; `None` where it has none.
pub fn email_masked(text: &str) -> Option<String> {
    masked_by(&[email], text)
}

/// The text without personal data; `None` where it has none.
fn masked(text: &str) -> Option<String> {
    masked_by(&[email, ipv6, ipv4, international, grouped], text)
}

/// How many characters of a sort of personal data a text begins with; the second is the character before it.
type Find = fn(&[char], Option<char>) -> Option<usize>;

fn masked_by(finds: &[Find], text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut any, mut at) = (String::new(), false, 0);
    while at < chars.len() {
        let before = at.checked_sub(1).map(|before| chars[before]);
        let found = finds.iter().find_map(|find| find(&chars[at..], before));
        match found {
            Some(length) => {
                out.push_str(MASK);
                any = true;
                at += length;
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    any.then_some(out)
}

fn email(rest: &[char], before: Option<char>) -> Option<usize> {
    let local = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
    if before.is_some_and(local) {
        return None;
    }
    let name = run(rest, local);
    if name == 0 || rest.get(name) != Some(&'@') {
        return None;
    }
    let domain = &rest[name + 1..];
    let length = trimmed(domain, run(domain, |c| c.is_alphanumeric() || ".-".contains(c)), ".-");
    let dot = domain[..length].iter().rposition(|c| *c == '.')?;
    let named = dot > 0 && length - dot > 2 && domain[dot + 1..length].iter().all(|c| c.is_alphabetic());
    named.then_some(name + 1 + length)
}

fn ipv4(rest: &[char], before: Option<char>) -> Option<usize> {
    if !rest[0].is_ascii_digit() || before.is_some_and(|c| c.is_alphanumeric() || c == '.') {
        return None;
    }
    let length = trimmed(rest, run(rest, |c| c.is_ascii_digit() || c == '.'), ".");
    let address: String = rest[..length].iter().collect();
    let ends = !rest.get(length).is_some_and(|c| c.is_alphanumeric());
    (ends && address.parse::<Ipv4Addr>().is_ok()).then_some(length)
}

fn ipv6(rest: &[char], before: Option<char>) -> Option<usize> {
    let begins = rest[0].is_ascii_hexdigit() || rest.starts_with(&[':', ':']);
    if !begins || before.is_some_and(|c| c.is_alphanumeric() || (rest[0] == ':' && c == ':')) {
        return None;
    }
    let reach = &rest[..rest.len().min(IPV6_CHARS_MAX + 1)];
    let mut length = trimmed(reach, run(reach, |c| c.is_ascii_hexdigit() || c == ':' || c == '.'), ".");
    // A colon at the end belongs to the sentence, unless there are two.
    if length > 2 && reach[length - 1] == ':' && reach[length - 2] != ':' {
        length -= 1;
    }
    let address: String = reach[..length].iter().collect();
    let ends = !rest.get(length).is_some_and(|c| c.is_alphanumeric());
    let told = address.contains(|c: char| c.is_ascii_hexdigit());
    (ends && told && address.parse::<Ipv6Addr>().is_ok()).then_some(length)
}

/// A telephone number that begins with `+`.
fn international(rest: &[char], before: Option<char>) -> Option<usize> {
    if rest[0] != '+' || before.is_some_and(|c| c.is_alphanumeric()) {
        return None;
    }
    let (mut digits, mut length) = (0, 1);
    for (at, c) in rest.iter().enumerate().skip(1) {
        match c {
            '0'..='9' if digits < 15 => {
                digits += 1;
                length = at + 1;
            }
            // One separator, or a space beside a bracket.
            ' ' | '-' | '.' | '/' | '(' | ')' if at < length + 2 => {}
            _ => break,
        }
    }
    let ends = !rest.get(length).is_some_and(|c| c.is_alphanumeric());
    (ends && digits >= 7).then_some(length)
}

/// A telephone number in groups of 3, 3 and 4 digits, with or without a 1 before it.
fn grouped(rest: &[char], before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || "-._:/".contains(c)) {
        return None;
    }
    let digits = |at: usize, count: usize| {
        let run = run(rest.get(at..).unwrap_or_default(), |c| c.is_ascii_digit());
        (run == count).then_some(at + count)
    };
    let between = |at: usize| rest.get(at).is_some_and(|c| " -.".contains(*c)).then_some(at + 1);
    let country = digits(0, 1).filter(|_| rest[0] == '1').and_then(between).unwrap_or(0);
    let area = if rest.get(country) == Some(&'(') {
        let end = digits(country + 1, 3).filter(|end| rest.get(*end) == Some(&')'))? + 1;
        between(end).unwrap_or(end)
    } else {
        between(digits(country, 3)?)?
    };
    let end = digits(between(digits(area, 3)?)?, 4)?;
    let ends = !rest.get(end).is_some_and(|c| c.is_alphanumeric() || "-_".contains(*c));
    ends.then_some(end)
}

/// How many characters at the beginning are of a sort.
fn run(chars: &[char], sort: impl Fn(char) -> bool) -> usize {
    chars.iter().take_while(|c| sort(**c)).count()
}

/// A length without those of `punctuation` at its end.
fn trimmed(chars: &[char], length: usize, punctuation: &str) -> usize {
    length - chars[..length].iter().rev().take_while(|c| punctuation.contains(**c)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_and_telephone_numbers_are_masked_wherever_they_stand() {
        for (text, expected) in [
            ("mail ops.lead+night@eu.example.com.", "mail [redacted]."),
            ("<jürgen@exämple.de>,a@b.io", "<[redacted]>,[redacted]"),
            ("client:10.0.0.1:8080, 192.168.1.254/24.", "client:[redacted]:8080, [redacted]/24."),
            ("from 2001:db8::1, [fe80::1%eth0]:443 and ::1", "from [redacted], [[redacted]%eth0]:443 and [redacted]"),
            ("addr:2001:db8:0:0:0:0:0:1", "addr:[redacted]"),
            ("::ffff:10.0.0.7:", "[redacted]:"),
            ("call +49 30 1234567 or +1 (555) 010-9999!", "call [redacted] or [redacted]!"),
            ("(555) 010-9999, 1-555-010-9999, 555.010.9999", "[redacted], [redacted], [redacted]"),
        ] {
            assert_eq!(masked(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_only_looks_alike_is_left_alone() {
        for text in [
            "2026-05-04T10:00:00.123456Z",
            "2026-05-04T10:00:00+02:00",
            "550e8400-e29b-41d4-a716-446655440000",
            "rr-7d1f0c9ab3e2-4be09c11",
            "1777888800 4155550123",
            "registry.example.com/checkout@sha256:7d1f0c9ab3e2f410",
            "std::io::Error in v1.2.3.4 of @types/node@18",
            "10.0.0 and 256.1.1.1 and 1.2.3.4.5",
            "00:1b:44:11:3a:b7 at 10:00:00 :: done",
            "user@localhost +7 -3 +120%",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }

    #[test]
    fn texts_are_masked_at_any_depth_and_nothing_else_changes() {
        let mut value = json!({"n": 5550109999_i64, "list": [{"by": "ann@example.com"}, "fine", null, true]});
        assert!(redact(&mut value));
        assert_eq!(value, json!({"n": 5550109999_i64, "list": [{"by": MASK}, "fine", null, true]}));
        assert!(!redact(&mut value));
    }

    #[test]
    fn names_of_members_are_masked_and_none_of_them_is_lost() {
        let mut value = json!({"in": {"a@b.io": 1, "c@d.io": 2, "10.0.0.1": 3, "at 10.0.0.1": 4, MASK: 5, "fine": 6}});
        assert!(redact(&mut value));
        let members = value["in"].as_object().unwrap();
        assert!(members.keys().all(|name| name.contains(MASK) || name == "fine"), "{members:?}");
        assert_eq!((&members[MASK], &members["at [redacted]"], &members["fine"]), (&json!(5), &json!(4), &json!(6)));
        let mut told: Vec<_> = members.values().filter_map(Value::as_i64).collect();
        told.sort();
        assert_eq!(told, [1, 2, 3, 4, 5, 6]);
        assert!(!redact(&mut value));
    }

    proptest! {
        #[test]
        fn personal_data_is_masked_between_any_separators(before in "[ ,;<>\"'äx]{0,20}", after in "[ ,;<>\"'äx]{0,20}") {
            for data in ["ann@example.com", "10.1.2.3", "2001:db8::7", "+49 30 1234567", "555-010-9999"] {
                let text = format!("{before} {data},{after}");
                prop_assert_eq!(masked(&text), Some(format!("{before} {MASK},{after}")), "{}", text);
            }
        }
    }
}
