//! The fold by example. Properties stand in `properties`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    fold, known_at,
    model::{Phase, PhaseName, Remediation, RemediationOutcome, RemediationPhase, TimelineEntry},
};
pub(crate) mod kubernaut;
mod properties;
mod repeats;

use crate::audit::{Context, Entry, Kind, Position, Submission, Version};

/// Submissions become entries, recorded in this order, one second apart.
pub fn recorded<'v>(submissions: impl IntoIterator<Item = &'v Value>) -> Vec<Entry> {
    let start: DateTime<Utc> = at("2026-06-01T00:00:00Z");
    let submissions = submissions.into_iter().enumerate();
    submissions.map(|(index, submission)| entry(submission, index, start + TimeDelta::seconds(index as i64))).collect()
}

fn entry(submission: &Value, index: usize, recorded_at: DateTime<Utc>) -> Entry {
    let mut fields = submission.as_object().expect("a submission is an object").clone();
    let kind = Kind::parse(fields.remove("kind").expect("a kind").as_str().unwrap()).unwrap();
    fields.entry("remediationId").or_insert("rr-1".into());
    let fresh_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, submission.to_string().as_bytes());
    let context = Context { cluster_id: "default", now: at("2026-06-01T00:00:00Z"), fresh_id };
    let event = Submission::of_fields(kind, fields)
        .check(context)
        .unwrap_or_else(|problems| panic!("{submission}: {problems:?}"));
    let number = index as i32 + 1;
    Entry {
        position: Position(number.into()),
        version: Version(number),
        recorded_at,
        recorded_by: None,
        words: crate::audit::event::SealedWords::of(&event),
        digest: event.digest().to_vec(),
        event,
    }
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A time on the day of the worked example: `10:05:40`.
fn on(time: &str) -> String {
    format!("2026-05-04T{time}Z")
}

pub fn worked_example() -> Vec<Value> {
    serde_json::from_str(include_str!("../../tests/fixtures/worked-example.json")).unwrap()
}

/// The whole of a remediation told by these submissions.
fn told(submissions: &[Value]) -> Remediation {
    fold(&recorded(submissions), None).expect("something is told")
}

fn phase(remediation: &Remediation, name: PhaseName) -> &Phase {
    remediation.summary.phases.iter().find(|phase| phase.name == name).unwrap_or_else(|| panic!("no {name:?}"))
}

