//! The writers' side: an audit is on this machine's disk before its writer hears "kept", and a sender brings it to the server,
//! in order and once, however long that takes.
//!
//! ```no_run
//! use binnacle::{audit::Kind, client::{Recorder, Settings}};
//! use serde_json::json;
//!
//! # async fn reconcile() -> Result<(), Box<dyn std::error::Error>> {
//! let recorder = Recorder::open(Settings::new("/var/spool/notifier", ["http://binnacle:8080"])?).await?;
//! let kept = recorder
//!     .record(Kind::Notification, &json!({
//!         "remediationId": "rr-7d1f0c9ab3e2-4be09c11", "clusterId": "eu-prod-1", "occurredAt": "2026-05-04T10:05:40Z",
//!         "notificationId": "nt-1", "channel": "slack", "status": "delivered",
//!     }))
//!     .await?;
//! println!("{} is safe", kept.event_id());
//! # Ok(())
//! # }
//! ```

mod backoff;
pub mod breaker;
mod delivery;
mod recorder;
mod sender;
pub mod spool;
mod upstream;

pub use delivery::{Condition, DeliveryStatus};
pub use recorder::{
    Left, Mode, Observer, OpenError, Outcome, Ready, RecordError, Recorder, ReplayError, Settings, Status, Unobserved,
};
pub use upstream::{Endpoint, EndpointError, TokenFile};
