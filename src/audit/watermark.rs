//! A place in the journal as clients hold it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::audit::Position;

/// A place in the journal, opaque to clients: hand back what you were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    pub journal_id: Uuid,
    pub position: Position,
    /// How many facts of the entry there were told, where it was not all of them: a timeline can be resumed in the middle of an
    /// entry. Whoever asks for a place in the journal means the whole entry.
    pub facts: Option<u16>,
}

impl Watermark {
    /// The place behind the whole entry at a position.
    pub fn at(journal_id: Uuid, position: Position) -> Watermark {
        Watermark { journal_id, position, facts: None }
    }

    /// base64url of the journal's id and the position, 16 and 8 bytes, and of the number of facts in 2 where there is one.
    pub fn encode(&self) -> String {
        let mut bytes = [self.journal_id.as_bytes().as_slice(), &self.position.0.to_be_bytes()].concat();
        bytes.extend(self.facts.iter().flat_map(|facts| facts.to_be_bytes()));
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    pub fn decode(text: &str) -> Option<Watermark> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (journal_id, rest) = bytes.split_at_checked(16)?;
        let (position, facts) = rest.split_at_checked(8)?;
        let position = Position(i64::from_be_bytes(position.try_into().ok()?));
        let facts = match facts {
            [] => None,
            facts => Some(u16::from_be_bytes(facts.try_into().ok()?)),
        };
        (position.0 >= 0).then_some(Watermark { journal_id: Uuid::from_slice(journal_id).ok()?, position, facts })
    }
}
