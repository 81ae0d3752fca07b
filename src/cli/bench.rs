//! `binnacle bench`: how fast this machine lets Binnacle be.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    Exit,
    args::BenchArgs,
    exit::{self, Usage},
    look::{self, Look},
    signals,
};
use crate::{
    bench::{
        self, Ended, Group, Times,
        report::{self, Loss, Ratios, Report},
    },
    config::Settings,
};

/// A variant warms up for this share of a turn.
const WARM_UP: f64 = 0.4;
/// Between these lines of `docs/benchmarks.md` stand the figures.
const BEGIN: &str = "<!-- figures: binnacle bench --write -->\n";
const END: &str = "<!-- end of figures -->\n";

pub async fn run(settings: &Settings, arguments: &BenchArgs) -> anyhow::Result<Exit> {
    let groups = if arguments.groups.is_empty() { Group::ALL.to_vec() } else { arguments.groups.clone() };
    // Read before anything is measured, so that a wrong name is told at once.
    let before = arguments.against.as_deref().map(ratios).transpose()?;
    let document = arguments.write.as_deref().map(read).transpose()?;
    let turn = Duration::from_secs_f64(arguments.seconds);
    let times = Times { rounds: arguments.rounds, turn, warm_up: turn.mul_f64(WARM_UP) };
    let folder = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("cannot tell where this program lies")?,
    };
    let asked = bench::Settings {
        folder,
        pg_bin_dir: settings.pg_bin_dir.clone(),
        program,
        groups,
        times,
        events: arguments.events as usize,
        documents: arguments.documents,
        python: arguments.python.clone(),
    };
    let Ended { report, failures, broken_off } = bench::run(asked, bar(), signals::listen()?).await?;
    show(&report, settings, arguments)?;
    let whole = failures.is_empty() && !broken_off;
    match (&arguments.write, document) {
        (Some(file), Some(text)) if whole => {
            let figures = format!("\n{}\n\n{}\n", report.conditions(), report.markdown());
            write(file, &between(&text, &figures).expect("looked for before"))?;
            write(&file.with_extension("json"), &format!("{}\n", serde_json::to_string_pretty(&report.ratios())?))?;
        }
        (Some(file), _) => eprintln!("binnacle: `{}` stays as it is, for not everything was measured", file.display()),
        (None, _) => {}
    }
    let losses = before.map(|before| report.losses(&before)).unwrap_or_default();
    for Loss { scenario, variant, was, is } in &losses {
        eprintln!("binnacle: {scenario}: {variant} was {was:.2} of its reference and is {is:.2}, less than half");
    }
    for (group, error) in failures {
        exit::tell(&error.context(format!("`{group}` has failed")));
    }
    if broken_off {
        eprintln!("binnacle: broken off; the figures are of what was measured until then");
    }
    Ok(match (whole, losses.is_empty()) {
        (false, _) => Exit::Failed,
        (true, false) => Exit::Findings,
        (true, true) => Exit::Done,
    })
}

fn show(report: &Report, settings: &Settings, arguments: &BenchArgs) -> anyhow::Result<()> {
    if arguments.json {
        return Ok(look::print(&report.json_lines()?)?);
    }
    if report.rounds.is_empty() {
        return Ok(());
    }
    let mut table = Look::of_output(settings.color).table(&report::HEADER);
    for row in report.rows() {
        table.add_row(row.cells());
    }
    Ok(look::print(&format!("{table}\n\n{}\n", report.conditions()))?)
}

/// The ratios of an earlier measurement.
fn ratios(file: &Path) -> anyhow::Result<Ratios> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let unfit = || Usage(format!("`{}` holds no ratios as `--write` leaves them", file.display()));
    serde_json::from_str(&text).with_context(unfit)
}

/// A document that has a place for the figures.
fn read(file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    if between(&text, "").is_none() {
        let (file, begin, end) = (file.display(), BEGIN.trim_end(), END.trim_end());
        return Err(Usage(format!("`{file}` lacks the line `{begin}` or `{end}`, between which the figures go")).into());
    }
    Ok(text)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))
}

/// The text with new figures between the two lines that mark them.
fn between(text: &str, figures: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{figures}{END}{after}"))
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed} {spinner} {msg}").expect("the template is well formed");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("# Title\n{BEGIN}old\n{END}\nmore\n");
        assert_eq!(between(&text, "new\n"), Some(format!("# Title\n{BEGIN}new\n{END}\nmore\n")));
        assert_eq!(between("no marks", "new"), None);
    }
}
