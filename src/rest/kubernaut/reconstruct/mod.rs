//! A RemediationRequest, put together again from the audits of its remediation: the resource itself is deleted a day after
//! its end.

mod check;
mod request;
mod spec;
mod status;

#[cfg(test)]
mod tests;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::trail::{Correlation, entries};
use crate::{
    error::{ClientError, Failure},
    rest::{
        Rest,
        call::Call,
        fault::{Fault, ProblemDocument},
        params::Params,
    },
};

use check::Validation;
use request::TooLittle;

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(reconstruct))
}

/// A RemediationRequest that was put together again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reconstruction {
    /// The resource as YAML.
    #[schema(example = "apiVersion: remediation.kubernaut.ai/v1alpha1\nkind: RemediationRequest\n")]
    pub remediation_request_yaml: String,
    pub validation: Validation,
    pub reconstructed_at: DateTime<Utc>,
    #[schema(example = "rr-7d1f0c9ab3e2-4be09c11")]
    pub correlation_id: String,
    pub cluster_id: String,
}

/// Put a RemediationRequest together again
///
/// From all audits of its remediation, whichever way they came. What nobody has told is named in `validation.warnings`, each
/// with the event type that would tell it.
#[utoipa::path(post, path = "/api/v1/audit/remediation-requests/{correlation_id}/reconstruct", operation_id = "reconstructRemediationRequest", tag = "kubernaut",
    params(
        ("correlation_id" = String, Path, description = "The remediation: the name of its RemediationRequest."),
        ("cluster_id" = Option<String>, Query, description = "The cluster; may be left out where only one knows the name."),
    ),
    responses(
        (status = 200, description = "The resource, and how complete it is.", body = Reconstruction),
        (status = 400, description = "Too little is recorded of the remediation, or the request has mistakes.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "Nothing of the remediation is recorded.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn reconstruct(
    State(rest): State<Rest>,
    call: Call,
    Correlation(correlation_id): Correlation,
    mut params: Params,
) -> Result<Json<Reconstruction>, Fault> {
    call.reads()?;
    let cluster_id = params.text("cluster_id");
    params.finish()?;
    let entries = entries(&rest.app, &correlation_id, cluster_id).await?;
    let Some(first) = entries.first() else {
        return Err(Fault::new(Failure::NotFound, format!("nothing of `{correlation_id}` is recorded")));
    };
    let cluster_id = first.event.stream.cluster_id.clone();
    let now = Utc::now();
    let (request, validation) = request::of(&entries, now).map_err(refused)?;
    let yaml = serde_saphyr::to_string(&request).map_err(|error| ClientError::hidden(&error))?;
    Ok(Json(Reconstruction {
        remediation_request_yaml: yaml,
        validation,
        reconstructed_at: now,
        correlation_id,
        cluster_id,
    }))
}

fn refused(too_little: TooLittle) -> Fault {
    match too_little {
        TooLittle::Genesis => Fault::new(
            Failure::IncompleteTrail,
            "no audit tells how it began: `gateway.signal.received` or `apifrontend.rr.created` would, or any audits that tell \
             a signal and a target",
        ),
        TooLittle::Incomplete(validation) => {
            let missing = validation.errors.into_iter().chain(validation.warnings).collect::<Vec<_>>();
            let detail =
                format!("the audits tell {} % of what is needed: {}", validation.completeness, missing.join("; "));
            Fault::new(Failure::IncompleteTrail, detail)
                .with("completeness", validation.completeness)
                .with("missing", missing)
        }
    }
}
