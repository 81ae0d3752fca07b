//! What a document comes to once every fragment stands where it is spread; each fragment is counted once.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned,
    parser::types::{Directive, ExecutableDocument, FragmentDefinition, Selection, SelectionSet},
};

use super::{DIRECTIVES_AT_ONE_PLACE_MAX, LEVELS_MAX, Refused};
use crate::error::Code;

/// Counts saturate: what cannot be counted is too much as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Fields, spreads and inline fragments.
    pub selections: usize,
    pub aliases: usize,
    pub directives: usize,
    /// Deepest nesting of fields.
    pub depth: usize,
    /// Deepest nesting of selection sets, those of fragments included.
    pub levels: usize,
    /// Fields at the top; of a document, the most that an operation has.
    pub roots: usize,
    /// How often the schema is asked for.
    pub introspections: usize,
    /// Lists of the schema that lead on from type to type, and their deepest nesting: each multiplies the answer by its length.
    pub schema_lists: usize,
    pub schema_depth: usize,
}

impl Tally {
    /// Both, beside each other.
    fn beside(self, other: Tally) -> Tally {
        Tally {
            selections: self.selections.saturating_add(other.selections),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            depth: self.depth.max(other.depth),
            levels: self.levels.max(other.levels),
            roots: self.roots.saturating_add(other.roots),
            introspections: self.introspections.saturating_add(other.introspections),
            schema_lists: self.schema_lists.saturating_add(other.schema_lists),
            schema_depth: self.schema_depth.max(other.schema_depth),
        }
    }
}

/// The fields of introspection that list what leads to further types. No type of ours has a field of these names.
const SCHEMA_LISTS: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// What all operations come to, each with its fragments. A fragment that nobody spreads is looked at too, for later checks do.
pub fn tally(document: &ExecutableDocument) -> Result<Tally, Refused> {
    let mut walk = Walk { fragments: &document.fragments, known: HashMap::new(), open: Vec::new(), level: 0 };
    let mut names: Vec<&Name> = document.fragments.keys().collect();
    names.sort(); // so that the same document is always refused in the same words
    for name in names {
        walk.fragment(name)?;
    }
    let mut all = Tally::default();
    for (_, operation) in document.operations.iter() {
        let own = directives(&operation.node.directives)?;
        let tally = walk.set(&operation.node.selection_set)?;
        let roots = all.roots.max(tally.roots);
        all = Tally { roots, ..all.beside(tally).beside(own) };
    }
    Ok(all)
}

struct Walk<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    known: HashMap<&'a str, Tally>,
    /// Fragments that are being counted.
    open: Vec<&'a str>,
    /// How many selection sets we are in.
    level: usize,
}

impl<'a> Walk<'a> {
    fn set(&mut self, set: &'a Positioned<SelectionSet>) -> Result<Tally, Refused> {
        if set.node.items.is_empty() {
            return Ok(Tally::default()); // a field without selections
        }
        self.level += 1;
        if self.level > LEVELS_MAX {
            return Err(too_deep().at(set.pos));
        }
        let mut all = Tally::default();
        for selection in &set.node.items {
            all = all.beside(self.selection(selection)?);
        }
        self.level -= 1;
        Ok(Tally { levels: all.levels + 1, ..all })
    }

    fn selection(&mut self, selection: &'a Positioned<Selection>) -> Result<Tally, Refused> {
        let own = Tally { selections: 1, ..Tally::default() };
        Ok(match &selection.node {
            Selection::Field(field) => {
                let field = &field.node;
                let inner = self.set(&field.selection_set)?;
                let own = Tally { aliases: usize::from(field.alias.is_some()), ..own };
                let introspections = usize::from(matches!(&*field.name.node, "__schema" | "__type"));
                let list = usize::from(SCHEMA_LISTS.contains(&&*field.name.node));
                let schema_depth = inner.schema_depth + list;
                let own = Tally { introspections, schema_lists: list, ..own };
                let inner = Tally { depth: inner.depth + 1, roots: 1, schema_depth, ..inner };
                own.beside(inner).beside(directives(&field.directives)?)
            }
            Selection::InlineFragment(inline) => {
                own.beside(self.set(&inline.node.selection_set)?).beside(directives(&inline.node.directives)?)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name;
                let inner = self.fragment(&name.node).map_err(|refused| refused.at(name.pos))?;
                if self.level + inner.levels > LEVELS_MAX {
                    return Err(too_deep().at(name.pos));
                }
                own.beside(inner).beside(directives(&spread.node.directives)?)
            }
        })
    }

    fn fragment(&mut self, name: &str) -> Result<Tally, Refused> {
        if let Some(tally) = self.known.get(name) {
            return Ok(*tally);
        }
        let Some((name, fragment)) = self.fragments.get_key_value(name) else {
            return Ok(Tally::default()); // the schema says which one is missing
        };
        if self.open.contains(&name.as_str()) {
            return Err(Refused::new(Code::BadInput, format!("the fragment `{name}` contains itself")));
        }
        self.open.push(name.as_str());
        let own = directives(&fragment.node.directives)?;
        let tally = self.set(&fragment.node.selection_set)?.beside(own);
        self.open.pop();
        self.known.insert(name.as_str(), tally);
        Ok(tally)
    }
}

fn directives(at: &[Positioned<Directive>]) -> Result<Tally, Refused> {
    if let Some(first) = at.get(DIRECTIVES_AT_ONE_PLACE_MAX) {
        let message = format!(
            "there are {} directives at one place, at most {DIRECTIVES_AT_ONE_PLACE_MAX} are allowed",
            at.len()
        );
        return Err(Refused::new(Code::TooComplex, message).at(first.pos));
    }
    Ok(Tally { directives: at.len(), ..Tally::default() })
}

fn too_deep() -> Refused {
    let message = format!(
        "the query has more than {LEVELS_MAX} levels of selections, those of fragments counted; nest less deep"
    );
    Refused::new(Code::TooComplex, message)
}
