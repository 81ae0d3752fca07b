//! The schema at work: what is let in, on whatever transport it comes, what every request carries, its deadline, and the codes
//! of what GraphQL itself refuses.

use std::{
    any::TypeId,
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::{
    BatchRequest, BatchResponse, Executor, Name, Request, Response, SDLExportOptions, Schema, ServerError,
    ValidationMode, Value, Variables,
};
use axum::http::{HeaderValue, header};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tracing::Instrument as _;

use super::{
    allow_list::AllowList,
    cost::{Cost, Load, Scale},
    documents::{Document, Documents},
    guard::{self, Bounds},
    insight::{self, Operation},
    known::Known,
    loaders::{Loaders, Loads},
    mutation::{self, Mutation},
    query::{Basics, Query},
    receipts::Receipts,
    report::Reports,
    search::SearchQueries,
    statistics::Statistics,
    subscription::Subscriptions,
    target_history::TargetHistories,
    variables,
    view_lists::ViewLists,
};
use crate::{
    app::App,
    caller::Caller,
    deadline::Deadline,
    error::{ClientError, Code},
    http::{ByGet, DocumentId, JsonVariables, request_error},
    telemetry::OperationType,
};

type Root = Schema<Query, Mutation, Subscriptions>;

/// Most errors that are told of one request: a document of nothing but mistakes must not make a long answer.
const ERRORS_MAX: usize = 50;

/// Settings of the GraphQL surface.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Deepest nesting of a GraphQL operation.
    pub depth_max: usize,
    /// Most fields of a GraphQL operation, page sizes counted.
    pub complexity_max: usize,
    /// How long an operation may take, where its transport says nothing else.
    pub request_timeout: Duration,
    /// An operation that takes longer is logged.
    pub slow_after: Duration,
    /// Whether the schema may be asked for.
    pub introspection: bool,
    /// Whether a refusal names what was probably meant.
    pub suggestions: bool,
    /// The only documents that run, where there is a list.
    pub allow_list: Option<Arc<AllowList>>,
}

impl Settings {
    pub fn bounds(&self) -> Bounds {
        Bounds { depth_max: self.depth_max, introspection: self.introspection }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            depth_max: 20,
            complexity_max: 50_000,
            request_timeout: Duration::from_secs(30),
            slow_after: Duration::from_secs(1),
            introspection: true,
            suggestions: true,
            allow_list: None,
        }
    }
}

/// The GraphQL server of one Binnacle. Cheap to clone.
#[derive(Clone)]
pub struct GraphQl {
    schema: Root,
    /// The same for documents that are known to be valid.
    unvalidated: Root,
    scale: Scale,
    app: App,
    documents: Documents,
    settings: Arc<Settings>,
}

impl GraphQl {
    pub fn new(app: App, settings: Settings) -> GraphQl {
        let known = Arc::new(Known::default());
        let schema = |validation| {
            let schema = Schema::build(root(), Mutation::default(), Subscriptions)
                .data(app.clone())
                .data(Arc::clone(&known))
                .validation_mode(validation)
                .limit_complexity(settings.complexity_max)
                // The guard counts selections, depth and directives, and says what it found.
                .limit_recursive_depth(guard::LEVELS_MAX);
            // A suggestion tells of the schema what introspection would.
            let told = settings.suggestions && settings.introspection;
            if told { schema.finish() } else { schema.disable_suggestions().finish() }
        };
        GraphQl {
            schema: schema(ValidationMode::Strict),
            unvalidated: schema(ValidationMode::Fast),
            scale: Scale::new(),
            documents: Documents::new(settings.bounds()),
            settings: Arc::new(settings),
            app,
        }
    }

