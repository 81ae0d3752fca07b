//! The way in, shared by both faces: the caller's rights, the checks, the journal, and an answer for each audit.

use std::collections::HashMap;

use uuid::Uuid;

use crate::{
    app::App,
    audit::{
        Context, Entry, Event, Form, Position, Problem, Submission,
        canonical::Digest,
        event::{SealedWords, differences},
        limits::{BATCH_BYTES_MAX, BATCH_MAX},
    },
    caller::Caller,
    clock,
    error::{ClientError, Failure},
    journal::{Appended, Place, Receipt},
    telemetry::AppendOutcome,
};

/// The `traceparent` of the request that brings an audit: an audit that names no trace of its own belongs to it.
#[derive(Clone, Debug)]
pub struct Traceparent(pub String);

impl Traceparent {
    /// Gives the trace to a submission that has none.
    pub fn lend(&self, submission: &mut Submission) {
        submission.fields.entry("traceparent").or_insert_with(|| self.0.as_str().into());
    }
}

/// What became of one audit.
#[derive(Clone, Debug)]
pub enum Answer {
    Recorded { entry: Box<Entry>, duplicate: bool },
    Rejected(Rejected),
}

/// Why an audit was not recorded: the caller's own mistake, never the server's state.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub reason: Reason,
    pub problems: Vec<Problem>,
    /// In a conflict, what was recorded under the id before.
    pub existing: Option<Box<Entry>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The audit is not well formed.
    Invalid,
    /// Its id was recorded before with other content.
    Conflict,
    /// The caller may not record this kind.
    NotAllowed,
}

/// Records `submissions` in one transaction and answers each, in the order given. Those that cannot be recorded harm no
/// other; when the journal cannot be reached, none is acknowledged.
pub async fn record(app: &App, caller: &Caller, submissions: Vec<Submission>) -> Result<Vec<Answer>, ClientError> {
    if submissions.len() > BATCH_MAX {
        let given = submissions.len();
        let message = format!("the batch has {given} audits, at most {BATCH_MAX} are allowed");
        return Err(ClientError::new(Failure::TooLarge, message));
    }
    // Before the checks, which cost the most: what cannot be appended now need not be looked at.
    app.journal.admit(submissions.len()).inspect_err(|_| {
        submissions.iter().for_each(|submission| app.metrics.appended(submission.kind, AppendOutcome::Unavailable));
    })?;
    let now = clock::now();
    let kinds: Vec<_> = submissions.iter().map(|submission| submission.kind).collect();
    let forms: Vec<_> = submissions.iter().map(|submission| submission.form).collect();
    let mut events = Vec::with_capacity(submissions.len());
    let checked: Vec<Result<(), Rejected>> = submissions
        .into_iter()
        .map(|submission| {
            if !caller.may_record(submission.kind) {
                return Err(not_allowed(caller, &submission));
            }
            let context = Context { cluster_id: &app.faces.cluster_id, now, fresh_id: Uuid::now_v7() };
            let event = submission.check(context);
            let invalid = |problems| Rejected { reason: Reason::Invalid, problems, existing: None };
            event.map(|event| events.push(event)).map_err(invalid)
        })
        .collect();

    let bytes: usize = events.iter().map(|event| event.payload.text().len()).sum();
    if bytes > BATCH_BYTES_MAX {
        let message = format!("the batch has {bytes} bytes, at most {BATCH_BYTES_MAX} are allowed");
        return Err(ClientError::new(Failure::TooLarge, message));
    }
    let appended = app.journal.append(events, caller.name.as_deref()).await.inspect_err(|_| {
        for (kind, _) in kinds.iter().zip(&checked).filter(|(_, checked)| checked.is_ok()) {
            app.metrics.appended(*kind, AppendOutcome::Unavailable);
        }
    })?;
    let answers = answers(app, caller, checked.into_iter().zip(forms), appended).await?;
    for (kind, answer) in kinds.into_iter().zip(&answers) {
        app.metrics.appended(kind, outcome(answer));
    }
    Ok(answers)
}

fn not_allowed(caller: &Caller, submission: &Submission) -> Rejected {
    let name = caller.name.as_deref().unwrap_or("this caller");
    let message = format!("`{name}` may not record audits of kind {}", submission.kind.word());
    let problems = vec![Problem { path: vec![], code: "NOT_ALLOWED", message }];
    Rejected { reason: Reason::NotAllowed, problems, existing: None }
}

