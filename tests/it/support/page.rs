//! Pages in Markdown, and the commands of `curl` that they show.

use std::path::Path;

use axum::http::Method;

use super::app::{Answer, App};

/// The address that the pages' commands call.
const SERVER: &str = "http://127.0.0.1:8080";

/// A fenced block of a page.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence, such as `sh`.
    pub sort: String,
    pub text: String,
    /// Where it begins, for people.
    pub line: usize,
}

/// A command of `curl`, and what its page says of the answer.
#[derive(Debug, Default)]
pub struct Curl {
    pub method: Option<Method>,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    /// The status that stands below it, or beside it, as `# → 201`.
    pub promised: Option<u16>,
}

/// The text of a file of the repository.
pub fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks of a page, in their order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (line, text) in (1..).zip(page.lines()) {
        match (open, text.strip_prefix("```")) {
            (false, Some(sort)) => {
                blocks.push(Block { sort: sort.trim().to_string(), text: String::new(), line });
                open = true;
            }
            (true, Some(_)) => open = false,
            (true, None) => {
                let block = blocks.last_mut().expect("it is open");
                block.text.push_str(text);
                block.text.push('\n');
            }
            (false, None) => {}
        }
    }
    assert!(!open, "the last block of the page has no end");
    blocks
}

impl Block {
    /// The commands of `curl` in a block of `sh`. Other commands are passed over.
    pub fn curls(&self) -> Vec<Curl> {
        let mut curls: Vec<Curl> = Vec::new();
        let mut text = self.text.as_str();
        while !text.is_empty() {
            let (words, comment, rest) = command(text);
            text = rest;
            if words.first().is_some_and(|word| word == "curl") {
                curls.push(Curl::read(&words[1..]));
            }
            if let Some(promised) = comment.trim().strip_prefix('→') {
                let curl = curls.last_mut().unwrap_or_else(|| panic!("line {}: a status of no command", self.line));
                assert_eq!(curl.promised, None, "line {}: a second status", self.line);
                curl.promised = Some(promised.trim().parse().unwrap());
            }
        }
        curls
    }
}

impl Curl {
    fn read(words: &[String]) -> Curl {
        let mut curl = Curl::default();
        let (mut data, mut in_query): (Vec<String>, bool) = (Vec::new(), false);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("`{word}` has no value")).as_str();
            match word.as_str() {
                "-s" | "-i" | "-si" | "-is" | "-sS" | "-sN" | "-N" => {}
                // Where the answer goes is the shell's business.
                "-o" | "--output" | "-w" | "--write-out" => {
                    value();
                }
                "-X" | "--request" => curl.method = Some(value().parse().unwrap()),
                "-H" | "--header" => {
                    let (name, value) = value().split_once(':').expect("a header has a name and a value");
                    curl.headers.push((name.trim().to_lowercase(), value.trim().to_string()));
                }
                "-d" | "--data" | "--data-binary" => data.push(content(value())),
                "--data-urlencode" => data.push(encoded(value())),
                "-G" | "--get" => in_query = true,
                address if address.starts_with(SERVER) => curl.path = address[SERVER.len()..].to_string(),
                other => panic!("this reader of commands does not know `{other}` of curl"),
            }
        }
        assert!(!curl.path.is_empty(), "the command calls nothing at {SERVER}");
        match (data.is_empty(), in_query) {
            (true, _) => {}
            (false, true) => curl.path = format!("{}?{}", curl.path, data.join("&")),
            (false, false) => curl.body = Some(data.join("&")),
        }
        curl
    }

    /// The method that it calls with: of its own accord, curl posts what has a body.
    pub fn method(&self) -> Method {
        self.method.clone().unwrap_or(if self.body.is_some() { Method::POST } else { Method::GET })
    }

    /// Sends it to the app's router, as curl would.
    pub async fn run(&self, app: &App) -> Answer {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let untold = self.body.is_some() && self.headers.iter().all(|(name, _)| name != form.0);
        let told = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = told.chain(untold.then_some(form)).collect();
        app.rest(self.method(), &self.path, &headers, self.body.clone().unwrap_or_default()).await
    }
}

/// The words of the first command of `text`, the comment behind it, and what follows behind its line and the document that it
/// reads. What it is piped into is passed over. The text of a here-document stands for `@-`.
fn command(text: &str) -> (Vec<String>, &str, &str) {
    let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
    let (mut end_of_document, mut piped) = (None, false);
    let mut letters = text.char_indices();
    let (mut comment, mut rest) = ("", "");
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\n' => {
                rest = &text[at + 1..];
                break;
            }
            '#' if word.is_none() => {
                (comment, rest) = text[at + 1..].split_once('\n').unwrap_or((&text[at + 1..], ""));
                break;
            }
            '\\' => match letters.next() {
                Some((_, '\n')) | None => {}
                Some((_, letter)) => word.get_or_insert_default().push(letter),
            },
            '\'' | '"' => {
                let quoted = letters.by_ref().map(|(_, inner)| inner).take_while(|inner| *inner != letter);
                word.get_or_insert_default().extend(quoted);
            }
            ' ' | '|' => {
                words.extend(word.take().filter(|_| !piped));
                piped |= letter == '|';
            }
            letter => word.get_or_insert_default().push(letter),
        }
        if letter == '\'' && word.as_deref().is_some_and(|word| word.starts_with("<<")) {
            end_of_document = word.take().map(|word| word[2..].to_string());
        }
    }
    words.extend(word.filter(|_| !piped));
    let Some(end) = end_of_document else { return (words, comment, rest) };
    let (document, rest) = rest.split_once(&format!("\n{end}\n")).unwrap_or_else(|| panic!("`{end}` is missing"));
    for word in words.iter_mut().filter(|word| *word == "@-") {
        *word = document.to_string();
    }
    (words, comment, rest)
}

/// What `-d` says: a text, or a file.
fn content(value: &str) -> String {
    value.strip_prefix('@').map_or_else(|| value.to_string(), read)
}

/// What `--data-urlencode` says, such as `query={ … }`.
fn encoded(value: &str) -> String {
    let (name, text) = value.split_once('=').expect("a value has a name");
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    format!("{name}={}", text.bytes().map(letter).collect::<String>())
}
