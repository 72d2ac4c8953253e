//! The two streams: answers in order, windows and credit, seek, pause, heartbeats; clients that vanish or never read.

use caudal_proto::batch::{Codec, Header};
use caudal_proto::v1::fetch_stream_request::Message as Ask;
use caudal_proto::v1::fetch_stream_response::Message as Told;
use caudal_proto::v1::produce_stream_request::Message as Send;
use caudal_proto::v1::produce_stream_response::Message as Answer;
use caudal_proto::v1::{
    Acks, FetchCredit, FetchOpen, FetchPause, FetchResume, FetchSeek, FetchStreamRequest, FetchSubscribe,
    OffsetAnchor, ProduceOpen, ProduceSend, ProduceStreamRequest, Reason, produce_send_result,
};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::api::{Api, Stage, named};
use crate::batches::batch;

const TOPIC: &str = "streams";

/// The two ends of a produce stream that is open.
async fn produce_stream(
    api: &Api,
    acks: Acks,
) -> (Sender<ProduceStreamRequest>, Streaming<caudal_proto::v1::ProduceStreamResponse>) {
    let (to, from) = channel(64);
    let open = ProduceStreamRequest { message: Some(Send::Open(ProduceOpen { acks: acks as i32 })) };
    to.send(open).await.unwrap();
    let mut answers =
        api.produce.clone().produce_stream(ReceiverStream::new(from)).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().and_then(|m| m.message);
    assert!(matches!(&first, Some(Answer::Opened(o)) if o.window_bytes > 0 && o.shards > 0), "{first:?}");
    (to, answers)
}

fn send(sequence: u64, topic: &str, values: &[&[u8]]) -> ProduceStreamRequest {
    let batch = batch(values, Codec::None);
    let send = ProduceSend { sequence, topic: Some(named(topic)), partition: Some(0), batch };
    ProduceStreamRequest { message: Some(Send::Send(send)) }
}

#[tokio::test]
async fn answers_come_in_order_and_an_error_ends_nothing_else() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let (to, mut answers) = produce_stream(&stage.api, Acks::All).await;
    for sequence in 1..=20 {
        let topic = if sequence == 7 { "nowhere" } else { TOPIC };
        to.send(send(sequence, topic, &[b"x"])).await.unwrap();
    }
    drop(to);
    let (mut offsets, mut errors) = (Vec::new(), Vec::new());
    while let Some(answer) = answers.message().await.unwrap() {
        match answer.message.expect("a message") {
            Answer::Result(r) => match r.result.expect("a result") {
                produce_send_result::Result::Receipt(receipt) => {
                    offsets.push((r.sequence, receipt.base_offset))
                }
                produce_send_result::Result::Error(error) => errors.push((r.sequence, error.reason())),
            },
            Answer::Window(_) => {}
            Answer::Opened(_) => panic!("opened twice"),
        }
    }
    let wanted: Vec<(u64, i64)> = (1..=20).filter(|s| *s != 7).zip(0..).collect();
    assert_eq!(offsets, wanted);
    assert_eq!(errors, [(7, Reason::UnknownTopic)]);
}

#[tokio::test]
async fn the_window_is_granted_again_as_answers_come() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let (to, from) = channel(1);
    let open = ProduceStreamRequest { message: Some(Send::Open(ProduceOpen { acks: Acks::All as i32 })) };
    to.send(open).await.unwrap();
    let mut answers =
        stage.api.produce.clone().produce_stream(ReceiverStream::new(from)).await.unwrap().into_inner();
    let value = vec![b'x'; 900_000];
    let size = batch(&[&value], Codec::None).len() as u64;
    let (mut window, mut sent, mut answered) = (0, 0, 0);
    // More than twice the first window; a stream that did not grant would never come to its end.
    while answered < 60 {
        while sent < 60 && window >= size {
            sent += 1;
            window -= size;
            to.send(send(sent, TOPIC, &[&value])).await.unwrap();
        }
        match answers.message().await.unwrap().and_then(|m| m.message).expect("the stream goes on") {
            Answer::Opened(opened) => window = opened.window_bytes,
            Answer::Window(granted) => window += granted.bytes,
            Answer::Result(result) => {
                assert!(matches!(result.result, Some(produce_send_result::Result::Receipt(_))), "{result:?}");
                answered += 1;
            }
        }
    }
    assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::End).await, 60);
}

