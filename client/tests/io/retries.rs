//! The producer when brokers fail: nothing is lost, doubled or reordered, and what is unknown is called so.

use std::collections::BTreeSet;
use std::time::Duration;

use caudal_client::{Acks, ErrorKind, NewRecord, Producer, Reason};
use caudal_proto::batch::Header;
use caudal_proto::v1 as wire;

use crate::fake::{Cluster, Fault, refusal, soon};

/// Small batches, so that several are in flight.
async fn producer(cluster: &Cluster) -> Producer {
    cluster.client().await.producer().batch_bytes(1024).build().await.unwrap()
}

/// Sends `count` records of about 100 bytes to partition 0; answers with their values.
async fn send(producer: &Producer, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    for n in 0..count {
        let value = format!("{n:0>100}");
        drop(producer.send(NewRecord::to("t").partition(0).value(&value)).await.unwrap());
        values.push(value);
    }
    values
}

fn not_leader() -> wire::PartitionError {
    refusal(Reason::NotLeader, true)
}

#[tokio::test]
async fn streams_that_break_before_or_after_the_write_lose_and_double_nothing() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let mut faults = Vec::new();
    for n in 0..12 {
        faults.extend(vec![Fault::None; n % 4]);
        faults.push(if n % 2 == 0 { Fault::WriteAndCut } else { Fault::Cut });
    }
    cluster.faults(faults);
    let producer = producer(&cluster).await;
    let values = send(&producer, 600).await;
    soon("close", producer.close()).await.unwrap();
    assert_eq!(cluster.values("t", 0), values);
    assert!(cluster.lock().streams_opened >= 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_every_retriable_kind_keep_order() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let refusals = [
        not_leader(),
        refusal(Reason::LeaderNotReady, true),
        refusal(Reason::Throttled, true),
        refusal(Reason::DiskFull, true),
        refusal(Reason::ShuttingDown, true),
        refusal(Reason::UnknownOutcome, false),
        refusal(Reason::TimedOut, true),
    ];
    let mut faults = Vec::new();
    for (n, error) in refusals.iter().cycle().take(21).enumerate() {
        faults.extend(vec![Fault::None; n % 3]);
        let written = matches!(error.reason(), Reason::UnknownOutcome | Reason::TimedOut) && n % 2 == 0;
        faults.push(match written {
            true => Fault::WriteAndRefuse(error.clone()),
            false => Fault::Refuse(error.clone()),
        });
    }
    cluster.faults(faults);
    let producer = producer(&cluster).await;
    let values = send(&producer, 800).await;
    soon("close", producer.close()).await.unwrap();
    assert_eq!(cluster.values("t", 0), values);
}

#[tokio::test]
async fn a_moved_leader_is_followed_by_its_hint() {
    let cluster = Cluster::start(3).await;
    cluster.topic("t", 1);
    let producer = producer(&cluster).await;
    let mut values = send(&producer, 50).await;
    soon("flush", producer.flush()).await.unwrap();
    let calls = cluster.lock().metadata_calls;
    for node in [2, 1, 0, 2] {
        cluster.move_leader("t", 0, node);
        values.extend(send(&producer, 50).await);
        soon("flush", producer.flush()).await.unwrap();
    }
    assert_eq!(cluster.values("t", 0), values);
    assert_eq!(cluster.lock().metadata_calls, calls, "the hints were enough");
}

#[tokio::test]
async fn a_partition_without_a_leader_is_waited_for() {
    let cluster = Cluster::start(2).await;
    cluster.topic("t", 2);
    let producer = producer(&cluster).await;
    let mut values = send(&producer, 20).await;
    soon("flush", producer.flush()).await.unwrap();
    cluster.move_leader("t", 0, -1);
    values.extend(send(&producer, 20).await);
    // The other partition does not wait.
    let other = producer.send(NewRecord::to("t").partition(1).value("x")).await.unwrap();
    soon("the other partition", other).await.unwrap();
    assert_eq!(cluster.values("t", 0).len(), 20);
    cluster.move_leader("t", 0, 1);
    soon("flush", producer.flush()).await.unwrap();
    assert_eq!(cluster.values("t", 0), values);
}

