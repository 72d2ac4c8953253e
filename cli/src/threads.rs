//! Threads that each run their own current-thread runtime, as the broker's shards do.

use std::future::Future;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// A runtime for this thread.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("starting the runtime", error))
}

/// A thread's result, to be awaited.
pub(crate) struct Running<T>(oneshot::Receiver<Result<T, Failure>>);

impl<T> Running<T> {
    /// Waits for the thread.
    pub(crate) async fn result(self) -> Result<T, Failure> {
        self.0.await.unwrap_or_else(|_| Err(Failure::refused("a thread of the command panicked")))
    }
}

/// Runs a future on a thread of its own.
pub(crate) fn spawn<F, Fut, T>(name: String, work: F) -> Result<Running<T>, Failure>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, Failure>>,
    T: Send + 'static,
{
    let (tell, result) = oneshot::channel();
    let run = move || {
        let outcome = runtime().and_then(|runtime| {
            let outcome = runtime.block_on(work());
            runtime.shutdown_background();
            outcome
        });
        // Nobody listens when the command was interrupted.
        let _ = tell.send(outcome);
    };
    thread::Builder::new().name(name).spawn(run).map_err(|error| Failure::io("starting a thread", error))?;
    Ok(Running(result))
}
