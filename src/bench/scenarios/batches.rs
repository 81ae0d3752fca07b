//! Many audits in each request, against the same rows in one statement.

use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::bench::{
    Bench,
    audits::{Audits, all_recorded},
    load::Plan,
    reference,
    rounds::{Scenario, Variant},
};

const SIZES: [usize; 3] = [100, 500, 1_000];
const CONNECTIONS: [usize; 2] = [1, 4];

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let stand = bench.stand(&["--embedder", "none"]).await?;
    reference::prepare(&stand.owner).await?;
    let audits = Arc::new(Audits::new("batch"));
    for size in SIZES {
        let stand = &stand;
        let mut variants = vec![Variant::new("COPY", move |time| reference::copy(stand, size, time).boxed())];
        for connections in CONNECTIONS {
            let graphql = {
                let audits = audits.clone();
                Plan {
                    address: stand.address().to_string(),
                    path: "/graphql",
                    connections,
                    per_call: size as u64,
                    body: Arc::new(move || audits.mutation_of(size)),
                    good: all_recorded,
                }
            };
            let audits = audits.clone();
            let rest = Plan { path: "/api/v1/audits", body: Arc::new(move || audits.list_of(size)), ..graphql.clone() };
            let name = |face: &str| format!("{face}, {}", super::connections(connections));
            variants.extend([Variant::closed(name("GraphQL"), graphql), Variant::closed(name("REST"), rest)]);
        }
        let scenario = Scenario {
            name: format!("{size} audits per request"),
            counted: "audits",
            reference: Some(Variant::new("INSERT … UNNEST", move |time| {
                reference::unnest(stand, size, time).boxed()
            })),
            variants,
        };
        bench.measure(stand, scenario).await?;
    }
    stand.stop().await
}
