//! The body of an answer that is written as it comes, and that shows whether it came to its end.

use std::{io, time::Duration};

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::error::ClientError;

/// Bytes that are handed over at once. A reader has to take so many within the writer's patience.
const PART_BYTES: usize = 64 * 1024;

/// How long a writer waits for its reader. Only waiting counts, and not the time that it takes to come by what is written.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest for one part.
    pub patience: Duration,
    /// Longest for all parts together, beside what they have earned.
    pub grace: Duration,
    /// How many bytes earn another second.
    pub bytes_per_second: u64,
}

/// Writes a body. Dropped before `finish`, it leaves a body that breaks off.
pub struct Writer {
    parts: mpsc::Sender<Part>,
    pace: Pace,
    /// Bytes that were handed over.
    taken: u64,
    /// How long the reader has been waited for.
    waited: Duration,
    /// What is not handed over yet.
    text: String,
}

enum Part {
    Bytes(Bytes),
    End,
}

/// Why nothing more is written.
pub enum Stopped {
    /// The reader has gone, or reads too slowly.
    Unread,
    Failed(ClientError),
}

impl From<ClientError> for Stopped {
    fn from(error: ClientError) -> Stopped {
        Stopped::Failed(error)
    }
}

/// A writer, and the body that it writes for a reader of this pace.
pub fn pair(pace: Pace) -> (Writer, Body) {
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
    let writer = Writer { parts, pace, taken: 0, waited: Duration::ZERO, text: String::new() };
    (writer, Body::from_stream(body))
}

impl Writer {
    pub async fn text(&mut self, text: &str) -> Result<(), Stopped> {
        self.text.push_str(text);
        match self.text.len() < PART_BYTES {
            true => Ok(()),
            false => self.hand_over().await,
        }
    }

    /// Whether the reader has gone.
    pub fn unread(&self) -> bool {
        self.parts.is_closed()
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
            let length = part.len() as u64;
            self.send(Part::Bytes(part)).await?;
            self.taken += length;
        }
        Ok(())
    }

    async fn send(&mut self, part: Part) -> Result<(), Stopped> {
        let earned = Duration::from_millis(self.taken * 1_000 / self.pace.bytes_per_second);
        let left = (self.pace.grace + earned).saturating_sub(self.waited);
        let begin = Instant::now();
        // Even with no time left a part is handed over to a reader who is ready for it.
        let sent = timeout(self.pace.patience.min(left), self.parts.send(part)).await;
        self.waited += begin.elapsed();
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Stopped::Unread),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const PATIENT: Pace =
        Pace { patience: Duration::from_secs(30), grace: Duration::from_secs(60), bytes_per_second: 16 * 1024 };

    async fn read(body: Body) -> Result<String, axum::Error> {
        let bytes = body.collect().await?.to_bytes();
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_body_that_was_finished_is_whole_and_any_other_breaks_off() {
        let long = "ä".repeat(PART_BYTES);
        let (mut writer, body) = pair(PATIENT);
        let reading = tokio::spawn(read(body));
        for text in ["a", &long, "b"] {
            assert!(writer.text(text).await.is_ok());
        }
        writer.finish().await;
        assert_eq!(reading.await.unwrap().unwrap(), format!("a{long}b"));

        let (mut writer, body) = pair(PATIENT);
        let reading = tokio::spawn(read(body));
        assert!(writer.text("a").await.is_ok());
        writer.break_off().await;
        assert!(reading.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_reader_who_has_gone_or_does_not_read_is_given_up() {
        let part = "a".repeat(PART_BYTES);
        let (mut writer, body) = pair(PATIENT);
        drop(body);
        assert!(matches!(writer.text(&part).await, Err(Stopped::Unread)));

        assert!(writer.unread());

        let (mut writer, _body) = pair(Pace { patience: Duration::from_millis(10), ..PATIENT });
        assert!(writer.text(&part).await.is_ok());
        assert!(matches!(writer.text(&part).await, Err(Stopped::Unread)));
    }

    /// How many of 50 parts a reader gets who takes one every 20 ms.
    async fn parts_of_a_slow_reader(pace: Pace) -> usize {
        let part = "a".repeat(PART_BYTES);
        let (mut writer, mut body) = pair(pace);
        let reading = tokio::spawn(async move {
            while body.frame().await.is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut parts = 0;
        while parts < 50 && writer.text(&part).await.is_ok() {
            parts += 1;
        }
        drop(writer);
        reading.await.unwrap();
        parts
    }

    #[tokio::test]
    async fn a_reader_may_be_slow_for_as_long_as_it_takes_enough_on_average() {
        let grace = Duration::from_millis(100);
        // A part earns 1 ms.
        assert!(
            parts_of_a_slow_reader(Pace { grace, bytes_per_second: PART_BYTES as u64 * 1_000, ..PATIENT }).await < 10
        );
        // A part earns 10 s.
        assert_eq!(
            parts_of_a_slow_reader(Pace { grace, bytes_per_second: PART_BYTES as u64 / 10, ..PATIENT }).await,
            50
        );
    }
}
