//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::plan::Wanted;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");

/// Breaks whatever Binnacle stands on while writers write, and proves that nothing is lost, doubled or out of order.
///
/// Without `--all` or `--fault` it runs a short selection, which is what `cargo test` does.
#[derive(Parser)]
#[command(
    name = "chaos",
    max_term_width = 110,
    after_help = "\
The plan of a run follows from its seed: which audits, which faults, when, for how long. The threads of real processes do not,
so a second run meets the same trouble, not the same microsecond.

Exit codes: 0 everything held; 1 an invariant broke; 2 the command line is wrong; 3 the run itself failed."
)]
pub struct Options {
    /// Run all faults.
    #[arg(long)]
    pub all: bool,
    /// Run this fault; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub fault: Vec<String>,
    /// What the plan follows from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many audits are to be acknowledged, over all faults.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    pub operations: u64,
    /// Write the figures into this page, between its markers.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = DOCUMENT)]
    pub write: Option<PathBuf>,
    /// Where the worlds are made: a folder on a real disk, with a short path [default: that of temporary files].
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// How many faults are run at the same time [default: 1 with `--all`, else 3].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub jobs: Option<u16>,
    /// Keep the ledger and the logs of every fault, and not only of those with a breach.
    #[arg(long)]
    pub keep: bool,
    /// List the faults.
    #[arg(long)]
    pub list: bool,

    /// A part of a name, as `cargo test NAME` hands it to each test.
    #[arg(hide = true)]
    filter: Vec<String>,
    #[command(flatten)]
    harness: Harness,
}

/// What `cargo test` may hand to any test; it means nothing here.
#[derive(clap::Args)]
struct Harness {
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    no_capture: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    skip: Vec<String>,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    format: Option<String>,
}

impl Options {
    pub fn wanted(&self) -> Wanted {
        Wanted { seed: self.seed, all: self.all, operations: self.operations, only: self.fault.clone() }
    }

    /// The short run has to be short. Times of recovery are truest one at a time.
    pub fn jobs(&self) -> usize {
        usize::from(self.jobs.unwrap_or(if self.all { 1 } else { 3 }))
    }

    /// Whether `cargo test` is after other tests than this one.
    pub fn others_are_meant(&self) -> bool {
        let named = |text: &String| "chaos".contains(text.as_str());
        self.harness.ignored
            || (!self.filter.is_empty() && !self.filter.iter().any(named))
            || self.harness.skip.iter().any(named)
    }

    /// How the same run is asked for again.
    pub fn command(&self, fault: Option<&str>) -> String {
        let mut command = format!("chaos --seed {}", self.seed);
        if self.all {
            command += &format!(" --all --operations {}", self.operations);
        }
        if let Some(jobs) = self.jobs {
            command += &format!(" --jobs {jobs}");
        }
        let faults = fault.map_or(self.fault.clone(), |fault| vec![fault.to_string()]);
        faults.iter().for_each(|fault| command += &format!(" --fault {fault}"));
        command
    }
}
