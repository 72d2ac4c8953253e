//! Tests of `convert.rs`.

use std::sync::Arc;

use super::*;
use crate::ids::ShardId;
use crate::state::TopicConfig;

const NOW: Now = Now { wall_ms: 1_000_000, mono_ms: 0 };

fn view(max_message_bytes: usize) -> PartitionView {
    let id = PartitionId { topic: TopicId(uuid::Uuid::from_u128(7)), partition: 0 };
    let config = TopicConfig { max_message_bytes, ..TopicConfig::default() };
    PartitionView::new(id, "t".into(), Arc::new(config), Arc::default(), (ShardId(0), 1))
}

fn record(timestamp_ms: Option<i64>) -> v1::Record {
    let header = v1::RecordHeader { key: "h".to_owned(), value: None };
    v1::Record { key: None, value: Some(Bytes::new()), headers: vec![header], timestamp_ms }
}

#[test]
fn plain_records_keep_null_and_empty_apart_and_get_a_time() {
    let bytes = plain_records(&[record(None), record(Some(5))], NOW).unwrap();
    let records: Vec<_> = batch::records(&bytes, 0)
        .unwrap()
        .map(|record| fetched_record(record.unwrap()).record.unwrap())
        .collect();
    assert_eq!(records, [record(Some(NOW.wall_ms)), record(Some(5))]);
    assert!(matches!(plain_records(&[], NOW), Err(Refusal::Batch(batch::Error::Count { count: 0, .. }))));
    let many = vec![record(None); limits::PLAIN_RECORDS_MAX + 1];
    assert!(matches!(plain_records(&many, NOW), Err(Refusal::InvalidArgument { .. })));
}

#[test]
fn a_batch_is_checked_in_order() {
    let bytes = plain_records(&[record(None)], NOW).unwrap();
    let size = bytes.len();
    assert_eq!(batch(&view(size), bytes.clone(), NOW).unwrap().bytes, bytes);
    let too_large =
        Refusal::MessageTooLarge { topic: "t".to_owned(), size: size as u64, limit: size as u64 - 1 };
    assert_eq!(batch(&view(size - 1), bytes.clone(), NOW).unwrap_err(), too_large);
    assert!(matches!(batch(&view(size), bytes.slice(1..), NOW), Err(Refusal::Batch(_))));
    assert!(matches!(batch(&view(size), Bytes::new(), NOW), Err(Refusal::Batch(_))));
}

#[test]
fn a_batch_may_lie_one_hour_ahead_and_not_more() {
    let at = |timestamp| plain_records(&[record(Some(timestamp))], NOW).unwrap();
    let latest = NOW.wall_ms + limits::TIMESTAMP_AHEAD_MS_MAX;
    assert!(batch(&view(1000), at(latest), NOW).is_ok());
    assert_eq!(
        batch(&view(1000), at(latest + 1), NOW).unwrap_err(),
        Refusal::InvalidTimestamp { timestamp_ms: latest + 1, now_ms: NOW.wall_ms }
    );
    assert!(batch(&view(1000), at(0), NOW).is_ok());
}

#[test]
fn names_that_belong_to_the_broker_are_told_from_names_that_cannot_be() {
    assert!(topic_name("a.b_c-9").is_ok());
    assert!(matches!(topic_name("__control"), Err(Refusal::InternalTopic { .. })));
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a/b", "a\0b", "ä", &long] {
        assert!(matches!(topic_name(name), Err(Refusal::InvalidTopicName { .. })), "{name:?}");
    }
}

#[test]
fn an_old_epoch_is_fenced_and_a_new_one_unknown() {
    let current = Term(5);
    assert_eq!(check_epoch(None, current), Ok(()));
    assert_eq!(check_epoch(Some(5), current), Ok(()));
    assert_eq!(check_epoch(Some(4), current), Err(Refusal::FencedLeaderEpoch { sent: 4, current: 5 }));
    assert_eq!(check_epoch(Some(6), current), Err(Refusal::UnknownLeaderEpoch { sent: 6, current: 5 }));
}

#[test]
fn unknown_acks_are_refused() {
    assert_eq!(acks(0), Ok(Acks::All));
    assert_eq!(acks(v1::Acks::None.into()), Ok(Acks::None));
    assert!(acks(99).is_err());
}
