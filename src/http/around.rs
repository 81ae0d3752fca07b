//! What surrounds every request: its span in the logs, its place in the metrics, the net below a panic, and what every answer
//! gets.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use tracing::{Instrument as _, debug, info_span, warn};

use super::answer::Refusal;
use crate::{
    error::Failure,
    rest,
    telemetry::{Metrics, RequestContext},
    threads::aside,
    worker::Shutdown,
};

/// A request of so many bytes takes long to read and to check: some milliseconds.
const LARGE_BYTES: u64 = 32 * 1024;

/// What it needs.
#[derive(Clone)]
pub struct Around {
    pub metrics: Metrics,
    /// The word that the server is ready no more.
    pub retiring: Shutdown,
}

pub async fn surround(State(around): State<Around>, mut request: Request, next: Next) -> Response {
    let context = RequestContext::of(request.headers());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    // The pattern, not the path: paths are as many as clients like.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let span = info_span!("request", http.method = %method, http.route = route, trace.id = %context.trace_id);
    let started = context.started;
    request.extensions_mut().insert(context);

    async {
        let mut response = match AssertUnwindSafe(large_aside(request, next)).catch_unwind().await {
            Ok(response) => response,
            // The panic itself is logged where it happens.
            Err(_) => Refusal::new(Failure::Internal, "something went wrong here").into_response(),
        };
        rest::tell_instance(&uri, &mut response);
        around.tell_all(&mut response);

        let (status, time) = (response.status(), started.elapsed());
        let millis = time.as_secs_f64() * 1_000.0;
        around.metrics.http_request(route, method.as_str(), status.as_u16(), time);
        // What is unavailable is logged where that is found out, once and not for each who asks.
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            warn!(http.status = status.as_u16(), duration.ms = millis, "answered {method} {route} with {status}");
        } else {
            debug!(http.status = status.as_u16(), duration.ms = millis, "answered {method} {route} with {status}");
        }
        response
    }
    .instrument(span)
    .await
}

/// Answers a large request in the background, and any other here.
pub async fn large_aside(request: Request, next: Next) -> Response {
    match is_large(request.headers()) {
        true => aside(next.run(request)).await,
        false => next.run(request).await,
    }
}

/// Whether a request is large, or does not say.
fn is_large(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.map_or(headers.contains_key(header::TRANSFER_ENCODING), |length: u64| length >= LARGE_BYTES)
}

impl Around {
    /// What all answers say.
    fn tell_all(&self, response: &mut Response) {
        // The client's next connection leads to a replica that stays.
        let ends = self.retiring.given() && response.status() != StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if ends {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}
