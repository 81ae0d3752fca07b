//! The bounds of what may be recorded, each with its name.

/// Largest canonical payload, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Largest payload of an event in Kubernaut's envelope: a largest `event_data`, and room for what stands beside it.
pub const KUBERNAUT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64 * 1024;
/// Deepest nesting of lists and objects in a submission.
pub const DEPTH_MAX: usize = 16;
/// Most audits in one batch.
pub const BATCH_MAX: usize = 1_000;
/// Most bytes of canonical submissions in one batch.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most items in one list.
pub const LIST_MAX: usize = 1_000;
/// Longest identifier or name, in characters.
pub const NAME_MAX: usize = 255;
/// Longest one-line text, in characters.
pub const LINE_MAX: usize = 4_000;
/// Longest narrative (a report, an error output), in characters.
pub const TEXT_MAX: usize = 100_000;
/// How far ahead of the server's clock `occurredAt` may lie, in minutes.
pub const AHEAD_MINUTES_MAX: i64 = 5;
/// The same for events in Kubernaut's envelope, whose services may be that far ahead.
pub const KUBERNAUT_AHEAD_MINUTES_MAX: i64 = 60;
