//! Bodies that mean no good, among good ones, and bad audits in the midst of good ones.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Arena, Fault, PLAIN};
use crate::{
    http::Http,
    ledger::Fit,
    random::Random,
    writers::send::{Face, RECORD, REST, graphql_body, send_body},
};

pub const FAULTS: &[Fault] = &[Fault {
    name: "hostile-bodies",
    how: "bodies that are too large, too deep or no JSON, and batches in which some audits are bad: NUL, 1 MB of text, wrong \
          types, unknown words, nested too deep",
    strike: |arena, random| Box::pin(hostile(arena, random)),
    ..PLAIN
}];

const BATCHES: usize = 20;
const BATCH: usize = 8;

async fn hostile(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let mut http = Http::new(arena.world.addresses[0].clone());
    for body in bodies() {
        for path in ["/graphql", REST] {
            // A server may hang up on a body of which it has seen enough.
            if let Ok(answer) = http.post(path, body.as_bytes()).await
                && !(400..500).contains(&answer.status)
            {
                let begin: String = body.chars().take(60).collect();
                arena.ledger.breach(format!("a hostile body ({begin}…) to {path} was answered with {}", answer.status));
            }
        }
    }
    for _ in 0..BATCHES {
        mixed(arena, &mut http, &mut random).await;
    }
    Ok(Instant::now())
}

/// Bodies of which nothing may be recorded.
fn bodies() -> Vec<String> {
    vec![
        String::new(),
        "{\"query\": ".to_string(),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("[{}1]", "1,".repeat(1_000)),
        format!("{{\"query\": \"{}\"}}", "x".repeat(10 << 20)),
        "\u{0}".to_string(),
        "{\"query\": \"\\ud800\"}".to_string(),
        json!({"remediation_id": "rr", "notification_id": "nt", "status": "delivered", "channel": 7}).to_string(),
    ]
}

/// A batch in which every third audit is bad: that one is refused, and the others are recorded.
async fn mixed(arena: &Arena, http: &mut Http, random: &mut Random) {
    let ledger = &arena.ledger;
    let face = *random.pick(&[Face::Graphql, Face::Rest]);
    let (mut numbers, mut audits): (Vec<u64>, Vec<Value>) = (Vec::new(), Vec::new());
    for index in 0..BATCH {
        let bad = index % 3 == 1;
        let number = ledger.take(1, if bad { Fit::Bad } else { Fit::Good })[0];
        let mut audit = if face == Face::Rest { ledger.audits.columns(number) } else { ledger.audits.graphql(number) };
        if bad {
            spoil(if face == Face::Rest { &mut audit } else { &mut audit["notification"] }, face, random);
        }
        numbers.push(number);
        audits.push(audit);
    }
    let body = if face == Face::Rest { Value::from(audits).to_string() } else { graphql_body(&audits, RECORD) };
    send_body(http, face, ledger, &numbers, &body).await;
}

fn spoil(audit: &mut Value, face: Face, random: &mut Random) {
    let deep = (0..40).fold(json!(1), |inner, _| json!({ "in": inner }));
    let (subject, template) =
        if face == Face::Rest { ("subject", "message_template") } else { ("subject", "messageTemplate") };
    let (name, value) = match random.between(0, if face == Face::Rest { 5 } else { 3 }) {
        0 => (subject, json!("a NUL \u{0} in the midst")),
        1 => (template, json!("long ".repeat(100_000))),
        2 => ("details", json!({ "deep": deep })),
        3 => (template, json!("\u{0}")),
        4 => ("status", json!("levitated")),
        _ => ("status", json!(7)),
    };
    audit[name] = value;
}
