//! The ranges that the projections of the fold share: each is read once, comes to the rows of a rebuild, and who cannot go on
//! holds the other up for a moment only.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use binnacle::{
    audit::Position,
    demo::{self, Recording},
    journal::read,
    postgres::{PoolSettings, Pools},
    projection::{self, Batches, Projection, cursor, dead_letters, rebuild, remediations},
    remediation,
    worker::Progress,
};
use chrono::Utc;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgPool, postgres::PgPoolOptions};
use tokio::time::timeout;

use crate::support::{
    app::DEADLINE,
    history::write,
    postgres::{TestDatabase, connect, database, locked, options},
    proxy::{Proxy, Way},
};

/// Most positions of one range: `POSITIONS_MAX` of `src/projection/batch/mod.rs`.
const RANGE: usize = 2_000;
/// How often a range that is folded is read: itself, and the streams that it belongs to.
const FOLDED: usize = 2;
/// The projections that come from the fold.
const FOLDING: [Projection; 2] = [Projection::Remediations, Projection::SearchDocuments];

proptest::proptest! {
    // A history that fills several ranges takes seconds, and to make a failing one smaller would take minutes.
    #![proptest_config(proptest::test_runner::Config { cases: 2, max_shrink_iters: 0, ..Default::default() })]

    #[test]
    fn streams_that_go_on_over_ranges_project_to_what_a_rebuild_gives_however_the_projections_meet(
        seed in proptest::num::u64::ANY,
        met_at in 1_usize..RANGE,
        ahead in 0_usize..2,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::start().await;
            let history = tangled(180, seed);
            assert!(history.len() > 2 * RANGE, "{} audits fill several ranges", history.len());
            // One is ahead within a range, then both go on, at the same time.
            let (first, rest) = history.split_at(met_at);
            write(&store.db, first).await;
            store.to_the_end(FOLDING[ahead]).await;
            write(&store.db, rest).await;
            tokio::join!(store.to_the_end(FOLDING[0]), store.to_the_end(FOLDING[1]));

            store.tells_what_a_fold_of_each_stream_does().await;
            for projection in FOLDING {
                for table in store.rebuilt(projection).await {
                    assert_eq!(table.differing, 0, "{table:?}");
                    assert!(table.rows > 0, "{table:?}");
                }
            }
        });
    }
}

#[tokio::test]
async fn a_range_is_read_once_for_both_projections() {
    let store = Store::with(&tangled(180, 1)).await;
    let ranges = store.head().await.div_ceil(RANGE);
    assert!(ranges > 2);

    tokio::join!(store.to_the_end(FOLDING[0]), store.to_the_end(FOLDING[1]));

    assert_eq!(store.reads(), ranges * FOLDED);
}

#[tokio::test]
async fn a_range_whose_answer_got_lost_is_read_anew() {
    let mut db = database().await;
    write(&db, &tangled(10, 9)[..200]).await;
    let proxy = Proxy::before(&mut db.service_url);
    let pools = Pools::open(&options(&db.service_url), &PoolSettings::default());
    let batches = Arc::new(Batches::waiting(pools.project.clone(), Duration::from_secs(3)));
    let take = || {
        let batches = batches.clone();
        let taken = async move {
            let all = (Position(0), chrono::DateTime::UNIX_EPOCH, Position(200));
            batches.take(Projection::EventIndex, all.0, all.1, all.2).await.map(|batch| batch.to)
        };
        timeout(DEADLINE, tokio::spawn(taken))
    };
    let mut owner = connect(&db.owner_url).await;
    let mut foreign = owner.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE").execute(&mut *foreign).await.unwrap();
    let lost = tokio::spawn(take());
    locked(&db, "binnacle project", true).await;
    proxy.goes(Way::Swallowed);
    foreign.rollback().await.unwrap();
    locked(&db, "binnacle project", false).await;
    assert_eq!(lost.await.unwrap().expect("it waits without end").unwrap(), None);

    proxy.goes(Way::Open);
    assert_eq!(take().await.expect("it waits without end").unwrap(), Some(Position(200)));
}

