//! The scalars: times, ids and watermarks. Each refuses a malformed value while the request is validated, so that nothing
//! of such a request runs.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, InputValueError, InputValueResult, OutputType, Positioned, Scalar, ScalarType, ServerResult,
    Value, indexmap::IndexMap, parser::types::Field, registry::Registry,
};
use chrono::Utc;

pub use crate::audit::Watermark;
use crate::{
    audit::{check::parse_time, event::time_text},
    http::Raw,
};

/// A time in RFC 3339, such as `2026-05-04T10:00:00Z`; kept in UTC to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DateTime(pub chrono::DateTime<Utc>);

/// A time in RFC 3339, such as `2026-05-04T10:00:00Z`. Any offset is taken; what comes back is in UTC, to the microsecond.
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        text(&value).and_then(parse_time).map(DateTime).ok_or_else(|| InputValueError::expected_type(value))
    }

    fn is_valid(value: &Value) -> bool {
        text(value).and_then(parse_time).is_some()
    }

    fn to_value(&self) -> Value {
        time_text(self.0).into()
    }
}

impl From<chrono::DateTime<Utc>> for DateTime {
    fn from(time: chrono::DateTime<Utc>) -> DateTime {
        DateTime(time)
    }
}

/// A UUID of any version, such as `0199c2f4-7b1e-7c3a-9d58-2f6a1b0c4d5e`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Uuid(pub uuid::Uuid);

/// A UUID of any version, such as `0199c2f4-7b1e-7c3a-9d58-2f6a1b0c4d5e`.
#[Scalar(name = "UUID", specified_by_url = "https://www.rfc-editor.org/rfc/rfc9562")]
impl ScalarType for Uuid {
    fn parse(value: Value) -> InputValueResult<Self> {
        let id = text(&value).and_then(|text| uuid::Uuid::try_parse(text).ok());
        id.map(Uuid).ok_or_else(|| InputValueError::expected_type(value))
    }

    fn is_valid(value: &Value) -> bool {
        text(value).is_some_and(|text| uuid::Uuid::try_parse(text).is_ok())
    }

    fn to_value(&self) -> Value {
        self.0.to_string().into()
    }
}

/// A place in the journal, such as a receipt gives. Opaque: hand back what you were given, as `atLeast` to read your own
/// writes, or as `at` to see things as they stood there. It is good for the journal that gave it, for ever.
#[Scalar(name = "Watermark")]
impl ScalarType for Watermark {
    fn parse(value: Value) -> InputValueResult<Self> {
        text(&value).and_then(Watermark::decode).ok_or_else(|| {
            InputValueError::custom("this is no watermark; hand back one that this server has given you")
        })
    }

    fn is_valid(value: &Value) -> bool {
        text(value).and_then(Watermark::decode).is_some()
    }

    fn to_value(&self) -> Value {
        self.encode().into()
    }
}

impl OutputType for Raw<'_> {
    fn type_name() -> Cow<'static, str> {
        <serde_json::Value as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <serde_json::Value as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        // A journal that somebody has changed may hold anything that is JSON.
        if !self.0.starts_with('{') {
            return Ok(Value::Object(IndexMap::new()));
        }
        Ok(self.value())
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
