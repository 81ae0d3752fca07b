//! Audits that the database itself refuses: whoever sent them is told so for good, and nobody else is harmed.

use std::time::Duration;

use binnacle::{
    audit::{Context, Event, Kind, Submission},
    journal::{self, Journal, Receipt, Unavailable},
};
use chrono::Utc;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{
    app::{App, RECORD_AUDITS, audit_input, serve, until},
    audits::notification,
    postgres::{connect, database},
};

/// Makes a bad one of every audit of a remediation that is named so.
const BAD: &str = "rr-bad";

#[tokio::test]
async fn an_audit_that_the_database_refuses_is_told_for_good_and_opens_nothing() {
    let app = App::start().await;
    refuse_bad(&mut app.owner().await).await;
    let audit =
        |remediation: &str, number: u128| audit_input(&notification(remediation, Uuid::from_u128(number), "nt"));
    for number in 0..3 {
        let answer = app.ask(RECORD_AUDITS, json!({"inputs": [audit(BAD, 100 + number)]})).await;
        let error = &answer["errors"][0];
        assert_eq!(error["message"], "the database refused the audit; nothing of it is recorded", "{error:#}");
        // It would be refused for ever: who tried again would keep all behind it waiting.
        assert_eq!(error["extensions"]["code"], "INTERNAL", "{error:#}");
        assert_eq!(error["extensions"]["retryable"], false, "{error:#}");
        let good = app.ask(RECORD_AUDITS, json!({"inputs": [audit("rr-good", number)]})).await;
        assert_eq!(good["data"]["recordAudits"][0]["__typename"], "Recorded", "{good:#}");
    }
    assert_never_away(&app.server.app.metrics.text().unwrap());
}

#[tokio::test]
async fn one_refused_audit_harms_none_of_those_that_share_its_batch() {
    let app = App::start().await;
    let mut owner = app.owner().await;
    refuse_bad(&mut owner).await;
    // One by one they would need more time than the writer gives to a batch.
    slow(&mut owner, "AFTER", Duration::from_millis(150)).await;

    let journal = &app.server.app.journal;
    let told = all_at_once(journal, (0..51).map(|number| if number == 25 { BAD } else { "rr-good" })).await;

    for (number, told) in told.iter().enumerate() {
        match told {
            Ok(receipts) => assert!(number != 25 && matches!(receipts[..], [Receipt::Recorded(_)]), "{number}"),
            Err(error) => assert!(number == 25 && matches!(error, Unavailable::Refused(_)), "{number}: {error}"),
        }
    }
    let metrics = app.server.app.metrics.text().unwrap();
    assert_never_away(&metrics);
    let count = metrics.lines().find_map(|line| line.strip_prefix("binnacle_append_batch_events_count "));
    let count: u32 = count.unwrap().parse().unwrap();
    assert!(count <= 6, "the good ones were committed in {count} parts, though halving needs six at most");
}

#[tokio::test]
async fn too_many_refused_audits_do_not_keep_the_others_waiting() {
    const SLOW: Duration = Duration::from_millis(300);
    let db = database().await;
    let mut owner = connect(&db.owner_url).await;
    refuse_bad(&mut owner).await;
    slow(&mut owner, "BEFORE", SLOW).await;
    // To tell all twenty apart would take almost forty tries.
    let patience = SLOW * 7;
    let server = serve(&db, journal::Settings { patience, ..journal::Settings::default() }).await;
    let journal = &server.app.journal;

    let told = all_at_once(journal, [BAD; 20].into_iter()).await;

    let refused = told.iter().filter(|told| matches!(told, Err(Unavailable::Refused(_)))).count();
    let put_off = told.iter().filter(|told| matches!(told, Err(Unavailable::PutOff { .. }))).count();
    assert_eq!(refused + put_off, 20, "{told:?}");
    assert!(refused > 0 && put_off > 0, "{refused} were refused and {put_off} put off");
    // Whoever comes next is taken.
    let next = all_at_once(journal, ["rr-good"].into_iter()).await;
    assert!(matches!(next[0].as_deref(), Ok([Receipt::Recorded(_)])), "{next:?}");
    assert_never_away(&server.app.metrics.text().unwrap());
}

#[tokio::test]
async fn a_right_that_is_missing_is_everybodys_trouble_and_worth_a_retry() {
    let app = App::start().await;
    let mut owner = app.owner().await;
    may_append(&mut owner, "REVOKE EXECUTE ON FUNCTION %s FROM binnacle_service").await;
    let audit = json!({"inputs": [audit_input(&notification("rr", Uuid::from_u128(1), "nt"))]});
    let answer = app.ask(RECORD_AUDITS, audit.clone()).await;
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{error:#}");
    assert_eq!(error["extensions"]["retryable"], true, "{error:#}");
    may_append(&mut owner, "GRANT EXECUTE ON FUNCTION %s TO binnacle_service").await;
    until("the audit to be recorded", async || {
        let answer = app.ask(RECORD_AUDITS, audit.clone()).await;
        (answer["data"]["recordAudits"][0]["__typename"] == "Recorded").then_some(())
    })
    .await;
}

/// Submits one audit of each remediation. None of these tasks waits before its audit is in the queue, so on the one thread of a
/// test the writer finds them all there.
async fn all_at_once(
    journal: &Journal,
    remediations: impl Iterator<Item = &'static str>,
) -> Vec<Result<Vec<Receipt>, Unavailable>> {
    let mut tasks = JoinSet::new();
    for (number, remediation) in remediations.enumerate() {
        let (journal, event) = (journal.clone(), event(remediation));
        tasks.spawn(async move { (number, journal.record(vec![event], None).await) });
    }
    let mut told = tasks.join_all().await;
    told.sort_unstable_by_key(|(number, _)| *number);
    told.into_iter().map(|(_, told)| told).collect()
}

fn event(remediation: &str) -> Event {
    let now = Utc::now();
    let Value::Object(mut fields) = notification(remediation, Uuid::now_v7(), "nt") else { unreachable!() };
    fields.remove("kind");
    let context = Context { cluster_id: "default", now, fresh_id: Uuid::now_v7() };
    Submission::of_fields(Kind::Notification, fields).check(context).unwrap()
}

/// Gives or takes the right to append.
async fn may_append(owner: &mut PgConnection, change: &str) {
    let change = format!(
        "DO $$ BEGIN EXECUTE (
            SELECT string_agg(format('{change}', oid::regprocedure), '; ') FROM pg_proc
            WHERE proname IN ('journal_append', 'journal_append_batch')
        ); END $$"
    );
    sqlx::raw_sql(AssertSqlSafe(change)).execute(owner).await.unwrap();
}

async fn refuse_bad(owner: &mut PgConnection) {
    let constraint = format!("ALTER TABLE streams ADD CONSTRAINT odd CHECK (remediation_id <> '{BAD}')");
    sqlx::raw_sql(AssertSqlSafe(constraint)).execute(owner).await.unwrap();
}

/// Makes every append take so long: before its rows are looked at, or after.
async fn slow(owner: &mut PgConnection, when: &str, time: Duration) {
    let slow = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({}); RETURN NULL; END $$;
         CREATE TRIGGER slow {when} INSERT ON streams FOR EACH STATEMENT EXECUTE FUNCTION slow()",
        time.as_secs_f64()
    );
    sqlx::raw_sql(AssertSqlSafe(slow)).execute(owner).await.unwrap();
}

fn assert_never_away(metrics: &str) {
    assert!(metrics.contains("binnacle_append_breaker_open 0"), "{metrics}");
    assert!(metrics.contains(r#"binnacle_append_refused_total{reason="away"} 0"#), "{metrics}");
}
