//! One fault's part of a run: a world, writers in it, strikes of the fault, and the check in the end.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::{
    audits::Audits,
    check::{self, RECOVERY_MAX, Tally},
    follower::{Follower, Place},
    http::{Address, Http},
    ledger::{Fit, Ledger},
    nemesis::Arena,
    plan::Part,
    progress::Progress,
    world::{Relay, Small, World, postgres::Postgres},
    writers::{
        Crowd,
        recorder::Controller,
        send::{Face, graphql_body, send},
    },
};

/// How long nothing may be acknowledged while nothing is in the way.
const STALL_MAX: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(10);
/// How many bytes are added to an audit where a spool has to become full.
const PADDING: usize = 20_000;

/// What came of a fault.
pub struct Outcome {
    pub tally: Tally,
    /// How long each recovery took.
    pub recoveries: Vec<Duration>,
    pub breaches: Vec<String>,
}

/// Where the ledger and the logs of a world are kept: if there was a breach, or always.
pub struct Evidence {
    pub folder: PathBuf,
    pub always: bool,
}

/// Runs the part.
pub async fn run(
    part: &Part,
    template: &Postgres,
    within: &Path,
    evidence: &Evidence,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let world = World::start(template, within, &part.fault.setup).await.context("cannot make a world")?;
    let mut audits = Audits::new(part.mark);
    audits.texts = part.fault.setup.embedding;
    if part.fault.setup.small == Some(Small::Spool) {
        audits.padding = PADDING;
    }
    let ledger = Arc::new(Ledger::new(audits, &world.folder.path.join("ledger.txt"))?);
    let mut arena = Arena { world, ledger, round: 0 };
    let told = story(part, &mut arena, progress).await;
    let breaches = arena.ledger.breaches();
    if evidence.always || told.is_err() || !breaches.is_empty() {
        arena.ledger.flush();
        keep(&arena.world.folder.path, &evidence.folder)?;
    }
    let took = begun.elapsed();
    let (tally, recoveries) = match told {
        Ok(told) => told,
        // What came first explains the rest.
        Err(error) if !breaches.is_empty() => {
            progress.line(&format!("{error:#}"));
            (Tally { acknowledged: arena.ledger.acknowledged(), ..Tally::default() }, Vec::new())
        }
        Err(error) => return Err(error),
    };
    if breaches.is_empty() {
        progress.good(&format!("held, in {:.1} s", took.as_secs_f64()));
    }
    Ok(Outcome { tally, recoveries, breaches })
}

async fn story(part: &Part, arena: &mut Arena, progress: &Progress) -> anyhow::Result<(Tally, Vec<Duration>)> {
    let mut http = Http::new(arena.world.addresses[0].clone());
    let place = first(&mut http, &arena.ledger).await?;
    let mut follower = Follower::start(arena.world.addresses.clone(), place, arena.ledger.clone());
    let before = check::measure(&mut http, &arena.ledger).await;

    let controller = match part.fault.setup.relay {
        Relay::Well => {
            let folder = arena.world.folder.path.join("recorder");
            Some(Controller::start(folder, &arena.world.upstreams(), arena.ledger.clone()).await?)
        }
        Relay::None | Relay::InTrouble => None,
    };
    let crowd = Crowd::start(&part.writers, &arena.world.doors(), &arena.ledger);
    let mut recoveries = Vec::new();
    for (round, strike) in (1..).zip(&part.strikes) {
        arena.round = round;
        // While a fault lasts, the writers may come as far as where the next one is due, and then go on slowly.
        let next = part.strikes.get(round as usize).map_or(part.operations, |strike| strike.after);
        crowd.allow(strike.after);
        wait_for(strike.after, &arena.ledger).await?;
        crowd.allow(next);
        let healing =
            (part.fault.strike)(arena, strike.random.clone()).await.with_context(|| format!("in round {round}"))?;
        let took = recovered(arena, part.fault.ready, healing).await;
        recoveries.push(took);
        progress.round(part, round, &arena.ledger, took);
        ensure!(arena.ledger.breaches().is_empty(), "stopped after round {round}");
    }
    crowd.allow(part.operations);
    wait_for(part.operations, &arena.ledger).await?;
    crowd.stop().await;
    if let Some(controller) = controller {
        let took = controller.stop(&arena.ledger).await?.as_secs_f64();
        progress.line(&format!("the recorder has brought everything, {took:.1} s after its last audit"));
    }
    progress.line(&format!("{} acknowledged; checking", arena.ledger.acknowledged()));
    (part.fault.mend)(arena).await.context("in mending")?;
    let tally = check::check(arena, &mut follower, before, progress).await?;
    Ok((tally, recoveries))
}

