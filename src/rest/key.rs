//! The ids of audits that name none: made of what the client sends, so that the same request sent again is known.

use std::collections::HashMap;

use axum::http::HeaderMap;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::fault::{Fault, Mistake};
use crate::{
    audit::{Form, canonical, limits::NAME_MAX},
    error::Failure,
};

/// The header in which a client names a request, so that sending it again means the same audits.
pub const HEADER: &str = "idempotency-key";

/// Makes the ids of the audits of one request.
pub struct Ids {
    /// The journal's id, where this is the journal's server.
    namespace: Uuid,
    caller: String,
    source: Source,
}

enum Source {
    /// The header `Idempotency-Key` at an endpoint, and the audit's place in the request. Two endpoints may be sent the same
    /// key.
    Key { path: String, key: String },
    /// The audit's own content, and how many of the request before it have the same: Kubernaut's clients know neither ids nor
    /// keys, and send again what was not answered.
    Content(HashMap<canonical::Digest, usize>),
    /// Nothing: each time it is another audit.
    None,
}

impl Ids {
    /// The ids of a request to `path` whose audits are of this form.
    pub fn of(
        headers: &HeaderMap,
        path: &str,
        caller: Option<&str>,
        form: Form,
        namespace: Uuid,
    ) -> Result<Ids, Fault> {
        let source = match (key(headers)?, form) {
            (Some(key), _) => Source::Key { path: path.to_string(), key },
            (None, Form::Kubernaut) => Source::Content(HashMap::new()),
            (None, Form::Fields | Form::Columns) => Source::None,
        };
        Ok(Ids { namespace, caller: caller.unwrap_or_default().to_string(), source })
    }

    /// Gives an audit that names no id its own, a UUIDv5 in the namespace. Whether it needed one.
    pub fn lend(&mut self, fields: &mut Map<String, Value>, index: usize) -> bool {
        let named = |name: &str| fields.get(name).is_some_and(|id| !id.is_null() && *id != "");
        if named("event_id") || named("eventId") {
            return false;
        }
        let source = match &mut self.source {
            // A NUL is in no name, so no two of these make one.
            Source::Key { path, key } => format!("{path}\0{key}\0{index}"),
            Source::Content(seen) => {
                let digest = canonical::digest(&canonical::object_text(fields));
                let before = seen.entry(digest).or_default();
                *before += 1;
                format!("{}\0{before}", canonical::hex(&digest))
            }
            Source::None => return false,
        };
        fields.remove("eventId");
        let id = Uuid::new_v5(&self.namespace, format!("{}\0{source}", self.caller).as_bytes());
        fields.insert("event_id".to_string(), id.to_string().into());
        true
    }

    /// The key, where the request has one.
    pub fn key(&self) -> Option<&str> {
        match &self.source {
            Source::Key { key, .. } => Some(key),
            Source::Content(_) | Source::None => None,
        }
    }
}

/// The key of a request. The draft of the standard has it in quotes; most clients send it without.
fn key(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let mut given = headers.get_all(HEADER).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || text.len() > NAME_MAX || given.next().is_some() {
        let detail = format!("`Idempotency-Key` has to be one text of 1 to {NAME_MAX} characters of ASCII");
        let mistake = Mistake::parameter("Idempotency-Key", "MALFORMED", detail);
        return Err(Fault::mistaken(Failure::BadInput, vec![mistake]));
    }
    Ok(Some(text.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(key: Option<&str>, caller: &str, path: &str, form: Form) -> Result<Ids, Fault> {
        let headers = key.map(|key| (HEADER.parse().unwrap(), key.parse().unwrap()));
        Ids::of(&HeaderMap::from_iter(headers), path, Some(caller), form, Uuid::from_u128(7))
    }

    fn keyed(key: &str, caller: &str, path: &str) -> Ids {
        ids(Some(key), caller, path, Form::Columns).unwrap()
    }

    fn lent(ids: &mut Ids, fields: Value, index: usize) -> Value {
        let Value::Object(mut fields) = fields else { panic!("fields are an object") };
        ids.lend(&mut fields, index);
        fields.remove("event_id").unwrap_or_default()
    }

    #[test]
    fn the_same_caller_endpoint_key_and_place_make_the_same_id_and_no_others_do() {
        let id = |mut ids: Ids, index| lent(&mut ids, json!({}), index);
        let once = id(keyed("deploy-7", "notifier", "/a"), 0);
        assert_eq!(once, id(keyed("\"deploy-7\"", "notifier", "/a"), 0));
        for other in [
            id(keyed("deploy-7", "notifier", "/a"), 1),
            id(keyed("deploy-8", "notifier", "/a"), 0),
            id(keyed("deploy-7", "analyser", "/a"), 0),
            id(keyed("deploy-7", "notifier", "/b"), 0),
        ] {
            assert_ne!(once, other);
        }
    }

    #[test]
    fn an_id_of_the_clients_own_stays_in_either_spelling_and_an_empty_one_is_none() {
        let mut ids = keyed("k", "notifier", "/a");
        assert_eq!(lent(&mut ids, json!({"event_id": "mine"}), 0), "mine");
        assert_eq!(lent(&mut ids, json!({"event_id": null, "eventId": "mine"}), 0), Value::Null);
        for none in [json!({"event_id": ""}), json!({"eventId": null}), json!({})] {
            assert!(lent(&mut ids, none, 0).as_str().is_some_and(|id| id.len() == 36));
        }
    }

    #[test]
    fn without_a_key_an_event_of_kubernauts_is_known_by_its_content_and_twins_are_told_apart() {
        let content = || ids(None, "notifier", "/a", Form::Kubernaut).unwrap();
        let (mut first, mut again) = (content(), content());
        let [one, twin] = [0, 1].map(|index| lent(&mut first, json!({"a": 1}), index));
        assert_ne!(one, twin);
        assert_eq!([0, 5].map(|index| lent(&mut again, json!({"a": 1}), index)), [one.clone(), twin]);
        assert_ne!(lent(&mut again, json!({"a": 2}), 0), one);
        let mut elsewhere = ids(None, "notifier", "/b", Form::Kubernaut).unwrap();
        assert_eq!(lent(&mut elsewhere, json!({"a": 1}), 0), one);
        let mut other = ids(None, "analyser", "/a", Form::Kubernaut).unwrap();
        assert_ne!(lent(&mut other, json!({"a": 1}), 0), one);
        let mut columns = ids(None, "notifier", "/a", Form::Columns).unwrap();
        assert_eq!(lent(&mut columns, json!({"a": 1}), 0), Value::Null);
    }

    #[test]
    fn a_key_that_says_nothing_or_too_much_is_refused() {
        for bad in ["", "\"\"", &"k".repeat(256), "\u{fc}"] {
            assert!(ids(Some(bad), "notifier", "/a", Form::Columns).is_err(), "{bad}");
        }
    }
}
