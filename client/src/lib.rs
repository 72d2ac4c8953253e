//! The Caudal SDK: a producer, a consumer and an admin client for services.
//!
//! ```no_run
#![doc = include_str!("../examples/quickstart.rs")]
//! ```
//!
//! * [`Client`] reaches a cluster; the others come from it.
//! * [`Producer`] batches, compresses, retries; by default each record is written once, synced on a majority.
//! * [`Consumer`] reads partitions from an offset, a time, or an end; it survives lost connections and leaders.
//! * [`Admin`] makes, changes and describes topics.
//! * [`Error`] says what to do: [`ErrorKind`] is a closed set.
//!
//! # Inside
//! Policy is pure, with time and randomness given: `batcher`, `partitioner`, `lane`, `sequence`, `retry`, `metadata`,
//! `cursor`. IO drives it: `client`, `connection`, `producer/`, `consumer/`, `admin`, `offsets`.

mod admin;
mod ask;
mod batcher;
mod client;
mod clock;
mod cluster;
pub mod config;
mod connection;
mod consumer;
mod cursor;
mod delivery;
mod error;
mod lane;
mod metadata;
mod offsets;
mod outgoing;
mod partitioner;
mod producer;
mod record;
mod retry;
mod sequence;
mod topic;
mod topic_wire;

pub use admin::Admin;
pub use caudal_proto::batch::Codec;
pub use caudal_proto::v1::Reason;
pub use client::Client;
pub use cluster::{ClusterState, NodeState, PartitionState, Recovery, ReplicaRemains, ReplicaState};
pub use config::{Acks, ClientConfig, ConsumerConfig, OutOfRange, ProducerConfig};
pub use consumer::{Consumer, ConsumerBuilder, RecordBatch, Start, Tail};
pub use delivery::{BatchReceipt, Delivery, Receipt, Replica};
pub use error::{Error, ErrorKind};
pub use producer::{Producer, ProducerBuilder, TrySendError};
pub use record::{Header, NewHeader, NewRecord, Record};
pub use topic::{
    BrokerDescription, ClusterDescription, ConfigChange, ConfigEntry, ConfigSource, CreateOptions,
    CreatedTopic, DeletedTopic, Each, EachPartition, ListedOffset, NewTopic, OffsetSpec,
    PartitionDescription, TopicAlteration, TopicDescription, TopicId, TopicSummary, TrimBefore,
    TrimmedPartition,
};
