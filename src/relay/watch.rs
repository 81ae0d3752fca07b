//! A relay for those who watch it: alive, ready, its metrics, its spool, and its dead letters.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{State, rejection::JsonRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::Relay;
use crate::{
    client::{Condition, ReplayError, spool::dead},
    error::{ClientError, Failure},
    rest::Fault,
};

type Shared = State<Arc<Relay>>;

/// From this share of its bytes on a spool is nearly full.
const NEARLY_FULL: f64 = 0.8;

pub fn routes() -> Router<Arc<Relay>> {
    Router::new()
        .route("/livez", get(async || Json(json!({"status": "alive"}))))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/spool", get(spool))
        .route("/spool/dead", get(dead_letters))
        .route("/spool/dead/replay", post(replay))
}

/// Whether audits can be kept: the server may be away.
async fn readyz(State(relay): Shared) -> Response {
    let (code, word) = match relay.recorder.status().spool.refusing {
        None => (StatusCode::OK, "ready".to_string()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    };
    (code, Json(json!({"status": word}))).into_response()
}

async fn metrics(State(relay): Shared) -> Result<Response, Fault> {
    let text = relay.metrics.text(&relay.recorder.status()).map_err(|cause| ClientError::hidden(&cause))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// How the spool and delivery stand, and what somebody should look at.
async fn spool(State(relay): Shared) -> Response {
    let status = relay.recorder.status();
    let share = status.spool.bytes as f64 / status.spool.bytes_max.max(1) as f64;
    let mut notices = Vec::new();
    if let Some(why) = &status.spool.refusing {
        notices.push(format!("audits are refused: {why}"));
    }
    if share >= NEARLY_FULL {
        notices.push(format!("the spool is {:.0} % full; when it is full, audits are refused", share * 100.0));
    }
    notices.extend(
        match status.delivery.condition {
            Condition::CaughtUp | Condition::Delivering => None,
            Condition::ServerAway => Some("no server records now; what is kept waits, and nothing is lost"),
            Condition::TokenRefused => Some("the server refuses the token; what is kept waits for one that it takes"),
            Condition::NotBinnacle => {
                Some("what answers at the address is no Binnacle, or one that is too old: see `--upstream`")
            }
            Condition::DiskFails => {
                Some("the spool's disk fails; what was kept may not be brought to the server before it works again")
            }
        }
        .map(str::to_string),
    );
    if status.spool.dead > 0 {
        let (dead, folder) = (status.spool.dead, relay.folder.display());
        notices.push(format!(
            "refused for good, and not brought again: {dead}; `binnacle relay dead list --spool {folder}` says why"
        ));
    }
    if status.spool.quarantined.files > 0 {
        notices.push(format!("{} damaged stretches were put aside into `quarantine`", status.spool.quarantined.files));
    }
    let mut told = json!(status);
    told["notices"] = json!(notices);
    Json(told).into_response()
}

async fn dead_letters(State(relay): Shared) -> Result<Response, Fault> {
    let folder = relay.folder.clone();
    let listed = spawn_blocking(move || dead::list(&folder)).await.expect("listing does not panic");
    let listed = listed.map_err(|cause| ClientError::hidden(&cause))?;
    Ok(Json(listing(&listed)).into_response())
}

/// Dead letters as JSON: each with the name of its file, and its audit; and the files that are no dead letters.
pub fn listing(listed: &dead::Listing) -> Value {
    let letters = listed.letters.iter().map(|(name, letter)| {
        let audit: Value = serde_json::from_slice(&letter.bytes).unwrap_or_default();
        json!({
            "name": name, "sequence": letter.sequence.0.to_string(), "reason": letter.reason, "message": letter.message,
            "refused_at": letter.refused_at, "event_id": audit["event_id"], "kind": audit["kind"], "audit": audit["audit"],
        })
    });
    let others = listed.others.iter().map(|(name, why)| json!({"name": name, "why": why}));
    json!({"letters": letters.collect::<Vec<_>>(), "others": others.collect::<Vec<_>>()})
}

/// Which dead letters are kept again.
#[derive(Deserialize)]
struct Wanted {
    names: Vec<String>,
}

/// What became of one that was to be replayed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replayed {
    pub name: String,
    /// Why it was not; none if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

async fn replay(State(relay): Shared, body: Result<Json<Wanted>, JsonRejection>) -> Result<Response, Fault> {
    let body = body.map_err(|wrong| Fault::new(Failure::Malformed, format!("write {{\"names\": […]}}: {wrong}")))?;
    let mut replayed = Vec::new();
    for name in body.0.names {
        let error = match relay.recorder.replay(&name).await {
            Ok(()) => None,
            Err(error @ ReplayError::NotKept(_)) => return Err(Fault::new(Failure::Unavailable, told(error))),
            Err(error) => Some(told(error)),
        };
        replayed.push(Replayed { name, error });
    }
    Ok(Json(json!({"replayed": replayed})).into_response())
}

fn told(error: ReplayError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
