//! Relays: beside servers in trouble, where their writers may notice nothing, and in trouble of their own.

use std::{
    fs::{self, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;

use super::{Arena, Fault, Need, PLAIN, disks::Ballast, last, until};
use crate::{
    audits::Audits,
    http::Http,
    ledger::Fit,
    proxy::Mode,
    random::Random,
    world::{Relay, Setup, Small, server},
    writers::send::{Face, send},
};

const BESIDE: Setup = Setup { relay: Relay::Well, ..Setup::ONE_SERVER };
const IN_TROUBLE: Setup = Setup { relay: Relay::InTrouble, ..Setup::ONE_SERVER };

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "relay-beside-outage",
        how: "Postgres is stopped for 2 to 15 s; who speaks to the relay must hear of nothing",
        setup: BESIDE,
        strike: |arena, random| Box::pin(outage(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "relay-beside-restarts",
        how: "three servers are restarted one after the other; who speaks to the relay must hear of nothing",
        setup: Setup { servers: 3, ..BESIDE },
        strike: |arena, random| Box::pin(super::servers::restarted(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "relay-killed",
        how: "`kill -9` of the relay that all writers speak to, which is started again",
        rounds: 12,
        smoke: 1,
        setup: IN_TROUBLE,
        strike: |arena, random| Box::pin(killed(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "relay-frozen",
        how: "SIGSTOP of the relay for 1 to 6 s",
        setup: IN_TROUBLE,
        strike: |arena, random| Box::pin(frozen(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "relay-torn-tail",
        how: "the relay is killed, and half a record stands at the end of its spool",
        setup: IN_TROUBLE,
        strike: |arena, random| Box::pin(torn(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "relay-flipped-byte",
        how: "a byte of a kept audit is flipped while no server answers; the relay reports that one, and brings the others",
        setup: IN_TROUBLE,
        strike: |arena, random| Box::pin(flipped(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "relay-disk-full",
        how: "the file system of the spool is full while no server answers; writers are told, and what was kept stays",
        rounds: 3,
        most: 3_000,
        needs: Need::Root,
        setup: Setup { small: Some(Small::Spool), ..IN_TROUBLE },
        strike: |arena, random| Box::pin(full(arena, random)),
        ..PLAIN
    },
    Fault {
        name: "relay-rival",
        how: "a second relay is started on the same spool, and has to be turned away",
        rounds: 3,
        setup: IN_TROUBLE,
        strike: |arena, random| Box::pin(rival(arena, random)),
        ..PLAIN
    },
];

/// No fewer bytes than the head of a segment has.
const SEGMENT_HEAD: usize = 64;
/// How long a relay may take to start, to refuse, or to be turned away.
const SOON: Duration = Duration::from_secs(60);

fn relay(arena: &mut Arena) -> anyhow::Result<&mut server::Server> {
    arena.world.relay.as_mut().context("this world has no relay")
}

async fn outage(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    arena.world.postgres.stop().await?;
    last(&mut random, 2_000, 15_000).await;
    arena.world.postgres.start().await?;
    Ok(Instant::now())
}

async fn killed(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    relay(arena)?.kill()?;
    last(&mut random, 0, 500).await;
    let healing = Instant::now();
    relay(arena)?.start()?;
    Ok(healing)
}

async fn frozen(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    relay(arena)?.signal(Signal::SIGSTOP)?;
    last(&mut random, 1_000, 6_000).await;
    let healing = Instant::now();
    relay(arena)?.signal(Signal::SIGCONT)?;
    Ok(healing)
}

async fn torn(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    keep_some(arena).await?;
    relay(arena)?.kill()?;
    let segment = segments(&arena.world.spool())?.pop().context("the spool has no segment")?;
    let bytes = fs::read(&segment)?;
    // A segment is filled with zeros behind its last record.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let torn: Vec<u8> = (0..random.between(1, 600)).map(|_| random.between(1, 255) as u8).collect();
    write_at(&segment, end as u64, &torn)?;
    let healing = Instant::now();
    set_fronts(arena, &Mode::Pass);
    relay(arena)?.start()?;
    Ok(healing)
}

async fn flipped(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let numbers = keep_some(arena).await?;
    relay(arena)?.kill()?;
    // There are others behind it.
    let hit = *random.pick(&numbers[..numbers.len() - 1]);
    flip(&arena.world.spool(), Audits::word(hit).as_bytes())?;
    let healing = Instant::now();
    set_fronts(arena, &Mode::Pass);
    relay(arena)?.start()?;
    relay(arena)?.listening(SOON).await?;
    let mut http = Http::new(relay(arena)?.address());
    let told = http.get("/spool").await?.json();
    let reported = told["spool"]["quarantined"]["files"].as_u64().unwrap_or_default();
    if reported < arena.round {
        arena
            .ledger
            .breach(format!("{} bytes were flipped in a spool, and its relay reports {reported}: {told}", arena.round));
    }
    arena.ledger.damage(hit);
    Ok(healing)
}

/// Cuts the servers off, and has the relay keep some audits, one by one.
async fn keep_some(arena: &mut Arena) -> anyhow::Result<Vec<u64>> {
    const SOME: usize = 5;
    set_fronts(arena, &Mode::Refuse);
    let mut http = Http::new(relay(arena)?.address());
    let numbers = arena.ledger.take(SOME, Fit::Good);
    for number in &numbers {
        let kept = until("the relay keeps an audit", SOON, async || {
            Ok(send(&mut http, Face::RestOne, &arena.ledger, &[*number]).await)
        });
        kept.await?;
    }
    Ok(numbers)
}

async fn full(arena: &mut Arena, _: Random) -> anyhow::Result<Instant> {
    set_fronts(arena, &Mode::Refuse);
    let ballast = Ballast::fill(arena.world.spool().parent().context("the spool lies in a folder")?)?;
    let mut http = Http::new(relay(arena)?.address());
    // What was made ahead takes some more audits, and then there is no room.
    let refuses = until("a relay without room says so", SOON, async || {
        let number = arena.ledger.take(1, Fit::Good);
        Ok(!send(&mut http, Face::RestOne, &arena.ledger, &number).await)
    });
    let refused = refuses.await;
    let healing = Instant::now();
    drop(ballast);
    set_fronts(arena, &Mode::Pass);
    refused.map(|()| healing)
}

async fn rival(arena: &mut Arena, _: Random) -> anyhow::Result<Instant> {
    let mut command = server::command(&arena.world.folder.path);
    command.arg("relay").args(arena.world.relay_arguments()).args(["--listen", "127.0.0.1:0"]);
    let ended = tokio::time::timeout(SOON, tokio::task::spawn_blocking(move || command.output())).await;
    let output = ended.context("a second relay on the spool does not end")???;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code().is_some(), "a second relay was killed: {told}");
    if output.status.success() || !told.contains(&*arena.world.spool().to_string_lossy()) {
        arena.ledger.breach(format!("a second relay on the spool ended with {} and said: {told}", output.status));
    }
    Ok(Instant::now())
}

fn set_fronts(arena: &Arena, mode: &Mode) {
    for front in &arena.world.fronts {
        front.set(mode.clone());
        front.cut(false);
    }
}

/// The files of the queue, oldest first.
fn segments(spool: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(spool.join("segments"))? {
        let path = entry?.path();
        // One that was made ahead has no record yet: nothing but zeros behind its head.
        let used = || Ok::<_, std::io::Error>(fs::read(&path)?.iter().skip(SEGMENT_HEAD).any(|byte| *byte != 0));
        if path.extension().is_some_and(|ending| ending == "segment") && used()? {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Flips a bit of the record that holds `word`.
fn flip(spool: &Path, word: &[u8]) -> anyhow::Result<()> {
    for segment in segments(spool)? {
        let bytes = fs::read(&segment)?;
        if let Some(place) = bytes.windows(word.len()).position(|window| window == word) {
            return write_at(&segment, place as u64, &[bytes[place] ^ 1]);
        }
    }
    anyhow::bail!("the spool does not hold what was kept in it")
}

fn write_at(file: &Path, place: u64, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().write(true).open(file)?;
    file.seek(SeekFrom::Start(place))?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}
