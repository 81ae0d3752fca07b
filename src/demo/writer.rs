//! Writes a remediation's texts from its family's fragments: the report in one of several hands, the root cause, the
//! remedies, what was seen afterwards.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    phrase::{Figures, fill},
    plan::{Effect, Ending, Plan},
    random::Draw,
    texts,
};

/// The texts of one remediation; they agree with each other because they share their figures.
#[derive(Debug)]
pub struct Narrative {
    pub signal_summary: String,
    pub signal_description: String,
    pub report: String,
    pub summary: String,
    pub root_cause: String,
    pub chain: Vec<String>,
    pub factors: Vec<String>,
    pub rationale: String,
    /// Action and reason of what was not recommended.
    pub alternatives: Vec<(&'static str, String)>,
    pub assessment: String,
    pub side_effect: String,
    pub refusal: String,
}

/// The figures that every story has, and its family's.
pub fn figures(plan: &Plan, started_at: DateTime<Utc>) -> Figures {
    let mut draw = Draw::new(plan.index, "figures");
    let service = plan.service;
    let earlier = TimeDelta::minutes(draw.range(9, 55));
    let replicas = draw.range(3, 12);
    let (major, minor, patch) = (draw.range(1, 6), draw.range(1, 30), draw.range(1, 9));
    let impact = match plan.cluster.environment {
        "production" => service.impact,
        _ => draw.pick(texts::TESTING_IMPACT),
    };
    let replica_set = draw.suffix(10);
    let pod = |draw: &mut Draw, number: usize| match service.kind {
        "StatefulSet" => format!("{}-{number}", service.name),
        _ => format!("{}-{replica_set}-{}", service.name, draw.suffix(5)),
    };
    let mut all = Figures::from([
        ("service", service.name.to_string()),
        ("namespace", service.namespace.to_string()),
        ("role", service.role.to_string()),
        ("impact", impact.to_string()),
        ("impact_now", upper_first(impact)),
        ("database", service.database.to_string()),
        ("queue", service.queue.to_string()),
        ("dependency", service.dependency.to_string()),
        ("cluster", plan.cluster.name.to_string()),
        ("environment", plan.cluster.environment.to_string()),
        ("kind", plan.target.kind.to_string()),
        ("target", plan.target.name.clone()),
        ("node", plan.node.clone()),
        ("node2", plan.cluster.node(draw.below(plan.cluster.nodes))),
        ("nodes", plan.cluster.nodes.to_string()),
        ("pod", pod(&mut draw, 0)),
        ("pod2", pod(&mut draw, 1)),
        ("version", format!("{major}.{minor}.{patch}")),
        ("previous", format!("{major}.{minor}.{}", patch - 1)),
        ("image", format!("registry.internal/{}/{}:{major}.{minor}.{patch}", service.namespace, service.name)),
        ("replicas", replicas.to_string()),
        ("ready", draw.range(0, replicas - 2).to_string()),
        ("clock", (started_at - TimeDelta::seconds(40)).format("%H:%M").to_string()),
        ("earlier", (started_at - earlier).format("%H:%M").to_string()),
        ("minutes", earlier.num_minutes().to_string()),
        ("patience", draw.pick(&["3m0s", "5m0s", "8m0s", "10m0s"]).to_string()),
        ("observed", draw.range(11, 29).to_string()),
    ]);
    if all["node2"] == plan.node {
        all.insert("node2", plan.cluster.node(plan.index as usize + 1));
    }
    all.extend((plan.family.figures)(&mut draw));
    all
}

impl Narrative {
    pub fn write(plan: &Plan, figures: &Figures) -> Narrative {
        let mut hand = Hand { draw: Draw::new(plan.index, "texts"), figures };
        let cause = plan.cause;
        let summary = match plan.ending {
            Ending::ManualReview => hand.one(plan.family.unclear),
            Ending::NoAction => hand.one(plan.family.passed),
            _ => hand.one(cause.summary),
        };
        let rationale = hand.one(plan.remedy.rationale);
        let reasoning = hand.one(cause.reasoning);
        let chain = hand.all(cause.chain);
        let count = 1 + hand.draw.below(cause.factors.len());
        let factors = hand.several(cause.factors, count);
        let count = 1 + hand.draw.below(3);
        let alternatives = alternatives(plan, &mut hand, count);
        let helped = hand.one(plan.remedy.helped);
        let not_helped = hand.one(plan.remedy.not_helped);
        let side_effect = hand.fill(plan.remedy.side_effect);
        let assessment = match plan.effect {
            Effect::Good => helped,
            Effect::Mixed => format!(
                "{helped} One thing was not foreseen: \
                {}",
                lower_first(&side_effect)
            ),
            Effect::Unchanged => not_helped,
        };
        let signal_description = hand.fill(plan.signal.description);
        let report = match plan.ending {
            Ending::ManualReview | Ending::NoAction => short_report(plan, &mut hand, &signal_description, &summary),
            _ => report(
                plan,
                &mut hand,
                &Findings { summary: &summary, reasoning: &reasoning, next: &rationale, chain: &chain },
            ),
        };
        Narrative {
            signal_summary: hand.fill(plan.signal.summary),
            signal_description,
            root_cause: format!("{summary} {reasoning}"),
            summary,
            report,
            chain,
            factors,
            rationale,
            alternatives,
            assessment,
            side_effect,
            refusal: refusal(plan, &mut hand),
        }
    }
}

/// Fills fragments for one remediation.
struct Hand<'a> {
    draw: Draw,
    figures: &'a Figures,
}

