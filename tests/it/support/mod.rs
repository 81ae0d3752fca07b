//! What the stories share.

pub mod app;
pub mod audits;
pub mod postgres;
pub mod store;
