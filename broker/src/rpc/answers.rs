//! The answers of a stream, made when the client takes them.
//!
//! What a stream does is an ordinary async function that puts its answers into an [`Outlet`]. It runs inside the poll
//! of the response's body: without a task of its own, without a wake-up between the two, and not at all while the
//! client's flow-control window is shut. So a client that does not read holds nothing but what it was handed last.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio_stream::Stream;
use tonic::Status;

/// Where a stream's function puts its answers.
#[derive(Debug)]
pub struct Outlet<T> {
    queue: Arc<Mutex<VecDeque<T>>>,
}

impl<T> Outlet<T> {
    /// Adds an answer, also where there is no room: look at [`Outlet::room`] before making more.
    pub fn put(&self, answer: T) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    /// Waits until fewer than `max` answers wait.
    pub async fn room(&self, max: usize) {
        // Nobody is woken: the function is polled again whenever the queue has been emptied.
        std::future::poll_fn(|_| if self.waiting() < max { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// How many answers have not been taken.
    pub fn waiting(&self) -> usize {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// What a stream does, until it ends.
type Work = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// The response stream: drives the function and hands out what it makes.
pub struct Answers<T> {
    queue: Arc<Mutex<VecDeque<T>>>,
    work: Option<Work>,
}

impl<T: Send + 'static> Answers<T> {
    /// A stream of what `work` puts into its outlet; it ends with `work`, with its status.
    pub fn of<F>(work: impl FnOnce(Outlet<T>) -> F) -> Answers<T>
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let queue = Arc::default();
        let work = work(Outlet { queue: Arc::clone(&queue) });
        Answers { queue, work: Some(Box::pin(work)) }
    }

    fn pop(&self) -> Option<T> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl<T: Send + 'static> Stream for Answers<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        let this = self.get_mut();
        if let Some(answer) = this.pop() {
            return Poll::Ready(Some(Ok(answer)));
        }
        let Some(work) = &mut this.work else { return Poll::Ready(None) };
        let ended = work.as_mut().poll(cx);
        if ended.is_ready() {
            this.work = None;
        }
        match (this.pop(), ended) {
            (Some(answer), Poll::Ready(Err(status))) => {
                // The last answers first, then the status.
                this.work = Some(Box::pin(std::future::ready(Err(status))));
                Poll::Ready(Some(Ok(answer)))
            }
            (Some(answer), _) => Poll::Ready(Some(Ok(answer))),
            (None, Poll::Ready(Err(status))) => Poll::Ready(Some(Err(status))),
            (None, Poll::Ready(Ok(()))) => Poll::Ready(None),
            (None, Poll::Pending) => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn every_answer_comes_before_the_end() {
        let mut answers = Answers::of(|outlet| async move {
            for n in 0..5 {
                outlet.room(1).await;
                outlet.put(n);
            }
            outlet.put(5);
            Err(Status::unavailable("over"))
        });
        for n in 0..6 {
            assert_eq!(answers.next().await.unwrap().unwrap(), n);
        }
        assert_eq!(answers.next().await.unwrap().unwrap_err().message(), "over");
        assert!(answers.next().await.is_none());
    }

    #[tokio::test]
    async fn nothing_is_made_before_it_is_taken() {
        let made = Arc::new(Mutex::new(0));
        let count = Arc::clone(&made);
        let mut answers = Answers::of(|outlet| async move {
            loop {
                outlet.room(2).await;
                *count.lock().unwrap() += 1;
                outlet.put(());
            }
        });
        answers.next().await.unwrap().unwrap();
        assert_eq!(*made.lock().unwrap(), 2);
    }
}
