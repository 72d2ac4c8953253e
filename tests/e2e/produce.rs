//! Produce: receipts that say what is known, the three kinds of acknowledgement, refusals beside results.

use caudal_proto::batch::Codec;
use caudal_proto::v1::{
    Acks, FetchFormat, OffsetAnchor, PlainRecords, ProduceItem, ProduceRequest, Reason, Record, RecordHeader,
    produce_item, produce_result,
};

use crate::api::{Stage, named};
use crate::batches::batch;

const TOPIC: &str = "orders";

#[tokio::test]
async fn a_receipt_says_where_it_is_and_who_has_it() {
    let stage = Stage::new().await;
    let id = stage.api.create(TOPIC, 2, &[]).await;
    let first = stage.api.send_values(TOPIC, 1, &["a", "b", "c"]).await;
    let second = stage.api.send_values(TOPIC, 1, &["d"]).await;
    assert_eq!((first.topic_id.to_vec(), first.partition), (id, 1));
    assert_eq!((first.base_offset, first.last_offset), (0, 2));
    assert_eq!((second.base_offset, second.last_offset), (3, 3));
    assert_eq!(first.voters.len(), 1);
    assert_eq!(first.synced, first.voters, "a broker alone is its own majority");
    assert!(first.written.is_empty(), "written is for the weaker modes");
    assert!(first.term > 0 && second.term == first.term);
    assert!(second.index > first.index);
    assert!(second.append_time_ms >= first.append_time_ms);
    assert!(!first.duplicate);
}

#[tokio::test]
async fn plain_records_come_back_as_they_were() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let header = |key: &str, value: Option<&'static [u8]>| RecordHeader {
        key: key.to_owned(),
        value: value.map(Into::into),
    };
    let sent = vec![
        Record {
            key: Some("k".into()),
            value: Some("v".into()),
            timestamp_ms: Some(1),
            ..Default::default()
        },
        Record { key: Some("".into()), value: None, timestamp_ms: Some(2), ..Default::default() },
        Record {
            key: None,
            value: Some("".into()),
            headers: vec![header("a", Some(b"1")), header("a", None), header("", Some(b""))],
            timestamp_ms: Some(3),
        },
    ];
    let data = produce_item::Data::Records(PlainRecords { records: sent.clone() });
    stage.api.send(TOPIC, 0, data).await.unwrap();
    let result = stage.api.fetch_now(TOPIC, 0, 0, FetchFormat::Records).await;
    let got: Vec<Record> = result.records.into_iter().filter_map(|r| r.record).collect();
    assert_eq!(got, sent);
}

#[tokio::test]
async fn one_item_refused_leaves_the_others() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let item = |topic: &str, partition: Option<i32>, data: Option<produce_item::Data>| ProduceItem {
        topic: Some(named(topic)),
        partition,
        data,
    };
    let good = || Some(produce_item::Data::Batch(batch(&[b"x"], Codec::None)));
    let items = vec![
        item("nowhere", Some(0), good()),
        item(TOPIC, Some(0), good()),
        item(TOPIC, Some(7), good()),
        item(TOPIC, Some(-1), good()),
        item(TOPIC, None, good()),
        item(TOPIC, Some(0), None),
        item(TOPIC, Some(0), Some(produce_item::Data::Records(PlainRecords::default()))),
        item("__control", Some(0), good()),
        item(TOPIC, Some(0), good()),
    ];
    let request = ProduceRequest { acks: Acks::Unspecified as i32, items };
    let results = stage.api.produce.clone().produce(request).await.unwrap().into_inner().results;
    let reasons: Vec<Reason> = results
        .iter()
        .map(|r| match r.result.as_ref().expect("a result") {
            produce_result::Result::Receipt(_) => Reason::Unspecified,
            produce_result::Result::Error(error) => error.reason(),
        })
        .collect();
    let wanted = [
        Reason::UnknownTopic,
        Reason::Unspecified,
        Reason::UnknownPartition,
        Reason::UnknownPartition,
        Reason::InvalidArgument,
        Reason::InvalidArgument,
        Reason::InvalidRecordCount,
        Reason::InternalTopic,
        Reason::Unspecified,
    ];
    assert_eq!(reasons, wanted);
    assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::End).await, 2);
}

#[tokio::test]
async fn weaker_acknowledgements_say_less() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let ask = |acks: Acks| {
        let data = Some(produce_item::Data::Batch(batch(&[b"x"], Codec::None)));
        let items = vec![ProduceItem { topic: Some(named(TOPIC)), partition: Some(0), data }];
        let mut produce = stage.api.produce.clone();
        async move {
            produce.produce(ProduceRequest { acks: acks as i32, items }).await.unwrap().into_inner().results
        }
    };
    let leader = ask(Acks::Leader).await;
    let Some(produce_result::Result::Receipt(receipt)) = &leader[0].result else { panic!("{leader:?}") };
    assert_eq!((receipt.base_offset, receipt.written.len()), (0, 1), "written by the leader");
    assert_eq!(ask(Acks::None).await, [], "acks=none is not answered");
    let all = ask(Acks::All).await;
    let Some(produce_result::Result::Receipt(receipt)) = &all[0].result else { panic!("{all:?}") };
    assert_eq!((receipt.base_offset, receipt.synced.len()), (2, 1), "behind the one that was not answered");
}

#[tokio::test]
async fn a_timestamp_more_than_an_hour_ahead_is_refused_and_the_past_is_not() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let at = |timestamp_ms: i64| {
        let record =
            Record { value: Some("x".into()), timestamp_ms: Some(timestamp_ms), ..Default::default() };
        produce_item::Data::Records(PlainRecords { records: vec![record] })
    };
    let now = stage.api.send_values(TOPIC, 0, &["now"]).await.append_time_ms;
    let refused = stage.api.send(TOPIC, 0, at(now + 2 * 60 * 60 * 1000)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::InvalidTimestamp, "{}", refused.message);
    stage.api.send(TOPIC, 0, at(now + 30 * 60 * 1000)).await.unwrap();
    stage.api.send(TOPIC, 0, at(0)).await.unwrap();
}

#[tokio::test]
async fn a_recreated_topic_is_another_topic() {
    let stage = Stage::new().await;
    let first = stage.api.create(TOPIC, 1, &[]).await;
    stage.api.send_values(TOPIC, 0, &["old"]).await;
    let request =
        caudal_proto::v1::DeleteTopicsRequest { names: vec![TOPIC.to_owned()], validate_only: false };
    let deleted = stage.api.topics.clone().delete_topics(request).await.unwrap().into_inner().results;
    assert_eq!(deleted[0].error, None);
    let second = stage.api.create(TOPIC, 1, &[]).await;
    assert_ne!(first, second);
    assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::End).await, 0);
    assert_eq!(stage.api.send_values(TOPIC, 0, &["new"]).await.base_offset, 0);
    assert_eq!(stage.api.read_all(TOPIC, 0).await, [(0, "new".to_owned())]);
}
