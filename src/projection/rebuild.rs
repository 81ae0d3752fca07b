//! Rebuilding: the same steps fill tables of the same names in a schema beside, while the old ones serve; then both are
//! compared and swapped in one transaction.

use anyhow::{Context as _, bail};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Batches, Projection, advance, cursor};
use crate::{audit::Position, journal::read, postgres};

const SIDE: &str = "binnacle_rebuild";
const RETIRED: &str = "binnacle_retired";

/// How often the swap waits anew for readers that hold the old tables.
const SWAP_TRIES_MAX: u32 = 20;

/// Drops the indexes beside that are no constraint's: they come back after the rows, which is quicker, and under their own
/// names, which `LIKE` does not keep and later migrations rely on.
const DROP_INDEXES: &str = "DO $$ DECLARE item record; BEGIN
    FOR item IN
        SELECT indexrelid::regclass AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'binnacle_rebuild'::regnamespace AND c.relname NOT LIKE 'projection%'
            AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
    LOOP
        EXECUTE 'DROP INDEX ' || item.name;
    END LOOP;
END $$;";

/// Makes them again, after the rows, from those of the live tables.
const MAKE_INDEXES: &str = "DO $$ DECLARE item record; BEGIN
    FOR item IN
        SELECT replace(replace(replace(indexdef, ' ON ONLY public.', ' ON binnacle_rebuild.'),
                ' ON public.', ' ON binnacle_rebuild.'), ' INDEX ', ' INDEX IF NOT EXISTS ') AS definition
        FROM pg_indexes p
        WHERE schemaname = 'public'
            AND to_regclass('binnacle_rebuild.' || quote_ident(tablename)) IS NOT NULL
            AND NOT (SELECT relispartition FROM pg_class WHERE oid = to_regclass('public.' || quote_ident(tablename)))
            AND tablename NOT LIKE 'projection%'
            AND NOT EXISTS (
                SELECT FROM pg_constraint k WHERE k.conindid = to_regclass('public.' || quote_ident(indexname)))
    LOOP
        EXECUTE item.definition;
    END LOOP;
END $$;
";

/// How far behind the live cursor the tables beside may be when the swap begins: what is left is done under its lock.
const NEAR: i64 = 2_000;

/// What a rebuild found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub projection: Projection,
    /// Up to which position both were compared.
    pub position: Position,
    /// For each table its rows, and how many of them the old table had not or had otherwise (or had beyond).
    pub tables: Vec<Table>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    pub rows: i64,
    pub differing: i64,
}

