//! The reader pool: blocking reads of cold bytes, off the shard threads.
//!
//! A shard thread reads only the recent tail by itself, from memory. Everything else is read here, and every batch is
//! verified each time.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::ids::Offset;
use crate::limits;
use crate::log::{ReadBatches, ReadError, Reader};

type Job = Box<dyn FnOnce() + Send>;

/// The pool; cheap to clone. Its threads end when the last clone is dropped.
#[derive(Clone)]
pub struct Readers {
    jobs: mpsc::Sender<Job>,
}

/// The pool has ended, or the read panicked: the broker's log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the read was not carried out")]
pub struct NotRead;

impl Readers {
    /// Starts the threads.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start() -> io::Result<Readers> {
        let (jobs, waiting) = mpsc::channel::<Job>(limits::READS_WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..limits::READER_THREADS {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new().name(format!("reader-{number}")).spawn(move || serve(&waiting))?;
        }
        Ok(Readers { jobs })
    }

    /// How many reads wait for a thread.
    pub fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Runs something that blocks. Waits where many others wait.
    ///
    /// # Errors
    /// [`NotRead`].
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRead> {
        let (to, result) = oneshot::channel();
        let job = Box::new(move || {
            // One who has left needs no answer, and no read.
            if !to.is_closed() {
                let _ = to.send(work());
            }
        });
        self.jobs.send(job).await.map_err(|_| NotRead)?;
        result.await.map_err(|_| NotRead)
    }

    /// Reads whole batches from the one that contains `from`, all below `end`, about `max_bytes`, at least one.
    ///
    /// # Errors
    /// [`NotRead`]; within, what the log says.
    pub async fn read(
        &self,
        reader: &Arc<Reader>,
        from: Offset,
        end: Offset,
        max_bytes: usize,
    ) -> Result<Result<ReadBatches, ReadError>, NotRead> {
        if reader.is_recent(from) {
            return Ok(reader.read(from, end, max_bytes, false));
        }
        let reader = Arc::clone(reader);
        self.run(move || reader.read(from, end, max_bytes, true)).await
    }
}

fn serve(waiting: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a read panicked; the request that asked for it is refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_one_read_and_no_thread() {
        let readers = Readers::start().unwrap();
        for _ in 0..2 * limits::READER_THREADS {
            assert_eq!(readers.run(|| panic!("on purpose")).await, Err::<(), _>(NotRead));
        }
        assert_eq!(readers.run(|| 7).await, Ok(7));
    }
}
