//! Clocks that are wrong: the clients', the servers', and Postgres's.

use std::time::Instant;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::{Arena, Fault, Need, PLAIN, last};
use crate::{
    http::Http,
    ledger::Fit,
    random::Random,
    world::{Setup, postgres::ADMIN},
    writers::send::{Face, RECORD, graphql_body, send_body},
};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "client-clocks",
        how: "clients whose clocks are a year late, or ahead, which the checks refuse",
        strike: |arena, random| Box::pin(clients(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "server-clocks",
        how: "three servers, one an hour ahead and one an hour late, killed and started again in turns",
        setup: Setup { servers: 3, fail_points: &["clock=return(3600)", "clock=return(-3600)"], ..Setup::ONE_SERVER },
        needs: Need::FailPoints,
        strike: |arena, random| Box::pin(servers(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "postgres-clock-back",
        how: "the last `recorded_at` lies an hour ahead, as after a clock that was set back",
        rounds: 3,
        strike: |arena, random| Box::pin(set_back(arena, random)),
        ..PLAIN
    },
];

const SENT: usize = 50;

/// Good audits, some of whose times are a year ago, and bad ones whose times are a year ahead, in one batch.
async fn clients(arena: &mut Arena, _: Random) -> anyhow::Result<Instant> {
    let ledger = &arena.ledger;
    let numbers = [ledger.take(SENT, Fit::Bad), ledger.take(SENT, Fit::Good)].concat();
    let ahead = (Utc::now() + TimeDelta::days(365)).to_rfc3339();
    let inputs = numbers.iter().enumerate().map(|(index, number)| {
        let mut input = ledger.audits.graphql(*number);
        if index < SENT {
            input["notification"]["occurredAt"] = json!(ahead);
        }
        input
    });
    let body = graphql_body(&inputs.collect::<Vec<_>>(), RECORD);
    let mut http = Http::new(arena.world.addresses[0].clone());
    send_body(&mut http, Face::Graphql, ledger, &numbers, &body).await;
    Ok(Instant::now())
}

async fn servers(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let server = &mut arena.world.servers[random.between(0, 2) as usize];
    server.kill()?;
    last(&mut random, 0, 300).await;
    let healing = Instant::now();
    server.start()?;
    Ok(healing)
}

async fn set_back(arena: &mut Arena, _: Random) -> anyhow::Result<Instant> {
    let mut admin = arena.world.postgres.connect(ADMIN).await?;
    sqlx::query(
        "UPDATE journal_head SET last_recorded_at = greatest(last_recorded_at, clock_timestamp()) + interval '1 hour'",
    )
    .execute(&mut admin)
    .await?;
    Ok(Instant::now())
}
