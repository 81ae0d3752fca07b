//! A remediation's own address, and its report: a page for people, Markdown or JSON for programs.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
};
use futures_util::future::BoxFuture;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{App, graphql::authenticate, pages};
use crate::{
    audit::StreamId,
    deadline::Deadline,
    error::{ClientError, Failure},
    rest::Fault,
};

/// What is escaped in an address: all but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where a remediation is, seen from the server's address.
pub fn remediation_path(stream: &StreamId) -> String {
    path(&stream.remediation_id, Some(&stream.cluster_id), "")
}

fn path(remediation_id: &str, cluster_id: Option<&str>, beneath: &str) -> String {
    let part = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let cluster = cluster_id.map(|cluster| format!("?cluster={}", part(cluster))).unwrap_or_default();
    format!("/remediations/{}{beneath}{cluster}", part(remediation_id))
}

/// Makes the report that is asked for, in its format; `None` where nothing of the remediation is recorded.
pub type Reports = Arc<dyn Fn(Asked) -> BoxFuture<'static, Result<Option<String>, ClientError>> + Send + Sync>;

/// Which report.
#[derive(Clone, Debug)]
pub struct Asked {
    pub remediation_id: String,
    pub cluster_id: Option<String>,
    /// A watermark, as the client holds it.
    pub at: Option<String>,
    pub format: Format,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Html,
    Markdown,
    Json,
}

impl Format {
    pub const ALL: [Format; 3] = [Format::Html, Format::Markdown, Format::Json];

    pub fn parse(word: &str) -> Option<Format> {
        match word {
            "html" => Some(Format::Html),
            "md" | "markdown" => Some(Format::Markdown),
            "json" => Some(Format::Json),
            _ => None,
        }
    }

    fn media(self) -> &'static str {
        match self {
            Format::Html => "text/html",
            Format::Markdown => "text/markdown",
            Format::Json => "application/json",
        }
    }

    /// What the headers ask for most: HTML where they leave it open, `None` where they want none of ours.
    fn accepted(headers: &HeaderMap) -> Option<Format> {
        let mut weights: [Option<f32>; 3] = [None; 3];
        let mut any = false;
        for header in headers.get_all(header::ACCEPT) {
            for range in header.to_str().unwrap_or_default().split(',') {
                any = true;
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
                for (format, known) in Format::ALL.into_iter().zip(&mut weights) {
                    let (group, _) = format.media().split_once('/').unwrap_or_default();
                    // What is named counts before what is meant by `*`.
                    let named = name == format.media();
                    if named || (known.is_none() && (name == "*/*" || name == format!("{group}/*"))) {
                        *known = Some(weight);
                    }
                }
            }
        }
        if !any {
            return Some(Format::Html);
        }
        let wanted = Format::ALL.into_iter().zip(weights).filter_map(|(format, weight)| Some((format, weight?)));
        // Of equals the first: a page.
        wanted
            .filter(|(_, weight)| *weight > 0.0)
            .fold(
                None,
                |best: Option<(Format, f32)>, next| {
                    if best.is_none_or(|best| next.1 > best.1) { Some(next) } else { best }
                },
            )
            .map(|(format, _)| format)
    }
}

/// Leads from a remediation's own address to its report.
pub async fn remediation(Path(id): Path<String>, within: Result<Query<Within>, QueryRejection>) -> Response {
    match within {
        Ok(Query(within)) => Redirect::to(&path(&id, within.cluster.as_deref(), "/report")).into_response(),
        Err(rejection) => Fault::new(Failure::BadInput, rejection.body_text()).into_response(),
    }
}

/// Where a remediation is, and how its report is wanted.
#[derive(Deserialize)]
pub struct Within {
    cluster: Option<String>,
    at: Option<String>,
    format: Option<String>,
}

pub async fn report<S>(
    State(app): State<Arc<App<S>>>,
    Path(remediation_id): Path<String>,
    within: Result<Query<Within>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    match make(&app, remediation_id, within, &headers).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    }
}

async fn make<S>(
    app: &App<S>,
    remediation_id: String,
    within: Result<Query<Within>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let bad = |message: String| Fault::new(Failure::BadInput, message);
    let caller = authenticate(app, headers)?;
    if !caller.may_read() {
        return Err(Fault::new(Failure::Forbidden, "this caller may not read"));
    }
    let Query(within) = within.map_err(|rejection| bad(rejection.body_text()))?;
    let format = match &within.format {
        Some(word) => Format::parse(word)
            .ok_or_else(|| bad(format!("there is no format `{word}`; there are html, md and json")))?,
        None => Format::accepted(headers).ok_or_else(|| {
            let message = "a report can be had as text/html, text/markdown and application/json";
            Fault::new(Failure::NotAcceptable, message)
        })?,
    };
    let missing = format!("nothing is recorded of remediation `{remediation_id}`");
    let asked = Asked { remediation_id, cluster_id: within.cluster, at: within.at, format };
    let late = || Fault::new(Failure::Timeout, "the report took too long; try again shortly");
    let deadline = Deadline::at(Instant::now() + app.request_timeout);
    let made = deadline.bound((app.reports)(asked)).await.map_err(|_| late())?.map_err(Fault::from)?;
    let text = made.ok_or_else(|| Fault::new(Failure::NotFound, missing))?;
    let mut response = match format {
        Format::Html => {
            pages::page(text, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
        }
        Format::Markdown | Format::Json => {
            let media = format!("{}; charset=utf-8", format.media());
            let media = HeaderValue::from_str(&media).expect("media types are ASCII");
            ([(header::CONTENT_TYPE, media)], text).into_response()
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_is_asked_for_most() {
        let accepted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Format::accepted(&headers)
        };
        assert_eq!(Format::accepted(&HeaderMap::new()), Some(Format::Html));
        for accept in ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "text/*"] {
            assert_eq!(accepted(accept), Some(Format::Html), "{accept}");
        }
        assert_eq!(accepted("text/markdown"), Some(Format::Markdown));
        assert_eq!(accepted("text/markdown;q=0.5, application/json"), Some(Format::Json));
        assert_eq!(accepted("text/html;q=0, text/*"), Some(Format::Markdown));
        assert_eq!(accepted("image/png"), None);
    }

    #[test]
    fn a_name_with_any_characters_makes_one_address() {
        let stream = StreamId { cluster_id: "a&b".to_string(), remediation_id: "rr/1 ?".to_string() };
        assert_eq!(remediation_path(&stream), "/remediations/rr%2F1%20%3F?cluster=a%26b");
    }
}
