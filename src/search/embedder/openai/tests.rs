//! The endpoint against a server that answers what it is told to.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use serde_json::Value;

use super::*;
use crate::config::Key;

const KEY: &str = "sk-do-not-tell";

/// A server that gives these answers, one for each request, and passes on what it was asked: the head and the body.
struct Server {
    url: String,
    asked: mpsc::Receiver<(String, Value)>,
}

impl Server {
    fn answering<Text: Into<String>>(answers: impl IntoIterator<Item = Text>) -> Server {
        let answers: Vec<String> = answers.into_iter().map(Into::into).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (sender, asked) = mpsc::channel();
        thread::spawn(move || {
            for answer in answers {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap() > 0 {}
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                stream.read_exact(&mut body).unwrap();
                let _ = sender.send((head, serde_json::from_slice(&body).unwrap()));
                if answer.is_empty() {
                    thread::sleep(Duration::from_secs(2)); // a slow one
                }
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        });
        Server { url, asked }
    }

    fn embedder(&self) -> OpenAi {
        self.embedder_of("bge", Limits::default())
    }

    fn embedder_of(&self, model: &str, limits: Limits) -> OpenAi {
        OpenAi::within(OpenAiSettings::new(&self.url, Some(key()), model, 2).unwrap(), limits)
    }
}

fn key() -> Key {
    Key::of(KEY).unwrap()
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

fn ok(data: &str) -> String {
    http("200 OK", "", &format!(r#"{{"object": "list", "data": [{data}], "model": "bge"}}"#))
}

const ONE: &str = r#"{"object": "embedding", "index": 0, "embedding": [3, 4]}"#;

/// What comes of these answers for so many texts.
async fn told<Text: Into<String>>(
    texts: usize,
    purpose: Purpose,
    answers: impl IntoIterator<Item = Text>,
) -> Result<Vec<Vec<f32>>, EmbedError> {
    let texts: Vec<String> = (0..texts).map(|n| format!("text {n}")).collect();
    let told = Server::answering(answers).embedder().embed(&texts, purpose).await;
    assert!(!format!("{told:?}").contains(KEY), "{told:?}");
    told
}

async fn question(answer: String) -> Result<Vec<Vec<f32>>, EmbedError> {
    told(1, Purpose::Question, [answer]).await
}

#[tokio::test]
async fn texts_go_out_with_model_and_key_and_vectors_come_back_with_length_1() {
    let server = Server::answering([ok(ONE), ok(ONE)]);
    let texts = ["why".to_string()];
    assert_eq!(server.embedder().embed(&texts, Purpose::Question).await, Ok(vec![vec![0.6, 0.8]]));
    let (head, body) = server.asked.recv().unwrap();
    assert!(head.starts_with("POST /v1/embeddings HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains(&format!("\r\nauthorization: bearer {KEY}\r\n")), "{head}");
    assert_eq!(body, json!({"model": "bge", "input": ["why"], "encoding_format": "float"}));

    let shortened = server.embedder_of("text-embedding-3-small", Limits::default());
    shortened.embed(&texts, Purpose::Question).await.unwrap();
    assert_eq!(server.asked.recv().unwrap().1["dimensions"], 2);
}

#[tokio::test]
async fn vectors_are_put_in_the_order_of_the_texts() {
    let data = r#"{"index": 1, "embedding": [0, 5]}, {"index": 0, "embedding": [5, 0]}"#;
    let told = told(2, Purpose::Documents, [ok(data)]).await;
    assert_eq!(told, Ok(vec![vec![1.0, 0.0], vec![0.0, 1.0]]));
}

#[tokio::test]
async fn documents_are_sent_again_after_an_error_and_a_question_is_not() {
    let answers = || [http("500 Oops", "", ""), http("200 OK", "", "<html>"), ok(ONE)];
    assert_eq!(told(1, Purpose::Documents, answers()).await, Ok(vec![vec![0.6, 0.8]]));
    assert!(matches!(told(1, Purpose::Question, answers()).await, Err(EmbedError::Unavailable { .. })));
    let failed =
        told(1, Purpose::Documents, [http("500 Oops", "", ""), http("502 Oops", "", ""), http("500 Oops", "", "")]);
    assert_eq!(failed.await.unwrap_err().to_string(), "the embedder does not answer: status 500");
}

#[tokio::test]
async fn what_is_not_the_json_of_embeddings_is_no_answer() {
    let no_numbers = r#"{"index": 0, "embedding": [NaN, 1]}"#;
    let text = r#"{"index": 0, "embedding": "AACAPwAAAEA="}"#;
    let too_large = r#"{"index": 0, "embedding": [1e39, 1]}"#;
    let twice = format!("{ONE}, {ONE}");
    let elsewhere = r#"{"index": 7, "embedding": [3, 4]}"#;
    let bodies = [http("200 OK", "", "<html><body>Log in</body></html>"), http("200 OK", "", "")];
    for answer in bodies.into_iter().chain([no_numbers, text, too_large, "", &twice, elsewhere].map(ok)) {
        let told = question(answer.clone()).await;
        assert!(matches!(told, Err(EmbedError::Unavailable { retry_after: None, .. })), "{answer} {told:?}");
    }
    let fewer = told(2, Purpose::Question, [ok(ONE)]).await.unwrap_err();
    assert_eq!(fewer.to_string(), "the embedder does not answer: it gave 1 vectors for 2 texts");
    let same = told(2, Purpose::Question, [ok(&twice)]).await;
    assert!(matches!(same, Err(EmbedError::Unavailable { .. })), "{same:?}");
}

#[tokio::test]
async fn a_vector_without_numbers_is_a_refusal_of_the_text() {
    for numbers in ["null, 1", "null, null", "0, 0"] {
        let told = question(ok(&format!(r#"{{"index": 0, "embedding": [{numbers}]}}"#))).await;
        assert!(matches!(told, Err(EmbedError::Refused { .. })), "{numbers} {told:?}");
    }
}

#[tokio::test]
async fn another_dimension_is_a_mistake_of_the_settings() {
    let told = question(ok(r#"{"index": 0, "embedding": [1, 2, 3]}"#)).await.unwrap_err();
    insta::assert_snapshot!(told, @"the embedder is set up wrongly: its vectors have 3 numbers, and `--embedding-dimension` is 2");
}

#[tokio::test]
async fn each_status_says_whether_another_try_may_help() {
    let body = format!(r#"{{"error": {{"message": "you sent text 0 with {KEY}", "code": "{KEY}"}}}}"#);
    for status in [400, 413, 422] {
        let told = question(http(&format!("{status} No"), "", &body)).await;
        assert_eq!(told, Err(EmbedError::Refused { reason: format!("status {status}") }));
    }
    for status in [301, 307, 401, 403, 404, 405] {
        let told = question(http(&format!("{status} No"), "location: http://127.0.0.1:1/\r\n", &body)).await;
        assert!(matches!(told, Err(EmbedError::Misconfigured { .. })), "{status} {told:?}");
    }
    for status in [408, 500, 502, 504] {
        let told = question(http(&format!("{status} No"), "retry-after: 7\r\n", &body)).await;
        assert!(matches!(told, Err(EmbedError::Unavailable { retry_after: None, .. })), "{status} {told:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_says_when_to_come_back_is_not_asked_before() {
    for status in ["429 Slow down", "503 Busy"] {
        // A second request would get vectors.
        let told = told(1, Purpose::Documents, [http(status, "Retry-After: 7\r\n", ""), ok(ONE)]).await;
        assert!(
            matches!(told, Err(EmbedError::Unavailable { retry_after: Some(wait), .. }) if wait.as_secs() == 7),
            "{told:?}"
        );
    }
    let later = (Utc::now() + chrono::TimeDelta::seconds(90)).format("%a, %d %b %Y %H:%M:%S GMT");
    let told = question(http("429 Slow down", &format!("Retry-After: {later}\r\n"), "")).await;
    let Err(EmbedError::Unavailable { retry_after: Some(wait), .. }) = told else { panic!("{told:?}") };
    assert!((80..=90).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn nothing_is_sent_in_the_pause_that_an_endpoint_has_asked_for() {
    let server = Server::answering([http("429 Slow down", "Retry-After: 1\r\n", ""), ok(ONE)]);
    let (embedder, texts) = (server.embedder(), ["why".to_string()]);
    for purpose in [Purpose::Documents, Purpose::Question, Purpose::Documents] {
        let told = embedder.embed(&texts, purpose).await;
        assert!(matches!(told, Err(EmbedError::Unavailable { retry_after: Some(_), .. })), "{told:?}");
    }
    assert_eq!(server.asked.try_iter().count(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(embedder.embed(&texts, Purpose::Question).await, Ok(vec![vec![0.6, 0.8]]));
}

#[tokio::test]
async fn a_slow_answer_is_not_waited_for() {
    let server = Server::answering([""]);
    let limits = Limits { question: Duration::from_millis(100), ..Limits::default() };
    let told = server.embedder_of("bge", limits).embed(&["why".to_string()], Purpose::Question).await.unwrap_err();
    insta::assert_snapshot!(told, @"the embedder does not answer: it took longer than 0.1 s");
}

#[tokio::test]
async fn an_endless_answer_is_not_read() {
    let server = Server::answering([ok(&ONE.repeat(1_000))]);
    let limits = Limits { answer_bytes_max: 1_000, ..Limits::default() };
    let told = server.embedder_of("bge", limits).embed(&["why".to_string()], Purpose::Question).await.unwrap_err();
    insta::assert_snapshot!(told, @"the embedder does not answer: its answer has more than 1000 B");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_away() {
    let settings = OpenAiSettings::new("http://127.0.0.1:1/v1", Some(key()), "bge", 2).unwrap();
    assert!(!format!("{settings:?}").contains(KEY));
    let told = OpenAi::new(settings).embed(&["why".to_string()], Purpose::Question).await;
    assert!(matches!(told, Err(EmbedError::Unavailable { .. })), "{told:?}");
}
