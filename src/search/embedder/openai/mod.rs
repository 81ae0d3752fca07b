//! Embeds by an endpoint that speaks as OpenAI's does: `POST …/embeddings`.

mod answer;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::Utc;
use futures_util::future::BoxFuture;
use serde_json::json;
use ureq::{
    Agent, Proxy,
    http::Response,
    tls::{RootCerts, TlsConfig},
};
use uuid::Uuid;

use super::{EmbedError, Embedder, Model, Purpose};

pub use settings::{OpenAiSettings, SettingsError};

/// Most texts of one request.
const BATCH_MAX: usize = 32;

/// Most characters of a text: what a model that reads 512 tokens takes whole.
const TEXT_CHARS_MAX: usize = 1_000;

/// How often documents are sent before somebody else has to try.
const TRIES_MAX: u32 = 3;

/// The pause after a first failure; it doubles with the next.
const BACKOFF_MIN: Duration = Duration::from_millis(500);

/// How much of an answer that tells an error is read.
const ERROR_BYTES_MAX: u64 = 64 * 1_024;

/// How long things may take, and how large they may be.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connect: Duration,
    /// One request for a question: somebody waits.
    question: Duration,
    /// One request for documents.
    documents: Duration,
    /// All requests for the same documents, and the pauses between.
    together: Duration,
    answer_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(5),
            question: Duration::from_secs(5),
            documents: Duration::from_secs(45),
            together: Duration::from_secs(90),
            answer_bytes_max: 64 << 20,
        }
    }
}

/// An endpoint elsewhere. It gets the texts; nothing it answers is believed unchecked.
pub struct OpenAi(Arc<Endpoint>);

struct Endpoint {
    settings: OpenAiSettings,
    limits: Limits,
    agent: Agent,
    /// Until when the endpoint has asked to be left alone.
    pause: Mutex<Option<Instant>>,
}

impl OpenAi {
    pub fn new(settings: OpenAiSettings) -> OpenAi {
        OpenAi::within(settings, Limits::default())
    }

    fn within(settings: OpenAiSettings, limits: Limits) -> OpenAi {
        // A proxy would carry what is meant for this machine beyond it.
        let proxy = if settings.loopback() { None } else { Proxy::try_from_env() };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Whoever sends us elsewhere must not send texts and key there.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(limits.connect))
            .proxy(proxy)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .user_agent(concat!("binnacle/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        OpenAi(Arc::new(Endpoint { settings, limits, agent, pause: Mutex::new(None) }))
    }

    /// Tries again where that may help and the endpoint has not said when.
    async fn embed_documents(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let Limits { documents, together, .. } = self.0.limits;
        let begun = Instant::now();
        let mut tries = 1;
        loop {
            let left = together.saturating_sub(begun.elapsed());
            let error = match self.ask(texts, documents.min(left)).await {
                Err(error @ EmbedError::Unavailable { retry_after: None, .. }) => error,
                ended => return ended,
            };
            let pause = backoff(tries);
            if tries == TRIES_MAX || begun.elapsed() + pause >= together {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// One request, unless the endpoint has asked for a pause, which holds for whatever is sent.
    async fn ask(&self, texts: &[String], time: Duration) -> Result<Vec<Vec<f32>>, EmbedError> {
        if let Some(left) = self.0.pause_left() {
            let reason = "it has asked for a pause".to_string();
            return Err(EmbedError::Unavailable { reason, retry_after: Some(left) });
        }
        let (endpoint, texts) = (self.0.clone(), texts.to_vec());
        let asked = tokio::task::spawn_blocking(move || endpoint.ask(&texts, time)).await;
        let asked = asked.unwrap_or_else(|_| Err(unavailable("the request broke off".to_string())));
        if let Err(EmbedError::Unavailable { retry_after: Some(wait), .. }) = &asked {
            self.0.pause_for(*wait);
        }
        asked
    }
}

impl Embedder for OpenAi {
    fn model(&self) -> &Model {
        &self.0.settings.model
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    fn text_chars_max(&self) -> usize {
        TEXT_CHARS_MAX
    }

    fn embed<'a>(&'a self, texts: &'a [String], purpose: Purpose) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        Box::pin(async move {
            match purpose {
                _ if texts.is_empty() => Ok(Vec::new()),
                Purpose::Question => self.ask(texts, self.0.limits.question).await,
                Purpose::Documents => self.embed_documents(texts).await,
            }
        })
    }
}

impl Endpoint {
    fn pause_left(&self) -> Option<Duration> {
        let until = (*self.pause.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    fn pause_for(&self, wait: Duration) {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait);
    }

    /// One request and what its answer says.
    fn ask(&self, texts: &[String], time: Duration) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut response = self.send(texts, time).map_err(|error| self.unanswered(&error, time))?;
        let status = response.status().as_u16();
        if !(200..300).contains(&status) {
            return Err(self.failure(status, response));
        }
        let body = response.body_mut().with_config().limit(self.limits.answer_bytes_max).read_to_vec();
        let body = body.map_err(|error| self.unanswered(&error, time))?;
        answer::vectors(&body, texts.len(), self.settings.model.dimension)
    }

    fn send(&self, texts: &[String], time: Duration) -> Result<Response<ureq::Body>, ureq::Error> {
        let settings = &self.settings;
        let mut body = json!({"model": settings.asked, "input": texts, "encoding_format": "float"});
        if settings.shortens() {
            body["dimensions"] = json!(settings.model.dimension);
        }
        let mut request =
            self.agent.post(format!("{}/embeddings", settings.url)).header("content-type", "application/json");
        if let Some(key) = &settings.key {
            request = request.header("authorization", format!("Bearer {}", key.reveal()));
        }
        request.config().timeout_global(Some(time)).build().send(body.to_string())
    }

    fn unanswered(&self, error: &ureq::Error, time: Duration) -> EmbedError {
        unavailable(match error {
            ureq::Error::Timeout(_) => format!("it took longer than {} s", time.as_secs_f32()),
            ureq::Error::BodyExceedsLimit(_) => format!("its answer has more than {} B", self.limits.answer_bytes_max),
            error => error.to_string(),
        })
    }

    fn failure(&self, status: u16, mut response: Response<ureq::Body>) -> EmbedError {
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|header| answer::retry_after(header, Utc::now()));
        let body = response.body_mut().with_config().limit(ERROR_BYTES_MAX).read_to_vec().unwrap_or_default();
        let key = self.settings.key.as_ref().map(|key| key.reveal());
        let code = answer::code(&body).filter(|code| key.is_none_or(|key| !code.contains(key)));
        answer::failure(status, code.as_deref(), retry_after)
    }
}

fn unavailable(reason: String) -> EmbedError {
    EmbedError::Unavailable { reason, retry_after: None }
}

/// Not the same for all, so that replicas that failed together do not come back together.
fn backoff(tries: u32) -> Duration {
    let longest = BACKOFF_MIN * 2_u32.pow(tries - 1);
    let share = (Uuid::new_v4().as_u128() % 1_000) as f64 / 1_000.0;
    longest.mul_f64(0.5 + share / 2.0)
}
