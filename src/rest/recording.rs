//! The way of a request's audits into the journal, the same for all endpoints that record.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::{Rest, body::Item, call::Call, fault::Fault, key::Key};
use crate::{
    audit::{Entry, Submission},
    record::{self, Answer, Reason, Rejected},
};

/// What became of one audit: its entry and whether it had been recorded before, or why it was not recorded.
pub type Outcome = Result<(Box<Entry>, bool), Rejected>;

/// Records what is well formed of `items` in one transaction and answers each, in the order given.
pub async fn record(
    rest: &Rest,
    call: &Call,
    headers: &HeaderMap,
    items: Vec<Item>,
    submission: impl Fn(Map<String, Value>) -> Submission,
) -> Result<Vec<Outcome>, Fault> {
    let key = Key::of(headers, &call.caller, rest.app.journal.id())?;
    let mut submissions = Vec::with_capacity(items.len());
    let read: Vec<Option<Rejected>> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| match item {
            Ok(mut fields) => {
                if let Some(key) = &key {
                    key.lend(&mut fields, index);
                }
                let mut submission = submission(fields);
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
    let answered = read.into_iter().map(|refused| match refused {
        Some(rejected) => Err(rejected),
        None => match answers.next().expect("each submission has an answer") {
            Answer::Recorded { entry, duplicate } => Ok((entry, duplicate)),
            Answer::Rejected(rejected) => Err(rejected),
        },
    });
    Ok(answered.collect())
}
