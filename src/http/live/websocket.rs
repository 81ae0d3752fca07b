//! GraphQL over a WebSocket: the protocol `graphql-transport-ws` (github.com/enisdenjo/graphql-ws, PROTOCOL.md), with its close
//! codes. Any operation may be sent; many run side by side on one connection, each under an id that the client chooses.
//!
//! async-graphql has an implementation, which we do not use: it knows neither the protocol's close codes nor a bound of anything,
//! lets a second operation replace the first of the same id, and lets one busy operation starve the others.

use std::{
    collections::{HashMap, hash_map},
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use async_graphql::{Executor, Response as Answer};
use axum::{
    extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    http::{HeaderMap, header},
    response::Response,
};
use futures_util::{
    FutureExt as _, SinkExt as _, StreamExt as _,
    future::AbortHandle,
    stream::{self, Abortable, BoxStream, SelectAll},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task,
    time::{interval, sleep_until, timeout},
};

use super::{full, too_slow};
use crate::{
    audit::json,
    caller::{Caller, Unauthenticated},
    error::{Code, Failure},
    http::{
        App,
        answer::{self, Refusal, request_error},
        graphql::{self, Unfit},
    },
    telemetry::RequestContext,
};

pub const PROTOCOL: &str = "graphql-transport-ws";

/// Most bytes of one message. Batches of audits have room in a POST.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes of an operation's id, which each of its answers repeats.
const ID_BYTES_MAX: usize = 255;

/// How long a client may take to close its side.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Why a connection is closed: the protocol's codes.
struct Close(u16, &'static str);

const GOING_AWAY: Close = Close(1001, super::GOING_AWAY);
const BAD_MESSAGE: Close = Close(4400, "this is no message of graphql-transport-ws");
const TOO_EARLY: Close = Close(4401, "Unauthorized: send connection_init and wait for connection_ack first");
const TOO_LARGE: Close = Close(1009, "a message may have 1 MiB; batches of audits have room in a POST");
const BAD_FRAME: Close = Close(1002, "this is no WebSocket frame");
const ID_TOO_LONG: Close = Close(4400, "an id may have 255 bytes");
const NO_TOKEN: Close = Close(4403, "Forbidden: send `authorization` in the payload of connection_init");
const UNKNOWN_TOKEN: Close = Close(4403, "Forbidden: no caller has this token");
const INIT_TIMEOUT: Close = Close(4408, "Connection initialisation timeout");
const ID_TAKEN: Close = Close(4409, "a subscriber for this id already exists");
const TOO_MANY_INITS: Close = Close(4429, "Too many initialisation requests");
const TOO_SLOW: Close = Close(4429, "you read too slowly; resume from the last watermark");

/// The answer to a request that asks for a WebSocket.
pub fn open<S: Executor>(
    app: std::sync::Arc<App<S>>,
    context: RequestContext,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    app.live.welcome(&headers)?;
    let upgrade = upgrade.protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        let message = format!("a WebSocket here speaks `{PROTOCOL}`; name it as its sub-protocol");
        return Err(Refusal::new(Failure::BadInput, message));
    }
    let connection = app.live.connection()?;
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let connection = Connection {
            app,
            context,
            headers,
            socket,
            known_by: None,
            running: SelectAll::new(),
            ids: HashMap::new(),
            heard: Instant::now(),
            _place: connection,
        };
        connection.serve().await;
    }))
}

/// What a client sends.
#[derive(Deserialize)]
struct FromClient {
    #[serde(rename = "type")]
    kind: Kind,
    id: Option<String>,
    payload: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ConnectionInit,
    Ping,
    Pong,
    Subscribe,
    Complete,
}

/// An answer to the operation of this id; the last one is `None`.
type Told = (String, Option<Answer>);

struct Connection<S> {
    app: std::sync::Arc<App<S>>,
    context: RequestContext,
    /// Of the request that asked for the connection.
    headers: HeaderMap,
    socket: WebSocket,
    /// What it said of who it is, once it has been acknowledged.
    known_by: Option<Option<Vec<u8>>>,
    running: SelectAll<BoxStream<'static, Told>>,
    ids: HashMap<String, Running>,
    /// When anything was last heard from the client.
    heard: Instant,
    _place: OwnedSemaphorePermit,
}

