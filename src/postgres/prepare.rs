//! Brings a database up to date: the extension, the roles, the migrations, and what the service's role may do.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tracing::{info, warn};

/// All migrations, held in the binary.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Replicas that start together may meet in the catalogue, where one of them must try again.
const TRIES_MAX: u32 = 5;
const TRY_PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("cannot connect to postgres as `{role}`")]
    Connect { role: String, source: sqlx::Error },
    #[error(
        "role `{role}` may not add the extension `vector`: let an administrator run `CREATE EXTENSION vector` in this \
         database"
    )]
    Vector { role: String, source: sqlx::Error },
    #[error(
        "there is no role `{service}`, and `{owner}` may not make it: let an administrator run \
         `CREATE ROLE \"{service}\" LOGIN` with a password"
    )]
    Role { service: String, owner: String },
    #[error(
        "role `{role}` may not migrate the database: give the owner's address with `--owner-url`, or let the owner run \
         `binnacle migrate`"
    )]
    NotOwner { role: String, source: MigrateError },
    #[error("the database was migrated by a newer binnacle, which knows migration {version}: run that one")]
    Newer { version: i64 },
    #[error("a migration failed")]
    Migrate(#[source] MigrateError),
    #[error("cannot tell role `{service}` what it may do")]
    Grant { service: String, source: sqlx::Error },
    #[error("cannot read the state of the database")]
    Database(#[from] sqlx::Error),
}

/// What keeps the journal append-only for the serving process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarding {
    /// The service's role lacks the rights, and the triggers refuse.
    RolesAndTriggers,
    /// The service runs as the tables' owner, so the triggers alone refuse.
    TriggersOnly,
}

/// Migrates the database as `owner` and tells the role of `service` what it may do.
///
/// Several replicas may do this at once, and it may have been done before. With the same role in both addresses there
/// is nobody to keep apart, and Binnacle says so.
pub async fn prepare(owner: &PgConnectOptions, service: &PgConnectOptions) -> Result<Guarding, PrepareError> {
    let mut tried = 1;
    loop {
        match prepare_once(owner, service).await {
            Err(error) if tried < TRIES_MAX && raced(&error) => {
                tokio::time::sleep(TRY_PAUSE * tried).await;
                tried += 1;
            }
            done => return done,
        }
    }
}

/// The migrations of this binary that the database has not had.
pub async fn pending(db: &sqlx::PgPool) -> Result<Vec<i64>, sqlx::Error> {
    // sqlx's own table, which our migrations do not make: so its statement is not checked against them.
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version LIMIT 10000")
            .fetch_all(db)
            .await?;
    Ok(MIGRATIONS.iter().map(|migration| migration.version).filter(|version| !applied.contains(version)).collect())
}

/// Tells everybody and `service` anew what they may do, for whoever has just made a table or a function.
pub async fn grant(owner: &mut PgConnection, service: &str) -> Result<(), sqlx::Error> {
    let mut tx = owner.begin().await?;
    // GRANT fails where another session changes the same table's rights at the same moment.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('binnacle grants'))").execute(&mut *tx).await?;
    // So does one where another session makes a partition of that table: it holds this lock, see `journal_ensure_partition`.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('binnacle partitions'))").execute(&mut *tx).await?;
    sqlx::query("SELECT set_config('binnacle.service_role', $1, true)").bind(service).execute(&mut *tx).await?;
    sqlx::raw_sql(include_str!("grants.sql")).execute(&mut *tx).await?;
    tx.commit().await
}

async fn prepare_once(owner: &PgConnectOptions, service: &PgConnectOptions) -> Result<Guarding, PrepareError> {
    let (owner_role, service_role) = (owner.get_username(), service.get_username());
    let mut connection = connect(owner).await?;

    if !up_to_date(&mut connection).await? {
        add_vector(&mut connection, owner_role).await?;
        // `run` itself makes a future that cannot be spawned, which is why sqlx has this way round.
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|error| migrate_error(error, owner_role))?;
        info!("migrated the database");
    }
    if owner_role != service_role {
        make_role(&mut connection, owner_role, service_role).await?;
    }
    let failed = |source| PrepareError::Grant { service: service_role.to_owned(), source };
    grant(&mut connection, service_role).await.map_err(failed)?;
    connection.close().await?;

    let guarding = guarding(service).await?;
    if guarding == Guarding::TriggersOnly {
        warn!("role `{service_role}` owns the journal, so triggers alone keep it append-only: see `--owner-url`");
    }
    Ok(guarding)
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, PrepareError> {
    let failed = |source| PrepareError::Connect { role: options.get_username().to_owned(), source };
    options.clone().application_name("binnacle migrate").connect().await.map_err(failed)
}