#[tokio::test]
async fn a_stream_that_goes_on_is_not_read_again_from_its_beginning() {
    let history = demo::history(10, Utc::now());
    let (before, rest) = history[..200].split_at(100);
    assert!(before.iter().any(|it| stream(it) == stream(&rest[0])), "a stream goes on");
    let store = Store::with(before).await;
    for projection in FOLDING {
        store.to_the_end(projection).await;
    }
    write(&store.db, rest).await;
    // Now nobody reads a stream.
    store.owner("ALTER FUNCTION journal_streams RENAME TO journal_streams_no_more").await;
    for projection in FOLDING {
        store.to_the_end(projection).await;
    }
    store.owner("ALTER FUNCTION journal_streams_no_more RENAME TO journal_streams").await;

    store.tells_what_a_fold_of_each_stream_does().await;
    for projection in FOLDING {
        for table in store.rebuilt(projection).await {
            assert_eq!(table.differing, 0, "{table:?}");
        }
    }
}

#[tokio::test]
async fn many_long_streams_side_by_side_come_to_what_a_fold_of_each_does_in_fewer_ranges() {
    // Each of the later ranges belongs to nearly all of the streams, most of which has been told before it.
    let history = tangled(600, 11);
    let (before, rest) = history.split_at(5 * RANGE);
    assert!(rest.len() > 2 * RANGE);
    let store = Store::with(before).await;
    store.to_the_end(Projection::Remediations).await;
    write(&store.db, rest).await;
    let reads = store.reads();

    store.to_the_end(Projection::Remediations).await;

    assert_eq!(store.reads() - reads, 2 * FOLDED, "{} positions are two ranges", rest.len());
    store.tells_what_a_fold_of_each_stream_does().await;
}

#[tokio::test]
async fn what_was_kept_of_another_journal_is_forgotten() {
    let (lost, history) = (tangled(20, 12), tangled(20, 13));
    let (store, other) = (Store::with(&lost[..200]).await, Store::with(&history[..200]).await);
    store.to_the_end(Projection::Remediations).await;
    other.to_the_end(Projection::Remediations).await;
    // As after a failover to a replica that had not got all, and went on with the same remediations.
    write(&other.db, &history[200..]).await;
    let told = |history: &[Recording], of: &Value| history[..200].iter().filter(|it| stream(it) == of).count();
    let as_many = |it: &Recording| told(&lost, stream(it)) == told(&history, stream(it));
    assert!(history[200..].iter().any(as_many), "a stream goes on that has as many entries here as there");
    store.reads_from(&other);

    while projection::step(&other.pool, Projection::Remediations, &store.batches).await.unwrap() != Progress::CaughtUp {
    }

    other.tells_what_a_fold_of_each_stream_does().await;
}

#[tokio::test]
async fn events_are_listed_before_their_streams_are_folded() {
    let store = Store::with(&tangled(10, 8)[..200]).await;

    store.step(Projection::EventIndex).await;

    assert_eq!(store.reads(), 1, "no stream is read whole for a list of events");
    let listed: i64 = sqlx::query_scalar("SELECT count(*) FROM event_index").fetch_one(&store.pool).await.unwrap();
    assert_eq!(listed, 200);
    store.step(Projection::Remediations).await;
    assert_eq!(store.reads(), FOLDED, "what was read of the range is folded");
}

#[tokio::test]
async fn a_poison_event_of_a_range_that_was_shared_is_parked_alone() {
    let store = Store::with(&tangled(10, 2)[..200]).await;
    let db = &store.pool;
    // What a stream comes to with its last entry is refused, and so is the whole range.
    let poison: i64 = sqlx::query_scalar(
        "SELECT max(position) FROM audit_events GROUP BY cluster_id, remediation_id ORDER BY max(position) LIMIT 1",
    )
    .fetch_one(db)
    .await
    .unwrap();
    store.owner(&format!("ALTER TABLE remediations ADD CONSTRAINT poison CHECK (last_position <> {poison})")).await;

    tokio::join!(store.to_the_end(FOLDING[0]), store.to_the_end(FOLDING[1]));

    let letters = dead_letters::newest(db, 100).await.unwrap();
    let parked: Vec<_> = letters.iter().map(|letter| (letter.projection, letter.position.0)).collect();
    assert_eq!(parked, [(Projection::Remediations, poison)]);
    assert_eq!(store.reads(), FOLDED, "what was shared was read once; its halves are read by who needs them");
    // All else is there: a rebuild without the rule differs in one row.
    store.owner("ALTER TABLE remediations DROP CONSTRAINT poison").await;
    for projection in FOLDING {
        let tables = store.rebuilt(projection).await;
        let rows_differ = i64::from(projection == Projection::Remediations);
        assert_eq!(tables[0].differing, rows_differ, "{tables:?}");
    }
}

