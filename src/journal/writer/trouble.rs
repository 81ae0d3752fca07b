//! What is wrong with a database that takes no append, and whether a failed append may be stored all the same.

use std::{fmt, io::ErrorKind};

use sqlx::postgres::PgDatabaseError;

/// What is wrong, in words that anybody may read: they name no address and no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Refusing,
    Unreachable,
    Silent,
    LockedOut,
    Crowded,
    Restarting,
    ReadOnly,
    DiskFull,
    Short,
    HeadHeld,
    Slow,
    Rivals,
    Broken,
    Other,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trouble::Refusing => "the database refuses connections",
            Trouble::Unreachable => "the database cannot be reached",
            Trouble::Silent => "the database does not answer",
            Trouble::LockedOut => "the database does not let this server in",
            Trouble::Crowded => "the database has no connection left",
            Trouble::Restarting => "the database is starting up or shutting down",
            Trouble::ReadOnly => "the database is read-only",
            Trouble::DiskFull => "the database's disk is full",
            Trouble::Short => "the database is short of resources",
            Trouble::HeadHeld => "the journal's head is held by someone else (lock timeout)",
            Trouble::Slow => "the database is too slow",
            Trouble::Rivals => "the database had to end one of two rivals",
            Trouble::Broken => "the connection to the database broke off",
            Trouble::Other => "the database is in trouble",
        })
    }
}

impl Trouble {
    /// What kept a connection from being opened.
    pub fn of_connecting(cause: &sqlx::Error) -> Trouble {
        match cause {
            sqlx::Error::Io(cause) => match cause.kind() {
                // A socket that is not there yet is a server that is not there yet.
                ErrorKind::ConnectionRefused | ErrorKind::NotFound => Trouble::Refusing,
                ErrorKind::TimedOut => Trouble::Silent,
                _ => Trouble::Unreachable,
            },
            sqlx::Error::Database(refusal) => {
                Trouble::of_turning_away(refusal.downcast_ref::<PgDatabaseError>().code())
            }
            _ => Trouble::Unreachable,
        }
    }

    /// By SQLSTATE. A database that answers and is in no trouble itself has something against us: our name, our password,
    /// our rights.
    fn of_turning_away(state: &str) -> Trouble {
        match Verdict::of_state(state) {
            Verdict::Refused | Verdict::NotStored(Trouble::Other) => Trouble::LockedOut,
            Verdict::NotStored(trouble) | Verdict::Unknown(trouble) => trouble,
        }
    }

    /// Whether it may well be over within a second or two, as when a database is started again.
    pub fn passes_soon(self) -> bool {
        match self {
            Trouble::Refusing
            | Trouble::Unreachable
            | Trouble::Crowded
            | Trouble::Restarting
            | Trouble::Rivals
            | Trouble::Broken => true,
            // These had their time already, or last.
            Trouble::Silent
            | Trouble::LockedOut
            | Trouble::ReadOnly
            | Trouble::DiskFull
            | Trouble::Short
            | Trouble::HeadHeld
            | Trouble::Slow
            | Trouble::Other => false,
        }
    }
}

/// What an error of a call says of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The database's answer to this batch. Nothing is stored, and the same would be refused again.
    Refused,
    /// Nothing is stored, through no fault of the batch.
    NotStored(Trouble),
    /// The commit may be done: only its ids tell.
    Unknown(Trouble),
}

impl Verdict {
    pub fn of(cause: &sqlx::Error) -> Verdict {
        match cause {
            sqlx::Error::Database(refusal) => Verdict::of_state(refusal.downcast_ref::<PgDatabaseError>().code()),
            sqlx::Error::Io(cause) if cause.kind() == ErrorKind::TimedOut => Verdict::Unknown(Trouble::Silent),
            _ => Verdict::Unknown(Trouble::Broken),
        }
    }

