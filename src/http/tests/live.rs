//! The protocols of live answers, over a real socket.

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest as _, protocol::CloseFrame},
};

use super::*;

/// What a client hears.
#[derive(Debug, PartialEq)]
enum Heard {
    Message(Value),
    Closed(u16, String),
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(address: &str, headers: &[(&'static str, &str)]) -> Result<Client, StatusCode> {
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        request.headers_mut().extend(
            headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
                .collect::<HeaderMap>(),
        );
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Client(socket)),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn open(address: &str) -> Client {
        Client::connect(address, &[PROTOCOL]).await.unwrap()
    }

    /// A client that is let in.
    async fn acknowledged(address: &str) -> Client {
        let mut client = Client::open(address).await;
        client.say(json!({"type": "connection_init"})).await;
        assert_eq!(client.hear().await, Heard::Message(json!({"type": "connection_ack"})));
        client
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({"id": id, "type": "subscribe", "payload": {"query": query}})).await;
    }

    async fn hear(&mut self) -> Heard {
        loop {
            let message = timeout(Duration::from_secs(10), self.0.next()).await.expect("a message in time");
            match message.expect("a message or a close").unwrap() {
                Message::Text(text) => return Heard::Message(serde_json::from_str(&text).unwrap()),
                Message::Close(Some(frame)) => return Heard::Closed(frame.code.into(), frame.reason.to_string()),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn closed(&mut self) -> u16 {
        loop {
            if let Heard::Closed(code, _) = self.hear().await {
                return code;
            }
        }
    }

    async fn message(&mut self) -> Value {
        match self.hear().await {
            Heard::Message(message) => message,
            closed => panic!("{closed:?}"),
        }
    }
}

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

/// A server that is served on a port of its own while it lives, and where.
async fn serving(server: Server) -> (Server, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let grace = Duration::from_secs(10);
    tokio::spawn(serve(Listener::Tcp(listener), server.router.clone(), server.shutdown.clone(), grace));
    (server, address)
}

#[tokio::test]
async fn operations_of_every_type_run_side_by_side_on_one_connection() {
    let (_server, address) = serving(Server::new()).await;
    let mut client = Client::acknowledged(&address).await;
    client.subscribe("never", "subscription { never }").await;
    client.subscribe("t", "subscription { ticks(count: 2) }").await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(client.message().await);
    }
    client.subscribe("q", "query { caller }").await;
    heard.extend([client.message().await, client.message().await]);
    client.say(json!({"type": "ping", "payload": {"n": 1}})).await;
    heard.push(client.message().await);
    assert_eq!(
        heard,
        [
            json!({"id": "t", "type": "next", "payload": {"data": {"ticks": 0}}}),
            json!({"id": "t", "type": "next", "payload": {"data": {"ticks": 1}}}),
            json!({"id": "t", "type": "complete"}),
            json!({"id": "q", "type": "next", "payload": {"data": {"caller": "nobody"}}}),
            json!({"id": "q", "type": "complete"}),
            json!({"type": "pong", "payload": {"n": 1}}),
        ]
    );
}

#[tokio::test]
async fn what_was_completed_says_nothing_more_and_its_id_is_free_again() {
    let (_server, address) = serving(Server::new()).await;
    let mut client = Client::acknowledged(&address).await;
    client.subscribe("1", "subscription { never }").await;
    client.say(json!({"id": "1", "type": "complete"})).await;
    client.subscribe("1", "subscription { ticks(count: 1) }").await;
    assert_eq!(client.message().await["payload"], json!({"data": {"ticks": 0}}));
    assert_eq!(client.message().await, json!({"id": "1", "type": "complete"}));
}

#[tokio::test]
async fn an_operation_that_cannot_run_is_an_error_of_its_own() {
    let (_server, address) = serving(Server::with(|app| app.live.operations_max = 1)).await;
    let mut client = Client::acknowledged(&address).await;
    for query in ["subscription { nope }", "{", ""] {
        client.subscribe("1", query).await;
        let error = client.message().await;
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("1")), "{error}");
        assert!(error["payload"][0]["message"].is_string(), "{error}");
    }
    client.subscribe("1", "subscription { never }").await;
    client.subscribe("2", "subscription { never }").await;
    let error = client.message().await;
    assert_eq!(error["id"], "2");
    assert_eq!(
        error["payload"][0]["extensions"],
        json!({"code": "UNAVAILABLE", "retryable": true, "retryAfterMs": 1000})
    );
}

#[tokio::test]
async fn a_flood_of_subscriptions_is_answered_one_by_one_and_takes_no_more_than_its_share() {
    const FLOOD: usize = 2_000;
    let (server, address) = serving(Server::new()).await;
    let mut client = Client::acknowledged(&address).await;
    for id in 0..FLOOD {
        client.subscribe(&id.to_string(), "subscription { never }").await;
    }
    for _ in 32..FLOOD {
        assert_eq!(client.message().await["payload"][0]["extensions"]["code"], "UNAVAILABLE");
    }
    client.say(json!({"id": "0", "type": "complete"})).await;
    client.subscribe("q", "{ caller }").await;
    assert_eq!(client.message().await["payload"], json!({"data": {"caller": "nobody"}}));
    assert_eq!(server.ask("{ caller }").await.status, 200);

    let mut large = Client::acknowledged(&address).await;
    // The server reads no more of it than it takes to see its length, which may break the connection before the code (1009)
    // comes through.
    let _ = large.0.send(Message::text("x".repeat(2 * 1024 * 1024))).await;
    let ended = timeout(Duration::from_secs(10), async {
        while let Some(Ok(message)) = large.0.next().await {
            assert!(!message.is_text(), "{message}");
        }
    });
    ended.await.expect("the connection has ended");
}

/// Its pings are answered by themselves. Read on regardless, and the answers would pile up in our memory without end.
#[tokio::test]
async fn who_only_sends_pings_and_reads_nothing_is_read_no_further() {
    // More than what lies between two sockets of one machine, both ways.
    const FLOOD_BYTES: usize = 128 * 1024 * 1024;
    let (server, address) = serving(Server::with(|app| app.live.init_wait = Duration::from_secs(60))).await;
    let mut client = upgraded(&address).await;
    let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[0; 125]].concat(); // masked with zeroes, as large as a ping may be
    let pings = ping.repeat(1_000);
    let mut sent = 0;
    while sent < FLOOD_BYTES
        && timeout(Duration::from_secs(2), client.write_all(&pings)).await.is_ok_and(|it| it.is_ok())
    {
        sent += pings.len();
    }
    assert!(sent < FLOOD_BYTES, "{sent} bytes were read of who takes none");
    assert_eq!(server.ask("{ caller }").await.status, 200);
}

