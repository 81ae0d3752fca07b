//! What dead letters are called: `event_index@14` is the event at a position that a projection could not take, and
//! `model@uuid` the text that a model refuses.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{audit::Position, projection::Projection};

/// The name of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum LetterId {
    /// An event that the projection could not take.
    Parked(Projection, Position),
    /// A text that the model refuses.
    Refused { model: String, content: Uuid },
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no dead letter's id; write one as the list shows it, such as `event_index@14`")]
pub struct NoLetterId(String);

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LetterId::Parked(projection, position) => write!(f, "{}@{position}", projection.name()),
            LetterId::Refused { model, content } => write!(f, "{model}@{content}"),
        }
    }
}

impl FromStr for LetterId {
    type Err = NoLetterId;

    fn from_str(text: &str) -> Result<LetterId, NoLetterId> {
        let wrong = || NoLetterId(text.to_string());
        // A model's name may hold any character, so what stands behind the last one counts.
        let (name, which) = text.rsplit_once('@').ok_or_else(wrong)?;
        if let Ok(content) = Uuid::try_parse(which) {
            return Ok(LetterId::Refused { model: name.to_string(), content });
        }
        let position = which.parse().ok().filter(|position| *position > 0).ok_or_else(wrong)?;
        let projection = Projection::named(name).ok_or_else(wrong)?;
        Ok(LetterId::Parked(projection, Position(position)))
    }
}

impl From<LetterId> for String {
    fn from(id: LetterId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for LetterId {
    type Error = NoLetterId;

    fn try_from(text: String) -> Result<LetterId, NoLetterId> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_to_what_it_names() {
        for id in [
            LetterId::Parked(Projection::SearchDocuments, Position(14)),
            LetterId::Refused { model: "embed@v1 x".to_string(), content: Uuid::from_u128(7) },
            LetterId::Refused { model: "event_index".to_string(), content: Uuid::from_u128(8) },
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!(LetterId::Parked(Projection::EventIndex, Position(14)).to_string(), "event_index@14");
    }

    #[test]
    fn what_is_no_id_is_told_with_one_that_is() {
        for text in ["", "14", "event_index", "event_index@", "event_index@0", "event_index@-1", "views@14", "m@00-1"] {
            let error = text.parse::<LetterId>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is no dead letter's id")), "{error}");
        }
    }
}
