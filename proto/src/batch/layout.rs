//! One record inside a batch, read in place.
//!
//! `length | attributes, 1 byte | timestamp delta | offset delta | key | value | number of headers | headers`,
//! a header being `key | value`. Keys and values are a length, −1 for null, and the bytes; the key of a header
//! is never null. The attributes have no meaning and are not looked at.

use super::Lie;
use super::varint;

/// A record whose fields are known to fill it exactly.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawRecord<'a> {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: RawHeaders<'a>,
}

/// Headers that are known to fill their bytes exactly.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawHeaders<'a> {
    pub(super) count: u32,
    pub(super) bytes: &'a [u8],
}

/// Takes a record off the front of `bytes`.
pub(super) fn take_record<'a>(bytes: &mut &'a [u8]) -> Result<RawRecord<'a>, Lie> {
    let length = length(varint::take_i32(bytes)?)?;
    let mut rest = take_bytes(bytes, length)?;
    take_bytes(&mut rest, 1)?;
    let timestamp_delta = varint::take_i64(&mut rest)?;
    let offset_delta = varint::take_i32(&mut rest)?;
    let key = take_nullable(&mut rest)?;
    let value = take_nullable(&mut rest)?;
    let claimed = varint::take_i32(&mut rest)?;
    // A header takes two bytes at least, so that a count beyond that is told before any walking.
    let count = u32::try_from(claimed).map_err(|_| Lie::HeaderCount { count: claimed })?;
    if count as usize > rest.len() / 2 {
        return Err(Lie::HeaderCount { count: claimed });
    }
    let headers = RawHeaders { count, bytes: rest };
    for _ in 0..count {
        take_header(&mut rest)?;
    }
    if !rest.is_empty() {
        return Err(Lie::Slack { bytes: rest.len() });
    }
    Ok(RawRecord { timestamp_delta, offset_delta, key, value, headers })
}

/// Takes a header off the front of `bytes`: its key and value.
pub(super) fn take_header<'a>(bytes: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Lie> {
    let key = take_nullable(bytes)?.ok_or(Lie::NegativeLength)?;
    Ok((key, take_nullable(bytes)?))
}

fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Lie> {
    match varint::take_i32(bytes)? {
        -1 => Ok(None),
        claimed => take_bytes(bytes, length(claimed)?).map(Some),
    }
}

fn length(claimed: i32) -> Result<usize, Lie> {
    usize::try_from(claimed).map_err(|_| Lie::NegativeLength)
}

fn take_bytes<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Lie> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(Lie::Ends)?;
    *bytes = rest;
    Ok(taken)
}
