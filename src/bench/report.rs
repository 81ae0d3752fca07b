//! What a measurement comes to: the median of the rounds with the least and the most, as a table for people.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, Utc};

use super::{machine::Machine, rounds::Round};

#[derive(Clone, Debug)]
pub struct Report {
    pub begun: DateTime<Utc>,
    pub ended: DateTime<Utc>,
    pub machine: Machine,
    pub rounds: Vec<Round>,
}

/// One variant of one scenario, over its rounds.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    pub scenario: &'a str,
    pub variant: &'a str,
    rounds: Vec<&'a Round>,
}

/// The ratio of each variant of each scenario, by their names: what is kept to compare later measurements with.
pub type Ratios = BTreeMap<String, BTreeMap<String, f64>>;

/// A ratio that is less than this share of what it was is a loss, and not the noise of a machine.
const LOST_BELOW: f64 = 0.5;

/// A ratio that fell.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    pub scenario: String,
    pub variant: String,
    pub was: f64,
    pub is: f64,
}

pub const HEADER: [&str; 10] =
    ["scenario", "variant", "rate /s", "p50 ms", "p95 ms", "p99 ms", "ratio", "CPU s/1,000", "peak MiB", "recall"];

impl Report {
    /// The rows, in the order in which they were measured.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row> = Vec::new();
        for round in &self.rounds {
            match rows.iter_mut().find(|row| row.scenario == round.scenario && row.variant == round.variant) {
                Some(row) => row.rounds.push(round),
                None => {
                    rows.push(Row { scenario: &round.scenario, variant: &round.variant, rounds: vec![round] });
                }
            }
        }
        rows
    }

    /// The median ratios of what is compared with a reference.
    pub fn ratios(&self) -> Ratios {
        let mut ratios = Ratios::new();
        for row in self.rows() {
            let all: Option<Vec<f64>> = row.rounds.iter().map(|round| round.ratio).collect();
            if let Some(all) = all {
                let ratio = (median(all) * 1e3).round() / 1e3;
                ratios.entry(row.scenario.to_string()).or_default().insert(row.variant.to_string(), ratio);
            }
        }
        ratios
    }

    /// The ratios that fell by more than half; what only one of both has is passed over.
    pub fn losses(&self, before: &Ratios) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (scenario, variants) in self.ratios() {
            for (variant, is) in variants {
                let was = before.get(&scenario).and_then(|before| before.get(&variant)).copied();
                if let Some(was) = was.filter(|was| is < was * LOST_BELOW) {
                    losses.push(Loss { scenario: scenario.clone(), variant, was, is });
                }
            }
        }
        losses
    }

    /// One line of JSON for each turn.
    pub fn json_lines(&self) -> serde_json::Result<String> {
        let mut lines = String::new();
        for round in &self.rounds {
            lines.push_str(&serde_json::to_string(round)?);
            lines.push('\n');
        }
        Ok(lines)
    }

    /// What the figures were measured on, in one paragraph.
    pub fn conditions(&self) -> String {
        let Machine { cores, processor, memory_mib, load, sync } = &self.machine;
        let mut text = format!(
            "Measured on {} in {} min",
            self.begun.format("%-d %B %Y"),
            (self.ended - self.begun).num_minutes()
        );
        let _ = write!(text, ", on {cores} cores"); // a string takes everything
        let _ = processor.as_ref().map(|processor| write!(text, " of {processor}"));
        let _ = memory_mib.map(|mib| write!(text, " and {} GiB of memory", (mib + 512) / 1024));
        let _ = load.map(|load| write!(text, ", load {load:.2} before it began"));
        let _ = write!(
            text,
            "; a page of 8 kB is written and on disk after {:.2} ms (p50), {:.2} ms (p95), {:.2} ms (p99). Client, server \
             and Postgres share the cores. Durability is on: `fsync`, `full_page_writes`, `synchronous_commit`.",
            sync.p50_ms, sync.p95_ms, sync.p99_ms
        );
        text
    }

    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("| {} |\n|{}\n", HEADER.join(" | "), " --- |".repeat(HEADER.len()));
        for row in self.rows() {
            let _ = writeln!(text, "| {} |", row.cells().join(" | ")); // a string takes everything
        }
        text
    }
}

