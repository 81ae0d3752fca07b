//! What shape a model has: the part of its `config.json` that decides the arithmetic.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    pub model_type: String,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub hidden_act: String,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub layer_norm_eps: f32,
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
}

fn absolute() -> String {
    "absolute".to_string()
}

/// Bounds that keep a wrong number in a file from asking for all memory.
const LAYERS_MAX: usize = 100;
const SIZE_MAX: usize = 1 << 16;
const VOCABULARY_MAX: usize = 1 << 24;

impl Config {
    /// Whether this is a model that can be run here; if not, why.
    pub fn check(&self) -> Result<(), String> {
        let word = |name: &str, found: &str, known: &str| {
            if found == known { Ok(()) } else { Err(format!("`{name}` is `{found}`, and only `{known}` is known")) }
        };
        word("model_type", &self.model_type, "bert")?;
        word("hidden_act", &self.hidden_act, "gelu")?;
        word("position_embedding_type", &self.position_embedding_type, "absolute")?;

        let within = |name: &str, number: usize, most: usize| {
            if (1..=most).contains(&number) { Ok(()) } else { Err(format!("`{name}` is {number}, not 1 to {most}")) }
        };
        within("vocab_size", self.vocab_size, VOCABULARY_MAX)?;
        within("hidden_size", self.hidden_size, SIZE_MAX)?;
        within("num_hidden_layers", self.num_hidden_layers, LAYERS_MAX)?;
        within("num_attention_heads", self.num_attention_heads, self.hidden_size)?;
        within("intermediate_size", self.intermediate_size, SIZE_MAX)?;
        within("max_position_embeddings", self.max_position_embeddings, SIZE_MAX)?;
        within("type_vocab_size", self.type_vocab_size, SIZE_MAX)?;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err("`hidden_size` is no multiple of `num_attention_heads`".to_string());
        }
        if !(0.0..1.0).contains(&self.layer_norm_eps) {
            return Err("`layer_norm_eps` is not between 0 and 1".to_string());
        }
        Ok(())
    }
}
