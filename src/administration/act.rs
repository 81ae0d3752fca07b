//! The acts, and what the journal tells of each.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    dead_letters::{Retried, Sums, What},
    milliseconds,
};
use crate::{
    audit::{Outcome, Position, administration},
    projection::rebuild,
};

/// Most dead letters that an event names one by one; it counts all.
const LETTERS_TOLD_MAX: usize = 100;

/// Most characters that an event tells of the reason why a dead letter was refused.
const ERROR_CHARS_MAX: usize = 500;

/// An act that has been done.
#[derive(Clone, Debug)]
pub enum Act {
    /// A projection was built anew from the journal.
    Rebuilt { outcome: rebuild::Outcome, took: Duration },
    /// Dead letters were tried again.
    DeadLettersRetried { letters: Vec<Retried>, took: Duration },
    /// All texts that a model had refused were given back to be tried again.
    TextsRetried { texts: u64 },
    /// A backup took the place of the embedded store.
    Restored { folder: String, head: Position, took: Duration },
}

impl Act {
    /// What was done, as a person is told who has to know that more was to be done.
    pub fn done(&self) -> String {
        match self {
            Act::Rebuilt { outcome, .. } => {
                let differing: i64 = outcome.tables.iter().map(|table| table.differing).sum();
                format!("`{}` was rebuilt and {differing} of its rows had differed", outcome.projection.name())
            }
            Act::DeadLettersRetried { letters, .. } => {
                let Sums { mended, refused, waiting, .. } = Sums::of(letters);
                format!(
                    "of the dead letters {mended} were mended, {refused} were refused again and {waiting} will be tried"
                )
            }
            Act::TextsRetried { texts } => format!("{texts} texts that had failed will be tried again"),
            Act::Restored { head, .. } => format!("the backup was restored, with {head} entries"),
        }
    }

    /// What its event tells. Positions are decimal text, as everywhere in JSON.
    pub(super) fn told(&self) -> administration::Act {
        let (event_type, outcome, details) = match self {
            Act::Rebuilt { outcome, took } => {
                let tables = outcome
                    .tables
                    .iter()
                    .map(|table| json!({"table": table.name, "rows": table.rows, "differing": table.differing}));
                let details = json!({
                    "projection": outcome.projection.name(), "rules": outcome.projection.rules(),
                    "fromPosition": "1", "toPosition": outcome.position.to_string(),
                    "tables": Value::from_iter(tables), "durationMs": milliseconds(*took),
                });
                ("binnacle.rebuild.finished", Outcome::Success, details)
            }
            Act::DeadLettersRetried { letters, took } => {
                let Sums { mended, refused, waiting, gone } = Sums::of(letters);
                let named: Vec<Value> = letters.iter().take(LETTERS_TOLD_MAX).map(letter).collect();
                let details = json!({
                    "mended": mended, "refused": refused, "waiting": waiting, "gone": gone, "letters": named,
                    "durationMs": milliseconds(*took),
                });
                let outcome = if refused == 0 { Outcome::Success } else { Outcome::Failure };
                ("binnacle.dead_letters.retried", outcome, details)
            }
            Act::TextsRetried { texts } => ("binnacle.texts.retried", Outcome::Success, json!({"texts": texts})),
            Act::Restored { folder, head, took } => {
                let details = json!({
                    "folder": folder, "headPosition": head.to_string(), "durationMs": milliseconds(*took),
                });
                ("binnacle.restored", Outcome::Success, details)
            }
        };
        let mut details = match details {
            Value::Object(details) => details,
            _ => Map::new(),
        };
        details.insert("version".to_string(), env!("CARGO_PKG_VERSION").into());
        administration::Act { event_type, outcome, details }
    }
}

fn letter(retried: &Retried) -> Value {
    let (what, error) = match &retried.what {
        What::Mended => ("mended", None),
        What::Refused(error) => ("refused", Some(error.chars().take(ERROR_CHARS_MAX).collect::<String>())),
        What::Waiting => ("waiting", None),
        What::Gone => ("gone", None),
    };
    json!({"id": retried.id.to_string(), "outcome": what, "error": error})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        administration::letter::LetterId,
        projection::{Projection, rebuild::Table},
    };

    fn told(act: &Act) -> String {
        let told = act.told();
        let mut details = told.details;
        assert_eq!(details.remove("version"), Some(env!("CARGO_PKG_VERSION").into()));
        format!("{} {} {}", told.event_type, told.outcome.word(), Value::Object(details))
    }

    #[test]
    fn each_act_says_what_was_done() {
        let took = Duration::from_millis(1_234);
        let tables = vec![Table { name: "event_index", rows: 12, differing: 3 }];
        let outcome = rebuild::Outcome { projection: Projection::EventIndex, position: Position(12), tables };
        let rebuilt = Act::Rebuilt { outcome, took };
        insta::assert_snapshot!(told(&rebuilt), @r#"binnacle.rebuild.finished success {"durationMs":1234,"fromPosition":"1","projection":"event_index","rules":1,"tables":[{"differing":3,"rows":12,"table":"event_index"}],"toPosition":"12"}"#);
        assert_eq!(rebuilt.done(), "`event_index` was rebuilt and 3 of its rows had differed");

        let restored = Act::Restored { folder: "/backups/2026-05-04".to_string(), head: Position(12), took };
        insta::assert_snapshot!(told(&restored), @r#"binnacle.restored success {"durationMs":1234,"folder":"/backups/2026-05-04","headPosition":"12"}"#);
        insta::assert_snapshot!(told(&Act::TextsRetried { texts: 7 }), @r#"binnacle.texts.retried success {"texts":7}"#);
    }

    #[test]
    fn of_many_dead_letters_all_are_counted_and_the_first_are_named() {
        let retried =
            |position, what| Retried { id: LetterId::Parked(Projection::EventIndex, Position(position)), what };
        let mut letters: Vec<_> = (1..=150).map(|position| retried(position, What::Mended)).collect();
        let act = |letters: &[Retried]| Act::DeadLettersRetried { letters: letters.to_vec(), took: Duration::ZERO };
        assert_eq!(act(&letters).told().outcome, Outcome::Success);

        letters[0].what = What::Refused("é".repeat(10_000));
        letters[1].what = What::Gone;
        let told = act(&letters).told();
        assert_eq!(told.outcome, Outcome::Failure);
        let details = Value::Object(told.details);
        assert_eq!((&details["mended"], &details["refused"], &details["gone"]), (&json!(148), &json!(1), &json!(1)));
        let named = details["letters"].as_array().unwrap();
        assert_eq!(named.len(), LETTERS_TOLD_MAX);
        assert_eq!(
            named[0],
            json!({"id": "event_index@1", "outcome": "refused", "error": "é".repeat(ERROR_CHARS_MAX)})
        );
    }
}
