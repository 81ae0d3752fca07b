//! Live answers: operations over a WebSocket, and over server-sent events. Both answer a subscription as often as there is news
//! and any other operation once; neither queues anything: what the client does not take yet is not asked for.

pub mod sse;
pub mod websocket;

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_graphql::Response as Answer;
use axum::http::{HeaderMap, header, uri::Authority};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{Refusal, request_error};
use crate::error::{Code, Failure};

/// Bounds of live connections.
#[derive(Clone, Debug)]
pub struct Live {
    /// Origins whose web pages may ask, besides this server's own; each like `https://console.example.com`, without a slash
    /// at its end.
    pub origins: Vec<String>,
    /// Most operations at once on one connection.
    pub operations_max: usize,
    /// How long a new connection may take to say who it is.
    pub init_wait: Duration,
    /// How long a client may take no byte of what it is sent.
    pub send_wait: Duration,
    /// How often a silent connection shows that it lives, and the client has to.
    pub keep_alive: Duration,
    connections: Arc<Semaphore>,
    connections_max: u32,
}

impl Live {
    /// At most so many connections at once.
    pub fn new(origins: Vec<String>, connections_max: usize) -> Live {
        Live {
            origins,
            operations_max: 32,
            init_wait: Duration::from_secs(5),
            send_wait: Duration::from_secs(15),
            keep_alive: Duration::from_secs(15),
            connections: Arc::new(Semaphore::new(connections_max)),
            connections_max: u32::try_from(connections_max).unwrap_or(u32::MAX),
        }
    }

    /// Waits until no connection is open, and lets none be opened from then on.
    pub async fn ended(&self) {
        if let Ok(all) = self.connections.acquire_many(self.connections_max).await {
            all.forget();
        }
    }

    /// Takes a place among the connections.
    fn connection(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.connections.clone().try_acquire_owned().map_err(|_| {
            let message = "too many live connections are open already; try again shortly";
            Refusal::new(Failure::Unavailable, message)
        })
    }

    /// Refuses a web page of somebody else: browsers let any page open a WebSocket, and say where the page is from. Other clients
    /// say nothing.
    ///
    /// This server's own pages are those under the address that they were asked for at, if that is an IP address or
    /// `localhost`. A name has to be a known origin: a page of somebody else may lie under any name, and let it lead to this
    /// machine once it is loaded (DNS rebinding).
    pub fn welcome(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = if origins.next().is_some() { "" } else { origin.to_str().unwrap_or_default() };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if is_own(origin, host) || self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
            return Ok(());
        }
        let message = format!("web pages of `{origin}` may not ask here; `--allowed-origins` names those that may");
        Err(Refusal::new(Failure::Forbidden, message))
    }
}

/// Whether a page's origin is the address that it asks at, and no name that may lead anywhere.
fn is_own(origin: &str, host: &str) -> bool {
    let Some(address) = origin.strip_prefix("http://").or(origin.strip_prefix("https://")) else { return false };
    let Ok(authority) = address.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let no_name = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
    no_name && address.eq_ignore_ascii_case(host)
}

/// The answer to one operation more than a connection may have.
fn full(most: usize) -> Answer {
    let message = format!("{most} operations run on this connection already; complete one of them first");
    Answer::from_errors(vec![request_error(Code::Unavailable, message)])
}

/// What the server says before it stops to who follows.
const GOING_AWAY: &str = "the server is about to stop; connect again, and resume after the last event you were told";

/// The same as an answer.
fn going_away() -> Answer {
    Answer::from_errors(vec![request_error(Code::Unavailable, GOING_AWAY)])
}

/// Whether the answer says that the client reads too slowly, with which its subscription has ended.
fn too_slow(answer: &Answer) -> bool {
    let slow = async_graphql::Value::from(Code::TooSlow.word());
    answer.errors.iter().filter_map(|error| error.extensions.as_ref()).any(|it| it.get("code") == Some(&slow))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome(origin: &str, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, origin.parse().unwrap());
        headers.insert(header::HOST, host.parse().unwrap());
        Live::new(vec!["https://console.example.com".to_string()], 1).welcome(&headers).is_ok()
    }

    #[test]
    fn pages_of_this_server_and_of_known_origins_may_connect_and_no_others() {
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://localhost:8080", "LOCALHOST:8080"),
            ("https://10.0.0.7", "10.0.0.7"),
            ("https://console.example.com", "binnacle.example.com"),
        ] {
            assert!(welcome(origin, host), "{origin}");
        }
        for (origin, host) in [
            ("https://evil.example.com", "127.0.0.1:8080"),
            ("http://127.0.0.1:8081", "127.0.0.1:8080"),
            ("https://console.example.com.evil.com", "binnacle.example.com"),
            ("http://rebound.example.com:8080", "rebound.example.com:8080"),
            ("chrome-extension://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("null", "127.0.0.1:8080"),
            ("", "127.0.0.1:8080"),
        ] {
            assert!(!welcome(origin, host), "{origin}");
        }
        assert!(Live::new(Vec::new(), 1).welcome(&HeaderMap::new()).is_ok()); // not a browser
    }
}
