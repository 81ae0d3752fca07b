//! What a relay does not answer: other addresses, and web pages.

use std::time::{Duration, Instant};

use axum::{
    extract::Request,
    http::{HeaderMap, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{deadline::Deadline, error::Failure, rest::Fault};

/// How long a request may take: it waits for a disk, and for nothing else.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Lets no page of a browser on this machine record or ask: controllers have neither an origin nor a name for loopback.
pub async fn no_web_pages(request: Request, next: Next) -> Response {
    if of_a_page(request.headers()) {
        return Fault::new(Failure::Forbidden, "web pages may not ask a relay").into_response();
    }
    next.run(request).await
}

/// Ends a request that does not arrive or is not answered in time: a writer that froze must not hold its place for ever.
pub async fn in_time(request: Request, next: Next) -> Response {
    match Deadline::at(Instant::now() + REQUEST_TIMEOUT).bound(next.run(request)).await {
        Ok(response) => response,
        Err(_) => Fault::new(Failure::Timeout, "the request took too long; try again shortly").into_response(),
    }
}

fn of_a_page(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::ORIGIN) {
        return true;
    }
    // A page that asks its own origin sends none; but then its own name leads here.
    let Some(host) = headers.get(header::HOST) else { return false };
    let Some(host) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else { return true };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    !name.eq_ignore_ascii_case("localhost") && name.parse::<std::net::IpAddr>().is_err()
}

pub async fn unknown_route() -> Fault {
    let detail = "nothing is here; a relay takes record calls (`POST /api/v1/audit/…`) and answers `/spool`, `/livez`, `/readyz` \
                  and `/metrics`; to read, ask the server";
    Fault::new(Failure::NotFound, detail)
}

pub async fn unknown_method() -> Fault {
    let detail = "a relay only takes record calls here; to read, ask the server";
    Fault::new(Failure::MethodNotAllowed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_an_origin_or_by_a_name_is_of_a_page() {
        let of_a_page = |pairs: &[(header::HeaderName, &str)]| {
            of_a_page(&HeaderMap::from_iter(pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()))))
        };
        for host in ["127.0.0.1:8085", "[::1]:8085", "localhost", "10.0.0.7:1"] {
            assert!(!of_a_page(&[(header::HOST, host)]), "{host}");
        }
        assert!(!of_a_page(&[]));
        assert!(of_a_page(&[(header::HOST, "rebound.example.com:8085")]));
        assert!(of_a_page(&[(header::HOST, "127.0.0.1:8085"), (header::ORIGIN, "http://127.0.0.1:8085")]));
    }
}
