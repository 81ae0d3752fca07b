//! Remediations that Kubernaut's services tell, alone and together with others.

use super::*;
use crate::audit::event::SealedWords;

fn fixture(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

/// The canonical sequence of one successful remediation, as Kubernaut's services send it.
pub fn sequence() -> Vec<Value> {
    fixture(include_str!("../../../docs/examples/kubernaut-sequence.json"))
}

/// One event of every type.
pub fn types() -> Vec<Value> {
    fixture(include_str!("../../../tests/fixtures/kubernaut/types.json"))
}

/// Submissions become entries, recorded in this order: envelopes, and audits with a `kind`.
pub fn sealed<'v>(submissions: impl IntoIterator<Item = &'v Value>) -> Vec<Entry> {
    let start: DateTime<Utc> = at("2026-06-01T00:00:00Z");
    let content_id = |submission: &Value| Uuid::new_v5(&Uuid::nil(), submission.to_string().as_bytes());
    let seal = |(index, submission): (usize, &Value)| {
        let recorded_at = start + TimeDelta::milliseconds(index as i64);
        let Value::Object(mut fields) = submission.clone() else { panic!("a submission is an object") };
        // Of its content, so that it is the same in whichever order they come.
        let fresh_id = content_id(submission);
        let submission = match fields.remove("kind") {
            Some(kind) => Submission::of_fields(Kind::parse(kind.as_str().unwrap()).unwrap(), fields),
            None => Submission::of_kubernaut(fields),
        };
        let context = Context { cluster_id: "eu-prod-1", now: start, fresh_id };
        let event = submission.check(context).unwrap_or_else(|problems| panic!("{problems:?}"));
        let number = index as i32 + 1;
        Entry {
            position: Position(number.into()),
            version: Version(number),
            recorded_at,
            recorded_by: None,
            words: SealedWords::of(&event),
            digest: event.digest().to_vec(),
            event,
        }
    };
    submissions.into_iter().enumerate().map(seal).collect()
}

