//! What the program tells about itself while it runs: log lines and metrics.

mod labels;
mod log;
mod metrics;
mod process;
mod trace;

pub use log::{LogError, init};
pub use metrics::{AppendOutcome, Metrics, OperationType, Refusal};
pub use trace::{RequestContext, TraceParent};