impl Row<'_> {
    /// Its cells, in the order of `HEADER`.
    pub fn cells(&self) -> [String; 10] {
        let some = |value: fn(&Round) -> Option<f64>, show: fn(f64) -> String| {
            self.rounds
                .iter()
                .map(|round| value(round))
                .collect::<Option<Vec<_>>>()
                .map_or(String::new(), |all| show(median(all)))
        };
        [
            self.scenario.to_string(),
            self.variant.to_string(),
            self.spread(|round| round.rate_per_s),
            self.spread(|round| round.p50_ms),
            self.spread(|round| round.p95_ms),
            self.spread(|round| round.p99_ms),
            some(|round| round.ratio, |ratio| format!("{ratio:.2}")),
            some(|round| round.cpu_s_per_1000, figure),
            some(|round| round.server_peak_mib, |mib| format!("{mib:.0}")),
            some(|round| round.recall, |recall| format!("{recall:.3}")),
        ]
    }

    pub fn median(&self, value: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(|round| value(round)).collect())
    }

    fn spread(&self, value: impl Fn(&Round) -> f64) -> String {
        let all: Vec<f64> = self.rounds.iter().map(|round| value(round)).collect();
        let (least, most) = all.iter().fold((f64::MAX, 0.0_f64), |(least, most), it| (least.min(*it), most.max(*it)));
        format!("{} ({}–{})", figure(median(all)), figure(least), figure(most))
    }
}

/// A turn, told as it ends.
pub fn line(turn: &Round) -> String {
    let Round { scenario, variant, round, counted, rate_per_s, p50_ms, p99_ms, ratio, .. } = turn;
    let (rate, p50, p99) = (figure(*rate_per_s), figure(*p50_ms), figure(*p99_ms));
    let ratio = ratio.map(|ratio| format!(", ratio {ratio:.2}")).unwrap_or_default();
    format!("{scenario}: {variant}, round {round}: {rate} {counted}/s, p50 {p50} ms, p99 {p99} ms{ratio}")
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    match (all.len(), all.len() / 2) {
        (0, _) => f64::NAN,
        (odd, middle) if odd % 2 == 1 => all[middle],
        (_, middle) => (all[middle - 1] + all[middle]) / 2.0,
    }
}

/// Three figures, and commas in what is large.
fn figure(value: f64) -> String {
    match value {
        value if value >= 1_000.0 => {
            let (thousands, rest) = ((value.round() as u64) / 1_000, (value.round() as u64) % 1_000);
            if thousands >= 1_000 {
                format!("{},{:03},{rest:03}", thousands / 1_000, thousands % 1_000)
            } else {
                format!("{thousands},{rest:03}")
            }
        }
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Group, rounds::tests::round};

    #[test]
    fn a_turn_is_told_in_a_line() {
        let line = line(&round(Group::Singles, "one", "A", Some(0.5)));
        assert_eq!(line, "one: A, round 1: 1,234 audits/s, p50 1.00 ms, p99 12.3 ms, ratio 0.50");
    }

    #[test]
    fn figures_have_as_many_places_as_they_deserve() {
        let shown = [0.01234, 0.5, 9.876, 12.34, 999.4, 1_000.0, 15_455.4, 1_234_567.0].map(figure);
        assert_eq!(shown, ["0.012", "0.50", "9.88", "12.3", "999", "1,000", "15,455", "1,234,567"]);
    }

    #[test]
    fn a_ratio_is_lost_when_less_than_half_of_it_is_left() {
        let round = |variant: &str, ratio| round(Group::Singles, "one", variant, ratio);
        let sync = crate::bench::machine::Sync { p50_ms: 0.1, p95_ms: 0.1, p99_ms: 0.1 };
        let machine = Machine { cores: 2, processor: None, memory_mib: None, load: None, sync };
        let rounds = vec![round("A", Some(0.6)), round("A", Some(0.4)), round("B", Some(0.9)), round("C", None)];
        let report = Report { begun: Utc::now(), ended: Utc::now(), machine, rounds };
        let before: Ratios =
            serde_json::from_str(r#"{"one": {"A": 1.01, "B": 1.0, "C": 9, "D": 9}, "two": {"A": 9}}"#).unwrap();

        let loss = Loss { scenario: "one".to_string(), variant: "A".to_string(), was: 1.01, is: 0.5 };
        assert_eq!(report.losses(&before), [loss]);
        assert_eq!(report.losses(&report.ratios()), []);
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
