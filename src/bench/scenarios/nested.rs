//! One remediation with 40 entries, and a page of 50 remediations with 20 entries each, against the SQL that fetches the same rows
//! as JSON.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::FutureExt as _;
use memchr::memmem;

use crate::bench::{
    Bench, Group,
    load::Plan,
    models::{self, Size},
    pgbench,
    rounds::{Scenario, Variant},
};

const SIZE: Size = Size { models: 200, entries: 40, events: 80_000, months: 3 };
const CONNECTIONS: [usize; 3] = [1, 16, 64];

const EVENT: &str = "eventId position version occurredAt recordedAt kind eventType outcome actor { id } payload";
const HEAD: &str = "remediationId phase outcome severity startedAt completedAt durationMs";
const FACT: &str = "at until offsetMs durationMs service phase title detail decision { chosen by { id } }";

/// The columns that `EVENT` shows, as JSON.
const ROW: &str = "json_build_object('eventId', e.event_id, 'position', e.position::text, 'version', e.version, \
    'occurredAt', e.occurred_at, 'recordedAt', e.recorded_at, 'kind', e.kind, 'eventType', e.event_type, 'outcome', e.outcome, \
    'actor', json_build_object('id', e.actor_id), 'payload', e.payload)";
/// Those that `HEAD` shows.
const SUMMARY: &str = "'remediationId', r.remediation_id, 'phase', r.phase, 'outcome', r.outcome, 'severity', r.severity, \
    'startedAt', r.started_at, 'completedAt', r.completed_at, 'durationMs', r.duration_ms";

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let stand = bench.stand(&["--embedder", "none"]).await?;
    models::fill(&stand, SIZE, &bench.bar).await?;
    for connections in CONNECTIONS {
        let stand = &stand;
        let one = one_in_sql();
        let scenario = Scenario {
            group: Group::Nested,
            name: format!("one remediation with 40 entries, {}", super::connections(connections)),
            counted: "requests",
            reference: Some(Variant::new("pgbench SELECT, as JSON", move |time| {
                let one = one.clone();
                async move { pgbench::run(stand, &one, connections, time).await }.boxed()
            })),
            variants: vec![
                Variant::closed(
                    "GraphQL, events",
                    plan(stand.address(), connections, one_of(&events(40)), forty_events),
                ),
                Variant::closed(
                    "GraphQL, timeline",
                    plan(stand.address(), connections, one_of(&timeline(100)), no_errors),
                ),
            ],
        };
        bench.measure(stand, scenario).await?;
    }
    let (stand_, page) = (&stand, page_in_sql());
    let views = "aiAnalyses { completionStatus confidenceScore } workflowExecutions { status workflowName totalDurationMs } \
        notifications { status channel }";
    let scenario = Scenario {
        group: Group::Nested,
        name: "a page of 50 remediations with 20 entries each, 1 connection".to_string(),
        counted: "requests",
        reference: Some(Variant::new("pgbench SELECT, as JSON", move |time| {
            let page = page.clone();
            async move { pgbench::run(stand_, &page, 1, time).await }.boxed()
        })),
        variants: vec![
            Variant::closed("GraphQL, events", plan(stand.address(), 1, page_of(&events(20)), no_errors)),
            Variant::closed(
                "GraphQL, timeline and three views",
                plan(stand.address(), 1, page_of(&format!("{} {views}", timeline(20))), no_errors),
            ),
        ],
    };
    bench.measure(&stand, scenario).await?;
    stand.stop().await
}

fn events(first: usize) -> String {
    format!("events(first: {first}) {{ nodes {{ {EVENT} }} }}")
}

fn timeline(first: usize) -> String {
    format!("timeline(first: {first}) {{ nodes {{ {FACT} }} }}")
}

/// A remediation after the other, none twice in a row.
fn one_of(selection: &str) -> impl Fn() -> String + Send + Sync + 'static {
    let query = format!(
        "query One($id: String!) {{ remediation(remediationId: $id, clusterId: \\\"eu-prod-1\\\") {{ {HEAD} {selection} }} }}"
    );
    let next = AtomicUsize::new(0);
    move || {
        // A step that has no factor in common with their number reaches all of them, far from each other.
        let number = next.fetch_add(1_237, Ordering::Relaxed) % SIZE.remediations();
        format!(r#"{{"query":"{query}","variables":{{"id":"{}"}}}}"#, models::name(number, SIZE))
    }
}

fn page_of(selection: &str) -> impl Fn() -> String + Send + Sync + 'static {
    let query = format!("query Page {{ remediations(first: 50) {{ nodes {{ {HEAD} {selection} }} }} }}");
    move || format!(r#"{{"query":"{query}"}}"#)
}

fn plan(
    address: String,
    connections: usize,
    body: impl Fn() -> String + Send + Sync + 'static,
    good: fn(&[u8]) -> bool,
) -> Plan {
    Plan { address, path: "/graphql", connections, per_call: 1, body: Arc::new(body), good }
}

fn one_in_sql() -> String {
    format!(
        "\\set model random(0, {})\n\\set copy random(1, {})\n\
        SELECT json_build_object({SUMMARY}, 'events', (SELECT json_agg({ROW} ORDER BY e.version) FROM audit_events e \
        WHERE e.cluster_id = r.cluster_id AND e.remediation_id = r.remediation_id)) FROM remediations r \
        WHERE r.cluster_id = 'eu-prod-1' AND r.remediation_id = 'rr-' || :model::text || '-' || :copy::text;\n",
        SIZE.models - 1,
        SIZE.remediations() / SIZE.models - 1,
    )
}

fn page_in_sql() -> String {
    format!(
        "SELECT json_agg(json_build_object({SUMMARY}, 'events', e.events) ORDER BY r.started_at DESC) FROM ( \
        SELECT * FROM remediations ORDER BY started_at DESC, cluster_id DESC, remediation_id DESC LIMIT 50) r \
        CROSS JOIN LATERAL (SELECT json_agg({ROW} ORDER BY e.version) AS events FROM ( \
        SELECT * FROM audit_events a WHERE a.cluster_id = r.cluster_id AND a.remediation_id = r.remediation_id \
        ORDER BY a.version LIMIT 20) e) e;\n"
    )
}

fn count(answer: &[u8], word: &str) -> usize {
    memmem::find_iter(answer, word).count()
}

fn no_errors(answer: &[u8]) -> bool {
    answer.starts_with(b"{\"data\":{") && count(answer, "\"errors\":[") == 0 && count(answer, "\"nodes\":[{") > 0
}

fn forty_events(answer: &[u8]) -> bool {
    no_errors(answer) && count(answer, "\"recordedAt\":") == SIZE.entries
}
