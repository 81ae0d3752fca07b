//! The HTTP face: the router with its limits, GraphQL over HTTP, pages, health, metrics, and the orderly end.

mod answer;
mod around;
mod graphql;
mod health;
mod json_text;
mod live;
mod media;
mod pages;
mod reports;
mod serve;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_graphql::Executor;
use axum::{
    Router,
    extract::{self, DefaultBodyLimit, Request},
    http::{Method, Uri},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tower_http::compression::{
    CompressionLayer,
    predicate::{NotForContentType, Predicate as _, SizeAbove},
};

use self::around::Around;
use crate::{
    caller::Callers,
    error::Failure,
    rest::{self, Fault},
    telemetry::Metrics,
    worker::Shutdown,
};

pub use answer::request_error;
pub use around::large_aside;
pub use graphql::{ByGet, DocumentId, JsonVariables};
pub use health::{Check, Checks, State};
pub use json_text::Raw;
pub use live::Live;
pub use pages::{EXAMPLES, Example};
pub use reports::{Asked, Format, Reports, remediation_path};
pub use serve::{Listener, serve};

/// Smaller answers cost more to compress than to send.
const COMPRESS_BYTES_MIN: u16 = 1024;

/// What the routes need.
#[derive(Clone)]
pub struct App<S> {
    pub schema: S,
    pub callers: Callers,
    pub metrics: Metrics,
    /// What `/readyz` looks at.
    pub checks: Checks,
    /// What makes reports.
    pub reports: Reports,
    /// The routes of REST, and the pages about it.
    pub api: Router,
    /// Whether the GraphiQL page is served.
    pub graphiql: bool,
    pub request_timeout: Duration,
    pub live: Live,
    /// The word that the server is ready no more. It still serves, and closes each connection behind an answer.
    pub retiring: Shutdown,
    /// The word that those who follow have to go elsewhere.
    pub shutdown: Shutdown,
}

/// The routes of `app`.
pub fn router<S: Executor>(app: App<S>) -> Router {
    let around = Around { metrics: app.metrics.clone(), retiring: app.retiring.clone() };
    let graphiql = app.graphiql;
    let mut routes = Router::new()
        .route("/", get(pages::landing::<S>))
        .route("/graphql", get(graphql::get_or_upgrade::<S>).post(graphql::post::<S>))
        .route("/remediations/{id}", get(reports::remediation))
        .route("/remediations/{id}/report", get(reports::report::<S>))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz::<S>))
        .route("/metrics", get(health::metrics::<S>));
    if graphiql {
        routes = routes
            .route("/graphiql", get(pages::console::graphiql))
            .route("/graphiql/{*file}", get(pages::console::file));
    }
    let app = Arc::new(app);
    let api = app.api.clone().layer(middleware::from_fn_with_state(app.clone(), own_pages::<S>));
    let compression =
        CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_BYTES_MIN).and(NotForContentType::SSE));
    routes
        .with_state(app)
        .merge(api)
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        // As one layer: each has its cost, and each request pays it.
        .layer((
            compression,
            middleware::from_fn_with_state(around, around::surround),
            DefaultBodyLimit::max(rest::BODY_BYTES_MAX),
        ))
}

/// Lets no page of somebody else record or ask where nobody has to show a token.
async fn own_pages<S: Executor>(
    extract::State(app): extract::State<Arc<App<S>>>,
    request: Request,
    next: Next,
) -> Response {
    let asks = request.method() == Method::GET || request.method() == Method::HEAD;
    if !asks
        && app.callers.anyone_may()
        && let Err(refusal) = app.live.welcome(request.headers())
    {
        return Fault::from(refusal).into_response();
    }
    next.run(request).await
}

async fn unknown_route(path: Uri) -> Fault {
    nothing_here(if path.path().starts_with("/api") { "/api-docs/" } else { "/" })
}

/// There is nothing at an address; `list` says what there is.
fn nothing_here(list: &str) -> Fault {
    Fault::new(Failure::NotFound, format!("nothing is here; `{list}` lists what there is"))
}

async fn unknown_method() -> Fault {
    let detail = "this address does not take that method; the header `allow` lists those that it takes";
    Fault::new(Failure::MethodNotAllowed, detail)
}
