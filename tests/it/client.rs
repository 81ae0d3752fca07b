//! A controller's `Recorder`: what it keeps is recorded, once and in order, whatever the server does meanwhile.

use std::{fs, time::Duration};

use axum::{Json, Router, http::StatusCode, response::IntoResponse as _};
use binnacle::{
    audit::{Kind, canonical},
    caller::Callers,
    client::{Condition, Mode, Outcome, RecordError, Recorder, Settings, TokenFile, spool::dead},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{App, DEADLINE, until},
    doorway::Doorway,
    store::Folder,
};

#[tokio::test]
async fn what_is_kept_while_no_server_answers_is_recorded_in_order_once_one_does() {
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let recorder = Recorder::open(settings(&folder, &door)).await.unwrap();
    for number in 0..300 {
        let outcome = recorder.record(Kind::Notification, &delivered(number, "slack")).await.unwrap();
        assert_eq!(outcome, Outcome::Kept { event_id: id(number) });
    }
    condition(&recorder, Condition::ServerAway).await;
    assert_eq!(recorder.status().spool.waiting, 300);

    door.open(app.router.clone()).await;
    recorder.flush().await;

    assert_eq!(told(&app).await, (0..300).map(id).collect::<Vec<_>>());
    let status = recorder.status();
    assert_eq!((status.spool.waiting, status.delivery.recorded, status.delivery.dead), (0, 300, 0));
    condition(&recorder, Condition::CaughtUp).await;
    assert_eq!(recorder.close(DEADLINE).await.waiting, 0);
}

#[tokio::test]
async fn what_waits_when_a_recorder_closes_is_brought_by_the_next_on_the_folder() {
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let first = Recorder::open(settings(&folder, &door)).await.unwrap();
    for number in 0..5 {
        first.record(Kind::Notification, &delivered(number, "slack")).await.unwrap();
    }
    let rival = Recorder::open(settings(&folder, &door)).await;
    assert!(rival.is_err(), "a folder is one recorder's");
    assert_eq!(first.close(Duration::ZERO).await.waiting, 5);
    let late = first.record(Kind::Notification, &delivered(9, "slack")).await;
    assert!(matches!(late, Err(RecordError::NotKept { event_id, .. }) if event_id == id(9)), "{late:?}");

    door.open(app.router.clone()).await;
    let second = Recorder::open(settings(&folder, &door)).await.unwrap();
    assert_eq!(second.close(DEADLINE).await.waiting, 0);
    assert_eq!(told(&app).await, (0..5).map(id).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_not_well_formed_is_told_at_once_and_nothing_is_kept() {
    let (door, folder) = (Doorway::shut().await, Folder::new());
    let recorder = Recorder::open(settings(&folder, &door)).await.unwrap();
    let Err(RecordError::Invalid(problems)) = recorder.record(Kind::Notification, &delivered(1, "pigeon")).await else {
        panic!("a pigeon is no channel")
    };
    assert_eq!(problems[0].path, ["channel"]);
    assert!(matches!(recorder.record(Kind::Other, &"a text").await, Err(RecordError::NoObject)));
    assert_eq!(recorder.status().spool.waiting, 0);
    recorder.close(Duration::ZERO).await;
}

#[tokio::test]
async fn an_audit_without_an_id_gets_one_before_it_is_kept() {
    let (app, folder) = (App::start().await, Folder::new());
    let door = Doorway::opened(app.router.clone()).await;
    let recorder = Recorder::open(settings(&folder, &door)).await.unwrap();
    let mut nameless = delivered(1, "slack");
    nameless["eventId"] = Value::Null;
    let kept = recorder.record(Kind::Notification, &nameless).await.unwrap().event_id();
    recorder.flush().await;
    assert_eq!((told(&app).await, kept.get_version_num()), (vec![kept], 7));
    recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn who_writes_through_learns_the_position_and_after_its_patience_that_the_audit_is_kept() {
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let mode = |patience| Mode::WriteThrough { patience };
    let hasty = Settings { mode: mode(Some(Duration::from_millis(50))), ..settings(&folder, &door) };
    let recorder = Recorder::open(hasty).await.unwrap();
    let kept = recorder.record(Kind::Notification, &delivered(1, "slack")).await.unwrap();
    assert_eq!(kept, Outcome::Kept { event_id: id(1) });
    recorder.close(Duration::ZERO).await;

    door.open(app.router.clone()).await;
    let patient = Recorder::open(Settings { mode: mode(None), ..settings(&folder, &door) }).await.unwrap();
    let second = patient.record(Kind::Notification, &delivered(2, "slack")).await.unwrap();
    assert_eq!(second, Outcome::Recorded { event_id: id(2), position: 2, duplicate: false });
    let again = patient.record(Kind::Notification, &delivered(2, "slack")).await.unwrap();
    assert_eq!(again, Outcome::Recorded { event_id: id(2), position: 2, duplicate: true });
    let other = patient.record(Kind::Notification, &delivered(2, "email")).await;
    assert!(matches!(&other, Err(RecordError::Refused { reason, .. }) if reason == "CONFLICT"), "{other:?}");
    patient.close(DEADLINE).await;
}

#[tokio::test]
async fn who_waits_for_a_position_is_told_of_its_own_audit_or_that_the_recorder_is_closed() {
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let mode = Mode::WriteThrough { patience: None };
    let recorder = Recorder::open(Settings { mode, ..settings(&folder, &door) }).await.unwrap();
    let submit = |channel: &'static str| {
        let recorder = recorder.clone();
        tokio::spawn(async move { recorder.record(Kind::Notification, &delivered(1, channel)).await })
    };
    let kept = async |count: u64| {
        until("it to be kept", async || (recorder.status().spool.waiting == count).then_some(())).await;
    };
    let first = submit("slack");
    kept(1).await;
    let second = submit("email"); // the same id with other content, behind the first
    kept(2).await;
    door.open(app.router.clone()).await;
    let told = first.await.unwrap();
    assert!(matches!(told, Ok(Outcome::Recorded { position: 1, .. })), "{told:?}");
    let told = second.await.unwrap();
    assert!(matches!(&told, Err(RecordError::Refused { reason, .. }) if reason == "CONFLICT"), "{told:?}");

    door.close().await;
    let third = submit("sms");
    kept(1).await;
    let flushing = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.flush().await }
    });
    assert_eq!(recorder.close(Duration::ZERO).await.waiting, 1);
    let told = third.await.unwrap();
    assert!(matches!(told, Err(RecordError::Closed)), "{told:?}");
    flushing.await.unwrap();
}