#[tokio::test]
async fn a_stream_that_skips_a_sequence_or_does_not_open_is_refused() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let (to, mut answers) = produce_stream(&stage.api, Acks::All).await;
    to.send(send(2, TOPIC, &[b"x"])).await.unwrap();
    let status = answers.message().await.expect_err("sequence 1 was left out");
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");

    let (to, from) = channel(1);
    to.send(send(1, TOPIC, &[b"x"])).await.unwrap();
    let refused = match stage.api.produce.clone().produce_stream(ReceiverStream::new(from)).await {
        Ok(answers) => answers.into_inner().message().await.map(|_| ()),
        Err(status) => Err(status),
    };
    assert_eq!(refused.expect_err("no open came first").code(), tonic::Code::InvalidArgument);
    assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::End).await, 0);
}

#[tokio::test]
async fn a_producer_that_vanishes_leaves_whole_batches() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    for _ in 0..20 {
        let api = Api::connect(&stage.broker).await;
        let (to, answers) = produce_stream(&api, Acks::All).await;
        for sequence in 1..=5 {
            to.send(send(sequence, TOPIC, &[b"a", b"b", b"c"])).await.unwrap();
        }
        drop((to, answers, api));
    }
    // One more, answered: all before it on its partition are decided.
    stage.api.send_values(TOPIC, 0, &["last"]).await;
    let all = stage.api.read_all(TOPIC, 0).await;
    let values: Vec<&str> = all.iter().map(|(_, value)| value.as_str()).collect();
    let (last, batches) = values.split_last().expect("there is the last");
    assert_eq!(*last, "last");
    assert!(batches.chunks(3).all(|whole| whole == ["a", "b", "c"]), "{batches:?}");
}

/// A fetch stream that is open, with so much credit.
async fn fetch_stream(
    api: &Api,
    credit_bytes: u64,
) -> (Sender<FetchStreamRequest>, Streaming<caudal_proto::v1::FetchStreamResponse>) {
    let (to, from) = channel(64);
    let open = FetchOpen { max_bytes: 0, heartbeat_ms: 100, credit_bytes };
    to.send(ask(Ask::Open(open))).await.unwrap();
    let mut told = api.fetch.clone().fetch_stream(ReceiverStream::new(from)).await.unwrap().into_inner();
    let first = told.message().await.unwrap().and_then(|m| m.message);
    assert!(matches!(first, Some(Told::Opened(_))), "{first:?}");
    (to, told)
}

fn ask(message: Ask) -> FetchStreamRequest {
    FetchStreamRequest { message: Some(message) }
}

fn subscribe(subscription: u32, topic: &str, offset: i64) -> FetchStreamRequest {
    let leader_epoch = None;
    ask(Ask::Subscribe(FetchSubscribe {
        subscription,
        topic: Some(named(topic)),
        partition: Some(0),
        offset,
        leader_epoch,
    }))
}

