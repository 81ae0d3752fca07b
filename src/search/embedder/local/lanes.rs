//! Threads that take turns at a queue of texts.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use bert::Scratch;
use tokio::sync::{mpsc, oneshot};

use super::{super::EmbedError, pipeline::Pipeline};

/// A queue and the threads that empty it. They end when it is dropped.
pub struct Lane(mpsc::Sender<Job>);

struct Job {
    texts: Vec<String>,
    answer: oneshot::Sender<Result<Vec<Vec<f32>>, EmbedError>>,
}

/// Most jobs that wait; further callers wait for room.
const QUEUE_MAX: usize = 64;
/// How far threads that may wait step back, as far as can be: another thread that wants the processor gets it as soon as it
/// wants it, and sixty times as much of it. What is left is theirs.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

impl Lane {
    /// `humble` threads step back for everything else that runs on this machine.
    pub fn start(name: &str, threads: usize, humble: bool, pipeline: &Arc<Pipeline>) -> io::Result<Lane> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let jobs = Arc::new(Mutex::new(receiver));
        for _ in 0..threads {
            let (jobs, pipeline) = (jobs.clone(), pipeline.clone());
            thread::Builder::new().name(format!("embed-{name}")).spawn(move || {
                if humble {
                    step_back();
                }
                work(&jobs, &pipeline);
            })?;
        }
        Ok(Lane(sender))
    }

    pub async fn vectors(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let gone =
            || EmbedError::Unavailable { reason: "the model's threads have ended".to_string(), retry_after: None };
        let (answer, answered) = oneshot::channel();
        self.0.send(Job { texts, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>, pipeline: &Pipeline) {
    let mut scratch = Scratch::default();
    while let Some(job) = next(jobs) {
        if job.answer.is_closed() {
            continue; // whoever asked has gone
        }
        let made = catch_unwind(AssertUnwindSafe(|| pipeline.vectors(&job.texts, &mut scratch)));
        let result = made.unwrap_or_else(|_| {
            scratch = Scratch::default();
            // The panic itself is logged where it happens. The same texts would bring it about again.
            Err(EmbedError::Refused { reason: "the model fails on it".to_string() })
        });
        let _ = job.answer.send(result); // an error is an asker who has gone
    }
}

/// The next job. One thread waits for it, and the others wait for that thread.
fn next(jobs: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}

/// On Linux a thread has a priority of its own. Elsewhere it would be that of the whole process, so there it stays.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(error = %error, "the embedder's threads keep their priority: {error}");
    }
}
