//! How a command ends: its exit code, and what it tells of a failure.

use std::process::ExitCode;

use crate::{
    caller::CallersError,
    config::ConfigError,
    graphql::AllowListError,
    postgres::{BackupError, EmbeddedError},
    telemetry::LogError,
};

/// The ends of a command. The numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// Done, and something needs a look.
    Findings = 1,
    /// The command line or a setting is wrong.
    Usage = 2,
    /// Something that is needed cannot be reached now.
    Unavailable = 3,
    Failed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Marks a failure as `Unavailable`, as context of an error that does not say so itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub &'static str);

/// Marks a mistake of the command line that clap cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The end that an error means.
pub fn of(error: &anyhow::Error) -> Exit {
    let usage = error.is::<ConfigError>()
        || error.is::<CallersError>()
        || error.is::<AllowListError>()
        || error.is::<LogError>()
        || error.is::<Usage>()
        || no_store(error);
    if usage {
        return Exit::Usage;
    }
    let unreachable = |cause: &sqlx::Error| {
        matches!(cause, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
    };
    let database = error.chain().filter_map(|cause| cause.downcast_ref::<sqlx::Error>()).any(unreachable);
    if database || error.is::<Unavailable>() { Exit::Unavailable } else { Exit::Failed }
}

fn no_store(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let embedded = match cause.downcast_ref() {
            Some(BackupError::Embedded(embedded)) => Some(embedded),
            _ => cause.downcast_ref(),
        };
        matches!(embedded, Some(EmbeddedError::NoStore { .. }))
    })
}

/// Tells a person what went wrong: the failure, and its causes below it.
pub fn tell(error: &anyhow::Error) {
    eprintln!("binnacle: {}", told(error));
}

fn told(error: &anyhow::Error) -> String {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some errors repeat their source; once is enough.
        if !lines.last().is_some_and(|line| line.contains(&cause)) {
            lines.push(cause);
        }
    }
    lines.join("\n  because: ")
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn the_cause_decides_the_exit_code() {
        let io = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(of(&anyhow::Error::from(ConfigError::Contradiction).context("cannot start")), Exit::Usage);
        assert_eq!(of(&anyhow::Error::from(sqlx::Error::Io(io())).context("cannot start")), Exit::Unavailable);
        assert_eq!(of(&anyhow::Error::from(io()).context(Unavailable("no server"))), Exit::Unavailable);
        assert_eq!(of(&anyhow!("a bug")), Exit::Failed);
    }

    #[test]
    fn a_failure_is_told_with_its_causes_each_once() {
        let error = Err::<(), _>(anyhow!("connection refused"))
            .context("cannot reach the database: connection refused")
            .context("cannot serve")
            .unwrap_err();
        assert_eq!(told(&error), "cannot serve\n  because: cannot reach the database: connection refused");
    }
}
