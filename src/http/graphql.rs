//! GraphQL over HTTP: reads a request, refuses what is none, has the rest executed, and answers in the media type asked for.

use std::sync::{Arc, Mutex};

use async_graphql::{Executor, Extensions, Request, Response as Answer, Variables};
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
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json, from_str};
use tokio::time::timeout;

use super::{
    App,
    answer::{self, Refusal, request_error},
    live::{sse, websocket},
    media::Media,
};
use crate::{
    audit::flaws::{self, Flaw},
    caller::Caller,
    deadline::Deadline,
    error::{Code, Failure},
    record::Traceparent,
    rest::{BODY_BYTES_MAX, json_only},
    telemetry::{OperationType, RequestContext},
};

/// Most bytes of a request that brings no batch.
pub const SINGLE_BYTES_MAX: usize = 1024 * 1024;
/// Most flaws that are told of one request.
const FLAWS_MAX: usize = 20;

/// A request carries this where it names a document of the allow-list instead of sending a text.
#[derive(Clone, Debug)]
pub struct DocumentId(pub String);

/// A request carries this instead of its variables where they may be audits: whoever knows the fields of those takes them as they
/// are, and not in the detour over the values of GraphQL. By name, each as the JSON that came.
pub struct JsonVariables(Mutex<Option<Map<String, Json>>>);

impl JsonVariables {
    /// The variables; they can be had once.
    pub fn take(&self) -> Option<Map<String, Json>> {
        self.0.lock().ok()?.take()
    }
}

/// A request carries this where it came by GET, and may change nothing.
#[derive(Clone, Copy, Debug)]
pub struct ByGet {
    /// Whether it may be answered more than once.
    pub events: bool,
}

impl ByGet {
    pub fn allows(self, kind: OperationType) -> bool {
        match kind {
            OperationType::Query => true,
            OperationType::Subscription => self.events,
            OperationType::Mutation => false,
        }
    }
}

/// The members of a request, as GraphQL over HTTP names them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts<V> {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<V>,
    extensions: Option<Map<String, Json>>,
}

/// The same as parameters of an address, where variables and extensions are JSON inside of text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

pub async fn post<S: Executor>(
    State(app): State<Arc<App<S>>>,
    Extension(context): Extension<RequestContext>,
    request: extract::Request,
) -> Response {
    let headers = request.headers().clone();
    let Some(media) = Media::accepted(&headers) else { return not_acceptable() };
    let asked = async {
        let caller = authenticate(&app, &headers)?;
        if caller.name.is_none() {
            // Nobody has to show a token, so a page that a browser thinks to be ours could record and ask whatever it likes.
            app.live.welcome(&headers)?;
        }
        json_only(&headers).map_err(Refusal::from)?;
        let text = read(&app, request).await?;
        Ok(carrying(from_json(&text)?, caller, &context, &app))
    };
    answered(&app, asked.await, media).await
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
        Err(rejection) if headers.contains_key(header::UPGRADE) => bad(rejection.body_text()).into_response(),
        Err(_) => get(app, context, headers, parameters).await,
    }
}

async fn get<S: Executor>(
    app: Arc<App<S>>,
    context: RequestContext,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    let Some(media) = Media::accepted(&headers) else { return not_acceptable() };
    let asked = async {
        let caller = authenticate(&app, &headers)?;
        let Query(parameters) = parameters.map_err(|rejection| bad(rejection.body_text()))?;
        let by_get = ByGet { events: media == Media::Events };
        Ok(carrying(from_parameters(parameters)?, caller, &context, &app).data(by_get))
    };
    answered(&app, asked.await, media).await
}

/// Why a request is not executed.
pub enum Unfit {
    /// It is no GraphQL request, or not from somebody we know.
    Refused(Refusal),
    /// It is one, and its answer is that it cannot be executed.
    Answered(Box<Answer>),
}

impl From<Refusal> for Unfit {
    fn from(refusal: Refusal) -> Unfit {
        Unfit::Refused(refusal)
    }
}

impl Unfit {
    /// The same as an answer among others.
    pub fn into_answer(self) -> Box<Answer> {
        match self {
            Unfit::Refused(refusal) => Box::new(refusal.into()),
            Unfit::Answered(answer) => answer,
        }
    }
}

async fn answered<S: Executor>(app: &App<S>, asked: Result<Request, Unfit>, media: Media) -> Response {
    match asked {
        Ok(request) if media == Media::Events => {
            sse::respond(&app.live, app.shutdown.clone(), app.schema.execute_stream(request, None)).await
        }
        Ok(request) => answer::graphql(app.schema.execute(request).await, media),
        Err(Unfit::Answered(answer)) => answer::graphql(*answer, media),
        Err(Unfit::Refused(refusal)) => refusal.into_answer(media),
    }
}

pub fn authenticate<S>(app: &App<S>, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    app.callers.authenticate(authorization).map_err(|error| Refusal::new(Failure::Unauthenticated, error.to_string()))
}

async fn read<S>(app: &App<S>, request: extract::Request) -> Result<String, Refusal> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > BODY_BYTES_MAX as u64) {
        return Err(too_large(BODY_BYTES_MAX, "send more audits in several requests"));
    }
    let bytes = match timeout(app.request_timeout, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Err(too_large(BODY_BYTES_MAX, "send more audits in several requests"));
        }
        // The network's doing, not the client's: the same request may succeed later.
        Ok(Err(_)) => return Err(Refusal::new(Failure::RequestTimeout, "the request broke off")),
        Err(_) => {
            return Err(Refusal::new(Failure::RequestTimeout, "the request took too long to arrive"));
        }
    };
    let text = String::from_utf8(bytes.into()).map_err(|_| bad("the request is not text in UTF-8"))?;
    // Looked for in the text as it came, so that what is too large is not even parsed.
    let brings_batch = text.contains("recordAudits") || text.contains("documentId");
    if text.len() > SINGLE_BYTES_MAX && !brings_batch {
        return Err(too_large(SINGLE_BYTES_MAX, "only `recordAudits` may have more"));
    }
    Ok(text)
}

