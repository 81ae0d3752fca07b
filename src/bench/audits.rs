//! The audits that are sent: about 690 bytes of JSON each, as an orchestrator tells them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hyper::body::Bytes;
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
        let plan = |path, body: fn(&Audits, usize) -> Bytes| {
            let (address, audits) = (stand.address(), self.clone());
            let body = Arc::new(move || body(&audits, per_call));
            Plan { address, path, connections, per_call: per_call as u64, body, good: all_recorded }
        };
        [plan("/graphql", Audits::mutation_of), plan("/api/v1/audits", Audits::list_of)]
    }

    /// The fields of the next audit, with an id of its own in front of them or beside them.
    fn audit(&self, id: Option<Uuid>) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = id.map(|id| format!(r#""eventId":"{id}","#)).unwrap_or_default();
        fields(&format!("rr-{}-{}", self.name, number / PER_REMEDIATION), &id)
    }

    /// So many audits as one GraphQL request.
    fn mutation_of(&self, count: usize) -> Bytes {
        if count == 1 {
            let input = self.audit(Some(Uuid::now_v7()));
            return format!(r#"{{"query":"{MUTATION}","variables":{{"input":{input}}}}}"#).into();
        }
        let input = |_| format!(r#"{{"orchestration":{}}}"#, self.audit(Some(Uuid::now_v7())));
        let inputs: Vec<String> = (0..count).map(input).collect();
        format!(r#"{{"query":"{MUTATION_OF_MANY}","variables":{{"inputs":[{}]}}}}"#, inputs.join(",")).into()
    }

    /// So many audits as one request of REST.
    fn list_of(&self, count: usize) -> Bytes {
        let item =
            |_| format!(r#"{{"event_id":"{}","kind":"ORCHESTRATION","audit":{}}}"#, Uuid::now_v7(), self.audit(None));
        let items: Vec<String> = (0..count).map(item).collect();
        format!("[{}]", items.join(",")).into()
    }
}

/// The fields of an audit, in the words of GraphQL.
pub fn fields(remediation: &str, id: &str) -> String {
    format!(
        r#"{{"remediationId":"{remediation}","clusterId":"eu-prod-1",{id}"occurredAt":"2026-05-04T10:05:40Z","overallPhase":"executing","severity":"critical","environment":"production","signal":{{"name":"KubePodCrashLooping","fingerprint":"9f2c4e7ab1d05836"}},"target":{{"kind":"Deployment","name":"checkout","namespace":"payments"}},"workflowExecutionName":"restart-with-higher-limit","details":{{"previousPhase":"analyzing","version":"v1.4.2","stepsTotal":4,"stepsCompleted":2,"action":{{"type":"increase_memory_limit","from":"512Mi","to":"768Mi","retries":1}},"approval":{{"required":true,"by":"oncall@example.org","waitedMs":165000}},"confidence":0.93,"rationale":"Memory limit reached repeatedly within ten minutes; a rolling restart with a higher limit restored service"}}}}"#
    )
}

/// Whether everything in an answer was recorded.
fn all_recorded(answer: &[u8]) -> bool {
    let has = |word: &str| answer.windows(word.len()).any(|part| part == word.as_bytes());
    has("position") && !has("problems") && !has("errors")
}
