//! A client of HTTP that keeps one connection open, as controllers do, and tells how far it came when that broke.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

/// Where a server is at the moment; `None` while it is nowhere.
pub type Address = watch::Receiver<Option<SocketAddr>>;

/// The longest that a writer waits for an answer before it takes the outcome for unknown.
pub const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

pub struct Http {
    address: Address,
    connection: Option<(SocketAddr, BufStream<TcpStream>)>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl Http {
    pub fn new(address: Address) -> Http {
        Http { address, connection: None }
    }

    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"), b"").await
    }

    pub async fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Answer> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.send(&head, body).await
    }

    async fn send(&mut self, head: &str, body: &[u8]) -> io::Result<Answer> {
        let answer = timeout(ANSWER_WAIT, async {
            let connection = self.connection().await?;
            connection.write_all(head.as_bytes()).await?;
            connection.write_all(body).await?;
            connection.flush().await?;
            read(connection).await
        });
        let answer = answer.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match answer {
            Ok((answer, true)) => Ok(answer),
            Ok((answer, false)) => {
                self.connection = None;
                Ok(answer)
            }
            Err(error) => {
                self.connection = None; // the next request connects anew
                Err(error)
            }
        }
    }

    async fn connection(&mut self) -> io::Result<&mut BufStream<TcpStream>> {
        let Some(address) = *self.address.borrow() else { return Err(io::ErrorKind::NotConnected.into()) };
        let known = self.connection.take().filter(|(known, _)| *known == address);
        let connection = match known {
            Some(known) => known,
            None => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                (address, BufStream::new(stream))
            }
        };
        Ok(&mut self.connection.insert(connection).1)
    }
}

/// An answer, and whether the connection takes more requests.
async fn read(connection: &mut BufStream<TcpStream>) -> io::Result<(Answer, bool)> {
    let (mut status, mut length, mut keep) = (0, 0, true);
    let mut line = String::new();
    loop {
        line.clear();
        if connection.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest.get(..3).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().map_err(io::Error::other)?;
        } else if line == "connection: close" {
            keep = false;
        } else if line.is_empty() {
            break;
        }
    }
    if length > ANSWER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    Ok((Answer { status, text: String::from_utf8(body).map_err(io::Error::other)? }, keep))
}
