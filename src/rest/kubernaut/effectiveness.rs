//! How effective a remediation was, as its latest assessment found: Kubernaut's answer, from audits of any spelling.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    spelling::pascal,
    trail::{Correlation, entries},
};
use crate::{
    audit::{Entry, Kind, facts::Fields},
    error::Failure,
    remediation::{
        self,
        model::{Assessment, Remediation, Standing},
    },
    rest::{
        Rest,
        call::Call,
        fault::{Fault, ProblemDocument},
        params::Params,
    },
};

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(score))
}

/// How effective a remediation was.
#[derive(Debug, Serialize, ToSchema)]
pub struct EffectivenessScore {
    #[schema(example = "rr-7d1f0c9ab3e2-4be09c11")]
    pub correlation_id: String,
    /// 0 to 1; null where nothing was assessed.
    #[schema(required = true, minimum = 0, maximum = 1, example = 0.95)]
    pub score: Option<f64>,
    pub components: EffectivenessComponents,
    pub hash_comparison: HashComparison,
    /// Where the assessment stands, or why it ended: `no_data`, `in_progress`, `EffectivenessAssessed` where it ended without
    /// saying why, else `Full`, `Partial`, `SpecDrift`, `Expired`, `NoExecution`, `MetricsTimedOut`, `AlertDecayTimeout` or
    /// `Unrecoverable`.
    #[schema(example = "Full")]
    pub assessment_status: String,
    pub computed_at: DateTime<Utc>,
}

/// What each component found: health weighs 0.40, the alert 0.35, metrics 0.25, of those that were assessed.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct EffectivenessComponents {
    pub health_assessed: bool,
    #[schema(required = true)]
    pub health_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub health_details: Option<String>,
    pub alert_assessed: bool,
    #[schema(required = true)]
    pub alert_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub alert_details: Option<String>,
    pub metrics_assessed: bool,
    #[schema(required = true)]
    pub metrics_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub metrics_details: Option<String>,
}

/// The target's spec before and after, by its hash. It has no part in the score.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct HashComparison {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pre_remediation_spec_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub post_remediation_spec_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub hash_match: Option<bool>,
}

