//! Responses that their clients do not take, and requests that stop in the middle: found by a sweep, and their
//! connections closed.
//!
//! A response is asked for its next bytes when the client has opened its flow-control window. One that has handed out
//! bytes and is not asked again for [`limits::STALLED_CONNECTION_MS`] is stalled, whatever the socket does.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use super::connections::Closer;
use crate::limits;

/// Sweeps within the time after which a response counts as stalled.
const SWEEPS: u32 = 4;

/// Nothing is handed out and not taken.
const TAKEN: u32 = u32::MAX;

/// The responses of one shard.
#[derive(Debug, Default)]
pub struct Stalls {
    watched: Mutex<Vec<Weak<Progress>>>,
    closed: AtomicU64,
}

/// What the responses of one connection have handed out together.
#[derive(Debug, Default)]
pub struct Outstanding {
    bytes: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

/// How one response gets on.
#[derive(Debug)]
pub struct Progress {
    sweeps: AtomicU32,
    bytes: AtomicUsize,
    outstanding: Arc<Outstanding>,
    closer: Arc<Closer>,
}

impl Stalls {
    /// Watches a response of a connection.
    pub fn watch(&self, outstanding: Arc<Outstanding>, closer: Arc<Closer>) -> Arc<Progress> {
        let sweeps = AtomicU32::new(TAKEN);
        let progress = Arc::new(Progress { sweeps, bytes: AtomicUsize::new(0), outstanding, closer });
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&progress));
        progress
    }

    /// How many responses were found stalled.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Bytes that responses have handed out and their clients have not taken.
    pub fn outstanding_bytes(&self) -> usize {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let live = watched.iter().filter_map(Weak::upgrade);
        live.map(|progress| progress.bytes.load(Ordering::Relaxed)).sum()
    }

    /// Sweeps for ever.
    pub async fn run(&self) {
        let pause = Duration::from_millis(limits::STALLED_CONNECTION_MS) / SWEEPS;
        loop {
            tokio::time::sleep(pause).await;
            self.sweep();
        }
    }

    /// Closes the connections of responses that are stalled, and forgets those that are over.
    fn sweep(&self) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).retain(|watched| {
            let Some(progress) = watched.upgrade() else { return false };
            let sweeps = progress.sweeps.load(Ordering::Relaxed);
            if sweeps == TAKEN {
                return true;
            }
            progress.sweeps.store(sweeps + 1, Ordering::Relaxed);
            if sweeps >= SWEEPS {
                self.closed.fetch_add(1, Ordering::Relaxed);
                progress.closer.close();
            }
            sweeps < SWEEPS
        });
    }
}

impl Progress {
    /// The client has taken everything so far and asks for more. Whether the connection may hand out more; if not,
    /// the waker is woken when it may.
    pub fn asked(&self, waker: &Waker) -> bool {
        self.sweeps.store(TAKEN, Ordering::Relaxed);
        self.outstanding.release(self.bytes.swap(0, Ordering::Relaxed));
        self.outstanding.has_room(waker)
    }

    /// Something is expected of the client from here on, if it is not already.
    pub fn expects(&self) {
        // When it is expected already its time runs.
        let _ = self.sweeps.compare_exchange(TAKEN, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Bytes are handed out.
    pub fn handed_out(&self, bytes: usize) {
        self.sweeps.store(0, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.outstanding.bytes.fetch_add(bytes, Ordering::SeqCst);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.outstanding.release(*self.bytes.get_mut());
    }
}

impl Outstanding {
    fn has_room(&self, waker: &Waker) -> bool {
        if self.bytes.load(Ordering::SeqCst) < limits::RESPONSE_BYTES_MAX {
            return true;
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(waker.clone());
        // Room that was made before the waker was in the list woke nobody.
        self.bytes.load(Ordering::SeqCst) < limits::RESPONSE_BYTES_MAX
    }

    fn release(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let before = self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        if before >= limits::RESPONSE_BYTES_MAX {
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_response_that_is_not_asked_again_is_stalled() {
        let stalls = Stalls::default();
        let (stalled, idle) = (Arc::<Closer>::default(), Arc::<Closer>::default());
        let slow = stalls.watch(Arc::default(), Arc::clone(&stalled));
        let quiet = stalls.watch(Arc::default(), Arc::clone(&idle));
        slow.handed_out(10);
        quiet.handed_out(10);
        quiet.asked(Waker::noop());
        for _ in 0..SWEEPS {
            stalls.sweep();
        }
        assert!(!stalled.is_closed());
        assert_eq!((stalls.closed(), stalls.outstanding_bytes()), (0, 10));
        stalls.sweep();
        assert!(stalled.is_closed() && !idle.is_closed());
        assert_eq!((stalls.closed(), stalls.outstanding_bytes()), (1, 0));
        drop(quiet);
        stalls.sweep();
        assert!(stalls.watched.lock().unwrap().is_empty());
    }

    #[test]
    fn a_connection_hands_out_no_more_than_its_share() {
        let (stalls, outstanding) = (Stalls::default(), Arc::<Outstanding>::default());
        let first = stalls.watch(Arc::clone(&outstanding), Arc::default());
        let second = stalls.watch(Arc::clone(&outstanding), Arc::default());
        first.handed_out(limits::RESPONSE_BYTES_MAX);
        assert!(!second.asked(Waker::noop()));
        assert!(first.asked(Waker::noop()) && second.asked(Waker::noop()));
        second.handed_out(limits::RESPONSE_BYTES_MAX + 1);
        assert!(!first.asked(Waker::noop()));
        drop(second);
        assert!(first.asked(Waker::noop()));
    }
}
