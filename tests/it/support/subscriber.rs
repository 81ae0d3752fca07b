//! A client of subscriptions: `graphql-transport-ws` over a real socket.

use axum::Router;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use super::app::DEADLINE;

const PONG: &str = r#"{"type":"pong"}"#;

/// What a subscriber hears.
#[derive(Debug)]
pub enum Heard {
    /// The data of an answer.
    Data(Value),
    /// The errors that ended the subscription.
    Errors(Value),
    /// The code that the connection was closed with.
    Closed(u16),
    /// The connection broke.
    Lost,
}

/// A connection with one subscription. Dropped, it is cut without a goodbye.
pub struct Subscriber(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Subscriber {
    /// Subscribes; `None` where nobody answers.
    pub async fn try_start(address: &str, query: &str, variables: Value) -> Option<Subscriber> {
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let (socket, _) = connect_async(request).await.ok()?;
        let mut subscriber = Subscriber(socket);
        subscriber.say(json!({"type": "connection_init"})).await?;
        subscriber.text().await?; // the acknowledgement
        let payload = json!({"query": query, "variables": variables});
        subscriber.say(json!({"id": "1", "type": "subscribe", "payload": payload})).await?;
        Some(subscriber)
    }

    pub async fn start(address: &str, query: &str, variables: Value) -> Subscriber {
        Subscriber::try_start(address, query, variables).await.expect("the server lets us in")
    }

    pub async fn hear(&mut self) -> Heard {
        let message = timeout(DEADLINE, self.message()).await.expect("something to hear in time");
        let Some(message) = message else { return Heard::Lost };
        let text = match message {
            Message::Text(text) => text,
            Message::Close(frame) => return Heard::Closed(frame.map_or(1005, |frame| frame.code.into())),
            other => panic!("{other:?}"),
        };
        let mut message: Value = serde_json::from_str(&text).unwrap();
        match message["type"].as_str() {
            Some("next") => {
                let mut payload = message["payload"].take();
                assert!(payload.get("errors").is_none(), "{payload:#}");
                Heard::Data(payload["data"].take())
            }
            Some("error") => Heard::Errors(message["payload"].take()),
            _ => panic!("{message}"),
        }
    }

    /// The data of the next answer, which must come.
    pub async fn data(&mut self) -> Value {
        match self.hear().await {
            Heard::Data(data) => data,
            other => panic!("{other:?}"),
        }
    }

    /// The first of the errors that must come.
    pub async fn error(&mut self) -> Value {
        match self.hear().await {
            Heard::Errors(mut errors) => errors[0].take(),
            other => panic!("{other:?}"),
        }
    }

    /// Makes sure that nothing is told: the server answers a later question first.
    pub async fn silent(&mut self) {
        self.say(json!({"type": "ping"})).await.unwrap();
        assert_eq!(self.text().await.unwrap(), PONG);
    }

    async fn say(&mut self, message: Value) -> Option<()> {
        self.0.send(Message::text(message.to_string())).await.ok()
    }

    async fn text(&mut self) -> Option<String> {
        match timeout(DEADLINE, self.message()).await.expect("an answer in time")? {
            Message::Text(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// The next message that is not about the connection itself; `None` when that is lost.
    async fn message(&mut self) -> Option<Message> {
        loop {
            match self.0.next().await?.ok()? {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return Some(message),
            }
        }
    }
}

/// Serves a router on a port of its own while the test runs; gives the address.
pub async fn listen(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
