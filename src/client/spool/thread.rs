//! The thread that writes: it takes whatever waits, has it written and synced as one group, and answers all.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tracing::warn;

use super::{AppendError, Sequence, core::Core, frame, write::Records};

/// A group is small against a segment, so that little of one stays empty at its end, and its write against its sync.
const GROUP_BYTES_MAX: usize = 256 * 1024;

pub struct Request {
    pub records: Records,
    pub answer: oneshot::Sender<Result<Vec<Sequence>, AppendError>>,
    /// Bounds what waits; given back with the answer.
    pub room: OwnedSemaphorePermit,
}

/// Starts the thread. What it returns turns true when all is answered; it goes away untrue when the thread panics.
pub fn start(core: Arc<Core>, queue: mpsc::Receiver<Request>) -> std::io::Result<watch::Receiver<bool>> {
    let (finished, done) = watch::channel(false);
    thread::Builder::new().name("spool".to_owned()).spawn(move || {
        run(&core, queue);
        finished.send_replace(true);
    })?;
    Ok(done)
}

fn run(core: &Arc<Core>, mut queue: mpsc::Receiver<Request>) {
    let mut held = None;
    let mut making: Option<JoinHandle<()>> = None;
    while let Some(group) = gather(core, &mut queue, &mut held) {
        let mut appends = Vec::with_capacity(group.len());
        let mut waiting = Vec::with_capacity(group.len());
        for Request { records, answer, room } in group {
            appends.push(records);
            waiting.push((answer, room));
        }
        for ((answer, _room), outcome) in waiting.into_iter().zip(core.write(appends)) {
            let _ = answer.send(outcome); // whoever asked may be gone
        }
        if making.as_ref().is_none_or(JoinHandle::is_finished) && core.wants_spare() {
            making = make_spare(core.clone());
        }
    }
    if let Some(making) = making {
        let _ = making.join(); // a panic there has harmed nothing but the spare
    }
}

/// What waits, up to a group; waits for the first. `None` when the spool is closed and all is answered.
fn gather(core: &Core, queue: &mut mpsc::Receiver<Request>, held: &mut Option<Request>) -> Option<Vec<Request>> {
    let first = held.take().or_else(|| queue.blocking_recv())?;
    let bytes_max = GROUP_BYTES_MAX.min(core.segment_bytes / 8);
    let mut bytes = frame::bytes_of(&first.records);
    let mut group = vec![first];
    while let Ok(next) = queue.try_recv() {
        bytes += frame::bytes_of(&next.records);
        if bytes > bytes_max {
            *held = Some(next);
            break;
        }
        group.push(next);
    }
    Some(group)
}

/// Makes the next segment beside. One thread for each of some megabytes is cheaper to understand than one that waits.
fn make_spare(core: Arc<Core>) -> Option<JoinHandle<()>> {
    let making = thread::Builder::new().name("spool-spare".to_owned()).spawn(move || core.make_spare());
    making
        .inspect_err(|error| warn!(error = error as &dyn std::error::Error, "no thread for the spool's next segment"))
        .ok()
}
