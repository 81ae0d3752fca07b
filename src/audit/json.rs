//! Reading the JSON of one submission, with everything that a parser would change without a word.

use serde_json::{Map, Value};

use super::{Problem, canonical};

/// The fields of a JSON object, or what is wrong with it. `what` names it in messages: `the line`, `the body`.
pub fn read_object(text: &str, what: &str) -> Result<Map<String, Value>, Vec<Problem>> {
    let fields: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
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
    let flaws = canonical::hidden_flaws(text);
    if flaws.is_empty() {
        return Ok(fields);
    }
    Err(flaws.into_iter().map(|flaw| Problem { path: flaw.path, code: flaw.code, message: flaw.message }).collect())
}