/// How effective a remediation was
///
/// By its latest assessment, computed from the journal, so that it is always current. An assessment that tells a score of the
/// whole has that one.
#[utoipa::path(get, path = "/api/v1/effectiveness/{correlation_id}", operation_id = "getEffectivenessScore", tag = "kubernaut",
    params(
        ("correlation_id" = String, Path, description = "The remediation: the name of its RemediationRequest."),
        ("cluster_id" = Option<String>, Query, description = "The cluster; may be left out where only one knows the name."),
    ),
    responses(
        (status = 200, description = "The score, and what it is made of.", body = EffectivenessScore),
        (status = 404, description = "No assessment of the remediation is recorded.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn score(
    State(rest): State<Rest>,
    call: Call,
    Correlation(correlation_id): Correlation,
    mut params: Params,
) -> Result<Json<EffectivenessScore>, Fault> {
    call.reads()?;
    let cluster_id = params.text("cluster_id");
    params.finish()?;
    let entries = entries(&rest.app, &correlation_id, cluster_id).await?;
    let score = assess(&correlation_id, &entries, Utc::now());
    score.map(Json).ok_or_else(|| {
        Fault::new(Failure::NotFound, format!("no effectiveness assessment of `{correlation_id}` is recorded"))
    })
}

/// What the latest assessment of a remediation found; `None` where none is recorded.
fn assess(correlation_id: &str, entries: &[Entry], now: DateTime<Utc>) -> Option<EffectivenessScore> {
    let Remediation { views, assessment, .. } = remediation::fold(entries, None)?;
    let found = assessment?;
    let row = views.iter().find(|row| row.kind == Kind::Effectiveness && row.key == found.id)?;
    let fields = Fields::Map(&row.fields);
    Some(EffectivenessScore {
        correlation_id: correlation_id.to_string(),
        score: found.score,
        assessment_status: status(&found),
        components: EffectivenessComponents {
            health_assessed: found.health.assessed,
            health_score: found.health.score,
            health_details: found.health.details,
            alert_assessed: found.alert.assessed,
            alert_score: found.alert.score,
            alert_details: found.alert.details,
            metrics_assessed: found.metrics.assessed,
            metrics_score: found.metrics.score,
            metrics_details: found.metrics.details,
        },
        hash_comparison: HashComparison {
            pre_remediation_spec_hash: fields.owned("preRemediationSpecHash"),
            post_remediation_spec_hash: fields.owned("postRemediationSpecHash"),
            hash_match: fields.flag("hashMatch"),
        },
        computed_at: now,
    })
}

fn status(found: &Assessment) -> String {
    let any = found.health.assessed || found.alert.assessed || found.metrics.assessed;
    match (found.reason, found.standing) {
        (Some(reason), _) => pascal(reason),
        (None, Standing::Planned) => "no_data".to_string(),
        (None, Standing::Making) => "in_progress".to_string(),
        (None, Standing::Expired) => "Expired".to_string(),
        (None, Standing::Wanting) if !any => "no_data".to_string(),
        (None, Standing::Made | Standing::Wanting) => "EffectivenessAssessed".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::remediation::tests::{
        at,
        kubernaut::{event, sealed},
    };

    fn assessed(submissions: &[Value]) -> Option<EffectivenessScore> {
        assess("rr-1", &sealed(submissions), at("2026-06-01T00:00:00Z"))
    }

    /// An audit of an assessment, some seconds after the hour.
    fn told(second: u32, fields: Value) -> Value {
        let mut audit = json!({"kind": "EFFECTIVENESS", "remediationId": "rr-1", "assessmentId": "ea-1",
            "occurredAt": format!("2026-05-04T10:00:{second:02}Z"), "status": "assessing"});
        audit.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        audit
    }

    fn component(second: u32, name: &str, score: f64) -> Value {
        told(second, json!({"component": name, "assessed": true, "score": score, "assessment": format!("{name} seen")}))
    }

    fn ended(second: u32, reason: &str) -> Value {
        told(second, json!({"status": "insufficient_data", "reason": reason, "completedAt": "2026-05-04T10:01:00Z"}))
    }

    #[test]
    fn the_score_is_the_mean_of_what_was_assessed_by_weight() {
        let parts = [component(1, "health", 1.0), component(2, "alert", 1.0), component(3, "metrics", 0.8)];
        let whole = assessed(&parts).unwrap();
        assert_eq!(whole.score, Some(0.95));
        assert_eq!(whole.assessment_status, "in_progress");
        assert_eq!(whole.components.alert_details.as_deref(), Some("alert seen"));

        let some = assessed(&[component(1, "health", 1.0), component(2, "metrics", 0.0)]).unwrap();
        assert_eq!(some.score, Some(0.615385));
        let unassessed = told(2, json!({"component": "alert", "assessed": false, "score": 0.0}));
        assert_eq!(assessed(&[component(1, "health", 1.0), unassessed]).unwrap().score, Some(1.0));
    }

    /// Score and effectiveness as the fold says them, which is what GraphQL and the history show.
    fn folded(submissions: &[Value]) -> (Option<f64>, Option<bool>) {
        let summary = remediation::fold(&sealed(submissions), None).unwrap().summary;
        (summary.effectiveness, summary.effective)
    }

    /// The end as Kubernaut tells it: without a score of the whole.
    fn made(second: i64, reason: &str) -> Value {
        let data = json!({"ea_name": "ea-1", "component": "completed", "reason": reason});
        event(second, "effectiveness.assessment.completed", "success", data)
    }

    #[test]
    fn the_reason_that_is_told_last_counts_and_a_drifted_spec_leaves_no_score() {
        let health = component(1, "health", 1.0);
        let found = |submissions: &[Value]| {
            let found = assessed(submissions).unwrap();
            assert_eq!(found.score, folded(submissions).0);
            (found.score, found.assessment_status, folded(submissions).1)
        };
        let drifted = [health.clone(), made(2, "Full"), made(3, "SpecDrift")];
        assert_eq!(found(&drifted), (Some(0.0), "SpecDrift".to_string(), Some(false)));
        let settled = [health, made(2, "SpecDrift"), made(3, "Full")];
        assert_eq!(found(&settled), (Some(1.0), "Full".to_string(), Some(true)));
    }

    #[test]
    fn of_a_component_that_could_not_be_assessed_in_the_end_nothing_is_left() {
        let unassessed = told(3, json!({"component": "health", "assessed": false, "assessment": "the pods are gone"}));
        let audits = [component(1, "health", 1.0), component(2, "alert", 0.5), unassessed, made(4, "Partial")];
        let found = assessed(&audits).unwrap();
        assert_eq!((found.score, folded(&audits)), (Some(0.5), (Some(0.5), Some(true))));
        assert_eq!((found.components.health_assessed, found.components.health_score), (false, None));
        assert_eq!(found.components.health_details.as_deref(), Some("the pods are gone"));

        // What is told of it without a score leaves the score.
        let again = told(3, json!({"component": "health", "assessed": true}));
        assert_eq!(assessed(&[component(1, "health", 0.75), again]).unwrap().score, Some(0.75));
    }

    #[test]
    fn the_latest_assessment_counts_and_what_it_says_of_the_whole_wins() {
        let again = told(
            30,
            json!({"assessmentId": "ea-2", "status": "assessed", "actionType": "restart_pod",
            "traditionalScore": 0.88, "confidence": 0.8, "completedAt": "2026-05-04T10:00:30Z"}),
        );
        let found = assessed(&[again, component(1, "health", 0.0), ended(2, "full")]).unwrap();
        assert_eq!((found.score, found.assessment_status.as_str()), (Some(0.88), "EffectivenessAssessed"));
        assert!(!found.components.health_assessed);
    }

    #[test]
    fn a_plan_is_no_data_and_without_any_audit_there_is_no_answer() {
        let planned = assessed(&[told(1, json!({"status": "scheduled"}))]).unwrap();
        assert_eq!((planned.score, planned.assessment_status.as_str()), (None, "no_data"));
        assert!(assessed(&[]).is_none());
    }
}
