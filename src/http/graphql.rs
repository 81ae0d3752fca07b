//! GraphQL over HTTP: reads a request, refuses what cannot be executed, executes the rest within a deadline.

use std::{sync::Arc, time::Instant};

use async_graphql::{
    Executor, Request, Response as Answer, ServerError, Variables,
    parser::types::{DocumentOperations, ExecutableDocument},
};
use axum::{
    Extension,
    body::Bytes,
    extract::{
        self, FromRequest as _, Query, State,
        rejection::QueryRejection,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    App,
    answer::{self, Media, Refusal},
    live::{self, sse, websocket},
    trace::RequestContext,
};
use crate::{
    audit::canonical::{self, Flaw},
    caller::Caller,
    error::Code,
    record::Traceparent,
    telemetry::OperationType,
};

/// Most bytes of a request: a full batch, and room for the query around it.
pub const BODY_BYTES_MAX: usize = 9 * 1024 * 1024;
/// Most bytes of a query's text. Data belongs into variables, which cost far less to read.
pub const QUERY_BYTES_MAX: usize = 1024 * 1024;
/// Most flaws that are told of one request.
const FLAWS_MAX: usize = 20;

/// The members of a request, as GraphQL over HTTP names them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Variables>,
    /// Read so that a malformed one is refused; none are known.
    #[serde(rename = "extensions")]
    _extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The same as parameters of an address, where variables are JSON inside of text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
}

pub async fn post<S: Executor>(
    State(app): State<Arc<App<S>>>,
    Extension(context): Extension<RequestContext>,
    request: extract::Request,
) -> Response {
    let headers = request.headers().clone();
    let answered = async {
        let caller = authenticate(&app, &headers)?;
        json_only(&headers)?;
        let text = read(&app, request).await?;
        let flaws: Vec<Flaw> =
            canonical::hidden_flaws(&text).into_iter().filter(|flaw| starts_with(flaw, "variables")).collect();
        if !flaws.is_empty() {
            return Ok(answer::graphql(flawed(&flaws), Media::accepted(&headers)));
        }
        if !text.trim_start().starts_with('{') {
            let message =
                "a request is one JSON object, with `query` and `variables`; `recordAudits` takes many audits";
            return Err(bad(message));
        }
        let parts: Parts = serde_json::from_str(&text).map_err(malformed)?;
        if answer::wants_events(&headers) {
            let asked = asked(&context, caller, parts)?;
            return sse::respond(&app.live, app.shutdown.clone(), live::answers(&app, asked));
        }
        execute(&app, context, caller, parts, Verb::Post, Media::accepted(&headers)).await
    };
    answered.await.unwrap_or_else(Refusal::into_response)
}

/// A query, or a WebSocket that is to carry many operations.
pub async fn get_or_upgrade<S: Executor>(
    State(app): State<Arc<App<S>>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    match upgrade {
        Ok(upgrade) => websocket::open(app, context, headers, upgrade).unwrap_or_else(Refusal::into_response),
        Err(rejection) if headers.contains_key(header::UPGRADE) => rejection.into_response(),
        Err(_) => get(State(app), Extension(context), headers, parameters).await,
    }
}

pub async fn get<S: Executor>(
    State(app): State<Arc<App<S>>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    let answered = async {
        let caller = authenticate(&app, &headers)?;
        let Query(parameters) = parameters.map_err(|rejection| bad(rejection.body_text()))?;
        let variables = parameters.variables.as_deref().filter(|text| !text.trim().is_empty());
        let mut flaws = canonical::hidden_flaws(variables.unwrap_or_default());
        if !flaws.is_empty() {
            flaws.iter_mut().for_each(|flaw| flaw.path.insert(0, "variables".to_string()));
            return Ok(answer::graphql(flawed(&flaws), Media::accepted(&headers)));
        }
        let parts = Parts {
            query: parameters.query,
            operation_name: parameters.operation_name.filter(|name| !name.is_empty()),
            variables: variables.map(serde_json::from_str).transpose().map_err(malformed)?,
            _extensions: None,
        };
        if answer::wants_events(&headers) {
            let asked = asked(&context, caller, parts)?;
            if asked.operation == Some(OperationType::Mutation) {
                return Ok(only_queries());
            }
            return sse::respond(&app.live, app.shutdown.clone(), live::answers(&app, asked));
        }
        execute(&app, context, caller, parts, Verb::Get, Media::accepted(&headers)).await
    };
    answered.await.unwrap_or_else(Refusal::into_response)
}

/// An operation that may be executed.
pub struct Asked {
    pub request: Request,
    pub operation: Option<OperationType>,
}

/// Reads a request that came as JSON text over something other than a POST.
pub fn read_text(context: &RequestContext, caller: Caller, text: &str) -> Result<Asked, Box<Answer>> {
    let flaws: Vec<Flaw> =
        canonical::hidden_flaws(text).into_iter().filter(|flaw| starts_with(flaw, "variables")).collect();
    if !flaws.is_empty() {
        return Err(Box::new(flawed(&flaws)));
    }
    let refused = |message: String| Box::new(Answer::from_errors(vec![bad_input(message)]));
    let parts: Parts = serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
    asked(context, caller, parts).map_err(|refusal| refused(refusal.message().to_string()))
}

