//! Bodies of columns by example, and beside the same audit in GraphQL's form.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::audit::{
    Event, Kind, Outcome, Problem, Submission,
    check::tests::context,
    event::differences,
    fields::{Column, KindTable, Need, Shape},
};

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("a body is an object") };
    map
}

fn check(kind: Kind, columns: Value) -> Result<Event, Vec<Problem>> {
    Submission::of_columns(kind, map(columns)).check(context())
}

fn check_fields(kind: Kind, fields: Value) -> Result<Event, Vec<Problem>> {
    Submission::of_fields(kind, map(fields)).check(context())
}

fn told(kind: Kind, columns: Value) -> String {
    let problems = check(kind, columns).expect_err("should be refused");
    let line = |p: &Problem| format!("{} {}: {}", p.path.join("/"), p.code, p.message);
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn told_first(kind: Kind, columns: Value) -> String {
    told(kind, columns).lines().next().unwrap().to_string()
}

fn with(mut body: Value, members: Value) -> Value {
    for (name, value) in map(members) {
        body[name] = value;
    }
    body
}

fn completed() -> Value {
    json!({"remediation_name": "rr-1", "overall_phase": "completed", "start_time": "2026-05-04T10:00:05Z",
           "completion_time": "2026-05-04T10:05:40Z"})
}

fn written(kind: Kind, columns: Value) -> Value {
    Value::Object(check(kind, columns).unwrap().payload.fields().to_map())
}

/// The bodies of the six endpoints, in the order of `worked-example.json`.
fn seeds() -> [(Kind, Value); 6] {
    [
        (Kind::Orchestration, include_str!("../../../../docs/examples/orchestration.json")),
        (Kind::SignalProcessing, include_str!("../../../../docs/examples/signal-processing.json")),
        (Kind::AiAnalysis, include_str!("../../../../docs/examples/ai-decisions.json")),
        (Kind::WorkflowExecution, include_str!("../../../../docs/examples/executions.json")),
        (Kind::Notification, include_str!("../../../../docs/examples/notifications.json")),
        (Kind::Effectiveness, include_str!("../../../../docs/examples/effectiveness.json")),
    ]
    .map(|(kind, text)| (kind, serde_json::from_str(text).unwrap()))
}

#[test]
fn the_six_bodies_of_columns_are_the_audits_of_the_worked_example() {
    let example = include_str!("../../../../tests/fixtures/worked-example.json");
    let example: Vec<Value> = serde_json::from_str(example).unwrap();
    for ((kind, body), mut fields) in seeds().into_iter().zip(example) {
        assert_eq!(fields["kind"], kind.word());
        fields.as_object_mut().unwrap().remove("kind");
        let sent = check(kind, body).unwrap_or_else(|problems| panic!("{kind:?}: {problems:#?}"));
        let same = check_fields(kind, fields).unwrap();
        assert_eq!(differences(&sent, &same), Vec::<String>::new(), "{kind:?}");
        assert_eq!(sent.canonical(), same.canonical());
        assert_eq!(sent.content_digest, same.content_digest);
    }
}

#[test]
fn problems_name_what_the_submitter_wrote_and_columns_for_what_is_missing() {
    let body = json!({
        "start_time": "2026-05-04T10:05:40", "completionTime": "soon", "overallPhase": "done", "duplicate_count": -1,
        "services_invoked": ["a", 7], "service_crd_statuses": [{"ai_analysis": {}}], "failure_reason": ["x"],
        "service_transitions": [{"from": "a", "to": "b"}, {"to": "c", "duration": "soon"}], "alert_fingerprint": 7,
    });
    insta::assert_snapshot!(told(Kind::Orchestration, body), @r"
    remediation_name REQUIRED: `remediation_name` is required
    overallPhase UNKNOWN_WORD: `overallPhase` is `done`; allowed are pending, processing, analyzing, awaiting_approval, executing, verifying, blocked, completed, failed, timed_out, skipped, cancelled
    start_time MALFORMED: `start_time` has no zone; in UTC it is 2026-05-04T10:05:40Z
    completionTime MALFORMED: `completionTime` must be a time as in RFC 3339, such as 2026-05-04T10:00:00Z
    service_crd_statuses WRONG_TYPE: `service_crd_statuses` must be an object
    failure_reason WRONG_TYPE: `failure_reason` must be a string
    duplicate_count OUT_OF_RANGE: `duplicate_count` must be a whole number from 0 to 2147483647
    services_invoked/1 WRONG_TYPE: `services_invoked` must be a string
    service_transitions/1/from REQUIRED: `from` is required
    service_transitions/1/duration MALFORMED: `duration` must be a duration: nanoseconds as a number, or a text as Go writes durations, such as `4m0s`
    alert_fingerprint WRONG_TYPE: `alert_fingerprint` must be a string
    ");
    let body = json!({"remediation_id": "rr", "status": "completed", "total_steps": 1, "steps_completed": 1,
        "stepsFailed": 1, "execution_started_at": "2026-05-04T10:05:40Z", "completed_at": "2026-05-04T10:05:39Z"});
    insta::assert_snapshot!(told(Kind::WorkflowExecution, body), @r"
    completed_at ORDER: `completed_at` is before `execution_started_at`
    workflow_name REQUIRED: `workflow_name` is required when `status` is completed
    workflow_version REQUIRED: `workflow_version` is required when `status` is completed
    outcome REQUIRED: `outcome` is required when `status` is completed
    steps_completed OUT_OF_RANGE: `steps_completed` and `stepsFailed` are 2 together, more than `total_steps` (1)
    ");
}

#[test]
fn two_spellings_of_one_field_are_refused_but_two_columns_that_say_the_same_are_not() {
    let doubled = with(completed(), json!({"overallPhase": "completed", "remediation_id": "rr-2"}));
    insta::assert_snapshot!(told(Kind::Orchestration, doubled), @r"
    overall_phase DOUBLED_NAME: `overallPhase` and `overall_phase` are one field; send one of them
    remediation_name DOUBLED_NAME: `remediation_id` and `remediation_name` are one field; send one of them
    ");
    let nested = with(
        completed(),
        json!({"service_transitions": [{"from": "a", "to": "b", "duration": 5, "durationMs": 5}],
        "alert_fingerprint": "a", "signal_fingerprint": "b"}),
    );
    insta::assert_snapshot!(told(Kind::Orchestration, nested), @r"
    signal_fingerprint DOUBLED_NAME: `alert_fingerprint` and `signal_fingerprint` are one field; send one of them
    service_transitions/0/durationMs DOUBLED_NAME: `duration` and `durationMs` are one field; send one of them
    ");
    let both =
        json!({"remediation_id": "rr-1", "alert_fingerprint": "a", "signal_fingerprint": "a", "startTime": null});
    let event = check(Kind::Orchestration, with(completed(), both)).unwrap();
    assert_eq!(event.stream.remediation_id, "rr-1");
    assert_eq!(event.payload.fields().to_map()["signal"], json!({"fingerprint": "a"}));
    assert_eq!(event.payload.fields().to_map()["startTime"], "2026-05-04T10:00:05Z");
}

#[test]
fn durations_are_read_in_the_unit_of_their_spelling() {
    let body = with(
        completed(),
        json!({
            "total_duration_seconds": 1.005, "bottleneckDurationMs": 165.5, "hash_compute_delay": "4m0s",
            "alert_check_delay": "1.005s", "gitops_sync_delay_ms": 20, "confidence_str": "0.72",
            "timeout_config": {"global": "1h0m0s", "processingMs": 7},
            "service_transitions": [{"from": "a", "to": "b", "duration": 1500000000_i64},
                {"from": "a", "to": "b", "duration": "2m30s"}, {"from": "a", "to": "b", "duration_ms": 4}],
        }),
    );
    let told = written(Kind::Orchestration, body);
    assert_eq!(told["totalDurationMs"], 1005);
    assert_eq!(told["bottleneckDurationMs"], 165.5);
    assert_eq!(told["hashComputeDelayMs"], 240_000);
    assert_eq!(told["alertCheckDelayMs"], 1005);
    assert_eq!(told["gitopsSyncDelayMs"], 20);
    assert_eq!(told["approvalConfidence"], 0.72);
    assert_eq!(told["timeoutConfig"], json!({"globalMs": 3_600_000, "processingMs": 7}));
    let transitions = told["serviceTransitions"].as_array().unwrap();
    assert_eq!(
        transitions.iter().map(|t| t["durationMs"].as_i64()).collect::<Vec<_>>(),
        [Some(1500), Some(150_000), Some(4)]
    );
}

#[test]
fn durations_that_are_none_are_refused_in_the_words_of_their_unit() {
    let body = with(
        completed(),
        json!({
            "total_duration_seconds": -1, "bottleneck_duration_seconds": "340", "hash_compute_delay": 240,
            "alert_check_delay": "4 minutes", "gitops_sync_delay": "99999999999h", "operator_reconcile_delay": "-5s",
            "confidence_str": "high", "timeout_config": {"global": true},
            "service_transitions": [{"from": "a", "to": "b", "duration": -1}, {"from": "a", "to": "b", "duration": "inf"}],
        }),
    );
    insta::assert_snapshot!(told(Kind::Orchestration, body), @r"
    service_transitions/0/duration OUT_OF_RANGE: `duration` must be a duration from 0 to 1000000000000 seconds
    service_transitions/1/duration MALFORMED: `duration` must be a duration: nanoseconds as a number, or a text as Go writes durations, such as `4m0s`
    total_duration_seconds OUT_OF_RANGE: `total_duration_seconds` must be a duration from 0 to 1000000000000 seconds
    bottleneck_duration_seconds WRONG_TYPE: `bottleneck_duration_seconds` must be a duration in seconds, as a number
    confidence_str MALFORMED: `confidence_str` must be a number as a text, such as `0.72`
    timeout_config/global WRONG_TYPE: `global` must be a duration as Go writes it, such as `4m0s`
    hash_compute_delay WRONG_TYPE: `hash_compute_delay` must be a duration as Go writes it, such as `4m0s`
    alert_check_delay MALFORMED: `alert_check_delay` must be a duration as Go writes it, such as `4m0s`
    gitops_sync_delay OUT_OF_RANGE: `gitops_sync_delay` must be a duration from 0 to 1000000000000 seconds
    operator_reconcile_delay MALFORMED: `operator_reconcile_delay` must be a duration as Go writes it, such as `4m0s`
    ");
    for wrong in [
        json!("inf"),
        json!("NaN"),
        json!(""),
        json!("0.7.2"),
        json!("0.12345678901234567890123"),
        json!("1.5"),
        json!([]),
    ] {
        let lines = told(Kind::Orchestration, with(completed(), json!({"confidence_str": wrong})));
        assert!(lines.starts_with("confidence_str "), "{wrong}: {lines}");
    }
}

#[test]
fn a_target_is_an_object_or_a_text_as_kubernetes_tools_write_it() {
    let target = |more: Value| written(Kind::Orchestration, with(completed(), more))["target"].clone();
    let object = json!({"namespace": "shop", "kind": "Deployment", "name": "checkout"});
    assert_eq!(target(json!({"target_resource": "shop/Deployment/checkout"})), object);
    assert_eq!(target(json!({"target": "Node/worker-1"})), json!({"kind": "Node", "name": "worker-1"}));
    assert_eq!(target(json!({"target": object})), object);
    for wrong in ["checkout", "a/b/c/d", "shop//checkout", "/Deployment/checkout", ""] {
        let lines = told(Kind::Orchestration, with(completed(), json!({"target_resource": wrong})));
        assert_eq!(
            lines,
            "target_resource MALFORMED: `target_resource` must be an object, or a text such as `shop/Deployment/checkout` or \
             `Node/worker-1`"
        );
    }
}

#[test]
fn a_column_that_two_fields_claim_goes_to_the_one_that_holds_such_a_value() {
    let text = written(Kind::Orchestration, with(completed(), json!({"decision": "Approved"})));
    assert_eq!(text["approvalDecision"], "approved");
    let object = json!({"decision": {"point": "route?", "chosen": "yes", "options": [{"name": "x", "taken": true}]}});
    let object = written(Kind::Orchestration, with(completed(), object));
    assert_eq!(object["decision"]["point"], "route?");
    let execution = json!({"remediation_id": "rr", "status": "running", "execution_started_at": "2026-05-04T10:05:40Z",
        "outcome": "partial", "event_outcome": "Failed"});
    let event = check(Kind::WorkflowExecution, execution).unwrap();
    assert_eq!(event.payload.fields().to_map()["executionOutcome"], "partial");
    assert_eq!(event.outcome, Some(Outcome::Failure));
}

#[test]
fn what_columns_tell_of_the_signal_goes_there_and_never_over_what_it_tells_itself() {
    let body = with(completed(), json!({"alert_fingerprint": "sha256:abc", "signal_name": "KubePodCrashLooping"}));
    assert_eq!(
        written(Kind::Orchestration, body)["signal"],
        json!({"fingerprint": "sha256:abc", "name": "KubePodCrashLooping"})
    );
    let body =
        with(completed(), json!({"alert_fingerprint": "b", "signal": {"fingerprint": "a", "source": "prometheus"}}));
    let told = written(Kind::Orchestration, body);
    assert_eq!(told["signal"], json!({"fingerprint": "a", "source": "prometheus"}));
    assert_eq!(told["details"], json!({"alert_fingerprint": "b"}));
    let body = json!({"alert_fingerprint": "b", "signal": {"fingerprint": "a"}, "details": {"alert_fingerprint": "c"}});
    assert_eq!(
        told_first(Kind::Orchestration, with(completed(), body)),
        "alert_fingerprint DOUBLED_NAME: `details.alert_fingerprint` and `alert_fingerprint` are one field; send one of them"
    );
}

#[test]
fn a_body_without_occurred_at_happened_at_the_latest_time_that_it_tells() {
    let occurred = |kind, body| time_text(check(kind, body).unwrap().occurred_at);
    let later = with(
        completed(),
        json!({
            "required_by": "2026-05-04T11:00:00Z", "retention_expiry_time": "2027-05-05T10:00:00Z",
            "service_transitions": [{"from": "a", "to": "b", "at": "2026-05-04T12:06:00.5+02:00"}],
        }),
    );
    assert_eq!(occurred(Kind::Orchestration, later.clone()), "2026-05-04T10:06:00.500Z");
    let said = with(later, json!({"occurred_at": "2026-05-04T10:00:00Z"}));
    assert_eq!(occurred(Kind::Orchestration, said), "2026-05-04T10:00:00Z");
}

#[test]
fn a_body_that_tells_no_time_that_has_been_is_refused_with_what_to_send() {
    let scheduled = json!({"assessment_id": "ea", "remediation_id": "rr", "status": "scheduled",
        "validity_deadline": "2026-05-04T10:30:00Z", "prometheus_check_after": "2026-05-04T10:10:00Z",
        "alertmanager_check_after": "2026-05-04T10:10:00Z", "hash_compute_after": "2026-05-04T10:10:00Z",
        "details": {"at": "2026-05-04T10:00:00Z"}});
    let refused = |more: Value| told(Kind::Effectiveness, with(scheduled.clone(), more));
    assert_eq!(
        refused(json!({})),
        "occurred_at REQUIRED: `occurred_at` is required, because no other field tells a time of what has been; send it as \
         in RFC 3339, such as 2026-05-04T10:00:00Z"
    );
    assert_eq!(
        refused(json!({"completedAt": "2027-01-01T00:00:00Z"})),
        "completedAt FUTURE: `completedAt` is 2027-01-01T00:00:00Z, more than 5 minutes ahead of the server's clock \
         (2026-05-04T12:00:00Z); without `occurred_at` an audit is taken to have happened at the latest time that it tells"
    );
    assert_eq!(
        refused(json!({"occurred_at": "2027-01-01T00:00:00Z"})),
        "occurred_at FUTURE: `occurred_at` is 2027-01-01T00:00:00Z, more than 5 minutes ahead of the server's clock \
         (2026-05-04T12:00:00Z)"
    );
    // Where the one time is none, that is what is wrong.
    assert_eq!(
        refused(json!({"completed_at": "2026-05-04"})),
        "completed_at MALFORMED: `completed_at` must be a time as in RFC 3339, such as 2026-05-04T10:00:00Z"
    );
}

#[test]
fn what_no_field_is_called_is_kept_in_details_as_it_was_spelled() {
    let embedding: Vec<f64> = (0..1536).map(|n| f64::from(n as f32 / 1537.0)).collect();
    let body = json!({"remediation_id": "rr", "completion_status": "pending", "analysis_start": "2026-05-04T10:00:00Z",
        "confidence": 0.75, "embedding": embedding, "incident_id": 7, "recommendations": [{"action": "a", "extra_word": 1}]});
    let told = written(Kind::AiAnalysis, body);
    assert_eq!(told["confidenceScore"], 0.75);
    assert_eq!(told["details"]["embedding"].as_array().unwrap().len(), 1536);
    assert_eq!(told["details"]["incident_id"], 7);
    assert_eq!(told["recommendations"], json!([{"action": "a", "extra_word": 1}]));
}

#[test]
fn the_common_fields_have_columns_too() {
    let body = with(
        completed(),
        json!({
            "event_id": Uuid::from_u128(9).to_string(), "occurred_at": "2026-05-04T10:05:41Z", "cluster_id": "eu",
            "event_type": "orchestration.done", "outcome": "success", "parent_event_id": Uuid::from_u128(8).to_string(),
            "actor": {"type": "service", "id": "ro", "display_name": "RO"}, "environment": "production", "severity": "High",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "details": {"k": 1},
            "target": {"kind": "Pod", "name": "p", "namespace": "n"},
        }),
    );
    let event = check(Kind::Orchestration, body).unwrap();
    assert_eq!((event.event_id, event.parent_event_id), (Uuid::from_u128(9), Some(Uuid::from_u128(8))));
    assert_eq!(event.stream.to_string(), "eu/rr-1");
    assert_eq!((event.event_type.as_str(), event.outcome), ("orchestration.done", Some(Outcome::Success)));
    assert_eq!(event.actor_id.as_deref(), Some("ro"));
    assert_eq!(event.span_id.as_deref(), Some("b7ad6b7169203331"));
    let told = event.payload.fields().to_map();
    assert_eq!(told["actor"], json!({"displayName": "RO"}));
    assert_eq!((&told["severity"], &told["environment"]), (&json!("high"), &json!("production")));
    assert_eq!((&told["details"], &told["target"]["namespace"]), (&json!({"k": 1}), &json!("n")));
}

/// A typed submission in both forms: as GraphQL has it, and with each field spelled in one of its ways.
fn both_forms() -> impl Strategy<Value = (Kind, Value, Value)> {
    prop::sample::select(Kind::ALL.to_vec()).prop_flat_map(|kind| {
        prop::collection::vec(any::<u64>(), 600).prop_map(move |entropy| {
            let mut dice = Dice(entropy.into_iter());
            let (fields, columns) = dice.object(&KindTable::of(kind).columns());
            (kind, fields, columns)
        })
    })
}

struct Dice(std::vec::IntoIter<u64>);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0.next().unwrap_or(0) % sides
    }

    /// An object in GraphQL's form and in that of columns, with the fields that are needed and some others.
    fn object(&mut self, columns: &[Column]) -> (Value, Value) {
        let (mut fields, mut body) = (json!({}), json!({}));
        for column in columns {
            let optional = column.field.need == Need::Optional;
            if ["signal", "signal_name"].contains(&column.name.as_str()) || (optional && self.roll(3) > 0) {
                continue;
            }
            if column.name == "alert_fingerprint" {
                fields["signal"] = json!({"fingerprint": "sha256:7d1f"});
                body["alert_fingerprint"] = json!("sha256:7d1f");
                continue;
            }
            let (value, told) = self.value(column);
            let (spelling, told) = match self.roll(3) {
                0 if unambiguous(column) => (column.field.name.to_string(), told.0),
                _ => (column.name.clone(), told.1),
            };
            fields[column.field.name] = value;
            body[spelling] = told;
        }
        (fields, body)
    }

    /// A value as GraphQL has it, and as it stands under GraphQL's name and under the column in a body.
    fn value(&mut self, column: &Column) -> (Value, (Value, Value)) {
        let plain = |value: Value| (value.clone(), (value.clone(), value));
        let share = json!(self.roll(101) as f64 / 100.0);
        match column.field.shape {
            Shape::Ms => {
                let us = self.roll(10_000_000_000);
                let number = |exponent: i32| -> Value { serde_json::from_str(&format!("{us}e{exponent}")).unwrap() };
                let told = match column.unit {
                    Unit::Plain | Unit::NumberText | Unit::Resource => number(-3),
                    Unit::Seconds => number(-6),
                    Unit::Nanoseconds if self.roll(2) == 0 => json!(us * 1000),
                    Unit::Nanoseconds | Unit::GoDuration => json!(format!("{us}us")),
                };
                (number(-3), (number(-3), told))
            }
            Shape::Score if column.unit == Unit::NumberText => {
                (share.clone(), (share.clone(), json!(share.to_string())))
            }
            Shape::Score | Shape::Impact => plain(share),
            Shape::Name if column.field.name == "traceparent" => {
                plain(json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
            }
            Shape::Name | Shape::Line | Shape::Text => plain(json!(format!("text {}", self.roll(9)))),
            Shape::Word(words) => plain(json!(words.words[self.roll(words.words.len() as u64) as usize].0)),
            Shape::WordList(words) => plain(json!([words.words[0].0])),
            Shape::Count | Shape::Int => plain(json!(self.roll(5))),
            Shape::Bool => plain(json!(self.roll(2) == 0)),
            Shape::Time => plain(json!(format!("2026-05-04T10:{:02}:{:02}.5+01:00", self.roll(60), self.roll(60)))),
            Shape::Uuid => plain(json!(Uuid::from_u128(self.roll(1 << 60).into()).to_string())),
            Shape::Json => plain(json!({"start_time": 1, "n": [1.5, null]})),
            Shape::Names | Shape::Lines => plain(json!(["a", "b"])),
            Shape::Object(table) => {
                let (value, told) = self.object(&table.columns());
                (value, (told.clone(), told))
            }
            Shape::Objects(table) => {
                let (values, told): (Vec<_>, Vec<_>) = (0..self.roll(3)).map(|_| self.object(&table.columns())).unzip();
                (json!(values), (json!(told), json!(told)))
            }
        }
    }
}

/// Whether the field's name in GraphQL means nothing but the field in a body of columns too.
fn unambiguous(column: &Column) -> bool {
    !["outcome", "decision"].contains(&column.field.name)
}

proptest! {
    #[test]
    fn an_audit_written_as_columns_is_the_audit_that_graphql_has((kind, fields, columns) in both_forms()) {
        let (sent, same) = (check(kind, columns), check_fields(kind, fields));
        match (sent, same) {
            (Ok(sent), Ok(same)) => {
                prop_assert_eq!(sent.canonical(), same.canonical());
                prop_assert_eq!(sent.content_digest, same.content_digest);
            }
            (Err(sent), Err(same)) => {
                let codes = |problems: &[Problem]| problems.iter().map(|p| p.code).collect::<Vec<_>>();
                prop_assert_eq!(codes(&sent), codes(&same));
            }
            (sent, same) => prop_assert!(false, "columns: {:#?}\nfields: {:#?}", sent, same),
        }
    }
}
