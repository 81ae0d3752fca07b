//! The writer's own connection: opened when it is needed, lent to nobody, and thrown away as soon as it may be broken.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Request,
    append::append,
    trouble::{Trouble, Verdict},
};
use crate::journal::Receipt;

/// How long a connection may take to open. Over any network that a database should be behind it takes some milliseconds;
/// a host that swallows packets takes for ever.
const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// The longest that one call may take: a second longer than the session waits for the journal's head, so that a head which
/// is held is told as such.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// A connection that has rested for this long may have been forgotten by whatever lies between, and is asked first.
const REST_MAX: Duration = Duration::from_secs(30);
const PING_WAIT: Duration = Duration::from_secs(1);
const FAREWELL_WAIT: Duration = Duration::from_secs(1);

/// Why a call failed.
pub enum Fault {
    Refused(sqlx::Error),
    NotStored(Trouble, sqlx::Error),
    Unknown(Trouble, sqlx::Error),
}

pub struct Link {
    options: Arc<PgConnectOptions>,
    /// With the time of its last use.
    open: Option<(PgConnection, Instant)>,
}

impl Link {
    pub fn new(options: Arc<PgConnectOptions>) -> Link {
        Link { options, open: None }
    }

    /// Appends the batch, or says by `until` why not. An empty batch finds out whether another could be appended.
    pub async fn append(&mut self, batch: &[Request], until: Instant) -> Result<Vec<Receipt>, Fault> {
        let mut connection = match self.connection(until).await {
            Ok(connection) => connection,
            Err(cause) => return Err(Fault::NotStored(Trouble::of_connecting(&cause), cause)),
        };
        let until = until.min(Instant::now() + CALL_TIMEOUT);
        if until <= Instant::now() {
            self.open = Some((connection, Instant::now()));
            return Err(Fault::NotStored(Trouble::Slow, timed_out()));
        }
        let cause = match timeout_at(until, append(&mut connection, batch)).await {
            Ok(Ok(receipts)) => {
                self.open = Some((connection, Instant::now()));
                return Ok(receipts);
            }
            Ok(Err(cause)) => cause,
            Err(_) => timed_out(),
        };
        Err(match Verdict::of(&cause) {
            Verdict::Refused => {
                self.open = Some((connection, Instant::now()));
                Fault::Refused(cause)
            }
            // A connection to a server that fails over or ends is good for nothing more.
            Verdict::NotStored(trouble) => Fault::NotStored(trouble, cause),
            Verdict::Unknown(trouble) => Fault::Unknown(trouble, cause),
        })
    }

    async fn connection(&mut self, until: Instant) -> Result<PgConnection, sqlx::Error> {
        if let Some((mut connection, used)) = self.open.take() {
            let ping_until = until.min(Instant::now() + PING_WAIT);
            if used.elapsed() < REST_MAX || matches!(timeout_at(ping_until, connection.ping()).await, Ok(Ok(()))) {
                return Ok(connection);
            }
        }
        let until = until.min(Instant::now() + CONNECT_WAIT);
        timeout_at(until, PgConnection::connect_with(&self.options)).await.unwrap_or_else(|_| Err(timed_out()))
    }

    /// Says goodbye, so that the server need not find out by itself.
    pub async fn close(self) {
        if let Some((connection, _)) = self.open {
            let _ = timeout(FAREWELL_WAIT, connection.close()).await; // it ends with us in any case
        }
    }
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A database that lets everybody in, and then does not say a word any more.
    async fn silent() -> PgConnectOptions {
        const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut client, _)) = listener.accept().await {
                client.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
                client.write_all(WELCOME).await.unwrap();
                kept.push(client);
            }
        });
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("binnacle");
        options.ssl_mode(sqlx::postgres::PgSslMode::Disable)
    }

    #[tokio::test]
    async fn asking_a_rested_connection_takes_no_longer_than_there_is_time() {
        let mut link = Link::new(Arc::new(silent().await));
        let connection = link.connection(Instant::now() + CONNECT_WAIT).await.unwrap();
        link.open = Some((connection, Instant::now() - REST_MAX));

        let appended = timeout(PING_WAIT / 2, link.append(&[], Instant::now() + PING_WAIT / 10)).await;

        let fault = appended.expect("it took longer than it may").err();
        assert!(matches!(fault, Some(Fault::NotStored(Trouble::Silent, _))));
    }
}
