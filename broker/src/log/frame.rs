//! A frame: one entry on disk, a header of 72 bytes and the payload.
//!
//! Frames are canonical: equal on every replica, a pure function of the entry and the chain value before it. The
//! header's last field, its checksum, is also the chain value that the next header carries as `prev`, so bytes of
//! another partition, of a reused place or of a mixture of two truncated histories never validate.
//!
//! Everything is little-endian but the payload, which is a Kafka record batch for [`Kind::Batch`].

use bytes::Bytes;

use super::{Entry, Kind, LogStart};
use crate::ids::{Index, Offset, Term};

/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 72;

/// What a frame starts with.
pub(super) const MAGIC: [u8; 4] = *b"CDLF";

/// The version of the frame's form.
const VERSION: u8 = 1;

/// Bytes of the header that its checksum covers.
const SUMMED_BYTES: usize = 68;

/// Bytes of a batch that its own checksum does not cover: they are checked against the frame's header.
const BATCH_UNSUMMED_BYTES: usize = 21;

/// Where a batch keeps its checksum.
const BATCH_CRC_AT: usize = 17;

/// Where a batch keeps its magic, and its value.
const BATCH_MAGIC: (usize, u8) = (16, 2);

/// Bytes at the start of a batch that are stamped: base offset, length, leader epoch.
pub(super) const STAMPED_BYTES: usize = 16;

/// The smallest payload that can be a batch: its header.
pub const BATCH_HEADER_BYTES: usize = 61;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the entry is.
    pub kind: Kind,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// The entry's place in the Raft log.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// The offset of its first record.
    pub base_offset: Offset,
    /// Its records.
    pub count: u32,
    /// CRC32C of the payload; of a batch, the batch's own.
    pub payload_crc: u32,
    /// The largest timestamp of its records, in ms.
    pub max_timestamp: i64,
    /// When the leader took it, in ms.
    pub append_time: i64,
    /// The chain value of the entry before.
    pub prev: u32,
    /// The header's checksum: the chain value of this entry.
    pub crc: u32,
}

/// Why bytes are not a frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a header has.
    #[error("fewer than {FRAME_HEADER_BYTES} bytes")]
    Short,
    /// Not the beginning of a frame.
    #[error("no frame begins here")]
    Magic,
    /// The header's checksum is wrong.
    #[error("header checksum {stored:#010x} stored, {computed:#010x} computed")]
    Checksum {
        /// What the header says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The header is intact and of a form that this broker does not know.
    #[error("frame version {version}, flags {flags:#x}, this broker knows version {VERSION}")]
    Version {
        /// Its version.
        version: u8,
        /// Its flags.
        flags: u16,
    },
    /// The header is intact and its kind is not known: skipping it would make replicas differ.
    #[error("entry kind {0}, which this broker does not know")]
    Kind(u8),
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    u64_at(bytes, at).cast_signed()
}

impl FrameHeader {
    /// The header of an entry that follows the chain value `prev`.
    ///
    /// The payload of a batch is at least a batch's header long; `Log::append` checks that.
    pub fn of(entry: &Entry, prev: u32) -> FrameHeader {
        let payload = &entry.payload[..];
        let payload_crc = match entry.kind {
            Kind::Batch => {
                let mut crc = [0; 4];
                crc.copy_from_slice(&payload[BATCH_CRC_AT..BATCH_CRC_AT + 4]);
                u32::from_be_bytes(crc)
            }
            _ => crc32c::crc32c(payload),
        };
        let mut header = FrameHeader {
            kind: entry.kind,
            payload_len: payload.len() as u32,
            index: entry.index,
            term: entry.term,
            base_offset: entry.base_offset,
            count: entry.count,
            payload_crc,
            max_timestamp: entry.max_timestamp,
            append_time: entry.append_time,
            prev,
            crc: 0,
        };
        header.crc = u32_at(&header.encode(), SUMMED_BYTES);
        header
    }

