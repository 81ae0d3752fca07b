//! Many audits in each request, against the same rows in one statement.

use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::bench::{
    Bench, Group,
    audits::Audits,
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
            let [graphql, rest] = audits.plans(stand, connections, size);
            let name = |face: &str| format!("{face}, {}", super::connections(connections));
            variants.extend([Variant::closed(name("GraphQL"), graphql), Variant::closed(name("REST"), rest)]);
        }
        let scenario = Scenario {
            group: Group::Batches,
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
