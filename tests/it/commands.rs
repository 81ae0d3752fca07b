//! The command line, through the real binary: what commands print and how they end.

use std::{fs, path::Path};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    audits::{notification, with},
    postgres::database,
    process::{Served, binnacle, on_database, on_folder, postmaster, run},
    store::Folder,
};

#[tokio::test]
async fn record_tells_what_became_of_each_line_and_its_exit_code_whether_any_was_rejected() {
    let (db, folder) = (database().await, Folder::new());
    let audit = |n: u128| notification("rr", Uuid::from_u128(n), &format!("nt-{n}"));
    let good = write(&folder, "good", &[audit(1), audit(2), audit(1)]);
    let mixed = write(&folder, "mixed", &[audit(3), with(audit(2), "status", json!("failed")), json!({"kind": "?"})]);

    let ended = run(on_database(&db, &["record", &good])).await;
    assert_eq!(ended.done(), "2 recorded, 1 duplicate, 0 rejected\n");

    let ended = run(on_database(&db, &["record", &mixed])).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let lines: Vec<&str> = ended.text.lines().collect();
    assert_eq!(lines[0], "1 recorded, 0 duplicate, 2 rejected");
    assert!(lines.contains(&"line 2: CONFLICT") && lines.contains(&"line 3: INVALID"), "{ended:#?}");

    let ended = run(on_database(&db, &["record", &mixed, "--json"])).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let summary = ended.json();
    assert_eq!((&summary["recorded"], &summary["duplicate"], &summary["rejected"]), (&json!(0), &json!(1), &json!(2)));
    assert_eq!(summary["rejections"][0]["line"], 2);
    assert_eq!(summary["rejections"][1]["code"], "INVALID");

    let ended = run(on_database(&db, &["record", "/no/such/file"])).await;
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.errors.contains("cannot read `/no/such/file`"), "{ended:#?}");
}

