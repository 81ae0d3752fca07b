//! What the stories share.

pub mod app;
pub mod audits;
pub mod client;
pub mod doorway;
pub mod embedder;
pub mod endpoint;
pub mod history;
pub mod page;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rest;
pub mod statements;
pub mod store;
pub mod storm;
pub mod subscriber;
