//! Writes what was measured into `docs/search-quality.md`, between two markers; the prose around them is people's.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;

use crate::{
    measures,
    questions::{Half, Kind, Question},
    runs::{self, Measure, Run, Scores},
};

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";
/// How many of the questions that went worst are shown.
const WORST: usize = 15;

/// All that is told.
pub struct Page<'a> {
    pub remediations: usize,
    pub audits: usize,
    pub questions: &'a [Question],
    pub halves: &'a [Half],
    /// The last of them is the one that search uses.
    pub systems: &'a [System],
    /// Which system is compared with which, by their names.
    pub pairs: &'a [(&'static str, &'static str)],
    pub selectivities: &'a [Selectivity],
    pub cuts: &'a [Cut],
}

/// A system with what its answers are worth.
pub struct System {
    pub run: Run,
    pub scores: Vec<Scores>,
}

/// What an approximate index finds of the exact answer where a filter lets a share of the documents through.
pub struct Selectivity {
    pub percent: f64,
    pub documents: usize,
    /// How search goes about it, such as `filter first`.
    pub way: &'static str,
    pub recall: f64,
    pub took: Vec<Duration>,
    pub exact_took: Vec<Duration>,
}

/// What counts as found where everything counts that has a share of the best score.
pub struct Cut {
    pub share: f64,
    /// How many of what counts are of the right family.
    pub precision: f64,
    /// How many count, as a mean over the questions.
    pub count: f64,
}

/// Puts the page between the markers of the document, and leaves everything else as it is.
pub fn write(path: &Path, page: &Page<'_>) -> anyhow::Result<()> {
    let before = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let after = replaced(&before, &markdown(page))
        .with_context(|| format!("{} needs `{BEGIN}` and `{END}`, in this order, once each", path.display()))?;
    fs::write(path, after).with_context(|| format!("writing {}", path.display()))
}

/// The document with other text between its markers; `None` where they are not as they should be.
fn replaced(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (between, after) = rest.split_once(END)?;
    let more = [before, between, after].iter().any(|part| part.contains(BEGIN) || part.contains(END));
    (!more).then(|| format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim()))
}

