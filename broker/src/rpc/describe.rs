//! Topics as people ask for them: a list, and everything about some.

use caudal_proto::v1;

use super::status::partition_error;
use super::{Door, convert};
use crate::ids::PartitionId;
use crate::state::{ConfigSource, PartitionPlacement, Topic};

/// All topics by name; the broker's own only where asked for.
pub fn list(door: &Door, internal: bool) -> v1::ListTopicsResponse {
    let catalog = door.views.catalog();
    let topics = catalog.topics().filter(|topic| internal || !topic.internal).map(|topic| v1::TopicSummary {
        name: topic.name.to_string(),
        topic_id: convert::topic_id(topic.id),
        partitions: topic.partition_count(),
        replicas: topic.replica_count(),
        internal: topic.internal,
    });
    v1::ListTopicsResponse { topics: topics.collect() }
}

/// The topics of these names, in order; of one that is not known, why.
pub fn describe(door: &Door, names: &[String]) -> v1::DescribeTopicsResponse {
    let topics = names.iter().map(|name| match door.views.topic_by_name(name) {
        Some(topic) => describe_topic(door, &topic),
        None => {
            let refusal = convert::unknown_topic(&door.views, name);
            v1::TopicDescription {
                name: name.clone(),
                error: Some(partition_error(&refusal)),
                ..v1::TopicDescription::default()
            }
        }
    });
    v1::DescribeTopicsResponse { topics: topics.collect() }
}

fn describe_topic(door: &Door, topic: &Topic) -> v1::TopicDescription {
    let configs = topic.describe().into_iter().map(|(key, value)| v1::ConfigEntry {
        key: key.to_owned(),
        value: value.value,
        source: source(value.source).into(),
    });
    v1::TopicDescription {
        name: topic.name.to_string(),
        topic_id: convert::topic_id(topic.id),
        replicas: topic.replica_count(),
        internal: topic.internal,
        configs: configs.collect(),
        partitions: topic
            .placements()
            .map(|(id, placement)| describe_partition(door, id, placement))
            .collect(),
        error: None,
    }
}

fn source(source: ConfigSource) -> v1::ConfigSource {
    match source {
        ConfigSource::Default => v1::ConfigSource::Default,
        ConfigSource::Broker => v1::ConfigSource::Broker,
        ConfigSource::Topic => v1::ConfigSource::Topic,
    }
}

fn describe_partition(
    door: &Door,
    id: PartitionId,
    placement: &PartitionPlacement,
) -> v1::PartitionDescription {
    let replicas = placement.replicas.iter().map(|(node, _)| node.0).collect();
    let described = v1::PartitionDescription { partition: id.partition, replicas, ..Default::default() };
    let Some(view) = door.views.partition(id) else { return described };
    let standing = view.standing();
    let reader = view.reader();
    let damage = reader.as_ref().map(|reader| reader.damage()).unwrap_or_default();
    v1::PartitionDescription {
        leader_node: standing.leader.map(|node| node.0),
        leader_epoch: convert::epoch(standing.epoch),
        log_start: view.log_start().0,
        high_watermark: view.high_watermark().0,
        bytes: reader.map_or(0, |reader| reader.bytes()),
        damaged: damage
            .iter()
            .map(|range| v1::OffsetRange { first_offset: range.first.0, last_offset: range.last.0 })
            .collect(),
        ..described
    }
}
