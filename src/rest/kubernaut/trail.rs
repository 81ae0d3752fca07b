//! One remediation's audits, for the endpoints that answer from them: straight from the journal, so always current.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::{
    app::App,
    audit::Entry,
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

/// Most audits of a remediation that an answer is made from, and most bytes of their payloads.
const ENTRIES_MAX: usize = 5_000;
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many are read at once; the largest of them together are less than `BYTES_MAX`.
const PAGE: i64 = 200;

/// All audits of a remediation, in the order of the journal; none where nothing of it is recorded. A cluster that is left
/// out is the one that knows the name; where several do, the request has to say which. A trail beyond the bounds is refused
/// as too complex.
pub async fn entries(app: &App, remediation_id: &str, cluster_id: Option<String>) -> Result<Vec<Entry>, Fault> {
    let stream = app.stream(remediation_id.to_string(), cluster_id).await.map_err(|error| match error.failure {
        Failure::BadInput => {
            Fault::mistaken(Failure::BadInput, vec![Mistake::parameter("cluster_id", "REQUIRED", error.message)])
        }
        _ => Fault::from(error),
    })?;
    let Some(stream) = stream else { return Ok(Vec::new()) };
    let mut entries: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    loop {
        let after = entries.last().map(|entry| (entry.version, entry.position));
        let page = read::stream_after(app.journal.reader(), &stream, after, PAGE).await.map_err(ClientError::from)?;
        let last = (page.len() as i64) < PAGE;
        bytes += page.iter().map(|entry| entry.event.payload.text().len()).sum::<usize>();
        entries.extend(page);
        if bytes > BYTES_MAX || entries.len() > ENTRIES_MAX {
            return Err(too_long(remediation_id));
        }
        if last {
            return Ok(entries);
        }
    }
}

fn too_long(remediation_id: &str) -> Fault {
    let detail = format!(
        "`{remediation_id}` has more than {ENTRIES_MAX} audits or {} MiB of them, which is too much to answer from at once; \
         `GET /api/v1/audit/export` gives them all",
        BYTES_MAX / (1024 * 1024)
    );
    Fault::new(Failure::TooComplex, detail)
}
