//! Statistics: the database counts what a plain computation counts, and a watermark pins the answer.

use std::collections::{BTreeMap, BTreeSet};

use binnacle::{
    audit::Position,
    demo,
    journal::read,
    projection::{
        pinned,
        remediations::{self, Filter},
        statistics::{self, Bucket, Dimension, NONE, Question, Row},
    },
    remediation::{
        model::Summary,
        outcomes::{Outcomes, quantile, success},
    },
};
use chrono::{DateTime, Datelike as _, Days, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    app::App,
    audits::{notification, with},
    history::{app_with_history, write},
    postgres::database,
};

const DIMENSIONS: [Dimension; 11] = [
    Dimension::Signal,
    Dimension::ActionType,
    Dimension::Workflow,
    Dimension::Environment,
    Dimension::Cluster,
    Dimension::Namespace,
    Dimension::Severity,
    Dimension::Outcome,
    Dimension::Bottleneck,
    Dimension::Model,
    Dimension::Approver,
];

/// None, each, and each with another.
fn groupings() -> Vec<Vec<Dimension>> {
    let pairs = (0..DIMENSIONS.len()).map(|place| vec![DIMENSIONS[place], DIMENSIONS[(place + 4) % DIMENSIONS.len()]]);
    std::iter::once(vec![]).chain(DIMENSIONS.map(|dimension| vec![dimension])).chain(pairs).collect()
}

async fn all(db: &PgPool, at: Option<Position>) -> Vec<Summary> {
    let ever = (DateTime::UNIX_EPOCH, Utc::now() + TimeDelta::days(1));
    pinned::window(db, &Filter::default(), ever, 10_000, at).await.unwrap()
}

/// The keys of a remediation in a dimension.
fn keys(summary: &Summary, dimension: Dimension) -> BTreeSet<String> {
    let word = |value: Value| value.as_str().map(str::to_string);
    let one = |value: Option<String>| value.into_iter().collect::<Vec<String>>();
    let keys = match dimension {
        Dimension::Signal => one(summary.signal.as_ref().and_then(|signal| word(signal.get("name")?.clone()))),
        Dimension::ActionType => summary.action_types.clone(),
        Dimension::Workflow => summary.workflow_names.clone(),
        Dimension::Environment => one(summary.environment.clone()),
        Dimension::Cluster => one(Some(summary.stream.cluster_id.clone())),
        Dimension::Namespace => one(summary.target.as_ref().and_then(|target| target.namespace.clone())),
        Dimension::Severity => one(summary.severity.as_ref().map(|severity| severity.to_uppercase())),
        Dimension::Outcome => one(summary.outcome.and_then(|outcome| word(json!(outcome)))),
        Dimension::Bottleneck => one(summary.bottleneck.and_then(|bottleneck| word(json!(bottleneck)))),
        Dimension::Model => one(summary.model.clone()),
        Dimension::Approver => summary.approvals.iter().filter_map(|approval| approval.decided_by.clone()).collect(),
    };
    if keys.is_empty() { BTreeSet::from([NONE.to_string()]) } else { keys.into_iter().collect() }
}

fn bucket_start(at: DateTime<Utc>, bucket: Bucket) -> DateTime<Utc> {
    let day = at.date_naive();
    let midnight = |day: chrono::NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    match bucket {
        Bucket::Hour => DateTime::from_timestamp(at.timestamp() / 3_600 * 3_600, 0).unwrap(),
        Bucket::Day => midnight(day),
        Bucket::Week => midnight(day - Days::new(day.weekday().num_days_from_monday().into())),
        Bucket::Month => midnight(day.with_day(1).unwrap()),
    }
}

/// A bucket and the keys.
type Group = (Option<DateTime<Utc>>, Vec<String>);

/// The same rows, counted plainly.
fn counted(summaries: &[Summary], question: &Question) -> Vec<Row> {
    let mut groups: BTreeMap<Group, Vec<&Summary>> = BTreeMap::new();
    for summary in summaries {
        let start = question.bucket.map(|bucket| bucket_start(summary.started_at, bucket));
        let mut combinations = vec![vec![]];
        for dimension in &question.group_by {
            combinations = combinations
                .iter()
                .flat_map(|before: &Vec<String>| {
                    keys(summary, *dimension).into_iter().map(|key| [before.clone(), vec![key]].concat())
                })
                .collect();
        }
        for keys in combinations {
            groups.entry((start, keys)).or_default().push(summary);
        }
    }
    let approver = question.group_by.iter().position(|dimension| *dimension == Dimension::Approver);
    let mut rows: Vec<Row> =
        groups.into_iter().map(|((start, keys), group)| row(start, keys, &group, approver)).collect();
    rows.sort_by(|a, b| (a.bucket_start, -a.count, &a.keys).cmp(&(b.bucket_start, -b.count, &b.keys)));
    rows
}

