//! The end of a month under load, with no partition for the next one.

use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike as _, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Arena, Fault, PLAIN, until};
use crate::{random::Random, world::postgres::ADMIN};

pub const FAULTS: &[Fault] = &[Fault {
    name: "month-rollover",
    how: "the database's clock comes to the end of a month under load, the partitions ahead are missing, and every second \
          time the server is killed just then",
    smoke: 1,
    ready: false, // it says that next month has no partition, until it makes those ahead again
    strike: |arena, random| Box::pin(rollover(arena, random)),
    ..PLAIN
}];

/// How long the turn of the month may take to be seen in the journal.
const TURN_WAIT: Duration = Duration::from_secs(60);

/// The append functions ask this clock in the place of Postgres's own.
const CLOCK: &str = "
    CREATE TABLE IF NOT EXISTS chaos_clock (ahead interval NOT NULL);
    GRANT SELECT ON chaos_clock TO PUBLIC;
    INSERT INTO chaos_clock SELECT '0' WHERE NOT EXISTS (SELECT FROM chaos_clock);
    CREATE OR REPLACE FUNCTION chaos_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        'SELECT pg_catalog.clock_timestamp() + (SELECT ahead FROM public.chaos_clock)';
    DO $$ DECLARE appends regprocedure; BEGIN
        FOR appends IN SELECT oid FROM pg_proc WHERE starts_with(proname, 'journal_append') LOOP
            EXECUTE replace(pg_get_functiondef(appends), 'clock_timestamp()', 'public.chaos_now()');
        END LOOP;
    END $$";

async fn rollover(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let mut admin = arena.world.postgres.connect(ADMIN).await?;
    sqlx::raw_sql(CLOCK).execute(&mut admin).await?;
    let (now, next): (DateTime<Utc>, DateTime<Utc>) = sqlx::query_as(
        "SELECT now, date_trunc('month', now, 'UTC') + interval '1 month'
        FROM (SELECT greatest(chaos_now(), last_recorded_at) AS now FROM journal_head) head",
    )
    .fetch_one(&mut admin)
    .await?;
    drop_partitions_after(&mut admin, now).await?;
    sqlx::query("UPDATE chaos_clock SET ahead = ahead + ($1 - chaos_now()) - interval '1 second'")
        .bind(next)
        .execute(&mut admin)
        .await?;

    let kills = random.chance(50);
    if kills {
        until("the month is nearly over", TURN_WAIT, async || {
            Ok(sqlx::query_scalar("SELECT chaos_now() > $1 - interval '50 milliseconds'")
                .bind(next)
                .fetch_one(&mut admin)
                .await?)
        })
        .await?;
        arena.world.servers[0].kill()?;
    }
    let healing = Instant::now();
    if kills {
        arena.world.servers[0].start()?;
    }
    let turned = until("the journal has turned to the next month", TURN_WAIT, async || {
        Ok(sqlx::query_scalar("SELECT last_recorded_at >= $1 FROM journal_head")
            .bind(next)
            .fetch_one(&mut admin)
            .await?)
    });
    turned.await?;
    Ok(healing)
}

/// Drops the partitions of the months to come, in which nothing is yet.
async fn drop_partitions_after(admin: &mut PgConnection, now: DateTime<Utc>) -> anyhow::Result<()> {
    let this = format!("audit_events_y{}m{:02}", now.year(), now.month());
    let ahead: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'audit_events'::regclass AND c.relname > $1 ORDER BY c.relname",
    )
    .bind(this)
    .fetch_all(&mut *admin)
    .await?;
    for name in ahead {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {name}"))).execute(&mut *admin).await?;
    }
    Ok(())
}
