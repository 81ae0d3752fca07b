//! The same questions to stores of a hundredth of the events, of all and of ten times as many, over seven years: what is asked decides how long
//! it takes, and not how much there is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use memchr::memmem;

use crate::bench::{
    Bench, Group,
    load::Plan,
    models::{self, Size},
    rounds::{Scenario, Variant},
};

const MONTHS: i64 = 84;
const MODELS: usize = 25;
const ENTRIES: usize = 80;

/// What is asked, with `$id` for the name of a remediation.
const ASKED: [(&str, &str); 4] = [
    (
        "a timeline of 80 entries",
        r#"{ remediation(remediationId: \"$id\", clusterId: \"eu-prod-1\") { phase timeline(first: 100) { nodes { at title } } } }"#,
    ),
    (
        "a remediation's 80 events",
        r#"{ remediation(remediationId: \"$id\", clusterId: \"eu-prod-1\") { phase events(first: 80) { nodes { eventId payload } } } }"#,
    ),
    (
        "the latest remediations",
        r"{ remediations(first: 20) { nodes { remediationId phase startedAt } pageInfo { endCursor } } }",
    ),
    (
        "events of a kind and an outcome, the latest first",
        r"{ events(first: 20, filter: { kind: [AI_ANALYSIS], outcome: [SUCCESS] }, orderBy: { field: POSITION, direction: DESC }) { nodes { eventId payload } } }",
    ),
];

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let events = bench.settings.events;
    let mut stands = Vec::new();
    // The first is the reference.
    for events in [events / 100, events, events * 10] {
        let size = Size { models: MODELS, entries: ENTRIES, events: events.max(MODELS * ENTRIES), months: MONTHS };
        let stand = bench.stand(&["--embedder", "none"]).await?;
        models::fill(&stand, size, &bench.bar).await?;
        stands.push((size, stand));
    }
    for (what, query) in ASKED {
        let mut variants = stands.iter().map(|(size, stand)| {
            let plan = Plan {
                address: stand.address(),
                path: "/graphql",
                connections: 1,
                per_call: 1,
                body: Arc::new(asking(query, *size)),
                good: |answer| answer.starts_with(b"{\"data\":{") && memmem::find(answer, b"\"errors\":[").is_none(),
            };
            Variant::closed(format!("{} events", size.events), plan).on(stand)
        });
        let scenario = Scenario {
            group: Group::Growth,
            name: format!("{what}, 1 connection"),
            counted: "requests",
            reference: variants.next(),
            variants: variants.collect(),
        };
        let (_, largest) = &stands[stands.len() - 1];
        bench.measure(largest, scenario).await?;
    }
    for (_, stand) in stands {
        stand.stop().await?;
    }
    Ok(())
}

fn asking(query: &'static str, size: Size) -> impl Fn() -> String + Send + Sync {
    let next = AtomicUsize::new(0);
    move || {
        let number = next.fetch_add(7_919, Ordering::Relaxed) % size.remediations();
        format!(r#"{{"query":"{}"}}"#, query.replace("$id", &models::name(number, size)))
    }
}
