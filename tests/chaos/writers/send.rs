//! One request that records audits, and what its answer says of each.

use serde_json::{Value, json};

use crate::{http::Http, ledger::Ledger};

/// How audits are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    Graphql,
    /// A list to an endpoint of REST.
    Rest,
    /// One audit to it.
    RestOne,
}

pub const REST: &str = "/api/v1/audit/notifications";
pub const RECORD: &str = "mutation($inputs: [AuditInput!]!) { recordAudits(inputs: $inputs) { __typename
    ... on Recorded { position event { digest } } ... on Rejected { code retryable problems { path code } } } }";

/// Sends the audits once and enters what came of each into the ledger. Whether something certain came of all.
pub async fn send(http: &mut Http, face: Face, ledger: &Ledger, numbers: &[u64]) -> bool {
    let audits = &ledger.audits;
    let (path, body) = match face {
        Face::Graphql => {
            let inputs: Vec<Value> = numbers.iter().map(|number| audits.graphql(*number)).collect();
            ("/graphql", graphql_body(&inputs, RECORD))
        }
        Face::Rest => (REST, numbers.iter().map(|number| audits.columns(*number)).collect::<Value>().to_string()),
        Face::RestOne => (REST, audits.columns(numbers[0]).to_string()),
    };
    let answer = match http.post(path, body.as_bytes()).await {
        Ok(answer) => answer,
        Err(error) => {
            ledger.unknown(numbers, &error.kind().to_string());
            return false;
        }
    };
    match face {
        Face::Graphql => enter(ledger, numbers, graphql(&answer.json())),
        Face::Rest => enter(ledger, numbers, rest(answer.status, answer.json())),
        Face::RestOne => enter(ledger, numbers, Ok(vec![item(answer.status, &answer.json())])),
    }
}

/// Sends a body that somebody else made of these audits.
pub async fn send_body(http: &mut Http, face: Face, ledger: &Ledger, numbers: &[u64], body: &str) -> bool {
    let path = if face == Face::Graphql { "/graphql" } else { REST };
    match http.post(path, body.as_bytes()).await {
        Ok(answer) if face == Face::Graphql => enter(ledger, numbers, graphql(&answer.json())),
        Ok(answer) => enter(ledger, numbers, rest(answer.status, answer.json())),
        Err(error) => enter(ledger, numbers, Err(error.kind().to_string())),
    }
}

/// The body of a request of GraphQL about these inputs.
pub fn graphql_body(inputs: &[Value], query: &str) -> String {
    json!({"query": query, "variables": {"inputs": inputs}}).to_string()
}

fn enter(ledger: &Ledger, numbers: &[u64], answered: Answered) -> bool {
    let outcomes = match answered {
        Ok(outcomes) if outcomes.len() == numbers.len() => outcomes,
        Ok(outcomes) => {
            let why = outcomes.into_iter().find_map(|told| match told {
                Told::Refused(why) => Some(why),
                Told::Recorded { .. } | Told::Kept | Told::Nothing(_) => None,
            });
            ledger.breach(format!("{} audits were sent, and not all were answered: {why:?}", numbers.len()));
            return false;
        }
        Err(why) => {
            ledger.unknown(numbers, &why);
            return false;
        }
    };
    let mut certain = true;
    for (number, outcome) in numbers.iter().zip(outcomes) {
        match outcome {
            Told::Kept => ledger.keep(*number),
            Told::Recorded { position, digest } => ledger.acknowledge(*number, position, digest),
            Told::Refused(why) => ledger.refuse(*number, &why),
            Told::Nothing(why) => {
                ledger.unknown(&[*number], &why);
                certain = false;
            }
        }
    }
    certain
}

/// What an answer says of one audit.
enum Told {
    Kept,
    Recorded { position: i64, digest: u64 },
    Refused(String),
    Nothing(String),
}

/// Why a whole request came to nothing certain, or what is told of each audit.
type Answered = Result<Vec<Told>, String>;

fn graphql(answer: &Value) -> Answered {
    let Some(results) = answer["data"]["recordAudits"].as_array() else {
        let error = &answer["errors"][0];
        let why = format!("{} {}", error["extensions"]["code"], error["message"]);
        return match error["extensions"]["retryable"].as_bool() {
            Some(false) => Ok(vec![Told::Refused(why)]),
            _ => Err(why),
        };
    };
    let told = |result: &Value| match result["__typename"].as_str() {
        Some("Recorded") => recorded(&result["position"], &result["event"]["digest"]),
        _ if result["retryable"] == true => Told::Nothing(result["code"].to_string()),
        _ => Told::Refused(format!("{} {}", result["code"], result["problems"])),
    };
    Ok(results.iter().map(told).collect())
}

fn rest(status: u16, mut answer: Value) -> Answered {
    match answer["results"].take() {
        Value::Array(results) => Ok(results
            .iter()
            .map(|result| {
                let status = result["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                let told = if result["receipt"].is_object() { &result["receipt"] } else { &result["problem"] };
                item(status.unwrap_or_default(), told)
            })
            .collect()),
        _ if answer["retryable"] == false => Ok(vec![Told::Refused(format!("{status} {}", answer["detail"]))]),
        _ => Err(format!("{status} {}", answer["detail"])),
    }
}

fn item(status: u16, told: &Value) -> Told {
    match status {
        202 => Told::Kept,
        200 | 201 => recorded(&told["position"], &told["digest"]),
        _ if told["retryable"] == false => Told::Refused(format!("{status} {}", told["detail"])),
        _ => Told::Nothing(format!("{status} {}", told["detail"])),
    }
}

fn recorded(position: &Value, digest: &Value) -> Told {
    let position = position.as_str().and_then(|text| text.parse().ok());
    let digest = digest.as_str().and_then(|text| u64::from_str_radix(text.get(..16)?, 16).ok());
    match position.zip(digest) {
        Some((position, digest)) => Told::Recorded { position, digest },
        None => Told::Nothing("an answer without position or digest".to_string()),
    }
}
