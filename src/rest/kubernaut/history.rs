//! What happened to a target before, for the prompt of an agent: Kubernaut's answer in two tiers, from our history of a
//! target, which stays when the spec moves on.

use std::collections::{BTreeMap, HashMap};

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::spelling::{camel, outcome, pascal, path};
use crate::{
    app::App,
    audit::{Kind, StreamId, facts::Fields, go_duration},
    error::ClientError,
    journal::read,
    projection::{
        Projection, service_views,
        target_history::{OWN_MAX, Question, own},
    },
    remediation::{
        history::{HashMatch, TargetHistory, signal},
        model::{Summary, Target, ViewRow},
    },
    rest::{Rest, call::Call, fault::Fault, params::Params},
};

const TIER_1_DEFAULT: &str = "24h";
const TIER_2_DEFAULT: &str = "2160h";
/// The longest window.
const DAYS_MAX: i64 = 3_660;
/// What ended within a window is taken to have begun no longer before it than this.
const BEGUN_BEFORE: TimeDelta = TimeDelta::days(7);

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(context))
}

/// What happened to a target before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemediationHistoryContext {
    /// The target, as it was asked for.
    #[schema(example = "payments/Deployment/checkout")]
    pub target_resource: String,
    pub current_spec_hash: String,
    /// Whether something that had been dealt with has come back: the spec is again what it was before a remediation, or the
    /// signal came again on the same target after a success.
    pub regression_detected: bool,
    pub tier1: Tier1,
    pub tier2: Tier2,
}

/// What ended lately, in detail.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tier1 {
    /// The window, as it was asked for.
    #[schema(example = "24h")]
    pub window: String,
    /// The first to end comes first.
    pub chain: Vec<RemediationHistoryEntry>,
}

/// What ended before that, in short.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tier2 {
    /// The window, as it was asked for; it ends where that of the first tier begins.
    #[schema(example = "2160h")]
    pub window: String,
    /// The first to end comes first.
    pub chain: Vec<RemediationHistorySummary>,
}

/// An earlier remediation of the target, with what was measured afterwards.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemediationHistoryEntry {
    #[serde(flatten)]
    pub summary: RemediationHistorySummary,
    /// The hash of the target's spec before anything was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pre_remediation_spec_hash: Option<String>,
    /// The hash of the target's spec afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub post_remediation_spec_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub health_checks: Option<RemediationHealthChecks>,
    /// Metrics before and after, such as `cpuBefore`, `cpuAfter` and `latencyP95AfterMs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub metric_deltas: Option<BTreeMap<String, f64>>,
    /// What else the remediation did to its surroundings, in words.
    pub side_effects: Vec<String>,
    /// When the assessment was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub assessed_at: Option<DateTime<Utc>>,
}

/// An earlier remediation of the target.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemediationHistorySummary {
    /// The remediation: the name of its RemediationRequest.
    #[serde(rename = "remediationUID")]
    pub remediation_uid: String,
    /// When it ended; of one whose end nobody told, when it was assessed.
    pub completed_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub signal_fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "alert")]
    pub signal_type: Option<&'static str>,
    /// What was chosen or done last; null where nothing was, as when people took over.
    #[schema(required = true)]
    pub action_type: Option<String>,
    /// What came of it, in Kubernaut's words for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Remediated")]
    pub outcome: Option<&'static str>,
    /// The latest assessment's score, 0 to 1.
    #[schema(required = true)]
    pub effectiveness_score: Option<f64>,
    /// Whether the alert stopped.
    #[schema(required = true)]
    pub signal_resolved: Option<bool>,
    pub hash_match: HistoryHashMatch,
    /// Why the assessment ended, such as `Full`.
    #[schema(required = true)]
    pub assessment_reason: Option<String>,
}

/// How the target's spec stands to that of a remediation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum HistoryHashMatch {
    /// It is what it was before the remediation; also where that left it as it was.
    PreRemediation,
    /// It is what the remediation left.
    PostRemediation,
    /// Neither, or one of the hashes is not known.
    None,
}

/// How healthy the target was found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemediationHealthChecks {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pod_running: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub readiness_pass: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub restart_delta: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub crash_loops: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub oom_killed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pending_count: Option<i64>,
}