    /// Runs one operation that is answered once. The request carries its `Caller`, and may carry its `Deadline`; one that
    /// carries no caller may do nothing.
    pub async fn run(&self, request: Request) -> Response {
        match self.admit(request) {
            Ok(Admitted { operation, .. }) if operation.kind == OperationType::Subscription => {
                let message = "a subscription is answered as often as there is news: ask for it with the header \
                               `accept: text/event-stream`, or over a WebSocket";
                self.refuse(refused(ClientError::bad_input(message)))
            }
            Ok(admitted) => {
                let span = admitted.operation.span();
                // Boxes here and below: what a request is made of is moved several times, and is as large as the largest of its parts.
                Box::pin(self.execute_admitted(admitted)).instrument(span).await
            }
            Err(refused) => self.refuse(refused),
        }
    }

    /// Runs one operation of any type: a subscription is answered as often as there is news, another operation once.
    pub fn follow(&self, request: Request) -> BoxStream<'static, Response> {
        match self.admit(request) {
            Ok(Admitted { mut request, operation, document }) if operation.kind == OperationType::Subscription => {
                request.set_parsed_query(document.parsed.clone());
                self.subscribe(request, operation)
            }
            Ok(admitted) => {
                let (server, span) = (self.clone(), admitted.operation.span());
                let run = async move { server.execute_admitted(admitted).await };
                stream::once(run.instrument(span)).boxed()
            }
            Err(refused) => stream::once(std::future::ready(self.refuse(refused))).boxed(),
        }
    }

    fn refuse(&self, refused: Box<Response>) -> Response {
        self.app.metrics.graphql_refused(&insight::code(&refused));
        *refused
    }

    /// Finds the request's document, looks whether it may run, and parses it. Nothing has been executed or validated yet.
    fn admit(&self, mut request: Request) -> Result<Admitted, Box<Response>> {
        if let Some(DocumentId(id)) = data(&request) {
            let text = self.listed(id, &request.query).map_err(refused)?.to_string();
            request.query = text;
        } else if let Some(list) = &self.settings.allow_list
            && !request.query.trim().is_empty()
        {
            list.admit(&request.query).map_err(refused)?;
        }
        let document = self
            .documents
            .check(&request.query)
            .map_err(|refused| Box::new(Response::from_errors(vec![refused.into()])))?;
        let operation = Operation::of(&document.parsed, request.operation_name.as_deref()).ok_or_else(|| {
            refused(ClientError::bad_input(match &request.operation_name {
                Some(_) => "`operationName` names no operation of the query",
                None => "the query has several operations; name one as `operationName`",
            }))
        })?;
        if data::<ByGet>(&request).is_some_and(|by_get| !by_get.allows(operation.kind)) {
            let message = "only queries may be sent with GET; send this operation with POST";
            let mut answer = refused(ClientError::bad_input(message));
            answer.http_headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            return Err(answer);
        }
        if let Some(variables) = data(&request).and_then(JsonVariables::take) {
            let place = document.place(request.operation_name.as_deref());
            request = variables::put(request, variables, place.as_deref())
                .map_err(|error| refused(ClientError::bad_input(format!("`variables` cannot be read: {error}"))))?;
        }
        // async-graphql would find out in the middle, with the first half of a mutation done.
        let given = |name: &str| request.variables.get(&Name::new(name)).is_some();
        if let Some((name, of)) = operation.required.iter().find(|(name, _)| !given(name)) {
            let message = format!("the variable `${name}` of type `{of}` has no value; send it in `variables`");
            return Err(refused(ClientError::bad_input(message)));
        }
        if operation.kind == OperationType::Subscription && !operation.has_one_field {
            let message = "a subscription has one field at its root, written out and not in a fragment";
            return Err(refused(ClientError::bad_input(message)));
        }
        Ok(Admitted { request, operation, document })
    }

    fn listed(&self, id: &str, query: &str) -> Result<&str, ClientError> {
        let Some(list) = &self.settings.allow_list else {
            return Err(ClientError::bad_input(
                "`documentId` names nothing here, as there is no allow-list; send `query`",
            ));
        };
        if !query.is_empty() {
            return Err(ClientError::bad_input("send `documentId` or `query`, not both"));
        }
        list.document(id)
    }

    /// What a subscription tells. Its answers have no deadline; each statement that they need has its own.
    fn subscribe(&self, request: Request, operation: Operation) -> BoxStream<'static, Response> {
        let (server, span, started) = (self.clone(), operation.span(), Instant::now());
        let (request, loads) = self.equipped(request);
        let mut told = loads.beside_all(self.schema.execute_stream(request)).map(move |mut response| {
            response.errors.truncate(ERRORS_MAX);
            response.errors.iter_mut().for_each(|error| server.name(error, None));
            if response.data == Value::Null && response.errors.iter().all(|error| error.path.len() <= 1) {
                // The subscription itself has failed, not the execution for one event.
                response.errors.iter_mut().for_each(|error| error.path.clear());
                let code = insight::code(&response);
                server.app.metrics.graphql_operation(
                    operation.name.as_deref(),
                    operation.kind,
                    &code,
                    started.elapsed(),
                );
            }
            response
        });
        stream::poll_fn(move |context| span.in_scope(|| told.poll_next_unpin(context))).boxed()
    }

    /// The request with what the resolvers need, and what has to run beside it.
    fn equipped(&self, mut request: Request) -> (Request, Loads) {
        if data::<Caller>(&request).is_none() {
            request = request.data(Caller::nobody());
        }
        let (loaders, loads) = Loaders::new(self.app.journal.reader());
        (request.data(loaders), loads)
    }

    async fn execute_admitted(&self, admitted: Admitted) -> Response {
        let Admitted { request, operation, document } = admitted;
        let started = Instant::now();
        let deadline = data(&request).cloned().unwrap_or_else(|| Deadline::at(started + self.settings.request_timeout));
        let cost_asked_for = Cost::asked_for(&request);
        let load = load(&request, &operation);
        let always_alike = variables::always_alike(&request, &document.parsed);
        let known = always_alike && document.is_valid();
        let executing = async {
            match document.receipts.as_ref().filter(|_| known) {
                Some(receipts) => self.record(request, receipts, &document).await,
                None => Box::pin(self.ask(request, &document, known)).await,
            }
        };
        let mut response = deadline.bound(Box::pin(executing)).await.unwrap_or_else(|_| {
            let message = "the request took too long; ask for less, or send an audit again with the same `eventId`";
            Response::from_errors(vec![request_error(Code::Timeout, message)])
        });
        if always_alike && response.is_ok() {
            document.found_valid();
        }
        let time = started.elapsed();
        let slow = time >= self.settings.slow_after;

        let too_complex = response.errors.iter().any(too_complex);
        let cost =
            if slow || cost_asked_for || too_complex { Box::pin(self.scale.weigh(load.clone())).await } else { None };
        response.errors.truncate(ERRORS_MAX);
        response.errors.iter_mut().for_each(|error| self.name(error, cost));
        if let Some(cost) = cost.filter(|_| cost_asked_for) {
            response.extensions.extend([cost.told(self.settings.complexity_max, self.settings.depth_max)]);
        }
        let code = insight::code(&response);
        self.app.metrics.graphql_operation(operation.name.as_deref(), operation.kind, &code, time);
        if slow {
            operation.tell_slow(&load.text, cost, deadline.reads(), &code, time);
        }
        response
    }

    /// Has the schema execute a request.
    async fn ask(&self, request: Request, document: &Document, known: bool) -> Response {
        let schema = if known { &self.unvalidated } else { &self.schema };
        let (mut request, loads) = self.equipped(request);
        request.set_parsed_query(document.parsed.clone());
        loads.beside(schema.execute(request)).await
    }

    /// Records the audits that a request brings, of which it asks for the receipts. Where one of them has none, the schema tells
    /// what became of them.
    async fn record(&self, request: Request, receipts: &Receipts, document: &Document) -> Response {
        let Some(audits) = variables::take_audits(&request) else {
            return Box::pin(self.ask(request, document, true)).await;
        };
        let caller = data(&request).cloned().unwrap_or_else(Caller::nobody);
        let answers = mutation::record(&self.app, &caller, data(&request), audits).await;
        let told = answers.as_ref().ok().and_then(|answers| receipts.told(self.app.journal.id(), answers));
        match told {
            Some(told) => Response::new(told),
            None => Box::pin(self.ask(variables::with_answers(request, answers), document, true)).await,
        }
    }

    /// Gives an error that has no code the one of what GraphQL refused. Resolvers give theirs.
    fn name(&self, error: &mut ServerError, cost: Option<Cost>) {
        let costs_too_much = too_complex(error);
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_some() {
            return;
        }
        let code = if costs_too_much {
            let max = self.settings.complexity_max;
            let found = cost.map_or("more".to_string(), |cost| cost.fields.to_string());
            error.message = format!(
                "the query costs {found} fields, page sizes counted, at most {max} are allowed; ask for smaller pages"
            );
            Code::TooComplex
        } else {
            if let Some(path) = refused_path(&error.message) {
                extensions.set("path", Value::from_iter(path.split('.')));
            }
            error.message = error.message.trim().to_string();
            Code::BadInput
        };
        extensions.set("code", code.word());
        extensions.set("retryable", Value::from(false));
    }
}

