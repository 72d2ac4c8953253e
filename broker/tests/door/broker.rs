//! A broker in this process, on a port and in a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;

use caudal_broker::config::Config;
use caudal_broker::server::{self, Ready, ServeError};
use caudal_proto::batch::{Builder, Codec};
use caudal_proto::v1::fetch_service_client::FetchServiceClient;
use caudal_proto::v1::metadata_service_client::MetadataServiceClient;
use caudal_proto::v1::produce_service_client::ProduceServiceClient;
use caudal_proto::v1::topic_service_client::TopicServiceClient;
use caudal_proto::v1::{self, TopicRef, topic_ref};
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};

/// A running broker; stopped in order when it is dropped.
pub(crate) struct Broker {
    /// What it said when it was ready.
    pub(crate) ready: Ready,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Broker {
    /// Starts a broker with two shards on `folder`.
    pub(crate) fn start(folder: &Path) -> Broker {
        Broker::start_with(folder, &[])
    }

    /// The same with configuration of its own.
    pub(crate) fn start_with(folder: &Path, sets: &[&str]) -> Broker {
        let data = format!("data.dir={}", folder.display());
        let listen = |what| format!("{what}.listen=127.0.0.1:0");
        let mut all = vec![data, listen("grpc"), listen("peer"), listen("http"), "shards=2".to_owned()];
        all.extend(sets.iter().map(|set| (*set).to_owned()));
        let config = Config::parse(None, &all).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, ready) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            let shutdown = async { drop(stopped.await) };
            server::run(config, shutdown, |ready| tell.send(ready).unwrap())
        });
        match ready.recv() {
            Ok(ready) => Broker { ready, stop: Some(stop), thread: Some(thread) },
            Err(_) => panic!("the broker did not start: {:?}", thread.join().unwrap()),
        }
    }

    /// Stops in order, with what came of it. The clients' connections go on meanwhile, to hear of it.
    pub(crate) async fn stop(mut self) -> Result<(), ServeError> {
        drop(self.stop.take());
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.ready.grpc.parse().unwrap()
    }

    /// A connection.
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.ready.grpc)).unwrap().connect().await.unwrap()
    }

    /// Clients of every service, on one connection.
    pub(crate) async fn clients(&self) -> Clients {
        let channel = self.channel().await;
        Clients {
            produce: ProduceServiceClient::new(channel.clone()),
            fetch: FetchServiceClient::new(channel.clone()).max_decoding_message_size(64 << 20),
            topics: TopicServiceClient::new(channel.clone()),
            metadata: MetadataServiceClient::new(channel),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Clients of every service.
pub(crate) struct Clients {
    /// Produces.
    pub(crate) produce: ProduceServiceClient<Channel>,
    /// Fetches.
    pub(crate) fetch: FetchServiceClient<Channel>,
    /// Topics.
    pub(crate) topics: TopicServiceClient<Channel>,
    /// Metadata.
    pub(crate) metadata: MetadataServiceClient<Channel>,
}

impl Clients {
    /// Makes a topic; its id.
    pub(crate) async fn create(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> v1::CreateTopicResult {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let topic =
            v1::NewTopic { name: name.to_owned(), partitions: Some(partitions), replicas: None, configs };
        let request = v1::CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        self.topics.create_topics(request).await.unwrap().into_inner().results.remove(0)
    }

    /// Produces one batch; what came of it.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        batch: bytes::Bytes,
    ) -> Result<v1::Receipt, v1::PartitionError> {
        let item = v1::ProduceItem {
            topic: named(topic),
            partition: Some(0),
            data: Some(v1::produce_item::Data::Batch(batch)),
        };
        let request = v1::ProduceRequest { acks: 0, items: vec![item] };
        let mut results = self.produce.produce(request).await.unwrap().into_inner().results;
        match results.remove(0).result.unwrap() {
            v1::produce_result::Result::Receipt(receipt) => Ok(receipt),
            v1::produce_result::Result::Error(error) => Err(error),
        }
    }

    /// Fetches from an offset of partition 0.
    pub(crate) async fn fetch(
        &mut self,
        topic: &str,
        offset: i64,
        format: v1::FetchFormat,
    ) -> v1::FetchResult {
        let item = v1::FetchItem { topic: named(topic), partition: Some(0), offset, ..Default::default() };
        let request = v1::FetchRequest { items: vec![item], format: format.into(), ..Default::default() };
        self.fetch.fetch(request).await.unwrap().into_inner().results.remove(0)
    }
}

/// A topic by its name.
pub(crate) fn named(name: &str) -> Option<TopicRef> {
    Some(TopicRef { topic: Some(topic_ref::Topic::Name(name.to_owned())) })
}

/// A batch of values.
pub(crate) fn batch(values: &[&[u8]], codec: Codec) -> bytes::Bytes {
    let mut builder = Builder::new();
    for value in values {
        builder.push(1_700_000_000_000, None, Some(value), []).unwrap();
    }
    builder.finish(codec, None).unwrap()
}

/// The values of fetched records, as text.
pub(crate) fn values(result: &v1::FetchResult) -> Vec<String> {
    let value = |record: &v1::FetchedRecord| record.record.as_ref()?.value.clone();
    result
        .records
        .iter()
        .filter_map(value)
        .map(|value| String::from_utf8_lossy(&value).into_owned())
        .collect()
}
