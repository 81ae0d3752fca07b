//! What of a remediation is worth finding: the texts that its events tell, by what they speak of, and the remediation as a
//! whole in words.

use std::borrow::Borrow;

use memchr::memmem;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::chunks;
use crate::{
    audit::{
        Entry, Kind, Position,
        facts::{Fields, Json, say},
        kubernaut,
    },
    remediation::model::Summary,
};

/// What a document speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// What was seen: alerts, errors, symptoms.
    Symptom,
    /// Why it happened.
    Cause,
    /// What was chosen or refused, and why.
    Action,
    /// What came of it.
    Outcome,
    /// The remediation as a whole.
    Remediation,
}

impl Facet {
    pub const ALL: [Facet; 5] = [Facet::Symptom, Facet::Cause, Facet::Action, Facet::Outcome, Facet::Remediation];

    pub fn word(self) -> &'static str {
        match self {
            Facet::Symptom => "SYMPTOM",
            Facet::Cause => "CAUSE",
            Facet::Action => "ACTION",
            Facet::Outcome => "OUTCOME",
            Facet::Remediation => "REMEDIATION",
        }
    }

    pub fn parse(word: &str) -> Option<Facet> {
        Facet::ALL.into_iter().find(|facet| facet.word() == word)
    }
}

/// The kind of the document that speaks of a remediation as a whole, in settings and in the table.
pub const WHOLE: &str = "REMEDIATION";

/// The field of that document.
pub const SUMMARY: &str = "summary";

/// A text worth finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The position of the event that tells it; 0 for the remediation as a whole.
    pub source: Position,
    /// Its place among the documents of its event.
    pub part: i32,
    /// The position at which it became what it is.
    pub position: Position,
    pub event_id: Uuid,
    /// A word of `Kind`, or `WHOLE`.
    pub kind: &'static str,
    pub facet: Facet,
    /// The field that tells it, or the first of several.
    pub field: &'static str,
    pub text: String,
}

impl Document {
    /// Whether an event after `from` may have made it or changed it, as each does with that of the remediation as a whole.
    pub fn made_after(&self, from: Position) -> bool {
        self.source > from || self.kind == WHOLE
    }

    /// Tells the text apart from every other: the first half of its SHA-256.
    pub fn content(&self) -> Uuid {
        let digest = Sha256::digest(self.text.as_bytes());
        Uuid::from_slice(&digest[..16]).expect("half of a SHA-256 has 16 bytes")
    }
}

/// The fields whose texts are documents, by kind, with what they speak of. `signal` and `payload` hold several texts.
pub const FIELDS: &[(Kind, Facet, &[&str])] = &[
    (Kind::Orchestration, Facet::Symptom, &["signal"]),
    (
        Kind::Orchestration,
        Facet::Outcome,
        &["failureReason", "errorDetails", "transitionReason", "decision", "reason", "subReason"],
    ),
    (Kind::Orchestration, Facet::Action, &["rejectionReason", "message"]),
    (Kind::SignalProcessing, Facet::Symptom, &["signal"]),
    (Kind::SignalProcessing, Facet::Outcome, &["errorMessage"]),
    (Kind::AiAnalysis, Facet::Symptom, &["signal"]),
    (
        Kind::AiAnalysis,
        Facet::Cause,
        &["rootCause", "rootCauseSummary", "causalChain", "contributingFactors", "investigationReport"],
    ),
    (
        Kind::AiAnalysis,
        Facet::Action,
        &[
            "actionRationale",
            "recommendations",
            "alternativesConsidered",
            "approvalReason",
            "approvalJustification",
            "rejectionReason",
        ],
    ),
    (Kind::AiAnalysis, Facet::Outcome, &["failureReason", "warnings", "reason", "subReason"]),
    (Kind::WorkflowExecution, Facet::Symptom, &["signal"]),
    (
        Kind::WorkflowExecution,
        Facet::Outcome,
        &["failureMessage", "errorMessage", "stepExecutions", "adaptiveAdjustments"],
    ),
    (Kind::Notification, Facet::Outcome, &["subject", "body", "messageSummary", "errorMessage", "reason"]),
    (Kind::Effectiveness, Facet::Symptom, &["signal"]),
    (
        Kind::Effectiveness,
        Facet::Outcome,
        &["assessment", "sideEffectsDescription", "patternDescription", "patternInsights"],
    ),
    (Kind::Other, Facet::Symptom, &["signal"]),
    (Kind::Other, Facet::Outcome, &["payload"]),
];

/// Most documents of one event: the rest of an endless payload is not worth finding.
const PARTS_MAX: usize = 200;

/// Events of raw material: what a model was asked and what its tools answered. What it made of that is told by others.
const RAW: &[&str] = &["aiagent.llm.request", "aiagent.llm.tool_call", "aiagent.shadow.llm.request"];

/// Most texts of one stream that a new one is held against, the latest ones.
const HELD_AGAINST_MAX: usize = 500;