/// The GraphQL request that a JSON text makes.
pub fn from_json(text: &str) -> Result<Request, Unfit> {
    let flaws = flaws::hidden(text);
    parseable(&flaws)?;
    let flaws = flaws.iter().filter(|flaw| flaw.path.first().is_some_and(|name| name == "variables"));
    exact(flaws.map(|flaw| (&flaw.path[1..], flaw)))?;
    if !text.trim_start().starts_with('{') {
        let message = "a request is one JSON object, with `query` and `variables`; `recordAudits` takes many audits";
        return Err(bad(message).into());
    }
    // Every mutation that takes an audit is named so.
    if !text.contains("record") {
        return request(from_str(text).map_err(malformed)?);
    }
    let parts: Parts<Map<String, Json>> = from_str(text).map_err(malformed)?;
    let Parts { query, document_id, operation_name, variables, extensions } = parts;
    let request = request(Parts { query, document_id, operation_name, variables: None, extensions })?;
    Ok(request.data(JsonVariables(Mutex::new(variables))))
}

fn from_parameters(parameters: Parameters) -> Result<Request, Unfit> {
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let variables = given(parameters.variables);
    let flaws = flaws::hidden(variables.as_deref().unwrap_or_default());
    parseable(&flaws)?;
    parseable(&flaws::hidden(parameters.extensions.as_deref().unwrap_or_default()))?;
    exact(flaws.iter().map(|flaw| (&flaw.path[..], flaw)))?;
    request(Parts {
        query: parameters.query,
        document_id: given(parameters.document_id),
        operation_name: parameters.operation_name.filter(|name| !name.is_empty()),
        variables: parsed("variables", variables)?,
        extensions: parsed("extensions", given(parameters.extensions))?,
    })
}

fn request(parts: Parts<Variables>) -> Result<Request, Unfit> {
    let query = parts.query.unwrap_or_default();
    if query.trim().is_empty() && parts.document_id.is_none() {
        return Err(bad("the request has no `query`, and no `documentId`").into());
    }
    let mut request = Request::new(query).variables(parts.variables.unwrap_or_default());
    request.operation_name = parts.operation_name;
    let extensions = parts.extensions.unwrap_or_default().into_iter();
    request.extensions = Extensions(
        extensions.filter_map(|(name, value)| Some((name, async_graphql::Value::from_json(value).ok()?))).collect(),
    );
    Ok(match parts.document_id {
        Some(id) => request.data(DocumentId(id)),
        None => request,
    })
}

/// The request with what its execution has to know: who calls, by when an answer is due, and the trace it belongs to.
fn carrying<S>(request: Request, caller: Caller, context: &RequestContext, app: &App<S>) -> Request {
    traced(request.data(caller), context).data(Deadline::at(context.started + app.request_timeout))
}

/// The request as part of the client's trace.
pub fn traced(request: Request, context: &RequestContext) -> Request {
    match &context.traceparent {
        Some(parent) => request.data(Traceparent(parent.to_string())),
        None => request,
    }
}

/// Refuses values that would change without a word; each comes with its path within the variables.
fn exact<'a>(flaws: impl Iterator<Item = (&'a [String], &'a Flaw)>) -> Result<(), Unfit> {
    let errors: Vec<_> = flaws
        .take(FLAWS_MAX)
        .map(|(path, flaw)| {
            let message = format!("variable `{}`: {}", path.join("."), flaw.message);
            let mut error = request_error(Code::BadInput, message);
            error.extensions.get_or_insert_default().set("path", path.to_vec());
            error
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Unfit::Answered(Box::new(Answer::from_errors(errors)))) }
}

/// Refuses a text that may not even be parsed.
fn parseable(found: &[Flaw]) -> Result<(), Unfit> {
    match found.last() {
        Some(flaw) if flaw.code == flaws::TOO_MANY_VALUES => {
            Err(Refusal::new(Failure::TooLarge, format!("the request cannot be read: {}", flaw.message)).into())
        }
        Some(flaw) if !flaws::parseable(found) => {
            Err(bad(format!("the request cannot be read: {}", flaw.message)).into())
        }
        _ => Ok(()),
    }
}

fn parsed<T: DeserializeOwned>(name: &str, text: Option<String>) -> Result<Option<T>, Refusal> {
    let object = |_| bad(format!("the parameter `{name}` has to be a JSON object"));
    text.map(|text| from_str(&text)).transpose().map_err(object)
}

fn malformed(error: serde_json::Error) -> Refusal {
    if error.is_data() {
        bad(format!("the request is not what GraphQL over HTTP asks for: {error}"))
    } else {
        bad(format!("the request is not JSON: {error}"))
    }
}

fn too_large(bytes_max: usize, way_out: &str) -> Refusal {
    let message = format!("a request like this may have {bytes_max} bytes; {way_out}");
    Refusal::new(Failure::TooLarge, message)
}

fn not_acceptable() -> Response {
    let message = "answers can be had as application/graphql-response+json and as application/json";
    Refusal::new(Failure::NotAcceptable, message).into_response()
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Failure::BadInput, message)
}
