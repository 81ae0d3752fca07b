//! Variants in turns: A B A B …, so that whatever else the machine does harms all of them alike.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{FutureExt as _, future::BoxFuture};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Group, load::Plan, sample::Sample, stand::Stand};

/// One turn of a variant: what it does in about so long.
type Turn<'a> = Box<dyn FnMut(Duration) -> BoxFuture<'a, anyhow::Result<Sample>> + 'a>;

/// One way of doing what a scenario is about.
pub struct Variant<'a> {
    pub name: String,
    pub turn: Turn<'a>,
    /// What it is measured on, where that is not what all others are measured on.
    stand: Option<&'a Stand>,
}

impl<'a> Variant<'a> {
    pub fn new(
        name: impl Into<String>,
        turn: impl FnMut(Duration) -> BoxFuture<'a, anyhow::Result<Sample>> + 'a,
    ) -> Variant<'a> {
        Variant { name: name.into(), turn: Box::new(turn), stand: None }
    }

    /// Measured on a stand of its own.
    pub fn on(self, stand: &'a Stand) -> Variant<'a> {
        Variant { stand: Some(stand), ..self }
    }

    /// Callers that each send the next request when the last one is answered.
    pub fn closed(name: impl Into<String>, plan: Plan) -> Variant<'a> {
        Variant::new(name, move |time| {
            let plan = plan.clone();
            async move { plan.closed(time).await }.boxed()
        })
    }
}

/// Variants that are compared with each other.
pub struct Scenario<'a> {
    pub group: Group,
    pub name: String,
    /// What is counted: audits, requests, events.
    pub counted: &'static str,
    /// What the others are compared with; where it is none of ours, it stands first.
    pub reference: Option<Variant<'a>>,
    pub variants: Vec<Variant<'a>>,
}

/// What one turn showed.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    pub group: Group,
    pub scenario: String,
    pub variant: String,
    pub round: usize,
    pub counted: &'static str,
    pub rate_per_s: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    /// The rate over that of the reference in the same round; 1 for the reference itself.
    pub ratio: Option<f64>,
    pub n: u64,
    /// Processor time of the server and of Postgres for a thousand of what is counted.
    pub cpu_s_per_1000: Option<f64>,
    /// The server's share of it.
    pub server_cpu_s_per_1000: Option<f64>,
    pub server_peak_mib: Option<f64>,
    pub recall: Option<f64>,
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub rounds: usize,
    pub turn: Duration,
    /// Before the first round, of each variant, uncounted; zero is none.
    pub warm_up: Duration,
}

/// Measures the variants in turns; `tell` is told of each turn as it ends.
pub async fn measure(
    stand: &Stand,
    scenario: Scenario<'_>,
    times: Times,
    bar: &ProgressBar,
    mut tell: impl FnMut(Round),
) -> anyhow::Result<()> {
    let Scenario { group, name, counted, reference, mut variants } = scenario;
    let has_reference = reference.is_some();
    variants.splice(0..0, reference);
    let first = if times.warm_up.is_zero() { 1 } else { 0 };
    for round in first..=times.rounds {
        let mut reference_rate = None;
        for (place, variant) in variants.iter_mut().enumerate() {
            let (turn, which) = match round {
                0 => (times.warm_up, "warming up".to_string()),
                _ => (times.turn, format!("round {round} of {}", times.rounds)),
            };
            bar.set_message(format!("{name}: {which}, {}", variant.name));
            let stand = variant.stand.unwrap_or(stand);
            stand.settle().await?;
            stand.forget_peak();
            let before = stand.processor();
            let sample = (variant.turn)(turn).await.with_context(|| format!("{name}: {} has failed", variant.name))?;
            let used = stand.processor().zip(before).map(|(after, before)| after.since(before));
            bar.inc(1);
            if round == 0 {
                continue;
            }
            let rate = sample.per_second();
            if has_reference && place == 0 {
                reference_rate = Some(rate);
            }
            let per_1000 = |seconds: f64| seconds / sample.n.max(1) as f64 * 1e3;
            tell(Round {
                group,
                scenario: name.clone(),
                variant: variant.name.clone(),
                round,
                counted,
                rate_per_s: rate,
                p50_ms: sample.calls.percentile(50.0),
                p95_ms: sample.calls.percentile(95.0),
                p99_ms: sample.calls.percentile(99.0),
                ratio: reference_rate.map(|reference| rate / reference),
                n: sample.n,
                cpu_s_per_1000: used.map(|used| per_1000(used.total())),
                server_cpu_s_per_1000: used.map(|used| per_1000(used.server)),
                server_peak_mib: stand.peak_bytes().map(|bytes| bytes as f64 / 1024.0 / 1024.0),
                recall: sample.recall,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::{Group, Round};

    pub fn round(group: Group, scenario: &str, variant: &str, ratio: Option<f64>) -> Round {
        Round {
            group,
            scenario: scenario.to_string(),
            variant: variant.to_string(),
            round: 1,
            counted: "audits",
            rate_per_s: 1_234.0,
            p50_ms: 1.0,
            p95_ms: 1.0,
            p99_ms: 12.34,
            ratio,
            n: 1,
            cpu_s_per_1000: None,
            server_cpu_s_per_1000: None,
            server_peak_mib: None,
            recall: None,
        }
    }
}
