//! Pages about the API: the OpenAPI document, its browser, and what each problem means.

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use pulldown_cmark::{Options, Parser, html};
use rust_embed::RustEmbed;
use serde_json::Value;
use utoipa_swagger_ui::Config;

use super::fault::{Fault, PAGES};
use crate::error::Failure;

/// Where the OpenAPI document is.
pub const DOCUMENT: &str = "/openapi.json";

/// Where people read it.
pub const BROWSER: &str = "/api-docs";

/// A page for each problem.
#[derive(RustEmbed)]
#[folder = "docs/problems"]
struct Problems;

/// The browser writes its styles into the page, and draws some signs as images that stand in them.
const BROWSER_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; font-src 'self' data:; \
    img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PROBLEM_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

const PROBLEM_PAGE: &str = include_str!("problem.html");

/// The pages; `document` is the OpenAPI document.
pub fn routes(document: &Value) -> Router {
    let document: Arc<str> = document.to_string().into();
    let config = Arc::new(Config::from(DOCUMENT).try_it_out_enabled(true).validator_url("none"));
    let browser = move |path: Option<Path<String>>| {
        let config = config.clone();
        async move { browser(path.map(|Path(path)| path), config) }
    };
    Router::new()
        .route(DOCUMENT, get(move || openapi(document.clone())))
        .route(BROWSER, get(|| async { Redirect::permanent("/api-docs/") }))
        .route(&format!("{BROWSER}/"), get(browser.clone()))
        .route(&format!("{BROWSER}/{{*file}}"), get(browser))
        .route(PAGES.trim_end_matches('/'), get(|| async { Redirect::permanent(PAGES) }))
        .route(PAGES, get(|headers| problem(Path("README".to_string()), headers)))
        .route(&format!("{PAGES}{{name}}"), get(problem))
}

async fn openapi(document: Arc<str>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], document.to_string()).into_response()
}

/// A file of the browser of the document.
fn browser(file: Option<String>, config: Arc<Config<'static>>) -> Response {
    let name = file.as_deref().unwrap_or("index.html");
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(file)) => {
            let headers = [
                (header::CONTENT_TYPE, file.content_type),
                (header::CONTENT_SECURITY_POLICY, BROWSER_POLICY.to_string()),
                (header::CACHE_CONTROL, "no-cache".to_string()),
            ];
            (headers, file.bytes.into_owned()).into_response()
        }
        Ok(None) => Fault::new(Failure::NotFound, format!("there is no `{name}` here; `{BROWSER}` is the way in"))
            .into_response(),
        Err(error) => {
            tracing::error!(error = %error, "cannot write a page of the API's browser: {error}");
            Fault::new(Failure::Internal, "something went wrong here").into_response()
        }
    }
}

/// What a problem means, or which problems there are: a page for people, Markdown for who asks for it.
async fn problem(Path(name): Path<String>, headers: HeaderMap) -> Response {
    // The pages lead to each other by the names of their files.
    let Some(text) = page(name.strip_suffix(".md").unwrap_or(&name)) else {
        let detail = format!("there is no problem `{name}`; {PAGES} lists what there is");
        return Fault::new(Failure::NotFound, detail).into_response();
    };
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.contains("text/markdown") {
        return ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response();
    }
    let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let mut body = String::new();
    html::push_html(&mut body, Parser::new_ext(&text, Options::ENABLE_TABLES));
    let page = PROBLEM_PAGE.replace("{{title}}", title).replace("{{body}}", &body);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PROBLEM_POLICY)),
    ];
    (headers, page).into_response()
}

/// The page of a problem, or `README` with all of them, in Markdown.
fn page(name: &str) -> Option<String> {
    let file = Problems::get(&format!("{name}.md"))?;
    String::from_utf8(file.data.into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_page_that_says_its_title_its_status_and_its_code_and_no_page_is_left_over() {
        for failure in Failure::ALL {
            let row = failure.row();
            let text = page(row.name).unwrap_or_else(|| panic!("docs/problems/{}.md is missing", row.name));
            assert!(text.starts_with(&format!("# {}\n", row.title)), "{}", row.name);
            assert!(text.contains(&format!("`{}`", row.status)), "{} does not say {}", row.name, row.status);
            let again = if row.retryable { "May succeed later: yes" } else { "May succeed later: no" };
            assert!(text.contains(again), "{} does not say {again}", row.name);
        }
        let pages = Problems::iter().filter(|name| name.as_ref() != "README.md").count();
        assert_eq!(pages, Failure::ALL.len());
    }
}
