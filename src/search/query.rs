//! A question and its answer: the remediations that speak of what was asked, by meaning, by words, or by both.

use std::{collections::HashMap, time::Instant};

use super::{
    Search, SearchError,
    embedder::Model,
    fusion::{self, Candidate, Fused, Part},
    index,
    scope::Scope,
    vectors::{self, Likeness},
};
use crate::{
    projection::{
        pinned,
        remediations::Filter,
        search_documents::{self, Found},
    },
    remediation::{model::Summary, outcomes::Outcomes},
};

/// Longest question, in characters.
pub const QUESTION_CHARS_MAX: usize = 2_000;

/// Most hits of one answer.
pub const HITS_MAX: usize = 100;

/// How many remediations of each list are looked at closely.
const CANDIDATES_MIN: usize = 100;

/// How good a remediation has to be to count in what came of them: a share of the best one's score. Chosen by measurement:
/// see `docs/search-quality.md`.
const ALIKE_SHARE: f64 = 0.85;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Meaning and words together.
    Hybrid,
    /// Meaning only.
    Vector,
    /// Words only.
    Text,
}

impl Mode {
    pub fn word(self) -> &'static str {
        match self {
            Mode::Hybrid => "HYBRID",
            Mode::Vector => "VECTOR",
            Mode::Text => "TEXT",
        }
    }

    /// The mode of a word, in any case.
    pub fn parse(word: &str) -> Option<Mode> {
        [Mode::Hybrid, Mode::Vector, Mode::Text].into_iter().find(|mode| mode.word().eq_ignore_ascii_case(word))
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    pub text: String,
    /// Which remediations.
    pub filter: Filter,
    /// Documents of which kinds, as words of `Kind`; all where none are given.
    pub kinds: Option<Vec<String>>,
    pub mode: Mode,
    /// How many hits, 1 to `HITS_MAX`.
    pub first: usize,
    /// Compare everything, without the index: as slow as it is right.
    pub exact: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The best first.
    pub hits: Vec<Hit>,
    /// Whether nothing else matches.
    pub exhausted: bool,
    /// What was compared: words only, where there are no vectors to compare.
    pub mode: Mode,
    /// Why it is not what was asked for.
    pub notice: Option<String>,
    /// The model whose vectors were compared.
    pub model: Option<String>,
    /// What came of the remediations that are nearly as good as the best, hits or not.
    pub outcomes: Outcomes,
}

/// A remediation that was found.
#[derive(Clone, Debug)]
pub struct Hit {
    pub summary: Summary,
    /// 0 to 1; comparable within one answer only.
    pub score: f64,
    /// By meaning, −1 to 1, and its place in that list.
    pub meaning: Option<Part>,
    /// By words, 0 or more, and its place in that list.
    pub words: Option<Part>,
    /// The document that speaks best of what was asked.
    pub document: Found,
    /// A passage of it, with the words that were asked for between `[[` and `]]`.
    pub snippet: String,
}

impl Search {
    /// Answers a question from what is projected.
    pub async fn ask(&self, question: &Question) -> Result<Answer, SearchError> {
        let text = checked(&question.text)?;
        let (vector, notice) = self.question_vector(text, question.mode).await?;
        let begun = Instant::now();
        let scope = Scope::of(&self.db, question).await?;
        let look = Look { search: self, question, text, scope: &scope, among: scope.among() };

        let (near, telling) = tokio::try_join!(look.near(vector.as_ref()), look.telling())?;
        let candidates = look.candidates(vector.as_ref(), near, telling).await?;
        let fused = fusion::fuse(&candidates.scored);
        let exhausted = candidates.complete && fused.len() <= question.first;
        let mode = match (question.mode, &vector) {
            (Mode::Hybrid, None) => Mode::Text,
            (mode, _) => mode,
        };
        let outcomes = look.outcomes(&fused).await?;
        let hits = look.hits(&fused, &candidates.likeness).await?;
        let model = vector.map(|(model, _, _)| model.name);
        self.metrics.searched(mode.word(), begun.elapsed());
        Ok(Answer { hits, exhausted, mode, notice, model, outcomes })
    }

