//! A question and its answer: the remediations that speak of what was asked, by meaning, by words, or by both.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Search, SearchError,
    embedder::Model,
    fusion::{self, Candidate, Fused, Part},
    index,
    lines::Lines,
    scope::Scope,
    vectors::{self, Likeness, Nearest, Teller},
};
use crate::{
    projection::{
        pinned,
        remediations::Filter,
        search_documents::{self, Found, Words},
    },
    remediation::{model::Summary, outcomes::Outcomes},
};

/// Longest question, in characters.
pub const QUESTION_CHARS_MAX: usize = 2_000;

/// Most hits of one answer.
pub const HITS_MAX: usize = 100;

/// How deep a question looks. Chosen by measurement: see `docs/search-quality.md`.
struct Depth {
    /// How many remediations are looked at closely.
    candidates: usize,
    /// How many texts the index is asked for at first, for each of these.
    texts_each: usize,
    /// How many documents the rarest words may tell together for all of them to be looked at.
    documents: f64,
}

const AMONG_ALL: Depth = Depth { candidates: 120, texts_each: 3, documents: 4_000.0 };

/// Behind a filter some texts are in vain; and the fewer remediations match, the fewer stand before the best of them.
const BEHIND_FILTER: Depth = Depth { candidates: 110, texts_each: 4, documents: 3_500.0 };

