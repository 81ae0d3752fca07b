//! An answer that gets lost behind a commit: the writer asks again by id, and the audit is there once.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};
use uuid::Uuid;

use crate::support::{app::App, audits::notification, postgres::database};

/// What a statement has to hold for its answer to be swallowed.
const MARK: &[u8] = b"rr-swallowed";

#[tokio::test]
async fn an_answer_lost_behind_a_commit_is_asked_for_again_by_id() {
    let mut db = database().await;
    let proxy = Proxy::before(&mut db.service_url, 1);
    let app = App::on(db).await;

    let result = app.recorded(&[notification("rr-swallowed", Uuid::from_u128(1), "nt-1")]).await.remove(0);

    assert_eq!(proxy.left.load(Ordering::SeqCst), 0, "an answer was swallowed");
    assert_eq!(result["position"], "1");
    let system = app.data("{ system { events } }", json!({})).await;
    assert_eq!(system["system"]["events"], "1");
    // What was told is what is recorded.
    let event =
        app.data("query($id: UUID!) { event(eventId: $id) { digest position } }", json!({"id": Uuid::from_u128(1)}));
    assert_eq!(event.await["event"]["digest"], result["event"]["digest"]);
}

#[tokio::test]
async fn when_no_answer_comes_through_the_caller_may_send_again_and_it_is_there_once() {
    let mut db = database().await;
    let proxy = Proxy::before(&mut db.service_url, usize::MAX);
    let app = App::on(db).await;
    let audit = notification("rr-swallowed", Uuid::from_u128(1), "nt-1");

    let answer = app
        .ask(crate::support::app::RECORD_AUDITS, json!({"inputs": [crate::support::app::audit_input(&audit)]}))
        .await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{answer:#}");
    assert_eq!(answer["errors"][0]["extensions"]["retryable"], true);
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("may or may not be recorded"));

    proxy.left.store(0, Ordering::SeqCst);
    let inputs = json!({"inputs": [crate::support::app::audit_input(&audit)]});
    let again = crate::support::app::until("the writer to try again by itself", async || {
        let answer = app.ask(crate::support::app::RECORD_AUDITS, inputs.clone()).await;
        answer["data"]["recordAudits"].get(0).cloned()
    })
    .await;
    assert_eq!((again["position"].as_str(), again["duplicate"].as_bool()), (Some("1"), Some(true)));
}

/// A Postgres socket in a folder of its own. It passes everything on, but of statements with the mark it swallows the answer
/// and hangs up, as a network would that fails just then.
struct Proxy {
    folder: PathBuf,
    /// How many answers are still to be swallowed.
    left: Arc<AtomicUsize>,
}

impl Proxy {
    /// Puts itself between `url` and its server.
    fn before(url: &mut String, swallow: usize) -> Proxy {
        let behind = url.split("host=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_string();
        let socket = std::fs::read_dir(&behind)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                path.file_name().unwrap().to_string_lossy().starts_with(".s.PGSQL.")
                    && path.extension().unwrap() != "lock"
            })
            .unwrap();
        let folder = std::env::temp_dir().join(format!("bn-{}", &Uuid::new_v4().simple().to_string()[..12]));
        std::fs::create_dir(&folder).unwrap();
        let listener = UnixListener::bind(folder.join(socket.file_name().unwrap())).unwrap();
        *url = url.replace(&behind, folder.to_str().unwrap());
        let left = Arc::new(AtomicUsize::new(swallow));
        tokio::spawn(accept(listener, socket, left.clone()));
        Proxy { folder, left }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn accept(listener: UnixListener, socket: PathBuf, left: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        let (socket, left) = (socket.clone(), left.clone());
        tokio::spawn(async move { pass(client, &socket, &left).await });
    }
}

/// Passes bytes both ways until one side hangs up, or an answer is swallowed.
async fn pass(mut client: UnixStream, socket: &Path, left: &AtomicUsize) -> std::io::Result<()> {
    let mut server = UnixStream::connect(socket).await?;
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut marked = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let bytes = &from_client[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                marked = bytes.windows(MARK.len()).any(|window| window == MARK);
                server.write_all(bytes).await?;
            }
            read = server.read(&mut from_server) => {
                let bytes = &from_server[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                // The answer has come, so the commit is done.
                let swallow = |left: usize| left.checked_sub(1);
                if marked && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, swallow).is_ok() {
                    return Ok(());
                }
                client.write_all(bytes).await?;
            }
        }
    }
}
