//! The producer when nothing fails: receipts, order, batches, memory.

use std::collections::BTreeSet;
use std::time::Duration;

use caudal_client::{Acks, Codec, ErrorKind, NewHeader, NewRecord, TrySendError};
use caudal_proto::batch::{Header, records};

use crate::fake::{Cluster, Fault, soon};

#[tokio::test]
async fn a_receipt_says_where_the_record_is() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let producer = cluster.client().await.producer().build().await.unwrap();
    for n in 0..3i64 {
        let delivery = producer.send(NewRecord::to("t").value("v")).await.unwrap();
        let receipt = soon("a receipt", delivery).await.unwrap();
        assert_eq!(receipt.offset, Some(n));
        assert_eq!((receipt.batch.topic.as_ref(), receipt.batch.partition, receipt.batch.term), ("t", 0, 1));
        assert_eq!(receipt.batch.synced.len(), 1);
        assert!(!receipt.batch.duplicate);
    }
    producer.close().await.unwrap();
    assert_eq!(producer.send(NewRecord::to("t")).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_keep_order_and_nulls_and_headers() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let client = cluster.client().await;
        let producer = client.producer().codec(codec).batch_bytes(2000).build().await.unwrap();
        let headers = [NewHeader { key: "h", value: Some(b"1") }, NewHeader { key: "h", value: None }];
        for n in 0..500 {
            let value = format!("{codec}-{n}");
            let record = NewRecord::to("t").value(&value).headers(&headers).timestamp_ms(n);
            drop(producer.send(record).await.unwrap());
        }
        drop(producer.send(NewRecord::to("t").key("")).await.unwrap());
        soon("close", producer.close()).await.unwrap();
        let expected: Vec<String> = (0..500).map(|n| format!("{codec}-{n}")).chain([String::new()]).collect();
        assert_eq!(cluster.values("t", 0)[..], expected[..]);

        let mut state = cluster.lock();
        let log = &mut state.topics.get_mut("t").unwrap().partitions[0].log;
        assert!(log.batches.len() > 1, "2000 bytes do not hold 500 records");
        let first = records(&log.batches[0], 1 << 20).unwrap().next().unwrap().unwrap();
        let pairs: Vec<_> = first.headers.iter().collect();
        assert_eq!(pairs, [("h".into(), Some("1".into())), ("h".into(), None)]);
        assert_eq!(first.key, None);
        let last = records(log.batches.last().unwrap(), 1 << 20).unwrap().last().unwrap().unwrap();
        assert_eq!((last.key, last.value), (Some("".into()), None));
        log.batches.clear();
    }
}

#[tokio::test]
async fn keys_land_where_kafkas_clients_put_them() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 7);
    let producer = cluster.client().await.producer().build().await.unwrap();
    // murmur2("21") = -973932308, murmur2("foobar") = -790332482, without the sign bit, mod 7.
    for (key, hash) in [("21", -973_932_308_i32), ("foobar", -790_332_482), ("abc", 479_470_107)] {
        let delivery = producer.send(NewRecord::to("t").key(key)).await.unwrap();
        assert_eq!(delivery.partition(), (hash & i32::MAX) % 7, "{key}");
        soon("a receipt", delivery).await.unwrap();
    }
    let delivery = producer.send(NewRecord::to("t").key("21").partition(6)).await.unwrap();
    assert_eq!(delivery.partition(), 6);
    producer.close().await.unwrap();
}

#[tokio::test]
async fn records_without_a_key_fill_a_batch_and_then_go_elsewhere() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 4);
    let client = cluster.client().await;
    let linger = Duration::from_secs(20);
    let producer = client.producer().batch_bytes(1024).linger(linger).build().await.unwrap();
    let mut before: Option<caudal_client::Delivery> = None;
    let mut turns = 0;
    let mut used = BTreeSet::new();
    for _ in 0..400 {
        let delivery = producer.send(NewRecord::to("t").value(&[7u8; 100])).await.unwrap();
        used.insert(delivery.partition());
        if let Some(before) = before {
            let moved = before.partition() != delivery.partition();
            assert_eq!(moved, !before.same_batch(&delivery), "a partition holds for a batch");
            turns += usize::from(moved);
        }
        before = Some(delivery);
    }
    assert!(turns > 30 && used.len() == 4, "{turns} turns over {used:?}");
    soon("close", producer.close()).await.unwrap();
    let state = cluster.lock();
    for partition in &state.topics["t"].partitions {
        assert!(partition.log.batches.iter().all(|batch| batch.len() <= 1024));
    }
}

#[tokio::test]
async fn linger_zero_sends_at_once_and_flush_does_not_wait_for_linger() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let client = cluster.client().await;
    let eager = client.producer().linger(Duration::ZERO).build().await.unwrap();
    soon("no linger", eager.send(NewRecord::to("t").value("a")).await.unwrap()).await.unwrap();

    let patient = client.producer().linger(Duration::from_secs(100)).build().await.unwrap();
    let delivery = patient.send(NewRecord::to("t").value("b")).await.unwrap();
    assert!(delivery.outcome().is_none());
    soon("flush", patient.flush()).await.unwrap();
    assert_eq!(delivery.outcome().unwrap().unwrap().offset, Some(1));
}

