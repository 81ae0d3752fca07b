//! The threads of a process: those that answer, those that work in the background, and how a request that takes long goes aside,
//! to the latter.

use std::{io, num::NonZeroUsize, panic::resume_unwind, sync::OnceLock, thread::available_parallelism};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinSet,
};
use tracing::Instrument as _;

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

/// Runs in the background what takes milliseconds at once, so that short answers need not wait for it. It ends when nobody waits
/// for it any more; a panic of it is one of whoever waits.
pub async fn aside<T: Send + 'static>(long: impl Future<Output = T> + Send + 'static) -> T {
    let mut task = JoinSet::new(); // of one: to drop it ends the task
    task.spawn_on(long.in_current_span(), &background());
    match task.join_next().await.expect("there is one") {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, panic::AssertUnwindSafe};

    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_goes_aside_comes_back_with_its_answer_or_its_panic() {
        assert_eq!(aside(async { 7 }).await, 7);
        let panics = aside(async { panic!("on purpose") });
        let panic = AssertUnwindSafe(panics).catch_unwind().await.map(|()| "none").unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    }

    #[tokio::test]
    async fn it_ends_when_nobody_waits_for_it() {
        let (held, ended) = oneshot::channel::<()>();
        let waiting = tokio::spawn(aside(async move {
            let _held = held;
            pending::<()>().await;
        }));
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(ended.await.is_err(), "what it holds is dropped");
    }
}
