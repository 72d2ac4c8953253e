//! The closed set of replicated commands.
//!
//! A command carries resolved values, so that applying it looks nothing up. Bytes: `wire.rs`.

use bytes::Bytes;

use crate::ids::{NodeId, PartitionId, ReplicaId, TopicId};

use super::member::NewMember;
use super::recovery::RecoverySpec;
use super::topic_config::{ConfigValue, Values};

#[cfg(test)]
mod tests;
mod wire;

/// The newest level of commands that this broker knows. A command is written with the lowest level that has it; one of
/// a higher level stops the partition.
pub const LEVEL: u32 = 1;

/// A change of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Makes topics, each alone.
    CreateTopics {
        /// The topics.
        topics: Vec<TopicSpec>,
        /// A topic that exists by now is a success.
        if_not_exists: bool,
    },
    /// Deletes topics, each alone.
    DeleteTopics {
        /// Name and id: a topic that was made again since is another one.
        topics: Vec<(String, TopicId)>,
    },
    /// Changes configurations, each alone.
    AlterTopics {
        /// The changes.
        topics: Vec<Alteration>,
    },
    /// Adds partitions to a topic.
    AddPartitions(Growth),
    /// Gives out a producer id.
    InitProducer,
    /// The brokers that the cluster begins with, in the order of their numbers. Nothing where there is a broker.
    Found {
        /// The brokers.
        members: Vec<NewMember>,
    },
    /// Makes a broker known, or what it says of itself.
    RegisterNode(NewMember),
    /// A partition's replicas shall be on these brokers.
    StartMove {
        /// Which.
        partition: PartitionId,
        /// The brokers, the preferred leader first.
        to: Vec<NodeId>,
    },
    /// A partition's voters are those that it moves to. Nothing where it moves to others by now.
    FinishMove {
        /// Which.
        partition: PartitionId,
        /// The voters.
        replicas: Vec<ReplicaId>,
    },
    /// A partition's replicas shall stay where they were.
    CancelMove {
        /// Which.
        partition: PartitionId,
    },
    /// A broker gives its leaderships away, or takes some again.
    Drain {
        /// Which.
        node: NodeId,
        /// Whether it does.
        on: bool,
    },
    /// A broker's replicas shall go to others, and then it is taken out.
    RemoveNode {
        /// Which.
        node: NodeId,
    },
    /// Takes out a broker that is being removed and has no replicas left.
    Forget {
        /// Which.
        node: NodeId,
    },
    /// A replica that lost what it had synced is no more; another one takes its place on its broker. Nothing where it is
    /// not wanted any more.
    Replace {
        /// Which partition.
        partition: PartitionId,
        /// Which replica.
        replica: ReplicaId,
    },
    /// A partition goes on from what one of its replicas has left. All its replicas are no more, and others take their
    /// places.
    Recover(RecoverySpec),
}

/// Nodes of the replicas of new partitions, the preferred leader first.
pub type NewPartitions = Vec<Vec<NodeId>>;

/// A topic as it is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its id.
    pub id: TopicId,
    /// Its name, checked.
    pub name: String,
    /// Where its partitions go.
    pub partitions: NewPartitions,
    /// Its whole configuration.
    pub values: Values,
}

/// A change of a topic's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alteration {
    /// The topic.
    pub id: TopicId,
    /// Its name, for the answer.
    pub name: String,
    /// The new value of each key that changes, a default where one is taken back; `None` takes away what only was
    /// stored.
    pub values: Vec<(String, Option<ConfigValue>)>,
}

/// Partitions to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The topic.
    pub id: TopicId,
    /// Its name, for the answer.
    pub name: String,
    /// Where the new partitions go.
    pub partitions: NewPartitions,
}

/// Why bytes are no command that may be applied. Each stops the partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not the encoding of a command.
    #[error("the bytes are no command: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Written by a newer broker.
    #[error("the command is of level {found}, this broker knows {LEVEL}: install a newer release")]
    Level {
        /// The command's level.
        found: u32,
    },
    /// No kind, or one that is not known.
    #[error("the command's kind is not known here: install a newer release")]
    UnknownKind,
    /// A field that is no value of its kind.
    #[error("the command's {field} has no value that may be")]
    Field {
        /// Which.
        field: &'static str,
    },
}

impl Command {
    /// The bytes of the command: the payload of an entry.
    pub fn encode(&self) -> Bytes {
        wire::encode(self)
    }

    /// Reads a command. Errors: see [`CommandError`].
    pub fn decode(bytes: &[u8]) -> Result<Command, CommandError> {
        wire::decode(bytes)
    }
}
