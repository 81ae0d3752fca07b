//! The metrics that Prometheus reads, each with a typed method for those who have something to tell.

use std::{fmt, sync::Arc, time::Duration};

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector, exponential_buckets,
};

use super::{labels::Labels, process::Process};
use crate::audit::Kind;

/// All metrics of one server. A clone is the same metrics.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

/// What became of an audit that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    Recorded,
    Duplicate,
    Conflict,
    Invalid,
    NotAllowed,
    Unavailable,
}

impl AppendOutcome {
    fn word(self) -> &'static str {
        match self {
            AppendOutcome::Recorded => "recorded",
            AppendOutcome::Duplicate => "duplicate",
            AppendOutcome::Conflict => "conflict",
            AppendOutcome::Invalid => "invalid",
            AppendOutcome::NotAllowed => "not_allowed",
            AppendOutcome::Unavailable => "unavailable",
        }
    }
}

/// Why audits were refused at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too much waits already.
    QueueFull,
    /// The database is away.
    Away,
    /// The server stops.
    Closed,
}

impl Refusal {
    const ALL: [Refusal; 3] = [Refusal::QueueFull, Refusal::Away, Refusal::Closed];

    fn word(self) -> &'static str {
        match self {
            Refusal::QueueFull => "queue_full",
            Refusal::Away => "away",
            Refusal::Closed => "closed",
        }
    }
}

/// What sort of GraphQL operation was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationType {
    Query,
    Mutation,
    Subscription,
}

impl OperationType {
    pub fn word(self) -> &'static str {
        match self {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        }
    }
}

struct Inner {
    registry: Registry,
    process: Process,
    appends: IntCounterVec,
    append_seconds: Histogram,
    append_batch_events: Histogram,
    append_queue_events: IntGauge,
    append_breaker_open: IntGauge,
    append_refused: IntCounterVec,
    projection_lag_events: IntGaugeVec,
    projection_dead_letters: IntGaugeVec,
    http_request_seconds: HistogramVec,
    graphql_operation_seconds: HistogramVec,
    graphql_refused: IntCounterVec,
    embedding_seconds: HistogramVec,
    embedded_texts: IntCounter,
    question_vectors: IntCounterVec,
    vector_query_seconds: Histogram,
    search_seconds: HistogramVec,
    search_texts: IntGaugeVec,
    followers: IntGauge,
    followers_too_slow: IntCounter,
    operations: Labels,
}

impl Metrics {
    pub fn new() -> Metrics {
        // Names and labels are written below and do not change, so either every start succeeds or none.
        Metrics(Arc::new(Inner::register().expect("the metrics have valid and distinct names")))
    }

    /// An audit of this kind was sent and answered.
    pub fn appended(&self, kind: Kind, outcome: AppendOutcome) {
        self.0.appends.with_label_values(&[kind.word(), outcome.word()]).inc();
    }

    /// An append took so long, from its audits' arrival in the queue to their answer.
    pub fn append_took(&self, time: Duration) {
        self.0.append_seconds.observe(time.as_secs_f64());
    }

    /// So many events were committed together.
    pub fn append_batch(&self, events: usize) {
        self.0.append_batch_events.observe(events as f64);
    }

    /// So many events wait to be appended.
    pub fn append_queue(&self, events: usize) {
        self.0.append_queue_events.set(whole(events));
    }

    /// Whether the breaker before the database is open: then nothing is appended.
    pub fn append_breaker_open(&self, open: bool) {
        self.0.append_breaker_open.set(i64::from(open));
    }

    /// A request to record was refused without a try.
    pub fn append_refused(&self, reason: Refusal) {
        self.0.append_refused.with_label_values(&[reason.word()]).inc();
    }

    /// A projection has so many entries of the journal still to read.
    pub fn projection_lag(&self, projection: &str, events: i64) {
        self.0.projection_lag_events.with_label_values(&[projection]).set(events);
    }

    /// A projection has parked so many events.
    pub fn projection_dead_letters(&self, projection: &str, events: i64) {
        self.0.projection_dead_letters.with_label_values(&[projection]).set(events);
    }

    /// A request was answered; `route` is the router's pattern, never the path itself.
    pub fn http_request(&self, route: &str, method: &str, status: u16, time: Duration) {
        let method = match method {
            "GET" | "POST" | "HEAD" | "OPTIONS" | "PUT" | "PATCH" | "DELETE" => method,
            _ => super::labels::OTHER,
        };
        let labels = [route, method, &status.to_string()];
        self.0.http_request_seconds.with_label_values(&labels).observe(time.as_secs_f64());
    }

    /// A GraphQL operation was executed; `name` is what the client called it, `code` the one of its first error, or `OK`.
    pub fn graphql_operation(&self, name: Option<&str>, operation: OperationType, code: &str, time: Duration) {
        let labels = [self.0.operations.of(name), operation.word(), code];
        self.0.graphql_operation_seconds.with_label_values(&labels).observe(time.as_secs_f64());
    }

