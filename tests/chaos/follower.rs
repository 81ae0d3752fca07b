//! A subscriber that follows the journal over every cut, resumes where it was, and sees each position once and in order.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::{http::Address, ledger::Ledger};

const EVENTS: &str = "subscription($after: Watermark) { events(after: $after) { position watermark } }";
const PAUSE: Duration = Duration::from_millis(50);
/// A connection that is silent for so long is given up: what is behind it may be frozen.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How far it has come, and from where it goes on.
#[derive(Clone, Debug)]
pub struct Place {
    pub position: i64,
    pub watermark: String,
}

pub struct Follower {
    reached: watch::Receiver<i64>,
    following: JoinHandle<()>,
}

impl Follower {
    /// Follows from behind `place` on, by one server after the other.
    pub fn start(addresses: Vec<Address>, place: Place, ledger: Arc<Ledger>) -> Follower {
        let (tell, reached) = watch::channel(place.position);
        let following = tokio::spawn(async move {
            let mut place = place;
            for address in addresses.iter().cycle() {
                // However it ended, the next one goes on from the place that was reached.
                let _ = follow(address, &mut place, &tell, &ledger).await;
                sleep(PAUSE).await;
            }
        });
        Follower { reached, following }
    }

    /// Whether it comes as far as `position` in time.
    pub async fn comes_to(&mut self, position: i64, within: Duration) -> bool {
        let there = self.reached.wait_for(|reached| *reached >= position);
        tokio::time::timeout(within, there).await.is_ok_and(|there| there.is_ok())
    }

    pub fn reached(&self) -> i64 {
        *self.reached.borrow()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// Follows over one connection until that ends.
async fn follow(address: &Address, place: &mut Place, tell: &watch::Sender<i64>, ledger: &Ledger) -> Option<()> {
    let address = (*address.borrow())?;
    let mut request = format!("ws://{address}/graphql").into_client_request().ok()?;
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().ok()?);
    let (mut socket, _) = in_time(connect_async(request)).await?.ok()?;
    let payload = json!({"query": EVENTS, "variables": {"after": place.watermark}});
    for message in [json!({"type": "connection_init"}), json!({"id": "1", "type": "subscribe", "payload": payload})] {
        socket.send(Message::text(message.to_string())).await.ok()?;
    }
    loop {
        let message = in_time(socket.next()).await??.ok()?;
        let Message::Text(text) = message else {
            if message.is_close() {
                return None;
            }
            continue;
        };
        let message: Value = serde_json::from_str(&text).ok()?;
        let event = &message["payload"]["data"]["events"];
        match message["type"].as_str() {
            Some("next") if event.is_object() => {}
            Some("connection_ack" | "ping" | "pong") => continue,
            _ => return None, // an error, such as that of a server that stops
        }
        let position: i64 = event["position"].as_str()?.parse().ok()?;
        if position != place.position + 1 {
            ledger.breach(format!("a subscriber saw position {position} after {}", place.position));
        }
        *place = Place { position, watermark: event["watermark"].as_str()?.to_string() };
        tell.send_replace(position);
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(SILENCE_MAX, what).await.ok()
}