    /// The question's vector by the model that answers, whether that has an index, and why there is none where one was
    /// wanted.
    async fn question_vector(
        &self,
        text: &str,
        mode: Mode,
    ) -> Result<(Option<(Model, bool, Vec<f32>)>, Option<String>), SearchError> {
        if mode == Mode::Text {
            return Ok((None, None));
        }
        let reason = match self.vector(text).await {
            Ok(found) => return Ok((Some(found), None)),
            Err(SearchError::NoVectors { reason }) => reason,
            Err(error) => return Err(error),
        };
        match mode {
            Mode::Hybrid => Ok((None, Some(format!("searched by words only: {reason}")))),
            Mode::Vector | Mode::Text => Err(SearchError::NoVectors { reason }),
        }
    }

    /// A text's vector by the model that answers.
    pub(super) async fn vector(&self, text: &str) -> Result<(Model, bool, Vec<f32>), SearchError> {
        let none = |reason: String| SearchError::NoVectors { reason };
        let Some(embedder) = self.embedders.current() else { return Err(none(self.embedders.state().to_string())) };
        let Some((model, indexed)) = index::serving(&self.db).await? else {
            return Err(none("nothing is embedded yet".to_string()));
        };
        if model != *embedder.model() {
            let next = &embedder.model().name;
            return Err(none(format!("everything is being embedded anew by `{next}`")));
        }
        let vector = self.questions.vector(&*embedder, text).await.map_err(|error| none(error.to_string()))?;
        Ok((model, indexed, vector))
    }
}

/// The question without white space around it, if it is one.
fn checked(text: &str) -> Result<&str, SearchError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SearchError::Empty);
    }
    let given = text.chars().count();
    if given > QUESTION_CHARS_MAX {
        return Err(SearchError::TooLong { given });
    }
    Ok(text)
}

/// A question being answered.
struct Look<'a> {
    search: &'a Search,
    question: &'a Question,
    text: &'a str,
    scope: &'a Scope,
    /// The remediations to look among, where they are few.
    among: Option<&'a [i64]>,
}

/// The remediations that either list has.
struct Candidates {
    scored: Vec<Candidate>,
    likeness: HashMap<i64, Likeness>,
    /// Whether these are all that match.
    complete: bool,
}

