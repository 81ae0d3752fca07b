//! The one table from failures to what clients of both faces see: a stable code, a helpful message for their mistakes, a
//! bare one for ours. A failure is logged here, once, with its whole chain of causes.

mod failure;

use std::time::Duration;

use tracing::{error, warn};

use crate::{
    administration::Unrecorded,
    feed::FeedError,
    journal::Unavailable,
    projection::{pinned::PinError, signals::WaitError, statistics::StatisticsError},
    search::SearchError,
};

pub use failure::{Failure, Row};

/// The codes that clients of GraphQL may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Unauthenticated,
    Forbidden,
    NotFound,
    BadInput,
    TooComplex,
    Unavailable,
    Timeout,
    /// A subscriber reads more slowly than events come.
    TooSlow,
    Internal,
}

impl Code {
    pub const ALL: [Code; 9] = [
        Code::Unauthenticated,
        Code::Forbidden,
        Code::NotFound,
        Code::BadInput,
        Code::TooComplex,
        Code::Unavailable,
        Code::Timeout,
        Code::TooSlow,
        Code::Internal,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::Forbidden => "FORBIDDEN",
            Code::NotFound => "NOT_FOUND",
            Code::BadInput => "BAD_INPUT",
            Code::TooComplex => "TOO_COMPLEX",
            Code::Unavailable => "UNAVAILABLE",
            Code::Timeout => "TIMEOUT",
            Code::TooSlow => "TOO_SLOW",
            Code::Internal => "INTERNAL",
        }
    }
}

/// What a client is told of a failure.
// It has no `Display`, so that async-graphql cannot turn it into an error of its own without the code.
#[derive(Clone, Debug)]
pub struct ClientError {
    pub failure: Failure,
    pub message: String,
    /// When the same request may succeed, where we know better than the failure's row.
    pub retry_after: Option<Duration>,
}

impl ClientError {
    pub fn new(failure: Failure, message: impl Into<String>) -> ClientError {
        ClientError { failure, message: message.into(), retry_after: None }
    }

    pub fn bad_input(message: impl Into<String>) -> ClientError {
        ClientError::new(Failure::BadInput, message)
    }

    pub fn forbidden(message: impl Into<String>) -> ClientError {
        ClientError::new(Failure::Forbidden, message)
    }

    pub fn not_found(message: impl Into<String>) -> ClientError {
        ClientError::new(Failure::NotFound, message)
    }

    /// A failure of ours: logged with its causes, told without them.
    pub fn hidden(cause: &(dyn std::error::Error + 'static)) -> ClientError {
        error!(error = cause, "an operation failed");
        ClientError::new(Failure::Internal, "something went wrong on the server; its log says what")
    }

    pub fn code(&self) -> Code {
        self.failure.code()
    }

    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        self.failure.retryable()
    }

    /// After how long the same request is worth another try, where it is turned away for now.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after.or(self.failure.retry_after())
    }
}

impl From<sqlx::Error> for ClientError {
    fn from(failure: sqlx::Error) -> ClientError {
        let state = failure.as_database_error().and_then(|refusal| refusal.code().map(|code| code.into_owned()));
        match (&failure, state.as_deref()) {
            // Canceled by `statement_timeout`.
            (_, Some("57014")) => {
                ClientError::new(Failure::Timeout, "the query took too long; ask for less, or filter more narrowly")
            }
            // Classes of SQLSTATE: connection, role, database, resources, operator intervention, system error.
            (_, Some(state)) if ["08", "28", "3D", "53", "57", "58"].iter().any(|class| state.starts_with(class)) => {
                error!(error = &failure as &dyn std::error::Error, "the database is in trouble");
                ClientError::new(Failure::Unavailable, "the database is not available now; try again shortly")
            }
            // A value of the query that the database cannot read: the caller's.
            (_, Some(state)) if state.starts_with("22") => ClientError::bad_input(
                "a value of the query cannot be read; look for NUL characters and numbers out of range",
            ),
            // Serialization and deadlock, a lock that is held, a database that is read-only while it fails over.
            (_, Some(state)) if state.starts_with("40") || matches!(state, "55P03" | "25006") => {
                ClientError::new(Failure::Unavailable, "the database is busy; try again shortly")
            }
            (_, Some(_)) => ClientError::hidden(&failure),
            (sqlx::Error::PoolTimedOut, None) => {
                warn!("no connection to the database came free in time");
                let message = "too much is asked of the database now, or it is not available; try again shortly";
                ClientError::new(Failure::Unavailable, message)
            }
            (sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed, None)
            | (sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_), None) => {
                error!(error = &failure as &dyn std::error::Error, "the database cannot be reached");
                ClientError::new(Failure::Unavailable, "the database is not available now; try again shortly")
            }
            _ => ClientError::hidden(&failure),
        }
    }
}

