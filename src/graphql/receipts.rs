//! Receipts that are told without the schema. What is sent most is one mutation that asks nothing of its audits but where they
//! came to stand. To have the schema execute that takes about as long as the checks of an audit. So of a document which the schema
//! has let pass before, what it asks is found once, and its receipts are told from that. Whatever is not a receipt the schema tells.

use async_graphql::{
    Name, Positioned, ScalarType as _, Value,
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, Field, Selection, SelectionSet},
};

use super::scalars::{DateTime, Uuid, Watermark};
use crate::{
    audit::{Entry, canonical},
    record::Answer,
};

/// What a mutation asks of receipts.
pub struct Receipts {
    /// The name under which it is answered.
    name: Name,
    /// Whether it records a list.
    many: bool,
    asked: Members,
}

/// What is asked of an object, each under the name by which it is answered.
type Members = Vec<(Name, Member)>;

/// What can be told of a receipt, or of its event, as soon as it is there.
enum Member {
    /// `__typename`.
    Type(&'static str),
    Position,
    Version,
    Watermark,
    Duplicate,
    Event(Members),
    EventId,
    RecordedAt,
    Digest,
}

/// The type of a receipt, the one that may stand in its place, and the type of a receipt's event.
const RECORDED: &str = "Recorded";
const REJECTED: &str = "Rejected";
const EVENT: &str = "AuditEvent";

impl Receipts {
    /// What the one field of a mutation asks of its receipts; `None` where that is more than can be told here.
    pub fn asked(document: &ExecutableDocument, field: &Field, many: bool) -> Option<Receipts> {
        let asked = members(document, RECORDED, &field.selection_set.node)?;
        Some(Receipts { name: field.response_key().node.clone(), many, asked })
    }

    /// The data of the answer; `None` unless everything was recorded.
    pub fn told(&self, journal: uuid::Uuid, answers: &[Answer]) -> Option<Value> {
        let mut receipts = answers.iter().map(|answer| match answer {
            Answer::Recorded { entry, duplicate } => Some(told(&self.asked, journal, entry, *duplicate)),
            Answer::Rejected(_) => None,
        });
        let receipts = match self.many {
            true => Value::List(receipts.collect::<Option<_>>()?),
            false => receipts.next()??,
        };
        Some(Value::Object(IndexMap::from_iter([(self.name.clone(), receipts)])))
    }
}

fn told(asked: &Members, journal: uuid::Uuid, entry: &Entry, duplicate: bool) -> Value {
    let member = |member: &Member| match member {
        Member::Type(name) => Value::from(*name),
        Member::Position => Value::from(entry.position.to_string()),
        Member::Version => Value::from(entry.version.0),
        Member::Watermark => Watermark::at(journal, entry.position).to_value(),
        Member::Duplicate => Value::from(duplicate),
        Member::Event(asked) => told(asked, journal, entry, duplicate),
        Member::EventId => Uuid(entry.event.event_id).to_value(),
        Member::RecordedAt => DateTime::from(entry.recorded_at).to_value(),
        Member::Digest => Value::from(canonical::hex(&entry.digest)),
    };
    Value::Object(asked.iter().map(|(name, asked)| (name.clone(), member(asked))).collect())
}

/// What is asked of a type; `None` where that is more than can be told here, or nothing: what that comes to is for the schema to say.
fn members(document: &ExecutableDocument, of: &'static str, selected: &SelectionSet) -> Option<Members> {
    let mut asked = Vec::new();
    gather(document, of, selected, &mut asked)?;
    (!asked.is_empty()).then_some(asked)
}

fn gather(document: &ExecutableDocument, of: &'static str, selected: &SelectionSet, asked: &mut Members) -> Option<()> {
    for Positioned { node: selection, .. } in &selected.items {
        let (condition, within) = match selection {
            Selection::Field(Positioned { node: field, .. }) => {
                let name = &field.response_key().node;
                // The same name twice: what is asked by both has to be put together.
                if !field.directives.is_empty() || asked.iter().any(|(other, _)| other == name) {
                    return None;
                }
                asked.push((name.clone(), member(document, of, field)?));
                continue;
            }
            Selection::FragmentSpread(Positioned { node: spread, .. }) => {
                let Positioned { node: fragment, .. } = document.fragments.get(&spread.fragment_name.node)?;
                let plain = spread.directives.is_empty() && fragment.directives.is_empty();
                (plain.then_some(&fragment.type_condition), &fragment.selection_set)
            }
            Selection::InlineFragment(Positioned { node: fragment, .. }) => {
                let condition = fragment.type_condition.as_ref();
                (condition.filter(|_| fragment.directives.is_empty()), &fragment.selection_set)
            }
        };
        match condition?.node.on.node.as_str() {
            name if name == of => gather(document, of, &within.node, asked)?,
            REJECTED if of == RECORDED => {}
            _ => return None,
        }
    }
    Some(())
}

fn member(document: &ExecutableDocument, of: &'static str, field: &Field) -> Option<Member> {
    Some(match (of, field.name.node.as_str()) {
        (_, "__typename") => Member::Type(of),
        (_, "position") => Member::Position,
        (_, "version") => Member::Version,
        (_, "watermark") => Member::Watermark,
        (RECORDED, "duplicate") => Member::Duplicate,
        (RECORDED, "event") => Member::Event(members(document, EVENT, &field.selection_set.node)?),
        (EVENT, "eventId") => Member::EventId,
        (EVENT, "recordedAt") => Member::RecordedAt,
        (EVENT, "digest") => Member::Digest,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{insight, variables::Place},
        *,
    };

    #[test]
    fn what_a_receipt_has_is_told_and_all_else_is_for_the_schema() {
        let told = |asked: &str| {
            let text = format!(
                "mutation ($it: NotificationInput!) {{ r: recordNotification(input: $it) {{ {asked} }} }} {FRAGMENTS}"
            );
            let document = async_graphql::parser::parse_query(text).unwrap();
            let (place, field) = Place::of(&insight::definition(&document, None).unwrap().1.node).unwrap();
            Receipts::asked(&document, field, place.many()).is_some()
        };
        for asked in [
            "__typename",
            "... on Recorded { position version watermark duplicate } ... on Rejected { code }",
            "__typename ...R ... on Recorded { event { __typename id: eventId recordedAt digest position ...E } }",
        ] {
            assert!(told(asked), "{asked}");
        }
        for asked in [
            "... on Rejected { code }",
            "... { __typename }",
            "__typename @include(if: true)",
            "... on Recorded @include(if: true) { position }",
            "... on Recorded { position } ...R",
            "... on Recorded { event { payload } }",
            "... on Recorded { event { digest } event { eventId } }",
        ] {
            assert!(!told(asked), "{asked}");
        }
    }

    const FRAGMENTS: &str = "fragment R on Recorded { position } fragment E on AuditEvent { version }";
}
