//! Compressing and inflating through the codecs' crates.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{Codec, Error, snappy};

/// zstd's own default: fast, and about as small as gzip makes it.
const ZSTD_LEVEL: i32 = 3;

/// The first guess of how much larger records inflate; the buffer grows where it is more.
const RATIO_GUESS: usize = 4;

/// What `records` inflate to; never more than `max` bytes are held.
pub(super) fn inflate(codec: Codec, records: &[u8], max: usize) -> Result<Vec<u8>, Error> {
    let failed = |error: io::Error| Error::Inflate { codec, why: error.to_string() };
    match codec {
        Codec::None => read_capped(records, records.len(), max),
        Codec::Gzip => read_capped(flate2::bufread::MultiGzDecoder::new(records), records.len(), max),
        Codec::Snappy => return snappy::inflate(records, max),
        Codec::Lz4 => read_capped(FrameDecoder::new(records), records.len(), max),
        Codec::Zstd => zstd::stream::read::Decoder::with_buffer(records)
            .and_then(|decoder| read_capped(decoder, records.len(), max)),
    }
    .map_err(failed)?
    .ok_or(Error::InflatesTooLarge { max })
}

/// Reads to the end; `None` where that is more than `max` bytes.
fn read_capped(reader: impl Read, compressed: usize, max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::with_capacity(compressed.saturating_mul(RATIO_GUESS).min(max));
    // One byte above the limit tells a bomb from records that just fit.
    reader.take((max as u64).saturating_add(1)).read_to_end(&mut out)?;
    Ok((out.len() <= max).then_some(out))
}

/// `batch` with its first `keep` bytes as they are and the rest compressed.
pub(super) fn deflate(codec: Codec, batch: &[u8], keep: usize) -> Result<Vec<u8>, Error> {
    let failed = |error: io::Error| Error::Deflate { codec, why: error.to_string() };
    let (head, records) = batch.split_at_checked(keep).unwrap_or((batch, &[]));
    let mut out = Vec::with_capacity(batch.len());
    out.extend_from_slice(head);
    match codec {
        Codec::None => out.extend_from_slice(records),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::default());
            encoder.write_all(records).and_then(|()| encoder.finish()).map_err(failed)?;
        }
        Codec::Snappy => snappy::deflate(records, &mut out)?,
        Codec::Lz4 => {
            // Kafka's Java client reads independent blocks alone.
            let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
            let mut encoder = FrameEncoder::with_frame_info(frame, &mut out);
            encoder.write_all(records).map_err(failed)?;
            encoder.finish().map_err(|error| failed(error.into()))?;
        }
        Codec::Zstd => {
            out.extend(zstd::bulk::compress(records, ZSTD_LEVEL).map_err(failed)?);
        }
    }
    Ok(out)
}
