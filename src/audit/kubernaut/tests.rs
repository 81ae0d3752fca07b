//! Kubernaut's events by example.

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::audit::{
    Context, Kind, Problem, Submission,
    kind::{ActorType, Outcome},
    limits::{DEPTH_MAX, PAYLOAD_BYTES_MAX},
};

/// The sample of Kubernaut's own documentation.
fn received() -> Value {
    json!({
        "version": "1.0", "event_type": "gateway.signal.received", "event_timestamp": "2026-05-04T10:00:00.125Z",
        "event_category": "gateway", "event_action": "received", "event_outcome": "success",
        "actor_type": "service", "actor_id": "gateway", "resource_type": "Signal", "resource_id": "7d1f0c9ab3e2",
        "correlation_id": "rr-7d1f0c9ab3e2-4be09c11", "namespace": "payments", "cluster_id": "eu-prod-1",
        "severity": "critical",
        "event_data": {
            "event_type": "gateway.signal.received", "signal_type": "alert", "signal_name": "KubePodCrashLooping",
            "namespace": "payments", "fingerprint": "7d1f", "severity": "critical", "resource_kind": "Deployment",
            "resource_name": "checkout", "deduplication_status": "new", "occurrence_count": 1,
            "signal_annotations": {"summary": "checkout pods restart in a loop"}
        }
    })
}

/// A small envelope of this type.
pub fn sent(event_type: &str, event_data: Value) -> Value {
    json!({"event_type": event_type, "event_timestamp": "2026-05-04T10:00:00Z", "event_category": "orchestration",
        "event_action": "done", "event_outcome": "success", "correlation_id": "rr-1", "event_data": event_data})
}

fn check(envelope: &Value) -> Result<Event, Vec<Problem>> {
    let now = "2026-05-04T12:00:00Z".parse().unwrap();
    let context = Context { cluster_id: "default", now, fresh_id: Uuid::from_u128(7) };
    Submission::of_kubernaut(envelope.as_object().unwrap().clone()).check(context)
}

fn event(envelope: &Value) -> Event {
    check(envelope).unwrap_or_else(|problems| panic!("{envelope}: {problems:?}"))
}

/// What an event of this type tells in our fields.
fn told(event_type: &str, event_data: Value) -> Value {
    Value::Object(event(&sent(event_type, event_data)).fields().to_map())
}

fn wrong(envelope: &Value) -> Vec<String> {
    let problems = check(envelope).expect_err("should be refused");
    problems.into_iter().map(|problem| format!("{} {}", problem.path.join("."), problem.code)).collect()
}

fn with(mut envelope: Value, name: &str, value: Value) -> Value {
    envelope[name] = value;
    envelope
}

fn without(mut envelope: Value, name: &str) -> Value {
    envelope.as_object_mut().unwrap().remove(name).unwrap();
    envelope
}

#[test]
fn what_was_sent_is_kept_in_its_own_words_and_comes_back_whole() {
    let event = event(&received());
    assert_eq!((event.kind, event.category.as_str()), (Kind::Other, "gateway"));
    assert_eq!((event.outcome, event.actor_type), (Some(Outcome::Success), Some(ActorType::Service)));
    assert_eq!(event.stream.to_string(), "eu-prod-1/rr-7d1f0c9ab3e2-4be09c11");
    assert!(wrote(&event.payload));
    let kept = Value::Object(event.payload.fields().to_map());
    assert_eq!(kept["kubernaut"]["event_data"], received()["event_data"]);
    assert_eq!(Value::Object(envelope(&event).unwrap()), received());
}

