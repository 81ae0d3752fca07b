//! Networks that break: between the servers and Postgres, and between clients and servers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Arena, Fault, PLAIN, last, until};
use crate::{
    proxy::{Mode, Proxy},
    random::Random,
    world::{Setup, Way},
};

const BY_TCP: Setup = Setup { way: Way::Tcp, ..Setup::ONE_SERVER };
const BY_UNIX: Setup = Setup { way: Way::Unix, ..Setup::ONE_SERVER };
const FRONTS: Setup = Setup { servers: 2, fronts: true, ..Setup::ONE_SERVER };

/// Every audit has it in what is sent of it, and no other statement has.
const AUDIT: &[u8] = b"notificationId";
const POST: &[u8] = b"POST /";

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "database-reset",
        how: "all connections to Postgres are reset, and new ones refused for up to 2 s",
        setup: BY_TCP,
        strike: |arena, random| Box::pin(reset(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "database-blackhole",
        how: "nothing comes through to Postgres or back for 2 to 12 s, and nobody is told",
        setup: BY_TCP,
        strike: |arena, random| Box::pin(sometimes(arena, random, Mode::Blackhole, 2_000, 12_000)),
        ..PLAIN
    },
    Fault {
        name: "database-latency",
        how: "500 ms more for each piece to Postgres and back, for 3 to 6 s",
        setup: BY_TCP,
        strike: |arena, random| Box::pin(sometimes(arena, random, Mode::Latency(LATE), 3_000, 6_000)),
        ..PLAIN
    },
    Fault {
        name: "database-half-close",
        how: "connections to Postgres are closed on its side in the middle of a statement, for up to 2 s",
        setup: BY_UNIX,
        strike: |arena, random| Box::pin(half_closed(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "answer-swallowed",
        how: "the answer to a commit is lost and the connection closed, 1 to 20 times in a row",
        smoke: 2,
        setup: BY_UNIX,
        strike: |arena, random| Box::pin(swallowed(arena, random, AUDIT)),
        ..PLAIN
    },
    Fault {
        name: "client-reset",
        how: "all connections of clients are reset, and new ones refused for up to 1 s",
        setup: FRONTS,
        strike: |arena, random| Box::pin(reset(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "client-blackhole",
        how: "nothing comes through between clients and servers for 1 to 12 s",
        setup: FRONTS,
        strike: |arena, random| Box::pin(sometimes(arena, random, Mode::Blackhole, 1_000, 12_000)),
        ..PLAIN
    },
    Fault {
        name: "client-latency",
        how: "500 ms more for each piece between clients and servers, for 3 to 6 s",
        setup: FRONTS,
        strike: |arena, random| Box::pin(sometimes(arena, random, Mode::Latency(LATE), 3_000, 6_000)),
        ..PLAIN
    },
    Fault {
        name: "client-half-close",
        how: "connections of clients are closed on the server's side in the middle of a body, for up to 2 s",
        setup: FRONTS,
        strike: |arena, random| Box::pin(half_closed(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "client-answer-swallowed",
        how: "the server's answer is lost and the connection closed, 1 to 20 times in a row",
        setup: FRONTS,
        strike: |arena, random| Box::pin(swallowed(arena, random, POST)),
        ..PLAIN
    },
];

const LATE: Duration = Duration::from_millis(500);
/// How long the answers that are to be swallowed may take to come.
const SWALLOW_WAIT: Duration = Duration::from_secs(60);

/// The proxies that this world can break.
fn proxies(arena: &Arena) -> Vec<&Proxy> {
    arena.world.database.iter().chain(&arena.world.fronts).collect()
}

fn set(arena: &Arena, mode: &Mode) {
    for proxy in proxies(arena) {
        proxy.set(mode.clone());
    }
}

async fn reset(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    set(arena, &Mode::Refuse);
    for proxy in proxies(arena) {
        proxy.cut(true);
    }
    last(&mut random, 0, 2_000).await;
    let healing = Instant::now();
    set(arena, &Mode::Pass);
    Ok(healing)
}

/// Breaks the network for a while. What hung in it stays where it was, or is cut off, as it happens.
async fn sometimes(
    arena: &mut Arena,
    mut random: Random,
    mode: Mode,
    from_ms: u64,
    to_ms: u64,
) -> anyhow::Result<Instant> {
    set(arena, &mode);
    last(&mut random, from_ms, to_ms).await;
    let healing = Instant::now();
    if random.chance(50) {
        for proxy in proxies(arena) {
            proxy.cut(false);
        }
    }
    set(arena, &Mode::Pass);
    Ok(healing)
}

async fn half_closed(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let bytes = random.between(300, 20_000) as usize;
    set(arena, &Mode::HalfClose(bytes));
    last(&mut random, 300, 2_000).await;
    let healing = Instant::now();
    set(arena, &Mode::Pass);
    Ok(healing)
}

async fn swallowed(arena: &mut Arena, mut random: Random, mark: &'static [u8]) -> anyhow::Result<Instant> {
    let left = Arc::new(AtomicUsize::new(random.between(1, 20) as usize));
    set(arena, &Mode::Swallow { mark, left: left.clone() });
    let all = until("the answers are swallowed", SWALLOW_WAIT, async || Ok(left.load(Ordering::SeqCst) == 0)).await;
    let healing = Instant::now();
    set(arena, &Mode::Pass);
    all.map(|()| healing)
}
