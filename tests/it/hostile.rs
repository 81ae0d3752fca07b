//! Hostile requests, sent to the real binary over real sockets: each has a bounded answer with the right status and code, and
//! those who ask for something sensible hardly notice.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::support::{
    app::audit_input,
    audits::worked_example,
    client::Client,
    postgres::database,
    process::{Served, on_database},
};

/// The longest that any attack may wait for its answer, however busy the machine is.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long a request may take; the slow body has to be given up by then.
const REQUEST_TIMEOUT: &str = "3s";

/// A request that means no good, and what it must be told.
struct Attack {
    name: &'static str,
    bytes: Vec<u8>,
    /// What follows `bytes` again and again, until the server has enough.
    flood: Vec<u8>,
    status: u16,
    code: &'static str,
}

#[tokio::test]
async fn every_hostile_request_has_a_bounded_answer_with_the_right_status() {
    let db = database().await;
    let server = Served::start(on_database(&db, &["serve", "--request-timeout", REQUEST_TIMEOUT])).await;
    for attack in attacks(&server).await {
        let begun = Instant::now();
        let (status, text) = timeout(ANSWER_MAX, strike(&server.address, &attack)).await.expect(attack.name).unwrap();
        let time = begun.elapsed();
        println!("{}: {status} in {time:?}", attack.name);
        assert_eq!(status, attack.status, "{}: {text}", attack.name);
        assert!(text.contains(&format!("\"code\":\"{}\"", attack.code)), "{}: {text}", attack.name);
        assert!(text.len() < 50_000, "{}: {} bytes of answer", attack.name, text.len());
    }
    assert_eq!(server.client().get("/livez").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let db = database().await;
    let server = Served::start(on_database(&db, &["serve", "--request-timeout", REQUEST_TIMEOUT])).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let begun = Instant::now();
    let mut told = vec![0; 4_096];
    let count = timeout(ANSWER_MAX, reading.read(&mut told)).await.expect("it is given up").unwrap();
    let told = String::from_utf8_lossy(&told[..count]).into_owned();
    println!("given up after {:?}", begun.elapsed());
    assert!(told.starts_with("HTTP/1.1 408 ") && told.contains("\"code\":\"TIMEOUT\""), "{told}");
    trickle.abort();
}

/// How many loop over the attacks, and how many healthy clients they are compared with.
const LOOPS: usize = 8;
/// Each round has a turn beside healthy clients and one beside attackers, so that whatever else the machine does meets both.
const ROUNDS: usize = 7;
const TURN: Duration = Duration::from_millis(1_000);
/// Each of those that loop takes a breath between two requests; without, eight of anything would be nothing but a fight for
/// two processors, which the server shares with all clients here.
const BREATH: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_query_hardly_notices_eight_attackers() {
    let db = database().await;
    let server = Served::start(on_database(&db, &["serve", "--request-timeout", REQUEST_TIMEOUT])).await;
    let inputs: Vec<_> = worked_example().iter().map(audit_input).collect();
    server.client().record(&inputs).await.expect("recorded");
    let attacks: Arc<[Attack]> = attacks(&server).await.into();
    let mut probe = server.client();

    // What an attacker may not be is worse than a client. So each turn beside attackers is compared with the turn before it,
    // beside as many clients that ask as often; and of the rounds the middle one counts, for others work on this machine too.
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let alone = p99(&mut probe).await;
        let mut healthy = JoinSet::new();
        for _ in 0..LOOPS {
            healthy.spawn(loop_healthy(server.client()));
        }
        let busy = p99(&mut probe).await;
        healthy.shutdown().await;

        let mut attackers = JoinSet::new();
        for first in 0..LOOPS {
            attackers.spawn(loop_attacks(server.address.clone(), attacks.clone(), first * 3));
        }
        let hostile = p99(&mut probe).await;
        attackers.shutdown().await;

        println!(
            "p99 of a healthy query: {alone:?} alone, {busy:?} beside {LOOPS} clients, {hostile:?} beside {LOOPS} attackers"
        );
        ratios.push(hostile.as_secs_f64() / busy.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!("attackers against clients: {ratios:.2?}");
    assert!(ratios[ROUNDS / 2] < 2.0, "{ratios:.2?}");
}

async fn loop_healthy(mut client: Client) {
    loop {
        ask(&mut client).await;
        sleep(BREATH).await;
    }
}

async fn loop_attacks(address: String, attacks: Arc<[Attack]>, first: usize) {
    for attack in attacks.iter().cycle().skip(first) {
        let _ = timeout(ANSWER_MAX, strike(&address, attack)).await; // only what the healthy notice counts here
        sleep(BREATH).await;
    }
}

/// The 99th percentile of the times that a healthy query takes, one after the other for one turn.
async fn p99(client: &mut Client) -> Duration {
    let end = Instant::now() + TURN;
    let mut times = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        ask(client).await;
        times.push(begun.elapsed());
    }
    times.sort();
    times[times.len() * 99 / 100]
}

async fn ask(client: &mut Client) {
    let query = r#"query Story { remediation(remediationId: "rr-7d1f0c9ab3e2-4be09c11") {
        phase outcome durationMs phases { name durationMs share } timeline(first: 50) { edges { node { at title } } } } }"#;
    let data = client.data(query, json!({})).await;
    assert!(data["remediation"]["phase"].is_string(), "{data}");
}

