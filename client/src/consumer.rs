//! The consumer: partitions in, records out.
//!
//! One background task per consumer holds the fetch streams and fills a bounded buffer; `next` takes from it and
//! decodes. See `consumer/task.rs`.

mod buffer;
mod decode;
mod handle;
mod streams;
mod subscription;
mod task;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use crate::client::Client;
use crate::config::{ConsumerConfig, OutOfRange};
use crate::error::Error;
use crate::record::Record;

pub use decode::RecordBatch;

/// Builds a [`Consumer`].
#[derive(Debug, Clone)]
pub struct ConsumerBuilder {
    client: Client,
    config: ConsumerConfig,
}

impl ConsumerBuilder {
    pub(crate) fn new(client: Client) -> Self {
        ConsumerBuilder { client, config: ConsumerConfig::default() }
    }

    /// Everything at once.
    pub fn config(self, config: ConsumerConfig) -> Self {
        ConsumerBuilder { config, ..self }
    }

    /// Bytes of batches held and not handed out yet.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.buffer_bytes = bytes;
        self
    }

    /// What one compressed batch may inflate to.
    pub fn inflate_bytes_max(mut self, bytes: usize) -> Self {
        self.config.inflate_bytes_max = bytes;
        self
    }

    /// What to do when the offset wanted is not in the log.
    pub fn out_of_range(mut self, policy: OutOfRange) -> Self {
        self.config.out_of_range = policy;
        self
    }

    /// How long a stream may be idle before the broker tells the tails.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.config.heartbeat = heartbeat;
        self
    }

    /// Starts the consumer, with no partitions; its task runs on the current tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a value outside its range.
    pub async fn build(self) -> Result<Consumer, Error> {
        self.config.check()?;
        Ok(Consumer { handle: handle::Handle::start(self.client, self.config), current: None })
    }
}

/// Where to read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first record there is.
    Start,
    /// The end: what comes from now on.
    End,
    /// This offset.
    Offset(i64),
    /// The first record whose timestamp is at or after this, in milliseconds since the epoch; the end if there is
    /// none.
    TimestampMs(i64),
}

/// The ends of a partition, as last told by its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// The first offset that readers may see.
    pub log_start: i64,
    /// The first offset that readers may not see yet: where a reader who has everything stands.
    pub high_watermark: i64,
}

/// Reads records of the partitions it was assigned.
///
/// Records of one partition come in order; partitions take turns by batch. A broken connection or a moved leader is
/// not seen: reading goes on at the next offset. An error concerns one partition, which then stands still until a
/// [`Consumer::seek`]; the others go on.
///
/// It is also a [`Stream`] of records.
pub struct Consumer {
    handle: handle::Handle,
    current: Option<RecordBatch>,
}

impl Consumer {
    /// Begins to read a partition; answers with the offset it begins at. A partition that is assigned already is
    /// assigned anew.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition; what looking up the offset brings.
    pub async fn assign(&mut self, topic: &str, partition: i32, start: Start) -> Result<i64, Error> {
        self.begin(topic, partition, start, None).await
    }

    /// As [`Consumer::assign`], and stops before the offset `stop`: when every assigned partition has reached its
    /// stop, [`Consumer::next`] answers `None`.
    ///
    /// # Errors
    /// As [`Consumer::assign`].
    pub async fn assign_until(
        &mut self,
        topic: &str,
        partition: i32,
        start: Start,
        stop: i64,
    ) -> Result<i64, Error> {
        self.begin(topic, partition, start, Some(stop)).await
    }

    async fn begin(
        &mut self,
        topic: &str,
        partition: i32,
        start: Start,
        stop: Option<i64>,
    ) -> Result<i64, Error> {
        self.forget(topic, partition);
        self.handle.assign(topic, partition, start, stop).await
    }

    /// Ends reading a partition; what is buffered of it is dropped.
    ///
    /// # Errors
    /// `NotFound` where it is not assigned.
    pub async fn unassign(&mut self, topic: &str, partition: i32) -> Result<(), Error> {
        self.forget(topic, partition);
        self.handle.unassign(topic, partition)
    }