impl Hand<'_> {
    fn fill(&mut self, text: &str) -> String {
        fill(text, &mut self.draw, self.figures)
    }

    fn one(&mut self, texts: &[&str]) -> String {
        let text = self.draw.pick(texts);
        self.fill(text)
    }

    fn all(&mut self, texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| self.fill(text)).collect()
    }

    fn several(&mut self, texts: &[&str], count: usize) -> Vec<String> {
        let chosen = self.draw.some(texts, count);
        chosen.into_iter().map(|text| self.fill(text)).collect()
    }
}

fn alternatives(plan: &Plan, hand: &mut Hand<'_>, count: usize) -> Vec<(&'static str, String)> {
    let others: Vec<_> =
        plan.cause.alternatives.iter().filter(|(action, _)| *action != plan.remedy.workflow).copied().collect();
    let chosen: Vec<_> = hand.draw.some(&others, count).into_iter().copied().collect();
    chosen.into_iter().map(|(action, reason)| (action, hand.fill(reason))).collect()
}

/// What a person says who refuses this remedy; empty where the family has no words for it.
fn refusal(plan: &Plan, hand: &mut Hand<'_>) -> String {
    let refusals = plan.family.refusals.iter();
    let fitting: Vec<&str> = refusals
        .filter(|(about, _)| about.is_empty() || *about == plan.remedy.workflow)
        .map(|(_, text)| *text)
        .collect();
    if fitting.is_empty() { String::new() } else { hand.one(&fitting) }
}

/// What the parts of a report say, apart from the fragments that only reports have.
struct Findings<'a> {
    summary: &'a str,
    reasoning: &'a str,
    next: &'a str,
    chain: &'a [String],
}

/// The report of an investigation that found no cause, or nothing left to do: it argues for none.
fn short_report(plan: &Plan, hand: &mut Hand<'_>, symptom: &str, summary: &str) -> String {
    let count = 2 + hand.draw.below(2);
    let ruled_out = hand.several(plan.family.ruled_out, count);
    let next = match plan.ending {
        Ending::NoAction => hand.one(texts::NOTHING_TO_DO),
        _ => hand.one(texts::ASK_A_PERSON),
    };
    match hand.draw.below(3) {
        0 => format!("{symptom}\n\n{summary}\n\nChecked and not the reason:\n{}\n\n{next}", bullets(&ruled_out)),
        1 => format!("{symptom} {}\n\n{summary} {next}", ruled_out.join(" ")),
        _ => {
            let [first, second, third, fourth] = hand.draw.pick(texts::HEADINGS);
            format!(
                "## {first}\n\n{symptom}\n\n## {second}\n\n{}\n\n## {third}\n\n{summary}\n\n## {fourth}\n\n{next}",
                bullets(&ruled_out)
            )
        }
    }
}

