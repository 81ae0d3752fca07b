//! The worker that gives texts their vectors: it claims a batch, embeds it while no transaction is open, and keeps what
//! came of it. Appends know nothing of it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use anyhow::anyhow;
use sqlx::PgPool;
use tokio::sync::Mutex;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{
    choice::Choice,
    embedder::{EmbedError, Embedder, Model, Purpose},
    index::{self, Waiting},
    vectors,
};
use crate::{
    postgres::{ANSWER_WAIT, in_time},
    telemetry::Metrics,
    worker::Progress,
};

/// How long texts rest when the embedder does not say for how long it is away.
const AWAY: Duration = Duration::from_secs(5);

/// Gives texts their vectors by whichever embedder is there.
pub struct Worker {
    pub db: PgPool,
    pub choice: Choice,
    pub metrics: Metrics,
    /// The model that this process has enlisted. Once: should another server replace it, that is for a person to settle.
    pub enlisted: Mutex<Option<Model>>,
}

impl Worker {
    /// One step: hands new documents to the model, embeds one batch, or, when nothing waits, puts the index in order.
    pub async fn step(&self, embedder: Option<Arc<dyn Embedder>>) -> anyhow::Result<Progress> {
        let Some(embedder) = embedder else { return Ok(Progress::CaughtUp) };
        let model = embedder.model();
        self.enlist(model).await?;
        if in_time(ANSWER_WAIT, index::enqueue(&self.db, model, &self.choice)).await? {
            return Ok(Progress::Moved);
        }
        let batch = i64::try_from(embedder.batch_max())?;
        let waiting = in_time(ANSWER_WAIT, index::claim(&self.db, model, &self.choice, batch)).await?;
        if waiting.is_empty() {
            return self.tidy(model).await;
        }
        let contents: Vec<Uuid> = waiting.iter().map(|waiting| waiting.content).collect();
        tokio::select! {
            embedded = self.embed(&*embedder, waiting) => embedded?,
            never = self.renew(model, &contents) => match never {},
        }
        Ok(Progress::Moved)
    }

    /// Keeps the claim of a batch for as long as it is awaited, however long an endpoint takes. The claim of a worker that has
    /// died is soon over. Should a claim be lost, a text is embedded twice and one of the vectors kept.
    async fn renew(&self, model: &Model, contents: &[Uuid]) -> Infallible {
        loop {
            tokio::time::sleep(index::RENEW_EVERY).await;
            if let Err(error) = in_time(ANSWER_WAIT, index::renew(&self.db, model, contents)).await {
                debug!(error = %error, "could not renew the claim of texts that are being embedded: {error}");
            }
        }
    }

    async fn enlist(&self, model: &Model) -> anyhow::Result<()> {
        let mut enlisted = self.enlisted.lock().await;
        if enlisted.as_ref() == Some(model) {
            return Ok(());
        }
        in_time(ANSWER_WAIT, index::enlist(&self.db, model, &self.choice)).await?;
        info!(model = model.name, "texts get their vectors by `{}`", model.name);
        *enlisted = Some(model.clone());
        Ok(())
    }

    async fn embed(&self, embedder: &dyn Embedder, waiting: Vec<Waiting>) -> anyhow::Result<()> {
        let (contents, texts): (Vec<Uuid>, Vec<String>) =
            waiting.into_iter().map(|waiting| (waiting.content, waiting.text)).unzip();
        let model = embedder.model();
        let begun = std::time::Instant::now();
        match embedder.embed(&texts, Purpose::Documents).await {
            Ok(vectors) => {
                self.metrics.embedded(contents.len(), begun.elapsed());
                self.keep(model, &contents, vectors).await
            }
            // One of several may be to blame for all: so each is asked for alone.
            Err(EmbedError::Refused { .. }) if contents.len() > 1 => {
                for (content, text) in contents.into_iter().zip(texts) {
                    Box::pin(self.embed(embedder, vec![Waiting { content, text }])).await?;
                }
                Ok(())
            }
            Err(EmbedError::Refused { reason }) => {
                warn!(model = model.name, %reason, "a text cannot be embedded: {reason}");
                Ok(in_time(ANSWER_WAIT, index::fail(&self.db, model, contents[0], &reason)).await?)
            }
            Err(error) => {
                let pause = match &error {
                    EmbedError::Unavailable { retry_after, .. } => retry_after.unwrap_or(AWAY),
                    EmbedError::Misconfigured { .. } | EmbedError::Refused { .. } => AWAY,
                };
                in_time(ANSWER_WAIT, index::give_back(&self.db, model, &contents, pause)).await?;
                Err(error.into())
            }
        }
    }

    /// Keeps the vectors that fit; what the embedder gave in the place of others is a refusal.
    async fn keep(&self, model: &Model, contents: &[Uuid], vectors: Vec<Vec<f32>>) -> anyhow::Result<()> {
        if vectors.len() != contents.len() {
            in_time(ANSWER_WAIT, index::give_back(&self.db, model, contents, AWAY)).await?;
            return Err(anyhow!("the embedder gave {} vectors for {} texts", vectors.len(), contents.len()));
        }
        let (good, bad): (Vec<_>, Vec<_>) =
            contents.iter().copied().zip(vectors).partition(|(_, vector)| vectors::fits(model, vector));
        in_time(ANSWER_WAIT, index::keep(&self.db, model, &good)).await?;
        for (content, _) in bad {
            in_time(ANSWER_WAIT, index::fail(&self.db, model, content, vectors::UNFIT)).await?;
        }
        Ok(())
    }

    /// What is due when nothing waits: an index over vectors that have none, and the change to a model that is complete.
    async fn tidy(&self, model: &Model) -> anyhow::Result<Progress> {
        // This takes as long as it takes.
        if index::index(&self.db, model).await? {
            info!(model = model.name, "made the index of the vectors of `{}`", model.name);
        }
        if in_time(ANSWER_WAIT, index::promote(&self.db, model)).await? {
            info!(model = model.name, "`{}` is complete and answers from now on", model.name);
        }
        Ok(Progress::CaughtUp)
    }
}
