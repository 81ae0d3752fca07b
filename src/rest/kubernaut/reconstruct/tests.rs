//! Resources from trails of every sort.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    check::Validation,
    request::{TooLittle, of},
};
use crate::audit::{Context, Entry, Kind, Position, Submission, Version, event::SealedWords};

/// Submissions, each in the fields of its `kind` or in Kubernaut's envelope, as they would be recorded in this order.
fn recorded(submissions: &[Value]) -> Vec<Entry> {
    let entry = |(index, submission): (usize, &Value)| {
        let mut fields = submission.as_object().unwrap().clone();
        let submission = match fields.remove("kind") {
            Some(kind) => Submission::of_fields(Kind::parse(kind.as_str().unwrap()).unwrap(), fields),
            None => Submission::of_kubernaut(fields),
        };
        let fresh_id = Uuid::from_u128(index as u128 + 1);
        let context = Context { cluster_id: "eu-prod-1", now: now(), fresh_id };
        let event = submission.check(context).unwrap_or_else(|problems| panic!("{problems:?}"));
        let number = index as i32 + 1;
        Entry {
            position: Position(number.into()),
            version: Version(number),
            recorded_at: now() + TimeDelta::seconds(index as i64),
            recorded_by: None,
            words: SealedWords::of(&event),
            digest: event.digest().to_vec(),
            event,
        }
    };
    submissions.iter().enumerate().map(entry).collect()
}

