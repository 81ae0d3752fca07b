//! What a system answered to the questions, and how good that was.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use binnacle::demo::Label;

use crate::{
    measures::{self, Difference},
    questions::{Grade, Question, SAME_FAMILY},
};

/// How many results of a search are looked at.
pub const PLACES: usize = 10;
/// How often a question is asked for its latency, after once for the caches.
const ROUNDS: usize = 3;

/// A remediation: its cluster and its id.
pub type Key = (String, String);

/// A system's answers, in the order of the questions.
#[derive(Clone, Debug)]
pub struct Run {
    pub name: &'static str,
    pub answers: Vec<Answer>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    /// Remediations, the best first.
    pub ranking: Vec<Key>,
    pub took: Vec<Duration>,
}

/// One of the measures.
pub type Measure = fn(&Scores) -> f64;

/// What one answer is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Whether the first place is of the right family.
    pub precision_at_1: f64,
    /// Of the right family.
    pub recall: f64,
    /// Of those that answer the question best.
    pub exact: f64,
    /// The place of the first that answers the question best.
    pub reciprocal_rank: f64,
    pub ndcg: f64,
}

impl Scores {
    /// The measures with their names, in the order of the tables.
    pub const MEASURES: [(&str, Measure); 5] = [
        ("P@1", |scores| scores.precision_at_1),
        ("recall@10", |scores| scores.recall),
        ("exact@10", |scores| scores.exact),
        ("MRR", |scores| scores.reciprocal_rank),
        ("nDCG@10", |scores| scores.ndcg),
    ];
}

/// Asks a system all questions, one after the other. This is where a search is plugged in: anything that turns a
/// question into a ranking.
pub async fn ask(
    name: &'static str,
    questions: &[Question],
    search: impl AsyncFn(&Question) -> anyhow::Result<Vec<Key>>,
) -> anyhow::Result<Run> {
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        let ranking = search(question).await?;
        let mut took = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            search(question).await?;
            took.push(started.elapsed());
        }
        answers.push(Answer { ranking, took });
    }
    Ok(Run { name, answers })
}

/// Knows what each remediation was.
pub struct Judge<'a> {
    labels: HashMap<(&'a str, &'a str), &'a Label>,
}

impl<'a> Judge<'a> {
    pub fn new(labels: &'a [Label]) -> Judge<'a> {
        let key = |label: &'a Label| (label.cluster_id, label.remediation_id.as_str());
        Judge { labels: labels.iter().map(|label| (key(label), label)).collect() }
    }

    /// What each answer of a run is worth.
    pub fn scores(&self, questions: &[Question], run: &Run) -> Vec<Scores> {
        let answers = questions.iter().zip(&run.answers);
        answers.map(|(question, answer)| self.score(question, &answer.ranking)).collect()
    }

    fn score(&self, question: &Question, ranking: &[Key]) -> Scores {
        let corpus: Vec<Grade> = self.labels.values().map(|label| question.grade(label)).collect();
        let best = corpus.iter().copied().max().unwrap_or(0).max(SAME_FAMILY);
        let found = self.grades(question, ranking);
        // A question that nothing answers would be worth nothing to everybody; a test sees that there is none.
        Scores {
            precision_at_1: measures::precision(&found, SAME_FAMILY, 1),
            recall: measures::recall(&found, &corpus, SAME_FAMILY, PLACES).unwrap_or(0.0),
            exact: measures::recall(&found, &corpus, best, PLACES).unwrap_or(0.0),
            reciprocal_rank: measures::reciprocal_rank(&found, best, PLACES),
            ndcg: measures::ndcg(&found, &corpus, PLACES).unwrap_or(0.0),
        }
    }

    /// The grades of a ranking. A remediation that is found again, or that nobody knows, takes up its place in vain.
    fn grades(&self, question: &Question, ranking: &[Key]) -> Vec<Grade> {
        let mut seen = HashSet::new();
        let grade = |(cluster_id, remediation_id): &'_ Key| {
            let label = self.labels.get(&(cluster_id.as_str(), remediation_id.as_str()));
            label.map_or(0, |label| question.grade(label))
        };
        ranking.iter().map(|key| if seen.insert(key) { grade(key) } else { 0 }).collect()
    }
}

/// How much better one system is than another by one measure.
pub fn compare(ours: &[Scores], theirs: &[Scores], measure: Measure) -> Difference {
    let of = |scores: &[Scores]| scores.iter().map(measure).collect::<Vec<f64>>();
    measures::difference(&of(ours), &of(theirs))
}

#[cfg(test)]
mod tests {
    use binnacle::demo;

    use super::*;
    use crate::questions;

    #[tokio::test]
    async fn the_ideal_order_scores_1_everywhere_and_no_answer_0() {
        let labels = demo::labels(2_000);
        let judge = Judge::new(&labels);
        let questions = questions::all().unwrap();
        let ideal = ask("ideal", &questions, async |question| {
            let mut all: Vec<&Label> = labels.iter().collect();
            all.sort_by_key(|label| std::cmp::Reverse(question.grade(label)));
            Ok(all[..PLACES].iter().map(|l| (l.cluster_id.to_string(), l.remediation_id.clone())).collect())
        });
        let nothing = ask("nothing", &questions, async |_| Ok(Vec::new()));
        let (ideal, nothing) = (ideal.await.unwrap(), nothing.await.unwrap());
        for (name, measure) in Scores::MEASURES {
            for (question, scores) in questions.iter().zip(judge.scores(&questions, &ideal)) {
                assert!((measure(&scores) - 1.0).abs() < 1e-9, "{name} of `{}`: {scores:?}", question.text);
            }
            assert!(judge.scores(&questions, &nothing).iter().all(|scores| measure(scores) == 0.0));
        }
    }

    #[test]
    fn what_is_found_twice_counts_once() {
        let labels = demo::labels(50);
        let judge = Judge::new(&labels);
        let truth = questions::Truth { family: Some(labels[0].family.to_string()), ..Default::default() };
        let question =
            Question { text: "?".to_string(), kind: questions::Kind::Symptom, truth: vec![truth], note: None };
        let key = (labels[0].cluster_id.to_string(), labels[0].remediation_id.clone());
        let unknown = ("nowhere".to_string(), "rr-0".to_string());
        assert_eq!(judge.grades(&question, &[key.clone(), unknown, key]), [1, 0, 0]);
    }
}
