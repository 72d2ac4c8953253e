//! The API as a client of another language sees it: generated stubs, nothing of the SDK.

use std::collections::HashMap;
use std::path::Path;

use caudal_harness::broker_bin::Broker;
use caudal_proto::v1::fetch_service_client::FetchServiceClient;
use caudal_proto::v1::metadata_service_client::MetadataServiceClient;
use caudal_proto::v1::produce_service_client::ProduceServiceClient;
use caudal_proto::v1::topic_service_client::TopicServiceClient;
use caudal_proto::v1::{
    self, Acks, FetchFormat, FetchItem, FetchRequest, FetchResult, ListOffsetsItem, ListOffsetsRequest,
    NewTopic, OffsetAnchor, PlainRecords, ProduceItem, ProduceRequest, Reason, Receipt, Record, TopicRef,
    list_offsets_item, produce_item, produce_result, topic_ref,
};
use tonic::transport::Channel;

/// The largest message: a fetch answers with up to 16 MiB of batches.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A broker of its own for one test, and clients of it.
pub(crate) struct Stage {
    pub(crate) broker: Broker,
    pub(crate) api: Api,
    /// Kept until the test ends.
    _folder: tempfile::TempDir,
}

impl Stage {
    /// With these settings of its configuration.
    pub(crate) async fn with(settings: &[&str]) -> Stage {
        let folder = tempfile::tempdir().expect("a scratch folder can be made");
        let broker = start(&folder.path().join("data"), settings);
        let api = Api::connect(&broker).await;
        Stage { broker, api, _folder: folder }
    }

    pub(crate) async fn new() -> Stage {
        Stage::with(&[]).await
    }

    /// `kill -9` and a start on the same folder and port.
    pub(crate) async fn crash(&mut self) {
        self.broker.kill().expect("a broker can be killed");
        self.restart().await;
    }

    pub(crate) async fn restart(&mut self) {
        self.broker.restart().expect("the broker starts again");
        self.api = Api::connect(&self.broker).await;
    }
}

/// A broker that must start.
pub(crate) fn start(data: &Path, settings: &[&str]) -> Broker {
    Broker::start(data, settings).unwrap_or_else(|error| panic!("{error}"))
}

/// One connection.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) topics: TopicServiceClient<Channel>,
    pub(crate) produce: ProduceServiceClient<Channel>,
    pub(crate) fetch: FetchServiceClient<Channel>,
    pub(crate) metadata: MetadataServiceClient<Channel>,
}

impl Api {
    pub(crate) async fn connect(broker: &Broker) -> Api {
        let endpoint = Channel::from_shared(broker.uri()).expect("an address is a URI");
        let channel = endpoint.connect().await.expect("a broker that is ready takes connections");
        Api {
            topics: TopicServiceClient::new(channel.clone()),
            produce: ProduceServiceClient::new(channel.clone()).max_encoding_message_size(MESSAGE_BYTES_MAX),
            fetch: FetchServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            metadata: MetadataServiceClient::new(channel),
        }
    }