#[tokio::test]
async fn what_is_refused_for_good_is_a_dead_letter_and_can_be_brought_again() {
    let folder = Folder::new();
    let (app, tokens) = with_tokens(&folder, &[("writer", "WORKFLOW_EXECUTION")]).await;
    let door = Doorway::opened(app.router.clone()).await;
    let spool = Folder::new();
    let token = token_file(&folder, "writer");
    let recorder = Recorder::open(Settings { token, ..settings(&spool, &door) }).await.unwrap();
    recorder.record(Kind::Notification, &delivered(1, "slack")).await.unwrap();
    let execution = json!({"remediationId": "rr-1", "eventId": id(2), "occurredAt": "2026-05-04T10:05:40Z",
        "executionName": "we-1", "workflowId": "restart", "status": "running"});
    recorder.record(Kind::WorkflowExecution, &execution).await.unwrap();
    recorder.flush().await;

    let listed = dead::list(&spool.0).unwrap().letters;
    let [(name, letter)] = &listed[..] else { panic!("one is refused: {listed:?}") };
    assert_eq!(letter.reason, "NOT_ALLOWED");
    assert!(letter.message.contains("`writer` may not record audits of kind NOTIFICATION"), "{letter:?}");
    assert_eq!((recorder.status().spool.dead, told_as(&app, "reader").await), (1, vec![id(2)]));

    // Its rights are mended, and the letter is brought again.
    fs::write(&tokens, callers(&[("writer", "WORKFLOW_EXECUTION,NOTIFICATION")])).unwrap();
    let app = App { router: app.server.router(Callers::read(&tokens).unwrap(), false), ..app };
    let door = Doorway::opened(app.router.clone()).await;
    recorder.close(DEADLINE).await;
    let recorder = Recorder::open(Settings { token: token_file(&folder, "writer"), ..settings(&spool, &door) }).await;
    let recorder = recorder.unwrap();
    recorder.replay(name).await.unwrap();
    recorder.flush().await;
    assert_eq!((recorder.status().spool.dead, told_as(&app, "reader").await), (0, vec![id(2), id(1)]));
    assert!(recorder.replay(name).await.is_err(), "it is no dead letter any more");
    assert!(spool.0.join("dead/replayed").join(name).exists(), "nothing is deleted");
    recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn a_token_that_is_refused_stops_nobody_and_loses_nothing() {
    let folder = Folder::new();
    let (app, _) = with_tokens(&folder, &[("writer", "*")]).await;
    let door = Doorway::opened(app.router.clone()).await;
    let spool = Folder::new();
    let token = token_file(&folder, "nobody");
    let path = token.0.clone().unwrap();
    let recorder = Recorder::open(Settings { token, ..settings(&spool, &door) }).await.unwrap();
    recorder.record(Kind::Notification, &delivered(1, "slack")).await.unwrap();
    condition(&recorder, Condition::TokenRefused).await;
    fs::remove_file(&path).unwrap();
    recorder.record(Kind::Notification, &delivered(2, "slack")).await.unwrap();
    assert_eq!(recorder.status().spool.waiting, 2);

    fs::write(&path, "writer\n").unwrap(); // Kubernetes has renewed it
    recorder.flush().await;
    assert_eq!(told_as(&app, "reader").await, [id(1), id(2)]);
    recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn a_server_that_answers_nonsense_settles_nothing() {
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let recorder = Recorder::open(settings(&folder, &door)).await.unwrap();
    for number in 0..3 {
        recorder.record(Kind::Notification, &delivered(number, "slack")).await.unwrap();
    }
    let receipt = |id: Uuid| json!({"status": 201, "receipt": {"event_id": id, "position": "1", "duplicate": false}});
    let others: Vec<Value> = (10..13).map(|number| receipt(id(number))).collect();
    for nonsense in [
        (StatusCode::OK, "<html>a proxy's page</html>".to_string()),
        (StatusCode::NOT_FOUND, json!({"message": "no such page"}).to_string()),
        (StatusCode::CREATED, json!({"results": others}).to_string()),
        (StatusCode::BAD_REQUEST, "a gateway's page".to_string()),
    ] {
        door.open(Router::new().fallback(async move || nonsense.into_response())).await;
        condition(&recorder, Condition::NotBinnacle).await;
        door.close().await;
        condition(&recorder, Condition::ServerAway).await;
        assert_eq!(recorder.status().spool.waiting, 3);
    }
    door.open(app.router.clone()).await;
    recorder.flush().await;
    assert_eq!(told(&app).await, [0, 1, 2].map(id));
    recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn a_request_that_is_refused_as_a_whole_is_made_smaller_until_the_one_that_is_to_blame_stands_alone() {
    const BAD: u128 = 5;
    let (mut door, folder) = (Doorway::shut().await, Folder::new());
    let recorder = Recorder::open(settings(&folder, &door)).await.unwrap();
    for number in 0..12 {
        recorder.record(Kind::Notification, &delivered(number, "slack")).await.unwrap();
    }
    // Takes no request in which the bad one is, as a proxy with rules of its own might.
    let server = |Json(items): Json<Vec<Value>>| async move {
        if items.iter().any(|item| item["event_id"] == id(BAD).to_string()) {
            let problem = json!({"type": "/problems/too-large", "code": "BAD_INPUT", "detail": "it is too large"});
            return (StatusCode::PAYLOAD_TOO_LARGE, Json(problem)).into_response();
        }
        let receipt = |item: &Value| json!({"status": 201, "receipt": {"event_id": item["event_id"], "position": "1", "duplicate": false}});
        Json(json!({"results": items.iter().map(receipt).collect::<Vec<_>>()})).into_response()
    };
    door.open(Router::new().fallback(server)).await;
    recorder.flush().await;

    let status = recorder.status();
    assert_eq!((status.delivery.recorded, status.delivery.dead), (11, 1));
    let letters = dead::list(&folder.0).unwrap().letters;
    assert_eq!(letters[0].1.message, "it is too large");
    recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn where_a_proxy_takes_small_requests_only_they_are_made_small() {
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let recorder = Recorder::open(settings(&folder, &door)).await.unwrap();
    for number in 0..30 {
        recorder.record(Kind::Notification, &delivered(number, "slack")).await.unwrap();
    }
    let router = app.router.clone();
    let proxy = move |request: axum::extract::Request| async move {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        if bytes.len() > 2_000 {
            return (StatusCode::PAYLOAD_TOO_LARGE, "<html>a proxy's page</html>").into_response();
        }
        let request = axum::extract::Request::from_parts(parts, axum::body::Body::from(bytes));
        tower::ServiceExt::oneshot(router, request).await.unwrap()
    };
    door.open(Router::new().fallback(proxy)).await;
    recorder.flush().await;
    assert_eq!(told(&app).await, (0..30).map(id).collect::<Vec<_>>());
    recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn an_audit_over_which_a_server_breaks_holds_the_others_up_for_a_while_and_is_set_aside() {
    const BAD: [u128; 2] = [5, 6]; // side by side, as a writer with a bug tells them
    let (app, mut door, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let recorder = Recorder::open(settings(&folder, &door)).await.unwrap();
    for number in 0..12 {
        recorder.record(Kind::Notification, &delivered(number, "slack")).await.unwrap();
    }
    let broken = || {
        let problem = json!({"type": "/problems/internal", "code": "INTERNAL", "detail": "something went wrong"});
        (StatusCode::INTERNAL_SERVER_ERROR, Json(problem)).into_response()
    };
    // As long as it breaks over everything, nothing is to blame and nothing is set aside.
    door.open(Router::new().fallback(async move || broken())).await;
    until("it to be tried again and again", async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        (recorder.status().delivery.failures > 16).then_some(())
    })
    .await;
    assert_eq!((recorder.status().spool.waiting, recorder.status().spool.dead), (12, 0));
    door.close().await;

    let router = app.router.clone();
    let server = move |request: axum::extract::Request| async move {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        if BAD.iter().any(|number| text.contains(&id(*number).to_string())) {
            return broken();
        }
        tower::ServiceExt::oneshot(router, axum::extract::Request::from_parts(parts, axum::body::Body::from(bytes)))
            .await
            .unwrap()
    };
    door.open(Router::new().fallback(server)).await;
    recorder.flush().await;

    assert_eq!(told(&app).await, (0..12).filter(|number| !BAD.contains(number)).map(id).collect::<Vec<_>>());
    let letters = dead::list(&folder.0).unwrap().letters;
    let reasons: Vec<&str> = letters.iter().map(|(_, letter)| letter.reason.as_str()).collect();
    assert_eq!(reasons, ["INTERNAL", "INTERNAL"]);
    recorder.close(DEADLINE).await;
}

#[tokio::test]
async fn when_one_server_is_away_another_is_asked() {
    let (app, away, folder) = (App::start().await, Doorway::shut().await, Folder::new());
    let door = Doorway::opened(app.router.clone()).await;
    let (first, second) = (away.url(), door.url());
    let recorder = Recorder::open(Settings::new(&folder.0, [&*first, &*second]).unwrap()).await.unwrap();
    for number in 0..3 {
        recorder.record(Kind::Notification, &delivered(number, "slack")).await.unwrap();
        recorder.flush().await;
    }
    assert_eq!(told(&app).await, [0, 1, 2].map(id));
    assert!(recorder.status().delivery.failures <= 1, "the one that answers is asked first: {:?}", recorder.status());
    recorder.close(DEADLINE).await;
}

fn settings(folder: &Folder, door: &Doorway) -> Settings {
    let settings = Settings::new(&folder.0, [&*door.url()]).unwrap();
    Settings { pause_max: Duration::from_millis(20), ..settings }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number + 1)
}

/// Notifications of three remediations in turn.
fn delivered(number: u128, channel: &str) -> Value {
    json!({"remediationId": format!("rr-{}", number % 3), "eventId": id(number), "occurredAt": "2026-05-04T10:05:40Z",
        "notificationId": format!("nt-{number}"), "channel": channel, "status": "delivered"})
}

async fn condition(recorder: &Recorder, wanted: Condition) {
    until(&format!("{wanted:?}"), async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        (recorder.status().delivery.condition == wanted).then_some(())
    })
    .await;
}

/// The ids of all that is recorded, in the order of the journal.
async fn told(app: &App) -> Vec<Uuid> {
    told_by(app, None).await
}

async fn told_as(app: &App, token: &str) -> Vec<Uuid> {
    told_by(app, Some(token)).await
}

async fn told_by(app: &App, token: Option<&str>) -> Vec<Uuid> {
    app.projected().await;
    let mut ids: Vec<Uuid> = Vec::new();
    let mut after = Value::Null;
    loop {
        let query =
            "query($after: String) { events(first: 100, after: $after, orderBy: {field: POSITION, direction: ASC}) {
            nodes { eventId } pageInfo { hasNextPage endCursor } } }";
        let (_, answer) = app.ask_as(token, query, json!({"after": after})).await;
        let page = &answer["data"]["events"];
        assert!(page.is_object(), "{answer:#}");
        ids.extend(
            page["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|node| node["eventId"].as_str().unwrap().parse::<Uuid>().unwrap()),
        );
        if page["pageInfo"]["hasNextPage"] == false {
            return ids;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// An app whose callers have their names as tokens; `reader` may read.
async fn with_tokens(folder: &Folder, writers: &[(&str, &str)]) -> (App, std::path::PathBuf) {
    let path = folder.0.join("callers");
    fs::write(&path, callers(writers)).unwrap();
    (App::with_callers(Callers::read(&path).unwrap()).await, path)
}

fn callers(writers: &[(&str, &str)]) -> String {
    let line = |name: &str, rights: &str| format!("{name} {} {rights}\n", canonical::hex(&canonical::digest(name)));
    writers.iter().map(|(name, rights)| line(name, rights)).collect::<String>() + &line("reader", "- read")
}

fn token_file(folder: &Folder, token: &str) -> TokenFile {
    let path = folder.0.join(format!("token-{}", Uuid::new_v4().simple()));
    fs::write(&path, token).unwrap();
    TokenFile(Some(path))
}
