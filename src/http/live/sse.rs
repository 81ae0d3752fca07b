//! GraphQL over server-sent events, each operation on a connection of its own: the distinct connections mode of the protocol
//! "GraphQL over Server-Sent Events" (github.com/enisdenjo/graphql-sse, PROTOCOL.md). `next` carries an answer, `complete` says
//! that there are no more.

use std::{convert::Infallible, time::Duration};

use async_graphql::Response as Answer;
use axum::{
    http::{HeaderValue, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::{pin, sync::mpsc, time::timeout};

use super::{Live, going_away, too_slow};
use crate::{
    http::{answer, media::Media},
    worker::Shutdown,
};

/// How long the answer's head waits for the first event, which may be a refusal. Nobody waits for a head behind which nothing
/// comes.
const REFUSAL_WAIT: Duration = Duration::from_secs(1);

/// Answers with the events of one operation. A client that takes nothing for a while, and one that is away, is let go.
pub async fn respond(
    live: &Live,
    shutdown: Shutdown,
    answers: impl Stream<Item = Answer> + Send + 'static,
) -> Response {
    // Taken first: what was executed must be answered.
    let connection = match live.connection() {
        Ok(connection) => connection,
        Err(refusal) => return refusal.into_response(),
    };
    let mut answers = answers.fuse().boxed();
    let first = match timeout(REFUSAL_WAIT, answers.next()).await.ok().flatten() {
        // What cannot be executed is known soon, and is told by the status.
        Some(answer) if !answer::executed(&answer) => return answer::graphql(answer, Media::GraphqlJson),
        first => first,
    };
    let answers = stream::iter(first).chain(answers);
    // One event waits while the client takes another: a full channel is how we know that it takes nothing.
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(forward(answers, tell, live.send_wait, shutdown));
    // The place is taken for as long as the client's socket is.
    let told = stream::unfold((told, connection), |(mut told, connection)| async move {
        Some((told.recv().await?, (told, connection)))
    });
    let events = told.map(Ok::<Event, Infallible>);
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(live.keep_alive)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that collects an answer before it passes it on would pass on nothing.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

async fn forward(
    answers: impl Stream<Item = Answer>,
    tell: mpsc::Sender<Event>,
    send_wait: Duration,
    mut shutdown: Shutdown,
) {
    pin!(answers);
    loop {
        let answer = tokio::select! {
            answer = answers.next() => answer,
            () = tell.closed() => return,
            // Without `complete` the client knows that there is more, and comes again.
            () = shutdown.wait() => {
                let farewell = Event::default().event("next").data(answer::text(&going_away()));
                let _ = timeout(send_wait, tell.send(farewell)).await; // or it is gone already
                return;
            }
        };
        let event = match &answer {
            Some(answer) => Event::default().event("next").data(answer::text(answer)),
            // An event without data is none to a browser.
            None => Event::default().event("complete").data("{}"),
        };
        let sent = timeout(send_wait, tell.send(event)).await;
        if !matches!(sent, Ok(Ok(()))) || answer.as_ref().is_none_or(too_slow) {
            return;
        }
    }
}
