//! The report of a period as Markdown and as a page of HTML.

use maud::{Markup, html};

use super::{Class, PeriodReport};
use crate::report::{html as page, markdown as md, model::Section, picture, words};

/// The classes of outcomes with their colours.
const COLOURS: [(Class, &str); 5] = [
    (Class::Success, "o-success"),
    (Class::Failure, "o-failure"),
    (Class::Refused, "o-refused"),
    (Class::Unclear, "o-unclear"),
    (Class::Running, "o-running"),
];

pub fn markdown(report: &PeriodReport) -> String {
    let mut text = format!("# Remediations from {} to {}\n", words::moment(report.from), words::moment(report.to));
    text.push_str(&format!("\n**{}**\n", md::escaped(&report.headline)));
    for section in &report.sections {
        text.push_str(&md::section(section));
    }
    text.push_str(
        "\n## Remediations named\n\n| Ref | Remediation | Cluster | Began | What |\n| --- | --- | --- | --- | --- |\n",
    );
    for one in &report.remediations {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            one.reference,
            md::escaped(&one.remediation_id),
            md::escaped(&one.cluster_id),
            words::moment(one.started_at),
            md::escaped(&one.text)
        ));
    }
    text
}

/// The page. `link` gives the address of a remediation by its id and cluster; only `http`, `https` and paths become links.
pub fn html(report: &PeriodReport, link: impl Fn(&str, &str) -> Option<String>) -> String {
    let main = html! {
        header {
            p.kicker { "Remediations of a period" }
            h1 { (report.headline) }
            dl.identity {
                div { dt { "From (UTC)" } dd { (words::moment(report.from)) } }
                div { dt { "To" } dd { (words::moment(report.to)) } }
            }
            (tiles(report))
        }
        nav.contents aria-label="Sections" {
            @for section in &report.sections { a href={ "#" (section.id) } { (section.title) } }
            a href="#remediations" { "Remediations" }
        }
        @for section in &report.sections { (self::section(report, section)) }
        (remediations(report, link))
    };
    page::page(&format!("Remediations from {} to {}", report.from.date_naive(), report.to.date_naive()), main)
}

fn tiles(report: &PeriodReport) -> Markup {
    let (now, before) = (&report.totals, &report.before);
    let was = |value: Option<String>| value.map(|value| format!("{value} before")).unwrap_or_default();
    let shown = |value: Option<f64>, how: fn(f64) -> String| value.map(how);
    let tile = |name: &str, value: Option<String>, note: String| {
        html! { div.tile { dt { (name) } dd { span.value { (value.unwrap_or_else(|| "—".to_string())) } span.note { (note) } } } }
    };
    html! {
        dl.tiles {
            (tile("Remediations", Some(now.count.to_string()), was(Some(before.count.to_string()))))
            (tile("Success rate", shown(now.success_rate, words::percent), was(shown(before.success_rate, words::percent))))
            (tile("Median duration", shown(now.median_duration_ms, words::duration), was(shown(before.median_duration_ms, words::duration))))
            (tile("Mean score", shown(now.mean_effectiveness, words::score), was(shown(before.mean_effectiveness, words::score))))
            (tile("Waited for people", Some(words::duration(now.approval_wait_ms)), was(Some(words::duration(before.approval_wait_ms)))))
        }
    }
}

fn section(report: &PeriodReport, section: &Section) -> Markup {
    html! {
        section id=(section.id) aria-labelledby={ "h-" (section.id) } {
            h2 id={ "h-" (section.id) } { (section.title) }
            @if section.id == "trend" { (bars(report)) }
            ul.said { @for said in &section.statements { li { (page::statement(said)) } } }
            @for (number, table) in (1..).zip(&section.tables) { (page::table(table, section.id, number)) }
        }
    }
}

fn bars(report: &PeriodReport) -> Markup {
    let kinds: Vec<(&'static str, &'static str)> =
        COLOURS.iter().map(|(class, colour)| (*colour, class.in_words())).collect();
    let bars: Vec<(String, Vec<usize>)> =
        report.buckets.iter().map(|bucket| (bucket.from.format("%m-%d").to_string(), bucket.classes.clone())).collect();
    let picture = picture::stacked("Remediations by when they began and what came of them", &kinds, &bars);
    html! {
        @if !picture.0.is_empty() {
            figure {
                (picture)
                ul.legend { @for (colour, name) in &kinds { li { i.(*colour) {} (name) } } }
            }
        }
    }
}

fn remediations(report: &PeriodReport, link: impl Fn(&str, &str) -> Option<String>) -> Markup {
    html! {
        section #remediations aria-labelledby="h-remediations" {
            h2 #h-remediations { "Remediations named" }
            div.scroll tabindex="0" role="region" aria-label="Remediations named" {
                table.evidence {
                    caption { "R began in this time, B in the equally long time before. Times are UTC." }
                    thead { tr {
                        th scope="col" { "Ref" } th scope="col" { "What" } th scope="col" { "Remediation" } th scope="col" { "Began" }
                    } }
                    tbody { @for one in &report.remediations {
                        @let url = link(&one.remediation_id, &one.cluster_id);
                        tr id=(one.reference) {
                            th scope="row" { (one.reference) }
                            td { (one.text) }
                            td {
                                @match url.as_deref().and_then(page::safe) {
                                    Some(url) => a href=(url) rel="noreferrer" { (one.remediation_id) },
                                    None => (one.remediation_id),
                                }
                                span.event { (one.cluster_id) }
                            }
                            td.time { (words::moment(one.started_at)) }
                        }
                    } }
                }
            }
        }
    }
}
