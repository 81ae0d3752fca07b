//! The checks by example and by property.

use super::*;
use proptest::prelude::*;
use serde_json::json;

use crate::audit::{event::Payload, kind::Outcome};

fn check(kind: Kind, fields: Value) -> Result<Event, Vec<Problem>> {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    Submission::of_fields(kind, fields).check(context())
}

pub(super) fn context() -> Context<'static> {
    let now = "2026-05-04T12:00:00Z".parse().unwrap();
    Context { cluster_id: "default", now, fresh_id: Uuid::from_u128(7) }
}

fn delivered() -> Value {
    json!({"remediationId": "rr-1", "occurredAt": "2026-05-04T10:05:40Z", "notificationId": "nt-1",
           "channel": "Slack", "status": "DELIVERED", "recipientCount": 2})
}

fn with(mut fields: Value, name: &str, value: Value) -> Value {
    fields[name] = value;
    fields
}

fn told(kind: Kind, fields: Value) -> Vec<String> {
    let problems = check(kind, fields).expect_err("should be refused");
    problems.into_iter().map(|p| format!("{} {}", p.path.join("."), p.code)).collect()
}

#[test]
fn a_good_submission_becomes_an_event_with_defaults_and_normal_words() {
    let event = check(Kind::Notification, delivered()).unwrap();
    assert_eq!(event.event_type, "notification.delivered");
    assert_eq!(event.outcome, Some(Outcome::Success));
    assert_eq!(event.category, "notification");
    assert_eq!(event.event_id, Uuid::from_u128(7));
    assert_eq!(event.stream.cluster_id, "default");
    assert_eq!(
        event.payload.text(),
        r#"{"channel":"slack","notificationId":"nt-1","recipientCount":2,"status":"delivered"}"#
    );
}

