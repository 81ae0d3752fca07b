//! The sections, in the order in which they are read.

pub mod analysis;
mod execution;
mod notifications;
mod outcome;
mod people;
pub mod phases;
mod record;
mod similar;
mod summary;
pub mod timeline;

use super::{
    case::Case,
    model::{Column, Priority, Recommendation, Section},
    rules::RULES,
    words,
};

pub use execution::workflow as workflow_of;
pub use notifications::retries as notification_retries;
pub use summary::headline;

pub fn all(case: &Case<'_>, recommendations: &[Recommendation]) -> Vec<Section> {
    vec![
        summary::section(case, recommendations),
        outcome::section(case),
        timeline::section(case),
        phases::section(case),
        analysis::section(case),
        people::section(case),
        execution::section(case),
        notifications::section(case),
        similar::section(case),
        advice(case, recommendations),
        record::missing(case),
        record::provenance(case),
    ]
}

/// How many recommendations there are; they themselves stand in `Report::recommendations`.
fn advice(case: &Case<'_>, recommendations: &[Recommendation]) -> Section {
    let text = match recommendations.len() {
        0 => format!("None of the {} rules fired.", RULES.len()),
        fired => {
            let high = recommendations.iter().filter(|found| found.priority == Priority::High).count();
            let urgent = if high > 0 { format!(", {high} of them of high priority") } else { String::new() };
            format!("{}{urgent}; {} rules were applied.", words::count(fired, "recommendation"), RULES.len())
        }
    };
    let cites = recommendations.iter().flat_map(|found| found.cites.clone()).collect();
    Section {
        id: "recommendations",
        title: "Recommendations",
        statements: vec![case.say(text, cites)],
        tables: Vec::new(),
    }
}

const fn column(name: &'static str) -> Column {
    Column { name, figure: false }
}

const fn figure(name: &'static str) -> Column {
    Column { name, figure: true }
}
