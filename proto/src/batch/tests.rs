//! What the tests of the codec share.

mod hostile;
mod lies;
mod round_trip;
mod vectors;

use bytes::Bytes;

use super::*;

/// A record as the tests write it: offset, timestamp, key, value, headers.
type Plain = (i64, i64, Option<Bytes>, Option<Bytes>, Vec<(Bytes, Option<Bytes>)>);

const INFLATE_MAX: usize = 1 << 24;

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn some(value: &str) -> Option<Bytes> {
    Some(text(value))
}

/// The records of a batch that has no lie in it.
fn read(batch: &Bytes) -> Vec<Plain> {
    let plain = |record: Record| {
        (record.offset, record.timestamp, record.key, record.value, record.headers.iter().collect())
    };
    records(batch, INFLATE_MAX).unwrap().map(|record| plain(record.unwrap())).collect()
}

/// Makes length and checksum true again, so that a lie behind them is what is found.
fn seal(batch: &mut [u8]) {
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}
