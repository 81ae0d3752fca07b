//! How many statements a request costs: as many as it has levels, and not one more for a larger page.

use std::fmt::Write as _;

use binnacle::{demo, search::embedder::Embedders};
use chrono::{DateTime, Utc};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{
    app::App,
    embedder::Wordly,
    history::write,
    postgres::{connect, database},
    statements::Statements,
};

/// How many connections the readers of a test's server have at most, and some.
const CONNECTIONS: usize = 6;

/// A question that clients ask, with `$n` for the size of its pages.
struct Asked {
    what: &'static str,
    query: &'static str,
    sizes: &'static [usize],
}

const TYPICAL: &[Asked] = &[
    Asked {
        what: "a list of remediations with signal and phases",
        query: "query($n: Int) { remediations(first: $n) { pageInfo { hasNextPage endCursor } nodes { remediationId phase
            signal { name } phases { name durationMs } bottleneck { name } completeness { score missing { what } } } } }",
        sizes: &[1, 10, 50],
    },
    Asked {
        what: "remediations, each with its timeline and three views",
        query: "query($n: Int) { remediations(first: $n) { nodes { remediationId rootCause { event { eventId } }
            timeline(first: 20) { totalCount nodes { at title decision { chosen } event { eventId } } }
            aiAnalyses { completionStatus lastEvent { eventId } } workflowExecutions { status events { nodes { eventId } } }
            notifications { status } } } }",
        sizes: &[1, 10, 50],
    },
    Asked {
        what: "a remediation whole",
        query: "query($id: String!, $n: Int) { remediation(remediationId: $id) { phase approvals { decision event { eventId } }
            timeline(first: $n) { totalCount nodes { title event { eventId } } } events(first: $n) { nodes { payload } }
            orchestration { overallPhase } signalProcessing { status } aiAnalyses { completionStatus }
            workflowExecutions { status } notifications { status } effectiveness { status } } }",
        sizes: &[1, 5, 50],
    },
    Asked {
        what: "events with their remediation, parent and children",
        query: "query($n: Int) { events(first: $n) { totalCount totalCountIsCapped nodes { eventId parent { eventType }
            children(first: 5) { totalCount totalCountIsCapped nodes { eventId } }
            remediation { phase rootCause { summary event { eventId } } timeline(first: 3) { nodes { title } } } } } }",
        sizes: &[5, 20, 100],
    },
    Asked {
        what: "events with children, and what is around those",
        query: "query($n: Int) { events(first: $n) { nodes { children(first: 5) { nodes { parent { eventId }
            children(first: 5) { nodes { eventId } } remediation { phase events { totalCount } } } } } } }",
        sizes: &[5, 20, 40],
    },
    Asked {
        what: "orchestrations with their remediation and last event",
        query: "query($n: Int) { orchestrations(first: $n) { nodes { remediation { phase } lastEvent { eventId } } } }",
        sizes: &[1, 10, 50],
    },
    Asked {
        what: "signal processings with their remediation and last event",
        query: "query($n: Int) { signalProcessings(first: $n) { nodes { remediation { phase } lastEvent { eventId } } } }",
        sizes: &[1, 10, 50],
    },
    Asked {
        what: "AI analyses with their remediation and last event",
        query: "query($n: Int) { aiAnalyses(first: $n) { nodes { remediation { phase } lastEvent { eventId } } } }",
        sizes: &[1, 10, 50],
    },
    Asked {
        what: "workflow executions with their remediation and last event",
        query: "query($n: Int) { workflowExecutions(first: $n) { nodes { remediation { phase } lastEvent { eventId } } } }",
        sizes: &[1, 10, 40],
    },
    Asked {
        what: "notifications with their remediation and last event",
        query: "query($n: Int) { notifications(first: $n) { nodes { remediation { phase } lastEvent { eventId } } } }",
        sizes: &[1, 10, 50],
    },
    Asked {
        what: "assessments with their remediation, its timeline, and all events",
        query: "query($n: Int) { effectivenessAssessments(first: $n) { nodes { events { totalCount nodes { eventId } }
            remediation { phase timeline(first: 5) { nodes { title } } rootCause { event { eventId } } } } } }",
        sizes: &[1, 10, 30],
    },
    Asked {
        what: "search hits with their remediation and the event that tells it",
        query: "query($n: Int) { search(query: \"pods run out of memory\", first: $n) { hits { snippet event { eventId }
            remediation { phase timeline(first: 5) { nodes { title } } } } totals { successRate } } }",
        sizes: &[1, 10, 50],
    },
    Asked {
        what: "what is like a remediation",
        query: "query($id: String, $n: Int) { similarRemediations(remediationId: $id, first: $n) { totals { successRate }
            nearest { similarity event { eventId } remediation { phase workflowExecutions { status } } } } }",
        sizes: &[1, 5, 20],
    },
    Asked {
        what: "events by id, with their remediation",
        query: "query($ids: [UUID!]!) { eventsById(eventIds: $ids) { digest remediation { phase } } }",
        sizes: &[1, 10, 100],
    },
    Asked {
        what: "a report, with the remediation as it stood",
        query: "query($id: String!, $n: Int) { report(remediationId: $id) { markdown completeness { score }
            remediation { timeline(first: $n) { nodes { title } } } } }",
        sizes: &[1, 20],
    },
    Asked {
        what: "statistics",
        query: "{ statistics(groupBy: [SIGNAL, OUTCOME]) { keys count successRate } }",
        sizes: &[1],
    },
    Asked {
        what: "what happened to a target before",
        query: "query($target: TargetInput!, $n: Int) { targetHistory(target: $target, window: \"P10Y\", first: $n) {
            outcomes { successRate } entries { match remediation { phase timeline(first: 3) { nodes { title } } } } } }",
        sizes: &[5, 20, 50],
    },
];

