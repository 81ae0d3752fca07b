//! An embedder that takes no time: a text's vector says which words it has. Texts that share words are near each other.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use binnacle::search::embedder::{EmbedError, Embedder, Model, Purpose};
use futures_util::future::BoxFuture;

pub struct Wordly {
    model: Model,
    /// Whether it answers.
    pub away: AtomicBool,
    /// A text that holds this is refused.
    pub refused: Mutex<Option<String>>,
    /// What it gives in the place of vectors.
    pub gives: Mutex<Gives>,
    /// Every text of a document that it was given, and how many there were in all.
    pub seen: Mutex<HashSet<String>>,
    pub texts: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    Vectors,
    Short,
    NotANumber,
}

impl Wordly {
    pub fn new(name: &str) -> Arc<Wordly> {
        Arc::new(Wordly {
            model: Model { name: name.to_string(), dimension: 64 },
            away: AtomicBool::new(false),
            refused: Mutex::new(None),
            gives: Mutex::new(Gives::Vectors),
            seen: Mutex::new(HashSet::new()),
            texts: AtomicUsize::new(0),
        })
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vector_by_words(text, self.model.dimension);
        match *self.gives.lock().unwrap() {
            Gives::Vectors => {}
            Gives::Short => vector.truncate(3),
            Gives::NotANumber => vector[0] = f32::NAN,
        }
        vector
    }
}

/// A vector of length 1 that says which words a text has.
pub fn vector_by_words(text: &str, dimension: usize) -> Vec<f32> {
    let mut vector = vec![0.01_f32; dimension];
    for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2) {
        let place = word.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        vector[place % dimension] += 1.0;
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|number| *number /= length);
    vector
}

impl Embedder for Wordly {
    fn model(&self) -> &Model {
        &self.model
    }

    fn batch_max(&self) -> usize {
        8
    }

    fn text_chars_max(&self) -> usize {
        1_000
    }

    fn embed<'a>(&'a self, texts: &'a [String], purpose: Purpose) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        Box::pin(async move {
            if self.away.load(Ordering::Relaxed) {
                return Err(EmbedError::Unavailable { reason: "away".to_string(), retry_after: Some(Duration::ZERO) });
            }
            if let Some(refused) = &*self.refused.lock().unwrap()
                && texts.iter().any(|text| text.contains(refused))
            {
                return Err(EmbedError::Refused { reason: format!("it says {refused}") });
            }
            if purpose == Purpose::Documents {
                self.texts.fetch_add(texts.len(), Ordering::Relaxed);
                self.seen.lock().unwrap().extend(texts.iter().cloned());
            }
            Ok(texts.iter().map(|text| self.vector(text)).collect())
        })
    }
}
