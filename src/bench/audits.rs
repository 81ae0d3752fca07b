//! The audits that are sent: about 690 bytes of JSON each, as an orchestrator tells them.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use memchr::memmem;
use uuid::Uuid;

use super::{load::Plan, stand::Stand};

/// One audit in so many tells of the same remediation.
const PER_REMEDIATION: u64 = 25;

const MUTATION: &str = "mutation Record($input: OrchestrationInput!) { recordOrchestration(input: $input) { \
    ... on Recorded { position version watermark } ... on Rejected { code problems { path message } } } }";
const MUTATION_OF_MANY: &str = "mutation Record($inputs: [AuditInput!]!) { recordAudits(inputs: $inputs) { \
    ... on Recorded { position version } ... on Rejected { code problems { path message } } } }";

/// Gives out audits that nobody has sent before.
#[derive(Default)]
pub struct Audits {
    next: AtomicU64,
    /// Tells the streams of one scenario from those of the others.
    name: String,
}

impl Audits {
    pub fn new(name: &str) -> Audits {
        Audits { next: AtomicU64::new(0), name: name.to_string() }
    }

    /// Calls that record so many audits each, over GraphQL and over REST, in this order.
    pub fn plans(self: &Arc<Audits>, stand: &Stand, connections: usize, per_call: usize) -> [Plan; 2] {
        let plan = |path, body: fn(&Audits, usize) -> String| {
            let (address, audits) = (stand.address(), self.clone());
            let body = Arc::new(move || body(&audits, per_call));
            Plan { address, path, connections, per_call: per_call as u64, body, good: all_recorded }
        };
        [plan("/graphql", Audits::mutation_of), plan("/api/v1/audits", Audits::list_of)]
    }

    /// Writes the fields of the next audit, with an id of its own where one is given.
    fn audit(&self, out: &mut String, id: Option<Uuid>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let _ = write!(out, r#"{{"remediationId":"rr-{}-{}","#, self.name, number / PER_REMEDIATION); // a string takes all
        if let Some(id) = id {
            let _ = write!(out, r#""eventId":"{id}","#);
        }
        out.push_str(FIELDS);
    }

    /// So many audits as one GraphQL request.
    fn mutation_of(&self, count: usize) -> String {
        let mut out = room(count);
        if count == 1 {
            let _ = write!(out, r#"{{"query":"{MUTATION}","variables":{{"input":"#);
            self.audit(&mut out, Some(Uuid::now_v7()));
            out.push_str("}}");
            return out;
        }
        let _ = write!(out, r#"{{"query":"{MUTATION_OF_MANY}","variables":{{"inputs":["#);
        for nth in 0..count {
            out.push_str(if nth == 0 { r#"{"orchestration":"# } else { r#",{"orchestration":"# });
            self.audit(&mut out, Some(Uuid::now_v7()));
            out.push('}');
        }
        out.push_str("]}}");
        out
    }

    /// So many audits as one request of REST.
    fn list_of(&self, count: usize) -> String {
        let mut out = room(count);
        for nth in 0..count {
            let before = if nth == 0 { '[' } else { ',' };
            let id = Uuid::now_v7();
            let _ = write!(out, r#"{before}{{"event_id":"{id}","kind":"ORCHESTRATION","audit":"#);
            self.audit(&mut out, None);
            out.push('}');
        }
        out.push(']');
        out
    }
}

/// A text that so many audits fit into.
fn room(audits: usize) -> String {
    String::with_capacity(500 + audits * 900)
}

/// The fields of an audit in the words of GraphQL, from behind its remediation and its id to the end.
const FIELDS: &str = r#""clusterId":"eu-prod-1","occurredAt":"2026-05-04T10:05:40Z","overallPhase":"executing","severity":"critical","environment":"production","signal":{"name":"KubePodCrashLooping","fingerprint":"9f2c4e7ab1d05836"},"target":{"kind":"Deployment","name":"checkout","namespace":"payments"},"workflowExecutionName":"restart-with-higher-limit","details":{"previousPhase":"analyzing","version":"v1.4.2","stepsTotal":4,"stepsCompleted":2,"action":{"type":"increase_memory_limit","from":"512Mi","to":"768Mi","retries":1},"approval":{"required":true,"by":"oncall@example.org","waitedMs":165000},"confidence":0.93,"rationale":"Memory limit reached repeatedly within ten minutes; a rolling restart with a higher limit restored service"}}"#;

/// The fields of an audit of a remediation.
pub fn fields(remediation: &str) -> String {
    format!(r#"{{"remediationId":"{remediation}",{FIELDS}"#)
}

/// Whether everything in an answer was recorded.
fn all_recorded(answer: &[u8]) -> bool {
    let has = |word: &str| memmem::find(answer, word.as_bytes()).is_some();
    has("position") && !has("problems") && !has("errors")
}
