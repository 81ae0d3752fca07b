//! The commands that look after a store: migrate, rebuild, verify, backup, restore.

use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;

use super::{
    Exit,
    acts::Acts,
    args::{FolderArgs, RebuildArgs, VerifyArgs},
    demo::progress,
    exit::Usage,
    look::{self, Look},
    store::{Store, embedded_options},
};
use crate::{
    administration::Act,
    audit::Position,
    config::Settings,
    journal::verify::{self, Report},
    postgres::{self, Guarding},
    projection::{Projection, rebuild},
};

pub async fn migrate(settings: &Settings) -> anyhow::Result<Exit> {
    let store = Store::open_or_make(settings).await?;
    let guarding = match store.guarding {
        Guarding::RolesAndTriggers => "roles and triggers keep the journal append-only",
        Guarding::TriggersOnly => "one role owns and serves it, so triggers alone keep the journal append-only",
    };
    store.close().await;
    look::print(&format!("The database is up to date; {guarding}.\n"))?;
    Ok(Exit::Done)
}

pub async fn rebuild(settings: &Settings, arguments: &RebuildArgs) -> anyhow::Result<Exit> {
    let projections = wanted(arguments)?;
    let store = Store::open(settings).await?;
    let rebuilt = rebuild_all(&store, &projections).await;
    store.close().await;
    let outcomes = rebuilt?;

    let look = Look::of_output(settings.color);
    if arguments.json {
        let shown = outcomes.iter().flat_map(|outcome| {
            outcome.tables.iter().map(|table| {
                json!({"projection": outcome.projection.name(), "position": outcome.position.to_string(),
                    "table": table.name, "rows": table.rows, "differing": table.differing})
            })
        });
        look::print(&format!("{:#}\n", serde_json::Value::from_iter(shown)))?;
    } else {
        let mut table = look.table(&["Table", "Rows", "Differed from before", "Up to position"]);
        for outcome in &outcomes {
            for built in &outcome.tables {
                table.add_row([
                    built.name.to_string(),
                    built.rows.to_string(),
                    built.differing.to_string(),
                    outcome.position.to_string(),
                ]);
            }
        }
        look::print(&format!("{table}\n"))?;
    }
    let differed = outcomes.iter().flat_map(|outcome| &outcome.tables).any(|table| table.differing > 0);
    Ok(if differed { Exit::Findings } else { Exit::Done })
}

/// The projections that are named, each once, in the order of `Projection::ALL`.
fn wanted(arguments: &RebuildArgs) -> anyhow::Result<Vec<Projection>> {
    let mut named = Vec::new();
    for name in &arguments.names {
        let projection = Projection::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Projection::ALL.iter().flat_map(|projection| projection.tables()).copied().collect();
            Usage(format!("there is no projection `{name}`; there are {}", known.join(", ")))
        })?;
        named.push(projection);
    }
    Ok(Projection::ALL.into_iter().filter(|projection| arguments.all || named.contains(projection)).collect())
}

async fn rebuild_all(store: &Store, projections: &[Projection]) -> anyhow::Result<Vec<rebuild::Outcome>> {
    let acts = Acts::open(store).await?;
    let rebuilt = rebuild_each(store, &acts, projections).await;
    acts.close().await;
    rebuilt
}

