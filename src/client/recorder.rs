//! What a controller records with: it checks an audit, keeps it on disk, and answers.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use uuid::Uuid;

use super::{
    Condition, DeliveryStatus, Endpoint, EndpointError, TokenFile, backoff,
    delivery::Delivery,
    sender::{self, Sender},
    spool::{self, AppendError, Spool, dead},
    upstream::Told,
};
use crate::audit::{Context, Form, Kind, Problem, Submission};

/// The cluster that checks are made with where none is named: the server's own is not known here.
const UNNAMED_CLUSTER: &str = "default";

/// The longest that a disk which hangs may hold up the end.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How a `Recorder` keeps and brings audits.
pub struct Settings {
    /// The folder of the spool: one process's own, on a disk that outlives the process.
    pub folder: PathBuf,
    /// The servers, at least one: the next is tried when one fails.
    pub endpoints: Vec<Endpoint>,
    pub token: TokenFile,
    /// The cluster of audits that name none; without it, the server's.
    pub cluster_id: Option<String>,
    pub mode: Mode,
    /// The longest pause between tries, by chance and while a breaker is open; a server may ask for more by `Retry-After`.
    pub pause_max: Duration,
    pub spool: spool::Settings,
    pub observer: Box<dyn Observer>,
}

impl Settings {
    pub fn new<'a>(
        folder: impl Into<PathBuf>,
        endpoints: impl IntoIterator<Item = &'a str>,
    ) -> Result<Settings, EndpointError> {
        Ok(Settings {
            folder: folder.into(),
            endpoints: endpoints.into_iter().map(Endpoint::parse).collect::<Result<_, _>>()?,
            token: TokenFile::default(),
            cluster_id: None,
            mode: Mode::Durable,
            pause_max: backoff::PAUSE_MAX,
            spool: spool::Settings::default(),
            observer: Box::new(Unobserved),
        })
    }
}

/// When `record` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Once the audit is on this machine's disk.
    #[default]
    Durable,
    /// Once its position in the journal is known; after `patience` it answers as `Durable` does, without one it waits on.
    WriteThrough { patience: Option<Duration> },
}

/// What became of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on this machine's disk and will be recorded; its id finds it then.
    Kept { event_id: Uuid },
    /// It is recorded.
    Recorded {
        event_id: Uuid,
        /// The place in the whole journal, from 1.
        position: i64,
        duplicate: bool,
    },
}

impl Outcome {
    pub fn event_id(&self) -> Uuid {
        match self {
            Outcome::Kept { event_id } | Outcome::Recorded { event_id, .. } => *event_id,
        }
    }
}

/// Why an audit was not kept, or not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the audit is not well formed: {}", told(.0))]
    Invalid(Vec<Problem>),
    /// The audit may or may not be on disk. To record it again is safe with this id as its `eventId`.
    #[error("the audit is not kept")]
    NotKept { event_id: Uuid, source: AppendError },
    /// It is kept among the dead letters.
    #[error("the server refuses the audit ({reason}): {message}")]
    Refused { reason: String, message: String },
    #[error("the audit cannot be written as JSON")]
    NotJson(#[from] serde_json::Error),
    #[error("an audit has to be an object of fields")]
    NoObject,
    #[error("this recorder is closed; the audit is kept and recorded once another opens the folder")]
    Closed,
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Spool(#[from] spool::OpenError),
    #[error("no server is named")]
    NoEndpoint,
}

/// Hears what happens, for metrics. Called between requests: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// An audit is on disk.
    fn kept(&self, _took: Duration) {}
    /// An audit was not kept: not well formed, or the spool is full or fails.
    fn not_kept(&self) {}
    /// The server has answered: so many are recorded, of which it had some already.
    fn recorded(&self, _count: u64, _duplicates: u64) {}
    /// So many were refused for good, and are dead letters now.
    fn refused(&self, _count: u64) {}
    /// A request was not answered.
    fn troubled(&self, _condition: Condition) {}
}

/// Hears nothing.
pub struct Unobserved;

impl Observer for Unobserved {}

/// How the spool and delivery stand.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub spool: spool::Status,
    pub delivery: DeliveryStatus,
}

/// What was left when a recorder closed: it stays on disk, for who opens the folder next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub waiting: u64,
}

