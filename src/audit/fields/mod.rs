//! The table of fields: every field of every kind once, with its name, column, shape, unit and meaning. The checks, the
//! GraphQL inputs and the service views are all read from it.

mod ai_analysis;
mod columns;
mod common;
mod effectiveness;
mod notification;
mod orchestration;
mod signal_processing;
mod workflow_execution;

use crate::audit::{kind::Kind, words::Words};

pub use columns::{Claim, Column, Spellings, Unit};
pub use common::{ACTOR, COMMON, OTHER, SIGNAL, TARGET};

/// A group of fields: a kind's own, or a structured field's.
#[derive(Debug)]
pub struct Table {
    /// The GraphQL type that shows it; its input is named `<name>Input`.
    pub name: &'static str,
    pub meaning: &'static str,
    pub fields: &'static [Field],
}

impl Table {
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// One field of a table.
#[derive(Debug)]
pub struct Field {
    /// As GraphQL spells it.
    pub name: &'static str,
    pub shape: Shape,
    pub need: Need,
    /// What it means, for people; its unit included.
    pub meaning: &'static str,
    /// The domain's column where that is not the name in snake_case.
    column: Option<&'static str>,
    /// In what that column tells the value.
    unit: Unit,
    /// Further columns of the domain that mean the same.
    also: &'static [&'static str],
    /// Whether it is a time that speaks of what is still to come.
    pub ahead: bool,
    /// The time field from which on the value is known; without one it is known from the event's `occurredAt`.
    pub since: Option<&'static str>,
    /// Why clients should no longer use it, and what instead.
    pub deprecated: Option<&'static str>,
}

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A name or an identifier: up to 255 characters, not empty.
    Name,
    /// A line or a few: up to 4,000 characters, not empty.
    Line,
    /// A narrative: up to 100,000 characters, not empty.
    Text,
    /// A word of a closed set.
    Word(&'static Words),
    /// A whole number that is not negative.
    Count,
    /// A whole number.
    Int,
    /// A share or a probability, 0 to 1.
    Score,
    /// An impact, −1 to 1.
    Impact,
    /// A duration in milliseconds, not negative.
    Ms,
    Bool,
    /// RFC 3339; kept in UTC to the microsecond.
    Time,
    Uuid,
    /// Any JSON.
    Json,
    /// A list of names.
    Names,
    /// A list of lines.
    Lines,
    /// A list of words of a closed set.
    WordList(&'static Words),
    Object(&'static Table),
    Objects(&'static Table),
}

/// Whether a field has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Optional,
    Always,
    /// When the kind's status is a final one.
    WhenFinal,
}

impl Field {
    pub(crate) const fn new(name: &'static str, shape: Shape, meaning: &'static str) -> Field {
        Field {
            name,
            shape,
            need: Need::Optional,
            meaning,
            column: None,
            unit: Unit::Plain,
            also: &[],
            ahead: false,
            since: None,
            deprecated: None,
        }
    }

    const fn required(mut self) -> Field {
        self.need = Need::Always;
        self
    }

    const fn when_final(mut self) -> Field {
        self.need = Need::WhenFinal;
        self
    }

    const fn column(mut self, column: &'static str) -> Field {
        self.column = Some(column);
        self
    }

    const fn column_in(mut self, column: &'static str, unit: Unit) -> Field {
        self.column = Some(column);
        self.unit = unit;
        self
    }

    const fn also(mut self, columns: &'static [&'static str]) -> Field {
        self.also = columns;
        self
    }

    const fn ahead(mut self) -> Field {
        self.ahead = true;
        self
    }

    const fn since(mut self, field: &'static str) -> Field {
        self.since = Some(field);
        self
    }

    /// The reason says what to use instead. A field that is needed cannot be deprecated: GraphQL has no way to leave it out.
    #[cfg_attr(not(test), expect(dead_code, reason = "nothing is deprecated yet"))]
    pub(crate) const fn deprecated(mut self, reason: &'static str) -> Field {
        assert!(matches!(self.need, Need::Optional), "make the field optional first");
        self.deprecated = Some(reason);
        self
    }

    /// The field's column in the domain's tables, such as `investigation_duration_ms`.
    pub fn column_name(&self) -> String {
        self.column.map_or_else(|| snake(self.name), str::to_string)
    }

    /// In what that column tells the value.
    pub fn column_unit(&self) -> Unit {
        self.unit
    }

    /// The meaning with the allowed words, as GraphQL shows it on an input.
    pub fn description(&self) -> String {
        self.described_in(Unit::Plain)
    }

    fn described_in(&self, unit: Unit) -> String {
        let mut text = self.meaning.to_string();
        match self.shape {
            Shape::Word(words) | Shape::WordList(words) => {
                text.push_str(&format!(" One of (in any case): {}.", words.listed()));
            }
            Shape::Score => text.push_str(" From 0 to 1."),
            Shape::Impact => text.push_str(" From -1 to 1."),
            Shape::Ms => text.push_str(unit.of_duration()),
            _ => {}
        }
        text.push_str(unit.of_others());
        if self.need == Need::WhenFinal {
            text.push_str(" Required when the status is a final one.");
        }
        text
    }
}

/// What the table says of a kind beyond its fields.
#[derive(Debug)]
pub struct KindTable {
    pub kind: Kind,
    /// Its own fields; the common ones come before them.
    pub table: &'static Table,
    /// The field that holds its status or phase, with the default where it may be left out.
    pub status: Option<&'static str>,
    pub status_default: Option<&'static str>,
    /// The words of the status after which nothing more is expected, and the outcome that each stands for.
    pub final_words: &'static [(&'static str, &'static str)],
    /// The `eventType` of an event that names none is this prefix, a dot and the status.
    pub event_type_prefix: &'static str,
}

impl KindTable {
    pub fn of(kind: Kind) -> &'static KindTable {
        match kind {
            Kind::Orchestration => &orchestration::KIND,
            Kind::SignalProcessing => &signal_processing::KIND,
            Kind::AiAnalysis => &ai_analysis::KIND,
            Kind::WorkflowExecution => &workflow_execution::KIND,
            Kind::Notification => &notification::KIND,
            Kind::Effectiveness => &effectiveness::KIND,
            Kind::Other => &common::OTHER_KIND,
        }
    }

    /// The field of the kind or of the common ones, by its GraphQL name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        COMMON.field(name).or_else(|| self.table.field(name))
    }
}

