//! What a relay counts, in the text format of Prometheus.

use std::{sync::Arc, time::Duration};

use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use uuid::Uuid;

use crate::{
    client::{Condition, Observer, Status},
    record::Rejected,
};

/// The counters of one relay. A clone counts the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    kept: IntCounter,
    keep_seconds: Histogram,
    refused: IntCounterVec,
    recorded: IntCounter,
    duplicates: IntCounter,
    dead: IntCounter,
    troubles: IntCounterVec,
    waiting: IntGauge,
    bytes: IntGauge,
    bytes_max: IntGauge,
    oldest_seconds: Gauge,
    dead_letters: IntGauge,
    quarantined: IntGauge,
    sync_failures: IntGauge,
    condition: IntGaugeVec,
}

impl Metrics {
    pub fn new() -> Metrics {
        // It fails only for a name that is malformed or there twice.
        Metrics(Arc::new(Inner::new().expect("the metrics have names of their own")))
    }

    /// Counts those that are refused before they are kept.
    pub fn refused(&self, answers: &[Result<Uuid, Rejected>]) {
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        self.0.refused.with_label_values(&["invalid"]).inc_by(refused as u64);
    }

    /// All of it, with how things stand now.
    pub fn text(&self, status: &Status) -> Result<String, prometheus::Error> {
        let inner = &self.0;
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        inner.waiting.set(whole(status.spool.waiting));
        inner.bytes.set(whole(status.spool.bytes));
        inner.bytes_max.set(whole(status.spool.bytes_max));
        let oldest = status.spool.oldest_kept_at.map_or(0.0, |at| (chrono::Utc::now() - at).as_seconds_f64().max(0.0));
        inner.oldest_seconds.set(oldest);
        inner.dead_letters.set(whole(status.spool.dead));
        inner.quarantined.set(whole(status.spool.quarantined.files));
        inner.sync_failures.set(whole(status.spool.fsync_failures));
        for condition in Condition::ALL {
            let stands = status.delivery.condition == condition;
            inner.condition.with_label_values(&[condition.word()]).set(i64::from(stands));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&inner.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Observer for Metrics {
    fn kept(&self, took: Duration) {
        self.0.kept.inc();
        self.0.keep_seconds.observe(took.as_secs_f64());
    }

    fn not_kept(&self) {
        self.0.refused.with_label_values(&["not_kept"]).inc();
    }

    fn recorded(&self, count: u64, duplicates: u64) {
        self.0.recorded.inc_by(count);
        self.0.duplicates.inc_by(duplicates);
    }

    fn refused(&self, count: u64) {
        self.0.dead.inc_by(count);
    }

    fn troubled(&self, condition: Condition) {
        self.0.troubles.with_label_values(&[condition.word()]).inc();
    }
}

impl Inner {
    fn new() -> Result<Inner, prometheus::Error> {
        let registry = Registry::new();
        let seconds = vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
        let inner = Inner {
            kept: counted(&registry, "binnacle_relay_kept_total", "Audits that were kept on this disk.")?,
            keep_seconds: Histogram::with_opts(
                HistogramOpts::new("binnacle_relay_keep_seconds", "Time until an audit is on this disk.")
                    .buckets(seconds),
            )?,
            refused: IntCounterVec::new(
                Opts::new("binnacle_relay_refused_total", "Audits that were not kept: not well formed, or no room."),
                &["reason"],
            )?,
            recorded: counted(&registry, "binnacle_relay_recorded_total", "Audits that the server has recorded.")?,
            duplicates: counted(
                &registry,
                "binnacle_relay_duplicates_total",
                "Recorded audits that the server had already: an answer had got lost.",
            )?,
            dead: counted(&registry, "binnacle_relay_dead_total", "Audits that the server refused for good.")?,
            troubles: IntCounterVec::new(
                Opts::new(
                    "binnacle_relay_troubles_total",
                    "Requests to the server that were not answered, by what was wrong.",
                ),
                &["condition"],
            )?,
            waiting: gauge(&registry, "binnacle_relay_waiting", "Audits that wait to be recorded.")?,
            bytes: gauge(&registry, "binnacle_relay_spool_bytes", "Bytes of the spool.")?,
            bytes_max: gauge(&registry, "binnacle_relay_spool_bytes_max", "Bytes that the spool may have.")?,
            oldest_seconds: Gauge::new(
                "binnacle_relay_oldest_seconds",
                "Age of the oldest audit that waits; 0 if none does.",
            )?,
            dead_letters: gauge(&registry, "binnacle_relay_dead_letters", "Dead letters that were not replayed.")?,
            quarantined: gauge(
                &registry,
                "binnacle_relay_quarantined",
                "Damaged stretches of the spool that were put aside.",
            )?,
            sync_failures: gauge(
                &registry,
                "binnacle_relay_sync_failures",
                "Times that the disk failed to keep what was written.",
            )?,
            condition: IntGaugeVec::new(
                Opts::new("binnacle_relay_condition", "1 for how delivery stands, 0 for the others."),
                &["condition"],
            )?,
            registry,
        };
        // A series that is not there yet cannot be told from one that was forgotten.
        for reason in ["invalid", "not_kept"] {
            inner.refused.with_label_values(&[reason]);
        }
        inner.registry.register(Box::new(inner.keep_seconds.clone()))?;
        inner.registry.register(Box::new(inner.refused.clone()))?;
        inner.registry.register(Box::new(inner.troubles.clone()))?;
        inner.registry.register(Box::new(inner.oldest_seconds.clone()))?;
        inner.registry.register(Box::new(inner.condition.clone()))?;
        Ok(inner)
    }
}

fn counted(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}
