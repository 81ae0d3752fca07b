//! The invariants: what has to hold once everything is healed.

mod journal;
mod pace;

use std::{collections::HashMap, time::Duration};

use tokio::time::{Instant, sleep};

pub use self::pace::{Pace, measure};
use crate::{
    follower::Follower,
    http::Http,
    ledger::{Fit, Outcome},
    nemesis::Arena,
    progress::Progress,
    writers::send::{Face, send},
};

/// How long it may take until a server, the projections, a subscriber, or the pace of appends are as before.
pub const RECOVERY_MAX: Duration = Duration::from_secs(60);
/// How long a relay may take to bring what it keeps.
const DRAIN_MAX: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);
/// How many audits are sent again at once.
const AGAIN: usize = 250;
/// Most breaches of one sort that are told one by one.
const TOLD_MAX: u64 = 10;

/// What the check has found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub acknowledged: u64,
    pub refused: u64,
    pub lost: u64,
    pub doubled: u64,
    /// How many good audits had no certain outcome when the writers ended, and how many of them were recorded.
    pub unknown: u64,
    pub unknown_recorded: u64,
    /// How long the relay took to bring what it kept, once the writers had ended.
    pub drained: Option<Duration>,
}

/// Checks everything; what does not hold is a breach in the ledger.
pub async fn check(
    arena: &mut Arena,
    follower: &mut Follower,
    before: Pace,
    progress: &Progress,
) -> anyhow::Result<Tally> {
    let mut tally =
        Tally { acknowledged: arena.ledger.acknowledged(), refused: arena.ledger.refused(), ..Tally::default() };
    tally.drained = drain(arena).await;
    let open = arena.ledger.open();
    let recorded = journal::read(arena).await?;
    tally.unknown = open.len() as u64;
    tally.unknown_recorded = open.iter().filter(|number| recorded.row(**number).is_some()).count() as u64;
    compare(arena, &recorded, &mut tally);

    send_again(arena, &open).await;
    let recorded = journal::read(arena).await?;
    compare(arena, &recorded, &mut tally);
    order(arena, &recorded);
    journal::check_tables(arena).await?;
    progress.line(&format!("the journal holds {}, of which {} were unknown", recorded.last, tally.unknown));

    // The projections first: what the pace is measured by is about the end of the journal.
    projections_catch_up(arena, recorded.last).await?;
    if !follower.comes_to(recorded.last, RECOVERY_MAX).await {
        let reached = follower.reached();
        arena.ledger.breach(format!("a subscriber has come to {reached} only, of {}", recorded.last));
    }
    progress.line("projections and subscriber have caught up");
    pace::returns(arena, before).await;
    progress.line("the pace is as before; verifying and rebuilding");

    let (verified, rebuilt) =
        tokio::join!(arena.world.command(&["verify"]), arena.world.command(&["rebuild", "--all"]));
    for (what, ended) in [("verify", verified), ("rebuild --all", rebuilt)] {
        let (code, told) = ended?;
        if code != Some(0) {
            arena.ledger.breach(format!("`binnacle {what}` ended with {code:?}: {told}"));
        }
    }
    Ok(tally)
}

/// The part of the check that looks at the journal alone, as it is now.
pub async fn look(arena: &Arena) -> anyhow::Result<()> {
    let recorded = journal::read(arena).await?;
    compare(arena, &recorded, &mut Tally::default());
    journal::check_tables(arena).await
}