/// What happened to a target before
///
/// Its remediations that have ended, whatever has become of its spec since: those of the first window in detail, older ones in
/// short, of the latest 500. Whoever has recorded an audit finds it here in the next request.
#[utoipa::path(get, path = "/api/v1/remediation-history/context", operation_id = "getRemediationHistoryContext", tag = "kubernaut",
    params(
        ("targetKind" = String, Query, min_length = 1, description = "The target's kind, such as `Deployment`."),
        ("targetName" = String, Query, min_length = 1, description = "The target's name."),
        ("targetNamespace" = String, Query, min_length = 1, description = "The target's namespace."),
        ("currentSpecHash" = String, Query, min_length = 1, description = "The hash of its spec as it is now."),
        ("tier1Window" = Option<String>, Query, pattern = r"^([0-9]+d|([0-9]+([.][0-9]+)?(h|m|s|ms|us|ns))+)$", description = "How far back the first tier looks: a duration as in Go, such as `24h`, or days, such as `7d`; `24h` when left out."),
        ("tier2Window" = Option<String>, Query, pattern = r"^([0-9]+d|([0-9]+([.][0-9]+)?(h|m|s|ms|us|ns))+)$", description = "How far back the second tier looks, from now on; more than the first. `2160h` when left out, 3,660 days at most."),
        ("clusterId" = Option<String>, Query, description = "The cluster; all clusters when left out."),
    ),
    responses((status = 200, description = "What happened before, in two tiers.", body = RemediationHistoryContext)))]
async fn context(
    State(rest): State<Rest>,
    call: Call,
    mut params: Params,
) -> Result<Json<RemediationHistoryContext>, Fault> {
    call.reads()?;
    let target = Target {
        kind: params.required("targetKind"),
        name: params.required("targetName"),
        namespace: Some(params.required("targetNamespace")),
    };
    let current_spec_hash = params.required("currentSpecHash");
    let tier1 = Window::take(&mut params, "tier1Window", TIER_1_DEFAULT);
    let tier2 = Window::take(&mut params, "tier2Window", TIER_2_DEFAULT);
    let cluster_id = params.text("clusterId");
    if let (Some(first), Some(second)) = (&tier1, &tier2)
        && second.length <= first.length
    {
        params.mistake("tier2Window", "OUT_OF_RANGE", "`tier2Window` has to be longer than `tier1Window`".to_string());
    }
    params.finish()?;
    let [tier1, tier2] = [tier1, tier2].map(|window| window.expect("a window that cannot be read is a mistake"));

    let app = &rest.app;
    let head = read::head(app.journal.reader()).await?.last;
    app.projected(&[Projection::Remediations], head).await?;
    let now = Utc::now();
    let question = Question {
        target,
        cluster_id,
        current_spec_hash: Some(current_spec_hash),
        from: now - tier2.length - BEGUN_BEFORE,
        to: now,
        first: usize::try_from(OWN_MAX).unwrap_or(usize::MAX),
        similar: Vec::new(),
        at: None,
    };
    let found = own(app.journal.reader(), &question).await.map_err(ClientError::from)?;
    let assessments = assessments(app, &found).await?;
    Ok(Json(tiers(question, found, &assessments, (tier1, tier2), now)))
}

/// How far back a tier looks.
struct Window {
    text: String,
    length: TimeDelta,
}

impl Window {
    /// Takes a parameter; `None` where it is a mistake.
    fn take(params: &mut Params, name: &'static str, default: &str) -> Option<Window> {
        let text = match params.text(name) {
            Some(text) => text,
            None => default.to_string(),
        };
        let length = length(&text);
        if length.is_none() {
            let wanted = "a duration above zero as Go writes it, such as 24h, or days, such as 7d; 3660d at most";
            params.mistake(name, "MALFORMED", format!("`{name}` has to be {wanted}"));
        }
        Some(Window { text, length: length? })
    }
}

fn length(text: &str) -> Option<TimeDelta> {
    let days = text.strip_suffix('d').filter(|days| days.bytes().all(|byte| byte.is_ascii_digit()));
    let length = match days {
        Some(days) => TimeDelta::try_days(days.parse().ok()?)?,
        // Beyond what a number of milliseconds holds it is the largest one, which is too long.
        None => TimeDelta::try_milliseconds(go_duration::parse(text)? as i64)?,
    };
    (length > TimeDelta::zero() && length <= TimeDelta::days(DAYS_MAX)).then_some(length)
}

/// The latest assessment of each remediation, as its service's view has it.
async fn assessments(app: &App, found: &TargetHistory) -> Result<HashMap<StreamId, ViewRow>, Fault> {
    let streams: Vec<StreamId> = found.entries.iter().map(|entry| entry.summary.stream.clone()).collect();
    let rows = service_views::of_streams(app.journal.reader(), Kind::Effectiveness, &streams).await?;
    // The latest comes last, and stays.
    Ok(rows.into_iter().map(|row| (row.stream.clone(), row)).collect())
}

