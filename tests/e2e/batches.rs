//! Batches that lie: each is refused by name, nothing of it is stored, and the next good one is taken.

use bytes::Bytes;
use caudal_proto::batch::{Builder, Codec, HEADER_BYTES, Producer};
use caudal_proto::v1::{OffsetAnchor, Reason};

use crate::api::Stage;

const TOPIC: &str = "lies";

/// A timestamp of no interest, in the past.
pub(crate) const WHEN: i64 = 1_700_000_000_000;

/// A batch of these values, without a producer.
pub(crate) fn batch(values: &[&[u8]], codec: Codec) -> Bytes {
    let mut builder = Builder::new();
    for value in values {
        builder.push(WHEN, None, Some(value), []).expect("a small record fits");
    }
    builder.finish(codec, None).expect("a small batch can be made")
}

/// The batch with other bytes at a place, and a checksum that fits them.
fn forged(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut forged = batch.to_vec();
    forged[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c(&forged[21..]);
    forged[17..21].copy_from_slice(&crc.to_be_bytes());
    forged.into()
}

/// CRC-32C, bit by bit: the test's own, so that a wrong one in the code under test shows.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

// Where the header's fields lie.
const LENGTH: usize = 8;
const MAGIC: usize = 16;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const MAX_TIMESTAMP: usize = 35;
const PRODUCER_ID: usize = 43;
const COUNT: usize = 57;

/// A batch of a producer, marked as part of a transaction.
fn transactional() -> Bytes {
    let mut builder = Builder::new();
    builder.push(WHEN, None, Some(b"x"), []).expect("a small record fits");
    let producer = Producer { id: 7, epoch: 0, sequence: 0 };
    let batch = builder.finish(Codec::None, Some(producer)).expect("a small batch can be made");
    forged(&batch, ATTRIBUTES, &0x10_i16.to_be_bytes())
}

/// What is sent, and why it must be refused.
fn lies() -> Vec<(&'static str, Bytes, Reason)> {
    let good = batch(&[b"one", b"two"], Codec::None);
    let plus = |at: usize, bytes: &[u8]| forged(&good, at, bytes);
    let mut flipped = good.to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let mut twice = good.to_vec();
    twice.extend_from_slice(&good);
    let longer = (good.len() as i32 - 12 + 1).to_be_bytes();
    vec![
        ("nothing at all", Bytes::new(), Reason::CorruptBatch),
        (
            "18 bytes that claim gigabytes",
            plus(LENGTH, &i32::MAX.to_be_bytes()).slice(..18),
            Reason::CorruptBatch,
        ),
        ("half a header", good.slice(..HEADER_BYTES / 2), Reason::CorruptBatch),
        ("a header without records", good.slice(..HEADER_BYTES), Reason::CorruptBatch),
        ("one byte short", good.slice(..good.len() - 1), Reason::CorruptBatch),
        ("two batches", twice.into(), Reason::CorruptBatch),
        ("a flipped bit", flipped.into(), Reason::CorruptBatch),
        ("another checksum", plus(CRC, &[0; 4]).slice(..).replaced(CRC, &[0; 4]), Reason::CorruptBatch),
        ("a length of one more", plus(LENGTH, &longer), Reason::CorruptBatch),
        ("a length of two gigabytes", plus(LENGTH, &i32::MAX.to_be_bytes()), Reason::CorruptBatch),
        ("a negative length", plus(LENGTH, &(-1_i32).to_be_bytes()), Reason::CorruptBatch),
        ("magic 1", plus(MAGIC, &[1]), Reason::UnsupportedBatchFormat),
        ("magic 3", plus(MAGIC, &[3]), Reason::UnsupportedBatchFormat),
        ("codec 5", plus(ATTRIBUTES, &5_i16.to_be_bytes()), Reason::UnsupportedCodec),
        ("codec 7", plus(ATTRIBUTES, &7_i16.to_be_bytes()), Reason::UnsupportedCodec),
        ("attributes of tomorrow", plus(ATTRIBUTES, &0x100_i16.to_be_bytes()), Reason::CorruptBatch),
        ("a transactional batch", transactional(), Reason::TransactionsUnsupported),
        ("a control batch", plus(ATTRIBUTES, &0x20_i16.to_be_bytes()), Reason::TransactionsUnsupported),
        ("no records", plus(COUNT, &0_i32.to_be_bytes()), Reason::InvalidRecordCount),
        ("a negative count", plus(COUNT, &(-5_i32).to_be_bytes()), Reason::InvalidRecordCount),
        ("two billion records", plus(COUNT, &i32::MAX.to_be_bytes()), Reason::InvalidRecordCount),
        (
            "three offsets, two records",
            plus(LAST_OFFSET_DELTA, &2_i32.to_be_bytes()),
            Reason::InvalidRecordCount,
        ),
        ("an end before the start", plus(MAX_TIMESTAMP, &1_i64.to_be_bytes()), Reason::InvalidTimestamp),
        ("the year 292278994", plus(MAX_TIMESTAMP, &i64::MAX.to_be_bytes()), Reason::InvalidTimestamp),
        ("a producer without a sequence", plus(PRODUCER_ID, &7_i64.to_be_bytes()), Reason::CorruptBatch),
    ]
}

trait Replaced {
    fn replaced(self, at: usize, bytes: &[u8]) -> Bytes;
}

impl Replaced for Bytes {
    /// Other bytes at a place; the checksum stays.
    fn replaced(self, at: usize, bytes: &[u8]) -> Bytes {
        let mut out = self.to_vec();
        out[at..at + bytes.len()].copy_from_slice(bytes);
        out.into()
    }
}

#[tokio::test]
async fn every_lie_is_refused_by_name_and_leaves_nothing() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    for (what, bytes, reason) in lies() {
        let refused = stage.api.send_batch(TOPIC, 0, bytes).await.expect_err(what);
        assert_eq!(refused.reason, reason, "{what}: {}", refused.message);
        assert!(!refused.retriable, "{what}: sending it again cannot help");
        assert_eq!(stage.api.offset(TOPIC, 0, OffsetAnchor::End).await, 0, "{what}");
    }
    assert!(stage.broker.memory() < 200 << 20, "{} bytes of memory", stage.broker.memory());
    let receipt = stage.api.send_batch(TOPIC, 0, batch(&[b"one", b"two"], Codec::None)).await.unwrap();
    assert_eq!((receipt.base_offset, receipt.last_offset), (0, 1));
}

