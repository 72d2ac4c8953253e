//! Requests that ask for what cannot be: a clear refusal each, and nothing changes.

use caudal_proto::v1::{self, Reason};

use crate::broker::{Broker, batch, named};
use caudal_proto::batch::Codec;

#[tokio::test]
async fn topics_that_cannot_be_are_refused_by_name_number_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a/b", "../x", "a\0b", "näme", &long] {
        assert_eq!(
            clients.create(name, 1, &[]).await.error.unwrap().reason(),
            Reason::InvalidTopicName,
            "{name:?}"
        );
    }
    for partitions in [0, -1, i32::MIN, 1_000_000] {
        let error = clients.create("t", partitions, &[]).await.error.unwrap();
        assert_eq!(error.reason(), Reason::InvalidPartitions, "{partitions}");
    }
    let configs = [
        ("retention.msx", "1", Reason::UnknownConfig),
        ("retention.ms", "soon", Reason::InvalidConfigValue),
        ("cleanup.policy", "compact", Reason::UnsupportedConfig),
    ];
    for (key, value, reason) in configs {
        let error = clients.create("t", 1, &[(key, value)]).await.error.unwrap();
        assert_eq!((error.reason(), error.metadata["key"].as_str()), (reason, key), "{}", error.message);
    }
    let topics =
        clients.topics.list_topics(v1::ListTopicsRequest::default()).await.unwrap().into_inner().topics;
    assert_eq!(topics, []);
}

#[tokio::test]
async fn a_partition_that_is_not_there_is_refused_and_the_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 2, &[]).await;
    let item = |topic, partition| v1::ProduceItem {
        topic,
        partition,
        data: Some(v1::produce_item::Data::Batch(batch(&[b"x"], Codec::None))),
    };
    let id =
        |bytes: &'static [u8]| Some(v1::TopicRef { topic: Some(v1::topic_ref::Topic::Id(bytes.into())) });
    let no_records = Some(v1::produce_item::Data::Records(v1::PlainRecords::default()));
    let cases = [
        (item(named("t"), Some(1)), None),
        (item(named("t"), None), Some(Reason::InvalidArgument)),
        (item(named("t"), Some(2)), Some(Reason::UnknownPartition)),
        (item(named("t"), Some(-1)), Some(Reason::UnknownPartition)),
        (item(named("nothing"), Some(0)), Some(Reason::UnknownTopic)),
        (item(named("a/b"), Some(0)), Some(Reason::InvalidTopicName)),
        (item(named("__control"), Some(0)), Some(Reason::InternalTopic)),
        (item(id(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), Some(0)), Some(Reason::InternalTopic)),
        (item(id(&[9; 16]), Some(0)), Some(Reason::UnknownTopicId)),
        (item(id(&[9; 3]), Some(0)), Some(Reason::InvalidArgument)),
        (item(None, Some(0)), Some(Reason::InvalidArgument)),
        (v1::ProduceItem { data: None, ..item(named("t"), Some(0)) }, Some(Reason::InvalidArgument)),
        (v1::ProduceItem { data: no_records, ..item(named("t"), Some(0)) }, Some(Reason::InvalidRecordCount)),
        (item(named("t"), Some(0)), None),
    ];
    let request = v1::ProduceRequest { acks: 0, items: cases.iter().map(|(item, _)| item.clone()).collect() };
    let results = clients.produce.produce(request).await.unwrap().into_inner().results;
    assert_eq!(results.len(), cases.len());
    for (result, (item, reason)) in results.into_iter().zip(cases) {
        let found = match result.result.unwrap() {
            v1::produce_result::Result::Receipt(_) => None,
            v1::produce_result::Result::Error(error) => Some(error.reason()),
        };
        assert_eq!(found, reason, "{item:?}");
    }
}

#[tokio::test]
async fn offsets_outside_the_log_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    clients.produce("t", batch(&[b"x"], Codec::None)).await.unwrap();
    for offset in [-1, 2, i64::MAX, i64::MIN] {
        let error = clients.fetch("t", offset, v1::FetchFormat::Batches).await.error.unwrap();
        assert_eq!(error.reason(), Reason::OffsetOutOfRange, "{offset}");
        assert_eq!(
            (error.metadata["log_start"].as_str(), error.metadata["high_watermark"].as_str()),
            ("0", "1")
        );
    }
    assert_eq!(clients.fetch("t", 1, v1::FetchFormat::Batches).await.error, None);
}

#[tokio::test]
async fn an_old_epoch_is_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let epoch = clients.fetch("t", 0, v1::FetchFormat::Batches).await.leader_epoch;
    let cases = [(0, None), (-1, Some(Reason::FencedLeaderEpoch)), (1, Some(Reason::UnknownLeaderEpoch))];
    for (off, reason) in cases {
        let leader_epoch = Some(epoch + off);
        let item =
            v1::FetchItem { topic: named("t"), partition: Some(0), leader_epoch, ..Default::default() };
        let request = v1::FetchRequest { items: vec![item], ..Default::default() };
        let result = clients.fetch.fetch(request).await.unwrap().into_inner().results.remove(0);
        assert_eq!(result.error.map(|error| error.reason()), reason, "{off}");
    }
}

#[tokio::test]
async fn a_call_that_is_refused_as_a_whole_says_why_in_its_details() {
    use tonic_types::StatusExt;
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    let request = v1::FetchRequest { max_wait_ms: 60_001, ..Default::default() };
    let status = clients.fetch.fetch(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("caudal", "INVALID_ARGUMENT"));
    assert_eq!(info.metadata["field"], "max_wait_ms");
    let request = v1::InitProducerRequest { producer_id: Some(3), producer_epoch: None };
    let status = clients.produce.init_producer(request).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().metadata["field"], "producer_epoch");
}
