//! What senders and the task share: the batcher, and who waits for what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{TrySendError, closed, task};
use crate::batcher::{Batcher, PushError, Wake};
use crate::client::Client;
use crate::clock;
use crate::config::ProducerConfig;
use crate::delivery::Delivery;
use crate::error::{Error, ErrorKind};
use crate::lane::Done;
use crate::record::NewRecord;

/// How many failed look-ups are remembered for the senders that wait for them.
const FAILED_TOPICS_MAX: usize = 1_000;

/// What senders and the task share.
pub(super) struct Shared {
    pub(super) config: ProducerConfig,
    state: Mutex<State>,
    /// Wakes the task: a batch was begun or became full, a topic is wanted, it is time to stop.
    pub(super) wake: Notify,
    /// Wakes senders: there is room, or news of a topic.
    room: Notify,
}

/// The part under the lock, which is never held over an await.
pub(super) struct State {
    pub(super) batcher: Batcher,
    /// Topics that senders wait for.
    pub(super) wanted: BTreeSet<Arc<str>>,
    /// Topics that could not be looked up, for those who wait.
    failed_topics: BTreeMap<Arc<str>, Error>,
    /// Of any record, since the last flush.
    first_failure: Option<Error>,
    /// Why looking up topics fails at the moment.
    pub(super) lookup_error: Option<Error>,
    /// No more records are taken.
    pub(super) closing: bool,
    /// The task has ended.
    stopped: bool,
}

/// The senders' side. When the last clone goes, the producer closes.
pub(super) struct Entry(Arc<Shared>);

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closing = true;
        state.batcher.seal_all();
        drop(state);
        self.0.wake.notify_one();
    }
}

impl Shared {
    /// Starts the task.
    pub(super) fn start(client: Client, config: ProducerConfig) -> Arc<Entry> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                batcher: Batcher::new(&config, clock::random()),
                wanted: BTreeSet::new(),
                failed_topics: BTreeMap::new(),
                first_failure: None,
                lookup_error: None,
                closing: false,
                stopped: false,
            }),
            config,
            wake: Notify::new(),
            room: Notify::new(),
        });
        tokio::spawn(task::run(client, shared.clone()));
        Arc::new(Entry(shared))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the records of batches that are done with, and gives their memory back.
    pub(super) fn finish(&self, done: &mut Vec<Done>) {
        if done.is_empty() {
            return;
        }
        let mut state = self.lock();
        for batch in done.iter() {
            state.batcher.finish(batch.number, batch.weight);
            if let (Err(error), None) = (&batch.result, &state.first_failure) {
                state.first_failure = Some(error.clone());
            }
        }
        drop(state);
        for batch in done.drain(..) {
            batch.outcome.complete(batch.result);
        }
        self.room.notify_waiters();
    }

    /// News of topics: whoever waits looks again.
    pub(super) fn topics_changed(&self) {
        self.room.notify_waiters();
    }

    /// The task is gone: nobody will tell what is left.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.closing = true;
        state.stopped = true;
        let left: Vec<_> = state.batcher.unfinished().cloned().collect();
        if !left.is_empty() {
            state.first_failure.get_or_insert_with(abandoned);
        }
        drop(state);
        left.iter().for_each(|outcome| outcome.complete(Err(abandoned())));
        self.room.notify_waiters();
    }
}

fn abandoned() -> Error {
    Error::new(ErrorKind::UnknownOutcome, "the producer's task ended before the records were acknowledged")
}

impl State {
    /// A topic cannot be looked up.
    pub(super) fn topic_failed(&mut self, name: &Arc<str>, error: Error) {
        if self.failed_topics.len() >= FAILED_TOPICS_MAX {
            self.failed_topics.clear();
        }
        self.failed_topics.insert(name.clone(), error);
    }
}

impl Entry {
    /// Takes a record if that needs no waiting.
    pub(super) fn try_send(&self, record: &NewRecord<'_>) -> Result<Delivery, TrySendError> {
        let now = clock::now();
        let now_ms = if record.timestamp_ms.is_some() { 0 } else { clock::wall_ms() };
        let mut state = self.0.lock();
        if state.closing {
            return Err(TrySendError::Failed(closed()));
        }
        let pushed = state.batcher.push(now, now_ms, record);
        if let Err(PushError::UnknownTopic) = pushed {
            if !state.wanted.contains(record.topic) {
                state.failed_topics.remove(record.topic);
                state.wanted.insert(Arc::from(record.topic));
                drop(state);
                self.0.wake.notify_one();
            }
            return Err(TrySendError::TopicNotReady);
        }
        drop(state);
        match pushed {
            Ok((delivery, wake)) => {
                if wake == Wake::Yes {
                    self.0.wake.notify_one();
                }
                Ok(delivery)
            }
            Err(PushError::Full) => Err(TrySendError::Full),
            Err(PushError::UnknownTopic) => Err(TrySendError::TopicNotReady),
            Err(PushError::Refused(error)) => Err(TrySendError::Failed(error)),
        }
    }

    /// Takes a record, waiting for room or for the topic.
    pub(super) async fn send_slowly(&self, record: &NewRecord<'_>) -> Result<Delivery, Error> {
        let limit = self.0.config.delivery_timeout;
        let deadline = clock::now() + limit;
        let mut waits_for_topic = false;
        loop {
            let mut room = std::pin::pin!(self.0.room.notified());
            room.as_mut().enable();
            if waits_for_topic && let Some(error) = self.0.lock().failed_topics.get(record.topic) {
                return Err(error.clone());
            }
            let what = match self.try_send(record) {
                Ok(delivery) => return Ok(delivery),
                Err(TrySendError::Failed(error)) => return Err(error),
                Err(TrySendError::Full) => "no room in the producer's buffer",
                Err(TrySendError::TopicNotReady) => {
                    waits_for_topic = true;
                    "no metadata of the topic"
                }
            };
            if tokio::time::timeout_at(deadline.into(), room).await.is_err() {
                let error = Error::new(ErrorKind::TimedOut, format!("{what} within {limit:?}"));
                let error = error.about(format_args!("topic {:?}", record.topic)).with("topic", record.topic);
                return Err(match self.0.lock().lookup_error.clone().filter(|_| waits_for_topic) {
                    Some(cause) => error.caused_by(cause),
                    None => error,
                });
            }
        }
    }

    /// Waits until every record sent before is done with.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let waiting: Vec<_> = {
            let mut state = self.0.lock();
            state.batcher.seal_all();
            state.batcher.unfinished().map(|outcome| Delivery::new(outcome.clone(), 0)).collect()
        };
        self.0.wake.notify_one();
        for delivery in waiting {
            // The first failure is kept in the state, also of batches that were done with before.
            let _ = delivery.await;
        }
        match self.0.lock().first_failure.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Delivers what is there and stops.
    pub(super) async fn close(&self) -> Result<(), Error> {
        self.0.lock().closing = true;
        let flushed = self.flush().await;
        loop {
            let mut news = std::pin::pin!(self.0.room.notified());
            news.as_mut().enable();
            if self.0.lock().stopped {
                return flushed;
            }
            news.await;
        }
    }

    /// Bytes of records not acknowledged yet.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.0.lock().batcher.buffered()
    }
}
