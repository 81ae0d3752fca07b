//! What only administrators see and do: dead letters, listed and tried again.

use std::time::Instant;

use async_graphql::{Context, Enum, ID, Object, SimpleObject, parser::types::Field};
use tracing::error;

use super::{
    Result, app,
    at_once::{AtOnce, beneath},
    caller,
    enums::AuditKind,
    event::AuditEvent,
    paging::{self, List, Listed, Page, Totals, page_wanted},
    scalars::{DateTime, Uuid, Watermark},
};
use crate::{
    administration::{
        self, Act, LetterId, Who,
        dead_letters::{self, Letter, Retried, Sums, What},
    },
    app::App,
    error::ClientError,
};

/// Most dead letters that one mutation tries again.
const RETRIES_MAX: usize = 100;

/// Refuses a caller that is no administrator.
fn administrable(ctx: &Context<'_>) -> Result<()> {
    let caller = caller(ctx);
    if caller.may_admin() {
        return Ok(());
    }
    let name = caller.name.as_deref().unwrap_or("this caller");
    Err(ClientError::forbidden(format!("`{name}` is no administrator; `admin` in the file of callers makes it one")))
}

/// A page of dead letters.
pub async fn all_dead_letters(
    ctx: &Context<'_>,
    first: Option<i32>,
    after: Option<String>,
) -> Result<List<DeadLetterItem>> {
    administrable(ctx)?;
    let page: Page<LetterId> = Page::new(first, after, None, None)?;
    if !page_wanted(ctx) {
        return Ok(List::only_counted(Totals::DeadLetters));
    }
    let letters = dead_letters::page(app(ctx).journal.reader(), page.from.as_ref(), page.reach()).await?;
    Ok(page.list(letters, Totals::DeadLetters, |letter| (letter.id.clone(), DeadLetterItem(letter))))
}

/// A dead letter.
pub struct DeadLetterItem(Letter);

impl AtOnce for DeadLetterItem {
    fn at_once(field: &Field) -> bool {
        field.name.node != "event" || beneath::<AuditEvent>(field)
    }
}

impl Listed for DeadLetterItem {
    const NAME: &'static str = "DeadLetterItem";
}

/// A dead letter: an event that a projection could not take, or a text that a model refuses. The journal holds the event all the
/// same; `explanation` says what is lacking.
#[Object]
impl DeadLetterItem {
    /// Its name, such as `event_index@14`: hand it to `retryDeadLetters`.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The projection that could not take the event; null of a text.
    async fn projection(&self) -> Option<&str> {
        match &self.0.id {
            LetterId::Parked(projection, _) => Some(projection.name()),
            LetterId::Refused { .. } => None,
        }
    }

    /// The model that refuses the text; null of an event.
    async fn model(&self) -> Option<&str> {
        match &self.0.id {
            LetterId::Parked(..) => None,
            LetterId::Refused { model, .. } => Some(model),
        }
    }

    /// The field of the event that tells the text; null of an event.
    async fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The event, or one that tells the text; null where none does any more.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn event(&self) -> Option<AuditEvent> {
        self.0.entry.clone().map(|entry| AuditEvent(entry.into()))
    }

    /// The event's place in the journal, as decimal text; null where no event tells the text any more.
    async fn position(&self) -> Option<String> {
        self.0.entry.as_ref().map(|entry| entry.position.to_string())
    }

    /// The event's own id; null where no event tells the text any more.
    async fn event_id(&self) -> Option<Uuid> {
        self.0.entry.as_ref().map(|entry| Uuid(entry.event.event_id))
    }

    /// The event's kind; null where no event tells the text any more.
    async fn kind(&self) -> Option<AuditKind> {
        self.0.entry.as_ref().map(|entry| entry.event.kind.into())
    }

    /// The event's remediation; null where no event tells the text any more.
    async fn remediation_id(&self) -> Option<&str> {
        self.0.entry.as_ref().map(|entry| entry.event.stream.remediation_id.as_str())
    }

    /// The cluster of that remediation; null where no event tells the text any more.
    async fn cluster_id(&self) -> Option<&str> {
        self.0.entry.as_ref().map(|entry| entry.event.stream.cluster_id.as_str())
    }

    /// Why it was refused last.
    async fn error(&self) -> &str {
        &self.0.error
    }

    /// What is lacking because of it, and what to do, in sentences for people.
    async fn explanation(&self) -> String {
        self.0.explanation()
    }

    /// How often it was tried; of a text, since a retry was asked for last.
    async fn tries(&self) -> i32 {
        self.0.tries
    }

    /// When it was tried last; null of a text that an older version of Binnacle has tried.
    async fn tried_at(&self) -> Option<DateTime> {
        self.0.tried_at.map(DateTime)
    }

