//! Which tellings are one fact and which are several.

use super::kubernaut::{event, sealed};
use super::*;

/// The titles of the timeline with their times, and what is said beside them.
fn story(submissions: &[Value]) -> String {
    lines(&fold(&sealed(submissions), None).unwrap().timeline)
}

fn audit(kind: &str, time: &str, more: Value) -> Value {
    let mut audit = json!({"kind": kind, "remediationId": "rr-1", "occurredAt": on(time)});
    audit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    audit
}

fn notification(time: &str, status: &str, more: Value) -> Value {
    let mut told = audit("NOTIFICATION", time, json!({"notificationId": "nt-1", "channel": "slack", "status": status}));
    told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    told
}

fn execution(time: &str, status: &str, more: Value) -> Value {
    let mut told = super::execution(time, status, more);
    told["remediationId"] = "rr-1".into();
    told
}

#[test]
fn what_failed_and_then_went_well_is_told_as_both() {
    let processing = |time: &str, status: &str, more: Value| {
        let mut told = audit(
            "SIGNAL_PROCESSING",
            time,
            json!({"status": status, "completedAt": on(time), "processingPhases": []}),
        );
        told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        told
    };
    insta::assert_snapshot!(story(&[
        processing("10:00:10", "failed", json!({"errorMessage": "no answer from prometheus"})),
        processing("10:00:30", "failed", json!({"errorMessage": "no answer from the cluster"})),
        processing("10:01:00", "completed", json!({})),
    ]), @r"
    10:00:10 Signal processing failed — no answer from prometheus
    10:00:30 Signal processing failed — no answer from the cluster
    10:01:00 Signal processed
    ");

    let analysis = |time: &str, status: &str, more: Value| {
        let mut told = audit("AI_ANALYSIS", time, json!({"completionStatus": status}));
        told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        told
    };
    insta::assert_snapshot!(story(&[
        analysis("10:02:00", "failed", json!({"failureReason": "the model is away"})),
        analysis("10:03:00", "completed", json!({})),
    ]), @r"
    10:02:00 AI analysis failed — the model is away
    10:03:00 AI analysis completed
    ");

    insta::assert_snapshot!(story(&[
        execution("10:04:00", "failed", json!({"executionName": "we-1", "failureMessage": "no quota"})),
        execution("10:05:00", "completed", json!({"executionName": "we-1", "executionOutcome": "success"})),
    ]), @r"
    10:04:00 Workflow restart 1 failed — no quota
    10:05:00 Workflow restart 1 succeeded
    ");
}

#[test]
fn a_notification_that_failed_between_was_sent_twice() {
    insta::assert_snapshot!(story(&[
        notification("10:00:00", "sent", json!({})),
        notification("10:01:00", "failed", json!({"errorMessage": "the channel is archived"})),
        notification("10:02:00", "sent", json!({})),
        // The same once more.
        notification("10:02:30", "sent", json!({"sentAt": on("10:02:00")})),
    ]), @r"
    10:00:00 Slack notification sent
    10:01:00 Slack notification failed — the channel is archived
    10:02:00 Slack notification sent
    ");
    // What another channel did lies not between.
    insta::assert_snapshot!(story(&[
        notification("10:00:00", "sent", json!({})),
        notification("10:01:00", "failed", json!({"channel": "email"})),
        notification("10:02:00", "sent", json!({})),
    ]), @r"
    10:00:00 Slack notification sent
    10:01:00 E-mail failed
    ");
}

#[test]
fn each_person_who_acknowledges_is_told() {
    insta::assert_snapshot!(story(&[
        notification("10:00:00", "acknowledged", json!({"acknowledgedBy": "alice"})),
        notification("10:00:01", "acknowledged", json!({})),
        notification("10:03:00", "acknowledged", json!({"acknowledgedBy": "bob"})),
    ]), @r"
    10:00:00 Slack notification acknowledged by alice
    10:03:00 Slack notification acknowledged by bob
    ");
}

#[test]
fn a_failure_that_is_told_both_ways_is_one() {
    let failed = event(
        305,
        "workflowexecution.workflow.failed",
        "failure",
        json!({"execution_name": "we-1", "failure_reason": "OOMKilled", "failure_message": "out of memory"}),
    );
    let mut told = failed.clone();
    told["event_timestamp"] = "2026-05-04T10:05:05.700Z".into();
    let resource = execution(
        "10:05:06",
        "failed",
        json!({"executionName": "we-1", "completedAt": on("10:05:05"), "failureReason": "oom_killed"}),
    );
    let remediation = fold(&sealed(&[told, resource]), None).unwrap();
    let ends = remediation.timeline.iter().filter(|entry| entry.title.contains("failed"));
    assert_eq!(ends.count(), 1, "{}", lines(&remediation.timeline));
}

#[test]
fn an_assessment_that_ends_otherwise_the_second_time_is_told_twice() {
    let end = |seconds: i64, reason: &str| {
        event(
            seconds,
            "effectiveness.assessment.completed",
            "success",
            json!({"component": "completed", "reason": reason}),
        )
    };
    let health = event(
        10,
        "effectiveness.health.assessed",
        "success",
        json!({"component": "health", "assessed": true, "score": 1.0}),
    );
    let told = [health, end(40, "SpecDrift"), end(60, "Full"), end(70, "Full")];
    insta::assert_snapshot!(story(&told), @r"
    10:00:10 Health assessed: score 1
    10:00:40 Remediation found not effective: score 0 — spec drift
    10:01:10 Remediation found effective: score 1
    ");
    let summary = fold(&sealed(&told), None).unwrap().summary;
    assert_eq!((summary.effective, summary.effectiveness), (Some(true), Some(1.0)));
}

#[test]
fn that_an_execution_runs_is_not_told_beside_its_start() {
    let named = json!({"executionName": "we-1", "executionStartedAt": on("10:04:20")});
    insta::assert_snapshot!(story(&[
        execution("10:04:20", "running", named.clone()),
        execution("10:04:40", "running", named),
    ]), @"10:04:20 Workflow we-1 started");
}
