//! Clients that misbehave in numbers or by silence: others are served.

use std::net::TcpStream;

use caudal_proto::batch::Codec;
use caudal_proto::v1;
use tokio::io::AsyncReadExt;
use tokio_stream::StreamExt;

use crate::broker::{Broker, batch, named, values};

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out_and_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(running.address()).unwrap()).collect();
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    clients.produce("t", batch(&[b"x"], Codec::None)).await.unwrap();
    for stream in silent {
        stream.set_nonblocking(true).unwrap();
        let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
        assert_eq!(received, [], "the server answers only who speaks");
    }
    clients.produce("t", batch(&[b"y"], Codec::None)).await.unwrap();
}

#[tokio::test]
async fn a_client_that_vanishes_in_the_middle_of_a_stream_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    for _ in 0..20 {
        let mut vanishing = running.clients().await;
        let open = v1::ProduceOpen::default();
        let open = v1::produce_stream_request::Message::Open(open);
        let sends = (1..=50).map(|sequence| {
            let batch = batch(&[&[1; 10_000]], Codec::None);
            let send = v1::ProduceSend { sequence, topic: named("t"), partition: Some(0), batch };
            v1::produce_stream_request::Message::Send(send)
        });
        let messages = std::iter::once(open).chain(sends);
        let requests = messages.map(|message| v1::ProduceStreamRequest { message: Some(message) });
        let requests: Vec<_> = requests.collect();
        let mut responses =
            vanishing.produce.produce_stream(tokio_stream::iter(requests)).await.unwrap().into_inner();
        responses.message().await.unwrap();
    }
    let end = clients.fetch("t", 0, v1::FetchFormat::Batches).await.high_watermark;
    let receipt = clients.produce("t", batch(&[b"last"], Codec::None)).await.unwrap();
    assert!(receipt.base_offset >= end);
    assert_eq!(values(&clients.fetch("t", receipt.base_offset, v1::FetchFormat::Records).await), ["last"]);
}

#[tokio::test]
async fn clients_that_never_read_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let large = batch(&[&vec![1; 1_000_000]], Codec::None);
    for _ in 0..40 {
        clients.produce("t", large.clone()).await.unwrap();
    }
    let mut deaf = Vec::new();
    for _ in 0..10 {
        let mut clients = running.clients().await;
        let open = v1::FetchOpen { credit_bytes: u64::MAX, ..Default::default() };
        let subscribe = v1::FetchSubscribe { topic: named("t"), partition: Some(0), ..Default::default() };
        let requests = [
            v1::fetch_stream_request::Message::Open(open),
            v1::fetch_stream_request::Message::Subscribe(subscribe),
        ];
        let requests = requests.map(|message| v1::FetchStreamRequest { message: Some(message) });
        let requests = tokio_stream::iter(requests).chain(tokio_stream::pending());
        deaf.push(clients.fetch.fetch_stream(requests).await.unwrap().into_inner());
    }
    for offset in 0..40 {
        assert!(!clients.fetch("t", offset, v1::FetchFormat::Batches).await.batches.is_empty());
    }
    clients.produce("t", large).await.unwrap();
}
