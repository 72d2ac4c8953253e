//! The 61 bytes before the records.

use bytes::{Buf, BufMut};

use super::{Codec, Error};

/// The bytes of a header.
pub const HEADER_BYTES: usize = 61;

/// The first bytes of a header, which hold all that [`stamp`](super::stamp) writes.
pub const STAMP_BYTES: usize = 16;

/// The bytes that the length field does not count: the base offset and itself.
pub(super) const UNCOUNTED_BYTES: usize = 12;

/// The first byte that the checksum covers.
pub(super) const CHECKED_FROM: usize = 21;

/// The only format there is here.
pub(super) const MAGIC: i8 = 2;

const MAGIC_AT: usize = 16;

pub(super) const CODEC_BITS: u16 = 0x07;
const APPEND_TIME_BIT: u16 = 0x08;
pub(super) const TRANSACTIONAL_BIT: u16 = 0x10;
pub(super) const CONTROL_BIT: u16 = 0x20;

/// What a batch says about itself. Nothing of it is checked but the format and that the length is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The offset of the first record: the broker's, stamped.
    pub base_offset: i64,
    /// The bytes that follow this field.
    pub length: i32,
    /// The epoch of the leader that took the batch: the broker's, stamped.
    pub leader_epoch: i32,
    /// The format, 2.
    pub magic: i8,
    /// The CRC32C of all that follows this field.
    pub crc: u32,
    /// Bits 0–2 the codec, 3 that `max_timestamp` is the broker's and stands for all records, 4 transactional,
    /// 5 control, 6 that the base timestamp is when tombstones may go.
    pub attributes: i16,
    /// The distance from the first record's offset to the last one's.
    pub last_offset_delta: i32,
    /// The timestamp that those of the records are relative to, in ms since the epoch.
    pub base_timestamp: i64,
    /// The largest timestamp, in ms since the epoch; −1 where there is none.
    pub max_timestamp: i64,
    /// The producer's id; −1 where there is none.
    pub producer_id: i64,
    /// The producer's epoch; −1 where there is none.
    pub producer_epoch: i16,
    /// The sequence of the first record; −1 where there is none.
    pub base_sequence: i32,
    /// The number of records.
    pub count: i32,
}

impl Header {
    /// Reads the header of the batch that `bytes` begin with.
    ///
    /// # Errors
    /// [`Error::Magic`], [`Error::TooShort`], or [`Error::Length`] for a length that no batch can have.
    pub fn parse(bytes: &[u8]) -> Result<Header, Error> {
        // First, since a message of the older formats may well be shorter than this header.
        if let Some(&magic) = bytes.get(MAGIC_AT)
            && magic as i8 != MAGIC
        {
            return Err(Error::Magic { magic: magic as i8 });
        }
        let head = bytes.first_chunk::<HEADER_BYTES>().ok_or(Error::TooShort { bytes: bytes.len() })?;
        let mut rest = &head[..];
        let header = Header {
            base_offset: rest.get_i64(),
            length: rest.get_i32(),
            leader_epoch: rest.get_i32(),
            magic: rest.get_i8(),
            crc: rest.get_u32(),
            attributes: rest.get_i16(),
            last_offset_delta: rest.get_i32(),
            base_timestamp: rest.get_i64(),
            max_timestamp: rest.get_i64(),
            producer_id: rest.get_i64(),
            producer_epoch: rest.get_i16(),
            base_sequence: rest.get_i32(),
            count: rest.get_i32(),
        };
        if header.claimed() < HEADER_BYTES as i64 {
            return Err(Error::Length { claimed: header.claimed(), bytes: bytes.len() });
        }
        Ok(header)
    }

    pub(super) fn write(&self, out: &mut [u8; HEADER_BYTES]) {
        let mut rest = &mut out[..];
        rest.put_i64(self.base_offset);
        rest.put_i32(self.length);
        rest.put_i32(self.leader_epoch);
        rest.put_i8(self.magic);
        rest.put_u32(self.crc);
        rest.put_i16(self.attributes);
        rest.put_i32(self.last_offset_delta);
        rest.put_i64(self.base_timestamp);
        rest.put_i64(self.max_timestamp);
        rest.put_i64(self.producer_id);
        rest.put_i16(self.producer_epoch);
        rest.put_i32(self.base_sequence);
        rest.put_i32(self.count);
    }

    fn claimed(&self) -> i64 {
        i64::from(self.length) + UNCOUNTED_BYTES as i64
    }

    /// The bytes of the whole batch, at least [`HEADER_BYTES`].
    pub fn size(&self) -> usize {
        usize::try_from(self.claimed()).unwrap_or(0).max(HEADER_BYTES)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`Error::UnknownCodec`] for the numbers 5 to 7.
    pub fn codec(&self) -> Result<Codec, Error> {
        Codec::from_number((self.bits() & CODEC_BITS) as u8)
    }

    /// The records belong to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.bits() & TRANSACTIONAL_BIT != 0
    }

    /// The one record is a mark of the broker's: where a transaction ends.
    pub fn is_control(&self) -> bool {
        self.bits() & CONTROL_BIT != 0
    }

    /// `max_timestamp` is the broker's and stands for all records.
    pub fn is_append_time(&self) -> bool {
        self.bits() & APPEND_TIME_BIT != 0
    }

    /// A producer id is given, so that a batch sent twice can be told.
    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// The offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    pub(super) fn bits(&self) -> u16 {
        self.attributes as u16
    }

    /// The bytes are exactly this batch, and their checksum is the header's.
    pub fn matches(&self, bytes: &[u8]) -> Result<(), Error> {
        if self.claimed() != bytes.len() as i64 {
            return Err(Error::Length { claimed: self.claimed(), bytes: bytes.len() });
        }
        let computed = crc32c::crc32c(bytes.get(CHECKED_FROM..).unwrap_or_default());
        if computed != self.crc {
            return Err(Error::Checksum { stored: self.crc, computed });
        }
        Ok(())
    }
}
