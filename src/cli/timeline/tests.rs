//! What the tables look like, on one remediation made by hand.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};
use uuid::Uuid;

use super::*;
use crate::{
    audit::{ActorType, Kind, Position, StreamId, Version},
    remediation::model::{
        Actor, Alternative, Contradiction, Interval, Late, Missing, PhaseName, RemediationOutcome, RemediationPhase,
        RootCause, Target,
    },
};

const PLAIN: Look = Look { color: false, width: Some(110) };

fn at(seconds: i64) -> DateTime<Utc> {
    "2026-05-04T10:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

fn phase(name: PhaseName, from: i64, to: Option<i64>, share: Option<f64>) -> Phase {
    let interval = Interval { started_at: at(from), ended_at: to.map(at), waiting: name == PhaseName::ApprovalWait };
    Phase {
        name,
        started_at: at(from),
        ended_at: to.map(at),
        duration_ms: ((to.unwrap_or(340) - from) * 1_000) as f64,
        share,
        intervals: vec![interval],
    }
}

fn entry(seconds: i64, service: Kind, title: &str) -> TimelineEntry {
    TimelineEntry {
        event_id: Uuid::nil(),
        index: 0,
        position: Position(1),
        at: at(seconds),
        until: None,
        offset_ms: (seconds * 1_000) as f64,
        duration_ms: None,
        service,
        phase: None,
        title: title.to_string(),
        detail: None,
        decision: None,
        also_told_by: Vec::new(),
        recorded_late_by_ms: None,
    }
}

fn approved() -> TimelineEntry {
    let by = Actor {
        actor_type: ActorType::User,
        id: "u-7".to_string(),
        display_name: Some("Ada".to_string()),
        on_behalf_of: None,
    };
    let alternative = Alternative {
        option: "restart the pods".to_string(),
        confidence: Some(0.4),
        rejected_because: Some("the limit would be hit again".to_string()),
    };
    let decision = Decision {
        question: "May the workflow run?".to_string(),
        chosen: "approved".to_string(),
        by: Some(by),
        rationale: Some("traffic is low".to_string()),
        confidence: None,
        alternatives: vec![alternative],
    };
    let entry = entry(260, Kind::AiAnalysis, "Approval given");
    TimelineEntry { decision: Some(decision), duration_ms: Some(165_000.0), ..entry }
}

fn remediation() -> Remediation {
    let stream = StreamId { cluster_id: "eu-prod-1".to_string(), remediation_id: "rr-1".to_string() };
    let approval = Approval {
        requested_at: Some(at(95)),
        required_by: None,
        decided_at: Some(at(260)),
        decision: "approved".to_string(),
        decided_by: Some("ada".to_string()),
        via: Some("slack".to_string()),
        reason: Some("traffic is low".to_string()),
        wait_ms: Some(165_000.0),
        event_id: Uuid::nil(),
    };
    let completeness = Completeness {
        score: 0.875,
        missing: vec![Missing { service: Kind::Effectiveness, what: "an assessment".to_string() }],
        late: vec![Late { event_id: Uuid::nil(), by_ms: 90_000.0 }],
        contradictions: vec![Contradiction { what: "approved twice".to_string(), event_ids: vec![] }],
    };
    let signal = json!({"name": "KubePodOOMKilled"}).as_object().cloned();
    let cause = "memory limit \u{1b}[2J too low".to_string();
    let summary = Summary {
        stream,
        phase: RemediationPhase::Completed,
        outcome: Some(RemediationOutcome::Remediated),
        effective: Some(true),
        effectiveness: Some(0.9),
        signal,
        environment: Some("production".to_string()),
        severity: Some("critical".to_string()),
        target: Some(Target {
            kind: "Deployment".to_string(),
            namespace: Some("payments".to_string()),
            name: "api".to_string(),
        }),
        root_cause: Some(RootCause { summary: cause, confidence: Some(0.92), event_id: Uuid::nil() }),
        model: None,
        confidence: None,
        spec_hash_before: None,
        spec_hash_after: None,
        action_types: vec![],
        workflow_names: vec![],
        started_at: at(0),
        completed_at: Some(at(340)),
        settled_at: None,
        duration_ms: 340_000.0,
        unaccounted_ms: 5_000.0,
        phases: vec![
            phase(PhaseName::Intake, 0, Some(5), Some(0.015)),
            phase(PhaseName::AiAnalysis, 10, Some(95), Some(0.25)),
            phase(PhaseName::ApprovalWait, 95, Some(260), Some(0.485)),
            phase(PhaseName::Notification, 345, Some(346), None),
        ],
        bottleneck: Some(PhaseName::ApprovalWait),
        approvals: vec![approval],
        completeness,
        events: 6,
        last_position: Position(6),
        last_version: Version(6),
    };
    let detail = "Pod api-7 was killed\nthree times";
    let signal_seen =
        TimelineEntry { detail: Some(detail.to_string()), ..entry(0, Kind::SignalProcessing, "Signal received") };
    let late =
        TimelineEntry { recorded_late_by_ms: Some(90_000.0), ..entry(345, Kind::Notification, "Told #payments") };
    Remediation { summary, timeline: vec![signal_seen, approved(), late], views: vec![], assessment: None }
}

#[test]
fn a_remediation_reads_from_what_it_is_to_what_is_missing() {
    insta::assert_snapshot!(text(&remediation(), PLAIN), @r"
    rr-1 in cluster eu-prod-1
    COMPLETED · REMEDIATED · effective
    KubePodOOMKilled · critical · production · Deployment payments/api
    cause: memory limit [2J too low (92 %)
    2026-05-04 10:00:00Z to 2026-05-04 10:05:40Z, 5 m 40 s; longest was APPROVAL_WAIT (2 m 45 s, 48.5 %)

    Phases
     PHASE           FROM      TOOK   SHARE
     INTAKE         +0:00       5 s   1.5 %  █
     AI_ANALYSIS    +0:10  1 m 25 s    25 %  ██████
     APPROVAL_WAIT  +1:35  2 m 45 s  48.5 %  ████████████ longest
     NOTIFICATION   +5:45       1 s           after the end
     no phase                   5 s

    Approvals
     ASKED                 DECISION  BY               WAITED  REASON
     2026-05-04 10:01:35Z  approved  ada via slack  2 m 45 s  traffic is low

    Timeline
        AT      TOOK  SERVICE            WHAT
     +0:00            SIGNAL_PROCESSING  · Signal received
                                           Pod api-7 was killed three times
     +4:20  2 m 45 s  AI_ANALYSIS        ◆ Approval given
                                           May the workflow run? approved by Ada
                                           because traffic is low
                                           instead of restart the pods (40 %): the limit would be hit again
     +5:45            NOTIFICATION       · Told #payments
                                           recorded 1 m 30 s late

    Complete 87.5 %
      missing from EFFECTIVENESS: an assessment
      contradiction: approved twice
      recorded late: 1, by up to 1 m 30 s
    ");
}

#[test]
fn one_that_is_not_over_says_so() {
    let mut remediation = remediation();
    remediation.summary.completed_at = None;
    remediation.summary.phase = RemediationPhase::ApprovalWait;
    remediation.summary.outcome = None;
    remediation.summary.effective = None;
    remediation.summary.phases = vec![phase(PhaseName::ApprovalWait, 95, None, Some(0.72))];
    remediation.summary.approvals.clear();
    remediation.timeline.clear();
    insta::assert_snapshot!(text(&remediation, PLAIN), @r"
    rr-1 in cluster eu-prod-1
    APPROVAL_WAIT
    KubePodOOMKilled · critical · production · Deployment payments/api
    cause: memory limit [2J too low (92 %)
    since 2026-05-04 10:00:00Z, 5 m 40 s so far; longest was APPROVAL_WAIT (4 m 5 s, 72 %)

    Phases
     PHASE           FROM            TOOK  SHARE
     APPROVAL_WAIT  +1:35  4 m 5 s so far   72 %  ██████████████████ longest
     no phase                         5 s

    Timeline
     AT  TOOK  SERVICE  WHAT

    Complete 87.5 %
      missing from EFFECTIVENESS: an assessment
      contradiction: approved twice
      recorded late: 1, by up to 1 m 30 s
    ");
}

#[test]
fn colours_are_there_only_where_they_are_on_and_nothing_recorded_commands_the_terminal() {
    assert!(!text(&remediation(), PLAIN).contains('\u{1b}'));
    let colored = text(&remediation(), Look { color: true, ..PLAIN });
    assert!(colored.contains("\u{1b}[") && !colored.contains("\u{1b}[2J"));
}

#[test]
fn the_json_has_the_names_and_words_of_graphql() {
    let json = json(&remediation());
    assert_eq!(json["bottleneck"]["name"], "APPROVAL_WAIT");
    assert_eq!(json["bottleneck"]["durationMs"], 165_000.0);
    assert_eq!(json["approvals"][0]["decision"], "APPROVED");
    assert_eq!(json["timeline"][1]["decision"]["by"]["type"], "USER");
    assert_eq!(json["timeline"][1]["at"], "2026-05-04T10:04:20Z");
    assert_eq!(json["completeness"]["missing"][0]["service"], "EFFECTIVENESS");
    assert_eq!(json["signal"], json!(Map::from_iter([("name".to_string(), json!("KubePodOOMKilled"))])));
}
