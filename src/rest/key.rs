//! The header `Idempotency-Key`: a client that sends the same key again means the same audits.

use axum::http::HeaderMap;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::fault::{Fault, Mistake};
use crate::{audit::limits::NAME_MAX, caller::Caller, error::Failure};

/// Makes the ids of the audits of one request.
pub struct Key {
    journal_id: Uuid,
    /// The caller and what it sent.
    name: String,
}

impl Key {
    /// The key of a request; `None` where it has none.
    pub fn of(headers: &HeaderMap, caller: &Caller, journal_id: Uuid) -> Result<Option<Key>, Fault> {
        let mut given = headers.get_all("idempotency-key").iter();
        let Some(value) = given.next() else { return Ok(None) };
        let text = value.to_str().unwrap_or_default().trim();
        // The draft of the standard has it in quotes; most clients send it without.
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        if text.is_empty() || text.len() > NAME_MAX || given.next().is_some() {
            let detail = format!("`Idempotency-Key` has to be one text of 1 to {NAME_MAX} characters");
            let mistake = Mistake::parameter("Idempotency-Key", "MALFORMED", detail);
            return Err(Fault::mistaken(Failure::BadInput, vec![mistake]));
        }
        let caller = caller.name.as_deref().unwrap_or_default();
        // A NUL is in neither name, so no two pairs make one.
        Ok(Some(Key { journal_id, name: format!("{caller}\0{text}") }))
    }

    /// Gives an audit that names no id its own: UUIDv5 of journal, caller, key and the audit's place in the request.
    pub fn lend(&self, fields: &mut Map<String, Value>, index: usize) {
        let id = || Uuid::new_v5(&self.journal_id, format!("{}\0{index}", self.name).as_bytes());
        let named = fields.get("event_id").or(fields.get("eventId")).is_some_and(|id| !id.is_null());
        if !named {
            fields.remove("event_id");
            fields.remove("eventId");
            fields.insert("event_id".to_string(), id().to_string().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str, caller: &str) -> Result<Option<Key>, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", value.parse().unwrap());
        let caller = Caller { name: Some(caller.to_string()), ..Caller::anonymous() };
        Key::of(&headers, &caller, Uuid::from_u128(7))
    }

    fn lent(key: &Key, index: usize) -> Value {
        let mut fields = Map::new();
        key.lend(&mut fields, index);
        fields["event_id"].clone()
    }

    #[test]
    fn the_same_caller_key_and_place_make_the_same_id_and_no_others_do() {
        let once = key("deploy-7", "notifier").unwrap().unwrap();
        let again = key("\"deploy-7\"", "notifier").unwrap().unwrap();
        assert_eq!(lent(&once, 0), lent(&again, 0));
        assert_ne!(lent(&once, 0), lent(&once, 1));
        assert_ne!(lent(&once, 0), lent(&key("deploy-8", "notifier").unwrap().unwrap(), 0));
        assert_ne!(lent(&once, 0), lent(&key("deploy-7", "analyser").unwrap().unwrap(), 0));

        let mut named = Map::from_iter([("event_id".to_string(), Value::from("mine"))]);
        once.lend(&mut named, 0);
        assert_eq!(named["event_id"], "mine");
    }

    #[test]
    fn a_key_that_says_nothing_or_too_much_is_refused() {
        for bad in ["", "\"\"", &"k".repeat(256)] {
            assert!(key(bad, "notifier").is_err(), "{bad}");
        }
        assert!(Key::of(&HeaderMap::new(), &Caller::anonymous(), Uuid::nil()).unwrap().is_none());
    }
}