#[tokio::test]
async fn a_refused_batch_fails_alone_and_the_ones_behind_it_close_up() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    cluster.faults([Fault::None, Fault::Refuse(refusal(Reason::InvalidTimestamp, false))]);
    let producer = producer(&cluster).await;
    let mut deliveries = Vec::new();
    for n in 0..200 {
        let value = format!("{n:0>100}");
        deliveries.push(producer.send(NewRecord::to("t").partition(0).value(&value)).await.unwrap());
    }
    let error = soon("close", producer.close()).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::Invalid, Some(Reason::InvalidTimestamp)));

    let mut written = Vec::new();
    let mut failed = BTreeSet::new();
    for (n, delivery) in deliveries.iter().enumerate() {
        match delivery.outcome().unwrap() {
            Ok(receipt) => {
                assert_eq!(receipt.offset, Some(i64::try_from(written.len()).unwrap()));
                written.push(format!("{n:0>100}"));
            }
            Err(error) => {
                assert_eq!(error.metadata()["topic"], "t");
                failed.insert(n);
            }
        }
    }
    assert!(!failed.is_empty() && failed.len() < 12, "one batch: {failed:?}");
    assert_eq!(cluster.values("t", 0), written);
    let identities: BTreeSet<i64> = cluster.lock().topics["t"].partitions[0]
        .log
        .batches
        .iter()
        .map(|batch| Header::parse(batch).unwrap().producer_id)
        .collect();
    assert_eq!(identities.len(), 1, "closing up needs no new producer id");
}

#[tokio::test]
async fn a_forgotten_producer_begins_anew_when_nothing_is_in_doubt() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let producer = producer(&cluster).await;
    let mut values = send(&producer, 30).await;
    soon("flush", producer.flush()).await.unwrap();
    cluster.faults([Fault::ForgetProducers]);
    values.extend(send(&producer, 100).await);
    soon("close", producer.close()).await.unwrap();
    assert_eq!(cluster.values("t", 0), values);
}

#[tokio::test]
async fn a_forgotten_producer_with_a_batch_in_doubt_says_that_its_outcome_is_unknown() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let producer = producer(&cluster).await;
    drop(producer.send(NewRecord::to("t").value("first")).await.unwrap());
    soon("flush", producer.flush()).await.unwrap();
    cluster.faults([Fault::WriteAndCut, Fault::ForgetProducers]);
    let doubted = producer.send(NewRecord::to("t").value("doubted")).await.unwrap();
    let error = soon("an outcome", doubted).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    assert!(!error.is_retriable());
    let after = producer.send(NewRecord::to("t").value("after")).await.unwrap();
    soon("an outcome", after).await.unwrap();
    assert_eq!(cluster.values("t", 0), ["first", "doubted", "after"]);
    assert_eq!(producer.flush().await.unwrap_err().kind(), ErrorKind::UnknownOutcome);
    producer.flush().await.unwrap();
}

#[tokio::test]
async fn without_idempotence_a_lost_answer_is_an_unknown_outcome_and_is_not_sent_again() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let client = cluster.client().await;
    for (fault, written) in [(Fault::WriteAndCut, true), (Fault::Cut, false)] {
        cluster.faults([fault]);
        let producer = client.producer().idempotent(false).build().await.unwrap();
        let before = cluster.values("t", 0).len();
        let delivery = producer.send(NewRecord::to("t").value("v")).await.unwrap();
        let error = soon("an outcome", delivery).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
        assert_eq!(producer.close().await.unwrap_err().kind(), ErrorKind::UnknownOutcome);
        assert_eq!(cluster.values("t", 0).len() - before, usize::from(written));
    }
}

#[tokio::test]
async fn without_idempotence_refusals_are_retried_and_order_is_kept() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let mut faults = Vec::new();
    for _ in 0..5 {
        faults.extend([Fault::None, Fault::Refuse(not_leader()), Fault::Refuse(not_leader())]);
    }
    cluster.faults(faults);
    let client = cluster.client().await;
    let producer =
        client.producer().idempotent(false).acks(Acks::Leader).batch_bytes(1024).build().await.unwrap();
    let values = send(&producer, 300).await;
    soon("close", producer.close()).await.unwrap();
    assert_eq!(cluster.values("t", 0), values);
}

#[tokio::test]
async fn records_that_are_not_acknowledged_in_time_say_why() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let client = cluster.client().await;
    let timeout = Duration::from_millis(300);
    let producer = client.producer().delivery_timeout(timeout).build().await.unwrap();
    drop(producer.send(NewRecord::to("t").value("a")).await.unwrap());
    soon("flush", producer.flush()).await.unwrap();

    // Refused to the end: surely not written.
    cluster.faults(vec![Fault::Refuse(refusal(Reason::LeaderNotReady, true)); 1000]);
    let delivery = producer.send(NewRecord::to("t").value("b")).await.unwrap();
    let error = soon("an outcome", delivery).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(error.message().contains("LEADER_NOT_READY"), "{error}");

    // Never answered: unknown.
    cluster.lock().faults.clear();
    cluster.faults([Fault::Hold]);
    let delivery = producer.send(NewRecord::to("t").value("c")).await.unwrap();
    let error = soon("an outcome", delivery).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");

    // And the producer goes on.
    let delivery = producer.send(NewRecord::to("t").value("d")).await.unwrap();
    soon("an outcome", delivery).await.unwrap();
    assert_eq!(cluster.values("t", 0), ["a", "c", "d"]);
}

