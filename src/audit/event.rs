//! An event (a submission that passed its checks) and an entry (an event sealed in the journal), with their digests.

use std::{borrow::Cow, fmt, sync::OnceLock};

use chrono::{DateTime, SecondsFormat, Utc};
use memchr::memchr_iter;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::audit::{
    canonical::{self, Digest},
    facts::{Fields, Json},
    flaws::short,
    kind::{ActorType, Kind, Outcome},
    kubernaut,
    tree::Tree,
};

/// The version of the event's shape that this binary writes.
pub const SCHEMA_VERSION: i16 = 1;

/// A place in the whole journal, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position(pub i64);

/// A place in one stream, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub i32);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The key of a stream: a remediation's name is unique only inside one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    pub cluster_id: String,
    pub remediation_id: String,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster_id, self.remediation_id)
    }
}

/// What a map of a payload's fields takes, about, in bytes for each byte of its text, and for each object, be it small.
const MAP_BYTES_PER_BYTE: usize = 3;
const MAP_BYTES_PER_OBJECT: usize = 600;

/// What the writer says of an event beyond its envelope: canonical JSON, kept as text and read on demand.
#[derive(Clone, Debug)]
pub struct Payload {
    text: String,
    /// What it was made of, where it was not read from the journal.
    given: Option<Map<String, Value>>,
    read: OnceLock<Tree>,
    /// What it tells in the fields of its kind, where it was written in another platform's words.
    told: OnceLock<Map<String, Value>>,
}

impl Payload {
    /// The payload with these fields, as its canonical text.
    pub fn new(fields: Map<String, Value>) -> Payload {
        let payload = Payload::from_text(canonical::object_text(&fields));
        Payload { given: Some(fields), ..payload }
    }

    /// A payload as the journal holds it, byte for byte.
    pub fn from_text(text: String) -> Payload {
        Payload { text, given: None, read: OnceLock::new(), told: OnceLock::new() }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The fields as they were written; none where the text is no object (a journal that somebody changed).
    pub fn fields(&self) -> Fields<'_> {
        match &self.given {
            Some(given) => Fields::Map(given),
            None => Fields::Tree(self.read.get_or_init(|| Tree::read(&self.text)).root(&self.text)),
        }
    }

    /// How many bytes it takes, about, with what was read of it.
    pub fn bytes(&self) -> usize {
        let objects = memchr_iter(b'{', self.text.as_bytes()).count();
        let map = MAP_BYTES_PER_BYTE * self.text.len() + MAP_BYTES_PER_OBJECT * objects;
        let maps = usize::from(self.given.is_some()) + usize::from(self.told.get().is_some());
        self.text.capacity() + self.read.get().map_or(0, Tree::bytes) + maps * map
    }
}

/// A submission that passed its checks.
#[derive(Clone, Debug)]
pub struct Event {
    pub event_id: Uuid,
    pub stream: StreamId,
    pub occurred_at: DateTime<Utc>,
    pub kind: Kind,
    pub category: String,
    pub event_type: String,
    pub outcome: Option<Outcome>,
    pub actor_type: Option<ActorType>,
    pub actor_id: Option<String>,
    pub parent_event_id: Option<Uuid>,
    /// 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// 16 hexadecimal digits.
    pub span_id: Option<String>,
    pub schema_version: i16,
    pub payload: Payload,
    /// The digest of the submission as given, before defaults: tells a retry from another audit under the same id.
    pub content_digest: Digest,
}

impl Event {
    /// What it tells, in the fields of its kind: as written, or as read from Kubernaut's words. The journal keeps those words,
    /// so that what they are taken to mean may still become better.
    pub fn fields(&self) -> Fields<'_> {
        if !kubernaut::wrote(&self.payload) {
            return self.payload.fields();
        }
        Fields::Map(self.payload.told.get_or_init(|| kubernaut::fields(self)))
    }

    /// The canonical text of the event: its envelope and, byte for byte, its payload.
    pub fn canonical(&self) -> String {
        canonical_text(self, &SealedWords::of(self))
    }

    /// The SHA-256 of `canonical`.
    pub fn digest(&self) -> Digest {
        canonical::digest(&self.canonical())
    }
}

/// An event sealed in the journal.
#[derive(Clone, Debug)]
pub struct Entry {
    pub position: Position,
    pub version: Version,
    pub recorded_at: DateTime<Utc>,
    /// The authenticated caller; `None` while no authentication is in force.
    pub recorded_by: Option<String>,
    pub words: SealedWords,
    /// The digest that was sealed with the event.
    pub digest: Vec<u8>,
    pub event: Event,
}

/// The words of closed sets as the journal holds them: a newer binary may have written some that this one does not know,
/// and the digest is of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedWords {
    pub kind: Cow<'static, str>,
    pub outcome: Option<Cow<'static, str>>,
    pub actor_type: Option<Cow<'static, str>>,
}

