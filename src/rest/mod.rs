//! The REST face: the seeds' record endpoints, Kubernaut's API, problem documents, and the OpenAPI document of all of it.

mod accept;
pub mod audits;
pub mod body;
mod call;
mod fault;
pub mod key;
pub mod kubernaut;
pub mod openapi;
mod pages;
mod params;
mod receipt;
pub mod recording;
pub mod seeds;

use std::sync::Arc;

use axum::{Router, middleware};
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;

use crate::{app::App, caller::Callers};

pub use body::{BODY_BYTES_MAX, json_only};
pub use fault::{Fault, seconds, tell_instance, tell_instances};

/// What the endpoints need. Cheap to clone.
#[derive(Clone)]
pub struct Rest {
    pub app: App,
    pub callers: Callers,
    /// Room for exports that run.
    exports: Arc<Semaphore>,
}

impl Rest {
    pub fn new(app: App, callers: Callers) -> Rest {
        Rest { app, callers, exports: kubernaut::room() }
    }
}

/// The routes, and the document that describes them: one list, so that neither can leave out an endpoint of the other.
fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().merge(audits::routes()).merge(seeds::routes()).merge(kubernaut::routes())
}

/// The routes of the API, with the pages about it.
pub fn router(rest: Rest) -> Router {
    let (api, document) = routes().split_for_parts();
    let document = openapi::complete(document);
    api.layer(middleware::from_fn_with_state(rest.clone(), call::in_time))
        .layer(middleware::from_fn(accept::json))
        .with_state(rest)
        .merge(pages::routes(&document))
}
