//! The monthly partitions: made ahead by a worker, so that an append never has to.

use chrono::{DateTime, Months, Utc};
use sqlx::PgPool;

/// How many months ahead partitions are made.
pub const MONTHS_AHEAD: u32 = 3;

/// Makes the partitions of this month and of the next three, and answers their names.
pub async fn ensure_ahead(db: &PgPool, now: DateTime<Utc>) -> Result<Vec<String>, sqlx::Error> {
    let mut names = Vec::new();
    for months in 0..=MONTHS_AHEAD {
        let month = now + Months::new(months);
        let name =
            sqlx::query_scalar!(r#"SELECT journal_ensure_partition($1) AS "name!""#, month).fetch_one(db).await?;
        names.push(name);
    }
    Ok(names)
}

/// A partition, with the names and sizes that operators ask for.
#[derive(Clone, Debug)]
pub struct Partition {
    pub name: String,
    pub bytes: i64,
}

/// All partitions, oldest first.
pub async fn list(db: &PgPool) -> Result<Vec<Partition>, sqlx::Error> {
    sqlx::query_as!(
        Partition,
        r#"SELECT c.relname::text AS "name!", pg_total_relation_size(c.oid) AS "bytes!"
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'audit_events'::regclass
        ORDER BY c.relname"#
    )
    .fetch_all(db)
    .await
}

/// How many months after this one have their partition already.
pub async fn months_ahead(db: &PgPool, now: DateTime<Utc>) -> Result<u32, sqlx::Error> {
    let names: Vec<String> = list(db).await?.into_iter().map(|partition| partition.name).collect();
    let ahead = (1..=MONTHS_AHEAD).take_while(|months| names.contains(&name(now + Months::new(*months)))).count();
    Ok(ahead as u32)
}

fn name(month: DateTime<Utc>) -> String {
    format!("audit_events_y{}", month.format("%Ym%m"))
}
