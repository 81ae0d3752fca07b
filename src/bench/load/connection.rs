//! One connection of a caller: HTTP/1.1, kept open, and no more of it than Binnacle's answers need. Load is to cost little, since
//! what it takes of the processors is taken from the server.

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Most header lines of an answer.
const HEADERS_MAX: usize = 32;

pub struct Connection {
    stream: TcpStream,
    /// The lines of each request behind the first that stay the same, up to the value of `content-length`.
    lines: String,
    out: Vec<u8>,
    /// The answer that is being read.
    read: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let lines = format!(" HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: ");
        Ok(Connection { stream, lines, out: Vec::new(), read: Vec::new() })
    }

    /// Sends a JSON text and reads the whole answer: its status and its body.
    pub async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<(u16, &[u8])> {
        self.out.clear();
        for part in ["POST ", path, &self.lines, &body.len().to_string(), "\r\n\r\n", body] {
            self.out.extend_from_slice(part.as_bytes());
        }
        self.stream.write_all(&self.out).await?;
        self.read.clear();
        let (status, begins, ends) = loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                bail!("the server closed the connection before it had answered");
            }
            if let Some(head) = head(&self.read)? {
                break head;
            }
        };
        while self.read.len() < ends {
            self.read.reserve(ends - self.read.len());
            if self.stream.read_buf(&mut self.read).await? == 0 {
                bail!("the server closed the connection within its answer");
            }
        }
        Ok((status, &self.read[begins..ends]))
    }
}

/// The status, and where the body begins and ends; `None` where the head is not all there yet.
fn head(read: &[u8]) -> anyhow::Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(begins) = answer.parse(read).context("the server did not answer in HTTP")? else {
        return Ok(None);
    };
    let status = answer.code.context("the answer has no status")?;
    let length = answer
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok())
        .context("the answer does not say how long it is")?;
    Ok(Some((status, begins, begins + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_where_the_body_is() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(head(answer).unwrap(), Some((200, answer.len() - 2, answer.len())));
        assert_eq!(head(&answer[..20]).unwrap(), None, "it has only begun");
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "nobody knows where it ends");
        assert!(head(b"SSH-2.0\r\n\r\n").is_err());
    }
}
