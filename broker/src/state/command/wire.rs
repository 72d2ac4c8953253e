//! The bytes of a command: a protobuf message with the level in front. Field numbers are never used again.

use bytes::Bytes;
use prost::Message;

use crate::state::topic_wire::{
    WireNodes, WireValue, read_id, read_nodes, read_uuid, read_values, write_id, write_nodes, write_values,
};

use crate::ids::{NodeId, Offset, PartitionId, ReplicaId, Term};
use crate::state::member::NewMember;
use crate::state::recovery::RecoverySpec;

use super::{Alteration, Command, CommandError, Growth, LEVEL, NewPartitions, TopicSpec};

#[derive(Clone, PartialEq, Message)]
struct WireCommand {
    #[prost(uint32, tag = "1")]
    level: u32,
    #[prost(oneof = "WireKind", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16")]
    kind: Option<WireKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum WireKind {
    #[prost(message, tag = "2")]
    CreateTopics(WireCreate),
    #[prost(message, tag = "3")]
    DeleteTopics(WireDelete),
    #[prost(message, tag = "4")]
    AlterTopics(WireAlter),
    #[prost(message, tag = "5")]
    AddPartitions(WireTopic),
    #[prost(message, tag = "6")]
    InitProducer(WireInitProducer),
    #[prost(message, tag = "7")]
    RegisterNode(WireNewMember),
    #[prost(message, tag = "8")]
    Found(WireFound),
    #[prost(message, tag = "9")]
    StartMove(WireMove),
    #[prost(message, tag = "10")]
    FinishMove(WireMove),
    #[prost(message, tag = "11")]
    CancelMove(WireMove),
    #[prost(message, tag = "12")]
    Drain(WireNode),
    #[prost(message, tag = "13")]
    RemoveNode(WireNode),
    #[prost(message, tag = "14")]
    Forget(WireNode),
    #[prost(message, tag = "15")]
    Replace(WireMove),
    #[prost(message, tag = "16")]
    Recover(WireRecover),
}

#[derive(Clone, PartialEq, Message)]
struct WireCreate {
    #[prost(message, repeated, tag = "1")]
    topics: Vec<WireTopic>,
    #[prost(bool, tag = "2")]
    if_not_exists: bool,
}

#[derive(Clone, PartialEq, Message)]
struct WireDelete {
    #[prost(message, repeated, tag = "1")]
    topics: Vec<WireTopic>,
}

#[derive(Clone, PartialEq, Message)]
struct WireAlter {
    #[prost(message, repeated, tag = "1")]
    topics: Vec<WireTopic>,
}

/// A topic with what the command says of it.
#[derive(Clone, PartialEq, Message)]
struct WireTopic {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    partitions: Vec<WireNodes>,
    #[prost(message, repeated, tag = "4")]
    values: Vec<WireValue>,
}

#[derive(Clone, PartialEq, Message)]
struct WireInitProducer {}

#[derive(Clone, PartialEq, Message)]
struct WireNewMember {
    #[prost(bytes = "vec", tag = "1")]
    uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    address: String,
    #[prost(uint32, tag = "3")]
    level: u32,
    #[prost(string, tag = "4")]
    peer_address: String,
    #[prost(string, optional, tag = "5")]
    rack: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct WireFound {
    #[prost(message, repeated, tag = "1")]
    members: Vec<WireNewMember>,
}

/// A partition, and where it moves to: nodes at the start, replicas at the end.
#[derive(Clone, PartialEq, Message)]
struct WireMove {
    #[prost(bytes = "vec", tag = "1")]
    topic: Vec<u8>,
    #[prost(int32, tag = "2")]
    partition: i32,
    #[prost(int32, repeated, tag = "3")]
    nodes: Vec<i32>,
    #[prost(uint64, repeated, tag = "4")]
    replicas: Vec<u64>,
}

/// The partition with its replicas before and its nodes after, and what its heir begins with.
#[derive(Clone, PartialEq, Message)]
struct WireRecover {
    #[prost(message, required, tag = "1")]
    place: WireMove,
    /// 0 where there is none.
    #[prost(uint64, tag = "2")]
    of: u64,
    #[prost(uint64, tag = "3")]
    term: u64,
    #[prost(int64, tag = "4")]
    resume_at: i64,
}

#[derive(Clone, PartialEq, Message)]
struct WireNode {
    #[prost(int32, tag = "1")]
    node: i32,
    #[prost(bool, tag = "2")]
    on: bool,
}

impl WireMove {
    fn of(partition: PartitionId) -> WireMove {
        WireMove { topic: write_id(partition.topic), partition: partition.partition, ..WireMove::default() }
    }

