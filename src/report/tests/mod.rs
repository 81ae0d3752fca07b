//! The report of the worked example, and what holds of the report of every remediation of the demo.

pub mod fleet;
mod properties;

use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::json;

use super::*;
use crate::{
    audit::{PhaseName, facts::say},
    remediation::{
        fold,
        outcomes::Outcomes,
        tests::{at, recorded, worked_example},
    },
    search::similar::{Match, Similar},
};
use model::{Priority, Quality, Section};

/// The sections, in the order in which they are read.
const SECTIONS: [&str; 12] = [
    "executive-summary",
    "outcome",
    "timeline",
    "phases",
    "ai-analysis",
    "human-interventions",
    "execution",
    "notifications",
    "similar-remediations",
    "recommendations",
    "completeness",
    "provenance",
];

/// The evidence of a stream with nothing like it.
pub fn alone(entries: Vec<Entry>) -> Evidence {
    let remediation = fold(&entries, None).expect("something is told");
    let at = entries.last().expect("something is told").position;
    let similar = SimilarSet {
        nearest: Vec::new(),
        outcomes: Outcomes::default(),
        recent: Outcomes::default(),
        until: remediation.summary.completed_at.unwrap_or(remediation.summary.started_at),
        exhausted: true,
        model: Some("all-MiniLM-L6-v2".to_string()),
        complete: true,
        at,
    };
    let journal_id = Uuid::from_u64_pair(1, 2);
    Evidence {
        entries,
        remediation,
        similar,
        earlier: Vec::new(),
        others: Vec::new(),
        at,
        journal_id,
        watermark: "AAAA".to_string(),
    }
}

/// The worked example, and four remediations like it that went as well.
fn example() -> Evidence {
    let mut evidence = alone(recorded(&worked_example()));
    for number in 1..=4 {
        let mut submissions = worked_example();
        for submission in &mut submissions {
            let told = submission
                .to_string()
                .replace("4be09c11", &format!("4be09c1{number}b"))
                .replace("2026-05-04T", &format!("2026-04-{}T", 20 + number));
            *submission = serde_json::from_str(&told).unwrap();
        }
        let mut entries = recorded(&submissions);
        entries.iter_mut().for_each(|entry| entry.position.0 -= 100 - 10 * number);
        let summary = fold(&entries, None).unwrap().summary;
        let found = entries.swap_remove(2);
        evidence.similar.nearest.push(Similar {
            summary,
            similarity: Some(0.9 - number as f64 / 100.0),
            by: Match::Meaning,
            event_id: found.event.event_id,
            text: "Checkout pods exceed their memory limit".to_string(),
        });
        evidence.others.push(found);
    }
    let summaries = || evidence.similar.nearest.iter().map(|similar| &similar.summary);
    evidence.similar.outcomes = Outcomes::of(summaries());
    evidence.similar.recent = Outcomes::of(summaries());
    evidence
}

fn section<'r>(report: &'r Report, id: &str) -> &'r Section {
    report.sections.iter().find(|section| section.id == id).unwrap_or_else(|| panic!("no section {id}"))
}

