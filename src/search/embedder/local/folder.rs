//! Reads a model's folder, laid out as sentence-transformers does, and says which file will not do, and why.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bert::{Config, Encoder};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use tokenizers::Tokenizer;

use super::{
    LoadError,
    pipeline::{Around, Pipeline},
};
use crate::{audit::canonical, search::embedder::Model};

pub struct Loaded {
    pub model: Model,
    pub pipeline: Pipeline,
}

const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
/// How many tokens the model was made for; without it, as many as it has places.
const SENTENCES: &str = "sentence_bert_config.json";
/// What is done to the encoder's output; without them, the mean is taken.
const MODULES: &str = "modules.json";
const POOLING: &str = "1_Pooling/config.json";

/// Largest file of weights, and of anything else.
const WEIGHTS_BYTES_MAX: u64 = 4 << 30;
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most numbers of a vector: more cannot be indexed.
const DIMENSION_MAX: usize = 4_000;
/// Fewest tokens that a model has to take; what marks a text's beginning and end has to be fewer.
const TOKENS_MIN: usize = 16;

/// Models whose files do not tell their own name, but that of the model they were made from. By the weights' SHA-256.
const KNOWN: [(&str, &str); 1] =
    [("53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", "all-MiniLM-L6-v2")];
/// So many digits of it tell the weights of a name apart.
const HASH_DIGITS: usize = 8;

pub fn read(folder: &Path) -> Result<Loaded, LoadError> {
    let path = |name: &str| folder.join(name);
    let config: Config = json(&path(CONFIG))?;
    config.check().map_err(|reason| LoadError::Unfit { path: path(CONFIG), reason })?;
    if config.hidden_size > DIMENSION_MAX {
        let reason = format!("vectors of {} numbers are too long; {DIMENSION_MAX} is the most", config.hidden_size);
        return Err(LoadError::Unfit { path: path(CONFIG), reason });
    }
    check_pooling(folder)?;
    let tokens_max = tokens_max(&path(SENTENCES), &config)?;
    let (tokenizer, around) = tokenizer(&path(TOKENIZER), &config)?;

    let weights = bytes(&path(WEIGHTS), WEIGHTS_BYTES_MAX)?;
    let hash = canonical::hex(&Sha256::digest(&weights));
    let encoder = Encoder::load(&config, &weights)
        .map_err(|error| LoadError::Unfit { path: path(WEIGHTS), reason: error.to_string() })?;
    let name = format!("{}-{}", plain_name(folder, &hash)?, &hash[..HASH_DIGITS]);
    Ok(Loaded {
        model: Model::named(&name, config.hidden_size),
        pipeline: Pipeline::new(tokenizer, encoder, around, tokens_max),
    })
}

