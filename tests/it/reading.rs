//! Reading the journal by key, whatever months the entries lie in.

use binnacle::{
    audit::{Entry, Position, StreamId},
    demo::{self, Recording},
    journal::read,
};
use chrono::{TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::support::{
    history::write,
    postgres::{TestDatabase, connect, database},
};

/// Two streams whose entries lie among each other, in months of their own and the same: `long` has one in each of six months,
/// `short` two in the third of them.
async fn two_streams(db: &TestDatabase) -> (StreamId, StreamId) {
    let told: Vec<Recording> = demo::history(20, Utc::now()).into_iter().take(8).collect();
    let begin = Utc::now() - TimeDelta::days(200);
    let places = [
        ("long", 0),
        ("long", 31),
        ("short", 61),
        ("long", 62),
        ("short", 62),
        ("long", 93),
        ("long", 124),
        ("long", 155),
    ];
    let recordings: Vec<Recording> = told
        .into_iter()
        .zip(places)
        .map(|(mut recording, (name, days))| {
            recording.submission.fields.insert("remediationId".to_string(), name.into());
            recording.submission.fields.insert("clusterId".to_string(), "eu".into());
            recording.recorded_at = begin + TimeDelta::days(days);
            recording
        })
        .collect();
    write(db, &recordings).await;
    let stream = |name: &str| StreamId { cluster_id: "eu".to_string(), remediation_id: name.to_string() };
    (stream("long"), stream("short"))
}

fn positions(entries: &[Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.position.0).collect()
}

#[tokio::test]
async fn a_stream_is_read_whole_or_up_to_a_position() {
    let db = database().await;
    let (long, short) = two_streams(&db).await;
    let mut reader = connect(&db.service_url).await;
    let all = Position(i64::MAX);

    let whole = read::stream(&mut reader, &long, all).await.unwrap();
    assert_eq!(positions(&whole), [1, 2, 4, 6, 7, 8]);
    assert_eq!(whole.iter().map(|entry| entry.version.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(whole.iter().all(Entry::intact), "what is read is what was sealed");
    assert_eq!(positions(&read::stream(&mut reader, &short, all).await.unwrap()), [3, 5]);
    assert_eq!(positions(&read::stream(&mut reader, &long, Position(5)).await.unwrap()), [1, 2, 4]);
    assert_eq!(positions(&read::stream(&mut reader, &short, Position(2)).await.unwrap()), [0; 0]);
    let other = StreamId { cluster_id: "us".to_string(), ..long.clone() };
    assert!(read::stream(&mut reader, &other, all).await.unwrap().is_empty());
}

#[tokio::test]
async fn streams_are_read_together_each_up_to_its_position() {
    let db = database().await;
    let (long, short) = two_streams(&db).await;
    let mut reader = connect(&db.service_url).await;
    let other = StreamId { cluster_id: "us".to_string(), ..long.clone() };

    let found =
        read::streams(&mut reader, &[short, other, long], &[Position(4), Position(9), Position(6)]).await.unwrap();

    assert_eq!(positions(&found), [1, 2, 3, 4, 6]);
    assert!(read::streams(&mut reader, &[], &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn entries_are_read_by_place_and_by_id() {
    let db = database().await;
    let (long, _) = two_streams(&db).await;
    let mut reader = connect(&db.service_url).await;
    let whole = read::stream(&mut reader, &long, Position(i64::MAX)).await.unwrap();

    let ids = [whole[5].event.event_id, Uuid::nil(), whole[0].event.event_id];
    assert_eq!(positions(&read::by_event_ids(&mut reader, &ids).await.unwrap()), [1, 8]);
    assert!(read::by_event_ids(&mut reader, &[]).await.unwrap().is_empty());
    assert!(read::by_event_id(&mut reader, Uuid::nil()).await.unwrap().is_none());

    // A place is a position and its time: another time is another place.
    let places = [
        (whole[3].position, whole[3].recorded_at),
        (whole[1].position, whole[1].recorded_at),
        (Position(1), Utc::now()),
    ];
    assert_eq!(positions(&read::at(&mut reader, &places).await.unwrap()), [2, 6]);
    assert!(read::at(&mut reader, &[]).await.unwrap().is_empty());
}

/// The months into which the connection has looked until now, by its own statistics.
async fn looked_into(db: &mut PgConnection) -> i64 {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(&mut *db).await.unwrap();
    sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&mut *db).await.unwrap();
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_user_tables WHERE relname LIKE 'audit\\_events\\_y%' AND seq_scan + idx_scan > 0",
    )
    .fetch_one(&mut *db)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_stream_is_looked_for_in_its_own_months() {
    let db = database().await;
    let (long, short) = two_streams(&db).await;
    let mut admin = connect(&db.admin_url).await;
    sqlx::query("SELECT pg_stat_reset()").execute(&mut admin).await.unwrap();

    read::stream(&mut admin, &short, Position(i64::MAX)).await.unwrap();
    assert_eq!(looked_into(&mut admin).await, 1);
    read::streams(&mut admin, &[short], &[Position(i64::MAX)]).await.unwrap();
    assert_eq!(looked_into(&mut admin).await, 1);
    read::stream(&mut admin, &long, Position(i64::MAX)).await.unwrap();
    assert!(looked_into(&mut admin).await >= 6);
}
