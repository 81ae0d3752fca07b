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
    audit::{
        Entry, Kind,
        facts::{Fields, Part, effectiveness},
    },
    error::Failure,
    rest::{
        Rest,
        call::Call,
        fault::{Fault, ProblemDocument},
        params::Params,
    },
};

/// The reason that leaves nothing of a score: somebody else has changed the target, so what was seen is not the
/// remediation's doing.
const SPEC_DRIFT: &str = "spec_drift";

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
    let mut told: Vec<&Entry> = entries.iter().filter(|entry| entry.event.kind == Kind::Effectiveness).collect();
    told.sort_by_key(|entry| (entry.event.occurred_at, entry.position));
    let told: Vec<Fields<'_>> = told.into_iter().map(|entry| Fields(entry.event.fields())).collect();
    let latest = told.last()?.text("assessmentId");
    let mut found = Assessment::default();
    told.into_iter().filter(|fields| fields.text("assessmentId") == latest).for_each(|fields| found.hear(fields));
    Some(EffectivenessScore {
        correlation_id: correlation_id.to_string(),
        score: found.score(),
        assessment_status: found.status(),
        components: found.components,
        hash_comparison: found.hashes,
        computed_at: now,
    })
}

/// One assessment, as far as it is told; what is told later wins.
#[derive(Default)]
struct Assessment<'e> {
    components: EffectivenessComponents,
    hashes: HashComparison,
    /// The score of the whole, where somebody told one.
    score: Option<f64>,
    /// The last status, and why it ended.
    status: Option<&'e str>,
    reason: Option<&'e str>,
}

impl<'e> Assessment<'e> {
    fn hear(&mut self, fields: Fields<'e>) {
        let found = &mut self.components;
        let component = match fields.text("component") {
            Some("health") => Some((&mut found.health_assessed, &mut found.health_score, &mut found.health_details)),
            Some("alert") => Some((&mut found.alert_assessed, &mut found.alert_score, &mut found.alert_details)),
            Some("metrics") => {
                Some((&mut found.metrics_assessed, &mut found.metrics_score, &mut found.metrics_details))
            }
            _ => None,
        };
        if let Some((assessed, score, details)) = component {
            *score = fields.number("score").or(*score);
            *assessed |= fields.flag("assessed").unwrap_or(score.is_some());
            *details = fields.owned("assessment").or(details.take());
        }
        let hashes = &mut self.hashes;
        let (before, after) = (&mut hashes.pre_remediation_spec_hash, &mut hashes.post_remediation_spec_hash);
        *before = fields.owned("preRemediationSpecHash").or(before.take());
        *after = fields.owned("postRemediationSpecHash").or(after.take());
        hashes.hash_match = fields.flag("hashMatch").or(hashes.hash_match);
        self.score = fields.number("traditionalScore").or(self.score);
        // Components may be told in the moment in which the assessment ends, in any order.
        let begun = |status: &&str| matches!(*status, "scheduled" | "assessing");
        self.status = self.status.filter(|status| !begun(status)).or(fields.text("status")).or(self.status);
        // What has drifted stays so, whatever an assessment made before says afterwards.
        if self.reason != Some(SPEC_DRIFT) {
            self.reason = fields.text("reason").or(self.reason);
        }
    }

    fn score(&self) -> Option<f64> {
        let drifted = self.reason == Some(SPEC_DRIFT);
        let found = &self.components;
        let parts = [
            (Part::Health, found.health_score.filter(|_| found.health_assessed)),
            (Part::Alert, found.alert_score.filter(|_| found.alert_assessed)),
            (Part::Metrics, found.metrics_score.filter(|_| found.metrics_assessed)),
        ];
        let scored = parts.into_iter().filter_map(|(part, score)| Some((part, score?)));
        self.score.filter(|_| !drifted).or_else(|| effectiveness::score(scored, drifted))
    }

    fn status(&self) -> String {
        let found = &self.components;
        let begun = found.health_assessed || found.alert_assessed || found.metrics_assessed;
        match (self.reason, self.status) {
            (Some(reason), _) => pascal(reason),
            (None, Some("expired")) => "Expired".to_string(),
            (None, Some("assessed")) => "EffectivenessAssessed".to_string(),
            (None, Some("assessing")) => "in_progress".to_string(),
            (None, _) if begun => "in_progress".to_string(),
            (None, _) => "no_data".to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::remediation::tests::{at, recorded};

    fn assessed(submissions: &[Value]) -> Option<EffectivenessScore> {
        assess("rr-1", &recorded(submissions), at("2026-06-01T00:00:00Z"))
    }

    /// An audit of an assessment, some seconds after the hour.
    fn told(second: u32, fields: Value) -> Value {
        let mut audit = json!({"kind": "EFFECTIVENESS", "assessmentId": "ea-1",
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

    #[test]
    fn a_drifted_spec_leaves_no_score_whatever_is_told_afterwards() {
        let found = assessed(&[component(1, "health", 1.0), ended(2, "spec_drift"), ended(3, "full")]).unwrap();
        assert_eq!((found.score, found.assessment_status.as_str()), (Some(0.0), "SpecDrift"));
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
