//! The projections: how quickly they catch up with a history, what a rebuild takes while audits come, and how late lists are.
//! Their references are the same rows, copied by plain SQL.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures_util::FutureExt as _;
use sqlx::PgPool;
use tokio::{process::Command, time::MissedTickBehavior};

use crate::{
    bench::{
        Bench, Group,
        audits::Audits,
        load::Plan,
        models::{self, Size},
        rounds::{Scenario, Times, Variant},
        sample::{Calls, Sample},
        stand::Stand,
    },
    journal::read,
};

const MODELS: usize = 200;
const ENTRIES: usize = 40;
const MONTHS: i64 = 3;

/// Audits a second, each in a request of its own, that come while a projection is rebuilt or followed.
const RATE: u32 = 1_000;
const CONNECTIONS: usize = 64;
/// How often it is looked how late the projections are.
const LAG_TICK: Duration = Duration::from_millis(100);
/// They may give way to appends for ten seconds: to see that, a turn has to be longer than others are.
const LAG_TURNS: u32 = 5;

/// Everything that the projections have written, gone.
const EMPTY: &str = "
TRUNCATE event_index, remediations, service_views, search_documents, projection_dead_letters;
UPDATE projection_cursors SET position = 0, recorded_at = 'epoch';
";

const NEW_COPIES: &str = "
DROP SCHEMA IF EXISTS copies CASCADE;
CREATE SCHEMA copies;
CREATE TABLE copies.event_index (LIKE public.event_index INCLUDING ALL);
CREATE TABLE copies.remediations (LIKE public.remediations INCLUDING ALL);
CREATE TABLE copies.service_views (LIKE public.service_views INCLUDING ALL);
";
const COPY_EVENT_INDEX: &str = "INSERT INTO copies.event_index SELECT * FROM public.event_index ORDER BY position";
const COPY_REMEDIATIONS: &str = "
INSERT INTO copies.remediations SELECT * FROM public.remediations ORDER BY first_position;
INSERT INTO copies.service_views SELECT * FROM public.service_views;
";

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let size = Size { models: MODELS, entries: ENTRIES, events: bench.settings.events, months: MONTHS };
    let store = bench.stand(&["--embedder", "none"]).await?;
    models::fill(&store, size, &bench.bar).await?;
    let events = size.remediations() * ENTRIES;
    let (stand, audits, times) = (&store, Arc::new(Audits::new("follow")), bench.settings.times);
    // A turn does the whole of something, and begins anew: there is nothing that could be warm.
    let whole = Times { warm_up: Duration::ZERO, ..times };

    let scenario = Scenario {
        group: Group::Projections,
        name: format!("all projections catch up with {events} events"),
        counted: "events",
        reference: Some(Variant::new("INSERT … SELECT of event_index", move |_| {
            async move { copy(stand, COPY_EVENT_INDEX).await.map(once) }.boxed()
        })),
        variants: vec![Variant::new("Binnacle", move |_| catch_up(stand).boxed())],
    };
    bench.measure_for(stand, scenario, whole).await?;

    let (beside_copy, beside_rebuild) = (audits.clone(), audits.clone());
    let scenario = Scenario {
        group: Group::Projections,
        name: format!("remediations rebuilt, {RATE} audits/s meanwhile (times: theirs)"),
        counted: "events",
        reference: Some(Variant::new("INSERT … SELECT of the same tables", move |_| {
            let load = load(&beside_copy, stand);
            async move { under_load(load, copy(stand, COPY_REMEDIATIONS)).await }.boxed()
        })),
        variants: vec![Variant::new("binnacle rebuild", move |_| {
            let load = load(&beside_rebuild, stand);
            async move { under_load(load, rebuild(stand)).await }.boxed()
        })],
    };
    bench.measure_for(stand, scenario, whole).await?;

    let scenario = Scenario {
        group: Group::Projections,
        name: format!("how late lists are at {RATE} audits/s (times: so late)"),
        counted: "audits",
        reference: None,
        variants: vec![Variant::new("the latest projection", move |time| {
            let load = load(&audits, stand);
            async move { late(stand, load, time).await }.boxed()
        })],
    };
    let longer = Times { turn: times.turn * LAG_TURNS, warm_up: times.warm_up * LAG_TURNS, ..times };
    bench.measure_for(stand, scenario, longer).await?;
    store.stop().await
}

