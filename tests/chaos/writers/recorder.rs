//! A controller that records with the client library: what it has had kept is recorded, whatever happens to the servers.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use binnacle::{
    audit::Kind,
    client::{Outcome, Recorder, Settings},
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::ledger::{Fit, Ledger};

/// The lane of its audits, which no other writer has.
const LANE: u16 = 1_000;
/// How long it rests between two audits.
const REST: Duration = Duration::from_millis(10);
/// How long it may take to bring what it has kept.
const FLUSH_MAX: Duration = Duration::from_secs(120);

pub struct Controller {
    stop: watch::Sender<bool>,
    recorder: Recorder,
    recording: JoinHandle<()>,
}

impl Controller {
    /// Records audits one by one until told to stop.
    pub async fn start(folder: PathBuf, servers: &[String], ledger: Arc<Ledger>) -> anyhow::Result<Controller> {
        let settings = Settings::new(folder, servers.iter().map(String::as_str))?;
        let recorder = Recorder::open(settings).await?;
        let (stop, stopped) = watch::channel(false);
        let recording = tokio::spawn(record(recorder.clone(), ledger, stopped));
        Ok(Controller { stop, recorder, recording })
    }

    /// Stops, and waits until everything is brought; answers how long that took.
    pub async fn stop(self, ledger: &Ledger) -> anyhow::Result<Duration> {
        self.stop.send_replace(true);
        self.recording.await?;
        let begun = Instant::now();
        if timeout(FLUSH_MAX, self.recorder.flush()).await.is_err() {
            let (limit, status) = (FLUSH_MAX.as_secs(), self.recorder.status());
            ledger.breach(format!("a recorder has not brought what it keeps within {limit} s: {status:?}"));
        }
        let dead = self.recorder.status().spool.dead;
        if dead > 0 {
            ledger.breach(format!("a recorder has {dead} dead letters of good audits"));
        }
        let took = begun.elapsed();
        self.recorder.close(Duration::ZERO).await;
        Ok(took)
    }
}

async fn record(recorder: Recorder, ledger: Arc<Ledger>, stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let number = ledger.take_for(LANE, 1, Fit::Good)[0];
        let input = ledger.audits.graphql(number);
        match recorder.record(Kind::Notification, &input["notification"]).await {
            Ok(Outcome::Kept { .. } | Outcome::Recorded { .. }) => ledger.keep(number),
            Err(error) => {
                ledger.breach(format!("who records with the client library is told of an error: {error}"));
                return;
            }
        }
        tokio::time::sleep(REST).await;
    }
}
