//! Counting the statements that a request sends to the database.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tracing::{
    Dispatch, Event, Instrument as _, Subscriber, info_span, level_filters::LevelFilter, subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

/// Counts statements where they are logged: by sqlx, each when it is through. It hears this thread only, so the test runs on
/// one (`#[tokio::test]` does).
pub struct Statements {
    count: Arc<AtomicUsize>,
    _counting: DefaultGuard,
    /// With one dispatcher only, `tracing` lets whichever thread logs first decide for all whether a line is wanted.
    _second: Dispatch,
}

/// The span of what is counted; the workers' statements are in none.
const SPAN: &str = "counted";

impl Statements {
    pub fn counter() -> Statements {
        let count = Arc::new(AtomicUsize::new(0));
        let layer = Counter(count.clone()).with_filter(LevelFilter::DEBUG);
        Statements {
            count,
            _second: Dispatch::new(tracing_subscriber::registry()),
            _counting: tracing::subscriber::set_default(tracing_subscriber::registry().with(layer)),
        }
    }

    /// How many statements `asks` sends, by itself.
    pub async fn of<T>(&self, asks: impl Future<Output = T>) -> usize {
        self.count.store(0, Ordering::Relaxed);
        asks.instrument(info_span!("counted")).await;
        self.count.load(Ordering::Relaxed)
    }
}

struct Counter(Arc<AtomicUsize>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Counter {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let counted = || context.event_scope(event).is_some_and(|mut spans| spans.any(|span| span.name() == SPAN));
        if event.metadata().target() == "sqlx::query" && counted() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
