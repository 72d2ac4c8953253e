//! The sending side of a stream: a bounded queue that says how much of it the transport has taken.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{Notify, mpsc};
use tokio_stream::Stream;

/// The end that messages are put into.
pub(crate) struct Outgoing<T> {
    queue: mpsc::Sender<T>,
    taken: Arc<AtomicU64>,
}

/// The end that the transport reads.
pub(crate) struct Requests<T> {
    queue: mpsc::Receiver<T>,
    taken: Arc<AtomicU64>,
    drained: Arc<Notify>,
}

/// A queue of `length` messages; `drained` is told whenever it got shorter.
pub(crate) fn queue<T>(length: usize, drained: Arc<Notify>) -> (Outgoing<T>, Requests<T>) {
    let (sender, receiver) = mpsc::channel(length);
    let taken = Arc::new(AtomicU64::new(0));
    (Outgoing { queue: sender, taken: taken.clone() }, Requests { queue: receiver, taken, drained })
}

impl<T> Outgoing<T> {
    /// Whether a message may be put in.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.capacity() > 0
    }

    /// Puts a message in. Returns whether there was room, and somebody who reads.
    pub(crate) fn put(&self, message: T) -> bool {
        self.queue.try_send(message).is_ok()
    }

    /// Messages the transport has taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }
}

impl<T> Stream for Requests<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let polled = self.queue.poll_recv(cx);
        if let Poll::Ready(Some(_)) = polled {
            self.taken.fetch_add(1, Ordering::Release);
            self.drained.notify_one();
        }
        polled
    }
}
