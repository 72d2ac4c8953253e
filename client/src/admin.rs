//! Admin: topics, partitions, configuration, offsets, brokers.
//!
//! Topic calls go to any broker, which forwards them. Offsets are asked of each partition's leader.

use caudal_proto::v1 as wire;
use caudal_proto::v1::topic_service_client::TopicServiceClient;
use tonic::transport::Channel;

use crate::client::{Client, Repeat};
use crate::config::GRPC_MESSAGE_BYTES_MAX;
use crate::error::Error;
use crate::offsets;
use crate::topic::{
    BrokerDescription, ClusterDescription, ConfigChange, CreateOptions, CreatedTopic, DeletedTopic, Each,
    EachPartition, ListedOffset, NewTopic, OffsetSpec, TopicAlteration, TopicDescription, TopicSummary,
    TrimBefore, TrimmedPartition,
};
use crate::topic_wire as convert;

/// Topics, partitions, configuration, offsets, brokers. Cheap to clone.
///
/// Methods over several topics answer for each by itself; the outer error means that the whole call failed.
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
}

fn topics(channel: Channel) -> TopicServiceClient<Channel> {
    TopicServiceClient::new(channel).max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
}

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Admin { client }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Creates one topic.
    ///
    /// # Errors
    /// `Exists`, `Invalid`, `Unsupported` as the broker judges; `UnknownOutcome` when the broker was lost in the
    /// middle.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<CreatedTopic, Error> {
        one(self.create_topics(vec![topic], CreateOptions::default()).await?)
    }

    /// Creates topics, each by itself.
    ///
    /// # Errors
    /// Outer: the call failed as a whole. Inner: as [`Admin::create_topic`].
    pub async fn create_topics(
        &self,
        topics_new: Vec<NewTopic>,
        options: CreateOptions,
    ) -> Result<Each<CreatedTopic>, Error> {
        let request = wire::CreateTopicsRequest {
            topics: topics_new.into_iter().map(convert::new_topic).collect(),
            validate_only: options.validate_only,
            if_not_exists: options.if_not_exists,
        };
        let repeat = repeat_if(options.validate_only || options.if_not_exists);
        let call = self.client.call(repeat, |channel| {
            let request = request.clone();
            async move { topics(channel).create_topics(request).await }
        });
        Ok(call.await?.results.into_iter().map(convert::created).collect())
    }

    /// Deletes topics, each by itself. With `validate_only`, says what would be deleted.
    ///
    /// # Errors
    /// Inner: `NotFound`, `Invalid`. Outer: the call failed as a whole.
    pub async fn delete_topics(
        &self,
        names: &[&str],
        validate_only: bool,
    ) -> Result<Each<DeletedTopic>, Error> {
        let request = wire::DeleteTopicsRequest { names: owned(names), validate_only };
        let call = self.client.call(repeat_if(validate_only), |channel| {
            let request = request.clone();
            async move { topics(channel).delete_topics(request).await }
        });
        Ok(call.await?.results.into_iter().map(convert::deleted).collect())
    }

    /// All topics by name; with `internal` also the broker's own.
    ///
    /// # Errors
    /// The call failed.
    pub async fn list_topics(&self, internal: bool) -> Result<Vec<TopicSummary>, Error> {
        let request = wire::ListTopicsRequest { internal };
        let call = self
            .client
            .call(Repeat::Safe, |channel| async move { topics(channel).list_topics(request).await });
        call.await?.topics.into_iter().map(convert::summary).collect()
    }

    /// Everything about these topics.
    ///
    /// # Errors
    /// Inner: `NotFound`. Outer: the call failed as a whole.
    pub async fn describe_topics(&self, names: &[&str]) -> Result<Each<TopicDescription>, Error> {
        let request = wire::DescribeTopicsRequest { names: owned(names) };
        let call = self.client.call(Repeat::Safe, |channel| {
            let request = request.clone();
            async move { topics(channel).describe_topics(request).await }
        });
        Ok(call.await?.topics.into_iter().map(convert::description).collect())
    }

    /// Changes the configuration of topics; answers with what changed. With `validate_only`, what would.
    ///
    /// # Errors
    /// Inner: `NotFound`, `Invalid`, `Unsupported`. Outer: the call failed as a whole.
    pub async fn alter_topics(
        &self,
        alterations: Vec<TopicAlteration>,
        validate_only: bool,
    ) -> Result<Each<Vec<ConfigChange>>, Error> {
        let request = wire::AlterTopicsRequest {
            topics: alterations.into_iter().map(convert::alteration).collect(),
            validate_only,
        };
        // Setting the same values twice changes nothing more.
        let call = self.client.call(Repeat::Safe, |channel| {
            let request = request.clone();
            async move { topics(channel).alter_topics(request).await }
        });
        Ok(call.await?.results.into_iter().map(convert::altered).collect())
    }

    /// Adds `count` partitions; answers with their number after it. Keys may land elsewhere from then on.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`; `UnknownOutcome` when the broker was lost in the middle.
    pub async fn add_partitions(&self, name: &str, count: i32, validate_only: bool) -> Result<i32, Error> {
        let request = wire::AddPartitionsRequest { name: name.to_owned(), count, validate_only };
        let call = self.client.call(repeat_if(validate_only), |channel| {
            let request = request.clone();
            async move { topics(channel).add_partitions(request).await }
        });
        Ok(call.await?.partitions)
    }

    /// Moves the log start of one partition, or of all, forward. With `validate_only`, says where to.
    ///
    /// # Errors
    /// Inner: `OutOfRange` and others by partition. Outer: the call failed as a whole.
    pub async fn trim_topic(
        &self,
        name: &str,
        partition: Option<i32>,
        before: TrimBefore,
        validate_only: bool,
    ) -> Result<EachPartition<TrimmedPartition>, Error> {
        let before = match before {
            TrimBefore::Offset(offset) => wire::trim_topic_request::Before::BeforeOffset(offset),
            TrimBefore::TimestampMs(ms) => wire::trim_topic_request::Before::BeforeTimestampMs(ms),
        };
        let request =
            wire::TrimTopicRequest { name: name.to_owned(), partition, before: Some(before), validate_only };
        // Trimming to the same place twice changes nothing more.
        let call = self.client.call(Repeat::Safe, |channel| {
            let request = request.clone();
            async move { topics(channel).trim_topic(request).await }
        });
        Ok(call.await?.results.into_iter().map(convert::trimmed).collect())
    }

    /// Looks up offsets of partitions of one topic, each at its leader.
    ///
    /// # Errors
    /// Inner: `NotFound` and others by partition. Outer: the topic is not found or no broker is reached.
    pub async fn list_offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        spec: OffsetSpec,
    ) -> Result<EachPartition<ListedOffset>, Error> {
        let wanted: Vec<(i32, OffsetSpec)> = partitions.iter().map(|&p| (p, spec)).collect();
        offsets::list(&self.client, topic, &wanted).await
    }

    /// The numbers of a topic's partitions.
    ///
    /// # Errors
    /// `NotFound`, or the call failed.
    pub async fn partitions(&self, topic: &str) -> Result<Vec<i32>, Error> {
        let topic = offsets::topic_metadata(&self.client, topic).await?;
        Ok(topic.partitions.iter().map(|p| p.partition).collect())
    }

    /// The cluster and its brokers.
    ///
    /// # Errors
    /// No broker is reached.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        let response = self.client.get_metadata(Vec::new()).await?;
        let brokers = response.brokers.into_iter().map(|b| BrokerDescription {
            node_id: b.node_id,
            address: b.address,
            shards: b.shards,
            version: b.version,
        });
        Ok(ClusterDescription {
            cluster_id: response.cluster_id,
            node_id: response.node_id,
            brokers: brokers.collect(),
        })
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn repeat_if(safe: bool) -> Repeat {
    if safe { Repeat::Safe } else { Repeat::OnlyIfRefused }
}

/// The one answer to a question about one thing.
fn one<T>(answers: Each<T>) -> Result<T, Error> {
    let mut answers = answers.into_iter();
    match (answers.next(), answers.next()) {
        (Some((_, answer)), None) => answer,
        _ => Err(convert::malformed("not exactly one result for one topic")),
    }
}