    /// A GraphQL request was refused before anything was executed or validated.
    pub fn graphql_refused(&self, code: &str) {
        self.0.graphql_refused.with_label_values(&[code]).inc();
    }

    /// So many texts of documents got their vectors in one call of the embedder.
    pub fn embedded(&self, texts: usize, time: Duration) {
        self.0.embedding_seconds.with_label_values(&["documents"]).observe(time.as_secs_f64());
        self.0.embedded_texts.inc_by(texts as u64);
    }

    /// A question's vector was wanted: it was there already, or it was made in this time.
    pub fn question_vector(&self, made_in: Option<Duration>) {
        let word = if made_in.is_some() { "miss" } else { "hit" };
        self.0.question_vectors.with_label_values(&[word]).inc();
        if let Some(time) = made_in {
            self.0.embedding_seconds.with_label_values(&["question"]).observe(time.as_secs_f64());
        }
    }

    /// The nearest vectors of a question were found.
    pub fn vector_query(&self, time: Duration) {
        self.0.vector_query_seconds.observe(time.as_secs_f64());
    }

    /// A search was answered, without the time in which its question got a vector.
    pub fn searched(&self, mode: &str, time: Duration) {
        self.0.search_seconds.with_label_values(&[mode]).observe(time.as_secs_f64());
    }

    /// So many texts wait for their vector, and so many are refused.
    pub fn search_backlog(&self, pending: i64, failed: i64) {
        self.0.search_texts.with_label_values(&["pending"]).set(pending);
        self.0.search_texts.with_label_values(&["failed"]).set(failed);
    }

    /// So many follow the journal with a subscription.
    pub fn followers(&self, count: usize) {
        self.0.followers.set(whole(count));
    }

    /// A subscription was ended because its client reads too slowly.
    pub fn follower_too_slow(&self) {
        self.0.followers_too_slow.inc();
    }

