//! Between the admin API's types and the wire's.

use caudal_proto::v1 as wire;

use crate::error::{Error, ErrorKind};
use crate::topic::{
    ConfigChange, ConfigEntry, ConfigSource, CreatedTopic, DeletedTopic, NewTopic, PartitionDescription,
    TopicAlteration, TopicDescription, TopicId, TopicSummary, TrimmedPartition,
};

/// An answer that breaks the contract.
pub(crate) fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the broker's answer breaks the contract: {what}"))
}

/// A topic id from its 16 bytes.
pub(crate) fn topic_id(bytes: &[u8]) -> Result<TopicId, Error> {
    TopicId::from_slice(bytes).map_err(|_| malformed(&format!("a topic id of {} bytes", bytes.len())))
}

pub(crate) fn new_topic(topic: NewTopic) -> wire::NewTopic {
    wire::NewTopic {
        name: topic.name,
        partitions: topic.partitions,
        replicas: topic.replicas,
        configs: topic.configs.into_iter().collect(),
    }
}

pub(crate) fn alteration(alteration: TopicAlteration) -> wire::TopicAlteration {
    wire::TopicAlteration {
        name: alteration.name,
        set: alteration.set.into_iter().collect(),
        unset: alteration.unset,
    }
}

pub(crate) fn created(result: wire::CreateTopicResult) -> (String, Result<CreatedTopic, Error>) {
    let answer = match result.error {
        Some(error) => Err(Error::refused(error)),
        None => Ok(CreatedTopic {
            name: result.name.clone(),
            id: TopicId::from_slice(&result.topic_id).ok(),
            partitions: result.partitions,
            replicas: result.replicas,
            existed: result.existed,
        }),
    };
    (result.name, answer)
}

pub(crate) fn deleted(result: wire::DeleteTopicResult) -> (String, Result<DeletedTopic, Error>) {
    let answer = match result.error {
        Some(error) => Err(Error::refused(error)),
        None => Ok(DeletedTopic {
            name: result.name.clone(),
            id: TopicId::from_slice(&result.topic_id).ok(),
            partitions: result.partitions,
        }),
    };
    (result.name, answer)
}

pub(crate) fn summary(topic: wire::TopicSummary) -> Result<TopicSummary, Error> {
    Ok(TopicSummary {
        id: topic_id(&topic.topic_id)?,
        name: topic.name,
        partitions: topic.partitions,
        replicas: topic.replicas,
        internal: topic.internal,
    })
}

pub(crate) fn description(topic: wire::TopicDescription) -> (String, Result<TopicDescription, Error>) {
    let name = topic.name.clone();
    if let Some(error) = topic.error {
        return (name, Err(Error::refused(error)));
    }
    let answer = topic_id(&topic.topic_id).map(|id| TopicDescription {
        name: topic.name,
        id,
        replicas: topic.replicas,
        internal: topic.internal,
        configs: topic.configs.into_iter().map(config_entry).collect(),
        partitions: topic.partitions.into_iter().map(partition).collect(),
    });
    (name, answer)
}

fn config_entry(entry: wire::ConfigEntry) -> ConfigEntry {
    let source = match entry.source() {
        wire::ConfigSource::Topic => ConfigSource::Topic,
        wire::ConfigSource::Broker => ConfigSource::Broker,
        wire::ConfigSource::Default | wire::ConfigSource::Unspecified => ConfigSource::Default,
    };
    ConfigEntry { key: entry.key, value: entry.value, source }
}

fn partition(p: wire::PartitionDescription) -> PartitionDescription {
    PartitionDescription {
        partition: p.partition,
        leader_node: p.leader_node,
        leader_epoch: p.leader_epoch,
        replicas: p.replicas,
        log_start: p.log_start,
        high_watermark: p.high_watermark,
        bytes: p.bytes,
        damaged: p.damaged.into_iter().map(|range| (range.first_offset, range.last_offset)).collect(),
    }
}

pub(crate) fn altered(result: wire::AlterTopicResult) -> (String, Result<Vec<ConfigChange>, Error>) {
    let answer = match result.error {
        Some(error) => Err(Error::refused(error)),
        None => Ok(result
            .changes
            .into_iter()
            .map(|change| ConfigChange { key: change.key, before: change.before, after: change.after })
            .collect()),
    };
    (result.name, answer)
}

pub(crate) fn trimmed(result: wire::TrimResult) -> (i32, Result<TrimmedPartition, Error>) {
    let answer = match result.error {
        Some(error) => Err(Error::refused(error)),
        None => Ok(TrimmedPartition {
            partition: result.partition,
            log_start_before: result.log_start_before,
            log_start_after: result.log_start_after,
        }),
    };
    (result.partition, answer)
}
