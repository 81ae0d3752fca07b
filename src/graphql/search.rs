//! Search by meaning and by words, and the remediations like another.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, SimpleObject};

use super::{
    Result, app,
    enums::AuditKind,
    event::AuditEvent,
    filters::RemediationFilter,
    folds::PageFolds,
    loaders::Loaders,
    outcomes::Outcomes,
    paging,
    query::caught_up,
    readable,
    remediation::{RemediationNode, Source},
    scalars::{DateTime, Watermark},
};
use crate::{
    audit::{Kind, StreamId},
    error::ClientError,
    projection::{Projection, search_documents},
    remediation::model::Summary,
    search::{self, HITS_MAX, Part, Question, similar},
};

/// How many are shown where nobody says.
const SHOWN: i32 = 10;

/// Longest list of similar remediations.
pub const SIMILAR_MAX: i32 = 50;

#[derive(Default)]
pub struct SearchQueries;

#[Object]
impl SearchQueries {
    /// The remediations that speak of what is asked, in your own words: by meaning, by words, or by both. Each comes with the
    /// passage that speaks best of it, and together they say what worked before.
    #[graphql(complexity = "paging::cost(first, None, child_complexity)")]
    #[allow(clippy::too_many_arguments)] // each is a way to ask
    async fn search(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "What to look for, such as `payment pods keep dying after the new release`; up to 2,000 characters."
        )]
        query: String,
        #[graphql(desc = "Among which remediations; among all when left out.")] filter: Option<RemediationFilter>,
        #[graphql(
            desc = "In what audits of these kinds say; in all, the remediations' own summaries included, when left out."
        )]
        kind: Option<Vec<AuditKind>>,
        #[graphql(
            desc = "What to compare; meaning and words together when left out.",
            default_with = "Some(SearchMode::Hybrid)"
        )]
        mode: Option<SearchMode>,
        #[graphql(desc = "How many hits, 1 to 100; 10 when left out.", default_with = "Some(10)")] first: Option<i32>,
        #[graphql(desc = "Wait until the documents have come to this place in the journal, for 5 seconds at most.")]
        at_least: Option<Watermark>,
    ) -> Result<SearchResults> {
        readable(ctx)?;
        let first = bounded(first, HITS_MAX as i32)?;
        caught_up(ctx, Projection::SearchDocuments, at_least).await?;
        caught_up(ctx, Projection::Remediations, at_least).await?;
        let question = Question {
            text: query,
            filter: RemediationFilter::to_projection(filter),
            kinds: kind.map(|kinds| kinds.into_iter().map(|kind| Kind::from(kind).word().to_string()).collect()),
            mode: mode.unwrap_or(SearchMode::Hybrid).into(),
            first,
            exact: false,
        };
        let answer = app(ctx).search.ask(&question).await?;
        let page = Arc::new(page(ctx, answer.hits.iter().map(|hit| &hit.summary)));
        Ok(SearchResults {
            hits: answer.hits.into_iter().map(|hit| SearchHit::new(hit, page.clone())).collect(),
            exhausted: answer.exhausted,
            mode: answer.mode.into(),
            notice: answer.notice,
            model: answer.model,
            totals: Outcomes(answer.outcomes),
        })
    }

    /// Remediations like one, or like what you write, and what came of them: what worked last time.
    #[graphql(complexity = "paging::cost(first, None, child_complexity)")]
    #[allow(clippy::too_many_arguments)] // each is a way to ask
    async fn similar_remediations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Like this remediation, by its name; either this or `text`.")] remediation_id: Option<String>,
        #[graphql(
            desc = "The cluster, such as `eu-prod-1`. May be left out where only one knows the name; else the error names them."
        )]
        cluster_id: Option<String>,
        #[graphql(desc = "Like what you write, in your own words; either this or `remediationId`.")] text: Option<
            String,
        >,
        #[graphql(desc = "Among which remediations; among all when left out.")] filter: Option<RemediationFilter>,
        #[graphql(
            desc = "How many to show, 1 to 50; 10 when left out. `totals` counts all that are alike.",
            default_with = "Some(10)"
        )]
        first: Option<i32>,
        #[graphql(desc = "As of this place in the journal, for ever the same; compares all, so it takes longer.")]
        at: Option<Watermark>,
    ) -> Result<SimilarRemediations> {
        readable(ctx)?;
        let first = bounded(first, SIMILAR_MAX)?;
        let filter = RemediationFilter::to_projection(filter);
        match (remediation_id, text) {
            (Some(remediation_id), None) => {
                if let Some(at) = at {
                    app(ctx).reached(at).await?;
                    caught_up(ctx, Projection::SearchDocuments, Some(at)).await?;
                    caught_up(ctx, Projection::Remediations, Some(at)).await?;
                }
                let stream = app(ctx).stream(remediation_id.clone(), cluster_id).await?;
                let found = match stream {
                    Some(stream) => similar_to(ctx, &stream, &filter, at, first).await?,
                    None => None,
                };
                found.ok_or_else(|| {
                    ClientError::not_found(format!("nothing is recorded of remediation `{remediation_id}`"))
                })
            }
            (None, Some(text)) => {
                if at.is_some() {
                    return Err(ClientError::bad_input(
                        "`at` goes with `remediationId`; a text is compared with what is there now",
                    ));
                }
                let found = app(ctx).search.similar_to_text(&text, &filter, first).await?;
                Ok(SimilarRemediations::new(ctx, found))
            }
            _ => Err(ClientError::bad_input(
                "give either `remediationId` or `text`: what the remediations should be like",
            )),
        }
    }
}

