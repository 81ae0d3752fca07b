//! Tracing and metrics.

/// placeholder until merged
#[derive(Clone, Default)]
pub struct Metrics;
impl Metrics {
    pub fn append_queue(&self, _: usize) {}
    pub fn append_batch(&self, _: usize) {}
    pub fn append_took(&self, _: std::time::Duration) {}
}
