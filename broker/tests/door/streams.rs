//! The produce stream and the fetch stream.

use bytes::Bytes;
use caudal_proto::batch::Codec;
use caudal_proto::v1::fetch_stream_request::Message as Ask;
use caudal_proto::v1::fetch_stream_response::Message as Told;
use caudal_proto::v1::produce_stream_request::Message as Send;
use caudal_proto::v1::produce_stream_response::Message as Said;
use caudal_proto::v1::{self, Reason};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::broker::{Broker, Clients, batch, named};

/// The client's half of a produce stream.
struct Producing {
    requests: mpsc::Sender<v1::ProduceStreamRequest>,
    responses: Streaming<v1::ProduceStreamResponse>,
    sequence: u64,
}

impl Producing {
    async fn open(clients: &mut Clients, acks: v1::Acks) -> (Producing, v1::ProduceOpened) {
        let (requests, receiver) = mpsc::channel(1000);
        let open = v1::ProduceOpen { acks: acks.into() };
        requests.send(v1::ProduceStreamRequest { message: Some(Send::Open(open)) }).await.unwrap();
        let mut responses =
            clients.produce.produce_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        let Some(Said::Opened(opened)) = responses.message().await.unwrap().unwrap().message else {
            panic!()
        };
        (Producing { requests, responses, sequence: 0 }, opened)
    }

    async fn send(&mut self, partition: i32, batch: Bytes) {
        self.sequence += 1;
        let send =
            v1::ProduceSend { sequence: self.sequence, topic: named("t"), partition: Some(partition), batch };
        self.requests.send(v1::ProduceStreamRequest { message: Some(Send::Send(send)) }).await.unwrap();
    }

    /// The next result; grants on the way are added up.
    async fn result(&mut self, granted: &mut u64) -> (u64, Result<v1::Receipt, v1::PartitionError>) {
        loop {
            match self.responses.message().await.unwrap().unwrap().message.unwrap() {
                Said::Window(window) => *granted += window.bytes,
                Said::Result(result) => {
                    let outcome = match result.result.unwrap() {
                        v1::produce_send_result::Result::Receipt(receipt) => Ok(receipt),
                        v1::produce_send_result::Result::Error(error) => Err(error),
                    };
                    return (result.sequence, outcome);
                }
                Said::Opened(_) => panic!("opened twice"),
            }
        }
    }
}

#[tokio::test]
async fn results_come_in_the_order_of_each_partition_also_those_of_refused_batches() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 4, &[]).await;
    let (mut stream, opened) = Producing::open(&mut clients, v1::Acks::All).await;
    assert_eq!((opened.node_id, opened.shards), (1, 2));
    let good = batch(&[b"x"], Codec::None);
    for n in 0..400 {
        // Every tenth is refused at once, while those before are on their way to the disk.
        stream.send(n % 4, if n % 10 == 9 { good.slice(1..) } else { good.clone() }).await;
    }
    let (mut last, mut next, mut granted) = ([0; 4], [0; 4], 0);
    for _ in 0..400 {
        let (sequence, outcome) = stream.result(&mut granted).await;
        let partition = ((sequence - 1) % 4) as usize;
        assert!(sequence > last[partition], "{sequence} after {}", last[partition]);
        last[partition] = sequence;
        assert_eq!(outcome.is_err(), sequence % 10 == 0, "{outcome:?}");
        if let Ok(receipt) = outcome {
            assert_eq!(receipt.base_offset, next[partition]);
            next[partition] += 1;
        }
    }
    drop(stream.requests);
    assert!(stream.responses.message().await.unwrap().is_none());
}

#[tokio::test]
async fn bytes_are_granted_back_so_that_a_stream_never_starves() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let (mut stream, opened) = Producing::open(&mut clients, v1::Acks::All).await;
    let large = batch(&[&vec![1; 1_000_000]], Codec::None);
    let (mut window, mut sent, mut done, size) = (opened.window_bytes, 0, 0, large.len() as u64);
    while done < 60 {
        while sent < 60 && window >= size {
            stream.send(0, large.clone()).await;
            (window, sent) = (window - size, sent + 1);
        }
        stream.result(&mut window).await.1.unwrap();
        done += 1;
    }
    assert!(window + 2 * 1024 * 1024 >= opened.window_bytes, "{window} of {}", opened.window_bytes);
}

