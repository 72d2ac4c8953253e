//! The door: gRPC services. Parse, check the form, call, answer; decisions are made further in.
//!
//! Each shard serves its own connections with services of its own. Records pass as the bytes they came in.
//!
//! # Invariants
//! * What is not valid is refused before it reaches a shard, with a reason of `docs/ERRORS.md`.
//! * One partition's refusal is part of the answer, beside the others' results.
//! * A client that vanishes, does not read or sends nonsense costs bounded memory, and nobody else anything.

pub mod answers;
pub mod cluster;
pub mod convert;
pub mod counted;
pub mod describe;
pub mod fetch;
pub mod fetch_stream;
pub mod forward;
pub mod guard;
pub mod in_order;
pub mod incoming;
pub mod leaders;
pub mod list_offsets;
pub mod metadata;
pub mod produce;
pub mod produce_stream;
pub mod reading;
pub mod status;
pub mod subscription;
pub mod topics;
pub mod trim;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use caudal_proto::v1::cluster_service_server::ClusterServiceServer;
use caudal_proto::v1::fetch_service_server::FetchServiceServer;
use caudal_proto::v1::metadata_service_server::MetadataServiceServer;
use caudal_proto::v1::produce_service_server::ProduceServiceServer;
use caudal_proto::v1::topic_service_server::TopicServiceServer;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic_health::pb::health_server::{Health, HealthServer};

pub use self::counted::METHODS;
use self::incoming::Incoming;
use crate::ids::ShardId;
use crate::limits;
use crate::refusal::Refusal;
use crate::runtime::clock::Clock;
use crate::runtime::connections::Connection;
use crate::runtime::handle::Handle;
use crate::runtime::life::{Life, Phase};
use crate::runtime::meters::ShardMeter;
use crate::runtime::readers::Readers;
use crate::runtime::views::Views;

/// What clients are told of this broker.
#[derive(Debug)]
pub struct About {
    /// The cluster's id.
    pub cluster: String,
    /// HOST:PORT of the gRPC listener, as clients reach it.
    pub address: String,
}

/// The broker, as the services of one shard's connections see it.
#[derive(Clone)]
pub struct Door {
    /// Calls the shards.
    pub handle: Handle,
    /// What is published.
    pub views: Arc<Views>,
    /// Reads what is cold.
    pub readers: Readers,
    /// The time.
    pub clock: Clock,
    /// The broker's life.
    pub life: Arc<Life>,
    /// The shard whose connections are served.
    pub shard: ShardId,
    /// What clients are told.
    pub about: Arc<About>,
    /// To brokers that decide what this one does not.
    pub channels: Arc<forward::Channels>,
    /// What is counted.
    pub meter: Arc<ShardMeter>,
}

impl Door {
    /// This broker's number; 0 until it is registered.
    fn node(&self) -> i32 {
        self.views.node().map_or(0, |node| node.0)
    }
}

/// The control partition answered something else than it was asked.
fn mismatched_reply() -> Refusal {
    Refusal::Internal { why: "the control partition's answer is of another kind than the request".to_owned() }
}

/// The names of the services, for the health service.
pub const SERVICES: [&str; 5] = [
    "caudal.v1.ProduceService",
    "caudal.v1.FetchService",
    "caudal.v1.TopicService",
    "caudal.v1.MetadataService",
    "caudal.v1.ClusterService",
];

/// Serves the connections of one shard until the broker stops, and the streams under way with them.
///
/// # Errors
/// The services cannot be set up.
pub async fn serve<H: Health>(
    door: Door,
    connections: mpsc::Receiver<io::Result<Connection>>,
    health: HealthServer<H>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (meter, clock) = (Arc::clone(&door.meter), door.clock);
    let incoming = Arc::new(Incoming::new(Arc::clone(&meter)));
    let sweep = Arc::clone(&meter);
    let sweeping = tokio::spawn(async move { sweep.stalls.run().await });
    let life = Arc::clone(&door.life);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(caudal_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    macro_rules! guarded {
        ($server:ident, $service:expr) => {
            guard::Guarded {
                service: $server::new($service)
                    .max_decoding_message_size(limits::GRPC_MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(limits::GRPC_MESSAGE_BYTES_MAX),
                meter: Arc::clone(&meter),
                incoming: Arc::clone(&incoming),
                clock,
            }
        };
    }
    let served = server()
        .add_service(guarded!(ProduceServiceServer, produce::Produce { door: door.clone() }))
        .add_service(guarded!(FetchServiceServer, fetch::Fetch { door: door.clone() }))
        .add_service(guarded!(TopicServiceServer, topics::Topics { door: door.clone() }))
        .add_service(guarded!(ClusterServiceServer, cluster::Cluster { door: door.clone() }))
        .add_service(guarded!(MetadataServiceServer, metadata::Metadata { door }))
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), async move {
            life.reached(Phase::Stopping).await;
        })
        .await;
    sweeping.abort();
    Ok(served?)
}

/// The transport's settings: notes on each are beside its limit.
fn server() -> Server {
    let ping = Duration::from_millis(limits::HTTP2_PING_MS);
    Server::builder()
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_frame_size(limits::HTTP2_FRAME_BYTES_MAX)
        .http2_adaptive_window(Some(false))
        .http2_max_header_list_size(limits::HTTP2_HEADERS_BYTES_MAX)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
        .http2_keepalive_interval(Some(ping))
        .http2_keepalive_timeout(Some(ping))
}
