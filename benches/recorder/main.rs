//! What it costs a writer to have an audit kept: by a `Recorder` and by a relay, on this machine's disk.
//!
//! `make measure-recorder` runs it. The spool lies below the folder in which it is started, because a file system in memory syncs
//! nothing.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use binnacle::{
    audit::Kind,
    client::{Recorder, Settings},
    http::{self, Listener},
    relay::{self, Metrics, Relay},
    worker::Stop,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How long each measurement takes.
const TIME: Duration = Duration::from_secs(4);
/// Nobody answers there, so that nothing but keeping is measured.
const NOBODY: &str = "http://127.0.0.1:9";
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    println!("{:<28} {:>7} {:>10} {:>9} {:>9} {:>9}", "what", "writers", "audits/s", "p50 ms", "p99 ms", "max ms");
    println!(
        "{:<28} {:>7} {:>10.0} {:>9.3}",
        "write and fdatasync alone",
        1,
        1.0 / sync_seconds(),
        sync_seconds() * 1e3
    );
    for writers in [1, 16, 64] {
        for _ in 0..ROUNDS {
            let folder = Folder::new();
            let recorder = Recorder::open(settings(&folder.0)).await.unwrap();
            let took = by_recorder(&recorder, writers).await;
            print("Recorder, durable", writers, took);
            recorder.close(Duration::ZERO).await;

            let folder = Folder::new();
            let (address, stop, recorder) = sidecar(&folder.0).await;
            let took = by_http(&address, writers).await;
            print("relay, one request each", writers, took);
            stop.now();
            recorder.close(Duration::ZERO).await;
        }
    }
}

fn settings(folder: &Path) -> Settings {
    Settings::new(folder, [NOBODY]).unwrap()
}

fn audit(number: u64) -> Value {
    json!({"remediationId": format!("rr-{}", number % 100), "occurredAt": "2026-05-04T10:05:40Z", "notificationId": format!("nt-{number}"),
        "channel": "slack", "status": "delivered", "recipientCount": 2, "deliveryDurationMs": 820,
        "details": {"text": "Deployment checkout was rolled back to revision 41; the error rate is back to normal. ".repeat(4)}})
}

/// Each writer records one audit after the other; how long each took.
async fn by_recorder(recorder: &Recorder, writers: usize) -> Vec<Duration> {
    let until = Instant::now() + TIME;
    let running: Vec<_> = (0..writers)
        .map(|writer| {
            let recorder = recorder.clone();
            tokio::spawn(async move {
                let (mut took, mut number) = (Vec::new(), writer as u64);
                while Instant::now() < until {
                    let audit = audit(number);
                    let begun = Instant::now();
                    recorder.record(Kind::Notification, &audit).await.unwrap();
                    took.push(begun.elapsed());
                    number += writers as u64;
                }
                took
            })
        })
        .collect();
    let mut all = Vec::new();
    for writer in running {
        all.extend(writer.await.unwrap());
    }
    all
}

async fn sidecar(folder: &Path) -> (String, Stop, Recorder) {
    let recorder = Recorder::open(settings(folder)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let relay =
        Relay { recorder: recorder.clone(), folder: folder.to_path_buf(), cluster_id: None, metrics: Metrics::new() };
    let (stop, shutdown) = Stop::new();
    let router = relay::router(relay);
    tokio::spawn(http::serve(Listener::Tcp(listener), router, shutdown, Duration::ZERO));
    (address, stop, recorder)
}

/// Each writer has a connection that it keeps, and sends one audit at a time.
async fn by_http(address: &str, writers: usize) -> Vec<Duration> {
    let until = Instant::now() + TIME;
    let running: Vec<_> = (0..writers)
        .map(|writer| {
            let address = address.to_string();
            tokio::spawn(async move {
                let mut connection = TcpStream::connect(&address).await.unwrap();
                connection.set_nodelay(true).unwrap();
                let (mut took, mut number) = (Vec::new(), writer as u64);
                while Instant::now() < until {
                    let mut audit = audit(number);
                    let audit = audit.as_object_mut().unwrap();
                    let columns = json!({"remediation_id": audit["remediationId"], "occurred_at": audit["occurredAt"],
                        "notification_id": audit["notificationId"], "channel": "slack", "status": "delivered",
                        "recipient_count": 2, "delivery_duration_ms": 820, "details": audit["details"]});
                    let body = columns.to_string();
                    let head = format!("POST /api/v1/audit/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
                    let begun = Instant::now();
                    connection.write_all((head + &body).as_bytes()).await.unwrap();
                    let mut answer = [0; 4096];
                    let mut length = 0;
                    while !answer[..length].ends_with(b"}") {
                        let read = connection.read(&mut answer[length..]).await.unwrap();
                        assert!(read > 0, "the relay has hung up");
                        length += read;
                    }
                    assert!(answer.starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(&answer[..length]));
                    took.push(begun.elapsed());
                    number += writers as u64;
                }
                took
            })
        })
        .collect();
    let mut all = Vec::new();
    for writer in running {
        all.extend(writer.await.unwrap());
    }
    all
}

fn print(what: &str, writers: usize, mut took: Vec<Duration>) {
    took.sort();
    let ms = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let rate = took.len() as f64 / TIME.as_secs_f64();
    println!("{what:<28} {writers:>7} {rate:>10.0} {:>9.3} {:>9.3} {:>9.3}", ms(0.5), ms(0.99), ms(1.0));
}

/// The least that any durable answer costs here: the median of small writes into a file of full size, each synced.
fn sync_seconds() -> f64 {
    use std::{fs::File, os::unix::fs::FileExt as _};
    let folder = Folder::new();
    let file = File::create(folder.0.join("probe")).unwrap();
    file.write_all_at(&vec![0; 4 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let mut took: Vec<f64> = (0..500_u64)
        .map(|number| {
            let begun = Instant::now();
            file.write_all_at(&[1; 800], number * 800).unwrap();
            file.sync_data().unwrap();
            begun.elapsed().as_secs_f64()
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = Path::new("target").join(format!("measure-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
