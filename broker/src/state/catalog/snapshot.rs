//! The catalog as bytes: a protobuf message with a version in front. Field numbers are never used again.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::ids::{NodeId, Offset, ReplicaId, Term, TopicId};
use crate::state::member::Member;
use crate::state::recovery::Heir;
use crate::state::topic::{PartitionPlacement, Topic};
use crate::state::topic_config::TopicConfig;
use crate::state::topic_wire::{WireValue, read_id, read_uuid, read_values, write_id, write_values};

use super::Catalog;

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;

/// Why bytes are no snapshot of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not the encoding of one.
    #[error("the bytes are no snapshot of the catalog: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Written by a newer broker.
    #[error(
        "the catalog's snapshot has version {found}, this broker knows {VERSION}: install a newer release"
    )]
    Version {
        /// The snapshot's version.
        found: u32,
    },
    /// A field that is no value of its kind, or contradicts another one.
    #[error("the catalog's snapshot has a {field} that cannot be")]
    Field {
        /// Which.
        field: &'static str,
    },
}

#[derive(Clone, PartialEq, Message)]
struct WireCatalog {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint64, tag = "2")]
    revision: u64,
    #[prost(int32, tag = "3")]
    next_node: i32,
    #[prost(uint64, tag = "4")]
    next_replica: u64,
    #[prost(int64, tag = "5")]
    next_producer: i64,
    #[prost(message, repeated, tag = "6")]
    members: Vec<WireMember>,
    #[prost(message, repeated, tag = "7")]
    topics: Vec<WireTopic>,
    /// 16 bytes for each deleted topic.
    #[prost(bytes = "vec", tag = "8")]
    deleted: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct WireMember {
    #[prost(int32, tag = "1")]
    id: i32,
    #[prost(bytes = "vec", tag = "2")]
    uuid: Vec<u8>,
    #[prost(string, tag = "3")]
    address: String,
    #[prost(uint32, tag = "4")]
    level: u32,
    #[prost(string, tag = "5")]
    peer_address: String,
    #[prost(string, optional, tag = "6")]
    rack: Option<String>,
    #[prost(uint64, tag = "7")]
    control: u64,
    #[prost(bool, tag = "8")]
    draining: bool,
    #[prost(bool, tag = "9")]
    removing: bool,
}

#[derive(Clone, PartialEq, Message)]
struct WireTopic {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    partitions: Vec<WirePartition>,
    #[prost(message, repeated, tag = "4")]
    values: Vec<WireValue>,
    #[prost(bool, tag = "5")]
    internal: bool,
}

/// As many nodes as replicas.
#[derive(Clone, PartialEq, Message)]
struct WirePartition {
    #[prost(int32, repeated, tag = "1")]
    nodes: Vec<i32>,
    #[prost(uint64, repeated, tag = "2")]
    replicas: Vec<u64>,
    /// Of the placement it moves to; none where it does not move.
    #[prost(int32, repeated, tag = "3")]
    new_nodes: Vec<i32>,
    #[prost(uint64, repeated, tag = "4")]
    new_replicas: Vec<u64>,
    #[prost(bool, tag = "5")]
    moved: bool,
    /// Of the placement that it moved to before that was cancelled.
    #[prost(int32, repeated, tag = "6")]
    cancelled_nodes: Vec<i32>,
    #[prost(uint64, repeated, tag = "7")]
    cancelled_replicas: Vec<u64>,
    #[prost(message, optional, tag = "8")]
    heir: Option<WireHeir>,
}

#[derive(Clone, PartialEq, Message)]
struct WireHeir {
    #[prost(uint64, tag = "1")]
    replica: u64,
    /// 0 where there is none.
    #[prost(uint64, tag = "2")]
    of: u64,
    #[prost(uint64, tag = "3")]
    term: u64,
    #[prost(int64, tag = "4")]
    resume_at: i64,
}

impl Catalog {
    /// The whole catalog as bytes, equal on every replica that has applied the same commands.
    pub fn snapshot(&self) -> Bytes {
        let wire = WireCatalog {
            version: VERSION,
            revision: self.revision,
            next_node: self.next_node.0,
            next_replica: self.next_replica.0,
            next_producer: self.next_producer,
            members: self.members.values().map(write_member).collect(),
            topics: self.by_id.values().map(|topic| write_topic(topic)).collect(),
            deleted: self.deleted.iter().flat_map(|id| *id.as_bytes()).collect(),
        };
        wire.encode_to_vec().into()
    }