impl Look<'_> {
    /// How many remediations of each list are looked at.
    fn wanted(&self) -> usize {
        (self.question.first * 2).max(CANDIDATES_MIN)
    }

    fn kinds(&self) -> Option<&[String]> {
        self.question.kinds.as_deref()
    }

    /// The remediations that may be nearest in meaning, and whether these are all that have a vector.
    async fn near(&self, vector: Option<&(Model, bool, Vec<f32>)>) -> Result<(Vec<i64>, bool), SearchError> {
        let Some((model, _, vector)) = vector else { return Ok((Vec::new(), true)) };
        if let Some(few) = self.scope.few() {
            return Ok((few.to_vec(), true));
        }
        let begun = Instant::now();
        let found = self.nearest(model, vector).await;
        self.search.metrics.vector_query(begun.elapsed());
        found
    }

    /// Asks the index for more and more texts, until enough remediations that match tell them.
    async fn nearest(&self, model: &Model, vector: &[f32]) -> Result<(Vec<i64>, bool), SearchError> {
        let db = &self.search.db;
        let (wanted, mut limit) = (self.wanted(), TEXTS_FACTOR * self.wanted());
        loop {
            let near = vectors::nearest(db, model, vector, limit as i64).await?;
            let contents: Vec<uuid::Uuid> = near.iter().map(|(content, _)| *content).collect();
            let told = search_documents::with_contents(db, &contents, self.kinds(), TELLERS_MAX).await?;
            // Of a text that many tell, only some are known.
            let crowded = crowded(&told);
            let mut firsts = in_order(&near, told);
            self.scope.keep_matching(db, &self.question.filter, &mut firsts).await?;
            let ended = contents.len() < limit;
            if firsts.len() >= wanted {
                firsts.truncate(wanted);
                return Ok((firsts, false));
            }
            if ended && !crowded {
                return Ok((firsts, true));
            }
            if ended || limit >= vectors::LIMIT_MAX {
                // Too few of the nearest match: the filter is narrower than it seemed.
                return Ok((self.scope.all(db, &self.question.filter).await?, true));
            }
            limit = (limit * 4).min(vectors::LIMIT_MAX);
        }
    }

    /// The remediations that tell the words, the best first, and whether these are all.
    async fn telling(&self) -> Result<(Vec<search_documents::Worded>, bool), SearchError> {
        if self.question.mode == Mode::Vector {
            return Ok((Vec::new(), true));
        }
        let db = &self.search.db;
        let limit = self.wanted() * DEPTH_FACTOR;
        let mut told = search_documents::by_words(db, self.text, self.kinds(), self.among, limit as i64).await?;
        let complete = told.len() < limit && !told.iter().any(|told| told.partly);
        let mut firsts: Vec<i64> = told.iter().map(|told| told.first_position).collect();
        self.scope.keep_matching(db, &self.question.filter, &mut firsts).await?;
        let kept: std::collections::HashSet<i64> = firsts.into_iter().collect();
        told.retain(|told| kept.contains(&told.first_position));
        if told.len() < self.wanted() && !complete {
            let all = self.scope.all(db, &self.question.filter).await?;
            told = search_documents::by_words(db, self.text, self.kinds(), Some(&all), self.wanted() as i64).await?;
        }
        Ok((told, complete))
    }

    /// Both lists together, each remediation with what each list says of it.
    async fn candidates(
        &self,
        vector: Option<&(Model, bool, Vec<f32>)>,
        (near, near_complete): (Vec<i64>, bool),
        (telling, telling_complete): (Vec<search_documents::Worded>, bool),
    ) -> Result<Candidates, SearchError> {
        let mut firsts = near;
        // Of those further down the words count where their meaning brings them in.
        firsts.extend(telling.iter().take(self.wanted()).map(|told| told.first_position));
        firsts.sort_unstable();
        firsts.dedup();
        let likeness: HashMap<i64, Likeness> = match vector {
            Some((model, _, vector)) => {
                let found = vectors::likeness(&self.search.db, model, vector, &firsts, self.kinds()).await?;
                found.into_iter().map(|likeness| (likeness.first_position, likeness)).collect()
            }
            None => HashMap::new(),
        };
        let all_looked_at = telling.len() <= self.wanted();
        let words: HashMap<i64, f64> = telling.into_iter().map(|told| (told.first_position, told.score)).collect();
        let scored = firsts
            .into_iter()
            .map(|first_position| Candidate {
                first_position,
                meaning: likeness.get(&first_position).map(|likeness| likeness.mean),
                words: words.get(&first_position).copied(),
            })
            .filter(|candidate| candidate.meaning.is_some() || candidate.words.is_some())
            .collect();
        Ok(Candidates { scored, likeness, complete: near_complete && telling_complete && all_looked_at })
    }

    /// What came of those that are nearly as good as the best.
    async fn outcomes(&self, fused: &[Fused]) -> Result<Outcomes, SearchError> {
        let best = fused.first().map_or(0.0, |best| best.score);
        let alike: Vec<i64> = fused
            .iter()
            .take_while(|fused| fused.score >= best * ALIKE_SHARE)
            .map(|fused| fused.first_position)
            .collect();
        let summaries = pinned::summaries(&self.search.db, &alike, None).await?;
        Ok(Outcomes::of(summaries.iter().map(|(_, summary)| summary)))
    }

    /// The first of them, each with the document that speaks best of what was asked.
    async fn hits(&self, fused: &[Fused], likeness: &HashMap<i64, Likeness>) -> Result<Vec<Hit>, SearchError> {
        let db = &self.search.db;
        let shown = &fused[..fused.len().min(self.question.first)];
        let firsts: Vec<i64> = shown.iter().map(|fused| fused.first_position).collect();
        let summaries: HashMap<i64, Summary> = pinned::summaries(db, &firsts, None).await?.into_iter().collect();
        let best = self.best_documents(&firsts, likeness).await?;
        let keys: Vec<(i64, i64, i32)> =
            best.values().map(|document| (document.first_position, document.source, document.part)).collect();
        let mut snippets = search_documents::snippets(db, self.text, &keys).await?;
        let mut hits = Vec::with_capacity(shown.len());
        for fused in shown {
            let first = fused.first_position;
            // The projections move one after the other, so one may know a remediation that the other does not.
            let (Some(summary), Some(document)) = (summaries.get(&first), best.get(&first)) else { continue };
            let snippet = snippets.remove(&(first, document.source, document.part));
            hits.push(Hit {
                summary: summary.clone(),
                score: fused.score,
                meaning: fused.meaning,
                words: fused.words,
                document: document.clone(),
                snippet: snippet.unwrap_or_else(|| document.text.clone()),
            });
        }
        Ok(hits)
    }

    /// Of each remediation the document that speaks best of what was asked: by its words where any tells some, else by its
    /// meaning.
    async fn best_documents(
        &self,
        firsts: &[i64],
        likeness: &HashMap<i64, Likeness>,
    ) -> Result<HashMap<i64, Found>, SearchError> {
        let by_words = self.question.mode != Mode::Vector;
        let mut best: HashMap<i64, (Found, (f32, bool))> = HashMap::new();
        for (document, told) in
            search_documents::of_remediations(&self.search.db, firsts, self.kinds(), self.text).await?
        {
            let nearest = likeness
                .get(&document.first_position)
                .is_some_and(|likeness| likeness.source == document.source && likeness.part == document.part);
            let worth = (if by_words { told } else { 0.0 }, nearest);
            match best.get(&document.first_position) {
                Some((_, before)) if *before >= worth => {}
                _ => drop(best.insert(document.first_position, (document, worth))),
            }
        }
        Ok(best.into_iter().map(|(first, (document, _))| (first, document)).collect())
    }
}

