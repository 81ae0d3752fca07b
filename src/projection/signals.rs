//! What moves, as this process hears it: the journal's head and the projections' cursors, over one LISTEN connection; and what
//! this process appends, as it tells the others.

use std::time::Duration;

use sqlx::{
    Executor as _, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use super::{Projection, cursor};
use crate::{
    audit::Position,
    journal::Journal,
    postgres::in_time,
    worker::{Shutdown, Wake},
};

/// How long a reader waits for a projection, at most.
pub const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often a waiting reader looks for itself, in case a notification was lost with its connection.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How often others are told of appends at most: what came meanwhile is told at once.
const TELL_REST: Duration = Duration::from_millis(50);

/// How long a statement here may take. They take no time; one that does is stuck in a network that says nothing more.
const STATEMENT_WAIT: Duration = Duration::from_secs(5);

/// How long the listener hears nothing before it asks whether the connection is there still.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// How long the listener rests before it connects again.
const RECONNECT: Duration = Duration::from_millis(500);

/// Where things stand, as far as this process has heard. Cheap to clone.
#[derive(Clone)]
pub struct Signals {
    /// Called when a projection has moved.
    projected: Wake,
    /// Called at every append.
    appended: Wake,
    /// Called by who waits for a projection.
    awaited: Wake,
}

/// The projection did not come as far as was asked in time.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    #[error("`{projection}` has not reached position {wanted} in time; it is at {reached}")]
    Timeout { projection: &'static str, wanted: Position, reached: Position },
    #[error("could not read the projection's cursor")]
    Database(#[from] sqlx::Error),
}

impl Signals {
    /// Starts listening, and telling of what the journal here appends. While the connection is down, readers and workers look
    /// for themselves.
    pub fn listen(db: PgPool, journal: &Journal, mut shutdown: Shutdown) -> Signals {
        let signals = Signals { projected: Wake::new(), appended: Wake::new(), awaited: Wake::new() };
        tokio::spawn(pass_on(journal.appended().ear(), signals.appended.clone()));
        tokio::spawn(tell(db.clone(), journal.appended().ear(), shutdown.clone()));
        let told = signals.clone();
        tokio::spawn(async move {
            let mut told_of = false;
            loop {
                let heard = tokio::select! {
                    heard = told.hear(&db) => heard,
                    () = shutdown.wait() => return,
                };
                // Once for each time: an outage has many failed attempts.
                match heard {
                    Err(error) if !told_of => {
                        warn!(error = &error as &dyn std::error::Error, "lost the connection that listens for appends");
                        told_of = true;
                    }
                    Err(_) => {}
                    Ok(()) => told_of = false,
                }
                tokio::time::sleep(RECONNECT).await;
            }
        });
        signals
    }

    /// Called at every append, by this process or by another.
    pub fn appended(&self) -> &Wake {
        &self.appended
    }

    /// Called when a projection has moved, by this process or by another.
    pub fn projected(&self) -> &Wake {
        &self.projected
    }

    /// Called when somebody waits for a projection: steps that would rest for a while should not.
    pub fn awaited(&self) -> &Wake {
        &self.awaited
    }

    /// Returns when the projection has come to `wanted`, or after `WAIT_MAX`.
    pub async fn wait(&self, db: &PgPool, projection: Projection, wanted: Position) -> Result<(), WaitError> {
        let deadline = Instant::now() + WAIT_MAX;
        let mut heard = self.projected.ear();
        loop {
            heard.mark_unchanged();
            let reached = cursor::position(db, projection).await?;
            if reached >= wanted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(WaitError::Timeout { projection: projection.name(), wanted, reached });
            }
            self.awaited.call();
            let _ = tokio::time::timeout_at(deadline.min(Instant::now() + LOOK_AGAIN), heard.changed()).await;
        }
    }

    async fn hear(&self, db: &PgPool) -> Result<(), sqlx::Error> {
        // With a pool of its own: a listener that is given up may keep its connection for long.
        let options = PgConnectOptions::clone(&db.connect_options()).application_name("binnacle listen");
        let own = PgPoolOptions::new().max_connections(1).acquire_timeout(STATEMENT_WAIT).max_lifetime(None);
        let mut listener = PgListener::connect_with(&own.idle_timeout(None).connect_lazy_with(options)).await?;
        listener.eager_reconnect(false); // which would wait without end
        in_time(STATEMENT_WAIT, listener.listen_all(["binnacle_journal", "binnacle_projection"])).await?;
        debug!("listening for appends");
        self.appended.call(); // what was appended while nobody listened
        self.projected.call();
        loop {
            match timeout(ASK_AGAIN, listener.try_recv()).await {
                Ok(note) => match note? {
                    Some(note) if note.channel() == "binnacle_journal" => self.appended.call(),
                    Some(_) => self.projected.call(),
                    None => return Ok(()), // the connection was lost
                },
                Err(_) => {
                    in_time(STATEMENT_WAIT, (&mut listener).execute("SELECT 1")).await?;
                }
            }
        }
    }
}

/// Calls whoever waits for appends here.
async fn pass_on(mut own: watch::Receiver<()>, appended: Wake) {
    while own.changed().await.is_ok() {
        appended.call();
    }
}

/// Tells other processes of what was appended here. It need not be part of the append: whoever is not told looks for himself
/// after a while.
async fn tell(db: PgPool, mut own: watch::Receiver<()>, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            biased; // what was appended last is told before the end
            called = own.changed() => if called.is_err() { return },
            () = shutdown.wait() => return,
        }
        let telling = sqlx::query!("SELECT pg_notify('binnacle_journal', '')").execute(&db);
        if let Err(error) = in_time(STATEMENT_WAIT, telling).await {
            debug!(error = &error as &dyn std::error::Error, "could not tell others of an append");
        }
        tokio::time::sleep(TELL_REST).await;
    }
}
