//! Stands in for Postgres, in this process and without a thread: it says that every append was recorded and keeps nothing of it,
//! and tells the same stream to whoever asks for one. Just enough of the protocol for that.

use std::{collections::HashMap, io, sync::Arc};

use binnacle::audit::Entry;
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

const JOURNAL: Uuid = Uuid::from_u128(1);
/// What Postgres counts its times from.
const EPOCH: &str = "2000-01-01T00:00:00Z";

/// A column's type, as Postgres numbers it.
type Oid = u32;
const BYTEA: Oid = 17;
const INT8: Oid = 20;
const INT2: Oid = 21;
const INT4: Oid = 23;
const TEXT: Oid = 25;
const TIMESTAMPTZ: Oid = 1184;
const UUID: Oid = 2950;
const RECORD: Oid = 2249;
/// The types of receipts' columns, each with that of a list of it.
const LISTS: [(Oid, Oid); 4] = [(TEXT, 1009), (INT8, 1016), (INT4, 1007), (TIMESTAMPTZ, 1185)];

/// A row in the binary format, and the types of its columns.
#[derive(Clone, Default)]
struct Row(Vec<(Oid, Option<Vec<u8>>)>);

impl Row {
    fn with(mut self, oid: Oid, value: impl Into<Option<Vec<u8>>>) -> Row {
        self.0.push((oid, value.into()));
        self
    }

    fn number(self, value: i64) -> Row {
        self.with(INT8, value.to_be_bytes().to_vec())
    }

    fn small(self, value: i32) -> Row {
        self.with(INT4, value.to_be_bytes().to_vec())
    }

    fn text<'t>(self, value: impl Into<Option<&'t str>>) -> Row {
        self.with(TEXT, value.into().map(|text| text.as_bytes().to_vec()))
    }

    fn id(self, value: Option<Uuid>) -> Row {
        self.with(UUID, value.map(|id| id.as_bytes().to_vec()))
    }

    /// A row of one column that holds the row given.
    fn record(row: Row) -> Row {
        let mut told = (row.0.len() as u32).to_be_bytes().to_vec();
        for (oid, value) in &row.0 {
            told.extend(oid.to_be_bytes());
            tell(&mut told, value.as_deref());
        }
        Row::default().with(RECORD, told)
    }

    /// A row of lists, each with what a column has in all the receipts.
    fn lists(receipts: &[Row]) -> Row {
        let list = |(column, (oid, of_lists)): (usize, (Oid, Oid))| {
            let dimensions = u32::from(!receipts.is_empty());
            let mut told: Vec<u8> = [dimensions, 0, oid].into_iter().flat_map(u32::to_be_bytes).collect();
            if dimensions == 1 {
                told.extend([receipts.len() as u32, 1].into_iter().flat_map(u32::to_be_bytes));
            }
            receipts.iter().for_each(|receipt| tell(&mut told, receipt.0[column].1.as_deref()));
            (of_lists, Some(told))
        };
        Row(LISTS.into_iter().enumerate().map(list).collect())
    }

    fn time(self, value: DateTime<Utc>) -> Row {
        let epoch: DateTime<Utc> = EPOCH.parse().expect("it is a time");
        let micros = (value - epoch).num_microseconds().expect("the time is near");
        self.with(TIMESTAMPTZ, micros.to_be_bytes().to_vec())
    }
}

/// The statements that are known, by a word of theirs.
#[derive(Clone, Copy)]
enum Statement {
    Head,
    AppendOne,
    AppendBatch,
    Stream,
    /// Anything else has no rows.
    Other,
}

impl Statement {
    fn of(text: &str) -> Statement {
        match text {
            text if text.contains("journal_append(") => Statement::AppendOne,
            text if text.contains("journal_append_batch(") => Statement::AppendBatch,
            text if text.contains("journal_stream(") => Statement::Stream,
            text if text.contains("FROM journal_head") => Statement::Head,
            _ => Statement::Other,
        }
    }
}

/// Starts it; it tells of `stream` to whoever asks for any.
pub async fn start(stream: Vec<Entry>) -> io::Result<PgConnectOptions> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let stream: Arc<Vec<Row>> = Arc::new(stream.iter().map(entry).collect());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(Session::serve(client, stream.clone()));
        }
    });
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("binnacle");
    Ok(options.ssl_mode(PgSslMode::Disable))
}

struct Session {
    stream: Arc<Vec<Row>>,
    prepared: HashMap<Vec<u8>, Statement>,
    bound: Statement,
    /// How many events the append that was bound has.
    events: i64,
    position: i64,
    answer: Vec<u8>,
}

impl Session {
    async fn serve(client: TcpStream, stream: Arc<Vec<Row>>) -> io::Result<()> {
        client.set_nodelay(true)?;
        let (input, output) = client.into_split();
        let (mut input, mut output) = (BufReader::new(input), BufWriter::new(output));
        let length = input.read_u32().await? as usize;
        input.read_exact(&mut vec![0; length - 4]).await?;
        let prepared = HashMap::new();
        let mut session =
            Session { stream, prepared, bound: Statement::Other, events: 0, position: 0, answer: Vec::new() };
        session.say(b'R', &0_u32.to_be_bytes());
        session.say(b'Z', b"I");
        loop {
            output.write_all(&session.answer).await?;
            output.flush().await?;
            session.answer.clear();
            // All that a client sends up to a `Sync` is answered at once.
            loop {
                let kind = input.read_u8().await?;
                let length = input.read_u32().await? as usize;
                let mut message = vec![0; length - 4];
                input.read_exact(&mut message).await?;
                session.hear(kind, &message);
                if kind == b'S' {
                    break;
                }
            }
        }
    }