fn outcome(answer: &Answer) -> AppendOutcome {
    match answer {
        Answer::Recorded { duplicate: false, .. } => AppendOutcome::Recorded,
        Answer::Recorded { duplicate: true, .. } => AppendOutcome::Duplicate,
        Answer::Rejected(rejected) => match rejected.reason {
            Reason::Invalid => AppendOutcome::Invalid,
            Reason::Conflict => AppendOutcome::Conflict,
            Reason::NotAllowed => AppendOutcome::NotAllowed,
        },
    }
}

/// Puts receipts and refusals back into the order given. What was recorded before is read from the journal, for it may
/// have been recorded by somebody else.
async fn answers(
    app: &App,
    caller: &Caller,
    checked: impl Iterator<Item = (Result<(), Rejected>, Form)>,
    appended: Appended,
) -> Result<Vec<Answer>, ClientError> {
    let Appended { events, digests, receipts } = appended;
    let repeated: Vec<Uuid> = events
        .iter()
        .zip(&receipts)
        .filter(|(_, receipt)| !matches!(receipt, Receipt::Recorded(_)))
        .map(|(event, _)| event.event_id)
        .collect();
    let recorded: HashMap<Uuid, Entry> = match repeated.is_empty() {
        true => HashMap::new(),
        false => {
            let entries = app.journal.recorded(&repeated).await?;
            entries.into_iter().map(|entry| (entry.event.event_id, entry)).collect()
        }
    };

    let mut appended = events.into_iter().zip(digests).zip(receipts);
    Ok(checked
        .filter_map(|(checked, form)| match checked {
            Err(rejected) => Some(Answer::Rejected(rejected)),
            Ok(()) => {
                let ((event, digest), receipt) = appended.next()?;
                let known = recorded.get(&event.event_id).cloned();
                Some(answer(caller, event, digest, form, receipt, known))
            }
        })
        .collect())
}

fn answer(caller: &Caller, event: Event, digest: Digest, form: Form, receipt: Receipt, known: Option<Entry>) -> Answer {
    match (receipt, known) {
        (Receipt::Conflict(place), Some(existing)) => {
            let paths = differences(&event, &existing.event);
            // Told with a default spelled out and told without it, an audit is the same one.
            if paths.is_empty() && digest[..] == existing.digest[..] {
                return Answer::Recorded { entry: Box::new(existing), duplicate: true };
            }
            // What somebody else has recorded is not shown, nor guessed at, by who may not read.
            if !caller.may_read() && existing.recorded_by != caller.name {
                return Answer::Rejected(conflict(&event, form, None, &[], None));
            }
            Answer::Rejected(conflict(&event, form, Some(place.position), &paths, Some(Box::new(existing))))
        }
        (Receipt::Conflict(_), None) => Answer::Rejected(conflict(&event, form, None, &[], None)),
        (Receipt::Duplicate(_), Some(existing)) => Answer::Recorded { entry: Box::new(existing), duplicate: true },
        (Receipt::Duplicate(place), None) => {
            Answer::Recorded { entry: sealed(caller, event, digest, place), duplicate: true }
        }
        (Receipt::Recorded(place), _) => {
            Answer::Recorded { entry: sealed(caller, event, digest, place), duplicate: false }
        }
    }
}

fn sealed(caller: &Caller, event: Event, digest: Digest, place: Place) -> Box<Entry> {
    Box::new(Entry {
        position: place.position,
        version: place.version,
        recorded_at: place.recorded_at,
        recorded_by: caller.name.clone(),
        words: SealedWords::of(&event),
        digest: digest.to_vec(),
        event,
    })
}

fn conflict(
    event: &Event,
    form: Form,
    position: Option<Position>,
    paths: &[String],
    existing: Option<Box<Entry>>,
) -> Rejected {
    let paths: Vec<Vec<String>> = paths.iter().map(|path| form.spelled(event.kind, path)).collect();
    let told = |path: &[String]| format!("`{}`", path.join("."));
    let differing = match paths.as_slice() {
        [] => "other content".to_string(),
        paths => format!("another {}", paths.iter().map(|path| told(path)).collect::<Vec<_>>().join(", ")),
    };
    let id = form.spelled(event.kind, "eventId");
    let place = position.map(|position| format!(" at position {position}")).unwrap_or_default();
    let message = format!("{} {} was recorded{place} with {differing}", id.join("."), event.event_id);
    let mut problems = vec![Problem { path: id, code: "CONFLICT", message }];
    problems.extend(paths.into_iter().map(|path| {
        let message = format!("{} differs from what was recorded", told(&path));
        Problem { path, code: "DIFFERS", message }
    }));
    Rejected { reason: Reason::Conflict, problems, existing }
}
