//! Topics: creation and its idempotent form, configuration, trim, deletion, metadata, offsets.

use caudal_proto::batch::Codec;
use caudal_proto::v1::{self, Reason};

use crate::broker::{Broker, batch, named, values};

#[tokio::test]
async fn creation_is_refused_twice_and_idempotent_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    let first = clients.create("t", 2, &[]).await;
    assert_eq!(clients.create("t", 2, &[]).await.error.unwrap().reason(), Reason::TopicExists);
    let topic = v1::NewTopic { name: "t".to_owned(), partitions: Some(2), ..Default::default() };
    let request = v1::CreateTopicsRequest { topics: vec![topic], if_not_exists: true, validate_only: false };
    let again = clients.topics.create_topics(request).await.unwrap().into_inner().results.remove(0);
    assert_eq!((again.existed, again.error, again.topic_id), (true, None, first.topic_id));
}

#[tokio::test]
async fn validation_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    let topic = v1::NewTopic { name: "t".to_owned(), ..Default::default() };
    let request = v1::CreateTopicsRequest { topics: vec![topic], validate_only: true, if_not_exists: false };
    let results = clients.topics.create_topics(request).await.unwrap().into_inner().results;
    assert_eq!(results[0].error, None);
    let topics =
        clients.topics.list_topics(v1::ListTopicsRequest::default()).await.unwrap().into_inner().topics;
    assert_eq!(topics, []);
}

#[tokio::test]
async fn a_smaller_message_limit_acts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let large = batch(&[&[7; 2000]], Codec::None);
    clients.produce("t", large.clone()).await.unwrap();
    let alteration = v1::TopicAlteration {
        name: "t".to_owned(),
        set: [("max.message.bytes".to_owned(), "1000".to_owned())].into(),
        unset: Vec::new(),
    };
    let request = v1::AlterTopicsRequest { topics: vec![alteration], validate_only: false };
    let altered = clients.topics.alter_topics(request).await.unwrap().into_inner().results.remove(0);
    assert_eq!(altered.error, None);
    assert_eq!((altered.changes[0].before.as_str(), altered.changes[0].after.as_str()), ("1048588", "1000"));
    let refused = clients.produce("t", large.clone()).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::MessageTooLarge);
    assert_eq!(refused.metadata["size"], large.len().to_string());
    assert_eq!(refused.metadata["limit"], "1000");
}

#[tokio::test]
async fn records_before_a_trim_are_gone_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    clients.produce("t", batch(&[b"0", b"1", b"2"], Codec::None)).await.unwrap();
    let request = |validate_only| v1::TrimTopicRequest {
        name: "t".to_owned(),
        before: Some(v1::trim_topic_request::Before::BeforeOffset(2)),
        validate_only,
        ..Default::default()
    };
    for (validate_only, start) in [(true, 0), (false, 2)] {
        let trimmed =
            clients.topics.trim_topic(request(validate_only)).await.unwrap().into_inner().results.remove(0);
        assert_eq!((trimmed.log_start_before, trimmed.log_start_after, trimmed.error), (0, 2, None));
        assert_eq!(clients.fetch("t", 2, v1::FetchFormat::Batches).await.log_start, start);
    }
    let below = clients.fetch("t", 1, v1::FetchFormat::Records).await.error.unwrap();
    assert_eq!((below.reason(), below.metadata["log_start"].as_str()), (Reason::OffsetOutOfRange, "2"));
    assert_eq!(values(&clients.fetch("t", 2, v1::FetchFormat::Records).await), ["2"]);
}

#[tokio::test]
async fn a_topic_made_again_has_another_id_and_none_of_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    let old = clients.create("t", 1, &[]).await.topic_id;
    clients.produce("t", batch(&[b"old"], Codec::None)).await.unwrap();
    let request = v1::DeleteTopicsRequest { names: vec!["t".to_owned()], validate_only: false };
    let deleted = clients.topics.delete_topics(request).await.unwrap().into_inner().results.remove(0);
    assert_eq!((deleted.error, &deleted.topic_id), (None, &old));
    assert_eq!(
        clients.fetch("t", 0, v1::FetchFormat::Batches).await.error.unwrap().reason(),
        Reason::UnknownTopic
    );
    let new = clients.create("t", 1, &[]).await.topic_id;
    assert_ne!(old, new);
    assert_eq!(clients.fetch("t", 0, v1::FetchFormat::Batches).await.high_watermark, 0);
    let by_id = v1::TopicRef { topic: Some(v1::topic_ref::Topic::Id(old)) };
    let request = v1::GetMetadataRequest { topics: vec![by_id, named("t").unwrap()] };
    let metadata = clients.metadata.get_metadata(request).await.unwrap().into_inner();
    assert_eq!(metadata.topics[0].error.as_ref().unwrap().reason(), Reason::UnknownTopicId);
    assert_eq!(metadata.topics[1].topic_id, new);
    assert_eq!(metadata.topics[1].partitions[0].leader_node, Some(1));
    assert_eq!(metadata.brokers[0].address, running.ready.grpc);
}

#[tokio::test]
async fn more_partitions_can_be_written_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let request = v1::AddPartitionsRequest { name: "t".to_owned(), count: 4, validate_only: false };
    assert_eq!(clients.topics.add_partitions(request).await.unwrap().into_inner().partitions, 5);
    for partition in 0..5 {
        let item = v1::ProduceItem {
            topic: named("t"),
            partition: Some(partition),
            data: Some(v1::produce_item::Data::Batch(batch(&[b"x"], Codec::None))),
        };
        let request = v1::ProduceRequest { acks: 0, items: vec![item] };
        let result = clients.produce.produce(request).await.unwrap().into_inner().results.remove(0).result;
        assert!(matches!(result, Some(v1::produce_result::Result::Receipt(_))), "{partition}: {result:?}");
    }
}

#[tokio::test]
async fn offsets_are_found_by_anchor_and_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    for value in [b"0", b"1"] {
        clients.produce("t", batch(&[value], Codec::None)).await.unwrap();
    }
    use v1::list_offsets_item::At;
    let cases = [
        (At::Anchor(v1::OffsetAnchor::Start.into()), 0),
        (At::Anchor(v1::OffsetAnchor::End.into()), 2),
        (At::TimestampMs(0), 0),
        (At::TimestampMs(i64::MAX), -1),
    ];
    for (at, offset) in cases {
        let item = v1::ListOffsetsItem { topic: named("t"), partition: Some(0), at: Some(at) };
        let request = v1::ListOffsetsRequest { items: vec![item] };
        let result = clients.fetch.list_offsets(request).await.unwrap().into_inner().results.remove(0);
        assert_eq!((result.offset, result.error), (offset, None), "{at:?}");
    }
}
