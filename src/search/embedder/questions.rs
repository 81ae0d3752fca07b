//! The vectors of questions, kept for a while: people ask the same again, and page through answers.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use lru::LruCache;

use super::{EmbedError, Embedder, Purpose, normalised};
use crate::{projection::search_documents::cut_to, search::vectors, telemetry::Metrics};

/// How many vectors are kept, those that were asked for last.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(1_000).expect("it is not zero");

/// A model's name and a question.
type Asked = (String, String);

/// Makes vectors of questions, or finds them. A clone shares what is kept.
#[derive(Clone)]
pub struct Questions {
    kept: Arc<Mutex<LruCache<Asked, Arc<[f32]>>>>,
    metrics: Metrics,
}

impl Questions {
    pub fn new(metrics: Metrics) -> Questions {
        Questions { kept: Arc::new(Mutex::new(LruCache::new(KEPT_MAX))), metrics }
    }

    /// The vector of a question, of length 1 and of the model's dimension.
    pub async fn vector(&self, embedder: &dyn Embedder, text: &str) -> Result<Vec<f32>, EmbedError> {
        let asked = (embedder.model().name.clone(), text.to_string());
        if let Some(found) = self.found(&asked) {
            self.metrics.question_vector(None);
            return Ok(found.to_vec());
        }
        let begun = Instant::now();
        let vector = made(embedder, text).await?;
        self.metrics.question_vector(Some(begun.elapsed()));
        self.keep(asked, &vector);
        Ok(vector)
    }

    fn found(&self, asked: &Asked) -> Option<Arc<[f32]>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(asked).cloned()
    }

    fn keep(&self, asked: Asked, vector: &[f32]) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).put(asked, vector.into());
    }
}

/// A question that is too long for the model is the middle of its parts.
async fn made(embedder: &dyn Embedder, text: &str) -> Result<Vec<f32>, EmbedError> {
    let parts = cut_to(text, embedder.text_chars_max());
    let mut middle = vec![0.0; embedder.model().dimension];
    for batch in parts.chunks(embedder.batch_max().max(1)) {
        for vector in embedder.embed(batch, Purpose::Question).await? {
            if !vectors::fits(embedder.model(), &vector) {
                return Err(EmbedError::Refused { reason: vectors::UNFIT.to_string() });
            }
            middle.iter_mut().zip(vector).for_each(|(sum, number)| *sum += number);
        }
    }
    normalised(middle).ok_or_else(|| EmbedError::Refused { reason: vectors::UNFIT.to_string() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::search::embedder::Model;

    /// Gives each text a vector that says how long it is, and counts the texts.
    struct Lengths {
        model: Model,
        texts: AtomicUsize,
        longest: AtomicUsize,
    }

    impl Lengths {
        fn new(name: &str) -> Lengths {
            let model = Model { name: name.to_string(), dimension: 2 };
            Lengths { model, texts: AtomicUsize::new(0), longest: AtomicUsize::new(0) }
        }
    }

    impl Embedder for Lengths {
        fn model(&self) -> &Model {
            &self.model
        }

        fn batch_max(&self) -> usize {
            2
        }

        fn text_chars_max(&self) -> usize {
            10
        }

        fn embed<'a>(&'a self, texts: &'a [String], _: Purpose) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
            assert!(texts.len() <= self.batch_max());
            self.texts.fetch_add(texts.len(), Ordering::Relaxed);
            let length = |text: &String| text.chars().count();
            self.longest.fetch_max(texts.iter().map(length).max().unwrap_or(0), Ordering::Relaxed);
            let vectors = texts.iter().map(|text| if text == "nothing" { vec![0.0, 0.0] } else { vec![1.0, 1.0] });
            Box::pin(std::future::ready(Ok(vectors.collect())))
        }
    }

    #[tokio::test]
    async fn a_question_that_was_asked_before_is_found_and_one_by_another_model_is_not() {
        let questions = Questions::new(Metrics::new());
        let (one, other) = (Lengths::new("one"), Lengths::new("other"));
        let first = questions.vector(&one, "why").await.unwrap();
        assert_eq!(questions.clone().vector(&one, "why").await.unwrap(), first);
        assert_eq!(one.texts.load(Ordering::Relaxed), 1);
        questions.vector(&other, "why").await.unwrap();
        assert_eq!(other.texts.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn the_questions_that_were_asked_long_ago_are_forgotten() {
        let questions = Questions::new(Metrics::new());
        let model = Lengths::new("one");
        for n in 0..=KEPT_MAX.get() {
            questions.vector(&model, &n.to_string()).await.unwrap();
        }
        let made = model.texts.load(Ordering::Relaxed);
        questions.vector(&model, "1").await.unwrap();
        assert_eq!(model.texts.load(Ordering::Relaxed), made, "it is among the last thousand");
        questions.vector(&model, "0").await.unwrap();
        assert_eq!(model.texts.load(Ordering::Relaxed), made + 1);
    }

    #[tokio::test]
    async fn a_long_question_is_the_middle_of_its_parts_and_has_length_1() {
        let model = Lengths::new("one");
        let vector = Questions::new(Metrics::new()).vector(&model, "the pods restart after the rollout").await.unwrap();
        assert!(model.texts.load(Ordering::Relaxed) >= 4);
        assert!(model.longest.load(Ordering::Relaxed) <= 10);
        assert!((vector[0] - 0.5_f32.sqrt()).abs() < 1e-6 && vector[0] == vector[1], "{vector:?}");
    }

    #[tokio::test]
    async fn what_is_no_vector_is_not_kept() {
        let questions = Questions::new(Metrics::new());
        let model = Lengths::new("one");
        for tries in 1..=2 {
            assert!(matches!(questions.vector(&model, "nothing").await, Err(EmbedError::Refused { .. })));
            assert_eq!(model.texts.load(Ordering::Relaxed), tries);
        }
    }
}
