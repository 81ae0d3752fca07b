//! One remediation's audits, for the endpoints that answer from them: straight from the journal, so always current.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::{
    app::App,
    audit::{Entry, Position},
    error::{ClientError, Failure},
    journal::read,
    rest::fault::{Fault, Mistake},
};

/// The `correlation_id` of a path: the remediation's name.
pub struct Correlation(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Correlation {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Correlation, Fault> {
        let malformed = |detail| {
            Fault::mistaken(Failure::BadInput, vec![Mistake::parameter("correlation_id", "MALFORMED", detail)])
        };
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) if name.contains('\0') => Err(malformed("`correlation_id` holds a NUL character")),
            Ok(Path(name)) => Ok(Correlation(name)),
            Err(_) => Err(malformed("`correlation_id` is not text in UTF-8")),
        }
    }
}

/// All audits of a remediation, in the order of the journal; none where nothing of it is recorded. A cluster that is left
/// out is the one that knows the name; where several do, the request has to say which.
pub async fn entries(app: &App, remediation_id: &str, cluster_id: Option<String>) -> Result<Vec<Entry>, Fault> {
    let stream = app.stream(remediation_id.to_string(), cluster_id).await.map_err(|error| match error.failure {
        Failure::BadInput => {
            Fault::mistaken(Failure::BadInput, vec![Mistake::parameter("cluster_id", "REQUIRED", error.message)])
        }
        _ => Fault::from(error),
    })?;
    let Some(stream) = stream else { return Ok(Vec::new()) };
    let entries = read::stream(app.journal.reader(), &stream, Position(i64::MAX)).await;
    Ok(entries.map_err(ClientError::from)?)
}
