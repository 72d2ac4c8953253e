//! Sequences of idempotent writes, as Kafka counts them. Pure.

use bytes::{Bytes, BytesMut};
use caudal_proto::batch::Producer;

/// Where a batch's checksum stands, what it covers, and where the producer's fields stand: `FORMAT.md` has them all.
const CRC: std::ops::Range<usize> = 17..21;
const CHECKED_FROM: usize = 21;
const PRODUCER_ID: std::ops::Range<usize> = 43..51;
const PRODUCER_EPOCH: std::ops::Range<usize> = 51..53;
const BASE_SEQUENCE: std::ops::Range<usize> = 53..57;

/// Who writes: given by the cluster, never twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

impl Identity {
    /// The producer fields of a batch that begins at `sequence`.
    pub(crate) fn at(self, sequence: i32) -> Producer {
        Producer { id: self.id, epoch: self.epoch, sequence }
    }
}

/// The sequence after `count` more records: after `i32::MAX` comes 0.
pub(crate) fn advance(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}

/// The same records as another producer, or at another sequence.
pub(crate) fn restamp(batch: &Bytes, producer: Producer) -> Bytes {
    let mut bytes = BytesMut::from(batch.as_ref());
    bytes[PRODUCER_ID].copy_from_slice(&producer.id.to_be_bytes());
    bytes[PRODUCER_EPOCH].copy_from_slice(&producer.epoch.to_be_bytes());
    bytes[BASE_SEQUENCE].copy_from_slice(&producer.sequence.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CHECKED_FROM..]);
    bytes[CRC].copy_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use caudal_proto::batch::{Builder, Codec, check, records};

    use super::*;

    #[test]
    fn sequences_wrap_to_zero_as_kafkas_do() {
        // DefaultRecordBatch.incrementSequence: `increment - (MAX - sequence) - 1` past the end.
        assert_eq!(advance(0, 5), 5);
        assert_eq!(advance(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(advance(i32::MAX, 1), 0);
        assert_eq!(advance(i32::MAX - 2, 10), 10 - 2 - 1);
    }

    #[test]
    fn a_restamped_batch_is_whole_and_differs_only_in_its_producer() {
        for codec in [Codec::None, Codec::Lz4] {
            let mut builder = Builder::new();
            for _ in 0..50 {
                builder.push(7, Some(b"key"), Some(b"value, value, value"), []).unwrap();
            }
            let before = builder.finish(codec, Some(Producer { id: 1, epoch: 0, sequence: 3 })).unwrap();
            let after = restamp(&before, Producer { id: 1 << 40, epoch: 9, sequence: 77 });
            let header = check(&after).unwrap();
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (1 << 40, 9, 77));
            let read = |batch| records(batch, 1 << 20).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
            assert_eq!(read(&before), read(&after));
        }
    }
}
