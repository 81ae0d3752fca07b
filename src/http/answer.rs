//! The shapes of answers: a refusal of the whole request, and what GraphQL answers, each in the media type asked for.

use std::time::Duration;

use async_graphql::{Response as Answer, ServerError, Value};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{json_text::write_json, media::Media};
use crate::{
    error::{ClientError, Code, Failure},
    rest::{self, Fault},
};

/// The member of an error's extensions that says when another try is worth it.
const RETRY_AFTER_MS: &str = "retryAfterMs";

/// A refusal of the whole request, in the shape of GraphQL's errors so that every client can read it.
#[derive(Debug)]
pub struct Refusal(ClientError);

impl Refusal {
    pub fn new(failure: Failure, message: impl Into<String>) -> Refusal {
        Refusal(ClientError::new(failure, message))
    }

    /// The refusal for a client that asked for `media`.
    pub fn into_answer(self, media: Media) -> Response {
        let status = status(self.0.failure);
        let mut response = written(status, media, &self.into());
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Answer {
        let wait = refusal.0.retry_after();
        let mut error = request_error(refusal.0.code(), refusal.0.message);
        if let (Some(wait), Some(extensions)) = (wait, &mut error.extensions) {
            extensions.set(RETRY_AFTER_MS, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
        Answer::from_errors(vec![error])
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        refusal.0.into()
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Refusal {
        Refusal(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into_answer(Media::Json)
    }
}

fn status(failure: Failure) -> StatusCode {
    StatusCode::from_u16(failure.status()).expect("the table has statuses of HTTP")
}

/// An error of the request: nothing was executed.
pub fn request_error(code: Code, message: impl Into<String>) -> ServerError {
    let mut error = ServerError::new(message, None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", code.word());
    let failure = Failure::of_code(code);
    extensions.set("retryable", failure.retryable());
    if let Some(wait) = failure.retry_after() {
        extensions.set(RETRY_AFTER_MS, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    error
}

/// What GraphQL answered, in the media type that was asked for.
pub fn graphql(mut answer: Answer, media: Media) -> Response {
    let headers = std::mem::take(&mut answer.http_headers);
    let code = answer.errors.first().and_then(|error| error.extensions.as_ref()?.get("code")).and_then(code);
    let status = match code {
        _ if executed(&answer) => StatusCode::OK,
        // The answer says with which method this operation may come.
        _ if headers.contains_key(header::ALLOW) => StatusCode::METHOD_NOT_ALLOWED,
        // Not the request's fault, so that those who try again and those who watch can see it by the status.
        Some(code @ (Code::Timeout | Code::Unavailable | Code::Internal | Code::Unauthenticated)) => {
            status(Failure::of_code(code))
        }
        // The older media type means by 200 only that this is GraphQL's answer.
        _ if media == Media::Json => StatusCode::OK,
        Some(code) => status(Failure::of_code(code)),
        None => StatusCode::BAD_REQUEST,
    };
    let mut response = written(status, media, &answer);
    response.headers_mut().extend(headers);
    response
}

fn code(value: &Value) -> Option<Code> {
    let Value::String(word) = value else { return None };
    Code::ALL.into_iter().find(|code| code.word() == word)
}

/// Whether anything was executed. An error without a path is one of the request: then there is no data to speak of.
pub fn executed(answer: &Answer) -> bool {
    answer.errors.iter().all(|error| !error.path.is_empty()) || answer.data != Value::Null
}

/// An answer as JSON text.
pub fn text(answer: &Answer) -> String {
    let mut text = String::from("{");
    let mut member = |name: &str, write: &dyn Fn(&mut String)| {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(name);
        write(&mut text);
    };
    if executed(answer) {
        member("\"data\":", &|text| write_json(&answer.data, text));
    }
    if !answer.errors.is_empty() {
        member("\"errors\":", &|text| text.push_str(&json(&answer.errors)));
    }
    if !answer.extensions.is_empty() {
        member("\"extensions\":", &|text| text.push_str(&json(&answer.extensions)));
    }
    text.push('}');
    text
}

/// What we made ourselves is always JSON.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_string())
}

fn written(status: StatusCode, media: Media, answer: &Answer) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media.content_type())),
        // Audits are nothing for shared caches, and an answer is true only now.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = (status, headers, text(answer)).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
        && let Some(wait) = retry_after(answer)
    {
        response.headers_mut().insert(header::RETRY_AFTER, rest::seconds(wait).into());
    }
    response
}

/// When the first error says that another try is worth it.
fn retry_after(answer: &Answer) -> Option<Duration> {
    match answer.errors.first()?.extensions.as_ref()?.get(RETRY_AFTER_MS)? {
        Value::Number(number) => number.as_u64().map(Duration::from_millis),
        _ => None,
    }
}
