//! The whole resource, from the entries of one stream.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::{
    check::{self, COMPLETENESS_MIN, Validation},
    spec, status,
};
use crate::{
    audit::{Entry, Kind, event::time_text, facts::Fields},
    remediation::{
        self,
        model::{Remediation, Target, ViewRow},
    },
};

/// Kubernaut's types that tell how a remediation began, the one that tells more first.
const GENESIS: [&str; 2] = ["gateway.signal.received", "apifrontend.rr.created"];

/// Why nothing is put together.
#[derive(Debug, PartialEq)]
pub enum TooLittle {
    /// Nobody tells how it began.
    Genesis,
    Incomplete(Validation),
}

/// The RemediationRequest of a remediation, and how complete it is.
pub fn of(entries: &[Entry], now: DateTime<Utc>) -> Result<(Value, Validation), TooLittle> {
    let Some(trail) = Trail::of(entries).filter(Trail::begins) else { return Err(TooLittle::Genesis) };
    let request = json!({
        "apiVersion": "remediation.kubernaut.ai/v1alpha1",
        "kind": "RemediationRequest",
        "metadata": metadata(&trail.folded.summary.stream.remediation_id, now),
        "spec": spec::of(&trail),
        "status": status::of(&trail),
    });
    let validation = check::of(&request, trail.folded.summary.completed_at.is_some());
    match validation.completeness >= COMPLETENESS_MIN {
        true => Ok((request, validation)),
        false => Err(TooLittle::Incomplete(validation)),
    }
}

/// As Kubernaut's own store writes it, so that whoever looks for reconstructed resources finds ours.
fn metadata(correlation_id: &str, now: DateTime<Utc>) -> Value {
    json!({
        "name": format!("rr-reconstructed-{correlation_id}-{}", now.timestamp()),
        "namespace": "kubernaut-system",
        "labels": {
            "app.kubernetes.io/managed-by": "kubernaut-datastorage",
            "kubernaut.ai/reconstructed": "true",
            "kubernaut.ai/correlation-id": correlation_id,
        },
        "annotations": {
            "kubernaut.ai/reconstructed-at": now.to_rfc3339_opts(SecondsFormat::Secs, true),
            "kubernaut.ai/reconstruction-source": "audit-trail",
            "kubernaut.ai/correlation-id": correlation_id,
        },
        "finalizers": ["kubernaut.ai/audit-retention"],
    })
}

/// What is known of a remediation: its entries by the time of what they tell, and what they fold to.
pub struct Trail<'e> {
    told: Vec<&'e Entry>,
    pub folded: Remediation,
    pub genesis: Option<&'e Entry>,
}

impl<'e> Trail<'e> {
    fn of(entries: &'e [Entry]) -> Option<Trail<'e>> {
        let folded = remediation::fold(entries, None)?;
        let mut told: Vec<&Entry> = entries.iter().collect();
        told.sort_by_key(|entry| (entry.event.occurred_at, entry.position));
        let first = |event_type: &str| told.iter().copied().find(|entry| entry.event.event_type == event_type);
        let genesis = GENESIS.into_iter().find_map(first);
        Some(Trail { told, folded, genesis })
    }

    /// Whether it tells how the remediation began.
    fn begins(&self) -> bool {
        let summary = &self.folded.summary;
        self.genesis.is_some() || (summary.signal.is_some() && summary.target.is_some())
    }

    /// The entries of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = Fields<'e>> {
        let of_kind = self.told.iter().filter(move |entry| entry.event.kind == kind);
        of_kind.map(|entry| entry.event.fields())
    }

    /// The entries of an event type.
    pub fn of_type(&self, event_type: &str) -> impl DoubleEndedIterator<Item = &'e Entry> {
        self.told.iter().copied().filter(move |entry| entry.event.event_type == event_type)
    }

    /// The row of a kind whose last event is the latest.
    pub fn row(&self, kind: Kind) -> Option<Fields<'_>> {
        let rows = self.folded.views.iter().filter(|row| row.kind == kind);
        rows.max_by_key(|row: &&ViewRow| row.last_occurred_at).map(|row| Fields::Map(&row.fields))
    }
}

/// What the writer of an event said in words of its own: of the open kind, or within Kubernaut's envelope.
pub fn data(entry: &Entry) -> Option<Fields<'_>> {
    let written = entry.event.payload.fields();
    written.object("kubernaut").and_then(|envelope| envelope.object("event_data")).or_else(|| written.object("payload"))
}

/// An object that holds only what is known.
#[derive(Default)]
pub struct Known(Map<String, Value>);

impl Known {
    pub fn put(&mut self, name: &str, value: Option<impl Into<Value>>) {
        let value = value.map(Into::into).filter(|value| {
            let empty = value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
            !(empty || value.is_null() || value == "")
        });
        if let Some(value) = value {
            self.0.insert(name.to_string(), value);
        }
    }

    pub fn time(&mut self, name: &str, at: Option<DateTime<Utc>>) {
        self.put(name, at.map(time_text));
    }
}

impl From<Known> for Value {
    fn from(known: Known) -> Value {
        Value::Object(known.0)
    }
}

/// A resource as its parts.
pub fn resource(target: &Target) -> Value {
    let mut resource = Known::default();
    resource.put("kind", Some(target.kind.as_str()));
    resource.put("name", Some(target.name.as_str()));
    resource.put("namespace", target.namespace.as_deref());
    resource.into()
}
