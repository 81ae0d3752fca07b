//! The media types that a client takes: all answers are JSON.

use axum::{
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::fault::Fault;
use crate::error::Failure;

/// Refuses a client that takes no JSON before anything is done for it.
pub async fn json(request: Request, next: Next) -> Response {
    if takes_json(request.headers()) {
        return next.run(request).await;
    }
    Fault::new(Failure::NotAcceptable, "answers can be had as application/json").into_response()
}

/// Whether the header `accept` leaves room for JSON; who sends none takes anything.
fn takes_json(headers: &HeaderMap) -> bool {
    let mut ranges = headers.get_all(header::ACCEPT).iter().flat_map(|it| it.to_str().unwrap_or_default().split(','));
    let json = |range: &str| {
        let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
        let media = parts.next().unwrap_or_default();
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        let is_json = ["*/*", "application/*", "application/json", "application/x-ndjson"].contains(&media.as_str());
        is_json && !refused
    };
    !headers.contains_key(header::ACCEPT) || ranges.any(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_json_in_some_way_is_served() {
        let takes = |accept: &str| takes_json(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]));
        assert!(takes_json(&HeaderMap::new()));
        for accept in ["*/*", "application/json", "text/html, application/*;q=0.5", "APPLICATION/JSON; charset=utf-8"] {
            assert!(takes(accept), "{accept}");
        }
        for accept in ["text/html", "application/json;q=0", "application/xml, text/*", ""] {
            assert!(!takes(accept), "{accept}");
        }
    }
}
