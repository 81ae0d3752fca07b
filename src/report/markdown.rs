//! Reports as Markdown (CommonMark with GitHub's tables). What was recorded cannot become markup: it is escaped, and what
//! GitHub would turn into a link by itself stands as code.

use super::model::{Priority, Report, Row, Section, Statement, Table};
use super::words;

/// The report of one remediation.
pub fn report(report: &Report) -> String {
    let figures = &report.figures;
    let mut text = format!("# Remediation Analysis Report: {}\n", escaped(&report.remediation_id));
    let known = |name: &str, value: Option<&str>| value.map(|value| format!("{name} {}", escaped(value)));
    let end = figures.completed_at.map_or("not over".to_string(), words::moment);
    let time = format!("{} to {end}", words::moment(figures.started_at));
    let facts = [
        known("cluster", Some(&report.cluster_id)),
        known("environment", figures.environment.as_deref()),
        known("severity", figures.severity.as_deref()),
        known("signal", figures.signal.as_deref()),
        known("target", figures.target.as_deref()),
        Some(time),
    ];
    text.push_str(&format!("\n{}\n", facts.into_iter().flatten().collect::<Vec<_>>().join(" · ")));
    for section in &report.sections {
        text.push_str(&self::section(section));
        if section.id == "recommendations" {
            text.push_str(&recommendations(report));
        }
    }
    text.push_str(&evidence(report));
    text
}

/// A section; the first statement of the executive summary is the headline.
pub fn section(section: &Section) -> String {
    let mut text = format!("\n## {}\n\n", escaped(section.title));
    let mut statements = section.statements.as_slice();
    if let ("executive-summary", [lead, rest @ ..]) = (section.id, statements) {
        text.push_str(&format!("**{}**{}\n\n", escaped(&lead.text), cited(&lead.cites)));
        statements = rest;
    }
    for statement in statements {
        text.push_str(&format!("- {}\n", said(statement)));
    }
    for table in &section.tables {
        text.push_str(&format!("\n{}", self::table(table)));
    }
    text
}

fn said(statement: &Statement) -> String {
    format!("{}{}", escaped(&statement.text), cited(&statement.cites))
}

fn cited(cites: &[String]) -> String {
    // References are ours, and nothing defines links of these names.
    if cites.is_empty() { String::new() } else { format!(" [{}]", cites.join(", ")) }
}

/// A table; its last column names what each row rests on.
pub fn table(table: &Table) -> String {
    let names = table.columns.iter().map(|column| escaped(column.name)).chain(["Evidence".to_string()]);
    let rules = table.columns.iter().map(|column| if column.figure { "---:" } else { "---" }).chain(["---"]);
    let mut text = format!("{}\n\n", escaped(&table.caption));
    text.push_str(&format!("| {} |\n| {} |\n", joined(names), joined(rules.map(str::to_string))));
    for row in &table.rows {
        text.push_str(&format!("{}\n", self::row(row)));
    }
    text
}

fn row(row: &Row) -> String {
    let bold = |cell: &str| match (row.marked, cell.is_empty()) {
        (true, false) => format!("**{}**", escaped(cell)),
        _ => escaped(cell),
    };
    // Only the first cell is set bold: a whole bold row is hard to read.
    let cells = row.cells.iter().enumerate().map(|(place, cell)| if place == 0 { bold(cell) } else { escaped(cell) });
    format!("| {} |", joined(cells.chain([row.cites.join(", ")])))
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(" | ")
}

fn recommendations(report: &Report) -> String {
    let mut text = String::new();
    for (number, found) in (1..).zip(&report.recommendations) {
        let priority = match found.priority {
            Priority::High => "HIGH",
            Priority::Medium => "MEDIUM",
            Priority::Low => "LOW",
        };
        let impact = found.expected_impact.as_ref();
        let impact = impact.map(|impact| format!(" Expected impact: {}.", escaped(impact))).unwrap_or_default();
        text.push_str(&format!(
            "\n{number}. **{priority}** {}{impact} Rule `{}`.{}\n",
            escaped(&found.text),
            found.rule,
            cited(&found.cites)
        ));
    }
    text
}

fn evidence(report: &Report) -> String {
    let mut text = "\n## Evidence\n\n| Ref | Event | Service | Occurred | Recorded | Tells |\n| --- | --- | --- | --- | --- | --- |\n".to_string();
    for item in &report.evidence {
        let other = item.remediation_id != report.remediation_id || item.cluster_id != report.cluster_id;
        let of = format!("{} in {}: ", item.remediation_id, item.cluster_id);
        let tells = format!("{}{}", if other { of } else { String::new() }, item.text);
        text.push_str(&format!(
            "| {} | `{}` | {} | {} | {} | {} |\n",
            item.reference,
            item.event_id,
            words::service(item.service),
            words::moment(item.at),
            words::moment(item.recorded_at),
            escaped(&tells)
        ));
    }
    text
}

