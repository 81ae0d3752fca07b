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

// ---- stand-in, replaced at merge ----
use std::{path::PathBuf, sync::Arc};
#[derive(Clone, Debug)]
pub enum EmbedderSettings {
    None,
    Local { folder: Option<PathBuf>, threads: usize },
}
#[derive(Clone)]
pub struct Embedders(Arc<std::sync::RwLock<Option<Arc<dyn Embedder>>>>);
impl Embedders {
    pub fn off() -> Embedders { Embedders::start(EmbedderSettings::None) }
    /// Exactly this one, from the start.
    pub fn of(embedder: Arc<dyn Embedder>) -> Embedders {
        Embedders(Arc::new(std::sync::RwLock::new(Some(embedder))))
    }
    pub fn start(settings: EmbedderSettings) -> Embedders {
        let slot: Arc<std::sync::RwLock<Option<Arc<dyn Embedder>>>> = Default::default();
        if let EmbedderSettings::Local { folder: Some(folder), .. } = settings {
            let into = slot.clone();
            std::thread::spawn(move || {
                let made = Standin::load(folder);
                *into.write().unwrap() = Some(Arc::new(made));
            });
        }
        Embedders(slot)
    }
    pub fn current(&self) -> Option<Arc<dyn Embedder>> {
        self.0.read().unwrap().clone()
    }
    pub fn state(&self) -> String {
        self.current().map_or("not ready".to_string(), |it| it.model().name.clone())
    }
    pub fn ready_or_off(&self) -> bool {
        true
    }
    pub async fn loaded(&self, _: std::time::Duration) {
        for _ in 0..100 {
            if self.current().is_some() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}
struct Standin {
    model: Model,
    bert: candle_transformers::models::bert::BertModel,
    tokenizer: tokenizers::Tokenizer,
}
impl Standin {
    fn load(folder: PathBuf) -> Standin {
        use candle_core::{DType, Device};
        let config = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        let vb = unsafe {
            candle_nn::VarBuilder::from_mmaped_safetensors(
                &[folder.join("model.safetensors")],
                DType::F32,
                &Device::Cpu,
            )
        };
        let bert = candle_transformers::models::bert::BertModel::load(vb.unwrap(), &config).unwrap();
        let mut tokenizer = tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
        tokenizer.with_padding(Some(Default::default()));
        let _ = tokenizer.with_truncation(Some(tokenizers::TruncationParams { max_length: 256, ..Default::default() }));
        Standin { model: Model { name: "standin".to_string(), dimension: 384 }, bert, tokenizer }
    }
    fn run(&self, texts: &[String]) -> candle_core::Result<Vec<Vec<f32>>> {
        use candle_core::{Device, Tensor};
        let all = self.tokenizer.encode_batch(texts.to_vec(), true).unwrap();
        let ids: Vec<Vec<u32>> = all.iter().map(|e| e.get_ids().to_vec()).collect();
        let mask: Vec<Vec<u32>> = all.iter().map(|e| e.get_attention_mask().to_vec()).collect();
        let (ids, mask) = (Tensor::new(ids, &Device::Cpu)?, Tensor::new(mask, &Device::Cpu)?);
        let out = self.bert.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let m = mask.to_dtype(candle_core::DType::F32)?.unsqueeze(2)?;
        let sum = out.broadcast_mul(&m)?.sum(1)?.broadcast_div(&m.sum(1)?)?;
        let norm = sum.sqr()?.sum_keepdim(1)?.sqrt()?;
        sum.broadcast_div(&norm)?.to_vec2()
    }
}
impl Embedder for Standin {
    fn model(&self) -> &Model {
        &self.model
    }
    fn batch_max(&self) -> usize {
        16
    }
    fn text_chars_max(&self) -> usize {
        900
    }
    fn embed<'a>(&'a self, texts: &'a [String], _: Purpose) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        Box::pin(async move {
            tokio::task::block_in_place(|| self.run(texts)).map_err(|e| EmbedError::Refused { reason: e.to_string() })
        })
    }
}
#[derive(Clone)]
pub struct Questions;
impl Questions {
    pub fn new(_: crate::telemetry::Metrics) -> Questions {
        Questions
    }
    pub async fn vector(&self, embedder: &dyn Embedder, text: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(embedder.embed(&[text.to_string()], Purpose::Question).await?.remove(0))
    }
}