/// Sends an attack and gives status and text of its answer.
async fn strike(address: &str, attack: &Attack) -> io::Result<(u16, String)> {
    let (mut reading, mut writing) = TcpStream::connect(address).await?.into_split();
    let sending = async {
        writing.write_all(&attack.bytes).await?;
        while !attack.flood.is_empty() {
            writing.write_all(&attack.flood).await?;
        }
        std::future::pending::<io::Result<()>>().await
    };
    let reading = async {
        let mut answer = Vec::new();
        // A server that has had enough closes, and may do so before it has taken all that was sent.
        let _ = reading.read_to_end(&mut answer).await;
        answer
    };
    tokio::pin!(reading);
    let answer = tokio::select! {
        answer = &mut reading => answer,
        _ = sending => reading.await, // it takes no more: its answer is on the way
    };
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer: {answer}")))?;
    Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_string()).unwrap_or_default()))
}

async fn attacks(server: &Served) -> Vec<Attack> {
    let own = server.client().data("{ system { watermark } remediations { edges { cursor } } }", json!({})).await;
    let beyond = beyond(own["system"]["watermark"].as_str().unwrap());
    let many = |count: usize, part: &dyn Fn(usize) -> String| (0..count).map(part).collect::<String>();
    let spreads = |level: usize| format!("...f{level} ").repeat(10);
    let bomb = "{...f0}".to_string()
        + &many(8, &|level| format!("fragment f{level} on Query{{{}}}", spreads(level + 1)))
        + "fragment f8 on Query{__typename}";
    let pages = "remediations(first: 100) { edges { node { events(first: 100) { edges { node { children(first: 100) { edges { node { eventId } } } } } } } } }";
    let documents = [
        ("a bomb of fragments", bomb, 400, "TOO_COMPLEX"),
        ("10,000 aliases", format!("{{{}}}", many(10_000, &|n| format!("a{n}:b "))), 400, "TOO_COMPLEX"),
        ("1,000 aliases", format!("{{{}}}", many(1_000, &|n| format!("a{n}:__typename "))), 400, "TOO_COMPLEX"),
        ("a depth of 5,000", "{a".repeat(5_000) + &"}".repeat(5_000), 400, "TOO_COMPLEX"),
        ("1,000 directives", format!("{{__typename {}}}", "@skip(if:false)".repeat(1_000)), 400, "TOO_COMPLEX"),
        (
            "10,000 fragments",
            "{...f0}".to_string() + &many(10_000, &|n| format!("fragment f{n} on Query{{a}}")),
            400,
            "TOO_COMPLEX",
        ),
        (
            "fragments in a circle",
            "{...a} fragment a on Query{...b} fragment b on Query{...a}".to_string(),
            400,
            "BAD_INPUT",
        ),
        ("lists in lists", format!("{{remediation(remediationId:{})}}", "[".repeat(60_000)), 400, "TOO_COMPLEX"),
        ("64 KiB of comments", "{".to_string() + &"a #\n".repeat(16_000), 400, "TOO_COMPLEX"),
        (
            "1,000 unknown fields",
            "{ system {".to_string() + &many(1_000, &|n| format!("nope{n} ")) + "}}",
            400,
            "BAD_INPUT",
        ),
        ("pages in pages", format!("{{{pages}}}"), 400, "TOO_COMPLEX"),
        ("a page of 1e9", "{remediations(first:1000000000){edges{cursor}}}".to_string(), 200, "BAD_INPUT"),
        ("a cursor of another list", "{events(after:\"WyJhIl0\"){edges{cursor}}}".to_string(), 200, "BAD_INPUT"),
        (
            "a watermark of the future",
            format!("{{remediations(atLeast:\"{beyond}\"){{edges{{cursor}}}}}}"),
            200,
            "BAD_INPUT",
        ),
        ("a document by an unknown id", String::new(), 400, "BAD_INPUT"),
    ];
    let mut attacks: Vec<Attack> = documents
        .into_iter()
        .map(|(name, query, status, code)| {
            let body = match query.as_str() {
                "" => json!({"documentId": "nope"}).to_string(),
                query => json!({"query": query}).to_string(),
            };
            attack(name, post("application/json", body.as_bytes()), status, code)
        })
        .collect();
    let fine = br#"{"query": "{ __typename }"}"#;
    let form = b"query=%7B__typename%7D".as_slice();
    let parts =
        b"--x\r\ncontent-disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"{__typename}\"}\r\n--x--"
            .as_slice();
    let large = json!({"query": "{ __typename }", "variables": {"x": "x".repeat(2 << 20)}}).to_string();
    let declared = "content-type: application/json\r\ncontent-length: 104857600";
    let chunked = "content-type: application/json\r\ntransfer-encoding: chunked";
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 65_536], b"\r\n"].concat();
    attacks.extend([
        attack("an array of requests", post("application/json", b"[{\"query\":\"{__typename}\"}]"), 400, "BAD_INPUT"),
        attack("text/plain", post("text/plain", fine), 415, "BAD_INPUT"),
        attack("a form", post("application/x-www-form-urlencoded", form), 415, "BAD_INPUT"),
        attack("a form of parts", post("multipart/form-data; boundary=x", parts), 415, "BAD_INPUT"),
        attack("no content type", headed("content-length: 27", fine), 415, "BAD_INPUT"),
        attack("other letters", post("application/json; charset=utf-16", fine), 415, "BAD_INPUT"),
        attack("invalid UTF-8", post("application/json", b"{\"query\": \"{ __typename \xff }\"}"), 400, "BAD_INPUT"),
        attack("2 MiB that are no batch", post("application/json", large.as_bytes()), 413, "BAD_INPUT"),
        attack("100 MB as declared", headed(declared, b"{"), 413, "BAD_INPUT"),
        Attack { flood: chunk, ..attack("100 MB in chunks", headed(chunked, b""), 413, "BAD_INPUT") },
        attack(
            "a mutation by GET",
            b"GET /graphql?query=mutation%7B__typename%7D HTTP/1.1\r\nhost: test\r\naccept: application/graphql-response+json\r\nconnection: close\r\n\r\n".to_vec(),
            405,
            "BAD_INPUT",
        ),
    ]);
    attacks
}

fn attack(name: &'static str, bytes: Vec<u8>, status: u16, code: &'static str) -> Attack {
    Attack { name, bytes, flood: Vec::new(), status, code }
}

fn post(media: &str, body: &[u8]) -> Vec<u8> {
    headed(&format!("content-type: {media}\r\ncontent-length: {}", body.len()), body)
}

fn headed(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: test\r\naccept: application/graphql-response+json\r\nconnection: close\r\n{headers}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A watermark of the same journal, far beyond its end.
fn beyond(watermark: &str) -> String {
    let own = binnacle::audit::Watermark::decode(watermark).unwrap();
    assert_ne!(own.journal_id, Uuid::nil());
    binnacle::audit::Watermark { position: binnacle::audit::Position(1 << 40), ..own }.encode()
}
