//! The bodies of requests: JSON, read so that one bad item of a list harms no other.

use std::fmt;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};
use tokio::time::timeout;

use super::{call, fault::Fault};
use crate::{
    audit::{
        Problem, flaws,
        json::{self, read_object},
        limits::BATCH_MAX,
    },
    error::{ClientError, Failure},
};

/// Most bytes of a body: a full batch in a wasteful spelling, or with the query around it.
pub const BODY_BYTES_MAX: usize = 9 * 1024 * 1024;
/// Most bytes of a body that is one object.
pub const SINGLE_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes of an item of a list: a largest payload in the most wasteful spelling, and its envelope.
pub const ITEM_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The text of a body that says it is JSON.
pub struct JsonText(String);

/// What a body brings.
pub enum Items {
    One(Item),
    Many(Vec<Item>),
}

/// One audit as it came, or what is wrong with its JSON.
pub type Item = Result<Map<String, Value>, Vec<Problem>>;

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<JsonText, Fault> {
        json_only(request.headers())?;
        let declared =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > BODY_BYTES_MAX as u64) {
            return Err(too_large());
        }
        let bytes = match timeout(call::arrival(), Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(too_large()),
            // The network's doing, not the client's: the same request may succeed later.
            Ok(Err(_)) => return Err(Fault::new(Failure::RequestTimeout, "the request broke off")),
            Err(_) => return Err(Fault::new(Failure::RequestTimeout, "the request took too long to arrive")),
        };
        match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(JsonText(text)),
            Err(_) => Err(Fault::new(Failure::Malformed, "the body is not text in UTF-8")),
        }
    }
}

impl JsonText {
    /// Whether the body is an object that has one of these members.
    pub fn names_any(&self, names: &[&str]) -> bool {
        // Before it is known to be well made: whose body it is decides how its mistakes are told.
        json::names_any(&self.0, names)
    }

    /// One audit, or a list of up to `BATCH_MAX`.
    pub fn items(&self) -> Result<Items, Fault> {
        let text = &self.0;
        match text.trim_start().as_bytes().first() {
            Some(b'[') => list(text).map(Items::Many),
            Some(b'{') => object(text).map(Items::One),
            _ => Err(wrong(text, "the body has to be a JSON object, or a list of them")),
        }
    }

    /// One object. What is wrong within it is told of the item; what is no JSON at all is refused.
    pub fn object(&self) -> Result<Item, Fault> {
        object(&self.0)
    }

    /// A list of up to `BATCH_MAX` objects.
    pub fn list(&self) -> Result<Vec<Item>, Fault> {
        list(&self.0)
    }
}

fn object(text: &str) -> Result<Item, Fault> {
    if !text.trim_start().starts_with('{') {
        return Err(wrong(text, "the body has to be a JSON object"));
    }
    if text.len() > SINGLE_BYTES_MAX {
        return Err(Fault::new(Failure::TooLarge, format!("one audit may have {SINGLE_BYTES_MAX} bytes")));
    }
    // A syntax that is broken says nothing about the object.
    serde_json::from_str::<&RawValue>(text).map_err(not_json)?;
    Ok(read_object(text, "the body"))
}

fn list(text: &str) -> Result<Vec<Item>, Fault> {
    if !text.trim_start().starts_with('[') {
        return Err(wrong(text, "the body has to be a JSON array"));
    }
    // Items are looked at one by one and held all at once.
    if flaws::too_many_values(text) {
        return Err(Fault::new(
            Failure::TooLarge,
            format!("the batch cannot be read: {}", flaws::TOO_MANY_VALUES_MESSAGE),
        ));
    }
    if let Some(items) = plain(text) {
        return Ok(items);
    }
    let List { items, count } = serde_json::from_str(text).map_err(not_json)?;
    match count {
        0 => Err(Fault::new(Failure::BadInput, "the batch is empty")),
        given if given > BATCH_MAX => {
            let detail = format!("the batch has {given} audits, at most {BATCH_MAX} are allowed");
            Err(Fault::new(Failure::TooLarge, detail).with("batch_max", BATCH_MAX))
        }
        _ => Ok(items.into_iter().map(item).collect()),
    }
}