/// The remediations like this one; `None` where nothing is recorded of it.
pub async fn similar_to(
    ctx: &Context<'_>,
    stream: &StreamId,
    filter: &crate::projection::remediations::Filter,
    at: Option<Watermark>,
    first: usize,
) -> Result<Option<SimilarRemediations>> {
    let at = at.map(|watermark| watermark.position);
    let Some(subject) = app(ctx).search.subject(stream, at).await? else { return Ok(None) };
    let found = app(ctx).search.similar(&subject, filter, at, first).await?;
    Ok(Some(SimilarRemediations::new(ctx, found)))
}

/// How many are wanted, if so many may be.
pub fn bounded(first: Option<i32>, most: i32) -> Result<usize> {
    let first = first.unwrap_or(SHOWN);
    match usize::try_from(first) {
        Ok(wanted) if (1..=most).contains(&first) => Ok(wanted),
        _ => Err(ClientError::bad_input(format!("`first` is {first}; it may be 1 to {most}"))),
    }
}

/// The remediations of one answer, folded together when more than their summaries is asked for.
fn page<'a>(ctx: &Context<'_>, summaries: impl Iterator<Item = &'a Summary>) -> PageFolds {
    let streams = summaries.map(|summary| (summary.stream.clone(), summary.last_position)).collect();
    PageFolds::new(app(ctx).journal.reader().clone(), streams)
}

/// What a search compares.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "search::Mode")]
pub enum SearchMode {
    /// Meaning and words together: the best for questions in your own words.
    Hybrid,
    /// Meaning only.
    Vector,
    /// Words only: for names and error strings, and where nothing is embedded.
    Text,
}

/// What a document speaks of.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "search_documents::Facet")]
pub enum Facet {
    /// What was seen: alerts, errors.
    Symptom,
    /// Why it happened.
    Cause,
    /// What was chosen or refused, and why.
    Action,
    /// What came of it.
    Outcome,
    /// The remediation as a whole.
    Remediation,
}

/// What a search has found.
#[derive(SimpleObject)]
pub struct SearchResults {
    /// The remediations that were found, the best first.
    hits: Vec<SearchHit>,
    /// Whether nothing matches beyond `hits`.
    exhausted: bool,
    /// What was compared; words only, where there are no vectors.
    mode: SearchMode,
    /// Why `mode` is not what was asked for; null when it is.
    notice: Option<String>,
    /// The model whose vectors were compared; null where none were.
    model: Option<String>,
    /// What came of the remediations that are nearly as good as the best, hits or not: what worked last time.
    totals: Outcomes,
}

/// A remediation that was found.
pub struct SearchHit {
    hit: search::Hit,
    page: Arc<PageFolds>,
}

impl SearchHit {
    fn new(hit: search::Hit, page: Arc<PageFolds>) -> SearchHit {
        SearchHit { hit, page }
    }
}

/// A remediation that was found, and the passage that speaks best of what was asked.
#[Object]
impl SearchHit {
    /// How good it is, 0 to 1; comparable within one answer only.
    async fn score(&self) -> f64 {
        self.hit.score
    }

