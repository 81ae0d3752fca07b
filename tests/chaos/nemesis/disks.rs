//! Disks that are full, and have room again.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{Arena, Fault, Need, PLAIN, last, until};
use crate::{
    random::Random,
    world::{Setup, Small},
};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "data-disk-full",
        how: "the file system of Postgres's data is full until that is noticed, and up to 4 s more",
        needs: Need::Root,
        setup: Setup { small: Some(Small::Data), ..Setup::ONE_SERVER },
        strike: |arena, random| Box::pin(data(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "log-disk-full",
        how: "the file system of Postgres's write-ahead log is full until that is noticed, and up to 4 s more",
        needs: Need::Root,
        setup: Setup { small: Some(Small::Log), postgres: &["max_wal_size=128MB"], ..Setup::ONE_SERVER },
        strike: |arena, random| Box::pin(log(arena, random)),
        ..PLAIN
    },
];

/// How long a full disk may take to be noticed.
const NOTICED_WAIT: Duration = Duration::from_secs(60);
const NO_ROOM: &[u8] = b"No space left on device";

async fn data(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let before = told(arena);
    let ballast = Ballast::fill(&arena.world.postgres.data())?;
    let noticed = until("postgres finds no room for data", NOTICED_WAIT, async || Ok(told(arena) > before)).await;
    last(&mut random, 0, 4_000).await;
    heal(arena, ballast, noticed).await
}

async fn log(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let before = told(arena);
    let ballast = Ballast::fill(&arena.world.postgres.wal())?;
    // Each file of the log has room for a while, and so have those that are used again.
    let noticed = until("postgres finds no room for its log", NOTICED_WAIT, async || {
        if let Ok(mut admin) = arena.world.postgres.admin().await {
            let _ = sqlx::query("SELECT pg_switch_wal()").execute(&mut admin).await; // it ends with the session
        }
        Ok(told(arena) > before)
    });
    let noticed = noticed.await;
    last(&mut random, 0, 4_000).await;
    heal(arena, ballast, noticed).await
}

/// Makes room again.
async fn heal(arena: &mut Arena, ballast: Ballast, noticed: anyhow::Result<()>) -> anyhow::Result<Instant> {
    drop(ballast);
    // Postgres ends by itself where it cannot even write down that it is full.
    arena.world.postgres.start().await?;
    noticed.map(|()| Instant::now())
}

/// How often Postgres has said that there is no room.
fn told(arena: &Arena) -> usize {
    let log = fs::read(arena.world.postgres.log()).unwrap_or_default();
    log.windows(NO_ROOM.len()).filter(|window| *window == NO_ROOM).count()
}

/// A file that takes all the room that is left, and goes with this value.
pub struct Ballast(PathBuf);

impl Ballast {
    pub fn fill(place: &Path) -> anyhow::Result<Ballast> {
        let ballast = Ballast(place.join("ballast"));
        let mut file = File::create(&ballast.0)?;
        // Big pieces first, then small ones, until not even a page fits.
        for piece in [1 << 20, 4096] {
            let zeros = vec![0; piece];
            while file.write_all(&zeros).is_ok() {}
        }
        Ok(ballast)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // it goes with the world otherwise
    }
}
