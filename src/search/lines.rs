//! The connections of one search: one for as long as it lasts, and a second where no other search wants it, so that it asks for
//! meaning and for words side by side. A pool asks each connection that comes back whether it is still there; a search that gave
//! its own back after each statement would wait for that at every step.

use std::sync::Arc;

use sqlx::{PgPool, Postgres, pool::PoolConnection};
use tokio::{
    sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Lends connections to searches. Cheap to clone.
#[derive(Clone)]
pub struct Lender {
    db: PgPool,
    /// One for each connection that a search may hold.
    free: Arc<Semaphore>,
}

impl Lender {
    pub fn new(db: PgPool) -> Lender {
        let free = Arc::new(Semaphore::new(db.options().get_max_connections() as usize));
        Lender { db, free }
    }

    async fn line(&self, permit: OwnedSemaphorePermit) -> Result<Line, sqlx::Error> {
        Ok(Line { db: Mutex::new(self.db.acquire().await?), _permit: permit })
    }
}

struct Line {
    db: Mutex<PoolConnection<Postgres>>,
    _permit: OwnedSemaphorePermit,
}

pub(super) struct Lines {
    first: Line,
    second: Option<Line>,
}

impl Lines {
    pub async fn open(lender: &Lender) -> Result<Lines, sqlx::Error> {
        let wait = lender.db.options().get_acquire_timeout();
        let permit = match timeout(wait, lender.free.clone().acquire_owned()).await {
            Ok(permit) => permit.expect("nobody closes it"),
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        Ok(Lines { first: lender.line(permit).await?, second: None })
    }

    /// Takes a second connection, if one is free: searches that waited for another while they hold one would wait for each
    /// other.
    pub async fn widen(&mut self, lender: &Lender) -> Result<(), sqlx::Error> {
        if let (None, Ok(permit)) = (&self.second, lender.free.clone().try_acquire_owned()) {
            self.second = Some(lender.line(permit).await?);
        }
        Ok(())
    }

    pub async fn first(&self) -> MutexGuard<'_, PoolConnection<Postgres>> {
        self.first.db.lock().await
    }

    /// The second one, or the only one there is, in turn.
    pub async fn second(&self) -> MutexGuard<'_, PoolConnection<Postgres>> {
        self.second.as_ref().unwrap_or(&self.first).db.lock().await
    }
}
