//! The examples that the pages and the demo show: each of them works, or a newcomer's first query would fail.

use std::time::Duration;

use binnacle::http::EXAMPLES;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::{
    app::App,
    audits::{notification, worked_example},
    subscriber::{Subscriber, listen},
};

const TRIES_MAX: u128 = 20;
const TRY_WAIT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn every_example_is_answered_without_errors() {
    let app = App::start().await;
    app.recorded(&worked_example()).await;
    app.projected().await;
    for example in EXAMPLES {
        let variables = match example.of_one {
            true => json!({"id": "rr-7d1f0c9ab3e2-4be09c11", "cluster": null}),
            false => json!({}),
        };
        let data = match example.query.starts_with("subscription") {
            true => told(&app, example.query, variables).await,
            false => app.data(example.query, variables).await,
        };
        let found = data.as_object().unwrap().values().all(|value| !value.is_null());
        assert!(found, "{}: {data}", example.title);
    }
}

/// What a subscription tells of an audit that is recorded while it lasts. Nothing tells when it has begun to listen, so audits
/// are recorded until it tells of one.
async fn told(app: &App, subscription: &str, variables: Value) -> Value {
    let mut subscriber = Subscriber::start(&listen(app.router.clone()).await, subscription, variables).await;
    for number in 1..=TRIES_MAX {
        app.recorded(&[notification("rr-live", Uuid::from_u128(number), "nt-1")]).await;
        if let Ok(data) = timeout(TRY_WAIT, subscriber.data()).await {
            return data;
        }
    }
    panic!("none of {TRIES_MAX} audits was told of");
}