#[tokio::test]
async fn a_projection_that_stands_still_holds_the_other_for_a_moment_only() {
    let history = tangled(400, 3);
    let store = Store::with(&history[..4 * RANGE + 100]).await;
    store.step(Projection::SearchDocuments).await; // and from now on its worker is dead

    let begun = Instant::now();
    timeout(DEADLINE, store.to_the_end(Projection::Remediations)).await.expect("it goes on alone");
    assert!(begun.elapsed() > Duration::from_millis(900), "it waits for who is near: {:?}", begun.elapsed());

    let begun = Instant::now();
    store.step(Projection::Remediations).await;
    let waited = begun.elapsed();
    assert!(waited < Duration::from_millis(500), "a step that has nothing to do waits for nobody: {waited:?}");
}

#[tokio::test]
async fn where_a_shared_range_cannot_be_read_each_projection_reads_it_itself() {
    let store = Store::with(&tangled(10, 4)[..200]).await;
    store.reading.close().await;

    tokio::join!(store.to_the_end(FOLDING[0]), store.to_the_end(FOLDING[1]));

    assert_eq!(store.reads(), 0);
    assert!(dead_letters::newest(&store.pool, 1).await.unwrap().is_empty());
    store.tells_what_a_fold_of_each_stream_does().await;
}

#[tokio::test]
async fn what_another_has_taken_in_small_steps_is_folded_in_one_but_nearly_all_of_it_is_shared() {
    let (store, history) = (Store::start().await, tangled(30, 8));
    for piece in history[..200].chunks(50) {
        write(&store.db, piece).await;
        store.to_the_end(Projection::EventIndex).await;
    }
    assert_eq!(store.step(Projection::Remediations).await, Progress::CaughtUp);
    assert_eq!(cursor::position(&store.pool, Projection::Remediations).await.unwrap().0, store.head().await as i64);

    write(&store.db, &history[200..290]).await;
    store.to_the_end(Projection::EventIndex).await;
    write(&store.db, &history[290..300]).await;
    let before = store.reads();
    assert_eq!(store.step(Projection::Remediations).await, Progress::Nearly);
    assert_eq!(store.reads(), before + FOLDED - 1, "the streams are read, and not the range");

    store.to_the_end(Projection::Remediations).await;
    store.to_the_end(Projection::SearchDocuments).await;
    store.tells_what_a_fold_of_each_stream_does().await;
}

#[tokio::test]
async fn a_range_of_another_journal_is_refused_whole() {
    let (store, other) = (Store::with(&tangled(10, 5)[..200]).await, Store::with(&tangled(10, 6)[..200]).await);
    // As after a failover to a replica that had not got all: other events stand at these positions.
    let stale = Batches::new(other.reading.clone());

    let refused = projection::step(&store.pool, Projection::Remediations, &stale).await.unwrap_err().to_string();

    assert!(refused.starts_with("the journal is not the one that was read"), "{refused}");
    assert_eq!(cursor::position(&store.pool, Projection::Remediations).await.unwrap(), Position(0));
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM remediations").fetch_one(&store.pool).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn of_two_replicas_one_takes_a_range_and_the_other_writes_nothing() {
    let store = Store::with(&tangled(10, 7)[..200]).await;
    let other = Batches::new(store.reading.clone());
    for projection in Projection::ALL {
        let mut rival = store.pool.begin().await.unwrap();
        cursor::hold(&mut rival, projection).await.unwrap();
        assert_eq!(store.step(projection).await, Progress::CaughtUp, "it does not wait for a rival");
        rival.rollback().await.unwrap();
        assert_eq!(cursor::position(&store.pool, projection).await.unwrap(), Position(0));

        // Both have seen the cursor at its beginning.
        let (own, others) = tokio::join!(store.step(projection), projection::step(&store.pool, projection, &other));
        others.unwrap();
        assert_eq!(own, Progress::CaughtUp);
        store.to_the_end(projection).await;

        assert!(dead_letters::newest(&store.pool, 1).await.unwrap().is_empty());
        for table in store.rebuilt(projection).await {
            assert_eq!(table.differing, 0, "{table:?}");
        }
    }
}