impl From<FeedError> for ClientError {
    fn from(failure: FeedError) -> ClientError {
        match failure {
            FeedError::Full { .. } => ClientError::new(Failure::Unavailable, failure.to_string()),
            FeedError::TooLarge => ClientError::bad_input(failure.to_string()),
            FeedError::TooSlow => ClientError::new(Failure::TooSlow, failure.to_string()),
            FeedError::Database(failure) => failure.into(),
            FeedError::Summary(failure) => failure.into(),
        }
    }
}

impl From<anyhow::Error> for ClientError {
    fn from(failure: anyhow::Error) -> ClientError {
        match failure.downcast::<sqlx::Error>() {
            Ok(failure) => failure.into(),
            Err(failure) => ClientError::hidden(failure.as_ref()),
        }
    }
}

impl From<PinError> for ClientError {
    fn from(failure: PinError) -> ClientError {
        match failure {
            PinError::TooManyMovedOn => ClientError::bad_input(failure.to_string()),
            PinError::Database(failure) => failure.into(),
            PinError::Summary(failure) => failure.into(),
        }
    }
}

impl From<StatisticsError> for ClientError {
    fn from(failure: StatisticsError) -> ClientError {
        match failure {
            StatisticsError::TooManyRows => ClientError::bad_input(failure.to_string()),
            StatisticsError::Pin(failure) => failure.into(),
        }
    }
}

impl From<Unavailable> for ClientError {
    fn from(failure: Unavailable) -> ClientError {
        let retry_after = failure.retry_after();
        match failure {
            // The writer has logged the cause, once for the whole batch.
            Unavailable::QueueFull { .. }
            | Unavailable::Away(_)
            | Unavailable::PutOff { .. }
            | Unavailable::Unreachable { .. }
            | Unavailable::Closed => {
                ClientError { retry_after, ..ClientError::new(Failure::Unavailable, failure.to_string()) }
            }
            // Whoever tried this again for ever would keep waiting all that stands behind it.
            Unavailable::Refused(_) => ClientError::new(Failure::Internal, failure.to_string()),
            Unavailable::Unread(ref cause) => {
                error!(error = cause as &dyn std::error::Error, "could not look up what was recorded before");
                ClientError::new(Failure::Unavailable, failure.to_string())
            }
            Unavailable::BatchTooLarge { .. } => ClientError::new(Failure::TooLarge, failure.to_string()),
        }
    }
}

impl From<Unrecorded> for ClientError {
    fn from(failure: Unrecorded) -> ClientError {
        // The writer has logged the cause.
        ClientError::new(Failure::Unavailable, format!("{failure}: {}", failure.source))
    }
}

impl From<WaitError> for ClientError {
    fn from(failure: WaitError) -> ClientError {
        match failure {
            WaitError::Timeout { .. } => ClientError::new(Failure::Timeout, failure.to_string()),
            WaitError::Database(failure) => failure.into(),
        }
    }
}

impl From<SearchError> for ClientError {
    fn from(failure: SearchError) -> ClientError {
        match failure {
            SearchError::Empty | SearchError::TooLong { .. } => ClientError::bad_input(failure.to_string()),
            SearchError::NoVectors { .. } => ClientError::new(Failure::Unavailable, failure.to_string()),
            SearchError::Database(failure) => failure.into(),
            SearchError::Pinned(failure) => failure.into(),
            SearchError::Internal(failure) => failure.into(),
        }
    }
}