#[tokio::test]
async fn a_goodbye_is_answered() {
    let (_server, address) = serving(Server::new()).await;
    let mut client = Client::acknowledged(&address).await;
    let goodbye = CloseFrame { code: 1000.into(), reason: "".into() };
    client.0.close(Some(goodbye)).await.unwrap();
    assert_eq!(client.closed().await, 1000);
}

#[tokio::test]
async fn breaking_the_protocol_closes_the_connection_with_its_code() {
    let (_hasty, hasty) = serving(Server::with(|app| app.live.init_wait = Duration::from_millis(30))).await;
    assert_eq!(Client::open(&hasty).await.closed().await, 4408);
    let (_server, address) = serving(Server::new()).await;

    let mut early = Client::open(&address).await;
    early.subscribe("1", "subscription { never }").await;
    assert_eq!(early.closed().await, 4401);

    let mut twice = Client::acknowledged(&address).await;
    twice.say(json!({"type": "connection_init"})).await;
    assert_eq!(twice.closed().await, 4429);

    let mut same = Client::acknowledged(&address).await;
    same.subscribe("1", "subscription { never }").await;
    same.subscribe("1", "subscription { never }").await;
    assert_eq!(same.closed().await, 4409);

    let long = json!({"type": "complete", "id": "x".repeat(256)});
    let list = json!(["ping", null, null]);
    for nonsense in [json!({"type": "start"}), json!(1), json!({"type": "subscribe", "id": 1}), long, list] {
        let mut client = Client::acknowledged(&address).await;
        client.say(nonsense).await;
        assert_eq!(client.closed().await, 4400);
    }
    let mut binary = Client::acknowledged(&address).await;
    binary.0.send(Message::binary(b"{}".to_vec())).await.unwrap();
    assert_eq!(binary.closed().await, 4400);
}