#[test]
fn the_canonical_sequence_folds_to_what_happened() {
    let entries = sealed(&sequence());
    let remediation = fold(&entries, None).unwrap();
    let summary = &remediation.summary;
    assert_eq!(summary.bottleneck, Some(PhaseName::ApprovalWait));
    assert_eq!(phase(&remediation, PhaseName::ApprovalWait).duration_ms, 164_500.0);
    assert_eq!(summary.duration_ms, 608_000.0);
    assert_eq!((summary.phase, summary.outcome), (RemediationPhase::Completed, Some(RemediationOutcome::Remediated)));
    assert_eq!((summary.effective, summary.effectiveness), (Some(true), Some(0.95)));
    assert_eq!(summary.completeness.missing, []);
    assert_eq!(summary.completeness.contradictions, []);
    assert_eq!(summary.completeness.score, 1.0);
    insta::assert_snapshot!(phases(&remediation), @r"
    Intake 900 ms, share Some(0.001): 10:00:00–10:00:00.900
    SignalProcessing 900 ms, share Some(0.001): 10:00:00.900–10:00:01.800
    AiAnalysis 90400 ms, share Some(0.149): 10:00:02.400–10:01:32.800
    ApprovalWait 164500 ms, share Some(0.271): 10:01:33.500–10:04:18 waiting
    WorkflowExecution 44500 ms, share Some(0.073): 10:04:20.500–10:05:05
    Verification 301000 ms, share Some(0.495): 10:05:06–10:10:06 waiting, 10:10:06–10:10:07
    Notification 0 ms, share None: 10:10:09–10:10:09
    ");
}

#[test]
fn the_canonical_sequence_is_told_as_one_story() {
    let entries = sealed(&sequence());
    let remediation = fold(&entries, None).unwrap();
    let raw = |entry: &&TimelineEntry| !["Model asked", "Model answered", "Tool used"].contains(&entry.title.as_str());
    let story: Vec<TimelineEntry> = remediation.timeline.iter().filter(raw).cloned().collect();
    insta::assert_snapshot!(lines(&story), @r#"
    10:00:00 Signal received — KubePodCrashLooping on checkout
    10:00:00.080 Remediation request created
    10:00:00.400 Remediation taken on
    10:00:00.420 Orchestration started
    10:00:00.600 Moved from Pending to Processing — phase_progression
    10:00:00.900 Moved from Pending to Enriching
    10:00:01.350 Signal enriched
    10:00:01.400 Moved from Enriching to Classifying
    10:00:01.550 Signal classified — production, P1
    10:00:01.600 Moved from Classifying to Categorizing
    10:00:01.700 Business impact decided — production, P1
    10:00:01.800 Signal processed — production, P1, in 900 ms
    10:00:02.100 Moved from Processing to Analyzing — phase_progression
    10:00:02.400 Investigation started
    10:00:02.500 Investigation handed to the AI agent
    10:01:11 Root cause found — The session cache of checkout:2026.5.1 never evicts an entry, so each pod outgrew its memory limit of 512Mi within ten minutes of the roll-out; a restarted container loads the same cache from its snapshot and is killed again.; 82 % sure
    10:01:11.500 Context of the target collected
    10:01:12 Actions of the catalogue listed
    10:01:17 Workflows of the catalogue listed
    10:01:24 Workflow looked up in the catalogue
    10:01:30 Choice confirmed by the catalogue
    10:01:31 Choice of the workflow checked
    10:01:32 Recommended RestartPod — 75 % sure
    10:01:32.400 AI agent answered
    10:01:32.500 Investigation ended
    10:01:32.500 Weighing the evidence
    10:01:32.600 Approval policy evaluated — production requires approval below confidence 0.80
    10:01:32.700 Need for approval decided — Production environment and confidence 0.75 is below the auto-approval threshold of 0.80
    10:01:32.800 Evidence weighed — 75 % sure
    10:01:32.800 AI analysis completed
    10:01:33.500 Approval requested — the analysis is 75 % sure; to be decided within 15 m
    10:04:18 Approved by maria.lopez@example.com — Restart and scale is fine. I asked the checkout team to set session.cache.ttl today.
    10:04:18.600 Approval taken up
    10:04:19 Workflow e3e833a2-0709-5160-8930-4e30133d4a2b 1.2.0 created, to carry out RestartPod
    10:04:19.400 Workflow selected
    10:04:20.500 +44500 Workflow restart-and-scale 1.2.0 started
    10:05:05 Workflow restart-and-scale 1.2.0 succeeded after 44.5 s
    10:05:05.600 Verification began
    10:05:06 Assessment scheduled — after 5 m of stabilisation; worth making for 30 m
    10:10:06 Hash assessed — the spec changed; spec hash computed: sha256:72231043bc1807e6... (differs from pre-remediation — spec changed)
    10:10:06 Health assessed: score 1 — all 5 pods ready, no restarts
    10:10:06 Alert assessed: score 1 — the alert stopped; alert "KubePodCrashLooping" resolved
    10:10:06 Metrics assessed: score 0.8 — 4 of 5 metrics improved, average score 0.80
    10:10:07 Remediation found effective: score 0.95 — Assessment completed: Full
    10:10:08 Remediation completed — remediated
    10:10:09 Slack notification sent — Remediation completed: KubePodCrashLooping
    10:10:09 Notification acknowledged — Remediation completed: KubePodCrashLooping
    "#);
}

#[test]
fn the_canonical_sequence_makes_one_row_for_each_entity() {
    let remediation = fold(&sealed(&sequence()), None).unwrap();
    let rows: Vec<String> =
        remediation.views.iter().map(|row| format!("{:?} {} {}", row.kind, row.key, row.event_ids.len())).collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    Orchestration  12
    SignalProcessing  7
    AiAnalysis payments/ai-rr-7d1f0c9ab3e2-4be09c11 41
    WorkflowExecution we-rr-7d1f0c9ab3e2-4be09c11 4
    Notification nt-rr-7d1f0c9ab3e2-4be09c11-1 2
    Effectiveness ea-rr-7d1f0c9ab3e2-4be09c11 6
    ");
    let row = |kind: Kind| &remediation.views.iter().find(|row| row.kind == kind).unwrap().fields;
    let (analysis, assessment) = (row(Kind::AiAnalysis), row(Kind::Effectiveness));
    assert_eq!(analysis["completionStatus"], "completed");
    assert_eq!(analysis["investigationStart"], "2026-05-04T10:00:02.400Z");
    assert_eq!(analysis["confidenceScore"], 0.75);
    assert_eq!(analysis["toolsInvoked"].as_array().unwrap().len(), 8);
    assert_eq!((&assessment["traditionalScore"], &assessment["status"]), (&json!(0.95), &json!("assessed")));
    let decisions = remediation.timeline.iter().filter_map(|entry| entry.decision.as_ref());
    let decisions: Vec<String> =
        decisions.map(|decision| format!("{} {}", decision.question, decision.chosen)).collect();
    insta::assert_snapshot!(decisions.join("\n"), @r"
    How urgent is the signal, and where does it come from? P1 in production
    Which remedy should be carried out? RestartPod
    Does a person have to agree? yes
    Carry out the remedy? approved
    ");
}

#[test]
fn the_canonical_sequence_is_the_same_in_any_order() {
    // No two at once, so that the last to tell does not depend on the order of recording.
    let mut envelopes = sequence();
    for (index, envelope) in envelopes.iter_mut().enumerate() {
        let time = at(envelope["event_timestamp"].as_str().unwrap()) + TimeDelta::microseconds(index as i64);
        envelope["event_timestamp"] = time.to_rfc3339().into();
    }
    let first = whatever_the_order(&fold(&sealed(&envelopes), None).unwrap());
    for step in [7, 11, 23, 41] {
        // Coprime to the number of events, so that each comes once.
        let shuffled = (0..envelopes.len()).map(|index| &envelopes[index * step % envelopes.len()]);
        let entries = sealed(shuffled);
        assert_eq!(entries.len(), envelopes.len());
        let other = whatever_the_order(&fold(&entries, None).unwrap());
        let differing = first.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert_eq!(differing, None, "in steps of {step}");
    }
}

/// The six audits that tell the same remediation as the sequence does.
fn audits() -> Vec<Value> {
    let id = "rr-7d1f0c9ab3e2-4be09c11";
    let cause = sequence().into_iter().find(|event| event["event_type"] == "aiagent.rca.complete").unwrap();
    let cause = cause["event_data"]["response_data"]["rootCauseAnalysis"]["summary"].clone();
    vec![
        json!({"kind": "ORCHESTRATION", "remediationId": id, "occurredAt": on("10:10:08"), "overallPhase": "completed",
            "signalReceivedAt": on("10:00:00"), "startTime": on("10:00:00.400"), "completionTime": on("10:10:08"),
            "notificationSentAt": on("10:10:09"),
            "serviceCrdStatuses": {"aiAnalysis": {"startTime": on("10:00:02.400"), "completionTime": on("10:01:32.800")},
                "workflowExecution": {"startTime": on("10:04:20.500"), "completionTime": on("10:05:05")}}}),
        json!({"kind": "SIGNAL_PROCESSING", "remediationId": id, "occurredAt": on("10:00:01.800"), "status": "completed",
            "completedAt": on("10:00:01.800"), "processingPhases": [], "businessPriority": "P1", "environment": "production"}),
        json!({"kind": "AI_ANALYSIS", "remediationId": id, "occurredAt": on("10:04:18.100"), "completionStatus": "completed",
            "crdName": "ai-rr-7d1f0c9ab3e2-4be09c11", "crdNamespace": "payments",
            "investigationStart": on("10:00:02.400"), "investigationEnd": on("10:01:32.500"),
            "analysisStart": on("10:01:32.500"), "analysisEnd": on("10:01:32.800"), "confidenceScore": 0.75,
            "rootCauseSummary": cause, "approvalStatus": "approved", "approvalTime": on("10:04:18"),
            "approvalDurationMs": 164_500, "approvalMethod": "slack"}),
        json!({"kind": "WORKFLOW_EXECUTION", "remediationId": id, "occurredAt": on("10:05:05"), "status": "completed",
            "workflowName": "restart-and-scale", "workflowVersion": "1.2.0", "executionStartedAt": on("10:04:20.500"),
            "completedAt": on("10:05:05"), "totalSteps": 1, "executionOutcome": "success",
            "stepExecutions": [{"stepNumber": 1, "action": "restart-pod", "durationMs": 5_000, "status": "completed"}]}),
        json!({"kind": "NOTIFICATION", "remediationId": id, "occurredAt": on("10:10:09"), "notificationId": "nt-rr-7d1f0c9ab3e2-4be09c11-1",
            "channel": "slack", "status": "sent", "sentAt": on("10:10:09")}),
        json!({"kind": "EFFECTIVENESS", "remediationId": id, "occurredAt": on("10:10:07.500"), "assessmentId": "ea-rr-7d1f0c9ab3e2-4be09c11",
            "actionType": "RestartPod", "traditionalScore": 0.95, "confidence": 0.8, "completedAt": on("10:10:07")}),
    ]
}

#[test]
fn a_remediation_told_both_ways_is_one_story_with_each_fact_once() {
    let envelopes = sequence();
    let alone = fold(&sealed(&envelopes), None).unwrap();
    // Every fifth place of the sequence an audit, and then the other way round.
    let mut mixed = envelopes.clone();
    for (index, audit) in audits().into_iter().enumerate() {
        mixed.insert((index * 5 + 3).min(mixed.len()), audit);
    }
    let reversed: Vec<Value> = mixed.iter().rev().cloned().collect();
    for submissions in [mixed, reversed] {
        let entries = sealed(&submissions);
        let remediation = fold(&entries, None).unwrap();
        assert_eq!(remediation.summary.phases, alone.summary.phases);
        assert_eq!(remediation.summary.bottleneck, Some(PhaseName::ApprovalWait));
        assert_eq!(remediation.summary.approvals.len(), 1);
        assert_eq!(remediation.summary.completeness.contradictions, []);
        let rows = |remediation: &Remediation| {
            remediation.views.iter().map(|row| (row.kind, row.key.clone())).collect::<Vec<_>>()
        };
        assert_eq!(rows(&remediation), rows(&alone));
        let times = |begins: &str| remediation.timeline.iter().filter(|entry| entry.title.starts_with(begins)).count();
        for once in [
            "Signal received",
            "Remediation request created",
            "Investigat",
            "Root cause found",
            "AI analysis completed",
            "Approval requested",
            "Approved",
            "Workflow restart-and-scale 1.2.0 started",
            "Workflow restart-and-scale 1.2.0 succeeded",
            "Remediation found effective",
            "Remediation completed",
            "Slack notification sent",
            "Signal processed",
        ] {
            let wanted = if once == "Investigat" { 3 } else { 1 };
            assert_eq!(times(once), wanted, "{once}\n{}", lines(&remediation.timeline));
        }
        let named: std::collections::HashSet<Uuid> = remediation
            .timeline
            .iter()
            .flat_map(|entry| [entry.event_id].into_iter().chain(entry.also_told_by.clone()))
            .collect();
        assert!(entries.iter().all(|entry| named.contains(&entry.event.event_id)), "an event is told nowhere");
    }
}

#[test]
fn every_type_tells_something_with_a_readable_title() {
    let known: Vec<&str> = crate::audit::kubernaut::TYPES.iter().flat_map(|(_, types)| *types).copied().collect();
    let envelopes = types();
    assert_eq!(envelopes.len(), known.len());
    for envelope in &envelopes {
        let event_type = envelope["event_type"].as_str().unwrap();
        assert!(known.contains(&event_type), "{event_type}");
        let remediation = fold(&sealed([envelope]), None).unwrap();
        let title = &remediation.timeline.first().unwrap_or_else(|| panic!("{event_type} tells nothing")).title;
        let starts_well = title.chars().next().is_some_and(char::is_uppercase);
        assert!(
            starts_well && !title.contains('_') && !title.contains(event_type) && title.contains(' '),
            "{event_type}: {title}"
        );
    }
    // Together they are a few remediations, of whose events none is lost.
    let ids: std::collections::BTreeSet<&str> =
        envelopes.iter().map(|envelope| envelope["correlation_id"].as_str().unwrap()).collect();
    for id in ids {
        let entries = sealed(envelopes.iter().filter(|envelope| envelope["correlation_id"] == *id));
        let remediation = fold(&entries, None).unwrap();
        let named = remediation.timeline.iter().map(|entry| 1 + entry.also_told_by.len()).sum::<usize>();
        assert!(named >= entries.len(), "{id}: {}", lines(&remediation.timeline));
    }
}

/// A small event some seconds into a remediation.
pub fn event(seconds: i64, event_type: &str, outcome: &str, data: Value) -> Value {
    let time = at("2026-05-04T10:00:00Z") + TimeDelta::seconds(seconds);
    let category = event_type.split('.').next().unwrap();
    json!({"event_type": event_type, "event_timestamp": time.to_rfc3339(), "event_category": category, "event_action": "done",
        "event_outcome": outcome, "correlation_id": "rr-1", "event_data": data})
}

fn with_action(mut event: Value, action: &str) -> Value {
    event["event_action"] = action.into();
    event
}

#[test]
fn what_did_not_go_well_is_told_for_what_it_was() {
    let created = event(0, "orchestrator.lifecycle.created", "success", json!({}));
    let end = |data: Value| event(90, "orchestrator.lifecycle.completed", "failure", data);
    let asked = event(20, "orchestrator.approval.requested", "pending", json!({"rar_name": "rar-1"}));
    let refused = event(
        60,
        "orchestrator.approval.rejected",
        "failure",
        json!({"rejected_by": "bob", "rejection_reason": "too risky"}),
    );
    let outcome = |events: &[Value]| fold(&sealed(events), None).unwrap().summary;

    let failed = outcome(&[
        created.clone(),
        end(json!({"failure_phase": "WorkflowExecution", "failure_reason": "InfrastructureError"})),
    ]);
    assert_eq!((failed.phase, failed.outcome), (RemediationPhase::Failed, Some(RemediationOutcome::Failed)));
    let late = outcome(&[created.clone(), end(json!({"failure_phase": "AIAnalysis", "failure_reason": "Timeout"}))]);
    assert_eq!((late.phase, late.outcome), (RemediationPhase::TimedOut, Some(RemediationOutcome::TimedOut)));
    let rejected =
        outcome(&[created.clone(), asked.clone(), refused.clone(), end(json!({"failure_reason": "ApprovalRejected"}))]);
    assert_eq!(rejected.outcome, Some(RemediationOutcome::Rejected));
    assert_eq!(rejected.approvals[0].reason.as_deref(), Some("too risky"));
    let expired = with_action(event(60, "orchestrator.approval.rejected", "failure", json!({})), "expired");
    let expired = outcome(&[created.clone(), asked, expired, end(json!({}))]);
    assert_eq!(
        (expired.outcome, expired.approvals[0].decision.as_str()),
        (Some(RemediationOutcome::Expired), "expired")
    );
    let unverified =
        event(90, "orchestrator.lifecycle.completed", "success", json!({"crd_outcome": "VerificationTimedOut"}));
    assert_eq!(outcome(&[created.clone(), unverified.clone()]).outcome, Some(RemediationOutcome::VerificationTimedOut));
    let cleaned =
        with_action(event(90_000, "orchestrator.lifecycle.completed", "success", json!({})), "retention_cleanup");
    assert_eq!(outcome(&[created.clone(), unverified, cleaned]).duration_ms, 90_000.0);
    let blocked = event(5, "orchestrator.routing.blocked", "pending", json!({"reason": "ResourceBusy"}));
    assert_eq!(outcome(&[created, blocked]).phase, RemediationPhase::Blocked);
}

#[test]
fn an_assessment_is_judged_by_its_components_as_far_as_they_are_known() {
    let component = |seconds: i64, name: &str, score: Value| {
        event(
            seconds,
            &format!("effectiveness.{name}.assessed"),
            "success",
            json!({"component": name, "assessed": true, "score": score}),
        )
    };
    let completed = |reason: &str| {
        event(40, "effectiveness.assessment.completed", "success", json!({"component": "completed", "reason": reason}))
    };
    let verdict = |events: &[Value]| {
        let remediation = fold(&sealed(events), None).unwrap();
        let row = remediation.views.iter().find(|row| row.kind == Kind::Effectiveness).unwrap();
        (remediation.summary.effectiveness, remediation.summary.effective, row.fields.get("traditionalScore").cloned())
    };
    let all =
        [component(10, "health", json!(1)), component(20, "alert", json!(0)), component(30, "metrics", json!(0.5))];
    let with = |last: Value| all.iter().cloned().chain([last]).collect::<Vec<_>>();
    assert_eq!(verdict(&with(completed("Full"))), (Some(0.525), Some(true), Some(json!(0.525))));
    assert_eq!(verdict(&with(completed("SpecDrift"))), (Some(0.0), Some(false), Some(json!(0.0))));
    assert_eq!(verdict(&with(completed("Expired"))), (Some(0.525), None, Some(json!(0.525))));
    assert_eq!(verdict(&[component(10, "health", Value::Null), completed("Partial")]), (None, None, None));
    assert_eq!(verdict(&all), (None, None, None));
}

#[test]
fn an_agent_alone_tells_when_the_analysis_ran() {
    let agent = [
        event(10, "aiagent.session.started", "success", json!({"session_id": "s"})),
        event(
            30,
            "aiagent.rca.complete",
            "success",
            json!({"response_data": {"rootCauseAnalysis": {"summary": "A leak."}, "confidence": 0.8}}),
        ),
        event(40, "aiagent.session.completed", "success", json!({"session_id": "s"})),
    ];
    let remediation = fold(&sealed(&agent), None).unwrap();
    assert_eq!(phase(&remediation, PhaseName::AiAnalysis).duration_ms, 30_000.0);
    assert_eq!(remediation.summary.root_cause.as_ref().unwrap().summary, "A leak.");
    assert_eq!(remediation.views.len(), 1);
    insta::assert_snapshot!(lines(&remediation.timeline), @r"
    10:00:10 AI agent session started
    10:00:30 Root cause found — A leak.; 80 % sure
    10:00:40 AI agent session completed
    ");
}

#[test]
fn no_strange_member_keeps_an_event_from_being_told() {
    let strange =
        [Value::Null, json!(-1), json!(""), json!("x".repeat(5_000)), json!([[1]]), json!({"a": "\u{1}"}), json!(true)];
    for envelope in types() {
        let members: Vec<String> = envelope["event_data"].as_object().unwrap().keys().cloned().collect();
        for (index, member) in members.iter().filter(|member| *member != "event_type").enumerate() {
            let mut envelope = envelope.clone();
            envelope["event_data"][member] = strange[index % strange.len()].clone();
            let remediation = fold(&sealed([&envelope]), None).unwrap();
            assert!(!remediation.timeline.is_empty(), "{envelope}");
        }
    }
}
