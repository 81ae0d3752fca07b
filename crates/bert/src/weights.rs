//! The numbers of a model, read from the text of a safetensors file and checked.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("{0}")]
    Config(String),
    #[error("it is no whole safetensors file: {0}")]
    Format(String),
    #[error("it has no tensor `{0}`")]
    Missing(String),
    #[error("its tensor `{name}` has the shape {found:?} where {expected:?} is needed")]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("its tensor `{name}` holds {dtype}, and only F32, F16 and BF16 are known")]
    Type { name: String, dtype: String },
    #[error("its tensor `{0}` holds a number that is not finite")]
    NotFinite(String),
}

/// The tensors of a file.
pub struct Weights<'a> {
    tensors: SafeTensors<'a>,
    /// What stands before every name: some files hold the encoder as a part of something larger.
    prefix: &'static str,
}

const PREFIXES: [&str; 2] = ["", "bert."];

impl<'a> Weights<'a> {
    pub fn read(file: &'a [u8]) -> Result<Weights<'a>, LoadError> {
        let tensors = SafeTensors::deserialize(file).map_err(|error| LoadError::Format(error.to_string()))?;
        let known = |prefix: &&str| tensors.tensor(&format!("{prefix}embeddings.word_embeddings.weight")).is_ok();
        let prefix = PREFIXES.into_iter().find(known).unwrap_or_default();
        Ok(Weights { tensors, prefix })
    }

    /// The numbers of one tensor, row by row; all are finite.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let name = format!("{}{name}", self.prefix);
        let view = self.tensors.tensor(&name).map_err(|_| LoadError::Missing(name.clone()))?;
        if view.shape() != shape {
            return Err(LoadError::Shape { name, found: view.shape().to_vec(), expected: shape.to_vec() });
        }
        let numbers = numbers(&view)
            .ok_or_else(|| LoadError::Type { name: name.clone(), dtype: format!("{:?}", view.dtype()) })?;
        if numbers.iter().all(|number| number.is_finite()) { Ok(numbers) } else { Err(LoadError::NotFinite(name)) }
    }
}

fn numbers(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    let pairs = || bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
    match view.dtype() {
        Dtype::F32 => Some(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()),
        Dtype::BF16 => Some(pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
        Dtype::F16 => Some(pairs().map(half).collect()),
        _ => None,
    }
}

/// The number that a half-precision float stands for.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    let magnitude = match exponent {
        0 => return f32::from_bits(sign | (fraction as f32 / (1 << 24) as f32).to_bits()),
        31 => 0xff << 23 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_is_read_exactly() {
        let cases = [
            (0x0000, 0.0),
            (0x0001, 2_f32.powi(-24)),
            (0x03ff, 1023.0 * 2_f32.powi(-24)),
            (0x0400, 2_f32.powi(-14)),
            (0x3c00, 1.0),
            (0xc500, -5.0),
            (0x7bff, 65504.0),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, number) in cases {
            assert_eq!(half(bits), number, "{bits:#x}");
        }
        assert!(half(0x7c01).is_nan());
    }
}
