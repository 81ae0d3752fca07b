//! Remediations like another, and what came of them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    HITS_MAX, Search, SearchError, index,
    query::{Hit, Mode, Question, alike},
    scope::Scope,
    vectors::{self, Alike},
};
use crate::{
    audit::{Position, StreamId},
    journal::read,
    projection::{
        Projection, cursor, pinned,
        remediations::{self, Filter},
        search_documents::{self, Found},
    },
    remediation::{model::Summary, outcomes::Outcomes},
};

/// From which similarity on two remediations count as alike. Chosen by measurement: see `docs/search-quality.md`.
const ALIKE_MIN: f64 = 0.65;

/// Most remediations that count as alike.
const ALIKE_MAX: i64 = 200;

/// Most remediations that one is compared with where all are, the latest.
const COMPARED_MAX: i64 = 1_000_000;

/// Longest text shown of a similar remediation, in characters.
const TEXT_CHARS_MAX: usize = 300;

/// How far back the trend looks.
const TREND: TimeDelta = TimeDelta::days(30);

/// What a remediation is compared by: what was seen, and why it happened. What was done and what came of it is the answer.
const COMPARED: [&str; 2] = ["SYMPTOM", "CAUSE"];

/// In what a remediation is like another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// By the meaning of its symptoms and causes.
    Meaning,
    /// By the name of its signal: where there are no vectors.
    Signal,
}

/// A remediation like the one that was asked about.
#[derive(Clone, Debug)]
pub struct Similar {
    pub summary: Summary,
    /// 0 to 1; 1 is the same. `None` where it was found by its signal.
    pub similarity: Option<f64>,
    pub by: Match,
    /// The event whose text is nearest.
    pub event_id: Uuid,
    /// That text, or its beginning.
    pub text: String,
}

/// The remediations like one, the nearest first, and what came of all that are near enough.
#[derive(Clone, Debug)]
pub struct SimilarSet {
    /// At most as many as were asked for.
    pub nearest: Vec<Similar>,
    /// Of all that are near enough, also those beyond `nearest`.
    pub outcomes: Outcomes,
    /// Of those of them that ended in the 30 days before `until`.
    pub recent: Outcomes,
    /// The end of the trend's window.
    pub until: DateTime<Utc>,
    /// Whether there are no more than `nearest`.
    pub exhausted: bool,
    /// The model whose vectors were compared; `None` where there are none.
    pub model: Option<String>,
    /// Whether everything recorded up to `at` is embedded.
    pub complete: bool,
    /// Up to which position of the journal was looked.
    pub at: Position,
}

/// What others are compared with.
#[derive(Clone, Debug)]
pub struct Subject {
    pub first_position: i64,
    /// The name of its signal, where it has one.
    pub signal: Option<String>,
    /// The end of the trend's window: when it ended.
    pub until: DateTime<Utc>,
}

impl Search {
    /// A remediation to compare others with, as it stood at `at`; `None` where nothing is recorded of it by then.
    pub async fn subject(&self, stream: &StreamId, at: Option<Position>) -> Result<Option<Subject>, SearchError> {
        let Some(first) = remediations::first_position(&self.db, stream).await? else { return Ok(None) };
        let found = pinned::summaries(&self.db, &[first], at).await?;
        let Some((first_position, summary)) = found.into_iter().next() else { return Ok(None) };
        let until = match summary.completed_at {
            Some(ended_at) => ended_at,
            None => self.moment(at).await?,
        };
        let signal = summary.signal.as_ref().and_then(|signal| signal.get("name")?.as_str().map(str::to_string));
        Ok(Some(Subject { first_position, signal, until }))
    }

