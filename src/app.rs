//! What the faces share: the journal, the signals of the projections, the metrics and the settings they need.

use crate::{journal::Journal, projection::signals::Signals, search::Search, telemetry::Metrics};

/// One running Binnacle. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub journal: Journal,
    pub signals: Signals,
    pub search: Search,
    pub metrics: Metrics,
    pub faces: std::sync::Arc<Faces>,
}

/// Settings of the faces.
#[derive(Clone, Debug)]
pub struct Faces {
    /// The cluster of a submission that names none.
    pub cluster_id: String,
    /// Where people reach this server, without a final slash.
    pub public_url: String,
    /// Deepest nesting of a GraphQL operation.
    pub depth_max: usize,
    /// Most fields of a GraphQL operation, page sizes counted.
    pub complexity_max: usize,
    /// How long a request may take.
    pub request_timeout: std::time::Duration,
}
