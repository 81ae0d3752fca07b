//! Reports as a page of HTML that stands alone: no script, nothing loaded from elsewhere, light and dark, and fit to be
//! printed. References lead to the evidence at the end, and from there back.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    model::{Priority, Quality, Recommendation, Report, Row, Section, Statement, Table},
    picture, words,
};
use crate::audit::RemediationOutcome;

const STYLE: &str = include_str!("page.css");
/// So many of the places that cite a piece of evidence are named.
const BACK_MAX: usize = 12;

/// The report of one remediation. `url` is where the remediation itself is found; only `http`, `https` and paths become
/// links.
pub fn report(report: &Report, url: Option<&str>) -> String {
    let lead = report.sections.first().and_then(|section| section.statements.first());
    let back = citing(report);
    let main = html! {
        header {
            p.kicker { "Remediation Analysis Report" }
            h1 { (report.summary.headline) }
            p.lead-cites { @if let Some(lead) = lead { (cites(&lead.cites)) } }
            (standing(report))
            (identity(report, url))
            (tiles(report))
        }
        (contents(report))
        @for section in &report.sections { (self::section(report, section)) }
        (evidence(report, &back))
        footer { (footer(report)) }
    };
    page(&format!("Report: {}", report.remediation_id), main)
}

/// A whole page around `main`.
pub fn page(title: &str, main: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (picture::patterns())
                main { (main) }
            }
        }
    };
    page.into_string()
}

/// How it ended, in words and in a colour.
fn standing(report: &Report) -> Markup {
    let figures = &report.figures;
    let (class, word) = match (figures.outcome, figures.effective) {
        (None, _) => ("going", words::standing(figures.phase).to_string()),
        (Some(RemediationOutcome::Remediated), Some(false)) => ("bad", "not effective".to_string()),
        (Some(outcome @ (RemediationOutcome::Remediated | RemediationOutcome::NoActionRequired)), _) => {
            ("good", outcome.in_words().to_string())
        }
        (
            Some(
                outcome @ (RemediationOutcome::Failed
                | RemediationOutcome::TimedOut
                | RemediationOutcome::Rejected
                | RemediationOutcome::Expired),
            ),
            _,
        ) => ("bad", outcome.in_words().to_string()),
        (Some(outcome), _) => ("unclear", outcome.in_words().to_string()),
    };
    let badge = |class: &str, word: String| html! { span.badge.(class) { (word) } };
    html! {
        p.badges {
            (badge(class, word))
            @if let (Some(true), Some(RemediationOutcome::Remediated)) = (figures.effective, figures.outcome) {
                (badge("good", "verified effective".to_string()))
            }
            @if let Some(severity) = &figures.severity { (badge("plain", severity.clone())) }
            @if let Some(environment) = &figures.environment { (badge("plain", environment.clone())) }
            @if let Some(priority) = &report.summary.business_impact.priority { (badge("plain", priority.clone())) }
        }
    }
}

/// An address that may become a link.
pub fn safe(url: &str) -> Option<&str> {
    let known =
        url.starts_with("https://") || url.starts_with("http://") || (url.starts_with('/') && !url.starts_with("//"));
    known.then_some(url)
}

fn identity(report: &Report, url: Option<&str>) -> Markup {
    let figures = &report.figures;
    let time = match figures.completed_at {
        Some(end) => words::span(figures.started_at, end),
        None => format!("{}, not over", words::moment(figures.started_at)),
    };
    html! {
        dl.identity {
            div { dt { "Remediation" } dd {
                @match url.and_then(safe) {
                    Some(url) => a href=(url) rel="noreferrer" { (report.remediation_id) },
                    None => (report.remediation_id),
                }
            } }
            div { dt { "Cluster" } dd { (report.cluster_id) } }
            @if let Some(target) = &figures.target { div { dt { "Target" } dd { (target) } } }
            @if let Some(signal) = &figures.signal { div { dt { "Signal" } dd { (signal) } } }
            @if let Some(action) = &figures.action { div { dt { "Action" } dd { (action) } } }
            div { dt { "Time (UTC)" } dd { (time) } }
        }
    }
}