    /// The remediations like another that match a filter.
    ///
    /// With `at` the answer is the same for ever: only what had been recorded by then counts, on both sides, only
    /// remediations that had settled by then, and all of them are compared. Without it the nearest are found by the index.
    pub async fn similar(
        &self,
        subject: &Subject,
        filter: &Filter,
        at: Option<Position>,
        first: usize,
    ) -> Result<SimilarSet, SearchError> {
        let projected = cursor::position(&self.db, Projection::SearchDocuments).await?;
        let up_to = at.unwrap_or(projected);
        let (model, middles) = match index::serving(&self.db).await? {
            Some((model, _)) => {
                let middles = vectors::middles(&self.db, &model, subject.first_position, &COMPARED, up_to).await?;
                (Some(model), middles)
            }
            None => (None, Vec::new()),
        };
        let Some(model) = model.filter(|_| !middles.is_empty()) else {
            return self.same_signal(subject, filter, at, up_to, first).await;
        };
        let mut among = match at {
            Some(_) => {
                let settled = Filter { settled: Some(true), ..filter.clone() };
                pinned::select(&self.filters, &settled, COMPARED_MAX, at).await?
            }
            None => self.near(&model, &middles, filter).await?,
        };
        among.retain(|first| *first != subject.first_position);
        let alike = vectors::alike(&self.filters, &model, &middles, &among, up_to, (ALIKE_MIN, ALIKE_MAX)).await?;
        let complete = index::complete(&self.db, &model, up_to).await?;
        let found = Pinned { at, up_to, until: subject.until, model: Some(model.name), complete };
        self.together(alike, found, first).await
    }

    /// The remediations whose documents are nearest to one of the middles.
    async fn near(
        &self,
        model: &super::embedder::Model,
        middles: &[(String, Vec<f32>)],
        filter: &Filter,
    ) -> Result<Vec<i64>, SearchError> {
        const LIMIT: i64 = 1_000;
        const TELLERS_MAX: i64 = 50;
        let scope = Scope::of_filter(&self.filters, filter).await?;
        if let Some(few) = scope.few() {
            return Ok(few.to_vec());
        }
        let (mut db, mut firsts) = (self.db.acquire().await?, Vec::new());
        vectors::look_at(&mut db, LIMIT).await?;
        for (_, middle) in middles {
            let near = vectors::nearest(&mut db, model, middle, None, (LIMIT, TELLERS_MAX)).await?;
            firsts.extend(near.told.into_iter().map(|teller| teller.first_position));
        }
        drop(db);
        firsts.sort_unstable();
        firsts.dedup();
        scope.keep_matching(&self.filters, filter, &mut firsts).await?;
        Ok(firsts)
    }

    /// Without vectors: the remediations of the same signal, the latest first.
    async fn same_signal(
        &self,
        subject: &Subject,
        filter: &Filter,
        at: Option<Position>,
        up_to: Position,
        first: usize,
    ) -> Result<SimilarSet, SearchError> {
        let mut firsts = match &subject.signal {
            Some(signal) => {
                let settled = at.map(|_| true).or(filter.settled);
                let filter = Filter { signal_name: Some(vec![signal.clone()]), settled, ..filter.clone() };
                pinned::select(&self.filters, &filter, ALIKE_MAX + 1, at).await?
            }
            None => Vec::new(),
        };
        firsts.retain(|first| *first != subject.first_position);
        let summaries = pinned::summaries(&self.db, &firsts, at).await?;
        let shown: Vec<i64> = firsts.iter().take(first).copied().collect();
        let documents = search_documents::first_of(&self.db, &shown, up_to).await?;
        let nearest = summaries.iter().take(first).filter_map(|(place, summary)| {
            let document = documents.iter().find(|document| document.first_position == *place)?;
            Some(similar(summary.clone(), None, document))
        });
        let found = Pinned { at, up_to, until: subject.until, model: None, complete: true };
        Ok(found.set(nearest.collect(), &summaries))
    }

