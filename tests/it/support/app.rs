//! A whole Binnacle on a database of its own, spoken to through its real router.

use std::time::{Duration, Instant};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use binnacle::{
    app::Faces,
    caller::Callers,
    feed, graphql, journal,
    postgres::PoolSettings,
    projection::{self, Projection},
    search::{
        choice::Choice,
        embedder::{EmbedderSettings, Embedders},
        index,
    },
    server::{Server, Settings},
    telemetry::Metrics,
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tower::ServiceExt as _;

use super::postgres::{TestDatabase, connect, database, options};

/// The longest that a story waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct App {
    pub server: Server,
    pub router: Router,
    pub db: TestDatabase,
}

impl App {
    pub async fn start() -> App {
        App::on(database().await).await
    }

    pub async fn on(db: TestDatabase) -> App {
        let server = serve(&db, journal::Settings::default()).await;
        let router = server.router(Callers::anyone(), true);
        App { server, router, db }
    }

    /// An app whose texts get vectors.
    pub async fn embedding(db: TestDatabase, embedders: Embedders) -> App {
        let server = serve_embedding(&db, journal::Settings::default(), embedders).await;
        let router = server.router(Callers::anyone(), true);
        App { server, router, db }
    }

    /// An app of whose texts only those chosen get vectors.
    pub async fn embedding_only(db: TestDatabase, embedders: Embedders, choice: Choice) -> App {
        let server = serve_choice(&db, journal::Settings::default(), embedders, choice).await;
        let router = server.router(Callers::anyone(), true);
        App { server, router, db }
    }

    /// An app whose GraphQL surface has settings of its own.
    pub async fn with_graphql(graphql: graphql::Settings) -> App {
        let db = database().await;
        let mut settings = settings(&db, journal::Settings::default(), Embedders::start(EmbedderSettings::Off));
        settings.faces.request_timeout = graphql.request_timeout;
        settings.graphql = graphql;
        let server = Server::start(settings).await.unwrap();
        let router = server.router(Callers::anyone(), true);
        App { server, router, db }
    }

    /// Waits until every text has its vector.
    pub async fn embedded(&self) {
        self.projected().await;
        until("every text to have its vector", async || {
            let states = index::states(self.server.app.journal.reader()).await.unwrap();
            (!states.is_empty() && states.iter().all(|state| state.complete() && state.serving)).then_some(())
        })
        .await;
    }

    pub async fn with_callers(callers: Callers) -> App {
        let mut app = App::start().await;
        app.router = app.server.router(callers, true);
        app
    }

    /// The answer to a GraphQL request, whole.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        self.ask_as(None, query, variables).await.1
    }

    pub async fn ask_as(&self, token: Option<&str>, query: &str, variables: Value) -> (StatusCode, Value) {
        let body = json!({"query": query, "variables": variables}).to_string();
        self.send(token, body).await
    }

    /// Posts a body to `/graphql`.
    pub async fn send(&self, token: Option<&str>, body: String) -> (StatusCode, Value) {
        ask(&self.router, token, body).await
    }

    /// The data of a request that must succeed.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}\n{answer:#}");
        answer["data"].take()
    }

    /// Records audits, each `{kind, …fields}`, in one batch, and gives their results.
    pub async fn record(&self, audits: &[Value]) -> Vec<Value> {
        let inputs: Vec<Value> = audits.iter().map(audit_input).collect();
        let mut data = self.data(RECORD_AUDITS, json!({"inputs": inputs})).await;
        serde_json::from_value(data["recordAudits"].take()).unwrap()
    }

    /// Records audits that must all be recorded, and gives their results.
    pub async fn recorded(&self, audits: &[Value]) -> Vec<Value> {
        let results = self.record(audits).await;
        for result in &results {
            assert_eq!(result["__typename"], "Recorded", "{result:#}");
        }
        results
    }

    /// Waits until every projection has come to the end of the journal.
    pub async fn projected(&self) {
        let db = self.server.app.journal.reader();
        let head = journal::read::head(db).await.unwrap().last;
        for projection in Projection::ALL {
            self.server.app.signals.wait(db, projection, head).await.unwrap();
        }
        assert!(projection::dead_letters::newest(db, 1).await.unwrap().is_empty());
    }

    pub async fn owner(&self) -> PgConnection {
        connect(&self.db.owner_url).await
    }
}

/// A server on the database, with small pools, that embeds nothing.
pub async fn serve(db: &TestDatabase, writer: journal::Settings) -> Server {
    serve_embedding(db, writer, Embedders::start(EmbedderSettings::Off)).await
}

/// The same, with an embedder.
pub async fn serve_embedding(db: &TestDatabase, writer: journal::Settings, embedders: Embedders) -> Server {
    serve_choice(db, writer, embedders, Choice::default()).await
}

/// A server with bounds of its own for those who follow.
pub async fn serve_following(db: &TestDatabase, feed: feed::Settings) -> Server {
    let embedders = Embedders::start(EmbedderSettings::Off);
    let settings = settings(db, journal::Settings::default(), embedders);
    Server::start(Settings { feed, ..settings }).await.unwrap()
}

async fn serve_choice(db: &TestDatabase, writer: journal::Settings, embedders: Embedders, choice: Choice) -> Server {
    Server::start(Settings { choice, ..settings(db, writer, embedders) }).await.unwrap()
}

fn settings(db: &TestDatabase, writer: journal::Settings, embedders: Embedders) -> Settings {
    Settings {
        service: options(&db.service_url),
        pools: PoolSettings { append_connections_max: 2, read_connections_max: 4, ..PoolSettings::default() },
        writer,
        faces: Faces {
            cluster_id: "default".to_string(),
            public_url: "http://127.0.0.1:8080".to_string(),
            allowed_origins: Vec::new(),
            live_connections_max: 100,
            request_timeout: DEADLINE,
        },
        graphql: graphql::Settings { request_timeout: DEADLINE, ..graphql::Settings::default() },
        embedders,
        choice: Choice::default(),
        feed: feed::Settings::default(),
        metrics: Metrics::new(),
    }
}

/// Posts a body to `/graphql` of a router.
pub async fn ask(router: &Router, token: Option<&str>, body: String) -> (StatusCode, Value) {
    let mut post = Request::post("/graphql").header("content-type", "application/json");
    if let Some(token) = token {
        post = post.header("authorization", format!("Bearer {token}"));
    }
    let answer = request(router, post.body(Body::from(body)).unwrap()).await;
    (answer.status, answer.json())
}

/// The answer to any request, whole.
pub async fn request(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }
}

/// Waits until `met` gives a value.
pub async fn until<T, Met: Future<Output = Option<T>>>(what: &str, mut met: impl FnMut() -> Met) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = met().await {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::task::yield_now().await;
    }
}

/// `{kind, …fields}` as an `AuditInput`.
pub fn audit_input(audit: &Value) -> Value {
    let mut fields = audit.as_object().unwrap().clone();
    let kind = fields.remove("kind").unwrap();
    let words: Vec<String> = kind.as_str().unwrap().to_lowercase().split('_').map(str::to_string).collect();
    let name: String = words
        .iter()
        .enumerate()
        .map(|(index, word)| if index == 0 { word.clone() } else { word[..1].to_uppercase() + &word[1..] })
        .collect();
    json!({name: fields})
}

pub const RECORD_AUDITS: &str = "mutation Record($inputs: [AuditInput!]!) {
    recordAudits(inputs: $inputs) {
        __typename
        ... on Recorded { position version duplicate watermark event { eventId recordedAt digest } }
        ... on Rejected { code retryable problems { path code message } existing { eventId position recordedAt } }
    }
}";