fn row(bucket_start: Option<DateTime<Utc>>, keys: Vec<String>, group: &[&Summary], approver: Option<usize>) -> Row {
    let outcomes = Outcomes::of(group.iter().copied());
    assert_eq!(outcomes.successes, group.iter().filter(|summary| success(summary)).count());
    let mut durations: Vec<f64> =
        group.iter().filter(|summary| summary.outcome.is_some()).map(|summary| summary.duration_ms).collect();
    let sure: Vec<f64> = group.iter().filter_map(|summary| summary.confidence).collect();
    let approvals: Vec<_> = group
        .iter()
        .flat_map(|summary| &summary.approvals)
        .filter(|approval| {
            let decided_by = approval.decided_by.as_deref().unwrap_or(NONE);
            approver.is_none_or(|place| keys[place] == decided_by)
        })
        .collect();
    let decided = |word: &str| approvals.iter().filter(|approval| approval.decision == word).count() as i64;
    let mut waits: Vec<f64> = approvals.iter().filter_map(|approval| approval.wait_ms).collect();
    Row {
        keys,
        bucket_start,
        count: outcomes.count as i64,
        ended: outcomes.ended as i64,
        verified: outcomes.verified as i64,
        successes: outcomes.successes as i64,
        success_rate: outcomes.success_rate,
        success_rate_low: outcomes.success_rate_low,
        median_duration_ms: outcomes.median_duration_ms,
        p90_duration_ms: quantile(&mut durations, 0.9),
        mean_effectiveness: outcomes.mean_effectiveness,
        mean_confidence: (!sure.is_empty()).then(|| sure.iter().sum::<f64>() / sure.len() as f64),
        approvals: statistics::Approvals {
            count: approvals.len() as i64,
            pending: decided("pending"),
            granted: decided("approved"),
            rejected: decided("rejected"),
            expired: decided("expired"),
            auto_approved: decided("auto_approved"),
            median_wait_ms: quantile(&mut waits, 0.5),
        },
    }
}

/// Equal, but for the last digits of means, which the database takes of billionths.
#[track_caller]
fn assert_same(told: &[Row], counted: &[Row], what: &Question) {
    let near = |one: Option<f64>, other: Option<f64>| match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() < 1e-8,
        (one, other) => one == other,
    };
    for (one, other) in told.iter().zip(counted) {
        let means = near(one.mean_effectiveness, other.mean_effectiveness);
        assert!(means && near(one.mean_confidence, other.mean_confidence), "{one:?} is not {other:?}");
        let one =
            Row { mean_effectiveness: other.mean_effectiveness, mean_confidence: other.mean_confidence, ..one.clone() };
        assert_eq!(one, *other, "{:?} {:?}", what.group_by, what.bucket);
    }
    assert_eq!(told.len(), counted.len(), "{:?} {:?}", what.group_by, what.bucket);
}

#[tokio::test]
async fn the_database_counts_what_a_plain_computation_counts() {
    let app = app_with_history(250).await;
    let db = app.server.app.journal.reader();
    let summaries = all(db, None).await;
    assert_eq!(summaries.len(), 250);
    assert!(summaries.iter().any(|summary| summary.model.is_some() && summary.confidence.is_some()));

    for group_by in groupings() {
        for bucket in [None, Some(Bucket::Day), Some(Bucket::Week), Some(Bucket::Month)] {
            let question = Question { group_by: group_by.clone(), bucket, ..Question::default() };
            let expected = counted(&summaries, &question);
            if expected.len() > statistics::ROWS_MAX {
                continue;
            }
            assert_same(&statistics::count(db, &question).await.unwrap(), &expected, &question);
        }
    }
    let hours = Question { bucket: Some(Bucket::Hour), ..Question::default() };
    assert_same(&statistics::count(db, &hours).await.unwrap(), &counted(&summaries, &hours), &hours);

    let filter = Filter { environment: Some(vec!["production".to_string()]), ..Filter::default() };
    let some: Vec<Summary> =
        summaries.into_iter().filter(|summary| summary.environment.as_deref() == Some("production")).collect();
    let question = Question { group_by: vec![Dimension::ActionType], filter, ..Question::default() };
    assert_same(&statistics::count(db, &question).await.unwrap(), &counted(&some, &question), &question);
}