#[test]
fn the_digest_is_of_what_was_given_and_the_payload_has_what_the_envelope_leaves() {
    let own = json!({"assessmentId": "ea-1", "actionType": "restart", "traditionalScore": 0.5, "confidence": 0.5,
        "completedAt": "2026-05-04T10:05:40Z", "details": {"\u{fb33}": 1, "\u{1F600}": 2}});
    let mut given = with(own.clone(), "actor", json!({"type": "user", "id": "alice", "displayName": "Alice"}));
    given["remediationId"] = "rr-1".into();
    given["occurredAt"] = "2026-05-04T10:05:40Z".into();

    let event = check(Kind::Effectiveness, with(given.clone(), "eventId", json!(Uuid::nil().to_string()))).unwrap();

    let left = with(with(own, "actor", json!({"displayName": "Alice"})), "status", json!("assessed"));
    assert_eq!(event.payload.text(), canonical::text(&left));
    given["clusterId"] = "default".into();
    given["kind"] = "EFFECTIVENESS".into();
    assert_eq!(event.content_digest, canonical::digest(&canonical::text(&given)));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_path() {
    let refused = told(
        Kind::WorkflowExecution,
        json!({"remediationId": " ", "occurredAt": "2027-05-04T10:05:40Z", "status": "done", "workflowName": "",
               "totalSteps": 1, "stepsCompleted": 1, "stepsFailed": 1, "effectivenessScore": 1.5, "totalDurationMs": -1,
               "executionStartedAt": "2026-05-04T10:05:40Z", "completedAt": "2026-05-04T10:05:39Z",
               "stepExecutions": [{"stepNumber": 1, "action": "x"}, {"stepNumber": "two"}],
               "signal": {"name": 7}, "traceparent": "00-1", "eventId": "x", "details": []}),
    );
    insta::assert_snapshot!(refused.join("\n"), @r"
    remediationId EMPTY
    eventId MALFORMED
    signal.name WRONG_TYPE
    status UNKNOWN_WORD
    workflowName EMPTY
    totalDurationMs OUT_OF_RANGE
    effectivenessScore OUT_OF_RANGE
    stepExecutions.1.stepNumber WRONG_TYPE
    stepExecutions.1.action REQUIRED
    completedAt ORDER
    occurredAt FUTURE
    stepsCompleted OUT_OF_RANGE
    traceparent MALFORMED
    details WRONG_TYPE
    ");
}

#[test]
fn an_unknown_word_is_answered_with_the_allowed_ones() {
    let problems = check(Kind::Notification, with(delivered(), "channel", json!("pigeon"))).unwrap_err();
    assert_eq!(
        problems[0].message,
        "`channel` is `pigeon`; allowed are slack, pagerduty, email, webhook, teams, sms, console, file, log"
    );
}

#[test]
fn what_a_final_status_needs_is_asked_for_only_then() {
    let execution = json!({"remediationId": "rr", "occurredAt": "2026-05-04T10:05:40Z", "status": "running"});
    assert!(check(Kind::WorkflowExecution, execution.clone()).is_ok());
    assert_eq!(
        told(Kind::WorkflowExecution, with(execution, "status", json!("completed"))),
        ["workflowName REQUIRED", "workflowVersion REQUIRED", "totalSteps REQUIRED", "executionOutcome REQUIRED"]
    );
}

#[test]
fn unknown_fields_are_kept_in_details_and_null_is_left_out() {
    let event =
        check(Kind::Notification, with(with(delivered(), "teamColour", json!("red")), "body", Value::Null)).unwrap();
    assert_eq!(event.payload.fields().to_map()["details"], json!({"teamColour": "red"}));
    assert!(!event.payload.fields().to_map().contains_key("body"));
    assert_eq!(
        told(Kind::Notification, with(with(delivered(), "x", json!(1)), "details", json!({"x": 2}))),
        ["x UNKNOWN_FIELD"]
    );
}

#[test]
fn nul_depth_and_size_have_bounds() {
    assert_eq!(told(Kind::Notification, with(delivered(), "subject", json!("a\0b"))), ["subject NUL"]);
    let deep = (0..20).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(told(Kind::Notification, with(delivered(), "details", json!({"deep": deep}))), ["details TOO_DEEP"]);
    let large = json!({"a": "x".repeat(PAYLOAD_BYTES_MAX)});
    assert_eq!(told(Kind::Notification, with(delivered(), "details", large)), [" TOO_LARGE"]);
    assert_eq!(
        told(Kind::Notification, with(delivered(), "subject", json!("x".repeat(LINE_MAX + 1)))),
        ["subject TOO_LONG"]
    );
    assert_eq!(
        told(Kind::Notification, with(delivered(), "details", json!({"n": 1e19}))),
        ["details.n INEXACT_NUMBER"]
    );
}

#[test]
fn of_very_many_differences_and_problems_the_first_are_told_and_long_names_in_short() {
    let named = |value: Value| -> Value {
        let members: Map<String, Value> = (0..2_000).map(|nth| (format!("n{nth}"), value.clone())).collect();
        json!({ "x".repeat(20_000): members })
    };
    let [one, other] = [1, 2].map(|value| check(Kind::Notification, with(delivered(), "details", named(value.into()))));
    let paths = crate::audit::event::differences(&one.unwrap(), &other.unwrap());
    assert_eq!(paths.len(), 100);
    assert!(paths.iter().all(|path| path.chars().count() < 300), "{}", paths[0]);

    let problems = check(Kind::Notification, with(delivered(), "details", named("\0".into()))).unwrap_err();
    assert_eq!(problems.len(), 100);
    assert!(
        problems.iter().all(|it| it.message.len() < 400 && it.path.concat().len() < 400),
        "{}",
        problems[0].message
    );
}

#[test]
fn the_content_digest_ignores_id_trace_and_spelling_but_not_the_cluster() {
    let plain = check(Kind::Notification, delivered()).unwrap();
    let same = with(with(delivered(), "status", json!("Delivered")), "eventId", json!(Uuid::from_u128(9).to_string()));
    let same = with(same, "traceparent", json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    let same = check(Kind::Notification, with(same, "occurredAt", json!("2026-05-04T12:05:40.000+02:00"))).unwrap();
    assert_eq!(same.content_digest, plain.content_digest);
    assert_eq!(same.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    let other = check(Kind::Notification, with(delivered(), "clusterId", json!("eu"))).unwrap();
    assert_ne!(other.content_digest, plain.content_digest);
    assert_eq!(crate::audit::event::differences(&plain, &other), ["clusterId"]);
}

#[test]
fn the_canonical_event_is_canonical_json() {
    let event =
        check(Kind::Notification, with(delivered(), "actor", json!({"type": "ai", "id": "kä\"", "displayName": "K"})))
            .unwrap();
    let read: Value = serde_json::from_str(&event.canonical()).unwrap();
    assert_eq!(canonical::text(&read), event.canonical());
    assert_eq!(read["actorId"], "kä\"");
    assert_eq!(read["payload"]["actor"], json!({"displayName": "K"}));
}

fn any_json() -> impl Strategy<Value = Value> {
    let names: Vec<String> = Kind::ALL
        .iter()
        .flat_map(|kind| KindTable::of(*kind).table.fields)
        .chain(COMMON.fields)
        .flat_map(|field| [field.name.to_string(), field.column_name()])
        .collect();
    let name = prop_oneof![prop::sample::select(names), any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("2026-05-04T10:05:40Z")),
        Just(json!("completed")),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn check_never_panics_and_its_event_reads_back_to_the_same_digest(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        form in prop::sample::select(vec![Form::Fields, Form::Columns]),
        value in any_json(),
    ) {
        let mut fields = json!({"remediationId": "rr", "occurredAt": "2026-05-04T10:05:40Z", "notificationId": "n",
            "assessmentId": "a", "status": "pending", "overallPhase": "pending", "completionStatus": "pending",
            "category": "c", "eventType": "t", "payload": 1});
        if let (Value::Object(fields), Value::Object(more)) = (&mut fields, value) {
            fields.extend(more);
        }
        let Value::Object(fields) = fields else { unreachable!("just made") };
        if let Ok(event) = (Submission { kind, form, fields }).check(context()) {
            let read: Value = serde_json::from_str(&event.canonical()).unwrap();
            prop_assert_eq!(canonical::text(&read), event.canonical());
            let again = Payload::from_text(event.payload.text().to_string());
            prop_assert_eq!(canonical::object_text(&again.fields().to_map()), event.payload.text());
        }
    }
}
