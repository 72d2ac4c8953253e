//! Batches of a given size.

use bytes::Bytes;
use caudal_proto::batch::{Builder, Codec, HEADER_BYTES};

/// Bytes that a record of one value below 8 KiB takes beside the value: length, attributes, deltas and sizes.
const RECORD_OVERHEAD_BYTES: usize = 10;

/// An uncompressed batch of `count` records, each with a value of `value_bytes`.
fn batch(count: usize, value_bytes: usize) -> Bytes {
    let value = vec![b'v'; value_bytes];
    let mut builder = Builder::with_capacity(HEADER_BYTES + count * (value_bytes + RECORD_OVERHEAD_BYTES));
    for n in 0..count {
        builder.push(1_700_000_000_000 + n as i64, None, Some(&value), []).expect("the batch fits");
    }
    builder.finish(Codec::None, None).expect("a batch of records is made")
}

/// A batch of about `bytes`, of records with values of 1 KiB, or of one record where that is too much.
pub(crate) fn batch_of_bytes(bytes: usize) -> Bytes {
    let value = (bytes - HEADER_BYTES - RECORD_OVERHEAD_BYTES).min(1024);
    batch(((bytes - HEADER_BYTES) / (value + RECORD_OVERHEAD_BYTES)).max(1), value)
}