/// Text that Markdown shows as it is, in one line.
pub fn escaped(text: &str) -> String {
    let line = words::line(text);
    let words = line.split(' ').enumerate().map(|(place, word)| match () {
        () if links_itself(word) => code(word),
        () => word_escaped(word, place == 0),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// GitHub links addresses without being asked, escaped or not; in code it does not.
fn links_itself(word: &str) -> bool {
    let lower = word.to_lowercase();
    lower.contains("://")
        || lower.contains("www.")
        || word.contains('@')
        || lower.contains("mailto:")
        || lower.contains("xmpp:")
}

fn code(word: &str) -> String {
    // Within code nothing can be escaped.
    let word: String = word
        .chars()
        .map(|c| {
            if c == '`' {
                '\''
            } else if c == '|' {
                '¦'
            } else {
                c
            }
        })
        .collect();
    format!("`{word}`")
}

fn word_escaped(word: &str, first: bool) -> String {
    let mut text = String::with_capacity(word.len() + 4);
    // A word that stands alone at the beginning could make its line a list, a rule or a heading.
    let marker =
        first && (matches!(word, "+" | ":") || word.chars().all(|c| c == '-') || word.chars().all(|c| c == '='));
    let number = word.len().checked_sub(1).filter(|last| *last > 0 && word.ends_with(['.', ')']));
    let number = number.filter(|last| first && word[..*last].bytes().all(|digit| digit.is_ascii_digit()));
    for (place, c) in word.chars().enumerate() {
        let anywhere = matches!(c, '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '#' | '$' | '^');
        // Within a word an underscore is one; at its edges it would begin or end an emphasis.
        let edge = c == '_' && !within(word, place);
        let beginning = (marker && place == 0) || number == Some(place);
        if anywhere || edge || beginning {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// Whether letters or digits stand on both sides of this place.
fn within(word: &str, place: usize) -> bool {
    let letter =
        |place: Option<usize>| place.and_then(|place| word.chars().nth(place)).is_some_and(char::is_alphanumeric);
    letter(place.checked_sub(1)) && letter(place.checked_add(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    use super::*;

    /// Every extension but the one that sets quotation marks.
    fn options() -> Options {
        Options::all().difference(Options::ENABLE_SMART_PUNCTUATION)
    }

    /// What a Markdown parser makes of a document: its text, and the names of everything that is markup.
    fn read(document: &str) -> (String, Vec<String>) {
        let (mut text, mut markup) = (String::new(), Vec::new());
        for event in Parser::new_ext(document, options()) {
            match event {
                Event::Text(told) | Event::Code(told) => text.push_str(&told),
                Event::SoftBreak | Event::HardBreak => text.push(' '),
                Event::Start(Tag::Paragraph | Tag::Item | Tag::List(None)) | Event::End(_) => {}
                other => markup.push(format!("{other:?}")),
            }
        }
        (text, markup)
    }

    #[test]
    fn what_was_recorded_stays_text() {
        for told in [
            "# heading",
            "1. list",
            "12) list",
            "- item",
            "+ item",
            "* item",
            "=== ---",
            "---",
            "> quote",
            "[a](http://x)",
            "![a](b)",
            "<script>alert(1)</script>",
            "<!-- x -->",
            "&lt;b&gt;",
            "a | b",
            "`code` ``x",
            "**bold** __bold__ _em_ ~~no~~",
            "[x]: http://y",
            "| - | - |",
            "$x$ and $$y$$",
            "a_b_c restart_pod",
            "\\",
            ": term",
            "[^1]",
            "```rust",
            "~~~",
            "#payments-sre",
            "2026-05-04T10:00:00Z",
            "x^2^ H~2~O",
            "a\n# b",
            "    indented",
            "-- \"quoted\" ...",
        ] {
            let (text, markup) = read(&format!("- {}\n", escaped(told)));
            let straight =
                |text: &str| text.replace(['“', '”', '‘', '’'], "\"").replace('…', "...").replace(['–', '—'], "--");
            assert_eq!(straight(&text), straight(&words::line(told)), "{}", escaped(told));
            assert!(markup.is_empty(), "{told:?} becomes {markup:?}");
        }
    }

    #[test]
    fn addresses_are_code_because_they_would_become_links() {
        assert_eq!(escaped("see https://evil.example/`x`|y now"), "see `https://evil.example/'x'¦y` now");
        assert_eq!(escaped("by alice@example.com"), "by `alice@example.com`");
        assert_eq!(escaped("www.evil.example"), "`www.evil.example`");
        assert_eq!(escaped("restart_pod _x"), "restart_pod \\_x");
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(told in "[-a-c0-2 #*_`~<>|&!:.)(\\[\\]\\\\=+$^\"'{}@/\n]{0,24}") {
            let item = format!("- x\n- {}\n", escaped(&told));
            let (_, markup) = read(&item);
            prop_assert!(markup.iter().all(|one| one.starts_with("Code")), "{item:?} becomes {markup:?}");

            let table = format!("| a | b |\n| --- | --- |\n| {} | z |\n", escaped(&told));
            let cells = Parser::new_ext(&table, options())
                .filter(|event| matches!(event, Event::Start(Tag::TableCell))).count();
            prop_assert_eq!(cells, 4, "{}", table);
        }
    }
}