/// Keeps audits on disk and brings them to a server. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    spool: Spool,
    folder: PathBuf,
    cluster_id: Option<String>,
    mode: Mode,
    delivery: Arc<Delivery>,
    closed: AtomicBool,
    replaying: tokio::sync::Mutex<()>,
    stop: watch::Sender<bool>,
    sender: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Opens the spool, mends what a crash has left of it, and starts to send what waits.
    pub async fn open(settings: Settings) -> Result<Recorder, OpenError> {
        if settings.endpoints.is_empty() {
            return Err(OpenError::NoEndpoint);
        }
        let (folder, bounds) = (settings.folder.clone(), settings.spool);
        let opened = spawn_blocking(move || Spool::open(&folder, bounds)).await;
        let spool = opened.expect("opening a spool does not panic")?;
        let delivery = Arc::new(Delivery::new(settings.observer));
        let (stop, stopped) = watch::channel(false);
        let parts = sender::Parts {
            spool: spool.clone(),
            endpoints: settings.endpoints,
            token: settings.token,
            pause_max: settings.pause_max,
            delivery: delivery.clone(),
        };
        let sender = Mutex::new(Some(tokio::spawn(keep_sending(parts, stopped))));
        let (folder, cluster_id, mode) = (settings.folder, settings.cluster_id, settings.mode);
        let closed = AtomicBool::new(false);
        let replaying = tokio::sync::Mutex::default();
        Ok(Recorder(Arc::new(Inner { spool, folder, cluster_id, mode, delivery, closed, replaying, stop, sender })))
    }

    /// Records an audit in the fields of its GraphQL input, such as a struct that serializes in camelCase. One that has no
    /// `eventId` gets one, a UUIDv7.
    pub async fn record(&self, kind: Kind, fields: &impl Serialize) -> Result<Outcome, RecordError> {
        let Value::Object(fields) = serde_json::to_value(fields)? else { return Err(RecordError::NoObject) };
        self.submit(Submission::of_fields(kind, fields)).await
    }

    /// Records a submission of any form, and answers as the mode says.
    pub async fn submit(&self, submission: Submission) -> Result<Outcome, RecordError> {
        let refused = |problems| {
            self.0.delivery.observer().not_kept();
            RecordError::Invalid(problems)
        };
        let ready = self.prepare(submission).map_err(refused)?;
        let event_id = ready.event_id;
        let not_kept = |source| RecordError::NotKept { event_id, source };
        match self.0.mode {
            Mode::Durable => self.keep(vec![ready]).await.map_err(not_kept).map(|()| Outcome::Kept { event_id }),
            Mode::WriteThrough { patience } => {
                let behind = *self.0.spool.durable().borrow();
                let told = self.0.delivery.wait_for(event_id, behind);
                let _waiting = Waiting { delivery: &self.0.delivery, event_id };
                self.keep(vec![ready]).await.map_err(not_kept)?;
                outcome(event_id, told, patience).await
            }
        }
    }

    /// Gives a submission its id and checks it; what comes back is ready to be kept.
    pub fn prepare(&self, mut submission: Submission) -> Result<Ready, Vec<Problem>> {
        let fresh_id = Uuid::now_v7();
        let (ids, clusters) = names(submission.form);
        lend(&mut submission.fields, ids, &fresh_id.to_string());
        if let Some(own) = &self.0.cluster_id {
            lend(&mut submission.fields, clusters, own);
        }
        let context =
            Context { cluster_id: self.0.cluster_id.as_deref().unwrap_or(UNNAMED_CLUSTER), now: Utc::now(), fresh_id };
        let event = submission.clone().check(context)?;
        // A UUID has many spellings, and its field two; the server is told it once, and in one.
        ids.iter().for_each(|name| _ = submission.fields.remove(*name));
        let kept = Kept {
            event_id: event.event_id,
            form: submission.form.word(),
            kind: submission.kind.word(),
            audit: &submission.fields,
        };
        let item = serde_json::to_vec(&kept).expect("names and JSON values are JSON");
        Ok(Ready { event_id: event.event_id, item })
    }

    /// Keeps what is ready, all or nothing; the sender brings it in this order.
    pub async fn keep(&self, ready: Vec<Ready>) -> Result<(), AppendError> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(AppendError::Closed);
        }
        let begun = Instant::now();
        let items: Vec<Vec<u8>> = ready.into_iter().map(|ready| ready.item).collect();
        let count = items.len();
        match self.0.spool.append_all(items).await {
            Ok(_) => {
                (0..count).for_each(|_| self.0.delivery.observer().kept(begun.elapsed()));
                Ok(())
            }
            Err(error) => {
                (0..count).for_each(|_| self.0.delivery.observer().not_kept());
                Err(error)
            }
        }
    }

    /// Names the spool for as long as its folder is there.
    pub fn spool_id(&self) -> Uuid {
        self.0.spool.id()
    }

    pub fn status(&self) -> Status {
        Status { spool: self.0.spool.status(), delivery: self.0.delivery.status() }
    }

    /// Waits until all that is kept by now is settled: recorded, or a dead letter.
    pub async fn flush(&self) {
        let goal = *self.0.spool.durable().borrow();
        self.0.delivery.settled_to(goal, || self.0.spool.settled()).await;
    }

    /// Keeps a dead letter again, at the end of the spool, and puts the letter to those replayed. Its name is that of its file.
    pub async fn replay(&self, name: &str) -> Result<(), ReplayError> {
        let _one_at_a_time = self.0.replaying.lock().await; // or a letter would be kept again by each who asks
        let (folder, wanted) = (self.0.folder.clone(), name.to_string());
        let letter = spawn_blocking(move || dead::get(&folder, &wanted)).await.expect("reading does not panic")?;
        self.0.spool.append(letter.bytes).await?;
        self.0.spool.replayed(name).await?;
        Ok(())
    }

    /// Takes no more audits, brings what waits for as long as `within`, and lets go of the folder. What is left stays on disk; who
    /// still waits for a position is told that the recorder is closed.
    pub async fn close(&self, within: Duration) -> Left {
        let spool = &self.0.spool;
        self.0.closed.store(true, Ordering::Relaxed);
        let _ = timeout(within, self.flush()).await;
        self.0.stop.send_replace(true);
        let sender = self.0.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            let _ = sender.await; // it ends at once
        }
        self.0.delivery.close();
        let waiting = spool.status().waiting;
        match timeout(CLOSE_WAIT, spool.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = %error, "the spool did not close well: {error}"),
            Err(_) => tracing::error!("the spool's disk does not answer; the spool is left as it is"),
        }
        Left { waiting }
    }

    /// Closes the recorder on SIGTERM, and answers what was left. For processes that listen for no signals of their own.
    #[cfg(unix)]
    pub async fn drain_on_sigterm(&self, within: Duration) -> std::io::Result<Left> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate())?.recv().await;
        Ok(self.close(within).await)
    }
}

