//! From texts to vectors of length 1: tokens, the encoder in groups of texts, and the mean over the parts of a long text.

use bert::{Encoder, Scratch};
use tokenizers::Tokenizer;

use super::super::{EmbedError, normalised};

/// A tokenizer and the encoder that it belongs to.
pub struct Pipeline {
    /// Neither cuts nor fills up: its own cutting drops what is beyond the first part.
    tokenizer: Tokenizer,
    encoder: Encoder,
    around: Around,
    tokens_max: usize,
}

/// The tokens that mark a text's beginning and end.
pub struct Around {
    pub before: Vec<u32>,
    pub after: Vec<u32>,
}

/// Texts go through the encoder in groups of about so many tokens: with fewer, reading the weights takes more time than
/// using them; with more, what lies between the layers does not stay near the processor.
const GROUP_TOKENS: usize = 512;

/// A part of a text, which fits into the model.
struct Part {
    text: usize,
    tokens: Vec<u32>,
}

impl Pipeline {
    pub fn new(tokenizer: Tokenizer, encoder: Encoder, around: Around, tokens_max: usize) -> Pipeline {
        Pipeline { tokenizer, encoder, around, tokens_max }
    }

    pub fn dimension(&self) -> usize {
        self.encoder.dimension()
    }

    /// Most tokens of a text's own that the model takes at once.
    pub fn text_tokens_max(&self) -> usize {
        self.tokens_max - self.around.before.len() - self.around.after.len()
    }

    pub fn vectors(&self, texts: &[String], scratch: &mut Scratch) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut parts = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let tokens =
                self.tokenizer.encode_fast(text.as_str(), false).map_err(|error| refused(&error.to_string()))?;
            parts.extend(self.cut(tokens.get_ids()).map(|tokens| Part { text: index, tokens }));
        }
        let mut sums = vec![vec![0.0; self.dimension()]; texts.len()];
        for group in groups(&parts) {
            let tokens: Vec<&[u32]> = group.iter().map(|part| part.tokens.as_slice()).collect();
            let means = self.encoder.encode(&tokens, scratch).map_err(|error| refused(&error.to_string()))?;
            for (part, mean) in group.iter().zip(means) {
                let weight = part.tokens.len() as f32;
                sums[part.text].iter_mut().zip(mean).for_each(|(sum, number)| *sum += number * weight);
            }
        }
        sums.into_iter().map(|sum| normalised(sum).ok_or_else(|| refused("its vector has no direction"))).collect()
    }

    /// A text in as few parts as fit into the model, all about equally long: one, even for a text without any token.
    fn cut(&self, tokens: &[u32]) -> impl Iterator<Item = Vec<u32>> {
        let parts = tokens.len().div_ceil(self.text_tokens_max()).max(1);
        let ends = (0..=parts).map(move |part| tokens.len() * part / parts);
        let ranges = ends.clone().zip(ends.skip(1));
        ranges.map(|(from, to)| [&self.around.before, &tokens[from..to], &self.around.after].concat())
    }
}

fn refused(reason: &str) -> EmbedError {
    EmbedError::Refused { reason: reason.to_string() }
}

/// Neighbours together, as many as make up a group.
fn groups(parts: &[Part]) -> impl Iterator<Item = &[Part]> {
    let mut rest = parts;
    std::iter::from_fn(move || {
        let mut tokens = 0;
        let fit = rest.iter().take_while(|part| {
            tokens += part.tokens.len();
            tokens <= GROUP_TOKENS
        });
        let (group, later) = rest.split_at(fit.count().max(1).min(rest.len()));
        rest = later;
        (!group.is_empty()).then_some(group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_every_part_once_in_its_order_and_no_more_than_they_may() {
        let parts: Vec<Part> = [200, 200, 112, 1, 600, 512, 1]
            .into_iter()
            .enumerate()
            .map(|(text, length)| Part { text, tokens: vec![0; length] })
            .collect();
        let grouped: Vec<Vec<usize>> =
            groups(&parts).map(|group| group.iter().map(|part| part.text).collect()).collect();
        assert_eq!(grouped, [vec![0, 1, 2], vec![3], vec![4], vec![5], vec![6]]);
        assert_eq!(groups(&[]).count(), 0);
    }
}