#[tokio::test]
async fn a_stream_whose_form_is_broken_ends_and_says_where() {
    use tonic_types::StatusExt;
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let (mut stream, _) = Producing::open(&mut clients, v1::Acks::All).await;
    stream.sequence = 5;
    stream.send(0, batch(&[b"x"], Codec::None)).await;
    let status = stream.responses.message().await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().metadata["field"], "sequence");
    let first = v1::ProduceStreamRequest { message: Some(Send::Send(v1::ProduceSend::default())) };
    let mut responses =
        clients.produce.produce_stream(tokio_stream::iter([first])).await.unwrap().into_inner();
    let status = responses.message().await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().metadata["field"], "message");
}

#[tokio::test]
async fn without_acknowledgements_only_a_refusal_is_told_and_ends_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let (mut stream, _) = Producing::open(&mut clients, v1::Acks::None).await;
    for _ in 0..10 {
        stream.send(0, batch(&[b"x"], Codec::None)).await;
    }
    stream.send(0, Bytes::new()).await;
    let (sequence, outcome) = stream.result(&mut 0).await;
    assert_eq!((sequence, outcome.unwrap_err().reason()), (11, Reason::CorruptBatch));
    assert!(stream.responses.message().await.is_err());
    let mut reading = Reading::open(&mut clients, 1 << 20).await;
    reading.subscribe(1, 0, 0).await;
    assert_eq!(reading.values(1, 10).await.len(), 10);
}

/// The client's half of a fetch stream.
struct Reading {
    requests: mpsc::Sender<v1::FetchStreamRequest>,
    responses: Streaming<v1::FetchStreamResponse>,
}

impl Reading {
    async fn open(clients: &mut Clients, credit_bytes: u64) -> Reading {
        let (requests, receiver) = mpsc::channel(1000);
        let open = v1::FetchOpen { max_bytes: 0, heartbeat_ms: 100, credit_bytes };
        requests.send(v1::FetchStreamRequest { message: Some(Ask::Open(open)) }).await.unwrap();
        let mut responses =
            clients.fetch.fetch_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        let Some(Told::Opened(_)) = responses.message().await.unwrap().unwrap().message else { panic!() };
        Reading { requests, responses }
    }

    async fn ask(&self, message: Ask) {
        self.requests.send(v1::FetchStreamRequest { message: Some(message) }).await.unwrap();
    }

    async fn subscribe(&self, subscription: u32, partition: i32, offset: i64) {
        let (topic, partition) = (named("t"), Some(partition));
        self.ask(Ask::Subscribe(v1::FetchSubscribe {
            subscription,
            topic,
            partition,
            offset,
            leader_epoch: None,
        }))
        .await;
    }

    async fn next(&mut self) -> Told {
        self.responses.message().await.unwrap().unwrap().message.unwrap()
    }

    async fn batches(&mut self) -> v1::FetchBatches {
        loop {
            match self.next().await {
                Told::Batches(batches) => return batches,
                Told::Heartbeat(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn heartbeat(&mut self) -> v1::FetchHeartbeat {
        match self.next().await {
            Told::Heartbeat(heartbeat) => heartbeat,
            other => panic!("{other:?}"),
        }
    }

    /// `count` records of one subscription.
    async fn values(&mut self, subscription: u32, count: usize) -> Vec<Bytes> {
        let mut values = Vec::new();
        while values.len() < count {
            let batches = self.batches().await;
            assert_eq!(batches.subscription, subscription);
            for batch in batches.batches {
                values.extend(
                    caudal_proto::batch::records(&batch, 0).unwrap().map(|r| r.unwrap().value.unwrap()),
                );
            }
        }
        values
    }
}

async fn fill(clients: &mut Clients, partition: i32, count: usize, size: usize) {
    let mut items = Vec::new();
    for n in 0..count {
        let mut value = vec![0; size];
        value[..8].copy_from_slice(&(n as u64).to_be_bytes());
        let data = Some(v1::produce_item::Data::Batch(batch(&[&value], Codec::None)));
        items.push(v1::ProduceItem { topic: named("t"), partition: Some(partition), data });
    }
    clients.produce.produce(v1::ProduceRequest { acks: 0, items }).await.unwrap();
}

#[tokio::test]
async fn a_reader_catches_up_and_follows() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    fill(&mut clients, 0, 100, 10).await;
    let mut reading = Reading::open(&mut clients, u64::MAX).await;
    reading.subscribe(7, 0, 90).await;
    assert_eq!(reading.values(7, 10).await.len(), 10);
    let tail = reading.heartbeat().await.tails.remove(0);
    assert_eq!((tail.subscription, tail.next_offset, tail.high_watermark, tail.log_start), (7, 100, 100, 0));
    for n in 0..20 {
        fill(&mut clients, 0, 1, 10 + n).await;
        assert_eq!(reading.values(7, 1).await[0].len(), 10 + n);
    }
}

#[tokio::test]
async fn nothing_is_sent_beyond_the_credit_but_one_batch() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    fill(&mut clients, 0, 20, 1000).await;
    let mut reading = Reading::open(&mut clients, 1).await;
    reading.subscribe(1, 0, 0).await;
    for n in 0..5 {
        let batches = reading.batches().await.batches;
        assert_eq!(batches.len(), 1);
        // No credit: only heartbeats come.
        assert_eq!(reading.heartbeat().await.tails[0].next_offset, n + 1);
        reading.ask(Ask::Credit(v1::FetchCredit { bytes: batches[0].len() as u64 })).await;
    }
}

#[tokio::test]
async fn subscriptions_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 2, &[]).await;
    for partition in 0..2 {
        for _ in 0..8 {
            fill(&mut clients, partition, 1, 900_000).await;
        }
    }
    let mut reading = Reading::open(&mut clients, 0).await;
    reading.subscribe(0, 0, 0).await;
    reading.subscribe(1, 1, 0).await;
    reading.ask(Ask::Credit(v1::FetchCredit { bytes: u64::MAX })).await;
    let (mut turns, mut batches) = (Vec::new(), 0);
    while batches < 16 {
        let turn = reading.batches().await;
        turns.push(turn.subscription);
        batches += turn.batches.len();
    }
    assert!(turns.len() > 4, "{turns:?}");
    assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "{turns:?}");
}