/// The vector is the mean of the encoder's output, so a model that was made for anything else would find nonsense.
fn check_pooling(folder: &Path) -> Result<(), LoadError> {
    #[derive(Deserialize)]
    struct Module {
        r#type: String,
    }
    #[derive(Deserialize)]
    struct Pooling {
        #[serde(default)]
        pooling_mode_mean_tokens: bool,
        #[serde(default)]
        pooling_mode_cls_token: bool,
        #[serde(default)]
        pooling_mode_max_tokens: bool,
    }
    let path = folder.join(MODULES);
    let modules = optional::<Vec<Module>>(&path)?.unwrap_or_default();
    if let Some(other) = modules.iter().find(|module| {
        !["Transformer", "Pooling", "Normalize"].iter().any(|known| module.r#type.rsplit('.').next() == Some(known))
    }) {
        let reason = format!("the module `{}` is not known", other.r#type);
        return Err(LoadError::Unfit { path, reason });
    }
    let path = folder.join(POOLING);
    match optional::<Pooling>(&path)? {
        Some(pooling)
            if !pooling.pooling_mode_mean_tokens
                || pooling.pooling_mode_cls_token
                || pooling.pooling_mode_max_tokens =>
        {
            let reason = "it wants another vector than the mean over the tokens".to_string();
            Err(LoadError::Unfit { path, reason })
        }
        Some(_) | None => Ok(()),
    }
}

fn tokens_max(path: &Path, config: &Config) -> Result<usize, LoadError> {
    #[derive(Deserialize)]
    struct Sentences {
        max_seq_length: Option<usize>,
    }
    let places = config.max_position_embeddings;
    let wanted = optional::<Sentences>(path)?.and_then(|sentences| sentences.max_seq_length).unwrap_or(places);
    let tokens_max = wanted.min(places);
    if tokens_max < TOKENS_MIN {
        let reason = format!("texts of {tokens_max} tokens are too short to say anything");
        return Err(LoadError::Unfit { path: path.to_path_buf(), reason });
    }
    Ok(tokens_max)
}

/// The tokenizer, and what it puts around a text.
fn tokenizer(path: &Path, config: &Config) -> Result<(Tokenizer, Around), LoadError> {
    let unfit = |reason: String| LoadError::Unfit { path: path.to_path_buf(), reason };
    let mut tokenizer =
        Tokenizer::from_bytes(bytes(path, FILE_BYTES_MAX)?).map_err(|error| unfit(error.to_string()))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| unfit(error.to_string()))?;
    // Its ids are rows of the weights.
    let most = tokenizer.get_vocab(true).into_values().max().unwrap_or_default();
    if most as usize >= config.vocab_size {
        return Err(unfit(format!("token {most} is beyond the {} of `{CONFIG}`", config.vocab_size)));
    }
    let encoded = |special| tokenizer.encode_fast("a", special).map_err(|error| unfit(error.to_string()));
    let (whole, bare) = (encoded(true)?, encoded(false)?);
    let around = around(whole.get_ids(), bare.get_ids())
        .ok_or_else(|| unfit("what it puts around a text cannot be told".to_string()))?;
    Ok((tokenizer, around))
}

/// What stands before and after the `bare` tokens.
fn around(whole: &[u32], bare: &[u32]) -> Option<Around> {
    let before = whole.windows(bare.len().max(1)).position(|tokens| tokens == bare)?;
    let after = whole[before + bare.len()..].to_vec();
    (whole.len() < TOKENS_MIN).then(|| Around { before: whole[..before].to_vec(), after })
}

/// What the model is called, without what tells its weights: as it is known, or as its `config.json` says, or as its folder.
fn plain_name(folder: &Path, hash: &str) -> Result<String, LoadError> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "_name_or_path")]
        name: Option<String>,
    }
    if let Some((_, name)) = KNOWN.iter().find(|(known, _)| *known == hash) {
        return Ok((*name).to_string());
    }
    let named: Named = json(&folder.join(CONFIG))?;
    let last = |name: String| name.rsplit('/').find(|part| !part.is_empty()).map(str::to_string);
    let own = || folder.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(named.name.and_then(last).or_else(own).unwrap_or_else(|| "model".to_string()))
}

fn optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LoadError> {
    match json(path) {
        Err(LoadError::Missing { .. }) => Ok(None),
        read => read.map(Some),
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let text = bytes(path, FILE_BYTES_MAX)?;
    let unfit = |error: serde_json::Error| LoadError::Unfit { path: path.to_path_buf(), reason: error.to_string() };
    serde_json::from_slice(&text).map_err(unfit)
}

fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, LoadError> {
    let length = fs::metadata(path).map_err(|source| unreadable(path.to_path_buf(), source))?.len();
    if length > most {
        let reason = format!("it has {length} bytes, and {most} is the most");
        return Err(LoadError::Unfit { path: path.to_path_buf(), reason });
    }
    fs::read(path).map_err(|source| unreadable(path.to_path_buf(), source))
}

fn unreadable(path: PathBuf, source: io::Error) -> LoadError {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LoadError::Missing { path },
        _ => LoadError::Read { path, source },
    }
}
