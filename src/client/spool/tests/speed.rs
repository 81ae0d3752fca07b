//! How long it takes to keep a record; run by hand, on a real disk: `SPOOL_FOLDER` names a folder there.

use std::{env, path::PathBuf, time::Instant};

use crate::client::spool::{Settings, Spool};

const RECORDS: usize = 20_000;
const RECORD_BYTES: usize = 600;

#[tokio::test(flavor = "current_thread")]
#[ignore = "it measures; with --nocapture it prints what it found"]
async fn appends_by_one_and_by_many() {
    for tasks in [1, 16, 64] {
        let parent = env::var_os("SPOOL_FOLDER").map_or_else(env::temp_dir, PathBuf::from);
        let folder = tempfile::tempdir_in(parent).unwrap();
        let spool = Spool::open(folder.path(), Settings::default()).unwrap();
        let each = if tasks == 1 { RECORDS / 10 } else { RECORDS / tasks };
        let begun = Instant::now();
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let spool = spool.clone();
                tokio::spawn(async move {
                    let mut times = Vec::with_capacity(each);
                    for _ in 0..each {
                        let at = Instant::now();
                        spool.append(vec![b'x'; RECORD_BYTES]).await.unwrap();
                        times.push(at.elapsed());
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in running {
            times.extend(task.await.unwrap());
        }
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        times.sort();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!("{tasks:>3} tasks: p50 {p50:?}, p99 {p99:?}, max {:?}, {rate:.0}/s", times[times.len() - 1]);
        assert_eq!(spool.status().waiting, times.len() as u64);
        spool.close().await.unwrap();
    }
}
