//! Servers that die, are restarted, and freeze.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Arena, Fault, Need, PLAIN, last, until};
use crate::{
    random::Random,
    world::Setup,
    writers::send::{Face, send},
};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "server-killed",
        how: "`kill -9` of the server, which is started again",
        rounds: 25,
        smoke: 2,
        strike: |arena, random| Box::pin(killed(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "death-before-answer",
        how: "the server dies between the commit and the answer, several times",
        rounds: 4,
        smoke: 1,
        needs: Need::FailPoints,
        strike: |arena, random| Box::pin(dying(arena, random, "after_commit=5%return", 3)),
        ..PLAIN
    },
    Fault {
        name: "death-in-projection",
        how: "the server dies between what a projection writes and its cursor, several times",
        rounds: 4,
        smoke: 1,
        needs: Need::FailPoints,
        strike: |arena, random| Box::pin(dying(arena, random, "before_cursor=5%return", 3)),
        ..PLAIN
    },
    Fault {
        name: "rolling-restart",
        how: "SIGTERM to three servers, one after the other, each started again before the next",
        strike: |arena, random| Box::pin(restarted(arena, random)),
        setup: Setup { servers: 3, ..Setup::ONE_SERVER },
        ..PLAIN
    },
    Fault {
        name: "replica-frozen",
        how: "SIGSTOP of one server of three for 1 to 6 s; the others go on meanwhile",
        strike: |arena, random| Box::pin(frozen(arena, random)),
        setup: Setup { servers: 3, ..Setup::ONE_SERVER },
        ..PLAIN
    },
];

/// How long a server that is to die may live.
const DEATH_WAIT: Duration = Duration::from_secs(60);
/// How long the others may need to go on beside a frozen one.
const OTHERS_WAIT: Duration = Duration::from_secs(20);

async fn killed(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let server = &mut arena.world.servers[0];
    server.kill()?;
    last(&mut random, 0, 500).await;
    let healing = Instant::now();
    server.start()?;
    Ok(healing)
}

/// Has the server die at a fail point so many times, and then start without it.
async fn dying(arena: &mut Arena, _: Random, point: &str, times: usize) -> anyhow::Result<Instant> {
    let server = &mut arena.world.servers[0];
    server.settings.variables.push(("FAILPOINTS", point.to_string()));
    server.kill()?;
    for _ in 0..times {
        server.start()?;
        until("the server dies at its fail point", DEATH_WAIT, async || Ok(!server.alive()?)).await?;
    }
    server.settings.variables.pop();
    let healing = Instant::now();
    server.start()?;
    Ok(healing)
}

pub async fn restarted(arena: &mut Arena, _: Random) -> anyhow::Result<Instant> {
    let mut healing = Instant::now();
    for server in &mut arena.world.servers {
        let status = server.stop().await?;
        if status.code() != Some(0) {
            arena.ledger.breach(format!("a server ended with {status} on SIGTERM"));
        }
        healing = Instant::now();
        server.start()?;
        server.listening(DEATH_WAIT).await?;
    }
    Ok(healing)
}

async fn frozen(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let frozen = random.between(0, 2) as usize;
    arena.world.servers[frozen].signal(Signal::SIGSTOP)?;
    let begun = Instant::now();
    let mut http = crate::http::Http::new(arena.world.addresses[(frozen + 1) % 3].clone());
    let number = arena.ledger.take(1, crate::ledger::Fit::Good);
    while !send(&mut http, Face::Graphql, &arena.ledger, &number).await {
        if begun.elapsed() > OTHERS_WAIT {
            arena.ledger.breach(format!("beside a frozen server nothing is recorded for {} s", OTHERS_WAIT.as_secs()));
            break;
        }
    }
    last(&mut random, 1_000, 6_000).await;
    let healing = Instant::now();
    arena.world.servers[frozen].signal(Signal::SIGCONT)?;
    Ok(healing)
}
