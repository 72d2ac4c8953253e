//! `TopicService`: topics and their configuration.

use caudal_proto::v1;
use caudal_proto::v1::topic_service_client::TopicServiceClient;
use caudal_proto::v1::topic_service_server::TopicService;
use tonic::{Request, Response, Status};

use super::forward::{Way, answered, forwarded};
use super::status::{partition_error, status};
use super::{Door, convert, describe, leaders, mismatched_reply, trim};
use crate::ids::TopicId;
use crate::limits;
use crate::refusal::Refusal;
use crate::state::{
    ConfigChange, CreatedTopic, DeletedTopic, NewTopic, Reply, Request as ControlRequest, TopicAlteration,
};

/// The service, on one shard's connections.
pub struct Topics {
    /// The broker behind it.
    pub door: Door,
}

#[tonic::async_trait]
impl TopicService for Topics {
    async fn create_topics(
        &self,
        request: Request<v1::CreateTopicsRequest>,
    ) -> Result<Response<v1::CreateTopicsResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(TopicServiceClient::new(leader).create_topics(forwarded(request))).await;
        }
        create(&self.door, request.into_inner()).await.map(Response::new).map_err(|refusal| status(&refusal))
    }

    async fn delete_topics(
        &self,
        request: Request<v1::DeleteTopicsRequest>,
    ) -> Result<Response<v1::DeleteTopicsResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(TopicServiceClient::new(leader).delete_topics(forwarded(request))).await;
        }
        delete(&self.door, request.into_inner()).await.map(Response::new).map_err(|refusal| status(&refusal))
    }

    async fn list_topics(
        &self,
        request: Request<v1::ListTopicsRequest>,
    ) -> Result<Response<v1::ListTopicsResponse>, Status> {
        Ok(Response::new(describe::list(&self.door, request.into_inner().internal)))
    }

    async fn describe_topics(
        &self,
        request: Request<v1::DescribeTopicsRequest>,
    ) -> Result<Response<v1::DescribeTopicsResponse>, Status> {
        let names = request.into_inner().names;
        check_topics(names.len()).map_err(|refusal| status(&refusal))?;
        Ok(Response::new(describe::describe(&self.door, &names)))
    }

    async fn alter_topics(
        &self,
        request: Request<v1::AlterTopicsRequest>,
    ) -> Result<Response<v1::AlterTopicsResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(TopicServiceClient::new(leader).alter_topics(forwarded(request))).await;
        }
        alter(&self.door, request.into_inner()).await.map(Response::new).map_err(|refusal| status(&refusal))
    }

    async fn add_partitions(
        &self,
        request: Request<v1::AddPartitionsRequest>,
    ) -> Result<Response<v1::AddPartitionsResponse>, Status> {
        if let Some(leader) = self.door.control_elsewhere(&request)? {
            return answered(TopicServiceClient::new(leader).add_partitions(forwarded(request))).await;
        }
        add_partitions(&self.door, request.into_inner())
            .await
            .map(Response::new)
            .map_err(|refusal| status(&refusal))
    }

    async fn trim_topic(
        &self,
        request: Request<v1::TrimTopicRequest>,
    ) -> Result<Response<v1::TrimTopicResponse>, Status> {
        let way = Way::of(&request);
        trim::trim(&self.door, &way, request.into_inner())
            .await
            .map(Response::new)
            .map_err(|refusal| status(&refusal))
    }
}

fn check_topics(count: usize) -> Result<(), Refusal> {
    convert::check_count("topics", count, limits::TOPICS_PER_REQUEST_MAX)
}

async fn create(door: &Door, request: v1::CreateTopicsRequest) -> Result<v1::CreateTopicsResponse, Refusal> {
    check_topics(request.topics.len())?;
    let topics = request.topics.into_iter().map(|topic| NewTopic {
        id: TopicId(uuid::Uuid::new_v4()),
        name: topic.name,
        partitions: topic.partitions,
        replicas: topic.replicas,
        configs: topic.configs.into_iter().collect(),
    });
    let (if_not_exists, validate_only) = (request.if_not_exists, request.validate_only);
    let asked = ControlRequest::CreateTopics { topics: topics.collect(), if_not_exists, validate_only };
    let Reply::CreateTopics(created) = door.handle.control(asked).await? else {
        return Err(mismatched_reply());
    };
    if !validate_only {
        let ids = created
            .iter()
            .filter_map(|(_, result)| result.as_ref().ok().map(|topic| (topic.id, topic.partitions)));
        leaders::wait(door, &ids.collect::<Vec<_>>()).await;
    }
    let results = created.into_iter().map(|(name, result)| {
        let result =
            result.and_then(|topic| if validate_only { Ok(topic) } else { with_logs(door, &name, topic) });
        created_result(name, result)
    });
    Ok(v1::CreateTopicsResponse { results: results.collect() })
}

