//! Stores that hold the demo's history.

use binnacle::{
    demo::{self, Recording},
    journal::{self, Journal},
    telemetry::Metrics,
};
use chrono::Utc;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use super::{
    app::App,
    postgres::{TestDatabase, database, options},
};

/// An app whose store holds a history of so many remediations.
pub async fn app_with_history(remediations: usize) -> App {
    let db = database().await;
    write(&db, &demo::history(remediations, Utc::now())).await;
    let app = App::on(db).await;
    app.projected().await;
    app
}

/// Appends a part of a history, at the times at which it would have been recorded.
pub async fn write(db: &TestDatabase, recordings: &[Recording]) {
    let owner = PgPoolOptions::new().max_connections(2).connect_with(options(&db.owner_url)).await.unwrap();
    let journal =
        Journal::open(owner.clone(), owner.clone(), journal::Settings::default(), Metrics::new()).await.unwrap();
    let now = Utc::now();
    for batch in recordings.chunks(1_000) {
        let context = binnacle::audit::Context { cluster_id: "default", now, fresh_id: Uuid::nil() };
        let events = batch.iter().map(|recording| recording.submission.clone().check(context).unwrap()).collect();
        let times = batch.iter().map(|recording| recording.recorded_at).collect();
        journal.record_history(events, times).await.unwrap();
    }
    journal.close().await;
    owner.close().await;
}