    /// The header's bytes, with the checksum computed anew.
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = self.kind as u8;
        bytes[8..10].copy_from_slice(&(FRAME_HEADER_BYTES as u16).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload_len.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.index.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.term.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.base_offset.0.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.count.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.max_timestamp.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.append_time.to_le_bytes());
        bytes[64..68].copy_from_slice(&self.prev.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..SUMMED_BYTES]);
        bytes[SUMMED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<FrameHeader, FrameError> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES).ok_or(FrameError::Short)?;
        if bytes[..4] != MAGIC {
            return Err(FrameError::Magic);
        }
        let (stored, computed) = (u32_at(bytes, SUMMED_BYTES), crc32fast::hash(&bytes[..SUMMED_BYTES]));
        if stored != computed {
            return Err(FrameError::Checksum { stored, computed });
        }
        let (version, flags) = (bytes[4], u16_at(bytes, 6));
        let sizes = (u16_at(bytes, 8), u16_at(bytes, 10));
        if version != VERSION || flags != 0 || sizes != (FRAME_HEADER_BYTES as u16, 0) {
            return Err(FrameError::Version { version, flags });
        }
        Ok(FrameHeader {
            kind: Kind::from_byte(bytes[5]).ok_or(FrameError::Kind(bytes[5]))?,
            payload_len: u32_at(bytes, 12),
            index: Index(u64_at(bytes, 16)),
            term: Term(u64_at(bytes, 24)),
            base_offset: Offset(i64_at(bytes, 32)),
            count: u32_at(bytes, 40),
            payload_crc: u32_at(bytes, 44),
            max_timestamp: i64_at(bytes, 48),
            append_time: i64_at(bytes, 56),
            prev: u32_at(bytes, 64),
            crc: stored,
        })
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.payload_len)
    }

    /// The offset behind its records.
    pub fn next_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.count)))
    }

    /// Whether the payload is what was written: its checksum, and for a batch also the bytes that the batch's own
    /// checksum leaves out (base offset, length, leader epoch, magic and the checksum itself).
    pub fn check_payload(&self, payload: &[u8]) -> bool {
        if payload.len() != self.payload_len as usize {
            return false;
        }
        match self.kind {
            Kind::Batch => {
                payload.len() >= BATCH_HEADER_BYTES
                    && payload[..STAMPED_BYTES] == self.stamp()
                    && payload[BATCH_MAGIC.0] == BATCH_MAGIC.1
                    && payload[BATCH_CRC_AT..BATCH_UNSUMMED_BYTES] == self.payload_crc.to_be_bytes()
                    && crc32c::crc32c(&payload[BATCH_UNSUMMED_BYTES..]) == self.payload_crc
            }
            _ => crc32c::crc32c(payload) == self.payload_crc,
        }
    }

    /// The first bytes of a batch as they lie on disk: base offset, length, leader epoch, big-endian.
    pub(super) fn stamp(&self) -> [u8; STAMPED_BYTES] {
        let mut stamp = [0; STAMPED_BYTES];
        stamp[..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        // The length counts what follows it.
        stamp[8..12].copy_from_slice(&self.payload_len.wrapping_sub(12).to_be_bytes());
        // Terms above an epoch's range are refused before they reach the log.
        stamp[12..].copy_from_slice(&(self.term.0 as u32).to_be_bytes());
        stamp
    }

    /// The entry that the frame holds.
    pub fn entry(&self, payload: Bytes) -> Entry {
        Entry {
            index: self.index,
            term: self.term,
            kind: self.kind,
            base_offset: self.base_offset,
            count: self.count,
            max_timestamp: self.max_timestamp,
            append_time: self.append_time,
            payload,
        }
    }
}

/// What an entry leaves behind for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Its index.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// The offset of the next record.
    pub next_offset: Offset,
    /// Its append time, in ms.
    pub append_time: i64,
    /// Its chain value.
    pub chain: u32,
}

impl Tip {
    /// What lies before a log's first entry.
    pub fn before(start: &LogStart) -> Tip {
        Tip {
            index: start.first_index.prev(),
            term: start.prev_term,
            next_offset: start.next_offset,
            append_time: start.append_time,
            chain: start.chain,
        }
    }

    /// What a frame leaves behind.
    pub fn of(header: &FrameHeader) -> Tip {
        Tip {
            index: header.index,
            term: header.term,
            next_offset: header.next_offset(),
            append_time: header.append_time,
            chain: header.crc,
        }
    }

    /// Whether a frame is the next one: by chain, index, term, offset and time. Offsets may have gaps.
    pub fn is_followed_by(&self, header: &FrameHeader) -> bool {
        header.prev == self.chain && header.index == self.index.next() && self.admits(header)
    }

    /// Whether a frame can lie behind this one, with others between them.
    pub(super) fn admits(&self, header: &FrameHeader) -> bool {
        header.index > self.index
            && header.term >= self.term
            && header.base_offset >= self.next_offset
            && header.append_time >= self.append_time
            && (header.count == 0 || header.kind == Kind::Batch)
    }
}

#[cfg(test)]
mod tests;