/// A topic that exists; where there was no room for its logs, its creator hears of it.
fn with_logs(door: &Door, name: &str, topic: CreatedTopic) -> Result<CreatedTopic, Refusal> {
    match door.views.without_room(topic.id, topic.partitions) {
        0 => Ok(topic),
        partitions => Err(Refusal::NoRoomForLogs {
            topic: name.to_owned(),
            partitions,
            bytes: partitions * limits::SEGMENT_FIRST_BYTES,
        }),
    }
}

fn created_result(name: String, result: Result<CreatedTopic, Refusal>) -> v1::CreateTopicResult {
    match result {
        Ok(topic) => v1::CreateTopicResult {
            name,
            topic_id: convert::topic_id(topic.id),
            partitions: topic.partitions,
            replicas: topic.replicas,
            existed: topic.existed,
            error: None,
        },
        Err(refusal) => {
            v1::CreateTopicResult { name, error: Some(partition_error(&refusal)), ..Default::default() }
        }
    }
}

async fn delete(door: &Door, request: v1::DeleteTopicsRequest) -> Result<v1::DeleteTopicsResponse, Refusal> {
    check_topics(request.names.len())?;
    let asked = ControlRequest::DeleteTopics { names: request.names, validate_only: request.validate_only };
    let Reply::DeleteTopics(deleted) = door.handle.control(asked).await? else {
        return Err(mismatched_reply());
    };
    let results = deleted.into_iter().map(|(name, result)| match result {
        Ok(DeletedTopic { id, partitions }) => {
            v1::DeleteTopicResult { name, topic_id: convert::topic_id(id), partitions, error: None }
        }
        Err(refusal) => {
            v1::DeleteTopicResult { name, error: Some(partition_error(&refusal)), ..Default::default() }
        }
    });
    Ok(v1::DeleteTopicsResponse { results: results.collect() })
}

async fn alter(door: &Door, request: v1::AlterTopicsRequest) -> Result<v1::AlterTopicsResponse, Refusal> {
    check_topics(request.topics.len())?;
    let topics = request.topics.into_iter().map(|topic| TopicAlteration {
        name: topic.name,
        set: topic.set.into_iter().collect(),
        unset: topic.unset,
    });
    let asked =
        ControlRequest::AlterTopics { topics: topics.collect(), validate_only: request.validate_only };
    let Reply::AlterTopics(altered) = door.handle.control(asked).await? else {
        return Err(mismatched_reply());
    };
    let results = altered.into_iter().map(|(name, result)| match result {
        Ok(changes) => {
            v1::AlterTopicResult { name, changes: changes.into_iter().map(change).collect(), error: None }
        }
        Err(refusal) => {
            v1::AlterTopicResult { name, changes: Vec::new(), error: Some(partition_error(&refusal)) }
        }
    });
    Ok(v1::AlterTopicsResponse { results: results.collect() })
}

fn change(change: ConfigChange) -> v1::ConfigChange {
    v1::ConfigChange { key: change.key, before: change.before, after: change.after }
}

async fn add_partitions(
    door: &Door,
    request: v1::AddPartitionsRequest,
) -> Result<v1::AddPartitionsResponse, Refusal> {
    let v1::AddPartitionsRequest { name, count, validate_only } = request;
    let asked = ControlRequest::AddPartitions { name: name.clone(), count, validate_only };
    let Reply::AddPartitions(partitions) = door.handle.control(asked).await? else {
        return Err(mismatched_reply());
    };
    let partitions = partitions?;
    if let Some(topic) = door.views.topic_by_name(&name).filter(|_| !validate_only) {
        leaders::wait(door, &[(topic.id, partitions)]).await;
    }
    Ok(v1::AddPartitionsResponse { partitions })
}
