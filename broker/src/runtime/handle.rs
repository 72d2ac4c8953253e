//! The way into the shards: cheap to clone, routes by partition, waits where an inbox is full.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::tickets::{ReplyTo, Sent};
use crate::ids::{NodeId, Offset, PartitionId, ShardId};
use crate::node::shard_of;
use crate::node::{Acks, Batch, Census, Receipt};
use crate::refusal::Refusal;
use crate::state::{Reply as ControlReply, Request as ControlRequest};

/// What a shard is asked from outside.
#[derive(Debug)]
pub enum Call {
    /// A producer's batch.
    Produce {
        /// Where to.
        partition: PartitionId,
        /// The batch.
        batch: Batch,
        /// When to answer.
        acks: Acks,
        /// Who waits.
        reply: ReplyTo,
    },
    /// A request to the control partition.
    Control {
        /// What is asked for.
        request: ControlRequest,
        /// Who waits.
        reply: ReplyTo,
    },
    /// Records before an offset may go.
    Trim {
        /// Whose.
        partition: PartitionId,
        /// The first offset that stays.
        before: Offset,
        /// Changes nothing.
        validate_only: bool,
        /// Who waits.
        reply: ReplyTo,
    },
    /// Leadership shall go to another broker.
    Transfer {
        /// Whose.
        partition: PartitionId,
        /// Where to.
        to: NodeId,
        /// Who waits.
        reply: ReplyTo,
    },
    /// The shard shall tell of itself.
    Census(oneshot::Sender<Census>),
    /// A partition without an intact majority shall go on from what is left.
    Recover {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
        /// Changes nothing.
        validate_only: bool,
        /// Who waits.
        reply: ReplyTo,
    },
    /// Refuse what is new, finish what is begun, end.
    Stop,
}

/// The answer to a batch, when it comes.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Receipt, Refusal>>);

impl Pending {
    /// Waits for the answer. A shard that ended without one leaves the outcome unknown.
    pub async fn outcome(self) -> Result<Receipt, Refusal> {
        self.0.await.unwrap_or(Err(Refusal::UnknownOutcome))
    }
}

/// Calls the shards of this broker.
#[derive(Debug, Clone)]
pub struct Handle {
    inboxes: Arc<[mpsc::Sender<Call>]>,
}

impl Handle {
    /// A handle to the inboxes of all shards, in order.
    pub fn new(inboxes: Vec<mpsc::Sender<Call>>) -> Handle {
        Handle { inboxes: inboxes.into() }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u32 {
        u32::try_from(self.inboxes.len()).unwrap_or(u32::MAX)
    }

    /// The shard of a partition.
    pub fn shard_of(&self, partition: PartitionId) -> ShardId {
        shard_of(partition, self.shards())
    }

    /// Hands a batch to its shard. Waits only where the shard's inbox is full.
    ///
    /// # Errors
    /// The broker stops.
    pub async fn produce(
        &self,
        partition: PartitionId,
        batch: Batch,
        acks: Acks,
    ) -> Result<Pending, Refusal> {
        let (to, outcome) = oneshot::channel();
        self.send(partition, Call::Produce { partition, batch, acks, reply: ReplyTo::Produce(to) }).await?;
        Ok(Pending(outcome))
    }

    /// Hands a batch of a stream to its shard; the outcome comes as [`Sent`] on `to`, which must have room for it.
    ///
    /// # Errors
    /// The broker stops.
    pub async fn submit(
        &self,
        partition: PartitionId,
        batch: Batch,
        acks: Acks,
        to: &mpsc::Sender<Sent>,
        (sequence, lane): (u64, u32),
    ) -> Result<(), Refusal> {
        let reply = ReplyTo::Stream { to: to.clone(), sequence, lane };
        self.send(partition, Call::Produce { partition, batch, acks, reply }).await
    }

    /// Asks the control partition.
    ///
    /// # Errors
    /// What it refuses, or the broker stops.
    pub async fn control(&self, request: ControlRequest) -> Result<ControlReply, Refusal> {
        let (to, outcome) = oneshot::channel();
        self.send(PartitionId::CONTROL, Call::Control { request, reply: ReplyTo::Control(to) }).await?;
        outcome.await.unwrap_or(Err(Refusal::UnknownOutcome))
    }

    /// Moves a partition's log start. The start before and after.
    ///
    /// # Errors
    /// What it refuses, or the broker stops.
    pub async fn trim(
        &self,
        partition: PartitionId,
        before: Offset,
        validate_only: bool,
    ) -> Result<(Offset, Offset), Refusal> {
        let (to, outcome) = oneshot::channel();
        let call = Call::Trim { partition, before, validate_only, reply: ReplyTo::Trim(to) };
        self.send(partition, call).await?;
        outcome.await.unwrap_or(Err(Refusal::UnknownOutcome))
    }

    /// Begins to hand a partition's leadership to another broker.
    ///
    /// # Errors
    /// What it refuses, or the broker stops.
    pub async fn transfer(&self, partition: PartitionId, to: NodeId) -> Result<(), Refusal> {
        let (waits, outcome) = oneshot::channel();
        let call = Call::Transfer { partition, to, reply: ReplyTo::Transfer(waits) };
        self.send(partition, call).await?;
        outcome.await.unwrap_or(Err(Refusal::UnknownOutcome))
    }

    /// Asks a shard to tell of itself; `None` where it has ended.
    pub async fn census(&self, shard: ShardId) -> Option<Census> {
        let (to, told) = oneshot::channel();
        self.inboxes.get(shard.0 as usize)?.send(Call::Census(to)).await.ok()?;
        told.await.ok()
    }

    /// How many calls wait at each shard, in order.
    pub fn waiting(&self) -> impl Iterator<Item = usize> {
        self.inboxes.iter().map(|inbox| inbox.max_capacity() - inbox.capacity())
    }

    /// Lets a partition without an intact majority go on from what is left, or says what that would mean.
    ///
    /// # Errors
    /// What it refuses, or the broker stops.
    pub async fn recover(
        &self,
        topic: String,
        partition: i32,
        validate_only: bool,
    ) -> Result<ControlReply, Refusal> {
        let (to, outcome) = oneshot::channel();
        let call = Call::Recover { topic, partition, validate_only, reply: ReplyTo::Control(to) };
        self.send(PartitionId::CONTROL, call).await?;
        outcome.await.unwrap_or(Err(Refusal::UnknownOutcome))
    }

    /// Tells every shard to finish and end.
    pub async fn stop(&self) {
        for inbox in self.inboxes.iter() {
            // A shard that has ended needs no telling.
            let _ = inbox.send(Call::Stop).await;
        }
    }

    async fn send(&self, partition: PartitionId, call: Call) -> Result<(), Refusal> {
        let inbox = &self.inboxes[self.shard_of(partition).0 as usize];
        match inbox.try_send(call) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(call)) => {
                inbox.send(call).await.map_err(|_| Refusal::ShuttingDown)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refusal::ShuttingDown),
        }
    }
}
