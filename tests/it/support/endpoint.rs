//! An endpoint that embeds as OpenAI's does, by words, and remembers what it was sent.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use binnacle::search::embedder::{OpenAi, OpenAiSettings};
use serde_json::{Value, json};

use super::embedder::vector_by_words;

pub const DIMENSION: usize = 64;

/// Serves until the process ends.
pub struct Endpoint {
    pub url: String,
    asked: Arc<Mutex<Asked>>,
}

/// What the endpoint was asked, and how it is to answer.
#[derive(Default)]
struct Asked {
    texts: Vec<String>,
    /// When each request came, and how many texts it brought.
    at: Vec<(Instant, usize)>,
    /// Answers of another kind that come first: status and headers.
    before: VecDeque<&'static str>,
}

impl Endpoint {
    /// An endpoint that first gives these answers, each a status line's end and headers.
    pub fn start(before: &[&'static str]) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Asked { before: before.iter().copied().collect(), ..Asked::default() }));
        let shared = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &shared);
            }
        });
        Endpoint { url, asked }
    }

    pub fn embedder(&self) -> Arc<OpenAi> {
        Arc::new(OpenAi::new(OpenAiSettings::new(&self.url, None, "words", DIMENSION).unwrap()))
    }

    /// Every text that was sent here, in order.
    pub fn texts(&self) -> Vec<String> {
        self.asked.lock().unwrap().texts.clone()
    }

    /// When each request came.
    pub fn times(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().at.iter().map(|(at, _)| *at).collect()
    }

    /// When each request came that brought several texts, which no question does.
    pub fn batches(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().at.iter().filter(|(_, texts)| *texts > 1).map(|(at, _)| *at).collect()
    }
}

fn answer(stream: TcpStream, asked: &Mutex<Asked>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap() == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let texts: Vec<String> = serde_json::from_value(body["input"].clone()).unwrap();

    let mut asked = asked.lock().unwrap();
    asked.at.push((Instant::now(), texts.len()));
    let (status, body) = match asked.before.pop_front() {
        Some(status) => (status, String::new()),
        None => {
            let vector = |(index, text): (usize, &String)| json!({"index": index, "embedding": vector_by_words(text, DIMENSION)});
            let data: Vec<Value> = texts.iter().enumerate().map(vector).collect();
            ("200 OK\r\n", json!({"data": data}).to_string())
        }
    };
    asked.texts.extend(texts);
    drop(asked);
    let head = format!("HTTP/1.1 {status}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.get_mut().write_all((head + &body).as_bytes());
}
