//! The connections of a listener, over real sockets.

use std::{path::PathBuf, time::Instant};

use axum::{body::Body, extract::State, routing::get};
use futures_util::stream;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::*;
use crate::{
    http::serve::{Bounds, serve_within},
    worker::{Shutdown, Stop},
};

/// No bound of a story's is reached that the story is not about.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);
const DEADLINE: Duration = Duration::from_secs(10);

fn patient() -> Bounds {
    Bounds { connections_max: 100, head_wait: LONG, idle_wait: LONG, write_wait: LONG }
}

struct Serving {
    address: String,
    stop: Stop,
    task: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    async fn start(bounds: Bounds, router: Router) -> Serving {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, shutdown) = Stop::new();
        let task = tokio::spawn(serve_within(bounds, Listener::Tcp(listener), router, shutdown, LONG));
        Serving { address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// Asks it to stop and waits until it has.
    async fn stopped(self) {
        self.stop.now();
        timeout(DEADLINE, self.task).await.expect("the server should have stopped by now").unwrap().unwrap();
    }
}

fn greeting() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// All that comes until the other side ends the connection.
async fn rest(client: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let read = timeout(DEADLINE, client.read_to_end(&mut bytes)).await.expect("the connection has ended");
    read.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// One answer of the greeting, on a connection that stays open.
async fn greeted(client: &mut TcpStream) {
    let mut text = Vec::new();
    while !text.ends_with(b"hello") {
        let mut byte = [0];
        timeout(DEADLINE, client.read_exact(&mut byte)).await.expect("an answer in time").unwrap();
        text.push(byte[0]);
    }
}

#[tokio::test]
async fn half_a_head_and_an_idle_connection_do_not_delay_the_stop() {
    let serving = Serving::start(patient(), greeting()).await;
    let (mut half, mut idle, _silent) = (serving.connect().await, serving.connect().await, serving.connect().await);
    idle.write_all(ASK).await.unwrap();
    greeted(&mut idle).await;
    half.write_all(ASK).await.unwrap();
    greeted(&mut half).await;
    half.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
    serving.stopped().await;
    assert_eq!(rest(&mut idle).await, "");
}

#[tokio::test]
async fn half_a_head_is_let_go_and_so_is_who_says_nothing_but_not_who_is_idle_for_a_while() {
    let serving = Serving::start(Bounds { head_wait: SHORT, ..patient() }, greeting()).await;
    let (mut half, mut silent, mut idle) = (serving.connect().await, serving.connect().await, serving.connect().await);
    idle.write_all(ASK).await.unwrap();
    greeted(&mut idle).await;
    half.write_all(&ASK[..10]).await.unwrap();
    assert_eq!(rest(&mut half).await, "");
    assert_eq!(rest(&mut silent).await, "");
    idle.write_all(ASK).await.unwrap();
    greeted(&mut idle).await;

    let serving = Serving::start(Bounds { idle_wait: SHORT, ..patient() }, greeting()).await;
    let mut idle = serving.connect().await;
    idle.write_all(ASK).await.unwrap();
    greeted(&mut idle).await;
    assert_eq!(rest(&mut idle).await, "");
}

/// An answer of more bytes than any socket takes at once, and the word when nobody makes it any more.
async fn large(State(gone): State<Arc<tokio::sync::Notify>>) -> Body {
    struct Told(Arc<tokio::sync::Notify>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let told = Told(gone);
    Body::from_stream(stream::repeat_with(move || {
        let _ = &told;
        Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024])
    }))
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_let_go() {
    let gone = Arc::new(tokio::sync::Notify::new());
    let router = Router::new().route("/", get(large)).with_state(gone.clone());
    let serving = Serving::start(Bounds { write_wait: SHORT, ..patient() }, router).await;
    let mut client = serving.connect().await;
    client.write_all(ASK).await.unwrap();
    timeout(DEADLINE, gone.notified()).await.expect("the answer is given up");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_until_one_ends() {
    let serving = Serving::start(Bounds { connections_max: 1, ..patient() }, greeting()).await;
    let mut first = serving.connect().await;
    first.write_all(ASK).await.unwrap();
    greeted(&mut first).await;
    let mut second = serving.connect().await; // by the kernel
    second.write_all(ASK).await.unwrap();
    let mut byte = [0];
    assert!(timeout(SHORT, second.read_exact(&mut byte)).await.is_err(), "it is served already");
    drop(first);
    greeted(&mut second).await;
}

#[tokio::test]
async fn a_request_that_runs_at_the_stop_is_told_that_its_connection_closes() {
    let server = Server::new();
    let serving = Serving::start(patient(), server.router.clone()).await;
    let mut client = serving.connect().await;
    client.write_all(b"GET /graphql?query=%7Bwaits%7D HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.gate.entered.notified().await;
    serving.stop.now();
    let begun = Instant::now();
    while TcpStream::connect(&serving.address).await.is_ok() {
        assert!(begun.elapsed() < DEADLINE, "it still takes connections");
    }
    server.gate.release.notify_one();
    let text = rest(&mut client).await;
    assert!(text.contains("connection: close\r\n") && text.ends_with(r#"{"data":{"waits":1}}"#), "{text}");
    serving.stopped().await;
}

#[tokio::test]
async fn a_unix_socket_is_served_the_same_way() {
    let path: PathBuf = std::env::temp_dir().join(format!("binnacle-{}.sock", uuid::Uuid::new_v4()));
    let listener = UnixListener::bind(&path).unwrap();
    let (_stop, shutdown): (Stop, Shutdown) = Stop::new();
    tokio::spawn(serve(Listener::Unix(listener), greeting(), shutdown, LONG));
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let text = rest(&mut client).await;
    assert!(text.ends_with("hello"), "{text}");
    std::fs::remove_file(path).unwrap();
}
