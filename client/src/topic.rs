//! Topics, as the admin API speaks of them.

use std::collections::BTreeMap;

use crate::error::Error;

/// A topic's identity: a topic created again under its name has another one.
pub type TopicId = uuid::Uuid;

/// A topic to create. What is `None` is the broker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// `[A-Za-z0-9._-]{1,249}`, not `.` or `..`, not beginning with `__`.
    pub name: String,
    /// 1 to 10,000; `None` is 1.
    pub partitions: Option<i32>,
    /// 1, 3 or 5; `None` is 3 where three brokers exist, else 1.
    pub replicas: Option<i32>,
    /// Kafka's keys, and `durability`.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn new(name: impl Into<String>) -> Self {
        NewTopic { name: name.into(), ..NewTopic::default() }
    }

    /// With so many partitions.
    pub fn partitions(self, partitions: i32) -> Self {
        NewTopic { partitions: Some(partitions), ..self }
    }

    /// With so many replicas of each partition.
    pub fn replicas(self, replicas: i32) -> Self {
        NewTopic { replicas: Some(replicas), ..self }
    }

    /// With this configuration value.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(key.into(), value.into());
        self
    }
}

/// A created topic, or one that would be created by a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// The name.
    pub name: String,
    /// Its identity; `None` in a dry run.
    pub id: Option<TopicId>,
    /// The number of partitions.
    pub partitions: i32,
    /// Replicas of each partition.
    pub replicas: i32,
    /// With [`CreateOptions::if_not_exists`]: it was there before.
    pub existed: bool,
}

/// How to create topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// Check everything, change nothing.
    pub validate_only: bool,
    /// A topic that exists is a success.
    pub if_not_exists: bool,
}

/// A deleted topic, or one that would be deleted by a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    /// The name.
    pub name: String,
    /// Its identity.
    pub id: Option<TopicId>,
    /// How many partitions it had.
    pub partitions: i32,
}

/// One line of a list of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSummary {
    /// The name.
    pub name: String,
    /// Its identity.
    pub id: TopicId,
    /// The number of partitions.
    pub partitions: i32,
    /// Replicas of each partition.
    pub replicas: i32,
    /// One of the broker's own.
    pub internal: bool,
}

/// Everything about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// The name.
    pub name: String,
    /// Its identity.
    pub id: TopicId,
    /// Replicas of each partition.
    pub replicas: i32,
    /// One of the broker's own.
    pub internal: bool,
    /// Every configuration value in force.
    pub configs: Vec<ConfigEntry>,
    /// In order.
    pub partitions: Vec<PartitionDescription>,
}

/// Where a configuration value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Built in.
    Default,
    /// The broker's configuration when the topic was created.
    Broker,
    /// Set on the topic.
    Topic,
}

/// A configuration value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub source: ConfigSource,
}

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// `None` while there is none.
    pub leader_node: Option<i32>,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The nodes of its replicas.
    pub replicas: Vec<i32>,
    /// The first offset that readers may see.
    pub log_start: i64,
    /// The first offset that readers may not see yet.
    pub high_watermark: i64,
    /// Bytes of records on the disk of the broker that answered.
    pub bytes: u64,
    /// Ranges of offsets, both ends included, whose stored bytes do not validate.
    pub damaged: Vec<(i64, i64)>,
}

/// A change of a topic's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicAlteration {
    /// The topic.
    pub name: String,
    /// Values to set.
    pub set: BTreeMap<String, String>,
    /// Keys to take back to the default.
    pub unset: Vec<String>,
}

/// A configuration value that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub key: String,
    /// The value before.
    pub before: String,
    /// The value after.
    pub after: String,
}

/// What to trim away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimBefore {
    /// The first offset that stays; the high watermark at most.
    Offset(i64),
    /// Records stay from the first whose timestamp is at or after this, in milliseconds since the epoch.
    TimestampMs(i64),
}

/// A trimmed partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrimmedPartition {
    /// Its number.
    pub partition: i32,
    /// The first offset before.
    pub log_start_before: i64,
    /// The first offset after.
    pub log_start_after: i64,
}

/// Which offset to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first offset that readers may see.
    Start,
    /// The high watermark: the offset the next record will get, at least.
    End,
    /// The first record whose timestamp is at or after this, in milliseconds since the epoch.
    TimestampMs(i64),
}

/// An offset that was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// `None` when no record is as young as the time asked for.
    pub offset: Option<i64>,
    /// Of the record found by time.
    pub timestamp_ms: Option<i64>,
    /// The leader's epoch.
    pub leader_epoch: i32,
}

/// The answer about one of several things: each can fail by itself.
pub type Each<T> = Vec<(String, Result<T, Error>)>;

/// The answer about one of several partitions.
pub type EachPartition<T> = Vec<(i32, Result<T, Error>)>;

/// A cluster, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Drawn when the cluster was born.
    pub cluster_id: String,
    /// The broker that answered.
    pub node_id: i32,
    /// All brokers.
    pub brokers: Vec<BrokerDescription>,
}

/// A broker, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerDescription {
    /// Its number.
    pub node_id: i32,
    /// `HOST:PORT` of its gRPC listener.
    pub address: String,
    /// Shards: threads that hold partitions.
    pub shards: u32,
    /// Its version.
    pub version: String,
}