    /// By SQLSTATE. An error that ends a statement ends its transaction: nothing is stored. What ends the session, and what
    /// goes wrong deep inside, may come after the commit.
    ///
    /// The statement is always the same, so an audit can be at fault only by its values and by the rules that these break. All
    /// else would meet any other batch too: a right that is missing, a table, a function, a plan that no longer fits. To take
    /// that for the audit's fault would turn away for good, one after the other, all that are sent until it is mended.
    fn of_state(state: &str) -> Verdict {
        match state {
            "53100" => Verdict::NotStored(Trouble::DiskFull),
            "53300" => Verdict::NotStored(Trouble::Crowded),
            "55P03" => Verdict::NotStored(Trouble::HeadHeld),
            "57014" => Verdict::NotStored(Trouble::Slow),
            "57P03" => Verdict::NotStored(Trouble::Restarting),
            "25006" => Verdict::NotStored(Trouble::ReadOnly),
            "P0001" => Verdict::Refused, // a trigger of the database's owner
            _ => match state.get(..2) {
                // A value, a constraint, a row met twice, a limit of the database's (a value too large for its index).
                Some("22" | "23" | "21" | "54") => Verdict::Refused,
                Some("53") => Verdict::NotStored(Trouble::Short),
                Some("40") => Verdict::NotStored(Trouble::Rivals),
                Some("57") => Verdict::Unknown(Trouble::Restarting),
                Some("08") => Verdict::Unknown(Trouble::Broken),
                Some("58" | "XX") => Verdict::Unknown(Trouble::Other),
                _ => Verdict::NotStored(Trouble::Other),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_before_the_commit_is_sure_and_the_end_of_a_session_is_not() {
        for (state, verdict) in [
            ("23514", Verdict::Refused),
            ("22021", Verdict::Refused),
            ("21000", Verdict::Refused),
            ("54000", Verdict::Refused),
            ("P0001", Verdict::Refused),
            ("42501", Verdict::NotStored(Trouble::Other)),
            ("42P01", Verdict::NotStored(Trouble::Other)),
            ("0A000", Verdict::NotStored(Trouble::Other)),
            ("P0002", Verdict::NotStored(Trouble::Other)),
            ("53100", Verdict::NotStored(Trouble::DiskFull)),
            ("53200", Verdict::NotStored(Trouble::Short)),
            ("53300", Verdict::NotStored(Trouble::Crowded)),
            ("25006", Verdict::NotStored(Trouble::ReadOnly)),
            ("40P01", Verdict::NotStored(Trouble::Rivals)),
            ("55P03", Verdict::NotStored(Trouble::HeadHeld)),
            ("57014", Verdict::NotStored(Trouble::Slow)),
            ("57P03", Verdict::NotStored(Trouble::Restarting)),
            ("57P01", Verdict::Unknown(Trouble::Restarting)),
            ("57P02", Verdict::Unknown(Trouble::Restarting)),
            ("08006", Verdict::Unknown(Trouble::Broken)),
            ("58030", Verdict::Unknown(Trouble::Other)),
            ("XX000", Verdict::Unknown(Trouble::Other)),
            ("XX001", Verdict::Unknown(Trouble::Other)),
            ("XX002", Verdict::Unknown(Trouble::Other)),
        ] {
            assert_eq!(Verdict::of_state(state), verdict, "{state}");
        }
        let io = |kind: ErrorKind| sqlx::Error::Io(kind.into());
        assert_eq!(Verdict::of(&io(ErrorKind::ConnectionReset)), Verdict::Unknown(Trouble::Broken));
        assert_eq!(Trouble::of_connecting(&io(ErrorKind::ConnectionRefused)), Trouble::Refusing);
        assert_eq!(Trouble::of_connecting(&io(ErrorKind::HostUnreachable)), Trouble::Unreachable);
    }

    #[test]
    fn who_is_turned_away_is_told_whether_that_is_because_of_us() {
        for (state, trouble) in [
            ("28P01", Trouble::LockedOut),
            ("3D000", Trouble::LockedOut),
            ("42501", Trouble::LockedOut), // no right to connect
            ("53300", Trouble::Crowded),
            ("57P03", Trouble::Restarting),
            ("XX000", Trouble::Other),
        ] {
            assert_eq!(Trouble::of_turning_away(state), trouble, "{state}");
        }
    }
}
