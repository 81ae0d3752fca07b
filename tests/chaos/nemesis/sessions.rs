//! Sessions of others that hold what Binnacle needs, and sessions of its own that freeze.

use std::{
    io::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{AssertSqlSafe, Connection as _};

use super::{Arena, Fault, PLAIN, last, until};
use crate::{
    http::Http,
    ledger::Fit,
    random::Random,
    world::postgres::{DATABASE, OWNER, SERVICE},
    writers::send::{Face, send},
};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "head-held",
        how: "a foreign session holds the row of `journal_head` for 1 to 12 s",
        strike: |arena, random| Box::pin(head_held(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "session-frozen",
        how: "a client is frozen in a transaction that holds `journal_head`, until Postgres ends its session",
        strike: |arena, random| Box::pin(session_frozen(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "backend-frozen",
        how: "SIGSTOP of the processes of Postgres that append, for 1 to 8 s",
        strike: |arena, random| Box::pin(backend_frozen(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "tables-locked",
        how: "`ACCESS EXCLUSIVE` on a projection's table or on the journal for 1 to 6 s",
        strike: |arena, random| Box::pin(tables_locked(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "slow-query",
        how: "queries that take both cores of Postgres for 6 s",
        rounds: 3,
        strike: |arena, random| Box::pin(slow_query(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "connections-used-up",
        how: "all of the few connections of Postgres are taken by a crowd, and those of the server ended",
        strike: |arena, random| Box::pin(connections_used_up(arena, random)),
        setup: crate::world::Setup { postgres: &["max_connections=30"], ..crate::world::Setup::ONE_SERVER },
        ..PLAIN
    },
];

/// After how long Postgres ends a session that idles in its transaction, where that session asks for it.
const IDLE_MS: u64 = 2_000;
/// How long the freed head may take to be used again.
const FREED_WAIT: Duration = Duration::from_secs(30);

async fn head_held(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let mut holder = arena.world.postgres.connect(OWNER).await?;
    let mut held = holder.begin().await?;
    sqlx::query("SELECT FROM journal_head FOR UPDATE").execute(&mut *held).await?;
    last(&mut random, 1_000, 12_000).await;
    let healing = Instant::now();
    held.rollback().await?;
    Ok(healing)
}

async fn session_frozen(arena: &mut Arena, _: Random) -> anyhow::Result<Instant> {
    let mut command = arena.world.postgres.program("psql");
    command.arg(arena.world.postgres.url(OWNER, DATABASE)).args(["-q", "-X"]).stdin(Stdio::piped());
    command.env("PGOPTIONS", format!("-c idle_in_transaction_session_timeout={IDLE_MS}"));
    let mut psql = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(input) = &mut psql.stdin {
        writeln!(input, "BEGIN; SELECT FROM journal_head FOR UPDATE;")?;
    }
    let mut admin = arena.world.postgres.admin().await?;
    until("the client holds the head", FREED_WAIT, async || {
        Ok(sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'psql' AND state = 'idle in transaction')",
        )
        .fetch_one(&mut admin)
        .await?)
    })
    .await?;
    kill(Pid::from_raw(psql.id() as i32), Signal::SIGSTOP)?;
    let healing = Instant::now();
    // Nobody helps: the session is ended by Postgres, and what waited goes on.
    let mut http = Http::new(arena.world.addresses[0].clone());
    let number = arena.ledger.take(1, Fit::Good);
    while !send(&mut http, Face::Graphql, &arena.ledger, &number).await {
        if healing.elapsed() > FREED_WAIT {
            arena.ledger.breach(format!("a frozen session holds the head for {} s", FREED_WAIT.as_secs()));
            break;
        }
    }
    psql.kill()?;
    psql.wait()?;
    Ok(healing)
}

async fn backend_frozen(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let mut admin = arena.world.postgres.admin().await?;
    let appending: Vec<i32> =
        sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE application_name = 'binnacle append'")
            .fetch_all(&mut admin)
            .await?;
    let signal = |signal| {
        for pid in &appending {
            let _ = kill(Pid::from_raw(*pid), signal); // a session may have ended meanwhile
        }
    };
    signal(Signal::SIGSTOP);
    last(&mut random, 1_000, 8_000).await;
    let healing = Instant::now();
    signal(Signal::SIGCONT);
    Ok(healing)
}

async fn tables_locked(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let table = *random.pick(&["remediations", "event_index", "search_documents", "audit_events", "event_keys"]);
    let mut holder = arena.world.postgres.connect(OWNER).await?;
    let mut held = holder.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))).execute(&mut *held).await?;
    last(&mut random, 1_000, 6_000).await;
    let healing = Instant::now();
    held.rollback().await?;
    Ok(healing)
}

async fn slow_query(arena: &mut Arena, _: Random) -> anyhow::Result<Instant> {
    const QUERY: &str =
        "SET statement_timeout = '6s'; SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let (mut one, mut other) = (arena.world.postgres.admin().await?, arena.world.postgres.admin().await?);
    let (one, other) = tokio::join!(sqlx::raw_sql(QUERY).execute(&mut one), sqlx::raw_sql(QUERY).execute(&mut other));
    anyhow::ensure!(one.is_err() && other.is_err(), "the queries were not slow");
    Ok(Instant::now())
}

async fn connections_used_up(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let mut admin = arena.world.postgres.admin().await?;
    let mut crowd = Vec::new();
    // The crowd takes what is free, then what the server is made to give up; the server never gets all of it back.
    for _ in 0..2 {
        while let Ok(session) = arena.world.postgres.connect(SERVICE).await {
            crowd.push(session);
        }
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'binnacle %'")
            .execute(&mut admin)
            .await?;
    }
    last(&mut random, 500, 5_000).await;
    let healing = Instant::now();
    drop(crowd);
    Ok(healing)
}
