//! Text and vectors derived from the journal: documents worth finding, their embeddings, and the search over both.

pub mod choice;
pub mod embedder;
mod fusion;
pub mod index;
mod lines;
mod query;
pub mod refused;
mod scope;
pub mod similar;
mod vectors;
pub mod worker;

use sqlx::PgPool;

use crate::{
    projection::{pinned::PinError, search_documents::Vocabulary},
    telemetry::Metrics,
};
use embedder::{Embedders, Questions};
use lines::Lender;

pub use fusion::Part;
pub use query::{Answer, HITS_MAX, Hit, Mode, QUESTION_CHARS_MAX, Question};
pub use similar::Subject;

/// The search of one Binnacle. Cheap to clone.
#[derive(Clone)]
pub struct Search {
    /// For statements whose plan does not hang on their values.
    pub db: PgPool,
    /// The same for as long as a search lasts.
    lender: Lender,
    /// For those of filters, which are planned anew each time, and for what compares very many. A search waits for one of
    /// these, and for a second, while it holds one or two of `db`.
    pub filters: PgPool,
    pub embedders: Embedders,
    pub questions: Questions,
    pub vocabulary: Vocabulary,
    pub metrics: Metrics,
}

impl Search {
    pub fn new(db: PgPool, filters: PgPool, embedders: Embedders, metrics: Metrics) -> Search {
        let questions = Questions::new(metrics.clone());
        let lender = Lender::new(db.clone());
        Search { db, lender, filters, embedders, questions, vocabulary: Vocabulary::default(), metrics }
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("the query is empty; write what to look for, in your own words")]
    Empty,
    #[error("the query has {given} characters; at most {QUESTION_CHARS_MAX} are allowed")]
    TooLong { given: usize },
    #[error("there are no vectors to compare: {reason}; mode TEXT searches by words")]
    NoVectors { reason: String },
    #[error("could not read the documents")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Pinned(#[from] PinError),
    #[error("could not put the answer together")]
    Internal(#[from] anyhow::Error),
}
