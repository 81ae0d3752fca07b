//! `binnacle bench`: how fast this machine lets Binnacle be.

use std::{fs, time::Duration};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Exit, args::BenchArgs, look, look::Look};
use crate::{
    bench::{self, Group, Times, report},
    config::Settings,
};

/// A variant warms up for this share of a turn.
const WARM_UP: f64 = 0.4;
/// Between these lines of `docs/benchmarks.md` stand the figures.
const BEGIN: &str = "<!-- figures: binnacle bench --write -->\n";
const END: &str = "<!-- end of figures -->\n";

pub async fn run(settings: &Settings, arguments: &BenchArgs) -> anyhow::Result<Exit> {
    let groups = if arguments.groups.is_empty() { Group::ALL.to_vec() } else { arguments.groups.clone() };
    let turn = Duration::from_secs_f64(arguments.seconds);
    let times = Times { rounds: arguments.rounds, turn, warm_up: turn.mul_f64(WARM_UP) };
    let folder = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    let settings_of_bench = bench::Settings { folder, pg_bin_dir: settings.pg_bin_dir.clone(), groups, times };
    let report = bench::run(settings_of_bench, bar()).await?;
    if arguments.json {
        look::print(&report.json_lines()?)?;
    } else {
        let mut table = Look::of_output(settings.color).table(&report::HEADER);
        for row in report.rows() {
            table.add_row(row.cells());
        }
        look::print(&format!("{table}\n\n{}\n", report.conditions()))?;
    }
    if let Some(file) = &arguments.write {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let figures = format!("\n{}\n\n{}\n", report.conditions(), report.markdown());
        let written = between(&text, &figures).with_context(|| {
            format!("`{}` has no lines `{}` and `{}`", file.display(), BEGIN.trim_end(), END.trim_end())
        })?;
        fs::write(file, written).with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    Ok(Exit::Done)
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
