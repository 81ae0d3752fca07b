//! A sidecar for writers in any language: it takes the record calls of REST, answers once they are on disk, and brings them to
//! the server.

mod audits;
mod guard;
mod metrics;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, middleware};

use crate::{
    client::Recorder,
    http,
    rest::{self, BODY_BYTES_MAX},
};

pub use metrics::Metrics;
pub use watch::{Replayed, listing};

/// How long requests that run may take to end when the relay stops: each waits for no more than a disk.
pub const GRACE: Duration = Duration::from_secs(5);

/// What the routes need.
pub struct Relay {
    pub recorder: Recorder,
    /// That of the spool.
    pub folder: PathBuf,
    /// The cluster of audits that name none, where one is set here.
    pub cluster_id: Option<String>,
    pub metrics: Metrics,
}

/// The routes of a relay.
pub fn router(relay: Relay) -> Router {
    Router::new()
        .merge(audits::routes())
        .merge(watch::routes())
        .with_state(Arc::new(relay))
        .fallback(guard::unknown_route)
        .method_not_allowed_fallback(guard::unknown_method)
        .layer(middleware::from_fn(http::large_aside))
        .layer(middleware::from_fn(guard::in_time))
        .layer(middleware::from_fn(guard::no_web_pages))
        .layer(middleware::from_fn(rest::tell_instances))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}
