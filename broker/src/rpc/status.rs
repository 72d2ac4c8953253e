//! What a refusal becomes on the wire: reason, gRPC code, metadata, and whether to send again. Once, for all calls.
//!
//! `docs/ERRORS.md` says the same to people.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use caudal_proto::batch;
use caudal_proto::v1::{PartitionError, Reason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::refusal::Refusal;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "caudal";

/// What a client should wait before it sends the same again, where it may.
const RETRY_AFTER_MS: u32 = 100;

/// What a client should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Advice {
    /// Change the request.
    Wrong,
    /// Send the same again, a little later.
    Again,
    /// Ask for the leader first.
    Elsewhere,
    /// Somebody must look at the broker.
    Operator,
}

/// The reason, the gRPC code and the advice of a refusal.
fn classify(refusal: &Refusal) -> (Reason, Code, Advice) {
    use Advice::{Again, Elsewhere, Operator, Wrong};
    match refusal {
        Refusal::InvalidArgument { .. } => (Reason::InvalidArgument, Code::InvalidArgument, Wrong),
        Refusal::InvalidTopicName { .. } => (Reason::InvalidTopicName, Code::InvalidArgument, Wrong),
        Refusal::UnknownTopic { .. } => (Reason::UnknownTopic, Code::NotFound, Wrong),
        Refusal::UnknownTopicId { .. } => (Reason::UnknownTopicId, Code::NotFound, Wrong),
        Refusal::UnknownPartition { .. } => (Reason::UnknownPartition, Code::NotFound, Wrong),
        Refusal::UnknownNode { .. } => (Reason::UnknownNode, Code::NotFound, Wrong),
        Refusal::MoveUnderWay { .. } => (Reason::MoveUnderWay, Code::FailedPrecondition, Wrong),
        Refusal::NoMove { .. } => (Reason::NoMove, Code::FailedPrecondition, Wrong),
        Refusal::MajorityIntact { .. } => (Reason::MajorityIntact, Code::FailedPrecondition, Wrong),
        Refusal::Unheard { .. } => (Reason::LeaderNotReady, Code::Unavailable, Again),
        Refusal::CannotRemove { .. } => (Reason::CannotRemoveNode, Code::FailedPrecondition, Wrong),
        Refusal::TopicExists { .. } => (Reason::TopicExists, Code::AlreadyExists, Wrong),
        Refusal::InvalidPartitions { .. } => (Reason::InvalidPartitions, Code::InvalidArgument, Wrong),
        Refusal::InvalidReplicas { .. } => (Reason::InvalidReplicas, Code::InvalidArgument, Wrong),
        Refusal::UnknownConfig { .. } => (Reason::UnknownConfig, Code::InvalidArgument, Wrong),
        Refusal::InvalidConfigValue { .. } => (Reason::InvalidConfigValue, Code::InvalidArgument, Wrong),
        Refusal::UnsupportedConfig { .. } => (Reason::UnsupportedConfig, Code::InvalidArgument, Wrong),
        Refusal::InternalTopic { .. } => (Reason::InternalTopic, Code::PermissionDenied, Wrong),
        Refusal::MessageTooLarge { .. } => (Reason::MessageTooLarge, Code::InvalidArgument, Wrong),
        Refusal::Batch(error) => (of_batch(error), Code::InvalidArgument, Wrong),
        Refusal::InvalidTimestamp { .. } => (Reason::InvalidTimestamp, Code::InvalidArgument, Wrong),
        Refusal::TransactionsUnsupported => (Reason::TransactionsUnsupported, Code::Unimplemented, Wrong),
        Refusal::ProducerUnknown { .. } => (Reason::ProducerUnknown, Code::FailedPrecondition, Wrong),
        Refusal::ProducerFenced { .. } => (Reason::ProducerFenced, Code::FailedPrecondition, Wrong),
        Refusal::OutOfOrderSequence { .. } => (Reason::OutOfOrderSequence, Code::FailedPrecondition, Wrong),
        Refusal::DuplicateSequence { .. } => (Reason::DuplicateSequence, Code::AlreadyExists, Wrong),
        Refusal::NotLeader { .. } => (Reason::NotLeader, Code::FailedPrecondition, Elsewhere),
        Refusal::LeaderNotReady => (Reason::LeaderNotReady, Code::Unavailable, Again),
        Refusal::FencedLeaderEpoch { .. } => (Reason::FencedLeaderEpoch, Code::FailedPrecondition, Elsewhere),
        Refusal::UnknownLeaderEpoch { .. } => (Reason::UnknownLeaderEpoch, Code::Unavailable, Again),
        Refusal::UnknownOutcome => (Reason::UnknownOutcome, Code::Unavailable, Again),
        Refusal::OffsetOutOfRange { .. } => (Reason::OffsetOutOfRange, Code::OutOfRange, Wrong),
        Refusal::DataDamaged { .. } => (Reason::DataDamaged, Code::DataLoss, Operator),
        Refusal::DiskFull { .. } | Refusal::NoRoomForLogs { .. } => {
            (Reason::DiskFull, Code::ResourceExhausted, Again)
        }
        Refusal::Throttled { .. } => (Reason::Throttled, Code::ResourceExhausted, Again),
        Refusal::PartitionClosed { .. } => (Reason::PartitionClosed, Code::Unavailable, Operator),
        Refusal::ShuttingDown => (Reason::ShuttingDown, Code::Unavailable, Again),
        Refusal::TimedOut => (Reason::TimedOut, Code::DeadlineExceeded, Again),
        Refusal::Internal { .. } => (Reason::Internal, Code::Internal, Operator),
    }
}