impl Depth {
    fn of(question: &Question) -> &'static Depth {
        if question.filter == Filter::default() { &AMONG_ALL } else { &BEHIND_FILTER }
    }

    /// How many remediations are looked at closely.
    fn wanted(&self, question: &Question) -> usize {
        (question.first * 2).max(self.candidates)
    }

    /// How many texts the index is asked for at first.
    fn texts(&self, question: &Question) -> usize {
        self.texts_each * self.wanted(question)
    }
}

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
        let mut lines = Lines::open(&self.lender).await?;
        let depth = Depth::of(question);
        let words = async {
            let db = &mut *lines.first().await;
            if vector.is_some() {
                vectors::look_at(db, depth.texts(question) as i64).await?;
            }
            self.words(db, text, question.mode).await
        };
        let (scope, words) = tokio::try_join!(Scope::of(&self.filters, question), words)?;
        if vector.is_some() && !words.words.is_empty() {
            lines.widen(&self.lender).await;
        }
        let look = Look { search: self, lines: &lines, question, depth, text, scope: &scope, words: &words };

        let found = look.found(vector.as_ref()).await?;
        let candidates = look.candidates(vector.as_ref(), found).await?;
        let fused = fusion::fuse(&candidates.scored);
        let exhausted = candidates.complete && fused.len() <= question.first;
        let mode = match (question.mode, &vector) {
            (Mode::Hybrid, None) => Mode::Text,
            (mode, _) => mode,
        };
        let (outcomes, hits) = look.shown(&fused, &candidates.likeness).await?;
        let model = vector.map(|(model, _, _)| model.name);
        self.metrics.searched(mode.word(), begun.elapsed());
        Ok(Answer { hits, exhausted, mode, notice, model, outcomes })
    }

    /// The words of the question, where words are compared.
    async fn words(&self, db: &mut PgConnection, text: &str, mode: Mode) -> Result<Words, SearchError> {
        match mode {
            Mode::Vector => Ok(Words::none()),
            Mode::Hybrid | Mode::Text => Ok(self.vocabulary.asked(db, text).await?),
        }
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
        let Some((model, indexed)) = index::serving(&self.filters).await? else {
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
    lines: &'a Lines,
    question: &'a Question,
    depth: &'static Depth,
    text: &'a str,
    scope: &'a Scope,
    words: &'a Words,
}

/// What a list begins with.
struct Listed {
    /// Named by where they begin, each with about the score that it will have in the list.
    remediations: Vec<(i64, f64)>,
    /// The score that those are taken to have that are not here.
    beyond: f64,
    /// Whether there are no others.
    complete: bool,
    /// Of some of them, how like the question they are: what has been compared on the way.
    likeness: HashMap<i64, Likeness>,
}

/// The remediations that may be among the best by both lists.
struct Looked {
    firsts: Vec<i64>,
    /// Whether no others match.
    complete: bool,
    /// Of some of them, how like the question they are.
    likeness: HashMap<i64, Likeness>,
}

/// The same, each with what each list says of it.
struct Candidates {
    scored: Vec<Candidate>,
    likeness: HashMap<i64, Likeness>,
    /// Whether these are all that match.
    complete: bool,
}

impl Look<'_> {
    fn wanted(&self) -> usize {
        self.depth.wanted(self.question)
    }

    fn kinds(&self) -> Option<&[String]> {
        self.question.kinds.as_deref()
    }

    /// The remediations to look at closely: all that match, where they are few, else what the two lists begin with.
    async fn found(&self, vector: Option<&(Model, bool, Vec<f32>)>) -> Result<Looked, SearchError> {
        if let Some(few) = self.scope.few() {
            return Ok(Looked { firsts: few.to_vec(), complete: true, likeness: HashMap::new() });
        }
        // One right after the other, with nothing else on its way: so each begins on a processor of its own.
        let (near, telling) = tokio::try_join!(self.near(vector), self.telling(vector.is_some()))?;
        let mut firsts = promising(near.as_ref(), &telling);
        let (near_complete, likeness) = near.map_or((true, HashMap::new()), |near| (near.complete, near.likeness));
        let complete = near_complete && telling.complete && firsts.len() <= self.wanted();
        firsts.truncate(self.wanted());
        Ok(Looked { firsts, complete, likeness })
    }

    /// The remediations that may be nearest in meaning, where there is one.
    async fn near(&self, vector: Option<&(Model, bool, Vec<f32>)>) -> Result<Option<Listed>, SearchError> {
        let Some((model, _, vector)) = vector else { return Ok(None) };
        let begun = Instant::now();
        let found = self.nearest(model, vector).await;
        self.search.metrics.vector_query(begun.elapsed());
        found.map(Some)
    }

    /// Asks the index for more and more texts, until as many remediations that match tell them as are to be shown. To ask again for more
    /// takes longer than all the rest, and makes next to no difference to what is found: see `docs/search-quality.md`.
    async fn nearest(&self, model: &Model, vector: &[f32]) -> Result<Listed, SearchError> {
        let mut limit = self.depth.texts(self.question);
        loop {
            let asked_for = (limit as i64, TELLERS_MAX);
            let near = vectors::nearest(&mut *self.lines.first().await, model, vector, self.kinds(), asked_for).await?;
            // Of a text that many tell, only some are known.
            let crowded = crowded(&near.told);
            let ended = near.texts < limit;
            let mut listed = promised(near, &crowded);
            self.keep_matching(&mut listed.remediations).await?;
            if listed.remediations.len() >= self.question.first {
                return Ok(listed);
            }
            if ended && crowded.is_empty() {
                return Ok(Listed { complete: true, ..listed });
            }
            if ended || limit >= vectors::LIMIT_MAX {
                // Too few of the nearest match: the filter is narrower than it seemed.
                let all = self.scope.all(&self.search.filters, &self.question.filter).await?;
                return self.compared(model, vector, &all).await;
            }
            limit = (limit * 2).min(vectors::LIMIT_MAX);
            vectors::look_at(&mut *self.lines.first().await, limit as i64).await?;
        }
    }

    /// These, compared one by one; those without any vector are left out.
    async fn compared(&self, model: &Model, vector: &[f32], all: &[i64]) -> Result<Listed, SearchError> {
        let mut db = self.search.filters.acquire().await?;
        let found = vectors::likeness(&mut db, model, vector, all, self.kinds()).await?;
        let remediations = found.iter().map(|likeness| (likeness.first_position, likeness.mean)).collect();
        let likeness = found.into_iter().map(|likeness| (likeness.first_position, likeness)).collect();
        Ok(Listed { remediations, beyond: 0.0, complete: true, likeness })
    }

    /// The remediations that may tell the words best. Beside a list of what is near the rare words
    /// are enough to look for; what the others add is seen when the candidates are looked at closely.
    async fn telling(&self, beside_near: bool) -> Result<Listed, SearchError> {
        let words = if beside_near { self.words.rarest(self.depth.documents) } else { &self.words.words };
        let all_looked_for = self.words.complete && words.len() == self.words.words.len();
        let limit = self.wanted() * DEPTH_FACTOR;
        let mut told =
            search_documents::telling(&mut *self.lines.second().await, words, self.kinds(), None, limit as i64).await?;
        let complete = told.complete && all_looked_for;
        self.keep_matching(&mut told.remediations).await?;
        if told.remediations.len() < self.question.first && !complete {
            let all = match self.scope {
                Scope::All => None,
                scope => Some(scope.all(&self.search.filters, &self.question.filter).await?),
            };
            let words = &self.words.words;
            let mut db = self.search.filters.acquire().await?;
            told = search_documents::telling(&mut db, words, self.kinds(), all.as_deref(), limit as i64).await?;
        }
        Ok(Listed { remediations: told.remediations, beyond: 0.0, complete, likeness: HashMap::new() })
    }

    /// Leaves out those that the filter does not let through.
    async fn keep_matching(&self, remediations: &mut Vec<(i64, f64)>) -> Result<(), SearchError> {
        let mut firsts: Vec<i64> = remediations.iter().map(|(first, _)| *first).collect();
        self.scope.keep_matching(&self.search.filters, &self.question.filter, &mut firsts).await?;
        let kept: HashSet<i64> = firsts.into_iter().collect();
        remediations.retain(|(first, _)| kept.contains(first));
        Ok(())
    }

    /// What each list says of these. What the index has compared is not compared again.
    async fn candidates(
        &self,
        vector: Option<&(Model, bool, Vec<f32>)>,
        found: Looked,
    ) -> Result<Candidates, SearchError> {
        let Looked { firsts, complete, mut likeness } = found;
        let kinds = self.kinds();
        let unknown: Vec<i64> = firsts.iter().filter(|first| !likeness.contains_key(first)).copied().collect();
        let near = async {
            match vector {
                Some((model, _, vector)) if !unknown.is_empty() => {
                    vectors::likeness(&mut *self.lines.first().await, model, vector, &unknown, kinds).await
                }
                _ => Ok(Vec::new()),
            }
        };
        let words =
            async { search_documents::told(&mut *self.lines.second().await, &self.words.words, kinds, &firsts).await };
        let (near, words) = tokio::try_join!(near, words)?;
        likeness.extend(near.into_iter().map(|likeness| (likeness.first_position, likeness)));
        let scored = firsts
            .into_iter()
            .map(|first_position| Candidate {
                first_position,
                meaning: likeness.get(&first_position).map(|likeness| likeness.mean),
                words: words.get(&first_position).copied(),
            })
            .filter(|candidate| candidate.meaning.is_some() || candidate.words.is_some())
            .collect();
        Ok(Candidates { scored, likeness, complete })
    }

    /// The first of them, each with the document that speaks best of what was asked; and what came of those that are nearly
    /// as good as the best.
    async fn shown(
        &self,
        fused: &[Fused],
        likeness: &HashMap<i64, Likeness>,
    ) -> Result<(Outcomes, Vec<Hit>), SearchError> {
        let least = fused.first().map_or(0.0, |best| best.score) * ALIKE_SHARE;
        let alike = fused.iter().take_while(|fused| fused.score >= least).count();
        let shown = &fused[..fused.len().min(self.question.first)];
        let firsts: Vec<i64> = fused[..alike.max(shown.len())].iter().map(|fused| fused.first_position).collect();
        let nearest: Vec<(i64, Option<(i64, i32)>)> = shown
            .iter()
            .map(|fused| {
                let nearest = likeness.get(&fused.first_position);
                (fused.first_position, nearest.map(|likeness| (likeness.source, likeness.part)))
            })
            .collect();
        let by_words = self.question.mode != Mode::Vector;
        let best = async {
            let db = &mut *self.lines.first().await;
            Ok::<_, SearchError>(search_documents::best(db, &nearest, self.kinds(), self.text, by_words).await?)
        };
        let summaries = async { Ok(pinned::summaries(&self.search.filters, &firsts, None).await?) };
        let (summaries, best) = tokio::try_join!(summaries, best)?;

        let summaries: HashMap<i64, Summary> = summaries.into_iter().collect();
        let alike = fused[..alike].iter().filter_map(|fused| summaries.get(&fused.first_position));
        let outcomes = Outcomes::of(alike);
        let mut best: HashMap<i64, (Found, String)> =
            best.into_iter().map(|(document, snippet)| (document.first_position, (document, snippet))).collect();
        // The projections move one after the other, so one may know a remediation that the other does not.
        let hits = shown.iter().filter_map(|fused| {
            let summary = summaries.get(&fused.first_position)?.clone();
            let (document, snippet) = best.remove(&fused.first_position)?;
            let (score, meaning, words) = (fused.score, fused.meaning, fused.words);
            Some(Hit { summary, score, meaning, words, document, snippet })
        });
        Ok((outcomes, hits.collect()))
    }
}