fn told(section: &Section) -> String {
    section
        .statements
        .iter()
        .map(|said| format!("{} [{}]", said.text, said.cites.join(", ")))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_worked_example_is_reported_as_its_paper_tells_it() {
    let report = assemble(&example());

    assert_eq!(report.summary.headline, "Remediated in 5 m 40 s and found effective (score 0.88)");
    let impact = &report.summary.business_impact;
    assert_eq!((impact.priority.as_deref(), impact.sla.as_deref()), (Some("P1"), Some("15m")));
    assert_eq!((impact.sla_ms, impact.sla_breached), (Some(900_000.0), Some(false)));
    assert_eq!((report.figures.duration_ms, report.figures.approval_wait_ms), (340_000.0, Some(165_000.0)));
    assert_eq!(report.figures.decision_quality, Some(Quality::High));
    let bottleneck = report.phases.iter().find(|phase| phase.bottleneck).unwrap();
    assert_eq!((bottleneck.name, bottleneck.share), (PhaseName::ApprovalWait, Some(0.485)));
    assert!(bottleneck.intervals[0].waiting);

    assert_eq!(report.sections.iter().map(|section| section.id).collect::<Vec<_>>(), SECTIONS);
    let analysis = told(section(&report, "ai-analysis"));
    assert!(
        analysis.contains("Rejected increase-memory-limit (41 % sure): “node has no spare memory”. [E3]"),
        "{analysis}"
    );
    let people = told(section(&report, "human-interventions"));
    assert!(people.contains("approved via Slack after 2 m 45 s"), "{people}");
}

#[test]
fn what_a_person_always_agreed_to_is_recommended_for_policy() {
    let report = assemble(&example());

    let first = &report.recommendations[0];
    assert_eq!((first.rule, first.priority), ("auto-approve", Priority::High));
    assert_eq!(first.expected_impact.as_deref(), Some("−2 m 45 s of waiting"));
    insta::assert_snapshot!(first.text, @"Auto-approve restart_pod in production: in 4 similar cases a person agreed every time, and 4 of 4 that ended succeeded (at least 51 % with 95 % confidence).");
    assert!(first.cites.contains(&"S1".to_string()) && first.cites.iter().any(|cite| cite.starts_with('E')));
    assert!(report.recommendations.iter().all(|found| found.rule != "approval-bottleneck"), "one wait, one advice");
}

#[test]
fn without_similar_cases_nothing_is_auto_approved_but_the_wait_is_told() {
    let report = assemble(&alone(recorded(&worked_example())));

    let rules: Vec<_> = report.recommendations.iter().map(|found| found.rule).collect();
    assert!(rules.contains(&"approval-bottleneck") && !rules.contains(&"auto-approve"), "{rules:?}");
    insta::assert_snapshot!(told(section(&report, "similar-remediations")), @r"
    No similar remediation was found by meaning. [E3]
    The target is not told, so earlier remediations of it cannot be found. [E6]
    ");
}

#[test]
fn an_sla_is_breached_by_time_and_kept_only_by_a_solution() {
    let with = |sla: &str, patch: serde_json::Value| {
        let mut submissions = worked_example();
        submissions[1]["slaRequirement"] = sla.into();
        for (name, value) in patch.as_object().unwrap() {
            submissions[0][name] = value.clone();
        }
        if patch.get("overallPhase").is_some() {
            submissions.truncate(5);
        }
        assemble(&alone(recorded(&submissions))).summary.business_impact.sla_breached
    };
    assert_eq!(with("15m", json!({})), Some(false));
    assert_eq!(with("5m", json!({})), Some(true));
    assert_eq!(with("5m", json!({"overallPhase": "failed"})), Some(true));
    assert_eq!(with("15m", json!({"overallPhase": "failed"})), None);
    assert_eq!(with("soon", json!({})), None);
}

#[test]
fn the_digest_covers_every_event_and_a_changed_one_is_named() {
    let evidence = example();
    let whole = assemble(&evidence).provenance;
    assert_eq!((whole.events, whole.other_events, whole.altered.len()), (6, 4, 0));

    let mut fewer = evidence.clone();
    fewer.others.pop();
    assert_ne!(assemble(&fewer).provenance.evidence_digest, whole.evidence_digest);

    let mut changed = evidence;
    let text = changed.entries[3].event.payload.text().replace("restart-pod", "delete-namespace");
    changed.entries[3].event.payload = crate::audit::event::Payload::from_text(text);
    let report = assemble(&changed);
    assert_eq!(report.provenance.altered, ["E4"]);
    assert!(told(section(&report, "provenance")).contains("One of them is no longer what was sealed"));
}

#[test]
fn json_has_the_names_and_words_of_graphql() {
    let json = serde_json::to_value(assemble(&example())).unwrap();
    assert_eq!(json["summary"]["businessImpact"]["slaBreached"], false);
    assert_eq!(json["figures"]["decisionQuality"], "HIGH");
    assert_eq!(json["evidence"][0]["ref"], "E1");
    assert_eq!(json["recommendations"][0]["expectedImpact"], "−2 m 45 s of waiting");
    assert_eq!(json["completeness"]["missing"], json!([]));
    assert_eq!(json["provenance"]["rulesVersion"], RULES_VERSION);
    assert_eq!(json["phases"][3]["intervals"][0]["waiting"], true);
}

#[test]
fn the_markdown_of_the_worked_example_reads_well() {
    insta::assert_snapshot!("worked_example", markdown::report(&assemble(&example())));
}

/// Every attribute of this name in a page.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let start = format!(" {name}=\"");
    page.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn a_page_stands_alone_and_every_link_within_it_leads_somewhere() {
    for evidence in fleet::fleet(40).iter().chain([&example()]) {
        let page = html::report(&assemble(evidence), Some("https://binnacle.example/remediations/x?cluster=y"));
        for never in ["<script", "<link", "<img", "<iframe", "@import", "src=", "url(http"] {
            assert!(!page.contains(never), "{never}");
        }
        let ids: Vec<&str> = attributes(&page, "id");
        let unique: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "an id stands for one place");
        for link in attributes(&page, "href") {
            let within = link.strip_prefix('#').is_some_and(|id| unique.contains(&id));
            assert!(within || link == "https://binnacle.example/remediations/x?cluster=y", "{link}");
        }
        let named = attributes(&page, "aria-labelledby");
        assert!(named.iter().flat_map(|names| names.split(' ')).all(|id| unique.contains(&id)), "{named:?}");
    }
}

#[test]
fn what_was_recorded_cannot_write_the_page() {
    let name = "<script>alert(1)</script>\"><img src=x onerror=alert(2)> | `x` [a](javascript:b)";
    let text = format!("{name}\n# c\n\n| d |");
    let mut submissions = worked_example();
    submissions[0]["signal"]["name"] = name.into();
    submissions[2]["alternativesConsidered"][0]["rejectedReason"] = text.clone().into();
    submissions[2]["topRecommendation"] = name.into();
    submissions[3]["workflowName"] = name.into();
    submissions[3]["stepExecutions"][0]["action"] = name.into();
    submissions[4]["recipients"] = json!([name]);
    submissions[5]["patternDescription"] = text.into();
    let report = assemble(&alone(recorded(&submissions)));

    let page = html::report(&report, Some("javascript:alert(1)"));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script") && !page.contains("<img"));
    assert!(!attributes(&page, "href").iter().any(|link| link.starts_with("javascript")));
    let text = markdown::report(&report);
    let mut markup = Parser::new_ext(&text, Options::all());
    let foreign = |event: &Event<'_>| {
        matches!(event, Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::Link { .. } | Tag::Image { .. }))
    };
    assert_eq!(markup.find(foreign), None);
    let headings =
        Parser::new_ext(&text, Options::all()).filter(|event| matches!(event, Event::Start(Tag::Heading { .. })));
    assert_eq!(headings.count(), SECTIONS.len() + 2);
}

#[test]
fn a_long_text_is_cut_where_everyone_sees_it() {
    let mut submissions = worked_example();
    submissions[2]["alternativesConsidered"][0]["rejectedReason"] = "no memory ".repeat(400).into();
    let report = assemble(&alone(recorded(&submissions)));
    let said = report.sections.iter().flat_map(|section| &section.statements);
    let said = said.map(|said| &said.text).find(|text| text.starts_with("Rejected")).unwrap();
    assert!(said.chars().count() < 500 && said.contains("…”"), "{said}");
}