/// The documents of a stream, `entries` in order of version: of each event what was not told before in the same words, alone or
/// within another text, and the remediation as a whole. A document of an event depends on it and on earlier ones only, so it
/// never changes.
pub fn documents<E: Borrow<Entry>>(entries: &[E], summary: &Summary) -> Vec<Document> {
    let entries = entries.iter().map(Borrow::borrow);
    let mut told: Vec<String> = Vec::new();
    let mut documents = Vec::new();
    for entry in entries.clone() {
        let mut part = 0;
        for (facet, field, text) in of_entry(entry).into_iter().take(PARTS_MAX) {
            let before = || told.iter().rev().take(HELD_AGAINST_MAX);
            // Mostly it is told again as it was, or is longer than all before; to look for it within others has to be made ready.
            if before().any(|before| *before == text) {
                continue;
            }
            let mut longer = before().filter(|before| before.len() > text.len()).peekable();
            let within = longer.peek().is_some().then(|| memmem::Finder::new(&text));
            if within.is_some_and(|it| longer.any(|before| it.find(before.as_bytes()).is_some())) {
                continue;
            }
            told.push(text.clone());
            documents.push(Document {
                source: entry.position,
                part,
                position: entry.position,
                event_id: entry.event.event_id,
                kind: entry.event.kind.word(),
                facet,
                field,
                text,
            });
            part += 1;
        }
    }
    documents.extend(entries.last().map(|last| Document {
        source: Position(0),
        part: 0,
        position: last.position,
        event_id: summary.root_cause.as_ref().map_or(last.event.event_id, |cause| cause.event_id),
        kind: WHOLE,
        facet: Facet::Remediation,
        field: SUMMARY,
        text: whole(summary),
    }));
    documents
}

/// The texts of one event, each with what it speaks of and its field.
fn of_entry(entry: &Entry) -> Vec<(Facet, &'static str, String)> {
    let fields = entry.event.fields();
    let mut texts = Vec::new();
    if RAW.contains(&entry.event.event_type.as_str()) {
        return texts;
    }
    for (_, facet, names) in FIELDS.iter().filter(|(kind, _, _)| *kind == entry.event.kind) {
        for name in *names {
            let said = said(fields, name);
            let facet = if *name == "payload" { facet_of(&entry.event.category) } else { *facet };
            texts.extend(said.iter().flat_map(|text| chunks::cut(text)).map(|text| (facet, *name, text)));
        }
    }
    texts.extend(rest(entry, &texts));
    texts
}

