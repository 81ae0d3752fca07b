//! The time to an answer where audits come at a steady rate, whatever the answers do.

use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::bench::{
    Bench, Group,
    audits::Audits,
    load::Plan,
    rounds::{Scenario, Variant},
};

const RATES: [u32; 2] = [50, 1_000];
/// Enough that a call that is due finds one that is free, as long as answers take less than 64 ms at the higher rate.
const CONNECTIONS: usize = 64;

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let stand = bench.stand(&["--embedder", "none"]).await?;
    let audits = Arc::new(Audits::new("steady"));
    for rate in RATES {
        let [graphql, rest] = audits.plans(&stand, CONNECTIONS, 1);
        let open = |name: &str, plan: Plan| {
            Variant::new(name, move |time| {
                let plan = plan.clone();
                async move { plan.open(f64::from(rate), time).await }.boxed()
            })
        };
        let scenario = Scenario {
            group: Group::OpenLoop,
            name: format!("one audit per request, {rate} requests/s"),
            counted: "audits",
            reference: None,
            variants: vec![open("GraphQL", graphql), open("REST", rest)],
        };
        bench.measure(&stand, scenario).await?;
    }
    stand.stop().await
}