/// The investigation's report. Agents, prompts and models write differently, so the same findings come in six hands.
fn report(plan: &Plan, hand: &mut Hand<'_>, findings: &Findings<'_>) -> String {
    let cause = plan.cause;
    let Findings { summary, reasoning, next, chain } = findings;
    let opening = hand.one(cause.openings);
    let count = 2 + hand.draw.below(3);
    let evidence = hand.several(cause.evidence, count);
    let count = hand.draw.below(3);
    let ruled_out = hand.several(plan.family.ruled_out, count);
    let log = hand.one(cause.logs);
    let impact = match plan.cluster.environment {
        "production" => hand.one(texts::IMPACT),
        _ => hand.one(texts::IMPACT_ELSEWHERE),
    };

    match hand.draw.below(6) {
        0 => {
            let [first, second, third, fourth] = hand.draw.pick(texts::HEADINGS);
            format!(
                "## {first}\n\n{opening} {impact}\n\n## {second}\n\n{}\n\n```\n{log}\n```\n\n## \
                    {third}\n\n{summary}\n\n\
                 {reasoning}\n\n## {fourth}\n\n{next}",
                bullets(&evidence)
            )
        }
        1 => {
            let mut paragraphs = vec![opening, sentences(&evidence), format!("{summary} {reasoning}")];
            paragraphs.extend(ruled_out.first().cloned());
            paragraphs.push(next.to_string());
            paragraphs.join("\n\n")
        }
        2 => {
            let note = hand.one(cause.notes);
            let closing = hand.one(texts::CLOSINGS);
            let seen = bullets(&evidence[..2]);
            format!("{note}\n\n{seen}\n\n{next} {closing}").trim_end().to_string()
        }
        3 => {
            let labels = hand.draw.pick(texts::LABELS);
            let mut text = format!("**{}** {opening}\n\n**{}**\n{}\n\n", labels[0], labels[1], bullets(&evidence));
            text.push_str(&format!("**{}** {summary} {reasoning}\n\n", labels[2]));
            if !ruled_out.is_empty() {
                text.push_str(&format!("**{}**\n{}\n\n", labels[3], bullets(&ruled_out)));
            }
            text.push_str(&format!("**{}** {next}", labels[4]));
            text
        }
        4 => {
            let mut text = format!("{opening} {impact}\n\n### Hypotheses\n\n1. {summary}\n   {reasoning}\n");
            for (place, other) in ruled_out.iter().enumerate() {
                text.push_str(&format!("{}. Dropped: {}\n", place + 2, lower_first(other)));
            }
            text.push_str(&format!(
                "\nFor the first one \
                speak:\n\n{}\n\n```\n{log}\n```\n\n{next}",
                bullets(&evidence)
            ));
            text
        }
        _ => {
            let lead = hand.one(texts::SEQUENCE);
            let seen = sentences(&evidence);
            format!("{impact}\n\n{lead}\n{}\n\n{reasoning} {summary}\n\nAlso seen. {seen}\n\n{next}", numbered(chain))
        }
    }
}

fn numbered(items: &[String]) -> String {
    let lines: Vec<String> = items.iter().enumerate().map(|(place, item)| format!("{}. {item}", place + 1)).collect();
    lines.join("\n")
}

fn bullets(items: &[String]) -> String {
    items.iter().map(|item| format!("- {item}")).collect::<Vec<_>>().join("\n")
}

/// Items of a list as sentences of a paragraph.
fn sentences(items: &[String]) -> String {
    let told: Vec<String> = items.iter().map(|item| full_stop(&upper_first(item))).collect();
    told.join(" ")
}

fn full_stop(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) { text.to_string() } else { format!("{text}.") }
}

/// The text as the beginning of a sentence, unless it begins with a name.
fn upper_first(text: &str) -> String {
    if !ordinary(text) {
        return text.to_string();
    }
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// The text as the middle of a sentence, unless it begins with a name or an abbreviation.
fn lower_first(text: &str) -> String {
    if !ordinary(text) {
        return text.to_string();
    }
    let mut rest = text.chars();
    rest.next().map(|first| first.to_lowercase().chain(rest).collect()).unwrap_or_default()
}

/// Whether the first word is one of a dictionary, not a service, a setting or an abbreviation.
fn ordinary(text: &str) -> bool {
    let word = text.split(' ').next().unwrap_or_default().trim_end_matches([',', ':']);
    !word.is_empty()
        && word.chars().all(|c| c.is_alphabetic() || c == '\'')
        && word.chars().skip(1).all(char::is_lowercase)
        && !NAMES.contains(&word)
}

/// Names that look like words.
const NAMES: &[&str] = &["kubelet", "containerd", "du", "df", "Canary"];