/// All that is asked of a store as of a position, or as it is.
async fn answers(db: &PgPool, filter: &Filter, at: Option<Position>) -> (Vec<Vec<Row>>, Vec<i64>, Vec<Summary>) {
    let mut rows = Vec::new();
    for group_by in groupings().into_iter().step_by(6) {
        let question = Question { group_by, bucket: Some(Bucket::Month), filter: filter.clone(), at };
        rows.push(statistics::count(db, &question).await.unwrap());
    }
    let selected = pinned::select(db, filter, 10_000, at).await.unwrap();
    if at.is_none() {
        let all = remediations::newest(db, &Filter::default(), 10_000).await.unwrap();
        let mut matching = remediations::matching_of(db, filter, &all).await.unwrap();
        matching.sort_by(|one, other| other.cmp(one));
        assert_eq!(matching, selected);
    }
    let summaries = pinned::summaries(db, &selected, at).await.unwrap();
    let summaries: Vec<Summary> = summaries.into_iter().map(|(_, summary)| summary).collect();
    assert_eq!(summaries.len(), selected.len());
    let ever = (DateTime::UNIX_EPOCH, Utc::now() + TimeDelta::days(1));
    let window = pinned::window(db, filter, ever, 10_000, at).await.unwrap();
    let sorted = |summaries: &[Summary]| {
        let mut sorted = summaries.to_vec();
        sorted.sort_by(|one, other| one.stream.cmp(&other.stream));
        sorted
    };
    assert_eq!(sorted(&window), sorted(&summaries));
    (rows, selected, window)
}

#[tokio::test]
async fn a_watermark_pins_every_answer_whatever_comes_later() {
    let history = demo::history(60, Utc::now());
    let mut app: Option<App> = None;
    let mut pinned_before = Vec::new();
    let failed = Filter { outcome: Some(vec!["FAILED".to_string(), "REMEDIATED".to_string()]), ..Filter::default() };
    let settled = Filter { settled: Some(true), ..Filter::default() };
    let unsettled = Filter { settled: Some(false), ..Filter::default() };

    // Cuts through the middle of remediations that go on later.
    for part in history.chunks(history.len().div_ceil(3)) {
        let app = match &app {
            Some(app) => {
                write(&app.db, part).await;
                app
            }
            None => {
                let db = database().await;
                write(&db, part).await;
                app.insert(App::on(db).await)
            }
        };
        app.projected().await;
        let db = app.server.app.journal.reader();
        let head = read::head(db).await.unwrap().last;
        for filter in [&Filter::default(), &failed] {
            assert_eq!(answers(db, filter, Some(head)).await, answers(db, filter, None).await);
        }
        for filter in [Filter::default(), failed.clone(), settled.clone(), unsettled.clone()] {
            let answers = answers(db, &filter, Some(head)).await;
            pinned_before.push((filter, head, answers));
        }
    }

    let app = app.unwrap();
    let db = app.server.app.journal.reader();
    // A late word about each old remediation, which changes by what it is counted.
    let late: Vec<Value> = all(db, None)
        .await
        .iter()
        .enumerate()
        .map(|(n, summary)| {
            let id = uuid::Uuid::from_u128(n as u128 + 1);
            let audit = notification(&summary.stream.remediation_id, id, "nt-late");
            let audit = with(audit, "clusterId", json!(summary.stream.cluster_id));
            with(with(audit, "environment", json!("elsewhere")), "occurredAt", json!("2026-11-20T00:00:00Z"))
        })
        .collect();
    app.recorded(&late).await;
    app.projected().await;

    for (filter, at, before) in pinned_before {
        let now = answers(db, &filter, Some(at)).await;
        assert!(!before.1.is_empty(), "{filter:?}");
        assert_eq!(now, before, "{filter:?} at {at}");
    }
}

const STATISTICS: &str = "query($by: [Dimension!]!, $bucket: TimeBucket, $filter: RemediationFilter, $at: Watermark) {
    statistics(groupBy: $by, bucket: $bucket, filter: $filter, at: $at) {
        keys bucketStart count ended verified successes successRate successRateLow medianDurationMs p90DurationMs
        meanEffectiveness meanConfidence
        approvals { count pending granted rejected expired autoApproved medianWaitMs alwaysGranted }
    }
}";