/// Looks before it migrates, since even a look by sqlx makes its table, which only the owner may.
async fn up_to_date(connection: &mut PgConnection) -> Result<bool, PrepareError> {
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !there {
        return Ok(false);
    }
    let applied = connection.list_applied_migrations(&MIGRATIONS.table_name).await.map_err(PrepareError::Migrate)?;
    let applied: HashMap<_, _> = applied.into_iter().map(|migration| (migration.version, migration.checksum)).collect();
    if let Some(version) = applied.keys().copied().filter(|version| !MIGRATIONS.version_exists(*version)).max() {
        return Err(PrepareError::Newer { version });
    }
    Ok(MIGRATIONS.iter().all(|migration| applied.get(&migration.version) == Some(&migration.checksum)))
}

async fn add_vector(connection: &mut PgConnection, role: &str) -> Result<(), PrepareError> {
    let done = sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS vector").execute(connection).await;
    match done {
        Err(source) if code_of(&source).as_deref() == Some("42501") => {
            Err(PrepareError::Vector { role: role.to_owned(), source })
        }
        done => done.map(|_| ()).map_err(PrepareError::Database),
    }
}

/// Roles belong to the whole server, so another database's Binnacle may make this one at the same moment.
async fn make_role(connection: &mut PgConnection, owner: &str, service: &str) -> Result<(), PrepareError> {
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(service)
        .fetch_one(&mut *connection)
        .await?;
    if there {
        return Ok(());
    }
    sqlx::query("SELECT set_config('binnacle.service_role', $1, false)")
        .bind(service)
        .execute(&mut *connection)
        .await?;
    let made = sqlx::raw_sql(
        "DO $$ BEGIN
             EXECUTE format('CREATE ROLE %I LOGIN', current_setting('binnacle.service_role'));
         EXCEPTION WHEN duplicate_object OR unique_violation THEN
             NULL;
         END $$",
    )
    .execute(&mut *connection)
    .await;
    match made {
        Err(error) if code_of(&error).as_deref() == Some("42501") => {
            Err(PrepareError::Role { service: service.to_owned(), owner: owner.to_owned() })
        }
        Err(error) => Err(error.into()),
        Ok(_) => {
            warn!("made role `{service}` without a password; give it one with `ALTER ROLE` if it logs in by password");
            Ok(())
        }
    }
}

async fn guarding(service: &PgConnectOptions) -> Result<Guarding, PrepareError> {
    let mut connection = connect(service).await?;
    let owns: Option<bool> = sqlx::query_scalar(
        "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('audit_events')",
    )
    .fetch_optional(&mut connection)
    .await?;
    connection.close().await?;
    Ok(if owns == Some(true) { Guarding::TriggersOnly } else { Guarding::RolesAndTriggers })
}

fn migrate_error(error: MigrateError, role: &str) -> PrepareError {
    match error {
        error if migrate_code(&error).as_deref() == Some("42501") => {
            PrepareError::NotOwner { role: role.to_owned(), source: error }
        }
        error => PrepareError::Migrate(error),
    }
}

/// Whether two sessions met in the catalogue: a deadlock, a name made twice, a row changed under our hands, or a table that another
/// reads for long.
fn raced(error: &PrepareError) -> bool {
    let (code, message) = match error {
        PrepareError::Migrate(error) => (migrate_code(error), error.to_string()),
        PrepareError::Grant { source, .. } | PrepareError::Database(source) => (code_of(source), source.to_string()),
        _ => return false,
    };
    matches!(code.as_deref(), Some("40P01" | "40001" | "23505" | "42P07" | "42710" | "55P03"))
        || message.contains("tuple concurrently updated")
}

fn migrate_code(error: &MigrateError) -> Option<String> {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => code_of(error),
        _ => None,
    }
}

fn code_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}
