//! Reading the JSON of one submission, with everything that a parser would change without a word.

use serde_json::{Map, Value};

use super::{Problem, canonical};

/// The fields of a JSON object that hides no flaw, or what is wrong with it. `what` names it in messages: `the body`.
pub fn read_object(text: &str, what: &str) -> Result<Map<String, Value>, Vec<Problem>> {
    let fields = object(text, what).map_err(|problem| vec![problem])?;
    let flaws = flaws(text);
    if flaws.is_empty() { Ok(fields) } else { Err(flaws) }
}

/// The fields of a JSON object, as a parser reads them.
pub fn object(text: &str, what: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(text).map_err(|error| {
        let message = if error.is_data() {
            format!("{what} is not a JSON object")
        } else if text.contains('\n') {
            format!("{what} is not JSON: {error}")
        } else {
            // The error counts lines too, and of those there is one.
            format!("{what} is not JSON: {}", error.to_string().replace(" at line 1 column", " at column"))
        };
        Problem { path: vec![], code: "MALFORMED", message }
    })
}

/// What a parser has changed in a text without a word.
pub fn flaws(text: &str) -> Vec<Problem> {
    let flaws = canonical::hidden_flaws(text).into_iter();
    flaws.map(|flaw| Problem { path: flaw.path, code: flaw.code, message: flaw.message }).collect()
}