/// The reason of a refusal.
pub fn reason(refusal: &Refusal) -> Reason {
    classify(refusal).0
}

fn of_batch(error: &batch::Error) -> Reason {
    match error {
        batch::Error::Magic { .. } => Reason::UnsupportedBatchFormat,
        batch::Error::UnknownCodec { .. } | batch::Error::CodecNotBuilt { .. } => Reason::UnsupportedCodec,
        batch::Error::Count { .. } => Reason::InvalidRecordCount,
        batch::Error::Timestamps { .. } => Reason::InvalidTimestamp,
        batch::Error::InflatesTooLarge { .. } => Reason::BatchInflatesTooLarge,
        batch::Error::TooLarge { .. } => Reason::MessageTooLarge,
        batch::Error::TooShort { .. }
        | batch::Error::Length { .. }
        | batch::Error::Checksum { .. }
        | batch::Error::Attributes { .. }
        | batch::Error::Producer { .. }
        | batch::Error::Record { .. }
        | batch::Error::Inflate { .. }
        | batch::Error::Deflate { .. } => Reason::CorruptBatch,
    }
}

/// The values behind a refusal's message, by the names that `docs/ERRORS.md` lists.
fn metadata(refusal: &Refusal) -> BTreeMap<&'static str, String> {
    match refusal {
        Refusal::InvalidArgument { field, .. } => values([("field", field)]),
        Refusal::InvalidTopicName { name, .. }
        | Refusal::UnknownTopic { name }
        | Refusal::TopicExists { name }
        | Refusal::InternalTopic { name } => values([("name", name)]),
        Refusal::UnknownTopicId { id } => values([("id", id)]),
        Refusal::UnknownPartition { topic, partition } => {
            values([("topic", topic as &dyn ToString), ("partition", partition)])
        }
        Refusal::UnknownNode { node, .. } | Refusal::CannotRemove { node, .. } => values([("node", node)]),
        Refusal::MoveUnderWay { partition }
        | Refusal::NoMove { partition }
        | Refusal::MajorityIntact { partition, .. } => values([("partition", partition)]),
        Refusal::InvalidPartitions { asked, .. } => values([("partitions", asked)]),
        Refusal::InvalidReplicas { asked, .. } => values([("replicas", asked)]),
        Refusal::UnknownConfig { key, .. } => values([("key", key)]),
        Refusal::InvalidConfigValue { key, value, .. } | Refusal::UnsupportedConfig { key, value, .. } => {
            values([("key", key), ("value", value)])
        }
        Refusal::MessageTooLarge { topic, size, limit } => {
            values([("topic", topic as &dyn ToString), ("size", size), ("limit", limit)])
        }
        Refusal::Batch(batch::Error::InflatesTooLarge { max }) => values([("limit", max)]),
        Refusal::InvalidTimestamp { timestamp_ms, now_ms } => {
            values([("timestamp_ms", timestamp_ms), ("now_ms", now_ms)])
        }
        Refusal::ProducerUnknown { .. }
        | Refusal::ProducerFenced { .. }
        | Refusal::OutOfOrderSequence { .. }
        | Refusal::DuplicateSequence { .. } => of_producer(refusal),
        Refusal::NotLeader { .. } => of_leader(refusal),
        Refusal::FencedLeaderEpoch { sent, current } | Refusal::UnknownLeaderEpoch { sent, current } => {
            values([("sent", sent), ("current", current)])
        }
        Refusal::OffsetOutOfRange { offset, log_start, high_watermark } => {
            values([("offset", offset), ("log_start", log_start), ("high_watermark", high_watermark)])
        }
        Refusal::DataDamaged { first, last } => values([("first_offset", first), ("last_offset", last)]),
        Refusal::DiskFull { bytes } | Refusal::NoRoomForLogs { bytes, .. } => values([("bytes", bytes)]),
        Refusal::Throttled { limit } => values([("limit", limit)]),
        Refusal::PartitionClosed { why } => values([("why", why)]),
        Refusal::Batch(_)
        | Refusal::TransactionsUnsupported
        | Refusal::LeaderNotReady
        | Refusal::Unheard { .. }
        | Refusal::UnknownOutcome
        | Refusal::ShuttingDown
        | Refusal::TimedOut
        | Refusal::Internal { .. } => BTreeMap::new(),
    }
}

