//! This machine's clock, which a test may set wrong.

use chrono::{DateTime, TimeDelta, Utc};

use crate::fail_points;

/// The time by this machine's clock.
pub fn now() -> DateTime<Utc> {
    let astray = fail_points::number("clock").and_then(TimeDelta::try_seconds).unwrap_or_default();
    Utc::now() + astray
}