/// A timeline as lines of text, for snapshots.
fn lines(timeline: &[TimelineEntry]) -> String {
    let line = |entry: &TimelineEntry| {
        let until = entry.duration_ms.map(|ms| format!(" +{ms}")).unwrap_or_default();
        let detail = entry.detail.as_ref().map(|detail| format!(" — {detail}")).unwrap_or_default();
        format!("{}{until} {}{detail}", entry.at.format("%H:%M:%S%.f"), entry.title)
    };
    timeline.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn phases(remediation: &Remediation) -> String {
    let line = |phase: &Phase| {
        let interval = |interval: &super::model::Interval| {
            let end = interval.ended_at.map(|end| end.format("%H:%M:%S%.f").to_string()).unwrap_or_default();
            format!(
                "{}–{end}{}",
                interval.started_at.format("%H:%M:%S%.f"),
                if interval.waiting { " waiting" } else { "" }
            )
        };
        let intervals = phase.intervals.iter().map(interval).collect::<Vec<_>>().join(", ");
        format!("{:?} {} ms, share {:?}: {intervals}", phase.name, phase.duration_ms, phase.share)
    };
    remediation.summary.phases.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_worked_example_is_told_whole() {
    let remediation = told(&worked_example());
    let summary = &remediation.summary;
    assert_eq!(summary.duration_ms, 340_000.0);
    assert_eq!(summary.bottleneck, Some(PhaseName::ApprovalWait));
    assert_eq!(summary.bottleneck_phase().unwrap().duration_ms, 165_000.0);
    assert_eq!(summary.bottleneck_phase().unwrap().share, Some(0.485));
    assert_eq!(summary.phase, RemediationPhase::Completed);
    assert_eq!(summary.outcome, Some(RemediationOutcome::Remediated));
    assert_eq!((summary.effective, summary.effectiveness), (Some(true), Some(0.88)));
    assert_eq!(summary.settled_at, Some(at("2026-05-04T10:10:40Z")));
    assert_eq!(summary.unaccounted_ms, 59_180.0);
    insta::assert_snapshot!(phases(&remediation), @r"
    Intake 5000 ms, share Some(0.015): 10:00:00–10:00:05
    SignalProcessing 5000 ms, share Some(0.015): 10:00:05–10:00:10
    AiAnalysis 90000 ms, share Some(0.265): 10:00:10–10:01:40
    ApprovalWait 165000 ms, share Some(0.485): 10:02:30–10:05:15 waiting
    WorkflowExecution 15000 ms, share Some(0.044): 10:05:20–10:05:35
    Verification 0 ms, share None: 10:10:40–10:10:40
    Notification 820 ms, share Some(0.002): 10:05:39.180–10:05:40
    ");
    insta::assert_snapshot!(lines(&remediation.timeline), @r"
    10:00:00 Signal received
    10:00:05 Remediation request created
    10:00:05 +3000 Signal enriched in 3 s — 92 % of the wanted context, from kubernetes, prometheus
    10:00:08 +1000 Signal classified in 1 s — production, P1, 97 % sure
    10:00:09 +1000 Next service chosen in 1 s — to ai-analysis
    10:00:10 Signal processed — production, P1, to ai-analysis
    10:00:10 +68000 Investigated for 1 m 8 s — 2 possible causes: Checkout pods exceed their memory limit after the 09:40 rollout; heap grows with the session cache …
    10:01:18 +22000 Weighed the evidence for 22 s — 75 % sure
    10:01:40 Recommended restart-pod + scale-deployment — 75 % sure; likely to help in 84 %; clears the cache
    10:02:30 Approval requested
    10:05:15 Approved via Slack
    10:05:20 +15000 Workflow restart-and-scale 1.2.0 started — 2 steps
    10:05:20 +5000 Step 1, restart-pod, finished in 5 s
    10:05:25 +5000 Step 2, scale-deployment, finished in 5 s
    10:05:35 Workflow restart-and-scale 1.2.0 succeeded after 15 s — 2 of 2 steps done
    10:05:40 Remediation completed
    10:05:40 Slack notification delivered — to #payments-sre
    10:10:40 Remediation found effective: score 0.88 — 80 % sure; recurs within 6 h of a rollout
    ");
    insta::assert_debug_snapshot!(summary.approvals, @r#"
    [
        Approval {
            requested_at: Some(
                2026-05-04T10:02:30Z,
            ),
            required_by: None,
            decided_at: Some(
                2026-05-04T10:05:15Z,
            ),
            decision: "approved",
            decided_by: None,
            via: Some(
                "slack",
            ),
            reason: None,
            wait_ms: Some(
                165000.0,
            ),
            event_id: 11a75132-a0aa-5773-a126-d28f043acc25,
        },
    ]
    "#);
    insta::assert_debug_snapshot!(summary.completeness, @r"
    Completeness {
        score: 1.0,
        missing: [],
        late: [
            Late {
                event_id: d6251c16-3dfe-5b51-b0fe-8bff73f2ba15,
                by_ms: 330000.0,
            },
        ],
        contradictions: [],
    }
    ");
}

/// What does not depend on the order of recording, as text.
fn whatever_the_order(remediation: &Remediation) -> String {
    let mut remediation = remediation.clone();
    remediation.summary.completeness.late.clear();
    remediation.summary.last_position = Position(0);
    remediation.summary.last_version = Version(0);
    remediation.timeline.sort_by_key(|entry| (entry.at, entry.event_id, entry.index));
    for entry in &mut remediation.timeline {
        entry.position = Position(0);
        entry.recorded_late_by_ms = None;
        entry.also_told_by.sort();
    }
    for row in &mut remediation.views {
        row.event_ids.sort();
        row.last_event_id = Uuid::nil();
        row.last_position = Position(0);
    }
    format!("{remediation:#?}")
}

fn permutations(items: usize) -> Vec<Vec<usize>> {
    (0..items).fold(vec![vec![]], |all, next| {
        let longer = |one: Vec<usize>| {
            (0..=one.len()).map(move |place| {
                let mut more = one.clone();
                more.insert(place, next);
                more
            })
        };
        all.into_iter().flat_map(longer).collect()
    })
}

#[test]
fn the_worked_example_is_the_same_in_all_720_orders() {
    let submissions = worked_example();
    let first = whatever_the_order(&told(&submissions));
    let orders = permutations(submissions.len());
    assert_eq!(orders.len(), 720);
    for order in orders {
        let entries = recorded(order.iter().map(|index| &submissions[*index]));
        let remediation = fold(&entries, None).unwrap();
        assert_eq!(remediation.summary.bottleneck, Some(PhaseName::ApprovalWait));
        assert_eq!(whatever_the_order(&remediation), first, "{order:?}");
        let early = fold(&entries, Some(at("2026-05-04T10:03:00Z"))).unwrap();
        assert_eq!(early.summary.phase, RemediationPhase::ApprovalWait);
    }
}

#[test]
fn as_of_a_moment_only_what_had_happened_is_told_and_what_went_on_is_open() {
    let entries = recorded(&worked_example());
    let remediation = fold(&entries, Some(at("2026-05-04T10:03:00Z"))).unwrap();
    let summary = &remediation.summary;
    assert_eq!(summary.phase, RemediationPhase::ApprovalWait);
    assert_eq!((summary.completed_at, summary.outcome, summary.effective), (None, None, None));
    assert_eq!(summary.duration_ms, 180_000.0);
    assert_eq!(summary.approvals[0].decision, "pending");
    assert_eq!(phase(&remediation, PhaseName::ApprovalWait).ended_at, None);
    assert_eq!(phase(&remediation, PhaseName::ApprovalWait).duration_ms, 30_000.0);
    assert_eq!(lines(&remediation.timeline).lines().last(), Some("10:02:30 Approval requested"));

    let early = fold(&entries, Some(at("2026-05-04T10:01:00Z"))).unwrap();
    assert_eq!(lines(&early.timeline).lines().last(), Some("10:00:10 Investigation started"));
    assert_eq!(early.summary.root_cause, None);
    let row = early.views.iter().find(|row| row.kind == Kind::AiAnalysis).unwrap();
    assert_eq!(Value::Object(row.fields.clone()), json!({"investigationStart": "2026-05-04T10:00:10Z"}));

    let running = fold(&entries, Some(at("2026-05-04T10:05:27Z"))).unwrap();
    assert_eq!(running.summary.phase, RemediationPhase::WorkflowExecution);
    let row = running.views.iter().find(|row| row.kind == Kind::WorkflowExecution).unwrap();
    assert_eq!(
        row.fields["stepExecutions"],
        json!([
            {"stepNumber": 1, "action": "restart-pod", "durationMs": 5000, "status": "completed", "retriesAttempted": 0},
            {"stepNumber": 2, "action": "scale-deployment"},
        ])
    );

    assert_eq!(fold(&entries, Some(at("2026-05-04T10:00:02Z"))).unwrap().summary.phase, RemediationPhase::Intake);
    assert_eq!(fold(&entries, Some(at("2026-05-04T09:59:59Z"))), None);
    assert_eq!(fold(&[], None), None);
}

#[test]
fn known_at_a_moment_only_what_was_recorded_by_then_is_told() {
    let entries = recorded(&worked_example());
    let before_the_analysis = known_at(&entries, entries[1].recorded_at);
    assert_eq!(before_the_analysis.len(), 2);
    let remediation = fold(before_the_analysis, Some(at("2026-05-04T10:03:00Z"))).unwrap();
    assert_eq!(remediation.summary.phase, RemediationPhase::AiAnalysis);
    assert_eq!(remediation.summary.approvals, []);
    assert!(known_at(&entries, at("2020-01-01T00:00:00Z")).is_empty());
}

/// The canonical sequence of one successful remediation, as far as our kinds tell it.
fn canonical() -> Vec<Value> {
    let after = |seconds: f64| {
        let time = at("2026-05-04T10:00:00Z") + TimeDelta::microseconds((seconds * 1e6).round() as i64);
        crate::audit::event::time_text(time)
    };
    let orchestrator = |seconds: f64, event_type: &str, phase: &str, more: Value| {
        let mut fields = json!({"kind": "ORCHESTRATION", "occurredAt": after(seconds), "overallPhase": phase,
            "eventType": format!("orchestrator.{event_type}")});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    let of = |kind: &str, status: &str, seconds: f64, event_type: &str, more: Value| {
        let field = if kind == "AI_ANALYSIS" { "completionStatus" } else { "status" };
        let mut fields = json!({"kind": kind, "occurredAt": after(seconds), field: status, "eventType": event_type});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    let other = |seconds: f64, category: &str, event_type: &str, payload: Value| json!({"kind": "OTHER", "occurredAt": after(seconds), "category": category, "eventType": event_type, "payload": payload});
    let execution = json!({"executionName": "we-1", "workflowName": "scale", "workflowVersion": "2"});
    let execution = |more: Value| {
        let mut fields = execution.clone();
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    vec![
        other(
            0.0,
            "gateway",
            "gateway.signal.received",
            json!({"signal_name": "KubePodOOMKilled", "fingerprint": "ab"}),
        ),
        other(0.08, "gateway", "gateway.crd.created", json!({})),
        orchestrator(0.4, "lifecycle.created", "pending", json!({})),
        orchestrator(0.42, "lifecycle.started", "pending", json!({})),
        orchestrator(
            0.6,
            "lifecycle.transitioned",
            "processing",
            json!({"fromPhase": "Pending", "toPhase": "Processing"}),
        ),
        of(
            "SIGNAL_PROCESSING",
            "enriching",
            0.9,
            "signalprocessing.phase.transition",
            json!({"fromPhase": "Pending", "toPhase": "Enriching"}),
        ),
        of("SIGNAL_PROCESSING", "enriching", 1.35, "signalprocessing.enrichment.completed", json!({"hasPod": true})),
        of(
            "SIGNAL_PROCESSING",
            "classifying",
            1.4,
            "signalprocessing.phase.transition",
            json!({"fromPhase": "Enriching", "toPhase": "Classifying"}),
        ),
        of(
            "SIGNAL_PROCESSING",
            "completed",
            1.8,
            "signalprocessing.signal.processed",
            json!({"completedAt": after(1.8), "processingPhases": []}),
        ),
        orchestrator(
            2.1,
            "lifecycle.transitioned",
            "analyzing",
            json!({"fromPhase": "Processing", "toPhase": "Analyzing"}),
        ),
        of(
            "AI_ANALYSIS",
            "investigating",
            2.4,
            "aianalysis.phase.transition",
            json!({"fromPhase": "Pending", "toPhase": "Investigating"}),
        ),
        of("AI_ANALYSIS", "investigating", 2.5, "aianalysis.aiagent.submit", json!({})),
        other(2.6, "aiagent", "aiagent.session.started", json!({})),
        other(
            71.0,
            "aiagent",
            "aiagent.rca.complete",
            json!({"response_data": {"rootCauseAnalysis": {"summary": "The heap outgrows its limit."}, "confidence": 0.8}}),
        ),
        other(92.1, "aiagent", "aiagent.session.completed", json!({})),
        of(
            "AI_ANALYSIS",
            "analyzing",
            92.5,
            "aianalysis.phase.transition",
            json!({"fromPhase": "Investigating", "toPhase": "Analyzing"}),
        ),
        of("AI_ANALYSIS", "completed", 92.8, "aianalysis.analysis.completed", json!({"topRecommendation": "scale"})),
        orchestrator(
            93.5,
            "approval.requested",
            "awaiting_approval",
            json!({"approvalRequestName": "rar-1", "requiredBy": after(1893.5)}),
        ),
        other(
            258.0,
            "approval",
            "webhook.remediationapprovalrequest.decided",
            json!({"request_name": "rar-1", "decision": "Approved", "decided_at": after(258.0), "decided_by": "alice", "decision_message": "go"}),
        ),
        orchestrator(258.6, "approval.approved", "awaiting_approval", json!({"approvedBy": "alice"})),
        orchestrator(
            259.0,
            "workflow_created",
            "executing",
            json!({"workflowId": "scale", "actionType": "ScaleReplicas"}),
        ),
        of("WORKFLOW_EXECUTION", "pending", 259.4, "workflowexecution.selection.completed", execution(json!({}))),
        of("WORKFLOW_EXECUTION", "running", 259.9, "workflowexecution.execution.started", execution(json!({}))),
        of("WORKFLOW_EXECUTION", "running", 260.5, "workflowexecution.workflow.started", execution(json!({}))),
        of(
            "WORKFLOW_EXECUTION",
            "completed",
            305.0,
            "workflowexecution.workflow.completed",
            execution(json!({"totalSteps": 1, "executionOutcome": "success"})),
        ),
        orchestrator(305.6, "lifecycle.verifying_started", "verifying", json!({})),
        of(
            "EFFECTIVENESS",
            "scheduled",
            306.0,
            "effectiveness.assessment.scheduled",
            json!({"assessmentId": "ea-1", "stabilizationWindowMs": 300_000, "validityDeadline": after(2106.0)}),
        ),
        of(
            "EFFECTIVENESS",
            "assessing",
            606.0,
            "effectiveness.health.assessed",
            json!({"assessmentId": "ea-1", "component": "health", "assessed": true, "score": 1.0}),
        ),
        of(
            "EFFECTIVENESS",
            "assessed",
            607.0,
            "effectiveness.assessment.completed",
            json!({"assessmentId": "ea-1", "reason": "Full", "actionType": "ScaleReplicas", "traditionalScore": 0.9,
                   "confidence": 0.9, "completedAt": after(607.0)}),
        ),
        orchestrator(
            608.0,
            "lifecycle.completed",
            "completed",
            json!({"crdOutcome": "Remediated", "startTime": after(0.4), "completionTime": after(608.0)}),
        ),
        of(
            "NOTIFICATION",
            "sent",
            609.0,
            "notification.message.sent",
            json!({"notificationId": "nt-1", "channel": "slack"}),
        ),
    ]
}

#[test]
fn the_canonical_sequence_waits_longest_for_approval_for_verification_is_nearly_all_planned() {
    let remediation = told(&canonical());
    let summary = &remediation.summary;
    assert_eq!(summary.bottleneck, Some(PhaseName::ApprovalWait));
    assert_eq!(phase(&remediation, PhaseName::ApprovalWait).duration_ms, 164_500.0);
    assert_eq!(summary.duration_ms, 608_000.0);
    assert_eq!(summary.approvals.len(), 1);
    assert_eq!(summary.approvals[0].decided_by.as_deref(), Some("alice"));
    assert_eq!(summary.signal.as_ref().unwrap()["name"], "KubePodOOMKilled");
    assert_eq!(summary.root_cause.as_ref().unwrap().summary, "The heap outgrows its limit.");
    assert_eq!(summary.settled_at, Some(at("2026-05-04T10:10:08Z")));
    insta::assert_snapshot!(phases(&remediation), @r"
    Intake 900 ms, share Some(0.001): 10:00:00–10:00:00.900
    SignalProcessing 900 ms, share Some(0.001): 10:00:00.900–10:00:01.800
    AiAnalysis 90400 ms, share Some(0.149): 10:00:02.400–10:01:32.800
    ApprovalWait 164500 ms, share Some(0.271): 10:01:33.500–10:04:18 waiting
    WorkflowExecution 45100 ms, share Some(0.074): 10:04:19.900–10:05:05
    Verification 301000 ms, share Some(0.495): 10:05:06–10:10:06 waiting, 10:10:06–10:10:07
    Notification 0 ms, share None: 10:10:09–10:10:09
    ");
    insta::assert_snapshot!(lines(&remediation.timeline), @r"
    10:00:00 Signal received — KubePodOOMKilled
    10:00:00.080 Remediation request created
    10:00:00.400 Remediation taken on
    10:00:00.420 Orchestration started
    10:00:00.600 Moved from Pending to Processing
    10:00:00.900 Moved from Pending to Enriching
    10:00:01.350 Signal enriched
    10:00:01.400 Moved from Enriching to Classifying
    10:00:01.800 Signal processed
    10:00:02.100 Moved from Processing to Analyzing
    10:00:02.400 Moved from Pending to Investigating
    10:00:02.500 Investigation handed to the AI agent
    10:01:11 Root cause found — The heap outgrows its limit.
    10:01:32.500 Moved from Investigating to Analyzing
    10:01:32.800 Recommended scale
    10:01:32.800 AI analysis completed
    10:01:33.500 Approval requested — to be decided within 30 m
    10:04:18 Approved by alice — go
    10:04:18.600 Approval taken up
    10:04:19 Workflow scale created, to carry out ScaleReplicas
    10:04:19.400 Workflow selected
    10:04:19.900 Execution started
    10:05:05 Workflow scale 2 succeeded
    10:05:05.600 Verification began
    10:05:06 Assessment scheduled — after 5 m of stabilisation; worth making for 30 m
    10:10:06 Health assessed: score 1
    10:10:07 Remediation found effective: score 0.9 — 90 % sure
    10:10:08 Remediation completed — remediated
    10:10:09 Slack notification sent
    ");
    assert_eq!(summary.completeness.contradictions, []);
    insta::assert_debug_snapshot!(summary.completeness.missing, @r#"
    [
        Missing {
            service: WorkflowExecution,
            what: "the steps",
        },
    ]
    "#);

    let standing = |seconds: i64| {
        let moment = at("2026-05-04T10:00:00Z") + TimeDelta::seconds(seconds);
        fold(&recorded(&canonical()), Some(moment)).unwrap().summary.phase
    };
    assert_eq!(standing(0), RemediationPhase::Intake);
    assert_eq!(standing(1), RemediationPhase::SignalProcessing);
    assert_eq!(standing(50), RemediationPhase::AiAnalysis);
    assert_eq!(standing(100), RemediationPhase::ApprovalWait);
    assert_eq!(standing(300), RemediationPhase::WorkflowExecution);
    assert_eq!(standing(400), RemediationPhase::Verification);
    assert_eq!(standing(610), RemediationPhase::Completed);
}

#[test]
fn a_remediation_is_pending_until_something_begins() {
    let accepted = json!({"kind": "ORCHESTRATION", "occurredAt": on("10:00:00"), "overallPhase": "pending"});
    let remediation = told(std::slice::from_ref(&accepted));
    assert_eq!(remediation.summary.phase, RemediationPhase::Pending);
    assert_eq!(remediation.summary.phases, []);
    assert_eq!(lines(&remediation.timeline), "10:00:00 Remediation accepted");

    let begun = json!({"kind": "AI_ANALYSIS", "occurredAt": on("10:00:30"), "completionStatus": "investigating"});
    let remediation = told(&[accepted, begun]);
    assert_eq!(remediation.summary.phase, RemediationPhase::AiAnalysis);
    assert_eq!(phase(&remediation, PhaseName::Intake).duration_ms, 30_000.0);
    assert_eq!(phase(&remediation, PhaseName::AiAnalysis).ended_at, None);
}

#[test]
fn a_block_is_in_force_until_it_is_cleared_or_the_remediation_goes_on() {
    let blocked = json!({"kind": "ORCHESTRATION", "occurredAt": on("10:01:00"), "overallPhase": "blocked", "reason": "ResourceBusy"});
    let processed = json!({"kind": "SIGNAL_PROCESSING", "occurredAt": on("10:00:00"), "status": "enriching"});
    let cleared = json!({"kind": "WORKFLOW_EXECUTION", "occurredAt": on("10:02:00"), "status": "running",
        "clearedAt": on("10:02:00"), "clearReason": "done by hand"});
    let held = told(&[processed.clone(), blocked.clone()]);
    assert_eq!(held.summary.phase, RemediationPhase::Blocked);
    assert_eq!(lines(&held.timeline).lines().last(), Some("10:01:00 Remediation blocked — ResourceBusy"));
    assert_eq!(told(&[processed, blocked, cleared]).summary.phase, RemediationPhase::WorkflowExecution);
}

fn execution(at: &str, status: &str, more: Value) -> Value {
    let mut fields = json!({"kind": "WORKFLOW_EXECUTION", "occurredAt": on(at), "status": status});
    if ["completed", "failed", "timeout"].contains(&status) {
        fields["workflowName"] = json!("restart");
        fields["workflowVersion"] = json!("1");
        fields["totalSteps"] = json!(1);
        fields["executionOutcome"] = json!(if status == "completed" { "success" } else { status });
    }
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

fn ended(at: &str, phase: &str, more: Value) -> Value {
    let mut fields = json!({"kind": "ORCHESTRATION", "occurredAt": on(at), "overallPhase": phase, "startTime": on("10:00:00"),
        "completionTime": on(at)});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

#[test]
fn retries_of_a_phase_are_intervals_that_sum() {
    let remediation = told(&[
        execution("10:00:00", "running", json!({})),
        execution("10:01:00", "failed", json!({})),
        execution("10:02:00", "running", json!({})),
        execution("10:02:30", "completed", json!({})),
        ended("10:03:00", "completed", json!({})),
    ]);
    insta::assert_snapshot!(phases(&remediation), @"WorkflowExecution 90000 ms, share Some(0.5): 10:00:00–10:01:00, 10:02:00–10:02:30");
    assert_eq!(remediation.summary.completeness.contradictions, []);
    assert_eq!(remediation.views.iter().filter(|row| row.kind == Kind::WorkflowExecution).count(), 1);
}

#[test]
fn executions_are_told_apart_by_name_else_by_workflow_and_attempt() {
    let keys = |submissions: &[Value]| {
        let rows = told(submissions).views;
        let of_executions = rows.iter().filter(|row| row.kind == Kind::WorkflowExecution);
        of_executions.map(|row| format!("{} {}", row.key, row.event_ids.len())).collect::<Vec<_>>().join(", ")
    };
    let running = |more| execution("10:00:00", "running", more);
    let done = |more| execution("10:01:00", "completed", more);
    assert_eq!(keys(&[running(json!({"executionName": "we-1"})), done(json!({"executionName": "we-1"}))]), "we-1 2");
    assert_eq!(keys(&[running(json!({"executionName": "we-1"})), done(json!({}))]), "we-1 2");
    assert_eq!(keys(&[running(json!({})), done(json!({}))]), "restart#1 2");
    assert_eq!(keys(&[running(json!({"attempt": 2})), done(json!({"attempt": 1}))]), "#2 1, restart#1 1");
    assert_eq!(keys(&[done(json!({"attempt": 1})), done(json!({"attempt": 2}))]), "restart#1 1, restart#2 1");
    assert_eq!(
        keys(&[running(json!({"executionName": "we-1"})), running(json!({"executionName": "we-2"})), done(json!({}))]),
        "restart#1 1, we-1 1, we-2 1"
    );
}

#[test]
fn an_analysis_is_known_by_its_resource_and_an_event_without_one_is_of_the_only_one() {
    let analysis = |at: &str, more: Value| {
        let mut fields = json!({"kind": "AI_ANALYSIS", "occurredAt": on(at), "completionStatus": "investigating"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    let rows = |submissions: &[Value]| told(submissions).views.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
    let named = analysis("10:00:00", json!({"crdName": "ai-1", "crdNamespace": "k"}));
    assert_eq!(
        rows(&[named.clone(), analysis("10:00:01", json!({})), analysis("10:00:02", json!({"crdName": "ai-1"}))]),
        ["k/ai-1"]
    );
    assert_eq!(
        rows(&[named, analysis("10:00:01", json!({"crdName": "ai-2"})), analysis("10:00:02", json!({}))]),
        ["", "/ai-2", "k/ai-1"]
    );
}

#[test]
fn a_late_old_fact_fills_what_is_empty_and_changes_nothing_else() {
    let notification = |at: &str, status: &str, more: Value| {
        let mut fields =
            json!({"kind": "NOTIFICATION", "occurredAt": on(at), "notificationId": "nt-1", "status": status});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    let delivered = notification("10:00:37", "delivered", json!({"channel": "slack", "signal": {"name": "Late"}}));
    let retrying = notification(
        "10:00:10",
        "retrying",
        json!({"channel": "email", "errorCode": "SLACK_RATE_LIMIT", "retryCount": 1,
        "signal": {"name": "Early", "source": "prometheus"}}),
    );
    let remediation = told(&[delivered, retrying]);
    let row = &remediation.views[0];
    assert_eq!(
        Value::Object(row.fields.clone()),
        json!({"notificationId": "nt-1", "status": "delivered", "channel": "slack", "errorCode": "SLACK_RATE_LIMIT", "retryCount": 1,
               "signal": {"name": "Late", "source": "prometheus"}})
    );
    assert_eq!((row.first_occurred_at, row.last_occurred_at), (at(&on("10:00:10")), at(&on("10:00:37"))));
    assert_eq!(Value::Object(remediation.summary.signal.unwrap()), json!({"name": "Late", "source": "prometheus"}));
}

#[test]
fn an_approval_told_by_three_services_is_one_and_its_echo_does_not_show_twice() {
    let asked = json!({"kind": "ORCHESTRATION", "occurredAt": on("10:01:00"), "overallPhase": "awaiting_approval",
        "eventType": "orchestrator.approval.requested", "requiredBy": on("10:31:00")});
    let decided = json!({"kind": "OTHER", "occurredAt": on("10:03:00"), "category": "approval",
        "eventType": "webhook.remediationapprovalrequest.decided", "actor": {"type": "user", "id": "bob"},
        "payload": {"decision": "Rejected", "decided_at": on("10:03:00"), "decision_message": "too risky"}});
    let taken_up = json!({"kind": "ORCHESTRATION", "occurredAt": on("10:03:01"), "overallPhase": "awaiting_approval",
        "eventType": "orchestrator.approval.rejected", "rejectedBy": "bob"});
    let end = ended("10:03:02", "failed", json!({"failurePhase": "Approval"}));
    let remediation = told(&[asked, decided, taken_up, end]);
    let [approval] = remediation.summary.approvals.as_slice() else { panic!("{:?}", remediation.summary.approvals) };
    assert_eq!((approval.decision.as_str(), approval.decided_by.as_deref()), ("rejected", Some("bob")));
    assert_eq!((approval.wait_ms, approval.reason.as_deref()), (Some(120_000.0), Some("too risky")));
    assert_eq!(approval.required_by, Some(at(&on("10:31:00"))));
    assert_eq!(remediation.summary.outcome, Some(RemediationOutcome::Rejected));
    assert_eq!(remediation.summary.settled_at, Some(at(&on("10:03:02"))));
    insta::assert_snapshot!(lines(&remediation.timeline), @r"
    10:00:00 Remediation request created
    10:01:00 Approval requested — to be decided within 30 m
    10:03:00 Rejected by bob — too risky
    10:03:01 Rejection taken up
    10:03:02 Remediation failed in the wait for approval
    ");
}

#[test]
fn an_undecided_approval_is_open_and_an_expired_one_ends_the_remediation() {
    let asked = json!({"kind": "AI_ANALYSIS", "occurredAt": on("10:01:00"), "completionStatus": "completed",
        "approvalRequestedAt": on("10:01:00"), "approvalStatus": "pending"});
    let open = told(std::slice::from_ref(&asked));
    assert_eq!(open.summary.phase, RemediationPhase::ApprovalWait);
    assert_eq!(phase(&open, PhaseName::ApprovalWait).ended_at, None);

    let expired = json!({"kind": "ORCHESTRATION", "occurredAt": on("10:31:00"), "overallPhase": "timed_out", "startTime": on("10:00:00"),
        "approvalDecision": "expired", "completionTime": on("10:31:00")});
    let remediation = told(&[asked, expired]);
    assert_eq!(remediation.summary.outcome, Some(RemediationOutcome::Expired));
    assert_eq!(remediation.summary.phase, RemediationPhase::TimedOut);
    assert_eq!(remediation.summary.approvals[0].decision, "expired");
    assert_eq!(phase(&remediation, PhaseName::ApprovalWait).duration_ms, 1_800_000.0);
}

#[test]
fn an_approval_by_policy_is_a_decision_without_a_wait() {
    let analysis = json!({"kind": "AI_ANALYSIS", "occurredAt": on("10:01:00"), "completionStatus": "completed",
        "topRecommendation": "restart-pod", "approvalStatus": "auto-approved"});
    let remediation = told(&[analysis]);
    assert_eq!(remediation.summary.approvals[0].decision, "auto_approved");
    assert!(remediation.summary.phases.iter().all(|phase| phase.name != PhaseName::ApprovalWait));
    let decision =
        remediation.timeline.iter().find_map(|entry| entry.decision.as_ref().filter(|d| d.chosen.contains("auto")));
    assert_eq!(decision.unwrap().question, "Carry out restart-pod?");
}

#[test]
fn a_retention_cleanup_is_not_an_end() {
    let cleaned = json!({"kind": "ORCHESTRATION", "occurredAt": "2026-05-05T10:05:40Z", "overallPhase": "completed",
        "startTime": on("10:00:00"), "completionTime": "2026-05-05T10:05:40Z", "deletedAt": "2026-05-05T10:05:40Z"});
    let remediation = told(&[ended("10:05:40", "failed", json!({})), cleaned.clone()]);
    assert_eq!(remediation.summary.completed_at, Some(at(&on("10:05:40"))));
    assert_eq!(remediation.summary.phase, RemediationPhase::Failed);
    assert_eq!(told(&[cleaned]).summary.completed_at, None);
}

#[test]
fn what_a_service_leaves_out_is_filled_in_by_its_orchestrator() {
    let children =
        json!({"serviceCrdStatuses": {"aiAnalysis": {"startTime": on("10:01:00"), "completionTime": on("10:02:00")}}});
    let moved = |at: &str, to: &str| json!({"kind": "ORCHESTRATION", "occurredAt": on(at), "overallPhase": to});
    let remediation = told(&[
        moved("10:00:10", "processing"),
        moved("10:00:50", "analyzing"),
        execution("10:03:00", "running", json!({})), // never told to have ended
        moved("10:04:00", "verifying"),
        ended("10:05:00", "completed", children),
    ]);
    insta::assert_snapshot!(phases(&remediation), @r"
    Intake 10000 ms, share Some(0.033): 10:00:00–10:00:10
    SignalProcessing 40000 ms, share Some(0.133): 10:00:10–10:00:50
    AiAnalysis 60000 ms, share Some(0.2): 10:01:00–10:02:00
    WorkflowExecution 60000 ms, share Some(0.2): 10:03:00–10:04:00
    Verification 60000 ms, share Some(0.2): 10:04:00–10:05:00
    ");
    insta::assert_snapshot!(lines(&remediation.timeline), @r"
    10:00:00 Remediation request created
    10:00:10 Handed to signal processing
    10:00:50 Handed to AI analysis
    10:01:00 +60000 AI analysis took 1 m
    10:03:00 Workflow running
    10:04:00 Verification began
    10:05:00 Remediation completed
    ");
}

#[test]
fn a_stream_that_starts_in_the_middle_and_ends_before_it_starts_is_told_with_its_contradictions() {
    let remediation = told(&[
        execution("10:03:00", "running", json!({})),
        execution("10:03:30", "failed", json!({"completedAt": on("10:02:00"), "failureMessage": "image pull"})),
        ended("10:05:00", "completed", json!({"totalDurationMs": 5_000, "crdOutcome": "remediated"})),
    ]);
    let contradictions = &remediation.summary.completeness.contradictions;
    insta::assert_snapshot!(contradictions.iter().map(|c| c.what.as_str()).collect::<Vec<_>>().join("\n"), @r"
    the orchestrator counts 5 s, the facts tell 5 m
    the remediation is told to have worked, its last execution to have ended as failed
    workflow execution ended before it began
    ");
    assert_eq!(phase(&remediation, PhaseName::WorkflowExecution).duration_ms, 0.0);
}

#[test]
fn a_notification_is_four_events_and_one_row_and_its_acknowledgement_is_no_delivery_time() {
    let notification = |at: &str, status: &str| {
        json!({"kind": "NOTIFICATION", "occurredAt": on(at), "notificationId": "nt-1",
        "status": status, "channel": "slack"})
    };
    let remediation = told(&[
        notification("10:00:00", "pending"),
        notification("10:00:10", "retrying"),
        notification("10:00:36", "sent"),
        notification("10:00:37", "delivered"),
        notification("10:40:00", "acknowledged"),
    ]);
    assert_eq!(phase(&remediation, PhaseName::Notification).duration_ms, 37_000.0);
    assert_eq!(remediation.views.len(), 1);
    insta::assert_snapshot!(lines(&remediation.timeline), @r"
    10:00:00 Slack notification waits to be sent
    10:00:10 Slack notification will be tried again
    10:00:36 Slack notification sent
    10:00:37 Slack notification delivered
    10:40:00 Slack notification acknowledged
    ");
}

#[test]
fn an_event_of_the_open_kind_is_said_in_its_own_words_and_a_narrative_is_left_out() {
    let other = json!({"kind": "OTHER", "occurredAt": on("10:00:00"), "category": "chaos_mesh", "eventType": "experiment.started",
        "payload": {"message": "# Title\nKilled a pod."}});
    let narrative = json!({"kind": "OTHER", "occurredAt": on("10:00:01"), "category": "report", "eventType": "report.written", "payload": {}});
    let remediation = told(&[other, narrative]);
    assert_eq!(lines(&remediation.timeline), "10:00:00 Chaos mesh: experiment started — Killed a pod.");
    assert_eq!(remediation.summary.events, 1);
    assert_eq!(remediation.summary.phase, RemediationPhase::Pending);
}

#[test]
fn steps_retold_show_once_as_they_are_told_last() {
    let step = |status: &str| {
        json!({"stepNumber": 1, "action": "drain", "startTime": on("10:00:05"), "status": status,
        "endTime": if status == "completed" { json!(on("10:00:20")) } else { Value::Null }})
    };
    let progress = execution(
        "10:00:06",
        "running",
        json!({"executionStartedAt": on("10:00:00"), "stepExecutions": [step("running")]}),
    );
    let end = execution(
        "10:00:21",
        "completed",
        json!({"executionStartedAt": on("10:00:00"), "stepExecutions": [step("completed")]}),
    );
    insta::assert_snapshot!(lines(&told(&[progress, end]).timeline), @r"
    10:00:00 Workflow restart 1 started — 1 step
    10:00:05 +15000 Step 1, drain, finished in 15 s
    10:00:21 Workflow restart 1 succeeded after 21 s
    ");
}

#[test]
fn model_confidence_and_spec_hashes_are_what_was_told_last_as_far_as_it_was_known() {
    let submissions = [
        json!({"kind": "ORCHESTRATION", "occurredAt": on("10:02:00"), "overallPhase": "executing",
               "preRemediationSpecHash": "a1"}),
        json!({"kind": "AI_ANALYSIS", "occurredAt": on("10:05:00"), "completionStatus": "completed",
               "investigationStart": on("10:00:00"), "analysisEnd": on("10:01:00"), "confidenceScore": 0.8,
               "llmModel": "large", "recommendedAction": "restart"}),
        json!({"kind": "EFFECTIVENESS", "occurredAt": on("10:10:00"), "assessmentId": "ea", "status": "assessing",
               "postRemediationSpecHash": "b2"}),
        json!({"kind": "AI_ANALYSIS", "occurredAt": on("10:03:00"), "completionStatus": "analyzing", "llmModel": "small"}),
    ];
    let entries = recorded(&submissions);
    let known = |time: &str| {
        let summary = fold(&entries, Some(at(&on(time)))).unwrap().summary;
        (summary.model, summary.confidence, summary.spec_hash_before, summary.spec_hash_after)
    };
    let text = |text: &str| Some(text.to_string());
    assert_eq!(known("10:00:30"), (None, None, None, None));
    // A confidence is known from the analysis's end on, though it was told later.
    assert_eq!(known("10:04:00"), (text("small"), Some(0.8), text("a1"), None));
    assert_eq!(known("10:10:00"), (text("large"), Some(0.8), text("a1"), text("b2")));
}

#[test]
fn a_summary_that_was_kept_by_an_older_binary_still_reads() {
    let summary = told(&worked_example()).summary;
    let mut kept = serde_json::to_value(&summary).unwrap();
    for name in ["model", "confidence", "spec_hash_before", "spec_hash_after"] {
        kept.as_object_mut().unwrap().remove(name).expect("a field of today");
    }
    let read: super::model::Summary = serde_json::from_value(kept).unwrap();
    assert_eq!(read, super::model::Summary { model: None, confidence: None, ..summary });
}
