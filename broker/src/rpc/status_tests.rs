//! Tests of `status.rs`.

use std::collections::BTreeSet;

use caudal_proto::batch::Error;

use super::*;
use crate::ids::{NodeId, Offset};

const DOCUMENT: &str = include_str!("../../../docs/ERRORS.md");

fn text() -> String {
    "x".to_owned()
}

/// One of each kind of refusal.
fn samples() -> Vec<Refusal> {
    let (name, key, value, why, topic) = (text, text, text, text, text);
    let producer_id = 1;
    let mut samples = vec![
        Refusal::InvalidArgument { field: text(), why: why() },
        Refusal::InvalidTopicName { name: name(), why: why() },
        Refusal::UnknownTopic { name: name() },
        Refusal::UnknownTopicId { id: text() },
        Refusal::UnknownPartition { topic: topic(), partition: 1 },
        Refusal::UnknownNode { node: NodeId(9), known: "1, 2, 3".into() },
        Refusal::MoveUnderWay { partition: "t:1".into() },
        Refusal::NoMove { partition: "t:1".into() },
        Refusal::CannotRemove { node: NodeId(2), why: "no other broker takes its replicas".into() },
        Refusal::MajorityIntact { partition: "t:1".into(), why: why() },
        Refusal::Unheard { partition: "t:1".into(), node: NodeId(2) },
        Refusal::TopicExists { name: name() },
        Refusal::InvalidPartitions { asked: 0, why: why() },
        Refusal::InvalidReplicas { asked: 2, why: why() },
        Refusal::UnknownConfig { key: key(), hint: String::new() },
        Refusal::InvalidConfigValue { key: key(), value: value(), why: why() },
        Refusal::UnsupportedConfig { key: key(), value: value(), why: why() },
        Refusal::InternalTopic { name: name() },
        Refusal::MessageTooLarge { topic: topic(), size: 2, limit: 1 },
        Refusal::InvalidTimestamp { timestamp_ms: 2, now_ms: 1 },
        Refusal::TransactionsUnsupported,
        Refusal::ProducerUnknown { producer_id },
        Refusal::ProducerFenced { producer_id, epoch: 0, current_epoch: 1 },
        Refusal::OutOfOrderSequence { producer_id, sequence: 2, expected: 1 },
        Refusal::DuplicateSequence { producer_id, sequence: 0 },
        Refusal::NotLeader { leader: Some(NodeId(1)), address: Some(text()), epoch: 1 },
        Refusal::LeaderNotReady,
        Refusal::FencedLeaderEpoch { sent: 1, current: 2 },
        Refusal::UnknownLeaderEpoch { sent: 2, current: 1 },
        Refusal::UnknownOutcome,
        Refusal::OffsetOutOfRange { offset: Offset(9), log_start: Offset(0), high_watermark: Offset(1) },
        Refusal::DataDamaged { first: Offset(0), last: Offset(1) },
        Refusal::DiskFull { bytes: 1 },
        Refusal::NoRoomForLogs { topic: topic(), partitions: 1, bytes: 1 },
        Refusal::Throttled { limit: "x" },
        Refusal::PartitionClosed { why: why() },
        Refusal::ShuttingDown,
        Refusal::TimedOut,
        Refusal::Internal { why: why() },
    ];
    samples.extend(
        [
            Error::TooShort { bytes: 1 },
            Error::Magic { magic: 1 },
            Error::UnknownCodec { codec: 7 },
            Error::Count { count: 0, last_offset_delta: 0 },
            Error::Timestamps { max: 0, found: 1 },
            Error::InflatesTooLarge { max: 1 },
        ]
        .map(Refusal::Batch),
    );
    samples
}

/// The document's line on a reason: code, advice, metadata.
fn line(reason: Reason) -> &'static str {
    let heading = format!("### `{}`\n", reason.as_str_name());
    let section =
        DOCUMENT.split(&heading).nth(1).unwrap_or_else(|| panic!("{heading} is not in the document"));
    let section = section.split("\n###").next().unwrap();
    section.lines().rfind(|line| line.starts_with('*')).unwrap()
}

#[test]
fn every_refusal_is_what_the_document_says() {
    for refusal in samples() {
        let (reason, code, advice) = classify(&refusal);
        let line = line(reason);
        let code = format!("{code:?}").chars().fold(String::new(), |mut text, c| {
            if c.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(c.to_ascii_uppercase());
            text
        });
        assert!(line.starts_with(&format!("*{code}*")), "{refusal:?}: {code} against {line}");
        let word = format!("{advice:?}").to_lowercase();
        assert!(line.contains(&format!("· {word}")), "{refusal:?}: {word} against {line}");
        let said: BTreeSet<&str> = line
            .split("metadata:")
            .nth(1)
            .map_or_else(BTreeSet::new, |list| list.split('`').skip(1).step_by(2).collect());
        let given: BTreeSet<&str> = metadata(&refusal).into_keys().collect();
        if refusal == Refusal::Batch(Error::Timestamps { max: 0, found: 1 }) {
            continue; // the same reason for two refusals; this one has no clock to tell of
        }
        assert_eq!(given, said, "{refusal:?}");
    }
}

#[test]
fn every_reason_has_a_refusal() {
    let given: BTreeSet<i32> = samples().iter().map(|refusal| classify(refusal).0.into()).collect();
    for number in 1..100 {
        if let Ok(reason) = Reason::try_from(number) {
            assert!(given.contains(&number), "{reason:?}");
        }
    }
}

#[test]
fn the_two_forms_say_the_same() {
    for refusal in samples() {
        let (error, status) = (partition_error(&refusal), status(&refusal));
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.domain, DOMAIN);
        assert_eq!(info.reason, error.reason().as_str_name());
        assert_eq!((info.metadata, status.message()), (error.metadata, error.message.as_str()));
        assert_eq!(status.get_details_retry_info().is_some(), error.retry_after_ms > 0);
    }
}