fn of_producer(refusal: &Refusal) -> BTreeMap<&'static str, String> {
    match refusal {
        Refusal::ProducerUnknown { producer_id } => values([("producer_id", producer_id)]),
        Refusal::ProducerFenced { producer_id, epoch, current_epoch } => values([
            ("producer_id", producer_id as &dyn ToString),
            ("epoch", epoch),
            ("current_epoch", current_epoch),
        ]),
        Refusal::OutOfOrderSequence { producer_id, sequence, expected } => values([
            ("producer_id", producer_id as &dyn ToString),
            ("sequence", sequence),
            ("expected", expected),
        ]),
        Refusal::DuplicateSequence { producer_id, sequence } => {
            values([("producer_id", producer_id as &dyn ToString), ("sequence", sequence)])
        }
        _ => BTreeMap::new(),
    }
}

fn of_leader(refusal: &Refusal) -> BTreeMap<&'static str, String> {
    let Refusal::NotLeader { leader, address, epoch } = refusal else { return BTreeMap::new() };
    let mut known = values([("leader_epoch", epoch)]);
    known.extend(leader.map(|node| ("leader_node", node.to_string())));
    known.extend(address.clone().map(|address| ("leader_address", address)));
    known
}

fn values<const N: usize>(pairs: [(&'static str, &dyn ToString); N]) -> BTreeMap<&'static str, String> {
    pairs.into_iter().map(|(key, value)| (key, value.to_string())).collect()
}

/// The refusal of one partition or topic beside others that are served.
pub fn partition_error(refusal: &Refusal) -> PartitionError {
    let (reason, _, advice) = classify(refusal);
    PartitionError {
        reason: reason.into(),
        message: refusal.to_string(),
        metadata: metadata(refusal).into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        retriable: matches!(advice, Advice::Again | Advice::Elsewhere),
        retry_after_ms: if advice == Advice::Again { RETRY_AFTER_MS } else { 0 },
    }
}

/// The refusal of a whole call by another broker, as that of one partition.
pub fn error_of(status: &Status) -> PartitionError {
    let info = status.get_details_error_info();
    let retry = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    let reason = info.as_ref().and_then(|info| Reason::from_str_name(&info.reason));
    PartitionError {
        reason: reason.unwrap_or(Reason::Internal).into(),
        message: status.message().to_owned(),
        metadata: info.map(|info| info.metadata.into_iter().collect()).unwrap_or_default(),
        retriable: retry.is_some(),
        retry_after_ms: retry.map_or(0, |delay| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)),
    }
}

/// The refusal of a whole call.
pub fn status(refusal: &Refusal) -> Status {
    let (reason, code, advice) = classify(refusal);
    let values: HashMap<String, String> =
        metadata(refusal).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut details = ErrorDetails::with_error_info(reason.as_str_name(), DOMAIN, values);
    if advice == Advice::Again {
        details.set_retry_info(Some(Duration::from_millis(u64::from(RETRY_AFTER_MS))));
    }
    Status::with_error_details(code, refusal.to_string(), details)
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
