//! Legal hold, which is not built yet.

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::Failure,
    rest::{
        Rest,
        call::Call,
        fault::{Fault, ProblemDocument},
    },
};

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(place, list)).routes(routes!(release))
}

/// Legal holds are not built yet
///
/// Nothing is ever deleted by now, so that everything is held.
#[utoipa::path(post, path = "/api/v1/audit/legal-hold", tag = "kubernaut",
    responses((status = 501, description = "Not yet.", body = ProblemDocument, content_type = "application/problem+json")))]
async fn place(_: Call) -> Fault {
    not_yet()
}

/// Legal holds are not built yet
#[utoipa::path(get, path = "/api/v1/audit/legal-hold", tag = "kubernaut",
    responses((status = 501, description = "Not yet.", body = ProblemDocument, content_type = "application/problem+json")))]
async fn list(_: Call) -> Fault {
    not_yet()
}

/// Legal holds are not built yet
#[utoipa::path(delete, path = "/api/v1/audit/legal-hold/{correlation_id}", tag = "kubernaut",
    params(("correlation_id" = String, Path, description = "The remediation.")),
    responses((status = 501, description = "Not yet.", body = ProblemDocument, content_type = "application/problem+json")))]
async fn release(_: Call) -> Fault {
    not_yet()
}

fn not_yet() -> Fault {
    let detail =
        "legal holds are not built yet; nothing is ever deleted from the journal by now, so that everything is held";
    Fault::new(Failure::NotYet, detail)
}