/// The next batches: generation and base offsets.
async fn batches(told: &mut Streaming<caudal_proto::v1::FetchStreamResponse>) -> (u32, Vec<i64>) {
    loop {
        match told.message().await.unwrap().and_then(|m| m.message).expect("the stream goes on") {
            Told::Batches(b) => {
                let bases = b.batches.iter().map(|b| Header::parse(b).expect("a batch").base_offset);
                return (b.generation, bases.collect());
            }
            Told::Heartbeat(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The next heartbeat: high watermark and place of the subscription; batches are an error.
async fn heartbeat(told: &mut Streaming<caudal_proto::v1::FetchStreamResponse>) -> (i64, i64) {
    match told.message().await.unwrap().and_then(|m| m.message).expect("the stream goes on") {
        Told::Heartbeat(beat) => (beat.tails[0].high_watermark, beat.tails[0].next_offset),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn subscribe_follow_seek_pause_and_heartbeats() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    stage.api.send_values(TOPIC, 0, &["0"]).await;
    let (to, mut told) = fetch_stream(&stage.api, 1 << 30).await;
    to.send(subscribe(1, TOPIC, 0)).await.unwrap();
    assert_eq!(batches(&mut told).await, (0, vec![0]));
    stage.api.send_values(TOPIC, 0, &["1"]).await;
    assert_eq!(batches(&mut told).await, (0, vec![1]), "it follows");
    assert_eq!(heartbeat(&mut told).await, (2, 2), "idle, it says where the tail is");

    to.send(ask(Ask::Seek(FetchSeek { subscription: 1, offset: 0, generation: 1 }))).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (generation, bases) = batches(&mut told).await;
        assert_eq!(generation, 1);
        seen.extend(bases);
    }
    assert_eq!(seen, [0, 1]);

    to.send(ask(Ask::Pause(FetchPause { subscription: 1 }))).await.unwrap();
    // The second heartbeat after the pause was sent is certainly after it was seen.
    heartbeat(&mut told).await;
    heartbeat(&mut told).await;
    stage.api.send_values(TOPIC, 0, &["2"]).await;
    while heartbeat(&mut told).await != (3, 2) {}
    to.send(ask(Ask::Resume(FetchResume { subscription: 1 }))).await.unwrap();
    assert_eq!(batches(&mut told).await, (1, vec![2]));
}

#[tokio::test]
async fn one_bad_subscription_leaves_the_others() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    stage.api.send_values(TOPIC, 0, &["0"]).await;
    let (to, mut told) = fetch_stream(&stage.api, 1 << 30).await;
    to.send(subscribe(1, "nowhere", 0)).await.unwrap();
    to.send(subscribe(2, TOPIC, 99)).await.unwrap();
    to.send(subscribe(3, TOPIC, 0)).await.unwrap();
    let (mut errors, mut read) = (Vec::new(), 0);
    while errors.len() < 2 || read < 1 {
        match told.message().await.unwrap().and_then(|m| m.message).expect("the stream goes on") {
            Told::Error(e) => errors.push((e.subscription, e.error.expect("an error").reason())),
            Told::Batches(b) => read += usize::from(b.subscription == 3),
            _ => {}
        }
    }
    errors.sort_unstable();
    assert_eq!(errors, [(1, Reason::UnknownTopic), (2, Reason::OffsetOutOfRange)]);
}

#[tokio::test]
async fn credit_bounds_what_is_sent() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    for _ in 0..10 {
        stage.api.send_batch(TOPIC, 0, batch(&[&[b'x'; 10_000]], Codec::None)).await.unwrap();
    }
    let (to, mut told) = fetch_stream(&stage.api, 1).await;
    to.send(subscribe(1, TOPIC, 0)).await.unwrap();
    assert_eq!(batches(&mut told).await, (0, vec![0]), "the last one may overdraw");
    assert_eq!(heartbeat(&mut told).await, (10, 1), "then nothing more");
    to.send(ask(Ask::Credit(FetchCredit { bytes: 1 << 20 }))).await.unwrap();
    let mut seen = 1;
    while seen < 10 {
        seen += batches(&mut told).await.1.len();
    }
}

#[tokio::test]
async fn a_reader_that_never_reads_holds_up_nobody() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let big = batch(&[&[b'x'; 900_000]], Codec::None);
    for _ in 0..40 {
        stage.api.send_batch(TOPIC, 0, big.clone()).await.unwrap();
    }
    let mut silent = Vec::new();
    for _ in 0..8 {
        let api = Api::connect(&stage.broker).await;
        let (to, told) = fetch_stream(&api, u64::MAX / 2).await;
        to.send(subscribe(1, TOPIC, 0)).await.unwrap();
        silent.push((api, to, told));
    }
    for n in 40..60 {
        assert_eq!(stage.api.send_batch(TOPIC, 0, big.clone()).await.unwrap().base_offset, n);
    }
    let (to, mut told) = fetch_stream(&stage.api, u64::MAX / 2).await;
    to.send(subscribe(1, TOPIC, 0)).await.unwrap();
    let mut seen = 0;
    while seen < 60 {
        seen += batches(&mut told).await.1.len();
    }
    assert!(stage.broker.memory() < 600 << 20, "{} bytes of memory", stage.broker.memory());
    drop(silent);
}
