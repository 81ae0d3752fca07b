//! What a measurement comes to: the median of the rounds with the least and the most, as a table for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use chrono::{DateTime, Utc};

use super::{
    Group,
    machine::Machine,
    rounds::{Round, Times},
};

#[derive(Clone, Debug)]
pub struct Report {
    pub begun: DateTime<Utc>,
    pub times: Times,
    pub machine: Machine,
    pub rounds: Vec<Round>,
}

/// One variant of one scenario, over its rounds.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    pub group: Group,
    pub scenario: &'a str,
    pub variant: &'a str,
    rounds: Vec<&'a Round>,
}

/// The ratio of each variant of each scenario of each group, by their names: what is kept to compare later measurements with.
pub type Ratios = BTreeMap<Group, BTreeMap<String, BTreeMap<String, f64>>>;

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
            let (group, scenario, variant) = (round.group, round.scenario.as_str(), round.variant.as_str());
            match rows.iter_mut().find(|row| (row.group, row.scenario, row.variant) == (group, scenario, variant)) {
                Some(row) => row.rounds.push(round),
                None => rows.push(Row { group, scenario, variant, rounds: vec![round] }),
            }
        }
        rows
    }

    /// The groups that have figures; one that was skipped has none.
    pub fn groups(&self) -> BTreeSet<Group> {
        self.rounds.iter().map(|round| round.group).collect()
    }

    /// The median ratios of what is compared with a reference.
    pub fn ratios(&self) -> Ratios {
        let mut ratios = Ratios::new();
        for row in self.rows() {
            let all: Option<Vec<f64>> = row.rounds.iter().map(|round| round.ratio).collect();
            if let Some(all) = all {
                let ratio = (median(all) * 1e3).round() / 1e3;
                let scenarios = ratios.entry(row.group).or_default();
                scenarios.entry(row.scenario.to_string()).or_default().insert(row.variant.to_string(), ratio);
            }
        }
        ratios
    }

    /// Whether the group was measured without the reference that it had: figures that say less than those kept.
    pub fn lacks_reference(&self, group: Group, kept: &Ratios) -> bool {
        kept.contains_key(&group) && !self.ratios().contains_key(&group)
    }

    /// Ratios kept from before, with those of each group that was measured in the place of all that it had.
    pub fn renewed(&self, mut kept: Ratios) -> Ratios {
        let ratios = self.ratios();
        kept.retain(|group, _| !ratios.contains_key(group));
        kept.extend(ratios);
        kept
    }

    /// The ratios that fell by more than half; what only one of both has is passed over.
    pub fn losses(&self, before: &Ratios) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (group, scenarios) in self.ratios() {
            let Some(before) = before.get(&group) else { continue };
            for (scenario, variants) in scenarios {
                for (variant, is) in variants {
                    let was = before.get(&scenario).and_then(|before| before.get(&variant)).copied();
                    if let Some(was) = was.filter(|was| is < was * LOST_BELOW) {
                        losses.push(Loss { scenario: scenario.clone(), variant, was, is });
                    }
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

    /// How the figures were measured, and on what, in one paragraph.
    pub fn conditions(&self) -> String {
        let Machine { cores, processor, memory_mib, load, sync } = &self.machine;
        let Times { rounds, turn, .. } = self.times;
        let mut text = format!(
            "Measured on {} in turns of {} s, {rounds} for each variant",
            self.begun.format("%-d %B %Y"),
            turn.as_secs_f64(),
        );
        let _ = write!(text, ", on {cores} cores"); // a string takes everything
        let _ = processor.as_ref().map(|processor| write!(text, " of {processor}"));
        let _ = memory_mib.map(|mib| write!(text, " and {} GiB of memory", (mib + 512) / 1024));
        let _ = load.map(|load| write!(text, ", load {load:.2} before the run began"));
        let _ = write!(
            text,
            "; a page of 8 kB is written and on disk after {:.2} ms (p50), {:.2} ms (p95), {:.2} ms (p99). Client, server \
             and Postgres share the cores. Durability is on: `fsync`, `full_page_writes`, `synchronous_commit`.",
            sync.p50_ms, sync.p95_ms, sync.p99_ms
        );
        text
    }

    /// What a page shows of a group, in Markdown: the conditions and the table.
    pub fn figures(&self, group: Group) -> String {
        let mut text = format!("{}\n\n", self.conditions());
        let _ = writeln!(text, "| {} |\n|{}", HEADER.join(" | "), " --- |".repeat(HEADER.len()));
        for row in self.rows().into_iter().filter(|row| row.group == group) {
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
pub mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::bench::rounds::tests::round;

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

    /// One turn of a group.
    pub fn of(group: Group, ratio: Option<f64>) -> Report {
        report(vec![round(group, "one", "A", ratio)])
    }

    fn report(rounds: Vec<Round>) -> Report {
        let sync = crate::bench::machine::Sync { p50_ms: 0.1, p95_ms: 0.15, p99_ms: 0.2 };
        let machine = Machine { cores: 2, processor: None, memory_mib: None, load: Some(0.25), sync };
        let times = Times { rounds: 2, turn: Duration::from_millis(1_500), warm_up: Duration::ZERO };
        Report { begun: "2026-05-04T10:00:00Z".parse().unwrap(), times, machine, rounds }
    }

    fn ratios(json: &str) -> Ratios {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_group_is_shown_with_its_conditions_and_its_rows_alone() {
        let single = |ratio| round(Group::Singles, "one", "A", Some(ratio));
        let report = report(vec![single(0.6), single(0.4), round(Group::OpenLoop, "steady", "A", None)]);

        assert_eq!(report.groups(), [Group::Singles, Group::OpenLoop].into());
        assert_snapshot!(report.figures(Group::Singles), @r"
        Measured on 4 May 2026 in turns of 1.5 s, 2 for each variant, on 2 cores, load 0.25 before the run began; a page of 8 kB is written and on disk after 0.10 ms (p50), 0.15 ms (p95), 0.20 ms (p99). Client, server and Postgres share the cores. Durability is on: `fsync`, `full_page_writes`, `synchronous_commit`.

        | scenario | variant | rate /s | p50 ms | p95 ms | p99 ms | ratio | CPU s/1,000 | peak MiB | recall |
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
        | one | A | 1,234 (1,234–1,234) | 1.00 (1.00–1.00) | 1.00 (1.00–1.00) | 12.3 (12.3–12.3) | 0.50 |  |  |  |
        ");
    }

    #[test]
    fn ratios_of_a_group_that_is_measured_take_the_place_of_all_that_it_had() {
        let report =
            report(vec![round(Group::Singles, "new", "A", Some(0.6)), round(Group::OpenLoop, "steady", "A", None)]);
        let kept = ratios(r#"{"singles": {"old": {"A": 1}, "new": {"B": 1}}, "nested": {"one": {"A": 0.5}}}"#);

        let expected = r#"{"singles": {"new": {"A": 0.6}}, "nested": {"one": {"A": 0.5}}}"#;
        assert_eq!(report.renewed(kept), ratios(expected));
    }

    #[test]
    fn a_group_that_is_measured_without_its_reference_keeps_the_ratios_it_had() {
        let report =
            report(vec![round(Group::Embedding, "texts", "A", None), round(Group::OpenLoop, "steady", "A", None)]);
        let kept = ratios(r#"{"embedding": {"texts": {"A": 3.35}}}"#);

        assert!(report.lacks_reference(Group::Embedding, &kept));
        assert!(!report.lacks_reference(Group::OpenLoop, &kept), "it has never had one");
        assert_eq!(report.renewed(kept.clone()), kept);
    }

    #[test]
    fn a_ratio_is_lost_when_less_than_half_of_it_is_left() {
        let round = |variant: &str, ratio| round(Group::Singles, "one", variant, ratio);
        let report =
            report(vec![round("A", Some(0.6)), round("A", Some(0.4)), round("B", Some(0.9)), round("C", None)]);
        let before = ratios(
            r#"{"singles": {"one": {"A": 1.01, "B": 1.0, "C": 9, "D": 9}, "two": {"A": 9}}, "nested": {"one": {"B": 9}}}"#,
        );

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
