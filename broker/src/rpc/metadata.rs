//! `MetadataService`: who leads what, and on which shard.

use caudal_proto::v1;
use caudal_proto::v1::metadata_service_server::MetadataService;
use tonic::{Request, Response, Status};

use super::status::{partition_error, status};
use super::{Door, convert};
use crate::ids::PartitionId;
use crate::limits;
use crate::refusal::Refusal;
use crate::state::{Member, PartitionPlacement, Topic};

/// The service, on one shard's connections.
pub struct Metadata {
    /// The broker behind it.
    pub door: Door,
}

#[tonic::async_trait]
impl MetadataService for Metadata {
    async fn get_metadata(
        &self,
        request: Request<v1::GetMetadataRequest>,
    ) -> Result<Response<v1::GetMetadataResponse>, Status> {
        let topics = request.into_inner().topics;
        convert::check_count("topics", topics.len(), limits::TOPICS_PER_REQUEST_MAX)
            .map_err(|refusal| status(&refusal))?;
        Ok(Response::new(v1::GetMetadataResponse {
            cluster_id: self.door.about.cluster.clone(),
            node_id: self.door.node(),
            brokers: brokers(&self.door),
            topics: topics.iter().map(|topic| topic_metadata(&self.door, topic)).collect(),
        }))
    }
}

fn brokers(door: &Door) -> Vec<v1::BrokerMetadata> {
    let here = door.node();
    let catalog = door.views.catalog();
    let told = |member: &&Member| member.id.0 != here && !member.address.is_empty();
    let others = catalog.members().filter(told).map(|member| v1::BrokerMetadata {
        node_id: member.id.0,
        address: member.address.clone(),
        ..v1::BrokerMetadata::default()
    });
    let this = v1::BrokerMetadata {
        node_id: here,
        address: door.about.address.clone(),
        shards: door.handle.shards(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut brokers: Vec<_> = others.chain([this]).collect();
    brokers.sort_by_key(|broker| broker.node_id);
    brokers
}

fn topic_metadata(door: &Door, reference: &v1::TopicRef) -> v1::TopicMetadata {
    match convert::topic(&door.views, Some(reference)) {
        Ok(topic) => known(door, &topic),
        Err(refusal) => unknown(reference, &refusal),
    }
}

fn known(door: &Door, topic: &Topic) -> v1::TopicMetadata {
    v1::TopicMetadata {
        name: topic.name.to_string(),
        topic_id: convert::topic_id(topic.id),
        partitions: topic.placements().map(|(id, placement)| partition(door, id, placement)).collect(),
        max_message_bytes: u32::try_from(topic.config.max_message_bytes).unwrap_or(u32::MAX),
        error: None,
    }
}

fn unknown(reference: &v1::TopicRef, refusal: &Refusal) -> v1::TopicMetadata {
    let mut metadata =
        v1::TopicMetadata { error: Some(partition_error(refusal)), ..v1::TopicMetadata::default() };
    match &reference.topic {
        Some(v1::topic_ref::Topic::Name(name)) => metadata.name.clone_from(name),
        Some(v1::topic_ref::Topic::Id(id)) => metadata.topic_id = id.clone(),
        None => {}
    }
    metadata
}

fn partition(door: &Door, id: PartitionId, placement: &PartitionPlacement) -> v1::PartitionMetadata {
    let (leader, epoch) = door.views.leader(id);
    v1::PartitionMetadata {
        partition: id.partition,
        leader_node: leader.map(|node| node.0),
        leader_epoch: convert::epoch(epoch),
        shard: door.handle.shard_of(id).0,
        replicas: placement.replicas.iter().map(|(node, _)| node.0).collect(),
    }
}
