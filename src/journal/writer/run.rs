//! The writer's loop: gather a batch, append it, answer everybody; and while the database is away, refuse and probe.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::sleep,
};
use tracing::{error, info, warn};

use super::{
    Request, Settings, Unavailable, WAITED_MAX,
    breaker::{Away, Breaker, Pauses},
    link::{Fault, Link},
    pressure::Pressure,
    trouble::Trouble,
};
use crate::{
    audit::limits,
    fail_points,
    journal::{Appended, Receipt},
    telemetry::{Metrics, Refusal},
    worker::Wake,
};

/// How long to wait before a batch is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a batch of which surely nothing is stored is tried again: a database that is started again is worth the wait,
/// and who is told soon can send it elsewhere.
const RIDE_OVER: Duration = Duration::from_secs(2);

/// The longest that a probe may take: long enough to open a connection and to wait for the head, since who waits for a lock
/// knows first that it is free.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Writer {
    pub link: Link,
    pub queue: mpsc::UnboundedReceiver<Request>,
    pub closed: watch::Receiver<bool>,
    /// What was taken from the queue and did not fit the batch.
    pub held: VecDeque<Request>,
    pub room: Arc<Semaphore>,
    pub breaker: Breaker,
    pub pauses: Pauses,
    pub pressure: Arc<Pressure>,
    /// Called when something was appended.
    pub appended: Wake,
    /// The last position of what was.
    pub last: Arc<AtomicI64>,
    pub settings: Settings,
    pub metrics: Metrics,
}

