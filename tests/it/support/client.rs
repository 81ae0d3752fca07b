//! A client that speaks HTTP over one connection that it keeps open, as controllers do.

use std::io;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

use super::app::RECORD_AUDITS;

pub struct Client {
    address: String,
    connection: Option<BufStream<TcpStream>>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:#?}"))
    }
}

impl Client {
    pub fn new(address: &str) -> Client {
        Client { address: address.to_string(), connection: None }
    }

    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"), "").await
    }

    pub async fn post(&mut self, body: &str) -> io::Result<Answer> {
        self.send(&post_head(body, ""), body).await
    }

    pub async fn post_to(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        self.send(&post_head(body, "").replacen("/graphql", path, 1), body).await
    }

    /// The data of a GraphQL request that must succeed.
    pub async fn data(&mut self, query: &str, variables: Value) -> Value {
        let mut answer = self.post(&json!({"query": query, "variables": variables}).to_string()).await.unwrap().json();
        assert!(answer.get("errors").is_none(), "{query}\n{answer:#}");
        answer["data"].take()
    }

    /// Records a batch of inputs. `None` when nothing is acknowledged: the connection broke, or the server asks to try
    /// again.
    pub async fn record(&mut self, inputs: &[Value]) -> Option<Vec<Value>> {
        let body = json!({"query": RECORD_AUDITS, "variables": {"inputs": inputs}}).to_string();
        let mut answer = self.post(&body).await.ok()?.json();
        if let Some(error) = answer["errors"].get(0) {
            assert_eq!(error["extensions"]["retryable"], true, "{answer:#}");
            return None;
        }
        Some(serde_json::from_value(answer["data"]["recordAudits"].take()).unwrap())
    }

    /// Begins a request whose body is still to come: it runs from now on, and `finish` ends it.
    pub async fn begin_post(&mut self, body: &str) -> io::Result<()> {
        let connection = self.connection().await?;
        connection.write_all(post_head(body, "expect: 100-continue\r\n").as_bytes()).await?;
        connection.flush().await?;
        // The server asks for the body when its handler begins to read it.
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        assert!(line.starts_with("HTTP/1.1 100 "), "{line}");
        connection.read_line(&mut line).await?;
        Ok(())
    }

    pub async fn finish(&mut self, body: &str) -> io::Result<Answer> {
        self.send("", body).await
    }

    async fn send(&mut self, head: &str, body: &str) -> io::Result<Answer> {
        let connection = self.connection().await?;
        let answer = async {
            connection.write_all(head.as_bytes()).await?;
            connection.write_all(body.as_bytes()).await?;
            connection.flush().await?;
            read(connection).await
        };
        let answer = answer.await;
        if answer.is_err() {
            self.connection = None; // the next request connects anew
        }
        answer
    }

    async fn connection(&mut self) -> io::Result<&mut BufStream<TcpStream>> {
        if self.connection.is_none() {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            self.connection = Some(BufStream::new(stream));
        }
        Ok(self.connection.as_mut().expect("it was made above"))
    }
}

fn post_head(body: &str, more: &str) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{more}\r\n",
        body.len()
    )
}

async fn read(connection: &mut BufStream<TcpStream>) -> io::Result<Answer> {
    let mut status = 0;
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if connection.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().map_err(io::Error::other)?;
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().map_err(io::Error::other)?;
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    Ok(Answer { status, text: String::from_utf8(body).map_err(io::Error::other)? })
}
