//! One audit in each request, against a row in each INSERT.

use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::bench::{
    Bench, Group,
    audits::Audits,
    reference,
    rounds::{Scenario, Variant},
};

const CONNECTIONS: [usize; 3] = [1, 16, 64];

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let stand = bench.stand(&["--embedder", "none"]).await?;
    reference::prepare(&stand.owner).await?;
    let audits = Arc::new(Audits::new("single"));
    for connections in CONNECTIONS {
        let stand = &stand;
        let [graphql, rest] = audits.plans(stand, connections, 1);
        let scenario = Scenario {
            group: Group::Singles,
            name: format!("one audit per request, {}", super::connections(connections)),
            counted: "audits",
            reference: Some(Variant::new("pgbench INSERT", move |time| {
                reference::singles(stand, connections, time).boxed()
            })),
            variants: vec![Variant::closed("GraphQL", graphql), Variant::closed("REST", rest)],
        };
        bench.measure(stand, scenario).await?;
    }
    stand.stop().await
}
