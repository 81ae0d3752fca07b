//! What surrounds every request: its span in the logs, its place in the metrics, and the net below a panic.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use tracing::{Instrument as _, debug, info_span, warn};

use super::answer::Refusal;
use crate::{
    error::Failure,
    telemetry::{Metrics, RequestContext},
};

pub async fn observe(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let context = RequestContext::of(request.headers());
    let method = request.method().clone();
    // The pattern, not the path: paths are as many as clients like.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let span = info_span!("request", http.method = %method, http.route = route, trace.id = %context.trace_id);
    let started = context.started;
    request.extensions_mut().insert(context);

    async {
        let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            // The panic itself is logged where it happens.
            Err(_) => Refusal::new(Failure::Internal, "something went wrong here").into_response(),
        };
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

        let (status, time) = (response.status(), started.elapsed());
        let millis = time.as_secs_f64() * 1_000.0;
        metrics.http_request(route, method.as_str(), status.as_u16(), time);
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
