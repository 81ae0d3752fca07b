//! The shapes of answers: a refusal of the whole request, and what GraphQL answers, in the media type asked for.

use async_graphql::{Response as Answer, ServerError, Value};
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

use crate::error::{ClientError, Code};

const GRAPHQL_JSON: HeaderValue = HeaderValue::from_static("application/graphql-response+json; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// A refusal of the whole request, in the shape of GraphQL's errors so that every client can read it.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: Code,
    message: String,
}

impl Refusal {
    pub fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }
}

impl Refusal {
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Refusal {
        let status = match error.code {
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::BadInput | Code::TooComplex => StatusCode::BAD_REQUEST,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Code::TooSlow => StatusCode::TOO_MANY_REQUESTS,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal::new(status, error.code, error.message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let retryable = matches!(self.code, Code::Timeout | Code::Unavailable);
        let body = json!({"errors": [{
            "message": self.message,
            "extensions": {"code": self.code.word(), "retryable": retryable},
        }]});
        let mut response = (self.status, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        no_store(&mut response);
        response
    }
}

/// Whether the client wants to be told answers as events, as they come.
pub fn wants_events(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accept.flat_map(|accept| accept.split(',')).any(|range| range.trim().starts_with("text/event-stream"))
}

/// Which media type an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Json,
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    GraphqlJson,
}

impl Media {
    /// What the headers ask for; plain JSON where they ask for nothing that there is.
    pub fn accepted(headers: &HeaderMap) -> Media {
        let mut weights = (0.0, 0.0);
        for header in headers.get_all(header::ACCEPT) {
            for range in header.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
                match name.as_str() {
                    "application/graphql-response+json" => weights.0 = weight,
                    "application/json" => weights.1 = weight,
                    _ => {}
                }
            }
        }
        if weights.0 > 0.0 && weights.0 >= weights.1 { Media::GraphqlJson } else { Media::Json }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<&'a std::collections::BTreeMap<String, Value>>,
}

/// Whether anything was executed: an error without a path is one of the request, and then there is no data to speak of.
pub fn executed(answer: &Answer) -> bool {
    answer.data != Value::Null || answer.errors.iter().all(|error| !error.path.is_empty())
}

/// What GraphQL answered, as the JSON text of one answer among several.
pub fn text(answer: &Answer) -> String {
    let body = Body {
        data: executed(answer).then_some(&answer.data),
        errors: &answer.errors,
        extensions: (!answer.extensions.is_empty()).then_some(&answer.extensions),
    };
    // The values come from our own resolvers and are JSON already.
    serde_json::to_string(&body)
        .unwrap_or_else(|_| r#"{"errors":[{"message":"something went wrong here"}]}"#.to_string())
}

/// What GraphQL answered, in the media type that was asked for.
pub fn graphql(answer: Answer, media: Media) -> Response {
    // An error without a path is one of the request: nothing was executed, so there is no data to speak of.
    let executed = answer.errors.iter().all(|error| !error.path.is_empty()) || answer.data != Value::Null;
    let body = Body {
        data: executed.then_some(&answer.data),
        errors: &answer.errors,
        extensions: (!answer.extensions.is_empty()).then_some(&answer.extensions),
    };
    let Ok(body) = serde_json::to_vec(&body) else {
        // The values come from our own resolvers and are JSON already.
        return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "something went wrong here")
            .into_response();
    };
    let (status, media) = match media {
        Media::Json => (StatusCode::OK, JSON),
        Media::GraphqlJson if executed => (StatusCode::OK, GRAPHQL_JSON),
        Media::GraphqlJson => (StatusCode::BAD_REQUEST, GRAPHQL_JSON),
    };
    let mut response = (status, [(header::CONTENT_TYPE, media)], body).into_response();
    response.headers_mut().extend(answer.http_headers);
    no_store(&mut response);
    response
}

/// Audits are nothing for shared caches, and an answer is true only now.
fn no_store(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &str) -> Media {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        Media::accepted(&headers)
    }

    #[test]
    fn the_newer_media_type_is_used_where_it_is_asked_for() {
        assert_eq!(Media::accepted(&HeaderMap::new()), Media::Json);
        for accept in
            ["*/*", "text/html", "application/json", "application/json, application/graphql-response+json;q=0.9"]
        {
            assert_eq!(accepted(accept), Media::Json, "{accept}");
        }
        for accept in [
            "application/graphql-response+json",
            "application/graphql-response+json; charset=utf-8, application/json;q=0.9",
        ] {
            assert_eq!(accepted(accept), Media::GraphqlJson, "{accept}");
        }
    }
}
