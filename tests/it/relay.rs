//! A relay: the record calls of REST, kept on disk for writers in any language and brought to the server.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
};
use binnacle::{
    client::{Recorder, Settings},
    relay::{self, Metrics, Relay},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{Answer, App, DEADLINE, request, until},
    client::Client,
    doorway::Doorway,
    process::{Served, binnacle, run},
    rest::example,
    store::Folder,
};

const SEEDS: [&str; 6] =
    ["orchestration", "signal-processing", "ai-decisions", "executions", "notifications", "effectiveness"];

#[tokio::test]
async fn every_record_call_is_kept_at_once_and_recorded_as_if_the_server_had_been_asked() {
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let relay = Sidecar::on(&folder, &door).await;
    let mut kept = Vec::new();
    for endpoint in SEEDS {
        let answer = relay.post(&format!("/api/v1/audit/{endpoint}"), &example(endpoint)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (202, &json!("kept")), "{}", answer.text);
        let id = answer.json()["event_id"].as_str().unwrap().to_string();
        assert_eq!(answer.headers["location"], format!("/api/v1/audit/events/{id}"));
        kept.push(id);
    }
    let event = relay.post("/api/v1/audit/events", &example("kubernaut-event")).await;
    kept.push(event.json()["event_id"].as_str().unwrap().to_string());
    let theirs = relay.post("/api/v1/audit/notifications", &example("kubernaut-notification")).await;
    kept.push(theirs.json()["event_id"].as_str().unwrap().to_string());
    let named = json!([{"event_id": Uuid::from_u128(7), "form": "columns", "kind": "NOTIFICATION", "audit": example("notifications")}]);
    let named = relay.post("/api/v1/audits", &named).await;
    assert_eq!((named.status.as_u16(), &named.json()["results"][0]["status"]), (202, &json!(202)), "{}", named.text);
    kept.push(Uuid::from_u128(7).to_string());
    let batch = relay.post("/api/v1/audit/events/batch", &example("kubernaut-sequence")).await;
    assert_eq!(batch.status, 202, "{}", batch.text);
    kept.extend(batch.json()["event_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_string()));

    assert_eq!(relay.spool().await["spool"]["waiting"], kept.len());
    door.open(app.router.clone()).await;
    relay.recorder.flush().await;

    for (index, id) in kept.iter().enumerate() {
        let answer = app.get(&format!("/api/v1/audit/events/{id}")).await;
        assert_eq!(answer.status, 200, "{index} {id}: {}", answer.text);
    }
    let spool = relay.spool().await;
    assert_eq!((&spool["spool"]["waiting"], &spool["spool"]["dead"]), (&json!(0), &json!(0)), "{spool:#}");
    let told = app
        .data(
            r#"{ remediation(remediationId: "rr-7d1f0c9ab3e2-4be09c11", clusterId: "default") { durationMs } }"#,
            json!({}),
        )
        .await;
    assert_eq!(told["remediation"]["durationMs"], 340_000.0);
    relay.recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn what_is_sent_again_with_its_id_its_key_or_the_same_words_is_recorded_once() {
    let (app, folder) = (App::start().await, Folder::new());
    let door = Doorway::opened(app.router.clone()).await;
    let relay = Sidecar::on(&folder, &door).await;
    let (sequence, columns) = (example("kubernaut-sequence"), example("notifications"));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let batch = relay.post("/api/v1/audit/events/batch", &sequence).await;
        let keyed = relay.post_with("/api/v1/audit/notifications", &[("idempotency-key", "once")], &columns).await;
        ids.push((batch.json()["event_ids"].clone(), keyed.json()["event_id"].clone()));
    }
    assert_eq!(ids[0], ids[1]);
    relay.recorder.flush().await;
    let events = app.data("{ system { events } }", json!({})).await["system"]["events"].clone();
    assert_eq!(events, (sequence.as_array().unwrap().len() + 1).to_string());
    assert!(relay.recorder.status().delivery.duplicates >= 1, "{:?}", relay.recorder.status());
    relay.recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn an_id_in_any_spelling_that_a_relay_takes_is_recorded() {
    let (app, folder) = (App::start().await, Folder::new());
    let door = Doorway::opened(app.router.clone()).await;
    let relay = Sidecar::on(&folder, &door).await;
    let mut wanted = 0;
    for (path, form, name) in [
        ("/api/v1/audit/notifications", "notifications", "event_id"),
        ("/api/v1/audit/notifications", "notifications", "eventId"),
        ("/api/v1/audit/events", "kubernaut-event", "event_id"),
        ("/api/v1/audits", "notifications", "event_id"),
    ] {
        for spell in [
            |id: Uuid| id.to_string(),
            |id: Uuid| id.simple().to_string(),
            |id: Uuid| id.braced().to_string(),
            |id: Uuid| id.urn().to_string(),
            |id: Uuid| id.to_string().to_uppercase(),
        ] {
            let id = spell(Uuid::new_v4());
            let mut audit = example(form);
            audit[name] = json!(id);
            let body = match path {
                "/api/v1/audits" => {
                    json!([{"event_id": id, "form": "columns", "kind": "NOTIFICATION", "audit": audit}])
                }
                _ => audit,
            };
            let answer = relay.post(path, &body).await;
            // What the relay does not take, the server would not take either.
            match answer.status.as_u16() {
                202 => wanted += 1,
                status => {
                    assert_eq!(status, app.post(path, &body).await.status.as_u16(), "{path} {id}: {}", answer.text)
                }
            }
        }
    }
    relay.recorder.flush().await;
    assert!(wanted > 10, "{wanted}");
    let status = relay.recorder.status();
    assert_eq!((status.delivery.recorded, status.delivery.dead), (wanted, 0), "{status:?}");
    relay.recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn what_is_wrong_is_told_as_the_server_tells_it_and_only_the_good_is_kept() {
    let (app, door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let relay = Sidecar::on(&folder, &door).await;
    let good = example("notifications");
    let mut bad = good.clone();
    bad["channel"] = json!("pigeon");
    for (path, body) in [
        ("/api/v1/audit/notifications", bad.clone()),
        ("/api/v1/audit/notifications", json!([bad])),
        ("/api/v1/audit/notifications", json!([])),
        ("/api/v1/audit/notifications", json!("text")),
        ("/api/v1/audit/notifications", json!({"message_summary": "half of Kubernaut's"})),
        ("/api/v1/audit/events", json!({"event_type": "x"})),
        ("/api/v1/audits", json!([{"audit": good}])),
    ] {
        let (here, there) = (relay.post(path, &body).await, app.post(path, &body).await);
        assert_eq!(here.problem(), there.problem(), "{path} {body}");
        assert_eq!(here.mistakes(), there.mistakes(), "{path} {body}");
    }
    assert_eq!(relay.spool().await["spool"]["waiting"], 0);

    let mixed = relay.post("/api/v1/audit/notifications", &json!([good, bad])).await;
    assert_eq!(mixed.status, 207, "{}", mixed.text);
    assert_eq!(mixed.json()["results"][1]["problem"]["errors"][0]["pointer"], "/1/channel");
    let events = json!([example("kubernaut-event"), {"event_type": "x"}]);
    let partly = relay.post("/api/v1/audit/events/batch", &events).await;
    assert_eq!((partly.status.as_u16(), partly.json()["event_ids"][1].is_null()), (400, true), "{}", partly.text);
    assert_eq!(relay.spool().await["spool"]["waiting"], 2);
    relay.recorder.close(Duration::ZERO).await;
}

#[tokio::test]
async fn web_pages_and_readers_are_sent_away() {
    let (door, folder) = (Doorway::shut().await, Folder::new());
    let relay = Sidecar::on(&folder, &door).await;
    let page = [("origin", "https://evil.example.com")];
    let answer = relay.post_with("/api/v1/audit/notifications", &page, &example("notifications")).await;
    assert_eq!(answer.problem(), "403 forbidden: web pages may not ask a relay");
    let answer = relay.send(Method::GET, "/api/v1/audit/events", &[], "").await;
    assert_eq!(answer.status, 405, "{}", answer.text);
    assert_eq!(relay.send(Method::GET, "/graphql", &[], "").await.status, 404);
    relay.recorder.close(Duration::ZERO).await;
}

#[tokio::test]
async fn who_watches_a_relay_sees_how_it_stands() {
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let relay = Sidecar::on(&folder, &door).await;
    relay.post("/api/v1/audit/notifications", &example("notifications")).await;
    until("the relay to notice", async || {
        (relay.spool().await["delivery"]["condition"] == "server_away").then_some(())
    })
    .await;
    let spool = relay.spool().await;
    assert_eq!(spool["notices"], json!(["no server records now; what is kept waits, and nothing is lost"]));
    assert!(spool["spool"]["oldest_kept_at"].is_string() && spool["delivery"]["trouble"].is_string(), "{spool:#}");
    for path in ["/livez", "/readyz"] {
        assert_eq!(relay.send(Method::GET, path, &[], "").await.status, 200, "{path}");
    }
    let metrics = relay.send(Method::GET, "/metrics", &[], "").await.text;
    for line in [
        "binnacle_relay_kept_total 1",
        "binnacle_relay_waiting 1",
        r#"binnacle_relay_condition{condition="server_away"} 1"#,
    ] {
        assert!(metrics.lines().any(|it| it == line), "no `{line}` in\n{metrics}");
    }
    door.open(app.router.clone()).await;
    relay.recorder.flush().await;
    assert_eq!(relay.spool().await["notices"], json!([]));
    relay.recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn a_full_relay_says_so_to_its_writers_and_to_those_who_watch_until_there_is_room_again() {
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let bounds = binnacle::client::spool::Settings { bytes_max: 10_000, ..Default::default() };
    let relay = Sidecar::bounded(&folder, &door, bounds).await;
    let ready = async || relay.send(Method::GET, "/readyz", &[], "").await.status.as_u16();
    let mut kept = 0;
    let refused = loop {
        let answer = relay.post("/api/v1/audit/notifications", &example("notifications")).await;
        if answer.status != 202 {
            break answer;
        }
        kept += 1;
        assert_eq!(ready().await, 200);
    };
    assert!(refused.problem().starts_with("503 unavailable: "), "{}", refused.text);
    assert!(refused.problem().contains("is full"), "{}", refused.text);
    assert_eq!(ready().await, 503);
    let notices = relay.spool().await["notices"].to_string();
    assert!(notices.contains("audits are refused"), "{notices}");

    door.open(app.router.clone()).await;
    relay.recorder.flush().await;
    let answer = relay.post("/api/v1/audit/notifications", &example("notifications")).await;
    assert_eq!((answer.status.as_u16(), ready().await), (202, 200), "{}", answer.text);
    relay.recorder.close(DEADLINE).await;
    let events = app.data("{ system { events } }", json!({})).await["system"]["events"].clone();
    assert_eq!(events, (kept + 1).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_killed_again_and_again_loses_nothing_that_it_has_acknowledged() {
    let (app, folder) = (App::start().await, Folder::new());
    let door = Doorway::opened(app.router.clone()).await;
    let acknowledged: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    for round in 0..3 {
        let relay = start(&folder, &door).await;
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (address, acknowledged) = (relay.address.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    for number in 0.. {
                        let Some(id) = send(&mut Client::new(&address), round, writer, number).await else { return };
                        acknowledged.lock().unwrap().push(id);
                    }
                })
            })
            .collect();
        until("the relay has kept enough", async || {
            tokio::time::sleep(Duration::from_millis(5)).await;
            (acknowledged.lock().unwrap().len() >= 60 * (round + 1)).then_some(())
        })
        .await;
        relay.kill();
        for writer in writers {
            writer.await.unwrap();
        }
    }
    let relay = start(&folder, &door).await;
    let rival = run(sidecar(&folder, &door)).await;
    assert_eq!(rival.code, Some(4), "{rival:#?}");
    assert!(rival.errors.contains("is in use by"), "{rival:#?}");
    relay.stop().await; // brings what waits

    let acknowledged = acknowledged.lock().unwrap().clone();
    for id in &acknowledged {
        assert_eq!(app.get(&format!("/api/v1/audit/events/{id}")).await.status, 200, "{id} is lost");
    }
    let dead = run(command(&["relay", "dead", "list"], &folder)).await;
    assert!(dead.done().starts_with("There are no dead letters"));
}

#[tokio::test]
async fn dead_letters_are_listed_and_brought_again_by_the_relay_that_runs_or_without_one() {
    let (app, folder) = (App::start().await, Folder::new());
    let door = Doorway::opened(app.router.clone()).await;
    let relay = start(&folder, &door).await;
    let mut first = example("notifications");
    first["event_id"] = json!(Uuid::from_u128(1));
    let mut other = first.clone();
    other["channel"] = json!("email");
    for audit in [first, other] {
        let body = audit.to_string();
        let answer = Client::new(&relay.address).post_to("/api/v1/audit/notifications", &body).await.unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    let list =
        async |arguments: &[&str]| run(command(&[&["relay", "dead", "list"], arguments].concat(), &folder)).await;
    until("the letter", async || (list(&[]).await.code == Some(1)).then_some(())).await;
    let listed = list(&["--json"]).await.json();
    assert_eq!(
        (&listed["letters"][0]["reason"], &listed["letters"][0]["audit"]["channel"]),
        (&json!("CONFLICT"), &json!("email"))
    );
    assert!(list(&[]).await.text.contains("CONFLICT"));

    // It is refused again, and a dead letter once more.
    let replay = run(command(&["relay", "dead", "replay", "--all", "--listen", &relay.address], &folder)).await.done();
    assert!(replay.starts_with("1 dead letters are kept again"), "{replay}");
    until("the letter again", async || (list(&["--json"]).await.json()["letters"][0]["sequence"] == "3").then_some(()))
        .await;
    relay.stop().await;
    let name = list(&["--json"]).await.json()["letters"][0]["name"].as_str().unwrap().to_string();
    run(command(&["relay", "dead", "replay", &name], &folder)).await.done();
    let unknown = run(command(&["relay", "dead", "replay", "nobody.json"], &folder)).await;
    assert_eq!(unknown.code, Some(1), "{unknown:#?}");
    assert_eq!(list(&[]).await.code, Some(0));
}

#[tokio::test]
async fn a_relay_that_is_set_up_wrongly_says_how() {
    let folder = Folder::new();
    for (arguments, code, told) in [
        (&["relay"][..], 2, "name the folder in which audits are kept with `--spool DIR`"),
        (&["relay", "--spool", "x"], 2, "name the server that audits are brought to with `--upstream URL`"),
        (&["relay", "--spool", "x", "--upstream", "binnacle:8080"], 2, "is no address of a server"),
        (&["relay", "--spool", "x", "--upstream", "http://b:1/graphql"], 2, "leave the path away"),
        (
            &["relay", "--spool", "x", "--upstream", "http://b:1", "--listen", "0.0.0.0:0"],
            2,
            "a relay asks for no token, so it listens on this machine only",
        ),
        (&["relay", "--spool", "/proc/none", "--upstream", "http://b:1", "--listen", "127.0.0.1:0"], 4, "/proc/none"),
    ] {
        let mut command = binnacle(arguments);
        command.current_dir(&folder.0);
        let ended = run(command).await;
        assert_eq!(ended.code, Some(code), "{arguments:?} {ended:#?}");
        assert!(ended.errors.contains(told), "{arguments:?} {ended:#?}");
    }
}

#[tokio::test]
async fn a_relay_listens_on_a_socket_and_takes_the_place_of_one_that_died() {
    let (app, folder) = (App::start().await, Folder::new());
    let door = Doorway::opened(app.router.clone()).await;
    let socket = folder.0.join("relay.sock");
    let file = folder.0.join("a-file");
    std::fs::write(&file, "precious").unwrap();
    let mut command = sidecar(&folder, &door);
    command.arg("--socket").arg(&file);
    let refused = run(command).await;
    assert_eq!((refused.code, std::fs::read_to_string(&file).unwrap().as_str()), (Some(2), "precious"), "{refused:#?}");
    for _ in 0..2 {
        let mut command = sidecar(&folder, &door);
        command.arg("--socket").arg(&socket);
        let mut relay = command.spawn().unwrap();
        let answer = until("the relay answers on its socket", async || {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let mut stream = tokio::net::UnixStream::connect(&socket).await.ok()?;
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            Some(answer)
        })
        .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        relay.kill().unwrap();
        relay.wait().unwrap();
    }
}

/// A relay in this process.
struct Sidecar {
    router: Router,
    recorder: Recorder,
}

impl Sidecar {
    async fn on(folder: &Folder, door: &Doorway) -> Sidecar {
        Sidecar::bounded(folder, door, Default::default()).await
    }

    async fn bounded(folder: &Folder, door: &Doorway, bounds: binnacle::client::spool::Settings) -> Sidecar {
        let metrics = Metrics::new();
        let settings = Settings::new(spool(folder), [&*door.url()]).unwrap();
        let settings = Settings { observer: Box::new(metrics.clone()), spool: bounds, ..settings };
        let recorder = Recorder::open(settings).await.unwrap();
        let relay = Relay { recorder: recorder.clone(), folder: spool(folder), cluster_id: None, metrics };
        Sidecar { router: relay::router(relay), recorder }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body).await
    }

    async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.send(Method::POST, path, &headers, &body.to_string()).await
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let asked = Request::builder().method(method).uri(path);
        let asked = headers.iter().fold(asked, |asked, (name, value)| asked.header(*name, *value));
        request(&self.router, asked.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn spool(&self) -> Value {
        self.send(Method::GET, "/spool", &[], "").await.json()
    }
}

fn spool(folder: &Folder) -> PathBuf {
    folder.0.join("spool")
}

/// A command about the spool in a folder.
fn command(arguments: &[&str], folder: &Folder) -> std::process::Command {
    let mut command = binnacle(arguments);
    command.arg("--spool").arg(spool(folder));
    command
}

fn sidecar(folder: &Folder, door: &Doorway) -> std::process::Command {
    let mut command = command(&["relay"], folder);
    command.args(["--upstream", &door.url()]);
    command
}

async fn start(folder: &Folder, door: &Doorway) -> Served {
    Served::start(sidecar(folder, door)).await
}

/// Sends one notification; its id, if it is acknowledged.
async fn send(client: &mut Client, round: usize, writer: usize, number: usize) -> Option<String> {
    let mut audit = example("notifications");
    audit["notification_id"] = json!(format!("nt-{round}-{writer}-{number}"));
    let answer = client.post_to("/api/v1/audit/notifications", &audit.to_string()).await.ok()?;
    assert_eq!(answer.status, 202, "{answer:?}");
    Some(answer.json()["event_id"].as_str()?.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sigterm_under_load_a_relay_ends_in_time_and_all_that_it_acknowledged_is_recorded() {
    let (app, folder) = (App::start().await, Folder::new());
    let door = Doorway::opened(app.router.clone()).await;
    let mut relay = start(&folder, &door).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let address = relay.address.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    match send(&mut Client::new(&address), 0, writer, number).await {
                        Some(id) => acknowledged.push(id),
                        None => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    let begun = std::time::Instant::now();
    until("some are kept", async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        (begun.elapsed() > Duration::from_millis(500)).then_some(())
    })
    .await;
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().await.code(), Some(0), "{}", relay.log());
    let mut count = 0;
    for writer in writers {
        for id in writer.await.unwrap() {
            assert_eq!(app.get(&format!("/api/v1/audit/events/{id}")).await.status, 200, "{id} is lost");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}
