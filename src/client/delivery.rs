//! How delivery stands, for those who watch and for those who wait for a position.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::{
    Observer,
    breaker::State,
    spool::{Record, Sequence},
    upstream::{Told, Trouble},
};

/// How delivery stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All that was kept is recorded.
    #[default]
    CaughtUp,
    /// Audits are being brought to the server.
    Delivering,
    /// No server can be reached, or none can record now.
    ServerAway,
    /// The server refuses the token, or the file of the token cannot be read.
    TokenRefused,
    /// What answers at the address is no Binnacle.
    NotBinnacle,
    /// The spool's own disk fails.
    DiskFails,
}

impl Condition {
    pub const ALL: [Condition; 6] = [
        Condition::CaughtUp,
        Condition::Delivering,
        Condition::ServerAway,
        Condition::TokenRefused,
        Condition::NotBinnacle,
        Condition::DiskFails,
    ];

    /// The word of metrics and of JSON.
    pub fn word(self) -> &'static str {
        match self {
            Condition::CaughtUp => "caught_up",
            Condition::Delivering => "delivering",
            Condition::ServerAway => "server_away",
            Condition::TokenRefused => "token_refused",
            Condition::NotBinnacle => "not_binnacle",
            Condition::DiskFails => "disk_fails",
        }
    }
}

/// How delivery stands, with figures since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DeliveryStatus {
    pub condition: Condition,
    /// Since when it stands so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// The last trouble, in words; none while all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Each server's breaker, as of the last trouble.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<(String, &'static str)>,
    pub recorded: u64,
    /// Of these, how many the server had already: an answer had got lost.
    pub duplicates: u64,
    /// How many were refused for good.
    pub dead: u64,
    /// Requests that were not answered item by item.
    pub failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_recorded_at: Option<DateTime<Utc>>,
}

/// How delivery stands. The sender tells it, others look.
pub struct Delivery {
    status: Mutex<DeliveryStatus>,
    /// Who waits for what; `None` once the recorder is closed, when nobody can be told any more.
    waiting: Mutex<Option<HashMap<Uuid, Vec<Waiter>>>>,
    /// Called whenever something is settled.
    settlements: watch::Sender<()>,
    observer: Box<dyn Observer>,
}

/// Somebody who waits for an audit that stands behind a place in the spool: one before it may have the same id and other content.
struct Waiter {
    behind: Sequence,
    tell: oneshot::Sender<Told>,
}

#[derive(Deserialize)]
struct Sent {
    event_id: Uuid,
}

impl Delivery {
    pub fn new(observer: Box<dyn Observer>) -> Delivery {
        Delivery {
            status: Mutex::default(),
            waiting: Mutex::new(Some(HashMap::new())),
            settlements: watch::Sender::new(()),
            observer,
        }
    }

    pub fn status(&self) -> DeliveryStatus {
        lock(&self.status).clone()
    }

    pub fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// What becomes of an audit that will be kept behind `behind`, once it is settled.
    pub fn wait_for(&self, event_id: Uuid, behind: Sequence) -> oneshot::Receiver<Told> {
        let (tell, told) = oneshot::channel();
        if let Some(waiting) = lock(&self.waiting).as_mut() {
            waiting.entry(event_id).or_default().push(Waiter { behind, tell });
        }
        told
    }

    /// Those who no longer wait for this audit are forgotten.
    pub fn forget(&self, event_id: Uuid) {
        let mut waiting = lock(&self.waiting);
        let Some(waiting) = waiting.as_mut() else { return };
        if let Some(waiters) = waiting.get_mut(&event_id) {
            waiters.retain(|waiter| !waiter.tell.is_closed());
            if waiters.is_empty() {
                waiting.remove(&event_id);
            }
        }
    }

    /// Lets everybody go who waits: nothing is settled any more.
    pub fn close(&self) {
        *lock(&self.waiting) = None;
        self.settlements.send_replace(());
    }

    /// Waits until `settled` has come to `goal`.
    pub async fn settled_to(&self, goal: Sequence, settled: impl Fn() -> Sequence) {
        let mut settlements = self.settlements.subscribe();
        while settled() < goal && lock(&self.waiting).is_some() {
            let _ = settlements.changed().await; // `self` holds the other end
        }
    }

    pub fn caught_up(&self) {
        self.stands(Condition::CaughtUp, None);
        self.settlements.send_replace(()); // what was lost to damage is settled as well
    }

    /// The server has answered for each of these.
    pub fn settled(&self, batch: &[Record], told: Vec<Told>) {
        self.stands(Condition::Delivering, None);
        let (mut recorded, mut duplicates, mut dead) = (0, 0, 0);
        for told in &told {
            match told {
                Told::Recorded { duplicate, .. } => {
                    recorded += 1;
                    duplicates += u64::from(*duplicate);
                }
                Told::Refused { .. } => dead += 1,
            }
        }
        let mut status = lock(&self.status);
        status.recorded += recorded;
        status.duplicates += duplicates;
        status.dead += dead;
        if recorded > 0 {
            status.last_recorded_at = Some(Utc::now());
        }
        drop(status);
        self.observer.recorded(recorded, duplicates);
        if dead > 0 {
            self.observer.refused(dead);
        }
        self.tell(batch, told);
        self.settlements.send_replace(());
    }

    fn tell(&self, batch: &[Record], told: Vec<Told>) {
        let mut waiting = lock(&self.waiting);
        let Some(waiting) = waiting.as_mut().filter(|waiting| !waiting.is_empty()) else { return };
        for (record, told) in batch.iter().zip(told) {
            let sent: Option<Sent> = serde_json::from_slice(&record.bytes).ok();
            let Some(event_id) = sent.map(|sent| sent.event_id) else { continue };
            let Some(waiters) = waiting.remove(&event_id) else { continue };
            let (now, later): (Vec<_>, Vec<_>) = waiters.into_iter().partition(|it| it.behind < record.sequence);
            for waiter in now {
                let _ = waiter.tell.send(told.clone()); // who waited may have gone
            }
            if !later.is_empty() {
                waiting.insert(event_id, later);
            }
        }
    }

    /// A request was not answered. Whether that is news.
    pub fn troubled(&self, trouble: &Trouble, breakers: Vec<(String, State)>) -> bool {
        let condition = match trouble {
            Trouble::Unreachable(_) | Trouble::Unavailable { .. } | Trouble::Broken(_) | Trouble::Refused { .. } => {
                Condition::ServerAway
            }
            Trouble::TokenRefused { .. } => Condition::TokenRefused,
            Trouble::Nonsense(_) => Condition::NotBinnacle,
        };
        let news = self.stands(condition, Some(trouble.to_string()));
        let mut status = lock(&self.status);
        status.failures += 1;
        status.breakers = breakers.into_iter().map(|(endpoint, state)| (endpoint, word(state))).collect();
        drop(status);
        self.observer.troubled(condition);
        news
    }

    /// The spool's disk fails. Whether that is news.
    pub fn disk_failed(&self, error: &dyn std::error::Error) -> bool {
        self.observer.troubled(Condition::DiskFails);
        self.stands(Condition::DiskFails, Some(error.to_string()))
    }

    /// Notes how it stands. Whether it stood otherwise before.
    fn stands(&self, condition: Condition, trouble: Option<String>) -> bool {
        let mut status = lock(&self.status);
        let news = status.condition != condition || status.since.is_none();
        if news {
            status.condition = condition;
            status.since = Some(Utc::now());
        }
        if trouble.is_none() {
            status.breakers.clear();
        }
        status.trouble = trouble;
        news
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::Open => "open",
        State::HalfOpen => "half_open",
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
