//! The producer: records in, acknowledgements out.
//!
//! `send` copies a record into its partition's open batch; one background task per producer takes the batches from
//! there: sequences, streams, retries. See `producer/task.rs`.

mod answers;
mod brokers;
mod dispatch;
mod shared;
mod silence;
mod stream;
mod task;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use caudal_proto::batch::Codec;

use crate::client::Client;
use crate::config::{Acks, ProducerConfig};
use crate::delivery::Delivery;
use crate::error::{Error, ErrorKind};
use crate::record::NewRecord;
use shared::{Entry, Shared};

/// Builds a [`Producer`].
#[derive(Debug, Clone)]
pub struct ProducerBuilder {
    client: Client,
    config: ProducerConfig,
}

impl ProducerBuilder {
    pub(crate) fn new(client: Client) -> Self {
        ProducerBuilder { client, config: ProducerConfig::default() }
    }

    /// Everything at once.
    pub fn config(self, config: ProducerConfig) -> Self {
        ProducerBuilder { config, ..self }
    }

    /// When a record is acknowledged; [`Acks::All`] unless told otherwise.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.config.acks = acks;
        self
    }

    /// The codec of whole batches; none unless told otherwise.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.config.codec = codec;
        self
    }

    /// How long a batch waits for more records; zero sends what is there.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = linger;
        self
    }

    /// The largest batch before compression, in bytes.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.config.batch_bytes = bytes;
        self
    }

    /// Bytes of records held that are not acknowledged yet.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.buffer_bytes = bytes;
        self
    }

    /// Whether each record is written once across retries; on unless told otherwise.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.config.idempotent = idempotent;
        self
    }

    /// Batches of one partition sent and not answered, 1 to 5.
    pub fn in_flight(mut self, batches: usize) -> Self {
        self.config.in_flight = batches;
        self
    }

    /// How long a record may stay unacknowledged, with all retries.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.config.delivery_timeout = timeout;
        self
    }

    /// Starts the producer; its task runs on the current tokio runtime. Connections are made when records come.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a value outside its range.
    pub async fn build(self) -> Result<Producer, Error> {
        self.config.check()?;
        Ok(Producer { shared: Shared::start(self.client, self.config) })
    }
}

/// Sends records. Cheap to clone: clones share the batches, the memory and the order.
///
/// Records of one partition keep the order of their `send` calls. When the last clone is dropped, what was sent is
/// still delivered in the background while the runtime lives; [`Producer::close`] waits for it.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Entry>,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("buffered_bytes", &self.buffered_bytes()).finish_non_exhaustive()
    }
}

/// Why [`Producer::try_send`] did not take a record.
#[derive(Debug, Clone)]
pub enum TrySendError {
    /// The buffer is full: wait for deliveries, or use [`Producer::send`].
    Full,
    /// The topic is being looked up: use [`Producer::send`] for the first record of a topic.
    TopicNotReady,
    /// Not taken, and it never will be.
    Failed(Error),
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrySendError::Full => f.write_str("the producer's buffer is full: wait for deliveries"),
            TrySendError::TopicNotReady => f.write_str("the topic is being looked up: try again"),
            TrySendError::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrySendError {}

impl Producer {
    /// Takes a record, waiting for room in the buffer and for the topic's metadata where needed. It is on its way
    /// when this returns; await the [`Delivery`] for the receipt.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition, `Invalid` for a record above the topic's limit, `TimedOut` when
    /// there is no room, or no metadata, within the delivery timeout, `Closed` after [`Producer::close`].
    pub async fn send(&self, record: NewRecord<'_>) -> Result<Delivery, Error> {
        // A sender that never waits would keep the producer's task from its turn on a runtime of one thread.
        tokio::task::consume_budget().await;
        match self.shared.try_send(&record) {
            Ok(delivery) => Ok(delivery),
            Err(TrySendError::Failed(error)) => Err(error),
            Err(TrySendError::Full | TrySendError::TopicNotReady) => self.shared.send_slowly(&record).await,
        }
    }

    /// Takes a record if that needs no waiting. The fast path: no allocation, one short lock.
    ///
    /// # Errors
    /// As the cases of [`TrySendError`].
    pub fn try_send(&self, record: NewRecord<'_>) -> Result<Delivery, TrySendError> {
        self.shared.try_send(&record)
    }

    /// Sends what is there without waiting for linger, and waits until every record sent before is acknowledged or
    /// has failed.
    ///
    /// # Errors
    /// The first failure of any record since the last `flush`, whether its delivery was looked at or not.
    pub fn flush(&self) -> impl Future<Output = Result<(), Error>> + Send + '_ {
        self.shared.flush()
    }

    /// Takes no more records, delivers what is there, and stops. Later calls on any clone fail with `Closed`.
    ///
    /// # Errors
    /// As [`Producer::flush`].
    pub async fn close(&self) -> Result<(), Error> {
        self.shared.close().await
    }

    /// Bytes of records that are not acknowledged yet.
    pub fn buffered_bytes(&self) -> usize {
        self.shared.buffered_bytes()
    }
}

/// What a closed producer answers.
fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the producer is closed: build a new one")
}
