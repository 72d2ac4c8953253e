//! The consumer: exactly the next record, whatever happens below.

use caudal_client::{Client, Codec, Consumer, ErrorKind, OutOfRange, Reason, Start, Tail};
use caudal_proto::batch::Header;
use tokio_stream::StreamExt as _;

use crate::fake::{Cluster, batch, refusal, soon};

/// Fills partition 0 of "t" with `batches` batches of three records: values "0", "1", …
fn fill(cluster: &Cluster, partition: usize, batches: usize) {
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    for n in 0..batches {
        let values: Vec<String> = (0..3).map(|k| (n * 3 + k).to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        cluster.append("t", partition, &batch(&values, codecs[n % 5]));
    }
}

async fn cluster(partitions: usize) -> (Cluster, Client) {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", partitions);
    let client = cluster.client().await;
    (cluster, client)
}

/// The next `count` records' offsets; their values must be the same numbers.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    for _ in 0..count {
        let record = soon("a record", consumer.next()).await.unwrap().unwrap();
        assert_eq!(record.value.as_deref(), Some(record.offset.to_string().as_bytes()));
        offsets.push(record.offset);
    }
    offsets
}

#[tokio::test]
async fn every_record_comes_once_in_order_over_many_broken_streams() {
    let (cluster, client) = cluster(1).await;
    fill(&cluster, 0, 40);
    cluster.lock().fetch_cuts = [0, 3, 1, 7, 0, 2, 5].into();
    let mut consumer = client.consumer().build().await.unwrap();
    assert_eq!(consumer.assign("t", 0, Start::Start).await.unwrap(), 0);
    assert_eq!(take(&mut consumer, 120).await, (0..120).collect::<Vec<_>>());
    // And what comes later.
    fill(&cluster, 0, 0);
    cluster.append("t", 0, &batch(&["120"], Codec::None));
    assert_eq!(take(&mut consumer, 1).await, [120]);
    assert_eq!(consumer.position("t", 0), Some(121));
    assert_eq!(consumer.tail("t", 0), Some(Tail { log_start: 0, high_watermark: 121 }));
    assert_eq!(consumer.lag("t", 0), Some(0));
    assert!(consumer.try_next().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_follows_the_leader() {
    let cluster = Cluster::start(3).await;
    cluster.topic("t", 1);
    fill(&cluster, 0, 10);
    let mut consumer = cluster.client().await.consumer().build().await.unwrap();
    consumer.assign("t", 0, Start::Offset(4)).await.unwrap();
    let mut offsets = take(&mut consumer, 11).await;
    for (round, node) in [1, 2, -1, 0].into_iter().enumerate() {
        cluster.move_leader("t", 0, node);
        for k in 0..3 {
            cluster.append("t", 0, &batch(&[&(30 + round * 3 + k).to_string()], Codec::None));
        }
        if node >= 0 {
            offsets.extend(take(&mut consumer, 5).await);
        }
    }
    assert_eq!(offsets, (4..30).collect::<Vec<_>>());
    assert_eq!(take(&mut consumer, 12).await, (30..42).collect::<Vec<_>>());
}

#[tokio::test]
async fn starts_and_stops_may_lie_inside_batches() {
    let (cluster, client) = cluster(3).await;
    for partition in 0..3 {
        fill(&cluster, partition, 5);
    }
    let mut consumer = client.consumer().build().await.unwrap();
    consumer.assign_until("t", 0, Start::Offset(4), 11).await.unwrap();
    consumer.assign_until("t", 1, Start::Start, 1).await.unwrap();
    consumer.assign_until("t", 2, Start::End, 15).await.unwrap();
    let mut got = [Vec::new(), Vec::new(), Vec::new()];
    while let Some(record) = soon("the end", consumer.next()).await.unwrap() {
        got[usize::try_from(record.partition).unwrap()].push(record.offset);
    }
    assert_eq!(got, [(4..11).collect(), vec![0], vec![]]);
    assert_eq!(consumer.position("t", 0), Some(11));

    // As a stream; and by time: nothing is as young, so from the end.
    let mut consumer = client.consumer().build().await.unwrap();
    assert_eq!(consumer.assign("t", 0, Start::TimestampMs(i64::MAX)).await.unwrap(), 15);
    assert_eq!(consumer.assign_until("t", 0, Start::TimestampMs(0), 2).await.unwrap(), 0);
    let offsets: Vec<i64> = soon("the end", consumer.map(|record| record.unwrap().offset).collect()).await;
    assert_eq!(offsets, [0, 1]);
}

#[tokio::test]
async fn seek_drops_what_is_buffered_and_pause_holds_nothing_back_but_its_partition() {
    let (cluster, client) = cluster(2).await;
    fill(&cluster, 0, 20);
    fill(&cluster, 1, 20);
    let mut consumer = client.consumer().build().await.unwrap();
    consumer.assign("t", 0, Start::Start).await.unwrap();
    assert_eq!(take(&mut consumer, 4).await, [0, 1, 2, 3]);
    assert_eq!(consumer.seek("t", 0, Start::Offset(50)).await.unwrap(), 50);
    assert_eq!(take(&mut consumer, 2).await, [50, 51]);
    assert_eq!(consumer.seek("t", 0, Start::Start).await.unwrap(), 0);
    assert_eq!(take(&mut consumer, 2).await, [0, 1]);

    consumer.pause("t", 0).await.unwrap();
    assert_eq!(consumer.position("t", 0), Some(2));
    consumer.assign("t", 1, Start::Start).await.unwrap();
    let mut offsets = Vec::new();
    for _ in 0..60 {
        let record = soon("a record", consumer.next()).await.unwrap().unwrap();
        assert_eq!(record.partition, 1);
        offsets.push(record.offset);
    }
    assert_eq!(offsets, (0..60).collect::<Vec<_>>());
    consumer.resume("t", 0).await.unwrap();
    assert_eq!(take(&mut consumer, 58).await, (2..60).collect::<Vec<_>>());

    // A seek while paused holds.
    consumer.pause("t", 0).await.unwrap();
    consumer.seek("t", 0, Start::Offset(7)).await.unwrap();
    consumer.resume("t", 0).await.unwrap();
    assert_eq!(take(&mut consumer, 1).await, [7]);
    consumer.unassign("t", 0).await.unwrap();
    assert_eq!(consumer.seek("t", 0, Start::Start).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(consumer.assignment().len(), 1);
    for word in ["Seek(", "Pause(", "Resume(", "Unsubscribe("] {
        cluster.until(word, |state| state.fetch_messages.iter().any(|m| m.starts_with(word))).await;
    }
}

#[tokio::test]
async fn the_buffer_bounds_what_a_broker_may_send() {
    let (cluster, client) = cluster(1).await;
    for _ in 0..300 {
        cluster.append("t", 0, &batch(&[&"x".repeat(10_000)], Codec::None));
    }
    cluster.lock().fetch_cuts = [20, 15].into();
    let mut consumer = client.consumer().buffer_bytes(100_000).build().await.unwrap();
    consumer.assign("t", 0, Start::Start).await.unwrap();
    for n in 0..300 {
        let record = soon("a record", consumer.next()).await.unwrap().unwrap();
        assert_eq!(record.offset, n);
    }
    let overdrawn = cluster.lock().fetch_uncredited_max;
    assert!((1..=10_100).contains(&overdrawn), "at most one batch beyond the credit: {overdrawn}");
}

#[tokio::test]
async fn a_corrupt_batch_is_an_error_that_names_its_place_and_a_seek_goes_past_it() {
    let (cluster, client) = cluster(2).await;
    fill(&cluster, 0, 4);
    {
        let mut state = cluster.lock();
        let log = &mut state.topics.get_mut("t").unwrap().partitions[0].log;
        let mut bad = log.batches[1].to_vec();
        *bad.last_mut().unwrap() ^= 1;
        log.batches[1] = bad.into();
    }
    let mut consumer = client.consumer().build().await.unwrap();
    consumer.assign("t", 0, Start::Start).await.unwrap();
    assert_eq!(take(&mut consumer, 3).await, [0, 1, 2]);
    for _ in 0..2 {
        // Told again as long as nothing else can come.
        let error = soon("an error", consumer.next()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        let place = ["topic", "partition", "offset"].map(|key| error.metadata()[key].clone());
        assert_eq!(place, ["t", "0", "3"]);
        assert!(error.message().contains("offset 3") && error.message().contains("checksum"), "{error}");
    }
    assert_eq!(consumer.position("t", 0), Some(3));
    consumer.seek("t", 0, Start::Offset(6)).await.unwrap();
    assert_eq!(take(&mut consumer, 6).await, (6..12).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_header_that_lies_is_an_error_and_other_partitions_go_on() {
    let (cluster, client) = cluster(2).await;
    fill(&cluster, 0, 1);
    fill(&cluster, 1, 3);
    let mut consumer = client.consumer().build().await.unwrap();
    consumer.assign("t", 0, Start::Start).await.unwrap();
    assert_eq!(take(&mut consumer, 3).await, [0, 1, 2]);
    {
        // A magic of another format: it has no place in a log, and its length means nothing.
        let mut bad = batch(&["x"], Codec::None).to_vec();
        bad[16] = 9;
        cluster.lock().topics.get_mut("t").unwrap().partitions[0].log.raw = Some(bad.into());
        cluster.news.notify_waiters();
    }
    let error = soon("an error", consumer.next()).await.unwrap_err();
    assert_eq!((error.kind(), error.metadata()["offset"].as_str()), (ErrorKind::Damaged, "3"));
    consumer.assign("t", 1, Start::Start).await.unwrap();
    assert_eq!(take(&mut consumer, 9).await, (0..9).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_compressed_bomb_is_refused_at_the_limit() {
    let (cluster, client) = cluster(1).await;
    let bomb = "0".repeat(900_000);
    cluster.append("t", 0, &batch(&[&bomb], Codec::Zstd));
    let mut consumer = client.consumer().inflate_bytes_max(100_000).build().await.unwrap();
    consumer.assign("t", 0, Start::Start).await.unwrap();
    let error = soon("an error", consumer.next()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.message().contains("100000"), "{error}");
}

#[tokio::test]
async fn an_offset_outside_the_log_is_an_error_or_goes_on_where_asked() {
    let (cluster, client) = cluster(1).await;
    fill(&cluster, 0, 10);
    cluster.lock().topics.get_mut("t").unwrap().partitions[0].log.start = 9;

    let mut consumer = client.consumer().build().await.unwrap();
    consumer.assign("t", 0, Start::Offset(2)).await.unwrap();
    let error = soon("an error", consumer.next()).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::OutOfRange, Some(Reason::OffsetOutOfRange)));
    assert_eq!((error.metadata()["log_start"].as_str(), error.metadata()["offset"].as_str()), ("9", "2"));
    consumer.seek("t", 0, Start::Start).await.unwrap();
    assert_eq!(take(&mut consumer, 1).await, [9]);

    let mut consumer = client.consumer().out_of_range(OutOfRange::Start).build().await.unwrap();
    consumer.assign("t", 0, Start::Offset(2)).await.unwrap();
    assert_eq!(take(&mut consumer, 1).await, [9]);

    let mut consumer = client.consumer().out_of_range(OutOfRange::End).build().await.unwrap();
    consumer.assign("t", 0, Start::Offset(i64::MAX)).await.unwrap();
    cluster.until("it stands at the end", |_| consumer.position("t", 0) == Some(30)).await;
    cluster.append("t", 0, &batch(&["30"], Codec::None));
    assert_eq!(take(&mut consumer, 1).await, [30]);
}

#[tokio::test]
async fn batches_can_be_taken_whole() {
    let (cluster, client) = cluster(1).await;
    fill(&cluster, 0, 3);
    let mut consumer = client.consumer().build().await.unwrap();
    consumer.assign_until("t", 0, Start::Offset(1), 8).await.unwrap();
    assert_eq!(take(&mut consumer, 1).await, [1]);
    let mut all = Vec::new();
    while let Some(batch) = soon("a batch", consumer.next_batch()).await.unwrap() {
        assert_eq!(batch.topic_partition(), ("t", 0));
        all.push(batch.map(|record| record.unwrap().offset).collect::<Vec<_>>());
    }
    assert_eq!(all, [vec![2], vec![3, 4, 5], vec![6, 7]]);
}

#[tokio::test]
async fn gaps_and_control_batches_are_passed_over() {
    let (cluster, client) = cluster(1).await;
    fill(&cluster, 0, 1);
    {
        let mut state = cluster.lock();
        let log = &mut state.topics.get_mut("t").unwrap().partitions[0].log;
        // A transaction marker takes an offset; compaction leaves holes.
        let mut control = batch(&["marker"], Codec::None).to_vec();
        control[22] |= 0x20;
        let crc = crc32c(&control[21..]);
        control[17..21].copy_from_slice(&crc.to_be_bytes());
        caudal_proto::batch::stamp(&mut control, 3, 1);
        assert!(Header::parse(&control).unwrap().is_control());
        log.batches.push(control.into());
        log.next_offset = 20;
    }
    cluster.append("t", 0, &batch(&["20"], Codec::None));
    let mut consumer = client.consumer().build().await.unwrap();
    consumer.assign_until("t", 0, Start::Start, 21).await.unwrap();
    assert_eq!(take(&mut consumer, 4).await, [0, 1, 2, 20]);
    assert!(soon("the end", consumer.next()).await.unwrap().is_none());
}

fn crc32c(bytes: &[u8]) -> u32 {
    // Castagnoli, reflected, bit by bit: the test does not trust the crate it tests with.
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[tokio::test]
async fn topics_that_are_not_there_are_told() {
    let (cluster, client) = cluster(1).await;
    let mut consumer = client.consumer().build().await.unwrap();
    assert_eq!(consumer.next().await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(consumer.assign("nope", 0, Start::Start).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(consumer.assign("t", 1, Start::Start).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(consumer.assign("t", 0, Start::Offset(-1)).await.unwrap_err().kind(), ErrorKind::Invalid);

    consumer.assign("t", 0, Start::Start).await.unwrap();
    cluster.append("t", 0, &batch(&["0"], Codec::None));
    assert_eq!(take(&mut consumer, 1).await, [0]);
    // Deleted and created again: the old offsets mean nothing in the new topic.
    cluster.topic("t", 1);
    cluster.news.notify_waiters();
    let error = soon("an error", consumer.next()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(!refusal(Reason::UnknownTopicId, false).retriable);
}
