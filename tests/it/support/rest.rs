//! REST, spoken through the real router.

use axum::{
    body::Body,
    http::{Method, Request},
};
use serde_json::Value;

use super::{
    app::{Answer, App, request},
    page,
};

/// The headers of a request.
pub type Headers<'h> = &'h [(&'h str, &'h str)];

impl App {
    /// Sends a request of any sort.
    pub async fn rest(&self, method: Method, path: &str, headers: Headers<'_>, body: impl Into<Body>) -> Answer {
        let request = headers
            .iter()
            .fold(Request::builder().method(method).uri(path), |it, (name, value)| it.header(*name, *value));
        self::request(&self.router, request.body(body.into()).unwrap()).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body).await
    }

    pub async fn post_with(&self, path: &str, headers: Headers<'_>, body: &Value) -> Answer {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.rest(Method::POST, path, &headers, body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.rest(Method::GET, path, &[], "").await
    }
}

impl Answer {
    /// A problem document in short: status, name, detail.
    #[track_caller]
    pub fn problem(&self) -> String {
        let told = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json", "{told:#}");
        assert_eq!(told["status"], self.status.as_u16(), "{told:#}");
        let name = told["type"].as_str().unwrap().strip_prefix("/problems/").unwrap();
        format!("{} {name}: {}", self.status.as_u16(), told["detail"].as_str().unwrap())
    }

    /// The pointers of the mistakes, or the parameters.
    #[track_caller]
    pub fn mistakes(&self) -> Vec<String> {
        let told = self.json();
        let mistakes = told["errors"].as_array().cloned().unwrap_or_default();
        let place = |mistake: &Value| mistake.get("pointer").or(mistake.get("parameter")).unwrap().clone();
        mistakes.iter().map(|mistake| place(mistake).as_str().unwrap().to_string()).collect()
    }
}

/// A body out of `docs/examples`.
pub fn example(name: &str) -> Value {
    read(&format!("docs/examples/{name}.json"))
}

/// A fixture.
pub fn fixture(name: &str) -> Value {
    read(&format!("tests/fixtures/{name}.json"))
}

fn read(path: &str) -> Value {
    serde_json::from_str(&page::read(path)).unwrap()
}
