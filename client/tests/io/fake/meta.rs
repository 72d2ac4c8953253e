//! Metadata and topics of the cluster.

use caudal_proto::v1 as wire;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use wire::metadata_service_server::{MetadataService, MetadataServiceServer};
use wire::topic_service_server::{TopicService, TopicServiceServer};

use super::{Broker, State, refusal};

pub(crate) fn metadata_service(broker: Broker) -> MetadataServiceServer<Broker> {
    MetadataServiceServer::new(broker)
}

pub(crate) fn topic_service(broker: Broker) -> TopicServiceServer<Broker> {
    TopicServiceServer::new(broker)
}

/// A status as brokers send them.
pub(crate) fn status(code: Code, reason: wire::Reason, message: &str) -> Status {
    let details = ErrorDetails::with_error_info(
        reason.as_str_name(),
        "caudal",
        std::collections::HashMap::from([("limit".to_owned(), "7".to_owned())]),
    );
    Status::with_error_details(code, message, details)
}

/// The topic that a reference names.
pub(crate) fn name_of(state: &State, topic: Option<&wire::TopicRef>) -> Option<String> {
    match topic?.topic.as_ref()? {
        wire::topic_ref::Topic::Name(name) => state.topics.contains_key(name).then(|| name.clone()),
        wire::topic_ref::Topic::Id(id) => {
            let found = state.topics.iter().find(|(_, topic)| topic.id.as_bytes() == id.as_ref());
            found.map(|(name, _)| name.clone())
        }
    }
}

fn metadata(state: &State, reference: &wire::TopicRef) -> wire::TopicMetadata {
    let Some(name) = name_of(state, Some(reference)) else {
        let name = match &reference.topic {
            Some(wire::topic_ref::Topic::Name(name)) => name.clone(),
            _ => String::new(),
        };
        let error = Some(refusal(wire::Reason::UnknownTopic, false));
        return wire::TopicMetadata { name, error, ..Default::default() };
    };
    let topic = &state.topics[&name];
    let partitions = topic.partitions.iter().enumerate().map(|(number, partition)| wire::PartitionMetadata {
        partition: i32::try_from(number).unwrap(),
        leader_node: (partition.leader >= 0).then_some(partition.leader),
        leader_epoch: partition.epoch,
        shard: partition.shard,
        replicas: vec![partition.leader],
    });
    wire::TopicMetadata {
        topic_id: topic.id.as_bytes().to_vec().into(),
        partitions: partitions.collect(),
        max_message_bytes: topic.max_message_bytes,
        name,
        error: None,
    }
}

#[tonic::async_trait]
impl MetadataService for Broker {
    async fn get_metadata(
        &self,
        request: Request<wire::GetMetadataRequest>,
    ) -> Result<Response<wire::GetMetadataResponse>, Status> {
        let mut state = self.cluster.lock();
        state.metadata_calls += 1;
        let brokers = state.addresses.iter().enumerate().map(|(node, address)| wire::BrokerMetadata {
            node_id: i32::try_from(node).unwrap(),
            address: address.clone(),
            shards: state.shards,
            version: "0.0.0".to_owned(),
        });
        Ok(Response::new(wire::GetMetadataResponse {
            cluster_id: "fake".to_owned(),
            node_id: self.node,
            brokers: brokers.collect(),
            topics: request.get_ref().topics.iter().map(|topic| metadata(&state, topic)).collect(),
        }))
    }
}

impl Broker {
    /// Notes a call; fails it if the script says so.
    fn call(&self, name: &str) -> Result<(), Status> {
        let mut state = self.cluster.lock();
        state.topic_calls.push(name.to_owned());
        state.refuse_calls.pop_front().map_or(Ok(()), Err)
    }
}

#[tonic::async_trait]
impl TopicService for Broker {
    async fn create_topics(
        &self,
        request: Request<wire::CreateTopicsRequest>,
    ) -> Result<Response<wire::CreateTopicsResponse>, Status> {
        self.call("create")?;
        let request = request.into_inner();
        let mut results = Vec::new();
        for topic in request.topics {
            let exists = self.cluster.lock().topics.contains_key(&topic.name);
            let partitions = topic.partitions.unwrap_or(1);
            if !exists && !request.validate_only {
                self.cluster.topic(&topic.name, usize::try_from(partitions).unwrap());
            }
            let refused = exists && !request.if_not_exists;
            let id = self.cluster.lock().topics.get(&topic.name).map(|topic| topic.id);
            results.push(wire::CreateTopicResult {
                name: topic.name,
                topic_id: id.map(|id| id.as_bytes().to_vec().into()).unwrap_or_default(),
                partitions,
                replicas: topic.replicas.unwrap_or(1),
                existed: exists,
                error: refused.then(|| refusal(wire::Reason::TopicExists, false)),
            });
        }
        Ok(Response::new(wire::CreateTopicsResponse { results }))
    }

