//! Batches that lie, and bytes that are no batch: refused each with its reason, and the log stays as it was.

use bytes::{Bytes, BytesMut};
use caudal_proto::batch::Codec;
use caudal_proto::v1::{self, Reason};

use crate::broker::{Broker, batch, values};

/// A good batch with some bytes changed, and its checksum made good again.
fn lying(change: impl Fn(&mut [u8])) -> Bytes {
    let mut bytes = BytesMut::from(&batch(&[b"a", b"b"], Codec::None)[..]);
    change(&mut bytes);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

#[tokio::test]
async fn a_batch_that_lies_is_refused_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let good = batch(&[b"a", b"b"], Codec::None);
    let mut bad_checksum = BytesMut::from(&good[..]);
    bad_checksum[61] ^= 1;
    let cases = [
        ("no bytes", Bytes::new(), Reason::CorruptBatch),
        (
            "18 bytes that claim gigabytes",
            Bytes::from_static(b"\0\0\0\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0\x02\x7f"),
            Reason::CorruptBatch,
        ),
        ("cut short", good.slice(..good.len() - 1), Reason::CorruptBatch),
        ("two batches", [&good[..], &good[..]].concat().into(), Reason::CorruptBatch),
        ("checksum", bad_checksum.freeze(), Reason::CorruptBatch),
        ("length", lying(|b| b[8..12].copy_from_slice(&i32::MAX.to_be_bytes())), Reason::CorruptBatch),
        ("magic", lying(|b| b[16] = 1), Reason::UnsupportedBatchFormat),
        ("codec", lying(|b| b[22] = 5), Reason::UnsupportedCodec),
        ("empty", lying(|b| b[57..61].fill(0)), Reason::InvalidRecordCount),
        ("count", lying(|b| b[57..61].copy_from_slice(&9i32.to_be_bytes())), Reason::InvalidRecordCount),
        ("control", lying(|b| b[22] |= 0x20), Reason::TransactionsUnsupported),
        (
            "from 2300",
            lying(|b| b[35..43].copy_from_slice(&10_413_792_000_000_i64.to_be_bytes())),
            Reason::InvalidTimestamp,
        ),
    ];
    for (what, bytes, reason) in cases {
        let error = clients.produce("t", bytes).await.expect_err(what);
        assert_eq!(error.reason(), reason, "{what}: {}", error.message);
        assert!(!error.retriable, "{what}");
    }
    assert_eq!(clients.fetch("t", 0, v1::FetchFormat::Batches).await.high_watermark, 0);
    assert_eq!(clients.produce("t", good).await.unwrap().base_offset, 0);
}

#[tokio::test]
async fn compressed_batches_come_back_as_they_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    for (offset, codec) in
        [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd].into_iter().enumerate()
    {
        let sent = batch(&[b"compressible compressible compressible"], codec);
        clients.produce("t", sent.clone()).await.unwrap();
        let fetched = clients.fetch("t", offset as i64, v1::FetchFormat::Batches).await;
        // All but the offset and the epoch, which the broker stamps outside the checksum.
        assert_eq!(fetched.batches[0][16..], sent[16..], "{codec:?}");
        let records = clients.fetch("t", offset as i64, v1::FetchFormat::Records).await;
        assert_eq!(values(&records), ["compressible compressible compressible"], "{codec:?}");
    }
}

#[tokio::test]
async fn a_bomb_is_stored_as_it_is_and_never_inflated_beyond_the_cap() {
    let folder = tempfile::tempdir().unwrap();
    let running = Broker::start(folder.path());
    let mut clients = running.clients().await;
    clients.create("t", 1, &[]).await;
    let bomb = batch(&[&vec![0; 80 << 20]], Codec::Zstd);
    clients.produce("t", bomb).await.unwrap();
    clients.produce("t", batch(&[b"after"], Codec::None)).await.unwrap();
    let error = clients.fetch("t", 0, v1::FetchFormat::Records).await.error.unwrap();
    assert_eq!(error.reason(), Reason::BatchInflatesTooLarge);
    assert_eq!(clients.fetch("t", 0, v1::FetchFormat::Batches).await.batches.len(), 2);
    assert_eq!(values(&clients.fetch("t", 1, v1::FetchFormat::Records).await), ["after"]);
}
