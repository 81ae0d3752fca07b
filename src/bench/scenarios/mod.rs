//! What is measured, one group to a file.

mod batches;
mod embedding;
mod growth;
mod nested;
mod open_loop;
mod projections;
mod search;
mod singles;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Bench;

/// Scenarios that are measured together, on one store. Their order is that in which all of them are measured and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// One audit in each request, against a row in each INSERT
    Singles,
    /// Many audits in each request, against INSERT … UNNEST and COPY
    Batches,
    /// The time to an answer at a steady rate
    OpenLoop,
    /// Nested GraphQL, against the bare SQL that fetches the same rows as JSON
    Nested,
    /// Reads among ten thousand, a million and ten million events in 84 months: they must not take longer for it
    Growth,
    /// Projections that catch up, are rebuilt and follow steady appends, against INSERT … SELECT of the same rows
    Projections,
    /// Searching among many documents, behind filters, against the nearest vectors
    Search,
    /// Making vectors of texts, against sentence-transformers
    Embedding,
}

impl Group {
    pub const ALL: [Group; 8] = [
        Group::Singles,
        Group::Batches,
        Group::OpenLoop,
        Group::Nested,
        Group::Growth,
        Group::Projections,
        Group::Search,
        Group::Embedding,
    ];

    pub async fn run(self, bench: &mut Bench) -> anyhow::Result<()> {
        match self {
            Group::Singles => singles::run(bench).await,
            Group::Batches => batches::run(bench).await,
            Group::OpenLoop => open_loop::run(bench).await,
            Group::Nested => nested::run(bench).await,
            Group::Growth => growth::run(bench).await,
            Group::Projections => projections::run(bench).await,
            Group::Search => search::run(bench).await,
            Group::Embedding => embedding::run(bench).await,
        }
    }
}

/// As it is written on the command line.
impl fmt::Display for Group {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self).expect("no group is hidden");
        out.write_str(value.get_name())
    }
}

fn connections(count: usize) -> String {
    match count {
        1 => "1 connection".to_string(),
        _ => format!("{count} connections"),
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_group_has_one_name_and_one_place() {
        assert_eq!(Group::value_variants(), Group::ALL);
        for group in Group::ALL {
            assert_eq!(serde_json::to_value(group).unwrap(), group.to_string());
        }
    }
}
