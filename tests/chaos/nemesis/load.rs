//! Clients that are too many, and clients that all send the same.

use std::time::{Duration, Instant};

use tokio::{net::TcpStream, task::JoinSet};

use super::{Arena, Fault, PLAIN};
use crate::{
    http::Http,
    ledger::Fit,
    random::Random,
    world::Setup,
    writers::send::{Face, send},
};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "duplicate-storm",
        how: "16 clients send the same 1,000 audits at the same time to two servers, each in an order of its own",
        smoke: 1,
        setup: Setup { servers: 2, ..Setup::ONE_SERVER },
        strike: |arena, random| Box::pin(duplicates(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "crowd-of-clients",
        how: "200 clients at once with one audit each, beside 200 connections that say nothing",
        strike: |arena, random| Box::pin(crowd(arena, random)),
        ..PLAIN
    },
];

const RIVALS: usize = 16;
const SAME: usize = 1_000;
const CROWD: usize = 200;
/// How long a client of the crowd goes on trying.
const PATIENCE: Duration = Duration::from_secs(90);

async fn duplicates(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let numbers = arena.ledger.take(SAME, Fit::Good);
    let mut rivals = JoinSet::new();
    for rival in 0..RIVALS {
        let mut own = numbers.clone();
        random.shuffle(&mut own);
        let batch = *random.pick(&[20, 50, 100, 250]);
        let face = if rival % 3 == 2 { Face::Rest } else { Face::Graphql };
        let address = arena.world.addresses[rival % arena.world.addresses.len()].clone();
        let ledger = arena.ledger.clone();
        rivals.spawn(async move {
            let mut http = Http::new(address);
            for batch in own.chunks(batch) {
                let begun = Instant::now();
                while !send(&mut http, face, &ledger, batch).await && begun.elapsed() < PATIENCE {}
            }
        });
    }
    while rivals.join_next().await.transpose()?.is_some() {}
    Ok(Instant::now())
}

async fn crowd(arena: &mut Arena, _: Random) -> anyhow::Result<Instant> {
    let address = arena.world.addresses[0].clone();
    let mut silent = Vec::new();
    if let Some(address) = *address.borrow() {
        for _ in 0..CROWD {
            silent.push(TcpStream::connect(address).await?);
        }
    }
    let mut clients = JoinSet::new();
    for number in arena.ledger.take(CROWD, Fit::Good) {
        let (mut http, ledger) = (Http::new(address.clone()), arena.ledger.clone());
        clients.spawn(async move {
            let begun = Instant::now();
            while !send(&mut http, Face::RestOne, &ledger, &[number]).await && begun.elapsed() < PATIENCE {}
        });
    }
    while clients.join_next().await.transpose()?.is_some() {}
    let healing = Instant::now();
    drop(silent);
    Ok(healing)
}
