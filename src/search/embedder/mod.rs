//! What makes vectors of texts: a model in this process, or an endpoint elsewhere.

mod embedders;
mod local;
mod openai;
mod questions;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub use embedders::{EmbedderSettings, Embedders, State};
pub use local::{LoadError, Local};
pub use openai::{OpenAi, OpenAiSettings, SettingsError};
pub use questions::Questions;

/// A model, as it is recorded with each vector that it made. Vectors of different models never meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Model {
    /// Tells it apart from every other, the version of its weights included: letters, digits and `-_.:/@`, at most 200.
    pub name: String,
    /// How many numbers a vector has.
    pub dimension: usize,
}

/// Longest name of a model.
const NAME_MAX: usize = 200;

impl Model {
    /// A model by this name; what a name may not hold becomes `-`, and what is beyond its length goes.
    fn named(name: &str, dimension: usize) -> Model {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
        let name = name.chars().take(NAME_MAX).map(|c| if allowed(c) { c } else { '-' }).collect();
        Model { name, dimension }
    }
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

/// Refuses a batch that is larger, or has a larger text, than an embedder takes.
fn check_size(texts: &[String], batch_max: usize, text_chars_max: usize) -> Result<(), EmbedError> {
    let refused = |reason: String| Err(EmbedError::Refused { reason });
    if texts.len() > batch_max {
        return refused(format!("{} texts in one call, and {batch_max} is the most", texts.len()));
    }
    match texts.iter().map(|text| text.chars().count()).max() {
        Some(longest) if longest > text_chars_max => {
            refused(format!("it has {longest} characters, and {text_chars_max} is the most"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The vector of length 1 in the same direction; `None` for one that has none.
fn normalised(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    if !(length.is_finite() && length > f64::from(f32::MIN_POSITIVE)) {
        return None;
    }
    vector.iter_mut().for_each(|number| *number = (f64::from(*number) / length) as f32);
    Some(vector)
}

#[cfg(test)]
mod tests {
    use std::f32::consts::FRAC_1_SQRT_2;

    use super::*;

    #[test]
    fn a_name_holds_what_it_may_and_is_no_longer_than_that() {
        assert_eq!(Model::named("a b/c:1@Ü'", 3), Model { name: "a-b/c:1@--".to_string(), dimension: 3 });
        assert_eq!(Model::named(&"x".repeat(300), 3).name.len(), NAME_MAX);
    }

    #[test]
    fn a_vector_without_a_direction_has_no_length_1() {
        assert_eq!(normalised(vec![3.0, -4.0]), Some(vec![0.6, -0.8]));
        assert_eq!(normalised(vec![3e30, -3e30]), Some(vec![FRAC_1_SQRT_2, -FRAC_1_SQRT_2]));
        for vector in [vec![0.0, 0.0], vec![f32::NAN, 1.0], vec![f32::INFINITY, 1.0], vec![]] {
            assert_eq!(normalised(vector), None);
        }
    }
}
