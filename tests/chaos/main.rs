//! The fault harness: writers write, a fault strikes, and when it is healed everything that was acknowledged is there, once,
//! in its place. `make chaos` runs all faults; `cargo test` a few of them.

mod audits;
mod check;
mod endpoint;
mod follower;
mod http;
mod ledger;
mod nemesis;
mod options;
mod part;
mod plan;
mod progress;
mod proxy;
mod random;
mod report;
mod teeth;
mod world;
mod writers;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context as _;
use clap::Parser as _;
use futures_util::{StreamExt as _, stream};

use crate::{
    nemesis::faults,
    options::Options,
    part::Evidence,
    plan::{Part, plan},
    progress::Progress,
    report::{Line, Run, Told},
    world::{Folder, postgres::Postgres},
};

/// Where the ledger and the logs of a world with a breach are kept.
const EVIDENCE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/chaos");

const BREACH: u8 = 1;
const WRONG_COMMAND: u8 = 2;
const FAILED: u8 = 3;

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        return list();
    }
    if options.others_are_meant() {
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = options.fault.iter().find(|name| !faults().iter().any(|fault| fault.name == **name)) {
        eprintln!("there is no fault `{unknown}`; `chaos --list` shows all");
        return ExitCode::from(WRONG_COMMAND);
    }
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: the fault harness needs Linux, whose /proc tells it what it has to clear up");
        return ExitCode::SUCCESS;
    }
    // The processes of the worlds are started and ended by this thread, which stays.
    let run = tokio::runtime::Runtime::new().context("no runtime").and_then(|runtime| runtime.block_on(run(&options)));
    match run {
        Ok(run) if run.breaches() > 0 => ExitCode::from(BREACH),
        Ok(run) if run.failed() > 0 => ExitCode::from(FAILED),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the run failed: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn list() -> ExitCode {
    for fault in faults() {
        let short = if fault.smoke > 0 { "*" } else { " " };
        println!("{short} {:<24} {}", fault.name, fault.how);
    }
    println!("\n* also in the short run");
    ExitCode::SUCCESS
}

async fn run(options: &Options) -> anyhow::Result<Run> {
    let begun = Instant::now();
    let within = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let parts = plan(&options.wanted());
    eprintln!("seed {}, {} faults; making a store to copy", options.seed, parts.len());
    let folder = Folder::new(&within)?;
    let template = Postgres::template(&folder.path).await.context("cannot make a store")?;

    // A check that finds nothing says something only if it finds what is there.
    teeth::bite(&template, &within).await.context("the check does not bite")?;

    let told = parts.iter().enumerate().map(|(index, part)| {
        let progress = Progress::new(format!("{}/{} {}", index + 1, parts.len(), part.fault.name));
        let (template, within) = (&template, &within);
        async move {
            let told = match part.fault.needs.unmet() {
                Some(why) => {
                    progress.skipped(why);
                    Told::Skipped(why)
                }
                None => one(options, part, template, within, &progress).await,
            };
            Line { fault: part.fault, told }
        }
    });
    let lines: Vec<Line> = stream::iter(told).buffered(options.jobs()).collect().await;
    let run = Run { command: options.command(None), took: begun.elapsed(), lines };
    println!("{}", run.text());
    if let Some(page) = &options.write {
        run.write(page)?;
    }
    Ok(run)
}

/// Runs one fault's part, and says how to run it again where something broke.
async fn one(options: &Options, part: &Part, template: &Postgres, within: &Path, progress: &Progress) -> Told {
    const TOLD_MAX: usize = 10;
    let name = part.fault.name;
    let folder = PathBuf::from(EVIDENCE).join(format!("{}-{name}", options.seed));
    let evidence = Evidence { folder, always: options.keep };
    progress.line("makes its world");
    let ran = part::run(part, template, within, &evidence, progress).await;
    let (told, breaches) = match ran {
        Ok(outcome) => {
            let breaches = outcome.breaches.clone();
            (Told::Ran(outcome), breaches)
        }
        Err(error) => (Told::Failed(format!("{error:#}")), Vec::new()),
    };
    match (&told, breaches.as_slice()) {
        (Told::Ran(_), []) => return told,
        (Told::Failed(why), _) => progress.bad(&format!("could not be run to its end: {why}")),
        (_, breaches) => {
            progress.bad(&format!("breach of seed {}, fault {name}: {}", options.seed, breaches[0]));
            for other in breaches.iter().skip(1).take(TOLD_MAX) {
                progress.bad(&format!("and then: {other}"));
            }
        }
    }
    let command = options.command(Some(name));
    progress.bad(&format!("again: `{command}`; ledger and logs: `{}`", evidence.folder.display()));
    told
}
