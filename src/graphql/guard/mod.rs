//! The guard: looks at a document before anything else does, and refuses one that would cost much merely to be checked.
//!
//! async-graphql walks a document anew for each spread of a fragment, so that 700 bytes of fragments that spread each other
//! ten times keep it busy for half a minute, whatever its limits say. The guard counts what a document comes to with each
//! fragment counted once, and hands on the parsed document only when that is little. All that walks it afterwards is then
//! bounded too.

mod scan;
mod walk;
mod words;

#[cfg(test)]
mod tests;

use async_graphql::{
    Pos, ServerError,
    parser::{parse_query, types::ExecutableDocument},
};

use crate::{audit::flaws, error::Code};

/// Most bytes of a document. Data belongs into variables, which cost far less to read.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most tokens: what the parser takes grows with them. GraphiQL's own query for the schema has about 300.
pub const TOKENS_MAX: usize = 5_000;
/// Deepest nesting of brackets of any sort: the parser goes some stack frames deeper with each.
pub const NESTING_MAX: usize = 100;
/// Most operations and fragments: some checks look at each fragment for each operation.
pub const DEFINITIONS_MAX: usize = 100;
/// Most fields, spreads and inline fragments, with every fragment put in its place.
pub const SELECTIONS_MAX: usize = 5_000;
/// Deepest nesting of selections, spreads counted: what walks a document goes a stack frame deeper with each.
pub const LEVELS_MAX: usize = 128;
/// Deepest nesting of fields that a setting may allow. Each list in a list multiplies the cost, and up to here the product fits
/// a number; `paging::cost` sees to the pages.
pub const DEPTH_MAX: usize = 32;
/// Most aliases: they repeat a field, and with it what the field costs.
pub const ALIASES_MAX: usize = 100;
/// Most directives at one place, and in all.
pub const DIRECTIVES_AT_ONE_PLACE_MAX: usize = 10;
pub const DIRECTIVES_MAX: usize = 100;
/// Most fields of an operation itself: the mutations of one operation run one after the other.
pub const ROOT_FIELDS_MAX: usize = 50;

/// Most questions for the schema, and most lists in them (`fields`, `inputFields`, `interfaces`, `possibleTypes`): the query of
/// GraphiQL has one with four lists, none within another. Each level within a level multiplies the answer by its length.
pub const INTROSPECTIONS_MAX: usize = 5;
pub const SCHEMA_LISTS_MAX: usize = 16;
pub const SCHEMA_DEPTH_MAX: usize = 1;

/// What a document may have, besides the limits that are the same everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Deepest nesting of fields.
    pub depth_max: usize,
    /// Whether a document may ask for the schema.
    pub introspection: bool,
}

/// Why a document goes no further, in a sentence for who has written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: Code,
    pub message: String,
    pub places: Vec<Pos>,
}

impl Refused {
    fn new(code: Code, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into(), places: Vec::new() }
    }

    fn at(self, place: Pos) -> Refused {
        Refused { places: vec![place], ..self }
    }
}

impl From<Refused> for ServerError {
    fn from(refused: Refused) -> ServerError {
        let mut error = crate::http::request_error(refused.code, refused.message);
        error.locations = refused.places;
        error
    }
}

/// Parses a document that is bounded in every way that counts, or says what is too much.
pub fn check(text: &str, bounds: Bounds) -> Result<ExecutableDocument, Refused> {
    if text.trim().is_empty() {
        return Err(Refused::new(Code::BadInput, "the request has no `query`"));
    }
    at_most("bytes", text.len(), TEXT_BYTES_MAX, "send data as variables")?;
    let shape = scan::shape(text);
    at_most("tokens", shape.tokens, TOKENS_MAX, "send data as variables, or ask for less at once")?;
    at_most("levels of brackets", shape.nesting, NESTING_MAX, "nest less deep")?;

    if let Some(flaw) = flaws::in_literals(text).first() {
        return Err(Refused::new(Code::BadInput, format!("in the query, {flaw}")));
    }

    let document = parse_query(text).map_err(|error| words::of(&error, text))?;
    let definitions = document.operations.iter().count() + document.fragments.len();
    at_most("operations and fragments", definitions, DEFINITIONS_MAX, "send only those that it needs")?;

    let tally = walk::tally(&document)?;
    at_most("levels of fields", tally.depth, bounds.depth_max.min(DEPTH_MAX), "nest less deep")?;
    let less = "counted with every fragment in its place; ask for less at once";
    at_most("selections", tally.selections, SELECTIONS_MAX, less)?;
    at_most("aliases", tally.aliases, ALIASES_MAX, less)?;
    at_most("directives", tally.directives, DIRECTIVES_MAX, less)?;
    at_most("fields of an operation itself", tally.roots, ROOT_FIELDS_MAX, "send several requests")?;
    at_most("questions for the schema", tally.introspections, INTROSPECTIONS_MAX, less)?;
    at_most("lists of the schema", tally.schema_lists, SCHEMA_LISTS_MAX, less)?;
    at_most("lists of the schema in each other", tally.schema_depth, SCHEMA_DEPTH_MAX, "ask for each type by itself")?;
    if tally.introspections > 0 && !bounds.introspection {
        let message = "introspection is switched off here; `binnacle schema` prints the schema";
        return Err(Refused::new(Code::Forbidden, message));
    }
    Ok(document)
}

fn at_most(what: &str, found: usize, max: usize, way_out: &str) -> Result<(), Refused> {
    if found <= max {
        return Ok(());
    }
    let found = if found == usize::MAX { "more than can be counted".to_string() } else { found.to_string() };
    let message = format!("the query has {found} {what}, at most {max} are allowed; {way_out}");
    Err(Refused::new(Code::TooComplex, message))
}
