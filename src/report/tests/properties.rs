//! What holds of every report.

use std::collections::HashSet;

use super::{fleet::fleet, *};

/// Checks everything that a report promises.
fn holds(evidence: &Evidence) {
    let report = assemble(evidence);
    let of = &report.remediation_id;
    assert_eq!(report, assemble(evidence), "{of}: the same evidence gives the same report");

    let ids: Vec<_> = report.sections.iter().map(|section| section.id).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{of}: {ids:?}");
    let references: HashSet<_> = report.evidence.iter().map(|item| item.reference.as_str()).collect();
    assert_eq!(references.len(), report.evidence.len(), "{of}: a reference stands for one event");

    for (text, cites) in report.said() {
        assert!(!cites.is_empty(), "{of} cites nothing for {text:?}");
        assert!(cites.iter().all(|cite| references.contains(cite.as_str())), "{of}: {text:?} cites {cites:?}");
    }
    for section in &report.sections {
        assert!(!section.title.is_empty() && !section.statements.is_empty(), "{of}: {} says nothing", section.id);
        for said in &section.statements {
            let end = said.text.ends_with(['.', '?']);
            assert!(end && !said.text.contains("  ") && said.text == say::line(&said.text), "{of}: {:?}", said.text);
        }
        for table in &section.tables {
            assert!(!table.caption.is_empty() && !table.rows.is_empty(), "{of}: an empty table in {}", section.id);
            assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()), "{of}: {}", table.caption);
        }
    }
    let handed_in: HashSet<_> =
        evidence.entries.iter().chain(&evidence.others).map(|entry| entry.event.event_id).collect();
    for item in &report.evidence {
        assert!(handed_in.contains(&item.event_id) && !item.text.is_empty(), "{of}: {item:?}");
        let own = item.remediation_id == *of && item.cluster_id == report.cluster_id;
        assert_eq!(item.reference.starts_with('E'), own, "{of}: {item:?}");
    }
    assert!(report.recommendations.iter().all(|found| rules::RULES.iter().any(|rule| rule.name == found.rule)));
    assert!(report.recommendations.is_sorted_by_key(|found| found.priority), "{of}: the urgent come first");
    assert!(report.summary.headline.chars().count() > 10 && !report.summary.headline.ends_with('.'));
}

#[test]
fn every_report_of_the_demo_cites_what_it_says() {
    let fleet = fleet(150);
    fleet.iter().for_each(holds);

    let outcomes: HashSet<_> = fleet.iter().map(|one| one.remediation.summary.outcome).collect();
    assert_eq!(outcomes.len(), 14, "every outcome is told, and one that still runs: {outcomes:?}");
    let fired: HashSet<_> =
        fleet.iter().flat_map(|one| assemble(one).recommendations).map(|found| found.rule).collect();
    let silent: Vec<_> = rules::RULES.iter().map(|rule| rule.name).filter(|name| !fired.contains(name)).collect();
    // The demo tells no story that contradicts itself, and no habit of approvals that is steady enough.
    assert_eq!(silent, ["auto-approve", "contradictions"]);
}

#[test]
fn a_report_of_a_part_of_the_story_holds_as_well() {
    for evidence in fleet(20) {
        for events in 1..=evidence.entries.len() {
            let part = alone(evidence.entries[..events].to_vec());
            holds(&part);
        }
    }
}

#[test]
fn a_rule_says_what_it_looks_at_and_when_it_fires() {
    let names: HashSet<_> = rules::RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), rules::RULES.len());
    for rule in rules::RULES {
        assert!(!rule.looks_at.is_empty() && !rule.fires.is_empty() && !rule.fires.contains("  "), "{}", rule.name);
    }
}
