//! What the parser finds wrong, in plain sentences.

use async_graphql::{Pos, parser::Error};

use super::Refused;
use crate::error::Code;

/// Most characters of the text that a sentence shows.
const SHOWN_CHARS_MAX: usize = 30;

pub fn of(error: &Error, text: &str) -> Refused {
    let refused = match error {
        Error::Syntax { start, .. } => Refused::new(Code::BadInput, syntax(*start, text)),
        Error::MultipleOperations { .. } => {
            Refused::new(Code::BadInput, "an operation without a name has to be the only one of its query")
        }
        Error::OperationDuplicated { operation, .. } => {
            Refused::new(Code::BadInput, format!("two operations are called `{operation}`"))
        }
        Error::FragmentDuplicated { fragment, .. } => {
            Refused::new(Code::BadInput, format!("two fragments are called `{fragment}`"))
        }
        Error::MissingOperation => Refused::new(Code::BadInput, "the query has fragments and no operation"),
        Error::RecursionLimitExceeded => {
            Refused::new(Code::TooComplex, "the query has more than 64 levels of selections; nest less deep")
        }
        // Of schemas, which nobody sends here.
        _ => Refused::new(Code::BadInput, "the query cannot be read"),
    };
    Refused { places: error.positions().collect(), ..refused }
}

fn syntax(place: Pos, text: &str) -> String {
    let line = text.split('\n').nth(place.line.saturating_sub(1)).unwrap_or_default();
    let rest: String = line.chars().skip(place.column.saturating_sub(1)).collect();
    let shown: String = word(rest.trim_start()).chars().take(SHOWN_CHARS_MAX).collect();
    let whole = text.split('\n').count() > place.line || !rest.trim().is_empty();
    match shown.as_str() {
        "" if !whole => format!("the query ends too early, at line {}, column {}", place.line, place.column),
        "" => format!("the query cannot be read at line {}, column {}", place.line, place.column),
        shown => {
            format!(
                "the query cannot be read at line {}, column {}: `{shown}` is not expected",
                place.line, place.column
            )
        }
    }
}

/// The word or the sign at the start of a text.
fn word(text: &str) -> &str {
    let letters = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let first = text.chars().next().map_or(0, char::len_utf8);
    &text[..letters.max(first)]
}
