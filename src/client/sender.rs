//! Brings what the spool holds to a server: in order, in batches, for as long as it takes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use tokio::{sync::watch, task::spawn_blocking, time::sleep};
use tracing::{error, info, warn};

use super::{
    backoff,
    breaker::{Breaker, State},
    delivery::Delivery,
    spool::{DeadLetter, Record, Sequence, Spool},
    upstream::{Endpoint, TokenFile, Told, Trouble, Upstream},
};

/// Most audits and bytes of one request.
const BATCH_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// How often a server has to break over one audit alone before the next one is tried past it.
const SUSPECT_TRIES: u32 = 10;

/// Reads the spool and sends, until told to stop.
pub struct Sender {
    spool: Spool,
    upstream: Upstream,
    endpoints: Vec<(Endpoint, Breaker)>,
    /// The endpoint that answered last.
    present: usize,
    token: TokenFile,
    pause_max: Duration,
    delivery: Arc<Delivery>,
    /// How many failures in a row, wherever.
    failures: u32,
    /// Most audits of the next request: halved to find the one that a server refuses as a whole request.
    most: usize,
    /// An audit alone over which a server breaks, and how often it has.
    suspect: Option<(Sequence, u32)>,
}

impl Sender {
    pub fn new(
        spool: Spool,
        endpoints: Vec<Endpoint>,
        token: TokenFile,
        pause_max: Duration,
        delivery: Arc<Delivery>,
    ) -> Sender {
        let endpoints = endpoints.into_iter().map(|endpoint| (endpoint, Breaker::default())).collect();
        let upstream = Upstream::default();
        Sender {
            spool,
            upstream,
            endpoints,
            present: 0,
            token,
            pause_max,
            delivery,
            failures: 0,
            most: BATCH_MAX,
            suspect: None,
        }
    }

