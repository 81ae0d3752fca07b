//! A stand-in for the local model, replaced at merge.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_transformers::models::bert::BertModel;
use futures_util::future::BoxFuture;
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

use super::{EmbedError, Embedder, Model, Purpose};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("`{file}` cannot be read: {reason}")]
    File { file: String, reason: String },
}

pub struct Local {
    model: Model,
    bert: BertModel,
    tokenizer: Tokenizer,
}

impl Local {
    pub fn load(folder: &Path, _threads: usize) -> Result<Local, LoadError> {
        let path = |name: &str| folder.join(name);
        let failed = |name: &str, reason: String| LoadError::File { file: path(name).display().to_string(), reason };
        let config = std::fs::read(path("config.json")).map_err(|e| failed("config.json", e.to_string()))?;
        let config = serde_json::from_slice(&config).map_err(|e| failed("config.json", e.to_string()))?;
        let weights =
            std::fs::read(path("model.safetensors")).map_err(|e| failed("model.safetensors", e.to_string()))?;
        let weights = candle_nn::VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu);
        let weights = weights.map_err(|e| failed("model.safetensors", e.to_string()))?;
        let bert = BertModel::load(weights, &config).map_err(|e| failed("model.safetensors", e.to_string()))?;
        let mut tokenizer =
            Tokenizer::from_file(path("tokenizer.json")).map_err(|e| failed("tokenizer.json", e.to_string()))?;
        tokenizer.with_padding(Some(PaddingParams::default()));
        tokenizer
            .with_truncation(Some(TruncationParams { max_length: 256, ..TruncationParams::default() }))
            .map_err(|e| failed("tokenizer.json", e.to_string()))?;
        Ok(Local { model: Model { name: "standin".to_string(), dimension: 384 }, bert, tokenizer })
    }

    fn run(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
        let all = self.tokenizer.encode_batch(texts.to_vec(), true).map_err(|e| e.to_string())?;
        let ids: Vec<Vec<u32>> = all.iter().map(|e| e.get_ids().to_vec()).collect();
        let mask: Vec<Vec<u32>> = all.iter().map(|e| e.get_attention_mask().to_vec()).collect();
        self.vectors(ids, mask).map_err(|e| e.to_string())
    }

    fn vectors(&self, ids: Vec<Vec<u32>>, mask: Vec<Vec<u32>>) -> candle_core::Result<Vec<Vec<f32>>> {
        let (ids, mask) = (Tensor::new(ids, &Device::Cpu)?, Tensor::new(mask, &Device::Cpu)?);
        let out = self.bert.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let mean = out.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&mask.sum(1)?)?;
        let length = mean.sqr()?.sum_keepdim(1)?.sqrt()?;
        mean.broadcast_div(&length)?.to_vec2()
    }
}

impl Embedder for Local {
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
            tokio::task::block_in_place(|| self.run(texts)).map_err(|reason| EmbedError::Refused { reason })
        })
    }
}
