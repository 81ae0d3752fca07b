//! The threads of a process: those that answer, those that work in the background, and how an answer that takes long goes aside.

use std::{io, num::NonZeroUsize, pin::pin, sync::OnceLock, thread::available_parallelism};

use futures_util::future::poll_fn;
use tokio::{
    runtime::{Builder, Handle, Runtime, RuntimeFlavor},
    task::block_in_place,
};

static BACKGROUND: OnceLock<Runtime> = OnceLock::new();

/// The runtime of a command, and another for what it does in the background. Half of the processors answer: much of what an append
/// costs is to wake threads, and with fewer of them fewer are woken. The other half is for the background, Postgres and callers.
pub fn runtime() -> io::Result<Runtime> {
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    let answering = (processors / 2).max(1);
    let threads =
        |count, name| Builder::new_multi_thread().worker_threads(count).thread_name(name).enable_all().build();
    let background = threads((processors - answering).max(1), "background")?;
    BACKGROUND.set(background).map_err(|_| io::Error::other("a process has one runtime"))?;
    threads(answering, "answering")
}

/// Where that runs which nobody waits for; without a runtime of `runtime`, as in tests, where everything else does.
pub fn background() -> Handle {
    BACKGROUND.get().map_or_else(Handle::current, |runtime| runtime.handle().clone())
}

/// Lets what else its thread has to do go on elsewhere whenever `future` is at work. That wakes a thread, so it is for what takes
/// milliseconds.
pub async fn aside<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let shared = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    poll_fn(|cx| if shared { block_in_place(|| future.as_mut().poll(cx)) } else { future.as_mut().poll(cx) }).await
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[test]
    fn what_takes_long_keeps_nobody_waiting() {
        let one_thread = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        one_thread.block_on(async {
            let (told, hears) = mpsc::channel();
            let long = tokio::spawn(aside(async move { hears.recv_timeout(Duration::from_secs(20)) }));
            tokio::spawn(async move { told.send("meanwhile") });
            assert_eq!(long.await.unwrap(), Ok("meanwhile"));
        });
    }

    #[tokio::test]
    async fn where_there_is_one_thread_it_does_everything() {
        assert_eq!(aside(async { 7 }).await, 7);
    }
}