#[tokio::test]
async fn the_buffer_bounds_memory_and_senders_wait_for_room() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let hold: Vec<Fault> = (0..1000).map(|_| Fault::Hold).collect();
    cluster.faults(hold);
    let client = cluster.client().await;
    let producer = client.producer().batch_bytes(4096).buffer_bytes(16 * 1024).build().await.unwrap();
    let value = [1u8; 500];
    drop(producer.send(NewRecord::to("t").value(&value)).await.unwrap());
    let mut taken = 1;
    let full = loop {
        match producer.try_send(NewRecord::to("t").value(&value)) {
            Ok(delivery) => drop(delivery),
            Err(error) => break error,
        }
        taken += 1;
    };
    assert!(matches!(full, TrySendError::Full), "{full}");
    assert!(
        taken < 34 && producer.buffered_bytes() <= 16 * 1024,
        "{taken} records, {}",
        producer.buffered_bytes()
    );

    let sender = producer.clone();
    let waiting =
        tokio::spawn(async move { sender.send(NewRecord::to("t").value(&[2u8; 500])).await.map(drop) });
    cluster.until("batches arrive", |state| !state.held.is_empty()).await;
    assert!(!waiting.is_finished());
    cluster.lock().faults.clear();
    cluster.release().await;
    soon("room", waiting).await.unwrap().unwrap();
    let freed = async {
        loop {
            cluster.release().await;
            if tokio::time::timeout(Duration::from_millis(20), producer.flush()).await.is_ok() {
                break;
            }
        }
    };
    soon("the rest", freed).await;
    assert_eq!(producer.buffered_bytes(), 0);
    assert_eq!(cluster.values("t", 0).len(), taken + 1);
}

#[tokio::test]
async fn the_brokers_window_is_never_overrun() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 8);
    cluster.lock().window_bytes = 10_000;
    let producer = cluster.client().await.producer().batch_bytes(3000).build().await.unwrap();
    for n in 0..3000 {
        drop(producer.send(NewRecord::to("t").partition(n % 8).value(&[0u8; 200])).await.unwrap());
    }
    soon("close", producer.close()).await.unwrap();
    let state = cluster.lock();
    assert_eq!(state.window_overrun, 0);
    let written: i64 = state.topics["t"].partitions.iter().map(|p| p.log.next_offset).sum();
    assert_eq!(written, 3000);
}

#[tokio::test]
async fn each_shard_gets_its_own_stream_and_lanes_move_to_it_in_order() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 3);
    {
        let mut state = cluster.lock();
        state.shards = 3;
        state.landings = [0, 0, 1, 1, 1, 0].into();
        let topic = state.topics.get_mut("t").unwrap();
        for (shard, partition) in topic.partitions.iter_mut().enumerate() {
            partition.shard = u32::try_from(shard).unwrap();
        }
    }
    let producer = cluster.client().await.producer().build().await.unwrap();
    let mut sent = 0;
    for round in 0..200 {
        for partition in 0..3 {
            let value = sent.to_string();
            drop(producer.send(NewRecord::to("t").partition(partition).value(&value)).await.unwrap());
            sent += 1;
        }
        if round % 10 == 0 {
            soon("flush", producer.flush()).await.unwrap();
        }
    }
    cluster.until("twice as many streams as shards are tried", |state| state.streams_opened == 6).await;
    soon("close", producer.close()).await.unwrap();
    for partition in 0..3usize {
        let expected: Vec<String> = (0..200).map(|round| (round * 3 + partition).to_string()).collect();
        assert_eq!(cluster.values("t", partition), expected);
    }
    let state = cluster.lock();
    assert_eq!(state.streams_opened, 6, "no more than twice the shards");
    let last = |partition| state.arrivals.iter().rev().find(|(_, p, _)| *p == partition).unwrap().2;
    assert_eq!((last(0), last(1)), (0, 1), "shards that were reached are used");
    assert!(state.arrivals.iter().all(|(_, _, shard)| *shard < 2), "shard 2 was never reached: a hop");
}

#[tokio::test]
async fn without_acknowledgements_everything_arrives_before_close_returns() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 2);
    let client = cluster.client().await;
    let producer = client.producer().acks(Acks::None).batch_bytes(2000).build().await.unwrap();
    let mut last = None;
    for n in 0..2000 {
        let value = n.to_string();
        last = Some(producer.send(NewRecord::to("t").partition(n % 2).value(&value)).await.unwrap());
    }
    soon("close", producer.close()).await.unwrap();
    assert_eq!(last.unwrap().outcome().unwrap().unwrap().offset, None);
    for partition in 0..2usize {
        let expected: Vec<String> = (0..1000).map(|n| (n * 2 + partition).to_string()).collect();
        assert_eq!(cluster.values("t", partition), expected);
    }
    let state = cluster.lock();
    let header = Header::parse(&state.topics["t"].partitions[0].log.batches[0]).unwrap();
    assert!(!header.has_producer());
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_it_is_taken() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 2);
    cluster.lock().topics.get_mut("t").unwrap().max_message_bytes = 2000;
    let producer = cluster.client().await.producer().build().await.unwrap();

    let error = producer.send(NewRecord::to("nope")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::NotFound, Some(caudal_client::Reason::UnknownTopic))
    );
    let error = producer.send(NewRecord::to("t").partition(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("has no partition 2"), "{error}");
    let error = producer.send(NewRecord::to("t").value(&[0; 3000])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.metadata()["limit"], "2000");
    assert!(!error.is_retriable());

    // The topic's limit also bounds the batches of small records.
    for _ in 0..100 {
        drop(producer.send(NewRecord::to("t").partition(0).value(&[0; 100])).await.unwrap());
    }
    soon("close", producer.close()).await.unwrap();
    let state = cluster.lock();
    assert!(state.topics["t"].partitions[0].log.batches.iter().all(|batch| batch.len() <= 2000));
}
