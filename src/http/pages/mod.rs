//! The pages for people: the landing page, and the console to ask from.

pub mod console;
mod examples;

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use super::App;

pub use examples::{EXAMPLES, Example};

const LANDING: &str = include_str!("landing.html");

pub async fn landing<S>(State(app): State<Arc<App<S>>>) -> Response {
    let examples: String = EXAMPLES
        .iter()
        .map(|example| format!("<h3>{}</h3>\n<pre>{}</pre>\n", escaped(example.title), escaped(example.query)))
        .collect();
    let editor = if app.graphiql { r#"<li><a href="/graphiql">/graphiql</a>: ask in the browser</li>"# } else { "" };
    let html = LANDING
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{editor}}", editor)
        .replace("{{examples}}", &examples);
    page(html, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
}

/// A page of HTML with what it may load.
pub fn page(html: String, policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, html).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