    async fn delete_topics(
        &self,
        request: Request<wire::DeleteTopicsRequest>,
    ) -> Result<Response<wire::DeleteTopicsResponse>, Status> {
        self.call("delete")?;
        let request = request.into_inner();
        let mut state = self.cluster.lock();
        let results = request.names.into_iter().map(|name| {
            let topic = state.topics.remove(&name);
            wire::DeleteTopicResult {
                name,
                error: topic.is_none().then(|| refusal(wire::Reason::UnknownTopic, false)),
                topic_id: topic.as_ref().map(|t| t.id.as_bytes().to_vec().into()).unwrap_or_default(),
                partitions: topic.map_or(0, |t| i32::try_from(t.partitions.len()).unwrap()),
            }
        });
        Ok(Response::new(wire::DeleteTopicsResponse { results: results.collect() }))
    }

    async fn list_topics(
        &self,
        _request: Request<wire::ListTopicsRequest>,
    ) -> Result<Response<wire::ListTopicsResponse>, Status> {
        self.call("list")?;
        let state = self.cluster.lock();
        let topics = state.topics.iter().map(|(name, topic)| wire::TopicSummary {
            name: name.clone(),
            topic_id: topic.id.as_bytes().to_vec().into(),
            partitions: i32::try_from(topic.partitions.len()).unwrap(),
            replicas: 1,
            internal: false,
        });
        Ok(Response::new(wire::ListTopicsResponse { topics: topics.collect() }))
    }

    async fn describe_topics(
        &self,
        request: Request<wire::DescribeTopicsRequest>,
    ) -> Result<Response<wire::DescribeTopicsResponse>, Status> {
        self.call("describe")?;
        let state = self.cluster.lock();
        let topics = request.into_inner().names.into_iter().map(|name| match state.topics.get(&name) {
            None => wire::TopicDescription {
                name,
                error: Some(refusal(wire::Reason::UnknownTopic, false)),
                ..Default::default()
            },
            Some(topic) => wire::TopicDescription {
                name,
                topic_id: topic.id.as_bytes().to_vec().into(),
                replicas: 1,
                configs: vec![wire::ConfigEntry {
                    key: "retention.ms".to_owned(),
                    value: "604800000".to_owned(),
                    source: wire::ConfigSource::Default as i32,
                }],
                ..Default::default()
            },
        });
        Ok(Response::new(wire::DescribeTopicsResponse { topics: topics.collect() }))
    }

    async fn alter_topics(
        &self,
        request: Request<wire::AlterTopicsRequest>,
    ) -> Result<Response<wire::AlterTopicsResponse>, Status> {
        self.call("alter")?;
        let results = request.into_inner().topics.into_iter().map(|topic| wire::AlterTopicResult {
            name: topic.name,
            changes: topic
                .set
                .into_iter()
                .map(|(key, after)| wire::ConfigChange { key, before: "old".to_owned(), after })
                .collect(),
            error: None,
        });
        Ok(Response::new(wire::AlterTopicsResponse { results: results.collect() }))
    }

    async fn add_partitions(
        &self,
        request: Request<wire::AddPartitionsRequest>,
    ) -> Result<Response<wire::AddPartitionsResponse>, Status> {
        self.call("add")?;
        Ok(Response::new(wire::AddPartitionsResponse { partitions: 1 + request.into_inner().count }))
    }

    async fn trim_topic(
        &self,
        request: Request<wire::TrimTopicRequest>,
    ) -> Result<Response<wire::TrimTopicResponse>, Status> {
        self.call("trim")?;
        let request = request.into_inner();
        let Some(wire::trim_topic_request::Before::BeforeOffset(offset)) = request.before else {
            return Err(status(Code::InvalidArgument, wire::Reason::InvalidArgument, "before: missing"));
        };
        let mut state = self.cluster.lock();
        let Some(topic) = state.topics.get_mut(&request.name) else {
            return Err(status(Code::NotFound, wire::Reason::UnknownTopic, "no such topic"));
        };
        let results = topic.partitions.iter_mut().enumerate().map(|(number, partition)| {
            let before = std::mem::replace(&mut partition.log.start, offset);
            wire::TrimResult {
                partition: i32::try_from(number).unwrap(),
                log_start_before: before,
                log_start_after: offset,
                error: None,
            }
        });
        Ok(Response::new(wire::TrimTopicResponse { results: results.collect() }))
    }
}