    /// When the event was set aside; null of a text.
    async fn parked_at(&self) -> Option<DateTime> {
        self.0.parked_at.map(DateTime)
    }

    /// When a text is tried again by itself; null where that takes a retry.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        self.0.next_attempt_at.map(DateTime)
    }
}

#[derive(Default)]
pub struct Administration;

#[Object]
impl Administration {
    /// Tries dead letters again, and records that in the journal. For administrators. Each has its own result, in the order
    /// given, and one that is given twice has one. What has begun is carried through, also when the caller no longer waits for it.
    #[graphql(complexity = "paging::times(ids.len().min(RETRIES_MAX), child_complexity)")]
    async fn retry_dead_letters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ids, as `allDeadLetters` of the system shows them, 1 to 100.")] ids: Vec<ID>,
    ) -> Result<RetriedDeadLetters> {
        administrable(ctx)?;
        let ids = letter_ids(&ids)?;
        let who = Who { caller: caller(ctx).name.clone(), person: caller(ctx).name.clone() };
        let app_too = app(ctx).clone();
        // On a task of its own: what was mended is to be told in the journal, even if the request ends before that. A server that
        // stops just then may not get to it; its log says so.
        let retrying = tokio::spawn(async move {
            retry(&app_too, ids, &who).await.inspect_err(|failure| {
                error!(reason = failure.message, "a retry of dead letters did not end well: {}", failure.message);
            })
        });
        let (letters, recorded) = retrying.await.map_err(|failure| ClientError::hidden(&failure))??;
        Ok(RetriedDeadLetters {
            letters: letters.into_iter().map(RetriedDeadLetter::from).collect(),
            event_id: recorded.map(|recorded| Uuid(recorded.event_id)),
            watermark: recorded.map(|recorded| Watermark::at(app(ctx).journal.id(), recorded.position)),
        })
    }
}

/// The ids, each once.
fn letter_ids(ids: &[ID]) -> Result<Vec<LetterId>> {
    if ids.is_empty() || ids.len() > RETRIES_MAX {
        let given = ids.len();
        return Err(ClientError::bad_input(format!("`ids` has {given} ids; give 1 to {RETRIES_MAX}")));
    }
    let mut known = Vec::with_capacity(ids.len());
    for id in ids {
        let id: LetterId =
            id.parse().map_err(|wrong: administration::NoLetterId| ClientError::bad_input(wrong.to_string()))?;
        if !known.contains(&id) {
            known.push(id);
        }
    }
    Ok(known)
}

async fn retry(app: &App, ids: Vec<LetterId>, who: &Who) -> Result<(Vec<Retried>, Option<administration::Recorded>)> {
    let begun = Instant::now();
    let mut letters = Vec::with_capacity(ids.len());
    let mut failed = None;
    for id in ids {
        match dead_letters::retry(&app.work, id).await {
            Ok(retried) => letters.push(retried),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let recorded = match Sums::of(&letters).any() {
        false => None,
        true => {
            let act = Act::DeadLettersRetried { letters: letters.clone(), took: begun.elapsed() };
            Some(administration::record(&app.journal, &act, who).await?)
        }
    };
    match failed {
        Some(error) => Err(error.into()),
        None => Ok((letters, recorded)),
    }
}

/// What became of dead letters that were tried again.
#[derive(SimpleObject)]
pub struct RetriedDeadLetters {
    /// Each of them, in the order given.
    letters: Vec<RetriedDeadLetter>,
    /// The event that tells of it in the journal; null where there was nothing to try.
    event_id: Option<Uuid>,
    /// That event's place; null where there was nothing to try.
    watermark: Option<Watermark>,
}

/// What became of a dead letter that was tried again.
#[derive(SimpleObject)]
pub struct RetriedDeadLetter {
    /// Its name, as it was given.
    id: ID,
    /// What became of it.
    outcome: RetryOutcome,
    /// Why it was refused again; null where it was not.
    error: Option<String>,
}

/// What became of a dead letter that was tried again.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
pub enum RetryOutcome {
    /// The projection has the event now.
    Mended,
    /// The projection refused the event again.
    Refused,
    /// The server will try the text again.
    Waiting,
    /// There is no such dead letter, or no more.
    Gone,
}

impl From<Retried> for RetriedDeadLetter {
    fn from(retried: Retried) -> RetriedDeadLetter {
        let (outcome, error) = match retried.what {
            What::Mended => (RetryOutcome::Mended, None),
            What::Refused(error) => (RetryOutcome::Refused, Some(error)),
            What::Waiting => (RetryOutcome::Waiting, None),
            What::Gone => (RetryOutcome::Gone, None),
        };
        RetriedDeadLetter { id: ID(retried.id.to_string()), outcome, error }
    }
}