/// A sender that panics is a bug, and no reason to let audits wait for the process's end.
async fn keep_sending(parts: sender::Parts, stopped: watch::Receiver<bool>) {
    while let Err(panic) = tokio::spawn(Sender::new(parts.clone(), stopped.clone()).run()).await {
        if panic.is_cancelled() {
            return;
        }
        tracing::error!(error = %panic, "the sender of audits panicked and begins anew");
        tokio::time::sleep(parts.pause_max).await;
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Letter(#[from] spool::DeadError),
    #[error("the dead letter could not be kept again")]
    NotKept(#[from] AppendError),
}

/// A submission that was checked.
pub struct Ready {
    pub event_id: Uuid,
    item: Vec<u8>,
}

/// An audit in the spool: an item of `POST /api/v1/audits`.
#[derive(Serialize)]
struct Kept<'a> {
    event_id: Uuid,
    form: &'static str,
    kind: &'static str,
    audit: &'a Map<String, Value>,
}

/// How a form spells an audit's id and its cluster; its own spelling first.
fn names(form: Form) -> (&'static [&'static str], &'static [&'static str]) {
    match form {
        Form::Fields => (&["eventId"], &["clusterId"]),
        Form::Columns => (&["event_id", "eventId"], &["cluster_id", "clusterId"]),
        Form::Kubernaut => (&["event_id"], &["cluster_id"]),
    }
}

/// Gives `fields` a text under the first of `names`, unless one of them has one.
fn lend(fields: &mut Map<String, Value>, names: &[&str], text: &str) {
    let empty = |value: &Value| value.is_null() || *value == "";
    if names.iter().any(|name| fields.get(*name).is_some_and(|value| !empty(value))) {
        return;
    }
    names.iter().for_each(|name| _ = fields.remove(*name));
    fields.insert(names[0].to_string(), text.into());
}

/// Somebody who waits to be told of an audit. Dropped, nobody does.
struct Waiting<'a> {
    delivery: &'a Delivery,
    event_id: Uuid,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.delivery.forget(self.event_id);
    }
}

/// What a server has told of an audit that is kept.
async fn outcome(
    event_id: Uuid,
    mut told: oneshot::Receiver<Told>,
    patience: Option<Duration>,
) -> Result<Outcome, RecordError> {
    let told = match patience {
        Some(patience) => match timeout(patience, &mut told).await {
            Ok(told) => told,
            Err(_) => return Ok(Outcome::Kept { event_id }),
        },
        None => told.await,
    };
    match told {
        Ok(Told::Recorded { position, duplicate }) => Ok(Outcome::Recorded { event_id, position, duplicate }),
        Ok(Told::Refused { reason, message }) => Err(RecordError::Refused { reason, message }),
        Err(_) => Err(RecordError::Closed),
    }
}
