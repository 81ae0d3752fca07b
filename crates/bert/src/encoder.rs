//! The encoder: embeddings, then layer after layer attention and a small network of two matrices, then the mean.

use pulp::Arch;

use crate::{
    config::Config,
    matrix::{Around, Panels, Product, Strides},
    pointwise::{Normalise, Softmax},
    weights::{LoadError, Weights},
};

/// A model, ready to run. It only reads itself, so any number of threads may run it at once.
pub struct Encoder {
    arch: Arch,
    config: Config,
    /// A row for each token of the vocabulary.
    words: Vec<f32>,
    /// A row for each place in a text; that of the only type of token that is used is added to each.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    /// Query, key and value in one; the query is scaled already.
    attention: Linear,
    attention_out: Linear,
    attention_norm: Norm,
    widen: Linear,
    narrow: Linear,
    norm: Norm,
}

struct Linear {
    weight: Panels,
    bias: Vec<f32>,
}

struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// Why texts cannot be encoded: whoever made their tokens has another model in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("a text has {0} tokens, which is none or more than the model has places for")]
    Length(usize),
    #[error("token {0} is not in the model's vocabulary")]
    Token(u32),
}

/// The room that a run needs between its steps. One that is kept saves asking for it anew each time.
#[derive(Default)]
pub struct Scratch {
    hidden: Vec<f32>,
    attention: Vec<f32>,
    context: Vec<f32>,
    wide: Vec<f32>,
    scores: Vec<f32>,
    keys: Panels,
    values: Panels,
}

impl Encoder {
    /// The model whose shape is `config` and whose numbers are those of the safetensors file.
    pub fn load(config: &Config, file: &[u8]) -> Result<Encoder, LoadError> {
        Encoder::load_for(Arch::new(), config, file)
    }

