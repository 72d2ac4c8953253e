//! The consumer's side of what it shares with its task.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::buffer::{Key, Next, Part, Shared};
use super::decode::RecordBatch;
use super::{Start, Tail, task};
use crate::client::Client;
use crate::config::ConsumerConfig;
use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind};
use crate::metadata::Topic;
use crate::offsets;
use crate::topic::OffsetSpec;

/// The consumer's side. When it goes, the task ends.
pub(super) struct Handle {
    client: Client,
    shared: Arc<Shared>,
    /// The topic asked about last: partitions are often assigned one after the other.
    topic: Option<Arc<Topic>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
    }
}

impl Handle {
    /// Starts the task.
    pub(super) fn start(client: Client, config: ConsumerConfig) -> Handle {
        let shared = Shared::new(config);
        tokio::spawn(task::run(client.clone(), shared.clone()));
        Handle { client, shared, topic: None }
    }

    pub(super) async fn assign(
        &mut self,
        topic: &str,
        partition: i32,
        start: Start,
        stop: Option<i64>,
    ) -> Result<i64, Error> {
        let topic = self.topic(topic, partition).await?;
        let offset = self.resolve(&topic.name, partition, start).await?;
        let part = Part::new(topic.id, Cursor::new(offset, stop));
        self.shared.lock().assign((topic.name.clone(), partition), part);
        self.shared.wake.notify_one();
        Ok(offset)
    }

    /// The topic, asked for unless it is the last one and has the partition.
    async fn topic(&mut self, name: &str, partition: i32) -> Result<Arc<Topic>, Error> {
        let last =
            self.topic.take().filter(|topic| &*topic.name == name && topic.has(partition) && partition > 0);
        let topic = match last {
            Some(topic) => topic,
            None => offsets::topic_metadata(&self.client, name).await?,
        };
        if !topic.has(partition) {
            return Err(topic.unknown_partition(partition));
        }
        self.topic = Some(topic.clone());
        Ok(topic)
    }

    async fn resolve(&self, topic: &str, partition: i32, start: Start) -> Result<i64, Error> {
        let spec = match start {
            Start::Offset(offset) if offset >= 0 => return Ok(offset),
            Start::Offset(offset) => {
                return Err(Error::new(ErrorKind::Invalid, format!("offset {offset} is below 0")));
            }
            Start::Start => OffsetSpec::Start,
            Start::End => OffsetSpec::End,
            Start::TimestampMs(ms) => OffsetSpec::TimestampMs(ms),
        };
        match self.list(topic, partition, spec).await? {
            Some(offset) => Ok(offset),
            // No record is as young: what comes from now on.
            None => Ok(self.list(topic, partition, OffsetSpec::End).await?.unwrap_or(0)),
        }
    }

    async fn list(&self, topic: &str, partition: i32, spec: OffsetSpec) -> Result<Option<i64>, Error> {
        let answers = offsets::list(&self.client, topic, &[(partition, spec)]).await?;
        match answers.into_iter().next() {
            Some((_, answer)) => Ok(answer?.offset),
            None => Err(crate::topic_wire::malformed("no offset for a partition asked for")),
        }
    }

    pub(super) async fn seek(&self, topic: &str, partition: i32, to: Start) -> Result<i64, Error> {
        let key = self.key(topic, partition)?;
        let offset = self.resolve(topic, partition, to).await?;
        self.shared.lock().rewind(&key, offset);
        self.shared.wake.notify_one();
        Ok(offset)
    }

    pub(super) fn unassign(&self, topic: &str, partition: i32) -> Result<(), Error> {
        let key = self.key(topic, partition)?;
        self.shared.lock().unassign(&key);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Stands still at `at`, or where the partition stands.
    pub(super) fn pause(&self, topic: &str, partition: i32, at: Option<i64>) -> Result<(), Error> {
        let key = self.key(topic, partition)?;
        let mut state = self.shared.lock();
        if let Some(part) = state.parts.get_mut(&key)
            && !part.paused
        {
            part.paused = true;
            let halted = part.halted.clone();
            let at = at.unwrap_or(part.cursor.position());
            state.rewind(&key, at);
            state.edit(&key, |part| part.halted = halted);
        }
        drop(state);
        self.shared.wake.notify_one();
        Ok(())
    }

    pub(super) fn resume(&self, topic: &str, partition: i32) -> Result<(), Error> {
        let key = self.key(topic, partition)?;
        self.shared.lock().edit(&key, |part| part.paused = false);
        self.shared.wake.notify_one();
        Ok(())
    }

    fn key(&self, topic: &str, partition: i32) -> Result<Key, Error> {
        let key = (Arc::from(topic), partition);
        if self.shared.lock().parts.contains_key(&key) {
            return Ok(key);
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!("partition {partition} of topic {topic:?} is not assigned to this consumer"),
        ))
    }

    /// The next batch.
    pub(super) fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>, Error>> {
        let mut state = self.shared.lock();
        let stopped = state.stopped;
        let next = state.take(cx.waker());
        // What little was freed goes back before a wait: it may be all the broker waits for.
        let worth_it =
            if matches!(next, Next::Wait) { 1 } else { self.shared.config.buffer_bytes as u64 / 8 };
        let gives_back = state.has_freed(worth_it);
        drop(state);
        if gives_back {
            self.shared.wake.notify_one();
        }
        match next {
            Next::Batch { key, version, bytes, window } => {
                Poll::Ready(RecordBatch::open(&self.shared, key, version, &bytes, window).map(Some))
            }
            Next::Error(error) => Poll::Ready(Err(error)),
            Next::Finished => Poll::Ready(Ok(None)),
            Next::Nothing => Poll::Ready(Err(Error::new(
                ErrorKind::Invalid,
                "no partition is assigned to this consumer: call assign first",
            ))),
            Next::Wait if stopped => Poll::Ready(Err(Error::new(
                ErrorKind::Closed,
                "the consumer's task has ended: build a new one",
            ))),
            Next::Wait => Poll::Pending,
        }
    }

    pub(super) fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        let state = self.shared.lock();
        state.parts.get(&(Arc::from(topic), partition)).map(|part| part.cursor.position())
    }

    pub(super) fn tail(&self, topic: &str, partition: i32) -> Option<Tail> {
        let state = self.shared.lock();
        state.parts.get(&(Arc::from(topic), partition)).and_then(|part| part.tail)
    }

    pub(super) fn assignment(&self) -> Vec<Key> {
        self.shared.lock().parts.keys().cloned().collect()
    }
}