#[test]
fn nothing_is_lost_and_nothing_is_made_up() {
    let strange = json!({"event_type": "new.thing.happened", "event_timestamp": "2026-05-04T10:00:00Z",
        "event_category": "novel", "event_action": "happened", "event_outcome": "pending", "correlation_id": "rr-1",
        "cluster_id": "c", "parent_event_id": "11a75132-a0aa-5773-a126-d28f043acc25", "parent_event_date": "2026-05-04",
        "actor_ip": "10.0.0.1", "duration_ms": 12, "error_code": "E", "error_message": "", "retention_days": 30,
        "is_sensitive": true, "resource_name": "x", "colour": {"deep": [1, null, "ä"]},
        "event_data": {"a": null, "b": [], "c": {"d": 1.5}}});
    let event = event(&strange);
    assert_eq!(event.kind, Kind::Other);
    assert_eq!((event.actor_type, event.actor_id.as_deref()), (None, None));
    assert_eq!(Value::Object(envelope(&event).unwrap()), strange);
    assert_eq!(Value::Object(event.fields().to_map()), json!({"category": "novel", "payload": strange["event_data"]}));

    // Spellings differ between services.
    for (spelling, actor) in [("Service", Some(ActorType::Service)), ("robot", None)] {
        let spelled = with(received(), "actor_type", json!(spelling));
        assert_eq!(check(&spelled).unwrap().actor_type, actor);
        assert_eq!(Value::Object(envelope(&check(&spelled).unwrap()).unwrap()), spelled);
    }

    // What a client means by an empty text in a column is that there is nothing.
    let bare = json!({"event_type": "t", "event_timestamp": "2026-05-04T10:00:00Z", "event_category": "c",
        "event_action": "a", "event_outcome": "success", "correlation_id": "rr-1", "event_data": {}});
    let mut empty = bare.clone();
    for name in ["actor_id", "actor_type", "cluster_id", "parent_event_id"] {
        empty[name] = json!("");
    }
    assert_eq!(check(&empty).unwrap().event_id, check(&bare).unwrap().event_id);
}

