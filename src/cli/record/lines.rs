//! JSON lines become submissions: one line at a time, each with its problems, in bounded memory.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use crate::audit::{Kind, Problem, Submission, json};

/// Longest line, in bytes: a largest payload in the most wasteful spelling, and its envelope.
pub const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A line that was read.
#[derive(Debug)]
pub struct Line {
    /// From 1, as editors count.
    pub number: u64,
    pub bytes: usize,
    pub submission: Result<Submission, Vec<Problem>>,
}

/// Reads lines. Nothing is lost when `next` is given up before it ends: what has come is kept here.
pub struct Lines<R> {
    reader: R,
    number: u64,
    bytes: usize,
    text: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub fn new(reader: R) -> Lines<R> {
        Lines { reader, number: 0, bytes: 0, text: Vec::new() }
    }

    /// The next line that is not empty; `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let came = self.reader.fill_buf().await?;
            let (taken, ended) = match came.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (came.len(), came.is_empty()),
            };
            let last = came.is_empty();
            if last && self.bytes == 0 {
                return Ok(None);
            }
            // Of a line that is too long only the length is kept.
            let room = LINE_BYTES_MAX.saturating_sub(self.text.len());
            self.text.extend_from_slice(&came[..taken.min(room)]);
            self.bytes += taken;
            self.reader.consume(taken);
            if ended && let Some(line) = self.end_line() {
                return Ok(Some(line));
            }
        }
    }

    fn end_line(&mut self) -> Option<Line> {
        self.number += 1;
        let bytes = std::mem::take(&mut self.bytes);
        let submission = if bytes > LINE_BYTES_MAX {
            let message = format!("the line has {bytes} bytes; at most {LINE_BYTES_MAX} are allowed");
            Some(Err(vec![problem(vec![], "TOO_LARGE", message)]))
        } else {
            let text = self.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.text);
            match std::str::from_utf8(text) {
                Ok(text) if text.trim().is_empty() => None,
                Ok(text) => Some(read(text.trim_end())),
                Err(_) => Some(Err(vec![problem(vec![], "MALFORMED", "the line is not text in UTF-8")])),
            }
        };
        self.text.clear();
        submission.map(|submission| Line { number: self.number, bytes, submission })
    }
}

/// Reads one line: the fields of a GraphQL input, and `kind`.
fn read(text: &str) -> Result<Submission, Vec<Problem>> {
    let json::Object { mut fields, flaws: mut problems } = json::object(text, "the line")?;
    let kind = match fields.remove("kind") {
        Some(Value::String(word)) => {
            Kind::parse(&word).ok_or_else(|| format!("`kind` is `{word}`; allowed are {}", kinds()))
        }
        Some(_) => Err(format!("`kind` has to be a text: one of {}", kinds())),
        None => Err(format!("`kind` is missing: one of {}", kinds())),
    };
    match kind {
        Ok(kind) if problems.is_empty() => Ok(Submission::of_fields(kind, fields)),
        Ok(_) => Err(problems),
        Err(message) => {
            problems.insert(0, problem(vec!["kind".to_string()], "UNKNOWN_WORD", message));
            Err(problems)
        }
    }
}

fn kinds() -> String {
    Kind::ALL.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")
}

fn problem(path: Vec<String>, code: &'static str, message: impl Into<String>) -> Problem {
    Problem { path, code, message: message.into() }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    async fn all(text: &[u8]) -> Vec<String> {
        // A small buffer, so that lines come in pieces.
        let mut lines = Lines::new(BufReader::with_capacity(7, text));
        let mut told = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            let number = line.number;
            told.push(match line.submission {
                Ok(submission) => format!("{number}: {} {}", submission.kind.word(), Value::Object(submission.fields)),
                Err(problems) => {
                    let told: Vec<_> =
                        problems.iter().map(|p| format!("{} {} {}", p.path.join("."), p.code, p.message)).collect();
                    format!("{number}: {}", told.join(" | "))
                }
            });
        }
        told
    }

    #[tokio::test]
    async fn each_line_is_a_submission_or_its_problems_and_empty_ones_are_passed_over() {
        let text = b"\xef\xbb\xbf{\"kind\": \"notification\", \"remediationId\": \"rr\"}\r\n\n  \n\
            {\"kind\": \"pigeon\", \"x\": 9007199254740993.0, \"x\": 1}\n{\"kind\": 7}\n[1]\n{\"a\": \n\xff\n\
            {\"kind\": \"OTHER\"}";
        insta::assert_snapshot!(all(text).await.join("\n"), @r#"
        1: NOTIFICATION {"remediationId":"rr"}
        4: kind UNKNOWN_WORD `kind` is `pigeon`; allowed are ORCHESTRATION, SIGNAL_PROCESSING, AI_ANALYSIS, WORKFLOW_EXECUTION, NOTIFICATION, EFFECTIVENESS, OTHER | x INEXACT_NUMBER 9007199254740993.0 does not fit a 64-bit number exactly; send it as a string | x DOUBLED_NAME `x` is given twice in one object
        5: kind UNKNOWN_WORD `kind` has to be a text: one of ORCHESTRATION, SIGNAL_PROCESSING, AI_ANALYSIS, WORKFLOW_EXECUTION, NOTIFICATION, EFFECTIVENESS, OTHER
        6:  MALFORMED the line is not a JSON object
        7:  MALFORMED the line is not JSON: EOF while parsing a value at column 5
        8:  MALFORMED the line is not text in UTF-8
        9: OTHER {}
        "#);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_one_problem_and_the_next_one_is_read() {
        let text =
            format!("{{\"kind\": \"OTHER\", \"x\": \"{}\"}}\n{{\"kind\": \"OTHER\"}}\n", "x".repeat(LINE_BYTES_MAX));
        let told = all(text.as_bytes()).await;
        assert!(told[0].contains("TOO_LARGE"), "{}", &told[0][..200.min(told[0].len())]);
        assert_eq!(told[1..], ["2: OTHER {}"]);
    }

    #[tokio::test]
    async fn nothing_is_lost_when_reading_is_given_up_and_begun_again() {
        use tokio::io::AsyncWriteExt as _;
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = Lines::new(BufReader::new(reader));
        writer.write_all(b"{\"kind\": ").await.unwrap();
        assert!(futures_util::FutureExt::now_or_never(lines.next()).is_none());
        writer.write_all(b"\"OTHER\"}\n").await.unwrap();
        assert!(lines.next().await.unwrap().unwrap().submission.is_ok());
    }
}
