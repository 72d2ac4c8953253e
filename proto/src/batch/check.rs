//! What a broker demands of a batch before it takes it, and what it writes into it.

use super::header::{CODEC_BITS, CONTROL_BIT, TRANSACTIONAL_BIT};
use super::layout::{self, RawRecord};
use super::{Codec, Error, HEADER_BYTES, Header, Lie, STAMP_BYTES};

/// Checks all that needs no topic: `bytes` are exactly one batch, of format 2, with a true checksum, a known codec,
/// no attribute that only a broker sets, at least one record, a last offset and timestamps that fit, and a
/// consistent producer. Of an uncompressed batch every record is walked; nothing is inflated, and no memory taken.
///
/// Control and transactional batches pass, and any size does: the caller knows whether it wants them.
///
/// # Errors
/// One of [`Error`] for each lie; the first that is found.
pub fn check(bytes: &[u8]) -> Result<Header, Error> {
    let header = Header::parse(bytes)?;
    header.matches(bytes)?;
    check_attributes(&header)?;
    let codec = header.codec()?;
    if header.count < 1 || header.last_offset_delta != header.count - 1 {
        return Err(Error::Count { count: header.count, last_offset_delta: header.last_offset_delta });
    }
    if header.base_timestamp > header.max_timestamp {
        return Err(Error::Timestamps { max: header.max_timestamp, found: header.base_timestamp });
    }
    check_producer(&header)?;
    if codec == Codec::None {
        check_records(&header, bytes.get(HEADER_BYTES..).unwrap_or_default())?;
    }
    Ok(header)
}

fn check_attributes(header: &Header) -> Result<(), Error> {
    let bits = header.bits() & !(CODEC_BITS | TRANSACTIONAL_BIT | CONTROL_BIT);
    if bits != 0 { Err(Error::Attributes { bits }) } else { Ok(()) }
}

/// Without a producer id, epoch and sequence mean nothing and may be anything: some clients leave them 0.
fn check_producer(header: &Header) -> Result<(), Error> {
    let fits = if header.has_producer() {
        // The marks that end a transaction have a producer and no sequence.
        header.producer_epoch >= 0 && (header.base_sequence >= 0 || header.is_control())
    } else {
        header.producer_id == -1 && !header.is_transactional()
    };
    if fits {
        return Ok(());
    }
    Err(Error::Producer {
        id: header.producer_id,
        epoch: header.producer_epoch,
        sequence: header.base_sequence,
    })
}

fn check_records(header: &Header, mut rest: &[u8]) -> Result<(), Error> {
    for at in 0..header.count {
        let named = |lie| Error::Record { record: at.unsigned_abs(), lie };
        let record = layout::take_record(&mut rest).map_err(named)?;
        if record.offset_delta != at {
            return Err(named(Lie::OffsetDelta { found: record.offset_delta }));
        }
        let timestamp = timestamp(header, &record).map_err(named)?;
        if timestamp > header.max_timestamp {
            return Err(Error::Timestamps { max: header.max_timestamp, found: timestamp });
        }
    }
    if !rest.is_empty() {
        let lie = Lie::Follows { bytes: rest.len() };
        return Err(Error::Record { record: header.count.unsigned_abs(), lie });
    }
    Ok(())
}

/// The timestamp of a record of this batch, in ms since the epoch.
pub(super) fn timestamp(header: &Header, record: &RawRecord<'_>) -> Result<i64, Lie> {
    let delta = record.timestamp_delta;
    header.base_timestamp.checked_add(delta).ok_or(Lie::Timestamp { delta })
}

/// Writes the base offset and the leader's epoch: 12 of the first [`STAMP_BYTES`], outside the checksum.
/// Those first bytes are enough; where there are fewer, nothing is written.
pub fn stamp(bytes: &mut [u8], base_offset: i64, leader_epoch: i32) {
    if let Some(head) = bytes.first_chunk_mut::<STAMP_BYTES>() {
        head[..8].copy_from_slice(&base_offset.to_be_bytes());
        head[12..].copy_from_slice(&leader_epoch.to_be_bytes());
    }
}
