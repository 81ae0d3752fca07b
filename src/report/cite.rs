//! The references of the evidence: `E4` is the fourth event of this remediation, `S2` the second of another's.

use std::collections::{BTreeSet, HashMap};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Evidence,
    model::{EvidenceItem, Report},
    words,
};
use crate::{
    audit::{
        Entry, StreamId,
        canonical::hex,
        facts::{Shown, facts},
    },
    remediation::NARRATIVE,
};

/// Longest text of an evidence item, in characters.
const TEXT_MAX: usize = 320;
/// Most facts that the text of one event names.
const FACTS_MAX: usize = 4;

/// Gives the events of the evidence their references.
pub struct Cite<'a> {
    /// This remediation's events, by version, without narratives.
    pub own: Vec<&'a Entry>,
    /// Those of other remediations, each once; `S1` is the first.
    pub others: Vec<&'a Entry>,
    by_id: HashMap<Uuid, String>,
    by_stream: HashMap<&'a StreamId, Vec<String>>,
}

impl<'a> Cite<'a> {
    pub fn new(evidence: &'a Evidence) -> Cite<'a> {
        let stream = &evidence.remediation.summary.stream;
        let mut own: Vec<&Entry> = evidence.entries.iter().filter(|entry| entry.event.category != NARRATIVE).collect();
        own.sort_by_key(|entry| entry.version);
        let mut by_id: HashMap<Uuid, String> =
            own.iter().map(|entry| (entry.event.event_id, format!("E{}", entry.version))).collect();
        let mut others = Vec::with_capacity(evidence.others.len());
        let mut by_stream: HashMap<&StreamId, Vec<String>> = HashMap::new();
        for entry in evidence.others.iter().filter(|entry| entry.event.stream != *stream) {
            if by_id.contains_key(&entry.event.event_id) {
                continue; // two remediations may have been found by one event
            }
            others.push(entry);
            let reference = format!("S{}", others.len());
            by_id.insert(entry.event.event_id, reference.clone());
            by_stream.entry(&entry.event.stream).or_default().push(reference);
        }
        Cite { own, others, by_id, by_stream }
    }

    /// The references of these events, each once, in this order.
    pub fn events(&self, ids: impl IntoIterator<Item = Uuid>) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let known = ids.into_iter().filter_map(|id| self.by_id.get(&id).cloned());
        known.filter(|reference| seen.insert(reference.clone())).collect()
    }

    /// What is known of another remediation.
    pub fn remediation(&self, stream: &StreamId) -> Vec<String> {
        self.by_stream.get(stream).cloned().unwrap_or_default()
    }

    /// The last event that was read: it shows that something had not been told by then.
    pub fn last(&self) -> Vec<String> {
        self.own.last().map(|entry| format!("E{}", entry.version)).into_iter().collect()
    }

    /// The events whose digest is not that of what the journal holds.
    pub fn altered(&self) -> Vec<String> {
        let altered = self.own.iter().chain(&self.others).filter(|entry| !entry.intact());
        self.events(altered.map(|entry| entry.event.event_id))
    }

    /// SHA-256 over the sealed digests of all events, in the order of their references.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for entry in self.own.iter().chain(&self.others) {
            hash.update(&entry.digest);
        }
        hex(&<[u8; 32]>::from(hash.finalize()))
    }

    /// Everything that `report` cites.
    pub fn evidence(&self, report: &Report, evidence: &Evidence) -> Vec<EvidenceItem> {
        let said = report.said().flat_map(|(_, cites)| cites);
        let moments = report.timeline.iter().map(|moment| &moment.cite);
        let cited: BTreeSet<&String> = said.chain(moments).chain(&report.provenance.altered).collect();
        let all = self.own.iter().chain(&self.others);
        let named = all.filter_map(|entry| Some((*entry, self.by_id.get(&entry.event.event_id)?)));
        let kept = named.filter(|(_, reference)| cited.contains(reference));
        kept.map(|(entry, reference)| item(entry, reference, evidence)).collect()
    }
}

fn item(entry: &Entry, reference: &str, evidence: &Evidence) -> EvidenceItem {
    let event = &entry.event;
    EvidenceItem {
        reference: reference.to_string(),
        event_id: event.event_id,
        remediation_id: event.stream.remediation_id.clone(),
        cluster_id: event.stream.cluster_id.clone(),
        service: event.kind,
        event_type: words::name(&event.event_type),
        at: event.occurred_at,
        recorded_at: entry.recorded_at,
        text: words::cut(&text(entry, evidence), TEXT_MAX),
    }
}

/// What an event tells: its facts in the timeline, or the words by which another remediation was found to be like this.
fn text(entry: &Entry, evidence: &Evidence) -> String {
    let id = entry.event.event_id;
    if let Some(similar) = evidence.similar.nearest.iter().find(|similar| similar.event_id == id) {
        return words::line(&similar.text);
    }
    let shown: Vec<_> = evidence.remediation.timeline.iter().filter(|moment| moment.event_id == id).collect();
    let titles: Vec<String> = if shown.is_empty() {
        let told = facts(entry, None).into_iter().filter(|fact| fact.shown != Shown::Never);
        told.map(|fact| fact.title.into_owned()).collect()
    } else {
        shown.iter().map(|moment| moment.title.clone()).collect()
    };
    let more = titles.len().saturating_sub(FACTS_MAX);
    let mut text = words::line(&titles.into_iter().take(FACTS_MAX).collect::<Vec<_>>().join("; "));
    if more > 0 {
        text.push_str(&format!("; {more} more"));
    }
    if text.is_empty() { words::name(&entry.event.event_type) } else { text }
}