/// What is asked for no more than the index of a list knows.
const LESS: &[Asked] = &[
    Asked {
        what: "how many remediations there are",
        query: "{ remediations { totalCount totalCountIsCapped } }",
        sizes: &[1],
    },
    Asked { what: "how many events there are", query: "{ events { totalCount } }", sizes: &[1] },
    Asked { what: "how many notifications there are", query: "{ notifications { totalCount } }", sizes: &[1] },
    Asked {
        what: "how many events each remediation has",
        query: "query($n: Int) { remediations(first: $n) { nodes { events { totalCount } } } }",
        sizes: &[1, 50],
    },
    Asked {
        what: "how many children each event has",
        query: "query($n: Int) { events(first: $n) { nodes { children { totalCount } } } }",
        sizes: &[5, 50],
    },
    Asked {
        what: "what came of a target's remediations",
        query: "query($target: TargetInput!) { targetHistory(target: $target) { regressionDetected outcomes { count } } }",
        sizes: &[1],
    },
];

#[tokio::test]
async fn a_request_costs_as_many_statements_as_it_has_levels_whatever_the_page_size() {
    let app = app_with_vectors().await;
    let statements = Statements::counter();

    let typical = costs(&app, &statements, TYPICAL).await;

    assert_snapshot!(typical, @r"
     1  a list of remediations with signal and phases
     2  remediations, each with its timeline and three views
     2  a remediation whole
     9  events with their remediation, parent and children
     8  events with children, and what is around those
     3  orchestrations with their remediation and last event
     3  signal processings with their remediation and last event
     3  AI analyses with their remediation and last event
     3  workflow executions with their remediation and last event
     3  notifications with their remediation and last event
     4  assessments with their remediation, its timeline, and all events
    11  search hits with their remediation and the event that tells it
    15  what is like a remediation
     2  events by id, with their remediation
    25  a report, with the remediation as it stood
     2  statistics
    19  what happened to a target before
    ");
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_read() {
    let app = app_with_vectors().await;
    let statements = Statements::counter();

    let less = costs(&app, &statements, LESS).await;

    assert_snapshot!(less, @r"
    1  how many remediations there are
    1  how many events there are
    1  how many notifications there are
    1  how many events each remediation has
    3  how many children each event has
    2  what came of a target's remediations
    ");
}

#[tokio::test]
async fn the_counter_counts_each_statement_of_what_is_asked_once_and_no_other() {
    let app = app_with_vectors().await;
    let db = app.server.app.journal.reader();
    let statements = Statements::counter();
    let select = async || sqlx::query("SELECT 1").execute(db).await.unwrap();

    select().await;
    let counted = statements.of(async {
        for _ in 0..3 {
            select().await;
        }
    });

    assert_eq!(counted.await, 3);
    assert_eq!(statements.of(async {}).await, 0);
}

/// An app with a history of 60 remediations and the vectors of their texts.
async fn app_with_vectors() -> App {
    let db = database().await;
    let now: DateTime<Utc> = "2026-05-04T12:00:00Z".parse().unwrap(); // the same history each time
    write(&db, &demo::history(60, now)).await;
    let app = App::embedding(db, Embedders::of(Wordly::new("wordly"))).await;
    app.embedded().await;
    // The search remembers what the database's statistics say of words, once there are some; autovacuum comes when it likes.
    let mut owner = connect(&app.db.owner_url).await;
    sqlx::raw_sql("ANALYZE search_documents").execute(&mut owner).await.unwrap();
    app
}

/// A line for each question: how many statements it costs. Asserts that pages of all sizes cost the same.
async fn costs(app: &App, statements: &Statements, asked: &[Asked]) -> String {
    let known = app
        .data(
            "{ remediations(first: 100, filter: {outcome: [REMEDIATED], effective: true}) { nodes { remediationId
                target { kind namespace name } } }
                events(first: 100) { nodes { eventId } } }",
            json!({}),
        )
        .await;
    let one = &known["remediations"]["nodes"][0];
    let ids: Vec<&Value> = known["events"]["nodes"].as_array().unwrap().iter().map(|event| &event["eventId"]).collect();
    let mut lines = String::new();
    for Asked { what, query, sizes } in asked {
        let mut costs = Vec::new();
        for size in *sizes {
            let variables =
                json!({"n": size, "id": one["remediationId"], "target": one["target"], "ids": ids[..*size]});
            // On each connection in turn, until its types are known there.
            for _ in 0..CONNECTIONS {
                app.data(query, variables.clone()).await;
            }
            // A connection that still had to ask for them is not what the question costs.
            let mut cost = usize::MAX;
            for _ in 0..3 {
                cost = cost.min(statements.of(app.data(query, variables.clone())).await);
            }
            costs.push(cost);
        }
        assert!(costs.iter().all(|cost| cost == &costs[0]), "{what}: pages of {sizes:?} cost {costs:?} statements");
        writeln!(lines, "{:>2}  {what}", costs[0]).unwrap();
    }
    lines
}
