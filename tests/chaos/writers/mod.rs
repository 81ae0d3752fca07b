//! The writers of a world: they send audits over both faces, alone and in batches, and are stubborn to different degrees.

pub mod recorder;
pub mod send;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::sleep};

use self::send::{Face, send};
use crate::{
    http::{Address, Http},
    ledger::{Fit, Ledger},
    random::Random,
    world::{Relay, Setup},
};

/// How many writers a world has.
const WRITERS: usize = 8;
/// How long a writer waits before it sends again.
const PAUSE: Duration = Duration::from_millis(25);

/// How long one waits that does not send again.
const GIVEN_UP: Duration = Duration::from_millis(200);
/// How long it waits before each audit while it goes on slowly.
const SLOWLY: Duration = Duration::from_millis(20);

/// What a writer does about a batch that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Goes on with the next: the outcome stays unknown until everything is sent again at the end.
    Never,
    /// Sends it until it is acknowledged.
    Always,
    /// And sends every fourth acknowledged batch once more.
    AlsoWithoutNeed,
}

/// One writer, as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    pub face: Face,
    pub batch: usize,
    pub retry: Retry,
    /// Which server it speaks to; behind the servers is the relay.
    pub door: usize,
    /// Whether it must never hear that something went wrong: the relay before it is well.
    pub sheltered: bool,
}

/// The writers of a world; `batch_max` bounds what one sends at once. With texts, all speak GraphQL, since an endpoint of REST
/// takes one kind of audits only. A relay that is well has every second of them, one that is in trouble has all.
pub fn plan(random: &mut Random, setup: &Setup, batch_max: usize) -> Vec<Writer> {
    let faces: &[Face] =
        if setup.embedding { &[Face::Graphql] } else { &[Face::Graphql, Face::Rest, Face::Graphql, Face::RestOne] };
    let retries = [Retry::Always, Retry::Never, Retry::AlsoWithoutNeed, Retry::Always];
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|index| Writer {
            face: faces[index % faces.len()],
            batch: *random.pick(&[1, 5, 50, 256, 256]),
            retry: retries[index / 2 % retries.len()],
            door: index % setup.servers,
            sheltered: false,
        })
        .collect();
    for (index, writer) in writers.iter_mut().enumerate() {
        writer.batch = writer.batch.min(batch_max);
        if setup.relay == Relay::InTrouble || (setup.relay == Relay::Well && index % 2 == 0) {
            writer.door = setup.servers;
            writer.face = *random.pick(&[Face::Rest, Face::RestOne]);
            writer.sheltered = setup.relay == Relay::Well;
        }
    }
    writers
}

pub struct Crowd {
    orders: watch::Sender<Orders>,
    writers: JoinSet<()>,
}

#[derive(Clone, Copy, Debug)]
struct Orders {
    /// How many audits may be acknowledged before the writers go on slowly, with one at a time.
    allowed: u64,
    stop: bool,
}

impl Crowd {
    /// Starts the writers, who go on until told to stop.
    pub fn start(writers: &[Writer], doors: &[Address], ledger: &Arc<Ledger>) -> Crowd {
        let orders = watch::Sender::new(Orders { allowed: 0, stop: false });
        let mut crowd = JoinSet::new();
        for (lane, writer) in (1..).zip(writers) {
            let http = Http::new(doors[writer.door].clone());
            crowd.spawn(write(http, lane, writer.clone(), ledger.clone(), orders.subscribe()));
        }
        Crowd { orders, writers: crowd }
    }

    /// Lets the writers go on to so many audits as fast as they can.
    pub fn allow(&self, allowed: u64) {
        self.orders.send_modify(|orders| orders.allowed = allowed);
    }

    pub async fn stop(mut self) {
        self.orders.send_modify(|orders| orders.stop = true);
        while self.writers.join_next().await.is_some() {}
    }
}

async fn write(mut http: Http, lane: u16, writer: Writer, ledger: Arc<Ledger>, orders: watch::Receiver<Orders>) {
    let mut settled = true;
    for turn in 1_u64.. {
        let Orders { allowed, stop } = *orders.borrow();
        if stop {
            return;
        }
        // Nobody sends whole batches against a closed door.
        let slow = ledger.acknowledged() >= allowed || !settled;
        if slow {
            sleep(SLOWLY).await;
        }
        let batch = if slow { 1 } else { writer.batch };
        let face = if batch == 1 && writer.face == Face::Rest { Face::RestOne } else { writer.face };
        let numbers = ledger.take_for(lane, if face == Face::RestOne { 1 } else { batch }, Fit::Good);
        settled = send(&mut http, face, &ledger, &numbers).await;
        if writer.sheltered && !settled {
            ledger.breach(format!("a relay that is well did not keep audit {} and what came with it", numbers[0]));
        }
        while !settled && writer.retry != Retry::Never && !orders.borrow().stop {
            sleep(PAUSE).await;
            settled = send(&mut http, face, &ledger, &numbers).await;
        }
        if settled && writer.retry == Retry::AlsoWithoutNeed && turn.is_multiple_of(4) {
            send(&mut http, face, &ledger, &numbers).await;
        }
        if !settled {
            sleep(GIVEN_UP).await;
        }
    }
}
