//! The connections of one search: one for as long as it lasts, and a second where no other search wants it, so that it asks for
//! meaning and for words side by side. A pool asks each connection that comes back whether it is still there; a search that gave
//! its own back after each statement would wait for that at every step.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, Postgres, pool::PoolConnection};
use tokio::{
    sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a second connection may take: one that was opened comes back at once, and a new one within some milliseconds. Without it
/// a search takes longer, and that is all.
const SECOND_WAIT: Duration = Duration::from_millis(100);

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

    /// Waits for as long as the pool lets anybody wait.
    async fn first(&self) -> Result<Line, sqlx::Error> {
        let line = async {
            let permit = self.free.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            self.line(permit).await
        };
        timeout(self.db.options().get_acquire_timeout(), line).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

struct Line {
    db: Mutex<PoolConnection<Postgres>>,
    _permit: OwnedSemaphorePermit,
}

/// What one search holds; to drop it gives all of it back.
pub(super) struct Lines {
    first: Line,
    second: Option<Line>,
}

impl Lines {
    /// Takes the one connection that a search cannot do without. An error where there is none within the pool's own time.
    pub async fn open(lender: &Lender) -> Result<Lines, sqlx::Error> {
        Ok(Lines { first: lender.first().await?, second: None })
    }

    /// Takes a second connection, if one is free: searches that waited for another while they hold one would wait for each
    /// other.
    pub async fn widen(&mut self, lender: &Lender) {
        let (None, Ok(permit)) = (&self.second, lender.free.clone().try_acquire_owned()) else { return };
        self.second = timeout(SECOND_WAIT, lender.line(permit)).await.ok().and_then(Result::ok);
    }

    /// The one that it has in any case, once nobody else of this search uses it.
    pub async fn first(&self) -> MutexGuard<'_, PoolConnection<Postgres>> {
        self.first.db.lock().await
    }

    /// The second one, or the only one there is, in turn.
    pub async fn second(&self) -> MutexGuard<'_, PoolConnection<Postgres>> {
        self.second.as_ref().unwrap_or(&self.first).db.lock().await
    }
}