fn asked(context: &RequestContext, caller: Caller, parts: Parts) -> Result<Asked, Refusal> {
    let Some(query) = parts.query.filter(|query| !query.trim().is_empty()) else {
        return Err(bad("the request has no `query`"));
    };
    if query.len() > QUERY_BYTES_MAX {
        let message = format!("a query's text may have {QUERY_BYTES_MAX} bytes; send data as variables");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BadInput, message));
    }
    if let Some(flaw) = canonical::literal_flaws(&query).first() {
        return Err(bad(format!("in the query, {flaw}")));
    }
    let mut request = Request::new(query).variables(parts.variables.unwrap_or_default());
    request.operation_name = parts.operation_name;
    let named = request.operation_name.clone();
    let (operation, _) = match request.parsed_query() {
        Ok(document) => operation(document, named.as_deref()),
        Err(_) => (None, None), // the schema refuses it again, in its own words
    };
    let mut request = request.data(caller);
    if let Some(parent) = &context.traceparent {
        request = request.data(Traceparent(parent.to_string()));
    }
    Ok(Asked { request, operation })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
}

pub fn authenticate<S>(app: &App<S>, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    app.callers
        .authenticate(authorization)
        .map_err(|error| Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, error.to_string()))
}

/// Other media types are what a web page of someone else can send without asking us first.
fn json_only(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported = |message: &str| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadInput, message));
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

async fn read<S>(app: &App<S>, request: extract::Request) -> Result<String, Refusal> {
    let bytes = match timeout(app.request_timeout, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("a request may have {BODY_BYTES_MAX} bytes; send more audits in several requests");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BadInput, message));
        }
        Ok(Err(_)) => return Err(bad("the request broke off")),
        Err(_) => {
            return Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                Code::Timeout,
                "the request took too long to arrive",
            ));
        }
    };
    String::from_utf8(bytes.into()).map_err(|_| bad("the request is not text in UTF-8"))
}

async fn execute<S: Executor>(
    app: &App<S>,
    context: RequestContext,
    caller: Caller,
    parts: Parts,
    verb: Verb,
    media: Media,
) -> Result<Response, Refusal> {
    let Some(query) = parts.query.filter(|query| !query.trim().is_empty()) else {
        return Err(bad("the request has no `query`"));
    };
    if query.len() > QUERY_BYTES_MAX {
        let message = format!("a query's text may have {QUERY_BYTES_MAX} bytes; send data as variables");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BadInput, message));
    }
    if let Some(flaw) = canonical::literal_flaws(&query).first() {
        return Ok(answer::graphql(Answer::from_errors(vec![bad_input(format!("in the query, {flaw}"))]), media));
    }

    let mut request = Request::new(query).variables(parts.variables.unwrap_or_default());
    request.operation_name = parts.operation_name;
    let named = request.operation_name.clone();
    let (operation, name) = match request.parsed_query() {
        Ok(document) => operation(document, named.as_deref()),
        Err(_) => (None, None), // the schema refuses it again, in its own words
    };
    if verb == Verb::Get && matches!(operation, Some(OperationType::Mutation | OperationType::Subscription)) {
        return Ok(only_queries());
    }

    let started = Instant::now();
    let deadline = app.request_timeout.saturating_sub(context.started.elapsed());
    let mut request = request.data(caller);
    if let Some(parent) = &context.traceparent {
        request = request.data(Traceparent(parent.to_string()));
    }
    let executing = app.schema.execute(request);
    let answer = timeout(deadline, executing).await.map_err(|_| {
        let message = "the request took too long; ask for less, or send an audit again with the same `eventId`";
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, Code::Timeout, message)
    })?;
    if let Some(operation) = operation {
        app.metrics.graphql_operation(name.as_deref(), operation, started.elapsed());
    }
    Ok(answer::graphql(answer, media))
}

/// The operation that will be executed, and its name; none where the schema will refuse to choose.
fn operation(document: &ExecutableDocument, named: Option<&str>) -> (Option<OperationType>, Option<String>) {
    use async_graphql::parser::types::OperationType as Type;
    let (name, definition) = match (&document.operations, named) {
        (DocumentOperations::Single(operation), named) => (named.map(str::to_string), Some(operation)),
        (DocumentOperations::Multiple(operations), Some(named)) => {
            (Some(named.to_string()), operations.iter().find(|(name, _)| name.as_str() == named).map(|(_, o)| o))
        }
        (DocumentOperations::Multiple(operations), None) => match operations.iter().next() {
            Some((name, operation)) if operations.len() == 1 => (Some(name.to_string()), Some(operation)),
            _ => (None, None),
        },
    };
    let operation = definition.map(|definition| match definition.node.ty {
        Type::Query => OperationType::Query,
        Type::Mutation => OperationType::Mutation,
        Type::Subscription => OperationType::Subscription,
    });
    (operation, name)
}

fn only_queries() -> Response {
    let message = "only queries may be sent with GET; send this operation with POST";
    let mut response = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadInput, message).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

fn flawed(flaws: &[Flaw]) -> Answer {
    let errors = flaws.iter().take(FLAWS_MAX).map(|flaw| {
        let path = flaw.path.get(1..).unwrap_or_default();
        let mut error = bad_input(format!("variable `{}`: {}", path.join("."), flaw.message));
        error.extensions.get_or_insert_default().set("path", path.to_vec());
        error
    });
    Answer::from_errors(errors.collect())
}

/// An error of the request: nothing was executed.
fn bad_input(message: String) -> ServerError {
    let mut error = ServerError::new(message, None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", Code::BadInput.word());
    extensions.set("retryable", false);
    error
}

fn starts_with(flaw: &Flaw, first: &str) -> bool {
    flaw.path.first().is_some_and(|name| name == first)
}

fn malformed(error: serde_json::Error) -> Refusal {
    if error.is_data() {
        bad(format!("the request is not what GraphQL over HTTP asks for: {error}"))
    } else {
        bad(format!("the request is not JSON: {error}"))
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Code::BadInput, message)
}
