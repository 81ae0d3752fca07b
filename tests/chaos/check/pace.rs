//! The pace of appends: measured before the first fault, and again after the last one.

use std::time::{Duration, Instant};

use crate::{
    check::RECOVERY_MAX,
    http::Http,
    ledger::{Fit, Ledger},
    nemesis::Arena,
    writers::send::{Face, send},
};

/// How many audits, one after the other, make one measurement.
const SAMPLES: usize = 40;
/// What counts as the same pace, on a machine that others use too.
const FACTOR: u32 = 3;
const SLACK: Duration = Duration::from_millis(100);

/// The 99th percentile of the time that one audit takes.
#[derive(Clone, Copy, Debug)]
pub struct Pace(pub Duration);

/// Sends audits one by one, with nobody beside, and measures.
pub async fn measure(http: &mut Http, ledger: &Ledger) -> Pace {
    let mut times = Vec::with_capacity(SAMPLES);
    for number in ledger.take(SAMPLES, Fit::Good) {
        let begun = Instant::now();
        while !send(http, Face::Graphql, ledger, &[number]).await && begun.elapsed() < RECOVERY_MAX {}
        times.push(begun.elapsed());
    }
    times.sort();
    Pace(times[SAMPLES * 99 / 100])
}

/// Waits until appends have their pace of before.
pub async fn returns(arena: &Arena, before: Pace) {
    let bound = before.0 * FACTOR + SLACK;
    let begun = Instant::now();
    for address in &arena.world.addresses {
        let mut http = Http::new(address.clone());
        loop {
            let Pace(now) = measure(&mut http, &arena.ledger).await;
            if now <= bound {
                break;
            }
            if begun.elapsed() > RECOVERY_MAX {
                let (before, limit) = (before.0, RECOVERY_MAX.as_secs());
                arena
                    .ledger
                    .breach(format!("{limit} s after healing an append takes {now:?}, and took {before:?} before"));
                return;
            }
        }
    }
}
