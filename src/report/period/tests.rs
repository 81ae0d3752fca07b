//! The report of a period, over the demo and by example.

use std::collections::HashSet;

use super::*;
use crate::{
    remediation::{
        fold,
        tests::{at, recorded, worked_example},
    },
    report::tests::fleet::fleet,
};

fn evidence(from: &str, to: &str, all: &[Summary]) -> PeriodEvidence {
    let (from, to) = (at(from), at(to));
    let began = |from: DateTime<Utc>, to: DateTime<Utc>| {
        all.iter().filter(|one| (from..to).contains(&one.started_at)).cloned().collect()
    };
    PeriodEvidence {
        from,
        to,
        summaries: began(from, to),
        before: began(from - (to - from), from),
        truncated: false,
        at: Position(1),
        journal_id: Uuid::from_u64_pair(1, 2),
        watermark: "AAAA".to_string(),
    }
}

fn demo() -> Vec<Summary> {
    fleet(300).into_iter().map(|one| one.remediation.summary).collect()
}

fn section<'r>(report: &'r PeriodReport, id: &str) -> &'r Section {
    report.sections.iter().find(|section| section.id == id).unwrap()
}

/// The worked example on another day, with these values in its audits: which audit, which field, what.
fn on(day: &str, number: usize, patch: &[(usize, &str, serde_json::Value)]) -> Summary {
    let mut submissions = worked_example();
    for (audit, field, value) in patch {
        submissions[*audit][*field] = value.clone();
    }
    for submission in &mut submissions {
        let told = submission
            .to_string()
            .replace("4be09c11", &format!("{number:08}"))
            .replace("2026-05-04T", &format!("{day}T"));
        *submission = serde_json::from_str(&told).unwrap();
    }
    fold(&recorded(&submissions), None).unwrap().summary
}

#[test]
fn every_reference_is_named_and_every_remediation_is_counted_once() {
    let all = demo();
    for (from, to) in [
        ("2026-03-20T00:00:00Z", "2026-05-04T12:00:00Z"),
        ("2026-04-25T00:00:00Z", "2026-05-02T00:00:00Z"),
        ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"),
    ] {
        let evidence = evidence(from, to, &all);
        let report = assemble(&evidence);
        let named: HashSet<_> = report.remediations.iter().map(|one| one.reference.clone()).collect();
        for section in &report.sections {
            assert!(!section.statements.is_empty(), "{} says nothing", section.id);
            let rows =
                section.tables.iter().flat_map(|table| &table.rows).inspect(|row| assert!(!row.cites.is_empty()));
            let cites = rows.map(|row| &row.cites).chain(section.statements.iter().map(|said| &said.cites));
            assert!(cites.flatten().all(|cite| named.contains(cite)), "{}", section.id);
            assert!(
                section.tables.iter().all(|table| table.rows.iter().all(|row| row.cells.len() == table.columns.len()))
            );
        }
        assert_eq!(report.buckets.iter().map(|bucket| bucket.count).sum::<usize>(), evidence.summaries.len());
        assert!(report.buckets.iter().all(|bucket| bucket.classes.iter().sum::<usize>() == bucket.count));
        assert!(report.buckets.len() <= BUCKETS_MAX as usize);

        let mut shuffled = evidence.clone();
        shuffled.summaries.reverse();
        assert_eq!(assemble(&shuffled), report, "the order in which they are handed in changes nothing");
        assert!(markdown(&report).contains(&report.headline));
    }
}

#[test]
fn an_action_whose_success_fell_is_told_with_the_failures_that_made_it_fall() {
    let bad: [(usize, &str, serde_json::Value); 1] = [(5, "traditionalScore", 0.2.into())];
    let mut all: Vec<Summary> = (0..6).map(|number| on("2026-04-05", number, &[])).collect();
    all.extend((6..10).map(|number| on("2026-04-12", number, &bad)));
    all.extend((10..12).map(|number| on("2026-04-13", number, &[])));

    let report = assemble(&evidence("2026-04-10T00:00:00Z", "2026-04-17T00:00:00Z", &all));

    let said = &section(&report, "regressions").statements[0];
    insta::assert_snapshot!(said.text, @"Success of the action restart_pod fell from 100 % (6 of 6) to 33.3 % (2 of 6): 66.7 points worse now.");
    assert_eq!(said.cites, ["R1", "R2", "R3", "R4"]);
}

#[test]
fn what_people_always_agree_to_is_told_with_the_time_that_it_waited() {
    let all: Vec<Summary> = (0..4).map(|number| on("2026-04-12", number, &[])).collect();
    let report = assemble(&evidence("2026-04-10T00:00:00Z", "2026-04-17T00:00:00Z", &all));
    insta::assert_snapshot!(section(&report, "automation").statements[0].text, @"People always agreed to restart_pod in production: 4 times, which waited 11 m together.");

    let refused = on("2026-04-13", 5, &[(2, "approvalStatus", "rejected".into())]);
    let all: Vec<Summary> = all.into_iter().chain([refused]).collect();
    let report = assemble(&evidence("2026-04-10T00:00:00Z", "2026-04-17T00:00:00Z", &all));
    assert!(section(&report, "automation").tables.is_empty(), "one refusal is enough");
}

#[test]
fn a_trend_is_told_by_days_then_by_weeks_and_never_in_too_many_parts() {
    let spans = |to: &str| assemble(&evidence("2026-01-01T00:00:00Z", to, &[])).buckets.len();
    assert_eq!(spans("2026-01-08T00:00:00Z"), 7);
    assert_eq!(spans("2026-01-31T12:00:00Z"), 31);
    assert_eq!(spans("2026-03-12T00:00:00Z"), 10);
    assert!((40..=60).contains(&spans("2036-01-01T00:00:00Z")));
}