/// Compares the ledger with what is recorded.
fn compare(arena: &Arena, recorded: &journal::Recorded, tally: &mut Tally) {
    let ledger = &arena.ledger;
    let (mut lost, mut wrong) = (0, 0);
    let tell = |count: &mut u64, what: String| {
        *count += 1;
        if *count <= TOLD_MAX {
            ledger.breach(what);
        }
    };
    for (number, operation) in (1..).zip(ledger.operations()) {
        match (operation.outcome, operation.fit, recorded.row(number)) {
            (Outcome::Kept, _, None) => {
                tell(&mut lost, format!("audit {number} was kept by a relay and is not recorded"));
            }
            (Outcome::Acknowledged { position, .. }, _, None) => {
                tell(&mut lost, format!("audit {number} was acknowledged at position {position} and is not recorded"));
            }
            (Outcome::Acknowledged { position, digest }, _, Some(row))
                if (row.position, row.digest) != (position, digest) =>
            {
                tell(
                    &mut wrong,
                    format!("audit {number} was acknowledged at {position} ({digest:016x}) and is at {row:?}"),
                );
            }
            (_, Fit::Bad, Some(row)) => {
                tell(&mut wrong, format!("audit {number} does not pass the checks and is at {row:?}"));
            }
            _ => {}
        }
    }
    for number in &recorded.doubled {
        ledger.breach(format!("audit {number} is recorded twice"));
    }
    // Both looks see the same rows, and a loss counts once.
    tally.lost = tally.lost.max(lost);
    tally.doubled = tally.doubled.max(recorded.doubled.len() as u64);
}

/// Waits until the relay has brought to the servers what it keeps.
async fn drain(arena: &Arena) -> Option<Duration> {
    let mut http = Http::new(arena.world.relay.as_ref()?.address());
    let begun = Instant::now();
    loop {
        let told = http.get("/spool").await.map(|answer| answer.json()).unwrap_or_default();
        if told["spool"]["waiting"] == 0 {
            if told["spool"]["dead"] != 0 {
                arena.ledger.breach(format!("a relay has dead letters of good audits: {told}"));
            }
            return Some(begun.elapsed());
        }
        if begun.elapsed() > DRAIN_MAX {
            let limit = DRAIN_MAX.as_secs();
            arena.ledger.breach(format!("a relay has not brought what it keeps within {limit} s: {told}"));
            return None;
        }
        sleep(PAUSE).await;
    }
}

/// What a writer has had kept, one after the other, is recorded in that order.
fn order(arena: &Arena, recorded: &journal::Recorded) {
    let mut last = HashMap::new();
    for (number, operation) in (1..).zip(arena.ledger.operations()) {
        let (Outcome::Kept, Some(row)) = (operation.outcome, recorded.row(number)) else { continue };
        if operation.lane == 0 {
            continue;
        }
        if let Some((before, position)) = last.insert(operation.lane, (number, row.position))
            && position > row.position
        {
            let (lane, now) = (operation.lane, row.position);
            arena
                .ledger
                .breach(format!("writer {lane} had {before} kept before {number}; they are at {position} and {now}"));
            return;
        }
    }
}

/// Sends everything again of which nothing certain is known; now each has to be acknowledged.
async fn send_again(arena: &Arena, open: &[u64]) {
    let mut http = Http::new(arena.world.addresses[0].clone());
    for numbers in open.chunks(AGAIN) {
        let deadline = Instant::now() + RECOVERY_MAX;
        while !send(&mut http, Face::Graphql, &arena.ledger, numbers).await {
            if Instant::now() > deadline {
                arena.ledger.breach(format!("{} audits sent again are not acknowledged", numbers.len()));
                return;
            }
            sleep(PAUSE).await;
        }
    }
}

/// Waits until every projection has come to the end of the journal.
async fn projections_catch_up(arena: &Arena, last: i64) -> anyhow::Result<()> {
    let mut admin = arena.world.postgres.admin().await?;
    let deadline = Instant::now() + RECOVERY_MAX;
    loop {
        let behind: Vec<(String, i64)> =
            sqlx::query_as("SELECT name, position FROM projection_cursors WHERE position < $1 ORDER BY name")
                .bind(last)
                .fetch_all(&mut admin)
                .await?;
        if behind.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            arena.ledger.breach(format!("of {last} events the projections have come to {behind:?} only"));
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}
