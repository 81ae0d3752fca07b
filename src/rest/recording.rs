//! The way of a request's audits into the journal, the same for all endpoints that record.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::{Rest, body::Item, call::Call, fault::Fault, key::Ids};
use crate::{
    audit::{Entry, Form, Kind, Problem, Submission},
    record::{self, Answer, Reason, Rejected},
};

/// What became of one audit: its entry and whether it had been recorded before, or why it was not recorded.
pub type Outcome = Result<(Box<Entry>, bool), Rejected>;

/// A submission as it was read, or what is wrong with its JSON.
pub type Read = Result<Submission, Vec<Problem>>;

/// Records what is well formed of `items`, all of one form, in one transaction and answers each, in the order given. `kind` is
/// that of audits in columns; an event in Kubernaut's envelope tells its own.
pub async fn record(
    rest: &Rest,
    call: &Call,
    headers: &HeaderMap,
    items: Vec<Item>,
    kind: Option<Kind>,
) -> Result<Vec<Outcome>, Fault> {
    let form = if kind.is_some() { Form::Columns } else { Form::Kubernaut };
    let mut ids = Ids::of(headers, &call.path, call.caller.name.as_deref(), form, rest.app.journal.id())?;
    let mut lent = Vec::with_capacity(items.len());
    let read: Vec<Read> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let item = item.map(|mut fields| {
                lent.push(ids.lend(&mut fields, index));
                submission(kind, fields)
            });
            lent.resize(index + 1, false); // what could not be read has no id
            item
        })
        .collect();
    let outcomes = record_read(rest, call, read).await?.into_iter().zip(lent);
    let outcomes =
        outcomes.map(|(outcome, lent)| outcome.map_err(|rejected| named(rejected, ids.key().filter(|_| lent))));
    Ok(outcomes.collect())
}

/// Records the submissions of a request in one transaction and answers each, in the order given.
pub async fn record_read(rest: &Rest, call: &Call, read: Vec<Read>) -> Result<Vec<Outcome>, Fault> {
    let mut submissions = Vec::with_capacity(read.len());
    let refused: Vec<Option<Rejected>> = read
        .into_iter()
        .map(|read| match read {
            Ok(mut submission) => {
                if let Some(trace) = &call.traceparent {
                    trace.lend(&mut submission);
                }
                submissions.push(submission);
                None
            }
            Err(problems) => Some(Rejected { reason: Reason::Invalid, problems, existing: None }),
        })
        .collect();
    let mut answers = record::record(&rest.app, &call.caller, submissions).await?.into_iter();
    let answered = refused.into_iter().map(|refused| match refused {
        Some(rejected) => Err(rejected),
        None => match answers.next().expect("each submission has an answer") {
            Answer::Recorded { entry, duplicate } => Ok((entry, duplicate)),
            Answer::Rejected(rejected) => Err(rejected),
        },
    });
    Ok(answered.collect())
}

/// An audit in columns of a kind, or an event in Kubernaut's envelope.
pub fn submission(kind: Option<Kind>, fields: Map<String, Value>) -> Submission {
    match kind {
        Some(kind) => Submission::of_columns(kind, fields),
        None => Submission::of_kubernaut(fields),
    }
}

/// A conflict of an id that was made of a key is one of the key: the client knows of no id.
fn named(mut rejected: Rejected, key: Option<&str>) -> Rejected {
    if let (Reason::Conflict, Some(key)) = (rejected.reason, key)
        && let Some(conflict) = rejected.problems.first_mut()
    {
        conflict.message = format!("`Idempotency-Key` `{key}` has named another request: {}", conflict.message);
    }
    rejected
}