    /// Everything in the text format of Prometheus.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        self.0.process.read();
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Inner {
    fn register() -> Result<Inner, prometheus::Error> {
        let registry = Registry::new();
        let seconds = || exponential_buckets(0.000_5, 2.0, 15); // half a millisecond to eight seconds
        let counted = || exponential_buckets(1.0, 2.0, 11); // 1 to 1,024
        let build = gauges("binnacle_build_info", "Always 1; its labels say what runs.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;

        let inner = Inner {
            process: Process::register(&registry)?,
            appends: IntCounterVec::new(
                Opts::new("binnacle_appends_total", "Audits that were sent, by kind and what became of them."),
                &["kind", "outcome"],
            )?,
            append_seconds: histogram(
                "binnacle_append_seconds",
                "Time from an audit's arrival in the queue to its answer.",
                seconds()?,
            )?,
            append_batch_events: histogram(
                "binnacle_append_batch_events",
                "Events that were committed together.",
                counted()?,
            )?,
            append_queue_events: IntGauge::new("binnacle_append_queue_events", "Events that wait to be appended.")?,
            append_breaker_open: IntGauge::new(
                "binnacle_append_breaker_open",
                "1 while the database takes no appends, and audits are refused at once.",
            )?,
            append_refused: IntCounterVec::new(
                Opts::new(
                    "binnacle_append_refused_total",
                    "Requests to record that were refused without a try, by why: queue_full, away, closed.",
                ),
                &["reason"],
            )?,
            projection_lag_events: gauges(
                "binnacle_projection_lag_events",
                "Entries of the journal that a projection has still to read.",
                &["projection"],
            )?,
            projection_dead_letters: gauges(
                "binnacle_projection_dead_letters",
                "Events that a projection could not apply and has parked.",
                &["projection"],
            )?,
            http_request_seconds: histograms(
                "binnacle_http_request_seconds",
                "Time to answer a request.",
                &["route", "method", "status"],
                seconds()?,
            )?,
            graphql_operation_seconds: histograms(
                "binnacle_graphql_operation_seconds",
                "Time to execute a GraphQL operation; the code is that of its first error, or OK.",
                &["operation", "type", "code"],
                seconds()?,
            )?,
            graphql_refused: IntCounterVec::new(
                Opts::new(
                    "binnacle_graphql_refused_total",
                    "GraphQL requests refused before anything was executed or validated.",
                ),
                &["code"],
            )?,
            embedding_seconds: histograms(
                "binnacle_embedding_seconds",
                "Time of one call of the embedder, for documents or for a question.",
                &["purpose"],
                seconds()?,
            )?,
            embedded_texts: IntCounter::new("binnacle_embedded_texts_total", "Texts of documents that got a vector.")?,
            question_vectors: IntCounterVec::new(
                Opts::new("binnacle_question_vectors_total", "Vectors of questions, found in the cache or made."),
                &["cache"],
            )?,
            vector_query_seconds: histogram(
                "binnacle_vector_query_seconds",
                "Time to find the nearest vectors of a question.",
                seconds()?,
            )?,
            search_seconds: histograms(
                "binnacle_search_seconds",
                "Time to answer a search, without the embedding of its question.",
                &["mode"],
                seconds()?,
            )?,
            search_texts: gauges(
                "binnacle_search_texts",
                "Texts that wait for their vector, and texts that the embedder refuses.",
                &["state"],
            )?,
            followers: IntGauge::new("binnacle_followers", "Subscriptions that run.")?,
            followers_too_slow: IntCounter::new(
                "binnacle_followers_too_slow_total",
                "Subscriptions that were ended because their clients read too slowly.",
            )?,
            operations: Labels::default(),
            registry,
        };
        let collectors: [Box<dyn Collector>; 19] = [
            Box::new(inner.appends.clone()),
            Box::new(inner.append_seconds.clone()),
            Box::new(inner.append_batch_events.clone()),
            Box::new(inner.append_queue_events.clone()),
            Box::new(inner.append_breaker_open.clone()),
            Box::new(inner.append_refused.clone()),
            Box::new(inner.projection_lag_events.clone()),
            Box::new(inner.projection_dead_letters.clone()),
            Box::new(inner.http_request_seconds.clone()),
            Box::new(inner.graphql_operation_seconds.clone()),
            Box::new(inner.graphql_refused.clone()),
            Box::new(inner.embedding_seconds.clone()),
            Box::new(inner.embedded_texts.clone()),
            Box::new(inner.question_vectors.clone()),
            Box::new(inner.vector_query_seconds.clone()),
            Box::new(inner.search_seconds.clone()),
            Box::new(inner.search_texts.clone()),
            Box::new(inner.followers.clone()),
            Box::new(inner.followers_too_slow.clone()),
        ];
        collectors.into_iter().try_for_each(|collector| inner.registry.register(collector))?;
        // A series that is not there yet cannot be told from one that was forgotten.
        for kind in Kind::ALL {
            for outcome in [AppendOutcome::Recorded, AppendOutcome::Unavailable] {
                inner.appends.with_label_values(&[kind.word(), outcome.word()]);
            }
        }
        for reason in Refusal::ALL {
            inner.append_refused.with_label_values(&[reason.word()]);
        }
        Ok(inner)
    }
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn histogram(name: &str, help: &str, buckets: Vec<f64>) -> Result<Histogram, prometheus::Error> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
}

fn histograms(name: &str, help: &str, labels: &[&str], buckets: Vec<f64>) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(text: &'a str, start: &str) -> &'a str {
        text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no `{start}` in\n{text}"))
    }

    #[test]
    fn what_happened_is_counted_under_its_labels() {
        let metrics = Metrics::new();
        metrics.appended(Kind::Notification, AppendOutcome::Recorded);
        metrics.appended(Kind::Notification, AppendOutcome::Recorded);
        metrics.appended(Kind::AiAnalysis, AppendOutcome::NotAllowed);
        metrics.append_queue(7);
        metrics.append_batch(500);
        metrics.projection_lag("remediations", 3);
        metrics.http_request("/graphql", "POST", 200, Duration::from_millis(3));
        metrics.graphql_operation(Some("Delivered"), OperationType::Mutation, "OK", Duration::from_millis(3));

        let text = metrics.text().unwrap();

        let recorded = line(&text, r#"binnacle_appends_total{kind="NOTIFICATION",outcome="recorded"}"#);
        assert!(recorded.ends_with(" 2"), "{recorded}");
        line(&text, r#"binnacle_appends_total{kind="AI_ANALYSIS",outcome="not_allowed"} 1"#);
        line(&text, r#"binnacle_appends_total{kind="OTHER",outcome="recorded"} 0"#);
        line(&text, "binnacle_append_queue_events 7");
        line(&text, "binnacle_append_batch_events_sum 500");
        line(&text, r#"binnacle_projection_lag_events{projection="remediations"} 3"#);
        line(&text, r#"binnacle_http_request_seconds_count{method="POST",route="/graphql",status="200"} 1"#);
        line(&text, r#"binnacle_graphql_operation_seconds_count{code="OK",operation="Delivered",type="mutation"} 1"#);
        line(&text, "binnacle_build_info{version=");
    }

    #[test]
    fn two_servers_in_one_process_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.append_queue(7);
        line(&other.text().unwrap(), "binnacle_append_queue_events 0");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_tells_its_memory_and_files() {
        let text = Metrics::new().text().unwrap();
        for name in ["process_resident_memory_bytes ", "process_open_fds ", "process_start_time_seconds "] {
            assert!(!line(&text, name).ends_with(" 0"), "{name}");
        }
    }
}
