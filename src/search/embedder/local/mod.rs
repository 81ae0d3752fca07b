//! The embedder that runs in this process: a BERT of the sentence-transformers kind, such as all-MiniLM-L6-v2, from a folder.

mod folder;
mod lanes;
mod pipeline;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::{BoxFuture, try_join_all};

use self::{lanes::Lane, pipeline::Pipeline};
use super::{EmbedError, Embedder, Model, Purpose};

/// Why the model of a folder cannot be used. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("`{}` is not there", .path.display())]
    Missing { path: PathBuf },
    #[error("`{}` cannot be read", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` does not serve: {reason}", .path.display())]
    Unfit { path: PathBuf, reason: String },
    #[error("cannot start the threads of the model")]
    Threads(#[source] io::Error),
}

/// A model that runs on threads of its own, so that nothing else waits for its arithmetic.
///
/// There are two lanes. A question has a thread to itself and waits for other questions only. Documents have `threads`
/// threads, which on Linux step back for everything else that wants the processor.
///
/// A text is measured in characters, a model in tokens. Prose of `text_chars_max` characters fits into the model at once. A
/// text that does not, because its words are rare or not words at all, is never cut short: it is embedded in parts, and its
/// vector is the mean of theirs, each with the weight of its length.
pub struct Local {
    model: Model,
    text_chars_max: usize,
    questions: Lane,
    documents: Lane,
}

/// Most texts of one call: some hundred milliseconds of work for one thread.
const BATCH_MAX: usize = 32;
/// A batch goes to the threads in pieces of so many texts: enough to make good use of the weights that a thread has read,
/// few enough that several threads share a batch.
const PIECE: usize = 8;
/// Characters of a text for each token that the model takes. Prose has a little more than four to a token. What is denser, as
/// logs and ids are, goes in two parts rather than to cut all prose shorter than it need be.
const CHARS_PER_TOKEN: usize = 4;

impl Local {
    /// Reads the model in `folder` and starts its threads. It takes a moment; call it where waiting harms nobody.
    pub fn load(folder: &Path, threads: usize) -> Result<Local, LoadError> {
        let loaded = folder::read(folder)?;
        let text_chars_max = loaded.pipeline.text_tokens_max() * CHARS_PER_TOKEN;
        let pipeline: Arc<Pipeline> = Arc::new(loaded.pipeline);
        Ok(Local {
            model: loaded.model,
            text_chars_max,
            questions: Lane::start("questions", 1, false, &pipeline).map_err(LoadError::Threads)?,
            documents: Lane::start("documents", threads.max(1), true, &pipeline).map_err(LoadError::Threads)?,
        })
    }
}

impl Embedder for Local {
    fn model(&self) -> &Model {
        &self.model
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    fn text_chars_max(&self) -> usize {
        self.text_chars_max
    }

    fn embed<'a>(&'a self, texts: &'a [String], purpose: Purpose) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        Box::pin(async move {
            super::check_size(texts, BATCH_MAX, self.text_chars_max)?;
            let lane = match purpose {
                Purpose::Question => &self.questions,
                Purpose::Documents => &self.documents,
            };
            let pieces = try_join_all(texts.chunks(PIECE).map(|piece| lane.vectors(piece.to_vec()))).await?;
            Ok(pieces.into_iter().flatten().collect())
        })
    }
}

#[cfg(test)]
mod tests;