/// The figures that one looks for first.
fn tiles(report: &Report) -> Markup {
    let figures = &report.figures;
    let impact = &report.summary.business_impact;
    let bottleneck = report.phases.iter().find(|phase| phase.bottleneck);
    let tile = |name: &str, value: String, note: String| {
        html! { div.tile { dt { (name) } dd { span.value { (value) } @if !note.is_empty() { span.note { (note) } } } } }
    };
    html! {
        dl.tiles {
            (tile("Duration", words::duration(figures.duration_ms), match (impact.sla_ms, impact.sla_breached) {
                (Some(ms), Some(true)) => format!("SLA {} missed", words::duration(ms)),
                (Some(ms), Some(false)) => format!("SLA {} kept", words::duration(ms)),
                (Some(ms), None) => format!("SLA {}", words::duration(ms)),
                (None, _) => String::new(),
            }))
            @if let Some(phase) = bottleneck {
                (tile("Bottleneck", words::phase(phase.name).to_string(), format!("{}{}", words::duration(phase.duration_ms),
                    phase.share.map(|share| format!(", {}", words::percent(share))).unwrap_or_default())))
            }
            (tile("Effectiveness", figures.effectiveness.map_or("—".to_string(), words::score), match figures.effective {
                Some(true) => "found effective".to_string(),
                Some(false) => "found not effective".to_string(),
                None => "not verified".to_string(),
            }))
            @if let Some(quality) = figures.decision_quality {
                (tile("AI decision", match quality {
                    Quality::High => "High",
                    Quality::Medium => "Medium",
                    Quality::Low => "Low",
                }.to_string(), "quality, by rule".to_string()))
            }
            (tile("Record", words::percent(report.completeness.score), "complete".to_string()))
        }
    }
}

fn contents(report: &Report) -> Markup {
    html! {
        nav.contents aria-label="Sections" {
            @for section in &report.sections { a href={ "#" (section.id) } { (section.title) } }
            a href="#evidence" { "Evidence" }
        }
    }
}

fn section(report: &Report, section: &Section) -> Markup {
    // The headline stands at the head of the page.
    let first = usize::from(section.id == "executive-summary");
    html! {
        section id=(section.id) aria-labelledby={ "h-" (section.id) } {
            h2 id={ "h-" (section.id) } { (section.title) }
            @match section.id {
                "timeline" => (figure(picture::timeline(report), timeline_note(report))),
                "phases" => (phases(report)),
                _ => {},
            }
            ul.said {
                @for (number, said) in section.statements.iter().enumerate().skip(first) {
                    li id=(place(section.id, number + 1)) { (statement(said)) }
                }
            }
            @if section.id == "recommendations" && !report.recommendations.is_empty() {
                ol.advice { @for (number, found) in (1..).zip(&report.recommendations) { (recommendation(found, number)) } }
            }
            @for (number, table) in (1..).zip(&section.tables) { (self::table(table, section.id, number)) }
        }
    }
}

/// The bar of the phases, with a legend for the parts that are too small for their names.
fn phases(report: &Report) -> Markup {
    let picture = picture::phases(report);
    html! {
        @if !picture.0.is_empty() {
            figure {
                (picture)
                ul.legend {
                    @for (phase, share) in report.phases.iter().filter_map(|phase| Some((phase, phase.share?))) {
                        li { i.(picture::class(phase.name)) {} (words::phase(phase.name)) " " (words::percent(share)) }
                    }
                }
                figcaption { "Hatched parts are waiting, not work." }
            }
        }
    }
}

fn timeline_note(report: &Report) -> Option<String> {
    let decides = report.timeline.iter().any(|moment| moment.decision.is_some());
    let note = "Bars are work, dots are moments, hatched bands are waiting";
    Some(if decides { format!("{note}; numbered diamonds are decision points.") } else { format!("{note}.") })
}

/// A picture with its caption, where there is something to draw.
pub fn figure(picture: Markup, caption: Option<String>) -> Markup {
    html! {
        @if !picture.0.is_empty() {
            figure {
                (picture)
                @if let Some(caption) = caption { figcaption { (caption) } }
            }
        }
    }
}

pub fn statement(said: &Statement) -> Markup {
    html! { (said.text) " " (cites(&said.cites)) }
}

/// References, as links to the evidence.
fn cites(cites: &[String]) -> Markup {
    html! {
        span.cites { @for cite in cites { a.cite href={ "#" (cite) } { (cite) } " " } }
    }
}

fn recommendation(found: &Recommendation, number: usize) -> Markup {
    let (class, word) = match found.priority {
        Priority::High => ("high", "High"),
        Priority::Medium => ("medium", "Medium"),
        Priority::Low => ("low", "Low"),
    };
    html! {
        li.(class) id=(place("advice", number)) {
            p.text { span.priority { (word) } " " (found.text) " " (cites(&found.cites)) }
            p.impact {
                @if let Some(impact) = &found.expected_impact { "Expected impact: " strong { (impact) } " · " }
                "rule " code { (found.rule) }
            }
        }
    }
}