impl SealedWords {
    pub fn of(event: &Event) -> SealedWords {
        SealedWords {
            kind: event.kind.word().into(),
            outcome: event.outcome.map(|outcome| outcome.word().into()),
            actor_type: event.actor_type.map(|actor| actor.word().into()),
        }
    }
}

impl Entry {
    /// The canonical text, with its words as they were sealed.
    pub fn canonical(&self) -> String {
        canonical_text(&self.event, &self.words)
    }

    /// Whether the sealed digest is that of what the journal holds now.
    pub fn intact(&self) -> bool {
        canonical::digest(&self.canonical())[..] == self.digest[..]
    }

    /// A field of the payload.
    pub fn field(&self, name: &str) -> Option<Json<'_>> {
        self.event.fields().get(name)
    }
}

/// A time as canonical text has it: UTC, `Z`, no digits that are not needed. Times are kept to the microsecond.
pub fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn canonical_text(event: &Event, words: &SealedWords) -> String {
    // Written by hand in the order of RFC 8785, because the payload has to go in byte for byte.
    let mut out = String::with_capacity(event.payload.text().len() + 512);
    let opened = |name: &str, out: &mut String| {
        out.push(if out.is_empty() { '{' } else { ',' });
        out.extend(["\"", name, "\":"]); // nothing in these names has to be escaped
    };
    let string = |name: &str, value: Option<&str>, out: &mut String| {
        if let Some(value) = value {
            opened(name, out);
            canonical::write_string(value, out);
        }
    };
    let id = |name: &str, id: Uuid, out: &mut String| {
        string(name, Some(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())), out);
    };

    string("actorId", event.actor_id.as_deref(), &mut out);
    string("actorType", words.actor_type.as_deref(), &mut out);
    string("category", Some(&event.category), &mut out);
    string("clusterId", Some(&event.stream.cluster_id), &mut out);
    id("eventId", event.event_id, &mut out);
    string("eventType", Some(&event.event_type), &mut out);
    string("kind", Some(&words.kind), &mut out);
    string("occurredAt", Some(&time_text(event.occurred_at)), &mut out);
    string("outcome", words.outcome.as_deref(), &mut out);
    if let Some(parent) = event.parent_event_id {
        id("parentEventId", parent, &mut out);
    }
    opened("payload", &mut out);
    out.push_str(event.payload.text());
    string("remediationId", Some(&event.stream.remediation_id), &mut out);
    opened("schemaVersion", &mut out);
    out.push_str(&event.schema_version.to_string());
    string("spanId", event.span_id.as_deref(), &mut out);
    string("traceId", event.trace_id.as_deref(), &mut out);
    out.push('}');
    out
}

/// The paths at which two events differ, in GraphQL's spelling, such as `status` or `signal.name`; of two in Kubernaut's
/// envelope in its spelling, such as `event_data.channel`.
pub fn differences(a: &Event, b: &Event) -> Vec<String> {
    let mut paths = Vec::new();
    if let (Some(a), Some(b)) = (kubernaut::envelope(a), kubernaut::envelope(b)) {
        object_differences(&a, &b, "", &mut paths);
        return paths;
    }
    let mut envelope = |name: &str, same: bool| {
        if !same {
            paths.push(name.to_string());
        }
    };
    envelope("kind", a.kind == b.kind);
    envelope("clusterId", a.stream.cluster_id == b.stream.cluster_id);
    envelope("remediationId", a.stream.remediation_id == b.stream.remediation_id);
    envelope("occurredAt", a.occurred_at == b.occurred_at);
    envelope("category", a.category == b.category);
    envelope("eventType", a.event_type == b.event_type);
    envelope("outcome", a.outcome == b.outcome);
    envelope("actor", a.actor_type == b.actor_type && a.actor_id == b.actor_id);
    envelope("parentEventId", a.parent_event_id == b.parent_event_id);
    object_differences(&a.payload.fields().to_map(), &b.payload.fields().to_map(), "", &mut paths);
    paths
}

/// Most differences that are told of two events.
const DIFFERENCES_MAX: usize = 100;

fn object_differences(a: &Map<String, Value>, b: &Map<String, Value>, at: &str, paths: &mut Vec<String>) {
    let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    for given in names {
        if paths.len() >= DIFFERENCES_MAX {
            return;
        }
        let name = short(given);
        let path = if at.is_empty() { name.to_string() } else { format!("{at}.{name}") };
        match (a.get(given), b.get(given)) {
            (Some(Value::Object(a)), Some(Value::Object(b))) => object_differences(a, b, &path, paths),
            // Texts are compared, for `1` and `1.0` are one number.
            (Some(a), Some(b)) if canonical::text(a) == canonical::text(b) => {}
            _ => paths.push(path),
        }
    }
}
