//! A place in the journal as clients hold it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::audit::Position;

/// A place in the journal, opaque to clients: hand back what you were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    pub journal_id: Uuid,
    pub position: Position,
}

impl Watermark {
    /// base64url of the journal's id and the position, 16 and 8 bytes.
    pub fn encode(&self) -> String {
        let bytes = [self.journal_id.as_bytes().as_slice(), &self.position.0.to_be_bytes()].concat();
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    pub fn decode(text: &str) -> Option<Watermark> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (journal_id, position) = bytes.split_at_checked(16)?;
        let position = Position(i64::from_be_bytes(position.try_into().ok()?));
        (position.0 >= 0).then_some(Watermark { journal_id: Uuid::from_slice(journal_id).ok()?, position })
    }
}