    /// The same for a processor, or for what a processor can do besides its best.
    pub(crate) fn load_for(arch: Arch, config: &Config, file: &[u8]) -> Result<Encoder, LoadError> {
        config.check().map_err(LoadError::Config)?;
        let weights = Weights::read(file)?;
        let hidden = config.hidden_size;
        let words = weights.tensor("embeddings.word_embeddings.weight", &[config.vocab_size, hidden])?;
        let types = weights.tensor("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden])?;
        let mut positions =
            weights.tensor("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden])?;
        for position in positions.chunks_exact_mut(hidden) {
            add(position, &types[..hidden]);
        }
        let norm = norm(&weights, "embeddings.LayerNorm", hidden)?;
        let layers = (0..config.num_hidden_layers).map(|index| layer(arch, config, &weights, index));
        Ok(Encoder { arch, config: config.clone(), words, positions, norm, layers: layers.collect::<Result<_, _>>()? })
    }

    /// How many numbers a vector has.
    pub fn dimension(&self) -> usize {
        self.config.hidden_size
    }

    /// Most tokens of one text.
    pub fn tokens_max(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// The mean over the tokens of each text, in the order given. The time goes with the number of tokens, and a little
    /// with the square of a text's length; a few hundred tokens in one call are as quick for each as more.
    pub fn encode(&self, texts: &[&[u32]], scratch: &mut Scratch) -> Result<Vec<Vec<f32>>, Refused> {
        self.check(texts)?;
        self.embed(texts, &mut scratch.hidden);
        for layer in &self.layers {
            self.attend(layer, texts, scratch);
            self.transform(layer, scratch);
        }
        let mut rows = scratch.hidden.chunks_exact(self.dimension());
        Ok(texts.iter().map(|text| mean(rows.by_ref().take(text.len()), self.dimension())).collect())
    }

    fn check(&self, texts: &[&[u32]]) -> Result<(), Refused> {
        for text in texts {
            if text.is_empty() || text.len() > self.tokens_max() {
                return Err(Refused::Length(text.len()));
            }
            if let Some(token) = text.iter().find(|token| **token as usize >= self.config.vocab_size) {
                return Err(Refused::Token(*token));
            }
        }
        Ok(())
    }

    fn embed(&self, texts: &[&[u32]], hidden: &mut Vec<f32>) {
        let size = self.dimension();
        hidden.clear();
        for text in texts {
            for (token, position) in text.iter().zip(self.positions.chunks_exact(size)) {
                let start = hidden.len();
                hidden.extend_from_slice(&self.words[*token as usize * size..][..size]);
                add(&mut hidden[start..], position);
            }
        }
        self.normalise(hidden, &self.norm);
    }

    /// Lets the tokens of each text look at one another, and adds what they saw.
    fn attend(&self, layer: &Layer, texts: &[&[u32]], scratch: &mut Scratch) {
        let Scratch { hidden, attention, context, scores, keys, values, .. } = scratch;
        let size = self.dimension();
        let rows = hidden.len() / size;
        attention.resize(rows * 3 * size, 0.0);
        context.resize(rows * size, 0.0);
        self.linear(&layer.attention, hidden, size, Around::Bias(&layer.attention.bias), attention);

        let head_size = size / self.config.num_attention_heads;
        let mut first = 0;
        for text in texts {
            let length = text.len();
            let seen = &attention[first * 3 * size..(first + length) * 3 * size];
            let context = &mut context[first * size..(first + length) * size];
            scores.resize(length * length, 0.0);
            for head in (0..size).step_by(head_size) {
                keys.pack(self.arch, &seen[size + head..], Strides { row: 1, column: 3 * size }, head_size, length);
                values.pack(
                    self.arch,
                    &seen[2 * size + head..],
                    Strides { row: 3 * size, column: 1 },
                    length,
                    head_size,
                );
                self.arch.dispatch(Product {
                    rows: length,
                    left: &seen[head..],
                    left_stride: 3 * size,
                    right: keys,
                    around: Around::Nothing,
                    out: scores,
                    out_stride: length,
                });
                self.arch.dispatch(Softmax { rows: scores, stride: length, length });
                self.arch.dispatch(Product {
                    rows: length,
                    left: scores,
                    left_stride: length,
                    right: values,
                    around: Around::Nothing,
                    out: &mut context[head..],
                    out_stride: size,
                });
            }
            first += length;
        }
        self.linear(&layer.attention_out, context, size, Around::BiasAndOutput(&layer.attention_out.bias), hidden);
        self.normalise(hidden, &layer.attention_norm);
    }

    /// Lets each token go through the layer's small network, and adds what comes out.
    fn transform(&self, layer: &Layer, scratch: &mut Scratch) {
        let Scratch { hidden, wide, .. } = scratch;
        let size = self.dimension();
        wide.resize(hidden.len() / size * self.config.intermediate_size, 0.0);
        self.linear(&layer.widen, hidden, size, Around::BiasThenGelu(&layer.widen.bias), wide);
        let around = Around::BiasAndOutput(&layer.narrow.bias);
        self.linear(&layer.narrow, wide, self.config.intermediate_size, around, hidden);
        self.normalise(hidden, &layer.norm);
    }

    fn linear(&self, linear: &Linear, input: &[f32], inputs: usize, around: Around<'_>, out: &mut [f32]) {
        self.arch.dispatch(Product {
            rows: input.len() / inputs,
            left: input,
            left_stride: inputs,
            right: &linear.weight,
            around,
            out,
            out_stride: linear.weight.columns(),
        });
    }

    fn normalise(&self, rows: &mut [f32], norm: &Norm) {
        let epsilon = self.config.layer_norm_eps;
        self.arch.dispatch(Normalise { rows, scale: &norm.scale, shift: &norm.shift, epsilon });
    }
}

fn layer(arch: Arch, config: &Config, weights: &Weights<'_>, index: usize) -> Result<Layer, LoadError> {
    let (hidden, wide) = (config.hidden_size, config.intermediate_size);
    let name = |part: &str| format!("encoder.layer.{index}.{part}");
    let whole = |part: &str, inputs: usize, outputs: usize| -> Result<Linear, LoadError> {
        let (weight, bias) = linear(weights, &name(part), inputs, outputs)?;
        Ok(packed(arch, &weight, bias, inputs))
    };
    Ok(Layer {
        attention: attention(arch, config, weights, &name("attention.self"))?,
        attention_out: whole("attention.output.dense", hidden, hidden)?,
        attention_norm: norm(weights, &name("attention.output.LayerNorm"), hidden)?,
        widen: whole("intermediate.dense", hidden, wide)?,
        narrow: whole("output.dense", wide, hidden)?,
        norm: norm(weights, &name("output.LayerNorm"), hidden)?,
    })
}

/// Query, key and value as one matrix. What the scores are divided by is taken into the query.
fn attention(arch: Arch, config: &Config, weights: &Weights<'_>, name: &str) -> Result<Linear, LoadError> {
    let size = config.hidden_size;
    let scale = 1.0 / ((size / config.num_attention_heads) as f32).sqrt();
    let (mut weight, mut bias) = linear(weights, &format!("{name}.query"), size, size)?;
    weight.iter_mut().chain(&mut bias).for_each(|number| *number *= scale);
    for part in ["key", "value"] {
        let (more, more_bias) = linear(weights, &format!("{name}.{part}"), size, size)?;
        weight.extend(more);
        bias.extend(more_bias);
    }
    Ok(packed(arch, &weight, bias, size))
}

fn linear(weights: &Weights<'_>, name: &str, inputs: usize, outputs: usize) -> Result<(Vec<f32>, Vec<f32>), LoadError> {
    let weight = weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
    Ok((weight, weights.tensor(&format!("{name}.bias"), &[outputs])?))
}

fn packed(arch: Arch, weight: &[f32], bias: Vec<f32>, inputs: usize) -> Linear {
    let mut panels = Panels::default();
    panels.pack(arch, weight, Strides { row: 1, column: inputs }, inputs, bias.len());
    Linear { weight: panels, bias }
}

fn norm(weights: &Weights<'_>, name: &str, size: usize) -> Result<Norm, LoadError> {
    let scale = weights.tensor(&format!("{name}.weight"), &[size])?;
    Ok(Norm { scale, shift: weights.tensor(&format!("{name}.bias"), &[size])? })
}

fn add(to: &mut [f32], numbers: &[f32]) {
    to.iter_mut().zip(numbers).for_each(|(to, number)| *to += number);
}

fn mean<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, size: usize) -> Vec<f32> {
    let share = 1.0 / rows.len() as f32;
    let mut mean = vec![0.0; size];
    rows.for_each(|row| add(&mut mean, row));
    mean.iter_mut().for_each(|number| *number *= share);
    mean
}