/// Rebuilds a projection with the owner's role and gives the new tables to `service`; `progress` is told the position
/// reached and the one to reach.
pub async fn rebuild(
    owner: &PgConnectOptions,
    service: &str,
    projection: Projection,
    progress: impl FnMut(Position, Position),
) -> anyhow::Result<Outcome> {
    let owner = postgres::with_kept_plans(owner.clone());
    let mut db = PgConnection::connect_with(&owner).await.context("connecting as the owner")?;
    let alone = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock(hashtext('binnacle rebuild')) AS "alone!""#)
        .fetch_one(&mut db)
        .await?;
    if !alone {
        bail!("another rebuild is running on this database; wait for it to end");
    }
    // What comes next is read while the rows of what was read last are written.
    let readers = PgPoolOptions::new().max_connections(2).connect_lazy_with(owner);
    let batches = Batches::of(readers.clone(), projection);
    let outcome = rebuild_alone(&mut db, service, projection, &batches, progress).await;
    readers.close().await;
    let outcome = outcome?;
    // The end of the session would give it back too, but some time later: too late for a rebuild that follows at once.
    sqlx::query_scalar!(r#"SELECT pg_advisory_unlock(hashtext('binnacle rebuild')) AS "held!""#)
        .fetch_one(&mut db)
        .await?;
    Ok(outcome)
}

async fn rebuild_alone(
    db: &mut PgConnection,
    service: &str,
    projection: Projection,
    batches: &Batches,
    mut progress: impl FnMut(Position, Position),
) -> anyhow::Result<Outcome> {
    build_beside(db, projection).await?;
    loop {
        let reached = cursor::position(&mut *db, projection).await?;
        let live = live_position(db, projection).await?;
        progress(reached, live);
        if reached.0 + NEAR >= live.0 {
            break;
        }
        advance_beside(db, projection, live, batches).await?;
    }
    run(db, MAKE_INDEXES.to_string()).await.context("making the indexes")?;
    let mut tries = 1;
    let outcome = loop {
        match swap(db, service, projection, batches).await {
            Err(error) if tries < SWAP_TRIES_MAX && is_busy(&error) => tries += 1,
            swapped => break swapped?,
        }
    };
    progress(outcome.position, outcome.position);
    Ok(outcome)
}

/// A step of the tables beside, not beyond `live`: where it ends; `None` where there is nothing to do.
async fn advance_beside(
    db: &mut PgConnection,
    projection: Projection,
    live: Position,
    batches: &Batches,
) -> anyhow::Result<Option<Position>> {
    let (cursor, _) = cursor::look(&mut *db, projection).await?;
    batches.stands(projection, cursor.position);
    if live <= cursor.position {
        return Ok(None);
    }
    let batch = batches.take(projection, cursor.position, cursor.recorded_at, live).await;
    advance(db, projection, cursor, live, batch.as_deref(), batches).await
}

/// Empty tables of the projection in the schema beside, which the connection then looks in first.
async fn build_beside(db: &mut PgConnection, projection: Projection) -> anyhow::Result<()> {
    let own_tables = match projection {
        Projection::Remediations => {
            let views = projection.tables().iter().filter(|table| **table != "remediations").map(|view| {
                let kind = view.trim_end_matches("_view").to_uppercase();
                format!(
                    "CREATE TABLE {SIDE}.{view} PARTITION OF {SIDE}.service_views FOR VALUES IN ('{kind}')
                        WITH (toast_tuple_target = 8160);"
                )
            });
            format!(
                "CREATE TABLE {SIDE}.remediations (LIKE public.remediations INCLUDING ALL);
                CREATE TABLE {SIDE}.service_views (LIKE public.service_views INCLUDING ALL) PARTITION BY LIST (kind);
                {DROP_INDEXES}
                {}",
                views.collect::<String>()
            )
        }
        Projection::EventIndex => {
            format!("CREATE TABLE {SIDE}.event_index (LIKE public.event_index INCLUDING ALL); {DROP_INDEXES}")
        }
        // Its steps look texts up.
        Projection::SearchDocuments => format!(
            "CREATE TABLE {SIDE}.search_documents (LIKE public.search_documents INCLUDING ALL);
            {DROP_INDEXES}
            CREATE INDEX search_documents_by_content ON {SIDE}.search_documents (content, first_position);"
        ),
    };
    let (name, rules) = (projection.name(), projection.rules());
    run(
        db,
        format!(
            "DROP SCHEMA IF EXISTS {SIDE} CASCADE;
            CREATE SCHEMA {SIDE};
            CREATE TABLE {SIDE}.projection_cursors (LIKE public.projection_cursors INCLUDING ALL);
            CREATE TABLE {SIDE}.projection_dead_letters (LIKE public.projection_dead_letters INCLUDING ALL);
            INSERT INTO {SIDE}.projection_cursors (name, rules) VALUES ('{name}', {rules});
            {own_tables}
            SET search_path TO {SIDE}, public;"
        ),
    )
    .await
    .context("making the tables beside")
}

/// Catches up under the live cursor's lock, so that both stand at one position; compares; and swaps.
async fn swap(
    db: &mut PgConnection,
    service: &str,
    projection: Projection,
    batches: &Batches,
) -> anyhow::Result<Outcome> {
    let (name, rules) = (projection.name(), projection.rules());
    let mut tx = db.begin().await?;
    run(&mut tx, format!("SELECT FROM public.projection_cursors WHERE name = '{name}' FOR UPDATE")).await?;
    let live = live_position(&mut tx, projection).await?;
    while advance_beside(&mut tx, projection, live, batches).await?.is_some() {}

    run(&mut tx, "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on".to_string()).await?; // all of both is compared
    let mut tables = Vec::new();
    for table in projection.tables() {
        tables.push(compare(&mut tx, table).await?);
    }
    let parents: &[&str] = match projection {
        Projection::Remediations => &["remediations", "service_views"],
        Projection::EventIndex | Projection::SearchDocuments => projection.tables(),
    };
    let moved: Vec<&str> = parents
        .iter()
        .chain(projection.tables())
        .copied()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    // In the order in which readers take them: views before remediations, parents before partitions.
    let locks = match projection {
        Projection::Remediations => "public.service_views, public.remediations",
        Projection::EventIndex => "public.event_index",
        Projection::SearchDocuments => "public.search_documents",
    };
    run(&mut tx, format!("SET LOCAL lock_timeout = '3s'; LOCK TABLE {locks} IN ACCESS EXCLUSIVE MODE")).await?;
    // Documents that were made by other rules have other texts: each model is given all of them again.
    let after = match projection {
        Projection::SearchDocuments => "UPDATE public.search_models SET enqueued = 0;",
        Projection::Remediations | Projection::EventIndex => "",
    };
    let moves: String = moved
        .iter()
        .map(|table| {
            format!("ALTER TABLE public.{table} SET SCHEMA {RETIRED}; ALTER TABLE {SIDE}.{table} SET SCHEMA public;")
        })
        .collect();
    run(
        &mut tx,
        format!(
            "DROP SCHEMA IF EXISTS {RETIRED} CASCADE;
            CREATE SCHEMA {RETIRED};
            {moves}
            {after}
            UPDATE public.projection_cursors SET rules = {rules} WHERE name = '{name}';
            DELETE FROM public.projection_dead_letters WHERE projection = '{name}';
            INSERT INTO public.projection_dead_letters (projection, position, error, parked_at, tries, tried_at)
                SELECT projection, position, error, parked_at, tries, tried_at FROM {SIDE}.projection_dead_letters;
            SET LOCAL search_path TO public;
            DROP SCHEMA {RETIRED} CASCADE;
            DROP SCHEMA {SIDE} CASCADE;"
        ),
    )
    .await
    .context("swapping the tables")?;
    postgres::grant(&mut tx, service).await.context("granting the service its rights on the new tables")?;
    tx.commit().await?;
    run(db, "RESET search_path".to_string()).await?;
    Ok(Outcome { projection, position: live, tables })
}

async fn compare(db: &mut PgConnection, table: &'static str) -> anyhow::Result<Table> {
    // json has no equality; the rows' own texts have.
    let (new, old) = (format!("SELECT t::text FROM {SIDE}.{table} t"), format!("SELECT t::text FROM public.{table} t"));
    let statement = format!(
        "SELECT (SELECT count(*) FROM {SIDE}.{table}),
            greatest((SELECT count(*) FROM ({new} EXCEPT ALL {old}) added),
                (SELECT count(*) FROM ({old} EXCEPT ALL {new}) removed))"
    );
    let row =
        sqlx::query(AssertSqlSafe(statement)).fetch_one(db).await.with_context(|| format!("comparing `{table}`"))?;
    Ok(Table { name: table, rows: row.try_get(0)?, differing: row.try_get(1)? })
}

/// Whether somebody held the tables for too long, or got in a circle with us.
fn is_busy(error: &anyhow::Error) -> bool {
    let code = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<sqlx::Error>())
        .find_map(|error| error.as_database_error().and_then(|refusal| refusal.code().map(|code| code.into_owned())));
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

async fn live_position(db: &mut PgConnection, projection: Projection) -> Result<Position, sqlx::Error> {
    let position =
        sqlx::query_scalar!("SELECT position FROM public.projection_cursors WHERE name = $1", projection.name())
            .fetch_one(&mut *db)
            .await?;
    Ok(Position(position).min(read::head(db).await?.last))
}

/// Runs DDL, whose texts are put together from constants of this file and of `Projection` only.
async fn run(db: &mut PgConnection, statements: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(db).await.map(drop)
}
