//! A Postgres that dies, and one whose disk answers with errors.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use sqlx::Connection as _;

use super::{Arena, Fault, Need, PLAIN, last, until};
use crate::random::Random;

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "postgres-killed",
        how: "`kill -9` of Postgres, which is started again after up to 2 s",
        smoke: 1,
        strike: |arena, random| Box::pin(killed(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "postgres-immediate",
        how: "immediate stop of Postgres, which is away for up to 6 s",
        strike: |arena, random| Box::pin(stopped(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "log-disk-errors",
        how: "EIO and ENOSPC by `strace` on what Postgres writes to its log and syncs",
        smoke: 1,
        needs: Need::Strace,
        strike: |arena, random| Box::pin(disk_errors(arena, random)),
        ..PLAIN
    },
];

/// How long the injected error may take to hit.
const HIT_WAIT: Duration = Duration::from_secs(30);

async fn killed(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    arena.world.postgres.kill()?;
    last(&mut random, 0, 2_000).await;
    arena.world.postgres.start().await?;
    Ok(Instant::now())
}

async fn stopped(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    arena.world.postgres.stop_immediately().await?;
    last(&mut random, 0, 6_000).await;
    arena.world.postgres.start().await?;
    Ok(Instant::now())
}

/// Postgres answers an error on its log with a panic of all its processes: it cannot know what is on disk.
async fn disk_errors(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let injection = *random.pick(&[
        "inject=fdatasync:error=EIO:when=1",
        "inject=fdatasync:error=EIO:when=7+",
        "inject=fdatasync:error=ENOSPC:when=3+",
        "inject=pwrite64:error=ENOSPC:when=5+",
        "inject=pwrite64:error=EIO:when=2+",
    ]);
    let mut admin = arena.world.postgres.admin().await?;
    let writing: Vec<i32> = sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'binnacle append' OR backend_type = 'walwriter'",
    )
    .fetch_all(&mut admin)
    .await?;
    drop(admin);

    let panics = panics(arena);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=fdatasync,pwrite64", "-e", injection]);
    for pid in writing {
        strace.args(["-p", &pid.to_string()]);
    }
    strace.current_dir(&arena.world.folder.path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut strace = strace.spawn()?;
    let hit = until("an injected error has hit postgres", HIT_WAIT, async || Ok(self::panics(arena) > panics)).await;
    let _ = strace.kill(); // it may have ended with what it traced
    strace.wait()?;
    hit?;
    // It starts again by itself, unless the error hit it while it did.
    until("postgres has come back", HIT_WAIT, async || {
        arena.world.postgres.start().await?;
        match arena.world.postgres.admin().await {
            Ok(admin) => admin.close().await.map(|()| true).or(Ok(false)),
            Err(_) => Ok(false),
        }
    })
    .await?;
    Ok(Instant::now())
}

/// How often Postgres has panicked, by its log.
fn panics(arena: &Arena) -> usize {
    let log = std::fs::read(arena.world.postgres.log()).unwrap_or_default();
    log.windows(8).filter(|window| window == b"PANIC:  ").count()
}
