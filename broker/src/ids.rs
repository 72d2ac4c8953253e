//! The numbers of a broker, each with a type of its own.

use std::fmt;

use uuid::Uuid;

/// A topic, for as long as it lives: a re-created topic has a new id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// The topic of the control partition, in every cluster. No random id takes this form.
    pub const CONTROL: TopicId = TopicId(Uuid::from_u128(1));

    /// Reads an id from its 16 bytes; `None` when there are not 16.
    pub fn from_slice(bytes: &[u8]) -> Option<TopicId> {
        Uuid::from_slice(bytes).ok().map(TopicId)
    }

    /// The 16 bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One partition, which is one Raft group and one log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// Its topic.
    pub topic: TopicId,
    /// Its number in the topic, from 0.
    pub partition: i32,
}

impl PartitionId {
    /// The partition that holds topics, placement, configuration and ids.
    pub const CONTROL: PartitionId = PartitionId { topic: TopicId::CONTROL, partition: 0 };

    /// Of the fields of a message; `None` where the topic id is none.
    pub fn of_fields(topic_id: &[u8], partition: i32) -> Option<PartitionId> {
        TopicId::from_slice(topic_id).map(|topic| PartitionId { topic, partition })
    }

    /// The 20 bytes that stand for the partition on disk and in checksums: topic id, then number, big-endian.
    pub fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(self.topic.as_bytes());
        bytes[16..].copy_from_slice(&self.partition.to_be_bytes());
        bytes
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.topic, self.partition)
    }
}

impl fmt::Debug for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// The place of a record in its partition, from 0. Readers go on at the last offset of a batch + 1.
    Offset,
    i64
);
number!(
    /// The place of an entry in a partition's Raft log.
    Index,
    u64
);
number!(
    /// A Raft term; clients see it as the leader epoch, so it fits an `i32`.
    Term,
    u64
);
number!(
    /// A place in a file, in bytes.
    Position,
    u64
);
number!(
    /// A copy of a partition, and its Raft peer id. Given by the control partition, never twice.
    ReplicaId,
    u64
);
number!(
    /// A broker of the cluster. Assigned, never configured, never given twice.
    NodeId,
    i32
);
number!(
    /// One of a broker's threads, from 0.
    ShardId,
    u32
);

impl Offset {
    /// The offset `count` records further on.
    pub fn plus(self, count: u32) -> Offset {
        Offset(self.0 + i64::from(count))
    }
}

impl Index {
    /// The next index.
    pub fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The index before; 0 stays 0.
    pub fn prev(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}
