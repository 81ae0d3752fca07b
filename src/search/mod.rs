//! Text and vectors derived from the journal: documents worth finding, their embeddings, and the search over both.

pub mod embedder;
pub mod similar;