    /// The catalog that [`Catalog::snapshot`] was called on. Errors: see [`SnapshotError`].
    pub fn restore(bytes: &[u8]) -> Result<Catalog, SnapshotError> {
        let wire = WireCatalog::decode(bytes)?;
        if wire.version != VERSION {
            return Err(SnapshotError::Version { found: wire.version });
        }
        let mut catalog = Catalog {
            revision: wire.revision,
            next_node: NodeId(wire.next_node),
            next_replica: ReplicaId(wire.next_replica),
            next_producer: wire.next_producer,
            ..Catalog::default()
        };
        let members = wire.members.into_iter().map(read_member);
        let members = members.collect::<Option<_>>().ok_or(SnapshotError::Field { field: "broker" })?;
        catalog.members = Arc::new(members);
        for topic in wire.topics {
            let topic = read_topic(topic).ok_or(SnapshotError::Field { field: "topic" })?;
            if catalog.topic(&topic.name).is_some() || catalog.topic_by_id(topic.id).is_some() {
                return Err(SnapshotError::Field { field: "topic" });
            }
            catalog.put(Arc::new(topic));
        }
        let deleted = wire.deleted.chunks(16).map(TopicId::from_slice).collect::<Option<_>>();
        catalog.deleted = Arc::new(deleted.ok_or(SnapshotError::Field { field: "deleted topic" })?);
        Ok(catalog)
    }
}

fn write_member(member: &Member) -> WireMember {
    WireMember {
        id: member.id.0,
        uuid: member.uuid.as_bytes().to_vec(),
        address: member.address.clone(),
        level: member.level,
        peer_address: member.peer_address.clone(),
        rack: member.rack.clone(),
        control: member.control.0,
        draining: member.draining,
        removing: member.removing,
    }
}

fn read_member(wire: WireMember) -> Option<(NodeId, Member)> {
    let id = NodeId(wire.id);
    let member = Member {
        id,
        uuid: read_uuid(&wire.uuid)?,
        address: wire.address,
        peer_address: wire.peer_address,
        rack: wire.rack,
        level: wire.level,
        control: ReplicaId(wire.control),
        draining: wire.draining,
        removing: wire.removing,
    };
    Some((id, member))
}

fn write_topic(topic: &Topic) -> WireTopic {
    let nodes = |seats: &[(NodeId, ReplicaId)]| seats.iter().map(|(node, _)| node.0).collect();
    let replicas = |seats: &[(NodeId, ReplicaId)]| seats.iter().map(|(_, replica)| replica.0).collect();
    let write = |partition: &PartitionPlacement| WirePartition {
        nodes: nodes(&partition.replicas),
        replicas: replicas(&partition.replicas),
        new_nodes: nodes(partition.moving.as_deref().unwrap_or_default()),
        new_replicas: replicas(partition.moving.as_deref().unwrap_or_default()),
        moved: partition.moved,
        cancelled_nodes: nodes(&partition.cancelled),
        cancelled_replicas: replicas(&partition.cancelled),
        heir: partition.heir.map(|heir| WireHeir {
            replica: heir.replica.0,
            of: heir.of.unwrap_or_default().0,
            term: heir.term.0,
            resume_at: heir.resume_at.0,
        }),
    };
    WireTopic {
        id: write_id(topic.id),
        name: topic.name.to_string(),
        partitions: topic.partitions.iter().map(write).collect(),
        values: write_values(&topic.values),
        internal: topic.internal,
    }
}

fn read_topic(wire: WireTopic) -> Option<Topic> {
    let read = |partition: WirePartition| {
        let pairs = |nodes: Vec<i32>, replicas: Vec<u64>| -> Option<Vec<(NodeId, ReplicaId)>> {
            let fits = nodes.len() == replicas.len();
            let seats = nodes.into_iter().map(NodeId).zip(replicas.into_iter().map(ReplicaId));
            fits.then(|| seats.collect())
        };
        Some(PartitionPlacement {
            replicas: pairs(partition.nodes, partition.replicas).filter(|replicas| !replicas.is_empty())?,
            moving: Some(pairs(partition.new_nodes, partition.new_replicas)?).filter(|new| !new.is_empty()),
            cancelled: pairs(partition.cancelled_nodes, partition.cancelled_replicas)?,
            moved: partition.moved,
            heir: partition.heir.map(|heir| Heir {
                replica: ReplicaId(heir.replica),
                of: Some(ReplicaId(heir.of)).filter(|of| of.0 > 0),
                term: Term(heir.term),
                resume_at: Offset(heir.resume_at),
            }),
        })
    };
    let values = read_values(wire.values)?;
    Some(Topic {
        id: read_id(&wire.id)?,
        name: wire.name.into(),
        partitions: wire.partitions.into_iter().map(read).collect::<Option<_>>()?,
        config: Arc::new(TopicConfig::from_values(&values).ok()?),
        values,
        internal: wire.internal,
    })
}