/// An operation that runs. Dropped, it runs no more and says nothing more.
struct Running {
    task: task::AbortHandle,
    answers: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        self.answers.abort();
    }
}

/// The client is gone, or takes nothing of what it is sent.
struct Gone;

/// Why the connection ends.
enum End {
    Close(Close),
    /// The client has said goodbye.
    Farewell,
    Gone,
}

/// What is said of bytes that are no message. A connection that broke is told the same, and does not hear it.
fn refused(error: &axum::Error) -> End {
    let too_large = error.to_string().contains("too long");
    End::Close(if too_large { TOO_LARGE } else { BAD_FRAME })
}

impl From<Gone> for End {
    fn from(_: Gone) -> End {
        End::Gone
    }
}

impl From<Close> for End {
    fn from(close: Close) -> End {
        End::Close(close)
    }
}

impl<S: Executor> Connection<S> {
    async fn serve(mut self) {
        match self.converse().await {
            Err(End::Close(Close(code, reason))) => {
                let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
                if self.send(Message::Close(Some(frame))).await.is_ok() {
                    // Bytes of the client that nobody has read would reset the connection, and the code might not reach it.
                    let farewell = async { while let Some(Ok(_)) = self.socket.recv().await {} };
                    let _ = timeout(CLOSE_WAIT, farewell).await; // it need not answer
                }
            }
            Err(End::Farewell) => _ = timeout(CLOSE_WAIT, self.socket.close()).await, // it is gone already
            Err(End::Gone) | Ok(()) => {}
        }
    }

