//! The forward pass against a second one, written as plainly as possible in double precision; and what a file may not be.

use pulp::Arch;
use safetensors::{Dtype, tensor::TensorView};

use crate::{Config, Encoder, LoadError, Refused, Scratch};

/// A model with sizes that fill no panel and no register, so that every rest is met.
fn config() -> Config {
    Config {
        model_type: "bert".to_string(),
        vocab_size: 50,
        hidden_size: 36,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        intermediate_size: 101,
        hidden_act: "gelu".to_string(),
        max_position_embeddings: 40,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        position_embedding_type: "absolute".to_string(),
    }
}

/// The tensors of a made-up model: name, shape and numbers.
struct Model(Vec<(String, Vec<usize>, Vec<f32>)>);

impl Model {
    fn new(config: &Config) -> Model {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let mut model = Model(Vec::new());
        model.add("embeddings.word_embeddings.weight", &[config.vocab_size, hidden]);
        model.add("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden]);
        model.add("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden]);
        model.pair("embeddings.LayerNorm", &[hidden]);
        for layer in 0..config.num_hidden_layers {
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                model.pair(&format!("encoder.layer.{layer}.attention.{part}"), &[hidden, hidden]);
            }
            model.pair(&format!("encoder.layer.{layer}.attention.output.LayerNorm"), &[hidden]);
            model.pair(&format!("encoder.layer.{layer}.intermediate.dense"), &[wide, hidden]);
            model.pair(&format!("encoder.layer.{layer}.output.dense"), &[hidden, wide]);
            model.pair(&format!("encoder.layer.{layer}.output.LayerNorm"), &[hidden]);
        }
        model
    }

    fn pair(&mut self, name: &str, shape: &[usize]) {
        self.add(&format!("{name}.weight"), shape);
        self.add(&format!("{name}.bias"), &shape[..1]);
    }

    fn add(&mut self, name: &str, shape: &[usize]) {
        let mut state = name.bytes().fold(7_u64, |state, byte| state.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let numbers = (0..shape.iter().product()).map(|_| next()).collect();
        self.0.push((name.to_string(), shape.to_vec(), numbers));
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        let (_, _, numbers) = self.0.iter().find(|(known, ..)| known == name).unwrap();
        numbers.iter().map(|number| f64::from(*number)).collect()
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Vec<usize>, &mut Vec<f32>)) {
        let (_, shape, numbers) = self.0.iter_mut().find(|(known, ..)| known == name).unwrap();
        change(shape, numbers);
    }

    fn file(&self) -> Vec<u8> {
        self.file_named("")
    }

    fn file_named(&self, prefix: &str) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> =
            self.0.iter().map(|(_, _, numbers)| numbers.iter().flat_map(|n| n.to_le_bytes()).collect()).collect();
        let views = self.0.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (format!("{prefix}{name}"), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }
}

/// One text's vector, step by step as the paper has it.
fn plainly(config: &Config, model: &Model, text: &[u32]) -> Vec<f64> {
    let size = config.hidden_size;
    let [words, places, types] =
        ["word", "position", "token_type"].map(|part| model.numbers(&format!("embeddings.{part}_embeddings.weight")));
    let mut rows: Vec<Vec<f64>> = (0..text.len())
        .map(|p| (0..size).map(|i| words[text[p] as usize * size + i] + places[p * size + i] + types[i]).collect())
        .collect();
    let norm = |name: &str, row: &[f64]| -> Vec<f64> {
        let (scale, shift) = (model.numbers(&format!("{name}.weight")), model.numbers(&format!("{name}.bias")));
        let mean = row.iter().sum::<f64>() / size as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / size as f64;
        let factor = 1.0 / (variance + f64::from(config.layer_norm_eps)).sqrt();
        (0..size).map(|i| (row[i] - mean) * factor * scale[i] + shift[i]).collect()
    };
    let linear = |name: &str, row: &[f64]| -> Vec<f64> {
        let (weight, bias) = (model.numbers(&format!("{name}.weight")), model.numbers(&format!("{name}.bias")));
        let weights = weight.chunks_exact(row.len());
        weights.zip(bias).map(|(w, b)| w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>() + b).collect()
    };
    let plus = |one: &[f64], other: &[f64]| -> Vec<f64> { one.iter().zip(other).map(|(a, b)| a + b).collect() };

    rows.iter_mut().for_each(|row| *row = norm("embeddings.LayerNorm", row));
    let head = size / config.num_attention_heads;
    for layer in 0..config.num_hidden_layers {
        let name = format!("encoder.layer.{layer}");
        let [query, key, value] = ["query", "key", "value"].map(|part| {
            rows.iter().map(|row| linear(&format!("{name}.attention.self.{part}"), row)).collect::<Vec<_>>()
        });
        let seen = |p: usize, i: usize| {
            let of = i / head * head..(i / head + 1) * head;
            let score = |other: usize| -> f64 {
                of.clone().map(|j| query[p][j] * key[other][j]).sum::<f64>() / (head as f64).sqrt()
            };
            let shares: Vec<f64> = (0..text.len()).map(|other| score(other).exp()).collect();
            let all: f64 = shares.iter().sum();
            shares.iter().enumerate().map(|(other, share)| share / all * value[other][i]).sum::<f64>()
        };
        let context: Vec<Vec<f64>> = (0..text.len()).map(|p| (0..size).map(|i| seen(p, i)).collect()).collect();
        for (row, context) in rows.iter_mut().zip(&context) {
            let out = linear(&format!("{name}.attention.output.dense"), context);
            *row = norm(&format!("{name}.attention.output.LayerNorm"), &plus(row, &out));
            let wide = linear(&format!("{name}.intermediate.dense"), row);
            let wide: Vec<f64> = wide.into_iter().map(|x| x * normal(x)).collect();
            let out = linear(&format!("{name}.output.dense"), &wide);
            *row = norm(&format!("{name}.output.LayerNorm"), &plus(row, &out));
        }
    }
    (0..size).map(|i| rows.iter().map(|row| row[i]).sum::<f64>() / text.len() as f64).collect()
}

/// The normal distribution, by the series of its error function.
fn normal(x: f64) -> f64 {
    let z = x / std::f64::consts::SQRT_2;
    let mut term = z;
    let mut sum = z;
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    (1.0 + sum * std::f64::consts::FRAC_2_SQRT_PI) / 2.0
}

/// The best that this processor can do, and everything below it.
fn arches() -> Vec<Arch> {
    #[cfg(target_arch = "x86_64")]
    {
        let third = pulp::x86::V3::try_new().map(Arch::V3);
        let fourth = pulp::x86::V4::try_new().map(Arch::V4);
        [Some(Arch::Scalar), third, fourth].into_iter().flatten().collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        vec![Arch::Scalar, Arch::new()]
    }
}

/// Texts of each length from 1 to 40.
fn texts() -> Vec<Vec<u32>> {
    (1..=40).map(|length| (0..length).map(|place| (length * 17 + place * place * 7) % 50).collect()).collect()
}

fn slices(texts: &[Vec<u32>]) -> Vec<&[u32]> {
    texts.iter().map(Vec::as_slice).collect()
}

#[test]
fn every_processor_gives_what_plain_arithmetic_gives() {
    let config = config();
    let model = Model::new(&config);
    let texts = texts();
    for arch in arches() {
        let encoder = Encoder::load_for(arch, &config, &model.file()).unwrap();
        let vectors = encoder.encode(&slices(&texts), &mut Scratch::default()).unwrap();
        for (text, vector) in texts.iter().zip(&vectors) {
            let plain = plainly(&config, &model, text);
            assert_eq!(vector.len(), plain.len());
            for (number, plain) in vector.iter().zip(&plain) {
                assert!((f64::from(*number) - plain).abs() < 2e-5, "{arch:?}, {} tokens: {number} {plain}", text.len());
            }
        }
    }
}

#[test]
fn a_text_has_the_same_vector_to_the_bit_whatever_goes_with_it() {
    let config = config();
    let texts = texts();
    for arch in arches() {
        let encoder = Encoder::load_for(arch, &config, &Model::new(&config).file()).unwrap();
        let mut scratch = Scratch::default();
        let together = encoder.encode(&slices(&texts), &mut scratch).unwrap();
        for (text, among_others) in texts.iter().zip(together) {
            assert_eq!(encoder.encode(&[text], &mut scratch).unwrap(), [among_others]);
        }
    }
}

#[test]
fn an_encoder_may_be_a_part_of_something_larger() {
    let config = config();
    let model = Model::new(&config);
    let [alone, part] = ["", "bert."].map(|prefix| {
        let encoder = Encoder::load(&config, &model.file_named(prefix)).unwrap();
        encoder.encode(&[&[1, 2, 3]], &mut Scratch::default()).unwrap()
    });
    assert_eq!(alone, part);
}

#[test]
fn tokens_that_the_model_has_no_place_for_are_refused() {
    let config = config();
    let encoder = Encoder::load(&config, &Model::new(&config).file()).unwrap();
    let refused = |text: &[u32]| encoder.encode(&[&[1], text], &mut Scratch::default()).unwrap_err();
    assert_eq!(refused(&[]), Refused::Length(0));
    assert_eq!(refused(&[1; 41]), Refused::Length(41));
    assert_eq!(refused(&[49, 50]), Refused::Token(50));
    assert!(encoder.encode(&[], &mut Scratch::default()).unwrap().is_empty());
}

#[test]
fn a_file_that_will_not_do_is_refused_with_the_reason() {
    let config = config();
    let refused = |config: &Config, file: &[u8]| match Encoder::load(config, file) {
        Ok(_) => panic!("should be refused"),
        Err(error) => error,
    };
    let whole = Model::new(&config).file();
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        assert!(matches!(refused(&config, &whole[..length]), LoadError::Format(_)), "{length} bytes");
    }