#[tokio::test]
async fn each_codec_goes_through_untouched() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    let value = [b'v'; 2000];
    for (at, codec) in Codec::ALL.into_iter().enumerate() {
        let sent = batch(&[&value, b"last"], codec);
        let receipt = stage.api.send_batch(TOPIC, 0, sent.clone()).await.unwrap();
        assert_eq!(receipt.base_offset, at as i64 * 2);
        let result = stage.api.fetch_now(TOPIC, 0, receipt.base_offset, v1_batches()).await;
        // Base offset and leader epoch are the broker's; everything else is the producer's.
        let mut wanted = sent.to_vec();
        wanted[..8].copy_from_slice(&receipt.base_offset.to_be_bytes());
        wanted[12..16].copy_from_slice(&receipt.term.to_be_bytes());
        assert_eq!(result.batches, [wanted], "{codec}");
    }
    assert_eq!(stage.api.read_all(TOPIC, 0).await.len(), Codec::ALL.len() * 2);
}

fn v1_batches() -> caudal_proto::v1::FetchFormat {
    caudal_proto::v1::FetchFormat::Batches
}

#[tokio::test]
async fn a_batch_above_the_topics_limit_is_refused_with_both_sizes() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[("max.message.bytes", "1000")]).await;
    let big = batch(&[&[b'x'; 1000]], Codec::None);
    let refused = stage.api.send_batch(TOPIC, 0, big.clone()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::MessageTooLarge, "{}", refused.message);
    assert_eq!(refused.metadata["limit"], "1000");
    assert_eq!(refused.metadata["size"], big.len().to_string());
    stage.api.send_batch(TOPIC, 0, batch(&[b"small"], Codec::None)).await.unwrap();
}

#[tokio::test]
async fn a_bomb_is_stored_as_it_is_and_never_inflated_beyond_the_cap() {
    let stage = Stage::new().await;
    stage.api.create(TOPIC, 1, &[]).await;
    // 256 MiB of zeros in a few hundred kilobytes.
    let zeros = vec![0; 16 << 20];
    let bomb = batch(&[zeros.as_slice(); 16], Codec::Gzip);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    stage.api.send_batch(TOPIC, 0, bomb).await.unwrap();
    let result = stage.api.fetch_now(TOPIC, 0, 0, caudal_proto::v1::FetchFormat::Records).await;
    assert_eq!(crate::api::reason(&result.error), Reason::BatchInflatesTooLarge);
    let result = stage.api.fetch_now(TOPIC, 0, 0, v1_batches()).await;
    assert_eq!((result.error, result.batches.len()), (None, 1));
    assert!(stage.broker.memory() < 250 << 20, "{} bytes of memory", stage.broker.memory());
}