/// How many remediations that tell the same text are looked at, the latest ones.
const TELLERS_MAX: i64 = 20;

/// How many times as many are found by their words as are looked at closely.
const DEPTH_FACTOR: usize = 4;

/// How near a text is taken to be that was not among the nearest, as a share of the last that was. Were it as near as that,
/// one near text among far ones would promise as much as four that are fairly near. Chosen by measurement, as
/// `Depth` was.
const BEYOND_SHARE: f64 = 0.6;

/// The texts that are told by as many as are looked at, so that others may tell them too.
fn crowded(told: &[Teller]) -> HashSet<Uuid> {
    let mut tellers: HashMap<Uuid, i64> = HashMap::new();
    told.iter().for_each(|teller| *tellers.entry(teller.content).or_default() += 1);
    tellers.into_iter().filter(|(_, count)| *count >= TELLERS_MAX).map(|(content, _)| content).collect()
}

/// What the nearest texts promise of the remediations that tell them: the mean of the nearest ones, as `vectors::likeness`
/// counts, where those that were not found are taken to be less near than any that was.
///
/// Of a remediation with as many documents among the nearest as count, that is how like the question it is, as far as the index has
/// missed nothing; but not where it may tell a crowded text that is as near as one of these.
fn promised(near: Nearest, crowded: &HashSet<Uuid>) -> Listed {
    let beyond = near.least.min(near.least * BEYOND_SHARE);
    let nearer = near.told.iter().filter(|teller| crowded.contains(&teller.content)).map(|teller| teller.cosine);
    let trusted = nearer.fold(f64::MIN, f64::max);
    let mut by_first: HashMap<i64, Vec<(f64, i64, i32)>> = HashMap::new();
    for teller in near.told {
        let documents = by_first.entry(teller.first_position).or_default();
        documents.push((teller.cosine, teller.source, teller.part));
    }
    let (mut remediations, mut likeness) = (Vec::with_capacity(by_first.len()), HashMap::new());
    for (first_position, mut documents) in by_first {
        let Some(found) = Likeness::of(first_position, &mut documents) else { continue };
        let counted = documents.len().min(vectors::NEAREST_COUNTED);
        let missing = vectors::NEAREST_COUNTED - counted;
        let sum = found.mean * counted as f64 + beyond * missing as f64;
        remediations.push((first_position, sum / vectors::NEAREST_COUNTED as f64));
        if missing == 0 && documents[counted - 1].0 > trusted {
            likeness.insert(first_position, found);
        }
    }
    Listed { remediations, beyond, complete: false, likeness }
}

