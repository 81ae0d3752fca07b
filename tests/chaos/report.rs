//! The figures of a run: a table for the terminal and for `docs/faults.md`.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::Context as _;
use chrono::Utc;

use crate::{nemesis::Fault, part::Outcome};

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// What is told of one fault.
pub struct Line {
    pub fault: &'static Fault,
    pub told: Told,
}

pub enum Told {
    Ran(Outcome),
    /// Why it could not run here.
    Skipped(&'static str),
    /// Why the harness could not bring it to its end.
    Failed(String),
}

/// What a run was.
pub struct Run {
    pub command: String,
    pub took: Duration,
    pub lines: Vec<Line>,
}

impl Run {
    pub fn breaches(&self) -> usize {
        self.outcomes().map(|outcome| outcome.breaches.len()).sum()
    }

    pub fn failed(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line.told, Told::Failed(_))).count()
    }

    /// The whole of it in Markdown.
    pub fn text(&self) -> String {
        let sum = |of: fn(&Outcome) -> u64| self.outcomes().map(of).sum::<u64>();
        let (acknowledged, lost, doubled) =
            (sum(|it| it.tally.acknowledged), sum(|it| it.tally.lost), sum(|it| it.tally.doubled));
        let (seconds, failed) = (self.took.as_secs_f64(), self.failed());
        let unfinished =
            if failed > 0 { format!("; {failed} faults were not run to their end") } else { String::new() };
        let mut text = format!(
            "**{} acknowledged, {lost} lost, {doubled} doubled**, {} breaches of an invariant{unfinished}.\n\n`{}`, on {}, in {:.0} min \
             {:.0} s ({:.0} acknowledged each second, faults and checks included), {} cores, {} build.\n\n",
            grouped(acknowledged),
            self.breaches(),
            self.command,
            Utc::now().format("%Y-%m-%d"),
            (seconds / 60.0).floor(),
            seconds % 60.0,
            acknowledged as f64 / seconds,
            std::thread::available_parallelism().map_or(0, usize::from),
            if cfg!(debug_assertions) { "debug" } else { "release" },
        );
        text += "| fault | what is done | rounds | acknowledged | lost | doubled | unknown, of which recorded | refused | recovered in (median / longest) |\n";
        text += "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        for Line { fault, told } in &self.lines {
            let _ = match told {
                Told::Failed(_) => {
                    writeln!(text, "| {} | {} | not run to its end | | | | | | |", fault.name, fault.how)
                }
                Told::Skipped(why) => writeln!(text, "| {} | {} | skipped: {why} | | | | | | |", fault.name, fault.how),
                Told::Ran(it) => writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {}, {} | {} | {} / {} s{} |",
                    fault.name,
                    fault.how,
                    it.recoveries.len(),
                    grouped(it.tally.acknowledged),
                    it.tally.lost,
                    it.tally.doubled,
                    grouped(it.tally.unknown),
                    grouped(it.tally.unknown_recorded),
                    grouped(it.tally.refused),
                    median(&it.recoveries),
                    shown(it.recoveries.iter().max().copied()),
                    it.tally
                        .drained
                        .map_or_else(String::new, |time| format!("; relay empty in {} s", shown(Some(time)))),
                ),
            };
        }
        text
    }

    /// Puts the figures between the markers of a page.
    pub fn write(&self, page: &Path) -> anyhow::Result<()> {
        let context = || format!("cannot renew `{}`", page.display());
        let text = fs::read_to_string(page).with_context(context)?;
        let parted = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
        let (before, after) = parted.with_context(|| format!("`{}` has no `{BEGIN}` with `{END}`", page.display()))?;
        fs::write(page, format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.text())).with_context(context)
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.lines.iter().filter_map(|line| match &line.told {
            Told::Ran(outcome) => Some(outcome),
            Told::Skipped(_) | Told::Failed(_) => None,
        })
    }
}

fn median(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    shown(times.get(times.len() / 2).copied())
}

fn shown(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".to_string(), |time| format!("{:.2}", time.as_secs_f64()))
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
