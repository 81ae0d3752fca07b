//! The schema at work: its limits, what every request carries, and the codes of what GraphQL itself refuses.

use async_graphql::{
    BatchRequest, BatchResponse, Executor, Request, Response, SDLExportOptions, Schema, ServerError, Value,
};
use futures_util::{Stream, StreamExt as _, stream::BoxStream};

use super::{
    loaders::{Loaders, Loads},
    mutation::Mutation,
    query::{Basics, Query},
    report::Reports,
    search::SearchQueries,
    statistics::Statistics,
    subscription::Subscriptions,
    target_history::TargetHistories,
    view_lists::ViewLists,
};
use crate::{app::App, caller::Caller, error::Code};

type Root = Schema<Query, Mutation, Subscriptions>;

/// The GraphQL server of one Binnacle. Cheap to clone.
#[derive(Clone)]
pub struct GraphQl {
    schema: Root,
    app: App,
}

impl GraphQl {
    pub fn new(app: App) -> GraphQl {
        let schema = Schema::build(root(), Mutation, Subscriptions)
            .data(app.clone())
            .limit_depth(app.faces.depth_max)
            .limit_complexity(app.faces.complexity_max)
            .limit_recursive_depth(app.faces.depth_max.max(32))
            .limit_directives(10)
            .finish();
        GraphQl { schema, app }
    }

    /// Runs one operation. The request carries its `Caller`; one that carries none may do nothing.
    pub async fn run(&self, request: Request) -> Response {
        let (request, loads) = self.equipped(request);
        let mut response = loads.beside(self.schema.execute(request)).await;
        response.errors.iter_mut().for_each(|error| self.name(error));
        response
    }

    /// Runs one operation of any type: a subscription answers as often as there is news, another operation once.
    pub fn follow(&self, request: Request) -> impl Stream<Item = Response> + Send + use<> {
        let server = self.clone();
        let (request, loads) = self.equipped(request);
        loads.beside_all(self.schema.execute_stream(request)).map(move |mut response| {
            response.errors.iter_mut().for_each(|error| server.name(error));
            response
        })
    }

    /// The request with what the resolvers need, and what has to run beside it.
    fn equipped(&self, mut request: Request) -> (Request, Loads) {
        if !request.data.contains_key(&std::any::TypeId::of::<Caller>()) {
            request = request.data(Caller::nobody());
        }
        let (loaders, loads) = Loaders::new(self.app.journal.reader());
        (request.data(loaders), loads)
    }

    /// Gives an error that has no code the one of what GraphQL refused. Resolvers give theirs.
    fn name(&self, error: &mut ServerError) {
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_some() {
            return;
        }
        let (code, message) = match error.message.as_str() {
            "Query is too complex." => (
                Code::TooComplex,
                format!(
                    "the query costs more than the limit of {} fields, page sizes counted; ask for smaller pages",
                    self.app.faces.complexity_max
                ),
            ),
            "Query is nested too deep." => {
                (Code::TooComplex, format!("the query is nested deeper than the limit of {}", self.app.faces.depth_max))
            }
            message => {
                if let Some(path) = refused_path(message) {
                    extensions.set("path", Value::from_iter(path.split('.')));
                }
                (Code::BadInput, message.trim().to_string())
            }
        };
        error.message = message;
        extensions.set("code", code.word());
        extensions.set("retryable", Value::from(false));
    }
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

    fn execute_stream(
        &self,
        request: Request,
        _: Option<std::sync::Arc<async_graphql::Data>>,
    ) -> BoxStream<'static, Response> {
        self.follow(request).boxed()
    }
}

fn root() -> Query {
    Query(Basics, ViewLists::default(), SearchQueries, Statistics, TargetHistories, Reports)
}

/// The schema in the schema language, as `schema.graphql` holds it.
pub fn sdl() -> String {
    let schema = Schema::build(root(), Mutation, Subscriptions).finish();
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