fn tiers(
    question: Question,
    found: TargetHistory,
    assessments: &HashMap<StreamId, ViewRow>,
    (tier1, tier2): (Window, Window),
    now: DateTime<Utc>,
) -> RemediationHistoryContext {
    let mut entries: Vec<RemediationHistoryEntry> = found
        .entries
        .iter()
        .filter_map(|entry| tell(&entry.summary, entry.hash_match, assessments.get(&entry.summary.stream)))
        .filter(|entry| entry.summary.completed_at >= now - tier2.length)
        .collect();
    entries.sort_by(|a, b| {
        let place = |entry: &RemediationHistoryEntry| entry.summary.completed_at;
        place(a).cmp(&place(b)).then_with(|| a.summary.remediation_uid.cmp(&b.summary.remediation_uid))
    });
    let undone = entries.iter().any(|entry| entry.summary.hash_match == HistoryHashMatch::PreRemediation);
    let (lately, before): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.summary.completed_at >= now - tier1.length);
    RemediationHistoryContext {
        target_resource: path(&question.target),
        current_spec_hash: question.current_spec_hash.unwrap_or_default(),
        regression_detected: undone || found.regression.is_some(),
        tier1: Tier1 { window: tier1.text, chain: lately },
        tier2: Tier2 { window: tier2.text, chain: before.into_iter().map(|entry| entry.summary).collect() },
    }
}

/// A remediation that has ended, or has been assessed: then its end was only not told.
fn tell(summary: &Summary, hash_match: HashMatch, assessment: Option<&ViewRow>) -> Option<RemediationHistoryEntry> {
    let fields = assessment.map(|row| Fields::Map(&row.fields));
    let of = |name: &str| fields.and_then(|fields| fields.object(name));
    let text = |name: &str| fields.and_then(|fields| fields.owned(name));
    let assessed_at = fields.and_then(|fields| fields.time("completedAt"));
    let health = of("healthChecks").map(|checks| RemediationHealthChecks {
        pod_running: checks.flag("podRunning"),
        readiness_pass: checks.flag("readinessPass"),
        restart_delta: checks.count("restartDelta"),
        crash_loops: checks.flag("crashLoops"),
        oom_killed: checks.flag("oomKilled"),
        pending_count: checks.count("pendingCount"),
    });
    let metrics = of("metricDeltas")
        .map(|deltas| deltas.members().filter_map(|(name, value)| Some((camel(name), value.as_f64()?))).collect());
    Some(RemediationHistoryEntry {
        summary: RemediationHistorySummary {
            remediation_uid: summary.stream.remediation_id.clone(),
            completed_at: summary.completed_at.or(assessed_at)?,
            signal_fingerprint: signal(summary, "fingerprint").map(str::to_string),
            // Kubernaut has no other.
            signal_type: summary.signal.as_ref().map(|_| "alert"),
            action_type: summary.action_types.last().cloned(),
            outcome: summary.outcome.map(outcome),
            effectiveness_score: summary.effectiveness,
            signal_resolved: of("alertResolution").and_then(|alert| alert.flag("alertResolved")),
            hash_match: match hash_match {
                HashMatch::PreRemediation => HistoryHashMatch::PreRemediation,
                HashMatch::PostRemediation => HistoryHashMatch::PostRemediation,
                HashMatch::None => HistoryHashMatch::None,
            },
            assessment_reason: text("reason").map(|reason| pascal(&reason)),
        },
        pre_remediation_spec_hash: summary.spec_hash_before.clone(),
        post_remediation_spec_hash: summary.spec_hash_after.clone(),
        health_checks: health,
        metric_deltas: metrics,
        side_effects: text("sideEffectsDescription").into_iter().collect(),
        assessed_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_read_as_go_writes_it_and_in_days() {
        let hours = ["24h", "1h30m", "7d", "2160h"].map(|text| length(text).unwrap().num_minutes());
        assert_eq!(hours, [24 * 60, 90, 7 * 24 * 60, 2160 * 60]);
        for wrong in ["", "0", "0d", "d", "-1h", "1.5d", "7 d", "3661d", "999999999999999999d", "1e9h", "99999999999h"]
        {
            assert_eq!(length(wrong), None, "{wrong}");
        }
    }
}