impl Writer {
    pub async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            if let Err(trouble) = self.write(batch).await {
                self.stay_away(trouble).await;
            }
            self.metrics.append_queue(self.waiting());
        }
        self.link.close().await;
    }

    /// Whatever waits, up to one batch; waits for the first. `None` when the journal is closed and all is answered.
    async fn gather(&mut self) -> Option<Vec<Request>> {
        let first = loop {
            let request = match self.held.pop_front() {
                Some(request) => request,
                None => tokio::select! {
                    biased;
                    request = self.queue.recv() => request?,
                    _ = async { self.closed.wait_for(|closed| *closed).await.map(drop) } => {
                        self.queue.close();
                        self.queue.recv().await?
                    }
                },
            };
            if let Some(request) = self.in_time(request) {
                break request;
            }
        };
        let (mut events, mut bytes) = (first.events.len(), first.bytes);
        let mut batch = vec![first];
        while let Some(next) = self.held.pop_front().or_else(|| self.queue.try_recv().ok()) {
            let Some(next) = self.in_time(next) else { continue };
            // Made history has times of its own, so it shares a batch with nothing else.
            let history = batch[0].sealed_ats.is_some() || next.sealed_ats.is_some();
            let full = events + next.events.len() > limits::BATCH_MAX || bytes + next.bytes > limits::BATCH_BYTES_MAX;
            if history || full {
                self.held.push_front(next);
                break;
            }
            events += next.events.len();
            bytes += next.bytes;
            batch.push(next);
        }
        Some(batch)
    }

    /// The request, unless it has waited for too long: then it is refused, while surely nothing of it is recorded.
    fn in_time(&self, request: Request) -> Option<Request> {
        if request.since.elapsed() < WAITED_MAX {
            return Some(request);
        }
        self.metrics.append_refused(Refusal::QueueFull);
        let (waiting, retry_after) = (self.waiting(), self.settings.wait_max);
        let _ = request.answer.send(Err(Unavailable::QueueFull { waiting, retry_after })); // or nobody waits
        None
    }

    /// Appends the batch and answers it. An error is trouble that any other batch would have too.
    async fn write(&mut self, batch: Vec<Request>) -> Result<(), Trouble> {
        let until = tokio::time::Instant::now() + self.settings.patience;
        match self.append(&batch, until).await {
            Ok(receipts) => self.answer(batch, receipts),
            Err(Failure::Refused(_)) if batch.len() > 1 => return self.tell_apart(batch, until).await,
            Err(failure) => return self.fail(batch, failure),
        }
        Ok(())
    }

    /// Halves a batch that the database refuses until whoever is at fault stands alone: one refused request must not harm its
    /// neighbours. Each part has the patience of a batch, or what one request costs would look like a slow database; what no
    /// part was begun of by `until` is put off, so that many refused ones keep nobody waiting for long.
    async fn tell_apart(&mut self, batch: Vec<Request>, until: tokio::time::Instant) -> Result<(), Trouble> {
        let mut parts = Vec::new(); // the last one is the next
        halve(batch, &mut parts);
        while let Some(part) = parts.pop() {
            match self.append(&part, tokio::time::Instant::now() + self.settings.patience).await {
                Ok(receipts) => self.answer(part, receipts),
                Err(Failure::Refused(_)) if part.len() > 1 => halve(part, &mut parts),
                Err(failure) => {
                    if let Err(trouble) = self.fail(part, failure) {
                        return self.fail(parts.into_iter().rev().flatten(), Failure::NotStored(trouble));
                    }
                }
            }
            // Not before the first part, so that every batch gets on.
            if tokio::time::Instant::now() >= until {
                self.put_off(parts.into_iter().rev().flatten().collect());
                break;
            }
        }
        Ok(())
    }

    fn put_off(&self, batch: Vec<Request>) {
        if batch.is_empty() {
            return;
        }
        warn!(requests = batch.len(), "the database refuses so many audits that others are put off");
        for request in batch {
            let _ = request.answer.send(Err(Unavailable::PutOff { retry_after: self.settings.wait_max })); // or nobody waits
        }
    }

    /// Appends the batch, trying again while that is worth it: the ids tell what an earlier try has stored.
    async fn append(&mut self, batch: &[Request], until: tokio::time::Instant) -> Result<Vec<Receipt>, Failure> {
        let (begun, mut pause, mut unknown) = (Instant::now(), RETRY_PAUSE, false);
        loop {
            let tried = Instant::now();
            let (trouble, cause) = match self.link.append(batch, until).await {
                Ok(receipts) => {
                    fail_points::dies_at("after_commit");
                    let bytes = batch.iter().map(|request| request.bytes).sum();
                    // This try alone: the pauses of an outage that was ridden over say nothing of how quick the database is.
                    self.pressure.appended(receipts.len(), bytes, tried.elapsed());
                    self.last.fetch_max(receipts.iter().map(Receipt::position).max().unwrap_or(0), Ordering::Relaxed);
                    self.appended.call();
                    return Ok(receipts);
                }
                Err(Fault::Refused(cause)) if !unknown => return Err(Failure::Refused(cause)),
                // After a try of unknown outcome a refusal does not say that nothing is stored.
                Err(Fault::Refused(cause)) => (Trouble::Other, cause),
                Err(Fault::NotStored(trouble, cause)) => (trouble, cause),
                Err(Fault::Unknown(trouble, cause)) => {
                    unknown = true;
                    (trouble, cause)
                }
            };
            let left = match (unknown, trouble.passes_soon()) {
                (true, _) => until.saturating_duration_since(tokio::time::Instant::now()),
                (false, true) => RIDE_OVER.saturating_sub(begun.elapsed()),
                (false, false) => Duration::ZERO,
            };
            if left <= pause {
                error!(error = &cause as &dyn std::error::Error, "audits cannot be appended: {trouble}");
                if unknown {
                    self.appended.call(); // or not: whoever is called looks
                }
                return Err(if unknown { Failure::Unknown(trouble) } else { Failure::NotStored(trouble) });
            }
            warn!(error = &cause as &dyn std::error::Error, "an append failed and is tried again: {trouble}");
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    fn answer(&self, batch: Vec<Request>, receipts: Vec<Receipt>) {
        self.metrics.append_batch(receipts.len());
        let mut receipts = receipts.into_iter();
        for request in batch {
            let own: Vec<_> = receipts.by_ref().take(request.events.len()).collect();
            self.metrics.append_took(request.since.elapsed());
            let Request { events, digests, answer, .. } = request;
            // A caller that went away has its audits recorded all the same.
            let _ = answer.send(Ok(Appended { events, digests, receipts: own }));
        }
    }

    /// Tells a batch why it was not appended. Trouble that another batch would have too opens the breaker, and is handed on.
    fn fail(&self, batch: impl IntoIterator<Item = Request>, failure: Failure) -> Result<(), Trouble> {
        let trouble = match &failure {
            Failure::Refused(_) => None,
            Failure::NotStored(trouble) | Failure::Unknown(trouble) => Some(*trouble),
        };
        // First of all, so that nobody who is told comes back to a breaker that is still closed.
        let away = trouble.map(|trouble| self.breaker.open(trouble, Duration::ZERO));
        if let Failure::Refused(cause) = &failure {
            error!(error = cause as &dyn std::error::Error, "the database refused an append");
        }
        for request in batch {
            // sqlx's errors cannot be cloned; the cause is logged, and each caller is told the kind.
            let told = match (&failure, away) {
                (Failure::Refused(cause), _) => Unavailable::Refused(sqlx::Error::Protocol(cause.to_string())),
                (Failure::NotStored(_), Some(away)) => Unavailable::Away(away),
                (Failure::NotStored(trouble) | Failure::Unknown(trouble), _) => {
                    Unavailable::Unreachable { trouble: *trouble }
                }
            };
            let _ = request.answer.send(Err(told)); // or nobody waits
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Refuses everything at once until a probe has come through, or the journal is closed.
    async fn stay_away(&mut self, mut trouble: Trouble) {
        let begun = Instant::now();
        self.metrics.append_breaker_open(true);
        self.pauses.begin();
        loop {
            let pause = self.pauses.next();
            let away = self.breaker.open(trouble, pause);
            let rest = async |_: &mut Link| sleep(pause).await;
            if self.refusing(away, rest).await.is_none() {
                return;
            }
            let probe = async |link: &mut Link| link.append(&[], tokio::time::Instant::now() + PROBE_TIMEOUT).await;
            match self.refusing(away, probe).await {
                None => return,
                // A definite refusal is an answer: whoever is at fault is told it.
                Some(Ok(_) | Err(Fault::Refused(_))) => break,
                Some(Err(Fault::NotStored(found, _) | Fault::Unknown(found, _))) => trouble = found,
            }
        }
        self.breaker.close();
        self.pauses.end();
        self.metrics.append_breaker_open(false);
        let away = begun.elapsed();
        info!(away.ms = away.as_millis(), "audits are appended again, after {:.1} s", away.as_secs_f64());
    }

    /// Does `work` and refuses what waits and what comes meanwhile. `None` when the journal is closed.
    async fn refusing<T>(&mut self, away: Away, work: impl AsyncFnOnce(&mut Link) -> T) -> Option<T> {
        let Writer { link, queue, closed, held, metrics, .. } = self;
        let refuse = |request: Request| {
            metrics.append_refused(Refusal::Away);
            let _ = request.answer.send(Err(Unavailable::Away(away))); // or nobody waits
        };
        held.drain(..).for_each(refuse);
        let mut work = pin!(work(link));
        loop {
            tokio::select! {
                biased;
                Some(request) = queue.recv() => refuse(request),
                _ = closed.wait_for(|closed| *closed) => return None,
                done = &mut work => return Some(done),
            }
        }
    }

    fn waiting(&self) -> usize {
        self.settings.room() - self.room.available_permits()
    }
}

/// Puts both halves of the part on top of `parts`, the first one last.
fn halve(mut part: Vec<Request>, parts: &mut Vec<Vec<Request>>) {
    let second = part.split_off(part.len() / 2);
    parts.extend([second, part]);
}

/// Why a batch was not appended.
enum Failure {
    Refused(sqlx::Error),
    NotStored(Trouble),
    Unknown(Trouble),
}
