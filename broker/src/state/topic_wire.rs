//! How ids and configuration values are written in commands and snapshots. Field numbers are never used again.

use uuid::Uuid;

use crate::ids::{NodeId, TopicId};

use super::topic_config::{ConfigSource, ConfigValue, Values};

/// One key of a configuration.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WireValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
    /// 1 built in, 2 broker, 3 topic; 0 takes the key away.
    #[prost(uint32, tag = "3")]
    pub(super) source: u32,
}

/// The nodes of one partition's replicas.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WireNodes {
    #[prost(int32, repeated, tag = "1")]
    pub(super) nodes: Vec<i32>,
}

impl WireValue {
    pub(super) fn new(key: &str, value: Option<&ConfigValue>) -> WireValue {
        let source = value.map_or(0, |value| match value.source {
            ConfigSource::Default => 1,
            ConfigSource::Broker => 2,
            ConfigSource::Topic => 3,
        });
        WireValue {
            key: key.to_owned(),
            value: value.map_or(String::new(), |value| value.value.clone()),
            source,
        }
    }

    /// The value, or that the key is taken away; outer `None` for a source that is not known.
    pub(super) fn read(self) -> Option<(String, Option<ConfigValue>)> {
        let source = match self.source {
            0 => return Some((self.key, None)),
            1 => ConfigSource::Default,
            2 => ConfigSource::Broker,
            3 => ConfigSource::Topic,
            _ => return None,
        };
        Some((self.key, Some(ConfigValue { value: self.value, source })))
    }
}

pub(super) fn write_values(values: &Values) -> Vec<WireValue> {
    values.iter().map(|(key, value)| WireValue::new(key, Some(value))).collect()
}

pub(super) fn read_values(values: Vec<WireValue>) -> Option<Values> {
    let one = |value: WireValue| value.read().and_then(|(key, value)| Some((key, value?)));
    values.into_iter().map(one).collect()
}

pub(super) fn write_nodes(partitions: &[Vec<NodeId>]) -> Vec<WireNodes> {
    partitions.iter().map(|nodes| WireNodes { nodes: nodes.iter().map(|node| node.0).collect() }).collect()
}

pub(super) fn read_nodes(partitions: Vec<WireNodes>) -> Vec<Vec<NodeId>> {
    partitions.into_iter().map(|wire| wire.nodes.into_iter().map(NodeId).collect()).collect()
}

pub(super) fn write_id(id: TopicId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

pub(super) fn read_id(bytes: &[u8]) -> Option<TopicId> {
    TopicId::from_slice(bytes)
}

pub(super) fn read_uuid(bytes: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(bytes).ok()
}
