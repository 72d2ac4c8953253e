//! Deliveries and receipts: what became of a record.
//!
//! All records of a batch share one outcome, so a delivery costs a reference count and no allocation.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use caudal_proto::v1 as wire;

use crate::error::Error;
use crate::topic::TopicId;

/// A replica, by its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica {
    /// The node it lives on.
    pub node_id: i32,
    /// Its own number, never used again.
    pub replica_id: u64,
}

/// What was known of a batch when its acknowledgement left the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchReceipt {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The offset of the batch's first record; `None` with [`Acks::None`](crate::Acks::None), and for a duplicate
    /// that lies so far back that the broker no longer remembers where.
    pub base_offset: Option<i64>,
    /// The offset of the batch's last record.
    pub last_offset: Option<i64>,
    /// The leader's time in milliseconds since the epoch, never decreasing in a partition.
    pub append_time_ms: i64,
    /// The leader's epoch (its Raft term).
    pub term: i32,
    /// The Raft index of the batch.
    pub index: u64,
    /// The replicas whose majority counts.
    pub voters: Vec<Replica>,
    /// Replicas known to have it synced.
    pub synced: Vec<Replica>,
    /// In the weaker modes: replicas known to have it written.
    pub written: Vec<Replica>,
    /// The batch was in the log before: an earlier attempt had arrived.
    pub duplicate: bool,
}

impl BatchReceipt {
    /// Of a batch nothing more is known of.
    pub(crate) fn unknown(topic: Arc<str>, topic_id: TopicId, partition: i32, duplicate: bool) -> Self {
        BatchReceipt {
            topic,
            topic_id,
            partition,
            base_offset: None,
            last_offset: None,
            append_time_ms: -1,
            term: -1,
            index: 0,
            voters: Vec::new(),
            synced: Vec::new(),
            written: Vec::new(),
            duplicate,
        }
    }

    /// From the wire.
    pub(crate) fn from_wire(topic: Arc<str>, topic_id: TopicId, receipt: wire::Receipt) -> Self {
        BatchReceipt {
            topic,
            topic_id,
            partition: receipt.partition,
            base_offset: Some(receipt.base_offset),
            last_offset: Some(receipt.last_offset),
            append_time_ms: receipt.append_time_ms,
            term: receipt.term,
            index: receipt.index,
            voters: replicas(&receipt.voters),
            synced: replicas(&receipt.synced),
            written: replicas(&receipt.written),
            duplicate: receipt.duplicate,
        }
    }
}

fn replicas(replicas: &[wire::ReplicaRef]) -> Vec<Replica> {
    replicas.iter().map(|r| Replica { node_id: r.node_id, replica_id: r.replica_id }).collect()
}

/// The acknowledgement of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The record's offset, where it is known: see [`BatchReceipt::base_offset`].
    pub offset: Option<i64>,
    /// The batch it travelled in.
    pub batch: Arc<BatchReceipt>,
}

/// What becomes of a batch, told once to all its records.
pub(crate) struct Outcome {
    topic: Arc<str>,
    partition: i32,
    result: OnceLock<Result<Arc<BatchReceipt>, Error>>,
    wakers: Mutex<Vec<Waker>>,
}

impl Outcome {
    pub(crate) fn new(topic: Arc<str>, partition: i32) -> Arc<Self> {
        Arc::new(Outcome { topic, partition, result: OnceLock::new(), wakers: Mutex::default() })
    }

    /// Tells everyone; only the first call counts.
    pub(crate) fn complete(&self, result: Result<Arc<BatchReceipt>, Error>) {
        if self.result.set(result).is_ok() {
            let wakers = std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }
}

/// A record on its way. Await it for the [`Receipt`], look at it with [`Delivery::outcome`], or drop it:
/// [`Producer::flush`](crate::Producer::flush) waits for all and tells the first failure.
#[must_use = "await it for the receipt; or drop it with `drop(…)` and rely on `flush`"]
pub struct Delivery {
    outcome: Arc<Outcome>,
    /// The record's place in its batch.
    index: u32,
    /// Its waker's place in the outcome's list.
    slot: Option<usize>,
}

impl Delivery {
    pub(crate) fn new(outcome: Arc<Outcome>, index: u32) -> Self {
        Delivery { outcome, index, slot: None }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.outcome.topic
    }

    /// The partition it goes to.
    pub fn partition(&self) -> i32 {
        self.outcome.partition
    }

    /// What became of the record, if that is known yet. Never waits.
    pub fn outcome(&self) -> Option<Result<Receipt, Error>> {
        self.outcome.result.get().map(|result| self.receipt(result))
    }

    /// Whether both records travel in the same batch: their outcomes come at the same moment and are of one kind.
    pub fn same_batch(&self, other: &Delivery) -> bool {
        Arc::ptr_eq(&self.outcome, &other.outcome)
    }

    /// The record's place in its batch, counted from 0.
    pub fn index_in_batch(&self) -> u32 {
        self.index
    }

    fn receipt(&self, result: &Result<Arc<BatchReceipt>, Error>) -> Result<Receipt, Error> {
        let batch = result.as_ref().map_err(Error::clone)?.clone();
        Ok(Receipt { offset: batch.base_offset.map(|base| base + i64::from(self.index)), batch })
    }
}

impl Future for Delivery {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        let slot = {
            let mut wakers = self.outcome.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            match self.slot.and_then(|slot| wakers.get_mut(slot)) {
                Some(waker) => waker.clone_from(cx.waker()),
                None => wakers.push(cx.waker().clone()),
            }
            self.slot.unwrap_or(wakers.len() - 1)
        };
        self.slot = Some(slot);
        // It may have been told between the look and the registration.
        match self.outcome() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("topic", &self.outcome.topic)
            .field("partition", &self.outcome.partition)
            .field("outcome", &self.outcome.result.get())
            .finish()
    }
}
