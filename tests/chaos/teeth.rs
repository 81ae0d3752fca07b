//! Whether the check bites: a store is tampered with in each way that an invariant speaks of, and each has to be found.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{
    audits::Audits,
    check,
    http::Http,
    ledger::{Fit, Ledger},
    nemesis::Arena,
    random::Random,
    world::{
        Setup, World,
        postgres::{ADMIN, Postgres},
    },
    writers::send::{Face, send},
};

/// How many audits the store holds that is tampered with.
const AUDITS: usize = 40;

/// What is done to the journal behind Binnacle's back, and what the check says of it then.
const TAMPERINGS: [(&str, &str, &str); 9] = [
    (
        "the last event is taken away with all its traces",
        "DELETE FROM event_keys WHERE position = 40; DELETE FROM audit_events WHERE position = 40;
        DELETE FROM streams WHERE remediation_id = 'rr-40'; UPDATE journal_head SET next_position = 40",
        "is not recorded",
    ),
    (
        "an event in the midst is taken away",
        "DELETE FROM event_keys WHERE position = 20; DELETE FROM audit_events WHERE position = 20",
        "position 21 follows on 19",
    ),
    (
        "an event is there twice",
        "CREATE TEMPORARY TABLE again AS SELECT * FROM audit_events WHERE position = 40;
        UPDATE again SET position = 41; INSERT INTO audit_events SELECT * FROM again; DROP TABLE again",
        "is recorded twice",
    ),
    (
        "two events change places",
        "UPDATE audit_events SET position = 99 WHERE position = 20;
        UPDATE audit_events SET position = 20 WHERE position = 21;
        UPDATE audit_events SET position = 21 WHERE position = 99",
        "was acknowledged at 20",
    ),
    (
        "the content of an event is another",
        "UPDATE audit_events SET payload = '{\"notificationId\": \"nt-0\"}' WHERE position = 20",
        "is not what was sent",
    ),
    (
        "an event has another digest",
        "UPDATE audit_events SET digest = sha256('other') WHERE position = 20",
        "was acknowledged at 20",
    ),
    (
        "there is an event that nobody sent",
        "UPDATE audit_events SET event_id = gen_random_uuid() WHERE position = 20",
        "nobody sent",
    ),
    (
        "time goes back",
        "UPDATE audit_events SET recorded_at = recorded_at - interval '1 second' WHERE position = 20",
        "before the one before it",
    ),
    ("a key names another position", "UPDATE event_keys SET position = 7 WHERE position = 20", "disagree"),
];

/// Tampers with a store in each way, and fails where the check does not notice.
pub async fn bite(template: &Postgres, within: &Path) -> anyhow::Result<()> {
    let world = World::start(template, within, &Setup::ONE_SERVER).await?;
    let audits = Audits::new(Random::new(0).of("teeth").next());
    let ledger = Arc::new(Ledger::new(audits, &world.folder.path.join("ledger.txt"))?);
    let mut http = Http::new(world.addresses[0].clone());
    let numbers = ledger.take(AUDITS, Fit::Good);
    ensure!(send(&mut http, Face::Graphql, &ledger, &numbers).await, "the audits to tamper with are not recorded");
    let arena = Arena { world, ledger, round: 0 };
    let found = look(&arena).await?;
    ensure!(found.is_empty(), "nobody has tampered with anything, and yet: {found:?}");

    let mut admin = arena.world.postgres.connect(ADMIN).await?;
    sqlx::raw_sql("SET session_replication_role = replica").execute(&mut admin).await?;
    save(&mut admin).await?;
    for (what, tampering, told) in TAMPERINGS {
        sqlx::raw_sql(tampering).execute(&mut admin).await.with_context(|| format!("cannot tamper: {what}"))?;
        let found = look(&arena).await?;
        ensure!(found.iter().any(|breach| breach.contains(told)), "{what}, and the check says {found:?}");
        restore(&mut admin).await?;
    }

    // Two more of which the store knows nothing.
    arena.ledger.acknowledge(arena.ledger.take(1, Fit::Good)[0], 41, 0);
    let found = look(&arena).await?;
    ensure!(found.iter().any(|it| it.contains("is not recorded")), "an empty promise, and the check says {found:?}");
    arena.ledger.refuse(numbers[0], "to see what comes of it");
    let found = arena.ledger.forgive();
    ensure!(found.iter().any(|it| it.contains("is good")), "a refusal without reason, and the check says {found:?}");
    Ok(())
}

/// What the check finds now.
async fn look(arena: &Arena) -> anyhow::Result<Vec<String>> {
    check::look(arena).await?;
    Ok(arena.ledger.forgive())
}

const TABLES: [&str; 4] = ["audit_events", "event_keys", "streams", "journal_head"];

async fn save(admin: &mut PgConnection) -> anyhow::Result<()> {
    for table in TABLES {
        let save = format!("CREATE TABLE saved_{table} AS TABLE {table}");
        sqlx::raw_sql(AssertSqlSafe(save)).execute(&mut *admin).await?;
    }
    Ok(())
}

async fn restore(admin: &mut PgConnection) -> anyhow::Result<()> {
    for table in TABLES {
        let restore = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table}");
        sqlx::raw_sql(AssertSqlSafe(restore)).execute(&mut *admin).await?;
    }
    Ok(())
}
