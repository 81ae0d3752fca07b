//! One server that audits are brought to: a list of them in one request, and what its answer means.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use ureq::{
    Agent,
    http::Uri,
    tls::{RootCerts, TlsConfig},
};
use uuid::Uuid;

/// Where a server takes audits of any kind and form.
const PATH: &str = "/api/v1/audits";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longer than a server takes to find out that its database is away.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest that a server may make us wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// More than a full list of receipts has.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much of a text of the server's is passed on.
const TEXT_CHARS_MAX: usize = 500;

/// A server's address, as far as its own paths begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

#[derive(Debug, thiserror::Error)]
#[error("`{address}` is no address of a server: {why}")]
pub struct EndpointError {
    pub address: String,
    pub why: &'static str,
}

impl Endpoint {
    pub fn parse(address: &str) -> Result<Endpoint, EndpointError> {
        let refused = |why| Err(EndpointError { address: address.to_string(), why });
        let plain = address.trim_end_matches('/');
        let Ok(uri) = plain.parse::<Uri>() else { return refused("write one such as http://binnacle:8080") };
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return refused("write one such as http://binnacle:8080");
        }
        if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
            return refused("a token does not belong into it");
        }
        if uri.query().is_some() || uri.path().ends_with("/graphql") || uri.path().contains("/api/") {
            return refused("leave the path away, what follows is known");
        }
        Ok(Endpoint(plain.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What became of one audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Recorded {
        /// The place in the whole journal, from 1.
        position: i64,
        duplicate: bool,
    },
    /// Refused for good: to send the same again would change nothing.
    Refused { reason: String, message: String },
}

/// Why a list was not answered item by item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    #[error("the server cannot record now ({status}): {detail}")]
    Unavailable { status: u16, detail: String, retry_after: Option<Duration> },
    #[error("the server breaks over it: {0}")]
    Broken(String),
    #[error("the server refuses the token ({status}): {detail}")]
    TokenRefused { status: u16, detail: String },
    #[error("what answers there is no Binnacle, or one that is too old: {0}")]
    Nonsense(String),
    /// The list as a whole: of a single audit, the audit itself.
    #[error("the server refuses the request ({reason}): {message}")]
    Refused { reason: String, message: String },
}

impl Trouble {
    /// How long the server wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Trouble::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The connections to all servers.
#[derive(Clone)]
pub struct Upstream(Agent);

impl Default for Upstream {
    fn default() -> Upstream {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Whoever sends us elsewhere must not send audits and token there.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT))
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .user_agent(concat!("binnacle-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Upstream(agent)
    }
}

impl Upstream {
    /// Sends a list of audits, each the JSON of an item of `POST /api/v1/audits`. Blocks.
    pub fn send(&self, endpoint: &Endpoint, token: Option<&str>, list: &[u8]) -> Result<Reply, Trouble> {
        let mut request = self.0.post(format!("{}{PATH}", endpoint.0)).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let unreachable = |error: ureq::Error| Trouble::Unreachable(error.to_string());
        let mut response = request.send(list).map_err(unreachable)?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(unreachable)?;
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        Ok(Reply { status: response.status().as_u16(), retry_after: header.and_then(retry_after), body })
    }
}

/// The items as one JSON array; they are JSON already.
pub fn list<'i>(items: impl Iterator<Item = &'i [u8]>) -> Vec<u8> {
    let mut list = vec![b'['];
    for item in items {
        if list.len() > 1 {
            list.push(b',');
        }
        list.extend_from_slice(item);
    }
    list.push(b']');
    list
}

