//! The benchmark: how fast Binnacle is beside what stands for the possible, measured in turns on a throw-away store.
//!
//! A figure in itself says more of the machine than of us, so each scenario has a reference that is measured in the same
//! minutes: plain SQL that does the same on the same Postgres. What is compared from one day to another is the ratio.

mod audits;
mod load;
mod machine;
mod models;
pub mod page;
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

use crate::worker::Shutdown;

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
    /// How many events the projections catch up with; growth goes from a hundredth of them to ten times as many.
    pub events: usize,
    /// How many documents are searched.
    pub documents: u32,
    /// A Python that has sentence-transformers.
    pub python: Option<PathBuf>,
}

/// What came of a measurement.
pub struct Ended {
    /// Everything that was measured, also before something failed.
    pub report: Report,
    pub failures: Vec<(Group, anyhow::Error)>,
    /// Whether it was told to stop before its end.
    pub broken_off: bool,
}

/// A measurement under way.
pub struct Bench {
    settings: Settings,
    bar: ProgressBar,
    rounds: Vec<Round>,
}

/// Measures the groups one after the other, until told to stop.
pub async fn run(settings: Settings, bar: ProgressBar, mut shutdown: Shutdown) -> anyhow::Result<Ended> {
    let begun = Utc::now();
    let machine = Machine::look(&settings.folder)?;
    let mut bench = Bench { settings, bar, rounds: Vec::new() };
    let failures = bench.each(&mut shutdown, async |bench, group| group.run(bench).await).await;
    bench.bar.finish_and_clear();
    let report = Report { begun, times: bench.settings.times, machine, rounds: bench.rounds };
    Ok(Ended { report, failures, broken_off: shutdown.given() })
}

impl Bench {
    /// One group that fails does not take the others' figures with it.
    async fn each(
        &mut self,
        shutdown: &mut Shutdown,
        mut run: impl AsyncFnMut(&mut Bench, Group) -> anyhow::Result<()>,
    ) -> Vec<(Group, anyhow::Error)> {
        let mut failures = Vec::new();
        for group in self.settings.groups.clone() {
            let ended = tokio::select! {
                biased;
                () = shutdown.wait() => break,
                ended = run(self, group) => ended,
            };
            if let Err(error) = ended {
                self.say(&format!("`{group}` has failed: {error:#}"));
                failures.push((group, error));
            }
        }
        failures
    }

    async fn stand(&self, arguments: &[&str]) -> anyhow::Result<Stand> {
        self.bar.set_message("starting a store");
        let Settings { folder, pg_bin_dir, program, .. } = &self.settings;
        Stand::start(folder, pg_bin_dir.clone(), program.clone(), arguments).await
    }

    async fn measure(&mut self, stand: &Stand, scenario: Scenario<'_>) -> anyhow::Result<()> {
        self.measure_for(stand, scenario, self.settings.times).await
    }

    async fn measure_for(&mut self, stand: &Stand, scenario: Scenario<'_>, times: Times) -> anyhow::Result<()> {
        let Bench { bar, rounds, .. } = self;
        rounds::measure(stand, scenario, times, bar, |round| {
            say(bar, &report::line(&round));
            rounds.push(round);
        })
        .await
    }

    fn say(&self, line: &str) {
        say(&self.bar, line);
    }
}

/// Writes a line to standard error, above the bar where there is one: `ProgressBar::println` is silent without a terminal.
fn say(bar: &ProgressBar, line: &str) {
    bar.suspend(|| eprintln!("{line}"));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::bail;

    use super::*;
    use crate::worker::Stop;

    fn bench(groups: &[Group]) -> Bench {
        let second = Duration::from_secs(1);
        let settings = Settings {
            folder: PathBuf::new(),
            pg_bin_dir: None,
            program: PathBuf::new(),
            groups: groups.to_vec(),
            times: Times { rounds: 1, turn: second, warm_up: second },
            events: 0,
            documents: 0,
            python: None,
        };
        Bench { settings, bar: ProgressBar::hidden(), rounds: Vec::new() }
    }

    fn measured(bench: &mut Bench, group: Group) {
        bench.rounds.push(rounds::tests::round(group, &group.to_string(), "A", None));
    }

    fn scenarios(bench: &Bench) -> Vec<&str> {
        bench.rounds.iter().map(|round| round.scenario.as_str()).collect()
    }

    #[tokio::test]
    async fn a_group_that_fails_costs_no_other_group_its_figures() {
        let (_stop, mut shutdown) = Stop::new();
        let mut bench = bench(&[Group::Singles, Group::Batches, Group::OpenLoop]);

        let failures = bench
            .each(&mut shutdown, async |bench, group| {
                measured(bench, group);
                if group == Group::Batches { bail!("the server went away") } else { Ok(()) }
            })
            .await;

        assert_eq!(failures.iter().map(|(group, _)| *group).collect::<Vec<_>>(), [Group::Batches]);
        assert_eq!(scenarios(&bench), ["singles", "batches", "open-loop"]);
    }

    #[tokio::test]
    async fn what_was_measured_before_the_word_to_stop_is_kept() {
        let (stop, mut shutdown) = Stop::new();
        let mut bench = bench(&[Group::Singles, Group::Batches, Group::OpenLoop]);

        let failures = bench
            .each(&mut shutdown, async |bench, group| {
                measured(bench, group);
                if group == Group::Batches {
                    stop.now();
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
            .await;

        assert!(failures.is_empty());
        assert_eq!(scenarios(&bench), ["singles", "batches"]);
    }
}