/// Rebuilds one after the other, and records each as soon as it is done: a failure of the next does not undo it.
async fn rebuild_each(store: &Store, acts: &Acts, projections: &[Projection]) -> anyhow::Result<Vec<rebuild::Outcome>> {
    let mut outcomes = Vec::new();
    for projection in projections {
        let bar = progress("rebuilding", 0);
        let begun = Instant::now();
        let outcome = rebuild::rebuild(&store.owner, store.service.get_username(), *projection, |reached, of| {
            bar.set_length(of.0.unsigned_abs());
            bar.set_position(reached.0.unsigned_abs());
        })
        .await
        .with_context(|| {
            let (name, role) = (projection.name(), store.owner.get_username());
            format!("cannot rebuild `{name}` as role `{role}`; the role that owns the tables can, see `--owner-url`")
        })?;
        bar.finish_and_clear();
        acts.record(&Act::Rebuilt { outcome: outcome.clone(), took: begun.elapsed() }).await?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

pub async fn verify(settings: &Settings, arguments: &VerifyArgs) -> anyhow::Result<Exit> {
    let store = Store::open(settings).await?;
    let report = walk(&store).await;
    store.close().await;
    let report = report?;
    if arguments.json {
        let flaw = report.flaw.as_ref().map(ToString::to_string);
        let shown = json!({"entries": report.entries, "streams": report.streams, "flaw": flaw});
        look::print(&format!("{shown:#}\n"))?;
    } else {
        look::print(&told(&report))?;
    }
    Ok(if report.flaw.is_none() { Exit::Done } else { Exit::Findings })
}

async fn walk(store: &Store) -> anyhow::Result<Report> {
    let bar = progress("verifying", 0);
    let db = store.reader();
    let report = verify::verify(&db, |reached, head| {
        bar.set_length(head.0.unsigned_abs());
        bar.set_position(reached.0.unsigned_abs());
    })
    .await;
    bar.finish_and_clear();
    db.close().await;
    report.context("cannot read the journal")
}

fn told(report: &Report) -> String {
    match &report.flaw {
        None => format!(
            "The journal is whole: {} entries in {} streams, every digest, position and version as recorded.\n",
            report.entries, report.streams
        ),
        Some(flaw) => format!("The journal is not whole: {flaw}.\n{} entries before it are whole.\n", report.entries),
    }
}

pub async fn backup(settings: &Settings, arguments: &FolderArgs) -> anyhow::Result<Exit> {
    only_embedded(settings)?;
    let bar = progress("copying", 0);
    let copied = postgres::backup(embedded_options(settings, false)?, &arguments.folder, &bar).await;
    bar.finish_and_clear();
    copied.context("cannot back up the store")?;
    look::print(&format!("The backup in `{}` is whole.\n", arguments.folder.display()))?;
    Ok(Exit::Done)
}

pub async fn restore(settings: &Settings, arguments: &FolderArgs) -> anyhow::Result<Exit> {
    only_embedded(settings)?;
    let options = embedded_options(settings, false)?;
    let begun = Instant::now();
    let bar = progress("copying", 0);
    let restored = postgres::restore(options, &arguments.folder, &bar).await;
    bar.finish_and_clear();
    let store = Store::of_embedded(restored.context("cannot restore the store")?).await?;
    let folder = store.data_dir().map(|folder| folder.display().to_string()).unwrap_or_default();
    let report = verify_and_record(&store, arguments, begun).await;
    store.close().await;
    let report = report?;
    look::print(&format!("Restored to `{folder}`. {}", told(&report)))?;
    Ok(if report.flaw.is_none() { Exit::Done } else { Exit::Findings })
}

/// Verifies what was restored, and records the restoring. To a journal that is not whole nothing is added: whoever finds out why
/// is to find it as it came.
async fn verify_and_record(store: &Store, arguments: &FolderArgs, begun: Instant) -> anyhow::Result<Report> {
    let report = walk(store).await?;
    if report.flaw.is_none() {
        let (folder, head) = (arguments.folder.display().to_string(), Position(report.entries));
        let acts = Acts::open(store).await?;
        let recorded = acts.record(&Act::Restored { folder, head, took: begun.elapsed() }).await;
        acts.close().await;
        recorded?;
    }
    Ok(report)
}

fn only_embedded(settings: &Settings) -> anyhow::Result<()> {
    if settings.database_url.is_none() {
        return Ok(());
    }
    let why = "this is for the embedded store; back up a Postgres of yours with its own tools, such as `pg_basebackup`";
    Err(Usage(why.to_string()).into())
}