#[tokio::test]
async fn timeline_prints_one_remediation_for_people_and_for_scripts() {
    let db = database().await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/worked-example.json");
    let audits: Vec<Value> = serde_json::from_str(&fs::read_to_string(example).unwrap()).unwrap();
    let folder = Folder::new();
    run(on_database(&db, &["record", &write(&folder, "example", &audits)])).await.done();
    let id = audits[0]["remediationId"].as_str().unwrap();

    let text = run(on_database(&db, &["timeline", id])).await.done();
    assert!(text.starts_with(&format!("{id} in cluster default\n")), "{text}");
    assert!(text.contains("longest was APPROVAL_WAIT (2 m 45 s, 48.5 %)"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours are for terminals: {text}");

    let told = run(on_database(&db, &["timeline", id, "--json"])).await.json();
    assert_eq!((&told["durationMs"], &told["bottleneck"]["name"]), (&json!(340_000.0), &json!("APPROVAL_WAIT")));
    assert!(told["timeline"].as_array().unwrap().len() >= 11);

    let then = run(on_database(&db, &["timeline", id, "--json", "--as-of", "2026-05-04T10:03:00Z"])).await.json();
    assert_eq!(then["completedAt"], Value::Null);

    let unknown = run(on_database(&db, &["timeline", "rr-unknown"])).await;
    assert_eq!((unknown.code, unknown.text.as_str()), (Some(1), ""));
    assert!(unknown.errors.contains("nothing is recorded of remediation `rr-unknown`"), "{unknown:#?}");
}

#[tokio::test]
async fn timeline_asks_for_the_cluster_where_several_know_the_name() {
    let (db, folder) = (database().await, Folder::new());
    let of = |n: u128, cluster: &str| with(notification("rr", Uuid::from_u128(n), "nt-1"), "clusterId", json!(cluster));
    run(on_database(&db, &["record", &write(&folder, "two", &[of(1, "eu-1"), of(2, "us-1")])])).await.done();

    let ended = run(on_database(&db, &["timeline", "rr"])).await;
    assert_eq!(ended.text, "");
    assert_ne!(ended.code, Some(0));
    assert!(ended.errors.contains("several clusters know `rr`; name one with `--cluster`: eu-1, us-1"), "{ended:#?}");

    let text = run(on_database(&db, &["timeline", "rr", "--cluster", "us-1"])).await.done();
    assert!(text.starts_with("rr in cluster us-1\n"), "{text}");
}

#[tokio::test]
async fn a_filled_demo_is_whole_rebuilds_to_itself_and_comes_back_from_a_backup() {
    let (store, restored, outside) = (Folder::new(), Folder::new(), Folder::new());
    let backup = outside.0.join("backup").display().to_string();
    let told = run(on_folder(&store, &["demo", "--remediations", "20", "--exit-after-seed"])).await.done();
    assert!(told.contains("of 20 remediations"), "{told}");
    assert!(postmaster(&store.0).is_none(), "its postgres has to be stopped");
    let again = run(on_folder(&store, &["demo", "--exit-after-seed"])).await.done();
    assert!(again.contains("nothing was added"), "{again}");

    // The next commands share the Postgres of a server that runs.
    let server = Served::start(on_folder(&store, &["serve"])).await;
    let query = "{ remediations(first: 1) { nodes { remediationId clusterId } totalCount } system { events } }";
    let data = server.client().data(query, json!({})).await;
    assert_eq!(data["remediations"]["totalCount"], 20);
    let first = &data["remediations"]["nodes"][0];
    let (id, cluster) = (first["remediationId"].as_str().unwrap(), first["clusterId"].as_str().unwrap());
    let verified = run(on_folder(&store, &["verify", "--json"])).await.json();
    assert_eq!(
        (verified["entries"].to_string().as_str(), &verified["streams"], &verified["flaw"]),
        (data["system"]["events"].as_str().unwrap(), &json!(20), &Value::Null)
    );
    let rebuilt = run(on_folder(&store, &["rebuild", "--all", "--json"])).await;
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:#?}");
    let tables = rebuilt.json();
    assert_eq!(tables.as_array().unwrap().len(), 9);
    assert!(tables.as_array().unwrap().iter().all(|table| table["differing"] == 0 && table["rows"] != 0), "{tables:#}");
    run(on_folder(&store, &["backup", &backup])).await.done();
    let before = run(on_folder(&store, &["timeline", id, "--cluster", cluster, "--json"])).await.done();
    server.stop().await;

    let told = run(on_folder(&restored, &["restore", &backup])).await.done();
    assert!(told.contains("The journal is whole"), "{told}");
    let after = run(on_folder(&restored, &["timeline", id, "--cluster", cluster, "--json"])).await.done();
    assert_eq!(after, before);
    let onto = run(on_folder(&store, &["restore", &backup])).await;
    assert_eq!(onto.code, Some(4), "a store is not restored over: {onto:#?}");
}

#[tokio::test]
async fn verify_ends_with_1_when_the_journal_is_not_whole() {
    let (db, folder) = (database().await, Folder::new());
    let audits: Vec<Value> = (1..=3).map(|n| notification("rr", Uuid::from_u128(n), "nt")).collect();
    run(on_database(&db, &["record", &write(&folder, "three", &audits)])).await.done();
    let mut admin = crate::support::postgres::connect(&db.admin_url).await;
    sqlx::raw_sql("SET session_replication_role = replica; DELETE FROM audit_events WHERE position = 2")
        .execute(&mut admin)
        .await
        .unwrap();

    let ended = run(on_database(&db, &["verify"])).await;

    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.text.contains("position 2 is missing"), "{ended:#?}");
}

#[tokio::test]
async fn schema_and_config_need_no_store() {
    assert_eq!(run(binnacle(["schema"])).await.done(), include_str!("../../schema.graphql"));

    let mut config = binnacle(["config", "--json", "--queue-max", "7"]);
    config.env("BINNACLE_CLUSTER_ID", "eu-1").env("BINNACLE_OWNER_URL", "");
    let settings = run(config).await.json()["settings"].take();
    assert_eq!(settings["queue-max"], json!({"value": "7", "from": "flag", "at": "--queue-max"}));
    assert_eq!(settings["cluster-id"], json!({"value": "eu-1", "from": "environment", "at": "BINNACLE_CLUSTER_ID"}));
    assert_eq!(settings["listen"], json!({"value": "127.0.0.1:8080", "from": "default", "at": null}));
}

#[tokio::test]
async fn what_cannot_be_served_safely_is_refused_with_the_ways_out() {
    let ended = run(binnacle(["serve", "--listen", "0.0.0.0:0"])).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    for way in ["--tokens-file", "--insecure-no-auth", "127.0.0.1"] {
        assert!(ended.errors.contains(way), "{ended:#?}");
    }

    let ended = run(binnacle(["serve", "--tokens-file", "/no/such/file"])).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let ended = run(binnacle(["serve", "--listen", "here"])).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let ended = run(binnacle(["verify", "--database-url", "postgres://nobody@127.0.0.1:1/nothing"])).await;
    assert_eq!(ended.code, Some(3), "{ended:#?}");
}

#[tokio::test]
async fn a_folder_without_a_store_is_named_and_left_as_it_was() {
    let folder = Folder::new();
    let lines = write(&folder, "lines", &[notification("rr", Uuid::from_u128(1), "nt-1")]);
    let (wrong, empty) = (folder.0.join("wrong"), folder.0.join("empty"));
    fs::create_dir(&empty).unwrap();
    let commands: [&[&str]; 9] = [
        &["timeline", "rr"],
        &["report", "rr"],
        &["search", "memory"],
        &["embed"],
        &["dead-letters", "list"],
        &["verify"],
        &["rebuild", "--all"],
        &["record", &lines],
        &["backup", "/no/such/folder/backup"],
    ];
    for command in commands {
        for place in [&wrong, &empty] {
            let mut asked = binnacle(command);
            asked.arg("--data-dir").arg(place);
            let ended = run(asked).await;
            assert_eq!(ended.code, Some(2), "{command:?}: {ended:#?}");
            let told = format!("there is no store in `{}`", place.display());
            assert!(ended.errors.contains(&told), "{command:?}: {ended:#?}");
        }
        assert!(!wrong.exists(), "{command:?}");
        assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "{command:?}");
    }

    // Where one is being made, the folder is somebody's.
    let lock = fs::File::create(empty.join("binnacle.lock")).unwrap();
    lock.lock().unwrap();
    let mut asked = binnacle(["verify"]);
    asked.arg("--data-dir").arg(&empty);
    let ended = run(asked).await;
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(ended.errors.contains("starting or stopping; try again"), "{ended:#?}");
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_and_the_first_serves_on() {
    let folder = Folder::new();
    let server = Served::start(on_folder(&folder, &["serve"])).await;

    let second = run(on_folder(&folder, &["serve", "--listen", "127.0.0.1:0"])).await;

    assert_eq!(second.code, Some(4), "{second:#?}");
    assert!(second.errors.contains(&folder.0.display().to_string()), "{second:#?}");
    assert!(second.errors.contains("--data-dir"), "{second:#?}");
    assert_eq!(server.client().get("/readyz").await.unwrap().status, 200);
    server.stop().await;
}

/// A file of JSON lines, which every account may read.
fn write(folder: &Folder, name: &str, audits: &[Value]) -> String {
    let path = folder.0.join(name);
    let lines: Vec<String> = audits.iter().map(|audit| format!("{audit}\n")).collect();
    fs::write(&path, lines.concat()).unwrap();
    path_text(&path)
}

fn path_text(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}
