//! The refusals: answers to requests that change nothing.
//!
//! A refusal is deterministic and part of the answer. What a caller should do is in `rpc/status.rs`, once.

use crate::ids::{NodeId, Offset};

/// Why a request, or one partition of it, is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request does not have the form the call asks for.
    #[error("{field}: {why}")]
    InvalidArgument {
        /// The place in the request.
        field: String,
        /// What is wrong there.
        why: String,
    },
    /// A name that no topic may have.
    #[error("{name:?} cannot be a topic's name: {why}")]
    InvalidTopicName {
        /// The name as it was sent, cut at 300 characters.
        name: String,
        /// Which rule it breaks.
        why: String,
    },
    /// No topic of this name.
    #[error("no topic is named {name:?}")]
    UnknownTopic {
        /// The name.
        name: String,
    },
    /// No topic of this id.
    #[error("no topic has the id {id}; it may have been deleted and created again")]
    UnknownTopicId {
        /// The id in text.
        id: String,
    },
    /// The topic has fewer partitions.
    #[error("topic {topic:?} has no partition {partition}")]
    UnknownPartition {
        /// The topic's name, or its id where the name is not known.
        topic: String,
        /// The partition asked for.
        partition: i32,
    },
    /// No broker of this number.
    #[error("the cluster has no node {node}; it has {known}")]
    UnknownNode {
        /// The number.
        node: NodeId,
        /// Those that there are, in text.
        known: String,
    },
    /// The replicas of a partition are being moved.
    #[error("partition {partition} is being moved: wait until that is done, or cancel it")]
    MoveUnderWay {
        /// Topic and partition.
        partition: String,
    },
    /// The replicas of a partition are not being moved.
    #[error("partition {partition} is not being moved")]
    NoMove {
        /// Topic and partition.
        partition: String,
    },
    /// A broker that the others cannot do without.
    #[error("node {node} cannot be removed: {why}")]
    CannotRemove {
        /// Which.
        node: NodeId,
        /// Why not, and what to do.
        why: String,
    },
    /// Nothing of the partition need be given up.
    #[error("a majority of the replicas of {partition} is intact, nothing need be given up: {why}")]
    MajorityIntact {
        /// Topic and partition.
        partition: String,
        /// How it is, and what to do.
        why: String,
    },
    /// Nobody knows yet how a replica stands.
    #[error("node {node} has not said yet how its replica of {partition} stands: try again")]
    Unheard {
        /// Topic and partition.
        partition: String,
        /// The broker.
        node: NodeId,
    },
    /// The name is taken.
    #[error("a topic named {name:?} exists")]
    TopicExists {
        /// The name.
        name: String,
    },
    /// A number of partitions that cannot be.
    #[error("{asked} partitions: {why}")]
    InvalidPartitions {
        /// The number asked for.
        asked: i64,
        /// Which rule it breaks.
        why: String,
    },
    /// A number of replicas that cannot be.
    #[error("{asked} replicas: {why}")]
    InvalidReplicas {
        /// The number asked for.
        asked: i32,
        /// Which rule it breaks, and the nearest number that would do.
        why: String,
    },
    /// No such configuration key.
    #[error("no topic configuration is named {key:?}{hint}")]
    UnknownConfig {
        /// The key.
        key: String,
        /// `; did you mean …?`, or empty.
        hint: String,
    },
    /// The value does not fit the key.
    #[error("{key}={value}: {why}")]
    InvalidConfigValue {
        /// The key.
        key: String,
        /// The value as sent.
        value: String,
        /// Which values do.
        why: String,
    },
    /// A key or value of Kafka's whose effect is not built yet.
    #[error("{key}={value} is known to Kafka and not supported yet: {why}")]
    UnsupportedConfig {
        /// The key.
        key: String,
        /// The value as sent.
        value: String,
        /// What there is instead.
        why: String,
    },
    /// The broker's own topics are not for clients.
    #[error("{name} belongs to the broker: it is not written, read or changed by clients")]
    InternalTopic {
        /// The topic.
        name: String,
    },
    /// The batch is above `max.message.bytes`.
    #[error("a batch of {size} bytes is above max.message.bytes={limit} of topic {topic}")]
    MessageTooLarge {
        /// The topic.
        topic: String,
        /// The batch's size in bytes.
        size: u64,
        /// The topic's limit.
        limit: u64,
    },
    /// The batch does not pass its checks.
    #[error("batch refused: {0}")]
    Batch(#[from] caudal_proto::batch::Error),
    /// A timestamp too far ahead.
    #[error("timestamp {timestamp_ms} is more than one hour ahead of the broker's clock, {now_ms}")]
    InvalidTimestamp {
        /// The batch's largest timestamp.
        timestamp_ms: i64,
        /// The broker's time.
        now_ms: i64,
    },
    /// Control and transactional batches.
    #[error("transactions are not supported yet: control and transactional batches are refused")]
    TransactionsUnsupported,
    /// The sequence is not 0 and nothing is known of the producer.
    #[error(
        "producer {producer_id} is not known here (it expires 24 h after its last write): begin again with a new producer id"
    )]
    ProducerUnknown {
        /// The producer.
        producer_id: i64,
    },
    /// A newer epoch wrote here.
    #[error(
        "producer {producer_id} has epoch {current_epoch} by now, {epoch} was sent: another instance took over"
    )]
    ProducerFenced {
        /// The producer.
        producer_id: i64,
        /// The epoch sent.
        epoch: i16,
        /// The newest epoch seen.
        current_epoch: i16,
    },
    /// A gap, or a step back, in the sequence.
    #[error("producer {producer_id} sent sequence {sequence} where {expected} comes next")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The sequence sent.
        sequence: i32,
        /// The sequence that would be taken.
        expected: i32,
    },
    /// Written before, longer ago than is remembered.
    #[error(
        "producer {producer_id} sent sequence {sequence} again: it is in the log, at an offset no longer remembered"
    )]
    DuplicateSequence {
        /// The producer.
        producer_id: i64,
        /// The sequence sent.
        sequence: i32,
    },
    /// Another broker leads.
    #[error("this broker does not lead the partition; the leader is {}", leader.map_or("not known".to_owned(), |n| format!("node {n}")))]
    NotLeader {
        /// The leader, where known.
        leader: Option<NodeId>,
        /// HOST:PORT of the leader's gRPC listener, where known.
        address: Option<String>,
        /// The leader's epoch.
        epoch: i32,
    },
    /// The leader has not committed in its term yet.
    #[error("the partition's leader is not ready yet: try again")]
    LeaderNotReady,
    /// The client's epoch is old.
    #[error("leader epoch {sent} is older than the partition's {current}: refresh the metadata")]
    FencedLeaderEpoch {
        /// The client's.
        sent: i32,
        /// The partition's.
        current: i32,
    },
    /// The client's epoch is newer than this broker's.
    #[error("leader epoch {sent} is not known here yet, {current} is: try again")]
    UnknownLeaderEpoch {
        /// The client's.
        sent: i32,
        /// The partition's.
        current: i32,
    },
    /// The outcome cannot be known.
    #[error("leadership ended before the outcome was known: the batch is written or it is not")]
    UnknownOutcome,
    /// Outside what the log holds.
    #[error("offset {offset} is outside {log_start}..={high_watermark}")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// The first offset there is.
        log_start: Offset,
        /// The first offset that readers may not see yet.
        high_watermark: Offset,
    },
    /// Stored bytes do not validate.
    #[error(
        "offsets {first}..={last} are damaged on this broker's disk; what lies before and behind can be read"
    )]
    DataDamaged {
        /// The first damaged offset.
        first: Offset,
        /// The last one.
        last: Offset,
    },
    /// No room.
    #[error("no room on the disk for {bytes} bytes: free some space or shorten retention; reads go on")]
    DiskFull {
        /// What was needed.
        bytes: u64,
    },
    /// A topic exists and there is no room for its logs.
    #[error(
        "topic {topic:?} exists, and there is no room on the disk for the logs of {partitions} of its partitions: free some space, then they are made"
    )]
    NoRoomForLogs {
        /// The topic.
        topic: String,
        /// How many of its partitions have no log.
        partitions: u64,
        /// What their logs need at first.
        bytes: u64,
    },
    /// A budget is used up.
    #[error("{limit} is used up: try again")]
    Throttled {
        /// The budget's name.
        limit: &'static str,
    },
    /// Closed after a fault.
    #[error("the partition is closed on this broker: {why}")]
    PartitionClosed {
        /// What happened to it.
        why: String,
    },
    /// The broker stops.
    #[error("the broker is shutting down")]
    ShuttingDown,
    /// Not done in the time that was asked for.
    #[error("not done in time; it may still be carried out")]
    TimedOut,
    /// A bug in the broker.
    #[error("the broker failed at this: {why}; its log says more")]
    Internal {
        /// What failed.
        why: String,
    },
}