/// How many texts the index is asked for, for each remediation that is looked at closely.
const TEXTS_FACTOR: usize = 4;

/// How many remediations that tell the same text are looked at, the latest ones.
const TELLERS_MAX: i64 = 20;

/// How many times as many are found by their words as are looked at closely.
const DEPTH_FACTOR: usize = 4;

/// Whether any text is told by as many as are looked at, so that there may be more.
fn crowded(told: &[(uuid::Uuid, i64)]) -> bool {
    let mut tellers: HashMap<uuid::Uuid, i64> = HashMap::new();
    told.iter().for_each(|(content, _)| *tellers.entry(*content).or_default() += 1);
    tellers.values().any(|count| *count >= TELLERS_MAX)
}

/// The remediations in the order in which they promise to be like the question: by the mean of their nearest texts, as
/// `vectors::likeness` counts, where those that were not found are no nearer than the last that was.
fn in_order(near: &[(uuid::Uuid, f64)], told: Vec<(uuid::Uuid, i64)>) -> Vec<i64> {
    let cosines: HashMap<uuid::Uuid, f64> = near.iter().copied().collect();
    let least = near.iter().map(|(_, cosine)| *cosine).fold(1.0, f64::min);
    let mut by_first: HashMap<i64, Vec<f64>> = HashMap::new();
    for (content, first) in told {
        by_first.entry(first).or_default().extend(cosines.get(&content));
    }
    let promise = |cosines: &mut Vec<f64>| {
        cosines.sort_by(|a, b| b.total_cmp(a));
        cosines.resize(vectors::NEAREST_COUNTED, least);
        cosines.iter().sum::<f64>()
    };
    let mut firsts: Vec<(i64, f64)> =
        by_first.into_iter().map(|(first, mut cosines)| (first, promise(&mut cosines))).collect();
    firsts.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    firsts.into_iter().map(|(first, _)| first).collect()
}

/// The hits that are nearly as good as the best.
pub fn alike(hits: Vec<Hit>) -> impl Iterator<Item = Hit> {
    let best = hits.first().map_or(0.0, |best| best.score);
    hits.into_iter().take_while(move |hit| hit.score >= best * ALIKE_SHARE)
}