    /// The remediations like what somebody writes: those that a search finds nearly as good as the best.
    pub async fn similar_to_text(&self, text: &str, filter: &Filter, first: usize) -> Result<SimilarSet, SearchError> {
        let question = Question {
            text: text.to_string(),
            filter: filter.clone(),
            kinds: None,
            mode: Mode::Hybrid,
            first: HITS_MAX,
            exact: false,
        };
        let answer = self.ask(&question).await?;
        let up_to = cursor::position(&self.db, Projection::SearchDocuments).await?;
        let alike: Vec<Hit> = alike(answer.hits).collect();
        let summaries: Vec<(i64, Summary)> =
            alike.iter().map(|hit| (hit.document.first_position, hit.summary.clone())).collect();
        let nearest = alike
            .into_iter()
            .take(first)
            .map(|hit| similar(hit.summary, hit.meaning.map(|meaning| meaning.score), &hit.document));
        let complete = match index::serving(&self.db).await? {
            Some((model, _)) => index::complete(&self.db, &model, up_to).await?,
            None => true,
        };
        let found = Pinned { at: None, up_to, until: Utc::now(), model: answer.model, complete };
        Ok(found.set(nearest.collect(), &summaries))
    }

    async fn together(&self, alike: Vec<Alike>, found: Pinned, first: usize) -> Result<SimilarSet, SearchError> {
        let firsts: Vec<i64> = alike.iter().map(|alike| alike.first_position).collect();
        let summaries = pinned::summaries(&self.db, &firsts, found.at).await?;
        let by_first: HashMap<i64, &Summary> = summaries.iter().map(|(first, summary)| (*first, summary)).collect();
        let shown = &alike[..alike.len().min(first)];
        let keys: Vec<(i64, i64, i32)> =
            shown.iter().map(|alike| (alike.first_position, alike.source, alike.part)).collect();
        let documents = search_documents::at(&self.db, &keys).await?;
        let nearest = shown.iter().filter_map(|alike| {
            let summary = by_first.get(&alike.first_position)?;
            let document = documents.iter().find(|document| {
                (document.first_position, document.source, document.part)
                    == (alike.first_position, alike.source, alike.part)
            })?;
            Some(similar((*summary).clone(), Some(alike.similarity), document))
        });
        Ok(found.set(nearest.collect(), &summaries))
    }

    /// When the last entry up to `at` was recorded: what was known then. Now, without `at`.
    pub async fn moment(&self, at: Option<Position>) -> Result<DateTime<Utc>, SearchError> {
        Ok(match at {
            Some(at) => read::recorded_at(&self.db, at).await?.unwrap_or(DateTime::UNIX_EPOCH),
            None => Utc::now(),
        })
    }
}

/// What an answer is pinned to.
struct Pinned {
    at: Option<Position>,
    up_to: Position,
    until: DateTime<Utc>,
    model: Option<String>,
    complete: bool,
}

impl Pinned {
    fn set(self, nearest: Vec<Similar>, alike: &[(i64, Summary)]) -> SimilarSet {
        let all = || alike.iter().map(|(_, summary)| summary);
        let window = (self.until - TREND)..self.until;
        let recent = all().filter(|summary| summary.completed_at.is_some_and(|at| window.contains(&at)));
        SimilarSet {
            outcomes: Outcomes::of(all()),
            recent: Outcomes::of(recent),
            until: self.until,
            exhausted: nearest.len() >= alike.len(),
            model: self.model,
            complete: self.complete,
            at: self.up_to,
            nearest,
        }
    }
}

fn similar(summary: Summary, similarity: Option<f64>, document: &Found) -> Similar {
    let text = match document.text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", document.text[..end].trim_end()),
        None => document.text.clone(),
    };
    let by = if similarity.is_some() { Match::Meaning } else { Match::Signal };
    Similar { summary, similarity, by, event_id: document.event_id, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::search_documents::Facet;

    #[test]
    fn what_is_compared_are_facets() {
        for word in COMPARED {
            assert!(Facet::parse(word).is_some());
        }
    }
}
