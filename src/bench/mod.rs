//! The benchmark: how fast Binnacle is beside what stands for the possible, measured in turns on a throw-away store.
//!
//! A figure in itself says more of the machine than of us, so each scenario has a reference that is measured in the same
//! minutes: plain SQL that does the same on the same Postgres. What is compared from one day to another is the ratio.

mod audits;
mod load;
mod machine;
mod models;
mod pgbench;
mod reference;
pub mod report;
mod rounds;
mod sample;
mod scenarios;
mod stand;
mod usage;

use std::path::PathBuf;

use chrono::Utc;
use indicatif::ProgressBar;

use machine::Machine;
use report::Report;
pub use rounds::Times;
use rounds::{Round, Scenario};
pub use scenarios::Group;
use stand::Stand;

/// What is measured, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The stores are made below it.
    pub folder: PathBuf,
    /// The folder of Postgres's programs; without one it is searched for.
    pub pg_bin_dir: Option<PathBuf>,
    /// The server that is measured.
    pub program: PathBuf,
    pub groups: Vec<Group>,
    pub times: Times,
    /// How many documents are searched.
    pub documents: u32,
    /// A Python that has sentence-transformers.
    pub python: Option<PathBuf>,
}

/// A measurement under way.
pub struct Bench {
    settings: Settings,
    bar: ProgressBar,
    rounds: Vec<Round>,
}

/// Measures the groups one after the other.
pub async fn run(settings: Settings, bar: ProgressBar) -> anyhow::Result<Report> {
    let begun = Utc::now();
    let machine = Machine::look(&settings.folder)?;
    let mut bench = Bench { settings, bar, rounds: Vec::new() };
    for group in bench.settings.groups.clone() {
        group.run(&mut bench).await?;
    }
    bench.bar.finish_and_clear();
    Ok(Report { begun, ended: Utc::now(), machine, rounds: bench.rounds })
}

impl Bench {
    async fn stand(&self, arguments: &[&str]) -> anyhow::Result<Stand> {
        self.bar.set_message("starting a store");
        let Settings { folder, pg_bin_dir, program, .. } = &self.settings;
        Stand::start(folder, pg_bin_dir.clone(), program.clone(), arguments).await
    }

    async fn measure(&mut self, stand: &Stand, scenario: Scenario<'_>) -> anyhow::Result<()> {
        self.rounds.extend(rounds::measure(stand, scenario, self.settings.times, &self.bar).await?);
        Ok(())
    }
}
