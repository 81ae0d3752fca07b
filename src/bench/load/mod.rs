//! Load: callers that send one request after the other, or at a steady rate whatever the answers do.

mod connection;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;

use super::sample::{Calls, Sample};
pub use connection::Connection;

/// What is asked, over and over.
#[derive(Clone)]
pub struct Plan {
    pub address: String,
    pub path: &'static str,
    pub connections: usize,
    /// What one call does, as the scenario counts it.
    pub per_call: u64,
    /// The body of each call.
    pub body: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether an answer is a good one: a figure of wrong answers is worth nothing.
    pub good: fn(&[u8]) -> bool,
}

impl Plan {
    async fn call(&self, connection: &mut Connection) -> anyhow::Result<()> {
        let (status, answer) = connection.post(self.path, &(self.body)()).await?;
        if !(200..300).contains(&status) || !(self.good)(answer) {
            let text: String = String::from_utf8_lossy(answer).chars().take(600).collect();
            bail!("`{}` was answered with {status}: {text}", self.path);
        }
        Ok(())
    }

    async fn connections(&self) -> anyhow::Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(&self.address).await?);
        }
        Ok(connections)
    }

    /// Each connection sends its next call when the last one is answered, for so long.
    pub async fn closed(&self, time: Duration) -> anyhow::Result<Sample> {
        let mut running = JoinSet::new();
        let connections = self.connections().await?;
        let begun = Instant::now();
        for mut connection in connections {
            let plan = self.clone();
            running.spawn(async move {
                let mut calls = Calls::new();
                while begun.elapsed() < time {
                    let sent = Instant::now();
                    plan.call(&mut connection).await?;
                    calls.took(sent.elapsed());
                }
                anyhow::Ok(calls)
            });
        }
        self.sample(running, begun).await
    }

    /// Calls come at a steady rate, whether earlier ones are answered or not: the time of each counts from when it was due,
    /// so that a server that stalls is not spared the calls that it kept from being sent (coordinated omission).
    pub async fn open(&self, per_second: f64, time: Duration) -> anyhow::Result<Sample> {
        self.open_while(per_second, move |due| due < time).await
    }

    /// The same for as long as it is wanted, which is asked of each call with the time at which it is due.
    pub async fn open_while(
        &self,
        per_second: f64,
        wanted: impl Fn(Duration) -> bool + Clone + Send + 'static,
    ) -> anyhow::Result<Sample> {
        let mut running = JoinSet::new();
        let connections = self.connections().await?;
        let next = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        for mut connection in connections {
            let (plan, next, wanted) = (self.clone(), next.clone(), wanted.clone());
            running.spawn(async move {
                let mut calls = Calls::new();
                loop {
                    let due = Duration::from_secs_f64(next.fetch_add(1, Ordering::Relaxed) as f64 / per_second);
                    if !wanted(due) {
                        return anyhow::Ok(calls);
                    }
                    tokio::time::sleep_until((begun + due).into()).await;
                    plan.call(&mut connection).await?;
                    calls.took(begun.elapsed().saturating_sub(due));
                }
            });
        }
        self.sample(running, begun).await
    }

    async fn sample(&self, mut running: JoinSet<anyhow::Result<Calls>>, begun: Instant) -> anyhow::Result<Sample> {
        let mut calls = Calls::new();
        while let Some(ended) = running.join_next().await {
            calls.add(&ended.context("a caller panicked")??);
        }
        Ok(Sample::new(calls.len() * self.per_call, begun.elapsed(), calls))
    }
}