pub fn markdown(page: &Page<'_>) -> String {
    let sections = [
        corpus(page),
        overall(page),
        by_half(page),
        by_kind(page),
        differences(page),
        selectivities(page.selectivities),
        cuts(page.cuts),
        worst(page),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn corpus(page: &Page<'_>) -> String {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let head = format!(
        "### What was asked, and of what\n\n{} questions of a history of {} remediations in {} audits; {build} build.",
        page.questions.len(),
        page.remediations,
        page.audits,
    );
    let rows = Kind::ALL.map(|kind| {
        let own: Vec<_> =
            page.questions.iter().zip(page.halves).filter(|(question, _)| question.kind == kind).collect();
        let choosing = own.iter().filter(|(_, half)| **half == Half::Choosing).count();
        vec![kind.to_string(), own.len().to_string(), choosing.to_string(), (own.len() - choosing).to_string()]
    });
    format!("{head}\n\n{}", table(&["kind", "questions", "choosing half", "checking half"], &rows))
}

fn overall(page: &Page<'_>) -> String {
    let mut columns = vec!["system"];
    columns.extend(Scores::MEASURES.map(|(name, _)| name));
    columns.extend(["p50", "p95"]);
    let row = |system: &System| {
        let took: Vec<Duration> = system.run.answers.iter().flat_map(|answer| answer.took.clone()).collect();
        let mut row = vec![system.run.name.to_string()];
        row.extend(Scores::MEASURES.map(|(_, measure)| share(mean(&system.scores, measure, |_| true))));
        row.extend([0.5, 0.95].map(|share| milliseconds(measures::percentile(&took, share))));
        row
    };
    let rows: Vec<_> = page.systems.iter().map(row).collect();
    format!("### All questions\n\n{}", table(&columns, &rows))
}

fn by_half(page: &Page<'_>) -> String {
    let columns = ["system", "nDCG@10, choosing half", "nDCG@10, checking half"];
    let row = |system: &System| {
        let of = |half: Half| share(mean(&system.scores, |scores| scores.ndcg, |place| page.halves[place] == half));
        vec![system.run.name.to_string(), of(Half::Choosing), of(Half::Checking)]
    };
    let rows: Vec<_> = page.systems.iter().map(row).collect();
    format!("### By half\n\n{}", table(&columns, &rows))
}

fn by_kind(page: &Page<'_>) -> String {
    let names = Kind::ALL.map(|kind| kind.to_string());
    let table_of = |measure: Measure| {
        let mut columns = vec!["system"];
        columns.extend(names.iter().map(String::as_str));
        let row = |system: &System| {
            let of = |kind: Kind| share(mean(&system.scores, measure, |place| page.questions[place].kind == kind));
            let mut row = vec![system.run.name.to_string()];
            row.extend(Kind::ALL.map(of));
            row
        };
        table(&columns, &page.systems.iter().map(row).collect::<Vec<_>>())
    };
    let tables = Scores::MEASURES
        .iter()
        .filter(|(name, _)| ["recall@10", "MRR", "nDCG@10"].contains(name))
        .map(|(name, measure)| format!("{name}:\n\n{}", table_of(*measure)));
    format!("### By kind of question\n\n{}", tables.collect::<Vec<_>>().join("\n\n"))
}

fn differences(page: &Page<'_>) -> String {
    let named = |name: &str| page.systems.iter().find(|system| system.run.name == name);
    let mut rows = Vec::new();
    for (ours, theirs) in page.pairs {
        let (Some(us), Some(them)) = (named(ours), named(theirs)) else { continue };
        for (name, measure) in Scores::MEASURES {
            let difference = runs::compare(&us.scores, &them.scores, measure);
            let interval = format!("{:+.3} … {:+.3}", difference.low, difference.high);
            let clear = if difference.is_clear() { "yes" } else { "no" };
            let first = format!("{ours} over {theirs}");
            rows.push(vec![first, name.to_string(), format!("{:+.3}", difference.mean), interval, clear.to_string()]);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let columns = ["systems", "measure", "difference", "95 % interval", "more than luck"];
    format!("### Differences\n\n{}", table(&columns, &rows))
}

fn selectivities(rows: &[Selectivity]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let row = |row: &Selectivity| {
        vec![
            format!("{} %", row.percent),
            row.documents.to_string(),
            row.way.to_string(),
            share(row.recall),
            milliseconds(measures::percentile(&row.took, 0.95)),
            milliseconds(measures::percentile(&row.exact_took, 0.95)),
        ]
    };
    let columns = ["the filter lets through", "documents", "way", "recall@10 of the exact answer", "p95", "p95 exact"];
    format!(
        "### The approximate index against the exact answer\n\n{}",
        table(&columns, &rows.iter().map(row).collect::<Vec<_>>())
    )
}

/// The questions that the last system answers worst, for people to think about.
fn cuts(cuts: &[Cut]) -> String {
    if cuts.is_empty() {
        return String::new();
    }
    let row = |cut: &Cut| vec![share(cut.share), share(cut.precision), format!("{:.1}", cut.count)];
    let rows: Vec<_> = cuts.iter().map(row).collect();
    let columns = ["share of the best score", "of the right family", "remediations"];
    format!("### What counts in `totals`, by where it is cut off\n\n{}", table(&columns, &rows))
}

fn worst(page: &Page<'_>) -> String {
    let Some(system) = page.systems.last() else { return String::new() };
    let mut all: Vec<(&Question, &Scores)> = page.questions.iter().zip(&system.scores).collect();
    all.sort_by(|(_, a), (_, b)| a.ndcg.total_cmp(&b.ndcg));
    let row = |(question, scores): &(&Question, &Scores)| {
        let note = question.note.clone().unwrap_or_default();
        vec![question.text.clone(), question.family().to_string(), share(scores.ndcg), note]
    };
    let rows: Vec<_> = all.iter().take(WORST).map(row).collect();
    format!(
        "### What {} answers worst\n\n{}",
        system.run.name,
        table(&["question", "family", "nDCG@10", "note"], &rows)
    )
}

/// The mean of a measure over the questions at some places.
fn mean(scores: &[Scores], measure: Measure, belongs: impl Fn(usize) -> bool) -> f64 {
    let own = scores.iter().enumerate().filter(|(place, _)| belongs(*place));
    measures::mean(&own.map(|(_, scores)| measure(scores)).collect::<Vec<f64>>())
}

fn share(value: f64) -> String {
    format!("{value:.3}")
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}

/// A Markdown table; columns after the first are aligned to the right where all their cells are figures.
pub fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let figures = |column: usize| rows.iter().all(|row| row[column].starts_with(|c: char| c.is_ascii_digit()));
    let rule = |column: usize| if column > 0 && !rows.is_empty() && figures(column) { "---:" } else { "---" };
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let cell = |text: &String| text.replace('|', "\\|").replace('\n', " ");
    let mut lines = vec![
        line(columns.iter().map(|column| column.to_string()).collect()),
        line((0..columns.len()).map(|column| rule(column).to_string()).collect()),
    ];
    lines.extend(rows.iter().map(|row| line(row.iter().map(cell).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{questions, runs::Answer};

    fn page(systems: &[System], selectivities: &[Selectivity]) -> String {
        let questions = questions::all().unwrap();
        let halves = questions::halves(&questions);
        let pairs = &[("words", "chance"), ("words", "nobody")];
        let (questions, halves) = (&questions[..2], &halves[..2]);
        let page =
            Page { remediations: 300, audits: 7_000, questions, halves, systems, pairs, selectivities, cuts: &[] };
        let path = std::env::temp_dir().join(format!("search-quality-{}.md", uuid::Uuid::new_v4()));
        fs::write(&path, format!("Before.\n{BEGIN}{END}\nAfter.\n")).unwrap();
        write(&path, &page).unwrap();
        let written = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(written.starts_with("Before.\n") && written.ends_with("\nAfter.\n"), "{written}");
        written
    }

    fn system(name: &'static str, ndcg: f64) -> System {
        let answer = Answer { ranking: Vec::new(), took: vec![Duration::from_micros(1_500)] };
        let scores = Scores { precision_at_1: 1.0, recall: 0.5, exact: 0.5, reciprocal_rank: 1.0, ndcg };
        System { run: Run { name, answers: vec![answer; 2] }, scores: vec![scores; 2] }
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let document = format!("# Title\n\nProse.\n\n{BEGIN}\nold figures\n{END}\n\nMore prose.\n");
        let once = replaced(&document, "new\n").unwrap();
        assert_eq!(once, format!("# Title\n\nProse.\n\n{BEGIN}\n\nnew\n\n{END}\n\nMore prose.\n"));
        assert_eq!(replaced(&once, "new\n").unwrap(), once);
        assert_eq!(replaced("no markers", "new"), None);
        assert_eq!(replaced(&format!("{END} {BEGIN}"), "new"), None);
        assert_eq!(replaced(&format!("{BEGIN} {END} {BEGIN} {END}"), "new"), None);
    }

    #[test]
    fn the_document_of_this_project_has_its_markers() {
        let document = include_str!("../../docs/search-quality.md");
        assert!(replaced(document, "new").is_some_and(|after| after.contains("## How it is measured")));
    }

    #[test]
    fn a_page_tells_of_each_system_and_leaves_out_what_was_not_measured() {
        let text = page(&[system("chance", 0.25), system("words", 0.75)], &[]);
        assert!(text.contains("2 questions of a history of 300 remediations in 7000 audits"), "{text}");
        assert!(text.contains("| words | 1.000 | 0.500 | 0.500 | 1.000 | 0.750 | 1.5 ms | 1.5 ms |"), "{text}");
        assert!(text.contains("| words over chance | nDCG@10 | +0.500 | +0.500 … +0.500 | yes |"), "{text}");
        assert!(text.contains("### What words answers worst"), "{text}");
        assert!(!text.contains("nobody") && !text.contains("approximate"), "{text}");
    }

    #[test]
    fn the_approximate_index_has_a_table_of_its_own() {
        let selectivity = Selectivity {
            percent: 0.01,
            documents: 100_000,
            way: "filter first",
            recall: 1.0,
            took: vec![Duration::from_millis(1)],
            exact_took: vec![Duration::from_millis(2)],
        };
        let text = page(&[], &[selectivity]);
        assert!(text.contains("| 0.01 % | 100000 | filter first | 1.000 | 1.0 ms | 2.0 ms |"), "{text}");
    }

    #[test]
    fn cells_cannot_break_a_table() {
        let text = table(&["a", "b"], &[vec!["x|y\nz".to_string(), "1".to_string()]]);
        assert_eq!(text, "| a | b |\n| --- | ---: |\n| x\\|y z | 1 |");
    }
}