/// A store without a server, so that the test takes the steps, and knows how often something is read.
struct Store {
    db: TestDatabase,
    pool: PgPool,
    /// Where the batches take their connections, one each time that they read.
    reading: PgPool,
    taken: Arc<AtomicUsize>,
    /// Whether all of them are opened anew.
    anew: Arc<AtomicBool>,
    batches: Batches,
}

impl Store {
    async fn start() -> Store {
        let db = database().await;
        let pool = PgPoolOptions::new().max_connections(2).connect_with(options(&db.service_url)).await.unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let anew = Arc::new(AtomicBool::new(false));
        let (new, again, opened) = (taken.clone(), taken.clone(), anew.clone());
        let reading = PgPoolOptions::new()
            .max_connections(4)
            .after_connect(move |_, _| {
                new.fetch_add(1, Ordering::Relaxed);
                Box::pin(async { Ok(()) })
            })
            .before_acquire(move |_, _| {
                let kept = !opened.load(Ordering::Relaxed);
                again.fetch_add(kept.into(), Ordering::Relaxed);
                Box::pin(async move { Ok(kept) })
            })
            .connect_lazy_with(options(&db.service_url));
        let batches = Batches::new(reading.clone());
        Store { db, pool, reading, taken, anew, batches }
    }

    async fn with(history: &[Recording]) -> Store {
        let store = Store::start().await;
        write(&store.db, history).await;
        store
    }

    async fn step(&self, projection: Projection) -> Progress {
        projection::step(&self.pool, projection, &self.batches).await.unwrap()
    }

    async fn to_the_end(&self, projection: Projection) {
        while self.step(projection).await != Progress::CaughtUp {}
        let reached = cursor::position(&self.pool, projection).await.unwrap().0;
        assert_eq!(reached, self.head().await as i64);
    }

    async fn rebuilt(&self, projection: Projection) -> Vec<rebuild::Table> {
        let owner = options(&self.db.owner_url);
        rebuild::rebuild(&owner, "binnacle_service", projection, |_, _| ()).await.unwrap().tables
    }

    async fn head(&self) -> usize {
        read::head(&self.pool).await.unwrap().last.0 as usize
    }

    /// From now on its batches read from another store.
    fn reads_from(&self, other: &Store) {
        self.reading.set_connect_options(options(&other.db.service_url));
        self.anew.store(true, Ordering::Relaxed);
    }

    /// How often the batches have read.
    fn reads(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    async fn owner(&self, statements: &str) {
        let statements = AssertSqlSafe(statements.to_string());
        sqlx::raw_sql(statements).execute(&mut connect(&self.db.owner_url).await).await.unwrap();
    }

    /// A rebuild takes batches too, so what it agrees with is compared with the fold of each stream, read from its beginning.
    async fn tells_what_a_fold_of_each_stream_does(&self) {
        let head = read::head(&self.pool).await.unwrap().last;
        let entries = read::between(&self.pool, Position(0), chrono::DateTime::UNIX_EPOCH, head).await.unwrap();
        let folded: BTreeMap<String, String> = remediations::group(entries)
            .into_iter()
            .filter_map(|(id, entries)| {
                let summary = remediation::fold(&entries, None)?.summary;
                Some((id.remediation_id, serde_json::to_string(&summary).unwrap()))
            })
            .collect();
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT remediation_id, summary::text FROM remediations ORDER BY remediation_id")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        assert!(!rows.is_empty());
        assert_eq!(rows.into_iter().collect::<BTreeMap<_, _>>(), folded);
    }
}

/// The name of the remediation that an audit is about.
fn stream(recording: &Recording) -> &Value {
    &recording.submission.fields["remediationId"]
}

/// The audits of a believable history in an order that `seed` gives: each remediation goes on until the end.
fn tangled(remediations: usize, seed: u64) -> Vec<Recording> {
    let history = demo::history(remediations, Utc::now());
    let mut order: Vec<&Recording> = history.iter().collect();
    order.sort_by_cached_key(|recording| {
        let mut hasher = DefaultHasher::new();
        (seed, recording.event_id).hash(&mut hasher);
        hasher.finish()
    });
    let at_these_times = history.iter().zip(order);
    at_these_times.map(|(time, told)| Recording { recorded_at: time.recorded_at, ..told.clone() }).collect()
}
