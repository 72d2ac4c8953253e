//! What a shard is told of other brokers.

use std::collections::BTreeMap;
use std::sync::Arc;

use caudal_proto::peer::{Message, PartitionStatus};

use crate::ids::{NodeId, PartitionId, ReplicaId};

/// One thing that a shard is told.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerEvent {
    /// Messages for partitions of this shard, in the order of their connection.
    Messages {
        /// The broker that sent them.
        from: NodeId,
        /// Never empty.
        messages: Vec<Message>,
    },
    /// What a broker says of partitions that it leads. The first shard is told.
    Statuses {
        /// The broker that leads them.
        from: NodeId,
        /// Never empty.
        statuses: Vec<PartitionStatus>,
    },
    /// Where the other brokers are, for [`super::Peers::set_addresses`]. Every shard is told.
    Addresses(Arc<BTreeMap<NodeId, String>>),
    /// A broker is heard. Every shard is told, before the messages that follow.
    Up(NodeId),
    /// A broker's process has ended, or it is silent. Every shard is told.
    Down(NodeId),
    /// Messages of this shard that did not leave: the queue was full, or there is no connection.
    Dropped {
        /// The broker they were for.
        to: NodeId,
        /// Never empty.
        messages: Vec<Undelivered>,
    },
}

/// A message that did not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undelivered {
    /// Its partition.
    pub partition: PartitionId,
    /// The replica that it was for.
    pub replica: ReplicaId,
}

impl Undelivered {
    /// What became of `message`; `None` where it names no partition.
    pub(super) fn of(message: &Message) -> Option<Undelivered> {
        Some(Undelivered {
            partition: PartitionId::of_fields(&message.topic_id, message.partition)?,
            replica: ReplicaId(message.to),
        })
    }
}