#[tokio::test]
async fn one_of_one_is_not_everything() {
    let app = App::start().await;
    app.recorded(&crate::support::audits::worked_example()).await;
    app.projected().await;
    let data = app.data(STATISTICS, json!({"by": ["SEVERITY", "OUTCOME"], "bucket": "WEEK"})).await;
    insta::assert_json_snapshot!(data["statistics"], @r#"
    [
      {
        "approvals": {
          "alwaysGranted": true,
          "autoApproved": 0,
          "count": 1,
          "expired": 0,
          "granted": 1,
          "medianWaitMs": 165000.0,
          "pending": 0,
          "rejected": 0
        },
        "bucketStart": "2026-05-04T00:00:00Z",
        "count": 1,
        "ended": 1,
        "keys": [
          "CRITICAL",
          "REMEDIATED"
        ],
        "meanConfidence": 0.75,
        "meanEffectiveness": 0.88,
        "medianDurationMs": 340000.0,
        "p90DurationMs": 340000.0,
        "successRate": 1.0,
        "successRateLow": 0.20654931430031861,
        "successes": 1,
        "verified": 1
      }
    ]
    "#);
}

#[tokio::test]
async fn of_nothing_there_is_one_row_and_what_has_no_value_is_under_none() {
    let app = App::start().await;
    let nothing = app.data(STATISTICS, json!({"by": []})).await;
    assert_eq!(nothing["statistics"][0]["count"], 0);
    assert_eq!(nothing["statistics"][0]["successRate"], Value::Null);
    assert_eq!(nothing["statistics"].as_array().unwrap().len(), 1);
    assert_eq!(app.data(STATISTICS, json!({"by": ["SIGNAL"]})).await["statistics"], json!([]));

    app.recorded(&[notification("rr-1", uuid::Uuid::from_u128(1), "nt")]).await;
    app.projected().await;
    let data = app.data(STATISTICS, json!({"by": ["APPROVER", "MODEL"]})).await;
    assert_eq!(data["statistics"][0]["keys"], json!(["(none)", "(none)"]));
}

#[tokio::test]
async fn under_an_approver_stand_the_approvals_that_this_one_decided() {
    let app = App::start().await;
    let asked = |n: u128, at: &str, decision: &str, by: &str, decided: &str| {
        let mut payload = json!({"decision": decision});
        if decision != "pending" {
            payload["decided_by"] = json!(by);
        }
        json!({
            "kind": "OTHER", "category": "approval", "remediationId": "rr-1", "eventId": uuid::Uuid::from_u128(n).to_string(),
            "eventType": format!("approval.{decided}"), "occurredAt": at, "payload": payload,
        })
    };
    app.recorded(&[
        asked(1, "2026-05-04T10:00:00Z", "pending", "", "requested"),
        asked(2, "2026-05-04T10:01:00Z", "rejected", "ann", "rejected"),
        asked(3, "2026-05-04T10:02:00Z", "pending", "", "requested"),
        asked(4, "2026-05-04T10:05:00Z", "approved", "bob", "approved"),
    ])
    .await;
    app.projected().await;

    let rows = app.data(STATISTICS, json!({"by": ["APPROVER"]})).await["statistics"].take();
    let approvals = |place: usize| {
        let row = &rows[place];
        (row["keys"][0].clone(), row["count"].clone(), row["approvals"].clone())
    };
    let told = |granted: i64, rejected: i64, wait: f64| {
        json!({"count": 1, "pending": 0, "granted": granted, "rejected": rejected, "expired": 0, "autoApproved": 0,
            "medianWaitMs": wait, "alwaysGranted": granted == 1})
    };
    assert_eq!(approvals(0), (json!("ann"), json!(1), told(0, 1, 60_000.0)));
    assert_eq!(approvals(1), (json!("bob"), json!(1), told(1, 0, 180_000.0)));
    let whole = app.data(STATISTICS, json!({"by": []})).await["statistics"][0]["approvals"].take();
    assert_eq!((&whole["count"], &whole["medianWaitMs"]), (&json!(2), &json!(120_000.0)));
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_says_how_to_ask_instead() {
    let app = app_with_history(30).await;
    let refused = async |variables: Value| {
        let answer = app.ask(STATISTICS, variables).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT", "{answer:#}");
        answer["errors"][0]["message"].as_str().unwrap().to_string()
    };
    let three = refused(json!({"by": ["SIGNAL", "CLUSTER", "MODEL"]})).await;
    assert_eq!(three, "`groupBy` has 3 dimensions; 2 at most can be counted by at once");
    let twice = refused(json!({"by": ["SIGNAL", "SIGNAL"]})).await;
    assert_eq!(twice, "`groupBy` names a dimension twice");
    let own = app.data("{ remediations(first: 1) { nodes { watermark } } }", json!({})).await;
    let own = own["remediations"]["nodes"][0]["watermark"].as_str().unwrap();
    let mut beyond = binnacle::graphql::Watermark::decode(own).unwrap();
    beyond.position = Position(1_000_000);
    let future = refused(json!({"by": [], "at": beyond.encode()})).await;
    assert_eq!(future, "this watermark lies beyond the end of the journal");

    let many: Vec<Value> = (0..1_001_u32)
        .map(|n| {
            let audit = notification(&format!("rr-many-{n}"), uuid::Uuid::from_u128(n.into()), "nt");
            with(audit, "environment", json!(format!("environment-{n}")))
        })
        .collect();
    for batch in many.chunks(1_000) {
        app.recorded(batch).await;
    }
    app.projected().await;
    let rows = refused(json!({"by": ["ENVIRONMENT"]})).await;
    assert!(rows.starts_with("the answer has more than 1000 rows; narrow it by `filter`"), "{rows}");
}
