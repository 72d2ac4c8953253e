//! The bytes of a command: a protobuf message with the level in front. Field numbers are never used again.

use bytes::Bytes;
use prost::Message;

use crate::state::topic_wire::{
    WireNodes, WireValue, read_id, read_nodes, read_uuid, read_values, write_id, write_nodes, write_values,
};

use super::{Alteration, Command, CommandError, Growth, LEVEL, NewPartitions, TopicSpec};

#[derive(Clone, PartialEq, Message)]
struct WireCommand {
    #[prost(uint32, tag = "1")]
    level: u32,
    #[prost(oneof = "WireKind", tags = "2, 3, 4, 5, 6, 7")]
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
    RegisterNode(WireRegister),
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
struct WireRegister {
    #[prost(bytes = "vec", tag = "1")]
    uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    address: String,
    #[prost(uint32, tag = "3")]
    level: u32,
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
        Command::RegisterNode { uuid, address, level } => WireKind::RegisterNode(WireRegister {
            uuid: uuid.as_bytes().to_vec(),
            address: address.clone(),
            level: *level,
        }),
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
        WireKind::RegisterNode(WireRegister { uuid, address, level }) => Command::RegisterNode {
            uuid: read_uuid(&uuid).ok_or(CommandError::Field { field: "node uuid" })?,
            address,
            level,
        },
    })
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