/// An answer as it came.
pub struct Reply {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// What a server says of a list, or of a request that it does not take.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    results: Option<Vec<&'a RawValue>>,
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    event_id: Option<Uuid>,
    receipt: Option<Receipt>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Receipt {
    event_id: Uuid,
    position: String,
    duplicate: bool,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

/// What the spool's item says of itself.
#[derive(Deserialize)]
struct Sent {
    event_id: Uuid,
}

impl Reply {
    /// What it says of each of these items. Only what names the very audit is believed.
    pub fn told<'i>(&self, items: impl ExactSizeIterator<Item = &'i [u8]>) -> Result<Vec<Told>, Trouble> {
        let answer: Option<Answer> = serde_json::from_slice(&self.body).ok();
        if let Some(results) = answer.as_ref().and_then(|it| it.results.as_ref()) {
            if results.len() != items.len() {
                let why = format!("it answers {} results for {} audits", results.len(), items.len());
                return Err(Trouble::Nonsense(why));
            }
            return results.iter().zip(items).map(|(result, item)| told(result.get(), item)).collect();
        }
        let (status, retry_after) = (self.status, self.retry_after);
        let detail = shortened(answer.as_ref().and_then(|it| it.detail.as_deref()).unwrap_or("without a word"));
        let ours =
            answer.as_ref().is_some_and(|it| it.kind.as_ref().is_some_and(|kind| kind.starts_with("/problems/")));
        Err(match status {
            // A 400 is about the request as a whole, of which we have made all but the audits.
            400 | 500 if ours => Trouble::Broken(format!("{status}, {detail}")),
            408 | 429 | 500..=599 => Trouble::Unavailable { status, detail, retry_after },
            401 | 403 => Trouble::TokenRefused { status, detail },
            413 | 422 if ours => {
                let reason = answer.and_then(|it| it.code).unwrap_or_else(|| "REFUSED".to_string());
                Trouble::Refused { reason, message: detail }
            }
            _ => Trouble::Nonsense(format!("it answers {status} to POST {PATH}")),
        })
    }
}

fn told(result: &str, item: &[u8]) -> Result<Told, Trouble> {
    let nonsense = |why: &str| Err(Trouble::Nonsense(why.to_string()));
    let Ok(result) = serde_json::from_str::<Item>(result) else { return nonsense("a result cannot be read") };
    let sent: Option<Sent> = serde_json::from_slice(item).ok();
    let of_this = |id: Option<Uuid>| id.is_some() && id == sent.as_ref().map(|sent| sent.event_id);
    match (result.status, result.receipt, result.problem) {
        (200 | 201, Some(receipt), _) if of_this(Some(receipt.event_id)) => match receipt.position.parse() {
            Ok(position) if position > 0 => Ok(Told::Recorded { position, duplicate: receipt.duplicate }),
            _ => nonsense("a receipt names no position"),
        },
        (200 | 201, Some(_), _) => nonsense("a receipt is of another audit"),
        (403 | 409 | 413 | 422, None, Some(problem)) if of_this(result.event_id) => {
            Ok(Told::Refused { reason: problem.code, message: shortened(&problem.detail) })
        }
        (403 | 409 | 413 | 422, ..) => nonsense("a refusal does not say of which audit"),
        (status, ..) => nonsense(&format!("a result has the status {status}")),
    }
}

/// The header `Retry-After`: seconds. A date would need a clock that both sides agree on.
fn retry_after(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(Duration::from_secs).map(|wait| wait.min(RETRY_AFTER_MAX))
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// A token for requests: none, or what a file holds, which is read anew for each request, because Kubernetes renews it.
#[derive(Clone, Debug, Default)]
pub struct TokenFile(pub Option<std::path::PathBuf>);

impl TokenFile {
    /// The token now; a file that cannot be read is a trouble that passes.
    pub fn read(&self) -> Result<Option<String>, Trouble> {
        let Some(path) = &self.0 else { return Ok(None) };
        let refused = |why: String| Trouble::TokenRefused { status: 0, detail: format!("`{}` {why}", path.display()) };
        // What is no file could keep us waiting for ever.
        if path.metadata().is_ok_and(|it| !it.is_file()) {
            return Err(refused("is no file".to_string()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused("holds no token: one word of ASCII".to_string()));
        }
        Ok(Some(token.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199c2f4-6f0e-7bd1-9c4e-2a5b7c3d1e0f";

    fn answered(status: u16, body: &str) -> Result<Vec<Told>, Trouble> {
        let reply = Reply { status, retry_after: None, body: body.as_bytes().to_vec() };
        let item = format!(r#"{{"event_id": "{ID}", "audit": {{}}}}"#);
        reply.told([item.as_bytes()].into_iter())
    }

    fn receipt(id: &str, position: &str) -> String {
        format!(
            r#"{{"results": [{{"status": 201, "receipt": {{"event_id": "{id}", "position": "{position}", "duplicate": false}}}}]}}"#
        )
    }

    #[test]
    fn each_audit_is_told_by_its_own_receipt_or_problem() {
        assert_eq!(answered(201, &receipt(ID, "7")), Ok(vec![Told::Recorded { position: 7, duplicate: false }]));
        let refused = |id: &str| {
            format!(
                r#"{{"type": "/problems/conflict", "results": [{{"status": 409, "event_id": "{id}", "problem": {{"code": "CONFLICT", "detail": "it differs"}}}}]}}"#
            )
        };
        let told = Told::Refused { reason: "CONFLICT".to_string(), message: "it differs".to_string() };
        assert_eq!(answered(409, &refused(ID)), Ok(vec![told]));
        let of_another = answered(409, &refused("0199c2f4-6f0e-7bd1-9c4e-2a5b7c3d1e00"));
        assert!(matches!(of_another, Err(Trouble::Nonsense(_))), "{of_another:?}");
    }

    #[test]
    fn nothing_is_believed_that_is_not_about_the_audits_sent() {
        for (status, body) in [
            (200, "<html>welcome</html>"),
            (200, "{}"),
            (204, ""),
            (302, ""),
            (404, r#"{"type": "/problems/not-found", "detail": "nothing is here"}"#),
            (400, "bad gateway of some sort"),
            (201, &receipt("0199c2f4-6f0e-7bd1-9c4e-2a5b7c3d1e00", "7")),
            (201, &receipt(ID, "0")),
            (201, r#"{"results": []}"#),
            (201, r#"{"results": [{"status": 201}]}"#),
            (207, r#"{"results": [{"status": 422}]}"#),
            (207, r#"{"results": [7]}"#),
        ] {
            assert!(matches!(answered(status, body), Err(Trouble::Nonsense(_))), "{status} {body}");
        }
    }

    #[test]
    fn what_passes_what_a_token_mends_and_what_is_refused_are_told_apart() {
        let problem = |name: &str| format!(r#"{{"type": "/problems/{name}", "code": "WORD", "detail": "why"}}"#);
        for status in [400, 500] {
            assert!(matches!(answered(status, &problem("internal")), Err(Trouble::Broken(_))), "{status}");
        }
        assert!(matches!(answered(500, "a proxy's page"), Err(Trouble::Unavailable { .. })));
        for status in [408, 429, 503, 504] {
            let trouble = answered(status, &problem("unavailable")).unwrap_err();
            assert!(matches!(trouble, Trouble::Unavailable { .. }), "{status}: {trouble}");
        }
        for status in [401, 403] {
            let trouble = answered(status, &problem("unauthenticated")).unwrap_err();
            assert!(matches!(trouble, Trouble::TokenRefused { .. }), "{status}: {trouble}");
        }
        let refused = Trouble::Refused { reason: "WORD".to_string(), message: "why".to_string() };
        assert_eq!(answered(413, &problem("too-large")), Err(refused));
        assert_eq!(retry_after(" 2 "), Some(Duration::from_secs(2)));
        assert_eq!(retry_after("86400"), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("Thu, 26 Nov 2026 20:00:00 GMT"), None);
    }

    #[test]
    fn an_address_is_that_of_a_server_and_nothing_more() {
        for good in ["http://binnacle:8080", "https://audit.example.org/", "http://[::1]:80/store"] {
            assert!(Endpoint::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "binnacle:8080",
            "ftp://x",
            "http://",
            "http://a/graphql",
            "http://me:secret@b",
            "http://a?b",
            "http://a b",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