fn now() -> DateTime<Utc> {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn fixture(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn sequence() -> Vec<Value> {
    fixture(include_str!("../../../../docs/examples/kubernaut-sequence.json"))
}

fn worked_example() -> Vec<Value> {
    fixture(include_str!("../../../../tests/fixtures/worked-example.json"))
}

/// What the six audits of the worked example leave open: which signal, and about what.
fn signal() -> Value {
    json!({"kind": "SIGNAL_PROCESSING", "remediationId": "rr-7d1f0c9ab3e2-4be09c11", "occurredAt": "2026-05-04T10:00:05Z",
        "status": "enriching", "severity": "critical",
        "signal": {"name": "KubePodCrashLooping", "source": "prometheus", "summary": "checkout pods restart in a loop",
            "labels": {"alertname": "KubePodCrashLooping", "replicas": 3}},
        "target": {"kind": "Deployment", "namespace": "payments", "name": "checkout"}})
}

fn built(submissions: &[Value]) -> (Value, Validation) {
    of(&recorded(submissions), now()).unwrap()
}

#[test]
fn kubernauts_sequence_becomes_the_resource_that_it_tells() {
    let (request, validation) = built(&sequence());
    insta::assert_snapshot!(serde_saphyr::to_string(&request).unwrap(), @r#"
    apiVersion: remediation.kubernaut.ai/v1alpha1
    kind: RemediationRequest
    metadata:
      annotations:
        kubernaut.ai/correlation-id: rr-7d1f0c9ab3e2-4be09c11
        kubernaut.ai/reconstructed-at: "2026-06-01T00:00:00Z"
        kubernaut.ai/reconstruction-source: audit-trail
      finalizers:
      - kubernaut.ai/audit-retention
      labels:
        app.kubernetes.io/managed-by: kubernaut-datastorage
        kubernaut.ai/correlation-id: rr-7d1f0c9ab3e2-4be09c11
        kubernaut.ai/reconstructed: "true"
      name: rr-reconstructed-rr-7d1f0c9ab3e2-4be09c11-1780272000
      namespace: kubernaut-system
    spec:
      clusterID: eu-prod-1
      providerData: "{\"analysis_preview\":\"Checkout pods exceed their memory limit after the 09:40 roll-out of release 2026.5.1. The heap grows with the session cache: its last start loaded 184,312 entries from the snapshot, and the log says that eviction is off because session.cache.ttl is not set. The request rate is the usual one, so this is a leak and not a load problem. Two of three replicas are unavailable, and customers see failed payments.\",\"incident_id\":\"rr-7d1f0c9ab3e2-4be09c11\",\"needs_human_review\":false,\"selected_workflow_id\":\"e3e833a2-0709-5160-8930-4e30133d4a2b\",\"warnings_count\":1}"
      receivedTime: "2026-05-04T10:00:00Z"
      severity: critical
      signalAnnotations:
        summary: checkout pods restart in a loop
      signalFingerprint: 7d1f0c9ab3e2f4105b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e9f001122
      signalName: KubePodCrashLooping
      signalType: alert
      targetResource:
        kind: Deployment
        name: checkout
        namespace: payments
      targetType: kubernetes
    status:
      aiAnalysisRef:
        kind: AIAnalysis
        name: ai-rr-7d1f0c9ab3e2-4be09c11
        namespace: payments
      completedAt: "2026-05-04T10:10:08Z"
      completionStatus:
        outcome: Remediated
      deduplication:
        firstSeenAt: "2026-05-04T10:00:00Z"
        lastSeenAt: "2026-05-04T10:00:00Z"
        occurrenceCount: 1
      effectivenessAssessmentRef:
        kind: EffectivenessAssessment
        name: ea-rr-7d1f0c9ab3e2-4be09c11
      notificationRequestRefs:
      - kind: NotificationRequest
        name: nt-rr-7d1f0c9ab3e2-4be09c11-1
      overallPhase: Completed
      phaseProgress:
        analyzingStartTime: "2026-05-04T10:00:02.400Z"
        executingStartTime: "2026-05-04T10:04:20.500Z"
        processingStartTime: "2026-05-04T10:00:00.900Z"
      preRemediationSpecHash: sha256:695252f664b93b2375fc1738693a32a19e8c722fe14e81a3d80cc5b85a923da0
      startTime: "2026-05-04T10:00:00.400Z"
      timeoutConfig:
        analyzing: 10m0s
        executing: 30m0s
        global: 1h0m0s
        processing: 5m0s
      workflowSelection:
        confidence: 0.75
        executionRef:
          kind: WorkflowExecution
          name: we-rr-7d1f0c9ab3e2-4be09c11
        remediationTarget:
          kind: Deployment
          name: checkout
          namespace: payments
        selectedWorkflowRef:
          containerImage: >-
            registry.example.com/workflows/restart-and-scale@sha256:1e6ed65d77d6364eeaed5a745ba5c4985ae2b700dd85d7cf7f027bdf294a33fc
          version: "1.2.0"
          workflowId: e3e833a2-0709-5160-8930-4e30133d4a2b
    "#);
    insta::assert_json_snapshot!(validation, @r#"
    {
      "is_valid": true,
      "completeness": 77,
      "errors": [],
      "warnings": [
        "spec.signalLabels is missing: gateway.signal.received would tell it",
        "spec.originalPayload is missing: gateway.signal.received would tell it",
        "spec.firingTime is missing: gateway.signal.received would tell it"
      ]
    }
    "#);
}

#[test]
fn audits_in_our_fields_tell_it_as_well() {
    let audits: Vec<Value> = worked_example().into_iter().chain([signal()]).collect();
    let (request, validation) = built(&audits);
    insta::assert_snapshot!(serde_saphyr::to_string(&request).unwrap(), @r#"
    apiVersion: remediation.kubernaut.ai/v1alpha1
    kind: RemediationRequest
    metadata:
      annotations:
        kubernaut.ai/correlation-id: rr-7d1f0c9ab3e2-4be09c11
        kubernaut.ai/reconstructed-at: "2026-06-01T00:00:00Z"
        kubernaut.ai/reconstruction-source: audit-trail
      finalizers:
      - kubernaut.ai/audit-retention
      labels:
        app.kubernetes.io/managed-by: kubernaut-datastorage
        kubernaut.ai/correlation-id: rr-7d1f0c9ab3e2-4be09c11
        kubernaut.ai/reconstructed: "true"
      name: rr-reconstructed-rr-7d1f0c9ab3e2-4be09c11-1780272000
      namespace: kubernaut-system
    spec:
      clusterID: eu-prod-1
      providerData: "{\"analysis_preview\":\"Checkout pods exceed their memory limit after the 09:40 rollout; heap grows with the session cache …\",\"incident_id\":\"rr-7d1f0c9ab3e2-4be09c11\"}"
      receivedTime: "2026-05-04T10:00:00Z"
      severity: critical
      signalAnnotations:
        summary: checkout pods restart in a loop
      signalFingerprint: 7d1f0c9ab3e2f4105b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e9f001122
      signalLabels:
        alertname: KubePodCrashLooping
        replicas: "3"
      signalName: KubePodCrashLooping
      signalSource: prometheus
      signalType: alert
      targetResource:
        kind: Deployment
        name: checkout
        namespace: payments
      targetType: kubernetes
    status:
      aiAnalysisRef:
        kind: AIAnalysis
        name: ai-rr-7d1f0c9ab3e2-4be09c11
        namespace: kubernaut-system
      completedAt: "2026-05-04T10:05:40Z"
      completionStatus:
        outcome: Remediated
      effectivenessAssessmentRef:
        kind: EffectivenessAssessment
        name: ea-rr-7d1f0c9ab3e2-4be09c11
      notificationRequestRefs:
      - kind: NotificationRequest
        name: nt-rr-7d1f0c9ab3e2-4be09c11-1
      overallPhase: Completed
      phaseProgress:
        analyzingStartTime: "2026-05-04T10:00:10Z"
        executingStartTime: "2026-05-04T10:05:20Z"
        processingStartTime: "2026-05-04T10:00:05Z"
      signalProcessingRef:
        kind: SignalProcessing
        name: sp-rr-7d1f0c9ab3e2-4be09c11
      startTime: "2026-05-04T10:00:05Z"
      workflowSelection:
        confidence: 0.75
        executionRef:
          kind: WorkflowExecution
          name: we-rr-7d1f0c9ab3e2-4be09c11
          namespace: kubernaut-system
        remediationTarget:
          kind: Deployment
          name: checkout
          namespace: payments
        selectedWorkflowRef:
          version: "1.2.0"
          workflowId: restart-and-scale
    "#);
    insta::assert_json_snapshot!(validation, @r#"
    {
      "is_valid": true,
      "completeness": 77,
      "errors": [],
      "warnings": [
        "spec.originalPayload is missing: gateway.signal.received would tell it",
        "status.timeoutConfig is missing: orchestrator.lifecycle.created would tell it",
        "spec.firingTime is missing: gateway.signal.received would tell it"
      ]
    }
    "#);
}

#[test]
fn the_order_of_recording_changes_nothing() {
    let (request, _) = built(&sequence());
    let backwards: Vec<Value> = sequence().into_iter().rev().collect();
    assert_eq!(built(&backwards).0, request);
}

#[test]
fn without_a_beginning_or_with_too_little_there_is_none() {
    assert_eq!(of(&[], now()), Err(TooLittle::Genesis));
    assert_eq!(of(&recorded(&worked_example()), now()), Err(TooLittle::Genesis));
    let Err(TooLittle::Incomplete(validation)) = of(&recorded(&sequence()[..1]), now()) else {
        panic!("should be refused")
    };
    // The name and the type of the signal, and its annotations, of nine.
    assert_eq!((validation.completeness, validation.is_valid), (33, true));
    assert!(
        validation
            .warnings
            .contains(&"status.timeoutConfig is missing: orchestrator.lifecycle.created would tell it".to_string()),
        "{validation:?}"
    );
}

#[test]
fn what_the_webhook_brought_is_kept_as_it_came_and_limits_are_those_in_force() {
    let of_type = |event_type: &str| {
        let types = fixture(include_str!("../../../../tests/fixtures/kubernaut/types.json"));
        let mut sent = types.into_iter().find(|sent| sent["event_type"] == event_type).unwrap();
        sent["correlation_id"] = "rr-7d1f0c9ab3e2-4be09c11".into();
        sent
    };
    let types = [
        "gateway.signal.received",
        "gateway.signal.deduplicated",
        "orchestrator.lifecycle.created",
        "webhook.remediationrequest.timeout_modified",
        "orchestrator.routing.blocked",
        "aianalysis.analysis.completed",
    ];
    let (request, _) = built(&types.map(of_type));
    let payload: Value = serde_json::from_str(request["spec"]["originalPayload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, of_type("gateway.signal.received")["event_data"]["original_payload"]);
    assert_eq!(request["spec"]["firingTime"], "2026-05-04T08:59:30Z");
    assert_eq!(
        request["status"]["timeoutConfig"],
        json!({"global": "2h0m0s", "processing": "5m0s", "analyzing": "10m0s", "executing": "1h0m0s"})
    );
    assert_eq!(
        request["status"]["deduplication"],
        json!({"occurrenceCount": 2, "firstSeenAt": "2026-05-04T09:00:00Z", "lastSeenAt": "2026-05-04T09:00:01Z"})
    );
    assert_eq!(request["status"]["overallPhase"], "Blocked");
    assert_eq!(request["status"]["routingStatus"]["blockReason"], "RecentlyRemediated");
}

#[test]
fn the_yaml_reads_back_to_the_same_structure() {
    let long =
        "a text with a colon: and more than eighty characters, so that it would be folded, with  two spaces ".repeat(3);
    let nasty = [
        "yes",
        "no",
        "on",
        "null",
        "~",
        "",
        " ",
        "0123",
        "1e3",
        "1:30",
        "0x1F",
        "2026-05-04",
        "- a",
        "a: b",
        "#",
        "a #b",
        "'",
        "\"",
        "\\n",
        "a\nb",
        "a\n\n",
        "\n a",
        "\ta",
        "%",
        "@x",
        "`x`",
        "*a",
        "&a",
        "!a",
        "{}",
        "[]",
        "|",
        ">",
        "é 💥",
        "\u{85}",
        "\u{feff}x",
        "\u{2028}",
        "\r\n",
        "\u{1}",
        long.as_str(),
    ];
    let key = "k".repeat(2_000);
    let nasty: Vec<&str> = nasty.into_iter().chain([key.as_str()]).collect();
    let labels: serde_json::Map<String, Value> =
        nasty.iter().map(|text| (text.to_string(), Value::from(*text))).collect();
    let mut submissions = sequence();
    submissions[0]["event_data"]["signal_labels"] = labels.into();
    submissions[0]["event_data"]["original_payload"] = json!({"alerts": [{"text": long, "n": 1.5}], "empty": {}});
    let (request, _) = built(&submissions);

    let yaml = serde_saphyr::to_string(&request).unwrap();
    let read: Value = serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    assert_eq!(read, request, "{yaml}");
    assert_eq!(read["spec"]["signalLabels"].as_object().unwrap().len(), nasty.len());
}
