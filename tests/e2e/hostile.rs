//! Clients that say nothing, nonsense, or too much: others are served, nothing changes.

use std::io::{Read, Write};
use std::net::TcpStream;

use caudal_proto::v1::{
    CreateTopicsRequest, FetchItem, FetchRequest, NewTopic, OffsetAnchor, ProduceItem, ProduceRequest,
    TopicRef, topic_ref,
};
use tonic::Code;

use crate::api::{Stage, named};

/// Silent connections; the descriptors of both ends must fit what the system allows.
const SILENT: usize = 10_000;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn still_serves(stage: &Stage) {
    let before = stage.api.offset("t", 0, OffsetAnchor::End).await;
    assert_eq!(stage.api.send_values("t", 0, &["x"]).await.base_offset, before);
}

#[tokio::test]
async fn connections_that_say_nothing() {
    let stage = Stage::new().await;
    stage.api.create("t", 1, &[]).await;
    let limit = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files: usize = limit
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
        .expect("the limit of open files is there");
    let count = SILENT.min(files.saturating_sub(200));
    let silent: Vec<TcpStream> = (0..count)
        .map(|_| TcpStream::connect(stage.broker.address()).expect("it takes connections"))
        .collect();
    still_serves(&stage).await;
    drop(silent);
    still_serves(&stage).await;
}

#[tokio::test]
async fn bytes_that_are_no_http2() {
    let stage = Stage::new().await;
    stage.api.create("t", 1, &[]).await;
    // A frame that says it is 16 MiB long; settings of an odd length; a reserved stream; headers that are no headers.
    let frames: [&[u8]; 5] = [
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        b"\x00\x00\x05\x04\x00\x00\x00\x00\x00abcde",
        b"\x00\x00\x04\x00\x00\x00\x00\x00\x00abcd",
        b"\x00\x00\x04\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff",
        b"\x00\x00\x00\x09\x00\x00\x00\x00\x01",
    ];
    let mut said: Vec<Vec<u8>> = frames.iter().map(|f| [PREFACE, f].concat()).collect();
    said.push(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    said.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec());
    said.push((0..=255).cycle().take(100_000).collect());
    for bytes in said {
        let mut socket = TcpStream::connect(stage.broker.address()).unwrap();
        // It may close before all is written.
        let _closed = socket.write_all(&bytes);
        let _closed = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _closed = socket.read_to_end(&mut answer);
        still_serves(&stage).await;
    }
}

/// Calls a method with any bytes as its message.
async fn call(stage: &Stage, path: &'static str, message: Vec<u8>) -> tonic::Status {
    let endpoint = tonic::transport::Channel::from_shared(stage.broker.uri()).unwrap();
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
    let answer = grpc.unary(tonic::Request::new(message), path, Raw).await;
    match answer {
        Ok(response) => panic!("{path:?}", path = response.into_inner()),
        Err(status) => status,
    }
}

/// A codec that sends bytes as they are.
#[derive(Clone, Default)]
struct Raw;

impl tonic::codec::Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;
    fn encoder(&mut self) -> Raw {
        Raw
    }
    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl tonic::codec::Encoder for Raw {
    type Item = Vec<u8>;
    type Error = tonic::Status;
    fn encode(&mut self, item: Vec<u8>, to: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), tonic::Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Raw {
    type Item = Vec<u8>;
    type Error = tonic::Status;
    fn decode(&mut self, from: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<Vec<u8>>, tonic::Status> {
        Ok(Some(bytes::Buf::copy_to_bytes(from, bytes::Buf::remaining(from)).to_vec()))
    }
}

#[tokio::test]
async fn messages_that_are_no_protobuf_and_methods_that_are_not_there() {
    let stage = Stage::new().await;
    stage.api.create("t", 1, &[]).await;
    let nonsense: [Vec<u8>; 3] = [
        vec![0xff; 100],
        // A field that says it is 2 GiB long.
        vec![0x12, 0xff, 0xff, 0xff, 0xff, 0x07],
        // Groups within groups.
        vec![0x0b; 10_000],
    ];
    for message in nonsense {
        let status = call(&stage, "/caudal.v1.ProduceService/Produce", message).await;
        assert!(matches!(status.code(), Code::Internal | Code::InvalidArgument), "{status}");
        still_serves(&stage).await;
    }
    let status = call(&stage, "/caudal.v1.ProduceService/Forget", Vec::new()).await;
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    let status = call(&stage, "/caudal.v1.TopicService/CreateTopics", vec![0; 65 << 20]).await;
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument),
        "{status}"
    );
    still_serves(&stage).await;
}

#[tokio::test]
async fn requests_with_more_parts_than_the_limit() {
    let stage = Stage::new().await;
    stage.api.create("t", 1, &[]).await;
    let item = ProduceItem { topic: Some(named("t")), partition: Some(0), data: None };
    let many = ProduceRequest { acks: 0, items: vec![item; 10_001] };
    let status = stage.api.produce.clone().produce(many).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let item = FetchItem { topic: Some(named("t")), partition: Some(0), ..Default::default() };
    let many = FetchRequest { items: vec![item; 10_001], ..Default::default() };
    let status = stage.api.fetch.clone().fetch(many).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let topic = NewTopic { name: "u".to_owned(), ..Default::default() };
    let many = CreateTopicsRequest { topics: vec![topic; 10_001], ..Default::default() };
    let status = stage.api.topics.clone().create_topics(many).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    still_serves(&stage).await;
}

#[tokio::test]
async fn topic_ids_that_are_none() {
    let stage = Stage::new().await;
    stage.api.create("t", 1, &[]).await;
    for id in [vec![], vec![1; 15], vec![1; 17], vec![0; 1000], vec![7; 16]] {
        let topic = Some(TopicRef { topic: Some(topic_ref::Topic::Id(id.clone().into())) });
        let request = FetchRequest {
            items: vec![FetchItem { topic, partition: Some(0), ..Default::default() }],
            ..Default::default()
        };
        let result = stage.api.fetch.clone().fetch(request).await.unwrap().into_inner().results.remove(0);
        let wanted = if id.len() == 16 { "UNKNOWN_TOPIC_ID" } else { "INVALID_ARGUMENT" };
        assert_eq!(crate::api::reason(&result.error).as_str_name(), wanted, "{} bytes", id.len());
    }
}
