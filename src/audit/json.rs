//! Reading the JSON of one submission, with everything that a parser would change without a word.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{Problem, flaws};

/// A JSON object as a parser reads it.
pub struct Object {
    pub fields: Map<String, Value>,
    /// What the parser has changed without a word.
    pub flaws: Vec<Problem>,
}

/// The fields of a JSON object that hides no flaw, or what is wrong with it. `what` names it in messages: `the body`.
pub fn read_object(text: &str, what: &str) -> Result<Map<String, Value>, Vec<Problem>> {
    let Object { fields, flaws } = object(text, what)?;
    if flaws.is_empty() { Ok(fields) } else { Err(flaws) }
}

/// A JSON object with its flaws, or why it cannot be read.
pub fn object(text: &str, what: &str) -> Result<Object, Vec<Problem>> {
    // Before the text is parsed: what may not be parsed is told by its flaws alone.
    let found = flaws::hidden(text);
    let parseable = flaws::parseable(&found);
    let flaws: Vec<Problem> =
        found.into_iter().map(|flaw| Problem { path: flaw.path, code: flaw.code, message: flaw.message }).collect();
    if !parseable {
        return Err(flaws);
    }
    let fields = serde_json::from_str(text).map_err(|error| {
        let message = if error.is_data() {
            format!("{what} is not a JSON object")
        } else if text.contains('\n') {
            format!("{what} is not JSON: {error}")
        } else {
            // The error counts lines too, and of those there is one.
            format!("{what} is not JSON: {}", error.to_string().replace(" at line 1 column", " at column"))
        };
        vec![Problem { path: vec![], code: "MALFORMED", message }]
    })?;
    Ok(Object { fields, flaws })
}

/// Whether the text is an object that has one of these members. Their values are not read, nor a text with too many of them.
pub fn names_any(text: &str, names: &[&str]) -> bool {
    if flaws::too_many_values(text) {
        return false;
    }
    let fields: Result<HashMap<String, IgnoredAny>, _> = serde_json::from_str(text);
    fields.is_ok_and(|fields| names.iter().any(|name| fields.contains_key(*name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_parser_keeps_for_itself_is_refused_before_anything_is_parsed() {
        let token = "$serde_json::private::RawValue";
        let mut nested = "1".to_string();
        for _ in 0..12 {
            let text = serde_json::json!({ token: nested }).to_string();
            nested = format!("{}{text}{}", "[".repeat(120), "]".repeat(120));
        }
        let escaped = token.replace('s', "\\u0073");
        for (text, path) in [
            (format!(r#"{{"event_data": {nested}}}"#), "event_data"),
            (format!(r#"{{"{token}": "1"}}"#), token),
            (format!(r#"{{"a": {{"{escaped}": "{{\"b\": 1, \"b\": 2}}"}}}}"#), "a"),
        ] {
            let problems = read_object(&text, "the body").unwrap_err();
            assert_eq!((problems[0].code, problems[0].path[0].as_str()), ("RESERVED_NAME", path));
        }
        // Many other flaws before it do not hide it.
        let many: String = (0..200).map(|_| r#""x": 1, "#).collect();
        let problems = read_object(&format!(r#"{{{many}"{token}": "1"}}"#), "the body").unwrap_err();
        assert_eq!((problems.len(), problems[0].code), (100, "DOUBLED_NAME"));
    }
}