    fn partition(&self) -> Result<PartitionId, CommandError> {
        Ok(PartitionId { topic: read_id(&self.topic).ok_or(ID)?, partition: self.partition })
    }
}

pub(super) fn encode(command: &Command) -> Bytes {
    let kind = match command {
        Command::CreateTopics { topics, if_not_exists } => WireKind::CreateTopics(WireCreate {
            topics: topics.iter().map(write_spec).collect(),
            if_not_exists: *if_not_exists,
        }),
        Command::DeleteTopics { topics } => {
            let write = |(name, id): &(String, _)| WireTopic {
                id: write_id(*id),
                name: name.clone(),
                ..WireTopic::default()
            };
            WireKind::DeleteTopics(WireDelete { topics: topics.iter().map(write).collect() })
        }
        Command::AlterTopics { topics } => {
            WireKind::AlterTopics(WireAlter { topics: topics.iter().map(write_alteration).collect() })
        }
        Command::AddPartitions(growth) => WireKind::AddPartitions(WireTopic {
            id: write_id(growth.id),
            name: growth.name.clone(),
            partitions: write_nodes(&growth.partitions),
            values: Vec::new(),
        }),
        Command::InitProducer => WireKind::InitProducer(WireInitProducer {}),
        Command::RegisterNode(member) => WireKind::RegisterNode(write_member(member)),
        Command::Found { members } => {
            WireKind::Found(WireFound { members: members.iter().map(write_member).collect() })
        }
        Command::StartMove { partition, to } => WireKind::StartMove(WireMove {
            nodes: to.iter().map(|node| node.0).collect(),
            ..WireMove::of(*partition)
        }),
        Command::FinishMove { partition, replicas } => WireKind::FinishMove(WireMove {
            replicas: replicas.iter().map(|replica| replica.0).collect(),
            ..WireMove::of(*partition)
        }),
        Command::CancelMove { partition } => WireKind::CancelMove(WireMove::of(*partition)),
        Command::Drain { node, on } => WireKind::Drain(WireNode { node: node.0, on: *on }),
        Command::RemoveNode { node } => WireKind::RemoveNode(WireNode { node: node.0, on: false }),
        Command::Forget { node } => WireKind::Forget(WireNode { node: node.0, on: false }),
        Command::Replace { partition, replica } => {
            WireKind::Replace(WireMove { replicas: vec![replica.0], ..WireMove::of(*partition) })
        }
        Command::Recover(spec) => WireKind::Recover(write_recovery(spec)),
    };
    WireCommand { level: LEVEL, kind: Some(kind) }.encode_to_vec().into()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Command, CommandError> {
    let WireCommand { level, kind } = WireCommand::decode(bytes)?;
    if level > LEVEL {
        return Err(CommandError::Level { found: level });
    }
    Ok(match kind.ok_or(CommandError::UnknownKind)? {
        WireKind::CreateTopics(WireCreate { topics, if_not_exists }) => {
            Command::CreateTopics { topics: read_all(topics, read_spec)?, if_not_exists }
        }
        WireKind::DeleteTopics(WireDelete { topics }) => {
            let read = |topic: WireTopic| Ok((topic.name, read_id(&topic.id).ok_or(ID)?));
            Command::DeleteTopics { topics: read_all(topics, read)? }
        }
        WireKind::AlterTopics(WireAlter { topics }) => {
            Command::AlterTopics { topics: read_all(topics, read_alteration)? }
        }
        WireKind::AddPartitions(topic) => Command::AddPartitions(Growth {
            id: read_id(&topic.id).ok_or(ID)?,
            name: topic.name,
            partitions: read_placed(topic.partitions)?,
        }),
        WireKind::InitProducer(WireInitProducer {}) => Command::InitProducer,
        WireKind::RegisterNode(member) => Command::RegisterNode(read_member(member)?),
        WireKind::Found(WireFound { members }) => {
            Command::Found { members: members.into_iter().map(read_member).collect::<Result<_, _>>()? }
        }
        WireKind::StartMove(wire) => Command::StartMove {
            partition: wire.partition()?,
            to: wire.nodes.into_iter().map(NodeId).collect(),
        },
        WireKind::FinishMove(wire) => Command::FinishMove {
            partition: wire.partition()?,
            replicas: wire.replicas.into_iter().map(ReplicaId).collect(),
        },
        WireKind::CancelMove(wire) => Command::CancelMove { partition: wire.partition()? },
        WireKind::Drain(WireNode { node, on }) => Command::Drain { node: NodeId(node), on },
        WireKind::RemoveNode(WireNode { node, .. }) => Command::RemoveNode { node: NodeId(node) },
        WireKind::Forget(WireNode { node, .. }) => Command::Forget { node: NodeId(node) },
        WireKind::Replace(wire) => match wire.replicas[..] {
            [replica] => Command::Replace { partition: wire.partition()?, replica: ReplicaId(replica) },
            _ => return Err(CommandError::Field { field: "replica" }),
        },
        WireKind::Recover(wire) => Command::Recover(read_recovery(wire)?),
    })
}

fn write_recovery(spec: &RecoverySpec) -> WireRecover {
    WireRecover {
        place: WireMove {
            nodes: spec.to.iter().map(|node| node.0).collect(),
            replicas: spec.before.iter().map(|replica| replica.0).collect(),
            ..WireMove::of(spec.partition)
        },
        of: spec.of.unwrap_or_default().0,
        term: spec.term.0,
        resume_at: spec.resume_at.0,
    }
}

fn read_recovery(wire: WireRecover) -> Result<RecoverySpec, CommandError> {
    let WireRecover { place, of, term, resume_at } = wire;
    if place.nodes.is_empty() || resume_at < 0 {
        return Err(CommandError::Field { field: "recovery" });
    }
    Ok(RecoverySpec {
        partition: place.partition()?,
        before: place.replicas.into_iter().map(ReplicaId).collect(),
        to: place.nodes.into_iter().map(NodeId).collect(),
        of: Some(ReplicaId(of)).filter(|of| of.0 > 0),
        term: Term(term),
        resume_at: Offset(resume_at),
    })
}

fn write_member(member: &NewMember) -> WireNewMember {
    let NewMember { uuid, address, peer_address, rack, level } = member.clone();
    WireNewMember { uuid: uuid.as_bytes().to_vec(), address, level, peer_address, rack }
}

fn read_member(wire: WireNewMember) -> Result<NewMember, CommandError> {
    let WireNewMember { uuid, address, level, peer_address, rack } = wire;
    let uuid = read_uuid(&uuid).ok_or(CommandError::Field { field: "node uuid" })?;
    Ok(NewMember { uuid, address, peer_address, rack, level })
}

const ID: CommandError = CommandError::Field { field: "topic id" };
const VALUES: CommandError = CommandError::Field { field: "configuration" };

/// At least one partition, each with at least one replica.
fn read_placed(partitions: Vec<WireNodes>) -> Result<NewPartitions, CommandError> {
    if partitions.is_empty() || partitions.iter().any(|wire| wire.nodes.is_empty()) {
        return Err(CommandError::Field { field: "partitions" });
    }
    Ok(read_nodes(partitions))
}

fn read_all<T>(
    topics: Vec<WireTopic>,
    read: impl Fn(WireTopic) -> Result<T, CommandError>,
) -> Result<Vec<T>, CommandError> {
    topics.into_iter().map(read).collect()
}

fn write_spec(spec: &TopicSpec) -> WireTopic {
    WireTopic {
        id: write_id(spec.id),
        name: spec.name.clone(),
        partitions: write_nodes(&spec.partitions),
        values: write_values(&spec.values),
    }
}

fn read_spec(topic: WireTopic) -> Result<TopicSpec, CommandError> {
    Ok(TopicSpec {
        id: read_id(&topic.id).ok_or(ID)?,
        name: topic.name,
        partitions: read_placed(topic.partitions)?,
        values: read_values(topic.values).ok_or(VALUES)?,
    })
}

fn write_alteration(alteration: &Alteration) -> WireTopic {
    let write = |(key, value): &(String, Option<_>)| WireValue::new(key, value.as_ref());
    WireTopic {
        id: write_id(alteration.id),
        name: alteration.name.clone(),
        partitions: Vec::new(),
        values: alteration.values.iter().map(write).collect(),
    }
}

fn read_alteration(topic: WireTopic) -> Result<Alteration, CommandError> {
    let values = topic.values.into_iter().map(WireValue::read).collect::<Option<Vec<_>>>();
    Ok(Alteration { id: read_id(&topic.id).ok_or(ID)?, name: topic.name, values: values.ok_or(VALUES)? })
}
