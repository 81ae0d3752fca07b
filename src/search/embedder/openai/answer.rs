//! What an endpoint's answer means: vectors that are checked, or why there are none.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::search::{
    embedder::{EmbedError, normalised},
    vectors::UNFIT,
};

/// The longest that an endpoint may make us wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Longest word of an endpoint's error that is passed on.
const CODE_MAX: usize = 64;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    /// Some endpoints write `null` for what is no number.
    embedding: Vec<Option<f32>>,
}

/// The vectors of an answer, in the order of the texts, each of length 1.
pub fn vectors(body: &[u8], asked: usize, dimension: usize) -> Result<Vec<Vec<f32>>, EmbedError> {
    // The error's own text would show a part of the body.
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| unavailable("its answer is not the JSON of embeddings"))?;
    let given = answer.data.len();
    if given != asked {
        return Err(unavailable(&format!("it gave {given} vectors for {asked} texts")));
    }
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; asked];
    for Item { index, embedding } in answer.data {
        let place = vectors.get_mut(index).filter(|place| place.is_none());
        let place = place.ok_or_else(|| unavailable("it does not number its vectors as the texts"))?;
        *place = Some(vector(embedding, dimension)?);
    }
    Ok(vectors.into_iter().flatten().collect())
}

fn vector(numbers: Vec<Option<f32>>, dimension: usize) -> Result<Vec<f32>, EmbedError> {
    let given = numbers.len();
    if given != dimension {
        let reason = format!("its vectors have {given} numbers, and `--embedding-dimension` is {dimension}");
        return Err(EmbedError::Misconfigured { reason });
    }
    // One text alone may be the cause, so it is for the text that there is no vector.
    let unfit = || EmbedError::Refused { reason: UNFIT.to_string() };
    let numbers = numbers.into_iter().collect::<Option<Vec<f32>>>().ok_or_else(unfit)?;
    normalised(numbers).ok_or_else(unfit)
}

/// What an answer of another status than success means. `code` is the endpoint's own word for it.
pub fn failure(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> EmbedError {
    let told = match code {
        Some(code) => format!("status {status}, {code}"),
        None => format!("status {status}"),
    };
    match status {
        400 | 413 | 422 => EmbedError::Refused { reason: told },
        429 | 503 => EmbedError::Unavailable { reason: told, retry_after },
        408 | 425 | 500..=599 => unavailable(&told),
        401 | 403 => EmbedError::Misconfigured { reason: format!("it does not take the key ({told})") },
        404 => EmbedError::Misconfigured {
            reason: format!("it has no embeddings at this address, or no such model ({told})"),
        },
        300..=399 => EmbedError::Misconfigured {
            reason: format!("it sends us elsewhere; name that address with `--embedding-url` ({told})"),
        },
        _ => EmbedError::Misconfigured { reason: told },
    }
}

/// The word by which the endpoint calls its error. Its sentence may repeat the text, or the key, and goes no further.
pub fn code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = &body["error"];
    let word = error["code"].as_str().or(error["type"].as_str())?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    (word.len() <= CODE_MAX && word.chars().all(plain)).then(|| word.to_string())
}

/// How long to wait by a `Retry-After`: seconds, or a time.
pub fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(header).ok()?.to_utc() - now).to_std().unwrap_or(Duration::ZERO),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn unavailable(reason: &str) -> EmbedError {
    EmbedError::Unavailable { reason: reason.to_string(), retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_seconds_or_as_a_time_and_is_an_hour_at_most() {
        let now = "2026-05-04T10:00:00Z".parse().unwrap();
        let wait = |header| retry_after(header, now).map(|wait| wait.as_secs());
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("86400"), Some(3_600));
        assert_eq!(wait("Mon, 04 May 2026 10:00:30 GMT"), Some(30));
        assert_eq!(wait("Mon, 04 May 2026 09:00:00 GMT"), Some(0), "it is over");
        assert_eq!(wait("Fri, 04 May 2096 10:00:30 GMT"), Some(3_600));
        for none in ["", "soon", "-1", "1.5"] {
            assert_eq!(wait(none), None, "{none}");
        }
    }

    #[test]
    fn of_an_error_only_its_word_is_passed_on() {
        let told = |body: &str| code(body.as_bytes());
        let long = r#"{"error": {"message": "the text says checkout pods", "code": "context_length_exceeded"}}"#;
        assert_eq!(told(long).as_deref(), Some("context_length_exceeded"));
        assert_eq!(told(r#"{"error": {"type": "server_error", "code": null}}"#).as_deref(), Some("server_error"));
        for none in ["<html>", "{}", r#"{"error": "the text"}"#, r#"{"error": {"code": "The text says"}}"#] {
            assert_eq!(told(none), None, "{none}");
        }
    }
}
