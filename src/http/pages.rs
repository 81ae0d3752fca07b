//! The pages for people: the landing page, and GraphiQL with a plain editor for where its scripts cannot be fetched.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use super::App;

const LANDING: &str = include_str!("pages/landing.html");
const GRAPHIQL: &str = include_str!("pages/graphiql.html");

/// A query to paste.
#[derive(Debug)]
pub struct Example {
    pub title: &'static str,
    pub query: &'static str,
}

/// The queries that the pages show, from the everyday to the rare.
pub const EXAMPLES: [Example; 5] = [
    Example {
        title: "The latest remediations, with what took longest",
        query: "query Latest {
  remediations(first: 10) {
    edges {
      node { remediationId clusterId phase outcome startedAt durationMs bottleneck { name durationMs share } }
    }
  }
}",
    },
    Example {
        title: "One remediation as a timeline, decisions included",
        query: "query Timeline($id: String!, $cluster: String) {
  remediation(remediationId: $id, clusterId: $cluster) {
    phase outcome durationMs
    phases { name durationMs share }
    timeline(first: 50) {
      edges { node { at offsetMs service title detail decision { question chosen rationale } } }
    }
    completeness { score missing { service what } }
  }
}",
    },
    Example {
        title: "Seen before? Ask in your own words, and see what worked",
        query: "query Seen {
  search(query: \"pods keep dying after the new release ate all memory\", first: 5) {
    hits { score snippet remediation { remediationId clusterId outcome effective actionTypes } }
    totals { ended successRate byAction { actionType count successRate successRateLow medianDurationMs } }
  }
}",
    },
    Example {
        title: "The report of one remediation",
        query: "query Report($id: String!, $cluster: String) {
  report(remediationId: $id, clusterId: $cluster) {
    summary { headline businessImpact { priority sla slaBreached } }
    recommendations { priority text expectedImpact cites }
    provenance { watermark complete }
    markdown
  }
}",
    },
    Example {
        title: "The latest AI analyses, as events",
        query: "query Analyses {
  events(first: 10, filter: { kind: [AI_ANALYSIS] }, orderBy: { field: POSITION, direction: DESC }) {
    edges { node { eventId remediationId eventType occurredAt recordedAt recordedBy actor { type id } } }
  }
}",
    },
];

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

pub async fn graphiql() -> Response {
    let queries: Vec<_> = EXAMPLES.iter().map(|example| format!("# {}\n{}", example.title, example.query)).collect();
    // In a script a JSON text is a literal once it cannot end the script.
    let queries = serde_json::Value::from(queries.join("\n\n")).to_string().replace('<', "\\u003c");
    page(GRAPHIQL.replace("{{queries}}", &queries), "frame-ancestors 'none'")
}

/// A page of HTML with what it may load.
pub fn page(html: String, policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, html).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