fn load(audits: &Arc<Audits>, stand: &Stand) -> Plan {
    let [graphql, _] = audits.plans(stand, CONNECTIONS, 1);
    graphql
}

/// What came of so many events in that time.
type Work = (u64, Duration);

/// One call that did it all.
fn once((events, took): Work) -> Sample {
    let mut calls = Calls::new();
    calls.took(took);
    Sample::new(events, took, calls)
}

async fn events(db: &PgPool) -> anyhow::Result<u64> {
    Ok(read::head(db).await?.last.0.unsigned_abs())
}

/// From the start of a server on empty tables until every cursor stands at the head.
async fn catch_up(stand: &Stand) -> anyhow::Result<Sample> {
    stand.stop_serving().await?;
    sqlx::raw_sql(EMPTY).execute(&stand.owner).await?;
    let begun = Instant::now();
    stand.serve().await?;
    stand.caught_up().await?;
    Ok(once((events(&stand.owner).await?, begun.elapsed())))
}

/// Copies rows of the projections' tables by plain SQL, into tables with the same indexes.
async fn copy(stand: &Stand, statement: &'static str) -> anyhow::Result<Work> {
    sqlx::raw_sql(NEW_COPIES).execute(&stand.owner).await?;
    let begun = Instant::now();
    sqlx::raw_sql(statement).execute(&stand.owner).await?;
    Ok((events(&stand.owner).await?, begun.elapsed()))
}

async fn rebuild(stand: &Stand) -> anyhow::Result<Work> {
    let mut command = Command::from(stand.command("rebuild"));
    command.arg("remediations").kill_on_drop(true);
    let begun = Instant::now();
    let ended = command.output().await.context("cannot run `binnacle rebuild`")?;
    let took = begun.elapsed();
    if !ended.status.success() {
        let (said, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        bail!("`binnacle rebuild` ended with {}: {said}{errors}", ended.status);
    }
    Ok((events(&stand.owner).await?, took))
}

/// Does some work while audits come; the times are those of the audits.
async fn under_load(load: Plan, work: impl Future<Output = anyhow::Result<Work>>) -> anyhow::Result<Sample> {
    let done = Arc::new(AtomicBool::new(false));
    let working = async {
        let worked = work.await;
        done.store(true, Ordering::Relaxed);
        worked
    };
    let seen = done.clone();
    let loading = load.open_while(f64::from(RATE), move |_| !seen.load(Ordering::Relaxed));
    let ((events, took), load) = tokio::try_join!(working, loading)?;
    Ok(Sample::new(events, took, load.calls))
}

/// How long the oldest event that a projection has not taken yet has been waiting, looked at again and again while audits come.
async fn late(stand: &Stand, load: Plan, time: Duration) -> anyhow::Result<Sample> {
    let (begun, mut lags) = (Instant::now(), Calls::new());
    let mut ticks = tokio::time::interval(LAG_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut loading = std::pin::pin!(load.open(f64::from(RATE), time));
    let appended = loop {
        tokio::select! {
            ended = &mut loading => break ended?,
            _ = ticks.tick() => lags.took(lag(&stand.owner).await?),
        }
    };
    Ok(Sample::new(appended.n, begun.elapsed(), lags))
}

/// Nothing, where all projections have come to the head.
async fn lag(db: &PgPool) -> anyhow::Result<Duration> {
    let seconds: Option<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM clock_timestamp() - min(e.recorded_at))::float8
        FROM (SELECT position, recorded_at FROM projection_cursors ORDER BY position LIMIT 1) c
        CROSS JOIN LATERAL (
            SELECT recorded_at FROM audit_events WHERE position > c.position AND recorded_at >= c.recorded_at
            ORDER BY position LIMIT 1) e",
    )
    .fetch_one(db)
    .await?;
    Ok(Duration::from_secs_f64(seconds.unwrap_or_default().max(0.0)))
}