#[tokio::test]
async fn a_seek_is_told_by_its_generation_and_a_pause_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    fill(&mut clients, 0, 10, 10).await;
    let mut reading = Reading::open(&mut clients, u64::MAX).await;
    reading.subscribe(1, 0, 0).await;
    reading.values(1, 10).await;
    reading.ask(Ask::Seek(v1::FetchSeek { subscription: 1, offset: 4, generation: 1 })).await;
    let batches = reading.batches().await;
    assert_eq!((batches.generation, batches.batches.len()), (1, 6));
    reading.ask(Ask::Pause(v1::FetchPause { subscription: 1 })).await;
    // What is asked on a stream is done in order: the heartbeat shows that the pause was.
    reading.heartbeat().await;
    fill(&mut clients, 0, 3, 10).await;
    let tail = reading.heartbeat().await.tails.remove(0);
    assert_eq!((tail.next_offset, tail.high_watermark), (10, 13));
    reading.ask(Ask::Resume(v1::FetchResume { subscription: 1 })).await;
    assert_eq!(reading.values(1, 3).await.len(), 3);
    reading.ask(Ask::Unsubscribe(v1::FetchUnsubscribe { subscription: 1 })).await;
    reading.heartbeat().await;
    assert_eq!(reading.heartbeat().await.tails, []);
}

#[tokio::test]
async fn a_subscription_ends_alone() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    fill(&mut clients, 0, 1, 10).await;
    let mut reading = Reading::open(&mut clients, u64::MAX).await;
    let cases = [(1, 0, 99, Reason::OffsetOutOfRange), (2, 5, 0, Reason::UnknownPartition)];
    for (subscription, partition, offset, reason) in cases {
        reading.subscribe(subscription, partition, offset).await;
        let Told::Error(error) = reading.next().await else { panic!() };
        assert_eq!((error.subscription, error.error.unwrap().reason()), (subscription, reason));
    }
    reading.subscribe(3, 0, 0).await;
    assert_eq!(reading.values(3, 1).await.len(), 1);
    let request = v1::DeleteTopicsRequest { names: vec!["t".to_owned()], validate_only: false };
    clients.topics.delete_topics(request).await.unwrap();
    let ended = loop {
        match reading.next().await {
            Told::Heartbeat(_) => {}
            Told::Error(error) => break error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((ended.subscription, ended.error.unwrap().reason()), (3, Reason::UnknownTopicId));
}

#[tokio::test]
async fn streams_end_when_the_broker_stops_and_what_was_taken_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let (mut stream, _) = Producing::open(&mut clients, v1::Acks::All).await;
    let mut reading = Reading::open(&mut clients, u64::MAX).await;
    stream.send(0, batch(&[b"x"], Codec::None)).await;
    stream.result(&mut 0).await.1.unwrap();
    running.stop().await.unwrap();
    assert_eq!(stream.responses.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    let end = loop {
        match reading.responses.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), tonic::Code::Unavailable);
}
