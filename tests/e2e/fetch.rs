//! Fetch: from any offset, by time, waiting, within limits; what lies outside is refused with the bounds.

use caudal_proto::batch::Codec;
use caudal_proto::v1::list_offsets_item::At;
use caudal_proto::v1::{
    FetchFormat, FetchItem, FetchRequest, OffsetAnchor, PlainRecords, Reason, Record, TrimTopicRequest,
    produce_item, trim_topic_request,
};

use crate::api::{Stage, named, reason};
use crate::batches::batch;

const TOPIC: &str = "river";

#[tokio::test]
async fn every_offset_can_be_read_and_outside_says_the_bounds() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    for n in 0..10 {
        stage.api.send_values(TOPIC, 0, &[&format!("{n}a"), &format!("{n}b"), &format!("{n}c")]).await;
    }
    for offset in 0..30 {
        let result = stage.api.fetch_now(TOPIC, 0, offset, FetchFormat::Records).await;
        assert_eq!(result.records[0].offset, offset, "plain records begin where they were asked for");
        assert_eq!((result.high_watermark, result.last_stable_offset, result.log_start), (30, 30, 0));
        let result = stage.api.fetch_now(TOPIC, 0, offset, FetchFormat::Batches).await;
        let first = caudal_proto::batch::Header::parse(&result.batches[0]).unwrap();
        assert_eq!(first.base_offset, offset / 3 * 3, "whole batches begin with the one that holds it");
    }
    let at_end = stage.api.fetch_now(TOPIC, 0, 30, FetchFormat::Records).await;
    assert_eq!((at_end.error, at_end.records.len()), (None, 0), "the end is no error");
    for offset in [31, i64::MAX, -1, i64::MIN] {
        let result = stage.api.fetch_now(TOPIC, 0, offset, FetchFormat::Records).await;
        let error = result.error.unwrap_or_else(|| panic!("{offset} is outside"));
        assert_eq!(error.reason(), Reason::OffsetOutOfRange, "{offset}: {}", error.message);
        assert_eq!(
            (error.metadata["log_start"].as_str(), error.metadata["high_watermark"].as_str()),
            ("0", "30")
        );
    }
}

#[tokio::test]
async fn a_fetch_waits_for_what_is_to_come() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let item = FetchItem { topic: Some(named(TOPIC)), partition: Some(0), ..Default::default() };
    let request = FetchRequest { items: vec![item], max_wait_ms: 60_000, min_bytes: 1, ..Default::default() };
    let mut fetch = stage.api.fetch.clone();
    let waiting = tokio::spawn(async move { fetch.fetch(request).await });
    stage.api.send_values(TOPIC, 0, &["at last"]).await;
    let results = waiting.await.unwrap().unwrap().into_inner().results;
    assert_eq!((results[0].batches.len(), results[0].high_watermark), (1, 1));
}

#[tokio::test]
async fn a_fetch_is_bounded_and_gives_one_batch_whole() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    for _ in 0..10 {
        stage.api.send_batch(TOPIC, 0, batch(&[&[b'x'; 10_000]], Codec::None)).await.unwrap();
    }
    let item =
        FetchItem { topic: Some(named(TOPIC)), partition: Some(0), max_bytes: 25_000, ..Default::default() };
    let ask = async |max_bytes: u32, item: FetchItem| {
        let request = FetchRequest { items: vec![item.clone(), item], max_bytes, ..Default::default() };
        let results = stage.api.fetch.clone().fetch(request).await.unwrap().into_inner().results;
        results.iter().map(|r| r.batches.len()).collect::<Vec<usize>>()
    };
    let bounded = ask(0, item.clone()).await;
    assert!(bounded.iter().all(|n| (1..=3).contains(n)), "{bounded:?}");
    assert_eq!(ask(1, item).await[0], 1, "one batch comes however small the limit");
}

#[tokio::test]
async fn offsets_by_time() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    for timestamps in [[1000, 1001], [2000, 2001], [1500, 3000]] {
        let record = |t: i64| Record { value: Some("x".into()), timestamp_ms: Some(t), ..Default::default() };
        let records = timestamps.into_iter().map(record).collect();
        stage.api.send(TOPIC, 0, produce_item::Data::Records(PlainRecords { records })).await.unwrap();
    }
    let at = async |t: i64| stage.api.list_offset(TOPIC, 0, At::TimestampMs(t)).await;
    assert_eq!(at(0).await, (0, 1000));
    assert_eq!(at(1001).await, (1, 1001));
    assert_eq!(at(1002).await, (2, 2000));
    assert_eq!(at(2001).await, (3, 2001));
    assert_eq!(at(2002).await, (5, 3000));
    assert_eq!(at(3001).await, (-1, -1));
}

#[tokio::test]
async fn a_trim_moves_the_start_exactly_and_for_good() {
    let mut stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    for n in 0..4 {
        stage.api.send_values(TOPIC, 0, &[&format!("{n}a"), &format!("{n}b"), &format!("{n}c")]).await;
    }
    let trim = async |stage: &Stage, before: i64, validate_only: bool| {
        let before = Some(trim_topic_request::Before::BeforeOffset(before));
        let request = TrimTopicRequest { name: TOPIC.to_owned(), partition: Some(0), before, validate_only };
        let result =
            stage.api.topics.clone().trim_topic(request).await.unwrap().into_inner().results.remove(0);
        (reason(&result.error), result.log_start_before, result.log_start_after)
    };
    assert_eq!(trim(&stage, 4, true).await, (Reason::Unspecified, 0, 4));
    assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::Start).await, 0, "checked, not done");
    assert_eq!(trim(&stage, 4, false).await, (Reason::Unspecified, 0, 4));
    assert_eq!(trim(&stage, 13, false).await.0, Reason::OffsetOutOfRange);
    for crash in [false, true] {
        if crash {
            stage.crash().await;
        }
        assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::Start).await, 4, "also inside a batch");
        let result = stage.api.fetch_now(TOPIC, 0, 3, FetchFormat::Records).await;
        assert_eq!(reason(&result.error), Reason::OffsetOutOfRange);
        let all = stage.api.read_all(TOPIC, 0).await;
        assert_eq!(all.first(), Some(&(4, "1b".to_owned())));
        assert_eq!(all.len(), 8);
    }
    assert_eq!(trim(&stage, 12, false).await, (Reason::Unspecified, 4, 12), "all of it may go");
    assert_eq!(
        stage.api.send_values(TOPIC, 0, &["next"]).await.base_offset,
        12,
        "offsets are never used again"
    );
}
