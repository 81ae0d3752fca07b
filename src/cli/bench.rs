//! `binnacle bench`: how fast this machine lets Binnacle be.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

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
        page::Page,
        report::{self, Loss, Ratios, Report},
    },
    config::Settings,
};

/// A variant warms up for this share of a turn.
const WARM_UP: f64 = 0.4;

pub async fn run(settings: &Settings, arguments: &BenchArgs) -> anyhow::Result<Exit> {
    let groups = if arguments.groups.is_empty() { Group::ALL.to_vec() } else { arguments.groups.clone() };
    // Read before anything is measured, so that a wrong name or an unfit page is told at once.
    let before = arguments.against.as_deref().map(ratios).transpose()?;
    let kept = arguments.write.as_deref().map(kept).transpose()?;
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
    match (&arguments.write, kept) {
        (Some(file), Some(kept)) if whole => renew(file, kept, &report)?,
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

/// What measurements until now have left: the page, and the ratios beside it.
fn kept(file: &Path) -> anyhow::Result<(Page, Ratios)> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let page = Page::parse(&text).map_err(|unfit| Usage(format!("`{}` {unfit}", file.display())))?;
    let beside = beside(file);
    let ratios = if beside.exists() { ratios(&beside)? } else { Ratios::new() };
    Ok((page, ratios))
}

/// Writes the figures of the groups that were measured; those of all others stay as they stand, and so do figures that were
/// measured beside a reference when there is none now.
fn renew(file: &Path, (mut page, ratios): (Page, Ratios), report: &Report) -> anyhow::Result<()> {
    for group in report.groups() {
        if report.lacks_reference(group, &ratios) {
            let file = file.display();
            eprintln!("binnacle: `{group}` stays as it is in `{file}`, for it was measured without its reference now");
        } else {
            page.put(group, &report.figures(group));
        }
    }
    write(file, &page.to_string())?;
    write(&beside(file), &format!("{}\n", serde_json::to_string_pretty(&report.renewed(ratios))?))
}

/// Where the ratios of a page are kept.
fn beside(file: &Path) -> PathBuf {
    file.with_extension("json")
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))
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
    fn the_page_of_figures_and_its_ratios_can_be_renewed() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        let (page, ratios) = kept(&file).unwrap();
        assert_eq!(page.to_string(), fs::read_to_string(&file).unwrap());
        assert!(ratios.contains_key(&Group::Singles), "`make bench-smoke` compares with them");
    }

    #[test]
    fn a_page_without_ratios_beside_it_is_written_for_the_first_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("figures.md");
        fs::write(&file, "<!-- figures: binnacle bench --write -->\n<!-- end of figures -->\n").unwrap();

        renew(&file, kept(&file).unwrap(), &report::tests::of(Group::Nested, Some(0.5))).unwrap();
        renew(&file, kept(&file).unwrap(), &report::tests::of(Group::Singles, Some(0.5))).unwrap();

        let (page, ratios) = kept(&file).unwrap();
        assert!(page.to_string().contains("### singles\n\nMeasured"), "{page}");
        assert_eq!(ratios.into_keys().collect::<Vec<_>>(), [Group::Singles, Group::Nested]);
    }

    #[test]
    fn figures_beside_a_reference_outlive_a_measurement_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("figures.md");
        fs::write(&file, "<!-- figures: binnacle bench --write -->\n<!-- end of figures -->\n").unwrap();
        renew(&file, kept(&file).unwrap(), &report::tests::of(Group::Embedding, Some(3.35))).unwrap();
        let before = (fs::read_to_string(&file).unwrap(), fs::read_to_string(beside(&file)).unwrap());

        renew(&file, kept(&file).unwrap(), &report::tests::of(Group::Embedding, None)).unwrap();

        assert_eq!((fs::read_to_string(&file).unwrap(), fs::read_to_string(beside(&file)).unwrap()), before);
    }
}
