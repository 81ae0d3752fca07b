//! Two systems that need neither database nor model, for the others to be measured against: chance, and words alone
//! (Okapi BM25 over each remediation's texts, in memory). What search does not do better than these it does not do.

use std::collections::{BTreeMap, HashMap};

use binnacle::demo::{Label, Recording};
use serde_json::Value;

use crate::{
    measures,
    runs::{Key, PLACES},
};

/// BM25's usual constants: how soon more of the same word stops to matter, and how much a long text is held back.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// The fields whose texts are searched: what people wrote and read about a remediation, no ids and no labels.
const FIELDS: &[&str] = &[
    "name",
    "summary",
    "description",
    "investigationReport",
    "rootCause",
    "rootCauseSummary",
    "causalChain",
    "contributingFactors",
    "actionRationale",
    "rejectedReason",
    "workflowId",
    "failureReason",
    "errorMessage",
    "rejectionReason",
    "decisionMessage",
    "assessment",
    "sideEffectsDescription",
    "patternDescription",
];
/// Their objects: names of signals are told, those of steps and resources are not.
const OBJECTS: &[&str] = &["signal", "payload", "alternativesConsidered"];

/// Ten remediations that have nothing to do with the question, another ten for each.
pub fn chance(labels: &[Label], text: &str) -> Vec<Key> {
    let mut seed = text.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut pick = || &labels[(measures::next(&mut seed) % labels.len() as u64) as usize];
    (0..PLACES).map(|_| pick()).map(|label| (label.cluster_id.to_string(), label.remediation_id.clone())).collect()
}

/// An index of words.
pub struct Words {
    documents: Vec<Document>,
    /// In how many documents each word is.
    spread: HashMap<String, usize>,
    mean_length: f64,
}

struct Document {
    key: Key,
    counts: HashMap<String, usize>,
    length: f64,
}

impl Words {
    /// Indexes the texts of each remediation as one document.
    pub fn read(history: &[Recording]) -> Words {
        let mut texts: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        for recording in history {
            let fields = &recording.submission.fields;
            let id = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
            let told = texts.entry((id("clusterId"), id("remediationId"))).or_default();
            for (name, value) in fields {
                gather(name, value, told);
            }
        }
        let documents: Vec<Document> = texts.into_iter().map(document).collect();
        let mut spread = HashMap::new();
        for word in documents.iter().flat_map(|document| document.counts.keys()) {
            *spread.entry(word.clone()).or_default() += 1;
        }
        let lengths: Vec<f64> = documents.iter().map(|document| document.length).collect();
        Words { mean_length: measures::mean(&lengths), documents, spread }
    }

    /// The remediations that share most of the question's words, rare ones above all.
    pub fn search(&self, text: &str) -> Vec<Key> {
        let words = words(text);
        let mut hits: Vec<(f64, &Key)> =
            self.documents.iter().map(|document| (self.score(document, &words), &document.key)).collect();
        hits.retain(|(score, _)| *score > 0.0);
        hits.sort_by(|(a, a_key), (b, b_key)| b.total_cmp(a).then_with(|| a_key.cmp(b_key)));
        hits.into_iter().take(PLACES).map(|(_, key)| key.clone()).collect()
    }

    fn score(&self, document: &Document, words: &[String]) -> f64 {
        let total = self.documents.len() as f64;
        let weight = K1 * (1.0 - B + B * document.length / self.mean_length);
        let of = |word: &String| {
            let count = *document.counts.get(word)? as f64;
            let spread = *self.spread.get(word)? as f64;
            let rarity = (1.0 + (total - spread + 0.5) / (spread + 0.5)).ln();
            Some(rarity * count * (K1 + 1.0) / (count + weight))
        };
        words.iter().filter_map(of).sum()
    }
}

fn document((key, texts): (Key, Vec<String>)) -> Document {
    let mut counts = HashMap::new();
    for word in words(&texts.join("\n")) {
        *counts.entry(word).or_default() += 1;
    }
    Document { key, length: counts.values().sum::<usize>() as f64, counts }
}

/// Adds a field's texts, once each: an audit repeats what an earlier one has said.
fn gather(name: &str, value: &Value, told: &mut Vec<String>) {
    match value {
        Value::String(text) if FIELDS.contains(&name) && !told.contains(text) => told.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| gather(name, item, told)),
        Value::Object(fields) if OBJECTS.contains(&name) => {
            fields.iter().for_each(|(name, value)| gather(name, value, told));
        }
        _ => {}
    }
}

/// Lower-case words; a name of several words, such as `KubePodOOMKilled`, is itself and its words.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        all.push(word.to_lowercase());
        let parts = parts(word);
        if parts.len() > 1 {
            all.extend(parts);
        }
    }
    all
}

/// The words of a name in camel case; a run of capitals is one word.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = None;
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let after_small = before.is_some_and(char::is_lowercase);
        let before_small = before.is_some() && letters.peek().is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || before_small) {
            parts.push(String::new());
        }
        parts.last_mut().expect("there is one from the beginning").extend(letter.to_lowercase());
        before = Some(letter);
    }
    parts
}

#[cfg(test)]
mod tests {
    use binnacle::demo;

    use super::*;

    #[test]
    fn names_are_found_by_their_words_too() {
        assert_eq!(
            words("KubePodOOMKilled: exit 137"),
            ["kubepodoomkilled", "kube", "pod", "oom", "killed", "exit", "137"]
        );
        assert_eq!(words("x509 HTTPServer"), ["x509", "httpserver", "http", "server"]);
    }

    #[test]
    fn a_remediation_is_found_by_rare_words_of_its_report() {
        let labels = demo::labels(300);
        let history = demo::history(300, "2026-05-04T12:00:00Z".parse().unwrap());
        let found = Words::read(&history).search("containerd hangs and the PLEG is unhealthy");
        let causes = found.iter().map(|(_, id)| labels.iter().find(|label| label.remediation_id == *id).unwrap().cause);
        assert_eq!(causes.take(2).collect::<Vec<_>>(), ["kubelet-hangs"; 2]);
        assert!(Words::read(&history).search("zygote").is_empty());
    }

    #[test]
    fn the_family_that_the_demo_writes_into_details_is_not_searched() {
        let mut told = Vec::new();
        gather("details", &serde_json::json!({"family": "oom-kill", "summary": "oom"}), &mut told);
        assert!(told.is_empty());
    }

    #[test]
    fn chance_is_the_same_each_time_and_differs_from_question_to_question() {
        let labels = demo::labels(300);
        assert_eq!(chance(&labels, "oom"), chance(&labels, "oom"));
        assert_ne!(chance(&labels, "oom"), chance(&labels, "disk"));
    }
}