#[tokio::test]
async fn who_calls_is_told_by_header_or_on_connecting() {
    let token = "0123456789abcdef0123456789abcdef";
    let file = std::env::temp_dir().join(format!("binnacle-callers-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, format!("watcher {:x} - read\n", Sha256::digest(token))).unwrap();
    let callers = Callers::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let (_server, address) = serving(Server::with(|app| app.callers = callers)).await;
    let authorization = format!("Bearer {token}");

    let mut nobody = Client::open(&address).await;
    nobody.say(json!({"type": "connection_init", "payload": {"authorization": "Bearer wrong"}})).await;
    assert_eq!(nobody.closed().await, 4403);

    let mut by_header = Client::connect(&address, &[PROTOCOL, ("authorization", &authorization)]).await.unwrap();
    by_header.say(json!({"type": "connection_init"})).await;
    let mut by_payload = Client::open(&address).await;
    by_payload.say(json!({"type": "connection_init", "payload": {"Authorization": authorization}})).await;
    for client in [&mut by_header, &mut by_payload] {
        assert_eq!(client.message().await, json!({"type": "connection_ack"}));
        client.subscribe("1", "subscription { who }").await;
        assert_eq!(client.message().await["payload"]["data"]["who"], "watcher");
    }
}

#[tokio::test]
async fn pages_of_others_other_protocols_and_one_too_many_are_refused_before_anything_is_open() {
    let (_server, address) = serving(Server::with(|app| app.live = Live::new(Vec::new(), 1))).await;
    let refused = |headers: Vec<(&'static str, &'static str)>| {
        let address = address.clone();
        async move { Client::connect(&address, &headers).await.err().map(|status| status.as_u16()) }
    };
    assert_eq!(refused(vec![PROTOCOL, ("origin", "https://evil.example.com")]).await, Some(403));
    assert_eq!(refused(vec![]).await, Some(400));
    assert_eq!(refused(vec![("sec-websocket-protocol", "graphql-ws")]).await, Some(400));
    let _open = Client::acknowledged(&address).await;
    assert_eq!(refused(vec![PROTOCOL]).await, Some(503));
}

#[tokio::test]
async fn a_slow_subscriber_is_told_where_to_resume_and_let_go() {
    let (_server, address) = serving(Server::new()).await;
    let mut client = Client::acknowledged(&address).await;
    client.subscribe("1", "subscription { lags }").await;
    assert_eq!(client.message().await["payload"]["data"]["lags"], 1);
    let error = client.message().await;
    assert_eq!((&error["type"], &error["payload"][0]["extensions"]["watermark"]), (&json!("error"), &json!("w")));
    assert_eq!(
        client.hear().await,
        Heard::Closed(4429, "you read too slowly; resume from the last watermark".to_string())
    );
}

#[tokio::test]
async fn a_silent_client_is_let_go_and_so_is_everybody_when_the_server_stops() {
    let (_server, address) = serving(Server::with(|app| app.live.keep_alive = Duration::from_millis(20))).await;
    let mut silent = upgraded(&address).await;
    // It answers no ping, so all that comes is the upgrade, some pings and the end.
    let mut heard = Vec::new();
    timeout(Duration::from_secs(10), silent.read_to_end(&mut heard)).await.expect("the connection has ended").unwrap();
    assert!(heard.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&heard));

    let (server, address) = serving(Server::new()).await;
    let mut client = Client::acknowledged(&address).await;
    let mut events = TcpStream::connect(&address).await.unwrap();
    let follow = "GET /graphql?query=subscription%7Bnever%7D HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    events.write_all(follow.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    events.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");

    server.stop.now();

    let going = "the server is about to stop; connect again, and resume after the last event you were told";
    assert_eq!(client.hear().await, Heard::Closed(1001, going.to_string()));
    let mut told = String::new();
    timeout(Duration::from_secs(10), events.read_to_string(&mut told))
        .await
        .expect("the connection has ended")
        .unwrap();
    assert!(
        told.contains("event: next\n") && told.contains(going) && told.contains(r#""retryAfterMs":1000"#),
        "{told}"
    );
    assert!(!told.contains("complete"), "there is more to come: {told}");
}

#[tokio::test]
async fn events_tell_each_answer_and_the_end() {
    let server = Server::new();
    let ask = |query: &str| {
        let headers = [("content-type", "application/json"), ("accept", "text/event-stream")];
        server.send(request(Method::POST, "/graphql", &headers, &json!({"query": query}).to_string()))
    };
    let answer = ask("subscription { ticks(count: 2) }").await;
    assert_eq!((answer.status, answer.header(header::CONTENT_TYPE)), (200, "text/event-stream"));
    let told: Vec<&str> = answer.text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(
        told,
        [
            "event: next",
            r#"data: {"data":{"ticks":0}}"#,
            "event: next",
            r#"data: {"data":{"ticks":1}}"#,
            "event: complete",
            "data: {}",
        ]
    );
    let lagging = ask("subscription { lags }").await;
    assert!(lagging.text.contains(r#""watermark":"w""#) && !lagging.text.contains("complete"), "{}", lagging.text);
    let query = ask("{ caller }").await;
    assert!(query.text.contains(r#"data: {"data":{"caller":"nobody"}}"#), "{}", query.text);

    let get = |query: &str| {
        let path = format!(
            "/graphql?query={}",
            percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC)
        );
        let request = request(Method::GET, &path, &[("accept", "text/event-stream")], "");
        server.send(request)
    };
    assert!(get("subscription { ticks(count: 1) }").await.text.contains("event: complete"));
}

/// The raw socket of a WebSocket that is open, and does nothing by itself.
async fn upgraded(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let upgrade = "GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-protocol: graphql-transport-ws\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.unwrap();
    socket
}