    /// How near it is in meaning; null where that was not compared.
    async fn vector(&self) -> Option<SearchPart> {
        self.hit.meaning.map(SearchPart::from)
    }

    /// How well it tells the words; null where it tells none, or they were not compared.
    async fn text(&self) -> Option<SearchPart> {
        self.hit.words.map(SearchPart::from)
    }

    /// What the passage speaks of, such as the cause.
    async fn facet(&self) -> Option<Facet> {
        search_documents::Facet::parse(&self.hit.document.facet).map(Facet::from)
    }

    /// The field that tells it, such as `investigationReport`; `summary` is the remediation's own.
    async fn field(&self) -> &str {
        &self.hit.document.field
    }

    /// The passage that speaks best of what was asked, with the words that were asked for between `[[` and `]]`.
    async fn snippet(&self) -> &str {
        &self.hit.snippet
    }

    /// The event that tells the passage.
    async fn event(&self, ctx: &Context<'_>) -> Result<AuditEvent> {
        told_by(ctx, self.hit.document.event_id).await
    }

    /// The remediation that was found.
    async fn remediation(&self) -> RemediationNode {
        RemediationNode { summary: Arc::new(self.hit.summary.clone()), source: Source::Page(self.page.clone()) }
    }
}

/// What one of the two lists says of a hit.
#[derive(SimpleObject)]
pub struct SearchPart {
    /// As the list counts: the cosine for meaning; for words the sum of their weights.
    score: f64,
    /// Its place in the list, from 1.
    rank: i32,
}

impl From<Part> for SearchPart {
    fn from(part: Part) -> SearchPart {
        SearchPart { score: part.score, rank: i32::try_from(part.rank).unwrap_or(i32::MAX) }
    }
}

/// Remediations like one, and what came of them.
#[derive(SimpleObject)]
pub struct SimilarRemediations {
    /// The remediations that are most alike, the nearest first.
    nearest: Vec<SimilarRemediation>,
    /// Whether no others than `nearest` are alike.
    exhausted: bool,
    /// What came of all that are alike, also beyond those shown.
    totals: Outcomes,
    /// What came of those of them that ended in the 30 days before `until`.
    recent: Outcomes,
    /// The end of the 30 days that `recent` counts.
    until: DateTime,
    /// The model whose vectors were compared; null where they are alike by their signal only.
    model: Option<String>,
    /// Whether everything that should be compared is embedded.
    complete: bool,
}

impl SimilarRemediations {
    fn new(ctx: &Context<'_>, found: similar::SimilarSet) -> SimilarRemediations {
        let page = Arc::new(page(ctx, found.nearest.iter().map(|similar| &similar.summary)));
        let nearest =
            found.nearest.into_iter().map(|similar| SimilarRemediation { similar, page: page.clone() }).collect();
        SimilarRemediations {
            nearest,
            exhausted: found.exhausted,
            totals: Outcomes(found.outcomes),
            recent: Outcomes(found.recent),
            until: found.until.into(),
            model: found.model,
            complete: found.complete,
        }
    }
}

/// A remediation like the one that was asked about.
pub struct SimilarRemediation {
    similar: similar::Similar,
    page: Arc<PageFolds>,
}

/// A remediation like the one that was asked about.
#[Object]
impl SimilarRemediation {
    /// How alike they are, 0 to 1; null where only their signal is the same.
    async fn similarity(&self) -> Option<f64> {
        self.similar.similarity
    }

    /// What makes them alike: the text that is nearest, or its beginning.
    async fn text(&self) -> &str {
        &self.similar.text
    }

    /// The event that tells this text.
    async fn event(&self, ctx: &Context<'_>) -> Result<AuditEvent> {
        told_by(ctx, self.similar.event_id).await
    }

    /// The remediation that is alike.
    async fn remediation(&self) -> RemediationNode {
        RemediationNode { summary: Arc::new(self.similar.summary.clone()), source: Source::Page(self.page.clone()) }
    }
}

/// The event of a document, read together with those of the others.
async fn told_by(ctx: &Context<'_>, event_id: uuid::Uuid) -> Result<AuditEvent> {
    let entry = ctx.data_unchecked::<Loaders>().entries().load_one(event_id).await?;
    let missing =
        || ClientError::hidden(&std::io::Error::other(format!("event {event_id} has a document and is not there")));
    entry.map(AuditEvent).ok_or_else(missing)
}