/// A request that may run.
struct Admitted {
    request: Request,
    operation: Operation,
    document: Arc<Document>,
}

/// What the request carries of a type.
fn data<T: 'static>(request: &Request) -> Option<&T> {
    request.data.get(&TypeId::of::<T>())?.downcast_ref()
}

fn refused(error: ClientError) -> Box<Response> {
    Box::new(Response::from_errors(vec![request_error(error.code(), error.message)]))
}

/// What is kept to weigh the operation afterwards. The audits of a mutation say nothing of its cost, and may be large.
fn load(request: &Request, operation: &Operation) -> Load {
    let variables = match operation.kind {
        OperationType::Query | OperationType::Subscription => request.variables.clone(),
        OperationType::Mutation => Variables::default(),
    };
    Load { text: request.query.clone(), operation_name: request.operation_name.clone(), variables }
}

/// Whether async-graphql refused for the cost, which it says in these words only.
fn too_complex(error: &ServerError) -> bool {
    error.message == "Query is too complex."
}

/// The variable's path in what async-graphql says of a value that it refuses.
fn refused_path(message: &str) -> Option<&str> {
    message.strip_prefix("Invalid value for argument \"")?.split('"').next()
}

impl Executor for GraphQl {
    async fn execute(&self, request: Request) -> Response {
        self.run(request).await
    }

    async fn execute_batch(&self, batch: BatchRequest) -> BatchResponse {
        match batch {
            BatchRequest::Single(request) => BatchResponse::Single(self.run(request).await),
            BatchRequest::Batch(requests) => {
                let mut responses = Vec::with_capacity(requests.len());
                for request in requests {
                    responses.push(self.run(request).await);
                }
                BatchResponse::Batch(responses)
            }
        }
    }

    fn execute_stream(&self, request: Request, _: Option<Arc<async_graphql::Data>>) -> BoxStream<'static, Response> {
        self.follow(request)
    }
}

pub(super) fn root() -> Query {
    Query(Basics, ViewLists::default(), SearchQueries, Statistics, TargetHistories, Reports)
}

/// The schema in the schema language, as `schema.graphql` holds it.
pub fn sdl() -> String {
    let schema = Schema::build(root(), Mutation::default(), Subscriptions).finish();
    let options = SDLExportOptions::new().sorted_enum_items().prefer_single_line_descriptions();
    schema.sdl_with_options(options)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_is_what_clients_were_promised() {
        let promised = include_str!("../../schema.graphql");
        assert!(super::sdl() == promised, "the schema has changed; look at `binnacle schema` against schema.graphql");
    }
}
