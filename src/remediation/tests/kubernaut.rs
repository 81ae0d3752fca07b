//! Remediations that Kubernaut's services tell, alone and together with others.

use super::*;
use crate::audit::event::SealedWords;

fn fixture(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

/// The canonical sequence of one successful remediation, as Kubernaut's services send it.
pub fn sequence() -> Vec<Value> {
    fixture(include_str!("../../../tests/fixtures/kubernaut/sequence.json"))
}

/// One event of every type.
pub fn types() -> Vec<Value> {
    fixture(include_str!("../../../tests/fixtures/kubernaut/types.json"))
}

/// Submissions become entries, recorded in this order: envelopes, and audits with a `kind`.
pub fn sealed<'v>(submissions: impl IntoIterator<Item = &'v Value>) -> Vec<Entry> {
    let start: DateTime<Utc> = at("2026-06-01T00:00:00Z");
    let seal = |(index, submission): (usize, &Value)| {
        let recorded_at = start + TimeDelta::milliseconds(index as i64);
        let Value::Object(mut fields) = submission.clone() else { panic!("a submission is an object") };
        let submission = match fields.remove("kind") {
            Some(kind) => Submission::of_fields(Kind::parse(kind.as_str().unwrap()).unwrap(), fields),
            None => Submission::of_kubernaut(fields),
        };
        let fresh_id = Uuid::from_u64_pair(1, index as u64);
        let context = Context { cluster_id: "eu-prod-1", now: start, namespace: Uuid::nil(), fresh_id };
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
