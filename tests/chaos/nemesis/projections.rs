//! An event that a projection cannot take.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;

use super::{Arena, Fault, PLAIN, until};
use crate::{audits::Audits, random::Random, world::postgres::ADMIN};

pub const FAULTS: &[Fault] = &[Fault {
    name: "poison-event",
    how: "the table of a projection refuses the events of one remediation, until that is mended and rebuilt",
    rounds: 3,
    strike: |arena, random| Box::pin(poison(arena, random)),
    mend: |arena| Box::pin(rebuild(arena)),
    ..PLAIN
}];

/// How long an event may take to be parked.
const PARKED_WAIT: Duration = Duration::from_secs(90);

async fn poison(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let mut admin = arena.world.postgres.connect(ADMIN).await?;
    let remediation = Audits::remediation(random.next());
    let (round, before) = (arena.round, letters(arena).await?);
    let refuse = format!(
        "ALTER TABLE event_index ADD CONSTRAINT chaos_{round} CHECK (remediation_id <> '{remediation}') NOT VALID"
    );
    sqlx::raw_sql(AssertSqlSafe(refuse)).execute(&mut admin).await?;
    until("a poison event is parked", PARKED_WAIT, async || Ok(letters(arena).await? > before)).await?;
    let healing = Instant::now();
    let allow = format!("ALTER TABLE event_index DROP CONSTRAINT chaos_{round}");
    sqlx::raw_sql(AssertSqlSafe(allow)).execute(&mut admin).await?;
    Ok(healing)
}

async fn letters(arena: &Arena) -> anyhow::Result<i64> {
    let mut admin = arena.world.postgres.admin().await?;
    Ok(sqlx::query_scalar("SELECT count(*) FROM projection_dead_letters").fetch_one(&mut admin).await?)
}

async fn rebuild(arena: &mut Arena) -> anyhow::Result<()> {
    let (code, told) = arena.world.command(&["rebuild", "event_index"]).await?;
    if code != Some(1) {
        arena
            .ledger
            .breach(format!("a rebuild after a poison event has to find rows that were missing: {code:?} {told}"));
    }
    let left = letters(arena).await?;
    if left > 0 {
        arena.ledger.breach(format!("{left} dead letters are left after a rebuild"));
    }
    Ok(())
}
