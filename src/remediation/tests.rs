//! The fold by example. Properties stand in `properties`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{
    fold, known_at,
    model::{Phase, PhaseName, Remediation, RemediationOutcome, RemediationPhase, TimelineEntry},
};
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
    let event =
        Submission { kind, fields }.check(context).unwrap_or_else(|problems| panic!("{submission}: {problems:?}"));
    let number = index as i32 + 1;
    Entry {
        position: Position(number.into()),
        version: Version(number),
        recorded_at,
        recorded_by: None,
        kind_word: kind.word().to_string(),
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
    10:00:10 +68000 Investigated for 1 min 8 s — 2 possible causes: Checkout pods exceed their memory limit after the 09:40 rollout; heap grows with the session cache …
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
