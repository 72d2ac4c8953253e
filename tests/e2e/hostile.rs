//! Clients that say nothing, nonsense, or too much: others are served, nothing changes.

use std::io::{Read, Write};
use std::net::TcpStream;

use caudal_proto::v1::{
    CreateTopicsRequest, FetchFormat, FetchItem, FetchRequest, NewTopic, OffsetAnchor, ProduceItem,
    ProduceRequest, TopicRef, topic_ref,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tonic::Code;

use crate::api::{Api, Stage, named};

/// Silent connections; the descriptors of both ends must fit what the system allows.
const SILENT: usize = 10_000;

/// What they may cost the broker meanwhile: a third of what the buffers of as many HTTP/2 connections would take.
const SILENT_BYTES_MAX: u64 = 40 << 20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn still_serves(stage: &Stage) {
    let before = stage.api.offset("t", 0, OffsetAnchor::End).await;
    assert_eq!(stage.api.send_values("t", 0, &["x"]).await.base_offset, before);
}

/// Raises this process's limit of open files as far as it may; says how many silent connections fit.
fn silent_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("up to the hard limit is allowed");
    let files = limit.maximum.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    SILENT.min(files.saturating_sub(1000))
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn connections_that_say_nothing_cost_little_keep_nobody_out_and_are_closed() {
    let stage = Stage::new().await;
    stage.api.create("t", 1, &[]).await;
    still_serves(&stage).await;
    let (memory, files) = (stage.broker.memory(), open_files(stage.broker.pid()));
    let count = silent_connections();
    let silent: Vec<TcpStream> = (0..count)
        .map(|_| TcpStream::connect(stage.broker.address()).expect("it takes connections"))
        .collect();
    while open_files(stage.broker.pid()) < files + count {
        tokio::task::yield_now().await;
    }
    let grown = stage.broker.memory().saturating_sub(memory);
    assert!(grown < SILENT_BYTES_MAX, "{count} silent connections cost {grown} bytes");
    // One that comes later is served too.
    let late = Api::connect(&stage.broker).await;
    let receipt = late.send_values("t", 0, &["late"]).await;
    let fetched = late.fetch_now("t", 0, receipt.base_offset, FetchFormat::Batches).await;
    assert_eq!(fetched.high_watermark, receipt.base_offset + 1);
    still_serves(&stage).await;
    for mut stream in silent {
        let said = stream.read(&mut [0; 1]).unwrap_or(0);
        assert_eq!(said, 0, "the broker answers only who speaks");
    }
    while open_files(stage.broker.pid()) > files + 100 {
        tokio::task::yield_now().await;
    }
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