    /// Creates a topic that must not exist; its id.
    pub(crate) async fn create(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Vec<u8> {
        let result = self.try_create(name, Some(partitions), configs).await;
        assert_eq!(result.error, None, "{name}");
        result.topic_id.to_vec()
    }

    pub(crate) async fn try_create(
        &self,
        name: &str,
        partitions: Option<i32>,
        configs: &[(&str, &str)],
    ) -> v1::CreateTopicResult {
        let configs: HashMap<String, String> =
            configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let topic = NewTopic { name: name.to_owned(), partitions, replicas: None, configs };
        let request = v1::CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let answer = self.topics.clone().create_topics(request).await.expect("create answers");
        answer.into_inner().results.remove(0)
    }

    /// Produces one item with `acks=all`; its receipt or the reason against it.
    pub(crate) async fn send(
        &self,
        topic: &str,
        partition: i32,
        data: produce_item::Data,
    ) -> Result<Receipt, Refused> {
        let item = ProduceItem { topic: Some(named(topic)), partition: Some(partition), data: Some(data) };
        let request = ProduceRequest { acks: Acks::All as i32, items: vec![item] };
        let answer = self.produce.clone().produce(request).await.expect("produce answers");
        match answer.into_inner().results.remove(0).result.expect("a result") {
            produce_result::Result::Receipt(receipt) => Ok(receipt),
            produce_result::Result::Error(error) => Err(Refused::from(error)),
        }
    }

    /// Produces plain records of these values, without keys.
    pub(crate) async fn send_values(&self, topic: &str, partition: i32, values: &[&str]) -> Receipt {
        let records =
            values.iter().map(|v| Record { value: Some(v.as_bytes().to_vec().into()), ..Default::default() });
        let data = produce_item::Data::Records(PlainRecords { records: records.collect() });
        self.send(topic, partition, data).await.expect("plain records are taken")
    }

    /// Produces one raw batch.
    pub(crate) async fn send_batch(
        &self,
        topic: &str,
        partition: i32,
        batch: impl Into<bytes::Bytes>,
    ) -> Result<Receipt, Refused> {
        self.send(topic, partition, produce_item::Data::Batch(batch.into())).await
    }

    /// One fetch that answers at once.
    pub(crate) async fn fetch_now(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        format: FetchFormat,
    ) -> FetchResult {
        let item =
            FetchItem { topic: Some(named(topic)), partition: Some(partition), offset, ..Default::default() };
        let request = FetchRequest { items: vec![item], format: format as i32, ..Default::default() };
        let answer = self.fetch.clone().fetch(request).await.expect("fetch answers");
        answer.into_inner().results.remove(0)
    }

    /// Every record from the log's start to its end, as offset and value.
    pub(crate) async fn read_all(&self, topic: &str, partition: i32) -> Vec<(i64, String)> {
        let end = self.offset(topic, partition, OffsetAnchor::End).await;
        let mut next = self.offset(topic, partition, OffsetAnchor::Start).await;
        let mut all = Vec::new();
        while next < end {
            let result = self.fetch_now(topic, partition, next, FetchFormat::Records).await;
            assert_eq!(result.error, None, "{topic}:{partition} from {next}");
            assert!(!result.records.is_empty(), "{topic}:{partition}: nothing at {next}, the end is {end}");
            for record in result.records {
                next = record.offset + 1;
                let value = record.record.and_then(|r| r.value).unwrap_or_default();
                all.push((record.offset, String::from_utf8_lossy(&value).into_owned()));
            }
        }
        all
    }

    /// The first offset, or the one behind the last.
    pub(crate) async fn offset(&self, topic: &str, partition: i32, anchor: OffsetAnchor) -> i64 {
        self.list_offset(topic, partition, list_offsets_item::At::Anchor(anchor as i32)).await.0
    }

    /// Offset and timestamp of a place in the log.
    pub(crate) async fn list_offset(
        &self,
        topic: &str,
        partition: i32,
        at: list_offsets_item::At,
    ) -> (i64, i64) {
        let item = ListOffsetsItem { topic: Some(named(topic)), partition: Some(partition), at: Some(at) };
        let request = ListOffsetsRequest { items: vec![item] };
        let result = self.fetch.clone().list_offsets(request).await.expect("an answer").into_inner();
        assert_eq!(result.results[0].error, None, "{topic}:{partition}");
        (result.results[0].offset, result.results[0].timestamp_ms)
    }
}

/// A topic by its name.
pub(crate) fn named(name: &str) -> TopicRef {
    TopicRef { topic: Some(topic_ref::Topic::Name(name.to_owned())) }
}

/// A refusal, as tests look at it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) retriable: bool,
}

impl From<v1::PartitionError> for Refused {
    fn from(error: v1::PartitionError) -> Refused {
        Refused {
            reason: error.reason(),
            message: error.message.clone(),
            metadata: error.metadata.into_iter().collect(),
            retriable: error.retriable,
        }
    }
}

/// The reason of an answer that must be a refusal.
pub(crate) fn reason(error: &Option<v1::PartitionError>) -> Reason {
    error.as_ref().map_or(Reason::Unspecified, v1::PartitionError::reason)
}
