//! Does one thing over and over, so that its instructions can be counted: `scripts/instruction-counts` runs this below valgrind.
//!
//! Unlike times, instructions are the same on a machine that is busy, so a cost that creeps in shows before any clock can tell.
//! What is counted is a request's whole way through a server, from its body to its answer, all on one thread; in the place of
//! Postgres stands something that keeps nothing.

mod postgres;

use std::{env, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, header},
};
use binnacle::{
    app::{App, Faces, Parts},
    audit::{Context, Entry, Position, Version, event::SealedWords},
    caller::Callers,
    demo,
    feed::{self, Feed},
    graphql::{self, GraphQl},
    http,
    journal::{self, Journal},
    projection::signals::Signals,
    search::{
        Search,
        embedder::{EmbedderSettings, Embedders},
    },
    telemetry::Metrics,
    worker::Stop,
};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use tower::ServiceExt as _;

const USAGE: &str = "instructions append-1|append-100|timeline TIMES";

const REMEDIATION: &str = "rr-1";
const CLUSTER: &str = "eu-prod-1";
const ENTRIES: usize = 80;
/// The end of the history that the timeline's entries come from: the same for every run.
const UNTIL: &str = "2026-05-04T12:00:00Z";

const RECORD: &str = "mutation Record($inputs: [AuditInput!]!) { recordAudits(inputs: $inputs) { \
    ... on Recorded { position version } ... on Rejected { code problems { path message } } } }";
const RECORD_ONE: &str = "mutation Record($input: OrchestrationInput!) { recordOrchestration(input: $input) { \
    ... on Recorded { position version watermark } ... on Rejected { code problems { path message } } } }";
const TIMELINE: &str = "query One($id: String!, $cluster: String!) { remediation(remediationId: $id, clusterId: $cluster) { \
    remediationId phase outcome severity startedAt completedAt durationMs timeline(first: 100) { nodes { \
    at until offsetMs durationMs service phase title detail decision { chosen by { id } } } } } }";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // cargo adds `--bench`.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [what, times] = &arguments[..] else { anyhow::bail!("usage: {USAGE}") };
    let times: usize = times.parse().context(USAGE)?;
    let (body, told, count) = match what.as_str() {
        "append-1" => (json!({"query": RECORD_ONE, "variables": {"input": audit(0)}}), "\"position\":", 1),
        "append-100" => {
            let inputs: Vec<_> = (0..100).map(|number| json!({"orchestration": audit(number)})).collect();
            (json!({"query": RECORD, "variables": {"inputs": inputs}}), "\"position\":", 100)
        }
        "timeline" => {
            (json!({"query": TIMELINE, "variables": {"id": REMEDIATION, "cluster": CLUSTER}}), "\"offsetMs\":", 40)
        }
        _ => anyhow::bail!("usage: {USAGE}"),
    };
    let body = Bytes::from(body.to_string());
    let router = server().await?;
    // What is done once only (statements prepared, tables made) is done before it counts.
    let answer = ask(&router, &body).await?;
    let found = answer.matches(told).count();
    ensure!(found >= count && !answer.contains("\"errors\""), "{found} of {count} are in the answer: {answer}");
    for _ in 0..times {
        ask(&router, &body).await?;
    }
    Ok(())
}

async fn ask(router: &Router, body: &Bytes) -> anyhow::Result<String> {
    let request = Request::post("/graphql").header(header::CONTENT_TYPE, "application/json");
    let answer = router.clone().oneshot(request.body(Body::from(body.clone()))?).await?;
    let bytes = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.into())?)
}

/// An audit of an orchestrator, of some 690 bytes.
fn audit(number: u32) -> serde_json::Value {
    json!({
        "eventId": uuid::Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)),
        "remediationId": REMEDIATION, "clusterId": CLUSTER, "occurredAt": "2026-05-04T10:05:40Z",
        "overallPhase": "executing", "severity": "critical", "environment": "production",
        "signal": {"name": "KubePodCrashLooping", "fingerprint": "9f2c4e7ab1d05836"},
        "target": {"kind": "Deployment", "name": "checkout", "namespace": "payments"},
        "workflowExecutionName": "restart-with-higher-limit",
        "details": {
            "previousPhase": "analyzing", "version": "v1.4.2", "stepsTotal": 4, "stepsCompleted": 2,
            "action": {"type": "increase_memory_limit", "from": "512Mi", "to": "768Mi", "retries": 1},
            "approval": {"required": true, "by": "oncall@example.org", "waitedMs": 165_000},
            "confidence": 0.93, "rationale": "Memory limit reached repeatedly within ten minutes",
        },
    })
}

/// A server's routes, without its workers.
async fn server() -> anyhow::Result<Router> {
    let db = PgPoolOptions::new().max_connections(1).connect_lazy_with(postgres::start(entries()?).await?);
    let metrics = Metrics::new();
    let journal = Journal::open(db.clone(), db.clone(), journal::Settings::default(), metrics.clone()).await?;
    // Nobody follows anything.
    let (stop, stopped) = Stop::new();
    stop.now();
    let signals = Signals::listen(db.clone(), &journal, stopped.clone());
    let (feed, _) = Feed::start(db.clone(), db.clone(), &signals, stopped, feed::Settings::default());
    let search = Search::new(db.clone(), db.clone(), Embedders::start(EmbedderSettings::Off), metrics.clone());
    let request_timeout = Duration::from_secs(3_600);
    let faces = Faces {
        cluster_id: CLUSTER.to_string(),
        public_url: "http://localhost".to_string(),
        allowed_origins: Vec::new(),
        live_connections_max: 1,
        request_timeout,
    };
    let app = App::new(Parts { journal, work: db, signals, search, feed, metrics: metrics.clone(), faces });
    let (stop, running) = Stop::new();
    std::mem::forget(stop); // dropped, it would say stop
    Ok(http::router(http::App {
        schema: GraphQl::new(app, graphql::Settings::default()),
        callers: Callers::anyone(),
        metrics,
        checks: Arc::new(|| async { Vec::new() }.boxed()),
        reports: Arc::new(|_| async { Ok(None) }.boxed()),
        api: Router::new(),
        graphiql: false,
        request_timeout,
        live: http::Live::new(Vec::new(), 1),
        retiring: running.clone(),
        shutdown: running,
    }))
}

/// A remediation of some length: stories of the demo, one behind the other, told of one.
fn entries() -> anyhow::Result<Vec<Entry>> {
    let until = UNTIL.parse()?;
    let name = |recording: &demo::Recording| recording.submission.fields.get("remediationId").cloned();
    let mut history = demo::history(20, until);
    history.sort_by_key(|recording| (name(recording).map(|name| name.to_string()), recording.recorded_at));
    let mut entries = Vec::with_capacity(ENTRIES);
    for (place, mut recording) in history.into_iter().take(ENTRIES).enumerate() {
        recording.submission.fields.insert("remediationId".to_string(), REMEDIATION.into());
        recording.submission.fields.insert("clusterId".to_string(), CLUSTER.into());
        let context = Context { cluster_id: CLUSTER, now: until, fresh_id: recording.event_id };
        let event = recording.submission.check(context).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        entries.push(Entry {
            position: Position(place as i64 + 1),
            version: Version(place as i32 + 1),
            recorded_at: recording.recorded_at,
            recorded_by: None,
            words: SealedWords::of(&event),
            digest: event.digest().to_vec(),
            event,
        });
    }
    ensure!(entries.len() == ENTRIES, "the history has only {} audits", entries.len());
    Ok(entries)
}