    async fn converse(&mut self) -> Result<(), End> {
        let live = self.app.live.clone();
        let mut shutdown = self.app.shutdown.clone();
        let init_until = tokio::time::Instant::now() + live.init_wait;
        let mut beat = interval(live.keep_alive);
        loop {
            tokio::select! {
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.hear(message).await?,
                    Some(Err(error)) => return Err(refused(&error)),
                    None => return Err(End::Gone),
                },
                Some((id, answer)) = self.running.next(), if !self.running.is_empty() => self.tell(id, answer).await?,
                () = sleep_until(init_until), if self.known_by.is_none() => return Err(INIT_TIMEOUT.into()),
                _ = beat.tick() => {
                    if self.heard.elapsed() > 2 * live.keep_alive {
                        return Err(End::Gone);
                    }
                    if self.known_by.is_some() {
                        self.caller()?;
                    }
                    self.send(Message::Ping(Default::default())).await?;
                }
                () = shutdown.wait() => return Err(GOING_AWAY.into()),
            }
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), End> {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(BAD_MESSAGE.into()),
            // It is answered by itself. The answer has to go out before the next one is read, or who only sends would fill our memory.
            Message::Ping(_) => return Ok(self.flush().await?),
            Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Farewell),
        };
        if !text.trim_start().starts_with('{') {
            return Err(BAD_MESSAGE.into());
        }
        let FromClient { kind, id, payload } = serde_json::from_str(&text).map_err(|_| BAD_MESSAGE)?;
        if id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
            return Err(ID_TOO_LONG.into());
        }
        match (kind, id, payload) {
            (Kind::ConnectionInit, _, payload) => self.acknowledge(payload.as_deref()).await,
            (Kind::Ping, _, payload) => {
                let pong = match payload {
                    Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
                    None => r#"{"type":"pong"}"#.to_string(),
                };
                Ok(self.send(Message::text(pong)).await?)
            }
            (Kind::Pong, _, _) => Ok(()),
            (Kind::Subscribe, Some(id), Some(payload)) => self.subscribe(id, payload.get()).await,
            (Kind::Complete, Some(id), _) => {
                self.ids.remove(&id);
                Ok(())
            }
            (Kind::Subscribe | Kind::Complete, _, _) => Err(BAD_MESSAGE.into()),
        }
    }

    /// Lets the client in. Browsers can send no header with a WebSocket, so the token may come in the payload.
    async fn acknowledge(&mut self, payload: Option<&RawValue>) -> Result<(), End> {
        if self.known_by.is_some() {
            return Err(TOO_MANY_INITS.into());
        }
        let payload = payload.and_then(|payload| json::read_object(payload.get(), "the payload").ok());
        let told = |name: &str| payload.as_ref()?.get(name)?.as_str();
        let by_header = self.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
        let told = told("authorization").or(told("Authorization")).map(|text| text.as_bytes().to_vec());
        self.known_by = Some(told.or(by_header));
        self.caller()?;
        Ok(self.send(Message::text(r#"{"type":"connection_ack"}"#)).await?)
    }

    /// Who it is, as far as that is still so: a caller may be known no more.
    fn caller(&self) -> Result<Caller, Close> {
        let known_by = self.known_by.as_ref().ok_or(TOO_EARLY)?;
        self.app.callers.authenticate(known_by.as_deref()).map_err(|refused| match refused {
            Unauthenticated::Missing => NO_TOKEN,
            Unauthenticated::Unknown => UNKNOWN_TOKEN,
        })
    }

    async fn subscribe(&mut self, id: String, payload: &str) -> Result<(), End> {
        let caller = self.caller()?;
        let many = self.ids.len() >= self.app.live.operations_max;
        let hash_map::Entry::Vacant(place) = self.ids.entry(id.clone()) else { return Err(ID_TAKEN.into()) };
        let asked = if many {
            Err(Box::new(full(self.app.live.operations_max)))
        } else {
            graphql::from_json(payload).map_err(Unfit::into_answer)
        };
        match asked {
            Ok(request) => {
                let request = graphql::traced(request.data(caller), &self.context);
                let (tell, told) = mpsc::channel(1);
                let task = tokio::spawn(run(self.app.schema.execute_stream(request, None), tell)).abort_handle();
                let (answers, registration) = AbortHandle::new_pair();
                place.insert(Running { task, answers });
                let named = id.clone();
                let told = stream::unfold(told, |mut told| async move { Some((told.recv().await?, told)) });
                let told = told.map(move |answer| (named.clone(), Some(answer)));
                let told = told.chain(stream::once(std::future::ready((id, None))));
                self.running.push(Abortable::new(told, registration).boxed());
                Ok(())
            }
            Err(answer) => Ok(self.refuse(&id, &answer).await?),
        }
    }

    /// Hands on an answer, or says that there are no more.
    async fn tell(&mut self, id: String, answer: Option<Answer>) -> Result<(), End> {
        let Some(answer) = answer else {
            if self.ids.remove(&id).is_some() {
                self.send(Message::text(json!({"id": id, "type": "complete"}).to_string())).await?;
            }
            return Ok(());
        };
        if !self.ids.contains_key(&id) {
            return Ok(()); // the client has completed it meanwhile
        }
        if !answer::executed(&answer) || too_slow(&answer) {
            self.refuse(&id, &answer).await?;
            if too_slow(&answer) {
                return Err(TOO_SLOW.into());
            }
            return Ok(());
        }
        let text = format!(r#"{{"id":{},"type":"next","payload":{}}}"#, json!(id), answer::text(&answer));
        Ok(self.send(Message::text(text)).await?)
    }

    /// Ends an operation with the errors of its answer.
    async fn refuse(&mut self, id: &str, answer: &Answer) -> Result<(), Gone> {
        self.ids.remove(id);
        let text = json!({"id": id, "type": "error", "payload": answer.errors}).to_string();
        self.send(Message::text(text)).await
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        match timeout(self.app.live.send_wait, self.socket.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(self.app.live.send_wait, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// Runs an operation in a task of its own: its statements and its deadline go on while the connection waits for its client.
async fn run(mut answers: BoxStream<'static, Answer>, tell: mpsc::Sender<Answer>) {
    loop {
        let answer = match AssertUnwindSafe(answers.next()).catch_unwind().await {
            Ok(Some(answer)) => answer,
            Ok(None) => return,
            // The panic itself is logged where it happens.
            Err(_) => {
                let error = request_error(Code::Internal, "something went wrong here");
                let _ = tell.send(Answer::from_errors(vec![error])).await; // who is gone needs no answer
                return;
            }
        };
        if tell.send(answer).await.is_err() {
            return;
        }
    }
}
