//! What makes vectors of texts: a model in this process, or an endpoint elsewhere.

use std::time::Duration;

use futures_util::future::BoxFuture;

/// A model, as it is recorded with each vector that it made. Vectors of different models never meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Model {
    /// Tells it apart from every other, the version of its weights included: letters, digits and `-_.:/@`, at most 200.
    pub name: String,
    /// How many numbers a vector has.
    pub dimension: usize,
}

/// What a text is embedded for: somebody waits for a question, nobody for a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Question,
    Documents,
}

/// Makes vectors of texts.
pub trait Embedder: Send + Sync {
    fn model(&self) -> &Model;

    /// Most texts that one call takes.
    fn batch_max(&self) -> usize;

    /// Most characters of one text; what is longer has to be cut before, or it is refused.
    fn text_chars_max(&self) -> usize;

    /// A vector of length 1 for each text, in the order given.
    fn embed<'a>(&'a self, texts: &'a [String], purpose: Purpose) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>>;
}

/// Why there are no vectors. The reason is for operators; it names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// Not now; worth another try, not before `retry_after`.
    #[error("the embedder does not answer: {reason}")]
    Unavailable { reason: String, retry_after: Option<Duration> },
    /// These texts will not do, whenever they are sent. Of several, one alone may be the cause.
    #[error("the embedder refuses the text: {reason}")]
    Refused { reason: String },
    /// Nothing will do until a person changes the settings: a wrong key, a wrong dimension.
    #[error("the embedder is set up wrongly: {reason}")]
    Misconfigured { reason: String },
}
