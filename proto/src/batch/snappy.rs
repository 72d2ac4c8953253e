//! Snappy, in the framing of xerial's Java library that Kafka's clients write, and as one raw block.
//!
//! Framed: the magic, a version, the lowest version that can read it, then blocks of `length | raw block`;
//! all numbers 4 bytes, big-endian.

use bytes::Buf;
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{Codec, Error};

const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\x00";
const XERIAL_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];

/// xerial's own default.
const BLOCK_BYTES: usize = 32 * 1024;

/// No raw block inflates to more than this many times its bytes: the densest element is 3 bytes for 64.
const RATIO_MAX: usize = 22;

fn failed(why: impl ToString) -> Error {
    Error::Inflate { codec: Codec::Snappy, why: why.to_string() }
}

/// What `records` inflate to; never more than `max` bytes are held.
pub(super) fn inflate(records: &[u8], max: usize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let framed =
        records.strip_prefix(XERIAL_MAGIC).and_then(|rest| rest.split_at_checked(XERIAL_VERSIONS.len()));
    let Some((_, mut rest)) = framed else {
        inflate_block(records, max, &mut out)?;
        return Ok(out);
    };
    while !rest.is_empty() {
        let length = rest.try_get_u32().map_err(|_| failed("a block's length is cut"))?;
        let (block, behind) = rest
            .split_at_checked(length as usize)
            .ok_or_else(|| failed("a block is longer than the bytes"))?;
        inflate_block(block, max, &mut out)?;
        rest = behind;
    }
    Ok(out)
}

fn inflate_block(block: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let claimed = decompress_len(block).map_err(failed)?;
    if claimed > block.len().saturating_mul(RATIO_MAX) {
        return Err(failed(format!("a block of {} bytes claims to inflate to {claimed}", block.len())));
    }
    let from = out.len();
    if claimed > max - from.min(max) {
        return Err(Error::InflatesTooLarge { max });
    }
    out.resize(from + claimed, 0);
    Decoder::new().decompress(block, &mut out[from..]).map_err(failed)?;
    Ok(())
}

/// Appends `records`, framed and compressed.
pub(super) fn deflate(records: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    out.extend_from_slice(XERIAL_MAGIC);
    out.extend_from_slice(&XERIAL_VERSIONS);
    let mut encoder = Encoder::new();
    let mut block = vec![0; max_compress_len(BLOCK_BYTES)];
    for chunk in records.chunks(BLOCK_BYTES) {
        let size = encoder
            .compress(chunk, &mut block)
            .map_err(|error| Error::Deflate { codec: Codec::Snappy, why: error.to_string() })?;
        out.extend_from_slice(&(size as u32).to_be_bytes());
        out.extend_from_slice(&block[..size]);
    }
    Ok(())
}
