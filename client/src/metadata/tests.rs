//! Who leads what: newer wins, hints help, lies are refused.

use caudal_proto::v1::{PartitionError, Reason};

use super::*;

fn response(id: u8, leaders: &[(Option<i32>, i32)]) -> wire::GetMetadataResponse {
    let brokers = (0..2).map(|node_id| wire::BrokerMetadata {
        node_id,
        address: format!("host{node_id}:7171"),
        ..Default::default()
    });
    let partitions = leaders.iter().enumerate().map(|(number, &(leader_node, leader_epoch))| {
        let partition = i32::try_from(number).unwrap();
        wire::PartitionMetadata { partition, leader_node, leader_epoch, shard: 1, replicas: Vec::new() }
    });
    wire::GetMetadataResponse {
        brokers: brokers.collect(),
        topics: vec![wire::TopicMetadata {
            name: "t".to_owned(),
            topic_id: vec![id; 16].into(),
            partitions: partitions.collect(),
            max_message_bytes: 1000,
            error: None,
        }],
        ..Default::default()
    }
}

fn leader(metadata: &Metadata, partition: i32) -> Option<(i32, i32)> {
    let topic = metadata.topic("t").unwrap();
    metadata.leader(topic, partition).map(|leader| (leader.node, leader.epoch))
}

fn not_leader(node: &str, epoch: &str, address: &str) -> Error {
    let pairs = [("leader_node", node), ("leader_epoch", epoch), ("leader_address", address)];
    let metadata =
        pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let reason = Reason::NotLeader as i32;
    Error::refused(PartitionError { reason, metadata: metadata.collect(), ..Default::default() })
}

#[test]
fn an_older_view_does_not_bring_an_old_leader_back() {
    let now = crate::clock::now();
    let mut metadata = Metadata::default();
    assert!(metadata.is_stale(now));
    metadata.update(now, response(1, &[(Some(0), 5), (Some(1), 5)]));
    metadata.update(now, response(1, &[(Some(1), 4), (Some(0), 6)]));
    assert_eq!((leader(&metadata, 0), leader(&metadata, 1)), (Some((0, 5)), Some((0, 6))));
    // A topic created again starts over.
    metadata.update(now, response(2, &[(Some(1), 1)]));
    assert_eq!((leader(&metadata, 0), leader(&metadata, 1)), (Some((1, 1)), None));
    assert!(!metadata.is_stale(now) && metadata.is_stale(now + METADATA_AGE_MAX));
}

#[test]
fn news_is_what_was_not_known() {
    let (mut metadata, now) = (Metadata::default(), crate::clock::now());
    metadata.update(now, response(1, &[(Some(0), 4)]));
    assert!(metadata.take_news() && !metadata.take_news());
    metadata.update(now, response(1, &[(Some(0), 4)]));
    metadata.update(now, response(1, &[(Some(1), 3)]));
    assert!(!metadata.take_news(), "the same, and less than is known");
    metadata.update(now, response(1, &[(Some(1), 5)]));
    assert!(metadata.take_news());
}

#[test]
fn hints_are_taken_when_they_are_newer_and_whole() {
    let mut metadata = Metadata::default();
    metadata.update(crate::clock::now(), response(1, &[(Some(0), 5)]));
    assert!(metadata.hint("t", 0, &not_leader("1", "6", "")));
    assert_eq!(leader(&metadata, 0), Some((1, 6)));
    assert!(metadata.hint("t", 0, &not_leader("0", "3", "")), "older: what is known is better");
    assert_eq!(leader(&metadata, 0), Some((1, 6)));
    assert!(!metadata.hint("t", 0, &not_leader("0", "6", "")), "two leaders of one epoch");
    assert!(!metadata.hint("t", 0, &not_leader("", "", "")));
    assert!(
        !metadata.hint("t", 9, &not_leader("1", "7", ""))
            && !metadata.hint("u", 0, &not_leader("1", "7", ""))
    );
    assert!(!metadata.hint("t", 0, &not_leader("9", "7", "")), "nobody knows where node 9 is");
    assert!(metadata.hint("t", 0, &not_leader("9", "8", "host9:1")));
    assert_eq!(leader(&metadata, 0), Some((9, 8)));
}

#[test]
fn answers_that_break_the_contract_are_refused() {
    let now = crate::clock::now();
    let broken: [fn(&mut wire::TopicMetadata); 3] = [
        |topic| topic.topic_id = vec![1, 2, 3].into(),
        |topic| topic.partitions.clear(),
        |topic| topic.partitions[0].partition = 7,
    ];
    for breaks in broken {
        let mut response = response(1, &[(Some(0), 1)]);
        breaks(&mut response.topics[0]);
        let mut metadata = Metadata::default();
        let answer = metadata.update(now, response).pop().unwrap().1;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Internal);
    }
}
