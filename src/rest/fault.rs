//! What a client of REST is told of a failure: a problem document (RFC 9457).

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    audit::Problem,
    error::{ClientError, Failure},
    record::{Reason, Rejected},
};

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Where the pages are that say what a `type` means.
pub const PAGES: &str = "/problems/";

/// Most mistakes that are listed of one request.
const ERRORS_MAX: usize = 100;

/// A failure on its way to the client.
#[derive(Clone, Debug)]
pub struct Fault {
    pub failure: Failure,
    pub detail: String,
    pub errors: Vec<Mistake>,
    /// Members of its own that the document has.
    pub more: Map<String, Value>,
    /// When to try again, of what is turned away for now.
    pub retry_after: Option<Duration>,
}

/// One mistake in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Mistake {
    /// Where in the body, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/event_data/severity")]
    pub pointer: Option<String>,
    /// The parameter of the address, or the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// A stable word for programs.
    #[schema(example = "REQUIRED")]
    pub code: String,
    /// For people.
    pub detail: String,
}

/// What is told of a failure: a problem document as in RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Problem")]
pub struct ProblemDocument {
    /// What sort of failure it is: an address on this server, with a page that explains it.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid-audit", format = "uri-reference")]
    pub kind: String,
    /// The same in words.
    #[schema(example = "Invalid audit")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What was wrong this time.
    pub detail: String,
    /// The path that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The same failure in the words of GraphQL.
    #[schema(example = "BAD_INPUT")]
    pub code: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// All that is wrong with the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Mistake>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub more: Map<String, Value>,
}

impl Fault {
    pub fn new(failure: Failure, detail: impl Into<String>) -> Fault {
        let retry_after = failure.retry_after();
        Fault { failure, detail: detail.into(), errors: Vec::new(), more: Map::new(), retry_after }
    }

    /// A request with these mistakes, of which the first are listed.
    pub fn mistaken(failure: Failure, mut errors: Vec<Mistake>) -> Fault {
        let detail = match errors.as_slice() {
            [only] => only.detail.clone(),
            [first, others @ ..] => format!("{}; {} more in `errors`", first.detail, others.len()),
            [] => "the request has mistakes".to_string(),
        };
        let detail = match errors.len() {
            count if count > ERRORS_MAX => format!("{detail}, which lists the first {ERRORS_MAX}"),
            _ => detail,
        };
        errors.truncate(ERRORS_MAX);
        Fault { errors, ..Fault::new(failure, detail) }
    }

    /// An audit that was not recorded; `at` is its index in a list.
    pub fn rejected(rejected: &Rejected, at: Option<usize>) -> Fault {
        let failure = match rejected.reason {
            Reason::Invalid => Failure::Invalid,
            Reason::Conflict => Failure::Conflict,
            Reason::NotAllowed => Failure::NotAllowed,
        };
        let errors = rejected.problems.iter().map(|problem| Mistake::of(problem, at)).collect();
        Fault::mistaken(failure, errors)
    }

    /// The fault with one more member in its document.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Fault {
        self.more.insert(name.to_string(), value.into());
        self
    }

    /// What the client is told; `instance` is the path it asked.
    pub fn document(&self, instance: Option<&str>) -> ProblemDocument {
        let row = self.failure.row();
        ProblemDocument {
            kind: format!("{PAGES}{}", row.name),
            title: row.title.to_string(),
            status: row.status,
            detail: self.detail.clone(),
            instance: instance.map(str::to_string),
            code: row.word.to_string(),
            retryable: row.retryable,
            errors: self.errors.clone(),
            more: self.more.clone(),
        }
    }

    fn write(&self, instance: Option<&str>, response: &mut Response) {
        let row = self.failure.row();
        // Only texts and JSON values are in it.
        let text = serde_json::to_string(&self.document(instance)).unwrap_or_default();
        *response.status_mut() = StatusCode::from_u16(row.status).expect("the table has statuses of HTTP");
        *response.body_mut() = Body::from(text);
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if row.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds(wait).into());
        }
    }
}

/// Whole seconds, as `Retry-After` has them: at least as long as that.
pub fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
}

impl Mistake {
    /// What is wrong with an audit; `at` is its index in a list.
    pub fn of(problem: &Problem, at: Option<usize>) -> Mistake {
        let index = at.map(|at| at.to_string());
        let pointer = pointer(index.iter().chain(&problem.path));
        Mistake {
            pointer: Some(pointer),
            parameter: None,
            code: problem.code.to_string(),
            detail: problem.message.clone(),
        }
    }

    /// What is wrong with a parameter or a header.
    pub fn parameter(name: &str, code: &str, detail: impl Into<String>) -> Mistake {
        Mistake { pointer: None, parameter: Some(name.to_string()), code: code.to_string(), detail: detail.into() }
    }
}

/// A JSON pointer (RFC 6901) along these names and indexes.
fn pointer<'p>(path: impl Iterator<Item = &'p String>) -> String {
    path.map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect()
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Fault {
        Fault { retry_after: error.retry_after(), ..Fault::new(error.failure, error.message) }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Fault {
        ClientError::from(error).into()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        self.write(None, &mut response);
        response.extensions_mut().insert(self);
        response
    }
}

/// Tells in each problem document which path was asked.
pub async fn tell_instances(request: Request, next: Next) -> Response {
    let asked = request.uri().clone();
    let mut response = next.run(request).await;
    tell_instance(&asked, &mut response);
    response
}

/// Tells in a problem document which path was asked: whoever makes one does not know it.
pub fn tell_instance(asked: &Uri, response: &mut Response) {
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        fault.write(Some(asked.path()), response);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_names_every_bad_field_by_its_pointer() {
        let problem = |path: &[&str]| Problem {
            path: path.iter().map(|part| part.to_string()).collect(),
            code: "REQUIRED",
            message: format!("`{}` is required", path.last().unwrap()),
        };
        let rejected = Rejected {
            reason: Reason::Invalid,
            problems: vec![problem(&["status"]), problem(&["labels", "a/b~c"])],
            existing: None,
        };
        let document = Fault::rejected(&rejected, Some(3)).document(Some("/api/v1/audit/notifications"));
        insta::assert_json_snapshot!(document, @r#"
        {
          "type": "/problems/invalid-audit",
          "title": "Invalid audit",
          "status": 422,
          "detail": "`status` is required; 1 more in `errors`",
          "instance": "/api/v1/audit/notifications",
          "code": "INVALID",
          "retryable": false,
          "errors": [
            {
              "pointer": "/3/status",
              "code": "REQUIRED",
              "detail": "`status` is required"
            },
            {
              "pointer": "/3/labels/a~1b~0c",
              "code": "REQUIRED",
              "detail": "`a/b~c` is required"
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_failure_that_passes_says_when_to_try_again() {
        let response = Fault::new(Failure::Unavailable, "no database").into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert!(!Fault::new(Failure::Invalid, "x").into_response().headers().contains_key(header::RETRY_AFTER));
    }
}
