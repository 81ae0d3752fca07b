//! The body of an answer that is written as it comes, and that shows whether it came to its end.

use std::{io, time::Duration};

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::{sync::mpsc, time::timeout};

use crate::error::ClientError;

/// Bytes that are handed over at once. A reader has to take so many within the writer's patience.
const PART_BYTES: usize = 64 * 1024;

/// Writes a body. Dropped before `finish`, it leaves a body that breaks off.
pub struct Writer {
    parts: mpsc::Sender<Part>,
    patience: Duration,
    /// What is not handed over yet.
    text: String,
}

enum Part {
    Bytes(Bytes),
    End,
}

/// Why nothing more is written.
pub enum Stopped {
    /// The reader has gone, or has not read for too long.
    Unread,
    Failed(ClientError),
}

impl From<ClientError> for Stopped {
    fn from(error: ClientError) -> Stopped {
        Stopped::Failed(error)
    }
}

/// A writer, and the body that it writes. It waits for a reader who does not read for as long as `patience`.
pub fn pair(patience: Duration) -> (Writer, Body) {
    // One part waits while another is on its way: more would be memory that a slow reader fills.
    let (parts, read) = mpsc::channel(1);
    let body = stream::try_unfold(read, |mut read| async {
        match read.recv().await {
            Some(Part::Bytes(bytes)) => Ok(Some((bytes, read))),
            Some(Part::End) => Ok(None),
            // Said so, the connection ends before its time, and the client knows that something is missing.
            None => Err(io::Error::other("the export broke off")),
        }
    });
    (Writer { parts, patience, text: String::new() }, Body::from_stream(body))
}

impl Writer {
    pub async fn text(&mut self, text: &str) -> Result<(), Stopped> {
        self.text.push_str(text);
        match self.text.len() < PART_BYTES {
            true => Ok(()),
            false => self.hand_over().await,
        }
    }

    /// Ends the body well.
    pub async fn finish(mut self) {
        if self.hand_over().await.is_ok() {
            let _ = self.send(Part::End).await; // whoever has gone needs no end
        }
    }

    /// Ends the body so that its reader sees that something is missing.
    pub async fn break_off(mut self) {
        let _ = self.hand_over().await; // whoever has gone sees it anyhow
    }

    async fn hand_over(&mut self) -> Result<(), Stopped> {
        let mut bytes = Bytes::from(std::mem::take(&mut self.text));
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(PART_BYTES));
            self.send(Part::Bytes(part)).await?;
        }
        Ok(())
    }

    async fn send(&self, part: Part) -> Result<(), Stopped> {
        match timeout(self.patience, self.parts.send(part)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Stopped::Unread),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn read(body: Body) -> Result<String, axum::Error> {
        let bytes = body.collect().await?.to_bytes();
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_body_that_was_finished_is_whole_and_any_other_breaks_off() {
        let long = "ä".repeat(PART_BYTES);
        let (mut writer, body) = pair(Duration::from_secs(30));
        let reading = tokio::spawn(read(body));
        for text in ["a", &long, "b"] {
            assert!(writer.text(text).await.is_ok());
        }
        writer.finish().await;
        assert_eq!(reading.await.unwrap().unwrap(), format!("a{long}b"));

        let (mut writer, body) = pair(Duration::from_secs(30));
        let reading = tokio::spawn(read(body));
        assert!(writer.text("a").await.is_ok());
        writer.break_off().await;
        assert!(reading.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_reader_who_has_gone_or_does_not_read_is_given_up() {
        let part = "a".repeat(PART_BYTES);
        let (mut writer, body) = pair(Duration::from_secs(30));
        drop(body);
        assert!(matches!(writer.text(&part).await, Err(Stopped::Unread)));

        let (mut writer, _body) = pair(Duration::from_millis(10));
        assert!(writer.text(&part).await.is_ok());
        assert!(matches!(writer.text(&part).await, Err(Stopped::Unread)));
    }
}