    /// Sends until `stop`; what has not been settled by then stays in the spool.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut durable = self.spool.durable();
        loop {
            durable.mark_unchanged();
            let pause = match self.step().await {
                Step::Settled => Duration::ZERO,
                Step::CaughtUp => {
                    self.delivery.caught_up();
                    tokio::select! {
                        changed = durable.changed() => if changed.is_err() { return },
                        () = told(&mut stop) => return,
                    }
                    continue;
                }
                Step::Wait(pause) => pause,
            };
            if *stop.borrow() {
                return;
            }
            if !pause.is_zero() {
                tokio::select! {
                    () = sleep(pause) => {}
                    () = told(&mut stop) => return,
                }
            }
        }
    }

    /// One request, and what it settles.
    async fn step(&mut self) -> Step {
        let batch = match self.spool.read(self.spool.settled(), self.most, BATCH_BYTES_MAX).await {
            Ok(batch) if batch.is_empty() => return Step::CaughtUp,
            Ok(batch) => Arc::new(batch),
            Err(error) => return self.disk(&error),
        };
        let told = match self.send(&batch).await {
            Ok(told) => told,
            Err(Trouble::Refused { .. }) if batch.len() > 1 => {
                self.most = batch.len() / 2;
                return Step::Settled; // nothing is, and nothing needs a pause: a smaller request may be taken
            }
            Err(Trouble::Refused { reason, message }) => vec![Told::Refused { reason, message }],
            Err(trouble @ Trouble::Broken(_)) => return self.find_poison(&batch, &trouble).await,
            Err(trouble) => return self.wait(&trouble),
        };
        self.endpoints[self.present].1.succeeded();
        if self.failures > 0 {
            info!(sender.failures = self.failures, "the server records again");
        }
        (self.failures, self.most) = (0, (self.most * 2).min(BATCH_MAX));
        self.settle(&batch, told).await
    }

    /// A server breaks over this batch. Where one audit alone does it and the next one does not, it is set aside: it must not hold
    /// up all others for ever. Where the next one does it too, the trouble is the server's, and all wait.
    async fn find_poison(&mut self, batch: &[Record], trouble: &Trouble) -> Step {
        if batch.len() > 1 {
            self.most = batch.len() / 2;
            return self.wait(trouble);
        }
        let first = batch.first().map(|record| record.sequence);
        self.suspect = match self.suspect {
            Some((suspect, times)) if Some(suspect) == first => Some((suspect, times + 1)),
            _ => first.map(|first| (first, 1)),
        };
        if self.suspect.is_none_or(|(_, times)| times < SUSPECT_TRIES) {
            return self.wait(trouble);
        }
        let two = match self.spool.read(self.spool.settled(), 2, BATCH_BYTES_MAX).await {
            Ok(two) => two,
            Err(error) => return self.disk(&error),
        };
        let Some(next) = two.get(1) else { return self.wait(trouble) };
        match self.send(&Arc::new(vec![next.clone()])).await {
            Ok(mut told) => {
                told.insert(0, Told::Refused { reason: "INTERNAL".to_string(), message: trouble.to_string() });
                self.settle(&two, told).await
            }
            Err(trouble) => self.wait(&trouble),
        }
    }

    /// Sends to the endpoint that answered last, or to the next whose breaker lets a request through.
    async fn send(&mut self, batch: &Arc<Vec<Record>>) -> Result<Vec<Told>, Trouble> {
        let now = Instant::now();
        let count = self.endpoints.len();
        let mut order = (0..count).map(|step| (self.present + step) % count);
        let through = order.find(|index| self.endpoints[*index].1.state(now) != State::Open);
        let chosen = through.unwrap_or(self.present); // the pause before has waited for the first that opens
        self.present = chosen;
        let (upstream, endpoint, batch) = (self.upstream.clone(), self.endpoints[chosen].0.clone(), batch.clone());
        let token = self.token.clone();
        let sending = spawn_blocking(move || {
            let token = token.read()?;
            let items: Vec<&[u8]> = batch.iter().map(|record| &record.bytes[..]).collect();
            upstream.send(&endpoint, token.as_deref(), &items)
        });
        let sent = sending.await.unwrap_or_else(|error| Err(Trouble::Unreachable(error.to_string())));
        if let Err(trouble) = &sent
            && !matches!(trouble, Trouble::Refused { .. })
        {
            self.endpoints[chosen].1.failed(Instant::now(), trouble.retry_after(), self.pause_max);
            // The next request may go elsewhere.
            self.present = (chosen + 1) % count;
        }
        sent
    }

    /// How long to wait after a request that was not answered: not at all, where another endpoint has not been tried.
    fn wait(&mut self, trouble: &Trouble) -> Step {
        let now = Instant::now();
        self.failures = self.failures.saturating_add(1);
        let states =
            self.endpoints.iter().map(|(endpoint, breaker)| (endpoint.as_str().to_string(), breaker.state(now)));
        if self.delivery.troubled(trouble, states.collect()) {
            warn!(error = %trouble, "audits wait on this disk: {trouble}");
        }
        let untried = !(self.failures as usize).is_multiple_of(self.endpoints.len());
        let open = self.endpoints.iter().map(|(_, breaker)| breaker.wait(now)).min().unwrap_or_default();
        let rounds = self.failures / u32::try_from(self.endpoints.len()).unwrap_or(1);
        Step::Wait(if untried { open } else { open.max(backoff::pause(rounds, self.pause_max)) })
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
        if let Err(error) = self.spool.settle(last, dead).await {
            return self.disk(&error);
        }
        self.delivery.settled(batch, told);
        Step::Settled
    }

    fn disk(&mut self, error: &dyn std::error::Error) -> Step {
        self.failures = self.failures.saturating_add(1);
        if self.delivery.disk_failed(error) {
            error!(error = %error, "the spool's disk fails, and audits wait: {error}");
        }
        Step::Wait(backoff::pause(self.failures, self.pause_max).max(backoff::PAUSE_MIN))
    }
}

/// What a request brought.
enum Step {
    /// There may be more.
    Settled,
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