    /// Goes on elsewhere; what is buffered of the partition is dropped. Answers with the new offset. Also ends the
    /// standstill after an error.
    ///
    /// # Errors
    /// `NotFound` where the partition is not assigned; what looking up the offset brings.
    pub async fn seek(&mut self, topic: &str, partition: i32, to: Start) -> Result<i64, Error> {
        self.forget(topic, partition);
        self.handle.seek(topic, partition, to).await
    }

    /// Stands still until [`Consumer::resume`]; what is buffered of the partition is dropped and fetched again, so
    /// that it holds no memory.
    ///
    /// # Errors
    /// `NotFound` where the partition is not assigned.
    pub async fn pause(&mut self, topic: &str, partition: i32) -> Result<(), Error> {
        let at = self.forget(topic, partition);
        self.handle.pause(topic, partition, at)
    }

    /// Goes on where [`Consumer::pause`] stopped.
    ///
    /// # Errors
    /// `NotFound` where the partition is not assigned.
    pub async fn resume(&mut self, topic: &str, partition: i32) -> Result<(), Error> {
        self.handle.resume(topic, partition)
    }

    /// The next record; waits for one. `None` when every assigned partition has reached its stop. Cancel safe.
    ///
    /// # Errors
    /// `Damaged` for a batch that does not validate, with `topic`, `partition` and `offset` in the metadata;
    /// `OutOfRange`, `NotFound` and others of one partition; `Invalid` where nothing is assigned.
    pub async fn next(&mut self) -> Result<Option<Record>, Error> {
        std::future::poll_fn(|cx| self.poll_record(cx)).await
    }

    /// The next record if one is buffered. Never waits; `None` also means that there is none yet.
    ///
    /// # Errors
    /// As [`Consumer::next`].
    pub fn try_next(&mut self) -> Result<Option<Record>, Error> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self.poll_record(&mut cx) {
            Poll::Ready(answer) => answer,
            Poll::Pending => Ok(None),
        }
    }

    /// The rest of the batch at hand, or the next batch: faster than record by record, an iterator of records.
    /// `None` as for [`Consumer::next`]. Cancel safe. Records of a batch that were not taken when the next one is
    /// asked for are skipped.
    ///
    /// # Errors
    /// As [`Consumer::next`]; the iterator's own errors likewise.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        if let Some(batch) = self.current.take() {
            return Ok(Some(batch));
        }
        std::future::poll_fn(|cx| self.handle.poll_batch(cx)).await
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Record>, Error>> {
        loop {
            if let Some(batch) = &mut self.current {
                match batch.next() {
                    Some(answer) => return Poll::Ready(answer.map(Some)),
                    None => self.current = None,
                }
            }
            match self.handle.poll_batch(cx) {
                Poll::Ready(Ok(Some(batch))) => self.current = Some(batch),
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The offset the next record of a partition will have, at least; `None` where it is not assigned.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        let at_hand = self.current.as_ref().filter(|batch| batch.topic_partition() == (topic, partition));
        at_hand.map(RecordBatch::next_offset).or_else(|| self.handle.position(topic, partition))
    }

    /// The ends of a partition as last told; `None` before the first word of it.
    pub fn tail(&self, topic: &str, partition: i32) -> Option<Tail> {
        self.handle.tail(topic, partition)
    }

    /// Records between the position and the high watermark as last told, at most.
    pub fn lag(&self, topic: &str, partition: i32) -> Option<i64> {
        let position = self.position(topic, partition)?;
        self.tail(topic, partition).map(|tail| (tail.high_watermark - position).max(0))
    }

    /// The partitions assigned.
    pub fn assignment(&self) -> Vec<(Arc<str>, i32)> {
        self.handle.assignment()
    }

    /// Drops the batch at hand if it is of this partition; answers with where it stood.
    fn forget(&mut self, topic: &str, partition: i32) -> Option<i64> {
        let at_hand = self.current.take_if(|batch| batch.topic_partition() == (topic, partition));
        at_hand.map(|batch| batch.next_offset())
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("assignment", &self.assignment()).finish_non_exhaustive()
    }
}

impl Stream for Consumer {
    type Item = Result<Record, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_record(cx).map(Result::transpose)
    }
}