fn snake(name: &str) -> String {
    let mut column = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            column.push('_');
        }
        column.push(c.to_ascii_lowercase());
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_one_name_a_meaning_and_a_since_that_is_a_time() {
        for kind in Kind::ALL {
            let table = KindTable::of(kind);
            for (index, field) in table.table.fields.iter().enumerate() {
                assert!(field.meaning.ends_with('.'), "{}.{} needs a sentence", table.table.name, field.name);
                assert!(table.table.fields[..index].iter().all(|other| other.name != field.name), "{}", field.name);
                assert!(COMMON.field(field.name).is_none(), "`{}` is a common field already", field.name);
                if let Some(since) = field.since {
                    let since = table.field(since).unwrap_or_else(|| panic!("{} since {since}", field.name));
                    assert!(matches!(since.shape, Shape::Time), "{} since {}", field.name, since.name);
                }
            }
            for (word, outcome) in table.final_words {
                let status = table.field(table.status.unwrap()).unwrap();
                let Shape::Word(words) = status.shape else { panic!("a status is a word") };
                assert_eq!(words.find(word), Some(*word), "{:?}", kind);
                assert!(crate::audit::Outcome::parse(outcome).is_some());
            }
        }
    }

    #[test]
    fn a_column_is_the_name_in_snake_case_unless_the_domain_says_otherwise() {
        let table = KindTable::of(Kind::Orchestration).table;
        assert_eq!(table.field("overallPhase").unwrap().column_name(), "overall_phase");
        assert_eq!(table.field("totalDurationMs").unwrap().column_name(), "total_duration_seconds");
    }
}