#[test]
fn an_actor_type_of_their_own_stays_as_it_was_sent() {
    for (sent, known) in
        [("service", Some(ActorType::Service)), ("Service", Some(ActorType::Service)), ("authenticated-service", None)]
    {
        let event = event(&with(received(), "actor_type", json!(sent)));
        assert_eq!(event.actor_type, known, "{sent}");
        assert_eq!(envelope(&event).unwrap()["actor_type"], sent);
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_words_of_the_envelope() {
    insta::assert_snapshot!(wrong(&json!({})).join("\n"), @r"
    event_type REQUIRED
    event_timestamp REQUIRED
    event_category REQUIRED
    event_action REQUIRED
    event_outcome REQUIRED
    correlation_id REQUIRED
    event_data REQUIRED
    ");
    let bad = json!({"event_type": "gateway.signal.received", "event_timestamp": "2026-05-04T10:00:00", "event_category": 7,
        "event_action": " x", "event_outcome": "Success", "correlation_id": "x".repeat(256),
        "event_id": "1", "parent_event_id": "y", "parent_event_date": "today", "traceparent": "00-1", "version": 1,
        "duration_ms": -1, "retention_days": 0.5, "is_sensitive": "yes", "namespace": "n".repeat(256),
        "event_data": {"event_type": "gateway.crd.created"}});
    insta::assert_snapshot!(wrong(&bad).join("\n"), @r"
    event_id MALFORMED
    event_timestamp MALFORMED
    event_category WRONG_TYPE
    event_action MALFORMED
    event_outcome UNKNOWN_WORD
    correlation_id TOO_LONG
    parent_event_id MALFORMED
    traceparent MALFORMED
    version WRONG_TYPE
    namespace TOO_LONG
    duration_ms OUT_OF_RANGE
    retention_days OUT_OF_RANGE
    is_sensitive WRONG_TYPE
    parent_event_date MALFORMED
    event_data.event_type DIFFERS
    ");
    assert_eq!(wrong(&with(received(), "event_data", json!([]))), ["event_data WRONG_TYPE"]);
}

#[test]
fn an_hour_ahead_is_let_in_and_the_past_is_open() {
    let on = |time: &str| with(received(), "event_timestamp", json!(time));
    assert!(check(&on("2026-05-04T13:00:00Z")).is_ok());
    assert!(check(&on("1999-01-01T00:00:00+02:00")).is_ok());
    assert_eq!(wrong(&on("2026-05-04T13:00:01Z")), ["event_timestamp FUTURE"]);
}

#[test]
fn the_same_content_is_known_whatever_its_id_and_its_trace() {
    let first = event(&received());
    let traced = with(received(), "traceparent", json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    let named = event(&with(traced, "event_id", json!(Uuid::from_u128(3))));
    assert_eq!((named.event_id, named.content_digest), (Uuid::from_u128(3), first.content_digest));
    assert_eq!(named.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(envelope(&named), envelope(&first));

    // Kubernaut's clocks tell nanoseconds, which tell apart what happened in one microsecond.
    let other = event(&with(received(), "event_timestamp", json!("2026-05-04T10:00:00.125000001Z")));
    assert_ne!(first.content_digest, other.content_digest);
    assert_eq!(first.occurred_at, other.occurred_at);
    // Elsewhere it is another event.
    let local = without(received(), "cluster_id");
    assert_ne!(event(&local).content_digest, first.content_digest);
    assert_eq!(event(&local).content_digest, event(&with(local, "cluster_id", json!("default"))).content_digest);
}

#[test]
fn a_largest_and_a_deepest_event_data_pass_and_what_is_beyond_is_refused_in_time() {
    let text = |length: usize| sent("gateway.crd.created", json!({"a": "x".repeat(length)}));
    let around = r#"{"a":""}"#.len();
    let whole = with(text(PAYLOAD_BYTES_MAX - around), "error_message", json!("e".repeat(10_000)));
    assert!(check(&whole).is_ok());
    assert_eq!(wrong(&text(PAYLOAD_BYTES_MAX - around + 1)), ["event_data TOO_LARGE"]);

    let nested = |depth: usize| (1..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    assert!(check(&sent("t", json!({"a": nested(DEPTH_MAX)}))).is_ok());
    assert_eq!(wrong(&sent("t", json!({"a": nested(DEPTH_MAX + 1)}))), ["event_data.a TOO_DEEP"]);
    let deepest = (0..90).fold(json!([]), |inner, _| json!([inner]));
    assert_eq!(wrong(&with(sent("t", json!({})), "extra", deepest)), ["extra TOO_DEEP"]);
    assert_eq!(wrong(&sent("t", json!({"a\0": 1, "b": {"c": "\0"}}))), ["event_data.b.c NUL", "event_data NUL"]);
    assert_eq!(wrong(&sent("t", json!({"a": 1e30}))), ["event_data.a INEXACT_NUMBER"]);
}

#[test]
fn the_orchestrators_words_become_phases_approvals_and_durations() {
    assert_eq!(
        told(
            "orchestrator.approval.requested",
            json!({"rr_name": "rr-1", "namespace": "kubernaut-system", "rar_name": "rar-1",
            "required_by": "2026-05-04T10:31:33.5Z", "confidence_str": "0.72", "decision": "Pending", "odd": 1})
        ),
        json!({"overallPhase": "awaiting_approval", "namespace": "kubernaut-system", "approvalRequestName": "rar-1",
            "requiredBy": "2026-05-04T10:31:33.500Z", "approvalConfidence": 0.72, "approvalDecision": "pending",
            "details": {"odd": 1}})
    );
    let created = json!({"timeout_config": {"global": "1h0m0s", "analyzing": "10m"}, "is_crd": false, "hash_compute_delay": "4m0s"});
    assert_eq!(
        told("orchestrator.lifecycle.created", created),
        json!({"overallPhase": "pending", "timeoutConfig": {"globalMs": 3_600_000.0, "analyzingMs": 600_000.0},
            "targetIsCrd": false, "hashComputeDelayMs": 240_000.0})
    );
    assert_eq!(
        told(
            "remediation.workflow_created",
            json!({"workflow_id": "scale", "action_type": "ScaleReplicas",
            "target_resource": "payments/Deployment/checkout", "signal_fingerprint": "7d1f"})
        ),
        json!({"overallPhase": "executing", "workflowId": "scale", "actionType": "ScaleReplicas", "signal": {"fingerprint": "7d1f"},
            "target": {"kind": "Deployment", "namespace": "payments", "name": "checkout"}})
    );
}

#[test]
fn one_type_tells_success_failure_a_time_limit_and_the_clean_up() {
    let end = |outcome: &str, action: &str, data: Value| {
        let envelope = with(sent("orchestrator.lifecycle.completed", data), "event_outcome", json!(outcome));
        let event = event(&with(envelope, "event_action", json!(action)));
        let fields = event.fields().to_map();
        (fields["overallPhase"].clone(), fields.contains_key("deletedAt"))
    };
    assert_eq!(end("success", "completed", json!({"crd_outcome": "Remediated"})), (json!("completed"), false));
    assert_eq!(end("failure", "completed", json!({"failure_reason": "ValidationError"})), (json!("failed"), false));
    assert_eq!(end("failure", "completed", json!({"failure_reason": "Timeout"})), (json!("timed_out"), false));
    assert_eq!(end("success", "retention_cleanup", json!({})), (json!("completed"), true));
}

#[test]
fn the_agents_answer_becomes_a_cause_and_a_choice_with_its_alternatives() {
    let response = json!({"incidentId": "i-1", "analysis": "It leaks.", "confidence": 0.82,
        "rootCauseAnalysis": {"summary": "A leak.", "severity": "critical", "contributingFactors": ["load"],
            "causalChain": ["leak", "kill"], "reasoning": "The heap grows.",
            "remediationTarget": {"kind": "Deployment", "name": "checkout", "namespace": "payments"}},
        "selectedWorkflow": {"workflowId": "w-1", "actionType": "RestartPod", "confidence": 0.8, "rationale": "frees the heap",
            "parameters": {"GRACE": "30"}},
        "needsHumanReview": false, "warnings": ["w"],
        "alternativeWorkflows": [{"workflowId": "w-2", "rationale": "too slow", "confidence": 0.4}]});
    let data = json!({"event_id": "e", "incident_id": "i-1", "response_data": response, "total_prompt_tokens": 10,
        "total_completion_tokens": 5});
    let mut told = told("aiagent.response.complete", data);
    let target = told.as_object_mut().unwrap().remove("target");
    assert_eq!(target, Some(json!({"kind": "Deployment", "namespace": "payments", "name": "checkout"})));
    assert_eq!(
        told,
        json!({"analysisId": "i-1", "investigationReport": "It leaks.", "confidenceScore": 0.82,
            "rootCauseSummary": "A leak.", "rootCause": "The heap grows.", "rootCauseConfidence": 0.82, "rcaSeverity": "critical",
            "causalChain": ["leak", "kill"], "contributingFactors": ["load"],
            "workflowId": "w-1", "recommendedAction": "RestartPod", "actionConfidence": 0.8, "actionRationale": "frees the heap",
            "recommendations": [{"action": "RestartPod", "target": "Deployment/checkout", "parameters": {"GRACE": "30"},
                "rationale": "frees the heap"}],
            "alternativesConsidered": [{"action": "w-2", "confidence": 0.4, "rejectedReason": "too slow"}],
            "needsHumanReview": false, "warnings": ["w"], "promptTokens": 10, "completionTokens": 5, "totalTokens": 15,
            "details": {"event_id": "e", "incident_id": "i-1"}})
    );
}

#[test]
fn what_a_workflow_a_notice_and_an_assessment_say_finds_its_field() {
    assert_eq!(
        told(
            "workflowexecution.workflow.failed",
            json!({"workflow_id": "w", "workflow_version": "1", "phase": "Failed",
            "target_resource": "payments/Deployment/checkout", "container_image": "img", "execution_name": "we-1",
            "duration": "2m30s", "failure_reason": "OOMKilled", "failure_message": "killed", "retry_count": 1})
        ),
        json!({"status": "failed", "executionOutcome": "failed", "executionName": "we-1", "workflowId": "w",
            "workflowVersion": "1", "containerImage": "img", "totalDurationMs": 150_000.0, "failureReason": "oom_killed",
            "failureMessage": "killed", "retryCount": 1, "completedAt": "2026-05-04T10:00:00Z",
            "target": {"kind": "Deployment", "namespace": "payments", "name": "checkout"}})
    );
    assert_eq!(
        told(
            "notification.message.sent",
            json!({"notification_id": "nt-1", "channel": "slack", "subject": "Done",
            "body": "All is well.", "priority": "High", "type": "Completion", "metadata": {"k": "v"}})
        ),
        json!({"status": "sent", "notificationId": "nt-1", "channel": "slack", "subject": "Done", "body": "All is well.",
            "messagePriority": "P1", "notificationType": "completion", "sentAt": "2026-05-04T10:00:00Z"})
    );
    assert_eq!(
        told(
            "effectiveness.alert.assessed",
            json!({"correlation_id": "rr-1", "namespace": "k", "component": "alert",
            "assessed": true, "score": 1.0, "details": "gone",
            "alert_resolution": {"alert_resolved": true, "active_count": 0, "resolution_time_seconds": 12.5}})
        ),
        json!({"status": "assessing", "assessmentId": "ea-rr-1", "component": "alert", "assessed": true, "score": 1.0,
            "assessment": "gone", "alertResolution": {"alertResolved": true, "activeCount": 0, "resolutionTimeMs": 12_500.0},
            "details": {"namespace": "k"}})
    );
    assert_eq!(
        told(
            "signalprocessing.enrichment.completed",
            json!({"phase": "Enriching", "signal": "KubePodOOMKilled",
            "severity": "critical", "duration_ms": 450, "degraded_mode": false, "has_pod": true})
        ),
        json!({"status": "enriching", "signal": {"name": "KubePodOOMKilled"}, "severity": "critical", "degradedMode": false,
            "hasPod": true, "processingPhases": [{"phase": "enriching", "durationMs": 450,
                "enrichmentResults": {"degradedMode": false}}], "details": {"duration_ms": 450}})
    );
}
