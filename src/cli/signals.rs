//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends the process at once.

use std::{
    io, process,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::worker::{Shutdown, Stop};

/// What shells see of a process that a SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Whether somebody at the keyboard has asked for the end.
static BY_HAND: AtomicBool = AtomicBool::new(false);

/// Whether the end was asked for by SIGINT, as by Ctrl-C: then nobody has to be waited for who sends requests here.
pub fn by_hand() -> bool {
    BY_HAND.load(Ordering::Relaxed)
}

/// Listens for signals from now on. The word comes with the first; whoever has to do something before the end waits for
/// it and for nothing that could last, because the second signal ends the process.
pub fn listen() -> io::Result<Shutdown> {
    let (stop, shutdown) = Stop::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => {
                BY_HAND.store(true, Ordering::Relaxed);
                "SIGINT"
            }
        };
        info!(signal.name = name, "heard {name}, stopping; once more stops at once");
        stop.now();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        warn!("heard a second signal and stopped at once");
        process::exit(INTERRUPTED);
    });
    Ok(shutdown)
}