/// The remediations of both lists, those that promise most first: mixed as their exact scores will be.
fn promising(near: Option<&Listed>, telling: &Listed) -> Vec<i64> {
    let meanings: HashMap<i64, f64> = near.into_iter().flat_map(|near| near.remediations.iter().copied()).collect();
    let words: HashMap<i64, f64> = telling.remediations.iter().copied().collect();
    let firsts: HashSet<i64> = meanings.keys().chain(words.keys()).copied().collect();
    let candidate = |first_position: i64| Candidate {
        first_position,
        meaning: near.map(|near| meanings.get(&first_position).copied().unwrap_or(near.beyond)),
        words: words.get(&first_position).copied(),
    };
    let both: Vec<Candidate> = firsts.into_iter().map(candidate).collect();
    fusion::fuse(&both).into_iter().map(|fused| fused.first_position).collect()
}

/// The hits that are nearly as good as the best.
pub fn alike(hits: Vec<Hit>) -> impl Iterator<Item = Hit> {
    let best = hits.first().map_or(0.0, |best| best.score);
    hits.into_iter().take_while(move |hit| hit.score >= best * ALIKE_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts so near, and whose they are, each by its place.
    fn near(cosines: &[f64], told: &[(usize, i64)]) -> Nearest {
        let teller = |(place, first_position): &(usize, i64)| Teller {
            content: text(*place),
            cosine: cosines[*place],
            first_position: *first_position,
            source: *place as i64 + 1,
            part: 0,
        };
        Nearest { texts: cosines.len(), least: cosines[cosines.len() - 1], told: told.iter().map(teller).collect() }
    }

    fn text(place: usize) -> Uuid {
        Uuid::from_u128(place as u128)
    }

    fn listed(remediations: &[(i64, f64)], beyond: f64) -> Listed {
        Listed { remediations: remediations.to_vec(), beyond, complete: false, likeness: HashMap::new() }
    }

    #[test]
    fn many_texts_that_are_near_promise_more_than_one_that_is_nearer() {
        let near = near(&[0.7, 0.6, 0.6, 0.6, 0.5], &[(0, 1), (1, 2), (2, 2), (3, 2), (4, 3)]);
        let promised = promised(near, &HashSet::new());
        let mut best = promised.remediations.clone();
        best.sort_by(|a, b| b.1.total_cmp(&a.1));
        assert_eq!(best.iter().map(|(first, _)| *first).collect::<Vec<_>>(), [2, 1, 3]);
        assert!(best.iter().all(|(_, promise)| *promise > promised.beyond), "{best:?}");
    }

    #[test]
    fn both_lists_together_say_what_is_promising() {
        let near = listed(&[(1, 0.60), (2, 0.58), (3, 0.30)], 0.25);
        let telling = listed(&[(2, 9.0), (4, 10.0), (3, 1.0)], 0.0);
        assert_eq!(promising(Some(&near), &telling), [2, 1, 4, 3]);
        assert_eq!(promising(None, &telling), [4, 2, 3]);
        assert_eq!(promising(Some(&near), &listed(&[], 0.0)), [1, 2, 3]);
    }

    #[test]
    fn what_is_far_promises_no_more_than_it_does() {
        let promised = promised(near(&[-0.2], &[(0, 1)]), &HashSet::new());
        assert!(promised.beyond <= -0.2 && promised.remediations[0].1 <= -0.2, "{}", promised.beyond);
    }

    #[test]
    fn what_the_index_compared_is_known_but_where_a_nearer_text_may_be_missing() {
        let told = [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (0, 2), (1, 2), (2, 2)];
        let near = near(&[0.9, 0.8, 0.7, 0.6, 0.5], &told);
        let known =
            |crowded: &[usize]| promised(near.clone(), &crowded.iter().map(|place| text(*place)).collect()).likeness;
        let nearest = Likeness { first_position: 1, mean: (0.9 + 0.8 + 0.7 + 0.6) / 4.0, source: 1, part: 0 };
        assert_eq!(known(&[]), HashMap::from([(1, nearest.clone())]), "of the other, the fourth may be anywhere");
        assert_eq!(known(&[4]), HashMap::from([(1, nearest)]));
        assert!(known(&[3]).is_empty());
    }
}
