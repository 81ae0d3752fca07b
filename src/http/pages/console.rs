//! GraphiQL, all of it out of this binary, and a plain editor for a binary that was built without it.
//!
//! `console` at the root of the repository has its sources. The policies below let neither page load anything from
//! elsewhere.

use axum::{
    Json,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::{EXAMPLES, page};
use crate::http::nothing_here;

/// What `scripts/console` bundled before this binary was built; empty where it did not.
#[derive(RustEmbed)]
#[folder = "console/dist"]
struct Bundle;

const PLAIN: &str = include_str!("plain.html");
const PLAIN_SCRIPT: &str = include_str!("plain.js");

/// The editor writes its styles into the page, and draws some lines as images that stand in them.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; font-src 'self'; \
    img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PLAIN_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A name with a hash in it always means the same bytes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Asked for anew after each upgrade.
const CHECKED: &str = "no-cache";

/// `/graphiql`: GraphiQL, or the plain editor, which then says how to get GraphiQL.
pub async fn graphiql() -> Response {
    match Bundle::get("index.html") {
        Some(file) => {
            let html = String::from_utf8(file.data.into_owned()).expect("the bundler writes UTF-8");
            uncached(page(html, POLICY))
        }
        None => plain_editor(
            "GraphiQL is not in this build: install node 20 or newer, run <code>make setup</code> and build again.",
        ),
    }
}

/// What is beneath `/graphiql/`: the examples, the plain editor, and the bundle's files.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match name.as_str() {
        "examples.json" => uncached(Json(EXAMPLES).into_response()),
        "plain" => plain_editor(r#"<a href="/graphiql">GraphiQL</a> does more."#),
        "plain.js" => uncached(typed("text/javascript; charset=utf-8", PLAIN_SCRIPT).into_response()),
        name => match bundled(name, &headers) {
            Some(response) => response,
            None => nothing_here("/").into_response(),
        },
    }
}

/// The names of the bundle's files, those that were compressed beforehand among them.
#[cfg(test)]
pub fn bundled_names() -> Vec<String> {
    Bundle::iter().map(String::from).collect()
}

fn plain_editor(news: &str) -> Response {
    uncached(page(PLAIN.replace("{{news}}", news), PLAIN_POLICY))
}

/// A file of the bundle, compressed where the bundler did that and the client can read it.
fn bundled(name: &str, headers: &HeaderMap) -> Option<Response> {
    let media = media(name)?;
    let compressed = Bundle::get(&format!("{name}.gz")).filter(|_| reads_gzip(headers));
    let encoding = compressed.is_some().then_some([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    let EmbeddedFile { data, .. } = compressed.or_else(|| Bundle::get(name))?;
    let caching = if name.starts_with("assets/") { FOR_EVER } else { CHECKED };
    let caching = [
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    Some((encoding, caching, typed(media, data)).into_response())
}

/// The media type of a file by its name; `None` for what the bundle does not hold.
fn media(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "md" => Some("text/markdown; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "ttf" => Some("font/ttf"),
        _ => None,
    }
}

/// Whether the client takes gzip without further ado, as browsers say. To others the bundle goes as it is.
fn reads_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| coding.trim() == "gzip")
}

fn typed<B>(media: &'static str, body: B) -> ([(HeaderName, HeaderValue); 2], B) {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, body)
}

fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(CHECKED));
    response
}