    let bias = "encoder.layer.1.output.dense.bias";
    let mut lacking = Model::new(&config);
    lacking.0.retain(|(name, ..)| name != bias);
    assert_eq!(refused(&config, &lacking.file()), LoadError::Missing(bias.to_string()));

    let mut short = Model::new(&config);
    short.change(bias, |shape, numbers| {
        shape[0] -= 1;
        numbers.pop();
    });
    let found = LoadError::Shape { name: bias.to_string(), found: vec![35], expected: vec![36] };
    assert_eq!(refused(&config, &short.file()), found);

    let mut ill = Model::new(&config);
    ill.change(bias, |_, numbers| numbers[3] = f32::NAN);
    assert_eq!(refused(&config, &ill.file()), LoadError::NotFinite(bias.to_string()));

    for (change, said) in [
        (
            |config: &mut Config| config.model_type = "mpnet".to_string(),
            "`model_type` is `mpnet`, and only `bert` is known",
        ),
        (|config: &mut Config| config.num_attention_heads = 5, "`hidden_size` is no multiple of `num_attention_heads`"),
        (
            |config: &mut Config| config.num_hidden_layers = 1 << 40,
            "`num_hidden_layers` is 1099511627776, not 1 to 100",
        ),
    ] as [(fn(&mut Config), &str); 3]
    {
        let mut other = config.clone();
        change(&mut other);
        assert_eq!(refused(&other, &whole).to_string(), said);
    }
}
