//! A segment: one file of a partition's log. It is active, then sealed; an empty one is prepared before that.
//!
//! A segment exists, durably, before its first frame is written (`docs/FORMAT.md`): rolling is only a change of
//! pointer. A file is what its header says, never what its name says.

mod active;
mod sealed;

use std::io::{self, IoSlice};
use std::path::Path;

use super::contents::Contents;
use super::paths;
use super::{Fs, OpenMode, is_no_space};
use crate::ids::{Index, Offset, PartitionId, TopicId};

pub(super) use active::{Active, Live};
pub(super) use sealed::{Loaded, Sealed};

/// The bytes before the first frame: one block, of which the header fills the beginning.
pub const SEGMENT_HEADER_BYTES: u64 = 4096;

/// What a segment file starts with.
const MAGIC: [u8; 4] = *b"CDLS";

/// The version of the segment file's form.
const VERSION: u8 = 1;

/// Bytes of the header that its checksum covers.
const SUMMED_BYTES: usize = 48;

/// Bytes of the header with its checksum.
const USED_BYTES: usize = SUMMED_BYTES + 4;

/// Whose a segment file is, and which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The partition.
    pub partition: PartitionId,
    /// The generation of its log.
    pub generation: u64,
    /// The segment's number in the generation, from 1.
    pub sequence: u64,
}

impl SegmentHeader {
    /// The whole header block.
    pub fn to_block(&self) -> Vec<u8> {
        let mut block = vec![0; SEGMENT_HEADER_BYTES as usize];
        block[..4].copy_from_slice(&MAGIC);
        block[4] = VERSION;
        block[8..28].copy_from_slice(&self.partition.to_bytes());
        block[32..40].copy_from_slice(&self.generation.to_le_bytes());
        block[40..48].copy_from_slice(&self.sequence.to_le_bytes());
        let sum = crc32fast::hash(&block[..SUMMED_BYTES]);
        block[SUMMED_BYTES..USED_BYTES].copy_from_slice(&sum.to_le_bytes());
        block
    }

    /// Reads the header at the start of a file.
    ///
    /// # Errors
    /// `NotAHeader` and `Version`.
    pub fn parse(block: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let used = block.get(..USED_BYTES).ok_or(HeaderError::NotAHeader)?;
        let sum = crc32fast::hash(&used[..SUMMED_BYTES]).to_le_bytes();
        if used[..4] != MAGIC || used[SUMMED_BYTES..] != sum {
            return Err(HeaderError::NotAHeader);
        }
        if used[4] != VERSION {
            return Err(HeaderError::Version(used[4]));
        }
        let topic = TopicId::from_slice(&used[8..24]).ok_or(HeaderError::NotAHeader)?;
        let (mut partition, mut generation, mut sequence) = ([0; 4], [0; 8], [0; 8]);
        partition.copy_from_slice(&used[24..28]);
        generation.copy_from_slice(&used[32..40]);
        sequence.copy_from_slice(&used[40..48]);
        Ok(SegmentHeader {
            partition: PartitionId { topic, partition: i32::from_be_bytes(partition) },
            generation: u64::from_le_bytes(generation),
            sequence: u64::from_le_bytes(sequence),
        })
    }

    /// Whether the bytes at the start of a file are the header of exactly this segment.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn check(&self, block: &[u8]) -> Result<(), HeaderError> {
        SegmentHeader::parse(block)?;
        if block[..USED_BYTES] != self.to_block()[..USED_BYTES] {
            return Err(HeaderError::Foreign);
        }
        Ok(())
    }
}

/// Why the start of a file is not the header asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not written whole, or damaged.
    #[error("no segment header, or a damaged one")]
    NotAHeader,
    /// Written by a newer broker.
    #[error("segment version {0}, this broker knows {VERSION}")]
    Version(u8),
    /// The header of another partition, generation or segment.
    #[error("the file's header names another partition, generation or segment")]
    Foreign,
}

/// Makes an empty segment file in `dir`, durably: header, room for `bytes` in all, sync of the file and of the folder.
///
/// Idempotent after a crash: an earlier file of this name is made anew. So it is only for a sequence that has no
/// frames.
///
/// # Errors
/// `StorageFull` when there is no room: then no file remains.
pub fn create(fs: &dyn Fs, dir: &Path, header: &SegmentHeader, bytes: u64) -> io::Result<()> {
    let path = paths::segment_path(dir, header.sequence);
    if fs.exists(&path)? {
        fs.remove_file(&path)?;
    }
    let file = fs.open(&path, OpenMode::CreateNew)?;
    let made = file
        .allocate(bytes.max(SEGMENT_HEADER_BYTES))
        .and_then(|()| file.write_at(&[IoSlice::new(&header.to_block())], 0))
        .and_then(|()| file.sync())
        .and_then(|()| fs.sync_dir(dir));
    if let Err(error) = made {
        if is_no_space(&error) {
            fs.remove_file(&path)?;
        }
        return Err(error);
    }
    Ok(())
}

/// What retention needs to know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Its number.
    pub sequence: u64,
    /// The first index that it holds or will hold.
    pub first_index: Index,
    /// The last one; the one before `first_index` when it is empty.
    pub last_index: Index,
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset behind its last record.
    pub next_offset: Offset,
    /// Bytes of its frames.
    pub bytes: u64,
    /// When the leader took its last entry, in ms; of an empty one, the entry before.
    pub last_append_time: i64,
    /// The largest timestamp of its records, in ms, if there are any.
    pub max_timestamp: Option<i64>,
    /// Whether nothing is written to it any more.
    pub sealed: bool,
}

impl SegmentFacts {
    pub(super) fn of(sequence: u64, contents: &Contents, sealed: bool) -> SegmentFacts {
        SegmentFacts {
            sequence,
            first_index: contents.first_index(),
            last_index: contents.tip.index,
            base_offset: contents.base.next_offset,
            next_offset: contents.tip.next_offset,
            bytes: contents.end - SEGMENT_HEADER_BYTES,
            last_append_time: contents.tip.append_time,
            max_timestamp: contents.max_timestamp,
            sealed,
        }
    }
}

#[cfg(test)]
mod tests;