/// Records one audit, behind which a subscriber begins.
async fn first(http: &mut Http, ledger: &Ledger) -> anyhow::Result<Place> {
    let number = ledger.take(1, Fit::Good);
    ensure!(send(http, Face::Graphql, ledger, &number).await, "the first audit of a world is not recorded");
    let query = "mutation($inputs: [AuditInput!]!) { recordAudits(inputs: $inputs) {
        ... on Recorded { position watermark duplicate } } }";
    let body = graphql_body(&[ledger.audits.graphql(number[0])], query);
    let answer = http.post("/graphql", body.as_bytes()).await?.json();
    let told = &answer["data"]["recordAudits"][0];
    let place = || {
        let watermark = told["watermark"].as_str()?.to_string();
        Some(Place { position: told["position"].as_str()?.parse().ok()?, watermark })
    };
    ensure!(told["duplicate"] == true, "an audit that was sent twice is told to be new: {answer}");
    place().with_context(|| format!("a receipt without place: {answer}"))
}

/// Waits until so many audits are acknowledged.
async fn wait_for(count: u64, ledger: &Ledger) -> anyhow::Result<()> {
    let (mut last, mut since) = (ledger.acknowledged(), Instant::now());
    while ledger.acknowledged() < count {
        let now = ledger.acknowledged();
        if now > last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > STALL_MAX {
            ledger
                .breach(format!("nothing is acknowledged for {} s, though nothing is in the way", STALL_MAX.as_secs()));
        }
        ensure!(ledger.breaches().is_empty(), "stopped by a breach");
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Waits until each server records again, and says that it is ready; answers how long that took since `healing`.
async fn recovered(arena: &Arena, ready: bool, healing: Instant) -> Duration {
    let relays = arena.world.doors().len() - arena.world.addresses.len();
    let faces = arena.world.addresses.iter().map(|_| Face::Graphql).chain((0..relays).map(|_| Face::RestOne));
    let doors = arena.world.doors().into_iter().zip(faces);
    join_all(doors.map(|(door, face)| serves(door, face, &arena.ledger, ready, healing)))
        .await
        .into_iter()
        .max()
        .unwrap_or_default()
}

async fn serves(address: Address, face: Face, ledger: &Ledger, ready: bool, healing: Instant) -> Duration {
    let mut http = Http::new(address);
    let number = ledger.take(1, Fit::Good);
    let mut recorded = None;
    while healing.elapsed() < RECOVERY_MAX {
        if recorded.is_none() && send(&mut http, face, ledger, &number).await {
            recorded = Some(healing.elapsed());
        }
        match recorded {
            Some(took) if !ready => return took,
            // The time that counts is that of the audit; readiness has to follow.
            Some(took) if http.get("/readyz").await.is_ok_and(|answer| answer.status == 200) => return took,
            _ => sleep(PAUSE).await,
        }
    }
    let what = if recorded.is_some() { "say that it is ready" } else { "record" };
    ledger.breach(format!("a server does not {what} again within {} s after healing", RECOVERY_MAX.as_secs()));
    healing.elapsed()
}

/// Keeps the ledger and the logs, to look into.
fn keep(world: &Path, evidence: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(evidence)?;
    for entry in std::fs::read_dir(world)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), evidence.join(entry.file_name()))?;
        }
    }
    Ok(())
}
