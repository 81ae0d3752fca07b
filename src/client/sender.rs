//! Brings what the spool holds to a server: in order, in batches, for as long as it takes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use super::{
    backoff,
    breaker::{Breaker, State},
    delivery::Delivery,
    spool::{DeadLetter, Record, Sequence, Spool},
    upstream::{self, Endpoint, TokenFile, Told, Trouble, Upstream},
};

/// Most audits and bytes of one request.
const BATCH_MAX: usize = 256;
/// With its commas below the 1 MiB that proxies commonly allow.
const BATCH_BYTES_MAX: usize = 1_000_000;

/// How often a server has to break over one audit alone before the next one is tried past it.
const SUSPECT_TRIES: u32 = 10;

/// How many of the audits behind it are tried past an audit over which a server breaks: a writer with a bug tells several in a row.
const PROBES_MAX: usize = 16;

/// The bound on all of a request: a name that is looked up, and a token that is read, have none of their own.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// What a sender is made of.
#[derive(Clone)]
pub struct Parts {
    pub spool: Spool,
    pub endpoints: Vec<Endpoint>,
    pub token: TokenFile,
    /// The longest pause between tries.
    pub pause_max: Duration,
    pub delivery: Arc<Delivery>,
}

/// Reads the spool and sends, until told to stop.
pub struct Sender {
    parts: Parts,
    upstream: Upstream,
    breakers: Vec<Breaker>,
    /// The endpoint that is asked next: that which answered last.
    present: usize,
    /// How many failures in a row, wherever.
    failures: u32,
    /// Most audits of the next request. Halved whenever one is not answered: it may have been too large, or too slow.
    most: usize,
    /// An audit alone over which a server breaks, and how often it has.
    suspect: Option<(Sequence, u32)>,
    stop: watch::Receiver<bool>,
}

impl Sender {
    pub fn new(parts: Parts, stop: watch::Receiver<bool>) -> Sender {
        let breakers = parts.endpoints.iter().map(|_| Breaker::default()).collect();
        Sender {
            parts,
            upstream: Upstream::default(),
            breakers,
            present: 0,
            failures: 0,
            most: BATCH_MAX,
            suspect: None,
            stop,
        }
    }

    /// Sends until told to stop; what has not been settled by then stays in the spool.
    pub async fn run(mut self) {
        let mut durable = self.parts.spool.durable();
        loop {
            durable.mark_unchanged();
            let pause = match self.step().await {
                Step::Again => Duration::ZERO,
                Step::CaughtUp => {
                    self.parts.delivery.caught_up();
                    tokio::select! {
                        changed = durable.changed() => if changed.is_err() { return },
                        () = told(&mut self.stop) => return,
                    }
                    continue;
                }
                Step::Wait(pause) => pause,
            };
            if *self.stop.borrow() {
                return;
            }
            if !pause.is_zero() {
                tokio::select! {
                    () = sleep(pause) => {}
                    () = told(&mut self.stop) => return,
                }
            }
        }
    }

    /// One request, and what it settles.
    async fn step(&mut self) -> Step {
        let batch = match self.read(self.most).await {
            Ok(batch) if batch.is_empty() => return Step::CaughtUp,
            Ok(batch) => batch,
            Err(wait) => return wait,
        };
        let endpoint = self.choose();
        match self.send(endpoint, &batch).await {
            Ok(told) => {
                if self.failures > 0 {
                    info!(sender.failures = self.failures, "the server records again");
                }
                (self.failures, self.most) = (0, (self.most * 2).min(BATCH_MAX));
                self.settle(&batch, told).await
            }
            Err(Trouble::Refused { .. }) if batch.len() > 1 => {
                self.most = batch.len() / 2;
                Step::Again // at once: a smaller request may be taken
            }
            Err(Trouble::Refused { reason, message }) => {
                self.settle(&batch, vec![Told::Refused { reason, message }]).await
            }
            Err(trouble) => {
                self.most = (batch.len() / 2).max(1);
                match (&batch[..], &trouble) {
                    ([alone], Trouble::Broken(_)) if self.suspects(alone) => {
                        self.judge(endpoint, alone, &trouble).await
                    }
                    _ => self.wait(&trouble),
                }
            }
        }
    }

    async fn read(&mut self, records_max: usize) -> Result<Vec<Record>, Step> {
        let spool = &self.parts.spool;
        let read = spool.read(spool.settled(), records_max, BATCH_BYTES_MAX).await;
        read.map_err(|error| self.disk(&error))
    }

    /// Counts that a server has broken over an audit alone. Whether that was often enough to look at the ones behind it.
    fn suspects(&mut self, alone: &Record) -> bool {
        let times = match self.suspect {
            Some((suspect, times)) if suspect == alone.sequence => times + 1,
            _ => 1,
        };
        self.suspect = Some((alone.sequence, times));
        times >= SUSPECT_TRIES
    }

    /// An audit over which a server breaks must not hold up all others for ever. It is set aside if the server takes one of those
    /// behind it and then breaks over it once more. If it takes none, the trouble is the server's, and all wait. The ones behind are
    /// tried in their order, so none that is good is passed over.
    async fn judge(&mut self, endpoint: usize, suspect: &Record, trouble: &Trouble) -> Step {
        let behind = match self.read(1 + PROBES_MAX).await {
            Ok(batch) => batch.into_iter().filter(|record| record.sequence > suspect.sequence),
            Err(wait) => return wait,
        };
        for record in behind {
            match self.send(endpoint, &[record]).await {
                Err(Trouble::Broken(_)) => {}
                Ok(_) | Err(Trouble::Refused { .. }) => {
                    let alone = std::slice::from_ref(suspect);
                    return match self.send(endpoint, alone).await {
                        Err(Trouble::Broken(message)) => {
                            let refused = Told::Refused { reason: "INTERNAL".to_string(), message };
                            self.settle(alone, vec![refused]).await
                        }
                        Ok(told) => self.settle(alone, told).await,
                        Err(trouble) => self.wait(&trouble),
                    };
                }
                Err(trouble) => return self.wait(&trouble),
            }
        }
        self.wait(trouble)
    }

