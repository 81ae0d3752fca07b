//! The faults: what each does, to which world, and how often. One file has those of one group.

mod bodies;
mod clocks;
mod database;
mod disks;
mod embedder;
mod load;
mod months;
mod network;
mod projections;
mod relays;
mod servers;
mod sessions;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use futures_util::future::LocalBoxFuture;
use nix::unistd::Uid;
use tokio::time::sleep;

use crate::{
    ledger::Ledger,
    random::Random,
    world::{Setup, World},
};

/// One kind of trouble.
pub struct Fault {
    pub name: &'static str,
    /// What is done, for the page.
    pub how: &'static str,
    /// How often it strikes in a full run.
    pub rounds: u64,
    /// How often it strikes in the short run; 0 leaves it out.
    pub smoke: u64,
    pub setup: Setup,
    /// Most audits of its part, where they are large.
    pub most: u64,
    pub needs: Need,
    /// Whether the servers say that they are ready again when it is over.
    pub ready: bool,
    /// Does it, undoes it, and answers when the undoing began.
    pub strike: for<'a> fn(&'a mut Arena, Random) -> LocalBoxFuture<'a, anyhow::Result<Instant>>,
    /// What has to be mended by hand before the store is compared, and what else has to hold by then.
    pub mend: for<'a> fn(&'a mut Arena) -> LocalBoxFuture<'a, anyhow::Result<()>>,
}

/// What a fault needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// To mount a small file system.
    Root,
    /// To make system calls of a running process fail.
    Strace,
    /// A server that dies or strays where it is told to, which a release does not.
    FailPoints,
}

impl Need {
    /// Why it cannot be met here.
    pub fn unmet(self) -> Option<&'static str> {
        let root = Uid::effective().is_root();
        match self {
            Need::Root if !root => Some("only root may mount a file system"),
            Need::Strace if !root => Some("only root may trace postgres"),
            Need::Strace if !on_path("strace") => Some("there is no `strace`"),
            Need::FailPoints if !cfg!(debug_assertions) => Some("a release build has no fail points"),
            Need::Nothing | Need::Root | Need::Strace | Need::FailPoints => None,
        }
    }
}

/// What a fault acts on.
pub struct Arena {
    pub world: World,
    pub ledger: Arc<Ledger>,
    /// The round, from 1.
    pub round: u64,
}

/// All faults, in the order of the page.
pub fn faults() -> Vec<&'static Fault> {
    let groups: [&'static [Fault]; 12] = [
        servers::FAULTS,
        database::FAULTS,
        sessions::FAULTS,
        disks::FAULTS,
        network::FAULTS,
        load::FAULTS,
        clocks::FAULTS,
        months::FAULTS,
        projections::FAULTS,
        embedder::FAULTS,
        bodies::FAULTS,
        relays::FAULTS,
    ];
    groups.into_iter().flatten().collect()
}

/// A fault of which a world of one server has to be mended in nothing.
const PLAIN: Fault = Fault {
    name: "",
    how: "",
    rounds: 6,
    smoke: 0,
    setup: Setup::ONE_SERVER,
    most: u64::MAX,
    needs: Need::Nothing,
    ready: true,
    strike: |_, _| Box::pin(async { Ok(Instant::now()) }),
    mend: |_| Box::pin(async { Ok(()) }),
};

/// Lets a fault last: this is how long, and not a wait for something to happen.
async fn last(random: &mut Random, from_ms: u64, to_ms: u64) {
    sleep(Duration::from_millis(random.between(from_ms, to_ms))).await;
}

/// Waits until something holds.
async fn until(
    what: &str,
    within: Duration,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    while !holds().await? {
        ensure!(Instant::now() < deadline, "waited {} s in vain until {what}", within.as_secs());
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}
