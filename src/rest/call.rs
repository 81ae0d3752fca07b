//! Who calls, and until when an answer is due.

use std::time::{Duration, Instant};

use axum::{
    extract::{FromRef, FromRequestParts, Request, State},
    http::{HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{Rest, fault::Fault};
use crate::{
    caller::Caller,
    deadline::Deadline,
    error::{ClientError, Failure},
    record::Traceparent,
    telemetry::RequestContext,
};

/// A request that may be answered: somebody we know sent it.
pub struct Call {
    pub caller: Caller,
    /// The trace that it belongs to, where the client sent one.
    pub traceparent: Option<Traceparent>,
    /// The path that was asked.
    pub path: String,
}

impl Call {
    /// Refuses a caller that may not read.
    pub fn reads(&self) -> Result<(), Fault> {
        if self.caller.may_read() {
            return Ok(());
        }
        Err(Fault::new(Failure::Forbidden, "this caller may not read"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call
where
    Rest: FromRef<S>,
{
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Call, Fault> {
        let authorization = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let caller = Rest::from_ref(state)
            .callers
            .authenticate(authorization)
            .map_err(|error| Fault::new(Failure::Unauthenticated, error.to_string()))?;
        let context = parts.extensions.get::<RequestContext>();
        let traceparent = context.and_then(|it| it.traceparent.as_ref()).map(|it| Traceparent(it.to_string()));
        Ok(Call { caller, traceparent, path: parts.uri.path().to_string() })
    }
}

/// A request to record that is worth reading: nothing could be done for another now. Taken before the body, so that to refuse
/// costs next to nothing.
pub struct Admitted;

impl<S: Send + Sync> FromRequestParts<S> for Admitted
where
    Rest: FromRef<S>,
{
    type Rejection = Fault;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Admitted, Fault> {
        Rest::from_ref(state).app.journal.admit(1).map_err(ClientError::from)?;
        Ok(Admitted)
    }
}

/// Ends a request that is not answered in time, and with it all the work that is done for it.
pub async fn in_time(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let deadline = Deadline::at(Instant::now() + rest.app.faces.request_timeout);
    match deadline.bound(next.run(request)).await {
        Ok(response) => response,
        Err(_) => Fault::new(Failure::Timeout, "the request took too long; ask for less, or try again shortly")
            .into_response(),
    }
}

/// How long a request may take to arrive: a little less than to be answered, so that the client hears what was slow.
pub fn arrival() -> Duration {
    let left = Deadline::current().map_or(Duration::MAX, |deadline| deadline.left());
    left.mul_f64(0.9)
}