pub fn table(table: &Table, section: &str, number: usize) -> Markup {
    let cited = table.rows.iter().any(|row| !row.cites.is_empty());
    html! {
        div.scroll tabindex="0" role="region" aria-label=(table.caption) {
            table.(section) id=(format!("{section}-t{number}")) {
                caption { (table.caption) }
                thead { tr {
                    @for column in &table.columns { th.figure[column.figure] scope="col" { (column.name) } }
                    @if cited { th scope="col" { "Evidence" } }
                } }
                tbody { @for row in &table.rows { (self::row(table, row, cited)) } }
            }
        }
    }
}

fn row(table: &Table, row: &Row, cited: bool) -> Markup {
    html! {
        tr.marked[row.marked] {
            @for (cell, column) in row.cells.iter().zip(&table.columns) { td.figure[column.figure] { (cell) } }
            @if cited { td.refs { (cites(&row.cites)) } }
        }
    }
}

fn place(section: &str, number: usize) -> String {
    format!("{section}-{number}")
}

/// For each reference the places that cite it: where they are, and how they are called.
fn citing(report: &Report) -> BTreeMap<&str, Vec<(String, String)>> {
    let mut citing: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for (index, section) in (1..).zip(&report.sections) {
        let lead = section.id == "executive-summary";
        for (number, said) in (1..).zip(&section.statements) {
            for cite in said.cites.iter().filter(|_| !(lead && number == 1)) {
                citing.entry(cite).or_default().push((place(section.id, number), format!("{index}.{number}")));
            }
        }
        for (number, table) in (1..).zip(&section.tables) {
            let mut cited: Vec<&str> = table.rows.iter().flat_map(|row| &row.cites).map(String::as_str).collect();
            cited.sort_unstable();
            cited.dedup();
            for cite in cited {
                citing.entry(cite).or_default().push((format!("{}-t{number}", section.id), format!("{index}.table")));
            }
        }
    }
    for (number, found) in (1..).zip(&report.recommendations) {
        for cite in &found.cites {
            citing.entry(cite).or_default().push((place("advice", number), format!("advice {number}")));
        }
    }
    citing
}

fn evidence(report: &Report, back: &BTreeMap<&str, Vec<(String, String)>>) -> Markup {
    let other = |id: &str, cluster: &str| id != report.remediation_id || cluster != report.cluster_id;
    html! {
        section #evidence aria-labelledby="h-evidence" {
            h2 #h-evidence { "Evidence" }
            p.note { "Every event that is cited. Times are UTC: when it occurred, as its writer says, and when the journal \
                recorded it." }
            div.scroll tabindex="0" role="region" aria-label="Evidence" {
                table.evidence {
                    caption { "Cited events" }
                    thead { tr {
                        th scope="col" { "Ref" } th scope="col" { "What it tells" } th scope="col" { "Occurred" }
                        th scope="col" { "Recorded" } th scope="col" { "Cited in" }
                    } }
                    tbody { @for item in &report.evidence {
                        tr id=(item.reference) {
                            th scope="row" { (item.reference) }
                            td {
                                (item.text)
                                span.event {
                                    (words::service(item.service)) " · " (item.event_type)
                                    @if other(&item.remediation_id, &item.cluster_id) {
                                        " · of " (item.remediation_id) " in " (item.cluster_id)
                                    }
                                    " · " code { (item.event_id) }
                                }
                            }
                            td.time { (words::moment(item.at)) }
                            td.time { (words::moment(item.recorded_at)) }
                            td.back {
                                @let places = back.get(item.reference.as_str()).map_or(&[][..], Vec::as_slice);
                                @for (id, name) in places.iter().take(BACK_MAX) { a href={ "#" (id) } { (name) } " " }
                                @if places.len() > BACK_MAX { "and " (places.len() - BACK_MAX) " more" }
                            }
                        }
                    } }
                }
            }
        }
    }
}

fn footer(report: &Report) -> Markup {
    let made = &report.provenance;
    html! {
        p {
            "Assembled by version " (made.rules_version) " of the rules, not by a model, from "
            (words::count(made.events + made.other_events, "event")) ". Watermark " code { (made.watermark) }
            ", evidence " code { (made.evidence_digest) } "."
        }
    }
}