    fn hear(&mut self, kind: u8, message: &[u8]) {
        match kind {
            b'P' => {
                let (name, rest) = word(message);
                let (text, _) = word(rest);
                self.prepared.insert(name.to_vec(), Statement::of(&String::from_utf8_lossy(text)));
                self.say(b'1', b"");
            }
            b'D' => {
                let statement = self.prepared.get(word(&message[1..]).0).copied().unwrap_or(Statement::Other);
                self.say(b't', &0_u16.to_be_bytes());
                self.describe(statement);
            }
            b'B' => {
                let (_, rest) = word(message);
                let (name, rest) = word(rest);
                self.bound = self.prepared.get(name).copied().unwrap_or(Statement::Other);
                self.events = events(rest);
                self.say(b'2', b"");
            }
            b'E' => {
                match self.bound {
                    Statement::Head => self.tell(&head()),
                    Statement::AppendOne => {
                        self.position += 1;
                        self.tell(&Row::record(receipt(self.position)));
                    }
                    Statement::AppendBatch => {
                        let first = self.position + 1;
                        self.position += self.events;
                        self.tell(&Row::lists(&(first..=self.position).map(receipt).collect::<Vec<_>>()));
                    }
                    Statement::Stream => self.stream.clone().iter().for_each(|row| self.tell(row)),
                    Statement::Other => {}
                }
                self.say(b'C', b"SELECT 1\0");
            }
            b'C' => self.say(b'3', b""),
            b'S' => self.say(b'Z', b"I"),
            _ => {}
        }
    }

    fn describe(&mut self, statement: Statement) {
        let row = match statement {
            Statement::Head => head(),
            Statement::AppendOne => Row::record(receipt(1)),
            Statement::AppendBatch => Row::lists(&[]),
            Statement::Stream => Row(self.stream.first().map(|row| row.0.clone()).unwrap_or_default()),
            Statement::Other => return self.say(b'n', b""),
        };
        let mut described = (row.0.len() as u16).to_be_bytes().to_vec();
        for (place, (oid, _)) in row.0.iter().enumerate() {
            described.extend(format!("c{place}\0").as_bytes());
            described.extend([0; 6]); // of no table
            described.extend(oid.to_be_bytes());
            described.extend((-1_i16).to_be_bytes());
            described.extend((-1_i32).to_be_bytes());
            described.extend(1_u16.to_be_bytes());
        }
        self.say(b'T', &described);
    }

    fn tell(&mut self, row: &Row) {
        let mut told = (row.0.len() as u16).to_be_bytes().to_vec();
        row.0.iter().for_each(|(_, value)| tell(&mut told, value.as_deref()));
        self.say(b'D', &told);
    }

    fn say(&mut self, kind: u8, message: &[u8]) {
        self.answer.push(kind);
        self.answer.extend((message.len() as u32 + 4).to_be_bytes());
        self.answer.extend(message);
    }
}

/// A value behind its length.
fn tell(told: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(bytes) => {
            told.extend((bytes.len() as u32).to_be_bytes());
            told.extend(bytes);
        }
        None => told.extend((-1_i32).to_be_bytes()),
    }
}

/// The text up to a zero, and what follows it.
fn word(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.iter().position(|byte| *byte == 0).unwrap_or(message.len());
    (&message[..end], message.get(end + 1..).unwrap_or_default())
}

/// How many events an append is given, by the first parameter of its `Bind`, a list of ids.
fn events(bind: &[u8]) -> i64 {
    let number = |at: usize, bytes: usize| {
        bind.get(at..at + bytes).map_or(0, |part| part.iter().fold(0, |sum, byte| sum * 256 + i64::from(*byte)))
    };
    // Behind the formats and the number of parameters.
    let first = 2 + 2 * number(0, 2) as usize + 2;
    // Behind its bytes: its dimensions, flags and type, then its length.
    number(first + 16, 4)
}

fn head() -> Row {
    Row::default().id(Some(JOURNAL)).number(1_000_000).time(DateTime::UNIX_EPOCH)
}

fn receipt(position: i64) -> Row {
    Row::default().text("recorded").number(position).small(1).time(DateTime::UNIX_EPOCH)
}

/// The columns of a statement that reads entries.
fn entry(entry: &Entry) -> Row {
    let event = &entry.event;
    Row::default()
        .number(entry.position.0)
        .time(entry.recorded_at)
        .id(Some(event.event_id))
        .text(&*event.stream.cluster_id)
        .text(&*event.stream.remediation_id)
        .small(entry.version.0)
        .time(event.occurred_at)
        .text(event.kind.word())
        .text(&*event.category)
        .text(&*event.event_type)
        .text(event.outcome.map(|outcome| outcome.word()))
        .text(event.actor_type.map(|actor| actor.word()))
        .text(event.actor_id.as_deref())
        .text(entry.recorded_by.as_deref())
        .id(event.parent_event_id)
        .text(event.trace_id.as_deref())
        .text(event.span_id.as_deref())
        .with(INT2, event.schema_version.to_be_bytes().to_vec())
        .text(event.payload.text())
        .with(BYTEA, entry.digest.clone())
}
