//! An endpoint that embeds as OpenAI's does, and that can be away, ask for a pause, or answer with nonsense.

use std::{io, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

const DIMENSION: usize = 32;

/// How the endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    Vectors,
    /// It hangs up.
    Away,
    /// 429, with a pause to wait.
    TooMany,
    /// Vectors of another length.
    WrongDimension,
    /// 500.
    Broken,
}

pub struct Endpoint {
    url: String,
    answers: Arc<watch::Sender<Answers>>,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    pub async fn start() -> io::Result<Endpoint> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        let answers = Arc::new(watch::Sender::new(Answers::Vectors));
        let shared = answers.clone();
        let accepting = tokio::spawn(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    let answers = *shared.borrow();
                    tokio::spawn(async move {
                        let _ = answer(stream, answers).await; // the server sees how it ended
                    });
                }
            }
        });
        Ok(Endpoint { url, answers, accepting })
    }

    pub fn set(&self, answers: Answers) {
        self.answers.send_replace(answers);
    }

    /// The settings of a server that embeds here.
    pub fn arguments(&self) -> Vec<String> {
        let dimension = DIMENSION.to_string();
        let pairs = [
            ("--embedder", "openai"),
            ("--embedding-url", &self.url),
            ("--embedding-model", "chaos"),
            ("--embedding-dimension", &dimension),
            ("--embedding-send", "AI_ANALYSIS"),
            ("--embedding-fields", "AI_ANALYSIS"),
        ];
        pairs.iter().flat_map(|(flag, value)| [(*flag).to_string(), (*value).to_string()]).collect()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Answers one request and hangs up.
async fn answer(stream: TcpStream, answers: Answers) -> io::Result<()> {
    if answers == Answers::Away {
        return Ok(());
    }
    let mut stream = BufStream::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body: Value = serde_json::from_slice(&body)?;
    let texts = body["input"].as_array().map_or(1, Vec::len);
    let (status, body) = match answers {
        Answers::Vectors => ("200 OK", vectors(texts, DIMENSION)),
        Answers::WrongDimension => ("200 OK", vectors(texts, DIMENSION - 1)),
        Answers::TooMany => ("429 Too Many Requests\r\nretry-after: 1", String::new()),
        Answers::Broken | Answers::Away => ("500 Internal Server Error", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.flush().await
}

/// A vector for each text; what they say does not matter here.
fn vectors(texts: usize, dimension: usize) -> String {
    let vector: Vec<f64> = (0..dimension).map(|place| if place == 0 { 1.0 } else { 0.0 }).collect();
    let data: Vec<Value> = (0..texts).map(|index| json!({"index": index, "embedding": vector})).collect();
    json!({"data": data}).to_string()
}
