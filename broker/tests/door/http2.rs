//! Bytes that are no HTTP/2, no gRPC or no protobuf: the one who sent them is told or cut off, others are served.

use caudal_proto::batch::Codec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::broker::{Broker, batch};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const GOAWAY: u8 = 7;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// Header fields as literals, never indexed.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// A gRPC call on stream 1 with the bytes of its body.
fn call(path: &str, body: &[u8]) -> Vec<u8> {
    let fields = fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]);
    [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, 4, 1, &fields), &frame(DATA, 1, 1, body)].concat()
}

/// Sends bytes and reads what comes until the end of the connection, or of stream 1.
async fn answer(running: &Broker, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    // A broker that has heard enough may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        received.extend_from_slice(&buffer[..count]);
        if ended(&received) {
            break;
        }
    }
    received
}

/// Whether the frames end stream 1 or the connection.
fn ended(mut bytes: &[u8]) -> bool {
    while let [a, b, c, kind, flags, _, _, _, stream, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if *kind == GOAWAY || (*stream == 1 && *kind <= HEADERS && flags & 1 == 1) {
            return rest.len() >= length;
        }
        bytes = rest.get(length..).unwrap_or_default();
    }
    false
}

/// `grpc-status` in the coding of header names.
const GRPC_STATUS: [u8; 8] = [154, 202, 200, 178, 18, 52, 218, 143];

/// Whether the answer has a gRPC status.
fn has_status(received: &[u8]) -> bool {
    received.windows(GRPC_STATUS.len()).any(|window| window == GRPC_STATUS)
}

#[tokio::test]
async fn nonsense_ends_its_own_connection_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let many: Vec<u8> = (0u32..20_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let cases: [Vec<u8>; 7] = [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        many.clone(),
        [PREFACE, &many].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[]), &[0xff; 9][..]].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[1, 2, 3])].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, 4, 1, &[0xff; 300])].concat(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(DATA, 0, 5, b"no such stream")].concat(),
    ];
    for bytes in cases {
        let received = answer(&running, &bytes).await;
        assert!(received.len() < 1000, "{received:?}");
        clients.produce("t", batch(&[b"x"], Codec::None)).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_is_no_message_gets_a_status() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let produce = "/caudal.v1.ProduceService/Produce";
    let stream = "/caudal.v1.ProduceService/ProduceStream";
    let claims_gigabytes = [&[0, 0xff, 0xff, 0xff, 0xff][..], &[7; 18]].concat();
    let no_protobuf = [&[0, 0, 0, 0, 18][..], &[0xff; 18]].concat();
    let lies_within = [&[0, 0, 0, 0, 7][..], &[0x12, 0xff, 0xff, 0xff, 0xff, 0x07, 0]].concat();
    let compressed = [&[1, 0, 0, 0, 3][..], b"abc"].concat();
    for path in [produce, stream] {
        for body in [&claims_gigabytes, &no_protobuf, &lies_within, &compressed, &vec![0, 0]] {
            let received = answer(&running, &call(path, body)).await;
            assert!(has_status(&received), "{path} {body:?}: {received:?}");
        }
    }
    let received = answer(&running, &call("/caudal.v1.Nothing/AtAll", &[0; 5])).await;
    assert!(has_status(&received), "{received:?}");
    assert_eq!(clients.produce("t", batch(&[b"x"], Codec::None)).await.unwrap().base_offset, 0);
}
