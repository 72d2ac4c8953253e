//! A small cluster in this process: real gRPC, logs in memory, producer sequences checked as a broker does, and a
//! script of faults.

mod fetch;
mod log;
mod meta;
mod produce;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caudal_client::Client;
use caudal_proto::v1 as wire;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use uuid::Uuid;

pub(crate) use log::{Log, batch, values};
pub(crate) use meta::status;

/// A test never waits longer than this; it is far beyond what any of them needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the cluster does with one batch on a produce stream.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing unusual.
    None,
    /// Answers with this, and does not write.
    Refuse(wire::PartitionError),
    /// Answers with this although it is written.
    WriteAndRefuse(wire::PartitionError),
    /// Writes, and breaks the stream without an answer.
    WriteAndCut,
    /// Breaks the stream, and does not write.
    Cut,
    /// Answers only when the test says so: see [`Cluster::release`].
    Hold,
    /// Forgets the partition's producers, then goes on as usual.
    ForgetProducers,
}

/// A topic of the cluster.
pub(crate) struct FakeTopic {
    pub(crate) id: Uuid,
    pub(crate) max_message_bytes: u32,
    pub(crate) partitions: Vec<FakePartition>,
}

/// A partition of the cluster.
pub(crate) struct FakePartition {
    pub(crate) leader: i32,
    pub(crate) epoch: i32,
    pub(crate) shard: u32,
    pub(crate) log: Log,
}

/// Everything under one lock.
pub(crate) struct State {
    pub(crate) addresses: Vec<String>,
    pub(crate) topics: BTreeMap<String, FakeTopic>,
    /// The faults of the next batches, in the order they arrive.
    pub(crate) faults: VecDeque<Fault>,
    /// The shards that produce streams land on, in the order they are opened; then 0.
    pub(crate) landings: VecDeque<u32>,
    pub(crate) shards: u32,
    pub(crate) window_bytes: u64,
    /// Batches of a fetch stream before it breaks, in the order streams are opened; then never.
    pub(crate) fetch_cuts: VecDeque<usize>,
    pub(crate) next_producer: i64,
    /// What arrived: (topic, partition, shard of the stream) of every batch.
    pub(crate) arrivals: Vec<(String, i32, u32)>,
    pub(crate) streams_opened: usize,
    pub(crate) metadata_calls: usize,
    /// Fetch messages other than credit, as text.
    pub(crate) fetch_messages: Vec<String>,
    /// The most bytes of batches that were sent and not given credit for, over all fetch streams.
    pub(crate) fetch_uncredited_max: i64,
    /// The most bytes any produce stream sent beyond its window.
    pub(crate) window_overrun: u64,
    pub(crate) held: Vec<produce::Held>,
    pub(crate) topic_calls: Vec<String>,
    pub(crate) refuse_calls: VecDeque<tonic::Status>,
}

/// The cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    state: Arc<Mutex<State>>,
    /// Told whenever a log grew or a fault changed.
    pub(crate) news: Arc<Notify>,
}

/// One broker of the cluster.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) cluster: Cluster,
    pub(crate) node: i32,
}

impl Cluster {
    /// Starts so many brokers, on ports of the system's choice.
    pub(crate) async fn start(brokers: usize) -> Cluster {
        let state = State {
            addresses: Vec::new(),
            topics: BTreeMap::new(),
            faults: VecDeque::new(),
            landings: VecDeque::new(),
            shards: 1,
            window_bytes: 16 << 20,
            fetch_cuts: VecDeque::new(),
            next_producer: 1000,
            arrivals: Vec::new(),
            streams_opened: 0,
            metadata_calls: 0,
            fetch_messages: Vec::new(),
            fetch_uncredited_max: 0,
            window_overrun: 0,
            held: Vec::new(),
            topic_calls: Vec::new(),
            refuse_calls: VecDeque::new(),
        };
        let cluster = Cluster { state: Arc::new(Mutex::new(state)), news: Arc::new(Notify::new()) };
        for node in 0..brokers {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            cluster.lock().addresses.push(listener.local_addr().unwrap().to_string());
            let broker = Broker { cluster: cluster.clone(), node: i32::try_from(node).unwrap() };
            let server = tonic::transport::Server::builder()
                .add_service(produce::service(broker.clone()))
                .add_service(fetch::service(broker.clone()))
                .add_service(meta::metadata_service(broker.clone()))
                .add_service(meta::topic_service(broker))
                .serve_with_incoming(TcpListenerStream::new(listener));
            tokio::spawn(server);
        }
        cluster
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that knows the first broker.
    pub(crate) async fn client(&self) -> Client {
        let address = self.lock().addresses[0].clone();
        Client::connect(&address).await.unwrap()
    }

    /// A topic whose partitions are led by node 0, on shard 0.
    pub(crate) fn topic(&self, name: &str, partitions: usize) {
        let partition = || FakePartition { leader: 0, epoch: 1, shard: 0, log: Log::default() };
        let topic = FakeTopic {
            id: Uuid::new_v4(),
            max_message_bytes: 1_048_588,
            partitions: (0..partitions).map(|_| partition()).collect(),
        };
        self.lock().topics.insert(name.to_owned(), topic);
    }

    /// The next batches meet these faults, in the order they arrive.
    pub(crate) fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    /// Another node leads from now on.
    pub(crate) fn move_leader(&self, topic: &str, partition: usize, node: i32) {
        let mut state = self.lock();
        let partition = &mut state.topics.get_mut(topic).unwrap().partitions[partition];
        partition.leader = node;
        partition.epoch += 1;
        drop(state);
        self.news.notify_waiters();
    }

    /// Appends batches to a log directly, for readers.
    pub(crate) fn append(&self, topic: &str, partition: usize, batch: &bytes::Bytes) -> i64 {
        let mut state = self.lock();
        let log = &mut state.topics.get_mut(topic).unwrap().partitions[partition].log;
        let offset = log.append(batch, 1);
        drop(state);
        self.news.notify_waiters();
        offset
    }

    /// The values of all records of a partition, in order.
    pub(crate) fn values(&self, topic: &str, partition: usize) -> Vec<String> {
        values(&self.lock().topics[topic].partitions[partition].log)
    }

    /// Waits until the state is as the test wants it.
    pub(crate) async fn until(&self, what: &str, mut done: impl FnMut(&State) -> bool) {
        let wait = async {
            while !done(&self.lock()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon(what, wait).await;
    }
}

/// The answer of a future that must come, long before a test's patience ends.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// A refusal with this reason.
pub(crate) fn refusal(reason: wire::Reason, retriable: bool) -> wire::PartitionError {
    wire::PartitionError {
        reason: reason as i32,
        message: format!("{} by script", reason.as_str_name()),
        metadata: [].into(),
        retriable,
        retry_after_ms: 0,
    }
}
