//! The examples that the pages and the demo show: each of them works, or a newcomer's first query would fail.

use binnacle::http::EXAMPLES;
use serde_json::json;

use crate::support::{app::App, audits::worked_example};

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
        let answer = app.ask(example.query, variables).await;
        assert_eq!(answer.get("errors"), None, "{}: {answer}", example.title);
        let found = answer["data"].as_object().unwrap().values().all(|value| !value.is_null());
        assert!(found, "{}: {answer}", example.title);
    }
}
