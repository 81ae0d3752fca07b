//! Health for those who watch: alive, ready with each check, and the metrics.

use std::{sync::Arc, time::Duration};

use axum::{
    extract,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::App;
use crate::{error::Failure, rest::Fault};

/// The longest time that all checks may take together; a watcher that hears nothing would think us dead.
const CHECKS_TIMEOUT: Duration = Duration::from_secs(5);

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: String,
    pub state: State,
    /// For people; anybody may read it, so it names no address and no user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// Requests can be served; somebody should look.
    Warning,
    /// Requests cannot be served.
    Failed,
}

/// Looks at everything that has to be there to serve requests.
pub type Checks = Arc<dyn Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync>;

/// The process runs and answers. It says nothing of the database: to restart us would not mend that.
pub async fn livez() -> Response {
    answer(StatusCode::OK, "alive", &[])
}

/// Requests can be served now.
pub async fn readyz<S>(extract::State(app): extract::State<Arc<App<S>>>) -> Response {
    if app.retiring.given() {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "stopping", &[]);
    }
    let checks = timeout(CHECKS_TIMEOUT, (app.checks)()).await.unwrap_or_else(|_| {
        let detail = format!("the checks took longer than {} s", CHECKS_TIMEOUT.as_secs());
        vec![Check { name: "checks".to_string(), state: State::Failed, detail: Some(detail) }]
    });
    if checks.iter().any(|check| check.state == State::Failed) {
        answer(StatusCode::SERVICE_UNAVAILABLE, "not ready", &checks)
    } else {
        answer(StatusCode::OK, "ready", &checks)
    }
}

/// The metrics in the text format of Prometheus.
pub async fn metrics<S>(extract::State(app): extract::State<Arc<App<S>>>) -> Response {
    match app.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(cause) => {
            tracing::error!(error = %cause, "cannot write the metrics: {cause}");
            Fault::new(Failure::Internal, "something went wrong here").into_response()
        }
    }
}

fn answer(status: StatusCode, word: &str, checks: &[Check]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, json!({"status": word, "checks": checks}).to_string()).into_response()
}
