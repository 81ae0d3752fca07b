//! Checks that a Postgres server may be trusted with the journal, and says what to do where it may not.

use sqlx::PgPool;

use super::find::MAJOR_MIN;

/// The oldest pgvector that Binnacle's search runs on.
const VECTOR_MIN: (u32, u32) = (0, 8);

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("this postgres server may not keep a journal: {}", list(.0))]
    Unfit(Vec<Unfit>),
    #[error("the postgres server cannot be asked for its settings")]
    Database(#[from] sqlx::Error),
}

/// One reason against a server, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("it is version {found}, and binnacle needs {MAJOR_MIN} or newer: upgrade it")]
    TooOld { found: i32 },
    #[error("it is a standby, which takes no writes: name the primary in `--database-url`")]
    Standby,
    #[error("it has no extension `vector`: install pgvector {}.{} or newer on the server", VECTOR_MIN.0, VECTOR_MIN.1)]
    NoVector,
    #[error(
        "its extension `vector` is {found}, and binnacle needs {}.{} or newer: upgrade pgvector, then run \
         `ALTER EXTENSION vector UPDATE` in this database", VECTOR_MIN.0, VECTOR_MIN.1
    )]
    OldVector { found: String },
    #[error(
        "`{setting}` is off, so a power cut can lose or damage what was acknowledged: run \
         `ALTER SYSTEM SET {setting} = on` and reload"
    )]
    Unsafe { setting: &'static str },
    #[error(
        "`synchronous_commit` is {found} for role `{role}`, so an acknowledged commit may not be on disk: run \
         `ALTER ROLE {role} SET synchronous_commit = on`, and see to it that neither server, database nor address sets \
         another value"
    )]
    AsyncCommit { found: String, role: String },
}

/// Refuses a server that is too old, lacks `vector`, or would acknowledge what it may lose.
///
/// The settings are those of the pool's own sessions: a role or a database may have a `synchronous_commit` of its own.
pub async fn check_server(pool: &PgPool) -> Result<(), ServerError> {
    let found = sqlx::query!(
        r#"
        SELECT current_setting('server_version_num')::int / 10000 AS "major!",
               pg_is_in_recovery() AS "standby!",
               current_setting('fsync') AS "fsync!",
               current_setting('full_page_writes') AS "full_page_writes!",
               current_setting('synchronous_commit') AS "synchronous_commit!",
               current_setting('data_checksums') AS "data_checksums!",
               current_user::text AS "role!",
               (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector_installed,
               (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS vector_available
        "#
    )
    .fetch_one(pool)
    .await?;

    let mut unfit = Vec::new();
    if found.major < MAJOR_MIN as i32 {
        unfit.push(Unfit::TooOld { found: found.major });
    }
    if found.standby {
        unfit.push(Unfit::Standby);
    }
    match found.vector_installed.or(found.vector_available) {
        None => unfit.push(Unfit::NoVector),
        Some(version) if !new_enough(&version) => unfit.push(Unfit::OldVector { found: version }),
        Some(_) => {}
    }
    if found.fsync == "off" {
        unfit.push(Unfit::Unsafe { setting: "fsync" });
    }
    if found.full_page_writes == "off" {
        unfit.push(Unfit::Unsafe { setting: "full_page_writes" });
    }
    if matches!(found.synchronous_commit.as_str(), "off" | "local") {
        unfit.push(Unfit::AsyncCommit { found: found.synchronous_commit, role: found.role });
    }
    if found.data_checksums == "off" {
        tracing::warn!("the postgres server runs without data checksums, so it does not notice a damaged disk");
    }
    if unfit.is_empty() { Ok(()) } else { Err(ServerError::Unfit(unfit)) }
}

fn new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= VECTOR_MIN
}

fn list(unfit: &[Unfit]) -> String {
    unfit.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_pgvector_compare_by_number() {
        assert!(new_enough("0.8.5") && new_enough("0.10") && new_enough("1.0.0"));
        assert!(!new_enough("0.7.4") && !new_enough("0.6.2"));
    }
}