#[tokio::test]
async fn a_deleted_topic_fails_what_waits_for_it_and_a_new_one_of_the_name_is_used() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let producer = producer(&cluster).await;
    send(&producer, 5).await;
    soon("flush", producer.flush()).await.unwrap();
    cluster.lock().topics.remove("t");
    let lost = producer.send(NewRecord::to("t").value("lost")).await.unwrap();
    assert_eq!(soon("an outcome", lost).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(producer.flush().await.unwrap_err().kind(), ErrorKind::NotFound);
    cluster.until("the client asks again", |state| state.metadata_calls >= 3).await;
    let gone = async {
        loop {
            match producer.send(NewRecord::to("t").value("x")).await {
                Ok(delivery) => assert_eq!(delivery.await.unwrap_err().kind(), ErrorKind::NotFound),
                Err(error) => break error,
            }
        }
    };
    assert_eq!(soon("the topic is known to be gone", gone).await.kind(), ErrorKind::NotFound);

    cluster.topic("t", 1);
    let delivery = producer.send(NewRecord::to("t").value("new")).await.unwrap();
    assert_eq!(soon("an outcome", delivery).await.unwrap().offset, Some(0));
    assert_eq!(cluster.values("t", 0), ["new"]);
}

#[tokio::test]
async fn a_dropped_producer_delivers_and_a_dropped_runtime_leaves_nobody_waiting() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let one = producer(&cluster).await;
    drop(one.send(NewRecord::to("t").value("v")).await.unwrap());
    drop(one);
    cluster.until("the record arrives", |state| state.topics["t"].partitions[0].log.next_offset == 1).await;

    cluster.faults([Fault::Hold]);
    let address = cluster.lock().addresses[0].clone();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let client = caudal_client::Client::connect(&address).await.unwrap();
            let producer = client.producer().build().await.unwrap();
            let delivery = producer.send(NewRecord::to("t").value("w")).await.unwrap();
            sender.send((delivery, producer)).unwrap();
        });
    });
    let (delivery, _producer) = soon("the other runtime", receiver).await.unwrap();
    other.join().unwrap();
    assert_eq!(soon("an outcome", delivery).await.unwrap_err().kind(), ErrorKind::UnknownOutcome);
}

#[tokio::test]
async fn records_that_could_never_be_sent_say_what_stands_in_the_way() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    let client = cluster.client().await;
    let timeout = Duration::from_millis(500);
    let producer = client.producer().delivery_timeout(timeout).build().await.unwrap();
    // The leader's address is one that nobody listens on.
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    cluster.lock().addresses.push(dead.clone());
    cluster.move_leader("t", 0, 1);
    let delivery = producer.send(NewRecord::to("t").value("v")).await.unwrap();
    let error = soon("an outcome", delivery).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.message().contains(&dead), "{error}");
}

#[tokio::test]
async fn a_batch_older_than_what_the_broker_remembers_is_written_and_its_place_unknown() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    cluster.faults([Fault::WriteAndRefuse(refusal(Reason::DuplicateSequence, false))]);
    let producer = producer(&cluster).await;
    let delivery = producer.send(NewRecord::to("t").value("v")).await.unwrap();
    let receipt = soon("an outcome", delivery).await.unwrap();
    assert_eq!((receipt.offset, receipt.batch.duplicate), (None, true));
    soon("the next", producer.send(NewRecord::to("t").value("w")).await.unwrap()).await.unwrap();
    producer.close().await.unwrap();
    assert_eq!(cluster.values("t", 0), ["v", "w"]);
}

#[tokio::test]
async fn a_fenced_producer_says_so_and_writes_nothing_more() {
    let cluster = Cluster::start(1).await;
    cluster.topic("t", 1);
    cluster.faults(vec![Fault::Refuse(refusal(Reason::ProducerFenced, false)); 3]);
    let producer = producer(&cluster).await;
    for _ in 0..3 {
        let delivery = producer.send(NewRecord::to("t").value("v")).await.unwrap();
        let error = soon("an outcome", delivery).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retriable()), (ErrorKind::Fenced, false), "{error}");
    }
    assert!(cluster.values("t", 0).is_empty());
}