/// The prose of an event in Kubernaut's words that no field says: what is worth finding may stand anywhere in it.
fn rest(entry: &Entry, said: &[(Facet, &'static str, String)]) -> Vec<(Facet, &'static str, String)> {
    let Some(data) = kubernaut::event_data(&entry.event).filter(|_| entry.event.kind != Kind::Other) else {
        return Vec::new();
    };
    let mut texts = Vec::new();
    prose(data, &mut texts);
    let facet = facet_of(&entry.event.category);
    let pieces = texts.iter().flat_map(|text| chunks::cut(text));
    // Lines that became sentences are said, though with a capital.
    let said: Vec<String> = said.iter().map(|(_, _, text)| text.to_lowercase()).collect();
    let unsaid = pieces.filter(|piece| !said.iter().any(|text| text.contains(&piece.to_lowercase())));
    unsaid.map(|piece| (facet, "details", piece)).collect()
}

/// What a field says, as texts that stand alone.
fn said(fields: Fields<'_>, name: &str) -> Vec<String> {
    let list = |parts: Vec<Option<String>>| parts.into_iter().flatten().collect();
    match name {
        "signal" => list(vec![signal(fields)]),
        "payload" => {
            let mut texts = Vec::new();
            if let Some(payload) = fields.get("payload") {
                prose(payload, &mut texts);
            }
            texts
        }
        // What belongs together is found together.
        "causalChain" => list(vec![sentences(&fields.texts("causalChain"))]),
        "contributingFactors" => list(vec![sentences(&fields.texts("contributingFactors"))]),
        "patternInsights" | "warnings" => fields.texts(name).into_iter().map(str::to_string).collect(),
        "errorDetails" => list(vec![fields.object(name).and_then(|error| error.owned("message"))]),
        "decision" => list(vec![
            fields
                .object(name)
                .and_then(|fork| say::joined([fork.owned("point"), fork.owned("chosen"), fork.owned("reason")], ": ")),
        ]),
        "actionRationale" => {
            let action = fields.any_text(&["topRecommendation", "recommendedAction", "workflowId"]);
            list(vec![fields.text(name).map(|why| labelled(action, why))])
        }
        "recommendations" => {
            // The first one's rationale is the action's own.
            let chosen = fields.text("actionRationale");
            let others = fields.objects(name).filter(|other| other.text("rationale") != chosen);
            others.filter_map(|other| Some(labelled(other.text("action"), other.text("rationale")?))).collect()
        }
        "alternativesConsidered" => fields
            .objects(name)
            .filter_map(|other| {
                let (action, why) = (other.text("action")?, other.text("rejectedReason")?);
                Some(format!("{action} rejected: {why}"))
            })
            .collect(),
        "stepExecutions" => fields
            .objects(name)
            .filter_map(|step| Some(labelled(step.text("action"), step.text("errorMessage")?)))
            .collect(),
        "adaptiveAdjustments" => fields.objects(name).filter_map(|it| it.owned("reason")).collect(),
        // A message is its subject and its text.
        "subject" => list(vec![say::joined([fields.owned("subject"), fields.owned("body")], "\n")]),
        "body" if fields.text("subject").is_some() => Vec::new(),
        _ => list(vec![fields.owned(name)]),
    }
}

/// What was seen where.
fn signal(fields: Fields<'_>) -> Option<String> {
    let signal = fields.object("signal")?;
    let told = say::joined([signal.owned("name"), signal.owned("summary"), signal.owned("description")], ". ")?;
    let target = fields
        .object("target")
        .and_then(|target| say::joined([target.owned("kind"), target.owned("namespace"), target.owned("name")], " "));
    say::joined([Some(told), target], "\n")
}

/// The texts in a payload of others that read like prose: identifiers, numbers and single words do not.
fn prose(value: Json<'_>, texts: &mut Vec<String>) {
    const LETTERS_MIN: usize = 16;
    if let Some(text) = value.as_str() {
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        if letters >= LETTERS_MIN && text.trim().contains(char::is_whitespace) {
            texts.push(text.trim().to_string());
        }
    }
    value.as_array().into_iter().flatten().for_each(|item| prose(item, texts));
    value.as_object().into_iter().flat_map(Fields::members).for_each(|(_, item)| prose(item, texts));
}

/// What the events of a category of the open kind speak of.
fn facet_of(category: &str) -> Facet {
    match crate::audit::words::plain(category).as_str() {
        "gateway" | "signalprocessing" => Facet::Symptom,
        "analysis" | "aianalysis" | "aiagent" => Facet::Cause,
        "approval" | "workflow" => Facet::Action,
        _ => Facet::Outcome,
    }
}

fn sentences(lines: &[&str]) -> Option<String> {
    (!lines.is_empty()).then(|| lines.iter().map(|line| say::capital(line)).collect::<Vec<_>>().join(". "))
}

fn labelled(label: Option<&str>, text: &str) -> String {
    label.map_or_else(|| text.to_string(), |label| format!("{label}: {text}"))
}

/// The remediation in words: what was seen, why, what was done, what came of it. It fits into one piece.
fn whole(summary: &Summary) -> String {
    let signal = summary.signal.as_ref().map(Fields::Map);
    let seen = signal.and_then(|signal| {
        say::joined([signal.owned("name"), signal.any_text(&["summary", "description"]).map(str::to_string)], ": ")
    });
    let target = summary.target.as_ref().map(|target| {
        let place = target.namespace.as_deref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        format!("{} {}{place}", target.kind, target.name)
    });
    let environment = summary.environment.clone();
    let cause = summary.root_cause.as_ref().map(|cause| format!("Cause: {}", cause.summary));
    let text = say::joined(
        [
            seen,
            say::joined([target, environment, summary.severity.clone()], ", "),
            cause,
            action(summary),
            Some(outcome(summary)),
        ],
        "\n",
    );
    let text = text.unwrap_or_default();
    chunks::cut(&text).into_iter().next().unwrap_or(text)
}

fn action(summary: &Summary) -> Option<String> {
    let done = summary.workflow_names.last().or(summary.action_types.last())?;
    let refused = summary.approvals.last().filter(|approval| approval.decision == "rejected");
    let why = refused.and_then(|approval| approval.reason.as_deref()).map(|why| format!(", refused: {why}"));
    Some(format!("Action: {}{}", say::words(done), why.unwrap_or_default()))
}

fn outcome(summary: &Summary) -> String {
    let came = match summary.outcome {
        Some(outcome) => outcome.in_words(),
        None => return "Outcome: not known yet".to_string(),
    };
    let verdict = match summary.effective {
        Some(true) => ", it helped",
        Some(false) => ", it did not help",
        None => "",
    };
    format!("Outcome: {came}{verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::fields::KindTable,
        remediation::{summary, tests::kubernaut},
    };

    #[test]
    fn whatever_kubernauts_events_say_in_prose_is_a_document_but_for_raw_material() {
        for envelope in kubernaut::types() {
            let entries = kubernaut::sealed([&envelope]);
            let event_type = entries[0].event.event_type.as_str();
            let documents = documents(&entries, &summary(&entries).unwrap());
            let mut texts = Vec::new();
            prose(Json::Value(&envelope["event_data"]), &mut texts);
            for piece in texts.iter().flat_map(|text| chunks::cut(text)).filter(|_| !RAW.contains(&event_type)) {
                let found = documents.iter().any(|it| it.text.to_lowercase().contains(&piece.to_lowercase()));
                assert!(found, "{event_type}: {piece}");
            }
        }
    }

    #[test]
    fn every_field_that_is_searched_is_one_of_its_kind() {
        for (kind, _, names) in FIELDS {
            for name in *names {
                assert!(KindTable::of(*kind).field(name).is_some(), "{kind:?} has no `{name}`");
            }
        }
    }
}