    /// The endpoint that answered last, or the next whose breaker lets a request through.
    fn choose(&mut self) -> usize {
        let now = Instant::now();
        let count = self.breakers.len();
        let mut order = (0..count).map(|step| (self.present + step) % count);
        let through = order.find(|index| self.breakers[*index].state(now) != State::Open);
        through.unwrap_or(self.present) // the pause before has waited for the first that opens
    }

    async fn send(&mut self, endpoint: usize, batch: &[Record]) -> Result<Vec<Told>, Trouble> {
        let (upstream, address) = (self.upstream.clone(), self.parts.endpoints[endpoint].clone());
        let (token, items) = (self.parts.token.clone(), upstream::list(batch.iter().map(|record| &record.bytes[..])));
        let sending = spawn_blocking(move || upstream.send(&address, token.read()?.as_deref(), &items));
        let answer = tokio::select! {
            answer = timeout(SEND_TIMEOUT, sending) => match answer {
                Ok(answer) => answer.unwrap_or_else(|error| Err(Trouble::Unreachable(error.to_string()))),
                Err(_) => Err(Trouble::Unreachable(format!("nothing for {} s", SEND_TIMEOUT.as_secs()))),
            },
            // What becomes of it is found out by the next sender on the folder, by id.
            () = told(&mut self.stop) => return Err(Trouble::Unreachable("told to stop".to_string())),
        };
        let told = answer.and_then(|answer| answer.told(batch.iter().map(|record| &record.bytes[..])));
        match &told {
            Ok(_) | Err(Trouble::Refused { .. }) => {
                self.breakers[endpoint].succeeded();
                self.present = endpoint;
            }
            Err(trouble) => {
                self.breakers[endpoint].failed(Instant::now(), trouble.retry_after(), self.parts.pause_max);
                self.present = (endpoint + 1) % self.breakers.len(); // the next request may go elsewhere
            }
        }
        told
    }

    /// How long to wait after a request that was not answered: not at all, where another endpoint has not been tried.
    fn wait(&mut self, trouble: &Trouble) -> Step {
        if *self.stop.borrow() {
            return Step::Wait(Duration::ZERO); // a request that we have broken off ourselves is nobody's trouble
        }
        let now = Instant::now();
        self.failures = self.failures.saturating_add(1);
        let endpoints = self.parts.endpoints.iter().map(|endpoint| endpoint.as_str().to_string());
        let states = endpoints.zip(self.breakers.iter().map(|breaker| breaker.state(now)));
        if self.parts.delivery.troubled(trouble, states.collect()) {
            warn!(error = %trouble, "audits wait on this disk: {trouble}");
        }
        let untried = !(self.failures as usize).is_multiple_of(self.breakers.len());
        let open = self.breakers.iter().map(|breaker| breaker.wait(now)).min().unwrap_or_default();
        let rounds = self.failures / u32::try_from(self.breakers.len()).unwrap_or(1);
        Step::Wait(if untried { open } else { open.max(backoff::pause(rounds, self.parts.pause_max)) })
    }

    /// Writes down what is settled. What cannot be written down is sent again: the server knows it by its ids.
    async fn settle(&mut self, batch: &[Record], told: Vec<Told>) -> Step {
        let Some(last) = batch.last().map(|record| record.sequence) else { return Step::CaughtUp };
        let dead: Vec<DeadLetter> = batch
            .iter()
            .zip(&told)
            .filter_map(|(record, told)| match told {
                Told::Recorded { .. } => None,
                Told::Refused { reason, message } => Some(dead_letter(record, reason, message)),
            })
            .collect();
        if let Err(error) = self.parts.spool.settle(last, dead).await {
            return self.disk(&error);
        }
        self.parts.delivery.settled(batch, told);
        Step::Again
    }

    fn disk(&mut self, error: &dyn std::error::Error) -> Step {
        self.failures = self.failures.saturating_add(1);
        if self.parts.delivery.disk_failed(error) {
            error!(error = %error, "the spool's disk fails, and audits wait: {error}");
        }
        Step::Wait(backoff::pause(self.failures, self.parts.pause_max).max(backoff::PAUSE_MIN))
    }
}

/// What a request brought.
enum Step {
    /// Something is settled, and there may be more; or a smaller request is to be tried.
    Again,
    /// Nothing waits.
    CaughtUp,
    /// Nothing was settled; to be tried again after a while.
    Wait(Duration),
}

fn dead_letter(record: &Record, reason: &str, message: &str) -> DeadLetter {
    let sequence: Sequence = record.sequence;
    warn!(spool.sequence = sequence.0, reason, "an audit is refused for good and kept as a dead letter: {message}");
    DeadLetter {
        sequence,
        bytes: record.bytes.clone(),
        reason: reason.to_string(),
        message: message.to_string(),
        refused_at: Utc::now(),
    }
}

/// Waits for the word to stop; a sender whose owner is gone has it too.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