/// A list as it is mostly sent, read in one go: nothing is wrong with any item, and in a text so short none is too large.
fn plain(text: &str) -> Option<Vec<Item>> {
    if text.len() > ITEM_BYTES_MAX || !flaws::hidden(text).is_empty() {
        return None;
    }
    let items: Vec<Map<String, Value>> = serde_json::from_str(text).ok()?;
    (1..=BATCH_MAX).contains(&items.len()).then(|| items.into_iter().map(Ok).collect())
}

fn item(item: &RawValue) -> Item {
    let bytes = item.get().len();
    if bytes > ITEM_BYTES_MAX {
        let message = format!("the item has {bytes} bytes; at most {ITEM_BYTES_MAX} are allowed");
        return Err(vec![Problem { path: vec![], code: "TOO_LARGE", message }]);
    }
    read_object(item.get(), "the item")
}

/// A body that is not even JSON is told so.
fn wrong(text: &str, detail: &str) -> Fault {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Fault::new(Failure::Malformed, detail),
        Err(error) => not_json(error),
    }
}

/// A JSON array: its first items, one more than a batch may have, and how many there are.
struct List<'t> {
    items: Vec<&'t RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = List<'de>;

            fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
                text.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<List<'de>, A::Error> {
                let mut list = List { items: Vec::new(), count: 0 };
                while let Some(item) = array.next_element::<&RawValue>()? {
                    list.count += 1;
                    // What is too many is only counted: there is room for millions in a body.
                    if list.count <= BATCH_MAX {
                        list.items.push(item);
                    }
                }
                Ok(list)
            }
        }

        deserializer.deserialize_seq(Reader)
    }
}

fn not_json(error: serde_json::Error) -> Fault {
    Fault::new(Failure::Malformed, format!("the body is not JSON: {error}"))
}

fn too_large() -> Fault {
    let detail = format!("a request may have {BODY_BYTES_MAX} bytes; send more audits in several requests");
    Fault::new(Failure::TooLarge, detail)
}

/// Why a body is none that is read, where its headers tell: other media types are what a web page of someone else can send
/// without asking us first.
pub fn json_only(headers: &HeaderMap) -> Result<(), ClientError> {
    let unsupported = |message: &str| Err(ClientError::new(Failure::UnsupportedMediaType, message));
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = media.split(';').map(|part| part.trim().to_ascii_lowercase());
    if parts.next().as_deref() != Some("application/json") {
        return unsupported("send the request as JSON, with the header `content-type: application/json`");
    }
    let other = |part: &String| part.strip_prefix("charset=").is_some_and(|set| set.trim_matches('"') != "utf-8");
    if parts.any(|part| other(&part)) {
        return unsupported("send the request's JSON in UTF-8");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_list_that_is_read_in_one_go_is_what_its_items_are_one_by_one(
            items in prop::collection::vec(
                prop_oneof![
                    8 => Just(r#"{"a": {"b": [1, "x", null]}, "c": 0.5}"#),
                    1 => Just(r#"{"a": 1, "a": 2}"#),
                    1 => Just(r#"{"a": 9007199254740993.0}"#),
                    1 => Just(r#"{"a": "\ud800"}"#),
                    1 => Just("7"),
                    1 => Just("null"),
                ],
                1..8,
            )
        ) {
            let one_by_one: Vec<Item> = items.iter().map(|text| item(serde_json::from_str(text).unwrap())).collect();
            let whole = one_by_one.iter().all(Result::is_ok);
            let text = format!("[{}]", items.join(","));
            prop_assert_eq!(plain(&text), whole.then(|| one_by_one.clone()));
            prop_assert_eq!(list(&text).unwrap(), one_by_one);
        }
    }

    #[test]
    fn a_list_that_is_too_long_or_nested_too_deep_for_one_go_is_not_read_so() {
        let deep = format!(r#"[{{"a": {}{}}}]"#, "[".repeat(126), "]".repeat(126));
        assert!(plain(&deep).is_none() && list(&deep).unwrap()[0].is_ok());
        let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(plain(&many(BATCH_MAX)).map(|items| items.len()), Some(BATCH_MAX));
        assert!(plain(&many(BATCH_MAX + 1)).is_none() && plain("[]").is_none());
        assert!(plain(&format!(r#"[{{"a": "{}"}}]"#, "x".repeat(ITEM_BYTES_MAX))).is_none());
    }
}
