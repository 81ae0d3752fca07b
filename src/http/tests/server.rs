//! A server for the stories: the real router over a small schema.

use std::sync::atomic::{AtomicI32, Ordering};

use async_graphql::{Context, ErrorExtensions as _, Json, Object, Schema, Subscription};
use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, Response, header},
};
use futures_util::{FutureExt as _, Stream, stream};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::{
    caller::Caller,
    http::*,
    worker::{Shutdown, Stop},
};

pub struct Queries;

#[Object]
impl Queries {
    async fn caller(&self, context: &Context<'_>) -> String {
        context.data_unchecked::<Caller>().name.clone().unwrap_or_else(|| "nobody".to_string())
    }

    async fn trace(&self, context: &Context<'_>) -> String {
        context.data_unchecked::<crate::record::Traceparent>().0.clone()
    }

    async fn echo(&self, value: Json<Value>) -> Json<Value> {
        value
    }

    async fn fails(&self) -> async_graphql::Result<i32> {
        Err(async_graphql::Error::new("no"))
    }

    async fn panics(&self, text: Option<String>) -> i32 {
        text.expect("a bug").len() as i32
    }

    /// Says that it runs, and ends when it may.
    async fn waits(&self, context: &Context<'_>) -> i32 {
        let gate = context.data_unchecked::<Arc<Gate>>();
        gate.entered.notify_one();
        gate.release.notified().await;
        1
    }
}

#[derive(Default)]
pub struct Gate {
    pub entered: Notify,
    pub release: Notify,
}

pub struct Mutations;

#[Object]
impl Mutations {
    async fn bump(&self, context: &Context<'_>) -> i32 {
        context.data_unchecked::<AtomicI32>().fetch_add(1, Ordering::SeqCst) + 1
    }
}

pub struct Ticks;

#[Subscription]
impl Ticks {
    async fn ticks(&self, count: i32) -> impl Stream<Item = i32> {
        stream::iter(0..count)
    }

    async fn never(&self) -> impl Stream<Item = i32> {
        stream::pending()
    }

    async fn lags(&self) -> impl Stream<Item = async_graphql::Result<i32>> {
        let error = async_graphql::Error::new("too slow").extend_with(|_, extensions| {
            extensions.set("code", "TOO_SLOW");
            extensions.set("watermark", "w");
        });
        stream::iter([Ok(1), Err(error)])
    }

    async fn who(&self, context: &Context<'_>) -> impl Stream<Item = String> {
        let name = context.data_unchecked::<Caller>().name.clone();
        stream::iter(name)
    }
}

pub struct Server {
    pub router: Router,
    pub stop: Stop,
    pub shutdown: Shutdown,
    pub metrics: Metrics,
    pub gate: Arc<Gate>,
}

impl Server {
    pub fn with(change: impl FnOnce(&mut App<Schema<Queries, Mutations, Ticks>>)) -> Server {
        let (stop, shutdown) = Stop::new();
        let gate = Arc::new(Gate::default());
        let schema = Schema::build(Queries, Mutations, Ticks).data(AtomicI32::new(0)).data(gate.clone()).finish();
        let mut app = App {
            api: Router::new(),
            schema,
            callers: Callers::anyone(),
            metrics: Metrics::new(),
            checks: checks(State::Ok),
            reports: Arc::new(|asked| {
                let known = asked.remediation_id == "rr/1";
                async move { Ok(known.then(|| format!("{asked:?}"))) }.boxed()
            }),
            graphiql: true,
            request_timeout: Duration::from_secs(10),
            live: Live::new(Vec::new(), 10),
            retiring: shutdown.clone(),
            shutdown: shutdown.clone(),
        };
        change(&mut app);
        Server { metrics: app.metrics.clone(), router: router(app), stop, shutdown, gate }
    }

    pub fn new() -> Server {
        Server::with(|_| {})
    }

    pub async fn send(&self, request: Request<Body>) -> Answered {
        Answered::read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub async fn post(&self, body: &str) -> Answered {
        self.send(request(Method::POST, "/graphql", &[("content-type", "application/json")], body)).await
    }

    pub async fn ask(&self, query: &str) -> Answered {
        self.post(&json!({"query": query}).to_string()).await
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.send(request(Method::GET, path, &[], "")).await
    }
}

#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answered {
    pub async fn read(response: Response<Body>) -> Answered {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answered { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// Status, code and message of a problem document, or of GraphQL's first error.
    pub fn refusal(&self) -> String {
        let told = self.json();
        if told["type"].is_string() {
            return format!("{} {} {}", self.status, told["code"].as_str().unwrap(), told["detail"].as_str().unwrap());
        }
        let error = &told["errors"][0];
        format!(
            "{} {} {}",
            self.status,
            error["extensions"]["code"].as_str().unwrap(),
            error["message"].as_str().unwrap()
        )
    }

    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::from(body.to_string())).unwrap()
}

pub fn checks(state: State) -> Checks {
    Arc::new(move || Box::pin(async move { vec![Check { name: "database".to_string(), state, detail: None }] }))
}
